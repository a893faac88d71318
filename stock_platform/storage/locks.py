"""Who may write which cells: advisory locks, taken in one order by every writer.

Belongs here: the locks of writing transactions. Does not: claims on calls (claims.py),
quotas (quota.py), migrations (migrate.py).

A writer locks the shards of its assets (32 at the most, so that a transaction never needs
many locks), kinds in the order below and shards ascending. So two writers of the same cells
take turns, none can deadlock, and a plain INSERT after an anti-join is safe. The statement
that locks is one of its own: under READ COMMITTED, which the transaction is set to, the next
statement sees what the previous holder committed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from enum import IntEnum
from functools import wraps
from typing import ParamSpec, TypeVar

import psycopg
from psycopg import sql

from stock_platform.domain.coverage import SHARDS
from stock_platform.domain.errors import DatabaseError
from stock_platform.storage.connection import Database
from stock_platform.storage.frames import Connection, ints, run

_NAMESPACE = 0x57_0C  # first key of pg_advisory_xact_lock(int, int), with the kind added
_ALONE = 0x57_20  # of work that is done once at a time; others begin at 0x57_10
_TRIES = 5
_ASSET_LESS = SHARDS  # rows that belong to no asset


P = ParamSpec("P")
R = TypeVar("R")


class Kind(IntEnum):
    """What is written. A transaction that needs several takes them in this order."""

    CATALOG = 0
    RAW = 1
    VALIDATED = 2
    INDICATORS = 3
    JUDGING = 4


class Work(IntEnum):
    """What two runs at once would do twice, or undo."""

    SCORING = 0
    SPARE = 1


@contextmanager
def alone(db: Database, work: Work) -> Iterator[None]:
    """Wait until nobody else does such work, and keep others from it; a crash lets go.

    Held on a connection of its own; whoever holds it takes the other locks after it.
    """
    with db.connect() as connection:
        begin(connection)
        run(
            connection,
            sql.SQL("select pg_advisory_xact_lock({}, {})").format(
                sql.Literal(_ALONE), sql.Literal(int(work))
            ),
        )
        yield


@contextmanager
def judging(db: Database, asset_ids: Iterable[int]) -> Iterator[None]:
    """Keep others from judging these assets' shards between reading raw rows and writing.

    Without it the slower of two judges would write what it read before the other's rows
    came. Held on a connection of its own; whoever holds it takes the other locks after it.
    """
    with db.connect() as connection:
        begin(connection)
        lock_assets(connection, Kind.JUDGING, asset_ids)
        yield


def begin(connection: Connection) -> None:
    """Set the transaction up for writing; must be its first statement.

    Joins of this package's writes are between lists of thousands, of which the planner knows
    nothing where a table has just been filled: nested loops then take minutes.
    """
    connection.execute(
        "set transaction isolation level read committed; "
        "set local enable_nestloop = off; set local jit = off; "
        "set local timescaledb.max_tuples_decompressed_per_dml_transaction = 0"
    )


def retried(write: Callable[P, R]) -> Callable[P, R]:
    """Run a writing transaction again where the server ended it to resolve a deadlock.

    Our writers cannot deadlock among themselves. But a writer reads a chunk before it changes
    it, and TimescaleDB's compression lets it do the one and not the other while it waits for
    the readers to go. Whatever was ended left nothing behind.
    """

    @wraps(write)
    def patient(*args: P.args, **kwargs: P.kwargs) -> R:
        for _ in range(_TRIES - 1):
            try:
                return write(*args, **kwargs)
            except DatabaseError as error:
                if not isinstance(error.__cause__, psycopg.errors.DeadlockDetected):
                    raise
        return write(*args, **kwargs)

    return patient


def lock_catalog(connection: Connection) -> None:
    """Keep other writers of the asset catalog out until the transaction ends."""
    _lock(connection, Kind.CATALOG, [0])


def lock_assets(connection: Connection, kind: Kind, asset_ids: Iterable[int | None]) -> None:
    """Keep other writers of these assets' shards out until the transaction ends."""
    shards = {_ASSET_LESS if a is None else a % SHARDS for a in asset_ids}
    _lock(connection, kind, sorted(shards))


def _lock(connection: Connection, kind: Kind, keys: list[int]) -> None:
    if keys:
        run(
            connection,
            sql.SQL("select pg_advisory_xact_lock({}, k) from unnest({}) as k").format(
                sql.Literal(_NAMESPACE + int(kind)), ints(keys)
            ),
        )
