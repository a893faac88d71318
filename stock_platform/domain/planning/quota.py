"""Window arithmetic: when a call is allowed, and when the n-th call would be made.

Belongs here: pure functions over stamps and limits. Does not: state, clocks, sleeping
(sources/quota.py and its PostgreSQL implementation), choosing calls.

A limit allows at most c calls in any window of d seconds, so of the sorted start times
t the one condition is t[k] >= t[k - c] + d. A call's window begins when its answer
arrives, so d is the limit's seconds plus the latency; and "at most q calls in flight" is
the same condition with c = q and d = latency. Calling as early as allowed, the times obey

    t[k] = max(floor[k], t[k - 1], max over limits of t[k - c] + d)

which is linear in the (max, +) algebra: the limits can be applied one after another, each
as a running maximum over strides of c. So 100,000 calls under any number of sliding
windows cost a few passes of numpy. Calendar-day windows (``Limit.zone``) are not of that
form, as what a day leaves unused is lost at midnight; they are stepped call by call.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt

from stock_platform.domain.capabilities import Limit, QuotaState, Reading

Seconds = npt.NDArray[np.float64]

DAY_SECONDS = 86_400.0


def wait_seconds(stamps: Sequence[float], limits: Sequence[Limit], now: float) -> float:
    """Seconds until one more call is allowed under all limits; 0.0 when it is allowed now.

    Args:
        stamps: epoch seconds (UTC) at which the windows of past calls began, ascending. A
            held slot whose answer is still out may carry a stamp later than ``now``.
        limits: all must hold.
        now: epoch seconds (UTC).
    """
    ready = now
    for limit in limits:
        if limit.zone is not None:
            midnight, following = _day_bounds(now, limit.zone)
            if len(stamps) - bisect_left(stamps, midnight) >= limit.calls:
                ready = max(ready, following)
        elif len(stamps) >= limit.calls:
            ready = max(ready, stamps[-limit.calls] + limit.seconds)
    return ready - now


def in_window(stamps: Sequence[float], limit: Limit, now: float) -> int:
    """How many of the ascending stamps the limit still counts at ``now``."""
    if limit.zone is not None:
        return len(stamps) - bisect_left(stamps, _day_bounds(now, limit.zone)[0])
    return len(stamps) - bisect_right(stamps, now - limit.seconds)


def limit_meant(reading: Reading, limits: Sequence[Limit]) -> Limit | None:
    """The limit a vendor's reading is about; None where it cannot be told.

    That of the window it names, or of the number of calls, or the shortest in which its reset
    lies. A reading without any of these is about the shortest window if nothing is left.
    """
    by_length = sorted(limits, key=lambda limit: limit.seconds)
    if reading.seconds is not None:
        named = [x for x in by_length if abs(x.seconds - reading.seconds) <= 0.01 * x.seconds]
        return named[0] if named else None
    if reading.calls is not None:
        alike = [x for x in by_length if x.calls == reading.calls]
        if alike:
            return alike[0]
    if reading.resets_in is not None:
        around = [x for x in by_length if x.seconds >= reading.resets_in]
        return around[0] if around else None
    return by_length[0] if by_length and reading.remaining < 1 else None


def start_times(
    calls: int,
    limits: Sequence[Limit],
    state: QuotaState | None = None,
    *,
    latency: float = 0.0,
    concurrency: int = 1,
) -> Seconds:
    """Seconds from now at which each of ``calls`` calls is made, as early as is allowed.

    Calls already spent count from their age where ``state.ages`` has it, else as if they
    had just been made; a day window without ``state.resets_in`` ends in 24 hours. Both
    err on the late side.
    """
    state = state or QuotaState()
    floor = np.full(calls, state.blocked_seconds, dtype=np.float64)
    steps = [(concurrency, latency)] if latency > 0 else []
    days: list[tuple[int, int, float]] = []
    for index, limit in enumerate(limits):
        spent = state.spent[index] if index < len(state.spent) else 0
        if limit.zone is not None:
            ends = state.resets_in[index] if index < len(state.resets_in) else None
            days.append((limit.calls, spent, DAY_SECONDS if ends is None else ends))
            continue
        steps.append((limit.calls, limit.seconds + latency))
        ages = state.ages[index] if index < len(state.ages) else ()
        past = -np.sort(np.asarray(ages, dtype=np.float64))[::-1]
        past = np.concatenate([past, np.zeros(max(0, spent - len(past)))])[-limit.calls :]
        held = past + limit.seconds
        # Call k waits for the call c before it; the first of them lie in the past.
        first = limit.calls - len(held)
        count = max(0, min(len(held), calls - first))
        floor[first : first + count] = np.maximum(floor[first : first + count], held[:count])
    if days:
        return _stepped(floor, steps, days)
    times = np.maximum.accumulate(floor)
    for every, delay in steps:
        times = _spaced(times, every, delay)
    return times


def finish_times(
    calls: int,
    limits: Sequence[Limit],
    state: QuotaState | None = None,
    *,
    latency: float = 0.0,
    concurrency: int = 1,
) -> Seconds:
    """Seconds from now at which the answer of each call arrives: start_times plus latency."""
    return start_times(calls, limits, state, latency=latency, concurrency=concurrency) + latency


def _spaced(times: Seconds, every: int, delay: float) -> Seconds:
    """The least t >= times with t[k] >= t[k - every] + delay; keeps an ascending order."""
    if every >= len(times) or delay <= 0:
        return times
    rounds = -(-len(times) // every)
    padded = np.full(rounds * every, -np.inf)
    padded[: len(times)] = times
    table = padded.reshape(rounds, every)
    offsets = np.arange(rounds, dtype=np.float64)[:, None] * delay
    spaced = np.maximum.accumulate(table - offsets, axis=0) + offsets
    return np.asarray(spaced.ravel()[: len(times)], dtype=np.float64)


def _stepped(
    floor: Seconds, steps: Sequence[tuple[int, float]], days: Sequence[tuple[int, int, float]]
) -> Seconds:
    times = [0.0] * len(floor)
    # For each day limit: calls made in the current day, and when that day ends.
    used = [spent for _, spent, _ in days]
    ends = [end for _, _, end in days]
    now = 0.0
    for index in range(len(floor)):
        now = max(now, float(floor[index]))
        for every, delay in steps:
            if index >= every:
                now = max(now, times[index - every] + delay)
        moved = True
        while moved:
            moved = False
            for which, (allowed, _, _) in enumerate(days):
                if now >= ends[which]:
                    passed = int((now - ends[which]) // DAY_SECONDS) + 1
                    ends[which] += passed * DAY_SECONDS
                    used[which] = 0
                if used[which] >= allowed:
                    now, moved = ends[which], True
        for which in range(len(days)):
            used[which] += 1
        times[index] = now
    return np.asarray(times, dtype=np.float64)


def _day_bounds(now: float, zone: str) -> tuple[float, float]:
    """Epoch seconds of the zone's midnight before ``now``, and of the next one (DST aware)."""
    local = datetime.fromtimestamp(now, UTC).astimezone(ZoneInfo(zone))
    today = local.date()
    start = datetime(today.year, today.month, today.day, tzinfo=ZoneInfo(zone))
    following = today + timedelta(days=1)
    end = datetime(following.year, following.month, following.day, tzinfo=ZoneInfo(zone))
    return start.timestamp(), end.timestamp()
