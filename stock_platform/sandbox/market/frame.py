"""Bars as arrays, their grouping, and the minutes that add up to a given bar.

Belongs here: arithmetic on bars of any instrument. Does not: whose bars they are
(``intraday``, ``others``), how a vendor stamps them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Stamps = NDArray[np.int64]


@dataclass(frozen=True)
class Frame:
    """Bars as traded: stamps (epoch seconds of the start), 4 x n prices, volumes."""

    stamps: Stamps
    prices: Floats
    volume: Floats

    def before(self, instant: float) -> Frame:
        """The bars that start before an instant."""
        keep = self.stamps < instant
        return Frame(self.stamps[keep], self.prices[:, keep], self.volume[keep])

    def grouped(self, starts: Stamps) -> Frame:
        """One bar for each run of equal ``starts`` (the group's stamp, one a bar)."""
        if not len(starts):
            return self
        at = np.flatnonzero(np.r_[True, starts[1:] != starts[:-1]])
        last = np.r_[at[1:], len(starts)] - 1
        prices = np.stack(
            (
                self.prices[0, at],
                np.maximum.reduceat(self.prices[1], at),
                np.minimum.reduceat(self.prices[2], at),
                self.prices[3, last],
            )
        )
        return Frame(starts[at], prices, np.add.reduceat(self.volume, at))


def empty() -> Frame:
    """No bars."""
    return Frame(np.empty(0, np.int64), np.empty((4, 0)), np.empty(0))


def join(frames: list[Frame]) -> Frame:
    """Frames one after the other."""
    if not frames:
        return empty()
    return Frame(
        np.concatenate([f.stamps for f in frames]),
        np.concatenate([f.prices for f in frames], axis=1),
        np.concatenate([f.volume for f in frames]),
    )


def spread(
    rng: np.random.Generator,
    whole: Floats,
    volume: float,
    opens: int,
    count: int,
    *,
    decimals: int,
    lot: float = 1.0,
) -> Frame:
    """``count`` minutes from ``opens`` on whose open, high, low, close and volume are given.

    Args:
        rng: where the path comes from.
        whole: open, high, low and close of all minutes together.
        volume: of all minutes together.
        opens: epoch seconds of the first minute.
        count: how many minutes.
        decimals: of a price.
        lot: the smallest part of the volume.
    """
    start, high, low, end = (float(p) for p in whole)
    walk = np.r_[0.0, rng.standard_normal(count).cumsum()]
    share = np.linspace(0.0, 1.0, count + 1)
    bridge = walk - walk[-1] * share
    width = np.ptp(bridge)
    line = start + (end - start) * share
    path = line + bridge * ((high - low) / width if width else 0.0)
    if high > low:  # what leaves the day's range is reflected into it
        path = high - np.abs((path - low) % (2 * (high - low)) - (high - low))
    path = np.round(path, decimals).clip(low, high)
    path[0], path[-1] = start, end
    made = np.stack(
        (path[:-1], np.maximum(path[:-1], path[1:]), np.minimum(path[:-1], path[1:]), path[1:])
    )
    made[1, int(made[1].argmax())] = high
    made[2, int(made[2].argmin())] = low
    weight = 0.4 + (share[:-1] - 0.5) ** 2 * 4 + rng.random(count) * 0.3
    lots = np.floor(weight / weight.sum() * (volume / lot))
    lots[-1] += round(volume / lot) - lots.sum()
    return Frame(opens + 60 * np.arange(count, dtype=np.int64), made, lots * lot)
