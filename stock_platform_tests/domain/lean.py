"""Lean's truth set: raw daily bars, and what its factor and map files say of them.

A map file lists (last day, ticker) of one security; a factor file lists (last day, dividend
factor, split factor, close of that day): the factors hold up to that day, inclusive.
Provenance: prices/INDEX.tsv in the shared fixtures.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl

from stock_platform.domain.calendar import get_calendar
from stock_platform.domain.corporate_actions import DIVIDENDS, SPLITS

FETCHED = datetime(2021, 4, 1, tzinfo=UTC)
PRICES = ["open", "high", "low", "close"]


def raw_bars(lean: Path) -> pl.DataFrame:
    """asset_id, security, session, prices, volume, fetched_at: every security's bars as traded."""
    bars = pl.read_csv(
        lean / "equity_usa_daily_raw.csv.gz",
        schema_overrides={"symbol": pl.String, "date": pl.Date, "volume": pl.Float64},
    ).rename({"date": "session"})
    spans = [
        span
        for file in sorted((lean / "map_files").glob("*.csv"))
        if (lean / "factor_files" / file.name).exists()
        for span in _spans(file)
    ]
    named = pl.DataFrame(spans, schema=["security", "symbol", "since", "until"], orient="row")
    return (
        bars.join(named, on="symbol")
        .filter(pl.col("session").is_between("since", "until"))
        .with_columns(
            pl.col("security").rank("dense").cast(pl.Int32).alias("asset_id"),
            pl.lit(FETCHED).cast(pl.Datetime("us", "UTC")).alias("fetched_at"),
        )
        .sort("asset_id", "session")
    )


def factors(lean: Path, bars: pl.DataFrame) -> pl.DataFrame:
    """asset_id, until, price_factor, split_factor, close: the rows of the factor files."""
    known = bars.select("security", "asset_id").unique()
    files = [
        pl.read_csv(
            file,
            has_header=False,
            schema={
                "until": pl.String(),
                "price_factor": pl.Float64(),
                "split_factor": pl.Float64(),
                "close": pl.Float64(),
            },
        ).with_columns(pl.lit(file.stem).alias("security"))
        for file in sorted((lean / "factor_files").glob("*.csv"))
    ]
    return (
        pl.concat(files)
        .with_columns(pl.col("until").str.to_date("%Y%m%d"))
        .join(known, on="security")
        .sort("asset_id", "until")
    )


def actions(rows: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """SPLITS and DIVIDENDS that lead from each row of factors to the next."""
    calendar = get_calendar("XNYS")
    steps = rows.with_columns(
        (pl.col("split_factor").shift(-1) / pl.col("split_factor")).over("asset_id").alias("ratio"),
        (pl.col("price_factor") / pl.col("price_factor").shift(-1)).over("asset_id").alias("left"),
    ).filter(pl.col("ratio").is_not_null())
    told = steps.with_columns(
        pl.col("until").map_elements(calendar.next_session, pl.Date).alias("ex_date"),
        pl.lit("lean").alias("source"),
        pl.lit(FETCHED).cast(pl.Datetime("us", "UTC")).alias("fetched_at"),
        (pl.col("close") * (1 - pl.col("left")) / pl.col("ratio")).alias("amount"),
        pl.lit("USD").alias("currency"),
    )
    return (
        told.filter(pl.col("ratio") != 1).select(list(SPLITS)),
        told.filter(pl.col("left") != 1).select(list(DIVIDENDS)),
    )


def adjusted(bars: pl.DataFrame, rows: pl.DataFrame) -> pl.DataFrame:
    """``bars`` with the split_factor and price_factor that Lean multiplies each by."""
    return (
        bars.sort("session")
        .join_asof(
            rows.select("asset_id", "until", "split_factor", "price_factor").sort("until"),
            left_on="session",
            right_on="until",
            by="asset_id",
            strategy="forward",
            check_sortedness=False,
        )
        .sort("asset_id", "session")
    )


def _spans(file: Path) -> list[tuple[str, str, object, object]]:
    """(security, ticker, first day, last day) of each ticker that a security had."""
    rows = [line.split(",")[:2] for line in file.read_text().split()]
    days = [datetime.strptime(day, "%Y%m%d").replace(tzinfo=UTC).date() for day, _ in rows]
    starts = [days[0], *(day + timedelta(days=1) for day in days[1:-1])]
    return [
        (file.stem, ticker.upper(), since, until)
        for (_, ticker), since, until in zip(rows[1:], starts, days[1:], strict=True)
    ]
