"""Asset checks: is it all there, is it sound, is it fresh.

Belongs here: questions about what a run left. Does not: the ledger and the rules themselves
(storage/ledger.py, domain/validation).

A check looks at the partitions of its run; without partitions (executed by itself in the UI)
at the last sessions of the whole scope. It asks the database, never a vendor.
"""

from typing import Any

import polars as pl
from dagster import (
    AssetCheckExecutionContext,
    AssetCheckResult,
    AssetChecksDefinition,
    AssetCheckSeverity,
    AssetKey,
    MetadataValue,
    asset_check,
)

from stock_platform.domain.calendar import get_calendar
from stock_platform.domain.cells import CellGrid
from stock_platform.domain.coverage import CellStatus
from stock_platform.orchestration import metadata
from stock_platform.orchestration.cells import (
    cells_of,
    keys_of,
    last_session_cells,
    recent_cells,
    span,
)
from stock_platform.orchestration.failures import clear_failures
from stock_platform.orchestration.handles import VALIDATED_FRAME, check_frame
from stock_platform.orchestration.partitions import Scope, ScopeName
from stock_platform.orchestration.resources import PlatformResource
from stock_platform.pipeline.coverage import NAMES, CoverageReport
from stock_platform.pipeline.runtime import Platform
from stock_platform.storage import readers

CELLS_PER_READ = 100_000
ROWS_ASIDE = 10 * CELLS_PER_READ
"""More than a read's cells can have in quarantine: every source's row of each."""

TICKERS_LISTED = 20


def scope_checks(scope: Scope) -> list[AssetChecksDefinition]:
    """The checks of a scope."""
    raw = AssetKey([scope.name, "raw_quotes"])
    validated = AssetKey([scope.name, "validated_prices"])

    @asset_check(
        asset=raw,
        name="coverage",
        description=(
            "The share of cells that need no further call (stored, no data, not listed) "
            "reaches `STOCK_PLATFORM_COVERAGE_THRESHOLD`. Cells that failed or wait count as "
            "not covered, whatever Dagster says of their partition."
        ),
    )
    def coverage(
        context: AssetCheckExecutionContext, platform: PlatformResource
    ) -> AssetCheckResult:
        with clear_failures():
            ours = platform.get()
            return judge_coverage(ours, ours.coverage(_cells(context, ours, scope.name)))

    @asset_check(
        asset=validated,
        name="ohlc_sanity",
        description=(
            "Every validated price is positive and lies between its low and its high, every "
            "row has its required fields, and every stored cell is either validated or in "
            "quarantine with its reasons."
        ),
    )
    def ohlc_sanity(
        context: AssetCheckExecutionContext, platform: PlatformResource
    ) -> AssetCheckResult:
        with clear_failures():
            ours = platform.get()
            return judge_prices(ours, _cells(context, ours, scope.name))

    @asset_check(
        asset=validated,
        name="freshness",
        description=(
            "Every asset of the scope has the exchange's last completed session, by its "
            "calendar: holidays and half days are known. A warning, as a source may publish late."
        ),
    )
    def freshness(platform: PlatformResource) -> AssetCheckResult:
        with clear_failures():
            return judge_freshness(platform.get(), scope.name)

    return [coverage, ohlc_sanity, freshness]


def judge_coverage(platform: Platform, report: CoverageReport) -> AssetCheckResult:
    """Passes where the settled share reaches the threshold."""
    threshold = platform.settings.coverage_threshold
    counts = report.counts
    unsettled = report.expected - report.settled
    result: dict[str, Any] = {
        **metadata.of_coverage(report),
        **metadata.of_grid(report.grid),
        "threshold": threshold,
        "cells": report.expected,
        "cells_not_settled": unsettled,
    }
    if report.reasons.height:
        reasons = [
            (f"{status}: {reason}" + (f" ({source})" if source else ""), cells)
            for status, reason, source, cells in report.reasons.head(TICKERS_LISTED).iter_rows()
        ]
        result["why_not_stored"] = MetadataValue.md(metadata.counts_table("reason", reasons))
    if unsettled:
        result["worst_tickers"] = MetadataValue.md(_worst(platform, report))
    failed = counts.get(CellStatus.FAILED, 0)
    return AssetCheckResult(
        passed=report.share >= threshold,
        severity=AssetCheckSeverity.ERROR,
        description=(
            f"{report.share:.2%} of {report.expected:,} cells are settled "
            f"({failed:,} failed, {counts.get(CellStatus.WAITING, 0):,} waiting, "
            f"{counts.get('missing', 0):,} never asked); {threshold:.2%} are needed"
        ),
        metadata=result,
    )


