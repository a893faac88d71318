"""From what sources said to the one bar we stand behind.

Belongs here: bringing quotes to one basis, and the order of preference. Does not: the rules
(rules.py). Pure: the same rows, splits and time give the same verdict, so it can be run
again at any time.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

import polars as pl

from stock_platform.domain.bars import (
    PRICE_COLUMNS,
    RAW_QUOTES,
    UTC_STAMP,
    VALIDATED_PRICES,
    Basis,
    conform,
)
from stock_platform.domain.batches import QUARANTINE
from stock_platform.domain.comparing import Opinion
from stock_platform.domain.corporate_actions import undo_own_splits, undo_splits
from stock_platform.domain.validation.context import Context, among_neighbours
from stock_platform.domain.validation.decisions import honour
from stock_platform.domain.validation.rules import PRICE_CEILING, Level, judge

DECIMALS = 8
"""Decimals of a stored price (NUMERIC(20,8))."""

FLOAT32_NOISE = 2.0**-23
"""Relative error of a price that went through float32, and then to its shortest decimal."""

OUTVOTED = "outvoted"
"""The reason of a quote that most other sources agree against."""

DISPUTED = "disputed"
"""The flag of a bar of which sources differ, and neither side is the most."""


@dataclass(frozen=True)
class Verdict:
    """What became of some raw quotes.

    Attributes:
        accepted: VALIDATED_PRICES, one row a bar, as traded, by asset and time.
        quarantined: QUARANTINE, one row for each raw quote that failed a rule.
    """

    accepted: pl.DataFrame
    quarantined: pl.DataFrame


def choose(
    raw: pl.DataFrame,
    *,
    splits: pl.DataFrame,
    sessions: pl.DataFrame,
    preference: Sequence[str],
    now: datetime,
    level: Level = Level.STANDARD,
    float32: Collection[str] = (),
    told: pl.DataFrame | None = None,
    tellers: Collection[str] = (),
    context: Context | None = None,
    compared: pl.DataFrame | None = None,
    decided: pl.DataFrame | None = None,
    traded: pl.DataFrame | None = None,
) -> Verdict:
    """Judge raw quotes and choose one for each bar.

    Among the quotes that pass, those that no series rule doubts or repaired go first, then
    prices that came as traded before those whose splits had to be undone, then sources in the
    order of ``preference``, then by name. If the first choice fails a rule it is put aside, and
    the next takes its place.

    Args:
        raw: RAW_QUOTES (and fetch_id).
        splits: SPLITS in force of the assets.
        sessions: asset_id, session, opens, closes.
        preference: sources, best first; others come after them.
        now: aware instant; later bars are refused.
        level: how much is checked.
        float32: sources whose prices carry float32 noise (74.05999755859375 for 74.06).
        told: TOLD_SPLITS of the assets.
        tellers: sources that tell the splits which their prices are adjusted for: they are
            undone by their own words of then, and others by the splits in force.
        context: the cells to judge, where ``raw`` holds their neighbours too; None judges
            every quote, by its own rules alone.
        compared: CHECKS of the quotes that were compared with other sources': those outvoted
            are put aside, those undecided get the flag ``disputed``.
        decided: people's decisions that stand (decisions.py); what they accepted goes first.
        traded: the quotes as traded (``as_traded``), where that was asked already.
    """
    if traded is None:
        traded = as_traded(raw, splits, frozenset(float32), told, frozenset(tellers))
    if context is None:
        judged = _judged(traded, sessions, now, level).with_columns(
            pl.lit(value=False).alias("_doubted")
        )
    else:
        judged = _among(traded, splits, sessions, context, now, level)
    if compared is not None and not compared.is_empty():
        judged = _with_opinions(judged, compared)
    if decided is not None and not decided.is_empty():
        judged = honour(judged, decided)
    else:
        judged = judged.with_columns(pl.lit(value=False).alias("_accepted"))
    good = pl.col("reasons").list.len() == 0
    names = {name: rank for rank, name in enumerate(preference)}
    daily = pl.col("interval") == "1d"
    # an average that no column holds is left out: vwap_outside_range has flagged the bar
    storable = pl.col("vwap").is_finite() & (pl.col("vwap").abs() < PRICE_CEILING)
    accepted = (
        judged.filter(good)
        .with_columns(
            pl.when(storable).then(pl.col("vwap")).alias("vwap"),
            (pl.col("basis") != str(Basis.AS_TRADED)).alias("_derived"),
            pl.col("source")
            .replace_strict(names, default=len(names), return_dtype=pl.Int64)
            .alias("_rank"),
            pl.when(daily)
            .then(pl.col("session").cast(pl.Datetime("us")))
            .otherwise(pl.col("ts").dt.replace_time_zone(None))
            .alias("_bar"),
        )
        .sort(
            "asset_id",
            "interval",
            "_bar",
            "_accepted",
            "_doubted",
            "_derived",
            "_rank",
            "source",
            "ts",
            descending=[False, False, False, True, *[False] * 5],
        )
        .unique(["asset_id", "interval", "_bar"], keep="first", maintain_order=True)
    )
    aside = judged.filter(~good)
    if context is not None:
        aside = aside.sort("asset_id", "interval", "source", "ts")
    return Verdict(conform(accepted, VALIDATED_PRICES), _put_aside(raw, aside))


def _judged(
    traded: pl.DataFrame, sessions: pl.DataFrame, now: datetime, level: Level
) -> pl.DataFrame:
    """Quotes with what their own rules say of them."""
    return judge(
        traded.join(sessions, on=["asset_id", "session"], how="left").with_columns(
            pl.lit(now).cast(UTC_STAMP).alias("now")
        ),
        level,
    )


def _among(
    traded: pl.DataFrame,
    splits: pl.DataFrame,
    sessions: pl.DataFrame,
    context: Context,
    now: datetime,
    level: Level,
) -> pl.DataFrame:
    """The cells' quotes with what their own rules and series rules say of them."""
    quiet, spoken = among_neighbours(traded, splits, sessions, context, level)
    plain = _judged(quiet, sessions, now, level).with_columns(pl.lit(value=False).alias("_doubted"))
    if spoken.is_empty():
        return plain
    told = (
        _judged(spoken, sessions, now, level)
        .with_columns(
            pl.concat_list("reasons", "_reasons").alias("reasons"),
            pl.concat_list("flags", "_flags").alias("flags"),
            (pl.col("_flags").list.len() > 0).alias("_doubted"),
        )
        .select(plain.columns)
    )
    return pl.concat([plain, told])


