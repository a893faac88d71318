"""The code location, assembled.

Belongs here: putting parts together. Does not: the parts. Nothing is connected, asked or read
from a disk here but the settings.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dagster import Definitions, in_process_executor

from stock_platform.domain.calendar import get_calendar
from stock_platform.orchestration.alerting import alert_sensor, failure_sensor
from stock_platform.orchestration.assets.actions import (
    actions_asset,
    actions_job,
    actions_schedule,
)
from stock_platform.orchestration.assets.catalog import CATALOG, catalog
from stock_platform.orchestration.assets.portfolio import (
    performance_asset,
    performance_job,
    performance_sensor,
)
from stock_platform.orchestration.assets.quality import (
    quality_asset,
    quality_job,
    quality_schedule,
)
from stock_platform.orchestration.assets.reconciliation import (
    reconciliation_asset,
    reconciliation_job,
    reconciliation_schedule,
)
from stock_platform.orchestration.assets.scoped import scope_assets
from stock_platform.orchestration.assets.series import daily_series, series, series_job
from stock_platform.orchestration.backfills import backfill_job, portfolio_sensor
from stock_platform.orchestration.checks import scope_checks
from stock_platform.orchestration.gaps import gaps_job, gaps_sensor
from stock_platform.orchestration.health import health_job, health_schedule
from stock_platform.orchestration.io_managers import TimescaleIOManager
from stock_platform.orchestration.jobs import catalog_job, resume_job, scope_job
from stock_platform.orchestration.live import live_sensor
from stock_platform.orchestration.partitions import build_scopes
from stock_platform.orchestration.pruning import prune_job, prune_schedule
from stock_platform.orchestration.quality_checks import quality_checks
from stock_platform.orchestration.resources import PlatformResource, platform_resource
from stock_platform.orchestration.schedules import after_close, weekly_catalog, weekly_refresh
from stock_platform.orchestration.sensors import resume_sensor, watchlist_sensor
from stock_platform.settings import Settings, load_settings


def build_definitions(
    settings: Settings | None = None, *, platform: PlatformResource | None = None
) -> Definitions:
    """Assets of both scopes, checks, jobs, schedules, sensors and resources.

    Steps of a run share one process: they hand each other cells, not data, and starting a
    process each costs more than they do.

    Args:
        settings: calendar, first date and pinned clock of the partitions; None: this
            process's environment.
        platform: in place of the platform that the environment describes.

    Raises:
        InputError: a setting's value is not allowed.
    """
    settings = settings or load_settings()
    scopes = build_scopes(settings)
    watchlist, market = scopes["watchlist"], scopes["market"]
    zone = get_calendar(settings.calendar).zone
    ours = platform or platform_resource()
    follow, fill = scope_job(watchlist), backfill_job(watchlist)
    measure = performance_job()
    return Definitions(
        assets=[
            *scope_assets(watchlist),
            *scope_assets(market, deps=[CATALOG]),
            actions_asset("watchlist"),
            actions_asset("market"),
            reconciliation_asset("watchlist"),
            reconciliation_asset("market"),
            catalog,
            series,
            performance_asset(settings),
            quality_asset(),
        ],
        asset_checks=[*scope_checks(watchlist), *scope_checks(market), *quality_checks()],
        jobs=[
            follow,
            scope_job(market),
            actions_job("watchlist"),
            actions_job("market"),
            reconciliation_job("watchlist"),
            reconciliation_job("market"),
            catalog_job(),
            resume_job(),
            fill,
            measure,
            series_job,
            prune_job(),
            health_job(),
            quality_job(),
            gaps_job(),
        ],
        schedules=[
            after_close(watchlist, settings),
            after_close(market, settings),
            actions_schedule("watchlist", zone),
            actions_schedule("market", zone),
            reconciliation_schedule("watchlist", zone),
            reconciliation_schedule("market", zone),
            daily_series,
            prune_schedule(settings),
            weekly_refresh(watchlist, settings),
            weekly_refresh(market, settings),
            weekly_catalog(),
            health_schedule(),
            quality_schedule(zone),
        ],
        sensors=[
            resume_sensor(),
            gaps_sensor(),
            watchlist_sensor(),
            portfolio_sensor(),
            alert_sensor(),
            failure_sensor(),
            live_sensor(),
            performance_sensor(measure, [follow, fill]),
        ],
        resources=resources(ours),
        executor=in_process_executor,
    )


def resources(platform: PlatformResource) -> Mapping[str, Any]:
    """The resources by the names that assets ask for."""
    return {
        "platform": platform,
        "io_manager": TimescaleIOManager(platform=platform),
        **{source.vendor: source for source in platform.sources},
    }
