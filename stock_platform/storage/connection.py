"""The way to the database: pooled connections, and errors in one line without the password.

Belongs here: URLs, pooling, the version check, turning driver errors into DatabaseError.
Does not: SQL about prices, migrations (migrate.py), starting a server (embedded/).

Connections prepare a statement after its fifth use, which is psycopg's default. DDL on a
table in use can then answer "cached plan must not change result type", so migrations run with
``prepare_threshold=None``; behind a pooler in transaction mode give that here too.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from threading import Lock
from types import TracebackType
from typing import Any, Self

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg_pool import ConnectionPool, PoolClosed, PoolTimeout

from stock_platform.domain.errors import DatabaseError

CONNECT_SECONDS = 5
MINIMUM_VERSION = 14
_LONGEST = 300

# What a user can cause or mend; anything else psycopg raises is our mistake and stays loud.
_THEIRS = (psycopg.OperationalError, psycopg.errors.InsufficientPrivilege)


class Database:
    """A PostgreSQL 14+ or TimescaleDB that is reached through a pool of connections.

    Nothing is connected before the first ``connect()``. Safe to share between threads; a
    process that forks makes its own.

    Args:
        url: ``postgresql://user:password@host:port/name``, or libpq's ``key=value`` form.
        application_name: shown in ``pg_stat_activity``.
        max_size: most connections at once; the next caller waits for one.
        prepare_threshold: see the module's docstring.
        session: settings of every session, such as ``statement_timeout``.

    Raises:
        DatabaseError: the URL cannot be read.
    """

    def __init__(
        self,
        url: str,
        application_name: str = "stock_platform",
        *,
        max_size: int = 10,
        prepare_threshold: int | None = 5,
        session: Mapping[str, str] | None = None,
    ) -> None:
        self.url = with_options(normalized(url), session or {})
        self._application_name = application_name
        self._max_size = max_size
        self._prepare_threshold = prepare_threshold
        self._lock = Lock()
        self._pool: ConnectionPool[psycopg.Connection[Any]] | None = None
        self._lasting: list[psycopg.Connection[Any]] = []

    def __repr__(self) -> str:
        return f"Database({described(self.url)})"

    @contextmanager
    def connect(self) -> Iterator[psycopg.Connection[Any]]:
        """A connection in UTC and in a transaction: committed at the end, rolled back on an error.

        Raises:
            DatabaseError: unreachable, too old, or lost meanwhile; the cause is the driver's error.
        """
        pool = self._opened()
        try:
            with pool.connection() as connection:
                yield connection
        except PoolClosed as error:
            raise DatabaseError(f"{described(self.url)}: the connection pool is closed") from error
        except PoolTimeout as error:
            self._probe()  # says why, if the server is gone
            raise DatabaseError(
                f"{described(self.url)}: all {self._max_size} connections are busy"
            ) from error
        except _THEIRS as error:
            raise as_database_error(error, self.url) from error

    @contextmanager
    def at_one_moment(self) -> Iterator[Database]:
        """This database as it is now: whatever is read by what this yields is of one snapshot.

        It is one connection, in one read-only transaction, so for one thread, and not for long.

        Raises:
            DatabaseError: as ``connect``.
        """
        with self.connect() as connection:
            connection.execute("set transaction isolation level repeatable read, read only")
            yield _OneMoment(self.url, connection)

    def lasting(self) -> psycopg.Connection[Any]:
        """A connection outside the pool, in autocommit, that is open until the database is closed.

        For what lives as long as its connection (an advisory lock of a session).

        Raises:
            DatabaseError: unreachable.
        """
        try:
            connection = psycopg.connect(
                self.url,
                autocommit=True,
                connect_timeout=CONNECT_SECONDS,
                application_name=self._application_name,
                options=_in_utc(self.url),
            )
        except psycopg.Error as error:
            raise as_database_error(error, self.url) from error
        with self._lock:
            self._lasting = [c for c in self._lasting if not c.closed] + [connection]
        return connection

    def close(self) -> None:
        """Close all connections; a later ``connect()`` opens new ones."""
        with self._lock:
            pool, self._pool = self._pool, None
            lasting, self._lasting = self._lasting, []
        for connection in lasting:
            connection.close()
        if pool is not None:
            pool.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _opened(self) -> ConnectionPool[psycopg.Connection[Any]]:
        with self._lock:
            if self._pool is None:
                self._probe()
                self._pool = ConnectionPool(
                    self.url,
                    kwargs={
                        "connect_timeout": CONNECT_SECONDS,
                        "application_name": self._application_name,
                        "prepare_threshold": self._prepare_threshold,
                        "options": _in_utc(self.url),
                    },
                    min_size=1,
                    max_size=self._max_size,
                    timeout=4.0 * CONNECT_SECONDS,
                    reconnect_timeout=CONNECT_SECONDS,
                    check=ConnectionPool.check_connection,  # a restarted server is noticed here
                    name=self._application_name,
                    open=True,
                )
            return self._pool

    def _probe(self) -> None:
        """Connect once without the pool, whose background connections hide why they fail."""
        with connected(self.url, application_name=self._application_name):
            return


class _OneMoment(Database):
    """A database whose every ``connect()`` is the same transaction."""

    def __init__(self, url: str, connection: psycopg.Connection[Any]) -> None:
        super().__init__(url)
        self._connection = connection

    @contextmanager
    def connect(self) -> Iterator[psycopg.Connection[Any]]:
        """The transaction; it goes on after."""
        yield self._connection


@contextmanager
def connected(url: str, **options: Any) -> Iterator[psycopg.Connection[Any]]:
    """One connection without a pool, for migrations and probes; every driver error is translated.

    Raises:
        DatabaseError: unreachable, older than PostgreSQL 14, or a statement was refused.
    """
    url = normalized(url)
    settings: dict[str, Any] = {"connect_timeout": CONNECT_SECONDS, "options": _in_utc(url)}
    try:
        with psycopg.connect(url, **(settings | options)) as connection:
            require_version(connection.info.server_version, url)
            yield connection
    except psycopg.Error as error:
        raise as_database_error(error, url) from error


def require_version(number: int, url: str) -> None:
    """Refuse a server that is too old; ``number`` is libpq's, such as 140005.

    Raises:
        DatabaseError: it is older than PostgreSQL 14.
    """
    if number < MINIMUM_VERSION * 10_000:
        raise DatabaseError(
            f"{described(url)} is PostgreSQL {number // 10_000}; "
            f"version {MINIMUM_VERSION} or newer is needed"
        )


def normalized(url: str) -> str:
    """A URL as libpq reads it: SQLAlchemy's driver suffixes are taken off.

    Raises:
        DatabaseError: it cannot be read; the message does not repeat it, as it may hold a password.
    """
    url = re.sub(r"^postgres(ql)?(\+\w+)?://", "postgresql://", url.strip())
    unreadable = (
        "DATABASE_URL cannot be read: use postgresql://user:password@host:port/database, "
        "with special characters of the password percent-encoded"
    )
    try:
        parts = conninfo_to_dict(url)
    except psycopg.Error:
        raise DatabaseError(unreadable) from None
    if not parts or "@" in str(parts.get("host", "")):
        raise DatabaseError(unreadable)
    return url


def described(url: str, user: str | None = None) -> str:
    """A URL without its password, for messages: ``postgresql://user@host:port/name``."""
    parts = conninfo_to_dict(url)
    user = user or str(parts.get("user") or "")
    user = f"{user}@" if user else ""
    port = f":{parts['port']}" if parts.get("port") else ""
    return f"postgresql://{user}{parts.get('host') or ''}{port}/{parts.get('dbname') or ''}"


def as_database_error(error: psycopg.Error, url: str) -> DatabaseError:
    """A driver's error in one line that names the server and not the password."""
    text = " ".join(str(error).split()) or type(error).__name__
    password = conninfo_to_dict(url).get("password")
    if password:
        text = text.replace(str(password), "***")
    if len(text) > _LONGEST:
        text = text[:_LONGEST] + "..."
    return DatabaseError(f"{described(url)}: {text}")


def _in_utc(url: str) -> str:
    """The ``options`` for libpq: the URL's own kept, with the session's time zone UTC."""
    own = conninfo_to_dict(url).get("options")
    return " ".join(filter(None, [str(own) if own else "", "-c timezone=UTC"]))


def with_options(url: str, session: Mapping[str, str]) -> str:
    """A URL whose sessions begin with these settings; its own options are kept and win."""
    if not session:
        return url
    own = conninfo_to_dict(url).get("options")
    ours = [f"-c {name}={value}" for name, value in session.items()]
    return make_conninfo(url, options=" ".join([*ours, *([str(own)] if own else [])]))


def with_database(url: str, name: str) -> str:
    """The same server's other database, as a libpq string."""
    return make_conninfo(normalized(url), dbname=name)
