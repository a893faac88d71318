"""A backup file: pg_dump's custom format, with what it holds told at its end.

Belongs here: the trailer, and telling a whole file from a broken one. Does not: making and
restoring dumps (backup.py).

The trailer is JSON, its length (8 bytes, big-endian) and ``STOCKPLATFORM-01``. pg_restore never
reads so far, so the file is one of pg_dump's to every other program; and it stays checkable
wherever it is moved to.
"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from stock_platform.domain.errors import StockPlatformError

MAGIC = b"STOCKPLATFORM-01"
_TAIL = 8 + len(MAGIC)
_LONGEST = 1 << 20
_CHUNK = 1 << 20


class BackupError(StockPlatformError):
    """A backup file cannot be used, or does not hold what it should."""


@dataclass(frozen=True)
class Manifest:
    """What a backup holds.

    Attributes:
        created_at: ISO stamp in UTC of the snapshot.
        database: where it is from, without the password.
        server: PostgreSQL's version there, libpq's number.
        timescale: TimescaleDB's version if its objects are in the dump, else None.
        migration: number of the last migration applied.
        content_hash: digest of prices, actions, coverage (storage/digest.py).
        tables: each table's rows and digest, ``rows:digest``.
        bytes: the dump's size without the trailer.
        sha256: the dump's digest without the trailer.
    """

    created_at: str
    database: str
    server: int
    timescale: str | None
    migration: str
    content_hash: str
    tables: dict[str, str]
    bytes: int
    sha256: str

    @property
    def rows(self) -> int:
        """Rows of all tables."""
        return sum(int(text.partition(":")[0]) for text in self.tables.values())


def append_manifest(path: Path, manifest: Manifest) -> None:
    """Write the trailer, and wait until the disk has it all."""
    text = json.dumps(asdict(manifest), sort_keys=True).encode()
    with path.open("ab") as file:
        file.write(text + len(text).to_bytes(8, "big") + MAGIC)
        file.flush()
        os.fsync(file.fileno())


def read_manifest(path: Path) -> Manifest:
    """The trailer of a backup, after checking that the file is whole.

    Raises:
        BackupError: missing, truncated, damaged, or not made by ``db backup``.
    """
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            file.seek(max(0, size - _TAIL))
            tail = file.read(_TAIL)
            length = int.from_bytes(tail[:8], "big")
            if len(tail) < _TAIL or tail[8:] != MAGIC or length > min(size - _TAIL, _LONGEST):
                raise BackupError(f"{path} is truncated, or was not made by stock-platform")
            file.seek(size - _TAIL - length)
            found = json.loads(file.read(length))
        manifest = Manifest(**{f.name: found[f.name] for f in fields(Manifest)})
    except OSError as error:
        raise BackupError(f"{path} cannot be read: {error.strerror}") from error
    except (ValueError, KeyError, TypeError) as error:
        raise BackupError(f"{path} is damaged: its manifest cannot be read") from error
    if manifest.bytes != size - _TAIL - length or manifest.sha256 != digest(path, manifest.bytes):
        raise BackupError(f"{path} is damaged: it is not what was written")
    return manifest


def digest(path: Path, size: int) -> str:
    """SHA-256 of a file's first bytes."""
    made = hashlib.sha256()
    with path.open("rb") as file:
        while size > 0 and (chunk := file.read(min(size, _CHUNK))):
            made.update(chunk)
            size -= len(chunk)
    return made.hexdigest()
