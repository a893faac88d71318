"""Health every half an hour: sources that were down are tried, and alerts are evaluated.

Belongs here: the job and its schedule. Does not: trying (pipeline/checkup.py), what is wrong
(pipeline/alerting.py).
"""

from typing import Any

from dagster import (
    DefaultScheduleStatus,
    JobDefinition,
    MetadataValue,
    OpExecutionContext,
    ScheduleDefinition,
    TableRecord,
    in_process_executor,
    job,
    op,
)

from stock_platform.orchestration.alerting import evaluate
from stock_platform.orchestration.resources import PlatformResource
from stock_platform.pipeline.checkup import check_sources

HEALTH_JOB = "health_job"


@op(
    description=(
        "Asks each source that is down, once its pause is over, for one cheap thing; then looks "
        "for trouble and tells people what is new and what is over."
    ),
)
def check_health(context: OpExecutionContext, platform: PlatformResource) -> None:
    """See the description."""
    ours = platform.get()
    checked = check_sources(ours)
    for found in checked:
        if found.tried:
            context.log.info("%s: %s (%s)", found.source, found.said, found.circuit)
    said = evaluate(ours, context.instance)
    context.log.info(said)
    table = [
        TableRecord({"source": c.source, "circuit": c.circuit, "tried": c.tried, "said": c.said})
        for c in checked
    ]
    down = [c.source for c in checked if c.circuit != "closed"]
    metadata: dict[str, Any] = {
        "down": ", ".join(down) or "none",
        "tried": sum(c.tried for c in checked),
        "alerts": said,
    }
    if table:
        metadata["sources"] = MetadataValue.table(table)
    context.add_output_metadata(metadata)


def health_job() -> JobDefinition:
    """The job of the schedule."""

    @job(
        name=HEALTH_JOB,
        executor_def=in_process_executor,
        description="Tries the sources that were down, one cheap call each, and evaluates alerts.",
    )
    def health() -> None:
        check_health()

    return health


def health_schedule() -> ScheduleDefinition:
    """Every 30 minutes, at any hour."""
    return ScheduleDefinition(
        name="health_half_hourly",
        job_name=HEALTH_JOB,
        cron_schedule="*/30 * * * *",
        execution_timezone="UTC",
        default_status=DefaultScheduleStatus.RUNNING,
        description="Tries the sources that were down, and evaluates alerts.",
    )
