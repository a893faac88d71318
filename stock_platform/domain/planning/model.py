"""The planner's words: what it is asked about, and the plan it answers with.

Belongs here: assets as the planner sees them, the plan and its views. Does not: making
a plan (planner.py), running it (pipeline/fetching.py).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from stock_platform.domain.capabilities import Tile
from stock_platform.domain.cells import CellGrid
from stock_platform.domain.symbols import AssetClass

RowIndexes = npt.NDArray[np.int64]


@dataclass(frozen=True)
class PlanAsset:
    """What the planner must know of an asset.

    ``listed_on`` and ``delisted_on`` are inclusive session dates, None where unknown;
    ``symbol`` is the canonical ticker; ``calendar`` as in domain/calendar.py.
    """

    asset_id: int
    symbol: str
    asset_class: AssetClass
    listed_on: date | None = None
    delisted_on: date | None = None
    calendar: str = "XNYS"


@dataclass(frozen=True, eq=False)
class Uncovered:
    """Cells no call can get, and why, in a user's words."""

    cells: CellGrid
    reason: str


@dataclass(frozen=True, eq=False)
class Coverage:
    """Where in the needed grid a tile's cells are: every cell belongs to one tile.

    Attributes:
        rows: indexes of the grid's assets.
        first: index of the first session.
        stop: one past the index of the last session.
        by_column: whether the cells of column tiles are meant, or the others.
    """

    rows: RowIndexes
    first: int
    stop: int
    by_column: bool


@dataclass(frozen=True, eq=False)
class Plan:
    """Calls to make, and what they are good for.

    Attributes:
        needed: the cells asked about.
        tiles: the calls; those of one source stand in the order to make them.
        uncovered: cells that no call can get, with why.
        finish_seconds: when the last answer is expected, from now, all sources working at
            once under their limits, with failures as often as their health says.
        lower_bound_calls: no set of calls covers these cells with fewer.
        lower_bound_calls_in_time: none that is done by finish_seconds has fewer.
        lower_bound_seconds: no set of calls can be done sooner.
        finish_by_source: the same expectation, by source.
        coverage: for each tile, which of the needed cells are its own.
        columns: the needed cells that belong to column tiles.
        reached: the needed cells that calls can get; None is all.
    """

    needed: CellGrid
    tiles: tuple[Tile, ...]
    uncovered: tuple[Uncovered, ...]
    finish_seconds: float
    lower_bound_calls: int
    lower_bound_calls_in_time: int
    lower_bound_seconds: float
    finish_by_source: Mapping[str, float] = field(default_factory=dict)
    coverage: Mapping[Tile, Coverage] = field(default_factory=dict, repr=False)
    columns: npt.NDArray[np.bool_] | None = field(default=None, repr=False)
    reached: npt.NDArray[np.bool_] | None = field(default=None, repr=False)

    @property
    def calls(self) -> int:
        """How many."""
        return len(self.tiles)

    @cached_property
    def calls_by_source(self) -> dict[str, int]:
        """Number of calls of each source that has any."""
        return dict(sorted(Counter(tile.source for tile in self.tiles).items()))

    @cached_property
    def uncovered_cells(self) -> int:
        """How many needed cells no call can get."""
        return sum(len(part.cells) for part in self.uncovered)

    @property
    def calls_ratio(self) -> float:
        """Calls over the fewest that could be done by then; 1.0 is proven optimal."""
        least = self.lower_bound_calls_in_time
        return self.calls / least if least else 1.0

    @property
    def finish_ratio(self) -> float:
        """Expected finish over its lower bound; 1.0 is proven optimal."""
        if self.lower_bound_seconds <= 0:
            return 1.0
        return self.finish_seconds / self.lower_bound_seconds

    def by_source(self) -> dict[str, tuple[Tile, ...]]:
        """Each source's tiles, in the order to make them."""
        lists: dict[str, list[Tile]] = {}
        for tile in self.tiles:
            lists.setdefault(tile.source, []).append(tile)
        return {source: tuple(lists[source]) for source in sorted(lists)}

    def covers(self, tile: Tile) -> CellGrid:
        """The needed cells this tile is to cover. Every covered cell belongs to one tile.

        Raises KeyError for a tile that is not of this plan.
        """
        part = self.coverage[tile]
        span = slice(part.first, part.stop)
        reached = self.needed.mask if self.reached is None else self.reached
        mask = reached[part.rows, span]
        if self.columns is not None:
            columns = self.columns[part.rows, span]
            mask = mask & (columns if part.by_column else ~columns)
        return CellGrid(
            self.needed.assets[part.rows], self.needed.sessions[span], mask, self.needed.interval
        ).trimmed()

    def cells(self, index: int) -> CellGrid:
        """The needed cells that ``tiles[index]`` is to cover."""
        return self.covers(self.tiles[index])

    def to_dict(self, *, tiles: int | None = None) -> dict[str, Any]:
        """The plan for JSON; ``tiles`` limits how many calls are listed (None: all)."""
        listed = self.tiles if tiles is None else self.tiles[:tiles]
        return {
            "interval": str(self.needed.interval),
            "cells": len(self.needed),
            "covered": len(self.needed) - self.uncovered_cells,
            "calls": self.calls,
            "calls_by_source": self.calls_by_source,
            "lower_bound_calls": self.lower_bound_calls,
            "lower_bound_calls_in_time": self.lower_bound_calls_in_time,
            "calls_ratio": round(self.calls_ratio, 4),
            "finish_seconds": round(self.finish_seconds, 3),
            "finish_by_source": {k: round(v, 3) for k, v in self.finish_by_source.items()},
            "lower_bound_seconds": round(self.lower_bound_seconds, 3),
            "finish_ratio": round(self.finish_ratio, 4),
            "uncovered": [
                {"reason": part.reason, "cells": len(part.cells), "assets": len(part.cells.assets)}
                for part in self.uncovered
            ],
            "tiles": [
                {
                    "source": tile.source,
                    "endpoint": tile.endpoint,
                    "interval": str(tile.interval),
                    "symbol": tile.symbol,
                    "symbols": list(tile.symbols),
                    "start": tile.start.isoformat(),
                    "end": tile.end.isoformat(),
                }
                for tile in listed
            ],
        }
