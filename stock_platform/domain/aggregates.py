"""Measures of the daily series, and bars of longer periods.

Belongs here: formulas. Does not: reading and writing (pipeline/, storage/). The database
derives weeks and months in SQL, in the writing transaction; ``to_periods`` is the same
derivation in polars, which tests hold it against.
"""

from __future__ import annotations

from typing import Literal

import polars as pl

from stock_platform.domain.corporate_actions import later_product

SESSIONS_PER_YEAR = 252

# stocks.indicators. Returns are total returns of one session; volatilities are annual.
INDICATORS: dict[str, pl.DataType] = {
    "asset_id": pl.Int32(),
    "session": pl.Date(),
    "simple_return": pl.Float64(),
    "log_return": pl.Float64(),
    "volatility_21": pl.Float64(),
    "volatility_63": pl.Float64(),
}


def returns_and_volatility(adjusted: pl.DataFrame) -> pl.DataFrame:
    """Returns and realised volatility of each asset.

    Args:
        adjusted: asset_id, session, close, adjusted for splits and dividends; any order.

    Returns:
        INDICATORS, by asset and session: the close over the one before less 1, its
        logarithmic form, and the sample standard deviation of the last 21 and 63
        logarithmic returns times the square root of 252; null until there are so many.
        Across missing sessions a return spans the gap.
    """
    growth = pl.col("close") / pl.col("close").shift(1).over("asset_id")
    return (
        adjusted.sort("asset_id", "session")
        .with_columns((growth - 1.0).alias("simple_return"), growth.log().alias("log_return"))
        .with_columns(
            (
                pl.col("log_return").rolling_std(window_size=n, min_samples=n).over("asset_id")
                * SESSIONS_PER_YEAR**0.5
            ).alias(f"volatility_{n}")
            for n in (21, 63)
        )
        .select(pl.col(name).cast(kind) for name, kind in INDICATORS.items())
    )


def to_periods(
    prices: pl.DataFrame, splits: pl.DataFrame, every: Literal["1w", "1mo"]
) -> pl.DataFrame:
    """Weekly or monthly bars from daily ones as traded, and the splits in force.

    Prices are in the basis of the period's last session: what came before a split inside
    the period is divided by its ratio.

    Returns:
        asset_id, period (first calendar day; Mondays for weeks), open, high, low, close,
        volume (null where no session has one), sessions, first_session, last_session.
    """
    dated = prices.with_columns(pl.col("session").dt.truncate(every).alias("period")).with_columns(
        pl.col("session").max().over("asset_id", "period").alias("_last")
    )
    ratio = later_product(dated, splits, "session", "ratio") / later_product(
        dated, splits, "_last", "ratio"
    )
    return (
        dated.with_columns(ratio.alias("_ratio"))
        .with_columns(
            *(pl.col(c) / pl.col("_ratio") for c in ("open", "high", "low", "close")),
            pl.col("volume") * pl.col("_ratio"),
        )
        .sort("asset_id", "session")
        .group_by("asset_id", "period", maintain_order=True)
        .agg(
            pl.col("open").first(),
            pl.col("high").max(),
            pl.col("low").min(),
            pl.col("close").last(),
            pl.when(pl.col("volume").count() > 0).then(pl.col("volume").sum()).alias("volume"),
            pl.len().cast(pl.Int16).alias("sessions"),
            pl.col("session").min().alias("first_session"),
            pl.col("session").max().alias("last_session"),
        )
    )
