"""What a server has of TimescaleDB, and what a database uses of it.

Belongs here: questions. Does not: changes (setup.py, conversion.py).

The probe never calls the extension: where it is installed and not preloaded, the first touch
of it ends the connection.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from psycopg import sql

from stock_platform.storage.connection import connected, described, normalized
from stock_platform.storage.frames import Connection, one, run
from stock_platform.storage.timescale.options import TABLES

FULL_LICENCE = "timescale"


@dataclass(frozen=True)
class Extension:
    """TimescaleDB on a server and in a database.

    Attributes:
        available: the version that the server offers; None where it has none.
        preloaded: whether the server was started with it.
        installed: the version in this database; None where it is plain PostgreSQL.
        licence: ``timescale`` (everything), ``apache`` (hypertables only); None if not installed.
        schema: where its functions are; None if not installed.
    """

    available: str | None
    preloaded: bool
    installed: str | None
    licence: str | None
    schema: str | None

    @property
    def usable(self) -> bool:
        """Whether its functions can be called in this database."""
        return self.preloaded and self.installed is not None

    @property
    def full(self) -> bool:
        """Whether compression, continuous aggregates and policies are to be had."""
        return self.usable and self.licence == FULL_LICENCE

    def told(self) -> str:
        """In a sentence, for people."""
        if self.full:
            return f"TimescaleDB {self.installed}"
        if self.usable:
            return (
                f"TimescaleDB {self.installed} under the licence {self.licence}: hypertables "
                "only; compression, continuous aggregates and policies need timescaledb.license "
                f"= {FULL_LICENCE} in the server's configuration"
            )
        if self.available is None:
            return "plain PostgreSQL: the server has no TimescaleDB"
        if not self.preloaded:
            return (
                f"plain PostgreSQL: the server has TimescaleDB {self.available} and is not "
                "started with it; set shared_preload_libraries = 'timescaledb' and restart it"
            )
        return f"plain PostgreSQL: TimescaleDB {self.available} is there and not installed yet"


@dataclass(frozen=True)
class TableState:
    """A table of bars.

    Attributes:
        name: within the schema ``stocks``.
        hypertable: whether it is partitioned.
        converting: rows copied so far by a conversion under way; None where there is none.
        chunks, compressed: how many there are, and are compressed.
        bytes: of all chunks with their indexes.
        bytes_before, bytes_after: of the compressed chunks.
        compress_after, retention: of the policies, as the server words them; None without.
    """

    name: str
    hypertable: bool
    converting: int | None
    chunks: int
    compressed: int
    bytes: int
    bytes_before: int | None
    bytes_after: int | None
    compress_after: str | None
    retention: str | None


@dataclass(frozen=True)
class TimescaleStatus:
    """A database and what it uses of TimescaleDB; ``aggregates`` are the continuous ones."""

    url: str
    extension: Extension
    tables: list[TableState] = field(default_factory=list)
    aggregates: list[str] = field(default_factory=list)


def detect(connection: Connection) -> Extension:
    """What there is, without touching it."""
    available = run(
        connection,
        sql.SQL("select default_version from pg_available_extensions where name = 'timescaledb'"),
    ).fetchone()
    (preloaded,) = one(
        connection,
        sql.SQL(
            "select 'timescaledb' = any(string_to_array(replace("
            "coalesce(current_setting('shared_preload_libraries', true), ''), ' ', ''), ','))"
        ),
    )
    found = run(
        connection,
        sql.SQL(
            "select e.extversion, n.nspname from pg_extension e "
            "join pg_namespace n on n.oid = e.extnamespace where e.extname = 'timescaledb'"
        ),
    ).fetchone()
    installed, schema = found or (None, None)
    licence = None
    if preloaded and installed is not None:
        (licence,) = one(connection, sql.SQL("select current_setting('timescaledb.license')"))
    return Extension(available[0] if available else None, preloaded, installed, licence, schema)


def timescale_status(url: str) -> TimescaleStatus:
    """Look at a database; it need not be migrated.

    Raises:
        DatabaseError: the database cannot be reached.
    """
    with connected(url) as connection:
        extension = detect(connection)
        tables = [
            table_state(connection, extension, name)
            for name in TABLES
            if exists(connection, f"stocks.{name}")
        ]
        aggregates = []
        if extension.usable:
            aggregates = [
                str(row[0])
                for row in run(
                    connection,
                    sql.SQL(
                        "select view_name from timescaledb_information.continuous_aggregates "
                        "where view_schema = 'stocks' order by view_name"
                    ),
                )
            ]
        return TimescaleStatus(described(normalized(url)), extension, tables, aggregates)


def exists(connection: Connection, name: str) -> bool:
    """Whether there is a table or view of this qualified name."""
    return bool(
        one(connection, sql.SQL("select to_regclass({}) is not null").format(sql.Literal(name)))[0]
    )


def is_hypertable(connection: Connection, extension: Extension, table: str) -> bool:
    """Whether a table of ``stocks`` is partitioned by TimescaleDB."""
    if not extension.usable:
        return False
    return bool(
        one(
            connection,
            sql.SQL(
                "select exists (select from timescaledb_information.hypertables "
                "where hypertable_schema = 'stocks' and hypertable_name = {})"
            ).format(sql.Literal(table)),
        )[0]
    )


def table_state(connection: Connection, extension: Extension, name: str) -> TableState:
    """One table's state."""
    converting = None
    if exists(connection, "stocks.timescale_conversion"):
        row = run(
            connection,
            sql.SQL("select rows from stocks.timescale_conversion where table_name = {}").format(
                sql.Literal(name)
            ),
        ).fetchone()
        converting = int(row[0]) if row else None
    if not is_hypertable(connection, extension, name):
        (size,) = one(
            connection,
            sql.SQL("select pg_total_relation_size({}::regclass)").format(
                sql.Literal(f"stocks.{name}")
            ),
        )
        return TableState(name, False, converting, 0, 0, int(size), None, None, None, None)
    schema = sql.Identifier(extension.schema or "public")
    regclass = sql.SQL("{}::regclass").format(sql.Literal(f"stocks.{name}"))
    chunks, compressed = one(
        connection,
        sql.SQL(
            "select count(*), count(*) filter (where is_compressed) "
            "from timescaledb_information.chunks "
            "where hypertable_schema = 'stocks' and hypertable_name = {}"
        ).format(sql.Literal(name)),
    )
    (size,) = one(connection, sql.SQL("select {}.hypertable_size({})").format(schema, regclass))
    before = after = None
    if compressed:
        before, after = one(
            connection,
            sql.SQL(
                "select sum(before_compression_total_bytes), sum(after_compression_total_bytes) "
                "from {}.hypertable_compression_stats({})"
            ).format(schema, regclass),
        )
    jobs = dict(
        run(
            connection,
            sql.SQL(
                "select case when config ? 'drop_after' then 'retention' else 'compression' end, "
                "coalesce(config->>'drop_after', config->>'compress_after') "
                "from timescaledb_information.jobs where hypertable_schema = 'stocks' "
                "and hypertable_name = {} and config ?| array['drop_after', 'compress_after']"
            ).format(sql.Literal(name)),
        ).fetchall()
    )
    return TableState(
        name, True, converting, int(chunks), int(compressed), int(size or 0),
        None if before is None else int(before), None if after is None else int(after),
        jobs.get("compression"), jobs.get("retention"),
    )  # fmt: skip
