from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import dagster as dg
import pytest

from stock_platform.domain.validation import RULE_NAMES

ASSETS = {"raw_quotes", "validated_prices", "weekly_prices", "monthly_prices", "indicators"}


@pytest.fixture(scope="module")
def defs() -> dg.Definitions:
    from stock_platform.orchestration.build import build_definitions

    return build_definitions()


def test_the_code_location_loads_offline() -> None:
    """No network, no database, no warning: in a process that can connect to nothing."""
    program = """
import socket, sys, warnings
warnings.simplefilter("error")
def refuse(*args, **options): raise AssertionError("connected at import")
socket.socket.connect = refuse
import stock_platform.definitions as location
location.defs.get_repository_def()
assert "stock_platform.storage.embedded.cluster" not in sys.modules
"""
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True, text=True, check=False, cwd=Path(__file__).parents[1],
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


def test_asset_keys(defs: dg.Definitions) -> None:
    """The same assets in both scopes, and the catalog."""
    keys = {key.to_user_string() for key in defs.resolve_asset_graph().get_all_asset_keys()}
    assert keys == {
        *(f"{scope}/{name}" for scope in ("watchlist", "market") for name in ASSETS),
        "watchlist/corporate_actions",
        "market/corporate_actions",
        "watchlist/reconciliation",
        "market/reconciliation",
        "catalog",
        "series",
        "portfolio/performance",
        "quality",
    }


def test_jobs_schedules_sensors(defs: dg.Definitions) -> None:
    """Their names are what people and the command line know."""
    repository = defs.get_repository_def()
    assert {job.name for job in repository.get_all_jobs()} >= {
        "watchlist_job", "market_job", "catalog_job", "resume_job", "backfill_job",
        "performance_job", "prune_events", "health_job", "quality_job", "gaps_job",
    }  # fmt: skip
    assert {s.name for s in repository.schedule_defs} == {
        "catalog_weekly", "health_half_hourly",
        "watchlist_refresh_weekly", "market_refresh_weekly",
        "watchlist_after_close", "market_after_close", "series_daily", "prune_events_nightly",
        "watchlist_actions_daily", "market_actions_daily",
        "watchlist_reconcile_daily", "market_reconcile_daily", "quality_twice_daily",
    }  # fmt: skip
    assert {s.name for s in repository.sensor_defs} == {
        "alert_run_failures", "alerts", "fill_gaps", "live_quotes", "performance_after_prices",
        "portfolio_events", "resume_waiting", "watchlist_partitions",
    }  # fmt: skip


def test_the_schedules_are_documented(defs: dg.Definitions) -> None:
    """All of them, and those that need a key are off until somebody switches them on."""
    page = (Path(__file__).parents[1] / "docs" / "live-quotes.md").read_text()
    table = page.partition("\n## Schedules\n")[2]
    named = [name for row in table.splitlines() for name in re.findall("`(\\w+)`", row[:80])]
    schedules = {s.name: s for s in defs.get_repository_def().schedule_defs}
    assert set(named) == set(schedules)
    off = {n for n, s in schedules.items() if s.default_status is dg.DefaultScheduleStatus.STOPPED}
    market = {name for name in schedules if name.startswith("market_")}
    assert off == market | {"series_daily"}


def test_the_ui_reads_like_documentation(defs: dg.Definitions) -> None:
    """Every asset has a description, an owner, a group, kinds, a code version and a schema."""
    for definition in defs.get_repository_def().assets_defs_by_key.values():
        for spec in definition.specs:
            assert len(spec.description or "") > 80, spec.key
            assert spec.owners
            assert spec.group_name in (
                "watchlist",
                "market",
                "catalog",
                "series",
                "portfolio",
                "quality",
            )
            assert spec.kinds
            assert spec.code_version
            if spec.key.path[0] != "catalog":
                assert spec.metadata["dagster/column_schema"].columns


def test_every_asset_takes_one_run_for_many_partitions(defs: dg.Definitions) -> None:
    """A range is one run, whatever its size."""
    for definition in defs.get_repository_def().assets_defs_by_key.values():
        if definition.partitions_def is not None:
            assert definition.backfill_policy == dg.BackfillPolicy.single_run()


def test_checks(defs: dg.Definitions) -> None:
    """Three checks a scope; one a score, one a rule, and three of the whole store.

    None is partitioned: Dagster stores such a check's demand per cell.
    """
    checks = defs.get_repository_def().asset_checks_defs_by_key
    named = {(k.asset_key.to_user_string(), k.name) for k in checks}
    quality = {name for asset, name in named if asset == "quality"}
    assert {"unique_keys", "references", "fresh_store", "watchlist_overall"} <= quality
    assert {f"rule_{name}" for name in RULE_NAMES} <= quality
    assert {pair for pair in named if pair[0] != "quality"} == {
        (f"{scope}/{asset}", name)
        for scope in ("watchlist", "market")
        for asset, name in (
            ("raw_quotes", "coverage"),
            ("validated_prices", "ohlc_sanity"),
            ("validated_prices", "freshness"),
        )
    }
