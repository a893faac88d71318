from __future__ import annotations

import platform
import subprocess
import sys
from datetime import date
from typing import Any

import dagster as dg
import pytest

from stock_platform.domain.errors import DatabaseError, InputError, Unavailable
from stock_platform.orchestration.launch import PROCESS_TAG, materialize_range, settle_abandoned
from stock_platform.pipeline.report import Progress
from stock_platform.settings import Settings
from stock_platform_tests.orchestration.worlds import World

START, END = date(2024, 3, 4), date(2024, 3, 10)


def test_tickers_and_dates_are_one_run(world: World, instance: dg.DagsterInstance) -> None:
    """New tickers are tracked, weekends drop out, and the account comes back."""
    seen: list[Progress] = []
    result = materialize_range(
        world.platform,
        scope="watchlist",
        tickers=["aaa", "BBB"],
        start=START,
        end=END,
        progress=seen.append,
        instance=instance,
    )
    assert result.success
    assert result.error is None
    assert result.run_ids == [result.run_id]
    assert result.partitions == 10
    assert result.report["states"] == {"stored": 10}
    assert result.coverage["share"] == 1.0
    assert {check.name: check.passed for check in result.checks} == {
        "coverage": True, "ohlc_sanity": True, "freshness": True,
    }  # fmt: skip
    assert seen[-1].done == seen[-1].asked == 10
    assert result.url.endswith(f"/runs/{result.run_id}")
    run = instance.get_run_by_id(result.run_id)
    assert run is not None
    assert run.tags[".dagster/repository"] == "__repository__@stock_platform"


def test_tickers_apart_take_a_run_each(world: World, instance: dg.DagsterInstance) -> None:
    """Nothing between them is asked for, and their accounts are added up."""
    world.track(instance, "AAA", "BBB", "CCC")
    result = materialize_range(
        world.platform, scope="watchlist", tickers=["AAA", "CCC"], start=START, end=END,
        instance=instance,
    )  # fmt: skip
    assert len(result.run_ids) == 2
    assert result.report["asked"] == 10
    assert result.coverage["expected"] == 10
    assert {tile.symbol for tile in world.vendor.asked} <= {"AAA", "CCC", None}


def test_what_is_stored_is_asked_for_again(world: World, instance: dg.DagsterInstance) -> None:
    """With ``ask_again`` alone; the cells stay stored."""
    asked = {}
    for name, again in (("first", False), ("second", False), ("again", True)):
        world.vendor.asked.clear()
        result = materialize_range(
            world.platform, scope="watchlist", tickers=["AAA"], start=START, end=END,
            ask_again=again, instance=instance,
        )  # fmt: skip
        assert result.coverage["share"] == 1.0
        asked[name] = (len(world.vendor.asked) > 0, result.report["asked"])
    assert asked == {"first": (True, 5), "second": (False, 0), "again": (True, 5)}


def test_shards(world: World, instance: dg.DagsterInstance) -> None:
    """The whole market of a week: the catalog's call, and a call a ticker or a session."""
    result = materialize_range(
        world.platform, scope="market", start=START, end=END, instance=instance
    )
    assert result.success
    assert result.report["states"] == {"stored": 12}, "one session came with the catalog"
    assert len(world.vendor.asked) == 1 + min(3, 4)


@pytest.mark.parametrize(
    ("options", "parameter"),
    [
        ({"scope": "galaxy"}, "scope"),
        ({"scope": "watchlist"}, "tickers"),
        ({"scope": "watchlist", "tickers": ["???"]}, "symbol|ticker"),
        ({"scope": "market", "tickers": ["AAA"]}, "tickers"),
        ({"scope": "market", "shards": [32]}, "shard"),
        ({"scope": "market", "start": date(2024, 3, 9)}, "start"),
        ({"scope": "market", "start": date(2023, 3, 1)}, "start"),
    ],
)
def test_bad_input_is_refused_before_anything_runs(
    world: World, instance: dg.DagsterInstance, options: dict[str, Any], parameter: str
) -> None:
    """The error names the parameter; no run is made and no call."""
    with pytest.raises(InputError, match=f"^({parameter})"):
        materialize_range(
            world.platform, **{"start": START, "end": END, **options}, instance=instance
        )
    assert instance.get_runs() == []
    assert world.vendor.asked == []


def test_failed_cells_do_not_fail_the_run(settings: Settings, instance: dg.DagsterInstance) -> None:
    """The run succeeds; report, coverage and check tell."""
    with World.of(settings, ["AAA"], lambda tile: Unavailable("vendor", "down")) as world:
        result = materialize_range(
            world.platform, scope="watchlist", tickers=["AAA"], start=START, end=END,
            instance=instance,
        )  # fmt: skip
        assert result.success
        assert result.report["states"] == {"failed": 5}
        assert result.coverage["share"] == 0.0
        assert [c.passed for c in result.checks if c.name == "coverage"] == [False]


def test_a_failed_run_says_why(world: World, instance: dg.DagsterInstance) -> None:
    """The database's own words, in one line."""

    def refuse(*_: Any) -> None:
        raise DatabaseError("the disk is full")

    world.platform.write_fetch = refuse  # type: ignore[assignment,method-assign]  # a broken part
    result = materialize_range(
        world.platform, scope="watchlist", tickers=["AAA"], start=START, end=END, instance=instance
    )
    assert not result.success
    assert result.error == "the disk is full"


def test_runs_of_killed_processes_are_settled(instance: dg.DagsterInstance) -> None:
    """A run whose process is gone is marked failed; one that lives is let alone."""
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()

    @dg.job
    def empty() -> None: ...

    def started(pid: int) -> str:
        return instance.create_run_for_job(
            empty,
            status=dg.DagsterRunStatus.STARTED,
            tags={PROCESS_TAG: f"{platform.node()}:{pid}"},
        ).run_id

    dead, alive = started(gone.pid), started(1)
    assert settle_abandoned(instance) == [dead]
    statuses = {run.run_id: run.status for run in instance.get_runs()}
    assert statuses == {dead: dg.DagsterRunStatus.FAILURE, alive: dg.DagsterRunStatus.STARTED}
