"""Weekly and monthly prices: derived again, in SQL, for the periods a write has touched.

Belongs here: which periods days fall in, their bars. Does not: who calls (writers.py), what can
be derived without SQL (following.py), other measures of the series (domain/aggregates.py).

A period is named by its first calendar day (Monday; the first of the month). Its prices are in
the basis of its last session, so that a split inside it does not tear it apart: bars before an
ex-date in the period are divided by the ratio, their volume multiplied. All of it runs in the
transaction that changed the daily bars, so that no reader sees one without the other.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Literal

import polars as pl
from psycopg import sql

from stock_platform.storage.frames import Connection, copy_in, ints, one, read, run
from stock_platform.storage.keyed import Bounds, Table
from stock_platform.storage.upsert import merge

Period = Literal["weekly", "monthly"]
PERIODS: tuple[Period, ...] = ("weekly", "monthly")

EVERY: dict[Period, Literal["1w", "1mo"]] = {"weekly": "1w", "monthly": "1mo"}
_DAYS: dict[Period, int] = {"weekly": 7, "monthly": 31}
LONGEST = timedelta(days=31)
ZONES = timedelta(days=2)
"""A bar's stamp lies within this of its session's midnight in UTC, whatever the exchange."""

_MEASURES = ("open", "high", "low", "close", "volume", "sessions", "first_session", "last_session")
TABLES: dict[Period, Table] = {
    period: Table(
        name=f"{period}_prices",
        fixed=(),
        time="period",
        day="period",
        compared=_MEASURES,
        every=_DAYS[period],
    )
    for period in PERIODS
}


def periods_of(days: pl.DataFrame, period: Period) -> pl.DataFrame:
    """asset_id and period, unique, of a frame with asset_id and day."""
    return days.select(
        "asset_id", pl.col("day").dt.truncate(EVERY[period]).alias("period")
    ).unique()


def recompute(connection: Connection, period: Period, touched: pl.DataFrame) -> int:
    """Derive the periods ``touched`` (asset_id, period) again; the number of rows that changed.

    The caller holds the locks of the assets.
    """
    if touched.is_empty():
        return 0
    table = TABLES[period]
    run(
        connection,
        sql.SQL("create temp table touched (asset_id integer, period date) on commit drop"),
    )
    copy_in(connection, sql.Identifier("touched"), touched.select("asset_id", "period"))
    run(connection, sql.SQL("analyze touched (asset_id)"))
    bounds = Bounds.of(table, touched)
    _derive(connection, period, bounds)
    changes = merge(connection, table, bounds, bounds.assets, tell_days=False)
    gone = run(
        connection,
        sql.SQL(
            "delete from {table} r using touched t where r.asset_id = t.asset_id "
            "and r.period = t.period and {within} and not exists (select from staged s "
            "where s.asset_id = r.asset_id and s.period = r.period)"
        ).format(table=table.identifier, within=bounds.where(table)),
    ).rowcount
    run(connection, sql.SQL("drop table touched, staged"))
    return changes.inserted + changes.updated + gone


def _derive(connection: Connection, period: Period, bounds: Bounds) -> None:
    """Put the bars of the periods in ``touched`` into the temporary table ``staged``."""
    table = TABLES[period]
    (splits,) = one(
        connection,
        sql.SQL(
            "select count(*) from stocks.splits_in_force where asset_id = any({}) "
            "and ex_date between {} and {}"
        ).format(ints(bounds.assets), sql.Literal(bounds.start), sql.Literal(bounds.end + LONGEST)),
    )
    run(
        connection,
        sql.SQL(
            "create temp table staged on commit drop as "
            "select asset_id, period, {} from {} with no data"
        ).format(
            sql.SQL(", ").join([sql.Identifier(name) for name in _MEASURES]), table.identifier
        ),
    )
    bars = _DAILY.format(
        period=_PERIOD_OF[period],
        assets=ints(bounds.assets),
        start=sql.Literal(bounds.start - ZONES),
        end=sql.Literal(bounds.end + LONGEST + ZONES),
    )
    if splits:
        bars = _REBASED.format(daily=bars)
    run(connection, _AGGREGATE.format(bars=bars))
    run(connection, sql.SQL("analyze staged (asset_id)"))


_PERIOD_OF: dict[Period, sql.SQL] = {
    "weekly": sql.SQL("p.session - (extract(isodow from p.session)::int - 1)"),
    "monthly": sql.SQL("p.session - (extract(day from p.session)::int - 1)"),
}

_DAILY = sql.SQL(
    """select p.asset_id, t.period, p.session, p.open, p.high, p.low, p.close, p.volume
    from stocks.validated_prices p
    join touched t on t.asset_id = p.asset_id and t.period = {period}
    where p.interval = '1d' and p.asset_id = any({assets}) and p.ts between {start} and {end}"""
)

# Where a split may lie inside a period, each bar is brought to its last one's basis.
_REBASED = sql.SQL(
    """with r as materialized ({daily}),
    e as (select asset_id, period, max(session) as last_session from r group by asset_id, period),
    s as (
        select e.asset_id, e.period, x.ex_date, x.ratio
        from stocks.splits_in_force x
        join e on e.asset_id = x.asset_id and x.ex_date > e.period and x.ex_date <= e.last_session
    ),
    f as (
        select r.asset_id, r.session, stocks.product(s.ratio) as ratio
        from r join s on s.asset_id = r.asset_id and s.period = r.period and s.ex_date > r.session
        group by r.asset_id, r.session
    )
    select r.asset_id, r.period, r.session, r.open / coalesce(f.ratio, 1) as open,
           r.high / coalesce(f.ratio, 1) as high, r.low / coalesce(f.ratio, 1) as low,
           r.close / coalesce(f.ratio, 1) as close, r.volume * coalesce(f.ratio, 1) as volume
    from r left join f on f.asset_id = r.asset_id and f.session = r.session"""
)

# The first open and the last close come from one sort: joining back to the days, of which the
# planner expects few, it can join them with each other first, all days of an asset with all.
_AGGREGATE = sql.SQL(
    """insert into staged
    select asset_id, period, (array_agg(open order by session))[1], max(high), min(low),
           (array_agg(close order by session))[count(*)], sum(volume),
           count(*), min(session), max(session)
    from ({bars}) d group by asset_id, period"""
)


def read_periods(connection: Connection, period: Period, condition: sql.Composable) -> pl.DataFrame:
    """Rows of a period's table as PERIOD_PRICES, by asset and time."""
    return read(
        connection,
        sql.SQL("select asset_id, period, {} from {} r where {} order by asset_id, period").format(
            sql.SQL(", ").join([sql.Identifier(name) for name in _MEASURES]),
            TABLES[period].identifier,
            condition,
        ),
        PERIOD_PRICES,
    )


PERIOD_PRICES: dict[str, pl.DataType] = {
    "asset_id": pl.Int32(),
    "period": pl.Date(),
    "open": pl.Float64(),
    "high": pl.Float64(),
    "low": pl.Float64(),
    "close": pl.Float64(),
    "volume": pl.Float64(),
    "sessions": pl.Int64(),
    "first_session": pl.Date(),
    "last_session": pl.Date(),
}
