"""Claims: who is making which call right now, across threads, processes and hosts.

Belongs here: advisory locks on tiles. Does not: quotas (quota.py), what is stored already
(ledger.py).

A claim is a session-level advisory lock on one connection kept for the whole fetch, so it
ends with the process that holds it, however that ends. Only calls in flight hold one, a
few dozen at the most, far below ``max_locks_per_transaction``.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg

from stock_platform.storage.connection import Database

NAMESPACE = "stock_platform.claims:"


class TileClaims:
    """Claims of one fetch. Safe to use from several threads."""

    def __init__(self, connection: psycopg.Connection) -> None:
        self._connection = connection
        self._lock = threading.Lock()
        self._held: set[str] = set()

    def try_claim(self, key: str) -> bool:
        """Claim a call; False while anyone else, this fetch included, holds it."""
        with self._lock:
            if key in self._held:
                return False
            row = self._connection.execute(
                "select pg_try_advisory_lock(hashtextextended(%s, 0))", (NAMESPACE + key,)
            ).fetchone()
            if row is None or not row[0]:
                return False
            self._held.add(key)
            return True

    def release(self, key: str) -> None:
        """Let others have the call. A key that is not held is ignored."""
        with self._lock:
            if key in self._held:
                self._held.discard(key)
                self._connection.execute(
                    "select pg_advisory_unlock(hashtextextended(%s, 0))", (NAMESPACE + key,)
                )

    def release_all(self) -> None:
        """Let others have every call claimed here."""
        with self._lock:
            self._held.clear()
            self._connection.execute("select pg_advisory_unlock_all()")


@contextmanager
def tile_claims(db: Database) -> Iterator[TileClaims]:
    """Claims on a connection of their own, released at the end."""
    with db.connect() as connection:
        connection.autocommit = True
        claims = TileClaims(connection)
        try:
            yield claims
        finally:
            if not connection.closed:
                claims.release_all()
                connection.autocommit = False
