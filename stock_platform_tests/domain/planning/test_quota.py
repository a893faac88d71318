"""Window arithmetic against counting call by call."""

from __future__ import annotations

import time
from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stock_platform.domain.bars import Interval
from stock_platform.domain.capabilities import Capabilities, Limit, QuotaState, Tile
from stock_platform.domain.planning.quota import (
    finish_times,
    in_window,
    start_times,
    wait_seconds,
)
from stock_platform.domain.planning.simulate import run_tiles
from stock_platform_tests.domain.planning.builders import TODAY, row

SLIDING = st.builds(
    Limit, st.integers(1, 12), st.sampled_from([0.5, 1.0, 7.0, 60.0, 3600.0, 86_400.0])
)
DAILY = st.builds(Limit, st.integers(1, 12), st.just(86_400.0), st.just("America/New_York"))


def epoch(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


def test_no_wait_while_there_is_room() -> None:
    """Below every limit a call is allowed now."""
    assert wait_seconds([], [Limit(1, 60)], 1000.0) == 0
    assert wait_seconds([960.0], [Limit(2, 60)], 1000.0) == 0
    assert wait_seconds([1.0], [], 1000.0) == 0


def test_the_wait_is_the_longest_of_all_limits() -> None:
    """A call waits until the oldest calls have left each window."""
    stamps = [970.0, 980.0, 990.0]
    assert wait_seconds(stamps, [Limit(3, 60)], 1000.0) == 30
    assert wait_seconds(stamps, [Limit(2, 60)], 1000.0) == 40
    assert wait_seconds(stamps, [Limit(3, 60), Limit(1, 100)], 1000.0) == 90


def test_a_window_is_half_open() -> None:
    """A call exactly a window ago has left it."""
    assert wait_seconds([940.0], [Limit(1, 60)], 1000.0) == 0
    assert in_window([940.0, 940.1], Limit(1, 60), 1000.0) == 1


def test_calls_still_out_hold_their_slot() -> None:
    """A stamp in the future, of an answer not yet there, counts."""
    assert wait_seconds([1010.0], [Limit(1, 60)], 1000.0) == 70


@pytest.mark.parametrize(
    ("now", "seconds"),
    [
        ("2026-07-31T03:59:00", 60.0),  # New York is four hours behind
        ("2026-03-08T05:00:00", 23 * 3600.0),  # the day that loses an hour
        ("2026-11-01T04:00:00", 25 * 3600.0),  # and the one that gains one
    ],
)
def test_day_windows_end_at_the_vendors_midnight(now: str, seconds: float) -> None:
    """A spent day waits for midnight in the limit's zone, through changes of the clock."""
    limit = Limit(2, 86_400, "America/New_York")
    at = epoch(now)
    stamps = [at, at]
    assert wait_seconds(stamps, [limit], at) == seconds
    assert wait_seconds(stamps, [limit], at + seconds) == 0
    assert in_window(stamps, limit, at + seconds) == 0


def test_free_plan_times() -> None:
    """Five a minute: bursts of five, a minute apart plus the time of an answer."""
    times = start_times(11, [Limit(5, 60)], latency=0.5, concurrency=5)
    assert times.tolist() == [0.0] * 5 + [60.5] * 5 + [121.0]


def test_concurrency_paces_calls() -> None:
    """Two in flight at once, half a second each, are four a second."""
    assert finish_times(4, [], latency=0.5, concurrency=2).tolist() == [0.5, 0.5, 1.0, 1.0]


def simulated(
    calls: int, limits: tuple[Limit, ...], state: QuotaState, latency: float, flying: int
) -> list[float]:
    source = Capabilities("s", (row(),), limits, concurrency=flying)
    tile = Tile("s", "chart", Interval.DAY, TODAY, TODAY)
    return [e.end for e in run_tiles(source, [tile] * calls, state, latency)]


@settings(max_examples=200, deadline=None)
@given(
    st.integers(1, 60),
    st.lists(SLIDING | DAILY, max_size=3),
    st.integers(0, 12),
    st.sampled_from([0.0, 0.25, 3.0]),
    st.integers(1, 4),
    st.sampled_from([0.0, 100.0]),
    st.data(),
)
def test_times_agree_with_counting(
    calls: int,
    limits: list[Limit],
    spent: int,
    latency: float,
    flying: int,
    blocked: float,
    data: st.DataObject,
) -> None:
    """The running maxima give what counting every window call by call gives."""
    used = tuple(min(spent, limit.calls) for limit in limits)
    ages = tuple(
        tuple(data.draw(st.lists(st.floats(0, limit.seconds), min_size=n, max_size=n)))
        if data.draw(st.booleans())
        else ()
        for limit, n in zip(limits, used, strict=True)
    )
    state = QuotaState(used, blocked, ages, tuple(5000.0 for _ in limits))
    times = finish_times(calls, limits, state, latency=latency, concurrency=flying)
    assert np.allclose(times, simulated(calls, tuple(limits), state, latency, flying))
    assert (np.diff(times) >= 0).all()


def test_a_hundred_thousand_calls_are_quick() -> None:
    """100,000 calls under four windows take well under a second."""
    began = time.perf_counter()
    limits = [Limit(2, 1), Limit(60, 60), Limit(2000, 3600), Limit(20_000, 86_400)]
    times = finish_times(100_000, limits, latency=0.5, concurrency=4)
    assert time.perf_counter() - began < 1
    assert times[-1] > 4 * 86_400
