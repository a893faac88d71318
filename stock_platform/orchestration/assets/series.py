"""Economic series, as an asset.

Belongs here: the asset and its schedule. Does not: asking (pipeline/series.py).
"""

from dagster import (
    AssetExecutionContext,
    AssetKey,
    AssetSelection,
    Config,
    MaterializeResult,
    MetadataValue,
    ScheduleDefinition,
    asset,
    define_asset_job,
)
from pydantic import Field

from stock_platform.orchestration.assets.scoped import CODE_VERSION, OWNERS
from stock_platform.orchestration.assets.texts import describe
from stock_platform.orchestration.failures import clear_failures
from stock_platform.orchestration.handles import WORDS, table_schema
from stock_platform.orchestration.resources import PlatformResource
from stock_platform.storage.series import SERIES_VALUES

SERIES = AssetKey("series")


class SeriesConfig(Config):
    """Which series a run asks for."""

    ids: list[str] = Field(
        default=[], description="Ids such as GDP, UNRATE or DGS10; empty: STOCK_PLATFORM_SERIES."
    )


@asset(
    key=SERIES,
    description=describe("series"),
    group_name="series",
    owners=OWNERS,
    kinds={"postgres", "api"},
    code_version=CODE_VERSION,
    metadata={
        "dagster/table_name": "stocks.series_values",
        "dagster/column_schema": table_schema(
            SERIES_VALUES, WORDS, ("series_id", "source", "date", "known_from")
        ),
    },
)
def series(
    context: AssetExecutionContext, config: SeriesConfig, platform: PlatformResource
) -> MaterializeResult[None]:
    """See texts.py."""
    with clear_failures():
        ours = platform.get()
        report = ours.refresh_series(config.ids or ours.settings.series)
    for name, reason in report.failures.items():
        context.log.warning("%s: %s", name, reason)
    lines = ["| series | values written |", "|---|--:|"]
    lines += [f"| {name} | {count:,} |" for name, count in report.written.items()]
    lines += [
        f"| {name} | failed: {why.replace('|', '/')} |" for name, why in report.failures.items()
    ]
    return MaterializeResult(
        metadata={
            "dagster/row_count": sum(report.written.values()),
            "series": MetadataValue.md("\n".join(lines)),
            "series_failed": len(report.failures),
            "requests": report.requests,
        }
    )


series_job = define_asset_job("series_job", AssetSelection.assets(SERIES))

daily_series = ScheduleDefinition(
    name="series_daily",
    job=series_job,
    cron_schedule="15 9 * * 1-5",
    execution_timezone="America/New_York",
    description="Asks for the series of STOCK_PLATFORM_SERIES after the morning's releases.",
)
