"""Backups: what comes back is what was there, or nothing changes."""

from __future__ import annotations

import subprocess
import threading
from datetime import date
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from stock_platform.domain.errors import DatabaseError, InputError
from stock_platform.storage import migrate, timescale
from stock_platform.storage.archive import BackupError, append_manifest, read_manifest
from stock_platform.storage.backup import Backup, backup
from stock_platform.storage.connection import Database, connected
from stock_platform.storage.digest import content_hash, whole_digests
from stock_platform.storage.restore import restore, scratch
from stock_platform.storage.timescale import TimescaleOptions
from stock_platform.storage.tools import Target, find_tools
from stock_platform.storage.writers import write_fetch, write_validated
from stock_platform_tests.storage.worlds import (
    dividends_of,
    fetched,
    raw_bars,
    splits_of,
    validated,
    weekdays,
)

pytestmark = pytest.mark.both_servers


def fill(db: Database) -> None:
    """Some of everything."""
    with db.connect() as connection:
        connection.execute(
            "insert into stocks.assets (asset_class, calendar, name) "
            "select 'stock', 'XNYS', E'n\\n' || i from generate_series(1, 3) i"
        )
    bars = raw_bars([1, 2, 3], weekdays(date(2023, 12, 1), 60))
    actions = {
        "splits": splits_of([(1, date(2023, 12, 20), 4.0)]),
        "dividends": dividends_of([(2, date(2023, 12, 21), 0.25)]),
    }
    write_fetch(db, [fetched(bars, **actions)], "run")
    write_validated(db, validated(bars))


def digests(url: str) -> dict[str, str]:
    """Every row of every table."""
    with connected(url) as connection:
        return whole_digests(connection)


@pytest.fixture
def kept(database: Database, database_url: str, tmp_path: Path) -> Backup:
    """A backup of a filled database, not verified."""
    fill(database)
    return backup(database_url, tmp_path / "kept.dump", verify=False)


def test_backup_wipe_restore(database_url: str, database: Database, tmp_path: Path) -> None:
    """After losing everything a restore brings back every row, and reads and writes go on."""
    fill(database)
    before, content = digests(database_url), content_hash(database)
    made = backup(database_url, tmp_path)
    assert made.verified
    assert made.manifest.tables == before
    assert made.manifest.content_hash == content
    with database.connect() as connection:
        connection.execute("drop schema stocks cascade")
    restored = restore(database_url, made.path)
    assert restored.applied == []
    assert digests(database_url) == before
    assert content_hash(database) == content
    more = raw_bars([1], weekdays(date(2024, 6, 3), 5))
    write_fetch(database, [fetched(more)], "run")  # identity columns go on where they were
    with database.connect() as connection:
        row = connection.execute("select max(fetch_id), count(*) from stocks.fetch_log").fetchone()
    assert row == (2, 2)


def test_it_is_a_dump_for_everybody(kept: Backup, database_url: str) -> None:
    """pg_restore alone lists and restores the file; nobody else may read it."""
    assert kept.path.stat().st_mode & 0o777 == 0o600
    with connected(database_url) as connection:
        tools = find_tools(database_url, connection.info.server_version)
    listed = subprocess.run(
        tools.command("pg_restore", "-l", str(kept.path)), capture_output=True, check=True
    )
    assert b"TABLE DATA stocks raw_quotes" in listed.stdout
    with scratch(database_url) as other:
        target = Target.of(other)
        subprocess.run(
            tools.command("pg_restore", "-e", f"--dbname={target.conninfo}", str(kept.path)),
            env=target.environment,
            check=True,
        )
        assert digests(other) == kept.manifest.tables


def test_what_is_there_is_not_replaced_unasked(
    kept: Backup, database_url: str, database: Database
) -> None:
    """Rows in the way are an error that names them; with force they give way."""
    with database.connect() as connection:
        connection.execute("delete from stocks.validated_prices")
    changed = digests(database_url)
    with pytest.raises(InputError, match=r"stocks\.\w+ holds rows: give --force"):
        restore(database_url, kept.path)
    assert digests(database_url) == changed
    restore(database_url, kept.path, force=True)
    assert digests(database_url) == kept.manifest.tables


@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.99])
def test_a_truncated_file_changes_nothing(
    kept: Backup, database_url: str, tmp_path: Path, share: float
) -> None:
    """Wherever it ends, one error says so, and the database is as it was."""
    data = kept.path.read_bytes()
    short = tmp_path / "short.dump"
    short.write_bytes(data[: int(len(data) * share)])
    with pytest.raises(BackupError, match=r"short\.dump is truncated"):
        restore(database_url, short, force=True)
    assert digests(database_url) == kept.manifest.tables


