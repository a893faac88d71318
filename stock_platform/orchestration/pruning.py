"""Retention: old runs and events go, the present state of every partition stays; old quotes go.

Belongs here: which runs are old, the job and its schedule. Does not: which events are in use
(storage/guest_events.py), which quotes are (storage/pruning.py), ticks, which dagster.yaml has
Dagster prune.

Nothing in Dagster prunes the event log. A market's day is some 1,600 events, four fifths of
them repeats, because each run looks back a week; superseded ones are what goes. A run whose
events are all superseded is deleted through Dagster (``delete_run``), with its logs; one that
holds the newest materialization of some partition stays in the list of runs, with its start,
end and steps. Dynamic partitions and schedules are not touched.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from dagster import (
    DagsterInstance,
    DefaultScheduleStatus,
    JobDefinition,
    OpExecutionContext,
    RunRequest,
    RunsFilter,
    ScheduleDefinition,
    ScheduleEvaluationContext,
    SkipReason,
    in_process_executor,
    job,
    op,
    schedule,
)
from dagster._core.storage.dagster_run import FINISHED_STATUSES

from stock_platform.orchestration.event_log import BatchedEventLogStorage
from stock_platform.orchestration.resources import PlatformResource
from stock_platform.settings import Settings, load_settings
from stock_platform.storage.guest_events import (
    RUNLESS,
    delete_old_checks,
    delete_superseded,
    events_in_use,
)
from stock_platform.storage.pruning import prune_quotes

PRUNE_JOB = "prune_events"
RUNS_A_TIME = 2_000


@dataclass(frozen=True)
class Pruned:
    """What went: runs, events of runs that stay, executions of checks."""

    runs: int
    events: int
    checks: int


def prune(instance: DagsterInstance, before: datetime) -> Pruned:
    """Delete finished runs of before an instant, except for what the present needs of them.

    Raises:
        TypeError: the instance keeps its events elsewhere than our dagster.yaml says.
    """
    storage = instance.event_log_storage
    if not isinstance(storage, BatchedEventLogStorage):
        raise TypeError(f"{PRUNE_JOB} knows the storage of dagster.yaml, not {type(storage)}")
    old = _finished(instance, before)
    stamp = before.astimezone(UTC).replace(tzinfo=None)  # as Dagster stores stamps
    with storage.index_connection() as connection:
        with events_in_use(connection) as used:
            kept = [run for run in old if run in used]
            events = delete_superseded(connection, [*kept, RUNLESS], stamp)
        checks = delete_old_checks(connection, stamp)
    gone = [run for run in old if run not in used]
    for run in gone:
        instance.delete_run(run)
        instance.compute_log_manager.delete_logs(prefix=[run])
    return Pruned(len(gone), events, checks)


def _finished(instance: DagsterInstance, before: datetime) -> list[str]:
    """The ids of the runs that ended before an instant."""
    old = RunsFilter(statuses=list(FINISHED_STATUSES), updated_before=before)
    found: list[str] = []
    cursor = None
    while ids := instance.get_run_ids(old, cursor=cursor, limit=RUNS_A_TIME):
        found += ids
        cursor = ids[-1]
    return found


@op(description="Deletes runs and events that are older than the retention and superseded.")
def prune_old_events(context: OpExecutionContext) -> None:
    """See the description."""
    days = load_settings().dagster_retention_days
    if days == 0:
        context.log.info("STOCK_PLATFORM_DAGSTER_RETENTION_DAYS is 0: everything is kept")
        return
    pruned = prune(context.instance, datetime.now(UTC) - timedelta(days=days))
    context.add_output_metadata(
        {
            "older_than_days": days,
            "runs": pruned.runs,
            "events": pruned.events,
            "check_executions": pruned.checks,
        }
    )


@op(description="Deletes live quotes, and calls for them, that are older than their retention.")
def prune_old_quotes(context: OpExecutionContext, platform: PlatformResource) -> None:
    """See the description."""
    current = platform.get()
    days = current.settings.live_retention_days
    if days == 0:
        context.log.info("STOCK_PLATFORM_LIVE_RETENTION_DAYS is 0: everything is kept")
        return
    age = timedelta(days=days)
    gone = prune_quotes(current.db, current.clock.now() - age, datetime.now(UTC) - age)
    context.add_output_metadata(
        {"older_than_days": days, "live_quotes": gone.quotes, "calls": gone.calls}
    )


def prune_job() -> JobDefinition:
    """The job of the schedule."""

    @job(
        name=PRUNE_JOB,
        executor_def=in_process_executor,
        description=(
            "Deletes runs and events older than STOCK_PLATFORM_DAGSTER_RETENTION_DAYS. The newest "
            "state of every partition and check stays, and so do the partitions themselves. Live "
            "quotes older than STOCK_PLATFORM_LIVE_RETENTION_DAYS go, too; minute bars stay."
        ),
    )
    def prune_events() -> None:
        prune_old_events()
        prune_old_quotes()

    return prune_events


def prune_schedule(settings: Settings) -> ScheduleDefinition:
    """Every night, while either retention is set."""

    @schedule(
        name="prune_events_nightly",
        job_name=PRUNE_JOB,
        cron_schedule="40 3 * * *",
        execution_timezone="UTC",
        default_status=DefaultScheduleStatus.RUNNING,
        description="Keeps Dagster's event log and live quotes from growing without end.",
    )
    def nightly(context: ScheduleEvaluationContext) -> RunRequest | SkipReason:
        if settings.dagster_retention_days == settings.live_retention_days == 0:
            return SkipReason("both retentions are 0 days: everything is kept")
        return RunRequest(run_key=f"{context.scheduled_execution_time:%Y-%m-%d}")

    return nightly
