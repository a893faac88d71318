"""The vendors' limits, counted strictly at arrival.

Belongs here: sliding windows over arrivals, and the count of what broke them. Does not:
anything shared with the platform's own limiter, whose mistakes this must catch.

A request that arrives when the ``n`` accepted before it all lie within ``seconds`` is one too
many: it is answered 429, and counted as a violation. It does not itself use up allowance.
Several windows hold at once. With a clock rate R every window is R times shorter.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from time import monotonic

from stock_platform.domain.errors import InputError
from stock_platform.sandbox.config import Limit


@dataclass
class _Account:
    arrivals: deque[float] = field(default_factory=deque)
    accepted: int = 0
    violations: int = 0
    peaks: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Refusal:
    """A request beyond a limit; ``wait`` is real seconds until one would be accepted."""

    limit: Limit
    wait: float


class LimitCounter:
    """Counts arrivals by vendor and account (a key, or a client's address)."""

    def __init__(
        self,
        limits: Mapping[str, Sequence[Limit]],
        clock_rate: float = 1.0,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._limits = {name: check_limits(name, each) for name, each in limits.items()}
        self._rate = clock_rate
        self._clock = clock
        self._accounts: dict[tuple[str, str], _Account] = {}
        self._lock = threading.Lock()

    @property
    def clock_rate(self) -> float:
        """How many times faster than the wall clock the windows run."""
        return self._rate

    def configure(
        self, vendor: str | None = None, limits: Sequence[Limit] = (), rate: float | None = None
    ) -> None:
        """Change a vendor's limits, or the clock rate, from now on."""
        if rate is not None and rate <= 0:
            raise InputError("clock_rate", rate, "give a number above 0")
        checked = check_limits(vendor, limits) if vendor is not None else ()
        with self._lock:
            if vendor is not None:
                self._limits[vendor] = checked
            self._rate = rate or self._rate

    def arrive(self, vendor: str, account: str) -> Refusal | None:
        """Count one request; a refusal when it is beyond a limit."""
        with self._lock:
            now = self._clock()
            limits = self._limits.get(vendor, ())
            entry = self._accounts.setdefault((vendor, account), _Account())
            longest = max((s for _, s in limits), default=0.0) / self._rate
            while entry.arrivals and entry.arrivals[0] <= now - longest:
                entry.arrivals.popleft()
            refusal = None
            counts = {}
            for limit in limits:
                most, seconds = limit
                window = seconds / self._rate
                inside = self._inside(entry.arrivals, now - window)
                counts[_label(limit)] = inside + 1
                if inside >= most:
                    wait = entry.arrivals[-most] + window - now
                    if refusal is None or wait > refusal.wait:
                        refusal = Refusal(limit, wait)
            if refusal is not None:
                entry.violations += 1
                return refusal
            if limits:
                entry.arrivals.append(now)
            entry.accepted += 1
            for label, count in counts.items():
                entry.peaks[label] = max(entry.peaks.get(label, 0), count)
            return None

    @staticmethod
    def _inside(arrivals: deque[float], since: float) -> int:
        """How many arrivals came after ``since``; they are in order."""
        low, high = 0, len(arrivals)
        while low < high:
            middle = (low + high) // 2
            if arrivals[middle] <= since:
                low = middle + 1
            else:
                high = middle
        return len(arrivals) - low

    def report(self) -> dict[str, dict[str, object]]:
        """By vendor: limits (``n/seconds``), accepted, violations, peak use of each window."""
        with self._lock:
            out: dict[str, dict[str, object]] = {}
            for vendor, limits in self._limits.items():
                mine = {a: e for (v, a), e in self._accounts.items() if v == vendor}
                out[vendor] = {
                    "limits": [_label(limit) for limit in limits],
                    "accepted": sum(e.accepted for e in mine.values()),
                    "violations": sum(e.violations for e in mine.values()),
                    "accounts": {
                        account: {
                            "accepted": e.accepted,
                            "violations": e.violations,
                            "peak": dict(e.peaks),
                        }
                        for account, e in mine.items()
                    },
                }
            return out

    def reset(self) -> None:
        """Forget every arrival and count."""
        with self._lock:
            self._accounts.clear()


def check_limits(vendor: str | None, limits: Sequence[Limit]) -> tuple[Limit, ...]:
    """Limits as (int, float) pairs.

    Raises:
        InputError: not a list of [requests, seconds].
    """
    try:
        made = tuple((int(most), float(seconds)) for most, seconds in limits)
    except (TypeError, ValueError) as error:
        allowed = "give a list of [requests, seconds]"
        raise InputError(f"limits[{vendor}]", limits, allowed) from error
    if any(most < 1 or seconds <= 0 for most, seconds in made):
        raise InputError(f"limits[{vendor}]", limits, "give requests >= 1 and seconds > 0")
    return made


def _label(limit: Limit) -> str:
    return f"{limit[0]}/{limit[1]:g}s"
