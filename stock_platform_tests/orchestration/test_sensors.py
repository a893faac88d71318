from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import dagster as dg

from stock_platform.domain.clock import FixedClock
from stock_platform.domain.errors import RateLimited
from stock_platform.settings import Settings
from stock_platform.storage import readers
from stock_platform_tests.orchestration.worlds import World, checks

TOMORROW = FixedClock(datetime(2124, 1, 1, tzinfo=UTC))


def tick(world: World, instance: dg.DagsterInstance, name: str) -> Any:
    sensor = world.definitions.resolve_sensor_def(name)
    with dg.build_sensor_context(
        instance=instance,
        repository_def=world.definitions.get_repository_def(),
        resources={"platform": world.definitions.resources["platform"]}
        if world.definitions.resources
        else None,
    ) as context:
        return sensor.evaluate_tick(context)


def test_waiting_cells_are_resumed_in_one_run(
    settings: Settings, instance: dg.DagsterInstance
) -> None:
    """Cells without quota wait, the run ends, and once due one run fetches them all."""

    def spent(tile: Any) -> RateLimited:
        return RateLimited("vendor", "out of quota", retry_after=3600)

    with World.of(settings, ["AAA", "BBB"], spent) as world:
        world.track(instance, "AAA", "BBB")
        result = world.run(instance, "watchlist", ("2024-03-07", "AAA"), ("2024-03-08", "BBB"))
        assert result.success
        assert not checks(result)["coverage"]
        assert "due" in (tick(world, instance, "resume_waiting").skip_message or "")

        world.platform.market.wall = TOMORROW
        [request] = tick(world, instance, "resume_waiting").run_requests
        assert request.tags["stock_platform/cells"] == "4"

        world.vendor.behaviour = lambda tile: None
        job = world.definitions.resolve_job_def("resume_job")
        assert job.execute_in_process(instance=instance).success
        ids = world.platform.watchlist_assets()["asset_id"].to_list()
        assert readers.prices(world.platform.db, ids).height == 4
        assert "due" in (tick(world, instance, "resume_waiting").skip_message or "")


def test_tracked_tickers_get_their_partition(world: World, instance: dg.DagsterInstance) -> None:
    """What the database tracks is a partition after the next tick; none is taken away."""
    world.track(instance, "OLD")
    world.platform.assets_for(["AAA", "BRK-B"])
    [request] = tick(world, instance, "watchlist_partitions").dynamic_partitions_requests
    assert sorted(request.partition_keys) == ["AAA", "BRK.B"]
    world.track(instance, *request.partition_keys)
    assert "2 tracked" in (tick(world, instance, "watchlist_partitions").skip_message or "")
