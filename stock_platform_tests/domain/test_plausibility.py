"""Bars that cannot be true are told from the answer alone."""

from __future__ import annotations

from datetime import date, timedelta

import polars as pl
import pytest

from stock_platform.domain.bars import RAW_QUOTES, conform
from stock_platform.domain.validation.plausibility import doubtful

FIRST = date(2024, 3, 4)


def raw(
    closes: list[float | None], asset_id: int = 1, **columns: list[float | None]
) -> pl.DataFrame:
    days = [FIRST + timedelta(days=n) for n in range(len(closes))]
    prices = {name: columns.get(name, closes) for name in ("open", "high", "low", "close")}
    frame = pl.DataFrame(
        {"session": days, **prices, "volume": columns.get("volume", [1.0] * len(closes))},
        strict=False,
    )
    return conform(
        frame.with_columns(
            pl.lit(asset_id).alias("asset_id"),
            pl.lit("1d").alias("interval"),
            pl.col("session").cast(pl.Datetime("us", "UTC")).alias("ts"),
        ),
        RAW_QUOTES,
    )


def days(frame: pl.DataFrame) -> list[int]:
    return sorted((d - FIRST).days for d in doubtful(frame)["session"])


@pytest.mark.parametrize(
    ("frame", "found"),
    [
        (raw([10.0, 10.1, 10.2]), []),
        (raw([10.0, -10.1, 10.2]), [1]),
        (raw([10.0, 0.0]), [1]),
        (raw([10.0, None, 10.0]), [1]),
        (raw([10.0, 10.0], high=[9.0, 10.0], open=[9.5, 10.0]), [0]),
        (raw([10.0, 10.0], volume=[1.0, -5.0]), [1]),
        (raw([10.0, 1010.0, 10.2]), [1]),
        (raw([1000.0, 10.1, 1010.0]), [1]),
        (raw([10.0, 500.0, 510.0]), []),  # a level that stays is no spike
        (raw([10.0, 900.0]), []),  # one neighbour tells nothing
        (raw([10.0, 14.0, 10.0]), []),
    ],
)
def test_bars_that_cannot_be_true(frame: pl.DataFrame, found: list[int]) -> None:
    """Broken shapes, and units that change for a day."""
    assert days(frame) == found


def test_neighbours_are_the_assets_own() -> None:
    """Assets of one answer are not compared with each other."""
    both = pl.concat([raw([10.0, 10.0, 10.0]), raw([5000.0, 5000.0, 5000.0], 2)])
    assert doubtful(both).is_empty()
