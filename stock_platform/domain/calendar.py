"""Exchange calendars: which days are sessions, and when they open and close.

Belongs here: sessions, holidays, half days, the last completed session. Does not: which
calendar a symbol trades by (symbols.py), the clock (clock.py).

Hours come from pandas_market_calendars, which mirrors exchange_calendars and knows
holidays, ad-hoc closures, half days and daylight saving. A calendar is computed once for
the usual span of years (0.3 s), and for two centuries (1 s) when a day outside it is asked
for, and then answered from numpy arrays; the library is imported at the first question.
Holidays more than a year or two ahead are by the rules of today: exchanges announce no
more. Two calendars are plain: ``24/7`` (coins: UTC days) and ``24/5`` (currencies: UTC weekdays).

A session is what a daily bar covers: from its open to its close, the lunch break included.
``is_open`` and ``trading_session`` are about the instant instead: nothing trades in a lunch
break, and currencies trade without a pause from Sunday to Friday, 17:00 in New York, so that
Monday's session trades from Sunday evening on and Friday's until its evening there.
"""

from __future__ import annotations

import warnings
from datetime import UTC, date, datetime, time, timedelta
from functools import cache, cached_property
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt
import polars as pl

from stock_platform.domain.bars import UTC_STAMP
from stock_platform.domain.cells import Sessions
from stock_platform.domain.errors import InputError

FIRST, LAST = date(1985, 1, 1), date(2035, 12, 31)
"""The usual span: what is computed at the first question."""

EARLIEST, LATEST = date(1900, 1, 1), date(2099, 12, 31)
"""Days the calendars know at all."""

ROUND_THE_CLOCK = ("24/7", "24/5")

FX_WEEK = (time(17), "America/New_York")
"""When currencies open on Sundays and close on Fridays, there."""

WEEKEND, _FRIDAY, _SUNDAY = 5, 4, 6
"""From this day of the week on, Monday being 0, there are no sessions."""

GLOBEX_PAUSE = {"CMES": timedelta(hours=1)}
"""How long before a full session's end nothing trades any more. The library's sessions of CME
Globex meet at 17:00 in Chicago; trading stops at 16:00, on Fridays until Sunday (CME Group,
"Trading Hours": "with a 60-minute break each day beginning at 4:00 p.m. CT")."""

_MARGIN = timedelta(days=30)
_Stamps = npt.NDArray[np.datetime64]


