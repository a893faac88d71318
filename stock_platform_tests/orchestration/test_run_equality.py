"""However a rectangle is cut into runs, the same calls are made, against the sandbox."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from datetime import UTC, date, datetime
from pathlib import Path

import dagster as dg
import numpy as np
import pytest
from dagster._core.execution.backfill import PartitionBackfill
from dagster_shared.utils.warnings import disable_dagster_warnings

from stock_platform.orchestration.partitions import SHARD_KEYS
from stock_platform.orchestration.resources import using
from stock_platform.sandbox.config import SandboxConfig
from stock_platform.sandbox.server import SandboxServer
from stock_platform.settings import load_settings
from stock_platform_tests.orchestration.worlds import RecordingPlatform, World
from stock_platform_tests.pipeline.worlds import FakeSource

NOW = datetime(2024, 3, 9, 12, tzinfo=UTC)
BACKFILL = "abcdefgh"
RAW = dg.AssetKey(["market", "raw_quotes"])
SESSIONS = 8
SHORT = (SESSIONS, 250)
LONG = (252, 1000)
FULL_SIZE = pytest.param(LONG, marks=pytest.mark.thorough)


@pytest.fixture
def size(request: pytest.FixtureRequest) -> tuple[int, int]:
    """Sessions and generated symbols."""
    found: tuple[int, int] = getattr(request, "param", SHORT)
    return found


@pytest.fixture
def vendors(size: tuple[int, int]) -> Iterator[SandboxServer]:
    """Polygon and Yahoo under their free limits, a thousand times as fast."""
    with SandboxServer(SandboxConfig(symbols=size[1], now=NOW, clock_rate=1000.0)) as server:
        yield server


@pytest.fixture
def market(
    vendors: SandboxServer, database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[World]:
    """The definitions over a platform that asks the sandbox."""
    monkeypatch.setenv("POLYGON_API_KEY", "sandbox-key")
    for name in ("polygon", "yahoo"):
        monkeypatch.setenv(f"STOCK_PLATFORM_{name.upper()}_BASE_URL", vendors.base_url(name))
    settings = load_settings(
        _env_file=None, database_url=database_url, home=tmp_path, market_time=NOW,
        start_date=date(2023, 1, 3), clock_rate=1000.0, sources=("polygon", "yahoo"),
    )  # fmt: skip
    platform = RecordingPlatform(settings)
    platform.wider = []
    with platform, using(platform):
        yield World(platform, FakeSource("unused", {}))


def days_of(world: World, count: int) -> list[str]:
    days = world.platform.sessions(date(2023, 1, 3), date(2024, 3, 8))[-count:]
    return [str(day) for day in days]


def backfilled(world: World, days: list[str]) -> dg.DagsterInstance:
    """An instance with the backfill of all shards and days, as the UI records it."""
    instance = dg.DagsterInstance.ephemeral()
    with disable_dagster_warnings():
        instance.add_backfill(
            PartitionBackfill.from_asset_partitions(
                backfill_id=BACKFILL,
                asset_graph=world.definitions.resolve_asset_graph(),
                partition_names=[f"{day}|{shard}" for day in days for shard in SHARD_KEYS],
                asset_selection=[RAW],
                backfill_timestamp=0.0,
                tags={},
                dynamic_partitions_store=instance,
                all_partitions=False,
                title=None,
                description=None,
                run_config=None,
            )
        )
    return instance


def fetch(
    world: World,
    instance: dg.DagsterInstance,
    days: list[str],
    shards: tuple[str, str],
    tags: dict[str, str] | None = None,
) -> None:
    """A run of the market's raw quotes over a rectangle."""
    first, last = (
        (date.fromisoformat(day), s) for day, s in zip((days[0], days[-1]), shards, strict=True)
    )
    corners = world.scopes["market"].range_tags(first, last)
    result = world.definitions.resolve_job_def("market_job").execute_in_process(
        {"loggers": {"console": {"config": {"log_level": "ERROR"}}}},
        instance,
        tags={**corners, **(tags or {})},
        asset_selection=[RAW],
    )
    assert result.success


