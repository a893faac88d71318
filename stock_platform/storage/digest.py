"""One digest of everything that a database holds, to tell whether two hold the same.

Belongs here: what counts as content. Stamps of writing, ids of calls and attempts do not: two
runs that end with the same prices, actions and coverage have the same digest.
"""

from __future__ import annotations

import hashlib

from psycopg import sql

from stock_platform.storage.connection import Database
from stock_platform.storage.frames import names, one

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
    "coverage_bits": ("asset_id", "interval", "year", "status", "source", "reason", "sessions"),
    "quarantine": ("quarantine_id", "stage", "row", "reasons"),
}


def table_digests(db: Database) -> dict[str, str]:
    """The number of rows and a digest of each table, whatever the rows' order.

    Rows are hashed one by one with SHA-256 and the first 8 bytes summed, so that no sort and no
    memory is needed. Coverage rows that differ in ``retry_after`` alone are taken together.
    """
    digests = {}
    with db.connect() as connection:
        for table, columns in CONTENT.items():
            source = sql.SQL("select {} from stocks.{}").format(
                names(columns), sql.Identifier(table)
            )
            if table == "coverage_bits":
                source = sql.SQL(
                    "select {0}, bit_or(sessions) as sessions "
                    "from stocks.coverage_bits group by {0}"
                ).format(names(columns[:-1]))
            rows, total = one(
                connection,
                sql.SQL(
                    "select count(*), coalesce(sum(('x' || encode(substr(sha256("
                    "convert_to(t::text, 'UTF8')), 1, 8), 'hex'))::bit(64)::bigint), 0)::text "
                    "from ({}) t"
                ).format(source),
            )
            digests[table] = f"{rows}:{total}"
    return digests


def content_hash(db: Database) -> str:
    """A digest of all final tables: prices, actions, coverage, aggregates, quarantine."""
    text = "\n".join(f"{table} {digest}" for table, digest in table_digests(db).items())
    return hashlib.sha256(text.encode()).hexdigest()
