"""What portfolios are worth and earned, as an asset, day by day.

Belongs here: the asset, its job, and the sensor that starts it once prices came. Does not:
arithmetic (domain/portfolio), the stored account (pipeline/performance.py).
"""

from collections.abc import Iterator, Sequence

from dagster import (
    AssetDep,
    AssetExecutionContext,
    AssetKey,
    AssetsDefinition,
    AssetSelection,
    BackfillPolicy,
    DagsterRunStatus,
    DefaultSensorStatus,
    MaterializeResult,
    MetadataValue,
    MultiToSingleDimensionPartitionMapping,
    RunRequest,
    RunStatusSensorContext,
    SensorDefinition,
    SkipReason,
    asset,
    define_asset_job,
    run_status_sensor,
)
from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition

from stock_platform.domain.calendar import get_calendar
from stock_platform.domain.portfolio import DAILY
from stock_platform.orchestration.assets.scoped import CODE_VERSION, OWNERS
from stock_platform.orchestration.assets.texts import describe
from stock_platform.orchestration.failures import clear_failures
from stock_platform.orchestration.handles import WORDS, table_schema
from stock_platform.orchestration.partitions import DATE, session_partitions
from stock_platform.orchestration.resources import PlatformResource
from stock_platform.pipeline.performance import Performance, measure, refresh
from stock_platform.pipeline.runtime import Platform
from stock_platform.settings import Settings
from stock_platform.storage import portfolio

PERFORMANCE = AssetKey(["portfolio", "performance"])
PERFORMANCE_JOB = "performance_job"
_USERS_SHOWN = 50


def performance_asset(settings: Settings) -> AssetsDefinition:
    """The asset, partitioned by the sessions of the settings' calendar."""

    @asset(
        key=PERFORMANCE,
        description=describe("performance"),
        group_name="portfolio",
        owners=OWNERS,
        kinds={"postgres"},
        code_version=CODE_VERSION,
        partitions_def=session_partitions(settings),
        backfill_policy=BackfillPolicy.single_run(),
        deps=[
            AssetDep(
                AssetKey(["watchlist", "validated_prices"]),
                partition_mapping=MultiToSingleDimensionPartitionMapping(DATE),
            )
        ],
        metadata={
            "dagster/table_name": "stocks.portfolio_performance",
            "dagster/column_schema": table_schema(DAILY, WORDS, ("session",)),
        },
    )
    def performance(
        context: AssetExecutionContext, platform: PlatformResource
    ) -> MaterializeResult[None]:
        """See texts.py."""
        with clear_failures():
            ours = platform.get()
            users = portfolio.users(ours.db)
            currency, today = ours.settings.portfolio_currency, ours.clock.now().date()
            rebuilt = [user for user in users if refresh(ours.db, user, currency, today)]
            shown = [measure(ours.db, user, currency, today) for user in users[:_USERS_SHOWN]]
        for found in shown:
            for problem in found.problems:
                context.log.warning("%s: %s", found.summary["user"], problem)
        return MaterializeResult(
            metadata={
                "users": len(users),
                "users_rebuilt": len(rebuilt),
                "portfolios": MetadataValue.md(_table(shown)),
            }
        )

    return performance


def performance_job() -> UnresolvedAssetJobDefinition:
    """The job over the asset."""
    return define_asset_job(
        PERFORMANCE_JOB,
        AssetSelection.assets(PERFORMANCE),
        description="Brings the stored accounts of portfolios up to date where inputs changed.",
    )


def performance_sensor(
    ours: UnresolvedAssetJobDefinition, after: Sequence[object]
) -> SensorDefinition:
    """Requests the job for the last completed session after runs that bring prices."""

    @run_status_sensor(
        name="performance_after_prices",
        run_status=DagsterRunStatus.SUCCESS,
        monitored_jobs=list(after),  # type: ignore[arg-type]
        request_job=ours,
        default_status=DefaultSensorStatus.RUNNING,
        description="Brings portfolios up to date once a run has brought prices or histories.",
    )
    def performance_after_prices(
        context: RunStatusSensorContext, platform: PlatformResource
    ) -> Iterator[RunRequest | SkipReason]:
        found = platform.get()
        session = _session(found)
        if not portfolio.users(found.db):
            yield SkipReason("there is no portfolio")
        elif session is None:
            yield SkipReason("the last completed session has no partition")
        else:
            yield RunRequest(
                run_key=f"performance after {context.dagster_run.run_id}", partition_key=session
            )

    return performance_after_prices


def _session(platform: Platform) -> str | None:
    last = get_calendar(platform.calendar_name).last_completed(platform.clock.now())
    return str(last) if last >= platform.settings.start_date else None


def _table(shown: Sequence[Performance]) -> str:
    lines = ["| user | value | unrealised | realised | time-weighted | a year, money-weighted |"]
    lines.append("|---|--:|--:|--:|--:|--:|")
    for found in shown:
        of = found.summary
        rate = "" if of["mwr"] is None else f"{of['mwr']:.2%}"
        lines.append(
            f"| {of['user']} | {of['market_value']:,.2f} {of['currency']} "
            f"| {of['unrealised']:,.2f} | {of['realised']:,.2f} | {of['twr']:.2%} | {rate} |"
        )
    return "\n".join(lines)
