"""Where the time comes from, so that tests and pinned markets can decide it.

Belongs here: clocks. Does not: what a session is (calendar.py).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """Tells the time."""

    def now(self) -> datetime:
        """The present instant, aware, in UTC."""
        ...


class SystemClock:
    """The machine's clock."""

    def now(self) -> datetime:
        """The present instant."""
        return datetime.now(UTC)


@dataclass(frozen=True)
class FixedClock:
    """A clock that stands still at ``instant`` (aware)."""

    instant: datetime

    def now(self) -> datetime:
        """Always the same instant."""
        return self.instant.astimezone(UTC)
