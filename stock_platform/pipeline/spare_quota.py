"""What of the sources' quotas nobody needs: for work that can wait.

Belongs here: the demand that is known, what is left once it is met, and asking for no more. Does
not: the arithmetic (domain/spare.py), the work (reconciling_prices.py, filling.py).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from threading import Lock
from typing import TYPE_CHECKING

import polars as pl

from stock_platform.domain.bars import Interval
from stock_platform.domain.batches import FetchBatch
from stock_platform.domain.capabilities import Capabilities, Tile
from stock_platform.domain.cells import CellGrid
from stock_platform.domain.coverage import OUT_OF_QUOTA, CellStatus
from stock_platform.domain.errors import RateLimited, SourceError
from stock_platform.domain.spare import SHARE, spare_by_account
from stock_platform.pipeline.backfilling import cells_of
from stock_platform.sources.base import Answer, Facts, Question, Source
from stock_platform.storage import backfills, ledger

if TYPE_CHECKING:
    from stock_platform.pipeline.runtime import Platform

FAR = datetime(9999, 1, 1, tzinfo=UTC)

NOT_TODAY = 86_400.0
"""Seconds for which a source without quota to spare is left alone."""


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


class Budget:
    """Requests that may be spent, by account; sources asked within it spend no more.

    Args:
        left: requests by account; what is spent is taken off.
    """

    def __init__(self, left: dict[str, int]) -> None:
        self._left = left
        self._lock = Lock()

    def sources(self, of: Mapping[str, Source]) -> dict[str, Source]:
        """The same sources; those with limits refuse a call that the budget does not allow."""
        return {
            name: _Within(self, source) if source.capabilities.limits else source
            for name, source in of.items()
        }

    def spend(self, account: str, calls: int) -> bool:
        """Take so many requests; False, and none taken, where fewer are left."""
        with self._lock:
            if self._left.get(account, 0) < calls:
                return False
            self._left[account] -= calls
            return True

    def correct(self, account: str, calls: int) -> None:
        """Take so many more than were reckoned, or with a minus give back."""
        with self._lock:
            self._left[account] = self._left.get(account, 0) - calls


class _Within:
    """A source that is asked for bars within a budget."""

    def __init__(self, budget: Budget, source: Source) -> None:
        self._budget, self._source = budget, source

    @property
    def capabilities(self) -> Capabilities:
        return self._source.capabilities

    def fetch(self, tile: Tile) -> Answer:
        account, cost = self.capabilities.account, requests_of(self.capabilities, tile)
        if not self._budget.spend(account, cost):
            raise RateLimited(tile.source, "no quota to spare", NOT_TODAY)
        made = cost
        try:
            answer = self._source.fetch(tile)
            made = answer.requests
        except SourceError as error:
            made = error.requests
            raise
        finally:
            self._budget.correct(account, made - cost)
        return answer

    def ask(self, question: Question) -> Facts:
        return self._source.ask(question)

    def close(self) -> None:
        """The source is whose it was."""


def requests_of(source: Capabilities, tile: Tile) -> int:
    """HTTP requests that a call takes, by what is known of its pages."""
    page = source.endpoint(tile.endpoint).bars_a_request
    days = (tile.end - tile.start).days + 1
    return -(-days // page) if page else 1


def without_refusals(batch: FetchBatch) -> FetchBatch:
    """A batch of a fetch within a budget, without what the budget refused.

    Cells that wait are fetched as soon as they are due, without a budget; these stay gaps.
    """
    refused = (pl.col("status") == str(CellStatus.WAITING)) & (pl.col("reason") == OUT_OF_QUOTA)
    call = batch.call
    if call is not None and call.status == RateLimited.status and not call.requests:
        call = None
    return replace(batch, call=call, marks=batch.marks.filter(~refused))
