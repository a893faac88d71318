"""Seeded histories, and faults planted in them, each known by its rows and its kind."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date

import numpy as np
import polars as pl

from stock_platform.domain.calendar import get_calendar

PRICES = ("open", "high", "low", "close")
Planted = tuple[pl.DataFrame, pl.DataFrame]
SPLIT = date(2019, 6, 12)
"""The ex-date of every made asset's split, four for one."""


def history(assets: int, seed: int, start: date = date(2018, 1, 2)) -> pl.DataFrame:
    """Three years of split-adjusted bars of many assets; adjusted closes equal the closes."""
    random = np.random.default_rng(seed)
    days = get_calendar("XNYS").sessions(start, date(2020, 12, 31))
    n = len(days)
    frames = []
    for asset in range(1, assets + 1):
        volatility = random.uniform(0.008, 0.03)
        close = random.uniform(5, 300) * np.exp(
            np.cumsum(random.standard_t(5, n) * volatility * 0.8)
        )
        open_ = close * np.exp(random.normal(0, volatility / 2, n))
        spread = np.abs(random.normal(0, volatility / 2, (2, n)))
        frames.append(
            pl.DataFrame(
                {
                    "asset_id": pl.repeat(asset, n, dtype=pl.Int32, eager=True),
                    "session": days,
                    "open": open_,
                    "high": np.maximum(open_, close) * (1 + spread[0]),
                    "low": np.minimum(open_, close) * (1 - spread[1]),
                    "close": close,
                    "volume": np.round(random.lognormal(13, 0.4, n)),
                }
            ).with_columns(pl.col(*PRICES).round(4))
        )
    return pl.concat(frames)


def splits(bars: pl.DataFrame) -> pl.DataFrame:
    """SPLITS: one an asset."""
    return bars.select("asset_id").unique().sort("asset_id").with_columns(
        pl.lit(SPLIT).alias("ex_date"), pl.lit(4.0).alias("ratio")
    )  # fmt: skip


def _pick(bars: pl.DataFrame, seed: int, length: int) -> pl.Expr:
    """One run of so many rows of every asset, away from the ends."""
    random = np.random.default_rng(seed)
    at = {
        int(asset): int(random.integers(40, rows - length - 40))
        for asset, rows in bars.group_by("asset_id", maintain_order=True).len().iter_rows()
    }
    first = pl.col("asset_id").replace_strict(at, return_dtype=pl.Int64)
    number = pl.int_range(pl.len()).over("asset_id")
    return (number >= first) & (number < first + length)


def _scaled(bars: pl.DataFrame, where: pl.Expr, factor: float, *, volume: bool = False) -> Planted:
    marked = bars.with_columns(where.alias("planted"))
    changed = marked.with_columns(
        *(
            pl.when("planted").then(pl.col(c) * factor).otherwise(pl.col(c)).alias(c)
            for c in PRICES
        ),
        pl.when(pl.col("planted") & volume).then(pl.col("volume") / factor)
        .otherwise(pl.col("volume")).alias("volume"),
    )  # fmt: skip
    return changed.drop("planted"), marked.filter("planted").select("asset_id", "session")


def unit(factor: float, length: int) -> Callable[[pl.DataFrame, int], Planted]:
    """A run in another unit."""
    return lambda bars, seed: _scaled(bars, _pick(bars, seed, length), factor)


def split_missing(bars: pl.DataFrame, seed: int) -> Planted:
    """Every bar before the known split lacks it."""
    del seed
    return _scaled(bars, pl.col("session") < SPLIT, 4.0, volume=True)


def split_doubled(bars: pl.DataFrame, seed: int) -> Planted:
    """A run before the known split has it twice."""
    days = pl.int_range(pl.len()).over("asset_id") + seed % 7
    return _scaled(bars, days.is_between(100, 160), 0.25, volume=True)


def split_unknown(bars: pl.DataFrame, seed: int) -> Planted:
    """A run is scaled by a split that nobody told of."""
    return _scaled(bars, _pick(bars, seed, 30), 3.0, volume=True)


def spike(factor: float) -> Callable[[pl.DataFrame, int], Planted]:
    """A bar far off, and back."""
    return lambda bars, seed: _scaled(bars, _pick(bars, seed, 1), factor)


