"""Migrations: once, in order, whoever asks and however many ask at once."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest

from stock_platform.domain.errors import DatabaseError
from stock_platform.storage import migrate as module
from stock_platform.storage.migrate import known, migrate, number, version

pytestmark = pytest.mark.both_servers


def test_an_empty_database_gets_all_and_a_current_one_nothing(empty_database_url: str) -> None:
    """The second run is a query that finds the newest version."""
    assert version(empty_database_url) is None
    assert migrate(empty_database_url) == list(known())
    assert version(empty_database_url) == number(known()[-1])
    assert migrate(empty_database_url) == []


def test_racing_runners_apply_each_migration_once(empty_database_url: str) -> None:
    """One of them reports the work, the others find it done."""
    with ThreadPoolExecutor(6) as pool:
        reports = list(pool.map(migrate, [empty_database_url] * 6))
    assert max(reports, key=len) == list(known())
    assert sum(len(report) for report in reports) == len(known())


def test_a_current_database_does_not_import_alembic(database_url: str) -> None:
    """Every command migrates on start, so being current must cost next to nothing."""
    code = (
        "import sys; from stock_platform.storage.migrate import migrate; "
        f"assert migrate({database_url!r}) == []; "
        "assert 'alembic' not in sys.modules and 'sqlalchemy' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_database_from_the_future_is_left_alone(database_url: str) -> None:
    """An old program must not write into a schema it does not know."""
    with psycopg.connect(database_url) as connection:
        connection.execute("update stocks.alembic_version set version_num = '9999'")
    with pytest.raises(DatabaseError, match=r"schema version 9999 .* install the newer"):
        migrate(database_url)


def test_a_refused_migration_leaves_nothing_behind(
    empty_database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error is one line that names the migration, and the next run begins anew."""
    sql = tmp_path / "sql"
    shutil.copytree(module.SQL_FOLDER, sql)
    first = sql / f"{known()[0]}.sql"
    first.write_text(first.read_text(encoding="utf-8") + "\nselect 1/0;\n", encoding="utf-8")
    with monkeypatch.context() as patch:
        patch.setattr(module, "SQL_FOLDER", _Elsewhere(sql, module.SQL_FOLDER.parent))
        with pytest.raises(DatabaseError, match=rf"migration {known()[0]} failed: division") as it:
            migrate(empty_database_url)
    assert "\n" not in str(it.value)
    assert version(empty_database_url) is None
    assert migrate(empty_database_url) == list(known())


def test_a_user_without_rights_gets_one_line(empty_database_url: str) -> None:
    """A read-only role is told what it may not do."""
    with psycopg.connect(empty_database_url) as connection:
        connection.execute("drop role if exists stock_platform_test_reader")
        connection.execute("create role stock_platform_test_reader login password 'reader'")
    try:
        url = psycopg.conninfo.make_conninfo(
            empty_database_url,
            user="stock_platform_test_reader",
            password="reader",  # noqa: S106 - made up
        )
        with pytest.raises(DatabaseError, match="permission denied") as caught:
            migrate(url)
        assert "\n" not in str(caught.value)
    finally:
        with psycopg.connect(empty_database_url) as connection:
            connection.execute("drop role stock_platform_test_reader")


def test_each_file_has_its_revision_and_they_form_one_line() -> None:
    """Files are numbered from 0001 without gaps, and Alembic sees the same chain."""
    assert [int(number(name)) for name in known()] == list(range(1, len(known()) + 1))
    versions = module.SQL_FOLDER.parent / "versions"
    assert {path.stem for path in versions.glob("*.py")} == set(known())
    previous = None
    for name in known():
        text = (versions / f"{name}.py").read_text(encoding="utf-8")
        assert f'revision = "{number(name)}"' in text
        down = re.search(r"^down_revision = (.+)$", text, re.MULTILINE)
        assert down is not None
        assert down.group(1) == (f'"{previous}"' if previous else "None")
        assert f'"{name}")' in text
        previous = number(name)


class _Elsewhere:
    """A folder of SQL files at one path whose Alembic scripts are at another."""

    def __init__(self, sql: Path, scripts: Path) -> None:
        self._sql = sql
        self.parent = scripts

    def __truediv__(self, name: str) -> Path:
        return self._sql / name
