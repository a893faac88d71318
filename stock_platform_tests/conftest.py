"""What tests share: one real PostgreSQL a session, a fresh migrated database a test.

Belongs here: fixtures of several rooms. Does not: helpers of one room.

The server is an embedded one in a temporary home, started by the first test that needs it,
shared with pytest-xdist's workers, and deleted at the end. STOCK_PLATFORM_TEST_DATABASE_URL
names another server (its user must be allowed to create databases), and
STOCK_PLATFORM_TEST_TIMESCALE_URL one with TimescaleDB for the tests marked ``timescale``; those
marked ``both_servers`` run there, too. STOCK_PLATFORM_TEST_EXTENSION_DIR is a folder to load
TimescaleDB from, for servers that tests start, and may kill: without a URL, such a one is used.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from stock_platform.storage.connection import Database, with_database
from stock_platform.storage.embedded import ensure_server, remove_server
from stock_platform.storage.migrate import SQL_FOLDER, migrate

_HOME = "STOCK_PLATFORM_TEST_HOME"
_KEEP = "STOCK_PLATFORM_TEST_"
_TIMESCALE = ("STOCK_PLATFORM_TEST_TIMESCALE_URL", "STOCK_PLATFORM_TEST_EXTENSION_DIR")
_NEEDS = f"needs {' or '.join(_TIMESCALE)}"


def pytest_configure(config: pytest.Config) -> None:
    """Hide the user's settings from the tests; choose the server's home for all workers."""
    for name in list(os.environ):
        ours = name.startswith("STOCK_PLATFORM_") and name != "STOCK_PLATFORM_SHARED"
        if (ours or name.endswith("_API_KEY") or name == "DATABASE_URL") and not name.startswith(
            _KEEP
        ):
            del os.environ[name]
    os.environ["STOCK_PLATFORM_SOURCES"] = "files,polygon,yahoo"  # the others would ask the world
    os.environ["STOCK_PLATFORM_PATIENCE_SECONDS"] = "0"  # a source that is gone stays away
    if not hasattr(config, "workerinput"):
        os.environ[_HOME] = tempfile.mkdtemp(prefix="stock_platform_test_")


def pytest_unconfigure(config: pytest.Config) -> None:
    """Delete the session's server, in the process that chose its home."""
    if not hasattr(config, "workerinput") and (home := os.environ.pop(_HOME, None)):
        remove_server(Path(home))
        remove_server(Path(home, "timescale"))
        shutil.rmtree(home, ignore_errors=True)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip, and say so, what needs a TimescaleDB nobody named."""
    if any(map(os.environ.get, _TIMESCALE)):
        return
    for item in items:
        if item.get_closest_marker("timescale"):
            item.add_marker(pytest.mark.skip(reason=_NEEDS))


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Where there is a TimescaleDB, run tests marked ``both_servers`` on both."""
    marked = metafunc.definition.get_closest_marker("both_servers")
    if marked and "server_kind" in metafunc.fixturenames and any(map(os.environ.get, _TIMESCALE)):
        kinds = ["plain", pytest.param("timescale", marks=pytest.mark.timescale)]
        metafunc.parametrize("server_kind", kinds, indirect=True, scope="session")


@pytest.fixture(scope="session")
def server_kind(request: pytest.FixtureRequest) -> str:
    """``plain`` or ``timescale``: which server a test is run on."""
    return str(getattr(request, "param", "plain"))


@pytest.fixture(scope="session")
def server_url(server_kind: str) -> str:
    """A server on which tests may create databases; never use this database itself."""
    if server_kind == "timescale":
        return _timescale_server()
    given = os.environ.get("STOCK_PLATFORM_TEST_DATABASE_URL")
    if given:
        return given
    url = ensure_server(Path(os.environ[_HOME])).url
    with psycopg.connect(url, autocommit=True) as admin:  # nothing here outlives a power cut
        for setting in ("fsync", "full_page_writes"):
            _command(admin, "alter system set {} = off", setting)
        admin.execute("select pg_reload_conf()")
    return url


