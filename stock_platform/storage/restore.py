"""Bring a backup back: all of it, checked, or nothing.

Belongs here: filling an empty or scratch database, replacing ``stocks`` in one transaction,
replacing a TimescaleDB database by one restored beside it. Does not: the file's form
(archive.py), making backups (backup.py).

On PostgreSQL the dump's SQL runs in one transaction: the schema that is there steps aside, the
dump's takes its place, every table's digest is compared with the manifest's, and only then is
the old one dropped and all of it committed. Readers wait for the end; a failure anywhere, a
kill included, leaves what was there.

TimescaleDB keeps a hypertable's chunks in schemas of its own and is dumped as a whole database,
which is restored beside the present one and takes its name once it has been checked; sessions of
the present one are ended then.
https://www.timescale.com/docs/self-hosted/latest/backup-and-restore/logical-backup
"""

from __future__ import annotations

import secrets
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict

from stock_platform.domain.errors import DatabaseError, InputError
from stock_platform.storage import migrate
from stock_platform.storage.archive import BackupError, Manifest, read_manifest
from stock_platform.storage.connection import connected, described, with_database
from stock_platform.storage.digest import FORMATS, tables, whole_digest, whole_digests
from stock_platform.storage.frames import Connection, one
from stock_platform.storage.info import timescale_version
from stock_platform.storage.roles import PREFIX, ensure_roles
from stock_platform.storage.timescale import TimescaleOptions
from stock_platform.storage.tools import Target, Tools, failure, find_tools

REPLACED = "stocks_replaced"
LOCK_WAIT = "15s"
_CHUNK = 1 << 16
_EXCHANGE_SECONDS = 30.0
_HOUSEKEEPING = {
    "alembic_version", "fetch_log", "pruned_calls", "quota_calls", "source_entitlements",
    "source_health", "source_quota", "source_unknown",
}  # fmt: skip
"""Tables whose rows are nothing a user would miss."""


@dataclass(frozen=True)
class Restored:
    """What was restored: the backup's manifest, and the migrations applied after it."""

    manifest: Manifest
    applied: list[str]


def restore(
    url: str,
    path: Path,
    *,
    force: bool = False,
    role_prefix: str = PREFIX,
    timescale: TimescaleOptions | None = None,
) -> Restored:
    """Replace a database's ``stocks`` by a backup's, wholly or not at all.

    The schema is brought to this code's version afterwards.

    Args:
        url: the database; it need not be migrated.
        path: a file of ``backup``.
        force: replace what is there.
        role_prefix: of the names of the roles that are granted their rights again.
        timescale: how TimescaleDB partitions, compresses and drops, for migrations after the
            backup's; what it holds of TimescaleDB comes back as it was. None: the defaults.

    Raises:
        BackupError: the file is broken, from a newer version, or does not fit the server.
        InputError: the database holds data and ``force`` is not given.
        DatabaseError: it cannot be reached, or refused; nothing has changed then.
    """
    manifest = read_manifest(path)
    newest = migrate.number(migrate.known()[-1])
    if manifest.migration > newest:
        raise BackupError(
            f"{path} has schema version {manifest.migration} and this stock_platform knows "
            f"{newest}: install the newer stock_platform"
        )
    with connected(url, prepare_threshold=None) as connection:
        there = tables(connection)
        if not force:
            _require_empty(connection, there, url)
        server = connection.info.server_version
        schema = _schema_exists(connection)
    tools = find_tools(url, server)
    if manifest.timescale is not None:
        _replace_database(url, path, manifest, tools)
    else:
        before = _step_aside(there, force=force) if schema else ""
        after = f"drop schema {REPLACED} cascade;" if schema else ""
        load(url, path, tools, before=before, after=_check(manifest) + after)
    applied = migrate.migrate(url, role_prefix, timescale)
    ensure_roles(url, role_prefix)
    return Restored(manifest, applied)


@contextmanager
def scratch(url: str, timescale: str | None = None) -> Iterator[str]:
    """The URL of a new empty database on the same server, dropped at the end.

    Raises:
        DatabaseError: the user may not create databases, or the extension is not there.
    """
    name = f"stock_platform_scratch_{secrets.token_hex(6)}"
    _create(url, name, timescale)
    try:
        yield with_database(url, name)
    finally:
        with suppress(DatabaseError):
            _drop(url, name)


