"""Making a database use what TimescaleDB offers.

Belongs here: the order of things, hypertables of small tables, compression, policies. Does not:
moving large tables (conversion.py), aggregates' definitions (aggregates.py).

Every step looks at what there is and does what is missing, so all of it can be run again, after
a kill -9 too. Locks, and for how long:

- A table of up to 20,000 rows becomes a hypertable in place: ACCESS EXCLUSIVE for the
  fraction of a second that it takes. A fresh database has no others.
- A larger one is copied beside: see conversion.py.
- Compressing a chunk keeps its writers out while it lasts (seconds a chunk), readers only for
  the moment at the end in which the files are exchanged. A chunk in use is left to the policy.
- No lock is waited for longer than 2 seconds at a time, so that nobody queues behind us longer,
  and than half a second while another is held.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

import psycopg
from psycopg import sql

from stock_platform.domain.errors import DatabaseError
from stock_platform.storage.connection import connected, described, normalized
from stock_platform.storage.frames import Connection, one, run
from stock_platform.storage.timescale import conversion
from stock_platform.storage.timescale.aggregates import (
    create_aggregates,
    refresh,
    set_refresh_policies,
)
from stock_platform.storage.timescale.conversion import Advance, patiently
from stock_platform.storage.timescale.options import SEGMENTS, TABLES, TimescaleOptions
from stock_platform.storage.timescale.state import Extension, detect, exists, is_hypertable

LOCK_KEY = 7_305_170_901_226_116  # any number that no other program uses
IN_PLACE_ROWS = 20_000
GONE_SECONDS = 10.0

_DEFAULTS = TimescaleOptions()
_IN_USE = (
    psycopg.errors.DuplicateObject,
    psycopg.errors.LockNotAvailable,
    psycopg.errors.DeadlockDetected,
)


@dataclass(frozen=True)
class Step:
    """Something that was done: to what, what, and what came of it, in words."""

    subject: str
    action: str
    seconds: float


def set_up(
    url: str,
    options: TimescaleOptions = _DEFAULTS,
    on_progress: Callable[[Advance], None] | None = None,
) -> list[Step]:
    """Make the database use TimescaleDB; readers and writers go on meanwhile.

    Args:
        url: a migrated database.
        options: chunks, compression, retention.
        on_progress: called after each batch of a copy and each chunk that was compressed.

    Returns:
        what was done, in order; policies are set anew each time and not listed.

    Raises:
        DatabaseError: there is no TimescaleDB to use, somebody else is at it, or a table has
            something that cannot be taken along (named in the message).
    """
    steps: list[Step] = []
    with connected(url, prepare_threshold=None, autocommit=True) as connection:
        _alone(connection, url)
        extension = _installed(connection, url, steps)
        for table in TABLES:
            _hypertable(connection, extension, table, options, steps, on_progress)
        _features(connection, extension, options, steps)
        if extension.full:
            for table in TABLES:
                _compress(connection, extension, table, options, steps, on_progress)
            began = time.monotonic()
            done = refresh(connection, extension, options)
            how = "refreshed" if done else "being refreshed by the server"
            steps.append(Step("intraday aggregates", how, time.monotonic() - began))
    return steps


def set_up_fresh(url: str, options: TimescaleOptions = _DEFAULTS) -> list[Step]:
    """Make a database without bars use TimescaleDB, if that can be had; else do nothing.

    A database that has bars is left as it is, and so is one where we may not install the
    extension: plain PostgreSQL does all the same.
    """
    steps: list[Step] = []
    try:
        with connected(url, prepare_threshold=None, autocommit=True) as connection:
            found = detect(connection)
            if found.available is None or not found.preloaded:
                return []
            if any(_rows(connection, table, 1) for table in TABLES):
                return []
            if not _try_lock(connection):
                return []
            extension = _installed(connection, url, steps)
            for table in TABLES:
                _hypertable(connection, extension, table, options, steps, None)
            _features(connection, extension, options, steps)
    except DatabaseError as error:
        if not isinstance(error.__cause__, psycopg.errors.InsufficientPrivilege):
            raise
    return steps


def cancel(url: str) -> list[str]:
    """Give up conversions that were begun and not finished; the tables stay as they are.

    Returns:
        the tables whose copies were dropped.
    """
    with connected(url, prepare_threshold=None, autocommit=True) as connection:
        _alone(connection, url)
        return [t for t in TABLES if conversion.drop_copy(connection, t)]


def _try_lock(connection: Connection) -> bool:
    return bool(
        one(connection, sql.SQL("select pg_try_advisory_lock({})").format(sql.Literal(LOCK_KEY)))[0]
    )


def _alone(connection: Connection, url: str) -> None:
    """Be the only one at it; the server takes a moment to notice that a killed one is gone."""
    deadline = time.monotonic() + GONE_SECONDS
    while not _try_lock(connection):
        if time.monotonic() > deadline:
            raise DatabaseError(f"{described(normalized(url))}: another process is converting it")
        time.sleep(0.2)


def _installed(connection: Connection, url: str, steps: list[Step]) -> Extension:
    """The extension, installed in this database if it was not."""
    where = described(normalized(url))
    found = detect(connection)
    if not found.preloaded or (found.available is None and found.installed is None):
        raise DatabaseError(f"{where} is {found.told()}")
    for table in TABLES:
        if not exists(connection, f"stocks.{table}"):
            raise DatabaseError(f"{where} has no table stocks.{table}: run db migrate first")
    if found.installed is None:
        began = time.monotonic()
        run(connection, sql.SQL("create extension if not exists timescaledb"))
        found = detect(connection)
        steps.append(Step("extension", f"installed {found.installed}", time.monotonic() - began))
    return found


def _rows(connection: Connection, table: str, most: int) -> int:
    """How many rows a table has, counted up to ``most``."""
    return int(
        one(
            connection,
            sql.SQL("select count(*) from (select from stocks.{} limit {}) t").format(
                sql.Identifier(table), sql.Literal(most)
            ),
        )[0]
    )


def _hypertable(
    connection: Connection,
    extension: Extension,
    table: str,
    options: TimescaleOptions,
    steps: list[Step],
    on_progress: Callable[[Advance], None] | None,
) -> None:
    """Partition a table, in place if it is small."""
    days = options.chunk(table)
    ext = sql.Identifier(extension.schema or "public")
    if is_hypertable(connection, extension, table):
        run(
            connection,
            sql.SQL("select {}.set_chunk_time_interval({}, {}::interval)").format(
                ext, sql.Literal(f"stocks.{table}"), sql.Literal(f"{days} days")
            ),
        )
        return
    began = time.monotonic()
    small = _rows(connection, table, IN_PLACE_ROWS + 1) <= IN_PLACE_ROWS
    if small and not conversion.begun(connection, table):
        with patiently(connection, table, "access exclusive"):
            run(
                connection,
                sql.SQL(
                    "select {}.create_hypertable({}, 'ts', chunk_time_interval => {}::interval, "
                    "create_default_indexes => false, migrate_data => true)"
                ).format(ext, sql.Literal(f"stocks.{table}"), sql.Literal(f"{days} days")),
            )
        done = f"made a hypertable with chunks of {days} days"
    else:
        rows = conversion.convert(connection, extension, table, days, on_progress)
        done = f"copied {rows:,} rows to a hypertable with chunks of {days} days"
    steps.append(Step(table, done, time.monotonic() - began))


def _features(
    connection: Connection, extension: Extension, options: TimescaleOptions, steps: list[Step]
) -> None:
    """Compression settings, aggregates and policies, as far as the licence goes."""
    if not extension.full:
        steps.append(Step("licence", extension.told(), 0.0))
        return
    for table in TABLES:
        _compression_settings(connection, table)
        _policy(connection, extension, table, "compression", options.compress_after(table))
        _policy(connection, extension, table, "retention", options.retention(table))
    began = time.monotonic()
    steps.extend(
        Step(name, "created, refreshed by the server", time.monotonic() - began)
        for name in create_aggregates(connection, extension)
    )
    set_refresh_policies(connection, extension, options)


def _compression_settings(connection: Connection, table: str) -> None:
    """Turn compression on; once on it is left as it is, for somebody may have tuned it."""
    (on,) = one(
        connection,
        sql.SQL(
            "select compression_enabled from timescaledb_information.hypertables "
            "where hypertable_schema = 'stocks' and hypertable_name = {}"
        ).format(sql.Literal(table)),
    )
    if not on:
        with patiently(connection, table, "access exclusive"):
            run(
                connection,
                sql.SQL(
                    "alter table stocks.{} set (timescaledb.compress, "
                    "timescaledb.compress_segmentby = {}, "
                    "timescaledb.compress_orderby = 'ts desc')"
                ).format(sql.Identifier(table), sql.Literal(", ".join(SEGMENTS[table]))),
            )


def _policy(
    connection: Connection, extension: Extension, table: str, kind: str, days: int | None
) -> None:
    """Set a policy anew, or take it away."""
    target = sql.Literal(f"stocks.{table}")
    names = {
        part: sql.Identifier(extension.schema or "public", f"{part}_{kind}_policy")
        for part in ("add", "remove")
    }
    with connection.transaction():
        run(
            connection,
            sql.SQL("select {}({}, if_exists => true)").format(names["remove"], target),
        )
        if days is not None:
            run(
                connection,
                sql.SQL("select {}({}, {}::interval)").format(
                    names["add"], target, sql.Literal(f"{days} days")
                ),
            )


def _compress(
    connection: Connection,
    extension: Extension,
    table: str,
    options: TimescaleOptions,
    steps: list[Step],
    on_progress: Callable[[Advance], None] | None,
) -> None:
    """Compress what is old enough now, chunk by chunk, rather than at the policy's next turn."""
    began = time.monotonic()
    ext = sql.Identifier(extension.schema or "public")
    chunks = run(
        connection,
        sql.SQL(
            "select format('%I.%I', chunk_schema, chunk_name) "
            "from timescaledb_information.chunks where hypertable_schema = 'stocks' "
            "and hypertable_name = {} and not is_compressed "
            "and range_end < now() - {}::interval order by range_start"
        ).format(sql.Literal(table), sql.Literal(f"{options.compress_after(table)} days")),
    ).fetchall()
    # Shorter than the server takes to look for deadlocks: whoever reads or writes has its way.
    run(connection, sql.SQL("set lock_timeout = {}").format(sql.Literal("500ms")))
    for done, (chunk,) in enumerate(chunks, 1):
        with suppress(*_IN_USE):
            run(  # the policy may be at the same chunk
                connection,
                sql.SQL("select {}.compress_chunk({}::regclass, if_not_compressed => true)").format(
                    ext, sql.Literal(chunk)
                ),
            )
        if on_progress is not None:
            on_progress(Advance(table, "compressing", done, len(chunks)))
    run(connection, sql.SQL("reset lock_timeout"))
    if chunks:
        (before, after) = one(
            connection,
            sql.SQL(
                "select sum(before_compression_total_bytes), sum(after_compression_total_bytes) "
                "from {}.hypertable_compression_stats({})"
            ).format(ext, sql.Literal(f"stocks.{table}")),
        )
        steps.append(
            Step(
                table,
                f"compressed {len(chunks)} chunks: {int(before or 0) / 1e6:,.1f} MB to "
                f"{int(after or 0) / 1e6:,.1f} MB",
                time.monotonic() - began,
            )
        )
