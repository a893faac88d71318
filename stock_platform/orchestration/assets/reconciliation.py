"""Reconciliation of prices, as an asset of each scope.

Belongs here: the assets, their jobs and schedules, the table they show. Does not: asking and
comparing (pipeline/reconciling_prices.py).
"""

from datetime import timedelta
from typing import Any

from dagster import (
    AssetExecutionContext,
    AssetKey,
    AssetsDefinition,
    AssetSelection,
    Config,
    DefaultScheduleStatus,
    MaterializeResult,
    MetadataValue,
    ScheduleDefinition,
    asset,
    define_asset_job,
)
from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition
from pydantic import Field

from stock_platform.domain.calendar import get_calendar
from stock_platform.domain.cells import CellGrid
from stock_platform.orchestration.assets.scoped import CODE_VERSION, OWNERS
from stock_platform.orchestration.assets.texts import describe
from stock_platform.orchestration.cells import scope_assets
from stock_platform.orchestration.failures import clear_failures
from stock_platform.orchestration.handles import table_schema
from stock_platform.orchestration.partitions import ScopeName
from stock_platform.orchestration.resources import PlatformResource
from stock_platform.pipeline.bulk import as_date
from stock_platform.pipeline.reconciling_prices import ReconcileReport
from stock_platform.pipeline.runtime import Platform
from stock_platform.storage.price_checks import COUNTS

NAME = "reconciliation"
SHOWN = 50

COLUMNS = {
    "day": "the market's day of the comparison",
    "source": "whose quotes were compared",
    "why": "sampled, disputed, or beside a cell that was asked for",
    "agreed": "quotes with which all, or most, agree",
    "outvoted": "quotes that most others agree against",
    "undecided": "quotes from which others differ, none of them the most",
    "absent": "cells it was asked for and has no bar of",
}


class ReconcileConfig(Config):
    """What a run compares."""

    days: int = Field(default=365, ge=1, description="Days before the last completed session.")
    since: str | None = Field(
        default=None, description="First session, such as 2024-01-31, in place of days."
    )
    share: float = Field(
        default=0.002, ge=0, le=1, description="Share of the stored cells that is sampled."
    )
    dry_run: bool = Field(default=False, description="Plan the calls and make none.")


def reconciliation_asset(scope: ScopeName) -> AssetsDefinition:
    """What comparing the prices of a scope with other sources found."""

    @asset(
        key=AssetKey([scope, NAME]),
        description=describe(NAME, scope),
        group_name=scope,
        owners=OWNERS,
        kinds={"postgres", "api"},
        code_version=CODE_VERSION,
        metadata={
            "dagster/table_name": "stocks.source_checks",
            "dagster/column_schema": table_schema(COUNTS, COLUMNS, ("day", "source", "why")),
        },
        tags={"stock_platform/scope": scope},
    )
    def reconciliation(
        context: AssetExecutionContext, config: ReconcileConfig, platform: PlatformResource
    ) -> MaterializeResult[None]:
        """See texts.py."""
        ours = platform.get()
        with clear_failures():
            grid = _cells(ours, scope, config)
            report = ours.reconcile(
                grid, context.run.run_id, dry_run=config.dry_run, share=config.share
            )
        for what, times in report.failures.items():
            context.log.warning("%s (%d)", what, times)
        return MaterializeResult(metadata=metadata_of(report))

    return reconciliation


def _cells(platform: Platform, scope: ScopeName, config: ReconcileConfig) -> CellGrid:
    last = get_calendar(platform.calendar_name).last_completed(platform.clock.now())
    since = as_date("since", config.since) or last - timedelta(days=config.days)
    first = max(since, platform.settings.start_date)
    return platform.cells(scope_assets(platform, scope), platform.sessions(min(first, last), last))


def metadata_of(report: ReconcileReport) -> dict[str, Any]:
    """What a reconciliation found, for the UI: a line a source."""
    lines = [
        "| source | agreed | outvoted | undecided | absent | accuracy | requests | spare |",
        "|---|--:|--:|--:|--:|--:|--:|--:|",
    ]
    found = report.by_source()
    for name in sorted({*found, *report.spare}):
        one = found.get(name, {})
        share = report.accuracy.get(name)
        lines.append(
            f"| {name} | {one.get('agreed', 0):,} | {one.get('outvoted', 0):,} "
            f"| {one.get('undecided', 0):,} | {one.get('absent', 0):,} "
            f"| {'' if share is None else f'{share:.4f}'} | {report.calls[name]:,} "
            f"| {report.spare.get(name, 0):,} |"
        )
    told: dict[str, Any] = {
        "cells_stored": report.cells,
        "cells_sampled": report.sampled,
        "cells_disputed": report.disputed,
        "quotes_compared": report.compared,
        "outvoted": report.outvoted.height,
        "undecided": report.undecided.height,
        "prices_changed": report.changed,
        "calls_made": report.calls.total(),
        "left_for_another_day": report.unaffordable,
        "no_other_source": report.unreachable,
        "sources": MetadataValue.md("\n".join(lines)),
    }
    if report.reasons:
        told["disputed_because"] = MetadataValue.md(
            "\n".join(f"- {reason}: {n:,}" for reason, n in report.reasons.most_common())
        )
    against = report.outvoted.head(SHOWN)
    if against.height:
        rows = [
            "| asset | session | source | field | says | the others |",
            "|--:|---|---|---|--:|--:|",
        ]
        rows += [
            f"| {r['asset_id']} | {r['session']} | {r['source']} | {r['field']} "
            f"| {r['value']} | {r['expected']} |"
            for r in against.iter_rows(named=True)
        ]
        told["outvoted_quotes"] = MetadataValue.md("\n".join(rows))
    if report.failures:
        told["failures"] = MetadataValue.md(
            "\n".join(f"- {what}: {times}" for what, times in report.failures.items())
        )
    return told


def reconciliation_job(scope: ScopeName) -> UnresolvedAssetJobDefinition:
    """The job that the schedule runs."""
    return define_asset_job(
        f"{scope}_reconcile_job",
        AssetSelection.assets(AssetKey([scope, NAME])),
        description="Compares sampled and disputed prices with other sources', in spare quota.",
    )


def reconciliation_schedule(scope: ScopeName, zone: str) -> ScheduleDefinition:
    """Every night, hours after the close's runs. The market's is off by default, like its runs."""
    return ScheduleDefinition(
        name=f"{scope}_reconcile_daily",
        job_name=f"{scope}_reconcile_job",
        cron_schedule="30 3 * * 2-6",
        execution_timezone=zone,
        default_status=(
            DefaultScheduleStatus.RUNNING if scope == "watchlist" else DefaultScheduleStatus.STOPPED
        ),
        description="Asks other sources for sampled and disputed prices, with quota to spare.",
    )
