"""Portfolio events as Dagster sees them: a sensor that follows them, a job that fills histories.

Belongs here: when runs over the queue start, and what they leave in the UI. Does not: what an
event means (pipeline/tracking.py), the work (pipeline/backfilling.py).

A run takes whatever is due when it starts, so a hundred purchases are one run, and a run that
waits for a quota keeps no later job from the next one. Histories reach back before the first
partition where a purchase does; what lies within the partitions is shown as materialized.
"""

from collections.abc import Iterator, Sequence
from datetime import timedelta

import polars as pl
from dagster import (
    AddDynamicPartitionsRequest,
    AssetKey,
    DagsterInstance,
    DagsterRunStatus,
    DefaultSensorStatus,
    JobDefinition,
    MetadataValue,
    OpExecutionContext,
    RunRequest,
    RunsFilter,
    SensorDefinition,
    SensorEvaluationContext,
    SensorResult,
    in_process_executor,
    job,
    op,
    sensor,
)
from dagster._core.storage.dagster_run import NOT_FINISHED_STATUSES

from stock_platform.domain.cells import CellGrid
from stock_platform.domain.coverage import CellStatus
from stock_platform.orchestration.event_log import record_materializations
from stock_platform.orchestration.failures import clear_failures
from stock_platform.orchestration.jobs import ASSET_NAMES
from stock_platform.orchestration.metadata import of_fetch, of_grid, summary_of_fetch
from stock_platform.orchestration.partitions import WATCHLIST_TICKERS, Scope
from stock_platform.orchestration.progress import teller
from stock_platform.orchestration.resources import PlatformResource
from stock_platform.pipeline.backfilling import BackfillReport, work_off
from stock_platform.pipeline.runtime import Platform
from stock_platform.pipeline.tracking import follow
from stock_platform.storage import assets, backfills

BACKFILL_JOB = "backfill_job"
EVERY_SECONDS = 15
RUNS_AT_ONCE = 3
KEPT = timedelta(days=30)
"""How long jobs that ended stay in the queue's table."""

_SOON = (DagsterRunStatus.NOT_STARTED, DagsterRunStatus.QUEUED, DagsterRunStatus.STARTING)


def portfolio_sensor() -> SensorDefinition:
    """Follows portfolio events, and requests a run for the histories that are due."""

    @sensor(
        name="portfolio_events",
        job_name=BACKFILL_JOB,
        minimum_interval_seconds=EVERY_SECONDS,
        default_status=DefaultSensorStatus.RUNNING,
        description=(
            "Tracks what people bought, queues its history from a year before the first "
            "purchase, stops tracking what was sold after a grace period, and starts one run for "
            "all histories that are due. The cursor is the newest event acted on."
        ),
    )
    def portfolio_events(
        context: SensorEvaluationContext, platform: PlatformResource
    ) -> SensorResult:
        ours = platform.get()
        followed = follow(ours)
        freed = release_gone(ours, context.instance)
        backfills.prune(ours.db, ours.market.wall.now() - KEPT)
        due = backfills.due(ours.db, ours.market.wall.now())
        wait = _wait(ours, context.instance) if due else "no history is due"
        said = [
            f"{followed.events:,} events acted on" if followed.events else "",
            f"{freed:,} jobs of runs that ended early are due again" if freed else "",
            f"{due:,} histories are due" if due else "",
            wait or "",
        ]
        new = _new_partitions(ours, context.instance)
        cursor = str(followed.last_event) if followed.last_event else context.cursor
        partitions = [AddDynamicPartitionsRequest(WATCHLIST_TICKERS, new)] if new else []
        if wait is not None:
            return SensorResult(
                skip_reason="; ".join(filter(None, said)),
                dynamic_partitions_requests=partitions,
                cursor=cursor,
            )
        return SensorResult(
            run_requests=[RunRequest(tags={"stock_platform/due": str(due)})],
            dynamic_partitions_requests=partitions,
            cursor=cursor,
        )

    return portfolio_events


def release_gone(platform: Platform, instance: DagsterInstance) -> int:
    """Make the jobs of runs that ended without finishing them due again; how many."""
    gone = []
    for run_id in backfills.working(platform.db):
        run = instance.get_run_by_id(run_id)
        if run is None or run.is_finished:
            gone.append(run_id)
    return backfills.release(platform.db, gone, platform.market.wall.now()) if gone else 0


