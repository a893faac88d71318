"""What SQL derives is what the domain derives: weeks, months and both adjusted views."""

from __future__ import annotations

from datetime import date
from typing import Literal

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal
from psycopg import sql

from stock_platform.domain.aggregates import to_periods
from stock_platform.domain.bars import PRICE_COLUMNS, Adjust
from stock_platform.domain.corporate_actions import apply_adjustments
from stock_platform.storage import assets, readers, writers
from stock_platform.storage.connection import Database
from stock_platform_tests.storage import worlds

pytestmark = pytest.mark.both_servers
DAYS = worlds.weekdays(date(2023, 11, 20), 140)
SIDES = [*PRICE_COLUMNS, "volume"]


@pytest.fixture
def ids(database: Database) -> list[int]:
    known = assets.register(database, [assets.NewAsset(f"T{i}", "stock", "XNYS") for i in range(4)])
    return sorted(known.values())


def history(ids: list[int], seed: int) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]:
    """Bars with gaps and absent volumes, some splits (two in one week), some dividends."""
    random = np.random.default_rng(seed)
    bars = worlds.raw_bars(ids, DAYS, seed=seed)
    keep, silent = random.random(bars.height) > 0.1, random.random(bars.height) < 0.2
    quiet_week = pl.col("session").is_between(date(2024, 1, 8), date(2024, 1, 12))
    bars = bars.with_columns(
        pl.when(pl.Series(silent) | quiet_week).then(None).otherwise(pl.col("volume"))
        .alias("volume")
    ).filter(pl.Series(keep))  # fmt: skip
    splits = worlds.splits_of(
        [
            (ids[0], date(2024, 2, 28), 4.0),
            (ids[0], date(2024, 3, 1), 0.1),
            (ids[0], date(2024, 3, 25), 7.0),
            (ids[1], DAYS[-1], 2.0),
            (ids[2], date(2024, 1, 1), 1.5),
            (ids[2], date(2030, 1, 1), 3.0),
        ]
    )
    dividends = worlds.dividends_of(
        [
            (ids[0], date(2024, 3, 25), 0.25),
            (ids[1], date(2023, 12, 15), 1.0),
            (ids[1], date(2024, 3, 15), 1.1),
            (ids[3], date(2024, 2, 29), 0.4),
            (ids[3], DAYS[0], 0.4),
            (ids[3], date(2024, 1, 31), 1e6),
        ]
    )
    return bars, splits, dividends


@pytest.mark.parametrize("splits_first", [True, False])
@pytest.mark.parametrize("seed", [1, 2])
def test_weeks_and_months(
    database: Database, ids: list[int], seed: int, splits_first: bool
) -> None:
    """Whether a split is known when the prices come, or is told later."""
    bars, splits, _ = history(ids, seed)
    told = worlds.fetched(bars, splits=splits)
    if splits_first:
        writers.write_fetch(database, [told], None)
    writers.write_validated(database, worlds.validated(bars))
    if not splits_first:
        writers.write_fetch(database, [told], None)
    periods: tuple[tuple[str, Literal["1w", "1mo"]], ...] = (
        ("weekly", "1w"),
        ("monthly", "1mo"),
    )
    for period, every in periods:
        found = readers.periods(database, ids, period)
        expected = to_periods(bars, splits, every).sort("asset_id", "period")
        assert_frame_equal(
            found.select(expected.columns),
            expected,
            check_dtypes=False,
            rel_tol=1e-9,
            abs_tol=1e-8,  # what a column holds
        )


@pytest.mark.parametrize(
    ("view", "mode"),
    [("prices_split_adjusted", Adjust.SPLITS), ("prices_adjusted", Adjust.ALL)],
)
def test_adjusted_views(database: Database, ids: list[int], view: str, mode: Adjust) -> None:
    """CRSP's factors in SQL and in polars are the same numbers."""
    bars, splits, dividends = history(ids, 3)
    writers.write_fetch(database, [worlds.fetched(bars, splits=splits, dividends=dividends)], None)
    writers.write_validated(database, worlds.validated(bars))
    columns = sql.SQL(", ").join(sql.SQL("{}::float8").format(sql.Identifier(c)) for c in SIDES)
    with database.connect() as connection:
        rows = connection.execute(
            sql.SQL("select {} from stocks.{} order by asset_id, session").format(
                columns, sql.Identifier(view)
            )
        ).fetchall()
    expected = apply_adjustments(bars, splits, dividends, mode).sort("asset_id", "session")
    found = pl.DataFrame(rows, schema=dict.fromkeys(SIDES, pl.Float64()), orient="row")
    assert_frame_equal(found, expected.select(SIDES), rel_tol=1e-12)
