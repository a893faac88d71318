"""Bars whose own prices do not go together: one of another unit, or a high or low far off.

Belongs here: faults within a bar, seen beside the bars next to it. Does not: whole bars at
another level (shifts.py).
"""

from __future__ import annotations

import math

import polars as pl

from stock_platform.domain.validation.rulebook import Rulebook
from stock_platform.domain.validation.series import NO_HITS, Series, hits, per_class

UNITS = (100.0, 1000.0)
"""Pence in a pound, fils in a dinar."""

TORN = 20.0
"""High over low within one bar from which its prices are not of one unit."""

_E = math.log


def torn_bars(series: Series) -> pl.DataFrame:
    """HITS of unit_error and spike: prices of another unit, and highs and lows far off."""
    book: Rulebook = series.rulebook
    move = per_class(book, "spike_move")
    wide = (
        series.bars.lazy()
        .with_columns(
            pl.col("x").shift(1).alias("_before"), pl.col("x").shift(-1).alias("_after"),
            *(pl.col(c).shift(k).alias(f"_{c}{k}") for c in ("high", "low") for k in (1, -1)),
            *(
                (
                    (pl.col("series") == pl.col("series").shift(k))
                    & ((pl.col("block") - pl.col("block").shift(k)).abs() <= 1)
                ).alias(name)
                for k, name in ((1, "_p"), (-1, "_n"))
            ),
        )
        .filter(pl.max_horizontal("open", "high", "low", "close")
                > pl.min_horizontal("open", "high", "low", "close") * (1 + move))
        .collect()
    )  # fmt: skip
    if wide.is_empty():
        return NO_HITS
    here = pl.col("x") - pl.col("mid").log()
    near = pl.coalesce(pl.when("_p").then(pl.col("_before")), pl.when("_n").then(pl.col("_after")))
    torn = pl.max_horizontal("open", "high", "low", "close") > TORN * pl.min_horizontal(
        "open", "high", "low", "close"
    )
    found = []
    for name in ("open", "high", "low", "close"):
        away = pl.col(name).log() + here - near
        for unit in UNITS:
            for sign in (1, -1):
                fault = torn & ((away - sign * _E(unit)).abs() < 0.35)
                found.append(
                    hits(
                        wide.filter(fault.fill_null(value=False)), "unit_error", field=name,
                        value=pl.col(name), expected=pl.col(name) * unit ** -sign,
                        confidence=0.97, repair=f"{name} x {unit ** -sign:g}",
                    )
                )  # fmt: skip
    beyond = (1 + move) * (1 + 3 * 0.02)
    high = (pl.col("high") > beyond * pl.max_horizontal("open", "close")) & (
        pl.col("high") > beyond * pl.max_horizontal("_high1", "_high-1")
    )
    low = (pl.col("low") * beyond < pl.min_horizontal("open", "close")) & (
        pl.col("low") * beyond < pl.min_horizontal("_low1", "_low-1")
    )
    both = pl.col("_p") & pl.col("_n") & ~torn
    for name, fault, expected in (
        ("high", high, pl.max_horizontal("open", "close")),
        ("low", low, pl.min_horizontal("open", "close")),
    ):
        found.append(
            hits(
                wide.filter((fault & both).fill_null(value=False)), "spike", field=name,
                value=pl.col(name), expected=expected, confidence=0.7,
            )
        )  # fmt: skip
    return pl.concat([NO_HITS, *found])
