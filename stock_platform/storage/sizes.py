"""How much room tables and indexes take, and how much of it is waste.

Belongs here: sizes, rows, dead rows, chunks, compression. Does not: the server (info.py), what
it is busy with (activity.py).

A hypertable's rows are in its chunks, so its sizes come from TimescaleDB's own functions. What
they cannot tell under the Apache licence (compression) is None.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, replace

import psycopg
from psycopg import sql

from stock_platform.storage.frames import Connection, one, run

COUNTED_BELOW = 256 * 1024 * 1024
"""Tables below this size are counted; of larger ones the planner's estimate is given."""

SHOWN_INDEXES = 10


@dataclass(frozen=True)
class TableInfo:
    """A table of ``stocks``.

    Attributes:
        name: its name.
        rows: None where nobody knows yet.
        counted: whether rows are counted or estimated.
        bytes: with indexes.
        index_bytes: of its indexes.
        dead_rows: changed or deleted ones that VACUUM has not cleared yet (bloat), estimated.
        chunks: of a hypertable, else None.
        compressed_chunks: those in the columnstore.
        compression_ratio: bytes before by bytes after, of those chunks.
    """

    name: str
    rows: int | None
    counted: bool
    bytes: int
    index_bytes: int = 0
    dead_rows: int = 0
    chunks: int | None = None
    compressed_chunks: int | None = None
    compression_ratio: float | None = None

    @property
    def dead_share(self) -> float | None:
        """Dead rows by all rows."""
        total = (self.rows or 0) + self.dead_rows
        return self.dead_rows / total if total else None


@dataclass(frozen=True)
class IndexInfo:
    """An index: its table, size, and how often it was used since the statistics began."""

    name: str
    table: str
    bytes: int
    scans: int


def table_infos(connection: Connection) -> list[TableInfo]:
    """The tables in ``stocks``, the largest first."""
    found = run(
        connection,
        sql.SQL(
            "select c.relname, c.reltuples::bigint, pg_total_relation_size(c.oid), "
            "pg_indexes_size(c.oid), coalesce(s.n_dead_tup, 0) "
            "from pg_class c join pg_namespace n on n.oid = c.relnamespace "
            "left join pg_stat_all_tables s on s.relid = c.oid "
            "where n.nspname = 'stocks' and c.relkind in ('r', 'p') "
            "and c.relname <> 'alembic_version'"
        ),
    ).fetchall()
    hyper = _hypertables(connection)
    tables = []
    for name, estimate, size, indexes, dead in found:
        rows = int(estimate) if estimate >= 0 else None
        table = TableInfo(str(name), rows, False, int(size), int(indexes), int(dead))
        if table.name in hyper:
            table = _of_hypertable(connection, table)
        if table.bytes < COUNTED_BELOW:
            query = sql.SQL("select count(*) from {}").format(_named(table.name))
            table = replace(table, rows=int(one(connection, query)[0]), counted=True)
        tables.append(table)
    return sorted(tables, key=lambda table: (-table.bytes, table.name))


def index_infos(connection: Connection) -> list[IndexInfo]:
    """The largest indexes of ``stocks``."""
    found = run(
        connection,
        sql.SQL(
            "select indexrelname, relname, pg_relation_size(indexrelid), idx_scan "
            "from pg_stat_all_indexes where schemaname = 'stocks' order by 3 desc, 1 limit {}"
        ).format(sql.Literal(SHOWN_INDEXES)),
    )
    return [IndexInfo(str(n), str(t), int(size), int(scans)) for n, t, size, scans in found]


def _hypertables(connection: Connection) -> set[str]:
    there = sql.SQL("select to_regclass('timescaledb_information.hypertables') is not null")
    if not one(connection, there)[0]:
        return set()
    query = sql.SQL(
        "select hypertable_name from timescaledb_information.hypertables "
        "where hypertable_schema = 'stocks'"
    )
    return {str(row[0]) for row in run(connection, query)}


def _of_hypertable(connection: Connection, table: TableInfo) -> TableInfo:
    name = sql.Literal(f'stocks."{table.name}"')
    size, indexes, rows, chunks, dead = one(
        connection,
        sql.SQL(
            "select coalesce(total_bytes, 0), coalesce(index_bytes, 0), "
            "approximate_row_count({0}::regclass), "
            "(select count(*) from timescaledb_information.chunks "
            " where hypertable_schema = 'stocks' and hypertable_name = {1}), "
            "(select coalesce(sum(s.n_dead_tup), 0) from timescaledb_information.chunks k "
            " join pg_stat_all_tables s on s.schemaname = k.chunk_schema "
            " and s.relname = k.chunk_name "
            " where k.hypertable_schema = 'stocks' and k.hypertable_name = {1}) "
            "from (select sum(total_bytes) as total_bytes, sum(index_bytes) as index_bytes "
            "      from hypertable_detailed_size({0}::regclass)) s"
        ).format(name, sql.Literal(table.name)),
    )
    table = replace(
        table,
        bytes=int(size),
        index_bytes=int(indexes),
        rows=int(rows),
        chunks=int(chunks),
        dead_rows=int(dead),
    )
    with suppress(psycopg.errors.Error), connection.transaction():
        compressed, before, after = one(
            connection,
            sql.SQL(
                "select coalesce(sum(number_compressed_chunks), 0), "
                "sum(before_compression_total_bytes), sum(after_compression_total_bytes) "
                "from hypertable_compression_stats({}::regclass)"
            ).format(name),
        )
        ratio = float(before / after) if before and after else None
        table = replace(table, compressed_chunks=int(compressed), compression_ratio=ratio)
    return table


def _named(table: str) -> sql.Identifier:
    return sql.Identifier("stocks", table)
