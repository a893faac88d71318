"""The HTTP cache: answers worth keeping, in memory and then on disk.

Belongs here: keeping and finding answers. Does not: deciding which answers are good
enough to keep, how fresh they must be, or how they are checked again (http.py).

The disk part is hishel's SQLite storage, which several processes may share. Only its
storage is used: hishel's transport stores an answer before anybody has read it, and an
error inside a HTTP 200 must never stay. Request headers are not stored, and secret
parameters are no part of the address, so that no key reaches the disk.

A cache that cannot be used (no permission, a full disk, a damaged file) is left out with
one warning; nothing fails because of it.
"""

from __future__ import annotations

import hashlib
import logging
import sqlite3
import threading
import zlib
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TypeVar

import hishel

logger = logging.getLogger(__name__)

T = TypeVar("T")

KEPT_FOR = 7 * 86_400.0
"""How long an answer stays on disk, in seconds; after its fresh hours only for its ETag."""

MEMORY_BYTES = 16 * 2**20
DISK_BYTES = 2**30


@dataclass(frozen=True)
class Kept:
    """An answer in the cache.

    Attributes:
        body: decoded bytes. etag, last_modified: what the vendor said for checking again.
        kept_at: wall clock, epoch seconds.
        received_at: when the vendor vouched for it, by the market's clock.
    """

    status: int
    body: bytes
    kept_at: float
    received_at: datetime
    etag: str | None = None
    last_modified: str | None = None


class HttpCache:
    """Answers by address. Safe to use from several threads and processes at once.

    Args:
        path: the SQLite file, made with its folder on first use; None is memory only.
    """

    def __init__(
        self, path: Path | None, *, memory_bytes: int = MEMORY_BYTES, disk_bytes: int = DISK_BYTES
    ) -> None:
        self._path = path
        self._disk: hishel.SqliteStorage | None = None
        if path is not None:
            _catch_hishel_logs()
            self._disk = hishel.SqliteStorage(
                database_path=path, default_ttl=KEPT_FOR, max_size=disk_bytes
            )
        self._lock = threading.Lock()
        self._memory: OrderedDict[str, Kept] = OrderedDict()
        self._memory_free = memory_bytes

    def load(self, address: str) -> Kept | None:
        """The newest answer kept for an address, however old, or None."""
        with self._lock:
            found = self._memory.get(address)
            if found is not None:
                self._memory.move_to_end(address)
                return found
        entries = self._on_disk(lambda disk: [_unpack(e) for e in disk.get_entries(_key(address))])
        usable = [kept for kept in entries or [] if kept is not None]
        if not usable:
            return None
        newest = max(usable, key=lambda kept: kept.kept_at)
        self._remember(address, newest)
        return newest

    def store(self, address: str, kept: Kept) -> None:
        """Keep an answer, in place of an earlier one."""
        self._remember(address, kept)

        def write(disk: hishel.SqliteStorage) -> None:
            _remove(disk, address)
            entry = disk.create_entry(
                hishel.Request("GET", address), _pack(kept), _key(address), ttl=KEPT_FOR
            )
            for _ in _chunks(entry):  # reading the stream is what stores it
                pass

        self._on_disk(write)

    def drop(self, address: str) -> None:
        """Forget an address."""
        with self._lock:
            gone = self._memory.pop(address, None)
            if gone is not None:
                self._memory_free += len(gone.body)
        self._on_disk(lambda disk: _remove(disk, address))

    def close(self) -> None:
        """Close the file."""
        disk, self._disk = self._disk, None
        if disk is not None:
            disk.close()

    def _remember(self, address: str, kept: Kept) -> None:
        with self._lock:
            earlier = self._memory.pop(address, None)
            if earlier is not None:
                self._memory_free += len(earlier.body)
            self._memory[address] = kept
            self._memory_free -= len(kept.body)
            while self._memory_free < 0:
                _, oldest = self._memory.popitem(last=False)
                self._memory_free += len(oldest.body)

    def _on_disk(self, action: Callable[[hishel.SqliteStorage], T]) -> T | None:
        """Run ``action`` on the disk part; after the first trouble there is none any more."""
        disk = self._disk
        if disk is None:
            return None
        with _troubles() as noted:
            try:
                result = action(disk)
            except (OSError, sqlite3.Error, RuntimeError) as error:
                noted.append(str(error))
                result = None
        if noted:
            self._give_up(noted[0])
            return None
        return result

    def _give_up(self, reason: str) -> None:
        with self._lock:
            disk, self._disk = self._disk, None
        if disk is not None:
            logger.warning(
                "HTTP cache %s cannot be used (%s): going on without it", self._path, reason
            )
            disk.close()


def _key(address: str) -> str:
    return hashlib.sha256(address.encode()).hexdigest()


def _remove(disk: hishel.SqliteStorage, address: str) -> None:
    for entry in disk.get_entries(_key(address)):
        disk.remove_entry(entry.id)


def _pack(kept: Kept) -> hishel.Response:
    stamps = {"x-kept-at": repr(kept.kept_at), "x-received-at": kept.received_at.isoformat()}
    if kept.etag:
        stamps["etag"] = kept.etag
    if kept.last_modified:
        stamps["last-modified"] = kept.last_modified
    body = zlib.compress(kept.body, 1)
    return hishel.Response(kept.status, hishel.Headers(stamps), iter([body]))


def _unpack(entry: hishel.Entry) -> Kept | None:
    headers = entry.response.headers
    try:
        return Kept(
            status=entry.response.status_code,
            body=zlib.decompress(b"".join(_chunks(entry))),
            kept_at=float(headers["x-kept-at"]),
            received_at=datetime.fromisoformat(headers["x-received-at"]),
            etag=headers.get("etag"),
            last_modified=headers.get("last-modified"),
        )
    except (KeyError, ValueError, zlib.error):
        return None  # not written by this class


def _chunks(entry: hishel.Entry) -> Iterator[bytes]:
    stream = entry.response.stream
    if isinstance(stream, Iterator):
        yield from stream


# hishel never raises when its storage fails: it logs a traceback and goes on. We want one
# line instead, so its log records are taken for what they are, signs of trouble.
_thread = threading.local()


class _Catcher(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        noted: list[str] | None = getattr(_thread, "noted", None)
        if noted is not None and record.levelno >= logging.WARNING:
            cause = record.exc_info[1] if record.exc_info else None
            noted.append(str(cause) if cause is not None else record.getMessage())


def _catch_hishel_logs() -> None:
    theirs = logging.getLogger("hishel")
    if not any(isinstance(handler, _Catcher) for handler in theirs.handlers):
        theirs.addHandler(_Catcher())
        theirs.propagate = False


@contextmanager
def _troubles() -> Iterator[list[str]]:
    _thread.noted = []
    try:
        yield _thread.noted
    finally:
        _thread.noted = None
