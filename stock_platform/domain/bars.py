"""Bars: the frames that flow through the platform, and what their prices mean.

Belongs here: intervals, price bases, the polars schemas of raw and validated bars.
Does not: fetching, parsing, storing, judging (validation.py).

Stamps are UTC at the bar's start. ``session`` is the exchange's local date. Prices are
in the asset's currency (major unit), per share, coin or contract; volume is in shares,
coins or contracts.
"""

from __future__ import annotations

from datetime import timedelta
from enum import StrEnum

import polars as pl

from stock_platform.domain.errors import InputError, one_of


class Interval(StrEnum):
    """Length of a bar, in the vendors' common notation."""

    MINUTE = "1m"
    MINUTES_5 = "5m"
    MINUTES_15 = "15m"
    HOUR = "1h"
    DAY = "1d"

    @property
    def intraday(self) -> bool:
        """Whether it is shorter than a session."""
        return self is not Interval.DAY

    @property
    def length(self) -> timedelta:
        """From a bar's start to its end; a day's is nominal, since a session is shorter."""
        return _LENGTHS[self.value]

    @classmethod
    def parse(cls, text: str) -> Interval:
        """The interval named by ``text``. Raises InputError."""
        try:
            return cls(text)
        except ValueError:
            raise InputError("interval", text, one_of(cls)) from None


_LENGTHS = {
    "1m": timedelta(minutes=1),
    "5m": timedelta(minutes=5),
    "15m": timedelta(minutes=15),
    "1h": timedelta(hours=1),
    "1d": timedelta(days=1),
}


class Basis(StrEnum):
    """What a source's prices have been adjusted for.

    AS_TRADED: as printed on the tape that day.
    SPLIT_ADJUSTED: divided by every split between the bar and the moment of the fetch.
    FULLY_ADJUSTED: adjusted for splits and dividends up to the moment of the fetch.
    """

    AS_TRADED = "as_traded"
    SPLIT_ADJUSTED = "split_adjusted"
    FULLY_ADJUSTED = "fully_adjusted"


class Adjust(StrEnum):
    """Adjustment applied on read (CRSP-style factors)."""

    NONE = "none"
    SPLITS = "splits"
    ALL = "all"

    @classmethod
    def parse(cls, text: str) -> Adjust:
        """The adjustment named by ``text``. Raises InputError."""
        try:
            return cls(text)
        except ValueError:
            raise InputError("adjust", text, one_of(cls)) from None


UTC_STAMP = pl.Datetime("us", "UTC")

PRICE_COLUMNS = ("open", "high", "low", "close")

# What a source's parser gives: one row a bar, sorted by (symbol, ts), no duplicates.
PARSED_BARS: dict[str, pl.DataType] = {
    "symbol": pl.String(),  # canonical form, domain/symbols.py
    "ts": UTC_STAMP,
    "session": pl.Date(),
    "open": pl.Float64(),
    "high": pl.Float64(),
    "low": pl.Float64(),
    "close": pl.Float64(),
    "volume": pl.Float64(),
    "vwap": pl.Float64(),
    "trades": pl.Int64(),
}

# stocks.raw_quotes and raw_intraday: what one source said; key (asset_id, interval, source, ts).
RAW_QUOTES: dict[str, pl.DataType] = {
    "asset_id": pl.Int32(),
    "interval": pl.String(),
    "source": pl.String(),
    **{name: kind for name, kind in PARSED_BARS.items() if name != "symbol"},
    "basis": pl.String(),
    "fetched_at": UTC_STAMP,
}

# stocks.validated_prices and intraday_prices: the bar we stand behind, as traded; key
# (asset_id, interval, ts).
VALIDATED_PRICES: dict[str, pl.DataType] = {
    "asset_id": pl.Int32(),
    "interval": pl.String(),
    **{name: kind for name, kind in PARSED_BARS.items() if name not in ("symbol", "trades")},
    "source": pl.String(),
    "flags": pl.List(pl.String()),
}


def empty(schema: dict[str, pl.DataType]) -> pl.DataFrame:
    """A frame of no rows in one of this module's schemas."""
    return pl.DataFrame(schema=schema)


def conform(frame: pl.DataFrame, schema: dict[str, pl.DataType]) -> pl.DataFrame:
    """``frame`` with exactly the schema's columns, in order, cast; absent columns are null."""
    if frame.is_empty():
        return empty(schema)  # else literals alone would make a row out of no columns
    return frame.select(
        (pl.col(name) if name in frame.columns else pl.lit(None)).cast(kind).alias(name)
        for name, kind in schema.items()
    )
