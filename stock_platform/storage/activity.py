"""What a server is busy with: its connections, and the queries that take the most time.

Belongs here: pg_stat_activity and pg_stat_statements. Does not: sizes (sizes.py). Statements
are shown as PostgreSQL normalizes them, with ``$1`` for values.
"""

from __future__ import annotations

from dataclasses import dataclass

import psycopg
from psycopg import sql

from stock_platform.storage.frames import Connection, one, run

SHOWN_QUERIES = 10
_LONGEST = 400


@dataclass(frozen=True)
class Connections:
    """Clients of the server, this one left out: all, by state, and how many there may be."""

    clients: int
    limit: int
    by_state: dict[str, int]
    longest_transaction_seconds: float | None


@dataclass(frozen=True)
class SlowQuery:
    """A statement of this database: calls, milliseconds in all and on average, rows."""

    query: str
    calls: int
    total_ms: float
    mean_ms: float
    rows: int


def connections(connection: Connection) -> Connections:
    """Who is connected to the server."""
    found = run(
        connection,
        sql.SQL(
            "select coalesce(state, 'unknown'), count(*) from pg_stat_activity "
            "where backend_type = 'client backend' and pid <> pg_backend_pid() "
            "group by 1 order by 1"
        ),
    )
    states = {str(state): int(count) for state, count in found}
    limit, longest = one(
        connection,
        sql.SQL(
            "select current_setting('max_connections')::int, "
            "(select extract(epoch from max(now() - xact_start)) from pg_stat_activity "
            " where datname = current_database() and pid <> pg_backend_pid() "
            " and backend_type = 'client backend')"
        ),
    )
    seconds = None if longest is None else float(longest)
    return Connections(sum(states.values()), int(limit), states, seconds)


def slow_queries(connection: Connection) -> list[SlowQuery] | None:
    """The statements that took the most time in all; None without pg_stat_statements."""
    row = run(
        connection,
        sql.SQL(
            "select quote_ident(n.nspname) from pg_extension e "
            "join pg_namespace n on n.oid = e.extnamespace where e.extname = 'pg_stat_statements'"
        ),
    ).fetchone()
    if row is None:
        return None
    try:
        with connection.transaction():
            found = run(
                connection,
                sql.SQL(
                    "select query, calls, total_exec_time, mean_exec_time, rows "
                    "from {}.pg_stat_statements where dbid = "
                    "(select oid from pg_database where datname = current_database()) "
                    "order by total_exec_time desc limit {}"
                ).format(sql.SQL(row[0]), sql.Literal(SHOWN_QUERIES)),
            ).fetchall()
    except psycopg.errors.ObjectNotInPrerequisiteState:  # created, and not preloaded
        return None
    return [
        SlowQuery(" ".join(str(query).split())[:_LONGEST], int(calls), total, mean, int(rows))
        for query, calls, total, mean, rows in found
    ]
