"""From a purchase to its history, in real Dagster runs; and what a crash leaves."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

import dagster as dg
import pytest

from stock_platform.domain.clock import FixedClock
from stock_platform.domain.errors import RateLimited, SourceError, Unavailable
from stock_platform.orchestration.backfills import release_gone
from stock_platform.orchestration.partitions import WATCHLIST_TICKERS
from stock_platform.pipeline.backfilling import work_off
from stock_platform.pipeline.portfolio import Order, enter_orders
from stock_platform.settings import Settings
from stock_platform.storage import assets, backfills, readers
from stock_platform_tests.orchestration.test_sensors import tick
from stock_platform_tests.orchestration.worlds import World

START = datetime(2024, 3, 9, 12, tzinfo=UTC)


def buy(world: World, *tickers: str, day: str = "2024-02-05", user: str = "me") -> None:
    enter_orders(
        world.platform.db,
        world.platform.clock,
        [Order(user, ticker, "buy", 1, 100, day) for ticker in tickers],
    )


def at(world: World, minutes: float) -> datetime:
    """Set the time of day of the machine, which retries go by."""
    now = START + timedelta(minutes=minutes)
    world.platform.market.wall = FixedClock(now)
    return now


def step(world: World, instance: dg.DagsterInstance) -> Any:
    """A tick of the sensor, with its partitions added as the daemon does."""
    result = tick(world, instance, "portfolio_events")
    for request in result.dynamic_partitions_requests or []:
        instance.add_dynamic_partitions(WATCHLIST_TICKERS, request.partition_keys)
    return result


def fill(world: World, instance: dg.DagsterInstance) -> dg.ExecuteInProcessResult:
    return world.definitions.resolve_job_def("backfill_job").execute_in_process(
        instance=instance, raise_on_error=False
    )


def job(world: World, ticker: str = "AAA") -> dict[str, Any]:
    asset_id = assets.resolve(world.platform.db, [ticker])[ticker]
    rows = backfills.jobs(world.platform.db).rows(named=True)
    [mine] = [row for row in rows if row["asset_id"] == asset_id]
    return mine


def test_a_purchase_brings_its_history(world: World, instance: dg.DagsterInstance) -> None:
    """A tick tracks it and asks for one run, which validates a year before the purchase on."""
    buy(world, "AAA", "BBB")
    result = step(world, instance)
    [request] = result.run_requests
    assert request.tags["stock_platform/due"] == "2"
    assert instance.get_dynamic_partitions(WATCHLIST_TICKERS) == ["AAA", "BBB"]
    assert fill(world, instance).success
    ids = assets.resolve(world.platform.db, ["AAA", "BBB"])
    prices = readers.prices(world.platform.db, list(ids.values()))
    assert prices["session"].min() == date(2023, 2, 6)  # the 5th is a Sunday
    assert prices["session"].max() == date(2024, 3, 8)
    assert prices.height == 2 * 274
    assert backfills.states(world.platform.db)["completed"] == 2
    assert "no history is due" in step(world, instance).skip_message

    for name in ("raw_quotes", "indicators"):  # within the partitions, from 2024-01-02 on
        shown = instance.get_materialized_partitions(dg.AssetKey(["watchlist", name]))
        assert len(shown) == 2 * 47, name
        assert "2024-03-08|AAA" in shown


def test_another_purchase_costs_no_call(world: World, instance: dg.DagsterInstance) -> None:
    """Of what is tracked already; an earlier one asks for the earlier history alone."""
    buy(world, "AAA")
    step(world, instance)
    fill(world, instance)
    before = len(world.vendor.asked)
    buy(world, "AAA", user="you")
    assert not step(world, instance).run_requests
    buy(world, "AAA", day="2024-01-08")
    assert step(world, instance).run_requests
    fill(world, instance)
    [asked] = world.vendor.asked[before:]
    assert (asked.start, asked.end) == (date(2023, 1, 9), date(2023, 2, 3))


def test_a_sensor_killed_between_its_steps_loses_nothing(
    world: World, instance: dg.DagsterInstance
) -> None:
    """Its events are acted on in the database; the next tick asks for the run."""
    buy(world, "AAA")
    tick(world, instance, "portfolio_events")  # whose result the daemon never saw
    assert len(step(world, instance).run_requests) == 1
    assert instance.get_dynamic_partitions(WATCHLIST_TICKERS) == ["AAA"]


def test_a_run_that_is_killed_gives_its_jobs_back(
    world: World, instance: dg.DagsterInstance
) -> None:
    """They are due again at once; the fifth time they are given up."""
    buy(world, "AAA")
    step(world, instance)
    for attempt in range(1, 6):
        run = dg.DagsterRun(job_name="backfill_job", status=dg.DagsterRunStatus.FAILURE)
        instance.add_run(run)
        next(work_off(world.platform, run.run_id))  # takes them, and dies
        assert job(world)["state"] == "in_progress"
        assert release_gone(world.platform, instance) == 1
        assert job(world)["attempts"] == attempt
    assert job(world)["state"] == "failed"
    assert "ended before it was done" in job(world)["error"]
    assert backfills.retry(world.platform.db) == 1
    assert len(step(world, instance).run_requests) == 1
    assert fill(world, instance).success
    assert job(world)["state"] == "completed"


def test_failures_are_retried_at_growing_distances(
    settings: Settings, instance: dg.DagsterInstance
) -> None:
    """After 5, 10, 20 and 40 minutes; then the job has failed, and says why."""

    def broken(tile: Any) -> SourceError:
        return Unavailable("vendor", "the server is on fire")

    with World.of(settings, ["AAA"], broken) as world:
        buy(world, "AAA")
        minutes = 0.0
        for wait in (5, 10, 20, 40):
            at(world, minutes)
            assert step(world, instance).run_requests
            assert fill(world, instance).success
            found = job(world)
            assert found["state"] == "pending"
            assert "on fire" in found["error"]
            assert found["retry_after"] - at(world, minutes) == timedelta(minutes=wait)
            at(world, minutes + wait - 0.1)
            assert not step(world, instance).run_requests
            minutes += wait
        at(world, minutes)
        fill(world, instance)
        assert (job(world)["state"], job(world)["attempts"]) == ("failed", 5)


def test_a_spent_quota_blocks_no_other_job(
    settings: Settings, instance: dg.DagsterInstance
) -> None:
    """The job waits until the vendor said, and no attempt is counted; the others are done."""

    def spent(tile: Any) -> SourceError | None:
        if tile.symbol == "AAA":
            return RateLimited("vendor", "slow down", retry_after=3600)
        return None

    with World.of(settings, ["AAA", "BBB"], spent) as world:
        at(world, 0)
        buy(world, "BBB", "AAA")
        step(world, instance)
        assert fill(world, instance).success
        assert job(world, "AAA")["state"] == "rate_limited"
        assert job(world, "AAA")["attempts"] == 0
        assert not step(world, instance).run_requests
        world.vendor.behaviour = lambda tile: None
        at(world, 24 * 60)
        assert step(world, instance).run_requests
        assert fill(world, instance).success
        assert backfills.states(world.platform.db)["completed"] == 2


@pytest.mark.parametrize("state", ["pending", "rate_limited"])
def test_jobs_that_ended_are_pruned(world: World, state: str) -> None:
    """After their time; open ones never."""
    buy(world, "AAA", "BBB")
    step_ids = assets.resolve(world.platform.db, ["AAA", "BBB"])
    with world.platform.db.connect() as connection:
        connection.execute(
            "insert into stocks.backfill_queue (asset_id, first_day, last_day, state, finished_at) "
            "values (%s, '2024-01-01', '2024-01-02', 'completed', '2024-01-03'), "
            "(%s, '2024-01-01', '2024-01-02', %s, null)",
            [step_ids["AAA"], step_ids["BBB"], state],
        )
    assert backfills.prune(world.platform.db, START) == 1
    assert backfills.states(world.platform.db)[state] == 1
