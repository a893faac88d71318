"""The sensor that notices gaps, and the run it asks for."""

from __future__ import annotations

from datetime import date
from typing import Any

import dagster as dg

from stock_platform.domain.cells import CellGrid
from stock_platform.pipeline.scoring import score
from stock_platform.storage import quality
from stock_platform_tests.orchestration.worlds import World


def tick(world: World, instance: dg.DagsterInstance, cursor: str | None = None) -> Any:
    sensor = world.definitions.resolve_sensor_def("fill_gaps")
    with dg.build_sensor_context(
        instance=instance,
        cursor=cursor,
        repository_def=world.definitions.get_repository_def(),
        resources={"platform": world.definitions.resources["platform"]}
        if world.definitions.resources
        else None,
    ) as context:
        return sensor.evaluate_tick(context)


def test_gaps_are_noticed_once_and_filled(world: World, instance: dg.DagsterInstance) -> None:
    """A run is requested for open gaps once a day, fills them, and then none is."""
    platform = world.platform
    days = platform.sessions(date(2024, 2, 1), date(2024, 3, 8))
    (asset,) = platform.assets_for(["AAA"])["asset_id"].to_list()
    for part in (days[:5], days[8:]):
        grid = CellGrid.rectangle([asset], part)
        for batches in platform.fetch(grid):
            platform.write_fetch(batches)
        for batch in platform.validate(grid):
            platform.write_validated(batch)
    score(platform)
    assert quality.gap_counts(platform.db) == {"missing": (1, 3)}
    first = tick(world, instance)
    assert len(first.run_requests) == 1
    assert "what can be had today" in tick(world, instance, first.cursor).skip_message
    job = world.definitions.resolve_job_def("gaps_job")
    assert job.execute_in_process(instance=instance).success
    assert quality.gap_counts(platform.db) == {}
    assert tick(world, instance, first.cursor).skip_message == "no gap that asking may fill"
