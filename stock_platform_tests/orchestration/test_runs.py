"""Real runs of the assets, in memory, over a real price database."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from typing import Any

import dagster as dg
import polars as pl
import pytest
from dagster._core.execution.backfill import PartitionBackfill
from dagster_shared.utils.warnings import disable_dagster_warnings

from stock_platform.domain.errors import Unavailable
from stock_platform.pipeline.directories import curated_list
from stock_platform.settings import Settings
from stock_platform.storage import readers
from stock_platform_tests.orchestration.worlds import (
    World,
    checks,
    materializations,
    shard_of_ticker,
)

FIRST, LAST = "2024-03-04", "2024-03-08"


def value(materialization: dg.AssetMaterialization, name: str) -> Any:
    return materialization.metadata[name].value


def records(table: object) -> list[dg.TableRecord]:
    assert isinstance(table, dg.TableMetadataValue)
    return list(table.records)


def test_one_partition(world: World, instance: dg.DagsterInstance) -> None:
    """One cell costs one call, and its run's account is on its materialization."""
    world.track(instance, "AAA")
    result = world.run(instance, "watchlist", (LAST, "AAA"))
    assert result.success
    assert len(world.vendor.asked) == 1
    [raw] = materializations(result, "watchlist/raw_quotes")
    assert raw.partition == f"{LAST}|AAA"
    assert value(raw, "coverage") == 1.0
    assert value(raw, "calls_made") == 1
    assert value(raw, "sample_is_sound") is True
    assert records(raw.metadata["sample"])[0].data["ticker"] == "AAA"
    [prices] = materializations(result, "watchlist/validated_prices")
    assert value(prices, "rows_inserted") == 1
    assert all(checks(result).values())


def test_a_rectangle_is_one_run(world: World, instance: dg.DagsterInstance) -> None:
    """Three tickers x five sessions: a call a ticker at the most, every partition marked."""
    world.track(instance, "AAA", "BBB", "CCC")
    result = world.run(instance, "watchlist", (FIRST, "AAA"), (LAST, "CCC"))
    assert result.success
    assert len(world.vendor.asked) <= 3
    raw = materializations(result, "watchlist/raw_quotes")
    assert {m.partition for m in raw} == {
        f"2024-03-0{day}|{ticker}" for day in range(4, 9) for ticker in ("AAA", "BBB", "CCC")
    }
    assert all(value(m, "stored") == 1 for m in raw)
    assert [m for m in raw if "calls_made" in m.metadata] == [raw[-1]], "told once, on the last"
    ids = world.platform.watchlist_assets()["asset_id"].to_list()
    assert readers.prices(world.platform.db, ids).height == 15
    assert readers.indicators(world.platform.db, ids).height == 15
    assert readers.weekly(world.platform.db, ids).height == 3


def test_again_asks_for_nothing(world: World, instance: dg.DagsterInstance) -> None:
    """The second run makes no call and changes no row."""
    world.track(instance, "AAA", "BBB")
    world.run(instance, "watchlist", (FIRST, "AAA"), (LAST, "BBB"))
    before = readers.content_hash(world.platform.db)
    asked = len(world.vendor.asked)
    again = world.run(instance, "watchlist", (FIRST, "AAA"), (LAST, "BBB"))
    assert again.success
    assert len(world.vendor.asked) == asked
    assert readers.content_hash(world.platform.db) == before
    assert value(materializations(again, "watchlist/raw_quotes")[-1], "calls_made") == 0


def test_both_scopes_are_the_same_tables(world: World, instance: dg.DagsterInstance) -> None:
    """What the market scope has fetched, the watchlist finds."""
    whole = world.run(instance, "market", (LAST, "00"), (LAST, "31"))
    assert whole.success
    assert all(tile.asset_id is None for tile in world.vendor.asked), "a day is one call"
    asked = len(world.vendor.asked)
    world.track(instance, "BBB")
    assert world.run(instance, "watchlist", (LAST, "BBB")).success
    assert len(world.vendor.asked) == asked


