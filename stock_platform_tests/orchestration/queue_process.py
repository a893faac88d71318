"""The sensor and its run in a process of their own, to be killed: until nothing is due.

Settings come from the environment. Prints a line before each step that a kill can fall on, and
one for each call. With ``dagster`` the sensor's tick and the job run as the daemon runs them;
with ``plain`` what they do, without Dagster.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from stock_platform.pipeline.backfilling import work_off
from stock_platform.pipeline.runtime import Platform
from stock_platform.pipeline.tracking import follow
from stock_platform.settings import load_settings
from stock_platform.storage import backfills
from stock_platform_tests.pipeline.worlds import ROW, FakeSource, everybody

SLOWLY = 0.005
"""Seconds that a call takes, so that a kill falls between commits."""


def tell(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def told(tile: Any) -> None:
    tell(f"asked {tile.symbol} {tile.start} {tile.end}")
    time.sleep(SLOWLY)


def vendor() -> FakeSource:
    """Knows every ticker named T and two letters, on every session of 2023 and 2024."""
    return FakeSource("vendor", everybody(), ROW, behaviour=told)


@contextmanager
def platform_of(source: FakeSource) -> Iterator[Platform]:
    with Platform.from_settings(load_settings()) as platform:
        platform.__dict__["sources"] = {"vendor": source}
        yield platform


def plain() -> None:
    """What the sensor and the job do."""
    with platform_of(vendor()) as platform:
        while True:
            follow(platform)
            now = platform.market.wall.now()
            backfills.release(platform.db, backfills.working(platform.db), now)
            tell("ticked")
            if not backfills.due(platform.db, now):
                break
            for _ in work_off(platform, f"run {time.monotonic_ns()}"):
                tell("worked")


def dagster() -> None:
    """The sensor and the job themselves, on an instance that a kill takes along."""
    import dagster as dg

    from stock_platform.orchestration.build import build_definitions
    from stock_platform.orchestration.partitions import WATCHLIST_TICKERS
    from stock_platform.orchestration.resources import using

    with (
        platform_of(vendor()) as platform,
        using(platform),
        dg.DagsterInstance.ephemeral() as instance,
    ):
        definitions = build_definitions(platform.settings)
        sensor = definitions.resolve_sensor_def("portfolio_events")
        while True:
            with dg.build_sensor_context(
                instance=instance,
                repository_def=definitions.get_repository_def(),
                resources={"platform": definitions.resources["platform"]},  # type: ignore[index]
            ) as context:
                result: Any = sensor.evaluate_tick(context)
            for request in result.dynamic_partitions_requests or []:
                instance.add_dynamic_partitions(WATCHLIST_TICKERS, request.partition_keys)
            tell("ticked")
            if not result.run_requests:
                break
            job = definitions.resolve_job_def("backfill_job")
            job.execute_in_process(instance=instance, raise_on_error=False)
            tell("worked")


if __name__ == "__main__":
    {"plain": plain, "dagster": dagster}[sys.argv[1]]()
    tell("done")
