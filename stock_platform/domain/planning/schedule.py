"""Sharing calls among sources that work at once, each under its own windows.

Belongs here: how many calls a source answers by a deadline, the division of groups of
like calls among the sources, the earliest deadline at which a division exists. Does not:
which calls are needed (cover.py).

A group is a number of calls that the same sources can make, at the same cost each. When
every call costs one, a division within a deadline exists just when, for every set of
sources, the calls that only they can make are no more than they can make together
(Hall's theorem); ``Demand`` checks that for many candidate covers in one numpy pass.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from stock_platform.domain.capabilities import Capabilities, QuotaState
from stock_platform.domain.planning.quota import Seconds, finish_times

Counts = npt.NDArray[np.int64]

LEAST_HEALTH = 0.02
"""A source is never taken for worse than this: one call in fifty succeeds."""
TOLERANCE_SECONDS = 2.0
TOLERANCE_SHARE = 0.02
"""Schedules of one cover that finish this close together count as equally early: then
preference decides."""
WORTH_SHARE = 0.065
"""A cover may finish so much later than the earliest if it makes fewer calls."""


@dataclass(frozen=True, eq=False)
class Pace:
    """How a source's calls get done over time; failures are made up for by more calls.

    Rows of a source that answers for blocks are counted as calls here: ``bundle`` of them are
    one request, and finish together; ``times`` are those of its requests.
    """

    name: str
    preference: int
    health: float
    finish: Seconds
    bundle: int = 1
    times: Seconds | None = None

    def capacity(self, deadline: float) -> int:
        """Successful calls by the deadline (seconds from now, inclusive)."""
        made = int(np.searchsorted(self.finish, deadline + 1e-9, side="right"))
        return int(made * self.health + 1e-9)

    def finish_of(self, calls: int) -> float:
        """Seconds until that many calls have succeeded."""
        if calls <= 0:
            return 0.0
        return float(self.finish[self._made(calls) - 1])

    def finish_of_requests(self, count: int) -> float:
        """Seconds until that many requests have succeeded."""
        times = self.finish if self.times is None else self.times
        return float(times[self._made(count) - 1]) if count > 0 else 0.0

    def _made(self, calls: int) -> int:
        return int(np.ceil(calls / self.health - 1e-9))


def paces(
    sources: Sequence[Capabilities],
    calls: int,
    *,
    quotas: Mapping[str, QuotaState],
    health: Mapping[str, float],
    latency: Mapping[str, float],
    bundles: Mapping[str, int] | None = None,
) -> tuple[Pace, ...]:
    """The pace of each source for up to ``calls`` calls; ``bundles``: rows a request."""
    result = []
    for source in sources:
        chance = min(1.0, max(LEAST_HEALTH, health.get(source.source, 1.0)))
        bundle = (bundles or {}).get(source.source, 1)
        times = finish_times(
            int(np.ceil(calls / chance)) + 1,
            source.limits,
            quotas.get(source.source),
            latency=latency[source.source],
            concurrency=source.concurrency,
        )
        finish = times
        if bundle > 1:
            finish = np.repeat(times[: int(np.ceil(calls / bundle / chance)) + 1], bundle)
        result.append(Pace(source.source, source.preference, chance, finish, bundle, times))
    return tuple(result)


def capacities(by: Sequence[Pace], deadline: float) -> Counts:
    """Successful calls of each source by the deadline."""
    return np.array([pace.capacity(deadline) for pace in by], dtype=np.int64)


@dataclass(frozen=True, eq=False)
class Demand:
    """For each of K candidate covers, how many calls only a set of sources can make.

    Attributes:
        sets: bit sets of sources: every union of sets that some calls are bound to.
        calls: shape (len(sets), K).
    """

    sets: tuple[int, ...]
    calls: Counts

    @classmethod
    def of(cls, groups: Mapping[int, Counts]) -> Demand:
        """From the calls bound to each bit set of sources: one number a candidate."""
        unions = {0}
        for bits in sorted(groups):
            unions |= {known | bits for known in unions}
        sets = tuple(sorted(unions - {0}))
        width = max((len(v) for v in groups.values()), default=1)
        calls = np.zeros((len(sets), width), dtype=np.int64)
        for index, union in enumerate(sets):
            for bits, counts in groups.items():
                if bits & ~union == 0:
                    calls[index] += counts
        return cls(sets, calls)

    def feasible(self, by: Sequence[Pace], deadline: float) -> npt.NDArray[np.bool_]:
        """Which candidates can be done by the deadline."""
        able = capacities(by, deadline)
        rooms = np.array(
            [sum(int(able[s]) for s in range(len(by)) if bits >> s & 1) for bits in self.sets],
            dtype=np.int64,
        )
        return np.asarray((self.calls <= rooms[:, None]).all(axis=0))

    def earliest(self, by: Sequence[Pace]) -> float:
        """The earliest deadline at which some candidate can be done."""
        return earliest(by, lambda deadline: bool(self.feasible(by, deadline).any()))

    def finishes(self, by: Sequence[Pace]) -> Seconds:
        """The earliest deadline of each candidate (for few of them)."""
        return np.array(
            [
                Demand(self.sets, self.calls[:, k : k + 1]).earliest(by)
                for k in range(self.calls.shape[1])
            ]
        )


def earliest(by: Sequence[Pace], possible: Callable[[float], bool], low: float = 0.0) -> float:
    """The earliest answer time of any source at which ``possible`` holds (it is monotone)."""
    moments = np.unique(np.concatenate([[low], *(pace.finish for pace in by)]))
    moments = moments[moments >= low]
    left, right = 0, len(moments) - 1
    while left < right:
        middle = (left + right) // 2
        if possible(float(moments[middle])):
            right = middle
        else:
            left = middle + 1
    return float(moments[left])


def relaxed(deadline: float, by: float = TOLERANCE_SHARE) -> float:
    """The latest finish that counts as equally early."""
    return max(deadline + TOLERANCE_SECONDS, deadline * (1 + by))


@dataclass(frozen=True)
class Group:
    """Calls alike.

    Attributes:
        cost: ``cost[s]`` calls of source s do one of them; 0 where it cannot.
        liking: ``liking[s]`` orders sources of equal cost, lower first.
        count: how many there are.
    """

    cost: tuple[int, ...]
    liking: tuple[int, ...]
    count: int


def share(groups: Sequence[Group], by: Sequence[Pace], deadline: float) -> Counts | None:
    """How many of each group each source takes (groups x sources); None if not by then.

    Groups with the fewest sources choose first; each takes the cheapest source, then the
    best liked.
    """
    room = capacities(by, deadline)
    taken = np.zeros((len(groups), len(by)), dtype=np.int64)
    for index in sorted(range(len(groups)), key=lambda i: (_options(groups[i]), i)):
        group, left = groups[index], groups[index].count
        for source in sorted(
            (s for s in range(len(by)) if group.cost[s]),
            key=lambda s: (group.cost[s] / by[s].bundle, group.liking[s], s),
        ):
            part = min(left, int(room[source]) // group.cost[source])
            taken[index, source] = part
            room[source] -= part * group.cost[source]
            left -= part
        if left:
            return None
    return taken


def _options(group: Group) -> int:
    return sum(1 for cost in group.cost if cost)
