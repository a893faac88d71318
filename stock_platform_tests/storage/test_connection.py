"""Connections: one clear line, never the password, and healing after a lost server."""

from __future__ import annotations

import threading

import psycopg
import pytest

from stock_platform.domain.errors import DatabaseError
from stock_platform.storage.connection import (
    Database,
    described,
    normalized,
    require_version,
    with_database,
)


def test_commits_at_the_end_and_rolls_back_on_an_error(database: Database) -> None:
    """A block is one transaction."""
    with database.connect() as connection:
        connection.execute("create table kept (n int)")
    with pytest.raises(psycopg.errors.DivisionByZero), database.connect() as connection:
        connection.execute("insert into kept values (1)").connection.execute("select 1 / 0")
    with database.connect() as connection:
        assert connection.execute("select count(*) from kept").fetchone() == (0,)


def test_sessions_are_in_utc_and_carry_the_name(database: Database) -> None:
    """Stamps come back in UTC whatever the server's zone; activity shows who we are."""
    with database.connect() as connection:
        zone, name = connection.execute(
            "select current_setting('TimeZone'), current_setting('application_name')"
        ).fetchone() or ("", "")
    assert (zone, name) == ("UTC", "stock_platform_tests")


def test_options_of_the_url_are_kept(database_url: str) -> None:
    """A user's own libpq options survive beside ours."""
    separator = "&" if "?" in database_url else "?"
    url = database_url
    if "://" in url:
        url += f"{separator}options=-c%20work_mem%3D5MB"
    else:
        url += " options='-c work_mem=5MB'"
    with Database(url) as database, database.connect() as connection:
        assert connection.execute("show work_mem").fetchone() == ("5MB",)
        assert connection.execute("show timezone").fetchone() == ("UTC",)


def test_a_killed_connection_is_replaced(database: Database) -> None:
    """After the server drops our connections the loss is one clear error, then all is well."""
    with (
        pytest.raises(DatabaseError, match="terminating connection"),
        database.connect() as connection,
    ):
        connection.execute("select pg_terminate_backend(pg_backend_pid())")
    with database.connect() as connection:
        assert connection.execute("select 1").fetchone() == (1,)


def test_threads_share_one_database(database: Database) -> None:
    """More threads than connections all get their turn."""
    seen: list[object] = []

    def ask() -> None:
        with database.connect() as connection:
            seen.append(connection.execute("select pg_sleep(0.01)").fetchone())

    threads = [threading.Thread(target=ask) for _ in range(30)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(seen) == 30


def test_other_errors_pass_as_they_are(database: Database) -> None:
    """A mistake of ours in SQL is not dressed up as the user's problem."""
    with pytest.raises(psycopg.errors.UndefinedTable), database.connect() as connection:
        connection.execute("select * from nowhere")


def test_a_wrong_password_is_one_line_without_it(database_url: str) -> None:
    """The message names the server and not the secret."""
    parts = psycopg.conninfo.conninfo_to_dict(database_url)
    url = psycopg.conninfo.make_conninfo(database_url, password="hunter2-secret")  # noqa: S106 - made up
    with pytest.raises(DatabaseError) as caught, Database(url).connect():
        pass
    text = str(caught.value)
    assert "hunter2" not in text
    assert "\n" not in text
    assert str(parts["dbname"]) in text
    assert "hunter2" not in repr(Database(url))


def test_nobody_listening_is_said_at_once() -> None:
    """A refused connection is not retried in the background."""
    with (
        pytest.raises(DatabaseError, match=r"postgresql://me@127\.0\.0\.1:1/x: .*refused"),
        Database("postgresql://me:pw@127.0.0.1:1/x").connect(),
    ):
        pass


@pytest.mark.parametrize(
    "url", ["", "garbage", "mysql://u:topsecret@h/d", "postgresql://u:topsecret@more@h/d"]
)
def test_an_unreadable_url_is_not_repeated(url: str) -> None:
    """It may hold a password, so the message only says how a URL looks."""
    with pytest.raises(DatabaseError, match="DATABASE_URL cannot be read") as caught:
        Database(url)
    assert "topsecret" not in str(caught.value)


@pytest.mark.parametrize(
    "prefix", ["postgres", "postgresql", "postgresql+psycopg", "postgresql+psycopg2"]
)
def test_urls_of_other_programs_are_understood(prefix: str) -> None:
    """Heroku's and SQLAlchemy's spellings mean the same server."""
    assert normalized(f"{prefix}://u:p@h:5/d") == "postgresql://u:p@h:5/d"
    assert described(f"{normalized(f'{prefix}://u:p@h:5/d')}") == "postgresql://u@h:5/d"


def test_another_database_of_the_same_server() -> None:
    """Only the name changes; a password with odd characters survives."""
    parts = psycopg.conninfo.conninfo_to_dict(with_database("postgresql://u:p%20%27x@h/d", "e"))
    assert (parts["dbname"], parts["password"], parts["host"]) == ("e", "p 'x", "h")


def test_old_servers_are_refused() -> None:
    """Version 14 is the first that will do."""
    require_version(140_000, "postgresql://h/d")
    with pytest.raises(DatabaseError, match="PostgreSQL 13; version 14 or newer"):
        require_version(130_099, "postgresql://h/d")
