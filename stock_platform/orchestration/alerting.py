"""Alerts in Dagster: failed runs at once, everything else every few minutes.

Belongs here: what Dagster knows of runs, and when to look. Does not: what is wrong besides, and
telling (pipeline/alerting.py).
"""

from dagster import (
    DagsterInstance,
    DagsterRunStatus,
    DefaultSensorStatus,
    RunFailureSensorContext,
    RunsFilter,
    SensorDefinition,
    SensorEvaluationContext,
    SkipReason,
    run_failure_sensor,
    sensor,
)

from stock_platform.orchestration.resources import PlatformResource
from stock_platform.pipeline.alerting import RUN_FAILED, Trouble, look, report
from stock_platform.pipeline.notifying import NotToldError
from stock_platform.pipeline.runtime import Platform
from stock_platform.storage import alerts

EVERY_SECONDS = 180


def alert_sensor() -> SensorDefinition:
    """Looks for trouble; tells what is new, and what is over."""

    @sensor(
        name="alerts",
        minimum_interval_seconds=EVERY_SECONDS,
        default_status=DefaultSensorStatus.RUNNING,
        description=(
            "Tells of sources that are down, stale data, a queue that is stuck and repeated "
            "failures, once each, and when they are over; by the webhook and the e-mail address "
            "of the settings."
        ),
    )
    def watch(context: SensorEvaluationContext, platform: PlatformResource) -> SkipReason:
        return SkipReason(evaluate(platform.get(), context.instance))

    return watch


def evaluate(platform: Platform, instance: DagsterInstance) -> str:
    """Look for trouble, and tell of it; what came of it, in words."""
    try:
        told = look(platform, over=_succeeded_since(instance, alerts.open_alerts(platform.db)))
    except NotToldError as error:
        return f"could not tell anybody: {error}"
    ways = f", told of {told.told} by {' and '.join(told.ways)}" if told.told else ""
    return f"{told.open} alerts are open{ways}"


def failure_sensor() -> SensorDefinition:
    """Tells of failed runs: one alert a job, until a run of it succeeds."""

    @run_failure_sensor(
        name="alert_run_failures",
        minimum_interval_seconds=30,
        default_status=DefaultSensorStatus.RUNNING,
        description="Tells of a failed run: once a job, until a run of it succeeds.",
    )
    def tell(context: RunFailureSensorContext, platform: PlatformResource) -> SkipReason | None:
        run = context.dagster_run
        trouble = Trouble(RUN_FAILED, run.job_name, f"run {run.run_id}: {_why(context)}")
        try:
            report(platform.get(), trouble)
        except NotToldError as error:  # it stays due, and the other sensor tells it
            return SkipReason(f"could not tell anybody: {error}")
        return None

    return tell


def _why(context: RunFailureSensorContext) -> str:
    """The words of the step that failed, or of the run where none did."""
    for event in context.get_step_failure_events():
        data = event.step_failure_data
        if data.user_failure_data is not None and data.user_failure_data.description:
            return data.user_failure_data.description
        if data.error is not None:
            cause = data.error.cause or data.error
            return cause.message.strip()
    return context.failure_event.message or "it failed"


def _succeeded_since(instance: DagsterInstance, open_alerts: list[alerts.Alert]) -> set[int]:
    """The alerts of failed runs whose job's latest run that ended did succeed."""
    over = set()
    ended = [DagsterRunStatus.SUCCESS, DagsterRunStatus.FAILURE]
    for alert in open_alerts:
        if alert.kind == RUN_FAILED:
            last = instance.get_runs(RunsFilter(job_name=alert.subject, statuses=ended), limit=1)
            if last and last[0].status is DagsterRunStatus.SUCCESS:
                over.add(alert.alert_id)
    return over