def test_one_shard(world: World, instance: dg.DagsterInstance) -> None:
    """A shard of a session holds its assets alone, and says how many."""
    shard = shard_of_ticker(world.platform, "BBB")
    result = world.run(instance, "market", (LAST, shard))
    [raw] = materializations(result, "market/raw_quotes")
    assert value(raw, "cells") == 1
    assert value(raw, "coverage") == 1.0


def test_a_failed_ticker_is_told(settings: Settings, instance: dg.DagsterInstance) -> None:
    """The others are stored, the run ends well, and the coverage check does not pass."""

    def broken(tile: Any) -> Unavailable | None:
        return Unavailable("vendor", "HTTP 503") if tile.symbol in ("BBB", None) else None

    with World.of(settings, ["AAA", "BBB", "CCC"], broken) as world:
        world.track(instance, "AAA", "BBB", "CCC")
        result = world.run(instance, "watchlist", (FIRST, "AAA"), (LAST, "CCC"))
        assert result.success
        raw = {m.partition: m for m in materializations(result, "watchlist/raw_quotes")}
        assert value(raw[f"{LAST}|AAA"], "coverage") == 1.0
        assert value(raw[f"{LAST}|BBB"], "coverage") == 0.0
        assert value(raw[f"{LAST}|BBB"], "failed") == 1
        found = {c.check_name: c for c in result.get_asset_check_evaluations()}
        coverage = found["coverage"]
        assert not coverage.passed
        assert coverage.severity is dg.AssetCheckSeverity.ERROR
        assert "5 failed" in (coverage.description or "")
        assert "BBB" in str(coverage.metadata["worst_tickers"].value)
        assert "503" in str(coverage.metadata["why_not_stored"].value)
        assert found["ohlc_sanity"].passed
        assert not found["freshness"].passed

        world.vendor.behaviour = lambda tile: None
        world.vendor.asked.clear()
        again = world.run(instance, "watchlist", (FIRST, "AAA"), (LAST, "CCC"), retry_failed=True)
        assert checks(again)["coverage"]
        assert {tile.symbol for tile in world.vendor.asked} <= {"BBB", None}


def test_a_refresh_brings_corrections(world: World, instance: dg.DagsterInstance) -> None:
    """Stored sessions are asked for again; what the vendor says otherwise now stands, and what it
    has no more stays. An ordinary run after it asks for nothing."""
    world.track(instance, "AAA", "BBB")
    corners = ((FIRST, "AAA"), (LAST, "BBB"))
    first = world.run(instance, "watchlist", *corners)
    assert first.success
    usual = world.vendor.fetch
    gone = date.fromisoformat(FIRST)

    def corrected(tile: Any) -> Any:
        told = usual(tile)
        high = told.bars.filter(pl.col("session") > gone).with_columns(high=pl.lit(10.25))
        return replace(told, bars=high)

    world.vendor.fetch = corrected  # type: ignore[method-assign]
    world.vendor.asked.clear()
    assert world.run(instance, "watchlist", *corners, ask_again=True).success
    assert world.vendor.asked
    ids = world.platform.assets_for(["AAA", "BBB"])["asset_id"].to_list()
    prices = readers.prices(world.platform.db, ids)
    days = prices["session"].unique().sort().to_list()
    assert [str(days[0]), str(days[-1])] == [FIRST, LAST]
    highs = dict(prices.group_by("session").agg(pl.col("high").unique()).iter_rows())
    assert highs == {day: [10.0 if day == gone else 10.25] for day in days}
    world.vendor.asked.clear()
    assert world.run(instance, "watchlist", *corners).success
    assert not world.vendor.asked


def test_a_bad_ticker_does_not_stop_the_others(world: World, instance: dg.DagsterInstance) -> None:
    """A partition that can be no ticker stands for nothing; alone it is an error in words."""
    world.track(instance, "AAA", "not a ticker")
    result = world.run(instance, "watchlist", (LAST, "AAA"), (LAST, "not a ticker"))
    assert result.success
    alone = world.run(instance, "watchlist", (LAST, "not a ticker"))
    assert not alone.success
    failure = next(e for e in alone.all_events if e.is_step_failure).step_failure_data
    assert failure.user_failure_data is not None
    assert "not a ticker" in (failure.user_failure_data.description or "")


