"""What a run leaves in the UI: numbers, tables, samples.

Belongs here: reports turned into Dagster metadata, and where it is attached. Does not: the
numbers themselves (pipeline/), writing rows (io_managers.py).

Metadata on an output is repeated on the event of every partition of a run. So a run of many
partitions puts its account on the last one alone, which is the one an asset's page shows, and
only its own coverage on each.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl
from dagster import MetadataValue, OutputContext, TableMetadataValue, TableRecord
from dagster._core.execution.context.metadata_logging import (
    AssetMetadataHandle,
    OutputMetadataAccumulator,
)

from stock_platform.domain.batches import WriteReport
from stock_platform.domain.cells import CellGrid
from stock_platform.domain.coverage import SETTLED
from stock_platform.orchestration.cells import span
from stock_platform.orchestration.partitions import ScopeName
from stock_platform.pipeline.coverage import NAMES, CoverageReport
from stock_platform.pipeline.report import FetchReport
from stock_platform.storage import assets, readers
from stock_platform.storage.connection import Database

Metadata = Mapping[str, Any]

SAMPLE_ROWS = 5
PARTITIONS_WITH_COVERAGE = 20_000
"""Runs of more partitions carry no coverage on each: the ledger has it."""


def attach(
    context: OutputContext, account: Metadata, partitions: Mapping[str, Metadata] | None = None
) -> None:
    """Attach the run's account, and each partition's own metadata."""
    keys = list(context.asset_partition_keys) if context.has_asset_partitions else []
    own = partitions or {}
    if len(keys) <= 1:
        context.add_output_metadata({**account, **(own.get(keys[0], {}) if keys else {})})
        return
    per_key = {key: dict(own[key]) for key in keys if key in own}
    per_key[keys[-1]] = {**account, **per_key.get(keys[-1], {})}
    step = context.step_context
    # add_asset_metadata lists all partitions of the run again for every one of them
    gathered = dict(step._metadata_accumulator.per_output_metadata)  # noqa: SLF001  # see above
    for key, values in per_key.items():
        handle = AssetMetadataHandle(asset_key=context.asset_key, partition_key=key)
        gathered[handle] = {**gathered.get(handle, {}), **values}
    step._metadata_accumulator = OutputMetadataAccumulator(  # noqa: SLF001  # see above
        per_output_metadata=gathered
    )


def of_fetch(report: FetchReport, per_ticker_calls: int) -> dict[str, Any]:
    """The account of a fetch: cells by state, calls against the plan and its bounds."""
    plan = report.plan
    return {
        "dagster/row_count": report.rows,
        "cells": report.cells,
        "cells_already_stored": report.already,
        "cells_asked_for": report.asked,
        "cells_by_state": MetadataValue.md(counts_table("state", report.states)),
        "why_not_stored": MetadataValue.md(counts_table("reason", report.reasons.most_common(20))),
        "calls": MetadataValue.md(_calls_table(report)),
        "sources": MetadataValue.md(_sources_table(report)),
        "calls_made": report.total_calls,
        "calls_lower_bound": int(plan.get("lower_bound_calls", 0)),
        "calls_one_per_ticker": per_ticker_calls,
        "rate_limited": report.rate_limited,
        "rows_rejected": report.rejected,
        "assets_discovered": report.discovered,
    }


def summary_of_fetch(report: FetchReport) -> str:
    """The account in one line, for the log."""
    states = ", ".join(f"{n:,} {state}" for state, n in report.states.most_common()) or "none"
    return (
        f"{report.cells:,} cells, {report.already:,} already settled; of {report.asked:,} asked "
        f"for: {states}. {report.total_calls:,} calls, {report.rows:,} rows, "
        f"{report.rate_limited:,} times rate limited."
    )


def _calls_table(report: FetchReport) -> str:
    planned: dict[str, int] = report.plan.get("calls_by_source", {})
    lines = ["| source | planned | made |", "|---|--:|--:|"]
    lines += [
        f"| {source} | {planned.get(source, 0):,} | {report.calls.get(source, 0):,} |"
        for source in sorted({*planned, *report.calls})
    ]
    lines += [f"| failed: {kind} | | {n:,} |" for kind, n in sorted(report.failures.items())]
    if report.shared:
        lines.append(f"| made by another run meanwhile | | {report.shared:,} |")
    return "\n".join(lines) if len(lines) > 2 else "No call was needed."


def _sources_table(report: FetchReport) -> str:
    """How the sources fare: circuit, success rate, last error."""
    lines = ["| source | circuit | success | latency | last error | next try |",
             "|---|---|--:|--:|---|---|"]  # fmt: skip
    for name, fares in sorted(report.sources.items()):
        due = fares["next_try"]
        error = (fares["last_error"] or "").replace("|", "/")[:80]
        lines.append(
            f"| {name} | {fares['circuit']} | {fares['success_rate']:.0%} "
            f"| {fares['latency_seconds']:.1f} s | {error} "
            f"| {due.isoformat(timespec='seconds') if due else ''} |"
        )
    return "\n".join(lines) if len(lines) > 2 else "No source was asked."


def counts_table(title: str, counts: Mapping[str, int] | Sequence[tuple[str, int]]) -> str:
    """Counts as a markdown table."""
    pairs = list(counts.items()) if isinstance(counts, Mapping) else list(counts)
    if not pairs:
        return "none"
    rows = [f"| {name.replace('|', '/')} | {n:,} |" for name, n in pairs]
    return "\n".join([f"| {title} | cells |", "|---|--:|", *rows])


def of_coverage(report: CoverageReport) -> dict[str, Any]:
    """The states of a run's cells."""
    return {
        "coverage": round(report.share, 4),
        "coverage_by_state": MetadataValue.md(counts_table("state", report.counts)),
    }


