"""Clean real histories, where they are to be had: Lean's, zipline's, and bokeh_sampledata's.

Belongs here: bringing them to one shape. Does not: spoiling them (faults.py, spoiling.py).
Provenance: prices/INDEX.tsv in the shared fixtures, sandbox/market/real.py.
"""

from __future__ import annotations

from pathlib import Path

import polars as pl

from stock_platform.domain.corporate_actions import DIVIDENDS, SPLITS
from stock_platform.sandbox.market import real
from stock_platform_tests.domain import lean

PRICES = ("open", "high", "low", "close")
COLUMNS = ("asset_id", "session", *PRICES, "volume")
SHORTEST = 500


def as_traded(shared: Path) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]:
    """Bars as traded (asset_id, session, prices, volume) with their splits and dividends.

    Of securities with two years or more: 13 to 28, up to 23 years of each.
    """
    bars, splits, dividends = [], [], []
    folder = shared / "prices" / "lean"
    if folder.exists():
        raw = lean.raw_bars(folder)
        own = lean.actions(lean.factors(folder, raw))
        bars.append(raw.select(COLUMNS))
        splits.append(own[0])
        dividends.append(own[1])
    for number, history in enumerate(real.load(), start=1001):
        mine = pl.lit(number, pl.Int32).alias("asset_id")
        bars.append(history.bars.with_columns(mine, pl.col("volume").cast(pl.Float64)))
        splits.append(
            pl.DataFrame(
                [(number, day, new / old) for day, new, old in history.splits],
                schema={n: SPLITS[n] for n in ("asset_id", "ex_date", "ratio")}, orient="row",
            )
        )  # fmt: skip
        dividends.append(
            pl.DataFrame(
                [(number, day, paid) for day, paid in history.dividends],
                schema={n: DIVIDENDS[n] for n in ("asset_id", "ex_date", "amount")}, orient="row",
            )
        )  # fmt: skip
    for number, path in enumerate(
        sorted((shared / "prices" / "zipline_csvdir").glob("*.csv")), start=2001
    ):
        table = pl.read_csv(path, try_parse_dates=True)
        bars.append(
            table.select(
                pl.lit(number, pl.Int32).alias("asset_id"), pl.col("date").alias("session"),
                *PRICES, pl.col("volume").cast(pl.Float64),
            )
        )  # fmt: skip
        dividends.append(
            table.filter(pl.col("dividend") > 0).select(
                pl.lit(number, pl.Int32).alias("asset_id"), pl.col("date").alias("ex_date"),
                pl.col("dividend").alias("amount"),
            )
        )  # fmt: skip
    every = pl.concat([part.select(COLUMNS) for part in bars])
    every = every.drop_nulls(PRICES).filter(pl.len().over("asset_id") >= SHORTEST)
    return (
        every.sort("asset_id", "session"),
        _all(splits, SPLITS),
        _all(dividends, DIVIDENDS),
    )


def continuous(shared: Path) -> pl.DataFrame:
    """The same bars adjusted for their splits: what a source that adjusts would tell."""
    bars, splits, _ = as_traded(shared)
    later = splits.sort("asset_id", "ex_date").select(
        "asset_id", pl.col("ex_date").alias("session"),
        pl.col("ratio").cum_prod().over("asset_id").alias("past"),
        pl.col("ratio").product().over("asset_id").alias("all"),
    )  # fmt: skip
    whole = later.group_by("asset_id").agg(pl.col("all").first())
    joined = (
        bars.sort("session")
        .join_asof(later.drop("all").sort("session"), on="session", by="asset_id",
                   check_sortedness=False)
        .join(whole, on="asset_id", how="left")
        .with_columns((pl.col("past").fill_null(1.0) / pl.col("all").fill_null(1.0)).alias("by"))
    )  # fmt: skip
    return (
        joined.with_columns(
            *((pl.col(c) * pl.col("by")).round(6).alias(c) for c in PRICES),
            (pl.col("volume") / pl.col("by")).round(0).alias("volume"),
        )
        .select(COLUMNS)
        .sort("asset_id", "session")
    )


def _all(parts: list[pl.DataFrame], schema: dict[str, pl.DataType]) -> pl.DataFrame:
    empty = pl.DataFrame(schema=schema)
    return pl.concat([empty, *parts], how="diagonal_relaxed").select(
        pl.col(name).cast(kind) for name, kind in schema.items()
    )
