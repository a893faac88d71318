"""Minutes of a session that add up to its daily bar.

Belongs here: the path of a session's minutes, partial sessions. Does not: what intervals a
vendor offers or how it stamps them, arithmetic on bars (``frame``).

Minutes are drawn when asked for, from a stream keyed by (seed, asset, session), so that
every process sees the same. Their open, high, low, close and volume are the day's.
"""

from __future__ import annotations

import numpy as np

from stock_platform.sandbox.market.asset import Asset
from stock_platform.sandbox.market.frame import Frame, empty, join, spread
from stock_platform.sandbox.market.market import Market

__all__ = ["Frame", "empty", "join", "minutes", "so_far"]


def minutes(market: Market, asset: Asset, session: int) -> Frame:
    """The one-minute bars of one session; none where it did not trade."""
    history = market.history(asset)
    if not len(history.traded(session, session + 1)):
        return empty()
    prices, volume = history.values(np.array([session]))
    opens, closes = int(market.time.opens[session]), int(market.time.closes[session])
    return spread(
        np.random.default_rng([market.config.seed, asset.number, session]),
        prices[:, 0],
        float(volume[0]),
        opens,
        (closes - opens) // 60,
        decimals=2 if prices[3, 0] >= 1 else 4,
    )


def so_far(market: Market, asset: Asset, session: int, now: float) -> Frame:
    """The daily bar of a session in progress, from the minutes begun by ``now``."""
    done = minutes(market, asset, session).before(now)
    return done.grouped(np.full(len(done.stamps), market.time.opens[session]))