def of_grid(grid: CellGrid) -> dict[str, Any]:
    """What a run was about."""
    between = span(grid)
    return {
        "assets": len(grid.trimmed().assets),
        "sessions": f"{between[0]} to {between[1]}" if between else "none",
    }


def of_partitions(
    db: Database, scope: ScopeName, report: CoverageReport, keys: Sequence[str]
) -> dict[str, dict[str, Any]]:
    """Each partition's own coverage: its cells by state."""
    if len(keys) > PARTITIONS_WITH_COVERAGE or not report.grid:
        return {}
    grid = report.grid
    column = "ticker" if scope == "watchlist" else "shard"
    names = assets.by_id(db, grid.assets.tolist()).select(
        "asset_id", pl.col(column).cast(pl.String).alias("name")
    )
    if scope == "market":
        names = names.with_columns(pl.col("name").str.zfill(2))
    cells = (
        pl.DataFrame(
            {
                "asset_id": grid.assets[np.nonzero(grid.mask)[0]],
                "date": _partition_dates(grid, dates_of(keys))[np.nonzero(grid.mask)[1]],
                "code": report.codes[grid.mask],
            }
        )
        .join(names, on="asset_id")
        .group_by("date", "name", "code")
        .len()
    )
    found: dict[str, dict[str, Any]] = {}
    for day, name, code, count in cells.iter_rows():
        found.setdefault(f"{day}|{name}", {})[NAMES[code]] = count
    settled = {str(status) for status in SETTLED}
    for states in found.values():
        expected = sum(states.values())
        states["coverage"] = sum(n for s, n in states.items() if s in settled) / expected
    return found


def dates_of(keys: Sequence[str]) -> np.ndarray:
    """The dates of keys, ascending."""
    return np.unique(np.array([key.partition("|")[0] for key in keys], dtype="datetime64[D]"))


def _partition_dates(grid: CellGrid, dates: np.ndarray) -> np.ndarray:
    """The partition date that each session of a grid stands under: the first one from it on."""
    at = np.minimum(np.searchsorted(dates, grid.sessions), len(dates) - 1)
    return dates[at]


def sample_cells(grid: CellGrid, rows: int = SAMPLE_ROWS) -> CellGrid:
    """Some cells of the last session of a grid."""
    trimmed = grid.trimmed()
    if not trimmed:
        return trimmed
    mask = np.zeros_like(trimmed.mask)
    mask[np.nonzero(trimmed.mask[:, -1])[0][:rows], -1] = True
    return trimmed.with_mask(mask).trimmed()


def sample_prices(db: Database, grid: CellGrid) -> pl.DataFrame:
    """Some validated prices of the last session of a grid."""
    cells = sample_cells(grid)
    between = span(cells)
    if between is None:
        return pl.DataFrame(schema={"asset_id": pl.Int32()})
    return readers.prices(db, cells.assets.tolist(), *between)


def sample_derived(db: Database, table: str, grid: CellGrid) -> pl.DataFrame:
    """Some rows of a derived table, of the last session of a grid."""
    cells = sample_cells(grid)
    between = span(cells)
    if between is None:
        return pl.DataFrame(schema={"asset_id": pl.Int32()})
    ids = cells.assets.tolist()
    if table == "indicators":
        return readers.indicators(db, ids, *between)
    return readers.periods(db, ids, table.removesuffix("_prices"), *between)


def of_written(written: WriteReport) -> dict[str, int]:
    """What transactions changed, in rows."""
    return {
        "rows_inserted": written.inserted,
        "rows_updated": written.updated,
        "rows_unchanged": written.unchanged,
        "rows_quarantined": written.quarantined,
    }


def sample_table(db: Database, frame: pl.DataFrame, rows: int = SAMPLE_ROWS) -> TableMetadataValue:
    """A few rows, with tickers in place of asset ids."""
    records = [TableRecord(data=row) for row in plain(named(db, frame.head(rows))).to_dicts()]
    return MetadataValue.table(records) if records else _no_rows()


def named(db: Database, frame: pl.DataFrame) -> pl.DataFrame:
    """A frame with ``ticker`` first, in place of ``asset_id``."""
    names = assets.by_id(db, frame["asset_id"].unique().to_list()).select("asset_id", "ticker")
    joined = frame.join(names, on="asset_id", how="left", maintain_order="left")
    return joined.select("ticker", pl.exclude("ticker", "asset_id"))


def plain(frame: pl.DataFrame) -> pl.DataFrame:
    """A frame of nothing but text and numbers."""
    return frame.with_columns(
        pl.selectors.temporal().cast(pl.String),
        pl.selectors.by_dtype(pl.List(pl.String)).list.join(", "),
    )


def _no_rows() -> TableMetadataValue:
    return MetadataValue.table([TableRecord(data={"rows": "none"})])
