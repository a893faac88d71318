"""One asset of the market, whole: who it is and everything that ever happened to it.

Belongs here: a history over sessions, its actions, and arithmetic on them. Does not: random
numbers, vendors' formats.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

import numpy as np
from numpy.typing import NDArray

from stock_platform.sandbox.market.generator import NEVER, SCALE, Split
from stock_platform.sandbox.market.names import Ticker

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Spell:
    """A ticker carried from session ``start`` until before session ``end`` (market's index)."""

    ticker: Ticker
    start: int
    end: int


@dataclass(frozen=True)
class Asset:
    """An asset's identity; session numbers are the market's.

    ``number`` is its place in the market (stable). ``listed`` is its first session with a
    bar, ``delisted`` the first without (``generator.NEVER`` while it trades).
    """

    number: int
    name: str
    kind: str
    exchange: str
    spells: tuple[Spell, ...]
    listed: int
    delisted: int

    def ticker_at(self, session: int) -> Ticker:
        """The ticker it carried, or first carried, on a session."""
        for spell in self.spells:
            if session < spell.end:
                return spell.ticker
        return self.spells[-1].ticker

    def alive(self, session: int) -> bool:
        """Whether it was listed on a session."""
        return self.listed <= session < self.delisted


@dataclass(frozen=True)
class Dividend:
    """Cash per share as paid, going ex on session ``at``."""

    at: int
    amount: float


@dataclass(frozen=True)
class History:
    """Bars as traded from session ``first`` on: int32 rows open, high, low, close.

    Prices are in ten-thousandths of a dollar; a session without a bar has volume 0.
    """

    first: int
    prices: NDArray[np.int32]
    volume: NDArray[np.int32]
    splits: tuple[Split, ...]
    dividends: tuple[Dividend, ...]

    def traded(self, start: int, end: int) -> NDArray[np.int64]:
        """The sessions with a bar in [start, end)."""
        lo = max(start - self.first, 0)
        hi = max(end - self.first, 0)
        return np.flatnonzero(self.volume[lo:hi]) + (lo + self.first)

    def values(self, sessions: NDArray[np.int64]) -> tuple[Floats, Floats]:
        """As-traded (4 x n) prices in dollars and n volumes."""
        at = sessions - self.first
        return self.prices[:, at] / float(SCALE), self.volume[at].astype(np.float64)

    def split_factor(self, sessions: NDArray[np.int64], last: int) -> Floats:
        """Shares today per share then, by the splits after each session up to ``last``."""
        factor = np.ones(len(sessions))
        for split in self.splits:
            if split.at <= last:
                factor[sessions < split.at] *= split.ratio
        return factor

    def dividend_factor(self, sessions: NDArray[np.int64], last: int) -> Floats:
        """CRSP's product of (1 - dividend / close before) over the dividends after each session."""
        factor = np.ones(len(sessions))
        for dividend in self.dividends:
            if dividend.at > last:
                continue
            before = self.traded(0, dividend.at)[-1:]
            if len(before):
                close = self.values(before)[0][3, 0]
                close /= self.split_factor(before, dividend.at)[0]
                factor[sessions < dividend.at] *= 1 - dividend.amount / close
        return factor


def quarterly(
    first: int, prices: NDArray[np.int32], volume: NDArray[np.int32], phase: int, rate: float
) -> tuple[Dividend, ...]:
    """Dividends every 63 sessions, at a yearly ``rate`` of the price of the moment."""
    if rate <= 0:
        return ()
    events = []
    for at in range(phase, volume.shape[0], 63):
        if volume[at] and at > 0 and volume[at - 1]:
            close = prices[3, at - 1] / SCALE
            amount = round(rate / 4 * float(close), 2)
            if amount >= 0.01:
                events.append(Dividend(first + at, amount))
    return tuple(events)


def as_date(day: np.datetime64) -> date:
    """A calendar's session as a date."""
    made = day.astype("datetime64[D]").item()
    if not isinstance(made, date):
        raise TypeError(f"not a day: {day!r}")
    return made


__all__ = ["NEVER", "Asset", "Dividend", "History", "Spell", "as_date", "quarterly"]
