"""One market and one server for the room, frozen on Saturday 2013-03-02."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime

import httpx
import pytest

from stock_platform.sandbox.config import SandboxConfig
from stock_platform.sandbox.market.market import Market
from stock_platform.sandbox.server import SandboxServer

NOW = datetime(2013, 3, 2, 12, tzinfo=UTC)
CONFIG = SandboxConfig(
    symbols=700,
    now=NOW,
    start=date(2008, 1, 2),
    limits={"yahoo": [], "polygon": []},
    keys={"polygon": ["good-key", "other-key"]},
)


@pytest.fixture(scope="session")
def market() -> Market:
    return Market(CONFIG)


@pytest.fixture(scope="session")
def _running(market: Market) -> Iterator[SandboxServer]:
    with SandboxServer(CONFIG, market=market) as server:
        yield server


@pytest.fixture
def sandbox(_running: SandboxServer) -> Iterator[SandboxServer]:
    """A server without limits, counts at zero, no faults, at NOW."""
    _running.app.reset()
    _running.market.time.freeze(NOW)
    yield _running
    _running.app.reset()
    _running.market.time.freeze(NOW)


@pytest.fixture
def client(sandbox: SandboxServer) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=sandbox.url, timeout=60) as client:
        yield client


def epoch(*when: int) -> int:
    return int(datetime(*when, tzinfo=UTC).timestamp())  # type: ignore[arg-type,misc]  # y, m, d...
