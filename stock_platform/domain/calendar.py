"""Exchange calendars: which days are sessions, and when they open and close.

Belongs here: sessions, holidays, half days, the last completed session. Does not: which
calendar a symbol trades by (symbols.py), the clock (clock.py).

Hours come from pandas_market_calendars, which mirrors exchange_calendars and knows
holidays, ad-hoc closures, half days and daylight saving. A calendar is computed once for a
span of years (0.2 s) and then answered from numpy arrays; the library is imported at the
first question. Two calendars are plain: ``24/7`` (coins: UTC days) and ``24/5``
(currencies: UTC weekdays).
"""

from __future__ import annotations

import warnings
from datetime import UTC, date, datetime
from functools import cache, cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from stock_platform.domain.bars import UTC_STAMP
from stock_platform.domain.cells import Sessions
from stock_platform.domain.errors import InputError

FIRST, LAST = date(1985, 1, 1), date(2028, 12, 31)
"""Days the calendars know. Exchanges announce holidays a year or two ahead."""

ROUND_THE_CLOCK = ("24/7", "24/5")

_Stamps = npt.NDArray[np.datetime64]


@cache
def get_calendar(name: str) -> ExchangeCalendar:
    """The calendar of an exchange by its MIC (``XNYS``, ``XLON``), or ``24/7``, ``24/5``.

    Raises:
        InputError: no such calendar.
    """
    if name not in ROUND_THE_CLOCK:
        import pandas_market_calendars as mcal

        if name not in mcal.get_calendar_names():
            raise InputError(
                "calendar", name, "use an exchange's MIC like XNYS, XNAS or XLON, 24/7 or 24/5"
            )
    return ExchangeCalendar(name)


