"""Filling gaps with quota that nobody else needs.

Belongs here: which gaps may be filled, whom to ask within what is spare, keeping what they say.
Does not: finding gaps (gaps.py), what is spare (spare_quota.py), planning (domain/planning).

A session nobody asked for, or that failed and is due, is fetched. One of which a single source
says that it has no bar, though the asset traded before and after, is asked of another source: its
bar fills the gap, and if it has none either, the gap is a halt and is left alone from then on.
Quotes that came beside others and that nobody judged yet are judged.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from stock_platform.domain.bars import UTC_STAMP
from stock_platform.domain.batches import FetchBatch
from stock_platform.domain.cells import CellGrid, Mask
from stock_platform.domain.comparing import CELL, Why
from stock_platform.domain.coverage import MARKS, CellStatus
from stock_platform.domain.gaps import GapState
from stock_platform.domain.quality import Fact
from stock_platform.pipeline.answers import ABSENT
from stock_platform.pipeline.board import Board
from stock_platform.pipeline.deciding import judge_again
from stock_platform.pipeline.gaps import Gaps, find_gaps
from stock_platform.pipeline.reconciling_prices import Reconciliation
from stock_platform.pipeline.spare_quota import (
    Budget,
    known_demand,
    left_over,
    requests_of,
    without_refusals,
)
from stock_platform.storage.locks import Work, alone

if TYPE_CHECKING:
    from stock_platform.pipeline.runtime import Platform


@dataclass
class FillReport:
    """What filling gaps did, or with ``dry_run`` would do.

    Attributes:
        open_cells: sessions that asking may fill: never_asked, said_none (by one source).
        spare: requests that could be spent, by account; of accounts with limits.
        planned: calls within them.
        left: sessions that no spare quota was left for.
        calls: HTTP requests made, by source.
        filled: sessions that have a quote now. halts: that two sources have none of. judged:
            that had a quote which nobody had judged yet.
    """

    open_cells: dict[str, int] = field(default_factory=dict)
    spare: dict[str, int] = field(default_factory=dict)
    planned: int = 0
    left: int = 0
    calls: Counter[str] = field(default_factory=Counter)
    filled: int = 0
    halts: int = 0
    judged: int = 0

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "open_cells": self.open_cells, "spare": self.spare, "planned": self.planned,
            "left": self.left, "calls": dict(self.calls), "filled": self.filled,
            "halts": self.halts, "judged": self.judged,
        }  # fmt: skip


def fill_gaps(
    platform: Platform, run_id: str | None = None, *, dry_run: bool = False
) -> FillReport:
    """Fill what gaps can be filled within spare quota, and judge what came.

    One at a time, with reconciliations: each would spend what is spare once.
    """
    if not platform.capabilities:
        return FillReport()
    if dry_run:
        return _fill(platform, run_id, dry_run=True)
    with alone(platform.db, Work.SPARE):
        return _fill(platform, run_id, dry_run=False)


def _fill(platform: Platform, run_id: str | None, *, dry_run: bool) -> FillReport:
    report = FillReport()
    board = Board.of(platform)
    if not len(board.grid.assets):
        return report
    found = find_gaps(platform, board)
    missing = platform.missing(board.grid.with_mask(_to_fetch(platform, board, found)))
    doubtful = board.grid.with_mask(_said_by_one(board, found))
    report.open_cells = {"never_asked": len(missing), "said_none": len(doubtful)}
    spare = left_over(platform, known_demand(platform))
    report.spare = dict(spare)
    came = _fetch(platform, missing.trimmed(), spare, report, run_id, dry_run=dry_run)
    came += _ask_others(platform, doubtful, found, spare, report, run_id, dry_run=dry_run)
    unjudged = board.grid.with_mask(found.cells(GapState.UNJUDGED))
    report.judged = len(unjudged)
    if unjudged and not dry_run:
        came.append(unjudged)
    if came:
        both = CellGrid.union([grid.trimmed() for grid in came])
        judge_again(platform, both)
    return report


def _to_fetch(platform: Platform, board: Board, found: Gaps) -> Mask:
    """Sessions without an answer: of tracked assets all, of others those before their last bar."""
    tracked = np.isin(board.grid.assets, platform.watchlist_assets()["asset_id"].to_numpy())
    stored = board.state(CellStatus.STORED)
    before = np.logical_or.accumulate(stored[:, ::-1], axis=1)[:, ::-1]
    wanted: Mask = found.cells(GapState.MISSING, GapState.FAILED) & (tracked[:, None] | before)
    return wanted


def _said_by_one(board: Board, found: Gaps) -> Mask:
    """Sessions between bars of which a single source says that there is none."""
    priced = board.has(Fact.PRICED)
    before = np.logical_or.accumulate(priced, axis=1)
    after = np.logical_or.accumulate(priced[:, ::-1], axis=1)[:, ::-1]
    wanted: Mask = found.cells(GapState.NO_DATA) & before & after
    return wanted


def _fetch(
    platform: Platform,
    missing: CellGrid,
    spare: dict[str, int],
    report: FillReport,
    run_id: str | None,
    *,
    dry_run: bool,
) -> list[CellGrid]:
    """Fetch the cells of as many calls as are spare, those with the most cells first."""
    if not missing:
        return []
    plan = platform.plan_of(missing, platform.market.plan_assets(missing.assets))
    left, affordable = dict(spare), []
    for tile in sorted(plan.tiles, key=lambda t: -len(plan.covers(t))):
        source = platform.capabilities[tile.source]
        if source.limits:
            cost = requests_of(source, tile)
            if left.get(source.account, 0) < cost:
                continue
            left[source.account] -= cost
        affordable.append(plan.covers(tile))
    report.planned += len(affordable)
    chosen = CellGrid.union(affordable) if affordable else missing.with_mask(missing.mask & False)
    report.left += len(missing.difference(chosen))
    if dry_run:
        spare |= left
    if dry_run or not chosen:
        return []
    # A source that fails leaves its cells to others: they, too, give what is spare and no more.
    within = Budget(spare).sources(platform.sources)
    stream = platform.fetch(chosen, run_id, sources=within)
    for batches in stream:
        platform.write_fetch([without_refusals(batch) for batch in batches], run_id)
    report.calls.update(stream.report.calls)
    report.filled += stream.report.states.get(str(CellStatus.STORED), 0)
    report.left += len(platform.missing(chosen))
    return [chosen]


def _ask_others(
    platform: Platform,
    doubtful: CellGrid,
    found: Gaps,
    spare: dict[str, int],
    report: FillReport,
    run_id: str | None,
    *,
    dry_run: bool,
) -> list[CellGrid]:
    """Ask another source for sessions of which one says that it has none."""
    if not doubtful:
        return []
    need = _need(doubtful, found)
    asking = Reconciliation(platform, doubtful, run_id=run_id)
    if dry_run:
        report.planned += len(asking.planned(need, spare))
        return []
    came, none = asking.second_opinions(need, spare)
    report.planned += len(asking.report.asked)
    report.left += asking.report.unaffordable
    report.calls.update(asking.report.calls)
    report.filled += sum(len(doubtful.intersection(grid)) for grid in came)
    if none.height:
        marks = none.with_columns(
            pl.lit(str(CellStatus.NO_DATA)).alias("status"), pl.lit(ABSENT).alias("reason"),
            pl.lit(None).cast(UTC_STAMP).alias("retry_after"),
        ).select(list(MARKS))  # fmt: skip
        platform.write_fetch([FetchBatch(None, marks=marks)], run_id)
        report.halts += none.select(CELL).unique().height
    return came


def _need(doubtful: CellGrid, found: Gaps) -> pl.DataFrame:
    """CELL, why, and asked: the source that says that there is no bar."""
    cells = doubtful.to_frame().with_columns(pl.lit(str(doubtful.interval)).alias("interval"))
    said = [
        doubtful.with_mask(doubtful.mask & mask).to_frame().with_columns(
            pl.lit(source).alias("source")
        )
        for source, mask in found.said.items()
    ]  # fmt: skip
    whom = (
        pl.concat(said).group_by("asset_id", "session").agg(pl.col("source").sort().alias("asked"))
    )
    return cells.join(whom, on=["asset_id", "session"], how="left").select(
        *CELL, pl.lit(str(Why.DISPUTED)).alias("why"), pl.col("asked").fill_null([])
    )
