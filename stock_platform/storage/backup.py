"""Back a database up into one file, and know that it can be restored.

Belongs here: making the file. Does not: its form (archive.py), restoring (restore.py).

pg_dump and the digests of the manifest read one snapshot, so a backup of a database in use is
consistent, and what the manifest says is what the dump holds. The file appears under its name
only when it is whole, and verified where that was asked for.

Backed up is the schema ``stocks``. Where TimescaleDB is installed it is the whole database,
because chunks lie in schemas of the extension's own; Dagster's schema comes along then.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict

from stock_platform.domain.errors import DatabaseError, InputError
from stock_platform.storage.archive import Manifest, append_manifest, digest
from stock_platform.storage.connection import connected, described, normalized
from stock_platform.storage.digest import content_digests, hash_of, whole_digests
from stock_platform.storage.frames import Connection, one
from stock_platform.storage.info import timescale_version
from stock_platform.storage.migrate import version
from stock_platform.storage.restore import verify as restore_into_scratch
from stock_platform.storage.tools import Target, Tools, failure, find_tools

LOCK_WAIT_MS = 60_000


@dataclass(frozen=True)
class Backup:
    """A backup file.

    Attributes:
        path: the file.
        manifest: what it holds.
        verified: whether it was restored into a scratch database and found the same.
        unverified_because: why not, where that was asked for and could not be done.
    """

    path: Path
    manifest: Manifest
    verified: bool
    unverified_because: str | None = None


def _silent(_text: str) -> None:
    pass


def backup(
    url: str, target: Path, *, verify: bool = True, tell: Callable[[str], None] = _silent
) -> Backup:
    """Dump the database into a file.

    Args:
        url: the database; its schema must be migrated.
        target: the file to make, or a folder for a file named after the database and the time.
        verify: restore it into a scratch database, compare every table, drop that again.
        tell: is told what is being done.

    Raises:
        InputError: the file exists, or its folder does not.
        BackupError: the dump restores to something else; there is no file then.
        DatabaseError: unreachable, nothing to back up, no pg_dump that fits, or it failed.
    """
    url = normalized(url)
    path = _path(url, target)
    if version(url) is None:
        raise DatabaseError(f"{described(url)} has nothing to back up: run db migrate")
    with _part(path) as part:
        with connected(url, prepare_threshold=None) as connection:
            tools = find_tools(url, connection.info.server_version)
            connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
            connection.read_only = True
            snapshot = str(one(connection, sql.SQL("select pg_export_snapshot()"))[0])
            timescale = timescale_version(connection)
            tell("dumping ...")
            _dump(url, part, tools, snapshot, whole=timescale is not None)
            tell("hashing ...")
            manifest = _manifest(connection, url, part, timescale)
        append_manifest(part, manifest)
        problem = None
        if verify:
            tell("restoring it into a scratch database ...")
            try:
                restore_into_scratch(url, part, manifest, tools)
            except DatabaseError as error:  # BackupError, which means a bad dump, passes
                problem = str(error)
        part.replace(path)
    return Backup(path, manifest, verify and problem is None, problem)


def _path(url: str, target: Path) -> Path:
    if target.is_dir():
        name = conninfo_to_dict(url).get("dbname") or "stock_platform"
        path = target / f"{name}-{datetime.now(UTC):%Y%m%dT%H%M%SZ}.dump"
    else:
        path = target
    if path.exists():
        raise InputError("file", str(path), "it exists: choose another name")
    if not path.parent.is_dir():
        raise InputError("file", str(path), f"make the folder {path.parent} first")
    return path


@contextmanager
def _part(path: Path) -> Iterator[Path]:
    """A file beside the wanted one, readable by its owner only; gone if the block fails."""
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    os.close(os.open(part, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600))
    try:
        yield part
    finally:
        with suppress(FileNotFoundError):
            part.unlink()


def _dump(url: str, path: Path, tools: Tools, snapshot: str, *, whole: bool) -> None:
    target = Target.of(url)
    command = tools.command(
        "pg_dump",
        "--format=custom",
        "--compress=3",  # a third of the time of the default, a tenth more space
        f"--snapshot={snapshot}",
        f"--lock-wait-timeout={LOCK_WAIT_MS}",
        f"--file={path}",
        f"--dbname={target.conninfo}",
        *([] if whole else ["--schema=stocks"]),
    )
    done = subprocess.run(  # noqa: S603 - a program of PostgreSQL's
        command, capture_output=True, text=True, check=False, env=target.environment
    )
    if done.returncode != 0:
        raise DatabaseError(f"{described(url)}: pg_dump: {failure(done.stderr)}")


def _manifest(connection: Connection, url: str, part: Path, timescale: str | None) -> Manifest:
    size = part.stat().st_size
    revision = one(connection, sql.SQL("select version_num from stocks.alembic_version"))[0]
    return Manifest(
        created_at=one(connection, sql.SQL("select now()"))[0].astimezone(UTC).isoformat(),
        database=described(url),
        server=connection.info.server_version,
        timescale=timescale,
        migration=str(revision),
        content_hash=hash_of(content_digests(connection)),
        tables=whole_digests(connection),
        bytes=size,
        sha256=digest(part, size),
    )
