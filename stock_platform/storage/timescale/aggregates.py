"""Hours and days of intraday bars, kept up to date by TimescaleDB.

Belongs here: the continuous aggregates behind ``intraday_hourly`` and ``intraday_daily``. Does
not: weeks and months of daily bars, which are derived in the writing transaction (periods.py):
an aggregate is invalidated by time alone, so that rewriting one symbol's ten years would have
those of all symbols computed again.

The two names are views on plain PostgreSQL as well (migration 0003), with the same columns and
results; here they are made to read what is already summed up, and what came after it live.
A bar that is corrected behind the part summed up shows after the next refresh.
"""

from __future__ import annotations

import time

import psycopg
from psycopg import sql

from stock_platform.storage.frames import Connection, run
from stock_platform.storage.timescale.options import TimescaleOptions
from stock_platform.storage.timescale.state import Extension, exists

HOURLY = "intraday_hourly_aggregate"
DAILY = "intraday_daily_aggregate"
WAIT_SECONDS = 60.0
REFRESH_MINUTES = {HOURLY: 10, DAILY: 60}

_HOURS = sql.SQL(
    """create materialized view stocks.{name}
    with (timescaledb.continuous, timescaledb.materialized_only = false) as
    select asset_id, interval, session, {ext}.time_bucket('1 hour', ts) as ts,
           {ext}.first(open, ts) as open, max(high) as high, min(low) as low,
           {ext}.last(close, ts) as close, sum(volume) as volume, count(*) as bars
    from stocks.intraday_prices
    group by asset_id, interval, session, {ext}.time_bucket('1 hour', ts)
    with no data"""
)

_DAYS = sql.SQL(
    """create materialized view stocks.{name}
    with (timescaledb.continuous, timescaledb.materialized_only = false) as
    select asset_id, interval, session, {ext}.time_bucket('1 day', ts) as ts,
           min(ts) as first_hour, {ext}.first(open, ts) as open, max(high) as high,
           min(low) as low, {ext}.last(close, ts) as close, sum(volume) as volume,
           sum(bars) as bars
    from stocks.{hourly}
    group by asset_id, interval, session, {ext}.time_bucket('1 day', ts)
    with no data"""
)

_HOURLY_VIEW = sql.SQL(
    """create or replace view stocks.intraday_hourly as
    select asset_id, interval, session, ts, open, high, low, close, volume, bars
    from stocks.{hourly}"""
)

# A session that crosses midnight in UTC has two rows in the aggregate.
_DAILY_VIEW = sql.SQL(
    """create or replace view stocks.intraday_daily as
    select asset_id, interval, session, min(first_hour) as ts,
           (array_agg(open order by ts))[1] as open, max(high) as high, min(low) as low,
           (array_agg(close order by ts desc))[1] as close, sum(volume) as volume,
           sum(bars)::bigint as bars
    from stocks.{daily}
    group by asset_id, interval, session"""
)


def create_aggregates(connection: Connection, extension: Extension) -> list[str]:
    """Create what is missing and point the views there; the names of those created."""
    ext = sql.Identifier(extension.schema or "public")
    hourly, daily = sql.Identifier(HOURLY), sql.Identifier(DAILY)
    created = []
    if not exists(connection, f"stocks.{HOURLY}"):
        run(connection, _HOURS.format(name=hourly, ext=ext))
        created.append(HOURLY)
    if not exists(connection, f"stocks.{DAILY}"):
        run(connection, _DAYS.format(name=daily, hourly=hourly, ext=ext))
        created.append(DAILY)
    run(connection, _HOURLY_VIEW.format(hourly=hourly))  # apart: who reads one may want the other
    run(connection, _DAILY_VIEW.format(daily=daily))
    return created


def set_refresh_policies(
    connection: Connection, extension: Extension, options: TimescaleOptions
) -> None:
    """Have the aggregates refreshed by the server.

    Where intraday bars are dropped some day, the refresh keeps to those that are not: over
    dropped ones it would erase the hours and days that were made of them.
    """
    ext = sql.Identifier(extension.schema or "public")
    kept = options.retention("intraday_prices")
    start = sql.SQL("null") if kept is None else sql.SQL("interval '{} days'").format(
        sql.Literal(kept)
    )  # fmt: skip
    for name, end in ((HOURLY, "1 hour"), (DAILY, "1 day")):
        target = sql.Literal(f"stocks.{name}")
        with connection.transaction():
            run(
                connection,
                sql.SQL(
                    "select {}.remove_continuous_aggregate_policy({}, if_exists => true)"
                ).format(ext, target),
            )
            run(
                connection,
                sql.SQL(
                    "select {ext}.add_continuous_aggregate_policy({target}, "
                    "start_offset => {start}, end_offset => {end}::interval, "
                    "schedule_interval => {every}::interval)"
                ).format(
                    ext=ext,
                    target=target,
                    start=start,
                    end=sql.Literal(end),
                    every=sql.Literal(f"{REFRESH_MINUTES[name]} minutes"),
                ),
            )


def refresh(connection: Connection, extension: Extension, options: TimescaleOptions) -> bool:
    """Bring both aggregates up to date now; outside of a transaction.

    Returns:
        False where the server was refreshing them for so long that we did not wait for it.
    """
    ext = sql.Identifier(extension.schema or "public")
    kept = options.retention("intraday_prices")
    start = (
        sql.SQL("null")
        if kept is None
        else sql.SQL("now() - {}::interval").format(sql.Literal(f"{kept} days"))
    )
    deadline = time.monotonic() + WAIT_SECONDS
    for name in (HOURLY, DAILY):
        call = sql.SQL("call {}.refresh_continuous_aggregate({}, {}, null)").format(
            ext, sql.Literal(f"stocks.{name}"), start
        )
        while True:
            try:
                run(connection, call)
                break
            except psycopg.errors.LockNotAvailable:  # a policy is at it
                if time.monotonic() > deadline:
                    return False
                time.sleep(0.5)
    return True
