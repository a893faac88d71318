"""Which processes are alive: each keeps an advisory lock on a connection of its own.

Belongs here: taking that lock, and telling whose is gone. Does not: what a dead process held
(quota.py), claims on calls (claims.py).

PostgreSQL frees the lock when the connection ends, and the system ends the connection when the
process does, however it dies. So a lock that nobody holds is proof of death. The reverse is not:
of a host that lost its power the server learns late.
"""

from __future__ import annotations

import secrets
import threading

import psycopg
from psycopg import sql

from stock_platform.domain.errors import DatabaseError
from stock_platform.storage.connection import Database

NAMESPACE = 0x57_11  # first key of pg_advisory_lock(int, int)

_HIGHEST = 2**31 - 1


class Holder:
    """This process as a holder of things. Nothing is connected before ``number`` is asked."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._lock = threading.Lock()
        self._connection: psycopg.Connection | None = None
        self._number: int | None = None

    def number(self) -> int | None:
        """The second key of the lock that this process holds; None while none is to be had."""
        with self._lock:
            if self._connection is None or self._connection.closed:
                self._number = None
                try:
                    self._connection = self._db.lasting()
                    self._number = _locked(self._connection)
                except (DatabaseError, psycopg.Error):  # what it holds is then freed by age alone
                    self._connection = None
            return self._number

    def lost(self) -> None:
        """The lock is gone, with the server or the connection: the next call takes another."""
        with self._lock:
            if self._connection is not None:
                self._connection.close()
            self._connection = self._number = None


def alive(holder: sql.Composable) -> sql.Composed:
    """A condition: whether the process of that number (an expression) holds its lock."""
    return sql.SQL(
        "exists (select from pg_locks where locktype = 'advisory' and granted and objsubid = 2 "
        "and database = (select oid from pg_database where datname = current_database()) "
        "and classid = {} and objid = ({})::oid)"
    ).format(sql.Literal(NAMESPACE), holder)


def _locked(connection: psycopg.Connection) -> int:
    while True:
        number = secrets.randbelow(_HIGHEST)
        row = connection.execute(
            "select pg_try_advisory_lock(%s, %s)", (NAMESPACE, number)
        ).fetchone()
        if row is not None and row[0]:
            return number
