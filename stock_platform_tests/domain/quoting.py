"""Bars as the quotes of a source, judged as runs judge what is stored.

Belongs here: the shape of raw quotes, and what is told of them. Does not: making bars (faults.py,
histories.py, spoiling.py).
"""

from __future__ import annotations

from datetime import UTC, datetime

import polars as pl

from stock_platform.domain.bars import RAW_QUOTES, conform
from stock_platform.domain.calendar import get_calendar
from stock_platform.domain.corporate_actions import DIVIDENDS, SPLITS
from stock_platform.domain.validation import Context, Level, Verdict, choose
from stock_platform.domain.validation.context import find_faults

NOW = datetime(2025, 1, 3, tzinfo=UTC)
NO_SPLITS = pl.DataFrame(schema=SPLITS)
NO_DIVIDENDS = pl.DataFrame(schema=DIVIDENDS)


def quotes(bars: pl.DataFrame, source: str = "one") -> pl.DataFrame:
    """RAW_QUOTES of bars that are as traded, stamped at New York's open in winter.

    A session's second bar is a microsecond later: the key of a stored quote is its stamp.
    """
    full = bars if "volume" in bars.columns else bars.with_columns(volume=None)
    copy = pl.int_range(pl.len()).over("asset_id", "session")
    return conform(
        full.with_columns(
            (pl.col("session").cast(pl.Datetime("us", "UTC")) + pl.duration(hours=14, minutes=30)
             + pl.duration(microseconds=copy)).alias("ts"),
            pl.lit("1d").alias("interval"), pl.lit(source).alias("source"),
            pl.lit("as_traded").alias("basis"), pl.lit(NOW).alias("fetched_at"),
        ),
        RAW_QUOTES,
    )  # fmt: skip


def sessions_of(bars: pl.DataFrame) -> pl.DataFrame:
    """asset_id, session, opens, closes of New York's sessions around the bars."""
    first, last = bars["session"].min(), bars["session"].max()
    table = get_calendar("XNYS").table(first, last)  # type: ignore[arg-type]
    return bars.select("asset_id").unique().sort("asset_id").join(table, how="cross")


def traded(bars: pl.DataFrame, splits: pl.DataFrame) -> pl.DataFrame:
    """Bars that are continuous over their splits, as they were traded."""
    later = splits.select("asset_id", "ex_date", "ratio")
    by = (
        bars.select("asset_id", "session")
        .unique()
        .join(later, on="asset_id", how="left")
        .group_by("asset_id", "session")
        .agg(
            pl.col("ratio").filter(pl.col("ex_date") > pl.col("session")).product().alias("_by")
        )
    )  # fmt: skip
    return (
        bars.join(by, on=["asset_id", "session"], how="left", maintain_order="left")
        .with_columns(
            *(pl.col(c) * pl.col("_by") for c in ("open", "high", "low", "close")),
            pl.col("volume") / pl.col("_by"),
        )
        .drop("_by")
    )


def told_rows(
    bars: pl.DataFrame,
    *,
    splits: pl.DataFrame = NO_SPLITS,
    dividends: pl.DataFrame = NO_DIVIDENDS,
    sessions: pl.DataFrame | None = None,
) -> pl.DataFrame:
    """asset_id, session and rule of every fault that a run would find in stored bars.

    ``bars`` are continuous over the splits, unless they have a basis: as traded.
    """
    raw = bars if "basis" in bars.columns else traded(bars, splits)
    kept = quotes(raw)
    context = Context(kept.select("asset_id", "session"), dividends=dividends, whole=True)
    hours = sessions_of(bars) if sessions is None else sessions
    faults = find_faults(kept, splits, hours, context, Level.STRICT)
    return faults.told.select(
        "asset_id", "session", pl.concat_list("_reasons", "_flags").alias("rule")
    ).explode("rule")


def judged(
    raw: pl.DataFrame,
    *,
    splits: pl.DataFrame = NO_SPLITS,
    sessions: pl.DataFrame | None = None,
    preference: tuple[str, ...] = ("one",),
) -> Verdict:
    """The verdict on all quotes of some assets."""
    return choose(
        raw, splits=splits, sessions=sessions_of(raw) if sessions is None else sessions,
        preference=preference, now=NOW, level=Level.STRICT,
        context=Context(raw.select("asset_id", "session").unique(), whole=True),
    )  # fmt: skip
