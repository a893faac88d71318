"""Splits and dividends, as an asset of each scope.

Belongs here: the assets, their job and schedule. Does not: asking and storing
(pipeline/actions.py).
"""

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

from stock_platform.domain.errors import InputError, one_of
from stock_platform.domain.reconciling import KINDS, Kind
from stock_platform.orchestration.assets.scoped import CODE_VERSION, OWNERS
from stock_platform.orchestration.assets.texts import describe
from stock_platform.orchestration.failures import clear_failures
from stock_platform.orchestration.handles import WORDS, table_schema
from stock_platform.orchestration.partitions import ScopeName
from stock_platform.orchestration.resources import PlatformResource
from stock_platform.pipeline.actions import ActionsReport
from stock_platform.pipeline.bulk import as_date
from stock_platform.storage.actions import ACTIONS

NAME = "corporate_actions"
SHOWN = 50

WORDS_OF_ACTIONS = {
    "asset_id": WORDS["asset_id"],
    "kind": "split or dividend",
    "ex_date": "the first session without it",
    "value": "a split's new shares for one old, or a dividend's cash a share as paid",
    "currency": "of the cash",
    "source": "whose words stand",
    "sources": "all that agree with it",
    "recorded_at": "since when it is known",
}


class ActionsConfig(Config):
    """What a run asks for."""

    kinds: list[str] = Field(default=list(KINDS), description="split, dividend, or both.")
    since: str | None = Field(
        default=None,
        description="First ex-date, such as 2024-01-31; none: since the last answer.",
    )
    force: bool = Field(
        default=False, description="Ask although the last answer is not six hours old."
    )


def actions_asset(scope: ScopeName) -> AssetsDefinition:
    """The splits and dividends of a scope."""

    @asset(
        key=AssetKey([scope, NAME]),
        description=describe(NAME, scope),
        group_name=scope,
        owners=OWNERS,
        kinds={"postgres", "api"},
        code_version=CODE_VERSION,
        metadata={
            "dagster/table_name": "stocks.splits_in_force",
            "dagster/column_schema": table_schema(
                ACTIONS, WORDS_OF_ACTIONS, ("asset_id", "kind", "ex_date")
            ),
        },
        tags={"stock_platform/scope": scope},
    )
    def corporate_actions(
        context: AssetExecutionContext, config: ActionsConfig, platform: PlatformResource
    ) -> MaterializeResult[None]:
        """See texts.py."""
        with clear_failures():
            report = platform.get().refresh_actions(
                scope,
                [_kind(word) for word in config.kinds],
                since=as_date("since", config.since),
                force=config.force,
                run_id=context.run.run_id,
            )
        for what, why in report.failures.items():
            context.log.warning("%s: %s", what, why)
        return MaterializeResult(metadata=metadata_of(report))

    return corporate_actions


def metadata_of(report: ActionsReport) -> dict[str, Any]:
    """What a refresh left, for the UI."""
    changed = report.changed
    lines = ["| asset | kind | ex-date |", "|--:|---|---|"]
    lines += [f"| {a} | {kind} | {day} |" for a, kind, day in changed.head(SHOWN).iter_rows()]
    found: dict[str, Any] = {
        "dagster/row_count": sum(report.told.values()),
        "splits_told": report.told["split"],
        "dividends_told": report.told["dividend"],
        "of_unknown_symbols": report.strangers,
        "actions_changed": changed.height,
        "conflicts": report.conflicts,
        "calls_made": report.calls.total(),
        "asked": MetadataValue.md("\n".join(f"- {text}" for text in report.asked) or "nothing"),
    }
    if changed.height:
        found["changed"] = MetadataValue.md("\n".join(lines))
    if report.failures:
        found["failures"] = MetadataValue.md(
            "\n".join(f"- {what}: {why}" for what, why in report.failures.items())
        )
    return found


def actions_job(scope: ScopeName) -> UnresolvedAssetJobDefinition:
    """The job that the schedule runs."""
    return define_asset_job(
        f"{scope}_actions_job",
        AssetSelection.assets(AssetKey([scope, NAME])),
        description="Asks for splits and dividends since the last answer.",
    )


def actions_schedule(scope: ScopeName, zone: str) -> ScheduleDefinition:
    """Every weekday before the open. The market's is off by default: it needs a key."""
    return ScheduleDefinition(
        name=f"{scope}_actions_daily",
        job_name=f"{scope}_actions_job",
        cron_schedule="30 7 * * 1-5",
        execution_timezone=zone,
        default_status=(
            DefaultScheduleStatus.RUNNING if scope == "watchlist" else DefaultScheduleStatus.STOPPED
        ),
        description="Asks for splits and dividends before the open, one call a kind.",
    )


def _kind(word: str) -> Kind:
    """Raises InputError."""
    for kind in KINDS:
        if word == kind:
            return kind
    raise InputError("kinds", word, one_of(KINDS))
