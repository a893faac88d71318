"""Live quotes: who is watched, what was told, and the newest price of each asset.

Belongs here: SQL of ``live_quotes``, ``latest_quotes``, ``quote_ages`` and of the watch in
``tracked_assets``. Does not: who is due and what is believed (domain/live.py), asking
(pipeline/live.py).

``live_quotes`` is what sources said. From the believed ones among them follow ``latest_quotes``
(never replaced by an older stamp) and, in ``intraday_prices``, a bar for each minute that had a
quote: open, high, low and close of the quotes, without a volume, flagged ``from_quotes``. Bars of
a vendor, once validated, take their place.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import polars as pl
from psycopg import sql

from stock_platform.domain.bars import UTC_STAMP
from stock_platform.domain.batches import CallRecord
from stock_platform.domain.live import QUOTED, WATCHED
from stock_platform.storage import quarantine
from stock_platform.storage.connection import Database
from stock_platform.storage.frames import Connection, copy_in, ints, names, read, run
from stock_platform.storage.locks import Kind, begin, lock_assets, retried
from stock_platform.storage.tables import FROM_QUOTES
from stock_platform.storage.writers import log_calls

AGES = (1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 1200.0, 1800.0, 3600.0, float("inf"))
"""The buckets of ages, in seconds."""

LATEST: dict[str, pl.DataType] = {
    "asset_id": pl.Int32(),
    "ticker": pl.String(),
    "price": pl.Float64(),
    "previous_close": pl.Float64(),
    "volume": pl.Float64(),
    "currency": pl.String(),
    "quoted_at": UTC_STAMP,
    "session": pl.Date(),
    "source": pl.String(),
    "stored_at": UTC_STAMP,
    "age_seconds": pl.Float64(),  # from the exchange's stamp to stored
}


@dataclass(frozen=True)
class Stored:
    """What a transaction changed: quotes told for the first time, and of them the latest."""

    quotes: int = 0
    latest: int = 0
    minutes: int = 0
    quarantined: int = 0


def watched(db: Database, every: int) -> pl.DataFrame:
    """WATCHED: the tracked assets; ``every`` is for those who have no minutes of their own."""
    with db.connect() as connection:
        return read(
            connection,
            sql.SQL(
                "select t.asset_id, s.ticker, a.asset_class, a.calendar, "
                "coalesce(t.live_every, {}), t.quote_asked_at at time zone 'UTC' "
                "from stocks.tracked_assets t join stocks.assets a using (asset_id) "
                "join stocks.asset_symbols s on s.asset_id = t.asset_id "
                "and s.valid_to = '9999-12-31' where a.delisted_on is null order by t.asset_id"
            ).format(sql.Literal(every)),
            WATCHED,
        )


def watch(db: Database, asset_ids: Sequence[int], minutes: int | None) -> None:
    """Ask for tracked assets every so many minutes; None: as the setting says; 0: never."""
    with db.connect() as connection:
        run(
            connection,
            sql.SQL(
                "update stocks.tracked_assets set live_every = {} where asset_id = any({})"
            ).format(sql.Literal(minutes), ints(list(asset_ids))),
        )


def claim(db: Database, due: pl.DataFrame, now: datetime) -> list[int]:
    """Take assets to ask for; those that nobody has taken since they were read as WATCHED."""
    if due.is_empty():
        return []
    pairs = sql.SQL(", ").join(
        sql.SQL("({}, {}::timestamptz)").format(sql.Literal(a), sql.Literal(at))
        for a, at in due.select("asset_id", "asked_at").iter_rows()
    )
    with db.connect() as connection:
        rows = run(
            connection,
            sql.SQL(
                "update stocks.tracked_assets t set quote_asked_at = {} "
                "from (values {}) as seen (asset_id, at) where t.asset_id = seen.asset_id "
                "and t.quote_asked_at is not distinct from seen.at returning t.asset_id"
            ).format(sql.Literal(now), pairs),
        ).fetchall()
    return sorted(row[0] for row in rows)


def latest(db: Database, asset_ids: Sequence[int] | None = None) -> pl.DataFrame:
    """LATEST of some assets, or of all, by ticker."""
    only = (
        sql.SQL("true")
        if asset_ids is None
        else sql.SQL("q.asset_id = any({})").format(ints(list(asset_ids)))
    )
    with db.connect() as connection:
        return read(
            connection,
            sql.SQL(
                "select q.asset_id, n.ticker, q.price, q.previous_close, q.volume, q.currency, "
                "q.quoted_at at time zone 'UTC', q.session, q.source, "
                "q.stored_at at time zone 'UTC', "
                "extract(epoch from q.stored_at - q.quoted_at)::double precision "
                "from stocks.latest_quotes q cross join lateral ("
                "  select ticker from stocks.asset_symbols s where s.asset_id = q.asset_id "
                "  order by valid_to desc limit 1) n where {} order by n.ticker"
            ).format(only),
            LATEST,
        )


def ages(db: Database) -> pl.DataFrame:
    """How old quotes were when they were stored, since the database began.

    Columns source, upper (a bucket's end in seconds; the last is infinite), quotes in that
    bucket alone, seconds (the sum of their ages).
    """
    with db.connect() as connection:
        return pl.DataFrame(
            run(
                connection,
                sql.SQL(
                    "select source, upper, quotes, seconds from stocks.quote_ages "
                    "order by source, upper"
                ),
            ).fetchall(),
            schema={
                "source": pl.String(),
                "upper": pl.Float64(),
                "quotes": pl.Int64(),
                "seconds": pl.Float64(),
            },
            orient="row",
        )


def newest(db: Database) -> dict[str, datetime]:
    """By calendar, the exchange's stamp of the newest quote of a tracked asset."""
    with db.connect() as connection:
        rows = run(
            connection,
            sql.SQL(
                "select a.calendar, max(q.quoted_at) from stocks.tracked_assets t "
                "join stocks.assets a using (asset_id) "
                "join stocks.latest_quotes q using (asset_id) group by a.calendar order by 1"
            ),
        ).fetchall()
    return {str(calendar): stamp for calendar, stamp in rows}


@retried
def store(
    db: Database, call: CallRecord, judged: pl.DataFrame, rejected: pl.DataFrame, now: datetime
) -> Stored:
    """Commit the answer to one call: quotes, what follows from them, and the record.

    Args:
        db: the database.
        call: the record of the call.
        judged: QUOTED with ``reasons``. Rows without a session or a finite price are
            in ``rejected`` alone.
        rejected: QUARANTINE.
        now: the present, by the market's clock.

    Raises:
        DatabaseError: nothing was written.
    """
    ready = judged.filter(
        pl.col("session").is_not_null()
        & pl.col("price").is_finite().fill_null(value=False)
        & (pl.col("price").abs() < 1e12)
    ).unique(["asset_id", "quoted_at", "source"], keep="last", maintain_order=True)
    touched = sorted({*ready["asset_id"].to_list(), *rejected["asset_id"].drop_nulls().to_list()})
    with db.connect() as connection:
        begin(connection)
        lock_assets(connection, Kind.RAW, touched)
        [fetch_id] = log_calls(connection, [call], None)
        put = quarantine.put(
            connection,
            "parse",
            rejected,
            pl.Series([fetch_id] * rejected.height, dtype=pl.Int64()),
        )
        if ready.is_empty():
            return Stored(quarantined=put)
        new = _append(connection, ready, now)
        lock_assets(connection, Kind.VALIDATED, touched)
        newest = run(connection, _LATEST, {"now": now}).fetchall()
        minutes = run(connection, _MINUTES, {"now": now, "flag": FROM_QUOTES}).rowcount
        _count_ages(connection, [(row[0], row[1]) for row in newest], now)
    return Stored(new, len(newest), minutes, put)


def _append(connection: Connection, quotes: pl.DataFrame, now: datetime) -> int:
    """Into ``live_quotes`` what is not there yet, and into the temporary table ``told``."""
    run(
        connection,
        sql.SQL("create temp table came (like stocks.live_quotes) on commit drop"),
    )
    frame = quotes.with_columns(pl.lit(now).cast(UTC_STAMP).alias("stored_at"))
    columns = [*QUOTED, "reasons", "stored_at"]
    copy_in(connection, sql.Identifier("came"), frame.select(columns))
    listed = names(columns)
    run(
        connection,
        sql.SQL("create temp table told (like stocks.live_quotes) on commit drop"),
    )
    return run(
        connection,
        sql.SQL(
            "with new as (insert into stocks.live_quotes ({0}) select {0} from came "
            "on conflict do nothing returning *) "
            "insert into told select * from new"
        ).format(listed),
    ).rowcount


def _count_ages(
    connection: Connection, told: Sequence[tuple[str, datetime]], now: datetime
) -> None:
    """Add the ages of quotes (source, the exchange's stamp) to the buckets."""
    counted: dict[tuple[str, float], tuple[int, float]] = {}
    for source, at in told:
        age = max(0.0, (now - at).total_seconds())
        upper = next(bound for bound in AGES if age <= bound)
        quotes, seconds = counted.get((source, upper), (0, 0.0))
        counted[source, upper] = (quotes + 1, seconds + age)
    for (source, upper), (quotes, seconds) in sorted(counted.items()):
        run(
            connection,
            sql.SQL(
                "insert into stocks.quote_ages as a (source, upper, quotes, seconds) "
                "values (%(source)s, %(upper)s::float8, %(quotes)s, %(seconds)s) "
                "on conflict (source, upper) do update set quotes = a.quotes + excluded.quotes, "
                "seconds = a.seconds + excluded.seconds, updated_at = now()"
            ),
            {"source": source, "upper": str(upper), "quotes": quotes, "seconds": seconds},
        )


_LATEST = sql.SQL(
    """insert into stocks.latest_quotes as l (asset_id, price, quoted_at, session, previous_close,
        volume, currency, source, fetched_at, stored_at)
    select distinct on (asset_id) asset_id, price, quoted_at, session, previous_close,
        volume, currency, source, fetched_at, %(now)s
    from told where reasons = '{}' order by asset_id, quoted_at desc, source
    on conflict (asset_id) do update set price = excluded.price, quoted_at = excluded.quoted_at,
        session = excluded.session, previous_close = excluded.previous_close,
        volume = excluded.volume, currency = excluded.currency, source = excluded.source,
        fetched_at = excluded.fetched_at, stored_at = excluded.stored_at
    where excluded.quoted_at > l.quoted_at
    returning source, quoted_at"""
)

# The minute is made again of all its believed quotes, so that the order they came in is nothing.
_MINUTES = sql.SQL(
    """insert into stocks.intraday_prices as p (asset_id, interval, ts, session, open, high, low,
        close, source, flags, validated_at)
    select q.asset_id, '1m', t.minute, min(q.session),
        (array_agg(q.price order by q.quoted_at, q.source))[1], max(q.price), min(q.price),
        (array_agg(q.price order by q.quoted_at desc, q.source desc))[1],
        (array_agg(q.source order by q.quoted_at desc, q.source desc))[1],
        array[%(flag)s], %(now)s
    from (select distinct asset_id, date_trunc('minute', quoted_at) as minute
          from told where reasons = '{}') t
    join stocks.live_quotes q on q.asset_id = t.asset_id and q.reasons = '{}'
        and q.quoted_at >= t.minute and q.quoted_at < t.minute + interval '1 minute'
    group by q.asset_id, t.minute
    on conflict (asset_id, interval, ts) do update set open = excluded.open,
        high = excluded.high, low = excluded.low, close = excluded.close,
        source = excluded.source, validated_at = excluded.validated_at
    where p.flags = excluded.flags"""
)
