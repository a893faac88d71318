"""Gaps of the stored histories: finding them, and why they are there.

Belongs here: from the board to runs of sessions with a reason. Does not: what a gap is
(domain/gaps.py), filling them (filling.py).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import polars as pl

from stock_platform.domain.bars import UTC_STAMP
from stock_platform.domain.cells import Mask
from stock_platform.domain.coverage import CellStatus
from stock_platform.domain.gaps import CODES, GAPS, GapState, gap_codes, reason_of, runs
from stock_platform.domain.quality import Fact
from stock_platform.pipeline.board import Board
from stock_platform.pipeline.coverage import NAMES
from stock_platform.storage import ledger
from stock_platform.storage.quality import STORED_GAPS

if TYPE_CHECKING:
    from stock_platform.pipeline.runtime import Platform

_SAYING = (str(GapState.NO_DATA), str(GapState.HALT))


@dataclass(frozen=True, eq=False)
class Gaps:
    """The gaps of a board.

    Attributes:
        codes: domain.gaps.CODES of each place; 0 where there is none.
        runs: GAPS and sources (those that say there is no bar).
        said: by source, of which cells it says so.
    """

    codes: npt.NDArray[np.uint8]
    runs: pl.DataFrame
    said: dict[str, Mask]

    def cells(self, *states: GapState) -> Mask:
        """The cells in some states."""
        found: Mask = np.isin(self.codes, [CODES[state] for state in states])
        return found


def find_gaps(platform: Platform, board: Board) -> Gaps:
    """The gaps of a board; today's session is none before it is due."""
    grid = board.grid
    if not len(grid.assets):
        none = pl.DataFrame(schema={**GAPS, "sources": pl.List(pl.String())})
        return Gaps(np.zeros(grid.mask.shape, dtype=np.uint8), none, {})
    said = ledger.saying(platform.db, grid, CellStatus.NO_DATA)
    voices = np.zeros(grid.mask.shape, dtype=np.uint8)
    accounts = {n: c.account for n, c in platform.capabilities.items()}
    for account in {accounts.get(s, s) for s in said}:
        heard = [mask for s, mask in said.items() if accounts.get(s, s) == account]
        voices += np.logical_or.reduce(heard)
    codes = gap_codes(
        grid, board.states, board.has(Fact.PRICED), board.has(Fact.ASIDE), voices, NAMES
    )
    codes[~board.due & (codes == CODES[GapState.MISSING])] = 0
    found = runs(grid, codes)
    return Gaps(codes, _with_sources(found, board, said), said)


def _with_sources(found: pl.DataFrame, board: Board, said: dict[str, Mask]) -> pl.DataFrame:
    """``sources``: who says that there is no bar, by a run's first session."""
    rows = np.searchsorted(board.grid.assets, found["asset_id"].to_numpy())
    columns = np.searchsorted(
        board.grid.sessions, found["first_session"].to_numpy().astype("datetime64[D]")
    )
    states = found["state"].to_list()
    names = [
        [s for s, mask in said.items() if mask[row, column]] if state in _SAYING else []
        for row, column, state in zip(rows, columns, states, strict=True)
    ]
    return found.with_columns(pl.Series("sources", names, dtype=pl.List(pl.String())))


def stored_gaps(found: Gaps, now: datetime) -> pl.DataFrame:
    """Gaps as the table has them: STORED_GAPS."""
    reasons = {str(state): reason_of(state) for state in GapState}
    return found.runs.with_columns(
        pl.col("state").replace_strict(reasons, return_dtype=pl.String()).alias("reason"),
        pl.lit(now).cast(UTC_STAMP).alias("found_at"),
    ).select(list(STORED_GAPS))
