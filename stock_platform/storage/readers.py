"""Reading: every question to the tables of prices, actions and records, answered in polars.

Belongs here: queries and their frames. Does not: adjustment (domain/corporate_actions.py), the
ledger (ledger.py), the catalog (assets.py).

Stamps are UTC at the bar's start; prices are in the asset's currency, as stored. Frames come by
COPY; rows are ordered by the key unless said otherwise.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
from psycopg import sql

from stock_platform.domain.aggregates import INDICATORS
from stock_platform.domain.bars import RAW_QUOTES, UTC_STAMP, VALIDATED_PRICES, Interval
from stock_platform.domain.batches import QUARANTINE
from stock_platform.domain.cells import CellGrid, Sessions
from stock_platform.domain.corporate_actions import LOOK_BACK
from stock_platform.domain.errors import InputError, one_of
from stock_platform.storage import actions
from stock_platform.storage import periods as _periods
from stock_platform.storage.blocks import ROWS as STREAM_ROWS
from stock_platform.storage.blocks import Blocks, read_blocks, stream_blocks
from stock_platform.storage.connection import Database
from stock_platform.storage.digest import content_hash
from stock_platform.storage.frames import LIST_SEPARATOR, ints, one, read
from stock_platform.storage.tables import CELL, price_table, raw_table

__all__ = [
    "CLOSES",
    "FETCH_LOG",
    "INDICATORS",
    "STREAM_ROWS",
    "SUMMARY",
    "USAGE",
    "calls",
    "closes_before_dividends",
    "content_hash",
    "dividends",
    "fetch_log",
    "fetch_summary",
    "indicators",
    "judged",
    "latest",
    "monthly",
    "periods",
    "prices",
    "quarantined",
    "raw",
    "session_span",
    "splits",
    "stream_prices",
    "usage",
    "weekly",
]

PERIOD_PRICES = _periods.PERIOD_PRICES

RAW_WITH_CALL: dict[str, pl.DataType] = {**RAW_QUOTES, "fetch_id": pl.Int64()}

CLOSES: dict[str, pl.DataType] = {
    "asset_id": pl.Int32(),
    "ex_date": pl.Date(),
    "close": pl.Float64(),
}

FETCH_LOG: dict[str, pl.DataType] = {
    "fetch_id": pl.Int64(),
    "source": pl.String(),
    "endpoint": pl.String(),
    "tile": pl.String(),
    "status": pl.String(),
    "http_status": pl.Int64(),
    "requests": pl.Int64(),
    "rows": pl.Int64(),
    "latency_ms": pl.Int64(),
    "cached": pl.Boolean(),
    "error": pl.String(),
    "run_id": pl.String(),
    "started_at": UTC_STAMP,
    "finished_at": UTC_STAMP,
}

USAGE: dict[str, pl.DataType] = {
    "day": pl.Date(),
    "source": pl.String(),
    "calls": pl.Int64(),
    "requests": pl.Int64(),
    "failed": pl.Int64(),
    "rate_limited": pl.Int64(),
    "cached": pl.Int64(),
    "rows": pl.Int64(),
    "latency_ms": pl.Float64(),
}

SUMMARY: dict[str, pl.DataType] = {
    "source": pl.String(),
    "status": pl.String(),
    "calls": pl.Int64(),
    "requests": pl.Int64(),
    "cached": pl.Int64(),
    "rows": pl.Int64(),
    "latency_ms": pl.Float64(),
    "first": UTC_STAMP,
    "last": UTC_STAMP,
}

QUARANTINED: dict[str, pl.DataType] = {
    "quarantine_id": pl.String(),
    "stage": pl.String(),
    **QUARANTINE,
    "fetch_id": pl.Int64(),
    "quarantined_at": UTC_STAMP,
}

QUOTE_TIMES: dict[str, pl.DataType] = {
    "asset_id": pl.Int32(),
    "session": pl.Date(),
    "source": pl.String(),
    "fetched_at": UTC_STAMP,
}

PRICE_FLAGS: dict[str, pl.DataType] = {
    "asset_id": pl.Int32(),
    "session": pl.Date(),
    "source": pl.String(),
    "flags": pl.List(pl.String()),
}

_PAD = timedelta(days=2)


def raw(db: Database, grid: CellGrid, *, between: bool = False) -> pl.DataFrame:
    """The raw quotes of the grid's cells, of every source: RAW_QUOTES and fetch_id.

    ``between``: those of all days between the grid's first and last, whatever its cells.
    """
    grid = grid.trimmed()
    if not grid:
        return pl.DataFrame(schema=RAW_WITH_CALL)
    first, last = grid.sessions[0].astype(object), grid.sessions[-1].astype(object)
    with db.connect() as connection:
        blocks = _bars(
            raw_table(grid.interval), RAW_WITH_CALL, grid.assets, grid.interval, first, last
        )
        frame = _with_interval(read_blocks(connection, blocks), grid.interval, RAW_WITH_CALL)
    if between or (grid.mask.all() and len(grid.sessions) == (last - first).days + 1):
        return frame
    return frame.join(
        grid.to_frame(), on=["asset_id", "session"], how="semi", maintain_order="left"
    )


def judged(db: Database, grid: CellGrid, days: Sessions) -> pl.DataFrame:
    """The cells of a grid's assets and interval on days that have a verdict: CELL.

    A verdict is a validated price, or an entry in quarantine that validation put there.
    """
    first, last = days[0].astype(object), days[-1].astype(object)
    with db.connect() as connection:
        return read(
            connection,
            sql.SQL(
                "select r.asset_id, r.session from stocks.{} r where r.asset_id = any({}) "
                "and r.interval = {} and {} union select q.asset_id, q.session "
                "from stocks.quarantine q where q.stage = 'validation' and q.asset_id = any({}) "
                "and q.interval = {} and q.session between {} and {}"
            ).format(
                sql.Identifier(price_table(grid.interval)),
                ints(grid.assets),
                sql.Literal(str(grid.interval)),
                _between(first, last),
                ints(grid.assets),
                sql.Literal(str(grid.interval)),
                sql.Literal(first),
                sql.Literal(last),
            ),
            CELL,
        )


def prices(
    db: Database,
    asset_ids: Sequence[int],
    start: date | None = None,
    end: date | None = None,
    interval: Interval = Interval.DAY,
    as_of: datetime | None = None,
) -> pl.DataFrame:
    """Validated prices as traded, sessions start..end inclusive (None: all): VALIDATED_PRICES.

    Assets come in the order given. ``as_of``: as they were known at that moment; None: now.
    """
    if as_of is not None:
        return _known_then(db, asset_ids, start, end, interval, as_of)
    blocks = _validated(asset_ids, interval, start, end)
    with db.connect() as connection:
        return _with_interval(read_blocks(connection, blocks), interval, VALIDATED_PRICES)


def stream_prices(
    db: Database,
    asset_ids: Sequence[int],
    start: date | None = None,
    end: date | None = None,
    interval: Interval = Interval.DAY,
    *,
    rows: int = STREAM_ROWS,
) -> Iterator[pl.DataFrame]:
    """What ``prices`` gives, in frames of about ``rows`` (an asset, or a session, is not torn).

    One statement, so all frames are of one moment; its connection is held until the end.
    """
    blocks = _validated(asset_ids, interval, start, end)
    with db.connect() as connection:
        for frame in stream_blocks(connection, blocks, rows):
            yield _with_interval(frame, interval, VALIDATED_PRICES)


def quote_times(db: Database, asset_ids: Sequence[int], first: date, last: date) -> pl.DataFrame:
    """Who has a daily quote of which session, and since when: QUOTE_TIMES, by asset."""
    return _daily(db, "raw_quotes", QUOTE_TIMES, asset_ids, first, last)


def price_flags(db: Database, asset_ids: Sequence[int], first: date, last: date) -> pl.DataFrame:
    """The source and the flags of daily validated prices: PRICE_FLAGS, by asset."""
    return _daily(db, "validated_prices", PRICE_FLAGS, asset_ids, first, last)


def session_span(
    db: Database, asset_ids: Sequence[int], interval: Interval = Interval.DAY
) -> tuple[date, date] | None:
    """The first and the last session of any validated price of the assets."""
    side = (
        "(select r.session from stocks.{table} r where r.asset_id = a.id "
        "and r.interval = {interval} order by r.ts {order} limit 1)"
    )
    words = {
        "table": sql.Identifier(price_table(interval)),
        "interval": sql.Literal(str(interval)),
    }
    with db.connect() as connection:
        first, last = one(
            connection,
            sql.SQL("select min({}), max({}) from unnest({}) as a(id)").format(
                sql.SQL(side).format(**words, order=sql.SQL("asc")),
                sql.SQL(side).format(**words, order=sql.SQL("desc")),
                ints(list(asset_ids)),
            ),
        )
    return None if first is None else (first, last)


def latest(
    db: Database,
    asset_ids: Sequence[int],
    interval: Interval = Interval.DAY,
    *,
    until: date | None = None,
    as_of: datetime | None = None,
) -> pl.DataFrame:
    """The last validated price of each asset: VALIDATED_PRICES.

    ``until``: the last session that counts. ``as_of``: as they were known at that moment; None:
    now. Assets without a price are left out.
    """
    with db.connect() as connection:
        return read(
            connection,
            sql.SQL(
                "select {} from unnest({}) as a(id) cross join lateral ("
                "select * from {} r where r.asset_id = a.id "
                "and r.interval = {} and {} order by r.ts desc limit 1) as r order by r.asset_id"
            ).format(
                _columns(VALIDATED_PRICES),
                ints(sorted(set(asset_ids))),
                _prices(price_table(interval), as_of),
                sql.Literal(str(interval)),
                _between(None, until),
            ),
            VALIDATED_PRICES,
        )


def splits(db: Database, asset_ids: Sequence[int], as_of: datetime | None = None) -> pl.DataFrame:
    """The splits in force, one an asset and day: SPLITS. ``as_of`` as for ``prices``."""
    return actions.in_force(db, asset_ids, "split", as_of)


def dividends(
    db: Database, asset_ids: Sequence[int], as_of: datetime | None = None
) -> pl.DataFrame:
    """The dividends in force as paid, one an asset and day: DIVIDENDS."""
    return actions.in_force(db, asset_ids, "dividend", as_of)


def closes_before_dividends(
    db: Database, asset_ids: Sequence[int], as_of: datetime | None = None
) -> pl.DataFrame:
    """The last close before each dividend, as traded: CLOSES.

    A dividend's factor needs it even where the prices asked for begin on the ex-date.
    Dividends with no price in the LOOK_BACK before them are left out, and those in another
    currency than the prices.
    """
    with db.connect() as connection:
        return read(
            connection,
            sql.SQL(
                "select d.asset_id, d.ex_date, p.close from {dividends} d "
                "join stocks.assets a on a.asset_id = d.asset_id "
                "and coalesce(d.currency = a.currency, true) cross join lateral ("
                "select p.close from {prices} p "
                "where p.asset_id = d.asset_id and p.interval = '1d' and p.session < d.ex_date "
                "and p.session >= d.ex_date - {days} and p.ts >= d.ex_date - {days} - 2 "
                "and p.ts < d.ex_date + 2 order by p.ts desc limit 1) p "
                "where d.asset_id = any({ids}) order by d.asset_id, d.ex_date"
            ).format(
                dividends=actions.relation("dividends", as_of),
                prices=_prices("validated_prices", as_of),
                days=sql.Literal(LOOK_BACK.days),
                ids=ints(list(asset_ids)),
            ),
            CLOSES,
        )


def periods(
    db: Database,
    asset_ids: Sequence[int],
    period: str,
    start: date | None = None,
    end: date | None = None,
) -> pl.DataFrame:
    """Weekly or monthly prices with a session in start..end: PERIOD_PRICES, session added.

    ``period`` is the first calendar day, and prices are in the basis of ``last_session``, which
    ``session`` repeats.

    Raises:
        InputError: ``period`` is neither weekly nor monthly.
    """
    if period not in ("weekly", "monthly"):
        raise InputError("period", period, one_of(_periods.PERIODS))
    condition = sql.SQL("r.asset_id = any({}) and {} and {}").format(
        ints(list(asset_ids)),
        sql.SQL("r.last_session >= {}").format(sql.Literal(start)) if start else _ANY,
        sql.SQL("r.first_session <= {}").format(sql.Literal(end)) if end else _ANY,
    )
    with db.connect() as connection:
        frame = _periods.read_periods(
            connection, "weekly" if period == "weekly" else "monthly", condition
        )
    return frame.with_columns(pl.col("last_session").alias("session"))


def weekly(db: Database, asset_ids: Sequence[int], **span: date | None) -> pl.DataFrame:
    """See ``periods``."""
    return periods(db, asset_ids, "weekly", **span)


def monthly(db: Database, asset_ids: Sequence[int], **span: date | None) -> pl.DataFrame:
    """See ``periods``."""
    return periods(db, asset_ids, "monthly", **span)


def indicators(
    db: Database, asset_ids: Sequence[int], start: date | None = None, end: date | None = None
) -> pl.DataFrame:
    """Returns and volatility of sessions start..end: INDICATORS."""
    with db.connect() as connection:
        return read(
            connection,
            sql.SQL(
                "select {} from stocks.indicators r where r.asset_id = any({}) and {} and {} "
                "order by r.asset_id, r.session"
            ).format(
                _columns(INDICATORS),
                ints(list(asset_ids)),
                sql.SQL("r.session >= {}").format(sql.Literal(start)) if start else _ANY,
                sql.SQL("r.session <= {}").format(sql.Literal(end)) if end else _ANY,
            ),
            INDICATORS,
        )


def fetch_log(
    db: Database,
    *,
    run_id: str | None = None,
    since: datetime | None = None,
    limit: int = 1_000,
) -> pl.DataFrame:
    """The latest calls, the last one first: FETCH_LOG."""
    with db.connect() as connection:
        return read(
            connection,
            sql.SQL(
                "select {} from stocks.fetch_log r where {} order by r.fetch_id desc limit {}"
            ).format(_columns(FETCH_LOG), _calls(run_id, since), sql.Literal(limit)),
            FETCH_LOG,
        )


def calls(db: Database, fetch_ids: Sequence[int]) -> pl.DataFrame:
    """The calls of these ids, oldest first: FETCH_LOG."""
    with db.connect() as connection:
        return read(
            connection,
            sql.SQL(
                "select {} from stocks.fetch_log r where r.fetch_id = any({}::bigint[]) order by 1"
            ).format(_columns(FETCH_LOG), sql.Literal(list(fetch_ids))),
            FETCH_LOG,
        )


def failed_calls(
    db: Database, tickers: Sequence[str], day: date, interval: Interval = Interval.DAY
) -> pl.DataFrame:
    """The calls that were to bring a day's bar of a ticker, or of the market, and failed.

    FETCH_LOG, oldest first. Calls for several tickers at once are known by the first of them.
    """
    with db.connect() as connection:
        return read(
            connection,
            sql.SQL(
                "select {} from stocks.fetch_log r "
                "where r.status not in ('ok', 'no_data', 'unknown_symbol') "
                "and split_part(r.tile, ' ', 3) = any({}) and split_part(r.tile, ' ', 4) = {} "
                "and {} between left(split_part(r.tile, ' ', 5), 10) "
                "and right(split_part(r.tile, ' ', 5), 10) order by r.fetch_id"
            ).format(
                _columns(FETCH_LOG),
                sql.Literal([*tickers, "market"]),
                sql.Literal(str(interval)),
                sql.Literal(day.isoformat()),
            ),
            FETCH_LOG,
        )


def fetch_summary(
    db: Database, *, run_id: str | None = None, since: datetime | None = None
) -> pl.DataFrame:
    """Calls by source and status: SUMMARY; ``cached`` counts answers from the cache."""
    with db.connect() as connection:
        return read(
            connection,
            sql.SQL(
                "select source, status, count(*), sum(requests), count(*) filter (where cached), "
                "sum(rows), avg(latency_ms)::float8, min(started_at) at time zone 'UTC', "
                "max(finished_at) at time zone 'UTC' from stocks.fetch_log r where {} "
                "group by source, status order by source, status"
            ).format(_calls(run_id, since)),
            SUMMARY,
        )


def usage(db: Database, days: int, source: str | None = None) -> pl.DataFrame:
    """Calls by UTC day and source, the last days first: USAGE.

    ``calls`` are questions, ``requests`` what they took of the quota, ``failed`` the calls
    that brought neither rows nor a plain no, ``cached`` those answered without a request.
    """
    since = sql.SQL("finished_at >= (date_trunc('day', now() at time zone 'UTC') - {}) {}").format(
        sql.Literal(timedelta(days=days - 1)), sql.SQL("at time zone 'UTC'")
    )
    of = sql.SQL("and source = {}").format(sql.Literal(source)) if source else sql.SQL("")
    with db.connect() as connection:
        return read(
            connection,
            sql.SQL(
                "select (finished_at at time zone 'UTC')::date as day, source, count(*), "
                "sum(requests), "
                "count(*) filter (where status not in ('ok', 'no_data', 'unknown_symbol')), "
                "count(*) filter (where status = 'rate_limited'), "
                "count(*) filter (where cached), sum(rows), "
                "coalesce(avg(latency_ms) filter (where not cached), 0)::float8 "
                "from stocks.fetch_log where {} {} group by 1, 2 order by 1 desc, 2"
            ).format(since, of),
            USAGE,
        )


def quarantined(
    db: Database,
    asset_ids: Sequence[int] | None = None,
    start: date | None = None,
    end: date | None = None,
    limit: int = 10_000,
) -> pl.DataFrame:
    """Rows put aside, the latest first: QUARANTINED; ``row`` is JSON text."""
    conditions = [_ANY]
    if asset_ids is not None:
        conditions.append(sql.SQL("r.asset_id = any({})").format(ints(list(asset_ids))))
    if start is not None:
        conditions.append(sql.SQL("r.session >= {}").format(sql.Literal(start)))
    if end is not None:
        conditions.append(sql.SQL("r.session <= {}").format(sql.Literal(end)))
    with db.connect() as connection:
        return read(
            connection,
            sql.SQL(
                "select {} from stocks.quarantine r where {} "
                "order by r.quarantined_at desc, r.quarantine_id limit {}"
            ).format(_columns(QUARANTINED), sql.SQL(" and ").join(conditions), sql.Literal(limit)),
            QUARANTINED,
        )


_ANY: sql.Composed = sql.SQL("true").format()


def _daily(
    db: Database,
    table: str,
    schema: dict[str, pl.DataType],
    asset_ids: Sequence[int],
    first: date,
    last: date,
) -> pl.DataFrame:
    blocks = Blocks(
        sql.Identifier("stocks", table),
        {name: kind for name, kind in schema.items() if name != "asset_id"},
        list(asset_ids),
        sql.SQL("r.interval = '1d' and {}").format(_between(first, last)),
        order=("ts",),
    )
    with db.connect() as connection:
        return read_blocks(connection, blocks)


def _validated(
    asset_ids: Sequence[int], interval: Interval, start: date | None, end: date | None
) -> Blocks:
    ids = list(dict.fromkeys(asset_ids))
    return _bars(price_table(interval), VALIDATED_PRICES, ids, interval, start, end)


def _bars(
    table: str,
    schema: dict[str, pl.DataType],
    assets: Sequence[int] | npt.NDArray[np.int32],
    interval: Interval,
    start: date | None,
    end: date | None,
) -> Blocks:
    """Bars by asset, then by the rest of the key; blocks of a session where it has many."""
    raw = "fetch_id" in schema
    return Blocks(
        sql.Identifier("stocks", table),
        {name: kind for name, kind in schema.items() if name not in ("asset_id", "interval")},
        assets,
        sql.SQL("r.interval = {} and {}").format(sql.Literal(str(interval)), _between(start, end)),
        order=("source", "ts") if raw else ("ts",),
        split=("session",) if interval.intraday and not raw else (),
    )


def _with_interval(
    frame: pl.DataFrame, interval: Interval, schema: dict[str, pl.DataType]
) -> pl.DataFrame:
    return frame.with_columns(pl.lit(str(interval)).alias("interval")).select(list(schema))


def _columns(schema: dict[str, pl.DataType]) -> sql.Composed:
    return sql.SQL(", ").join([_column(name, kind) for name, kind in schema.items()])


def _column(name: str, kind: Any) -> sql.Composed:
    column = sql.Identifier("r", name)
    if kind == UTC_STAMP:
        return sql.SQL("{} at time zone 'UTC'").format(column)
    if kind == pl.Boolean():
        return sql.SQL("{}::text").format(column)
    if isinstance(kind, pl.List):
        return sql.SQL("array_to_string({}, {})").format(column, sql.Literal(LIST_SEPARATOR))
    return sql.SQL("{}").format(column)


def _between(start: date | None, end: date | None) -> sql.Composed:
    """Sessions start..end; bounds on ts besides, which is what is indexed and partitioned."""
    parts: list[sql.Composable] = [_ANY]
    if start is not None:
        parts.append(sql.SQL("r.session >= {}").format(sql.Literal(start)))
        parts.append(sql.SQL("r.ts >= {}").format(sql.Literal(_midnight(start, -_PAD))))
    if end is not None:
        parts.append(sql.SQL("r.session <= {}").format(sql.Literal(end)))
        parts.append(sql.SQL("r.ts <= {}").format(sql.Literal(_midnight(end, _PAD))))
    return sql.SQL(" and ").join(parts)


def _midnight(day: date, shift: timedelta) -> datetime:
    """Midnight in UTC, moved within what a datetime can be."""
    try:
        return datetime(day.year, day.month, day.day, tzinfo=UTC) + shift
    except OverflowError:
        return datetime(day.year, day.month, day.day, tzinfo=UTC)


def _calls(run_id: str | None, since: datetime | None) -> sql.Composed:
    parts: list[sql.Composable] = [_ANY]
    if run_id is not None:
        parts.append(sql.SQL("r.run_id = {}").format(sql.Literal(run_id)))
    if since is not None:
        parts.append(sql.SQL("r.finished_at >= {}").format(sql.Literal(since)))
    return sql.SQL(" and ").join(parts)


def _known_then(
    db: Database,
    asset_ids: Sequence[int],
    start: date | None,
    end: date | None,
    interval: Interval,
    as_of: datetime,
) -> pl.DataFrame:
    """``prices`` of a moment, former rows among them."""
    with db.connect() as connection:
        return read(
            connection,
            sql.SQL(
                "select {} from {} r where {} and r.interval = {} and {} order by r.asset_id, r.ts"
            ).format(
                _columns(VALIDATED_PRICES),
                _prices(price_table(interval), as_of),
                sql.SQL("r.asset_id = any({})").format(ints(list(asset_ids))),
                sql.Literal(str(interval)),
                _between(start, end),
            ),
            VALIDATED_PRICES,
        )


def _prices(table: str, as_of: datetime | None) -> sql.Composable:
    """A table of prices, or the function that gives prices as they were known."""
    if as_of is None:
        return sql.Identifier("stocks", table)
    return sql.SQL("stocks.prices_as_of({}::timestamptz)").format(sql.Literal(as_of))
