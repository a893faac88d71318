"""Faults planted in real histories: what vendors do to good prices, row by row known.

Belongs here: one function a kind of fault, seeded. Does not: the histories (histories.py).

Every function takes bars of many assets (asset_id, session, prices, volume; continuous over
their splits) and a seed. A split that a fault needs is made up: the bars are taken for those of
a source that adjusts, and the split is told.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import polars as pl

from stock_platform.domain.corporate_actions import SPLITS

PRICES = ("open", "high", "low", "close")
EDGE = 70
"""Rows at the ends of a history in which no fault is planted."""


@dataclass(frozen=True)
class Spoilt:
    """Bars with faults in them.

    Attributes:
        bars: as the vendor tells them, continuous over splits but for the fault.
        planted: asset_id and session of the rows that are wrong.
        splits: SPLITS known of the assets.
    """

    bars: pl.DataFrame
    planted: pl.DataFrame
    splits: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=SPLITS))


Spoil = Callable[[pl.DataFrame, int], Spoilt]


def _scaled(
    bars: pl.DataFrame, where: pl.Expr, factor: float | pl.Expr, *, volume: bool = False
) -> tuple[pl.DataFrame, pl.DataFrame]:
    marked = bars.with_columns(where.alias("_planted"))
    by = pl.when("_planted").then(factor).otherwise(1.0)
    changed = marked.with_columns(
        *((pl.col(c) * by).alias(c) for c in PRICES),
        *([(pl.col("volume") / by).alias("volume")] if volume else []),
    )
    return changed.drop("_planted"), _keys(marked)


def _keys(marked: pl.DataFrame) -> pl.DataFrame:
    return marked.filter("_planted").select("asset_id", "session")


def _number() -> pl.Expr:
    return pl.int_range(pl.len()).over("asset_id")


def _inner(rows: int = EDGE) -> pl.Expr:
    return (_number() >= rows) & (_number() < pl.len().over("asset_id") - rows)


def _at(bars: pl.DataFrame, seed: int, length: int) -> pl.Expr:
    """The first row of one run an asset, away from the ends."""
    dice = np.random.default_rng(seed)
    first = {
        int(asset): int(dice.integers(EDGE, rows - length - EDGE))
        for asset, rows in bars.group_by("asset_id", maintain_order=True).len().iter_rows()
    }
    return pl.col("asset_id").replace_strict(first, return_dtype=pl.Int64)


def _run(bars: pl.DataFrame, seed: int, length: int) -> pl.Expr:
    first = _at(bars, seed, length)
    return (_number() >= first) & (_number() < first + length)


def _scattered(bars: pl.DataFrame, seed: int, share: float) -> pl.Expr:
    """Rows at random, never two neighbours."""
    dice = pl.Series(np.random.default_rng(seed).random(bars.height) < share)
    alone = dice & ~dice.shift(1, fill_value=False)
    return pl.lit(alone) & _inner(2)


def scattered(factor: float, share: float = 0.01) -> Spoil:
    """Rows here and there in another unit, or simply wrong."""
    return lambda bars, seed: Spoilt(*_scaled(bars, _scattered(bars, seed, share), factor))


def block(factor: float, length: int) -> Spoil:
    """A run in another unit."""
    return lambda bars, seed: Spoilt(*_scaled(bars, _run(bars, seed, length), factor))


def any_price(share: float = 0.01, least: float = 0.6, most: float = 4.0) -> Spoil:
    """Rows here and there are wrong by any factor beyond 60 %, up or down."""

    def spoil(bars: pl.DataFrame, seed: int) -> Spoilt:
        dice = np.random.default_rng(seed + 1)
        size = np.log1p(dice.uniform(least, most, bars.height))
        by = pl.Series(np.exp(size * dice.choice([-1, 1], bars.height)))
        return Spoilt(*_scaled(bars, _scattered(bars, seed, share), pl.lit(by)))

    return spoil


def one_price(column: str, factor: float, share: float = 0.01) -> Spoil:
    """One of the four prices is wrong here and there."""

    def spoil(bars: pl.DataFrame, seed: int) -> Spoilt:
        marked = bars.with_columns(_scattered(bars, seed, share).alias("_planted"))
        price = pl.when("_planted").then(pl.col(column) * factor).otherwise(pl.col(column))
        return Spoilt(marked.with_columns(price.alias(column)).drop("_planted"), _keys(marked))

    return spoil


def since(factor: float) -> Spoil:
    """The source changes its unit once: the first third is in the other one."""

    def spoil(bars: pl.DataFrame, seed: int) -> Spoilt:
        del seed
        return Spoilt(*_scaled(bars, 3 * _number() < pl.len().over("asset_id"), factor))

    return spoil


def _split(bars: pl.DataFrame, seed: int, ratio: float) -> tuple[pl.Expr, pl.DataFrame]:
    """A split of every asset: the number of its first row, and SPLITS."""
    first = _at(bars, seed, 300) + 150
    told = bars.with_columns(_number().alias("_n"), first.alias("_first")).filter(
        pl.col("_n") == pl.col("_first")
    )
    splits = told.select("asset_id", pl.col("session").alias("ex_date")).with_columns(
        pl.lit(ratio).alias("ratio"), pl.lit("made").alias("source"),
        pl.lit(None).cast(SPLITS["fetched_at"]).alias("fetched_at"),
    ).select(list(SPLITS))  # fmt: skip
    return _number() - first, splits


def split_missing(ratio: float, *, rows: int | None = None, known: bool = True) -> Spoil:
    """Bars before a split lack its adjustment: all, or the last so many before it."""

    def spoil(bars: pl.DataFrame, seed: int) -> Spoilt:
        after, splits = _split(bars, seed, ratio)
        where = (after < 0) & (after >= -(rows or 100_000))
        made = _scaled(bars, where, ratio, volume=True)
        return Spoilt(*made, splits if known else splits.clear())

    return spoil


def split_late(ratio: float, rows: int) -> Spoil:
    """The bars from the ex-date on lack it too for some days: the vendor noticed late."""

    def spoil(bars: pl.DataFrame, seed: int) -> Spoilt:
        after, splits = _split(bars, seed, ratio)
        return Spoilt(*_scaled(bars, (after >= 0) & (after < rows), 1 / ratio, volume=True), splits)

    return spoil


def split_doubled(ratio: float, *, rows: int | None = None) -> Spoil:
    """Bars before a split have its adjustment twice."""

    def spoil(bars: pl.DataFrame, seed: int) -> Spoilt:
        after, splits = _split(bars, seed, ratio)
        where = (after < 0) & (after >= -(rows or 100_000))
        return Spoilt(*_scaled(bars, where, 1 / ratio, volume=True), splits)

    return spoil


def stale(length: int) -> Spoil:
    """A bar is told again for the sessions after it."""

    def spoil(bars: pl.DataFrame, seed: int) -> Spoilt:
        marked = bars.with_columns(_run(bars, seed, length).alias("_planted"))
        held = [
            pl.when("_planted").then(None).otherwise(pl.col(c)).forward_fill().over("asset_id")
            .alias(c) for c in (*PRICES, "volume")
        ]  # fmt: skip
        return Spoilt(marked.with_columns(held).drop("_planted"), _keys(marked))

    return spoil


def no_volume(length: int) -> Spoil:
    """A run of bars that lost their volume."""

    def spoil(bars: pl.DataFrame, seed: int) -> Spoilt:
        marked = bars.with_columns(_run(bars, seed, length).alias("_planted"))
        zero = pl.when("_planted").then(0.0).otherwise(pl.col("volume")).alias("volume")
        return Spoilt(marked.with_columns(zero).drop("_planted"), _keys(marked))

    return spoil


def moved(days: int, length: int = 15) -> Spoil:
    """Three weeks' bars are dated a day off, as stamps read in the wrong zone are."""

    def spoil(bars: pl.DataFrame, seed: int) -> Spoilt:
        first = _at(bars, seed, 30)
        monday = pl.col("session").dt.weekday() == 1
        start = (
            pl.when(monday & (_number() >= first)).then(_number()).otherwise(None)
            .min().over("asset_id")
        )  # fmt: skip
        marked = bars.with_columns(start.alias("_start")).with_columns(
            ((_number() >= pl.col("_start")) & (_number() < pl.col("_start") + length))
            .alias("_planted")
        )  # fmt: skip
        dated = marked.with_columns(
            pl.when("_planted").then(pl.col("session").dt.offset_by(f"{days}d"))
            .otherwise(pl.col("session")).alias("session")
        )  # fmt: skip
        # the day that the first or last of them falls on has its own bar no more
        dated = dated.sort("asset_id", "session", "_planted", descending=[False, False, True])
        dated = dated.unique(["asset_id", "session"], keep="first", maintain_order=True)
        return Spoilt(dated.drop("_planted", "_start"), _keys(dated))

    return spoil


