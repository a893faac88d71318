"""Weeks and months derived in polars are those that SQL derives, to the last digit."""

from __future__ import annotations

import random
from datetime import date

import numpy as np
import polars as pl
import pytest

from stock_platform.domain.cells import CellGrid
from stock_platform.storage import assets, readers, writers
from stock_platform.storage.connection import Database
from stock_platform.storage.frames import Connection
from stock_platform.storage.periods import PERIODS, Period, recompute
from stock_platform_tests.storage import worlds

pytestmark = pytest.mark.both_servers
DAYS = worlds.weekdays(date(2023, 10, 12), 90)
IDS = [1, 2, 3, 4]


@pytest.fixture
def world(database: Database) -> Database:
    assets.register(database, [assets.NewAsset(f"T{i}", "stock", "XNYS") for i in range(4)])
    splits = worlds.splits_of([(3, DAYS[40], 3.0), (4, date(2030, 1, 1), 2.0)])
    writers.write_fetch(database, [worlds.fetched(worlds.raw_bars([], []), splits=splits)], None)
    return database


def some_bars(seed: int) -> tuple[pl.DataFrame, CellGrid]:
    """Bars of some assets and days with gaps; volumes absent, whole, in fractions or huge."""
    chance, numbers = random.Random(seed), np.random.default_rng(seed)  # noqa: S311
    first = chance.randrange(70)
    days = DAYS[first : first + chance.choice([1, 3, 10, 60])]
    ids = sorted(chance.sample(IDS, chance.randrange(1, 5)))
    bars = worlds.raw_bars(ids, days, seed=seed)
    kind = pl.Series(numbers.integers(0, 4, bars.height))
    volume = (
        pl.when(kind == 0).then(None)
        .when((kind == 1) & (pl.col("asset_id") == 2)).then(pl.col("volume") + 0.12345678)
        .when((kind == 2) & (pl.col("asset_id") == 1)).then(pl.lit(4e14))
        .otherwise("volume")
    )  # fmt: skip
    grid = CellGrid.from_frame(bars)
    bars = bars.with_columns(volume.alias("volume"), (pl.col("high") + 1e-9).alias("high"))
    return bars.filter(pl.Series(numbers.random(bars.height) > 0.15)), grid


@pytest.mark.parametrize("seed", range(3))
def test_as_in_sql(world: Database, seed: int) -> None:
    """After any writes, ranges side by side, corrections and removals, SQL finds no difference."""
    everything = CellGrid.rectangle(IDS, DAYS)
    for step in range(5):
        bars, grid = some_bars(100 * seed + step)
        writers.write_validated(world, worlds.validated(bars, grid))
        for period in PERIODS:
            assert writers.recompute_periods(world, everything, period) == 0
    stored = readers.prices(world, IDS)
    assert readers.weekly(world, IDS)["sessions"].sum() == stored.height
    assert readers.monthly(world, IDS)["sessions"].sum() == stored.height


def test_neighbouring_days_are_read(world: Database) -> None:
    """A week written in two parts, and one whose other days are not of the cells."""
    bars = worlds.raw_bars([1], DAYS)
    for part in (DAYS[:7], DAYS[9:12], [DAYS[7]], [DAYS[8]], DAYS[12:]):
        of_part = bars.filter(pl.col("session").is_in(part))
        writers.write_validated(world, worlds.validated(of_part))
    whole = readers.weekly(world, [1])
    for period in PERIODS:
        everything = CellGrid.rectangle([1], DAYS)
        assert writers.recompute_periods(world, everything, period) == 0
    assert whole["sessions"].sum() == len(DAYS)
    assert whole["volume"].sum() == bars["volume"].sum()


def test_a_month_beyond_a_days_volume(world: Database) -> None:
    """A coin that trades 9 * 10**15 a day stops neither its batch nor its own months."""
    bars = worlds.raw_bars([1, 2], DAYS).with_columns(
        pl.when(pl.col("asset_id") == 1).then(9e15).otherwise("volume").alias("volume")
    )
    writers.write_validated(world, worlds.validated(bars))
    months = readers.monthly(world, [1])
    assert months["volume"].to_list() == (months["sessions"] * 9e15).to_list()


def test_sql_is_left_what_polars_cannot(world: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """Assets with a split inside, or fractions of shares; the others never reach it."""
    asked: list[set[int]] = []

    def seen(connection: Connection, period: Period, touched: pl.DataFrame) -> int:
        asked.append(set(touched["asset_id"]))
        return recompute(connection, period, touched)

    monkeypatch.setattr("stock_platform.storage.following.recompute", seen)
    bars = worlds.raw_bars(IDS, DAYS).with_columns(
        pl.when(pl.col("asset_id") == 2).then(0.5).otherwise("volume").alias("volume")
    )
    writers.write_validated(world, worlds.validated(bars))
    assert asked == [{2, 3}, {2, 3}]
