"""Which table holds the bars of an interval.

Belongs here: the names of the tables of bars. Does not: their columns (migrations, upsert.py).

Daily bars and shorter ones are kept apart: a year of daily bars is what a month or a day of
minutes is, so partitions, compression and retention that suit one do not suit the other. The
columns are the same, and so is the code that writes and reads them.
"""

from __future__ import annotations

import polars as pl

from stock_platform.domain.bars import Interval

RAW_TABLES = ("raw_quotes", "raw_intraday")
PRICE_TABLES = ("validated_prices", "intraday_prices")

FROM_QUOTES = "from_quotes"
"""The flag of minute bars that were made of live quotes: there is no raw bar they come from."""

CELL: dict[str, pl.DataType] = {"asset_id": pl.Int32(), "session": pl.Date()}


def raw_table(interval: Interval | str) -> str:
    """The table of what sources said, within the schema ``stocks``."""
    return RAW_TABLES[Interval(interval).intraday]


def price_table(interval: Interval | str) -> str:
    """The table of validated prices, within the schema ``stocks``."""
    return PRICE_TABLES[Interval(interval).intraday]