class _Schedule(NamedTuple):
    """Sessions, their opens and closes (datetime64[us], UTC), and which of them end early.

    ``pauses`` and ``resumes`` bound the lunch breaks; NaT where a session has none, and a pause
    that nothing resumes lasts to the session's end.
    """

    days: Sessions
    opens: _Stamps
    closes: _Stamps
    half: npt.NDArray[np.bool_]
    pauses: _Stamps
    resumes: _Stamps


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
    def _usual(self) -> _Schedule:
        return self._computed(FIRST, LAST)

    @cached_property
    def _whole(self) -> _Schedule:
        return self._computed(EARLIEST, LATEST)

    def _schedule(self, *days: date) -> _Schedule:
        """The schedule that holds the days with a margin for their neighbours."""
        usual = all(FIRST + _MARGIN <= day <= LAST - _MARGIN for day in days)
        return self._usual if usual else self._whole

    def _computed(self, first: date, last: date) -> _Schedule:
        if self.name in ROUND_THE_CLOCK:
            days = _days(first, last)
            if self.name == "24/5":
                days = days[np.is_busday(days)]
            opens, closes = (
                (days + np.timedelta64(n, "D")).astype("datetime64[us]") for n in (0, 1)
            )
            never = np.full(len(days), np.datetime64("NaT"), dtype="datetime64[us]")
            return _Schedule(days, opens, closes, np.zeros(len(days), dtype=np.bool_), never, never)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # lunch breaks that came and went
            schedule = self._library.schedule(first, last)
            early = self._library.early_closes(schedule).index
        days = schedule.index.to_numpy().astype("datetime64[D]")
        opens, closes, pauses, resumes = (
            schedule[c].dt.tz_localize(None).to_numpy().astype("datetime64[us]")
            if c in schedule.columns
            else np.full(len(days), np.datetime64("NaT"), dtype="datetime64[us]")
            for c in ("market_open", "market_close", "break_start", "break_end")
        )
        half = np.asarray(schedule.index.isin(early), dtype=np.bool_)
        if self.name in GLOBEX_PAUSE:
            stops = closes - np.timedelta64(GLOBEX_PAUSE[self.name])
            pauses = np.where(half, pauses, stops)
        return _Schedule(days, opens, closes, half, pauses, resumes)

    def sessions(self, start: date, end: date) -> Sessions:
        """The sessions from start to end, both inclusive, ascending.

        Raises:
            InputError: a date outside what the calendar knows.
        """
        schedule, part = self._between(start, end)
        return schedule.days[part]

    def table(self, start: date, end: date) -> pl.DataFrame:
        """Columns session (Date), opens and closes (UTC) of the sessions from start to end."""
        schedule, part = self._between(start, end)
        frame = pl.DataFrame(
            {
                "session": schedule.days[part],
                "opens": schedule.opens[part],
                "closes": schedule.closes[part],
            }
        )
        return frame.with_columns(
            pl.col("opens", "closes").dt.replace_time_zone("UTC").cast(UTC_STAMP)
        )

    def is_session(self, day: date) -> bool:
        """Whether the exchange trades on that day."""
        wanted = _bounded("day", day)
        days = self._schedule(day).days
        at = np.searchsorted(days, wanted)
        return bool(at < len(days) and days[at] == wanted)

    def open_close(self, session: date) -> tuple[datetime, datetime]:
        """When a session opens and closes. Raises InputError where the day is no session."""
        schedule, at = self._at(session)
        return _instant(schedule.opens[at]), _instant(schedule.closes[at])

    def is_half_day(self, session: date) -> bool:
        """Whether the session closes early. Raises InputError where the day is no session."""
        schedule, at = self._at(session)
        return bool(schedule.half[at])

    def session_of(self, instant: datetime) -> date | None:
        """The session whose bar covers an instant (from the open to before the close), or None."""
        moment = _stamp("instant", instant)
        schedule = self._schedule(instant.date())
        at = np.searchsorted(schedule.opens, moment, "right") - 1
        if at < 0 or moment >= schedule.closes[at]:
            return None
        return _day(schedule.days[at])

    def trading_since(self, now: datetime) -> datetime | None:
        """Since when it trades without a pause at an instant; None where it does not.

        The session's open, or the end of its lunch break. Round the clock: midnight in UTC, or
        the week's beginning where that is later.
        """
        if self.name == "24/5":
            weekend_ends = _fx_weekend_end(now)
            midnight = datetime.combine(now.astimezone(UTC).date(), time(), UTC)
            return None if now < weekend_ends else max(midnight, weekend_ends)
        moment = _stamp("now", now)
        schedule = self._schedule(now.date())
        at = np.searchsorted(schedule.opens, moment, "right") - 1
        if at < 0 or moment >= schedule.closes[at]:
            return None
        if moment >= schedule.resumes[at]:  # false where there is no break
            return _instant(schedule.resumes[at])
        return None if moment >= schedule.pauses[at] else _instant(schedule.opens[at])

    def is_open(self, now: datetime) -> bool:
        """Whether one can trade at that instant: no lunch break, no weekend of currencies."""
        return self.trading_since(now) is not None

    def trading_session(self, instant: datetime) -> date | None:
        """The session that a trade at an instant belongs to: the last one that had begun.

        Currencies' Sunday evenings are Monday's, their Saturdays Friday's. None before the
        first session.
        """
        if self.name == "24/5" and instant.astimezone(UTC).weekday() == _SUNDAY:
            monday = instant.astimezone(UTC).date() + timedelta(days=1)
            return monday if self.is_open(instant) else monday - timedelta(days=3)
        schedule = self._schedule(instant.date())
        at = np.searchsorted(schedule.opens, _stamp("instant", instant), "right") - 1
        return None if at < 0 else _day(schedule.days[at])

    def trading_hours(self, session: date) -> tuple[datetime, datetime]:
        """From when to when one can trade in a session, its lunch break included.

        Raises:
            InputError: the day is no session.
        """
        opens, closes = self.open_close(session)
        if self.name == "24/5":
            first, last = session.weekday() == 0, session.weekday() == _FRIDAY
            sunday = session - timedelta(days=1)
            return _fx_turn(sunday) if first else opens, _fx_turn(session) if last else closes
        schedule, at = self._at(session)
        rests = np.isnat(schedule.resumes[at]) and not np.isnat(schedule.pauses[at])
        return opens, _instant(schedule.pauses[at]) if rests else closes

    def last_completed(self, now: datetime) -> date:
        """The last session whose close has passed. Raises InputError before the first one."""
        moment = _stamp("now", now)
        schedule = self._schedule(now.date())
        at = np.searchsorted(schedule.closes, moment, "right") - 1
        if at < 0:
            raise InputError("now", now.isoformat(), f"use an instant after {schedule.days[0]}")
        return _day(schedule.days[at])

    def next_session(self, after: date) -> date:
        """The first session after a day. Raises InputError where the calendar ends."""
        wanted = _bounded("after", after)
        days = self._schedule(after).days
        at = np.searchsorted(days, wanted, "right")
        if at == len(days):
            raise InputError("after", str(after), f"use a date before {days[-1]}")
        return _day(days[at])

    def previous_session(self, before: date) -> date:
        """The last session before a day. Raises InputError where the calendar begins."""
        wanted = _bounded("before", before)
        days = self._schedule(before).days
        at = np.searchsorted(days, wanted) - 1
        if at < 0:
            raise InputError("before", str(before), f"use a date after {days[0]}")
        return _day(days[at])

    def closed_because(self, day: date) -> str | None:
        """Why a day is no session: ``weekend``, a holiday's name, ...; None where it is one."""
        if self.is_session(day):
            return None
        if day.weekday() >= WEEKEND:
            return "weekend"
        names = self._library.regular_holidays.holidays(day, day, return_name=True)
        return str(names.iloc[0]) if len(names) else "an unscheduled closure"

    def holidays(self, start: date, end: date) -> list[date]:
        """Weekdays from start to end that are no session."""
        weekdays = _days(start, end)
        weekdays = weekdays[np.is_busday(weekdays)]
        closed = weekdays[~np.isin(weekdays, self.sessions(start, end))]
        return [_day(day) for day in closed]

    def _between(self, start: date, end: date) -> tuple[_Schedule, slice]:
        first, last = _bounded("start", start), _bounded("end", end)
        schedule = self._schedule(start, end)
        found = slice(
            int(np.searchsorted(schedule.days, first)),
            int(np.searchsorted(schedule.days, last, "right")),
        )
        return schedule, found

    def _at(self, session: date) -> tuple[_Schedule, int]:
        wanted = _bounded("session", session)
        schedule = self._schedule(session)
        days = schedule.days
        at = int(np.searchsorted(days, wanted))
        if at == len(days) or days[at] != wanted:
            following = days[min(at, len(days) - 1)]
            raise InputError(
                "session",
                str(session),
                f"use a session of {self.name}; the next one is {following}",
            )
        return schedule, at