def stale(bars: pl.DataFrame, seed: int) -> Planted:
    """A bar is told again for the three sessions after it."""
    marked = bars.with_columns(_pick(bars, seed, 3).alias("planted"))
    held = [
        pl.when("planted").then(None).otherwise(pl.col(c)).forward_fill().over("asset_id").alias(c)
        for c in (*PRICES, "volume")
    ]
    told = marked.filter("planted").select("asset_id", "session")
    return marked.with_columns(held).drop("planted"), told


def no_volume(length: int) -> Callable[[pl.DataFrame, int], Planted]:
    """A run of bars that lost their volume."""

    def plant(bars: pl.DataFrame, seed: int) -> Planted:
        marked = bars.with_columns(_pick(bars, seed, length).alias("planted"))
        told = marked.filter("planted").select("asset_id", "session")
        zero = pl.when("planted").then(0.0).otherwise(pl.col("volume")).alias("volume")
        return marked.with_columns(zero).drop("planted"), told

    return plant


def duplicated(bars: pl.DataFrame, seed: int) -> Planted:
    """A session has two bars that differ."""
    marked = bars.with_columns(_pick(bars, seed, 1).alias("planted"))
    again = marked.filter("planted").with_columns(pl.col("close") * 1.001, pl.col("volume") + 1)
    both = pl.concat([marked, again]).sort("asset_id", "session", maintain_order=True)
    return both.drop("planted"), again.select("asset_id", "session")


def day_late(bars: pl.DataFrame, seed: int) -> Planted:
    """Two weeks' bars are dated a day late: Friday's stand on Saturday."""
    del seed
    late = pl.col("session").is_between(date(2018, 3, 5), date(2018, 3, 16))
    moved = bars.with_columns(late.alias("planted")).with_columns(
        pl.when("planted").then(pl.col("session").dt.offset_by("1d"))
        .otherwise(pl.col("session")).alias("session")
    )  # fmt: skip
    return moved.drop("planted"), moved.filter("planted").select("asset_id", "session")


def adjusted(bars: pl.DataFrame, dividends: pl.DataFrame) -> pl.DataFrame:
    """Bars with the adjusted closes that dividends (asset_id, ex_date, amount) give."""
    paid = dividends.rename({"ex_date": "session"})
    before = pl.col("close").shift(1).over("asset_id")
    factor = (1 - pl.col("amount").fill_null(0.0) / before).fill_null(1.0)
    later = factor.cum_prod(reverse=True).over("asset_id") / factor
    key = ["asset_id", "session"]
    return bars.join(paid, on=key, how="left", maintain_order="left").with_columns(
        (pl.col("close") * later).alias("adj_close")
    ).drop("amount")  # fmt: skip


def quarterly(bars: pl.DataFrame, share: float = 0.01) -> pl.DataFrame:
    """A dividend every 63 sessions: asset_id, ex_date, amount."""
    number = pl.int_range(pl.len()).over("asset_id")
    return bars.with_columns(pl.col("close").shift(1).over("asset_id").alias("before")).filter(
        number % 63 == 62
    ).select("asset_id", pl.col("session").alias("ex_date"),
             (pl.col("before") * share).round(4).alias("amount"))  # fmt: skip


FAULTS: dict[str, tuple[str, Callable[[pl.DataFrame, int], Planted]]] = {
    "unit x100, one bar": ("unit_error", unit(100, 1)),
    "unit /100, one bar": ("unit_error", unit(0.01, 1)),
    "unit x1000, one bar": ("unit_error", unit(1000, 1)),
    "unit x100, 20 bars": ("unit_error", unit(100, 20)),
    "split missing, known": ("split_adjustment", split_missing),
    "split doubled, known": ("split_adjustment", split_doubled),
    "split, unknown 3:1": ("split_adjustment", split_unknown),
    "spike x2.3": ("spike", spike(2.3)),
    "spike /2.3": ("spike", spike(1 / 2.3)),
    "stale, 3 bars": ("stale_repeat", stale),
    "no volume, 8 bars": ("zero_volume_run", no_volume(8)),
    "no volume, one bar": ("volume_missing", no_volume(1)),
    "two bars a session": ("duplicate_conflict", duplicated),
    "a day late": ("wrong_session", day_late),
}