def test_a_damaged_file_changes_nothing(kept: Backup, database_url: str, tmp_path: Path) -> None:
    """A flipped bit is found before anything is touched."""
    data = bytearray(kept.path.read_bytes())
    data[len(data) // 2] ^= 1
    bad = tmp_path / "bad.dump"
    bad.write_bytes(data)
    with pytest.raises(BackupError, match="damaged"):
        restore(database_url, bad, force=True)
    assert digests(database_url) == kept.manifest.tables


def test_a_restore_that_fails_midway_changes_nothing(
    kept: Backup, database_url: str, tmp_path: Path
) -> None:
    """A dump that is not what its manifest says is rolled back after all of it was read."""
    manifest = read_manifest(kept.path)
    wrong = {**manifest.tables, "raw_quotes": "180:1"}
    lying = tmp_path / "lying.dump"
    lying.write_bytes(kept.path.read_bytes()[: manifest.bytes])
    append_manifest(lying, type(manifest)(**{**vars(manifest), "tables": wrong}))
    both = (BackupError, DatabaseError)
    with pytest.raises(both, match=r"raw_quotes (is not what was|differ)"):
        restore(database_url, lying, force=True)
    assert digests(database_url) == kept.manifest.tables


def test_a_backup_is_one_moment(database_url: str, database: Database, tmp_path: Path) -> None:
    """Rows that come while it runs are in neither the dump nor the manifest."""
    fill(database)
    stop = threading.Event()

    def write() -> None:
        days = weekdays(date(2024, 3, 1), 200)
        for day in days:
            if stop.is_set():
                return
            write_fetch(database, [fetched(raw_bars([1, 2], [day]))], "run")

    writer = threading.Thread(target=write)
    writer.start()
    try:
        made = backup(database_url, tmp_path / "busy.dump")
    finally:
        stop.set()
        writer.join()
    assert made.verified


def test_a_newer_backup_is_refused(
    kept: Backup, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A schema this code does not know is not restored."""
    monkeypatch.setattr(migrate, "known", lambda: ("0000_before",))
    with pytest.raises(BackupError, match="install the newer stock_platform"):
        restore(database_url, kept.path, force=True)


def test_names_that_are_taken(kept: Backup, database_url: str, tmp_path: Path) -> None:
    """No file is overwritten; a folder gets a name with the time; a missing one is named."""
    with pytest.raises(InputError, match="it exists"):
        backup(database_url, kept.path)
    assert backup(database_url, tmp_path, verify=False).path.suffix == ".dump"
    with pytest.raises(InputError, match="make the folder"):
        backup(database_url, tmp_path / "no" / "where.dump")
    assert not list(tmp_path.glob("*.part"))


def test_nothing_to_back_up(empty_database_url: str, tmp_path: Path) -> None:
    """An empty database is an error, and a restore into it needs no force."""
    with pytest.raises(DatabaseError, match="nothing to back up"):
        backup(empty_database_url, tmp_path / "x.dump")
    assert not list(tmp_path.iterdir())


def test_without_the_right_to_make_a_database(kept: Backup, database_url: str) -> None:
    """A backup that could not be verified is kept and says why."""
    with psycopg.connect(database_url, autocommit=True) as admin:
        admin.execute("create role backup_only login password 'pw'")  # dropped below
        try:
            admin.execute("grant usage on schema stocks to backup_only")
            admin.execute("grant select on all tables in schema stocks to backup_only")
            admin.execute("grant select on all sequences in schema stocks to backup_only")
            url = make_conninfo(database_url, user="backup_only", password="pw")  # noqa: S106
            made = backup(url, kept.path.with_name("unverified.dump"))
        finally:
            admin.execute("drop owned by backup_only")
            admin.execute("drop role backup_only")
    assert made.path.exists()
    assert not made.verified
    assert "permission denied to create database" in str(made.unverified_because)


def test_the_password_is_in_no_argument(database_url: str) -> None:
    """Programs get it from the environment, which other users cannot see."""
    target = Target.of(make_conninfo(database_url, password="hidden-word"))  # noqa: S106
    assert "hidden-word" not in target.conninfo
    assert "hidden-word" not in repr(target)
    assert target.environment["PGPASSWORD"] == "hidden-word"


@pytest.mark.timescale
def test_hypertables_come_back(timescale_url: str, tmp_path: Path) -> None:
    """With TimescaleDB the whole database is dumped and takes the old one's place."""
    migrate.migrate(timescale_url)
    with Database(timescale_url) as database:
        fill(database)
    before = digests(timescale_url)
    timescale.set_up(timescale_url, TimescaleOptions(retention_days={"raw_intraday": 30}))
    tables = timescale.timescale_status(timescale_url).tables
    made = backup(timescale_url, tmp_path / "ts.dump")
    assert made.verified
    with Database(timescale_url) as database, database.connect() as connection:
        connection.execute("select")  # whoever is there does not keep it from being replaced
        restore(timescale_url, made.path, force=True)
        connection.close()
    assert digests(timescale_url) == before
    found = timescale.timescale_status(timescale_url).tables
    assert [(t.name, t.hypertable, t.compress_after, t.retention) for t in found] == [
        (t.name, t.hypertable, t.compress_after, t.retention) for t in tables
    ]


@pytest.mark.timescale
def test_options_reach_the_migrations_after_a_restore(
    timescale_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A backup of an older schema is brought to this one with the options in force."""
    names = migrate.known()
    with monkeypatch.context() as patch:
        patch.setattr(migrate, "known", lambda: names[:-1])
        patch.setattr(migrate, "_upgrade", lambda url: upgrade_to(url, migrate.known()[-1]))
        migrate.migrate(timescale_url)
        made = backup(timescale_url, tmp_path / "old.dump")
    options = TimescaleOptions(compress_after_days={"raw_quotes": 77})
    restored = restore(timescale_url, made.path, force=True, timescale=options)
    assert restored.applied == [migrate.known()[-1]]
    found = {t.name: t.compress_after for t in timescale.timescale_status(timescale_url).tables}
    assert found["raw_quotes"] == "77 days"


def upgrade_to(url: str, name: str) -> None:
    """Apply migrations up to one, as Alembic does."""
    with psycopg.connect(url) as connection:
        connection.execute("create schema if not exists stocks")
        for each in migrate.known():
            migrate.run_sql(connection, each)
        connection.execute("create table stocks.alembic_version (version_num varchar(32) not null)")
        connection.execute("insert into stocks.alembic_version values (%s)", [migrate.number(name)])
