"""Progress and account of a fetch: to the run's log, and to whoever launched it in this process.

Belongs here: passing them on. Does not: measuring (pipeline/report.py), bars (apps/).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field

from dagster import DagsterLogManager

from stock_platform.domain.cells import CellGrid
from stock_platform.pipeline.report import FetchReport, Progress, ProgressCallback

LOG_EVERY_SECONDS = 5.0


@dataclass
class Launch:
    """What the launcher of a run in this process hears of it.

    Attributes:
        progress: told of every batch.
        fetched: cells and report of every fetch that ended.
    """

    progress: ProgressCallback | None = None
    fetched: list[tuple[CellGrid, FetchReport]] = field(default_factory=list)


_launch: ContextVar[Launch | None] = ContextVar("launch", default=None)


@contextmanager
def listening(launch: Launch) -> Iterator[Launch]:
    """Within it, runs in this process report to ``launch``."""
    token = _launch.set(launch)
    try:
        yield launch
    finally:
        _launch.reset(token)


def fetched(grid: CellGrid, report: FetchReport) -> None:
    """Report the end of a fetch to the launcher, if it listens."""
    launch = _launch.get()
    if launch is not None:
        launch.fetched.append((grid, report))


class Every:
    """Writes to the log at most every ``LOG_EVERY_SECONDS``."""

    def __init__(self, log: DagsterLogManager, clock: Callable[[], float] = time.monotonic) -> None:
        self._log = log
        self._clock = clock
        self._last = clock()

    def __call__(self, text: str) -> None:
        """Say ``text`` if it is time."""
        now = self._clock()
        if now - self._last >= LOG_EVERY_SECONDS:
            self._last = now
            self._log.info(text)


def teller(log: DagsterLogManager) -> ProgressCallback:
    """What a fetch tells its progress to."""
    say, launch = Every(log), _launch.get()

    def tell(progress: Progress) -> None:
        say(describe(progress))
        if launch is not None and launch.progress is not None:
            launch.progress(progress)

    return tell


def describe(progress: Progress) -> str:
    """A moment of a fetch in one line."""
    calls = ", ".join(f"{source} {n:,}" for source, n in sorted(progress.calls.items()))
    return (
        f"{progress.done:,} of {progress.asked:,} cells, {progress.rows:,} rows; "
        f"calls: {calls or 'none yet'}; {progress.planned_calls:,} planned, "
        f"in about {progress.expected_seconds:,.0f} s"
    )
