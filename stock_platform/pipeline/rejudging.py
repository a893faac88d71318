"""Verdicts among neighbours: what is read for some cells, and whose verdicts are made again.

Belongs here: blocks of context, open levels, actions that came later. Does not: rules
(domain/validation), choosing and writing (validating.py, storage/).

A verdict is a function of the raw quotes around a cell (domain/validation/context.py), so what
comes new may change verdicts that were made before. Of the cells in reach, these are judged
again: those of which a series rule says something now, those that carry a series rule's mark or
lie in quarantine, and those with several quotes. Of any other nothing was said and nothing is.
Assets with an open level, and those of which a split came later, are judged as a whole. So in
whatever order and pieces cells are judged, once all that was fetched has been, every verdict
is what judging all at once would give; and a new session of the market costs a look at its
last months, not at its years.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from typing import Self

import numpy as np
import polars as pl

from stock_platform.domain.batches import BLOCK, News
from stock_platform.domain.cells import CellGrid, Sessions
from stock_platform.domain.validation.context import Context, Faults, find_faults
from stock_platform.domain.validation.findings import block_days
from stock_platform.domain.validation.rules import Level
from stock_platform.storage import readers
from stock_platform.storage import rejudging as store
from stock_platform.storage.connection import Database

CELL = ["asset_id", "session"]

NEAR = 2
"""Blocks beside a new cell's that are read: the next one's verdicts may change with it, and
depend on the one after."""

CELLS_AT_ONCE = 100_000
ROWS_AT_ONCE = 400_000
ASSETS_AT_ONCE = 40
"""Of which all bars are read, ten years of days of each."""


WEEK = timedelta(days=7)

EVER = (date(1900, 1, 1), date(2100, 1, 1))
"""Before and after every session."""


@dataclass(frozen=True)
class Known:
    """What does not change while assets are judged.

    Attributes:
        as_traded: raw quotes as traded.
        splits: SPLITS. context: of the rules; its cells are not looked at.
        sessions: asset_id, session, opens, closes of the days of a grid.
        level: how much is checked.
        waiting: actions that came later (UNJUDGED), read before the splits and dividends were.
    """

    as_traded: Callable[[pl.DataFrame], pl.DataFrame]
    splits: pl.DataFrame
    context: Context
    sessions: Callable[[CellGrid], pl.DataFrame]
    level: Level
    waiting: pl.DataFrame


@dataclass(frozen=True)
class Task:
    """Cells to judge, and all that judging them takes.

    Attributes:
        cells: the cells.
        raw: their raw quotes. traded: the same as traded.
        faults: what series rules say of them (Faults.told).
        sessions: asset_id, session, opens, closes.
        news: what later verdicts need to know.
    """

    cells: CellGrid
    raw: pl.DataFrame
    traded: pl.DataFrame
    faults: pl.DataFrame
    sessions: pl.DataFrame
    news: News = field(default_factory=News)

    @classmethod
    def of(
        cls,
        cells: CellGrid,
        raw: pl.DataFrame,
        traded: pl.DataFrame,
        faults: Faults,
        sessions: pl.DataFrame,
        news: News | None = None,
    ) -> Self:
        """A task; of the frames, what is the cells'."""
        keys = cells.to_frame()

        def mine(frame: pl.DataFrame) -> pl.DataFrame:
            return frame.join(keys, on=CELL, how="semi", maintain_order="left")

        return cls(cells, mine(raw), mine(traded), mine(faults.told), sessions, news or News())


