"""The health of a source: how it has fared lately, and whether to ask it now. Pure.

Belongs here: decayed averages, and the circuit breaker's states. Does not: keeping them
(storage/health.py), acting on them (pipeline/router.py).

Successes, failures and latency are averages that forget: an observation's weight halves every
``HALF_LIFE``, so that yesterday's outage does not count today, and a source that nobody asked
for a while is taken for healthy again.

The circuit breaker (Nygard, Release It!, 2007): after ``TRIES_TO_OPEN`` failing requests in a
row the circuit opens and the source is not asked; when its time is up it is half open, and one
call may try; if that succeeds the circuit closes, else it opens for twice as long.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

TRIES_TO_OPEN = 5
FIRST_PAUSE = timedelta(seconds=5)
LONGEST_PAUSE = timedelta(minutes=15)
HALF_LIFE = timedelta(hours=1)
PRIOR = 2.0
"""Successes that a source is credited with beforehand, so that one failure is not all."""

USUAL_LATENCY = 0.5
MOST_TRIES = 3
"""A call counts at the most as so many failing requests."""


class Circuit(StrEnum):
    """Whether a source may be asked."""

    CLOSED = "closed"  # as usual
    OPEN = "open"  # not before open_until
    HALF_OPEN = "half_open"  # one call may try


@dataclass(frozen=True)
class Health:
    """What is known of a source.

    Attributes:
        good, bad: decayed counts of calls, as of ``at``.
        seconds: decayed sum of the good calls' latencies.
        at: when the counts were last brought up to date; None before the first call.
        failures_in_row: failing requests since the last success.
        opened: how often in a row the circuit opened; 0 when it is closed.
        open_until: the end of the present pause.
        last_error, last_error_at, last_success_at: for people.
        accuracy: share of its bars that agreed with what was chosen, where other sources
            gave the same cells; None where they never did.
    """

    good: float = 0.0
    bad: float = 0.0
    seconds: float = 0.0
    at: datetime | None = None
    failures_in_row: int = 0
    opened: int = 0
    open_until: datetime | None = None
    last_error: str | None = None
    last_error_at: datetime | None = None
    last_success_at: datetime | None = None
    accuracy: float | None = None

    def circuit(self, now: datetime) -> Circuit:
        """Whether it may be asked now."""
        if not self.opened or self.open_until is None:
            return Circuit.CLOSED
        return Circuit.OPEN if now < self.open_until else Circuit.HALF_OPEN

    def success_rate(self, now: datetime) -> float:
        """The chance that a call succeeds, 0 to 1; 1 for a source nobody has asked lately."""
        fade = self._fade(now)
        good, bad = self.good * fade + PRIOR, self.bad * fade
        return good / (good + bad)

    def latency(self) -> float:
        """Seconds from a call to its answer, lately."""
        prior = PRIOR * 0.5
        return (self.seconds + prior * USUAL_LATENCY) / (self.good + prior)

    def succeeded(self, now: datetime, seconds: float, calls: int = 1) -> Health:
        """After calls that the vendor answered, taking ``seconds`` in all."""
        now_known = self._aged(now)
        return replace(
            now_known,
            good=now_known.good + calls,
            seconds=now_known.seconds + seconds,
            failures_in_row=0,
            opened=0,
            open_until=None,
            last_success_at=now,
        )

    def failed(self, now: datetime, error: str, tries: int = 1) -> Health:
        """After a call that the vendor did not answer as it should, in ``tries`` requests."""
        in_row = self.failures_in_row + min(max(tries, 1), MOST_TRIES)
        untried = self.circuit(now) is Circuit.HALF_OPEN
        opens = untried or (self.opened == 0 and in_row >= TRIES_TO_OPEN)
        opened = self.opened + 1 if opens else self.opened
        now_known = self._aged(now)
        return replace(
            now_known,
            bad=now_known.bad + 1,
            failures_in_row=in_row,
            opened=opened,
            open_until=now + pause(opened) if opens else self.open_until,
            last_error=error,
            last_error_at=now,
        )

    def trying(self, now: datetime) -> Health:
        """While one call tries a half-open circuit: open for the others, for twice as long.

        Should the call fail, or never come back, nothing more is to be done.
        """
        return replace(self, opened=self.opened + 1, open_until=now + pause(self.opened + 1))

    def _aged(self, now: datetime) -> Health:
        fade = self._fade(now)
        return replace(
            self, good=self.good * fade, bad=self.bad * fade, seconds=self.seconds * fade, at=now
        )

    def _fade(self, now: datetime) -> float:
        if self.at is None or now <= self.at:
            return 1.0
        return float(0.5 ** ((now - self.at) / HALF_LIFE))


def pause(opened: int) -> timedelta:
    """How long the circuit stays open when it opens for the ``opened``-th time in a row."""
    doublings = min(max(opened, 1) - 1, 16)
    return min(FIRST_PAUSE * (1 << doublings), LONGEST_PAUSE)
