"""What the HTTP API asks of the tables: versions of prices, assets by name, latest quotes.

Belongs here: queries that are quick enough for every request. Does not: prices (readers.py),
numbers for metrics (gauges.py).
"""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl
from psycopg import sql

from stock_platform.domain.bars import UTC_STAMP, Interval
from stock_platform.storage.connection import Database
from stock_platform.storage.frames import ints, one, read, run
from stock_platform.storage.tables import price_table

LISTED: dict[str, pl.DataType] = {
    "ticker": pl.String(),
    "asset_id": pl.Int32(),
    "name": pl.String(),
    "asset_class": pl.String(),
    "calendar": pl.String(),
    "currency": pl.String(),
    "listed_on": pl.Date(),
    "delisted_on": pl.Date(),
    "tracked": pl.Boolean(),
}

QUOTES: dict[str, pl.DataType] = {
    "ticker": pl.String(),
    "kind": pl.String(),
    "price": pl.Float64(),
    "session": pl.Date(),
    "quoted_at": UTC_STAMP,
    "previous_close": pl.Float64(),
    "volume": pl.Float64(),
    "currency": pl.String(),
    "source": pl.String(),
}

CONTENT = sql.SQL("concat_ws(':', count(*), sum(hash_record_extended(p, 0)))")
"""Of rows of an alias ``p``: a text that is another one whenever one of them is.

Stamps would not do: a commit may be later than one with a later stamp, the batches of one run
have one stamp, and so has everything under a clock that stands still. The hash of 2,500 bars
takes a millisecond.
"""

_PERIOD_TABLES = {"1wk": "weekly_prices", "1mo": "monthly_prices"}


Version = tuple[int, str]
"""An asset, and a text that changes whenever its prices may have."""


def data_moment(db: Database) -> str | None:
    """A text that is the same as before only if nothing was committed meanwhile, by anybody.

    It is the snapshot of the statement, which decides what is visible and takes no time to
    find. None: it cannot be told, since a standby's snapshots do not name what is under way.
    """
    with db.connect() as connection:
        (found,) = one(connection, sql.SQL("select {}").format(_MOMENT))
    return None if found is None else str(found)


def price_versions(
    db: Database, tickers: Sequence[str], interval: str
) -> tuple[str | None, dict[str, Version | None]]:
    """The assets that tickers mean now, with versions of their prices of one interval.

    A version covers the stored bars of the interval (days too, of which dividends' factors and
    former weeks are made), the splits and dividends in force, and the currency, in which a
    dividend counts.

    Returns:
        The moment they are of, as ``data_moment`` has it; and by ticker the version, or None
        for a ticker that nothing is known of.
    """
    parts = [_bars_version("validated_prices", Interval.DAY)]
    if interval in _PERIOD_TABLES:
        parts.append(
            sql.SQL("(select {} from stocks.{} p where p.asset_id = s.asset_id)").format(
                CONTENT, sql.Identifier(_PERIOD_TABLES[interval])
            )
        )
    elif interval != Interval.DAY:
        bar = Interval.parse(interval)
        parts.append(_bars_version(price_table(bar), bar))
    parts += [
        sql.SQL("(select {} from stocks.{} p where p.asset_id = s.asset_id)").format(
            CONTENT, sql.Identifier(table)
        )
        for table in ("splits_in_force", "dividends_in_force")
    ]
    with db.connect() as connection:
        rows = run(
            connection,
            sql.SQL(
                "select {}, w.ticker, s.asset_id, concat_ws('|', s.asset_id, c.currency, {}) "
                "from unnest({}::text[]) as w(ticker) left join stocks.asset_symbols s "
                "on s.ticker = w.ticker and s.valid_to = '9999-12-31' "
                "left join stocks.assets c on c.asset_id = s.asset_id"
            ).format(_MOMENT, sql.SQL(", ").join(parts), sql.Literal(list(tickers))),
        ).fetchall()
    found: dict[str, Version | None] = {
        row[1]: None if row[2] is None else (int(row[2]), str(row[3])) for row in rows
    }
    return (rows[0][0] if rows else None), found


