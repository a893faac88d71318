"""Quotes of several sources judged among their neighbours, before one of them is chosen.

Belongs here: what series rules say of each quote, and repairs that are certain. Does not: rules
(neighbours.py), choosing (choosing.py).

A quote's verdict depends on the quotes of its asset in its block and the two beside it
(findings.BLOCK_DAYS, cut at the same days for everybody), on the asset's splits and dividends
and on the rulebook. Where a series changes its level within such a window and does not come
back, its rules of reach ``series`` are asked of all its bars besides: every bar before a split
may be wrong. Nothing else enters. So a verdict is the same whatever else is judged with it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import polars as pl

from stock_platform.domain.bars import PRICE_COLUMNS, Basis
from stock_platform.domain.batches import BLOCK
from stock_platform.domain.corporate_actions import DIVIDENDS
from stock_platform.domain.validation.findings import block_days, neighbour_hits, with_severity
from stock_platform.domain.validation.neighbours import SERIES_RULES, Reach, Surroundings
from stock_platform.domain.validation.rulebook import CERTAIN, Rulebook
from stock_platform.domain.validation.rules import Level, Severity
from stock_platform.domain.validation.series import prepare

REPAIRED = "repaired"
"""The flag of a bar whose prices are not what its source said; the raw quote keeps those."""

QUOTE = ["asset_id", "interval", "source", "ts"]

_NAMES = pl.List(pl.String())

# What series rules say of a quote; quotes of which they say nothing are left out.
FAULTS: dict[str, pl.DataType] = {
    "_reasons": _NAMES,  # errors
    "_flags": _NAMES,  # warnings
    "_certain": pl.Boolean(),  # whether every error has one repair, and that is certain
    "_factor": pl.Float64(),
    "_volume_factor": pl.Float64(),
}


@dataclass(frozen=True)
class Faults:
    """What series rules say of quotes.

    Attributes:
        told: QUOTE, session and FAULTS.
        open: BLOCK: the blocks around which a series changes its level for longer than the
            blocks beside them.
    """

    told: pl.DataFrame
    open: pl.DataFrame


@dataclass(frozen=True)
class Context:
    """What series rules need besides the quotes.

    Attributes:
        cells: asset_id and session of the cells to judge; other quotes are there to compare.
            None: the cells of all quotes.
        dividends: DIVIDENDS in force.
        classes: asset class by asset.
        rulebook: thresholds and actions.
        whole: the quotes are all that there are of their assets: where a level is left open,
            the whole series is judged.
        faults: what was found already (Faults.told): then no neighbours are needed.
    """

    cells: pl.DataFrame | None = None
    dividends: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=DIVIDENDS))
    classes: Mapping[int, str] = field(default_factory=dict)
    rulebook: Rulebook = field(default_factory=Rulebook)
    whole: bool = False
    faults: pl.DataFrame | None = None


def among_neighbours(
    traded: pl.DataFrame,
    splits: pl.DataFrame,
    sessions: pl.DataFrame,
    context: Context,
    level: Level,
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The quotes of the context's cells of which series rules say nothing, and the others.

    Args:
        traded: quotes as traded where their basis allows it, of the cells and around them.
        splits: SPLITS in force.
        sessions: asset_id, session, opens, closes of the days that quotes are of.
        context: see ``Context``.
        level: how much is checked.

    Returns:
        The quiet ones, and those spoken of with ``_reasons`` and ``_flags`` (lists of rules);
        where every error of a quote has one certain repair, it is applied and flagged.
    """
    numbered = traded.with_row_index("_quote")
    if context.faults is None:
        told, _ = _told(numbered, splits, sessions, context, level)
        key = ["_quote"]
    else:
        told, key = context.faults, QUOTE
    spoken = numbered.join(told.select(*key, *FAULTS), on=key, maintain_order="left")
    said = np.zeros(numbered.height, dtype=np.bool_)
    said[spoken["_quote"].to_numpy()] = True
    quiet = traded.filter(~pl.Series(said))
    if context.cells is not None:
        cells = context.cells.select("asset_id", "session")
        quiet, spoken = (
            f.join(cells, on=["asset_id", "session"], how="semi", maintain_order="left")
            for f in (quiet, spoken)
        )
    return quiet, _repaired(spoken)


def _repaired(spoken: pl.DataFrame) -> pl.DataFrame:
    """Quotes with FAULTS, repaired where that is certain."""
    none = pl.lit([], _NAMES)
    apply = pl.col("_certain").fill_null(value=False)
    marks = pl.concat_list("_flags", "_reasons", pl.lit([REPAIRED], _NAMES))
    price = {c: (pl.col(c) * pl.col("_factor")).round(8) for c in (*PRICE_COLUMNS, "vwap")}
    return spoken.with_columns(
        *(
            pl.when(apply).then(fixed).otherwise(pl.col(c)).alias(c)
            for c, fixed in price.items()
        ),
        pl.when(apply).then((pl.col("volume") * pl.col("_volume_factor").fill_null(1.0)).round(8))
        .otherwise(pl.col("volume")).alias("volume"),
        pl.when(apply).then(marks).otherwise(pl.col("_flags")).alias("_flags"),
        pl.when(apply).then(none).otherwise(pl.col("_reasons")).alias("_reasons"),
    ).drop("_quote", "_certain", "_factor", "_volume_factor")  # fmt: skip