def twice(off: float) -> Spoil:
    """Sessions with two bars that differ."""

    def spoil(bars: pl.DataFrame, seed: int) -> Spoilt:
        marked = bars.with_columns(_scattered(bars, seed, 0.01).alias("_planted"))
        again = marked.filter("_planted").with_columns(
            *((pl.col(c) * off).alias(c) for c in PRICES), pl.col("volume") + 1
        )
        both = pl.concat([marked, again]).sort("asset_id", "session", maintain_order=True)
        return Spoilt(both.drop("_planted"), _keys(marked))

    return spoil


RATIOS = {"2:1": 2.0, "3:2": 1.5, "1:10": 0.1, "7:1": 7.0, "20:1": 20.0}

UNIT, SPLIT, SPIKE = ("unit_error",), ("split_adjustment",), ("spike",)

SPOILS: dict[str, tuple[tuple[str, ...], Spoil]] = {
    "x100, 1 % of rows": (UNIT, scattered(100)),
    "/100, 1 % of rows": (UNIT, scattered(0.01)),
    "x1000, 1 % of rows": (UNIT, scattered(1000)),
    "x100, 5 rows": (UNIT, block(100, 5)),
    "x100, 20 rows": (UNIT, block(100, 20)),
    "x100, 60 rows": (UNIT, block(100, 60)),
    "x100, 250 rows": (UNIT, block(100, 250)),
    "/100, 60 rows": (UNIT, block(0.01, 60)),
    "pence in the first third": (UNIT, since(100)),
    "close alone x100, 1 %": (UNIT, one_price("close", 100)),
    "high alone x100, 1 %": (UNIT, one_price("high", 100)),
    **{f"split {n} missing": (SPLIT, split_missing(r)) for n, r in RATIOS.items()},
    **{
        f"split {n} missing, 30 rows": (SPLIT, split_missing(r, rows=30)) for n, r in RATIOS.items()
    },
    **{f"split {n} late, 5 rows": (SPLIT, split_late(r, 5)) for n, r in RATIOS.items()},
    **{f"split {n} doubled": (SPLIT, split_doubled(r)) for n, r in RATIOS.items()},
    "split 2:1 doubled, 40 rows": (SPLIT, split_doubled(2.0, rows=40)),
    "split 7:1 doubled, 40 rows": (SPLIT, split_doubled(7.0, rows=40)),
    "unknown split 3:1": (SPLIT, split_missing(3.0, known=False)),
    "unknown split 3:1, 30 rows": (SPLIT, split_missing(3.0, rows=30, known=False)),
    "spike x1.8, 0.5 %": (SPIKE, scattered(1.8, 0.005)),
    "spike x2.3, 0.5 %": (SPIKE, scattered(2.3, 0.005)),
    "spike /2.3, 0.5 %": (SPIKE, scattered(1 / 2.3, 0.005)),
    "spike x7, 0.5 %": (SPIKE, scattered(7, 0.005)),
    "spike of the high x1.8, 1 %": (SPIKE, one_price("high", 1.8)),
    "spike of the low /1.8, 1 %": (SPIKE, one_price("low", 1 / 1.8)),
    "wrong by any factor, 1 %": ((*SPIKE, *UNIT, *SPLIT), any_price()),
    "stale, 1 row": (("stale_repeat",), stale(1)),
    "stale, 4 rows": (("stale_repeat",), stale(4)),
    "no volume, 1 row": (("volume_missing",), no_volume(1)),
    "no volume, 8 rows": (("zero_volume_run",), no_volume(8)),
    "a day late, 3 weeks": (("wrong_session", "not_a_session"), moved(1)),
    "a day early, 3 weeks": (("wrong_session", "not_a_session"), moved(-1)),
    "two bars, 1 % of sessions": (("duplicate_conflict",), twice(1.01)),
}
