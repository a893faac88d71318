"""Indicators of some cells, derived again from the adjusted series.

Belongs here: which stretch of history a change can reach, and reading it. Does not: the
formulas (domain/aggregates.py).
"""

from __future__ import annotations

from datetime import timedelta

import polars as pl

from stock_platform.domain.aggregates import returns_and_volatility
from stock_platform.domain.bars import Adjust, Interval
from stock_platform.domain.cells import CellGrid
from stock_platform.domain.corporate_actions import apply_adjustments
from stock_platform.storage import readers, writers
from stock_platform.storage.connection import Database

REACH = timedelta(days=110)
"""Calendar days that hold the 64 sessions of the longest window."""

CELLS_PER_BATCH = 100_000


def refresh_indicators(db: Database, grid: CellGrid) -> int:
    """Derive the indicators that prices of ``grid`` enter; the number of rows changed.

    A price enters the windows of the sessions after it, so those are derived again too.
    """
    changed = 0
    for part in grid.row_chunks(CELLS_PER_BATCH):
        cells = part.trimmed()
        ids = cells.assets.tolist()
        first, last = cells.sessions[0].astype(object), cells.sessions[-1].astype(object)
        prices = readers.prices(db, ids, first - REACH, last + REACH, Interval.DAY)
        adjusted = apply_adjustments(
            prices,
            readers.splits(db, ids),
            readers.dividends(db, ids),
            Adjust.ALL,
            closes=readers.closes_before_dividends(db, ids),
        )
        frame = returns_and_volatility(adjusted).filter(pl.col("session") >= first)
        entered = cells if frame.is_empty() else CellGrid.union([cells, CellGrid.from_frame(frame)])
        changed += writers.write_indicators(db, entered, frame)
    return changed
