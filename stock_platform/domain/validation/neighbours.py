"""The rules that see a bar among its neighbours: their names, levels and pages.

Belongs here: one function a rule, whose docstring is its page. Does not: how faults are found
(shifts.py, repeats.py, distributions.py, agreement.py), what becomes of them (findings.py).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from functools import cached_property

import polars as pl

from stock_platform.domain.validation import agreement, distributions, repeats, shifts
from stock_platform.domain.validation.rules import Level
from stock_platform.domain.validation.series import NO_HITS, Series


@dataclass(frozen=True)
class Surroundings:
    """A frame of series, and what is known besides; each analysis is made once.

    Attributes:
        series: the bars.
        sessions: asset_id, session, opens, closes; None where no calendar is known.
        now: None where silence is not asked for.
    """

    series: Series
    sessions: pl.DataFrame | None = None
    now: datetime | None = None

    @cached_property
    def shifts(self) -> shifts.Shifts:
        """Units, splits, spikes."""
        return shifts.shifted(self.series)

    @cached_property
    def distributions(self) -> pl.DataFrame:
        """Dividends and what is adjusted for them."""
        return distributions.distributed(self.series)

    @cached_property
    def volumes(self) -> pl.DataFrame:
        """Bars without volume."""
        return repeats.without_volume(self.series)


class Reach(StrEnum):
    """Which bars of its series a bar's verdict depends on.

    SESSION: those of its own session. BLOCKS: those of its block of days and the two beside it
    (findings.BLOCK_DAYS). SERIES: the same, but all of them where the series changes its level
    for longer than that (shifts.Shifts.open).
    """

    SESSION = "session"
    BLOCKS = "blocks"
    SERIES = "series"


@dataclass(frozen=True)
class SeriesRule:
    """A rule on series. ``find`` gives HITS; ``spans`` are findings without bars."""

    name: str
    level: Level
    about: str
    find: Callable[[Surroundings], pl.DataFrame]
    reach: Reach = Reach.BLOCKS
    spans: bool = False


SERIES_RULES: dict[str, SeriesRule] = {}


def _rule(
    level: Level, *, reach: Reach = Reach.BLOCKS, spans: bool = False
) -> Callable[[Callable[[Surroundings], pl.DataFrame]], None]:
    def register(find: Callable[[Surroundings], pl.DataFrame]) -> None:
        name = find.__name__
        about = (find.__doc__ or "").strip()
        SERIES_RULES[name] = SeriesRule(name, level, about, find, reach, spans)

    return register


def _of(hits: pl.DataFrame, rule: str) -> pl.DataFrame:
    return hits.filter(pl.col("rule") == rule)


@_rule(Level.STRICT, reach=Reach.SERIES)
def unit_error(around: Surroundings) -> pl.DataFrame:
    """Prices are 100 or 1,000 times too high or too low: pence for pounds, cents for rand.

    A bar, a run of bars or one price of a bar lies near 100 or 1,000 times its neighbours'
    level (threshold unit_tolerance). The level most traded at counts as the right one; bars
    without volume have no vote, for their prices are only carried over. Where a series changes
    its unit once, nothing in it says which side is right, and both are told, each with how
    likely it is. Enclosed by right bars on both sides, three quarters of all, the fault is
    certain, and the repair is the division.
    """
    return _of(around.shifts.hits, "unit_error")


@_rule(Level.STRICT, reach=Reach.SERIES)
def split_adjustment(around: Surroundings) -> pl.DataFrame:
    """Prices miss a split's adjustment, or have it twice.

    On prices made continuous over the known splits, a jump remains that is near a split's ratio
    (threshold split_tolerance): within ten days of its ex-date, or an overnight gap between
    bars of usual range before it, or a jump that takes one at the ex-date back (up to 60 days
    after it). The bars after the last such jump are right, for adjusted prices are adjusted up
    to now. Without a known split, a jump near 3:2, 2:1, 3:1 and so on up
    to 50:1 is taken for one only if it is an overnight gap between bars of usual range, for a
    crash opens no bar so quietly. Volume is repaired with the prices.
    """
    return _of(around.shifts.hits, "split_adjustment")


@_rule(Level.STRICT)
def spike(around: Surroundings) -> pl.DataFrame:
    """Prices leave for a bar or a few, by more than 50 %, and come back.

    At most spike_rows bars whose whole range lies above, or below, the ranges of the bars beside
    them, by more than spike_move and by more than volatilities times the robust deviation;
    or a single high or low so far from the bar's other prices and its neighbours'. Dividends
    and splits explain a move. A move of 100 %, or of twelve robust deviations, is an error; a
    volume of five times the usual makes it likely to be real, and lowers the confidence.
    """
    return _of(around.shifts.hits, "spike")


@_rule(Level.STRICT)
def stale_repeat(around: Surroundings) -> pl.DataFrame:
    """A bar repeats the one before it: the same four prices and the same volume.

    With a range and a volume of stale_volume or more one repeat is enough; bars without
    range must repeat stale_rows times. Bars without volume are not told here: theirs are
    prices carried over.
    """
    return repeats.stale(around.series)


@_rule(Level.STRICT)
def zero_volume_run(around: Surroundings) -> pl.DataFrame:
    """A series that trades every day has no volume for days: a halt, or a source's hole.

    At least zero_volume_rows bars in a row without volume, where traded_share of the other bars
    have it. Assets that seldom trade, and indices or funds, which never do, are not told.
    """
    return _of(around.volumes, "zero_volume_run")


@_rule(Level.STRICT)
def volume_missing(around: Surroundings) -> pl.DataFrame:
    """The volume is zero though the price moved, in a series that trades every day.

    Where traded_share of the bars have volume, a bar whose high is above its low was
    traded: its volume is missing rather than zero.
    """
    return _of(around.volumes, "volume_missing")


@_rule(Level.STRICT, reach=Reach.SESSION)
def duplicate_conflict(around: Surroundings) -> pl.DataFrame:
    """One source has two bars of one session, or of one instant, that differ."""
    return repeats.duplicates(around.series)


@_rule(Level.STRICT)
def dividend_adjustment(around: Surroundings) -> pl.DataFrame:
    """Adjusted closes miss a dividend, have it twice, or have it wrong.

    The factor adjusted close / close may change on ex-dates alone, by one minus the dividend's
    share of the close before. A step that is missing, too large, too small or without a dividend
    makes every adjusted close before it wrong. A step of less than adjusted_excess more than the
    dividend is not told: it can be a distribution that the table lacks. Where dividend and
    factor agree on more than dividend_share and the price did not fall, both are a hundred
    times too large. Where capital gains are in the dividend already, the fall tells whether
    they were counted twice.
    """
    return _of(around.distributions, "dividend_adjustment")


@_rule(Level.STRICT)
def dividend_amount(around: Surroundings) -> pl.DataFrame:
    """A dividend is 100 times too large or too small, or stands on the wrong day.

    It is compared with the step of the adjusted closes, and with the fall of the price on the
    ex-date, as far as the price's usual moves let that be seen; a dividend as large as the
    price is impossible.
    """
    return _of(around.distributions, "dividend_amount")


@_rule(Level.STRICT)
def dividend_duplicate(around: Surroundings) -> pl.DataFrame:
    """A dividend is told twice: the same amount within a week, known to the factor once."""
    return _of(around.distributions, "dividend_duplicate")


@_rule(Level.STRICT)
def wrong_session(around: Surroundings) -> pl.DataFrame:
    """Bars stand on the wrong day, or at the wrong hour.

    A week's daily bars of which some fall on closed days, and all on sessions once moved by a
    day: dates taken from UTC stamps. An intraday session that begins or ends outside its hours,
    and begins with the open once moved by one, four or five hours: daylight saving or UTC taken
    for local time.
    """
    if around.sessions is None:
        return NO_HITS
    return agreement.wrong_sessions(around.series, around.sessions)


@_rule(Level.STRICT, spans=True)
def gap(around: Surroundings) -> pl.DataFrame:
    """Sessions of the calendar are missing between a series' first bar and its last.

    The finding names the first and last missing session; it flags no bar.
    """
    if around.sessions is None:
        return pl.DataFrame()
    return agreement.gaps(around.series, around.sessions)


@_rule(Level.COMPREHENSIVE, reach=Reach.SESSION)
def sources_disagree(around: Surroundings) -> pl.DataFrame:
    """A close is farther than source_move from what the bar's other sources say.

    With three sources or more the majority is right and the others are told; with two both are.
    Prices are compared as traded.
    """
    return agreement.disagreeing(around.series)


@_rule(Level.COMPREHENSIVE, spans=True)
def silent(around: Surroundings) -> pl.DataFrame:
    """An asset's last bar is fresh_sessions completed sessions ago, or more."""
    if around.sessions is None or around.now is None:
        return pl.DataFrame()
    return agreement.silent(around.series, around.sessions, around.now)
