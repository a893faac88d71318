"""What a database is: version, extension, size, rows.

Belongs here: questions about the database itself. Does not: sizes (sizes.py), what it is
busy with (activity.py), prices (readers.py), schema changes (migrate.py).
"""

from __future__ import annotations

from dataclasses import dataclass, field

from psycopg import sql

from stock_platform.storage.activity import Connections, SlowQuery, connections, slow_queries
from stock_platform.storage.connection import connected, described, normalized
from stock_platform.storage.frames import Connection, one, run
from stock_platform.storage.migrate import known, number
from stock_platform.storage.sizes import IndexInfo, TableInfo, index_infos, table_infos


@dataclass(frozen=True)
class DatabaseInfo:
    """A database.

    Attributes:
        url: without the password.
        server: its version, such as "PostgreSQL 18.1".
        timescale: the installed extension's version; None without it.
        timescale_available: whether it could be installed.
        migration: the number of the last one applied; None for an empty database.
        newest_migration: the number this code knows last.
        bytes: size of the whole database.
        clients: other connections to the server.
        connections: of the server, by state.
        slow_queries: what took the most time; None without pg_stat_statements.
        tables: in schema stocks, the largest first.
        indexes: the largest.
    """

    url: str
    server: str
    timescale: str | None
    timescale_available: bool
    migration: str | None
    newest_migration: str
    bytes: int
    clients: int
    connections: Connections
    slow_queries: list[SlowQuery] | None
    tables: list[TableInfo] = field(default_factory=list)
    indexes: list[IndexInfo] = field(default_factory=list)


def database_info(url: str) -> DatabaseInfo:
    """Look at a database; it need not be migrated.

    Raises:
        DatabaseError: the database cannot be reached.
    """
    url = normalized(url)
    with connected(url) as connection:
        server, size = one(
            connection,
            sql.SQL(
                "select split_part(version(), ' on ', 1), pg_database_size(current_database())"
            ),
        )
        extension = run(
            connection,
            sql.SQL(
                "select installed_version from pg_available_extensions where name = 'timescaledb'"
            ),
        ).fetchone()
        return DatabaseInfo(
            url=described(url),
            server=str(server),
            timescale=str(extension[0]) if extension and extension[0] else None,
            timescale_available=extension is not None,
            migration=_migration(connection),
            newest_migration=number(known()[-1]),
            bytes=int(size),
            clients=_clients(connection),
            connections=connections(connection),
            slow_queries=slow_queries(connection),
            tables=table_infos(connection),
            indexes=index_infos(connection),
        )


def timescale_version(connection: Connection) -> str | None:
    """The version of TimescaleDB that is installed in a database; None without it."""
    row = run(
        connection, sql.SQL("select extversion from pg_extension where extname = 'timescaledb'")
    ).fetchone()
    return str(row[0]) if row else None


def other_clients(url: str) -> int:
    """How many connections to the server there are, this one left out.

    Raises:
        DatabaseError: the database cannot be reached.
    """
    with connected(url) as connection:
        return _clients(connection)


def _clients(connection: Connection) -> int:
    return int(
        one(
            connection,
            sql.SQL(
                "select count(*) from pg_stat_activity "
                "where backend_type = 'client backend' and pid <> pg_backend_pid()"
            ),
        )[0]
    )


def _migration(connection: Connection) -> str | None:
    table = one(connection, sql.SQL("select to_regclass('stocks.alembic_version')"))[0]
    if table is None:
        return None
    row = run(connection, sql.SQL("select version_num from stocks.alembic_version")).fetchone()
    return str(row[0]) if row else None
