"""What speaks against stored bars, so that another source is to be asked.

Belongs here: choosing disputed cells by findings, far moves and splits. Does not: rules
(domain/validation), the vote (domain/comparing.py).
"""

from __future__ import annotations

import numpy as np
import polars as pl

from stock_platform.domain.cells import CellGrid
from stock_platform.domain.comparing import CELL
from stock_platform.domain.validation import Level, Rulebook, findings
from stock_platform.pipeline.validating import session_table
from stock_platform.storage import assets, readers
from stock_platform.storage.connection import Database

SURE = 0.5
"""Findings at least so sure make a cell disputed."""

LONGEST = 5
"""Of a longer finding the first and the last bars are compared: they tell where it ends."""

MOVE_SHARE = 0.5
"""A move beyond this share of a class's ``spike_move`` is far."""


def disputes(
    db: Database, quotes: pl.DataFrame, cells: CellGrid, rulebook: Rulebook
) -> pl.DataFrame:
    """asset_id, interval, session and reason of the disputed cells among ``cells``.

    Args:
        db: the database, for splits, dividends and calendars.
        quotes: as traded, of every source.
        cells: those in question.
        rulebook: thresholds.
    """
    ids = cells.assets.tolist()
    known = assets.by_id(db, ids)
    classes = dict(known.select("asset_id", "asset_class").iter_rows())
    splits = readers.splits(db, ids)
    sessions = session_table(known.select("asset_id", "calendar"), cells)
    found = findings(
        quotes,
        splits=splits,
        dividends=readers.dividends(db, ids),
        sessions=sessions,
        classes=classes,
        rulebook=rulebook,
        level=Level.STRICT,
    ).filter(pl.col("confidence") >= SURE)
    told = pl.concat(
        [
            _bars_of(quotes, found),
            _moves(quotes, splits, classes, rulebook),
            _after_splits(quotes, splits),
        ]
    )
    return told.unique(CELL, keep="first", maintain_order=True).sort(CELL)


def _bars_of(quotes: pl.DataFrame, found: pl.DataFrame) -> pl.DataFrame:
    """The bars that findings are about."""
    named = found.select("asset_id", "interval", "source", "rule", "first_session", "last_session")
    bars = quotes.select(*CELL, "source").unique()
    held = bars.join(named, on=["asset_id", "interval", "source"]).filter(
        pl.col("session").is_between("first_session", "last_session")
    )
    span = ["asset_id", "interval", "source", "rule", "first_session"]
    held = held.with_columns(
        pl.len().over(span).alias("_rows"),
        pl.col("session").rank("ordinal").over(span).alias("_at"),
    ).filter(
        (pl.col("_rows") <= LONGEST) | (pl.col("_at") == 1) | (pl.col("_at") == pl.col("_rows"))
    )
    return held.select(*CELL, pl.col("rule").alias("reason"))


def _moves(
    quotes: pl.DataFrame, splits: pl.DataFrame, classes: dict[int, str], rulebook: Rulebook
) -> pl.DataFrame:
    """Bars whose close is far from the one before it, but for a split between them."""
    far = {
        asset: float(np.log1p(rulebook.of(kind).spike_move * MOVE_SHARE))
        for asset, kind in classes.items()
    }
    on_day = splits.group_by("asset_id", "ex_date").agg(pl.col("ratio").first())
    step = (
        quotes.filter(pl.col("close") > 0)
        .join(on_day, left_on=["asset_id", "session"], right_on=["asset_id", "ex_date"], how="left")
        .sort("asset_id", "interval", "source", "ts")
        .with_columns(
            (pl.col("close") * pl.col("ratio").fill_null(1.0)
             / pl.col("close").shift(1).over("asset_id", "interval", "source"))
            .log().abs().alias("_step"),
            pl.col("asset_id").replace_strict(far, return_dtype=pl.Float64).alias("_far"),
        )
    )  # fmt: skip
    return step.filter(pl.col("_step") > pl.col("_far")).select(
        *CELL, pl.lit("far_move").alias("reason")
    )


def _after_splits(quotes: pl.DataFrame, splits: pl.DataFrame) -> pl.DataFrame:
    """The bar of each split's ex-date: a missing or doubled adjustment shows there."""
    days = splits.select("asset_id", pl.col("ex_date").alias("session")).unique()
    return quotes.join(days, on=["asset_id", "session"], how="semi").select(
        *CELL, pl.lit("first_after_split").alias("reason")
    )
