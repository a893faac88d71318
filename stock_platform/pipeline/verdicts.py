"""Why cells are not stored yet, and which reason stands when several sources failed.

Belongs here: verdicts and their order. Does not: deciding what to try next (fetching.py).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime

from stock_platform.domain.capabilities import Tile
from stock_platform.domain.cells import CellGrid
from stock_platform.domain.coverage import CellStatus

UNKNOWN = "unknown symbol"


@dataclass(frozen=True)
class Verdict:
    """What to write of cells should nobody else have them."""

    status: CellStatus
    source: str
    reason: str
    retry_after: datetime | None = None

    @property
    def rank(self) -> int:
        """Which reason stands: what may still come, before what failed, before what is not."""
        if self.status is CellStatus.WAITING:
            return 0
        if self.status is CellStatus.FAILED:
            return 2 if self.reason == UNKNOWN else 1
        return 3


def stronger(first: Verdict | None, second: Verdict) -> Verdict:
    """The verdict that stands when two sources failed for the same cells."""
    return first if first is not None and first.rank < second.rank else second


class Verdicts:
    """The verdicts on a group of cells, by rank."""

    def __init__(self, members: Iterable[tuple[CellGrid, Verdict | None]]) -> None:
        grouped: dict[Verdict, list[CellGrid]] = defaultdict(list)
        for cells, verdict in members:
            if verdict is not None:
                grouped[verdict].append(cells)
        self._cells = {v: CellGrid.union(grouped[v]) for v in sorted(grouped, key=lambda v: v.rank)}
        self._assets = {v: frozenset(c.assets.tolist()) for v, c in self._cells.items()}

    def of(self, tile: Tile) -> Verdict | None:
        """The verdict that a tile's cells carry already, if any."""
        ids: set[int | None] = {asset_id for asset_id, _ in tile.members} or {tile.asset_id}
        for verdict, assets in self._assets.items():
            if None in ids or ids & assets:
                return verdict
        return None

    def split(self, cells: CellGrid, default: Verdict) -> Iterator[tuple[CellGrid, Verdict]]:
        """``cells`` by the verdict on them; ``default`` where there is none."""
        left = cells
        for verdict, judged in self._cells.items():
            hit = left.intersection(judged)
            if hit:
                left = left.difference(hit)
                yield hit, verdict
        if left:
            yield left, default
