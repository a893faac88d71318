"""The command as users start it: a process of its own, in a folder and a home of its own.

Most are forks of a process that has imported it (zygote.py); ``start`` and ``fresh`` begin
with Python itself.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from stock_platform.pipeline.runtime import Platform
from stock_platform.sandbox.config import SandboxConfig
from stock_platform.sandbox.server import SandboxServer
from stock_platform.settings import load_settings
from stock_platform_tests.apps.zygote import Zygote

REPOSITORY = Path(__file__).parents[2]
NOW = datetime(2013, 3, 1, 23, tzinfo=UTC)
UNREACHABLE = "postgresql://someone:hidden-word@127.0.0.1:9/prices"
_SECONDS = 120


@dataclass(frozen=True)
class Said:
    """What a command said: exit code, stdout, stderr."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        assert self.code in (0, 1, 3), self.err
        return json.loads(self.out)

    @property
    def error(self) -> str:
        """The one line on stderr."""
        lines = self.err.strip().splitlines()
        assert len(lines) == 1, self.err
        assert lines[0].startswith("error: "), self.err
        return lines[0]


@dataclass
class Cli:
    """Runs ``stock-platform`` under an environment that a test may add to."""

    zygote: Zygote
    folder: Path
    environment: dict[str, str] = field(default_factory=dict)

    def __call__(self, *words: str, **environment: str) -> Said:
        out, err = self.folder / f".out-{uuid4().hex}", self.folder / f".err-{uuid4().hex}"
        try:
            code = self.zygote.run(
                list(words), self.folder, self.surroundings(environment), out, err, _SECONDS
            )
            return Said(code, out.read_text(), err.read_text())
        finally:
            out.unlink(missing_ok=True)
            err.unlink(missing_ok=True)

    def fresh(self, *words: str, **environment: str) -> Said:
        """The same by ``python -m stock_platform``."""
        done = subprocess.run(
            self.command(*words),
            cwd=self.folder,
            env=self.surroundings(environment),
            capture_output=True,
            text=True,
            timeout=_SECONDS,
            check=False,
        )
        return Said(done.returncode, done.stdout, done.stderr)

    def start(self, *words: str, **environment: str) -> subprocess.Popen[str]:
        """Start a command that does not end by itself."""
        return subprocess.Popen(
            self.command(*words),
            cwd=self.folder,
            env=self.surroundings(environment),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def command(self, *words: str) -> list[str]:
        return [sys.executable, "-m", "stock_platform", *words]

    def surroundings(self, more: Mapping[str, str]) -> dict[str, str]:
        keep = ("PATH", "HOME", "LANG", "TMPDIR")
        base = {name: os.environ[name] for name in keep if name in os.environ}
        return {**base, "PYTHONPATH": str(REPOSITORY), **self.environment, **more}


@pytest.fixture(scope="session")
def zygote() -> Iterator[Zygote]:
    """What commands are forked from."""
    process = Zygote(REPOSITORY)
    yield process
    process.close()


@pytest.fixture
def bare(zygote: Zygote, tmp_path: Path) -> Cli:
    """The command where no database answers: for what must not need one."""
    return Cli(
        zygote,
        tmp_path,
        {
            "STOCK_PLATFORM_HOME": str(tmp_path / "home"),
            "DATABASE_URL": UNREACHABLE,
            "STOCK_PLATFORM_MARKET_TIME": NOW.isoformat(),
            "STOCK_PLATFORM_START_DATE": "2013-01-02",
            "STOCK_PLATFORM_SOURCES": "files,polygon,yahoo",
            "STOCK_PLATFORM_PATIENCE_SECONDS": "0",
        },
    )


@pytest.fixture
def cli(bare: Cli, database_url: str) -> Cli:
    """The command on a fresh database."""
    bare.environment["DATABASE_URL"] = database_url
    return bare


@pytest.fixture(scope="session")
def _server() -> Iterator[SandboxServer]:
    config = SandboxConfig(symbols=20, now=NOW, limits={"yahoo": [], "polygon": []})
    with SandboxServer(config) as server:
        yield server


@pytest.fixture
def sandbox(_server: SandboxServer, cli: Cli) -> Iterator[SandboxServer]:
    """A market for ``cli`` to ask, frozen on 1 March 2013; nothing has been asked yet."""
    _server.app.reset()
    cli.environment |= {
        "STOCK_PLATFORM_YAHOO_BASE_URL": _server.base_url("yahoo"),
        "STOCK_PLATFORM_POLYGON_BASE_URL": _server.base_url("polygon"),
        "POLYGON_API_KEY": "a-key",
        "STOCK_PLATFORM_CLOCK_RATE": "1000",
    }
    yield _server
    _server.app.reset()


@pytest.fixture
def ticker(sandbox: SandboxServer) -> str:
    """A stock that has traded all the time."""
    listing = sandbox.market.listing()
    rows = listing.filter(listing["delisted_on"].is_null()).iter_rows(named=True)
    first = date(2012, 1, 1)
    return next(
        str(row["symbol"])
        for row in rows
        if str(row["symbol"]).isalpha() and row["kind"] == "CS"
        and row["listed_on"] < first
        and sandbox.market.bars(str(row["symbol"]), first, NOW.date()).height > 280
    )  # fmt: skip


Fill = Callable[..., None]


@pytest.fixture
def fill(cli: Cli, sandbox: SandboxServer, database_url: str) -> Fill:
    """Store prices of tickers from start to end, without Dagster."""

    def filled(*tickers: str, start: date, end: date) -> None:
        settings = load_settings(
            database_url=database_url,
            home=cli.folder / "home",
            yahoo_base_url=sandbox.base_url("yahoo"),
            sources=("yahoo",),
            market_time=NOW,
            clock_rate=1000.0,
        )
        with Platform.from_settings(settings) as platform:
            assets = platform.assets_for(tickers)
            grid = platform.cells(assets, platform.sessions(start, end))
            for batches in platform.fetch(grid):
                platform.write_fetch(batches)
            for batch in platform.validate(grid):
                platform.write_validated(batch)

    return filled
