"""Working off the queue of histories: many jobs, one plan.

Belongs here: from jobs to cells, and from the ledger to how each job ended. Does not: the queue's
states (storage/backfills.py), Dagster (orchestration/backfills.py).

All jobs of a run are one demand, so that the planner asks for them together. What became of each
is read from the ledger, where the calls left it: a job one source blocks holds no other back.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING

import numpy as np

from stock_platform.domain.calendar import get_calendar
from stock_platform.domain.cells import CellGrid
from stock_platform.domain.coverage import OUT_OF_QUOTA, UNTOLD, CellStatus
from stock_platform.pipeline.coverage import NAMES
from stock_platform.pipeline.report import FetchReport, ProgressCallback
from stock_platform.storage import assets, backfills, ledger
from stock_platform.storage.backfills import Job, Outcome

if TYPE_CHECKING:
    from stock_platform.pipeline.runtime import Platform

_WAITING, _FAILED = (NAMES.index(s) for s in (CellStatus.WAITING, CellStatus.FAILED))
_SETTLED = frozenset(
    NAMES.index(s) for s in (CellStatus.STORED, CellStatus.NO_DATA, CellStatus.NOT_LISTED)
)


@dataclass
class BackfillReport:
    """What a run over the queue did.

    Attributes:
        jobs: taken.
        grid: their cells.
        fetched: the account of the calls, None where there was nothing to do.
        outcomes: of each job.
    """

    jobs: list[Job]
    grid: CellGrid
    fetched: FetchReport | None = None
    outcomes: dict[Job, Outcome] = field(default_factory=dict)

    def counts(self) -> dict[str, int]:
        """Jobs by how they ended."""
        found = {"completed": 0, "rate_limited": 0, "failed_attempt": 0}
        for outcome in self.outcomes.values():
            if outcome.retry_after is not None:
                found["rate_limited"] += 1
            elif outcome.error is not None:
                found["failed_attempt"] += 1
            else:
                found["completed"] += 1
        return found


def work_off(
    platform: Platform, run_id: str, progress: ProgressCallback | None = None
) -> Iterator[BackfillReport]:
    """Take the due jobs, fill their histories, and record how each ended.

    Yields the report once before the work and once after it; a run that dies in between leaves
    its jobs to be released.
    """
    jobs = backfills.take(platform.db, run_id, platform.market.wall.now())
    report = BackfillReport(jobs, cells_of(platform, jobs))
    yield report
    if not jobs:
        return
    stream = platform.fetch(report.grid, run_id, retry_failed=True, progress=progress)
    for batches in stream:
        platform.write_fetch(batches, run_id)
    for batch in platform.validate(report.grid):
        platform.write_validated(batch)
    platform.refresh_indicators(report.grid)
    report.fetched = stream.report
    now = platform.market.wall.now()
    report.outcomes = outcomes(platform, jobs, report.grid, now)
    backfills.finish(platform.db, run_id, report.outcomes, now)
    yield report


def cells_of(platform: Platform, jobs: Sequence[Job]) -> CellGrid:
    """The cells of jobs: each asset's own completed sessions within its job's days."""
    now = platform.clock.now()
    calendars = dict(
        assets.by_id(platform.db, [j.asset_id for j in jobs])
        .select("asset_id", "calendar")
        .iter_rows()
    )
    grids = []
    for job in jobs:
        calendar = get_calendar(calendars[job.asset_id])
        last = min(job.last_day, calendar.last_completed(now))
        if job.first_day <= last:
            sessions = calendar.sessions(job.first_day, last)
            grids.append(CellGrid.rectangle([job.asset_id], sessions))
    return CellGrid.union(grids) if grids else CellGrid.rectangle([], [])


def outcomes(
    platform: Platform, jobs: Sequence[Job], grid: CellGrid, now: datetime
) -> dict[Job, Outcome]:
    """How each job stands by the ledger."""
    if not grid:
        return {job: Outcome() for job in jobs}
    states = ledger.states(platform.db, grid)
    waits = _waits(platform, grid)
    why = _why(platform, grid)
    rows = {int(a): at for at, a in enumerate(grid.assets)}
    found: dict[Job, Outcome] = {}
    for job in jobs:
        at = rows.get(job.asset_id)
        if at is None:
            found[job] = Outcome()
            continue
        mine = states[at][grid.mask[at]]
        if np.isin(mine, list(_SETTLED)).all():
            found[job] = Outcome()
        elif (mine == _FAILED).any() or not (mine == _WAITING).any():
            found[job] = Outcome(error=why.get(job.asset_id, "no source could be asked"))
        else:
            until, reason = waits.get(job.asset_id, (now, OUT_OF_QUOTA))
            found[job] = Outcome(retry_after=until, error=reason, untold=UNTOLD in reason)
    return found


def _waits(platform: Platform, grid: CellGrid) -> dict[int, tuple[datetime, str]]:
    """When the first waiting cell of each asset is due, and for what its cells wait."""
    frame = ledger.waiting_until(platform.db, grid)
    return {asset_id: (until, reason) for asset_id, until, reason in frame.iter_rows()}


def _why(platform: Platform, grid: CellGrid) -> dict[int, str]:
    """Why cells of an asset failed, in the words of the source."""
    frame = ledger.failures(platform.db, grid)
    return dict(frame.iter_rows())
