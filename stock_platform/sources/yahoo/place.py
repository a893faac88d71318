"""The exchange as a chart describes it, and what its clock says of a bar.

Belongs here: zone, sessions, whether a session is over and a bar is live. Does not: bars
(parse.py). Pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta, timezone, tzinfo
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from stock_platform.domain.errors import Malformed
from stock_platform.sources.payload import instant, number, openings, trading_hours
from stock_platform.sources.periods import period_over, settled
from stock_platform.sources.yahoo.config import NAME

OVER_FOR_SURE = timedelta(days=3)
LAST_MINUTE = (23, 59)


@dataclass(frozen=True)
class Place:
    """The exchange as the answer describes it, and its clock.

    Attributes:
        market_time: of the last trade. opens, closes: of the session the vendor takes for
            the current one.
    """

    zone: tzinfo
    calendar: str
    now: datetime
    market_time: datetime | None
    opens: datetime | None
    closes: datetime | None

    @classmethod
    def of(cls, meta: Mapping[str, object], calendar: str, now: datetime) -> Place:
        """The place that ``meta`` describes. Raises Malformed without a usable time zone."""
        periods = meta.get("currentTradingPeriod")
        regular = periods.get("regular") if isinstance(periods, dict) else None
        period = regular if isinstance(regular, dict) else {}
        zone, closes = _zone(meta), read_stamp(period.get("end"))
        if closes is not None:
            local = closes.astimezone(zone)
            if (local.hour, local.minute) == LAST_MINUTE:  # round the clock: to midnight
                closes += timedelta(seconds=60 - local.second)
        return cls(
            zone=zone,
            calendar=calendar,
            now=now,
            market_time=read_stamp(meta.get("regularMarketTime")),
            opens=read_stamp(period.get("start")),
            closes=closes,
        )

    def session(self, at: datetime) -> date:
        """The exchange's local date."""
        return at.astimezone(self.zone).date()

    def over(self, session: date) -> bool:
        """Whether a session had ended when the vendor answered, by all clocks there are."""
        if self.opens is not None and self.closes is not None:
            current = self.session(self.opens) == session and self.closes > self.opens
            if current:
                return period_over(session, self.calendar, self.closes, self.market_time, self.now)
        if session < self.session(self.now) - OVER_FOR_SURE:
            return True
        hours = trading_hours(session, self.calendar)
        if hours is not None:
            return self.now >= hours[1]
        return self.session(self.now) > session

    def live(self, at: datetime, usual: set[tuple[int, int]]) -> bool:
        """Whether a daily bar is not final; ``usual`` are the other bars' times of day."""
        session = self.session(at)
        if not self.over(session):
            return True
        if self.market_time is None or session != self.session(self.market_time):
            return False
        if self.closes is not None and settled(self.closes, self.now):
            return False
        return self.time_of_day(at) not in usual and not self.opening(at)

    def opening(self, at: datetime) -> bool:
        """Whether a stamp is where daily bars are stamped."""
        local = self.time_of_day(at)
        if at.second == 0 and local == (0, 0):
            return True
        if self.opens is not None and local == self.time_of_day(self.opens):
            return at.second == self.opens.second
        session = self.session(at)
        return openings([session], self.calendar)[session] == at

    def time_of_day(self, at: datetime) -> tuple[int, int]:
        """Local hour and minute."""
        local = at.astimezone(self.zone)
        return local.hour, local.minute


def _zone(meta: Mapping[str, object]) -> tzinfo:
    name = meta.get("exchangeTimezoneName")
    if isinstance(name, str) and name:
        try:
            return ZoneInfo(name)
        except (ZoneInfoNotFoundError, ValueError):
            pass  # a name we do not know: the offset says as much for recent bars
    try:
        offset = number(meta.get("gmtoffset"))
        if offset is not None:
            return timezone(timedelta(seconds=offset))
    except ValueError:
        pass  # reported just below
    raise Malformed(NAME, f"no usable time zone in the answer: {name!r}")


def read_stamp(value: object) -> datetime | None:
    """An instant of the answer's description; None where there is none to be read."""
    try:
        return instant(value)
    except ValueError:
        return None
