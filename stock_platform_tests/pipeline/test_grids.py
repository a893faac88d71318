"""From assets and dates to cells."""

from __future__ import annotations

from datetime import UTC, date, datetime

import numpy as np
import polars as pl

from stock_platform.pipeline.grids import build_grid

ASSETS = pl.DataFrame(
    {"asset_id": [1, 2, 3], "calendar": ["XNYS", "24/7", "XLON"]},
    schema_overrides={"asset_id": pl.Int32()},
)
LATER = datetime(2024, 12, 31, tzinfo=UTC)


def sessions_of(asset: int, dates: list[date], now: datetime = LATER) -> list[date]:
    grid = build_grid(ASSETS, dates, now, "XNYS")
    row = int(np.searchsorted(grid.assets, asset))
    found: list[date] = grid.sessions[grid.mask[row]].tolist()
    return found


def test_a_monday_brings_a_coins_weekend() -> None:
    """A date stands for all of an asset's own sessions since the date before it."""
    monday = date(2024, 3, 4)
    assert sessions_of(1, [monday]) == [monday]
    assert sessions_of(2, [monday]) == [date(2024, 3, 2), date(2024, 3, 3), monday]


def test_londons_day_on_a_new_york_holiday_is_not_lost() -> None:
    """4 July belongs to the partition of 5 July."""
    assert sessions_of(3, [date(2024, 7, 5)]) == [date(2024, 7, 4), date(2024, 7, 5)]


def test_only_the_dates_asked_for_are_covered() -> None:
    """Dates apart do not bring what lies between them."""
    assert sessions_of(2, [date(2024, 3, 5), date(2024, 3, 7)]) == [
        date(2024, 3, 5),
        date(2024, 3, 7),
    ]


def test_a_session_that_is_open_is_no_cell() -> None:
    """Cells end with each calendar's last completed session."""
    noon = datetime(2024, 3, 5, 17, tzinfo=UTC)  # New York trades, London has closed
    dates = [date(2024, 3, 4), date(2024, 3, 5)]
    assert sessions_of(1, dates, noon) == [date(2024, 3, 4)]
    assert sessions_of(3, dates, noon) == dates


def test_no_assets_or_no_dates_are_no_cells() -> None:
    """Nothing asked is nothing to do."""
    assert not build_grid(ASSETS, [], LATER, "XNYS")
    assert not build_grid(ASSETS.clear(), [date(2024, 3, 4)], LATER, "XNYS")