def _wait(platform: Platform, instance: DagsterInstance) -> str | None:
    """Why no run is to be started now, or None."""
    runs = instance.get_runs(
        RunsFilter(job_name=BACKFILL_JOB, statuses=list(NOT_FINISHED_STATUSES)), limit=50
    )
    busy = backfills.working(platform.db)
    if any(run.status in _SOON or run.run_id not in busy for run in runs):
        return "a run is about to take them"
    if len(runs) >= RUNS_AT_ONCE:
        return f"{len(runs)} runs are under way"
    return None


def _new_partitions(platform: Platform, instance: DagsterInstance) -> list[str]:
    known = set(instance.get_dynamic_partitions(WATCHLIST_TICKERS))
    tracked = platform.watchlist_assets()["ticker"].to_list()
    return [ticker for ticker in tracked if ticker not in known]


def backfill_job(scope: Scope) -> JobDefinition:
    """The job that the sensor ``portfolio_events`` runs."""

    @op(
        name="fill_histories",
        description=(
            "Takes the histories of the backfill queue that are due, fetches what is missing of "
            "all of them in one plan, validates, derives, and records how each one ended."
        ),
    )
    def fill_histories(context: OpExecutionContext, platform: PlatformResource) -> None:
        with clear_failures():
            ours = platform.get()
            report = _last(work_off(ours, context.run_id, progress=teller(context.log)))
            if report.fetched is None:
                context.log.info("no history was due any more")
                return
            context.log.info(summary_of_fetch(report.fetched))
            shown = show_partitions(scope, ours, context, report.grid)
            context.add_output_metadata(
                {
                    "jobs": len(report.jobs),
                    **report.counts(),
                    "partitions": shown,
                    **of_grid(report.grid),
                    **of_fetch(report.fetched, len(report.grid.trimmed().assets)),
                    **_troubles(ours, report),
                }
            )

    @job(
        name=BACKFILL_JOB,
        executor_def=in_process_executor,
        description="Fills the histories that portfolio events asked for, all that are due.",
    )
    def fill() -> None:
        fill_histories()

    return fill


def show_partitions(
    scope: Scope, platform: Platform, context: OpExecutionContext, grid: CellGrid
) -> int:
    """Tell Dagster which partitions of the watchlist hold what was stored; how many."""
    codes = platform.coverage(grid)
    stored = codes.grid.with_mask(codes.codes == _STORED).to_frame()
    names = assets.by_id(platform.db, grid.assets.tolist()).select("asset_id", "ticker")
    dates = pl.Series(
        scope.partitions.get_partitions_def_for_dimension("date").get_partition_keys()
    ).str.to_date()
    pairs = (
        stored.filter(pl.col("session").is_in(dates.implode()))
        .join(names, on="asset_id")
        .sort("session", "ticker")
    )
    tickers = names["ticker"].to_list()
    context.instance.add_dynamic_partitions(WATCHLIST_TICKERS, tickers)
    keys = [
        scope.key(session, ticker)
        for session, ticker in pairs.select("session", "ticker").iter_rows()
    ]
    for name in ASSET_NAMES:
        record_materializations(
            context.instance, context.run, context.op.name, AssetKey([scope.name, name]), keys
        )
    return len(keys)


_STORED = 1 + list(CellStatus).index(CellStatus.STORED)


def _last(steps: Iterator[BackfillReport]) -> BackfillReport:
    report = next(steps)
    for report in steps:  # noqa: B007 - the last one is wanted
        pass
    return report


def _troubles(platform: Platform, report: BackfillReport) -> dict[str, MetadataValue]:
    """The jobs that are not done, as a table in Markdown."""
    open_jobs = [
        (job, outcome)
        for job, outcome in report.outcomes.items()
        if outcome.error or outcome.retry_after
    ]
    if not open_jobs:
        return {}
    names = dict(
        assets.by_id(platform.db, [job.asset_id for job, _ in open_jobs])
        .select("asset_id", "ticker")
        .iter_rows()
    )
    lines: Sequence[str] = [
        f"| {names.get(job.asset_id)} | {outcome.retry_after or ''} | {outcome.error or ''} |"
        for job, outcome in open_jobs[:50]
    ]
    head = ["| ticker | waits until | error |", "|---|---|---|"]
    return {"not_done": MetadataValue.md("\n".join([*head, *lines]))}
