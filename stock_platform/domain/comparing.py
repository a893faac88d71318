"""Quotes of several sources for one bar: who agrees, who is outvoted, what stays open. Pure.

Belongs here: choosing cells to compare, tolerances, the vote, a source's accuracy. Does not:
splits and dividends (reconciling.py), asking a second source (pipeline/reconciling_prices.py).

Two quotes agree where all four prices do, as traded. A source is outvoted where most of the
voices agree with one another and not with it: two against one at the least, so that one honest
source against one that is wrong stays ``undecided``. Sources that share one host are one voice:
they repeat each other.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from enum import StrEnum

import numpy as np
import numpy.typing as npt
import polars as pl

from stock_platform.domain.bars import PRICE_COLUMNS
from stock_platform.domain.symbols import AssetClass

SAMPLE_SHARE = 0.002
"""Of the cells that are stored, so many are compared."""

SAMPLE_LEAST = 20
"""At least so many of each source, where it has them."""

CELL = ["asset_id", "interval", "session"]


class Opinion(StrEnum):
    """What comparing a cell says of a source."""

    AGREED = "agreed"  # with every other, or with most
    OUTVOTED = "outvoted"  # most agree with one another, and not with it
    UNDECIDED = "undecided"  # they differ, and neither side is the most
    ABSENT = "absent"  # it was asked, and has no bar


class Why(StrEnum):
    """Why a cell is compared."""

    SAMPLED = "sampled"  # by chance
    DISPUTED = "disputed"  # something speaks against its bar
    BESIDE = "beside"  # an answer that was asked for another cell had it too


@dataclass(frozen=True)
class Tolerance:
    """How far apart two prices may be and still be the same.

    Attributes:
        edge: relative, for open, high and low: consolidated tapes and primary exchanges see
            other first and highest trades.
        close: relative, for the close.
        least: absolute: half a unit of the usual rounding of each.
    """

    edge: float
    close: float
    least: float = 0.0101


EXCHANGE = Tolerance(0.01, 0.003)
"""Shares and funds: closing auctions give all the same close; odd lots move the edges."""

TOLERANCES: Mapping[str, Tolerance] = {
    str(AssetClass.STOCK): EXCHANGE,
    str(AssetClass.ETF): EXCHANGE,
    str(AssetClass.FUND): Tolerance(0.002, 0.002),
    str(AssetClass.INDEX): Tolerance(0.005, 0.002),
    str(AssetClass.COMMODITY): Tolerance(0.02, 0.01),
    str(AssetClass.FX): Tolerance(0.01, 0.01, 1e-6),  # days end at other hours
    str(AssetClass.CRYPTO): Tolerance(0.03, 0.015, 1e-8),  # every venue is a market of its own
}

FLOAT32 = 2.0**-22
"""Relative error of a float32 price that was divided by a split and multiplied back."""

VOLUME_FACTOR = 250.0
"""Volumes this far apart count in other units: a single exchange sees a hundredth of the tape."""

# One line a quote of a cell that several voices have.
OPINIONS: dict[str, pl.DataType] = {
    "asset_id": pl.Int32(),
    "interval": pl.String(),
    "session": pl.Date(),
    "source": pl.String(),
    "opinion": pl.String(),
    "voices": pl.Int64(),  # that have the cell
    "allies": pl.Int64(),  # that agree with this quote, its own voice included
    "field": pl.String(),  # in which it differs the most from the others
    "value": pl.Float64(),
    "expected": pl.Float64(),  # the others' median
}


def sample(
    stored: pl.DataFrame,
    day: date,
    *,
    share: float = SAMPLE_SHARE,
    least: int = SAMPLE_LEAST,
    checked: Mapping[str, int] | None = None,
) -> pl.DataFrame:
    """Cells chosen by chance: the same on one day, others on the next.

    Args:
        stored: asset_id, interval, session, source: who has which cell.
        day: seeds the choice.
        share: of each source's cells.
        least: at least so many of each source.
        checked: how many quotes of each source were compared today already; they count
            towards ``least``.

    Returns:
        asset_id, interval, session; each once.
    """
    if stored.is_empty():
        return stored.select(CELL)
    known = checked or {}
    drawn = stored.with_columns(pl.Series("_draw", _draws(stored, day), pl.UInt64))
    rank = pl.col("_draw").rank("ordinal").over("source")
    missing = least - pl.col("source").replace_strict(known, default=0, return_dtype=pl.Int64)
    by_chance = pl.col("_draw").cast(pl.Float64) < share * 2.0**64
    return (
        drawn.filter(by_chance | (rank <= missing))
        .select(CELL).unique().sort(CELL)
    )  # fmt: skip


def _draws(stored: pl.DataFrame, day: date) -> npt.NDArray[np.uint64]:
    """A number for each cell that looks like chance and is the same on one day everywhere.

    The finaliser of SplitMix64 (Steele, Lea and Flood, 2014).
    """
    asset = stored["asset_id"].cast(pl.UInt64).to_numpy()
    session = stored["session"].cast(pl.Int32).cast(pl.Int64).to_numpy().astype(np.uint64)
    mixed = (asset << np.uint64(32)) ^ (session << np.uint64(16)) ^ np.uint64(day.toordinal())
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB), (31, 1)):
        mixed = (mixed ^ (mixed >> np.uint64(shift))) * np.uint64(factor)
    return mixed


def compare(
    quotes: pl.DataFrame,
    voices: Mapping[str, str],
    classes: Mapping[int, str],
    float32: frozenset[str] = frozenset(),
) -> pl.DataFrame:
    """OPINIONS on every quote of the cells that more than one voice has.

    Args:
        quotes: asset_id, interval, session, source, open, high, low, close, volume, as traded;
            one line a source and cell.
        voices: by source, whose words they are; absent: its own.
        classes: asset class by asset.
        float32: sources whose prices went through float32.
    """
    if quotes.is_empty():
        return pl.DataFrame(schema=OPINIONS)
    rows = quotes.filter(
        pl.all_horizontal(pl.col(c).is_finite() for c in PRICE_COLUMNS)
    ).select(
        *CELL, "source", *PRICE_COLUMNS, "volume",
        pl.col("source").replace(voices).alias("voice"),
        pl.col("source").is_in(sorted(float32)).alias("noisy"),
    ).with_columns(pl.col("voice").n_unique().over(CELL).alias("voices"))  # fmt: skip
    rows = rows.filter(pl.col("voices") > 1)
    if rows.is_empty():
        return pl.DataFrame(schema=OPINIONS)
    pairs = rows.join(rows, on=CELL, suffix="_other").with_columns(_same(classes).alias("_same"))
    counted = (
        pairs.group_by(*CELL, "source", "voices")
        .agg(
            pl.col("voice_other").filter(pl.col("_same")).n_unique().alias("allies"),
            *(pl.col(f"{c}_other").filter(pl.col("voice") != pl.col("voice_other")).median()
              .alias(f"_{c}") for c in PRICE_COLUMNS),
            *(pl.col(c).first() for c in PRICE_COLUMNS),
        )
        .with_columns(pl.col("allies").max().over(CELL).alias("_best"))
    )  # fmt: skip
    most = pl.col("_best") * 2 > pl.col("voices")
    with_most = (pl.col("allies") == pl.col("_best")).any() & (pl.col("_best") > 1)
    top = counted.filter(most & (pl.col("allies") == pl.col("_best"))).select(*CELL, "source")
    friends = (
        pairs.filter("_same")
        .join(top.rename({"source": "source_other"}), on=[*CELL, "source_other"], how="semi")
        .select(*CELL, "source").unique().with_columns(pl.lit(value=True).alias("_friend"))
    )  # fmt: skip
    unanimous = pl.col("allies").min().over(CELL) == pl.col("voices")
    return (
        counted.join(friends, on=[*CELL, "source"], how="left")
        .with_columns(
            pl.when(unanimous).then(pl.lit(str(Opinion.AGREED)))
            .when(most & with_most.over(CELL) & pl.col("_friend").fill_null(value=False))
            .then(pl.lit(str(Opinion.AGREED)))
            .when(most & with_most.over(CELL)).then(pl.lit(str(Opinion.OUTVOTED)))
            .otherwise(pl.lit(str(Opinion.UNDECIDED))).alias("opinion"),
            _worst().alias("field"),
        )
        .with_columns(_of("").alias("value"), _of("_").alias("expected"))
        .select(pl.col(name).cast(kind) for name, kind in OPINIONS.items())
        .sort(*CELL, "source")
    )  # fmt: skip


def _same(classes: Mapping[int, str]) -> pl.Expr:
    """Whether the two quotes of a pair are the same bar."""
    kind = pl.col("asset_id").replace_strict(
        dict(classes), default=str(AssetClass.STOCK), return_dtype=pl.String
    )

    def per_class(name: str) -> pl.Expr:
        known = {k: getattr(t, name) for k, t in TOLERANCES.items()}
        return kind.replace_strict(known, default=getattr(EXCHANGE, name), return_dtype=pl.Float64)

    noise = pl.when(pl.col("noisy") | pl.col("noisy_other")).then(FLOAT32).otherwise(0.0)
    close, edge, least = per_class("close"), per_class("edge"), per_class("least")
    tests = []
    for column in PRICE_COLUMNS:
        ours, theirs = pl.col(column), pl.col(f"{column}_other")
        size = pl.max_horizontal(ours.abs(), theirs.abs())
        allowed = (close if column == "close" else edge) + noise
        tests.append(
            (ours - theirs).abs()
            <= pl.max_horizontal(size * allowed, least.clip(None, size * 0.05))
        )
    ours, theirs = pl.col("volume"), pl.col("volume_other")
    both = (ours > 0) & (theirs > 0)
    apart = both & ((ours / theirs > VOLUME_FACTOR) | (theirs / ours > VOLUME_FACTOR))
    return pl.all_horizontal(*tests) & ~apart.fill_null(value=False)


def _worst() -> pl.Expr:
    """The name of the price farthest from the others' median; "volume" where none is."""
    off = [_off(c) for c in PRICE_COLUMNS]
    most = pl.max_horizontal(*off)
    farthest = pl.coalesce(
        pl.when(by == most).then(pl.lit(c)) for c, by in zip(PRICE_COLUMNS, off, strict=True)
    )
    return pl.when(most < 1e-9).then(pl.lit("volume")).otherwise(farthest)