def _with_opinions(judged: pl.DataFrame, compared: pl.DataFrame) -> pl.DataFrame:
    """What other sources say of a quote, where it is the one that was compared."""
    key = ["asset_id", "interval", "session", "source"]
    told = judged.join(
        compared.select(*key, "opinion", "checked_at"), on=key, how="left", maintain_order="left"
    )
    same = pl.col("fetched_at") <= pl.col("checked_at")
    for opinion, column, word in (
        (Opinion.OUTVOTED, "reasons", OUTVOTED),
        (Opinion.UNDECIDED, "flags", DISPUTED),
    ):
        meant = (same & (pl.col("opinion") == str(opinion))).fill_null(value=False)
        told = told.with_columns(
            pl.when(meant)
            .then(pl.concat_list(column, pl.lit([word], dtype=pl.List(pl.String))))
            .otherwise(pl.col(column))
            .alias(column)
        )
    return told.drop("opinion", "checked_at")


def as_traded(
    raw: pl.DataFrame,
    splits: pl.DataFrame,
    float32: frozenset[str],
    told: pl.DataFrame | None,
    tellers: frozenset[str],
) -> pl.DataFrame:
    """The quotes with prices as traded, where their basis allows it, as they can be stored."""
    noisy = pl.col("source").is_in(sorted(float32))
    clean = raw
    if float32:
        clean = raw.with_columns(
            pl.when(noisy).then(_shortest(c)).otherwise(pl.col(c)).alias(c) for c in PRICE_COLUMNS
        )
    derived = pl.col("basis") == str(Basis.SPLIT_ADJUSTED)
    adjusted, others = clean.filter(derived), clean.filter(~derived)
    if told is not None and tellers:
        telling = pl.col("source").is_in(sorted(tellers))
        adjusted = pl.concat([adjusted.filter(telling), adjusted.filter(~telling)])
        undone = pl.concat(
            [
                undo_own_splits(adjusted.filter(telling), told),
                undo_splits(adjusted.filter(~telling), splits),
            ]
        )
    else:
        undone = undo_splits(adjusted, splits)
    settled = undone.with_columns(
        pl.when(noisy & (pl.col(c) != adjusted[c])).then(_simplest(c)).otherwise(pl.col(c)).alias(c)
        for c in PRICE_COLUMNS
    )
    return pl.concat([others, settled]).with_columns(
        pl.col(*PRICE_COLUMNS, "vwap", "volume").round(DECIMALS)
    )


def _shortest(column: str) -> pl.Expr:
    """The shortest decimal that has the same float32: what the vendor rounded away."""
    return pl.col(column).cast(pl.Float32).cast(pl.String).cast(pl.Float64)


def _simplest(column: str) -> pl.Expr:
    """The price with the fewest decimals, two or four, among those that float32 leaves open.

    A price divided by a split, rounded to float32 and multiplied back is off by up to one
    part in eight million: 645.5700 comes back as 645.570016.
    """
    price = pl.col(column)
    open_to = price.abs() * FLOAT32_NOISE
    return (
        pl.when((price - price.round(2)).abs() <= open_to)
        .then(price.round(2))
        .when((price - price.round(4)).abs() <= open_to)
        .then(price.round(4))
        .otherwise(price)
    )


def _put_aside(raw: pl.DataFrame, failed: pl.DataFrame) -> pl.DataFrame:
    """QUARANTINE of the quotes that failed, each with the row as it came."""
    key = ["asset_id", "interval", "source", "ts"]
    as_it_came = raw.join(failed, on=key, how="semi", nulls_equal=True).select(
        *key,
        pl.struct(c for c in RAW_QUOTES if c in raw.columns).struct.json_encode().alias("row"),
    )
    return conform(
        failed.select(*key, "session", "reasons").join(
            as_it_came, on=key, how="left", nulls_equal=True
        ),
        QUARANTINE,
    )
