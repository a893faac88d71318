"""The exchange as a chart describes it: its zone, its sessions, whether one is over.

Belongs here: time. Does not: bars (chart.py). Pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from stock_platform.domain.bars import Interval
from stock_platform.domain.calendar import get_calendar
from stock_platform.domain.errors import InputError, Malformed
from stock_platform.sources.payload import instant, number, trading_hours
from stock_platform.sources.periods import period_over, settled
from stock_platform.sources.yfinance_library.config import NAME

LAST_MINUTE = (23, 59)
NEARLY_MIDNIGHT = (22, 23)
"""Local hours at which Yahoo stamps days around the change of the clocks: the next day's."""


@dataclass(frozen=True)
class Place:
    """Where and when: the zone of the answer, the symbol's calendar, the present.

    Attributes:
        market_time: of the last trade. opens, closes: of the session that the vendor takes
            for the current one. All where the answer tells.
    """

    zone: ZoneInfo
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
        market_time = read_stamp(meta.get("regularMarketTime"))
        return cls(zone, calendar, now, market_time, read_stamp(period.get("start")), closes)

    def day(self, at: datetime) -> date:
        """The exchange's date of an instant."""
        return at.astimezone(self.zone).date()

    def session(self, at: datetime, interval: Interval) -> date:
        """The session of a bar's stamp, as yfinance tells it."""
        local = at.astimezone(self.zone)
        late = not interval.intraday and local.minute == 0 and local.hour in NEARLY_MIDNIGHT
        return local.date() + timedelta(days=1) if late else local.date()

    def over(self, session: date) -> bool:
        """Whether a session had ended when the vendor answered, by all clocks there are.

        An answer recorded during a session stays one of that moment, whenever it is read.
        """
        if (
            self.opens is not None
            and self.closes is not None
            and self.closes > self.opens
            and self.day(self.opens) == session
        ):
            return period_over(session, self.calendar, self.closes, self.market_time, self.now)
        hours = trading_hours(session, self.calendar)
        return self.now >= hours[1] if hours else self.day(self.now) > session

    def finished(self, at: datetime, interval: Interval) -> bool:
        """Whether the bar that begins at a stamp is final."""
        if self.over(self.session(at, interval)):
            return True
        return interval.intraday and at + interval.length <= self.now

    def mark(self, at: datetime, last: datetime, interval: Interval) -> bool:
        """Whether a row is the market's last price, put behind the bars: not a final bar.

        Yahoo ends a series with a row stamped at the market time.
        """
        if at != last or at != self.market_time:
            return False
        if interval.intraday:
            return True
        if self.closes is not None and settled(self.closes, self.now):
            return False
        return not self._opening(at)

    def _opening(self, at: datetime) -> bool:
        local = at.astimezone(self.zone)
        if (local.hour, local.minute, local.second) == (0, 0, 0):
            return True
        hours = trading_hours(self.day(at), self.calendar)
        return hours is not None and hours[0] == at


def zone_of(calendar: str) -> str:
    """The IANA zone of a calendar; UTC for one that is not known."""
    try:
        return get_calendar(calendar).zone
    except InputError:
        return "UTC"


def read_stamp(value: object) -> datetime | None:
    """An instant of the answer's description; None where there is none to be read."""
    try:
        return instant(value)
    except ValueError:
        return None


def _zone(meta: Mapping[str, object]) -> ZoneInfo:
    name = meta.get("exchangeTimezoneName")
    if isinstance(name, str) and name:
        try:
            return ZoneInfo(name)
        except (ZoneInfoNotFoundError, ValueError):
            pass  # a name we do not know: the offset says as much for recent bars
    try:
        offset = number(meta.get("gmtoffset"))
        if offset is not None and offset % 3600 == 0:
            return ZoneInfo(f"Etc/GMT{-offset / 3600:+.0f}")
    except (ZoneInfoNotFoundError, ValueError):
        pass  # reported just below
    raise Malformed(NAME, f"no usable time zone in the answer: {name!r}")
