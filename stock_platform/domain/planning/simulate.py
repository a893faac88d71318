"""Runs a plan's calls on a virtual clock, and does the same for the ways of others.

Belongs here: a schedule call by call, the check that it breaks no window, comparisons.
Does not: the arithmetic that plans are made with (quota.py); this module counts calls in
windows one by one, so that each checks the other.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date

from stock_platform.domain.capabilities import Capabilities, Limit, QuotaState, Tile, TileShape
from stock_platform.domain.planning.model import Plan, PlanAsset
from stock_platform.domain.planning.planner import plan
from stock_platform.domain.planning.problem import LATENCY_SECONDS
from stock_platform.domain.planning.quota import DAY_SECONDS, finish_times

DETAILED_CALLS = 500_000
"""Beyond so many calls a finish is extrapolated at the sustained rate."""


@dataclass(frozen=True)
class Event:
    """One call: seconds from now at which it was made, and at which the answer came."""

    tile: Tile
    start: float
    end: float


def simulate(
    made: Plan,
    sources: Sequence[Capabilities],
    quotas: Mapping[str, QuotaState] | None = None,
    *,
    latency: Mapping[str, float] | None = None,
) -> tuple[Event, ...]:
    """Every call of the plan, made as early as the limits allow, in order of start."""
    events: list[Event] = []
    for source in sources:
        tiles = made.by_source().get(source.source, ())
        state = (quotas or {}).get(source.source, QuotaState())
        delay = (latency or {}).get(source.source, LATENCY_SECONDS)
        events += run_tiles(source, tiles, state, delay)
    return tuple(sorted(events, key=lambda e: (e.start, e.tile.source, e.tile.describe())))


def run_tiles(
    source: Capabilities, tiles: Sequence[Tile], state: QuotaState, latency: float
) -> list[Event]:
    """The tiles called one after another, each as soon as every window has room."""
    counters = [_Counter.of(limit, state, index) for index, limit in enumerate(source.limits)]
    flying: list[float] = []
    events = []
    now = state.blocked_seconds
    for tile in tiles:
        while True:
            later = max([c.ready(now) for c in counters], default=now)
            if len(flying) >= source.concurrency and latency > 0:
                later = max(later, flying[0])
            if later <= now:
                break
            now = later
        while flying and flying[0] <= now:
            heapq.heappop(flying)
        heapq.heappush(flying, now + latency)
        for counter in counters:
            counter.add(now, now + latency)
        events.append(Event(tile, now, now + latency))
    return events


@dataclass
class _Counter:
    """Counts the calls inside one limit's window, as a vendor does."""

    limit: Limit
    inside: deque[float]
    day_end: float

    @classmethod
    def of(cls, limit: Limit, state: QuotaState, index: int) -> _Counter:
        spent = state.spent[index] if index < len(state.spent) else 0
        ages = sorted(state.ages[index], reverse=True) if index < len(state.ages) else []
        stamps = [-age for age in ages] + [0.0] * (spent - len(ages))
        end = state.resets_in[index] if index < len(state.resets_in) else None
        return cls(limit, deque(stamps), DAY_SECONDS if end is None else end)

    def ready(self, now: float) -> float:
        """The earliest moment, from ``now`` on, that this limit allows a call."""
        if self.limit.zone is not None:
            while now >= self.day_end:
                self.day_end += DAY_SECONDS
                self.inside.clear()
            return now if len(self.inside) < self.limit.calls else self.day_end
        while self.inside and self.inside[0] + self.limit.seconds <= now:
            self.inside.popleft()
        if len(self.inside) < self.limit.calls:
            return now
        return self.inside[len(self.inside) - self.limit.calls] + self.limit.seconds

    def add(self, start: float, end: float) -> None:
        """A call's slot is taken from its start, and its window begins at its end."""
        self.inside.append(start if self.limit.zone is not None else end)


@dataclass(frozen=True)
class Way:
    """One way to get the same cells.

    Attributes:
        name: in a user's words.
        calls: how many it makes.
        finish_seconds: when its last answer comes; None where it cannot work at all.
        uncovered_cells: needed cells it cannot get.
    """

    name: str
    calls: int
    finish_seconds: float | None
    uncovered_cells: int


def compare(
    made: Plan,
    assets: Mapping[int, PlanAsset],
    sources: Sequence[Capabilities],
    quotas: Mapping[str, QuotaState] | None = None,
    *,
    today: date,
    latency: Mapping[str, float] | None = None,
) -> tuple[Way, ...]:
    """The plan beside other ways to get its cells, all under the same limits.

    The others: one call per ticker per day, one call per ticker (each at the source that
    gets most cells so, and of those the earliest), and each source alone, well planned.
    """
    ways = [Way("this plan", made.calls, made.finish_seconds, made.uncovered_cells)]
    cells = len(made.needed)
    by_day: list[Way] = []
    by_ticker: list[Way] = []
    alone: list[Way] = []
    for source in sources:
        rows = tuple(e for e in source.endpoints if e.shape is not TileShape.COLUMN)
        state = (quotas or {}).get(source.source)
        delay = (latency or {}).get(source.source, LATENCY_SECONDS)
        if rows:
            single = plan(
                made.needed,
                assets,
                [replace(source, endpoints=rows)],
                quotas,
                today=today,
                latency=latency,
            )
            reached = cells - single.uncovered_cells
            if reached:
                name = f"one call per ticker ({source.source})"
                lost = single.uncovered_cells
                by_ticker.append(Way(name, single.calls, single.finish_seconds, lost))
                name = f"one call per ticker per day ({source.source})"
                finish = finish_of(reached, source, state, delay)
                by_day.append(Way(name, reached, finish, lost))
        own = plan(made.needed, assets, [source], quotas, today=today, latency=latency)
        alone.append(
            Way(
                f"{source.source} alone",
                own.calls,
                own.finish_seconds if own.calls else None,
                own.uncovered_cells,
            )
        )
    ways += [
        min(options, key=lambda way: (way.uncovered_cells, way.finish_seconds or 0.0))
        for options in (by_day, by_ticker)
        if options
    ]
    return (*ways, *alone)


def finish_of(
    calls: int, source: Capabilities, state: QuotaState | None = None, latency: float = 0.0
) -> float:
    """Seconds until the last of so many calls is answered; extrapolated for millions."""
    if calls <= 0:
        return 0.0
    detailed = min(calls, DETAILED_CALLS)
    times = finish_times(
        detailed, source.limits, state, latency=latency, concurrency=source.concurrency
    )
    rate = max(
        [latency / source.concurrency, *((w.seconds + latency) / w.calls for w in source.limits)]
    )
    return float(times[-1] + (calls - detailed) * rate)
