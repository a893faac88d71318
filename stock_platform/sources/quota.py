"""Quotas: the leave to make one HTTP request.

Belongs here: the protocol, and an implementation in memory for one process (tests, and
``fetch`` without a database). Does not: the shared one (storage/quota.py), which vendor
has which limits (sources/<vendor>/config.py).

Every HTTP request, pages and retries too, takes one grant. A grant holds its slot while
the request is in flight, and its window counts from the answer: whatever the network
does, the vendor saw the call no later than that, so that it never sees one too many
within its own window. A grant that is never ``done`` (a crash) is taken for answered
``HOLD_SECONDS`` after it was given, the longest a call can take.
"""

from __future__ import annotations

import math
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Protocol

from stock_platform.domain.capabilities import Limit, QuotaState, Reading
from stock_platform.domain.errors import RateLimited
from stock_platform.domain.planning.quota import DAY_SECONDS, in_window, limit_meant, wait_seconds

HOLD_SECONDS = 120.0
POLL_SECONDS = 0.2


class Grant(Protocol):
    """Leave for one request."""

    def done(self) -> None:
        """The answer is here (or the request has failed): the window starts now.

        Further calls do nothing.
        """


class Quota(Protocol):
    """Limits of all sources. Safe to use from several threads at once."""

    def acquire(self, source: str, limits: Sequence[Limit], max_wait: float) -> Grant:
        """Wait until a request fits into every window of ``limits``, and take a slot.

        Args:
            source: whose limits; slots of one name are counted together.
            limits: all hold at once; empty is unlimited (a block still holds).
            max_wait: the longest wait in seconds.

        Raises:
            RateLimited: the wait would be longer; ``retry_after`` says how long.
        """

    def block(self, source: str, seconds: float) -> None:
        """Give no grants for ``seconds`` from now on (Retry-After); a longer block stays."""

    def heed(
        self,
        source: str,
        limits: Sequence[Limit],
        readings: Sequence[Reading],
        seconds: float = 0.0,
    ) -> None:
        """Take note of what a vendor said in an answer is left of its limits.

        Where nothing is left, there are no grants before the reset. Where less is left than we
        think (someone else uses the key), the difference counts as calls until the reset, or
        for a window from now where none was named. More being left changes nothing.

        Args:
            source: whose limits.
            limits: as in ``acquire``.
            readings: see sources/allowance.py.
            seconds: from the request to its answer.
        """

    def state(self, source: str, limits: Sequence[Limit]) -> QuotaState:
        """What is spent of each limit, calls in flight included."""


class MemoryQuota:
    """Strict limits within one process.

    Args:
        now: epoch seconds. sleep: waits so many seconds.
        hold_seconds: how long a grant that is never done stays in flight.
    """

    def __init__(
        self,
        now: Callable[[], float] = time.time,
        sleep: Callable[[float], object] = time.sleep,
        hold_seconds: float = HOLD_SECONDS,
    ) -> None:
        self._now = now
        self._sleep = sleep
        self._hold = hold_seconds
        self._lock = threading.Lock()
        self._answered: dict[str, list[float]] = defaultdict(list)
        self._in_flight: dict[str, dict[int, float]] = defaultdict(dict)
        self._blocked_until: dict[str, float] = {}
        self._granted = 0

    def acquire(self, source: str, limits: Sequence[Limit], max_wait: float) -> Grant:
        """See Quota.acquire."""
        deadline = self._now() + max_wait
        while True:
            with self._lock:
                now = self._now()
                blocked = self._blocked_until.get(source, now) - now
                answered, flying = self._calls(source, limits, now)
                latest = sorted([*answered, *(at + self._hold for at in flying)])
                wait = max(blocked, wait_seconds(latest, limits, now))
                if wait <= 0:
                    self._granted += 1
                    self._in_flight[source][self._granted] = now
                    return _MemoryGrant(self, source, self._granted)
                # A call in flight may be answered at any moment: the shortest wait there
                # can be decides about giving up, and whether to look again soon.
                soonest = max(
                    blocked, wait_seconds([*answered, *(now for _ in flying)], limits, now)
                )
            if now + soonest > deadline:
                raise RateLimited(source, f"out of quota for {soonest:.0f} s", soonest)
            self._sleep(min(wait, max(soonest, POLL_SECONDS)))

    def block(self, source: str, seconds: float) -> None:
        """See Quota.block."""
        with self._lock:
            until = self._now() + seconds
            self._blocked_until[source] = max(until, self._blocked_until.get(source, until))

    def heed(
        self,
        source: str,
        limits: Sequence[Limit],
        readings: Sequence[Reading],
        seconds: float = 0.0,
    ) -> None:
        """See Quota.heed."""
        for reading in readings:
            limit = limit_meant(reading, limits)
            if reading.remaining < 1 and reading.resets_in:
                longest = DAY_SECONDS if limit is None else limit.seconds
                self.block(source, min(reading.resets_in, longest))
            if limit is None:
                continue
            with self._lock:
                now = self._now()
                answered, flying = self._calls(source, limits, now)
                ours = in_window([*answered, *(now for _ in flying)], limit, now - seconds)
                at = now
                if limit.zone is None and reading.resets_in is not None:
                    at -= max(0.0, limit.seconds - reading.resets_in)
                more = math.ceil(limit.calls - ours - reading.remaining)
                self._answered[source] += [at] * min(more, limit.calls)

    def state(self, source: str, limits: Sequence[Limit]) -> QuotaState:
        """See Quota.state."""
        with self._lock:
            now = self._now()
            answered, flying = self._calls(source, limits, now)
            blocked = max(0.0, self._blocked_until.get(source, now) - now)
        stamps = [*answered, *(now for _ in flying)]
        spent = tuple(in_window(stamps, limit, now) for limit in limits)
        return QuotaState(
            spent=spent,
            blocked_seconds=blocked,
            ages=tuple(tuple(now - at for at in stamps[len(stamps) - n :]) for n in spent),
            resets_in=tuple(
                wait_seconds([now] * limit.calls, [limit], now) if limit.zone else None
                for limit in limits
            ),
        )

    def _calls(
        self, source: str, limits: Sequence[Limit], now: float
    ) -> tuple[list[float], list[float]]:
        """When the calls that count were answered, ascending; when those in flight were granted."""
        answered, flying = self._answered[source], self._in_flight[source]
        for number in [n for n, at in flying.items() if at + self._hold <= now]:
            answered.append(flying.pop(number) + self._hold)
        answered.sort()
        inside = max((in_window(answered, limit, now) for limit in limits), default=0)
        del answered[: len(answered) - inside]
        return answered, list(flying.values())

    def _done(self, source: str, number: int) -> None:
        with self._lock:
            if self._in_flight[source].pop(number, None) is not None:
                self._answered[source].append(self._now())


class _MemoryGrant:
    def __init__(self, quota: MemoryQuota, source: str, number: int) -> None:
        self._quota, self._source, self._number = quota, source, number

    def done(self) -> None:
        self._quota._done(self._source, self._number)  # noqa: SLF001 - one class in two halves
