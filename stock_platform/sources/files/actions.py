"""Reading splits and dividends that stand beside the prices of a table.

Belongs here: columns such as ``Dividends`` and ``Stock Splits`` (yfinance's) or ``dividend``
and ``split`` (zipline's). Does not: prices (parse.py). Pure.

A split of 0 or 1 and a dividend of 0 are none. Dividends are taken to be in the basis of
the prices: beside split-adjusted prices they are multiplied by the later splits of the
same table, which makes them as paid.
"""

from __future__ import annotations

import polars as pl

from stock_platform.domain.bars import Basis, conform
from stock_platform.sources.base import PARSED_DIVIDENDS, PARSED_SPLITS


def read_actions(
    rows: pl.DataFrame, symbol: str, basis: Basis, currency: str | None
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """PARSED_SPLITS and PARSED_DIVIDENDS of one symbol.

    Args:
        rows: session, and split and dividend where the table has them, as numbers.
        symbol: canonical ticker.
        basis: of the prices.
        currency: of the dividends.
    """
    splits, dividends = pl.DataFrame(schema=PARSED_SPLITS), pl.DataFrame(schema=PARSED_DIVIDENDS)
    days = rows.unique("session", keep="first").sort("session")
    if "split" in rows.columns:
        splits = days.filter((pl.col("split") > 0) & (pl.col("split") != 1)).select(
            pl.lit(symbol).alias("symbol"),
            pl.col("session").alias("ex_date"),
            pl.col("split").alias("ratio"),
        )
    if "dividend" in rows.columns:
        paid = days.filter(pl.col("dividend") > 0).with_columns(_later(splits, basis))
        dividends = paid.select(
            pl.lit(symbol).alias("symbol"),
            pl.col("session").alias("ex_date"),
            (pl.col("dividend") * pl.col("later")).round(8).alias("amount"),
            pl.lit(currency).cast(pl.String).alias("currency"),
        )
    return conform(splits, PARSED_SPLITS), conform(dividends, PARSED_DIVIDENDS)


def _later(splits: pl.DataFrame, basis: Basis) -> pl.Expr:
    """For each session, the product of the splits after it; 1 beside prices as traded."""
    product = pl.lit(1.0)
    if basis is not Basis.AS_TRADED:
        for ex_date, ratio in splits.select("ex_date", "ratio").iter_rows():
            product *= pl.when(pl.col("session") < ex_date).then(ratio).otherwise(1.0)
    return product.alias("later")
