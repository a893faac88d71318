"""Days of a small quota in seconds: what a day cannot hold waits, and one run a day resumes it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest

from stock_platform.domain.clock import FixedClock
from stock_platform.orchestration.resources import using
from stock_platform.sandbox.config import SandboxConfig
from stock_platform.sandbox.server import SandboxServer
from stock_platform.settings import Settings, load_settings
from stock_platform.storage.quota import PostgresQuota
from stock_platform_tests.orchestration.test_sensors import tick
from stock_platform_tests.orchestration.worlds import RecordingPlatform, World
from stock_platform_tests.pipeline.worlds import FakeSource

NOW = datetime(2024, 3, 9, 12, tzinfo=UTC)
TICKERS = 60
A_DAY = 25  # calls that Alpha Vantage gives away


class VirtualTime:
    """A clock that moves when somebody sleeps, or is told to."""

    def __init__(self) -> None:
        self.at = NOW

    def now(self) -> datetime:
        return self.at

    def sleep(self, seconds: float) -> None:
        self.at += timedelta(seconds=seconds)


@pytest.fixture
def vendors() -> Iterator[SandboxServer]:
    """Alpha Vantage alone; its own count of real seconds is lifted, as days pass in none."""
    config = SandboxConfig(symbols=80, now=NOW, limits={"alpha_vantage": []})
    with SandboxServer(config) as server:
        yield server


@pytest.fixture
def configured(
    vendors: SandboxServer, database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Settings:
    monkeypatch.setenv("ALPHA_VANTAGE_API_KEY", "sandbox-key")
    monkeypatch.setenv("STOCK_PLATFORM_ALPHA_VANTAGE_BASE_URL", vendors.base_url("alpha_vantage"))
    return load_settings(
        _env_file=None, database_url=database_url, home=tmp_path, market_time=NOW,
        start_date=date(2024, 1, 2), sources=("alpha_vantage",),
    )  # fmt: skip


@contextmanager
def started(settings: Settings, clock: VirtualTime) -> Iterator[World]:
    """A platform as a process that has just started finds it."""
    platform = RecordingPlatform(settings)
    platform.wider = []
    platform.__dict__["quota"] = PostgresQuota(platform.db, now=clock.now, sleep=clock.sleep)
    platform.market.wall = FixedClock(clock.at)
    with platform, using(platform):
        yield World(platform, FakeSource("unused", {}))


def test_a_days_quota_is_spent_and_the_rest_waits_for_the_next(
    vendors: SandboxServer, configured: Settings
) -> None:
    """60 tickers at 25 calls a day: three days, a run and two resumptions, each after a restart."""
    clock = VirtualTime()
    listed = vendors.market.listing()["symbol"].to_list()
    day = date(2024, 3, 8)
    traded = [s for s in listed if s.isalpha() and vendors.market.bars(s, day, day).height]
    tickers = traded[:TICKERS]
    with dg.DagsterInstance.ephemeral() as instance:
        with started(configured, clock) as world:
            world.track(instance, *sorted(tickers))
            first, last = ("2024-03-08", min(tickers)), ("2024-03-08", max(tickers))
            assert world.run(instance, "watchlist", first, last).success
            assert vendors.report()["calls"] == A_DAY
            assert clock.at - NOW < timedelta(minutes=5), "it does not wait for tomorrow"
            assert "due" in (tick(world, instance, "resume_waiting").skip_message or "")
        for later, calls in ((1, 2 * A_DAY), (2, TICKERS)):
            clock.at = NOW + timedelta(days=later, hours=1)
            with started(configured, clock) as world:
                [request] = tick(world, instance, "resume_waiting").run_requests
                left = TICKERS - later * A_DAY
                assert request.tags["stock_platform/cells"] == str(left)
                job = world.definitions.resolve_job_def("resume_job")
                assert job.execute_in_process(instance=instance).success
                assert vendors.report()["calls"] == calls
        with started(configured, clock) as world:
            assert "due" in (tick(world, instance, "resume_waiting").skip_message or "")
            grid = world.platform.cells(
                world.platform.watchlist_assets(),
                world.platform.sessions(day, day),
            )
            assert world.platform.coverage(grid).counts["stored"] == TICKERS