def _fx_weekend_end(now: datetime) -> datetime:
    """The end of the weekend of currencies that ``now`` is in, or of the last one before it."""
    today = now.astimezone(ZoneInfo(FX_WEEK[1])).date()
    sunday = today - timedelta(days=(today.weekday() + 1) % 7)
    over = now >= _fx_turn(sunday + timedelta(days=5))
    return _fx_turn(sunday + timedelta(days=7) if over else sunday)


def _fx_turn(day: date) -> datetime:
    """When currencies open on a Sunday, or close on a Friday."""
    at, zone = FX_WEEK
    return datetime.combine(day, at, ZoneInfo(zone)).astimezone(UTC)


def _bounded(parameter: str, day: date) -> np.datetime64:
    if not EARLIEST <= day <= LATEST:
        raise InputError(parameter, str(day), f"use a date from {EARLIEST} to {LATEST}")
    return np.datetime64(day, "D")


def _days(start: date, end: date) -> Sessions:
    after = np.datetime64(end, "D") + np.timedelta64(1, "D")
    return np.arange(np.datetime64(start, "D"), after, dtype="datetime64[D]")


def _stamp(parameter: str, instant: datetime) -> np.datetime64:
    if instant.tzinfo is None:
        raise InputError(parameter, instant.isoformat(), "use an instant with a time zone")
    return np.datetime64(instant.astimezone(UTC).replace(tzinfo=None), "us")


def _instant(stamp: np.datetime64) -> datetime:
    found: datetime = stamp.astype(datetime)
    return found.replace(tzinfo=UTC)


def _day(value: np.datetime64) -> date:
    found: date = value.astype(object)
    return found
