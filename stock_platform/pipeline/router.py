"""The router: which sources may be asked now, and how well they have answered.

Belongs here: turning what is known of sources into what the planner and the fetch engine
need. Does not: the arithmetic of health (domain/health.py), keeping it (storage/health.py),
choosing calls (domain/planning).

Sources that can serve the same cells stand in the order of cost first (the planner's), then
of preference, worsened by failures and by disagreement with other sources. A source whose
circuit is open, and an endpoint that the key's plan lacks, are left out of the plan.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

from stock_platform.domain.capabilities import Capabilities
from stock_platform.domain.errors import NoData, NotEntitled, SourceError, UnknownSymbol
from stock_platform.domain.health import Circuit, Health
from stock_platform.storage.health import ENTITLED_AGAIN, Refusal

FLUSH_SECONDS = 2.0
"""Successes are gathered this long before they are written; a failure is written at once."""

FAILURE_PENALTY = 50
INACCURACY_PENALTY = 5000
"""One bar in a hundred wrong is worse than any order of preference among like sources."""

KEYLESS_AGAIN = timedelta(hours=1)
"""How long the refusal of a source without a key is believed: it has no plan that lacks a thing."""


class Book(Protocol):
    """Where health is kept; storage.health.HealthBook, or memory."""

    def now(self) -> datetime: ...  # noqa: D102
    def all(self) -> dict[str, Health]: ...  # noqa: D102
    def succeeded(self, source: str, seconds: float, calls: int = 1) -> Health: ...  # noqa: D102
    def failed(self, source: str, error: str, tries: int) -> Health: ...  # noqa: D102
    def may_try(self, source: str) -> bool: ...  # noqa: D102
    def not_entitled(  # noqa: D102
        self, source: str, endpoint: str, reason: str, believed: timedelta = ...
    ) -> None: ...
    def refusals(self) -> list[Refusal]: ...  # noqa: D102
    def unknown_to(self, source: str, asset_ids: Sequence[int]) -> None: ...  # noqa: D102
    def unknown(self) -> set[tuple[str, int]]: ...  # noqa: D102


@dataclass(frozen=True)
class Pause:
    """Why a source is not asked now, and until when."""

    until: datetime
    reason: str


class Router:
    """What one run knows of its sources. Safe to use from several threads."""

    def __init__(self, book: Book, wall: Callable[[], float] = time.monotonic) -> None:
        self._book = book
        self._wall = wall
        self._lock = threading.Lock()
        self._good: dict[str, tuple[int, float]] = {}
        self._flushed: dict[str, float] = {}

    # ---- for the planner ----

    def liked(self, sources: Mapping[str, Capabilities]) -> list[Capabilities]:
        """The capabilities, their preference worsened by failures and inaccuracy."""
        known, now = self._book.all(), self._book.now()
        return [
            replace(c, preference=c.preference + _penalty(known.get(name, Health()), now))
            for name, c in sources.items()
        ]

    def chances(self) -> dict[str, float]:
        """By source, the chance that a call succeeds."""
        now = self._book.now()
        return {name: health.success_rate(now) for name, health in self._book.all().items()}

    def latencies(self) -> dict[str, float]:
        """By source, the seconds from a call to its answer."""
        return {name: health.latency() for name, health in self._book.all().items()}

    def barred(self) -> frozenset[tuple[str, str]]:
        """(source, endpoint) that the plans of the keys in use lack."""
        return frozenset((refusal.source, refusal.endpoint) for refusal in self._book.refusals())

    def unknown(self) -> set[tuple[str, int]]:
        """(source, asset id) of what vendors said they do not know."""
        return self._book.unknown()

    def unknown_to(self, source: str, asset_ids: Sequence[int]) -> None:
        """A vendor said that it does not know assets."""
        self._book.unknown_to(source, asset_ids)

    def pauses(self) -> dict[str, Pause]:
        """The sources whose circuit is open, by name."""
        now = self._book.now()
        return {
            name: Pause(health.open_until, health.last_error or "failed too often")
            for name, health in self._book.all().items()
            if health.circuit(now) is Circuit.OPEN and health.open_until is not None
        }

    # ---- from the calls ----

    def may_try(self, source: str) -> bool:
        """Whether a call may be made now; a half-open circuit lets one of all processes try."""
        return self._book.may_try(source)

    def answered(self, source: str, seconds: float) -> None:
        """A call was answered as it should be, with data or with a plain no."""
        with self._lock:
            calls, total = self._good.get(source, (0, 0.0))
            self._good[source] = (calls + 1, total + seconds)
            last = self._flushed.get(source)
            if last is not None and self._wall() - last < FLUSH_SECONDS:
                return
        self.flush(source)

    def failed(
        self, source: str, endpoint: str, error: SourceError, *, keyed: bool = True
    ) -> Pause | None:
        """A call failed; the pause that follows, where the circuit is open now.

        ``keyed`` tells whether the source was asked with a key.
        """
        if isinstance(error, NotEntitled):
            believed = ENTITLED_AGAIN if keyed else KEYLESS_AGAIN
            self._book.not_entitled(source, endpoint, error.detail, believed)
        if isinstance(error, (UnknownSymbol, NoData, NotEntitled)):
            self.answered(source, 0.0)
            return None
        self.flush(source)
        health = self._book.failed(source, f"{error.status}: {error.detail}", error.requests)
        if health.circuit(self._book.now()) is Circuit.CLOSED or health.open_until is None:
            return None
        return Pause(health.open_until, health.last_error or error.detail)

    def account(self) -> dict[str, dict[str, Any]]:
        """What is known of every source; see ``account``."""
        return account(self._book)

    def flush(self, source: str | None = None) -> None:
        """Write the successes gathered."""
        for name in [source] if source else list(self._good):
            with self._lock:
                calls, seconds = self._good.pop(name, (0, 0.0))
                self._flushed[name] = self._wall()
            if calls:
                self._book.succeeded(name, seconds, calls)


class MemoryBook:
    """Health of one process, for fetches without a database."""

    def __init__(self, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._now = now
        self._health: dict[str, Health] = {}
        self._refusals: dict[tuple[str, str], Refusal] = {}
        self._unknown: set[tuple[str, int]] = set()
        self._lock = threading.Lock()

    def now(self) -> datetime:
        """The present."""
        return self._now()

    def all(self) -> dict[str, Health]:
        """Every source with a record."""
        with self._lock:
            return dict(self._health)

    def succeeded(self, source: str, seconds: float, calls: int = 1) -> Health:
        """See storage.health.HealthBook."""
        return self._change(source, lambda h, now: h.succeeded(now, seconds, calls))

    def failed(self, source: str, error: str, tries: int) -> Health:
        """See storage.health.HealthBook."""
        return self._change(source, lambda h, now: h.failed(now, error, tries))

    def may_try(self, source: str) -> bool:
        """See storage.health.HealthBook."""
        with self._lock:  # looking and taking the trial are one: only one may have it
            now, health = self._now(), self._health.get(source, Health())
            circuit = health.circuit(now)
            if circuit is Circuit.HALF_OPEN:
                self._health[source] = health.trying(now)
        return circuit is not Circuit.OPEN

    def not_entitled(
        self, source: str, endpoint: str, reason: str, believed: timedelta = ENTITLED_AGAIN
    ) -> None:
        """See storage.health.HealthBook."""
        now = self._now()
        refusal = Refusal(source, endpoint, reason, now, now + believed)
        with self._lock:
            self._refusals[source, endpoint] = refusal

    def refusals(self) -> list[Refusal]:
        """See storage.health.HealthBook."""
        now = self._now()
        with self._lock:
            return [refusal for refusal in self._refusals.values() if refusal.expires_at > now]

    def unknown_to(self, source: str, asset_ids: Sequence[int]) -> None:
        """See storage.health.HealthBook."""
        self._unknown |= {(source, asset_id) for asset_id in asset_ids}

    def unknown(self) -> set[tuple[str, int]]:
        """See storage.health.HealthBook."""
        return set(self._unknown)

    def _change(self, source: str, change: Callable[[Health, datetime], Health]) -> Health:
        with self._lock:
            found = self._health[source] = change(self._health.get(source, Health()), self._now())
        return found


def account(book: Book) -> dict[str, dict[str, Any]]:
    """What is known of every source, for people and programs.

    By source: circuit (closed, open, half_open), success_rate (0 to 1), latency_seconds,
    accuracy, failures_in_row, last_error, last_error_at, last_success_at, next_try,
    not_entitled (endpoint -> reason).
    """
    now, found = book.now(), {}
    refusals = book.refusals()
    for name, health in book.all().items():
        circuit = health.circuit(now)
        found[name] = {
            "circuit": str(circuit),
            "success_rate": round(health.success_rate(now), 4),
            "latency_seconds": round(health.latency(), 3),
            "accuracy": health.accuracy,
            "failures_in_row": health.failures_in_row,
            "last_error": health.last_error,
            "last_error_at": health.last_error_at,
            "last_success_at": health.last_success_at,
            "next_try": health.open_until if circuit is Circuit.OPEN else None,
            "not_entitled": {r.endpoint: r.reason for r in refusals if r.source == name},
        }
    return found


def _penalty(health: Health, now: datetime) -> int:
    wrong = 0.0 if health.accuracy is None else 1.0 - health.accuracy
    unsure = 1.0 - health.success_rate(now)
    return round(FAILURE_PENALTY * unsure + INACCURACY_PENALTY * wrong)