def search_assets(
    db: Database,
    text: str | None = None,
    *,
    asset_class: str | None = None,
    tracked: bool | None = None,
    after: str = "",
    limit: int = 100,
) -> pl.DataFrame:
    """Assets by their current ticker: LISTED, those after a ticker, by ticker's bytes.

    ``text`` is a part of the ticker or the name, in any case; its ``%`` and ``_`` are text.
    """
    conditions: list[sql.Composable] = [
        sql.SQL("s.valid_to = '9999-12-31' and s.ticker > {}").format(sql.Literal(after))
    ]
    if text:
        part = sql.Literal("%" + _plain(text) + "%")
        conditions.append(sql.SQL("(s.ticker ilike {0} or a.name ilike {0})").format(part))
    if asset_class:
        conditions.append(sql.SQL("a.asset_class = {}").format(sql.Literal(asset_class)))
    if tracked is not None:
        conditions.append(sql.SQL("(t.asset_id is not null) = {}").format(sql.Literal(tracked)))
    with db.connect() as connection:
        return read(
            connection,
            sql.SQL(
                "select s.ticker, s.asset_id, a.name, a.asset_class, a.calendar, a.currency, "
                "a.listed_on, a.delisted_on, (t.asset_id is not null)::text "
                "from stocks.asset_symbols s join stocks.assets a using (asset_id) "
                "left join stocks.tracked_assets t using (asset_id) "
                "where {} order by s.ticker limit {}"
            ).format(sql.SQL(" and ").join(conditions), sql.Literal(limit)),
            LISTED,
        )


def latest_quotes(db: Database, asset_ids: Sequence[int]) -> pl.DataFrame:
    """The newest price of each asset: QUOTES, by ticker; those without any are left out.

    ``kind`` is ``quote``, of a session under way or not validated yet, or else ``close``.
    """
    with db.connect() as connection:
        return read(
            connection,
            sql.SQL(
                "select s.ticker, case when live then 'quote' else 'close' end, "
                "case when live then q.price else p.close end, "
                "case when live then q.session else p.session end, "
                "case when live then q.quoted_at else p.ts end at time zone 'UTC', "
                "case when live then q.previous_close else p.previous end, "
                "case when live then q.volume else p.volume end, "
                "coalesce(case when live then q.currency end, a.currency), "
                "case when live then q.source else p.source end "
                "from unnest({}) as i(id) join stocks.assets a on a.asset_id = i.id "
                "join stocks.asset_symbols s on s.asset_id = a.asset_id "
                "and s.valid_to = '9999-12-31' "
                "left join stocks.latest_quotes q on q.asset_id = a.asset_id "
                "left join lateral (select r.ts, r.session, r.close, r.volume, r.source, "
                " (select b.close from stocks.validated_prices b where b.asset_id = r.asset_id "
                "  and b.interval = '1d' and b.ts < r.ts order by b.ts desc limit 1) as previous "
                " from stocks.validated_prices r where r.asset_id = a.asset_id "
                " and r.interval = '1d' order by r.ts desc limit 1) p on true "
                "cross join lateral (select q.asset_id is not null and "
                " (p.session is null or q.session > p.session) as live) l "
                "where q.asset_id is not null or p.session is not null order by s.ticker"
            ).format(ints(list(dict.fromkeys(asset_ids)))),
            QUOTES,
        )


# A restored server may count transactions again, so the start of the server is part of it.
_MOMENT = sql.SQL(
    "case when not pg_is_in_recovery() "
    "then concat_ws(' ', pg_postmaster_start_time(), pg_current_snapshot()) end"
)


def _bars_version(table: str, interval: Interval) -> sql.Composed:
    return sql.SQL(
        "(select {} from stocks.{} p where p.asset_id = s.asset_id and p.interval = {})"
    ).format(CONTENT, sql.Identifier(table), sql.Literal(str(interval)))


def _plain(text: str) -> str:
    """Text for LIKE in which nothing is a pattern."""
    for sign in "\\%_":
        text = text.replace(sign, "\\" + sign)
    return text