def verify(url: str, path: Path, manifest: Manifest, tools: Tools) -> None:
    """Restore a backup into a scratch database and compare every table.

    Raises:
        BackupError: something differs.
        DatabaseError: no scratch database can be made, or it refused the dump.
    """
    with scratch(url, manifest.timescale) as other:
        _fill(other, path, manifest, tools)


def load(url: str, path: Path, tools: Tools, *, before: str = "", after: str = "") -> None:
    """Run a dump's SQL in one transaction, between ``before`` and ``after``.

    Raises:
        DatabaseError: a statement was refused; all is rolled back.
    """
    target = Target.of(url)
    with connected(url) as connection:
        old = connection.info.server_version < 170_000
    reading = tools.command("pg_restore", "--no-owner", "--no-acl", "--no-comments", "-f", "-")
    running = tools.command(
        "psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", f"--dbname={target.conninfo}"
    )
    with tempfile.TemporaryFile() as says, tempfile.TemporaryFile() as complains:
        reader = subprocess.Popen([*reading, str(path)], stdout=subprocess.PIPE, stderr=complains)  # noqa: S603
        writer = subprocess.Popen(  # noqa: S603
            running,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=says,
            env=target.environment,
        )
        try:
            _pump(reader, writer, f"begin;\n{before}\n", f"\n{after}\ncommit;\n", old=old)
        finally:
            for process in (reader, writer):
                if process.poll() is None:
                    process.kill()
                process.wait()
        if writer.returncode != 0:
            raise DatabaseError(f"{described(url)}: {failure(_text(says))}")
        if reader.returncode != 0:
            raise BackupError(f"{path} cannot be read: {failure(_text(complains))}")


def _pump(
    reader: subprocess.Popen[bytes],
    writer: subprocess.Popen[bytes],
    before: str,
    after: str,
    *,
    old: bool,
) -> None:
    """Hand one program's output to the other; ``after`` only if all of it came."""
    if reader.stdout is None or writer.stdin is None:
        raise AssertionError("both are pipes")
    with suppress(BrokenPipeError):  # psql ended, and said why
        writer.stdin.write(before.encode())
        first = reader.stdout.read(_CHUNK)
        if old:  # pg_dump 17 sets what older servers do not know
            first = first.replace(b"SET transaction_timeout = 0;\n", b"")
        writer.stdin.write(first)
        while chunk := reader.stdout.read(_CHUNK):
            writer.stdin.write(chunk)
        if reader.wait() == 0:
            writer.stdin.write(after.encode())
            writer.stdin.flush()
    reader.stdout.close()
    with suppress(BrokenPipeError):
        writer.stdin.close()  # without a commit, what came is rolled back
    writer.wait()


def _fill(url: str, path: Path, manifest: Manifest, tools: Tools) -> None:
    """Restore into an empty database and check it."""
    if manifest.timescale is not None:
        _run(url, "select timescaledb_pre_restore()")
    load(url, path, tools)
    if manifest.timescale is not None:
        _run(url, "select timescaledb_post_restore()")
    with connected(url) as connection:
        found = whole_digests(connection)
    if found != manifest.tables:
        different = sorted(
            name
            for name in found.keys() | manifest.tables.keys()
            if found.get(name) != manifest.tables.get(name)
        )
        raise BackupError(f"{path} restores to something else: {', '.join(different)} differ")


def _replace_database(url: str, path: Path, manifest: Manifest, tools: Tools) -> None:
    """Restore beside the database and let the result take its name."""
    with connected(url) as connection:
        present = timescale_version(connection)
    if present is None:
        raise BackupError(
            f"{path} holds TimescaleDB {manifest.timescale} hypertables: restore it on a server "
            "with that version of the extension"
        )
    name = str(conninfo_to_dict(url).get("dbname") or conninfo_to_dict(url).get("user"))
    suffix = secrets.token_hex(4)
    fresh, former = f"{name}_restore_{suffix}", f"{name}_replaced_{suffix}"
    _create(url, fresh, manifest.timescale)
    try:
        _fill(with_database(url, fresh), path, manifest, tools)
        _exchange(url, name, former, fresh)
    except BaseException:
        with suppress(DatabaseError):
            _drop(url, fresh)
        raise
    _drop(url, former)


