"""Sensors: come back for what waited, and keep the partitions in step with the watchlist.

Belongs here: what is looked at every minute. Does not: what a run does (jobs.py).
"""

from dagster import (
    AddDynamicPartitionsRequest,
    DefaultSensorStatus,
    RunRequest,
    RunsFilter,
    SensorDefinition,
    SensorEvaluationContext,
    SensorResult,
    SkipReason,
    sensor,
)
from dagster._core.storage.dagster_run import NOT_FINISHED_STATUSES

from stock_platform.orchestration.cells import due_cells
from stock_platform.orchestration.jobs import RESUME_JOB
from stock_platform.orchestration.partitions import WATCHLIST_TICKERS
from stock_platform.orchestration.resources import PlatformResource

EVERY_SECONDS = 60


def resume_sensor() -> SensorDefinition:
    """Requests one run for all waiting cells that are due."""

    @sensor(
        name="resume_waiting",
        job_name=RESUME_JOB,
        minimum_interval_seconds=EVERY_SECONDS,
        default_status=DefaultSensorStatus.RUNNING,
        description="Comes back for cells that a source had no quota for, once it has again.",
    )
    def resume_waiting(
        context: SensorEvaluationContext, platform: PlatformResource
    ) -> RunRequest | SkipReason:
        unfinished = RunsFilter(job_name=RESUME_JOB, statuses=list(NOT_FINISHED_STATUSES))
        if context.instance.get_runs(unfinished, limit=1):
            return SkipReason("a run that resumes is under way")
        due = due_cells(platform.get())
        if not due:
            return SkipReason("no waiting cell is due")
        return RunRequest(tags={"stock_platform/cells": str(len(due))})

    return resume_waiting


def watchlist_sensor() -> SensorDefinition:
    """Gives every tracked ticker its partition."""

    @sensor(
        name="watchlist_partitions",
        minimum_interval_seconds=EVERY_SECONDS,
        default_status=DefaultSensorStatus.RUNNING,
        description=(
            "Gives every tracked ticker its partition. A ticker that is no longer tracked keeps "
            "its own: its history is there."
        ),
    )
    def watchlist_partitions(
        context: SensorEvaluationContext, platform: PlatformResource
    ) -> SensorResult | SkipReason:
        tracked = platform.get().watchlist_assets()["ticker"].to_list()
        known = set(context.instance.get_dynamic_partitions(WATCHLIST_TICKERS))
        new = [ticker for ticker in tracked if ticker not in known]
        if not new:
            return SkipReason(f"all {len(tracked):,} tracked tickers have their partition")
        return SensorResult(
            dynamic_partitions_requests=[AddDynamicPartitionsRequest(WATCHLIST_TICKERS, new)]
        )

    return watchlist_partitions