class ExchangeCalendar:
    """Sessions of one exchange. Dates are the exchange's local dates; instants are UTC."""

    def __init__(self, name: str) -> None:
        self.name = name

    @cached_property
    def _library(self) -> Any:
        import pandas_market_calendars as mcal

        return mcal.get_calendar(self.name)

    @cached_property
    def zone(self) -> str:
        """The IANA name of the exchange's time zone."""
        return "UTC" if self.name in ROUND_THE_CLOCK else str(self._library.tz)

    @cached_property
    def _schedule(self) -> tuple[Sessions, _Stamps, _Stamps, npt.NDArray[np.bool_]]:
        """Sessions, opens, closes (datetime64[us], UTC), and which sessions end early."""
        if self.name in ROUND_THE_CLOCK:
            days = _days(FIRST, LAST)
            if self.name == "24/5":
                days = days[np.is_busday(days)]
            opens, closes = (
                (days + np.timedelta64(n, "D")).astype("datetime64[us]") for n in (0, 1)
            )
            return days, opens, closes, np.zeros(len(days), dtype=np.bool_)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # lunch breaks that came and went
            schedule = self._library.schedule(FIRST, LAST)
            early = self._library.early_closes(schedule).index
        days = schedule.index.to_numpy().astype("datetime64[D]")
        opens, closes = (
            schedule[c].dt.tz_localize(None).to_numpy().astype("datetime64[us]")
            for c in ("market_open", "market_close")
        )
        return days, opens, closes, np.asarray(schedule.index.isin(early), dtype=np.bool_)

    def sessions(self, start: date, end: date) -> Sessions:
        """The sessions from start to end, both inclusive, ascending.

        Raises:
            InputError: a date outside what the calendar knows.
        """
        days = self._schedule[0]
        first, last = self._bounded("start", start), self._bounded("end", end)
        found: Sessions = days[np.searchsorted(days, first) : np.searchsorted(days, last, "right")]
        return found

    def table(self, start: date, end: date) -> pl.DataFrame:
        """Columns session (Date), opens and closes (UTC) of the sessions from start to end."""
        days, opens, closes, _ = self._schedule
        first, last = self._bounded("start", start), self._bounded("end", end)
        part = slice(np.searchsorted(days, first), np.searchsorted(days, last, "right"))
        frame = pl.DataFrame({"session": days[part], "opens": opens[part], "closes": closes[part]})
        return frame.with_columns(
            pl.col("opens", "closes").dt.replace_time_zone("UTC").cast(UTC_STAMP)
        )

    def is_session(self, day: date) -> bool:
        """Whether the exchange trades on that day."""
        days = self._schedule[0]
        at = np.searchsorted(days, self._bounded("day", day))
        return bool(at < len(days) and days[at] == np.datetime64(day, "D"))

    def open_close(self, session: date) -> tuple[datetime, datetime]:
        """When a session opens and closes. Raises InputError where the day is no session."""
        at = self._index(session)
        return _instant(self._schedule[1][at]), _instant(self._schedule[2][at])

    def is_half_day(self, session: date) -> bool:
        """Whether the session closes early. Raises InputError where the day is no session."""
        return bool(self._schedule[3][self._index(session)])

    def session_of(self, instant: datetime) -> date | None:
        """The session that is open at an instant (from the open to before the close), or None."""
        days, opens, closes, _ = self._schedule
        moment = _stamp(instant)
        at = np.searchsorted(opens, moment, "right") - 1
        if at < 0 or moment >= closes[at]:
            return None
        return _day(days[at])

    def is_open(self, now: datetime) -> bool:
        """Whether the exchange trades at that instant."""
        return self.session_of(now) is not None

    def last_completed(self, now: datetime) -> date:
        """The last session whose close has passed. Raises InputError before the first one."""
        days, _, closes, _ = self._schedule
        at = np.searchsorted(closes, _stamp(now), "right") - 1
        if at < 0:
            raise InputError("now", now.isoformat(), f"use an instant after {days[0]}")
        return _day(days[at])

    def next_session(self, after: date) -> date:
        """The first session after a day. Raises InputError where the calendar ends."""
        days = self._schedule[0]
        at = np.searchsorted(days, self._bounded("after", after), "right")
        if at == len(days):
            raise InputError("after", str(after), f"use a date before {days[-1]}")
        return _day(days[at])

    def previous_session(self, before: date) -> date:
        """The last session before a day. Raises InputError where the calendar begins."""
        days = self._schedule[0]
        at = np.searchsorted(days, self._bounded("before", before)) - 1
        if at < 0:
            raise InputError("before", str(before), f"use a date after {days[0]}")
        return _day(days[at])

    def holidays(self, start: date, end: date) -> list[date]:
        """Weekdays from start to end that are no session."""
        weekdays = _days(start, end)
        weekdays = weekdays[np.is_busday(weekdays)]
        closed = weekdays[~np.isin(weekdays, self.sessions(start, end))]
        return [_day(day) for day in closed]

    def _index(self, session: date) -> int:
        days = self._schedule[0]
        at = int(np.searchsorted(days, self._bounded("session", session)))
        if at == len(days) or days[at] != np.datetime64(session, "D"):
            following = days[min(at, len(days) - 1)]
            raise InputError(
                "session",
                str(session),
                f"use a session of {self.name}; the next one is {following}",
            )
        return at

    def _bounded(self, parameter: str, day: date) -> np.datetime64:
        if not FIRST <= day <= LAST:
            raise InputError(parameter, str(day), f"use a date from {FIRST} to {LAST}")
        return np.datetime64(day, "D")


def _days(start: date, end: date) -> Sessions:
    after = np.datetime64(end, "D") + np.timedelta64(1, "D")
    return np.arange(np.datetime64(start, "D"), after, dtype="datetime64[D]")


def _stamp(instant: datetime) -> np.datetime64:
    if instant.tzinfo is None:
        raise InputError("now", instant.isoformat(), "use an instant with a time zone")
    return np.datetime64(instant.astimezone(UTC).replace(tzinfo=None), "us")


def _instant(stamp: np.datetime64) -> datetime:
    found: datetime = stamp.astype(datetime)
    return found.replace(tzinfo=UTC)


def _day(value: np.datetime64) -> date:
    found: date = value.astype(object)
    return found
