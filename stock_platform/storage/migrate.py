"""Bring a database to the schema this code was written for.

Belongs here: running the numbered SQL files of migrations/sql in order, once, safely. Does
not: what they say.

Migrations are forward-only and numbered without gaps. Alembic keeps the version in
``stocks.alembic_version`` and gives each file its own transaction; an advisory lock lets one
runner through at a time, and those who waited find nothing left to do. A database that is
current is recognised by one query, without importing Alembic (0.5 s).
"""

from __future__ import annotations

from contextlib import suppress
from functools import cache
from pathlib import Path

import psycopg

from stock_platform.domain.errors import DatabaseError
from stock_platform.storage.connection import connected, described, normalized
from stock_platform.storage.roles import PREFIX, ensure_roles
from stock_platform.storage.timescale import TimescaleOptions, set_up_fresh

SQL_FOLDER = Path(__file__).parent / "migrations" / "sql"
LOCK_KEY = 7_305_170_901_226_114  # any number that no other program uses
LOCK_SECONDS = 300


@cache
def known() -> tuple[str, ...]:
    """The migrations of this code in order, such as ``0001_prices_and_ledger``."""
    return tuple(sorted(path.stem for path in SQL_FOLDER.glob("[0-9]*_*.sql")))


def number(name: str) -> str:
    """A migration's number, which is its Alembic revision: ``0001``."""
    return name.partition("_")[0]


def version(url: str) -> str | None:
    """The number of the last migration applied to a database; None for an empty one.

    Raises:
        DatabaseError: the database cannot be reached, or not read.
    """
    with connected(url, prepare_threshold=None) as connection:
        return _version(connection, url)


def migrate(
    url: str, role_prefix: str = PREFIX, timescale: TimescaleOptions | None = None
) -> list[str]:
    """Apply what is missing; safe to call again and from many processes at once.

    A database without bars uses TimescaleDB from then on, where the server has it; one with bars
    is left as it is (``stock-platform db timescale`` converts it).
    The roles are granted what new tables need, where this user may do that (roles.py tells).

    Args:
        url: the database.
        role_prefix: of the names of owner, writer and reader.
        timescale: how TimescaleDB partitions, compresses and drops; None: the defaults.

    Returns:
        the names of the migrations applied by this call, in order; empty when current.

    Raises:
        DatabaseError: unreachable, older than PostgreSQL 14, newer than this code, or a
            migration was refused (it is rolled back then, those before it stay).
    """
    url = normalized(url)
    with connected(url, prepare_threshold=None) as connection:
        if _version(connection, url) == number(known()[-1]):
            return []
        connection.commit()
        connection.execute(f"set lock_timeout = '{LOCK_SECONDS}s'")
        connection.execute("select pg_advisory_lock(%s)", [LOCK_KEY])
        connection.commit()
        before = _version(connection, url)
        connection.commit()
        _upgrade(url)
        set_up_fresh(url, timescale or TimescaleOptions())
        ensure_roles(url, role_prefix)
    return [name for name in known() if before is None or number(name) > before]


def run_sql(connection: psycopg.Connection[object] | None, name: str) -> None:
    """Run one SQL file inside the connection's transaction; called by its Alembic revision.

    Raises:
        DatabaseError: the server refused a statement.
    """
    text = (SQL_FOLDER / f"{name}.sql").read_text(encoding="utf-8")
    if connection is None:
        raise DatabaseError(f"migration {name} needs a connection: Alembic's offline mode has none")
    try:
        connection.execute(text.encode())  # no parameters: many statements, and % means %
    except psycopg.Error as error:
        raise DatabaseError(f"migration {name} failed: {' '.join(str(error).split())}") from error


def _upgrade(url: str) -> None:
    from alembic import command
    from alembic.config import Config
    from alembic.util import CommandError
    from sqlalchemy import create_engine, text
    from sqlalchemy.exc import SQLAlchemyError
    from sqlalchemy.pool import NullPool

    def dial() -> psycopg.Connection[object]:
        return psycopg.connect(url, prepare_threshold=None, connect_timeout=10)

    engine = create_engine("postgresql+psycopg://", creator=dial, poolclass=NullPool)
    config = Config()
    config.set_main_option("script_location", str(SQL_FOLDER.parent).replace("%", "%%"))
    try:
        with engine.connect() as connection:
            connection.execute(text("create schema if not exists stocks"))
            connection.commit()
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
    except (SQLAlchemyError, CommandError) as error:
        cause = getattr(error, "orig", None) or error
        raise DatabaseError(f"{described(url)}: {' '.join(str(cause).split())}") from error


def _version(connection: psycopg.Connection[object], url: str) -> str | None:
    found = None
    with suppress(psycopg.errors.UndefinedTable), connection.transaction():
        row = connection.execute("select version_num from stocks.alembic_version").fetchone()
        found = str(row[0]) if isinstance(row, tuple) else None
    newest = number(known()[-1])
    if found is not None and found > newest:
        raise DatabaseError(
            f"{described(url)} has schema version {found} and this stock_platform knows "
            f"{newest}: install the newer stock_platform"
        )
    return found
