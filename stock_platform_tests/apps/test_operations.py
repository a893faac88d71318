"""Operations from the command line: backups and roles."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from datetime import date

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from stock_platform import open_store
from stock_platform.domain.errors import DatabaseError
from stock_platform.storage.connection import with_options
from stock_platform_tests.apps.conftest import Cli, Fill

PASSWORD = "a-hidden-word"  # noqa: S105 - made up


@pytest.fixture(autouse=True)
def prefix(server_url: str) -> Iterator[str]:
    """Roles of this test's own; dropped after its database."""
    prefix = f"t_{uuid.uuid4().hex[:10]}"
    yield prefix
    with psycopg.connect(server_url, autocommit=True) as admin:
        for (name,) in admin.execute(
            "select rolname from pg_roles where starts_with(rolname, %s) order by 1 desc", [prefix]
        ).fetchall():
            admin.execute(sql.SQL("drop role {}").format(sql.Identifier(name)))


def test_backup_and_restore(cli: Cli, fill: Fill, ticker: str) -> None:
    """What a restore brings back reads as before; a broken file is one line."""
    fill(ticker, start=date(2013, 1, 2), end=date(2013, 1, 31))
    words = ("prices", ticker, "--start", "2013-01-02", "--json")
    before = cli(*words).out
    made = cli("db", "backup", "one.dump", "--json").json
    assert made["verified"] is True
    assert "give --force" in cli("db", "restore", "one.dump").error
    restored = cli("db", "restore", "one.dump", "--force", "--json").json
    assert restored["manifest"]["content_hash"] == made["manifest"]["content_hash"]
    assert cli(*words).out == before
    (cli.folder / "short.dump").write_bytes((cli.folder / "one.dump").read_bytes()[:-100])
    assert "short.dump is truncated" in cli("db", "restore", "short.dump", "--force").error
    assert cli("db", "restore", "none.dump").code == 1
    assert cli(*words).out == before


def test_roles(cli: Cli, fill: Fill, ticker: str, prefix: str, database_url: str) -> None:
    """A login is made with a password nobody sees, and open_store reads as it."""
    fill(ticker, start=date(2013, 1, 2), end=date(2013, 1, 31))
    cli.environment["STOCK_PLATFORM_ROLE_PREFIX"] = prefix
    missing = cli("db", "roles")
    assert "create role" in missing.err
    assert cli("db", "migrate", "--json").json["roles"] is None
    name = f"{prefix}_ann"
    said = cli("db", "roles", "add", name, STOCK_PLATFORM_ROLE_PASSWORD=PASSWORD)
    assert said.code == 0
    assert f"{name} is a reader" in said.out
    assert PASSWORD not in said.out + said.err
    found = cli("db", "roles", "--json").json
    assert {"name": name, "role": "reader", "timeout_ms": "60000ms"} in found["logins"]
    short = cli("db", "roles", "add", f"{name}2", STOCK_PLATFORM_ROLE_PASSWORD="short-7")  # noqa: S106
    assert (short.code, "short-7" in short.err) == (2, False)
    url = make_conninfo(database_url, user=name, password=PASSWORD)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DATABASE_URL", "postgresql://nobody:pw@127.0.0.1:9/x")
        patch.setenv("STOCK_PLATFORM_READER_URL", url)
        with open_store() as store:
            bars = store.prices(ticker, "2013-01-02", adjust="all")
    assert bars.height > 15
    assert cli("db", "roles", "drop", name).code == 0


def test_info_fits_a_terminal(cli: Cli, fill: Fill, ticker: str) -> None:
    """No line of `db info` is wider than 100 columns; JSON tells all of it."""
    fill(ticker, start=date(2013, 1, 2), end=date(2013, 1, 31))
    said = cli("db", "info")
    assert "raw_quotes" in said.out
    assert max(map(len, said.out.splitlines())) <= 100
    found = cli("db", "info", "--json").json
    assert {"connections", "slow_queries", "indexes"} <= set(found)
    assert {"index_bytes", "dead_rows", "compression_ratio"} <= set(found["tables"][0])


def test_tls_is_asked_for(cli: Cli, database_url: str) -> None:
    """sslmode in the URL reaches the server: one that has no TLS is refused in one line."""
    tls = make_conninfo(database_url, sslmode="require")
    for words in (("db", "info"), ("db", "migrate"), ("status",)):
        said = cli(*words, DATABASE_URL=tls)
        assert "server does not support SSL" in said.error
        assert str(conninfo_to_dict(database_url)["password"]) not in said.err
    missing = cli("db", "info", DATABASE_URL=make_conninfo(
        database_url, sslmode="verify-full", sslrootcert="/no/such.crt"))  # fmt: skip
    assert "/no/such.crt" in missing.error or "does not support SSL" in missing.error


def test_readers_have_a_time_limit(database_url: str) -> None:
    """A statement of a reading surface ends at the limit, whoever its login is."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("STOCK_PLATFORM_READER_URL", database_url)
        patch.setenv("STOCK_PLATFORM_READER_TIMEOUT_SECONDS", "0.2")
        with (
            open_store() as store,
            pytest.raises(DatabaseError, match="statement timeout"),
            store._db.connect() as connection,
        ):
            connection.execute("select pg_sleep(5)")


def test_options_are_joined() -> None:
    """The URL's own options come last, so they win."""
    url = with_options("postgresql://h/x?options=-c%20work_mem%3D5MB", {"statement_timeout": "1s"})
    assert "options='-c statement_timeout=1s -c work_mem=5MB'" in url
