"""Quotas in memory: strict windows on a clock that tests move."""

from __future__ import annotations

import random
import threading
from datetime import UTC, datetime
from itertools import pairwise

import pytest

from stock_platform.domain.capabilities import Limit
from stock_platform.domain.errors import RateLimited
from stock_platform.sources.quota import HOLD_SECONDS, MemoryQuota
from stock_platform_tests.sources.vendors import FakeTime

FIVE = [Limit(5, 60.0)]


def quota() -> tuple[MemoryQuota, FakeTime]:
    time = FakeTime()
    return MemoryQuota(time.now, time.sleep), time


def test_waits_for_the_window() -> None:
    """The sixth of five calls a minute waits for the first to leave the window."""
    limits, time = quota()
    for _ in range(6):
        limits.acquire("s", FIVE, 90.0).done()
    assert time.slept == [60.0]


def test_a_slot_counts_from_the_answer() -> None:
    """A call that takes ten seconds frees its slot a minute after it was answered."""
    limits, time = quota()
    grant = limits.acquire("s", [Limit(1, 60.0)], 90.0)
    time.sleep(10)
    grant.done()
    grant.done()
    start = time.now()
    limits.acquire("s", [Limit(1, 60.0)], 90.0)
    assert time.now() - start == 60.0


def test_a_call_that_never_ends_is_taken_for_answered() -> None:
    """A grant without done holds its slot for the longest call, then for its window."""
    limits, time = quota()
    limits.acquire("s", [Limit(1, 60.0)], 90.0)
    start = time.now()
    limits.acquire("s", [Limit(1, 60.0)], 1000.0)
    assert time.now() - start == pytest.approx(HOLD_SECONDS + 60.0)


def test_all_windows_hold_at_once() -> None:
    """Two a second and three a minute: the stricter one decides each time."""
    limits, time = quota()
    both = [Limit(2, 1.0), Limit(3, 60.0)]
    for _ in range(4):
        limits.acquire("s", both, 90.0).done()
    assert time.slept == [1.0, 59.0]


def test_a_longer_wait_is_refused_at_once() -> None:
    """Beyond max_wait nobody waits: RateLimited says how long it would be."""
    limits, time = quota()
    for _ in range(5):
        limits.acquire("s", FIVE, 0.0).done()
    with pytest.raises(RateLimited) as caught:
        limits.acquire("s", FIVE, 30.0)
    assert caught.value.retry_after == 60.0
    assert time.slept == []


def test_a_block_holds_for_all_and_only_grows() -> None:
    """Retry-After stops every call of the source; a shorter one does not shorten it."""
    limits, time = quota()
    limits.block("s", 40.0)
    limits.block("s", 5.0)
    assert limits.state("s", []).blocked_seconds == 40.0
    limits.acquire("t", [], 0.0)
    limits.acquire("s", [], 60.0)
    assert time.slept == [40.0]


def test_days_of_a_zone() -> None:
    """A calendar day's quota comes back at its midnight, where it is kept."""
    limits, time = quota()
    time.seconds = datetime(2024, 3, 5, 3, 0, tzinfo=UTC).timestamp()  # 22:00 in New York
    day = [Limit(1, 86_400.0, "America/New_York")]
    limits.acquire("s", day, 0.0).done()
    assert limits.state("s", day).resets_in == (7200.0,)
    limits.acquire("s", day, 7200.0)
    assert time.slept == [7200.0]


def test_state_tells_what_is_spent() -> None:
    """Calls in flight and in the window count, with their ages; older ones do not."""
    limits, time = quota()
    limits.acquire("s", FIVE, 0.0).done()
    time.seconds += 50
    limits.acquire("s", FIVE, 0.0).done()
    limits.acquire("s", FIVE, 0.0)
    state = limits.state("s", FIVE)
    assert (state.spent, state.ages) == ((3,), ((50.0, 0.0, 0.0),))
    time.seconds += 10
    assert limits.state("s", FIVE).spent == (2,)


def test_no_window_is_ever_overspent() -> None:
    """Whatever the latencies, the vendor's own sliding count stays within every limit."""
    dice = random.Random(7)  # noqa: S311 - latencies, not secrets
    limits, time = quota()
    both = [Limit(3, 10.0), Limit(10, 60.0)]
    seen: list[float] = []
    for _ in range(200):
        grant = limits.acquire("s", both, 1e9)
        sent = time.now()
        time.seconds += dice.random() * 4
        seen.append(sent + dice.random() * (time.now() - sent))  # the vendor's stamp
        if dice.random() < 0.95:
            grant.done()
    for limit in both:
        spans = [b - a for a, b in zip(seen, seen[limit.calls :], strict=False)]
        assert min(spans) > limit.seconds - 1e-6
    assert all(a <= b for a, b in pairwise(seen))


def test_threads_share_it() -> None:
    """Twenty threads on five slots: five are granted, the others are told to wait."""
    limits, _ = quota()
    granted: list[int] = []
    refused: list[int] = []

    def ask(number: int) -> None:
        try:
            limits.acquire("s", FIVE, 0.0).done()
            granted.append(number)
        except RateLimited:
            refused.append(number)

    threads = [threading.Thread(target=ask, args=(n,)) for n in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(granted), len(refused)) == (5, 15)
