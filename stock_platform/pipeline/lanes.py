"""Lanes: each source's planned calls, and the threads that make them.

Belongs here: queues, threads, hand-over of outcomes. Does not: what a call is or what its
outcome means (fetching.py).
"""

from __future__ import annotations

import queue
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

from stock_platform.domain.capabilities import Tile
from stock_platform.domain.cells import CellGrid
from stock_platform.domain.errors import SourceError
from stock_platform.pipeline.answers import Moment
from stock_platform.pipeline.verdicts import Verdict
from stock_platform.sources.base import Answer

Exclusions = frozenset[tuple[str, str]]
WAKE_SECONDS = 0.5
RESULTS_AHEAD = 4
"""Answers that may wait for their commit: what a kill would lose, beside calls in flight."""


@dataclass(frozen=True)
class Job:
    """A planned call: the tile, the cells it is to cover, and what failed for them before."""

    tile: Tile
    cells: CellGrid
    excluded: Exclusions = frozenset()
    verdict: Verdict | None = None
    tries: int = 0


@dataclass(frozen=True)
class Outcome:
    """What became of a job: an answer, an error, or neither (another run has the tile).

    ``claimed`` tells whether the tile's claim is held and must be released after the commit.
    """

    job: Job
    moment: Moment
    answer: Answer | None = None
    error: SourceError | None = None
    claimed: bool = True


@dataclass
class Lane:
    """One source's tiles.

    Attributes:
        closed: why the source is not asked now, None while it is.
        reopens: when it may be asked again.
        trial: whether it was closed and has not answered since: one call at a time.
    """

    jobs: deque[Job] = field(default_factory=deque)
    threads: list[threading.Thread] = field(default_factory=list)
    in_flight: int = 0
    closed: Verdict | None = None
    reopens: datetime | None = None
    trial: bool = False

    @property
    def idle(self) -> bool:
        """Whether no further call may be begun now."""
        return not self.jobs or self.closed is not None or (self.trial and self.in_flight > 0)


class Lanes:
    """All sources' lanes. ``call`` runs in the threads; everything else in the consumer's."""

    def __init__(self, call: Callable[[Job], Outcome], width: Callable[[str], int]) -> None:
        self._call = call
        self._width = width
        self._lanes: dict[str, Lane] = {}
        self._condition = threading.Condition()
        self._results: queue.Queue[Outcome | BaseException] = queue.Queue(RESULTS_AHEAD)
        self._stopped = False

    def __getitem__(self, source: str) -> Lane:
        return self._lanes.setdefault(source, Lane())

    def add(self, job: Job) -> None:
        """Queue a job, and start a thread for it where the source allows one more."""
        source = job.tile.source
        with self._condition:
            lane = self[source]
            lane.jobs.append(job)
            if len(lane.threads) < min(self._width(source), len(lane.jobs) + lane.in_flight):
                thread = threading.Thread(
                    target=self._work, args=(lane,), name=f"fetch-{source}", daemon=True
                )
                lane.threads.append(thread)
                thread.start()
            self._condition.notify_all()

    def busy(self) -> bool:
        """Whether any call is queued or under way."""
        with self._condition:
            return any(lane.jobs or lane.in_flight for lane in self._lanes.values())

    def take_back(self, unwanted: Callable[[Job], bool]) -> list[Job]:
        """Remove the queued jobs for which ``unwanted`` holds, and return them."""
        taken = []
        with self._condition:
            for lane in self._lanes.values():
                taken += [job for job in lane.jobs if unwanted(job)]
                lane.jobs = deque(job for job in lane.jobs if not unwanted(job))
        return taken

    def closed(self, source: str) -> bool:
        """Whether the source is not asked now."""
        return source in self._lanes and self._lanes[source].closed is not None

    def shut(self) -> list[tuple[str, Lane]]:
        """The lanes that are closed now."""
        with self._condition:
            return [(name, lane) for name, lane in self._lanes.items() if lane.closed is not None]

    def reopen(self, source: str, *, trial: bool) -> None:
        """Let a closed source be asked again."""
        with self._condition:
            lane = self[source]
            lane.closed, lane.reopens, lane.trial = None, None, trial
            self._condition.notify_all()

    def proved(self, source: str) -> None:
        """A source answered: its trial is over."""
        lane = self[source]
        if lane.trial:
            with self._condition:
                lane.trial = False
                self._condition.notify_all()

    def collect(self, rows: int) -> list[Outcome]:
        """Wait a moment for an outcome, then take what else is ready, up to about ``rows`` rows.

        Raises whatever a thread raised.
        """
        outcomes: list[Outcome] = []
        held = 0
        while held < rows:
            try:
                item = self._results.get(block=not outcomes, timeout=WAKE_SECONDS)
            except queue.Empty:
                break
            if isinstance(item, BaseException):
                raise item
            with self._condition:
                self._lanes[item.job.tile.source].in_flight -= 1
                self._condition.notify_all()
            outcomes.append(item)
            held += item.answer.bars.height if item.answer else 0
        return outcomes

    def stop(self) -> None:
        """Let calls under way end and start no more."""
        with self._condition:
            self._stopped = True
            self._condition.notify_all()
        for lane in self._lanes.values():
            for thread in lane.threads:
                thread.join(timeout=2.0)

    def _work(self, lane: Lane) -> None:
        while True:
            with self._condition:
                while not self._stopped and lane.idle:
                    self._condition.wait()
                if self._stopped:
                    return
                job = lane.jobs.popleft()
                lane.in_flight += 1
            item: Outcome | BaseException
            try:
                item = self._call(job)
            except BaseException as error:  # noqa: BLE001 - handed to the consumer, who raises it
                item = error  # polars panics with what is no Exception; unheard, it would hang
            while not self._stopped:
                try:
                    self._results.put(item, timeout=1.0)
                    break
                except queue.Full:
                    continue