def find_faults(
    traded: pl.DataFrame,
    splits: pl.DataFrame,
    sessions: pl.DataFrame,
    context: Context,
    level: Level,
) -> Faults:
    """What series rules say of quotes; arguments as for ``among_neighbours``."""
    numbered = traded.with_row_index("_quote")
    told, open_ = _told(numbered, splits, sessions, context, level)
    named = told.join(numbered.select("_quote", *QUOTE, "session"), on="_quote")
    return Faults(named.select(*QUOTE, "session", *FAULTS), open_)


def _told(
    numbered: pl.DataFrame,
    splits: pl.DataFrame,
    sessions: pl.DataFrame,
    context: Context,
    level: Level,
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """_quote and FAULTS of every quote with a fault; the open blocks."""
    fit = pl.all_horizontal(pl.col(c).is_not_null() for c in ("asset_id", "ts", "session")) & (
        pl.col("basis") != str(Basis.FULLY_ADJUSTED)
    )
    found, left = [pl.DataFrame(schema=_HIT)], [pl.DataFrame(schema=BLOCK)]
    for (interval,), part in numbered.filter(fit).partition_by("interval", as_dict=True).items():
        days = block_days(str(interval))
        near = _surroundings(part, splits, sessions, context, days)
        every = neighbour_hits(near, level)
        open_ = near.shifts.open.join(
            near.series.bars.select("series", "asset_id").unique("series"), on="series"
        ).select(pl.col(name).cast(kind) for name, kind in BLOCK.items())
        left.append(open_.unique())
        if not context.whole or open_.is_empty():
            found.append(_severe(near, every, context))
            continue
        wide = set(open_["asset_id"])
        mine = near.series.bars.select("row", pl.col("asset_id").is_in(list(wide)).alias("_wide"))
        far = [name for name, rule in SERIES_RULES.items() if rule.reach is Reach.SERIES]
        kept = every.join(mine, on="row").filter(~pl.col("_wide") | ~pl.col("rule").is_in(far))
        found.append(_severe(near, kept.drop("_wide"), context))
        all_ = _surroundings(
            part.filter(pl.col("asset_id").is_in(list(wide))), splits, sessions, context, None
        )
        found.append(_severe(all_, neighbour_hits(all_, level, (Reach.SERIES,)), context))
    return _by_quote(pl.concat(found)), pl.concat(left)


_HIT: dict[str, pl.DataType] = {
    "_quote": pl.UInt32(),
    "rule": pl.String(),
    "severity": pl.String(),
    "confidence": pl.Float64(),
    "factor": pl.Float64(),
    "volume_factor": pl.Float64(),
}


def _surroundings(
    quotes: pl.DataFrame,
    splits: pl.DataFrame,
    sessions: pl.DataFrame,
    context: Context,
    days: int | None,
) -> Surroundings:
    series = prepare(
        quotes.with_columns(pl.lit(str(Basis.AS_TRADED)).alias("basis")),
        splits=splits,
        dividends=context.dividends,
        classes=context.classes,
        rulebook=context.rulebook,
        block_days=days,
    )
    return Surroundings(series, sessions)


def _severe(around: Surroundings, hits: pl.DataFrame, context: Context) -> pl.DataFrame:
    found = with_severity(around.series, hits, context.rulebook)
    return found.join(around.series.bars.select("row", "_quote"), on="row").select(list(_HIT))


def _by_quote(hits: pl.DataFrame) -> pl.DataFrame:
    error = pl.col("severity") == str(Severity.ERROR)
    sure = error & pl.col("factor").is_not_null() & (pl.col("confidence") >= CERTAIN)
    return (
        hits.sort("_quote", "rule", "confidence")
        .group_by("_quote", maintain_order=True)
        .agg(
            pl.col("rule").filter(error).unique().sort().alias("_reasons"),
            pl.col("rule").filter(~error).unique().sort().alias("_flags"),
            (
                error.any() & (error.sum() == sure.sum())
                & (pl.col("factor").filter(sure).n_unique() == 1)
            ).alias("_certain"),
            pl.col("factor").filter(sure).first().alias("_factor"),
            pl.col("volume_factor").filter(sure).first().alias("_volume_factor"),
        )
        .select("_quote", *(pl.col(name).cast(kind) for name, kind in FAULTS.items()))
    )  # fmt: skip
