"""Jobs: what runs together.

Belongs here: selections of assets, and the job that resumes what waited. Does not: when they
run (schedules.py, sensors.py).
"""

from typing import Any

from dagster import (
    AssetKey,
    AssetSelection,
    Backoff,
    JobDefinition,
    OpExecutionContext,
    RetryPolicy,
    define_asset_job,
    in_process_executor,
    job,
    op,
)
from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition

from stock_platform.orchestration.assets.catalog import CATALOG
from stock_platform.orchestration.cells import due_cells
from stock_platform.orchestration.failures import clear_failures
from stock_platform.orchestration.metadata import of_fetch, of_grid, summary_of_fetch
from stock_platform.orchestration.partitions import Scope, ScopeName
from stock_platform.orchestration.progress import teller
from stock_platform.orchestration.resources import PlatformResource
from stock_platform.pipeline.runtime import Platform

RESUME_JOB = "resume_job"

ASSET_NAMES = ("raw_quotes", "validated_prices", "weekly_prices", "monthly_prices", "indicators")


def job_name(scope: ScopeName) -> str:
    """The name of a scope's job."""
    return f"{scope}_job"


def scope_job(scope: Scope) -> UnresolvedAssetJobDefinition:
    """Fetch, validate, aggregate and check the partitions of a run."""
    return define_asset_job(
        job_name(scope.name),
        AssetSelection.assets(*(AssetKey([scope.name, name]) for name in ASSET_NAMES)),
        description=(
            f"Fills the `{scope.name}` scope: fetch what is missing, validate, aggregate, check. "
            "Partitions of any shape; running again asks for nothing that is stored."
        ),
    )


def catalog_job() -> UnresolvedAssetJobDefinition:
    """Learn the market's symbols."""
    return define_asset_job(
        "catalog_job",
        AssetSelection.assets(CATALOG),
        description="Asks the directories who is listed, at the cost of a few calls.",
    )


def resume(platform: Platform, context: OpExecutionContext) -> dict[str, Any]:
    """Fetch the waiting cells that are due, then all that follows from them."""
    grid = due_cells(platform)
    stream = platform.fetch(grid, context.run_id, progress=teller(context.log))
    for batches in stream:
        platform.write_fetch(batches, context.run_id)
    context.log.info(summary_of_fetch(stream.report))
    for batch in platform.validate(grid):
        platform.write_validated(batch)
    changed = platform.refresh_indicators(grid)
    return {
        **of_grid(grid),
        **of_fetch(stream.report, len(grid.trimmed().assets)),
        "indicators_changed": changed,
    }


@op(
    description=(
        "Fetches the cells that waited for a quota and are due, of both scopes, in one plan; "
        "then validates them and derives what depends on them."
    ),
    retry_policy=RetryPolicy(max_retries=2, delay=60, backoff=Backoff.EXPONENTIAL),
)
def resume_waiting_cells(context: OpExecutionContext, platform: PlatformResource) -> None:
    """See the description."""
    with clear_failures():
        context.add_output_metadata(resume(platform.get(), context))


def resume_job() -> JobDefinition:
    """The job that the sensor ``resume_waiting`` runs."""

    @job(
        name=RESUME_JOB,
        executor_def=in_process_executor,
        description="Comes back for the cells that waited for a quota, all in one run.",
    )
    def resume_all() -> None:
        resume_waiting_cells()

    return resume_all
