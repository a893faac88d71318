"""How much of some cells there is, and what became of the rest.

Belongs here: the coverage report that asset checks, metadata and the CLI show. Does not:
the ledger's SQL (storage/ledger.py).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from stock_platform.domain.cells import CellGrid
from stock_platform.domain.coverage import SETTLED, CellStatus

MISSING = "missing"
NAMES = (MISSING, *(str(status) for status in CellStatus))


@dataclass(frozen=True)
class CoverageReport:
    """The states of a grid's cells.

    Attributes:
        grid: the cells.
        codes: uint8, the grid's shape: an index into ``NAMES``; 255 where no cell is.
        reasons: status, reason, source, cells: why cells are not stored.
    """

    grid: CellGrid
    codes: npt.NDArray[np.uint8]
    reasons: pl.DataFrame

    @property
    def expected(self) -> int:
        """Cells in the grid."""
        return len(self.grid)

    @property
    def counts(self) -> dict[str, int]:
        """Cells by state; states without a cell are left out."""
        numbers = np.bincount(self.codes[self.grid.mask], minlength=len(NAMES))
        return {name: int(n) for name, n in zip(NAMES, numbers, strict=False) if n}

    @property
    def settled(self) -> int:
        """Cells that need no further call."""
        counts = self.counts
        return sum(counts.get(str(status), 0) for status in SETTLED)

    @property
    def share(self) -> float:
        """Settled cells over expected cells; 1 where none are expected."""
        return self.settled / self.expected if self.expected else 1.0

    def by_asset(self) -> pl.DataFrame:
        """asset_id, then the number of cells in each state."""
        return (
            self._by(axis=1)
            .with_columns(pl.Series("asset_id", self.grid.assets))
            .select("asset_id", *NAMES)
        )

    def by_session(self) -> pl.DataFrame:
        """session, then the number of cells in each state."""
        return (
            self._by(axis=0)
            .with_columns(pl.Series("session", self.grid.sessions))
            .select("session", *NAMES)
        )

    def _by(self, axis: int) -> pl.DataFrame:
        return pl.DataFrame(
            {
                name: ((self.codes == code) & self.grid.mask).sum(axis=axis)
                for code, name in enumerate(NAMES)
            }
        )

    def to_dict(self) -> dict[str, Any]:
        """The report as JSON-ready data."""
        return {
            "expected": self.expected,
            "settled": self.settled,
            "share": round(self.share, 6),
            "states": self.counts,
            "reasons": self.reasons.to_dicts(),
        }
