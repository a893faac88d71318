"""Bars as series that can be compared with their neighbours.

Belongs here: order, continuous prices, windows, and the frames that series rules give back.
Does not: what a fault looks like (shifts.py, repeats.py, distributions.py, agreement.py).

A series is one asset, interval and source. Blocks cut time at fixed days, the same for
everybody: a bar's verdict is taken from its block and the two beside it, so it does not depend
on what else was asked for.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import polars as pl

from stock_platform.domain.bars import PRICE_COLUMNS, Basis
from stock_platform.domain.validation.rulebook import Rulebook

# What a series rule gives back: one line a bar and fault. ``row`` points into Series.bars.
HITS: dict[str, pl.DataType] = {
    "row": pl.UInt32(),
    "rule": pl.String(),
    "field": pl.String(),
    "value": pl.Float64(),
    "expected": pl.Float64(),
    "factor": pl.Float64(),  # what the prices must be multiplied by; null where not known
    "volume_factor": pl.Float64(),
    "confidence": pl.Float64(),
    "repair": pl.String(),
}

NO_HITS = pl.DataFrame(schema=HITS)


@dataclass(frozen=True)
class Series:
    """Sorted bars and what rules need to judge them.

    Attributes:
        bars: the bars as given, with row, series, block, asset_class; mid (the mean of the two
            middle prices), x (its logarithm, continuous over splits; null where a price is
            missing or not positive), d (the change of x within the series), v (the volume,
            continuous over splits).
        splits: one an asset and day. dividends: one an asset and day.
        rulebook: thresholds.
        whole: one window holds the whole series.
    """

    bars: pl.DataFrame
    splits: pl.DataFrame
    dividends: pl.DataFrame
    rulebook: Rulebook
    whole: bool

    def threshold(self, name: str, column: str = "asset_class") -> pl.Expr:
        """The threshold of each row's asset class."""
        return per_class(self.rulebook, name, column)

    def windows(self, suspects: pl.DataFrame) -> pl.DataFrame:
        """The rows of every window that holds a suspect, copied for each window.

        Args:
            suspects: series and block of suspicious rows.

        Returns:
            The bars with ``win`` (its number, ascending with row), ``center`` (its block) and
            ``own``: whether the row is judged in this window, and is not just there for
            comparison.
        """
        marked = suspects.select("series", "block").unique()
        near = pl.concat(
            marked.select("series", (pl.col("block") + k).alias("center")) for k in (-1, 0, 1)
        ).unique()
        if self.whole:
            near = marked.select("series", pl.col("block").alias("center"))
        spans = pl.concat(
            near.with_columns((pl.col("center") + k).alias("block")) for k in (-1, 0, 1)
        )
        rows = self.bars.filter(pl.col("x").is_not_null()).join(spans, on=["series", "block"])
        return rows.sort("series", "center", "row").with_columns(
            pl.struct("series", "center").rle_id().alias("win"),
            (pl.col("block") == pl.col("center")).alias("own"),
        )


def per_class(rulebook: Rulebook, name: str, column: str = "asset_class") -> pl.Expr:
    """A threshold by the asset class in a column."""
    value = pl.lit(float(getattr(rulebook.default, name)))
    for asset_class, own in rulebook.classes.items():
        value = (
            pl.when(pl.col(column) == asset_class)
            .then(pl.lit(float(getattr(own, name))))
            .otherwise(value)
        )
    return value


