"""Quotes of several sources judged among their neighbours, before one of them is chosen.

Belongs here: what series rules say of each quote, and repairs that are certain. Does not: rules
(neighbours.py), choosing (choosing.py).

A quote's verdict depends on the quotes of its asset in its block and the two beside it
(findings.BLOCK_DAYS, cut at the same days for everybody), on the asset's splits and dividends
and on the rulebook; on nothing else. So it is the same whatever else is judged with it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import polars as pl

from stock_platform.domain.bars import PRICE_COLUMNS, Basis
from stock_platform.domain.corporate_actions import DIVIDENDS
from stock_platform.domain.validation.findings import block_days, neighbour_hits, with_severity
from stock_platform.domain.validation.neighbours import Surroundings
from stock_platform.domain.validation.rulebook import CERTAIN, Rulebook
from stock_platform.domain.validation.rules import Level, Severity
from stock_platform.domain.validation.series import prepare

REPAIRED = "repaired"
"""The flag of a bar whose prices are not what its source said; the raw quote keeps those."""


@dataclass(frozen=True)
class Context:
    """What series rules need besides the quotes.

    Attributes:
        cells: asset_id and session of the cells to judge; other quotes are there to compare.
        dividends: DIVIDENDS in force.
        classes: asset class by asset.
        rulebook: thresholds and actions.
    """

    cells: pl.DataFrame
    dividends: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=DIVIDENDS))
    classes: Mapping[int, str] = field(default_factory=dict)
    rulebook: Rulebook = field(default_factory=Rulebook)


def among_neighbours(
    traded: pl.DataFrame,
    splits: pl.DataFrame,
    sessions: pl.DataFrame,
    context: Context,
    level: Level,
) -> pl.DataFrame:
    """The quotes of the context's cells, with what the series rules say of them.

    Args:
        traded: quotes as traded where their basis allows it, of the cells and around them.
        splits: SPLITS in force.
        sessions: asset_id, session, opens, closes of the days that quotes are of.
        context: see ``Context``.
        level: how much is checked.

    Returns:
        The cells' quotes with ``_reasons`` and ``_flags`` (lists of rules) and ``_repaired``;
        where every error of a quote has one certain repair, it is applied.
    """
    numbered = traded.with_row_index("_quote")
    fit = pl.all_horizontal(pl.col(c).is_not_null() for c in ("asset_id", "ts", "session")) & (
        pl.col("basis") != str(Basis.FULLY_ADJUSTED)
    )
    told = [
        _told(part, splits, sessions, context, level, interval)
        for (interval,), part in numbered.filter(fit).partition_by("interval", as_dict=True).items()
    ]
    judged = numbered.join(
        context.cells.select("asset_id", "session"), on=["asset_id", "session"], how="semi",
        maintain_order="left",
    )  # fmt: skip
    if not told:
        nothing = pl.lit([], pl.List(pl.String))
        return judged.drop("_quote").with_columns(
            nothing.alias("_reasons"), nothing.alias("_flags"),
            pl.lit(value=False).alias("_repaired"),
        )  # fmt: skip
    error = pl.col("severity") == str(Severity.ERROR)
    sure = error & pl.col("factor").is_not_null() & (pl.col("confidence") >= CERTAIN)
    by_quote = (
        pl.concat(told)
        .group_by("_quote")
        .agg(
            pl.col("rule").filter(error).unique().sort().alias("_reasons"),
            pl.col("rule").filter(~error).unique().sort().alias("_flags"),
            (error.sum() == sure.sum()).alias("_certain"),
            pl.col("factor").filter(sure).first().alias("_factor"),
            pl.col("factor").filter(sure).n_unique().alias("_factors"),
            pl.col("volume_factor").filter(sure).first().alias("_volume_factor"),
        )
    )
    none = pl.lit([], pl.List(pl.String))
    known = judged.join(by_quote, on="_quote", how="left", maintain_order="left").with_columns(
        pl.col("_reasons").fill_null(none), pl.col("_flags").fill_null(none)
    )
    repaired = (
        (pl.col("_certain") & (pl.col("_factors") == 1) & (pl.col("_reasons").list.len() > 0))
        .fill_null(value=False)
    )  # fmt: skip
    known = known.with_columns(repaired.alias("_repaired"))
    apply = pl.col("_repaired")
    marks = pl.concat_list("_flags", "_reasons", pl.lit([REPAIRED], pl.List(pl.String)))
    price = {c: (pl.col(c) * pl.col("_factor")).round(8) for c in (*PRICE_COLUMNS, "vwap")}
    return known.with_columns(
        *(
            pl.when(apply).then(fixed).otherwise(pl.col(c)).alias(c)
            for c, fixed in price.items()
        ),
        pl.when(apply).then((pl.col("volume") * pl.col("_volume_factor").fill_null(1.0)).round(8))
        .otherwise(pl.col("volume")).alias("volume"),
        pl.when(apply).then(marks).otherwise(pl.col("_flags")).alias("_flags"),
        pl.when(apply).then(none).otherwise(pl.col("_reasons")).alias("_reasons"),
    ).drop("_quote", "_certain", "_factor", "_factors", "_volume_factor")  # fmt: skip


def _told(
    quotes: pl.DataFrame,
    splits: pl.DataFrame,
    sessions: pl.DataFrame,
    context: Context,
    level: Level,
    interval: object,
) -> pl.DataFrame:
    """_quote, rule, severity, confidence, factor, volume_factor of every fault."""
    series = prepare(
        quotes.with_columns(pl.lit(str(Basis.AS_TRADED)).alias("basis")),
        splits=splits,
        dividends=context.dividends,
        classes=context.classes,
        rulebook=context.rulebook,
        block_days=block_days(str(interval)),
    )
    around = Surroundings(series, sessions)
    found = with_severity(series, neighbour_hits(around, level), context.rulebook)
    return found.join(series.bars.select("row", "_quote"), on="row", maintain_order="left").select(
        "_quote", "rule", "severity", "confidence", "factor", "volume_factor"
    )
