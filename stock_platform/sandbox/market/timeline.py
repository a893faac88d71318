"""The market's sessions and its present time.

Belongs here: session numbers, their opening and closing instants, what time it is. Does
not: which days are sessions (``domain.calendar`` knows).
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from stock_platform.domain.calendar import get_calendar
from stock_platform.sandbox.market.asset import as_date

ZONE = ZoneInfo("America/New_York")
ZONE_NAME = "America/New_York"


class Timeline:
    """Sessions of the New York exchanges from ``start`` to ``end``, numbered from 0.

    Attributes:
        days: datetime64[D], one a session, the exchange's local date.
        opens, closes: epoch seconds of each session's regular hours.
    """

    def __init__(self, start: date, end: date, now: datetime | None) -> None:
        calendar = get_calendar("XNYS")
        self.calendar = calendar
        self.days: NDArray[np.datetime64] = calendar.sessions(start, end)
        hours = [calendar.open_close(as_date(day)) for day in self.days]
        self.opens = np.array([int(o.timestamp()) for o, _ in hours], dtype=np.int64)
        self.closes = np.array([int(c.timestamp()) for _, c in hours], dtype=np.int64)
        self._frozen = now

    def now(self) -> datetime:
        """The market's time, aware UTC."""
        return self._frozen or datetime.now(UTC)

    def freeze(self, now: datetime | None) -> None:
        """Set the time and stop it there; None lets it run with the real one."""
        self._frozen = now

    def index(self, day: date) -> int:
        """The number of the first session on or after a date."""
        return int(np.searchsorted(self.days, np.datetime64(day)))

    def find(self, day: date) -> int | None:
        """The number of the session of a date; None where there is none."""
        at = self.index(day)
        return at if at < len(self.days) and self.days[at] == np.datetime64(day) else None

    def opened(self, now: datetime) -> int:
        """How many sessions have opened by ``now``: the last one's number plus one."""
        return int(np.searchsorted(self.opens, now.timestamp(), side="right"))

    def day(self, session: int) -> date:
        """A session's date."""
        return as_date(self.days[session])

    @staticmethod
    def local(now: datetime) -> datetime:
        """An instant on New York's clock."""
        return now.astimezone(ZONE)

    @staticmethod
    def midnight(day: date) -> int:
        """Epoch seconds of a date's first instant in New York."""
        return int(datetime(day.year, day.month, day.day, tzinfo=ZONE).timestamp())

    def trading_period(self, now: datetime) -> tuple[date, int, int]:
        """The session of today, or else the next: its date, opening and closing."""
        at = self.index(self.local(now).date())
        if at < len(self.days):
            return self.day(at), int(self.opens[at]), int(self.closes[at])
        day = self.calendar.next_session(self.local(now).date() - timedelta(days=1))
        start, end = self.calendar.open_close(day)
        return day, int(start.timestamp()), int(end.timestamp())
