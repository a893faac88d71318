"""The demo's world: its folder, its settings, its market and what goes wrong in it.

Belongs here: values, and the environment that makes every process of the demo see them.
Does not: running anything but the sandbox.

The market stands still after the close of 1 March 2013, where the real histories of
bokeh_sampledata end; limits run sixty times faster than in life, here and in the sandbox. A
session's bar is published the day after, so the last one asked for is 28 February.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import stock_platform
from stock_platform.apps.supervise import Service, Supervisor, answers, free_port
from stock_platform.domain.errors import InputError, StockPlatformError

NOW = datetime(2013, 3, 1, 23, tzinfo=UTC)
CLOCK_RATE = 60
SEED = 7
HOST = "127.0.0.1"

TICKERS = ("AAPL", "FB", "GOOG", "IBM", "MSFT")
FIRST, MARKET_FIRST, LAST = date(2011, 3, 1), date(2012, 12, 3), date(2013, 2, 28)

RETRY_AFTER = 3.0
FAULTS: tuple[dict[str, Any], ...] = (
    {"kind": "http_500", "vendor": "yahoo", "symbol": "GOOG", "times": 1},
    {"kind": "negative", "vendor": "yahoo", "symbol": "IBM", "times": 1, "share": 0.004},
    {"kind": "http_429", "vendor": "polygon", "nth": 6, "retry_after": RETRY_AFTER},
    {"kind": "truncated", "vendor": "polygon", "nth": 12},
    {"kind": "high_below_low", "vendor": "polygon", "nth": 20, "share": 0.01},
    {"kind": "disconnect", "vendor": "polygon", "nth": 30},
)

LOCK = "up.lock"
_MARK = "demo.json"
_OURS = ("STOCK_PLATFORM_", "DAGSTER_")


def default_home() -> Path:
    """``STOCK_PLATFORM_HOME`` of the environment, else a folder under the working directory."""
    given = os.environ.get("STOCK_PLATFORM_HOME")
    return Path(given).expanduser().absolute() if given else Path.cwd() / ".stock_platform" / "demo"


@dataclass(frozen=True)
class World:
    """One demo.

    Attributes:
        home: its folder.
        symbols: generated symbols beside the real ones.
    """

    home: Path
    symbols: int

    def sandbox(self) -> dict[str, Any]:
        """The sandbox's configuration."""
        return {
            "symbols": self.symbols,
            "seed": SEED,
            "now": NOW.isoformat(),
            "clock_rate": CLOCK_RATE,
            "faults": list(FAULTS),
        }

    def environment(self, sandbox: str) -> dict[str, str]:
        """The settings of every process of the demo, with the sandbox at an address."""
        return {
            "STOCK_PLATFORM_HOME": str(self.home),
            "STOCK_PLATFORM_SOURCES": "polygon,yahoo",
            "STOCK_PLATFORM_YAHOO_BASE_URL": f"{sandbox}/yahoo",
            "STOCK_PLATFORM_POLYGON_BASE_URL": f"{sandbox}/polygon",
            "POLYGON_API_KEY": "a-key-for-the-sandbox",
            "STOCK_PLATFORM_MARKET_TIME": NOW.isoformat(),
            "STOCK_PLATFORM_CLOCK_RATE": str(CLOCK_RATE),
            "STOCK_PLATFORM_START_DATE": FIRST.isoformat(),
        }

    # ---- the folder ----

    def prepare(self, *, fresh: bool) -> None:
        """Make the folder, or take it up again; ``fresh`` empties it.

        Raises:
            InputError: the folder holds something that is not a demo of this size.
        """
        self.home.mkdir(mode=0o700, parents=True, exist_ok=True)
        there = [path for path in self.home.iterdir() if path.name != LOCK]
        if there and not (self.home / _MARK).is_file():
            raise InputError(
                "STOCK_PLATFORM_HOME",
                str(self.home),
                "use an empty folder or a demo's: the demo does not mix its prices with yours",
            )
        if fresh and there:
            from stock_platform.storage.embedded import remove_server

            remove_server(self.home)
            for path in self.home.iterdir():
                if path.is_dir():
                    shutil.rmtree(path)
                elif path.name != LOCK:
                    path.unlink()
        known = self.memory().get("symbols", self.symbols)
        if known != self.symbols:
            raise InputError(
                "tickers", self.symbols, f"this demo was begun with {known}; --fresh starts over"
            )
        self.remember(symbols=self.symbols)

    def memory(self) -> dict[str, Any]:
        """What earlier runs of this demo left behind."""
        mark = self.home / _MARK
        if not mark.is_file():
            return {}
        found: dict[str, Any] = json.loads(mark.read_text(encoding="utf-8"))
        return found

    def remember(self, **facts: Any) -> None:
        """Keep facts for the next run of this demo."""
        part = self.home / f".{_MARK}.part"
        part.write_text(json.dumps(self.memory() | facts, indent=2), encoding="utf-8")
        part.replace(self.home / _MARK)

    def enter(self, sandbox: str) -> None:
        """Make this process and its children part of the demo, and blind to the user's settings.

        The working directory moves to the demo's folder, because ``.env`` is read from there.
        """
        for name in list(os.environ):
            if name.startswith(_OURS) or name.endswith("_API_KEY") or name == "DATABASE_URL":
                del os.environ[name]
        os.environ.update(self.environment(sandbox))
        paths = [str(Path(stock_platform.__file__).parents[1]), os.environ.get("PYTHONPATH", "")]
        os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, paths))
        os.chdir(self.home)


def start_sandbox(supervisor: Supervisor, world: World) -> str:
    """Start the sandbox as a service; its address.

    Raises:
        StockPlatformError: it ended, or does not answer.
    """
    port = free_port(HOST, 0)
    supervisor.start(
        Service(
            "sandbox",
            [
                *(sys.executable, "-m", "stock_platform", "sandbox", "--port", str(port)),
                *("--config", json.dumps(world.sandbox())),
            ],
        )
    )
    url = f"http://{HOST}:{port}"
    supervisor.wait_until(lambda: answers(f"{url}/_sandbox/health"), "the sandbox")
    return url


def report(sandbox: str) -> Mapping[str, Any]:
    """What the sandbox counted, with a log of every call.

    Raises:
        StockPlatformError: it does not answer.
    """
    try:
        with urllib.request.urlopen(f"{sandbox}/_sandbox/report?log=true", timeout=30) as answer:  # noqa: S310 - our own http address
            found: Mapping[str, Any] = json.load(answer)
            return found
    except OSError as error:
        raise StockPlatformError(f"the sandbox at {sandbox} does not answer: {error}") from error
