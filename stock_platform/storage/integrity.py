"""Questions to the whole store: is every key unique, does everything refer to what is there.

Belongs here: counts of rows that should not be, with an example. Does not: what follows from
them (orchestration/quality_checks.py).

Primary keys and foreign keys are the tables' own; here is what they cannot say: two daily bars
of one session, a price without the quote that it was made from, rows of assets that are gone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

from psycopg import sql

from stock_platform.storage.connection import Database
from stock_platform.storage.frames import Connection, one, run


@dataclass(frozen=True)
class Fault:
    """Rows that should not be: how many, and the first of them in words."""

    name: str
    rows: int
    example: str | None


def uniqueness(db: Database) -> list[Fault]:
    """Things that there should be one of."""
    return _faults(db, _UNIQUE)


def references(db: Database) -> list[Fault]:
    """Rows that refer to what is not there."""
    return _faults(db, _REFERENCES)


@dataclass(frozen=True)
class Freshness:
    """How far tables lag behind the daily prices.

    Attributes:
        newest_price: the newest session with a validated price.
        weekly, monthly, indicators: assets whose last row is older than their last price.
        catalog_days: days since the catalog was refreshed; None: never.
        last_answer: when a source last answered, in days; None: never.
    """

    newest_price: date | None
    weekly: int
    monthly: int
    indicators: int
    catalog_days: float | None
    last_answer: float | None


def freshness(db: Database) -> Freshness:
    """What lags behind."""
    with db.connect() as connection:
        newest, weekly, monthly, indicators = one(connection, _LAGS)
        (answer,) = one(
            connection,
            sql.SQL(
                "select extract(epoch from now() - max(finished_at)) / 86400 "
                "from stocks.fetch_log where status = 'ok'"
            ),
        )
        (catalog,) = one(
            connection,
            sql.SQL(
                "select extract(epoch from now() - max(finished_at)) / 86400 "
                "from stocks.catalog_runs where status = 'applied'"
            ),
        )
    return Freshness(
        newest, int(weekly), int(monthly), int(indicators),
        None if catalog is None else float(catalog), None if answer is None else float(answer),
    )  # fmt: skip


def _faults(db: Database, queries: Mapping[str, str]) -> list[Fault]:
    with db.connect() as connection:
        connection.execute("set local statement_timeout = 0")
        return [_fault(connection, name, query) for name, query in queries.items()]


def _fault(connection: Connection, name: str, query: str) -> Fault:
    row = run(
        connection,
        sql.SQL("select count(*), min(what) from ({}) as x(what)").format(sql.SQL(query)),
    ).fetchone()
    return Fault(name, int(row[0]), row[1]) if row else Fault(name, 0, None)


_UNIQUE = {
    "two daily prices of a session": """
        select format('asset %s on %s', asset_id, session) from stocks.validated_prices
        where interval = '1d' group by asset_id, session having count(*) > 1""",
    "a ticker of two assets on one day": """
        select format('%s of assets %s and %s', a.ticker, a.asset_id, b.asset_id)
        from stocks.asset_symbols a join stocks.asset_symbols b
          on a.ticker = b.ticker and (a.asset_id, a.valid_from) < (b.asset_id, b.valid_from)
         and a.valid_from < b.valid_to and b.valid_from < a.valid_to""",
    "two tickers of an asset on one day": """
        select format('asset %s: %s and %s', a.asset_id, a.ticker, b.ticker)
        from stocks.asset_symbols a join stocks.asset_symbols b
          on a.asset_id = b.asset_id and a.valid_from < b.valid_from
         and b.valid_from < a.valid_to""",
    "two splits in force on a day": """
        select format('asset %s on %s', asset_id, ex_date) from stocks.splits_in_force
        group by asset_id, ex_date having count(*) > 1""",
    "two decisions in force on a row": """
        select quarantine_id from stocks.quarantine_decisions where voided_at is null
        group by quarantine_id having count(*) > 1""",
    "a cell of two states": """
        select format('asset %s in %s: %s and %s', a.asset_id, a.year, a.status, b.status)
        from stocks.coverage_bits a join stocks.coverage_bits b
          on a.asset_id = b.asset_id and a.interval = b.interval and a.year = b.year
         and a.status < b.status and (a.sessions & b.sessions) <> 0::bit(366)""",
}


# Assets of a table's rows that are not in the catalog, found by leaps over its index.
_ORPHANS = """
    with recursive ids as (
        (select asset_id from stocks.TABLE order by asset_id limit 1)
        union all
        select (select t.asset_id from stocks.TABLE t where t.asset_id > ids.asset_id
                order by t.asset_id limit 1)
        from ids where ids.asset_id is not null)
    select format('asset %s', asset_id) from ids where asset_id is not null
      and not exists (select 1 from stocks.assets a where a.asset_id = ids.asset_id)"""

_REFERENCES = {
    **{
        f"assets of {table} that are not in the catalog": _ORPHANS.replace("TABLE", table)
        for table in (
            "raw_quotes", "validated_prices", "coverage_bits", "weekly_prices",
            "monthly_prices", "indicators", "splits", "dividends", "quality_facts",
        )
    },
    "daily prices without the quote they are from": """
        select format('asset %s on %s from %s', p.asset_id, p.session, p.source)
        from stocks.validated_prices p where p.interval = '1d' and not exists (
            select 1 from stocks.raw_quotes r where r.asset_id = p.asset_id
            and r.interval = p.interval and r.source = p.source and r.ts = p.ts)""",
    "quotes of a call that is not in the log": """
        with recursive ids as (
            select min(fetch_id) as lowest from stocks.fetch_log)
        select format('call %s', r.fetch_id) from stocks.raw_quotes r, ids
        where r.fetch_id >= ids.lowest and not exists (
            select 1 from stocks.fetch_log f where f.fetch_id = r.fetch_id)
        group by r.fetch_id""",
    "assets without a ticker": """
        select format('asset %s', asset_id) from stocks.assets a where not exists (
            select 1 from stocks.asset_symbols s where s.asset_id = a.asset_id)""",
    "quarantined rows of assets that are not in the catalog": """
        select q.quarantine_id from stocks.quarantine q where asset_id is not null
          and not exists (select 1 from stocks.assets a where a.asset_id = q.asset_id)""",
}  # fmt: skip

_LAGS = sql.SQL(
    """with newest as (
        select a.asset_id, p.session from stocks.assets a cross join lateral (
            select session from stocks.validated_prices r
            where r.asset_id = a.asset_id and r.interval = '1d' order by r.ts desc limit 1) p)
    select max(n.session),
        count(*) filter (where w.last_session is distinct from n.session),
        count(*) filter (where m.last_session is distinct from n.session),
        count(*) filter (where i.session is distinct from n.session)
    from newest n
    left join lateral (select last_session from stocks.weekly_prices x
        where x.asset_id = n.asset_id order by period desc limit 1) w on true
    left join lateral (select last_session from stocks.monthly_prices x
        where x.asset_id = n.asset_id order by period desc limit 1) m on true
    left join lateral (select session from stocks.indicators x
        where x.asset_id = n.asset_id order by session desc limit 1) i on true"""
)