def chunks(grid: CellGrid, *, near: bool) -> Iterator[CellGrid]:
    """The grid in groups of assets, so small that they and what is around them fit in memory."""
    around = len(around_days(grid, NEAR)) if near and grid else 1
    rows = max(1, min(CELLS_AT_ONCE // max(1, len(grid.sessions)), ROWS_AT_ONCE // around))
    yield from grid.row_chunks(rows * max(1, len(grid.sessions)))


def tasks(db: Database, asked: CellGrid, known: Known) -> Iterator[Task]:
    """The tasks that judging ``asked`` takes; write each before the next is asked for."""
    interval, ids = asked.interval, asked.assets.tolist()
    waiting = known.waiting
    opened = store.open_levels(db, ids, interval)
    here = _blocks(asked)
    days = block_days(str(interval))
    far = waiting.with_columns(pl.col("day").cast(pl.Int32).floordiv(days).alias("block")).filter(
        (pl.col("kind") == "split") | ~pl.col("block").is_between(here[0], here[-1])
    )
    wide = set(opened["asset_id"]) | set(far["asset_id"])
    some = _of(asked, wide, inside=False)
    if some:
        later = waiting.filter(~pl.col("asset_id").is_in(list(wide)))
        left, found = _near(db, some, later, known)
        yield from found
        wide |= left
    for part in _of(asked, wide, inside=True).row_chunks(_cells_of_all(asked)):
        yield _whole(db, part.trimmed(), waiting, opened, known)


def _near(
    db: Database, asked: CellGrid, waiting: pl.DataFrame, known: Known
) -> tuple[set[int], list[Task]]:
    """The tasks of cells by their blocks; the assets whose level is left open are left out."""
    interval, days = asked.interval, block_days(str(asked.interval))
    around = CellGrid.rectangle(asked.assets, around_days(asked, NEAR), interval)
    raw = readers.raw(db, around)
    traded = known.as_traded(raw)
    sessions = known.sessions(around)
    faults = find_faults(traded, known.splits, sessions, known.context, known.level)
    looked_at = _looked_at(asked, waiting, days)
    block = pl.col("session").cast(pl.Int32).floordiv(days).alias("block")
    left = set(faults.open.join(looked_at, on=list(BLOCK), how="semi")["asset_id"])
    mine = _of(asked, left, inside=False)
    looked_at = looked_at.filter(~pl.col("asset_id").is_in(list(left)))
    if not mine:
        return left, []
    several = raw.group_by(CELL).len().filter(pl.col("len") > 1).select(CELL)
    spoken = pl.concat([faults.told.select(CELL), several]).unique()
    spoken = _in_blocks(spoken, block, looked_at)
    if spoken.height:
        who = CellGrid.rectangle(spoken["asset_id"].unique(), around.sessions[:1], interval)
        spoken = spoken.join(readers.judged(db, who, around.sessions), on=CELL, how="semi")
    first, last = around.sessions[0].astype(object), around.sessions[-1].astype(object)
    marked = store.marked(db, interval, mine.assets.tolist(), first, last)
    again = pl.concat([spoken, _in_blocks(marked, block, looked_at)]).unique()
    again = again.join(mine.to_frame(), on=CELL, how="anti")

    actions = waiting.filter(~pl.col("asset_id").is_in(list(left)))["action_id"].to_list()
    news = News(tuple(actions), looked_at, faults.open)
    now = Task.of(mine.trimmed(), raw, traded, faults, sessions, news)
    if again.is_empty():
        return left, [now]
    before = CellGrid.from_frame(again, interval)
    return left, [Task.of(before, raw, traded, faults, sessions), now]


def _whole(
    db: Database, asked: CellGrid, waiting: pl.DataFrame, opened: pl.DataFrame, known: Known
) -> Task:
    """The task of assets that are judged by all of their bars."""
    ids = asked.assets.tolist()
    raw = readers.raw(db, CellGrid.rectangle(ids, EVER, asked.interval), between=True)
    judged = readers.judged(db, asked, np.array(EVER, dtype="datetime64[D]"))
    cells = asked
    if judged.height:
        cells = CellGrid.union([asked, CellGrid.from_frame(judged, asked.interval)])
    seen = pl.concat([raw["session"], cells.to_frame()["session"]]).unique().sort()
    ends = (seen[0] - WEEK, seen[-1] + WEEK)  # rules look at whole weeks
    span = CellGrid.rectangle(ids, ends, asked.interval)
    sessions = known.sessions(span)
    traded = known.as_traded(raw)
    context = replace(known.context, whole=True)
    faults = find_faults(traded, known.splits, sessions, context, known.level)
    days = block_days(str(asked.interval))
    blocks = raw.select(
        "asset_id", pl.col("session").cast(pl.Int32).floordiv(days).alias("block")
    ).unique()
    gone = opened.filter(pl.col("asset_id").is_in(ids))
    actions = waiting.filter(pl.col("asset_id").is_in(ids))["action_id"].to_list()
    looked_at = pl.concat([blocks, gone, faults.open]).unique()
    news = News(tuple(actions), looked_at, faults.open)
    return Task.of(cells.trimmed(), raw, traded, faults, sessions, news)


def around_days(cells: CellGrid, blocks: int) -> Sessions:
    """Every day from so many blocks before the first cell's to as many after the last cell's."""
    days = block_days(str(cells.interval))
    here = _blocks(cells)
    start, stop = (here[0] - blocks) * days, (here[-1] + blocks + 1) * days
    zero = np.datetime64(0, "D")
    return np.arange(zero + start, zero + stop, dtype="datetime64[D]")


def _blocks(cells: CellGrid) -> list[int]:
    """The numbers of the first and the last cell's block."""
    days = block_days(str(cells.interval))
    return [int(d.astype(np.int64)) // days for d in (cells.sessions[0], cells.sessions[-1])]


def _looked_at(asked: CellGrid, waiting: pl.DataFrame, days: int) -> pl.DataFrame:
    """BLOCK: the blocks whose verdicts may change, those beside the new cells' included."""
    numbers = asked.sessions.astype(np.int64) // days
    named, at = np.unique(numbers, return_inverse=True)
    touched = np.zeros((len(asked.assets), len(named)), dtype=np.bool_)
    rows, columns = np.nonzero(asked.mask)
    touched[rows, at[columns]] = True
    rows, columns = np.nonzero(touched)
    cells = pl.DataFrame({"asset_id": asked.assets[rows], "block": named[columns]}, schema=BLOCK)
    later = waiting.select("asset_id", pl.col("day").cast(pl.Int32).floordiv(days).alias("block"))
    both = pl.concat([cells, later])
    return pl.concat([both.with_columns(pl.col("block") + k) for k in (-1, 0, 1)]).unique()


def _in_blocks(cells: pl.DataFrame, block: pl.Expr, blocks: pl.DataFrame) -> pl.DataFrame:
    return (
        cells.with_columns(block).join(blocks, on=list(BLOCK), how="semi").select(CELL)
    )  # fmt: skip


def _of(grid: CellGrid, assets: set[int], *, inside: bool) -> CellGrid:
    """The rows of some assets, or of all others."""
    chosen = np.isin(grid.assets, list(assets)) == inside
    return CellGrid(grid.assets[chosen], grid.sessions, grid.mask[chosen], grid.interval)


def _cells_of_all(grid: CellGrid) -> int:
    """As many cells as have the assets of which all bars can be read at once."""
    return (1 if grid.interval.intraday else ASSETS_AT_ONCE) * max(1, len(grid.sessions))
