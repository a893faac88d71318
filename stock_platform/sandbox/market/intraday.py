"""Minutes of a session that add up to its daily bar, and the grouping of bars.

Belongs here: the path of a session's minutes, partial sessions, aggregation. Does not: what
intervals a vendor offers, or how it stamps them.

Minutes are drawn when asked for, from a stream keyed by (seed, asset, session), so that
every process sees the same. Their open, high, low, close and volume are the day's.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stock_platform.sandbox.market.asset import Asset, Floats
from stock_platform.sandbox.market.market import Market

Stamps = NDArray[np.int64]


@dataclass(frozen=True)
class Frame:
    """Bars as traded in dollars: stamps (epoch seconds of the start), 4 x n, volumes."""

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


def minutes(market: Market, asset: Asset, session: int) -> Frame:
    """The one-minute bars of one session; none where it did not trade."""
    history = market.history(asset)
    if not len(history.traded(session, session + 1)):
        return empty()
    prices, volume = history.values(np.array([session]))
    start, high, low, end = (float(p) for p in prices[:, 0])
    opens, closes = int(market.time.opens[session]), int(market.time.closes[session])
    count = (closes - opens) // 60
    rng = np.random.default_rng([market.config.seed, asset.number, session])
    walk = np.r_[0.0, rng.standard_normal(count).cumsum()]
    share = np.linspace(0.0, 1.0, count + 1)
    bridge = walk - walk[-1] * share
    spread = np.ptp(bridge)
    line = start + (end - start) * share
    path = line + bridge * ((high - low) / spread if spread else 0.0)
    path = np.round(path, 2 if end >= 1 else 4).clip(low, high)
    path[0], path[-1] = start, end
    made = np.stack(
        (path[:-1], np.maximum(path[:-1], path[1:]), np.minimum(path[:-1], path[1:]), path[1:])
    )
    made[1, int(made[1].argmax())] = high
    made[2, int(made[2].argmin())] = low
    weight = 0.4 + (share[:-1] - 0.5) ** 2 * 4 + rng.random(count) * 0.3
    shares = np.floor(weight / weight.sum() * volume[0])
    shares[-1] += volume[0] - shares.sum()
    return Frame(opens + 60 * np.arange(count, dtype=np.int64), made, shares)


def so_far(market: Market, asset: Asset, session: int, now: float) -> Frame:
    """The daily bar of a session in progress, from the minutes begun by ``now``."""
    done = minutes(market, asset, session).before(now)
    return done.grouped(np.full(len(done.stamps), market.time.opens[session]))