def run_shards(
    world: World, days: list[str], shards: list[str], instance: dg.DagsterInstance
) -> None:
    platform = RecordingPlatform(world.settings)  # of its own, as another process has
    platform.wider = []
    with platform, using(platform):
        for shard in shards:
            fetch(world, instance, days, (shard, shard), {"dagster/backfill": BACKFILL})


def run_one(world: World, days: list[str]) -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        fetch(world, instance, days, ("00", "31"))


def run_days(world: World, days: list[str]) -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        for day in days:
            fetch(world, instance, [day], ("00", "31"))


def run_backfill(world: World, days: list[str]) -> None:
    with backfilled(world, days) as instance:
        run_shards(world, days, list(SHARD_KEYS), instance)


def run_three_at_once(world: World, days: list[str]) -> None:
    world.platform.shard_assets()
    parts = [list(SHARD_KEYS[n::3]) for n in range(3)]
    # Entered here: an instance becomes the process's own, until those entered later are left.
    with ExitStack() as stack, ThreadPoolExecutor(3) as pool:
        instances = [stack.enter_context(backfilled(world, days)) for _ in parts]
        list(pool.map(lambda n: run_shards(world, days, parts[n], instances[n]), range(3)))


@pytest.mark.parametrize("size", [SHORT, FULL_SIZE], indirect=True)
@pytest.mark.parametrize("way", [run_one, run_backfill, run_days, run_three_at_once])
def test_a_rectangle_costs_the_same_however_it_is_cut(
    market: World, vendors: SandboxServer, size: tuple[int, int], way: object
) -> None:
    """One range run, a UI backfill of 32 runs, a run a day, three at once: a call a session.

    Within 2 %. No call is made twice but for symbols that were discovered after it was made.
    """
    assert callable(way)
    days = days_of(market, size[0])
    shards = market.platform.shard_assets()  # whom the rectangle is about; runs discover more
    way(market, days)
    report = vendors.report()
    assert len(days) <= report["calls"] <= 1.02 * len(days), report["vendors"]
    discovered = len(market.platform.shard_assets()) - len(shards)
    assert report["vendors"]["polygon"]["repeated"] <= discovered
    assert report["violations"] == 0
    grid = market.platform.cells(shards, np.array(days, dtype="datetime64[D]"))
    assert market.platform.missing(grid).trimmed().mask.sum() == 0


def test_runs_in_the_queue_are_planned_together(market: World, vendors: SandboxServer) -> None:
    """A run of one shard, the other shards queued beside it, asks for the market by session."""
    days = days_of(market, SESSIONS)
    scope = market.scopes["market"]
    market.platform.shard_assets()
    with dg.DagsterInstance.ephemeral() as instance:
        for n, shard in enumerate(SHARD_KEYS[1:]):
            corners = [(date.fromisoformat(day), shard) for day in (days[0], days[-1])]
            instance.add_run(
                dg.DagsterRun(
                    job_name="market_job",
                    run_id=f"00000000-0000-0000-0000-{n:012d}",
                    status=dg.DagsterRunStatus.NOT_STARTED,
                    tags=scope.range_tags(corners[0], corners[1]),
                )
            )
        fetch(market, instance, days, ("00", "00"))
    wider = market.platform.wider[-1]
    assert wider is not None
    assert len(wider.sessions) == len(days)
    assert "yahoo" not in vendors.report()["vendors"]
    assert vendors.report()["calls"] == len(days)


def test_alone_a_shard_is_asked_ticker_by_ticker(market: World, vendors: SandboxServer) -> None:
    """Without other demand the cheaper shape differs: what the demand is for."""
    days = days_of(market, SESSIONS)
    market.platform.shard_assets()
    with dg.DagsterInstance.ephemeral() as instance:
        fetch(market, instance, days, ("00", "00"))
    assert vendors.report()["vendors"]["yahoo"]["calls"] > 0
