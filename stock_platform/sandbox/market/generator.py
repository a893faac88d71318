"""Made-up price histories: many symbols at once, the same in every process.

Belongs here: the random processes of lives (listing, delisting, halts, splits) and of bars.
Does not: names, vendors, the market's present time.

Symbols are made in blocks of 512, each from random streams of its own keyed by (seed,
block, quantity), and every stream is read session by session. So a symbol's bars depend on
the seed, on its place and on the first session alone: asking for fewer symbols, or
extending the histories by a year, changes nothing that was there before.

Prices follow a geometric Brownian motion with a market factor; the as-traded price is that
motion divided by the splits so far, in cents (in hundredths of a cent below a dollar).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

BLOCK = 512
SCALE = 10_000
"""Prices are kept as whole ten-thousandths of a dollar."""
NEVER = 2**31 - 1
_SPLITS = 6
_MARKET = 2**32 - 1

Ints = NDArray[np.int32]
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Lives:
    """What is drawn once for each of a block's 512 symbols; indices count sessions from start.

    ``listed`` is 0 for those listed before the histories begin; ``delisted`` is the first
    session without a bar; ``renamed`` the first under the present ticker.
    """

    listed: Ints
    delisted: Ints
    renamed: Ints
    sigma: Floats
    price: Floats
    volume: Floats
    no_trade: Floats
    dividend_yield: Floats
    dividend_phase: Ints
    halted: Ints
    halt_days: Ints
    split_at: Ints
    split_dice: Floats


@dataclass(frozen=True)
class Split:
    """``numerator`` new shares for ``denominator`` old ones, from session ``at`` on."""

    at: int
    numerator: int
    denominator: int

    @property
    def ratio(self) -> float:
        """4-for-1 is 4.0; 1-for-10 is 0.1."""
        return self.numerator / self.denominator


@dataclass(frozen=True)
class Bars:
    """A block's bars as traded: int32 of (open, high, low, close) x symbol x session.

    ``volume`` is 0 where there is no bar.
    """

    prices: Ints
    volume: Ints
    splits: tuple[tuple[Split, ...], ...]


def _stream(seed: int, block: int, quantity: int) -> np.random.Generator:
    return np.random.Generator(np.random.SFC64(np.random.SeedSequence([seed, block, quantity])))


def lives(seed: int, block: int) -> Lives:
    """Draw the lives of one block's symbols."""
    rng = _stream(seed, block, 0)

    def after(mean: float, least: float) -> NDArray[np.float64]:
        return least + rng.exponential(mean, BLOCK)

    def whole(values: NDArray[np.float64]) -> Ints:
        return np.minimum(values, NEVER).astype(np.int32)

    listed = np.where(rng.random(BLOCK) < 0.9, 0.0, after(700, 5))
    delisted = listed + np.where(rng.random(BLOCK) < 0.25, after(4000, 40), NEVER)
    renamed = listed + np.where(rng.random(BLOCK) < 0.25, after(2200, 30), NEVER)
    renamed = np.where(renamed + 10 < delisted, renamed, NEVER)
    sigma = rng.uniform(0.007, 0.034, BLOCK)
    price = np.exp(rng.normal(3.4, 0.8, BLOCK)).clip(2.0, 900.0)
    volume = np.exp(rng.normal(12.0, 1.5, BLOCK)).clip(2_000, 5e7)
    no_trade = np.where(rng.random(BLOCK) < 0.04, rng.uniform(0.01, 0.15, BLOCK), 0.0)
    volume = np.where(no_trade > 0, np.minimum(volume, 20_000), volume)
    pays = rng.random(BLOCK) < 0.4
    dividend_yield = np.where(pays, rng.uniform(0.005, 0.06, BLOCK), 0.0)
    phase = rng.integers(3, 63, BLOCK).astype(np.int32)
    halted = whole(listed + after(2500, 20))
    halt_days = rng.integers(1, 6, BLOCK).astype(np.int32)
    gaps = rng.exponential(420, (BLOCK, _SPLITS)) + 60
    split_at = whole((listed[:, None] + gaps.cumsum(axis=1)).clip(0, NEVER))
    dice = rng.random((BLOCK, _SPLITS))
    return Lives(
        listed=whole(listed), delisted=whole(delisted), renamed=whole(renamed), sigma=sigma,
        price=price, volume=volume, no_trade=no_trade, dividend_yield=dividend_yield,
        dividend_phase=phase, halted=halted, halt_days=halt_days, split_at=split_at,
        split_dice=dice,
    )  # fmt: skip


