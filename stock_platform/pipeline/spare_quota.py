"""What of the sources' quotas nobody needs: for work that can wait.

Belongs here: the demand that is known, and what is left once it is met. Does not: the arithmetic
(domain/spare.py), the work (reconciling_prices.py, filling.py).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from stock_platform.domain.bars import Interval
from stock_platform.domain.cells import CellGrid
from stock_platform.domain.spare import SHARE, spare_by_account
from stock_platform.pipeline.backfilling import cells_of
from stock_platform.storage import backfills, ledger

if TYPE_CHECKING:
    from stock_platform.pipeline.runtime import Platform

FAR = datetime(9999, 1, 1, tzinfo=UTC)


def known_demand(
    platform: Platform, grids: Sequence[CellGrid] = (), interval: Interval = Interval.DAY
) -> dict[str, int]:
    """Calls by source that these cells will need, with those that wait and those of the queue."""
    needed = [*grids, ledger.due(platform.db, FAR, interval)]
    queue = backfills.queued(platform.db)
    if queue:
        needed.append(platform.missing(cells_of(platform, queue)))
    some = [grid.trimmed() for grid in needed if grid]
    if not some:
        return {}
    whole = CellGrid.union(some)
    known = platform.market.plan_assets(whole.assets)
    return dict(platform.plan_of(whole, known).calls_by_source)


def left_over(
    platform: Platform, demand: Mapping[str, int], share: float = SHARE
) -> dict[str, int]:
    """Spare requests by account; one without limits is left out."""
    terms = platform.terms()
    return spare_by_account(terms["sources"], terms["quotas"], demand, share)
