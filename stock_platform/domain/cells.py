"""Cells: which asset x session combinations something is about.

Belongs here: the one representation of a set of cells that partitions, ledger, planner
and pipeline share. Does not: what state a cell is in (coverage.py), how to fetch it
(planning/).

A set of cells is a boolean matrix over sorted assets x sorted sessions: a byte a cell
(6,000 tickers x 10 years are 15 MB), and every set operation is one numpy call.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np
import numpy.typing as npt
import polars as pl

from stock_platform.domain.bars import Interval

Sessions = npt.NDArray[np.datetime64]
AssetIds = npt.NDArray[np.int32]
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class CellGrid:
    """A set of cells of one interval.

    Attributes:
        assets: asset ids, ascending, unique, int32.
        sessions: session dates, ascending, unique, datetime64[D].
        mask: bool, shape (len(assets), len(sessions)); True where the cell is in the set.
        interval: the interval of all cells.
    """

    assets: AssetIds
    sessions: Sessions
    mask: Mask
    interval: Interval = Interval.DAY

    def __post_init__(self) -> None:
        if self.mask.shape != (len(self.assets), len(self.sessions)):
            raise ValueError(
                f"mask is {self.mask.shape}, not {(len(self.assets), len(self.sessions))}"
            )

    @classmethod
    def rectangle(
        cls,
        assets: Iterable[int],
        sessions: Iterable[date] | Sessions,
        interval: Interval = Interval.DAY,
    ) -> CellGrid:
        """Every combination of the assets and sessions (duplicates are folded)."""
        ids = np.unique(np.fromiter(assets, dtype=np.int32))
        days = np.unique(np.asarray(list(sessions), dtype="datetime64[D]"))
        return cls(ids, days, np.ones((len(ids), len(days)), dtype=np.bool_), interval)

    @classmethod
    def from_pairs(
        cls, pairs: Iterable[tuple[int, date]], interval: Interval = Interval.DAY
    ) -> CellGrid:
        """Exactly the (asset id, session) pairs given."""
        listed = list(pairs)
        ids, rows = np.unique(
            np.fromiter((a for a, _ in listed), dtype=np.int32), return_inverse=True
        )
        days, columns = np.unique(
            np.asarray([s for _, s in listed], dtype="datetime64[D]"), return_inverse=True
        )
        mask = np.zeros((len(ids), len(days)), dtype=np.bool_)
        mask[rows, columns] = True
        return cls(ids, days, mask, interval)

    def __len__(self) -> int:
        return int(self.mask.sum())

    def __bool__(self) -> bool:
        return bool(self.mask.any())

    def with_mask(self, mask: Mask) -> CellGrid:
        """The same axes with another mask."""
        return CellGrid(self.assets, self.sessions, mask, self.interval)

    def trimmed(self) -> CellGrid:
        """The same cells without empty rows and columns."""
        rows, columns = self.mask.any(axis=1), self.mask.any(axis=0)
        return CellGrid(
            self.assets[rows], self.sessions[columns], self.mask[rows][:, columns], self.interval
        )

    def onto(self, other: CellGrid) -> Mask:
        """This set's mask on another grid's axes (cells outside them are left out)."""
        mask = np.zeros(other.mask.shape, dtype=np.bool_)
        _, rows, other_rows = np.intersect1d(
            self.assets, other.assets, assume_unique=True, return_indices=True
        )
        _, columns, other_columns = np.intersect1d(
            self.sessions, other.sessions, assume_unique=True, return_indices=True
        )
        mask[np.ix_(other_rows, other_columns)] = self.mask[np.ix_(rows, columns)]
        return mask

    def intersection(self, other: CellGrid) -> CellGrid:
        """The cells of this set that are in the other too, on this set's axes."""
        return self.with_mask(self.mask & other.onto(self))

    def difference(self, other: CellGrid) -> CellGrid:
        """The cells of this set that are not in the other, on this set's axes."""
        return self.with_mask(self.mask & ~other.onto(self))

    @classmethod
    def union(cls, grids: Sequence[CellGrid]) -> CellGrid:
        """The cells of any of the grids (at least one), all of one interval."""
        if len(grids) == 1:
            return grids[0]
        assets = np.unique(np.concatenate([g.assets for g in grids]))
        sessions = np.unique(np.concatenate([g.sessions for g in grids]))
        mask = np.zeros((len(assets), len(sessions)), dtype=np.bool_)
        for grid in grids:
            rows = np.searchsorted(assets, grid.assets)
            columns = np.searchsorted(sessions, grid.sessions)
            mask[np.ix_(rows, columns)] |= grid.mask
        return cls(assets, sessions, mask, grids[0].interval)

    def to_frame(self) -> pl.DataFrame:
        """One row a cell: asset_id (Int32), session (Date), by asset and then by session."""
        rows, columns = np.nonzero(self.mask)
        return pl.DataFrame(
            {"asset_id": self.assets[rows], "session": self.sessions[columns]},
            schema={"asset_id": pl.Int32(), "session": pl.Date()},
        )

    @classmethod
    def from_frame(cls, frame: pl.DataFrame, interval: Interval = Interval.DAY) -> CellGrid:
        """The cells of a frame with columns asset_id and session."""
        ids, rows = np.unique(frame["asset_id"].to_numpy(), return_inverse=True)
        days, columns = np.unique(
            frame["session"].to_numpy().astype("datetime64[D]"), return_inverse=True
        )
        mask = np.zeros((len(ids), len(days)), dtype=np.bool_)
        mask[rows, columns] = True
        return cls(ids.astype(np.int32), days, mask, interval)

    def row_chunks(self, cells: int) -> Iterator[CellGrid]:
        """The grid cut into groups of whole rows of about ``cells`` cells each (at least one)."""
        step = max(1, cells // max(1, len(self.sessions)))
        for start in range(0, len(self.assets), step):
            rows = slice(start, start + step)
            part = CellGrid(self.assets[rows], self.sessions, self.mask[rows], self.interval)
            if part:
                yield part

    def pairs(self) -> Iterator[tuple[int, date]]:
        """(asset id, session) of every cell, by asset and then by session."""
        days = self.sessions.astype(object)
        for row, column in zip(*np.nonzero(self.mask), strict=True):
            yield int(self.assets[row]), days[column]