def _exchange(url: str, name: str, former: str, fresh: str) -> None:
    """Give ``fresh`` the name, both or none, ending whoever is in either of them.

    TimescaleDB's own workers come back in a moment, and so do clients.
    """
    deadline = time.monotonic() + _EXCHANGE_SECONDS
    while True:
        try:
            with connected(with_database(url, "postgres")) as connection:
                connection.execute(
                    "select pg_terminate_backend(pid, 1000) from pg_stat_activity "
                    "where datname = any(%s) and pg_has_role(usesysid, 'member')",
                    [[name, fresh]],
                )
                _rename(connection, name, former)
                _rename(connection, fresh, name)
            return
        except DatabaseError as error:
            busy = isinstance(error.__cause__, psycopg.errors.ObjectInUse)
            if not busy or time.monotonic() > deadline:
                raise


def _require_empty(connection: Connection, there: list[str], url: str) -> None:
    for table in there:
        if table not in _HOUSEKEEPING:
            query = sql.SQL("select exists (select from {})").format(_named(table))
            if one(connection, query)[0]:
                raise InputError(
                    "database",
                    described(url),
                    f"stocks.{table} holds rows: give --force to replace all of it",
                )


def _schema_exists(connection: Connection) -> bool:
    return bool(one(connection, sql.SQL("select to_regnamespace('stocks') is not null"))[0])


def _step_aside(there: list[str], *, force: bool) -> str:
    """SQL that keeps everybody out and gives the schema another name."""
    words = [
        sql.SQL("set local lock_timeout = {};").format(sql.Literal(LOCK_WAIT)),
        sql.SQL("select pg_advisory_xact_lock({});").format(sql.Literal(migrate.LOCK_KEY)),
    ]
    if there:
        names = sql.SQL(", ").join(_named(table) for table in there)
        words.append(sql.SQL("lock table {} in access exclusive mode;").format(names))
    if not force:  # somebody may have written since we looked
        words += [
            _refuse(
                sql.SQL("exists (select from {})").format(_named(table)),
                f"stocks.{table} holds rows meanwhile: give --force to replace all of it",
            )
            for table in there
            if table not in _HOUSEKEEPING
        ]
    rename = sql.SQL("alter schema stocks rename to {};").format(sql.Identifier(REPLACED))
    return sql.SQL("\n").join([*words, rename]).as_string()


def _check(manifest: Manifest) -> str:
    """SQL that fails unless every table is as the manifest says."""
    checks = [
        _refuse(
            sql.SQL("({}) <> {}").format(whole_digest(table), sql.Literal(found)),
            f"stocks.{table} is not what was backed up",
        ).as_string()
        for table, found in manifest.tables.items()
    ]
    return "\n".join([FORMATS + ";", *checks, ""])


def _refuse(condition: sql.Composed, message: str) -> sql.Composed:
    body = sql.SQL("begin if {} then raise exception using message = {}; end if; end").format(
        condition, sql.Literal(message)
    )
    return sql.SQL("do {};").format(sql.Literal(body.as_string()))


def _create(url: str, name: str, timescale: str | None) -> None:
    with connected(url, autocommit=True) as connection:
        query = sql.SQL("create database {} template template0").format(sql.Identifier(name))
        connection.execute(query)
    if timescale is not None:
        version = sql.Literal(timescale).as_string()
        try:
            _run(with_database(url, name), f"create extension timescaledb with version {version}")
        except DatabaseError:
            _drop(url, name)
            raise


def _drop(url: str, name: str) -> None:
    with connected(url, autocommit=True) as connection:
        query = sql.SQL("drop database if exists {} with (force)").format(sql.Identifier(name))
        connection.execute(query)


def _rename(connection: psycopg.Connection[object], old: str, new: str) -> None:
    connection.execute(
        sql.SQL("alter database {} rename to {}").format(sql.Identifier(old), sql.Identifier(new))
    )


def _run(url: str, text: str) -> None:
    with connected(url, autocommit=True) as connection:
        connection.execute(text.encode())


def _named(table: str) -> sql.Identifier:
    return sql.Identifier("stocks", table)


def _text(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read().decode(errors="replace")