@pytest.fixture(scope="session")
def _template(server_url: str) -> str:
    """The name of a migrated database to copy: making one by copy is quicker than migrating."""
    digest = hashlib.sha256()
    for path in sorted(SQL_FOLDER.glob("*.sql")):
        digest.update(path.read_bytes())
    name = f"stock_platform_template_{digest.hexdigest()[:12]}"
    with psycopg.connect(server_url, autocommit=True) as admin:
        admin.execute("select pg_advisory_lock(7305170901226115)")
        if not admin.execute("select 1 from pg_database where datname = %s", [name]).fetchone():
            half = f"{name}_{uuid.uuid4().hex[:8]}"
            _command(admin, "create database {}", half)
            migrate(with_database(server_url, half))
            # TimescaleDB's workers connect to every database that may be connected to.
            _command(admin, "alter database {} with allow_connections false", half)
            while admin.execute(
                "select pg_terminate_backend(pid) from pg_stat_activity where datname = %s", [half]
            ).fetchall():
                time.sleep(0.05)
            _command(admin, "alter database {} rename to {}", half, name)
    return name


@pytest.fixture
def database_url(server_url: str, _template: str) -> Iterator[str]:
    """The URL of a fresh, migrated, empty database; dropped after the test."""
    yield from _fresh(server_url, _template)


@pytest.fixture(scope="module")
def module_database_url(server_url: str, _template: str) -> Iterator[str]:
    """As ``database_url``, for all tests of a module: they leave it as they like it."""
    yield from _fresh(server_url, _template)


@pytest.fixture
def empty_database_url(server_url: str) -> Iterator[str]:
    """The URL of a fresh database without any schema of ours; dropped after the test."""
    yield from _fresh(server_url, "template0")


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    """A ``Database`` on a fresh, migrated database."""
    with Database(database_url, "stock_platform_tests") as database:
        yield database


@pytest.fixture
def timescale_url() -> Iterator[str]:
    """The URL of a fresh database on the TimescaleDB server, without any schema of ours."""
    yield from _fresh(_timescale_server(), "template0")  # nobody is connected to that one


@pytest.fixture(scope="session")
def extension_dir(server_kind: str) -> Path | None:
    """What a server that a test starts itself loads TimescaleDB from; None for a plain one."""
    if server_kind == "plain":
        return None
    given = os.environ.get("STOCK_PLATFORM_TEST_EXTENSION_DIR")
    if not given:
        pytest.skip("needs STOCK_PLATFORM_TEST_EXTENSION_DIR, a folder with TimescaleDB")
    return Path(given)


@pytest.fixture(scope="session")
def shared_fixtures() -> Path:
    """The folder of recorded payloads and real histories; tests are skipped without it."""
    beside = Path(__file__).resolve().parents[2] / "shared" / "fixtures"
    folder = Path(os.environ.get("STOCK_PLATFORM_SHARED", beside))
    if not folder.is_dir():
        pytest.skip("needs the recorded payloads: STOCK_PLATFORM_SHARED or ../shared/fixtures")
    return folder


def _timescale_server() -> str:
    url, folder = map(os.environ.get, _TIMESCALE)
    if url:
        return url
    if not folder:
        pytest.skip(_NEEDS)
    return ensure_server(Path(os.environ[_HOME], "timescale"), extension_dir=Path(folder)).url


def _fresh(server: str, template: str) -> Iterator[str]:
    name = f"stock_platform_test_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(server, autocommit=True) as admin:
        # Without fsync copying the files costs a fifth of writing their pages to the log.
        unsafe = admin.execute("show fsync").fetchone() == ("off",)
        how = " strategy file_copy" if unsafe else ""
        _command(admin, "create database {} template {}" + how, name, template)
    try:
        yield with_database(server, name)
    finally:
        with psycopg.connect(server, autocommit=True) as admin:
            _command(admin, "drop database {} with (force)", name)


def _command(admin: psycopg.Connection[object], text: str, *names: str) -> None:
    identifiers = [sql.Identifier(name) for name in names]
    admin.execute(sql.SQL(text).format(*identifiers))
