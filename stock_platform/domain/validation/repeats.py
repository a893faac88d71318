"""Bars that say the same thing again, nothing at all, or two things at once.

Belongs here: stale repeats, runs without volume, duplicates. Does not: levels (shifts.py).
"""

from __future__ import annotations

import polars as pl

from stock_platform.domain.bars import PRICE_COLUMNS
from stock_platform.domain.validation.series import NO_HITS, Series, hits, per_class

NEAR_DAYS = 4
"""Bars farther apart, in calendar days, do not repeat each other."""


def duplicates(series: Series) -> pl.DataFrame:
    """HITS of duplicate_conflict."""
    bars = series.bars
    same = (pl.col("series") == pl.col("series").shift(1)) & (
        pl.col("session") == pl.col("session").shift(1)
    )
    again = ((pl.col("interval") == "1d") & same) | (same & (pl.col("ts") == pl.col("ts").shift(1)))
    some = bars.lazy().filter(again.fill_null(value=False)).select("series", "session", "ts")
    found = some.collect()
    if found.is_empty():
        return NO_HITS
    daily = pl.when(pl.col("interval") == "1d").then(None).otherwise(pl.col("ts")).alias("_at")
    group = (
        bars.join(found.select("series", "session").unique(), on=["series", "session"], how="semi")
        .with_columns(daily)
        .with_columns(
            pl.len().over("series", "session", "_at").alias("_copies"),
            pl.struct(*PRICE_COLUMNS, "volume").n_unique().over("series", "session", "_at")
            .alias("_kinds"),
        )
        .filter((pl.col("_copies") > 1) & (pl.col("_kinds") > 1))
    )  # fmt: skip
    return hits(group, "duplicate_conflict", field="close", value=pl.col("close"), confidence=0.8)


def stale(series: Series) -> pl.DataFrame:
    """HITS of stale_repeat: every bar that repeats the one before it."""
    columns = (*PRICE_COLUMNS, "volume")
    equal = pl.all_horizontal(
        *(pl.col(c).eq_missing(pl.col(c).shift(1)) for c in columns),
        pl.col("series") == pl.col("series").shift(1),
        # over a longer pause nothing tells what lies between
        (pl.col("session") - pl.col("session").shift(1)).dt.total_days() <= NEAR_DAYS,
        (pl.col("volume") > 0) | pl.col("volume").is_null(),
    )
    frame = series.bars.lazy().with_columns(equal.fill_null(value=False).alias("_equal"))
    # the run that a repeat belongs to, by its rows alone: those without a repeat are dropped
    repeats = frame.filter("_equal").collect()
    if repeats.is_empty():
        return NO_HITS
    broken = (pl.col("row").cast(pl.Int64) - pl.col("row").shift(1).cast(pl.Int64)) != 1
    run = repeats.with_columns(
        (broken | (pl.col("series") != pl.col("series").shift(1)))
        .fill_null(value=True).cum_sum().alias("run")
    ).with_columns((pl.len().over("run") + 1).alias("_long"))  # fmt: skip
    ranged = (pl.col("high") > pl.col("low")) & (
        pl.col("volume").is_null()
        | (pl.col("volume") >= per_class(series.rulebook, "stale_volume"))
    )
    # without volume and range, equal bars are prices carried over and not a fault of the source
    long = (pl.col("_long") >= per_class(series.rulebook, "stale_rows")) & (
        pl.col("volume").is_not_null() | (pl.col("high") > pl.col("low"))
    )
    told = run.filter(ranged | long)
    sure = (
        pl.when(ranged & (pl.col("_long") > 2)).then(0.97)
        .when(ranged).then(0.9)
        .otherwise(0.6)
    )  # fmt: skip
    return hits(told, "stale_repeat", field="close", value=pl.col("close"), confidence=sure)


def without_volume(series: Series) -> pl.DataFrame:
    """HITS of zero_volume_run and volume_missing."""
    silent = (pl.col("volume") == 0).fill_null(value=False)
    suspects = series.bars.lazy().filter(silent).select("series", "block").unique().collect()
    if suspects.is_empty():
        return NO_HITS
    start = (silent != silent.shift(1)) | (pl.col("win") != pl.col("win").shift(1))
    rows = series.windows(suspects).with_columns(start.fill_null(value=True).cum_sum().alias("run"))
    traded = ~silent & pl.col("volume").is_not_null()
    rows = rows.with_columns(
        pl.len().over("run").alias("_long"),
        traded.sum().over("win").alias("_traded"),
        pl.len().over("win").alias("_all"),
    )
    shortest = per_class(series.rulebook, "zero_volume_rows")
    in_run = silent & (pl.col("_long") >= shortest)
    share = per_class(series.rulebook, "traded_share")
    rest = pl.col("_all") - in_run.sum().over("win")
    rows = rows.with_columns(
        in_run.alias("_run"),
        # a window of which half is silent says nothing of what is usual
        ((pl.col("_traded") >= share * rest) & (2 * pl.col("_traded") >= pl.col("_all"))).alias(
            "_trades"
        ),
    ).filter("own", "_trades", silent)
    moved = pl.col("high") > pl.col("low") * (1 + 1e-6)
    runs = hits(rows.filter("_run"), "zero_volume_run", field="volume", value=0.0, confidence=0.6)
    missing = hits(
        rows.filter(~pl.col("_run") & moved.fill_null(value=False)), "volume_missing",
        field="volume", value=0.0, confidence=0.7,
    )  # fmt: skip
    return pl.concat([runs, missing])
