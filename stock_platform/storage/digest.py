"""Digests of what a database holds, to tell whether two hold the same.

Belongs here: what counts as content. Stamps of writing, ids of calls and attempts do not: two
runs that end with the same prices, actions and coverage have the same digest. Backups are held
to more: every column of every table.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from psycopg import sql

from stock_platform.storage.connection import Database
from stock_platform.storage.frames import Connection, names, one, run

_RAW = (
    "asset_id",
    "interval",
    "source",
    "ts",
    "session",
    "open",
    "high",
    "low",
    "close",
    "volume",
    "vwap",
    "trades",
    "basis",
)
_PRICE = (
    "asset_id",
    "interval",
    "ts",
    "session",
    "open",
    "high",
    "low",
    "close",
    "volume",
    "vwap",
    "source",
    "flags",
)
_PERIOD = (
    "asset_id",
    "period",
    "open",
    "high",
    "low",
    "close",
    "volume",
    "sessions",
    "first_session",
    "last_session",
)
CONTENT: dict[str, tuple[str, ...]] = {
    "raw_quotes": _RAW,
    "raw_intraday": _RAW,
    "validated_prices": _PRICE,
    "intraday_prices": _PRICE,
    "weekly_prices": _PERIOD,
    "monthly_prices": _PERIOD,
    "indicators": (
        "asset_id",
        "session",
        "simple_return",
        "log_return",
        "volatility_21",
        "volatility_63",
    ),
    "splits": ("asset_id", "ex_date", "source", "ratio"),
    "dividends": ("asset_id", "ex_date", "source", "amount", "currency"),
    "splits_in_force": ("asset_id", "ex_date", "ratio", "source", "sources"),
    "dividends_in_force": ("asset_id", "ex_date", "amount", "currency", "source", "sources"),
    "coverage_bits": ("asset_id", "interval", "year", "status", "source", "reason", "sessions"),
    "quarantine": ("quarantine_id", "stage", "row", "reasons"),
}


def table_digests(db: Database) -> dict[str, str]:
    """The number of rows and a digest of each table, whatever the rows' order.

    Rows are hashed one by one with SHA-256 and the first 8 bytes summed, so that no sort and no
    memory is needed. Coverage rows that differ in ``retry_after`` alone are taken together.
    """
    with db.connect() as connection:
        return content_digests(connection)


def content_hash(db: Database) -> str:
    """A digest of all final tables: prices, actions, coverage, aggregates, quarantine."""
    return hash_of(table_digests(db))


def hash_of(digests: Mapping[str, str]) -> str:
    """One digest of tables' digests, of those that hold content."""
    text = "\n".join(f"{table} {digests[table]}" for table in CONTENT)
    return hashlib.sha256(text.encode()).hexdigest()


def content_digests(connection: Connection) -> dict[str, str]:
    """``table_digests`` in a transaction of the caller's."""
    return {table: one(connection, _digest(_content(table)))[0] for table in CONTENT}


FORMATS = (
    "set local timezone = 'UTC'; set local datestyle = 'ISO, YMD'; "
    "set local intervalstyle = 'postgres'; set local extra_float_digits = 1; "
    "set local bytea_output = 'hex'"
)
"""How values are written as text, on which digests of whole rows depend."""


def whole_digests(connection: Connection) -> dict[str, str]:
    """Rows and digest of every table in ``stocks``, all columns; in a transaction."""
    connection.execute(FORMATS)
    return {name: one(connection, whole_digest(name))[0] for name in tables(connection)}


def tables(connection: Connection) -> list[str]:
    """The names of the tables in ``stocks``."""
    found = run(
        connection,
        sql.SQL(
            "select c.relname from pg_class c join pg_namespace n on n.oid = c.relnamespace "
            "where n.nspname = 'stocks' and c.relkind in ('r', 'p') and not c.relispartition "
            "order by c.relname"
        ),
    )
    return [str(row[0]) for row in found]


def whole_digest(table: str) -> sql.Composed:
    """The query of one table's rows and digest, ``rows:digest``; see FORMATS."""
    return _digest(sql.SQL("select * from {}").format(sql.Identifier("stocks", table)))


def _content(table: str) -> sql.Composed:
    columns = CONTENT[table]
    if table == "coverage_bits":
        return sql.SQL(
            "select {0}, bit_or(sessions) as sessions from stocks.coverage_bits group by {0}"
        ).format(names(columns[:-1]))
    return sql.SQL("select {} from {}").format(names(columns), sql.Identifier("stocks", table))


def _digest(source: sql.Composed) -> sql.Composed:
    return sql.SQL(
        "select count(*)::text || ':' || coalesce(sum(('x' || encode(substr(sha256("
        "convert_to(t::text, 'UTF8')), 1, 8), 'hex'))::bit(64)::bigint), 0)::text from ({}) t"
    ).format(source)
