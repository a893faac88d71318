"""All cells that anybody asked for, with what is known of each: what scores and gaps are read from.

Belongs here: the ledger's states and the facts on one grid. Does not: sums (scoring.py), runs
(gaps.py). A byte a cell: 6,000 assets and ten years are 15 MB a matrix.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import polars as pl

from stock_platform.domain.calendar import get_calendar
from stock_platform.domain.cells import CellGrid, Mask, Sessions
from stock_platform.domain.coverage import CellStatus
from stock_platform.domain.quality import PROMPT_HOURS, RECENT, Fact
from stock_platform.pipeline.coverage import NAMES
from stock_platform.pipeline.facts import facts_now
from stock_platform.storage import assets as catalog
from stock_platform.storage import bits, ledger, quality

if TYPE_CHECKING:
    from stock_platform.pipeline.runtime import Platform


@dataclass(frozen=True, eq=False)
class Board:
    """Cells of assets from the first session on record to the last completed one.

    Attributes:
        grid: only assets of which anything was ever asked.
        assets: theirs, ASSETS, in the grid's order.
        dates: the platform's own sessions: the dates of partitions.
        states: the ledger's, indices into pipeline.coverage.NAMES.
        facts: bits of domain.quality.Fact.
        by_source: facts as they are stored.
        now: by the market's clock.
    """

    grid: CellGrid
    assets: pl.DataFrame
    dates: Sessions
    states: npt.NDArray[np.uint8]
    facts: npt.NDArray[np.uint8]
    by_source: dict[str, quality.YearFacts]
    now: datetime

    @classmethod
    def of(cls, platform: Platform, only: pl.DataFrame | None = None) -> Board:
        """The board of a few assets (ASSETS) as of now, or of both scopes as scored last."""
        db, now = platform.db, platform.clock.now()
        both = only if only is not None else pl.concat(
            [platform.watchlist_assets(), platform.known_market()]
        ).unique("asset_id").sort("asset_id")  # fmt: skip
        stored = quality.facts(db) if only is None else facts_now(platform, only)
        cells = stored.get("")
        last = get_calendar(platform.calendar_name).last_completed(now)
        years = cells.year if cells is not None and len(cells.year) else np.array([last.year])
        begin = max(date(int(years.min()), 1, 1), platform.settings.start_date)
        dates = get_calendar(platform.calendar_name).sessions(min(begin, last), last)
        grid = platform.cells(both, dates)
        states = ledger.states(db, grid) if grid else np.zeros((0, 0), dtype=np.uint8)
        asked = ((states > 0) & (states != ledger.NO_CELL)).any(axis=1)
        rows = np.flatnonzero(asked) if grid else np.array([], dtype=np.intp)
        kept = CellGrid(grid.assets[rows], grid.sessions, grid.mask[rows], grid.interval)
        known = catalog.by_id(db, kept.assets.tolist()) if len(rows) else both.clear()
        facts = spread(cells, kept) if cells is not None else np.zeros(kept.mask.shape, np.uint8)
        return cls(kept, known, dates, states[rows] if grid else states, facts, stored, now)

    def state(self, status: CellStatus) -> Mask:
        """The cells in a state."""
        found: Mask = self.grid.mask & (self.states == NAMES.index(status))
        return found

    def has(self, fact: Fact) -> Mask:
        """The cells with a fact."""
        found: Mask = self.grid.mask & ((self.facts & np.uint8(fact)) != 0)
        return found

    @cached_property
    def due(self) -> Mask:
        """Cells whose session closed so long ago that a bar should be there."""
        due = np.zeros(self.grid.mask.shape, dtype=np.bool_)
        until = self.now - timedelta(hours=PROMPT_HOURS)
        for rows, name in self._by_calendar():
            table = get_calendar(name).table(
                self.grid.sessions[0].astype(object), self.grid.sessions[-1].astype(object)
            )
            over = table.filter(pl.col("closes") <= until)["session"].to_numpy()
            due[rows] = np.isin(self.grid.sessions, over.astype("datetime64[D]"))
        return due & self.grid.mask

    @cached_property
    def expected(self) -> Mask:
        """Cells that should be there: asked for once, due or here, and not explained."""
        known = self.grid.mask & (self.states > 0)
        begun = np.logical_or.accumulate(known, axis=1)
        explained = self.state(CellStatus.NO_DATA) | self.state(CellStatus.NOT_LISTED)
        here = self.state(CellStatus.STORED)
        return self.grid.mask & begun & ~explained & (self.due | here)

    @cached_property
    def last(self) -> Mask:
        """Each asset's last session that is due."""
        last = np.zeros(self.grid.mask.shape, dtype=np.bool_)
        for rows, _ in self._by_calendar():
            own = np.flatnonzero(self.due[rows[0]])
            if len(own):
                last[rows, own[-1]] = True
        return last

    @cached_property
    def followed(self) -> Mask:
        """Cells of sessions since an asset was first fetched."""
        since = self.followed_since(self.by_source.get(""))
        found: Mask = self.grid.sessions[None, :] >= since[:, None]
        return found

    def followed_since(self, facts: quality.YearFacts | None) -> npt.NDArray[np.datetime64]:
        """The first day on which anything of each asset was fetched."""
        first = np.full(len(self.grid.assets), np.datetime64("9999-12-31"), "datetime64[D]")
        if facts is not None:
            rows, at = rows_on(facts.asset_id, self.grid)
            np.minimum.at(first, rows, facts.first_fetched[at])
        return first

    @cached_property
    def recent(self) -> Mask:
        """The columns of the last RECENT sessions."""
        found: Mask = self.grid.sessions >= self.dates[-min(RECENT, len(self.dates))]
        return found

    @cached_property
    def date_starts(self) -> tuple[Sessions, npt.NDArray[np.intp]]:
        """The dates of partitions, and the first of the grid's columns that each stands for."""
        at = np.minimum(np.searchsorted(self.dates, self.grid.sessions), len(self.dates) - 1)
        which, starts = np.unique(at, return_index=True)
        return self.dates[which], starts

    def _by_calendar(self) -> list[tuple[npt.NDArray[np.intp], str]]:
        names = self.assets["calendar"].to_numpy()
        return [(np.flatnonzero(names == name), str(name)) for name in np.unique(names)]


def rows_on(
    asset_ids: npt.NDArray[np.int32], grid: CellGrid
) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """The grid's rows of assets, and which of the ids are on it."""
    if not len(grid.assets):
        none = np.array([], dtype=np.intp)
        return none, none
    rows = np.minimum(np.searchsorted(grid.assets, asset_ids), len(grid.assets) - 1)
    at = np.flatnonzero(grid.assets[rows] == asset_ids)
    return rows[at], at


def spread(facts: quality.YearFacts, grid: CellGrid) -> npt.NDArray[np.uint8]:
    """Facts on a grid's axes; 0 where there are none."""
    made = np.zeros(grid.mask.shape, dtype=np.uint8)
    years, days = bits.year_and_day(grid.sessions)
    rows, at = rows_on(facts.asset_id, grid)
    for year in np.unique(years):
        columns = slice(*np.searchsorted(years, [year, year + 1]))
        here = facts.year[at] == year
        made[rows[here], columns] = facts.facts[at[here]][:, days[columns]]
    return made