def _off(column: str) -> pl.Expr:
    return (pl.col(column) / pl.col(f"_{column}") - 1).abs()


def _of(prefix: str) -> pl.Expr:
    """The value of the price that ``field`` names."""
    return pl.coalesce(
        pl.when(pl.col("field") == c).then(pl.col(f"{prefix}{c}")) for c in PRICE_COLUMNS
    )


def accuracy(
    *, stored: int, disputed: int, of_disputed: tuple[int, int], of_others: tuple[int, int]
) -> float | None:
    """The share of a source's bars that are right, 0 to 1; None where too little was compared.

    Disputed cells are compared because they are likely wrong, so they may not stand for the
    rest: each stratum's rate counts by the cells it stands for.

    Args:
        stored: the source's cells in question.
        disputed: how many of them are disputed.
        of_disputed: (agreed, outvoted) among disputed cells that were decided.
        of_others: (agreed, outvoted) among the others: sampled, or beside them.
    """
    others = max(0, stored - disputed)
    agreed, outvoted = of_others
    if not agreed + outvoted or not stored:
        return None
    wrong = others * outvoted / (agreed + outvoted)
    agreed, outvoted = of_disputed
    if agreed + outvoted:
        wrong += min(disputed, stored) * outvoted / (agreed + outvoted)
    return max(0.0, 1.0 - wrong / max(stored, 1))