def prepare(
    bars: pl.DataFrame,
    *,
    splits: pl.DataFrame,
    dividends: pl.DataFrame,
    classes: Mapping[int, str],
    rulebook: Rulebook,
    block_days: int | None,
) -> Series:
    """Bars of many assets as series; see ``Series``."""
    frame = _sorted(bars).with_row_index("row")
    key = [pl.col(c) != pl.col(c).shift(1) for c in ("asset_id", "interval", "source")]
    start = pl.any_horizontal(key).fill_null(value=True)
    block = (
        pl.lit(0, pl.Int32)
        if block_days is None
        else pl.col("session").cast(pl.Int32).floordiv(block_days)
    )
    frame = frame.with_columns(
        start.cum_sum().alias("series"), start.alias("_start"), block.alias("block"),
        _class(classes).alias("asset_class"),
    )  # fmt: skip
    prices = [pl.col(c) for c in PRICE_COLUMNS]
    high, low = pl.max_horizontal(prices), pl.min_horizontal(prices)
    sound = pl.all_horizontal(*(p.is_finite() & (p > 0) for p in prices)).fill_null(value=False)
    mid = (prices[0] + prices[1] + prices[2] + prices[3] - high - low) / 2
    frame = frame.with_columns(pl.when(sound).then(mid).alias("mid"))
    day = ["asset_id", "ex_date"]
    known = splits.unique(day, keep="last", maintain_order=True)
    past = _past_splits(frame, known)
    frame = frame.with_columns(
        (pl.col("mid").log() + past).alias("x"),
        (pl.col("volume") * (-past).exp()).alias("v")
        if isinstance(past, pl.Series)
        else pl.col("volume").alias("v"),
    )
    last = pl.col("x").forward_fill().shift(1)
    # a series' first sound row has no change: what is carried over belongs to the one before
    seen = pl.when(pl.col("x").is_not_null()).then(pl.col("series")).forward_fill().shift(1)
    frame = frame.with_columns(
        pl.when(seen == pl.col("series")).then(pl.col("x") - last).alias("d")
    ).drop("_start")
    paid = dividends.unique(day, keep="last", maintain_order=True)
    return Series(frame, known, paid, rulebook, block_days is None)


def hits(frame: pl.DataFrame, rule: str, **columns: pl.Expr | float | str | None) -> pl.DataFrame:
    """HITS of a frame that has ``row``; columns that are not given are null."""
    return frame.select(
        pl.lit(rule).alias(name)
        if name == "rule"
        else (
            (pl.col("row") if name == "row" else _expression(columns.get(name)))
            .cast(kind)
            .alias(name)
        )
        for name, kind in HITS.items()
    )


def _expression(value: pl.Expr | float | str | None) -> pl.Expr:
    return value if isinstance(value, pl.Expr) else pl.lit(value)


def _class(classes: Mapping[int, str]) -> pl.Expr:
    if not classes:
        return pl.lit(None, pl.String)
    kinds = set(classes.values())
    if len(kinds) == 1 and len(classes) > 1000:
        return pl.lit(next(iter(kinds)))
    return pl.col("asset_id").replace_strict(dict(classes), default=None, return_dtype=pl.String)


def _sorted(bars: pl.DataFrame) -> pl.DataFrame:
    key = ["asset_id", "interval", "source", "session", "ts"]
    ahead = pl.col("asset_id") > pl.col("asset_id").shift(1)
    same = pl.col("asset_id") == pl.col("asset_id").shift(1)
    for column in key[1:]:
        ahead = ahead | (same & (pl.col(column) > pl.col(column).shift(1)))
        same = same & (pl.col(column) == pl.col(column).shift(1))
    ordered = bars.select((ahead | same).fill_null(value=False).slice(1).all()).item()
    return bars if ordered else bars.sort(key)


def _past_splits(frame: pl.DataFrame, splits: pl.DataFrame) -> pl.Series | pl.Expr:
    """Logarithm of the splits up to each row, where its prices are as traded."""
    if splits.is_empty() or "basis" not in frame.columns:
        return pl.lit(0.0)
    past = splits.sort("asset_id", "ex_date").select(
        "asset_id",
        pl.col("ex_date").alias("session"),
        pl.col("ratio").log().cum_sum().over("asset_id").alias("_past"),
    )
    rows = frame.select("asset_id", "session", "basis", "row")
    of = rows.filter(
        (pl.col("basis") == str(Basis.AS_TRADED))
        & pl.col("asset_id").is_in(past["asset_id"].unique().implode())
    )
    found = of.sort("session").join_asof(
        past.sort("session"), on="session", by="asset_id", check_sortedness=False
    )
    return (
        rows.select("row")
        .join(found.select("row", "_past"), on="row", how="left", maintain_order="left")["_past"]
        .fill_null(0.0)
    )