def bars(seed: int, block: int, life: Lives, sessions: int) -> Bars:
    """Draw one block's bars for the first ``sessions`` sessions."""
    shape = (sessions, BLOCK)
    market = _stream(seed, _MARKET, 1).standard_normal(sessions)
    gap = _stream(seed, block, 1).standard_normal(shape)
    gap *= 0.35 * life.sigma
    body = _stream(seed, block, 2).standard_normal(shape)
    body *= 0.85
    body += 0.4 * market[:, None]
    body *= life.sigma
    body += 0.0002 - 0.5 * life.sigma**2
    step = gap + body
    log_close = np.cumsum(step, axis=0)
    log_close += np.log(life.price)
    log_open = log_close - body
    splits = _place_splits(life, log_close, sessions)
    shift = np.zeros(shape)
    for column, events in enumerate(splits):
        for split in events:
            shift[split.at :, column] += np.log(split.ratio)
    reach = 0.45 * life.sigma
    up = np.abs(_stream(seed, block, 3).standard_normal(shape, dtype=np.float32))
    down = np.abs(_stream(seed, block, 4).standard_normal(shape, dtype=np.float32))
    high = np.maximum(log_open, log_close) + up * reach - shift
    low = np.minimum(log_open, log_close) - down * reach - shift
    log_open -= shift
    log_close -= shift
    cents = log_close >= 0.0
    prices = np.empty((4, BLOCK, sessions), dtype=np.int32)
    for row, values in enumerate((log_open, high, low, log_close)):
        exact = np.exp(values).clip(0.0005, 200_000.0)
        ticks = np.where(cents, np.rint(exact * 100) * 100, np.rint(exact * SCALE))
        prices[row] = np.maximum(ticks, np.where(cents, 100, 1)).astype(np.int32).T
    noise = _stream(seed, block, 5).standard_normal(shape, dtype=np.float32)
    shares = np.exp(0.45 * noise + np.log(life.volume) + shift).clip(100, 2e9)
    volume = shares.astype(np.int32).T.copy()
    traded = _traded(seed, block, life, sessions)
    volume[~traded] = 0
    prices[:, ~traded] = 0
    return Bars(prices, volume, splits)


def _place_splits(life: Lives, log_close: Floats, sessions: int) -> tuple[tuple[Split, ...], ...]:
    """Turn drawn instants into splits that the price of the moment makes sensible."""
    out: list[tuple[Split, ...]] = []
    for column in range(BLOCK):
        events: list[Split] = []
        divided = 0.0
        for at, dice in zip(life.split_at[column], life.split_dice[column], strict=True):
            if at >= sessions or at >= life.delisted[column]:
                break
            price = float(np.exp(log_close[at - 1, column] - divided))
            choice = _choose_split(price, float(dice))
            if choice:
                events.append(Split(int(at), *choice))
                divided += float(np.log(events[-1].ratio))
        out.append(tuple(events))
    return tuple(out)


def _choose_split(price: float, dice: float) -> tuple[int, int] | None:
    if price > 300:
        return ((10, 1), (4, 1), (5, 1), (20, 1))[int(dice * 4)]
    if price > 60:
        return ((2, 1), (3, 1), (3, 2), (4, 1), (2, 1))[int(dice * 5)]
    if price < 5:
        return ((1, 5), (1, 10), (1, 20), (1, 8))[int(dice * 4)]
    return (2, 1) if price > 25 and dice < 0.3 else None


def _traded(seed: int, block: int, life: Lives, sessions: int) -> NDArray[np.bool_]:
    """Symbol x session: whether a bar exists."""
    at = np.arange(sessions, dtype=np.int32)[None, :]
    dice = _stream(seed, block, 6).random((sessions, BLOCK), dtype=np.float32).T
    listed, delisted = life.listed[:, None], life.delisted[:, None]
    halted = (at >= life.halted[:, None]) & (at < (life.halted + life.halt_days)[:, None])
    quiet = (dice < life.no_trade[:, None]) | halted
    traded: NDArray[np.bool_] = (at >= listed) & (at < delisted) & (~quiet | (at == listed))
    return traded
