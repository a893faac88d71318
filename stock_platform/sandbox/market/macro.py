"""Economic series of the market: what they measure, and every value ever published.

Belongs here: values, when they were published and revised. Does not: any vendor's format.

Five series, named and dated like FRED's, whose values are drawn from streams keyed by (seed,
series): a later day adds observations and changes none. An observation is published some days
after its period, the national product three times (each a little different), the others once.
What was published before FRED kept vintages is known from its first one on. Days of the
ten-year yield on which New York does not trade have no value.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import date, timedelta
from functools import lru_cache
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from stock_platform.domain.calendar import get_calendar
from stock_platform.domain.errors import InputError, one_of

FOREVER = date(9999, 12, 31)
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Measure:
    """What a series is; ``first_vintage`` is the earliest day its values are known from."""

    series: str
    title: str
    units: str
    units_short: str
    frequency: str
    adjustment: str
    adjustment_short: str
    first: date
    first_vintage: date
    decimals: int
    popularity: int

    @property
    def frequency_short(self) -> str:
        """``Q``, ``M``, ``D``."""
        return self.frequency[0]


@dataclass(frozen=True)
class Published:
    """A value, and the days over which it was the one published; None is a missing one."""

    day: date
    value: float | None
    since: date
    until: date = FOREVER


_SA = ("Seasonally Adjusted", "SA")
_NSA = ("Not Seasonally Adjusted", "NSA")
MEASURES = {
    measure.series: measure
    for measure in (
        Measure(
            "GDP", "Gross Domestic Product", "Billions of Dollars", "Bil. of $", "Quarterly",
            "Seasonally Adjusted Annual Rate", "SAAR", date(1946, 1, 1), date(1991, 12, 4), 3, 93,
        ),
        Measure(
            "UNRATE", "Unemployment Rate", "Percent", "%", "Monthly", *_SA,
            date(1948, 1, 1), date(1960, 3, 15), 1, 94,
        ),
        Measure(
            "CPIAUCSL",
            "Consumer Price Index for All Urban Consumers: All Items in U.S. City Average",
            "Index 1982-1984=100", "Index 1982-1984=100", "Monthly", *_SA,
            date(1947, 1, 1), date(1972, 7, 21), 3, 95,
        ),
        Measure(
            "FEDFUNDS", "Federal Funds Effective Rate", "Percent", "%", "Monthly", *_NSA,
            date(1954, 7, 1), date(1996, 12, 3), 2, 98,
        ),
        Measure(
            "DGS10",
            "Market Yield on U.S. Treasury Securities at 10-Year Constant Maturity, Quoted on an "
            "Investment Basis",
            "Percent", "%", "Daily", *_NSA, date(1962, 1, 2), date(1996, 1, 17), 2, 96,
        ),
    )
}  # fmt: skip


class Macro:
    """The series of one seed."""

    def __init__(self, seed: int) -> None:
        self.seed = seed

    @staticmethod
    def measure(series: str) -> Measure:
        """What a series is. Raises InputError for an unknown one."""
        if series not in MEASURES:
            raise InputError("series", series, one_of(MEASURES))
        return MEASURES[series]

    def history(self, series: str, now: date) -> list[Published]:
        """Every value published by ``now``, by date and publication; none knows its revision.

        Raises:
            InputError: no such series.
        """
        self.measure(series)
        return [
            replace(p, until=p.until if p.until < now else FOREVER)
            for p in _published(self.seed, series, now.year)
            if p.since <= now
        ]

    def known(self, series: str, day: date) -> list[Published]:
        """The value of each date as it was known on ``day``.

        Raises:
            InputError: no such series.
        """
        return [p for p in self.history(series, day) if p.until >= day]


@lru_cache(maxsize=64)
def _published(seed: int, series: str, year: int) -> tuple[Published, ...]:
    """Everything of periods that begin by the end of ``year``."""
    measure = MEASURES[series]
    days = list(_periods(measure, date(year, 12, 31)))
    rng = np.random.default_rng([seed, crc32(series.encode())])
    drawn = rng.standard_normal((len(days), 3))  # by rows: later periods change no earlier one
    values = np.round(_PATHS[series](drawn[:, 0]), measure.decimals)
    lacking = _lacking(measure, days)
    made: list[Published] = []
    for day, value, noise, none in zip(days, values.tolist(), drawn[:, 1:], lacking, strict=True):
        if series == "GDP":
            told = [
                round(value * float(np.exp(0.002 * part)), measure.decimals)
                for part in noise.tolist()
            ]
            releases = [(30, told[0]), (60, told[1]), (90, value)]
        else:
            releases = [({"Daily": 1, "Monthly": 12}[measure.frequency], value)]
        end = _end(measure, day)
        dated = [
            (max(_weekday(end + timedelta(days=wait)), measure.first_vintage), told_value)
            for wait, told_value in releases
        ]
        made += _spans(day, dated, none=none)
    return tuple(made)


def _spans(day: date, dated: list[tuple[date, float]], *, none: bool) -> Iterator[Published]:
    """Each release until the next; of several on one day the last, of equal ones the first."""
    kept: list[tuple[date, float | None]] = []
    for since, told in dated:
        value = None if none else told
        if kept and kept[-1][0] == since:
            kept.pop()
        if not kept or kept[-1][1] != value:
            kept.append((since, value))
    ends = [since - timedelta(days=1) for since, _ in kept[1:]] + [FOREVER]
    for (since, value), until in zip(kept, ends, strict=True):
        yield Published(day, value, since, until)


def _periods(measure: Measure, last: date) -> Iterator[date]:
    """The first day of each period; of a daily series every weekday."""
    day = measure.first
    while day <= last:
        yield day
        day = (
            _weekday(day + timedelta(days=1))
            if measure.frequency == "Daily"
            else _next(measure, day)
        )


def _next(measure: Measure, day: date) -> date:
    """The first day of the period after the one that begins on ``day``."""
    months = day.month - 1 + (3 if measure.frequency == "Quarterly" else 1)
    return date(day.year + months // 12, months % 12 + 1, 1)


def _end(measure: Measure, day: date) -> date:
    """The last day of the period that begins on ``day``."""
    return day if measure.frequency == "Daily" else _next(measure, day) - timedelta(days=1)


def _weekday(day: date) -> date:
    """``day``, or the Monday after it."""
    return day + timedelta(days=max(0, 7 - day.weekday()) if day.weekday() > 4 else 0)


def _lacking(measure: Measure, days: list[date]) -> list[bool]:
    """Which observations have no value: FRED's GDP begins with four, the yield has holidays."""
    if measure.series == "GDP":
        return [day.year == 1946 for day in days]
    if measure.frequency != "Daily":
        return [False] * len(days)
    sessions = get_calendar("XNYS").sessions(days[0], days[-1])
    traded = set(sessions.astype("datetime64[D]").tolist())
    return [day not in traded for day in days]


def _grown(start: float, mean: float, spread: float) -> Callable[[Floats], Floats]:
    def path(drawn: Floats) -> Floats:
        grown: Floats = start * np.exp(np.cumsum(mean + spread * drawn))
        return grown

    return path


def _returning(
    level: float, memory: float, spread: float, least: float
) -> Callable[[Floats], Floats]:
    def path(drawn: Floats) -> Floats:
        at, found = 0.0, np.empty(len(drawn))
        for n, step in enumerate(drawn.tolist()):
            at = at * memory + spread * step
            found[n] = max(least, level + at)
        return found

    return path


_PATHS: dict[str, Callable[[Floats], Floats]] = {
    "GDP": _grown(230.0, 0.0155, 0.008),
    "CPIAUCSL": _grown(21.4, 0.0029, 0.0024),
    "UNRATE": _returning(5.7, 0.985, 0.22, 2.5),
    "FEDFUNDS": _returning(4.6, 0.99, 0.35, 0.05),
    "DGS10": _returning(5.2, 0.9995, 0.055, 0.4),
}