def test_a_backfill_is_planned_as_a_whole(world: World, instance: dg.DagsterInstance) -> None:
    """A run of a UI backfill knows all of its backfill's cells, of any shape."""
    world.track(instance, "AAA", "BBB", "CCC")
    keys = [f"{FIRST}|AAA", f"{LAST}|AAA", f"{LAST}|BBB"]
    with disable_dagster_warnings():  # its own
        backfill = PartitionBackfill.from_asset_partitions(
            backfill_id="abcdefgh",
            asset_graph=world.definitions.resolve_asset_graph(),
            partition_names=keys,
            asset_selection=[dg.AssetKey(["watchlist", "raw_quotes"])],
            backfill_timestamp=0.0,
            tags={},
            dynamic_partitions_store=instance,
            all_partitions=False,
            title=None,
            description=None,
            run_config=None,
        )
    instance.add_backfill(backfill)
    tags = {"dagster/backfill": "abcdefgh"}
    result = world.run(instance, "watchlist", (LAST, "BBB"), tags=tags)
    assert result.success
    [wider] = world.platform.wider
    assert wider is not None
    assert len(wider) == 3

    assert world.run(
        instance, "watchlist", (LAST, "CCC"), tags={"dagster/backfill": "unknown"}
    ).success
    assert world.platform.wider[-1] is None


def test_sessions_that_are_not_over_are_left_out(
    settings: Settings, instance: dg.DagsterInstance
) -> None:
    """A partition of an open session has no cell yet; nothing is asked."""
    opened = settings.model_copy(update={"market_time": None})
    opened.__dict__["clock"] = settings.clock
    with World.of(opened, ["AAA"]) as world:
        world.track(instance, "AAA")
        result = world.run(instance, "watchlist", ("2024-03-11", "AAA"))
        assert result.success
        assert world.vendor.asked == []
        [raw] = materializations(result, "watchlist/raw_quotes")
        assert value(raw, "cells") == 0


def test_the_catalog(world: World, instance: dg.DagsterInstance) -> None:
    """One call learns the market, beside the curated list; again none is needed."""
    job = world.definitions.resolve_job_def("catalog_job")
    first = job.execute_in_process(instance=instance)
    [event] = first.get_asset_materialization_events()
    assert value(event.step_materialization_data.materialization, "assets_added") == 3 + len(
        list(curated_list())
    )
    second = job.execute_in_process(instance=instance)
    [event] = second.get_asset_materialization_events()
    assert value(event.step_materialization_data.materialization, "calls_made") == 0


@pytest.mark.parametrize("name", ["coverage", "ohlc_sanity", "freshness"])
def test_checks_run_alone(world: World, instance: dg.DagsterInstance, name: str) -> None:
    """Executed from the UI without partitions, a check looks at the last sessions."""
    world.track(instance, "AAA")
    world.run(instance, "watchlist", ("2024-02-26", "AAA"), (LAST, "AAA"))
    asset = "raw_quotes" if name == "coverage" else "validated_prices"
    selection = dg.AssetSelection.checks(dg.AssetCheckKey(dg.AssetKey(["watchlist", asset]), name))
    defs = dg.Definitions.merge(
        world.definitions,
        dg.Definitions(jobs=[dg.define_asset_job("only_checks", selection)]),
    )
    result = defs.resolve_job_def("only_checks").execute_in_process(instance=instance)
    assert checks(result) == {name: True}


def test_dates_before_data_say_why(world: World, instance: dg.DagsterInstance) -> None:
    """Cells a vendor has nothing for are settled, with their reason in the metadata."""
    world.vendor.listed["AAA"] = [date(2024, 3, 8)]
    world.track(instance, "AAA")
    result = world.run(instance, "watchlist", (FIRST, "AAA"), (LAST, "AAA"))
    last = materializations(result, "watchlist/raw_quotes")[-1]
    assert "no_data" in value(last, "cells_by_state") or "failed" in value(last, "cells_by_state")
