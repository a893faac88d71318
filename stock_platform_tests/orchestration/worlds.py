"""A platform with a vendor in memory, and runs of its jobs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from typing import Any, Self

import dagster as dg

from stock_platform.domain.calendar import get_calendar
from stock_platform.domain.cells import CellGrid
from stock_platform.domain.coverage import SHARDS
from stock_platform.orchestration.build import build_definitions
from stock_platform.orchestration.partitions import WATCHLIST_TICKERS, ScopeName, build_scopes
from stock_platform.orchestration.resources import using
from stock_platform.pipeline.fetching import FetchStream
from stock_platform.pipeline.runtime import Platform
from stock_platform.settings import Settings
from stock_platform_tests.pipeline.worlds import COLUMN, ROW, Behaviour, FakeSource

FIRST, LAST = date(2023, 1, 3), date(2024, 12, 31)


class RecordingPlatform(Platform):
    """Remembers the wider demand that fetches were told of."""

    wider: list[CellGrid | None]

    def fetch(self, *args: Any, **options: Any) -> FetchStream:
        self.wider.append(options.get("wider"))
        return super().fetch(*args, **options)


class World:
    """The definitions over a platform whose vendor is in memory."""

    def __init__(self, platform: RecordingPlatform, vendor: FakeSource) -> None:
        self.platform = platform
        self.vendor = vendor
        self.settings = platform.settings
        self.scopes = build_scopes(platform.settings)
        self.definitions = build_definitions(platform.settings)

    @classmethod
    @contextmanager
    def of(
        cls, settings: Settings, tickers: list[str], behaviour: Behaviour | None = None
    ) -> Iterator[Self]:
        days = get_calendar("XNYS").sessions(FIRST, LAST).astype(object).tolist()
        vendor = FakeSource(
            "vendor", dict.fromkeys(tickers, days), ROW, COLUMN, behaviour=behaviour
        )
        platform = RecordingPlatform(settings)
        platform.wider = []
        platform.__dict__["sources"] = {"vendor": vendor}  # in place of those of the settings
        with platform, using(platform):
            yield cls(platform, vendor)

    def track(self, instance: dg.DagsterInstance, *tickers: str) -> None:
        instance.add_dynamic_partitions(WATCHLIST_TICKERS, list(tickers))

    def run(
        self,
        instance: dg.DagsterInstance,
        scope: ScopeName,
        first: tuple[str, str],
        last: tuple[str, str] | None = None,
        *,
        tags: dict[str, str] | None = None,
        retry_failed: bool = False,
        ask_again: bool = False,
    ) -> dg.ExecuteInProcessResult:
        """Run a scope's job on one partition, or on the rectangle between two corners."""
        job = self.definitions.resolve_job_def(f"{scope}_job")
        ours = self.scopes[scope]
        asked = {"retry_failed": retry_failed, "ask_again": ask_again}
        config = {
            "ops": {f"{scope}__raw_quotes": {"config": asked}},
            "loggers": {"console": {"config": {"log_level": "ERROR"}}},
        }
        if last is None:
            return job.execute_in_process(
                config, instance, partition_key=ours.key(*first), tags=tags, raise_on_error=False
            )
        corners = ours.range_tags(
            (date.fromisoformat(first[0]), first[1]), (date.fromisoformat(last[0]), last[1])
        )
        return job.execute_in_process(
            config, instance, tags={**corners, **(tags or {})}, raise_on_error=False
        )


def shard_of_ticker(platform: Platform, ticker: str) -> str:
    assets = platform.shard_assets(range(SHARDS))
    return f"{assets.filter(assets['ticker'] == ticker)['shard'].item():02d}"


def materializations(
    result: dg.ExecuteInProcessResult, asset: str
) -> list[dg.AssetMaterialization]:
    key = dg.AssetKey(asset.split("/"))
    return [
        event.step_materialization_data.materialization
        for event in result.get_asset_materialization_events()
        if event.asset_key == key
    ]


def checks(result: dg.ExecuteInProcessResult) -> dict[str, bool]:
    return {c.check_name: c.passed for c in result.get_asset_check_evaluations()}
