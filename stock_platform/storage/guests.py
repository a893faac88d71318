"""Room for another program's tables (Dagster's) beside ours, and a way to them that lasts.

Belongs here: a schema of its own in a database we were given, and SQLAlchemy engines that
find the server again after it moved. Does not: what the guest keeps there.

A guest commits without waiting for the disk: a crash of the server may lose its last half
second of events, never its consistency, and nothing of ours.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import psycopg2
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict
from sqlalchemy import URL, Engine, create_engine

from stock_platform.storage.connection import connected, normalized

SETTINGS = {"synchronous_commit": "off"}


@dataclass(frozen=True)
class Guest:
    """Where a guest's tables are.

    Attributes:
        url: libpq URL of the database; holds the password, so it is not in the repr.
        schema: the schema of its tables; None is the database's default.
    """

    url: str = field(repr=False)
    schema: str | None = None


def make_room(guest: Guest) -> None:
    """Create the guest's schema if it is not there; without one, see that we can connect.

    Raises:
        DatabaseError: unreachable, or the user may not create a schema.
    """
    with connected(guest.url) as connection:
        if guest.schema is None:
            return  # what is wrong with the URL is said here, in one line
        there = "select to_regnamespace(quote_ident(%s)) is not null"
        if connection.execute(there, [guest.schema]).fetchone() == (True,):
            return  # a user who may not create schemas can use one
        schema = sql.Identifier(guest.schema)
        connection.execute(sql.SQL("create schema if not exists {}").format(schema))


def connect_arguments(guest: Guest, settings: Mapping[str, str] | None = None) -> dict[str, str]:
    """The keywords libpq connects with; ``settings`` are the session's, such as timeouts.

    Raises:
        DatabaseError: the URL cannot be read.
    """
    parts = conninfo_to_dict(normalized(guest.url))
    arguments = {name: str(value) for name, value in parts.items() if value is not None}
    session = SETTINGS | dict(settings or {})
    if guest.schema is not None:
        session["search_path"] = guest.schema
    own = [arguments["options"]] if "options" in arguments else []
    arguments["options"] = " ".join([*own, *(f"-c {k}={v}" for k, v in session.items())])
    return arguments


def engine_url(guest: Guest) -> str:
    """The address as SQLAlchemy with psycopg2 reads it; holds the password.

    Raises:
        DatabaseError: the URL cannot be read.
    """
    query = connect_arguments(guest)
    host, port = query.pop("host", None), query.pop("port", None)
    made = URL.create(
        "postgresql",
        username=query.pop("user", None),
        password=query.pop("password", None),
        host=host,
        port=int(port) if port else None,
        database=query.pop("dbname", None),
        query=query,
    )
    return made.render_as_string(hide_password=False)


def guest_engine(
    find: Callable[[], Guest],
    *,
    settings: Mapping[str, str] | None = None,
    pool_size: int = 1,
    max_overflow: int = 20,
    recycle_seconds: int = 3600,
) -> Engine:
    """An engine that asks ``find`` where the server is before every new connection.

    So processes that live on (a web server, a daemon) find an embedded server again that was
    killed, and start it, perhaps on another port. Connections are kept and tested before
    use: a new one costs some ten milliseconds, and Dagster opens one a statement.
    """

    def dial() -> Any:
        arguments: dict[str, Any] = {**connect_arguments(find(), settings)}
        return psycopg2.connect(**arguments)

    return create_engine(
        "postgresql+psycopg2://",
        creator=dial,
        isolation_level="AUTOCOMMIT",
        pool_size=pool_size,
        max_overflow=max_overflow,
        pool_recycle=recycle_seconds,
        pool_pre_ping=True,
    )