def judge_prices(platform: Platform, grid: CellGrid) -> AssetCheckResult:
    """Passes where every validated price fulfils the contract and nothing vanished."""
    rows, broken, vanished = 0, 0, 0
    why: list[str] = []
    for part in grid.row_chunks(CELLS_PER_READ):
        cells = part.trimmed()
        between = span(cells)
        if between is None:
            continue
        ids = cells.assets.tolist()
        prices = readers.prices(platform.db, ids, *between).join(
            cells.to_frame(), on=["asset_id", "session"], how="semi"
        )
        verdict = check_frame(VALIDATED_FRAME, prices)
        if not verdict.success:
            broken += int(getattr(verdict.metadata.get("num_failures"), "value", None) or 1)
            why.append(verdict.description or "")
        aside = readers.quarantined(platform.db, ids, *between, limit=ROWS_ASIDE).select(
            "asset_id", "session"
        )
        accounted = pl.concat([prices.select("asset_id", "session"), aside]).unique()
        stored = platform.coverage(cells)
        has_raw = cells.with_mask(stored.codes == STORED_CODE).to_frame()
        vanished += has_raw.join(accounted, on=["asset_id", "session"], how="anti").height
        rows += prices.height
    return AssetCheckResult(
        passed=not broken and not vanished,
        severity=AssetCheckSeverity.ERROR,
        description=(
            f"{rows:,} validated prices: {broken:,} break the contract, {vanished:,} stored "
            "cells are neither validated nor in quarantine"
        ),
        metadata={
            "rows": rows,
            "rows_broken": broken,
            "cells_unaccounted": vanished,
            **metadata.of_grid(grid),
            **({"why": MetadataValue.md("\n\n".join(why))} if why else {}),
        },
    )


def judge_freshness(platform: Platform, scope: ScopeName) -> AssetCheckResult:
    """Passes where every asset of the scope has the last completed session."""
    report = platform.coverage(last_session_cells(platform, scope))
    last = get_calendar(platform.calendar_name).last_completed(platform.clock.now())
    stale = report.expected - report.settled
    return AssetCheckResult(
        passed=stale == 0,
        severity=AssetCheckSeverity.WARN,
        description=(
            f"{stale:,} of {report.expected:,} cells of the last completed session, {last}, "
            "are not settled"
        ),
        metadata={
            "last_completed_session": str(last),
            "cells": report.expected,
            "cells_not_settled": stale,
        },
    )


STORED_CODE = NAMES.index(CellStatus.STORED)


def _cells(context: AssetCheckExecutionContext, platform: Platform, scope: ScopeName) -> CellGrid:
    keys = keys_of(context)
    return cells_of(platform, scope, keys) if keys else recent_cells(platform, scope)


def _worst(platform: Platform, report: CoverageReport) -> str:
    """Tickers with the most cells that are not settled."""
    open_states = [CellStatus.FAILED, CellStatus.WAITING, "missing"]
    frame = (
        report.by_asset()
        .with_columns(pl.sum_horizontal(map(str, open_states)).alias("cells"))
        .filter(pl.col("cells") > 0)
        .sort("cells", "asset_id", descending=[True, False])
        .head(TICKERS_LISTED)
    )
    named = metadata.named(platform.db, frame)
    return metadata.counts_table("ticker", list(named.select("ticker", "cells").iter_rows()))
