"""The catalog of symbols, as an asset.

Belongs here: the asset, its schedule, and how a refresh is shown. Does not: how symbols are
learnt (pipeline/catalog.py, pipeline/directories.py).
"""

from typing import Any

import polars as pl
from dagster import (
    AssetExecutionContext,
    AssetKey,
    Config,
    Failure,
    MaterializeResult,
    MetadataValue,
    TableMetadataValue,
    TableRecord,
    asset,
)
from pydantic import Field

from stock_platform.orchestration.assets.scoped import CODE_VERSION, OWNERS
from stock_platform.orchestration.assets.texts import describe
from stock_platform.orchestration.failures import clear_failures
from stock_platform.orchestration.resources import PlatformResource
from stock_platform.pipeline.catalog import CatalogReport
from stock_platform.pipeline.directories import DirectoryReport

CATALOG = AssetKey("catalog")
ROWS_SHOWN = 200


class CatalogConfig(Config):
    """What a refresh may do differently."""

    sources: list[str] = Field(
        default=[], description="Ask these sources alone; empty: all whose directory is cheap."
    )
    force: bool = Field(
        default=False, description="Apply a directory although it looks wrong (half a file)."
    )


@asset(
    key=CATALOG,
    description=describe("catalog"),
    group_name="catalog",
    owners=OWNERS,
    kinds={"postgres", "api"},
    code_version=CODE_VERSION,
    metadata={"dagster/table_name": "stocks.assets"},
)
def catalog(
    context: AssetExecutionContext, config: CatalogConfig, platform: PlatformResource
) -> MaterializeResult[None]:
    """See texts.py."""
    with clear_failures():
        report = platform.get().refresh_catalog(
            context.run.run_id, only=config.sources, force=config.force
        )
    for made in report.directories:
        if made.reason is not None:
            context.log.warning("%s: %s: %s", made.directory, made.status, made.reason)
    if report.refused:
        raise Failure(
            "nothing was changed: " + "; ".join(str(made.reason) for made in report.refused),
            metadata=account(report),
            allow_retries=False,
        )
    return MaterializeResult(metadata=account(report))


def account(report: CatalogReport) -> dict[str, Any]:
    """A refresh as metadata: numbers, a table of sources, and a table for each kind of change."""
    counts: dict[str, int] = {}
    for made in report.directories:
        for kind, number in made.counts.items():
            counts[kind] = counts.get(kind, 0) + number
    told: dict[str, Any] = {
        "dagster/row_count": report.total,
        "assets_added": report.added,
        "calls_made": report.calls.total(),
        "session": report.session or "none",
        **counts,
    }
    if report.directories:
        told["directories"] = MetadataValue.md(_directories(report.directories))
    frames = [made.changes for made in report.directories if made.changes.height]
    if frames:
        changes = pl.concat(frames)
        for (kind,), group in changes.filter("applied").group_by("kind", maintain_order=True):
            told[f"{kind}_assets"] = _table(group)
        doubtful = changes.filter(~pl.col("applied"))
        if doubtful.height:
            told["doubtful_renames"] = _table(doubtful)
    return told


def _directories(made: list[DirectoryReport]) -> str:
    lines = ["| directory | state | source | rows | requests |", "|---|---|---|--:|--:|"]
    for one in made:
        lines += [
            f"| {one.directory} | {one.status} | {name} | {told.get('rows', 0):,} "
            f"| {told.get('requests', 0):,} |"
            + (f" {told['refused']}".replace("|", "/") if "refused" in told else "")
            for name, told in one.sources.items()
        ] or [f"| {one.directory} | {one.status} | | {one.symbols:,} | |"]
    return "\n".join(lines)


def _table(changes: pl.DataFrame) -> TableMetadataValue:
    shown = changes.head(ROWS_SHOWN).with_columns(pl.col("on").cast(pl.String)).select(
        "ticker", "former_ticker", "on", "name", "former_name", "exchange", "evidence", "score"
    )  # fmt: skip
    rows = [{k: "" if v is None else v for k, v in r.items()} for r in shown.to_dicts()]
    return MetadataValue.table([TableRecord(row) for row in rows])
