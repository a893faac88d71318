"""Where the embedded server's files live, who owns them, and the lock on all of it.

Belongs here: folders, owners, the record of a home's server, the lock. Does not: running
anything.

    <home>/postgres/            0700, ours
        lock                    held while a server is made, started or stopped
        server.json             0600: cluster folder, role, password, port
    <cluster>/                  0700, the server user's
        data/  log/  lease

The cluster is ``<home>/postgres/cluster`` for a normal user. PostgreSQL refuses to run as
root, so root's server runs as ``postgres`` or ``nobody``, who must be able to reach the
cluster: it is ``<home>/cluster`` if that user may enter the home, and otherwise (a home under
/root) a folder of its own under /var/lib/stock_platform, or /var/tmp where /var/lib is
read-only. No existing folder's mode is ever changed.
"""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from stock_platform.domain.errors import DatabaseError

LOCK_SECONDS = 330.0
_SERVER_USERS = ("postgres", "nobody")
_ROOT_BASES = (Path("/var/lib"), Path("/var/tmp"), Path("/tmp"))  # noqa: S108 - owner is checked


@dataclass(frozen=True)
class Record:
    """What a home remembers of its server. ``password`` is random and only ever stored 0600."""

    cluster_dir: str
    password: str
    role: str = "stock_platform"
    port: int = 0
    ready: bool = False
    extension_dir: str | None = None

    @property
    def cluster(self) -> Path:
        """The folder that holds data, logs and lease."""
        return Path(self.cluster_dir)

    @property
    def data_dir(self) -> Path:
        """PostgreSQL's data directory."""
        return Path(self.cluster_dir, "data")

    @property
    def server_user(self) -> int | None:
        """The uid to run as where it is not ours (root drops to the cluster's owner)."""
        if os.geteuid() != 0:
            return None
        return self.cluster.stat().st_uid

    def with_(self, **changes: Any) -> Record:
        """A copy with some fields changed."""
        return replace(self, **changes)

    def delete(self, home: Path) -> None:
        """Remove the record and the cluster it names."""
        import shutil

        _record_path(home).unlink(missing_ok=True)
        shutil.rmtree(self.cluster, ignore_errors=True)


def _record_path(home: Path) -> Path:
    return Path(home, "postgres", "server.json")


def read_record(home: Path) -> Record | None:
    """The home's record, None where no server was ever made.

    Raises:
        DatabaseError: it is there and cannot be read.
    """
    path = _record_path(home)
    try:
        return Record(**json.loads(path.read_bytes()))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError, TypeError) as error:
        raise DatabaseError(f"cannot read {path}: {one_line(error)}") from error


def write_record(home: Path, record: Record) -> Record:
    """Write the record whole or not at all, readable by its owner only."""
    write_private(_record_path(home), json.dumps(asdict(record), indent=1))
    return record


def write_private(path: Path, text: str) -> None:
    """Replace a file in one step: mode 0600, owned by its folder's owner, on disk on return."""
    new = path.with_name(path.name + ".new")
    new.unlink(missing_ok=True)
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
        if os.geteuid() == 0:
            owner = path.parent.stat()
            os.fchown(file.fileno(), owner.st_uid, owner.st_gid)
    new.replace(path)


@contextmanager
def locked(home: Path) -> Iterator[None]:
    """Hold the home's lock; released by the kernel if we are killed.

    Raises:
        DatabaseError: the home cannot be written, or another process keeps the lock.
    """
    folder = Path(home, "postgres")
    try:
        Path(home).mkdir(mode=0o700, parents=True, exist_ok=True)
        folder.mkdir(mode=0o700, exist_ok=True)
        if folder.stat().st_uid == os.geteuid():
            folder.chmod(0o700)
        descriptor = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        if os.geteuid() == 0:
            owner = folder.stat()
            os.fchown(descriptor, owner.st_uid, owner.st_gid)
    except OSError as error:
        raise DatabaseError(
            f"cannot use {folder} for the embedded PostgreSQL: {one_line(error)}"
        ) from error
    try:
        _take(descriptor, folder / "lock")
        yield
    finally:
        os.close(descriptor)


def _take(descriptor: int, path: Path) -> None:
    deadline = time.monotonic() + LOCK_SECONDS
    while True:
        with suppress(BlockingIOError):
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        if time.monotonic() > deadline:
            raise DatabaseError(f"another process has held {path} for {LOCK_SECONDS:.0f} s")
        time.sleep(0.02)


def make_cluster_dir(home: Path) -> Path:
    """A new, empty 0700 folder for a cluster, owned by the user the server will run as."""
    home = Path(home).resolve()
    if os.geteuid() != 0:
        cluster = home / "postgres" / "cluster"
        cluster.mkdir(mode=0o700, exist_ok=True)
        return cluster
    uid, gid = _unprivileged()
    if can_enter(home, uid, gid):
        cluster = home / "cluster"
        cluster.mkdir(mode=0o700, exist_ok=True)
    else:
        import tempfile

        cluster = Path(tempfile.mkdtemp(prefix="cluster-", dir=root_base()))
        (cluster / "home").write_text(f"{home}\n", encoding="utf-8")
        os.chown(cluster / "home", uid, gid)
    os.chown(cluster, uid, gid)
    return cluster


def root_base() -> Path:
    """Root's folder for what an unprivileged server must reach; never another user's."""
    reasons = []
    for parent in _ROOT_BASES:
        base = parent / "stock_platform"
        try:
            base.mkdir(mode=0o755, exist_ok=True)
            found = base.lstat()
        except OSError as error:
            reasons.append(one_line(error))
            continue
        if not base.is_symlink() and found.st_uid == 0 and not found.st_mode & 0o022:
            base.chmod(0o755)  # a strict umask must not shut the server user out
            return base
        reasons.append(f"{base} is not root's own folder")
    raise DatabaseError("no folder for the embedded PostgreSQL: " + "; ".join(reasons))


def _unprivileged() -> tuple[int, int]:
    import pwd

    for name in _SERVER_USERS:
        with suppress(KeyError):
            entry = pwd.getpwnam(name)
            if entry.pw_uid != 0:
                return entry.pw_uid, entry.pw_gid
    raise DatabaseError(
        "PostgreSQL refuses to run as root and this machine has neither a postgres nor a "
        "nobody user: run as a normal user, or set DATABASE_URL"
    )


def can_enter(folder: Path, uid: int, gid: int) -> bool:
    """Whether a user may pass through a folder and all its parents (modes; no ACLs)."""
    return all(_may_search(step.stat(), uid, gid) for step in (folder, *folder.parents))


def _may_search(found: os.stat_result, uid: int, gid: int) -> bool:
    if found.st_uid == uid:
        return bool(found.st_mode & 0o100)
    if found.st_gid == gid:
        return bool(found.st_mode & 0o010)
    return bool(found.st_mode & 0o001)


def one_line(error: BaseException | str) -> str:
    """An error's text on one line."""
    return " ".join(str(error).split())
