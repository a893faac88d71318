"""Gaps: the sensor that notices them, and the job that fills them.

Belongs here: when a run is worth its start. Does not: which gaps, and with what quota
(pipeline/filling.py).
"""

from dagster import (
    Backoff,
    DefaultSensorStatus,
    JobDefinition,
    MetadataValue,
    OpExecutionContext,
    RetryPolicy,
    RunRequest,
    RunsFilter,
    SensorDefinition,
    SensorEvaluationContext,
    SkipReason,
    in_process_executor,
    job,
    op,
    sensor,
)
from dagster._core.storage.dagster_run import NOT_FINISHED_STATUSES

from stock_platform.domain.gaps import OPEN
from stock_platform.orchestration.assets.quality import gap_table
from stock_platform.orchestration.failures import clear_failures
from stock_platform.orchestration.resources import PlatformResource
from stock_platform.pipeline.filling import fill_gaps
from stock_platform.pipeline.scoring import score
from stock_platform.storage import quality

GAPS_JOB = "gaps_job"
EVERY_SECONDS = 900


@op(
    description=(
        "Asks for sessions without a price as far as quota is spare: those nobody asked for, and "
        "of another source those of which one says it has none. Then scores, and says of the rest "
        "why it is missing."
    ),
    retry_policy=RetryPolicy(max_retries=1, delay=60, backoff=Backoff.EXPONENTIAL),
)
def fill_open_gaps(context: OpExecutionContext, platform: PlatformResource) -> None:
    """See the description."""
    ours = platform.get()
    with clear_failures():
        report = fill_gaps(ours, context.run_id)
        scored = score(ours)
    context.add_output_metadata(
        {
            "sessions_never_asked_for": report.open_cells.get("never_asked", 0),
            "sessions_one_source_has_none_of": report.open_cells.get("said_none", 0),
            "calls_planned": report.planned,
            "calls_made": report.calls.total(),
            "sessions_filled": report.filled,
            "sessions_proven_halts": report.halts,
            "sessions_judged": report.judged,
            "left_for_another_day": report.left,
            "gaps": MetadataValue.md(gap_table(scored.gaps)),
        }
    )


def gaps_job() -> JobDefinition:
    """The job that the sensor ``fill_gaps`` runs."""

    @job(
        name=GAPS_JOB,
        executor_def=in_process_executor,
        description="Fills gaps within spare quota, and marks the rest with their reasons.",
    )
    def fill_all() -> None:
        fill_open_gaps()

    return fill_all


def gaps_sensor() -> SensorDefinition:
    """Requests a run where gaps are open that asking may fill, once a day and number of them."""

    @sensor(
        name="fill_gaps",
        job_name=GAPS_JOB,
        minimum_interval_seconds=EVERY_SECONDS,
        default_status=DefaultSensorStatus.RUNNING,
        description=(
            "Fills sessions without a price, found by the calendar and the listing dates, with "
            "quota that nothing else needs. Tried once a day, and again where it got on."
        ),
    )
    def fill(
        context: SensorEvaluationContext, platform: PlatformResource
    ) -> RunRequest | SkipReason:
        ours = platform.get()
        counts = quality.gap_counts(ours.db)
        sessions = sum(counts.get(str(state), (0, 0))[1] for state in OPEN)
        if not sessions:
            return SkipReason("no gap that asking may fill")
        unfinished = RunsFilter(job_name=GAPS_JOB, statuses=list(NOT_FINISHED_STATUSES))
        if context.instance.get_runs(unfinished, limit=1):
            return SkipReason("a run that fills gaps is under way")
        seen = f"{ours.clock.now().date()} {sessions}"
        if context.cursor == seen:
            return SkipReason(f"what can be had today of {sessions:,} sessions was asked for")
        context.update_cursor(seen)
        return RunRequest(tags={"stock_platform/gaps": str(sessions)})

    return fill
