"""The circuit breaker and the averages that forget."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stock_platform.domain.health import (
    FIRST_PAUSE,
    HALF_LIFE,
    LONGEST_PAUSE,
    TRIES_TO_OPEN,
    USUAL_LATENCY,
    Circuit,
    Health,
    pause,
)

NOON = datetime(2024, 3, 8, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)


def broken(times: int, at: datetime = NOON) -> Health:
    health = Health()
    for _ in range(times):
        health = health.failed(at, "unavailable: HTTP 503")
    return health


def test_a_source_nobody_asked_is_healthy() -> None:
    """No record: asked as usual."""
    assert Health().circuit(NOON) is Circuit.CLOSED
    assert Health().success_rate(NOON) == 1.0
    assert Health().latency() == USUAL_LATENCY


def test_the_circuit_opens_after_failures_in_a_row() -> None:
    """One fewer does not; a success in between starts over."""
    assert broken(TRIES_TO_OPEN - 1).circuit(NOON) is Circuit.CLOSED
    health = broken(TRIES_TO_OPEN)
    assert health.circuit(NOON) is Circuit.OPEN
    assert health.open_until == NOON + FIRST_PAUSE
    again = broken(TRIES_TO_OPEN - 1).succeeded(NOON, 0.1)
    assert again.failed(NOON, "x").circuit(NOON) is Circuit.CLOSED


def test_requests_of_one_call_count_up_to_three() -> None:
    """A call that was tried three times counts three, one of many pages no more."""
    assert Health().failed(NOON, "x", tries=3).failures_in_row == 3
    assert Health().failed(NOON, "x", tries=40).failures_in_row == 3
    assert Health().failed(NOON, "x", tries=0).failures_in_row == 1


def test_one_call_tries_a_half_open_circuit() -> None:
    """While it does the circuit is open for others, twice as long, and stays so if it fails."""
    later = NOON + FIRST_PAUSE
    health = broken(TRIES_TO_OPEN)
    assert health.circuit(later) is Circuit.HALF_OPEN
    trying = health.trying(later)
    assert trying.circuit(later) is Circuit.OPEN
    failed = trying.failed(later + SECOND, "again")
    assert failed.open_until == later + 2 * FIRST_PAUSE
    assert trying.succeeded(later + SECOND, 0.2).circuit(later + SECOND) is Circuit.CLOSED


def test_stragglers_do_not_lengthen_the_pause() -> None:
    """Calls in flight when the circuit opened fail too: that is no news."""
    health = broken(TRIES_TO_OPEN + 8)
    assert health.opened == 1
    assert health.open_until == NOON + FIRST_PAUSE


def test_pauses_double_up_to_the_longest() -> None:
    """5, 10, 20, ... seconds, at the most a quarter of an hour."""
    assert [pause(n).total_seconds() for n in (1, 2, 3, 4)] == [5, 10, 20, 40]
    assert pause(30) == LONGEST_PAUSE


def test_old_failures_weigh_less() -> None:
    """After a few half-lives an outage is forgotten."""
    health = broken(10)
    assert health.success_rate(NOON) < 0.2
    assert health.success_rate(NOON + 10 * HALF_LIFE) > 0.99


def test_latency_follows_what_was_measured() -> None:
    """Many calls of 2 seconds make it 2 seconds."""
    health = Health()
    for n in range(50):
        health = health.succeeded(NOON + n * SECOND, 2.0)
    assert health.latency() == pytest.approx(2.0, rel=0.05)


EVENT = st.tuples(st.sampled_from(["good", "bad", "try"]), st.integers(0, 3600), st.integers(0, 20))


@given(st.lists(EVENT, max_size=60))
def test_whatever_happens_rates_are_rates_and_a_success_closes(
    events: list[tuple[str, int, int]],
) -> None:
    """Rates lie in (0, 1], latency is positive, an open circuit ends."""
    health, now = Health(), NOON
    for kind, seconds, tries in events:
        now += timedelta(seconds=seconds)
        if kind == "good":
            health = health.succeeded(now, 0.3)
            assert health.circuit(now) is Circuit.CLOSED
        elif kind == "bad":
            health = health.failed(now, "x", tries)
        elif health.circuit(now) is Circuit.HALF_OPEN:
            health = health.trying(now)
        assert 0 < health.success_rate(now) <= 1
        assert health.latency() > 0
        assert health.circuit(now + LONGEST_PAUSE) is not Circuit.OPEN
