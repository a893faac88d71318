"""The contract of a validated frame, as a pandera model.

Belongs here: what is true of every frame of validated prices. Does not: judging raw quotes
(rules.py). Imported only by those who need it: pandera takes a second to import.
"""

from __future__ import annotations

from typing import Annotated

import pandera.polars as pa
import polars as pl

from stock_platform.domain.validation.rules import TOLERANCE


class ValidatedBars(pa.DataFrameModel):
    """One bar a row, as traded, in the asset's currency; stamps are UTC at the bar's start."""

    asset_id: pl.Int32 = pa.Field(ge=1, description="asset, whatever its ticker was")
    interval: pl.String = pa.Field(isin=["1m", "5m", "15m", "1h", "1d"])
    ts: Annotated[pl.Datetime, "us", "UTC"] = pa.Field(description="start of the bar")
    session: pl.Date = pa.Field(description="the exchange's local date")
    open: pl.Float64 = pa.Field(gt=0)
    high: pl.Float64 = pa.Field(gt=0)
    low: pl.Float64 = pa.Field(gt=0)
    close: pl.Float64 = pa.Field(gt=0)
    volume: pl.Float64 = pa.Field(ge=0, nullable=True)

    class Config:
        """Other columns (vwap, source, flags) may be there."""

        strict = False

    @pa.dataframe_check
    @classmethod
    def prices_lie_between_low_and_high(cls, data: pa.PolarsData) -> pl.LazyFrame:
        """Neither open nor close is below the low or above the high."""
        low, high = pl.col("low") * (1 - TOLERANCE), pl.col("high") * (1 + TOLERANCE)
        return data.lazyframe.select(
            pl.all_horizontal(
                pl.col("open") >= low,
                pl.col("open") <= high,
                pl.col("close") >= low,
                pl.col("close") <= high,
            )
        )
