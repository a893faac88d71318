"""Splits and dividends: undoing what vendors did, and adjusting on read."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from stock_platform.domain.bars import Adjust
from stock_platform.domain.corporate_actions import (
    DIVIDENDS,
    SPLITS,
    TOLD_SPLITS,
    apply_adjustments,
    undo_own_splits,
    undo_splits,
)

FETCHED = datetime(2024, 6, 1, tzinfo=UTC)
FIRST = date(2024, 1, 1)
PRICES = ["open", "high", "low", "close"]


def bars(closes: list[float], asset: int = 1, first: date = FIRST) -> pl.DataFrame:
    return pl.DataFrame(
        {
            "asset_id": pl.Series([asset] * len(closes), dtype=pl.Int32),
            "session": [first + timedelta(days=n) for n in range(len(closes))],
            "fetched_at": [FETCHED] * len(closes),
            **dict.fromkeys(PRICES, closes),
            "volume": [1000.0] * len(closes),
        }
    ).with_columns(pl.col("fetched_at").cast(pl.Datetime("us", "UTC")))


def splits(*found: tuple[date, float], asset: int = 1, source: str = "x") -> pl.DataFrame:
    return pl.DataFrame(
        [(asset, day, source, ratio, FETCHED) for day, ratio in found],
        schema=SPLITS,
        orient="row",
    )


def dividends(*found: tuple[date, float], asset: int = 1) -> pl.DataFrame:
    return pl.DataFrame(
        [(asset, day, "x", amount, "USD", FETCHED) for day, amount in found],
        schema=DIVIDENDS,
        orient="row",
    )


def day(n: int) -> date:
    return FIRST + timedelta(days=n)


RATIOS = st.lists(
    st.tuples(st.integers(0, 29), st.sampled_from([2.0, 3.0, 4.0, 7.0, 0.1, 1.5])),
    max_size=4,
    unique_by=lambda pair: pair[0],
)


@given(RATIOS)
def test_undoing_a_vendors_adjustment_gives_what_traded(found: list[tuple[int, float]]) -> None:
    """Adjusted for every split, then undone: the same prices and volumes."""
    traded = bars([float(100 + n) for n in range(30)])
    known = splits(*((day(n), ratio) for n, ratio in found))
    adjusted = apply_adjustments(traded, known, dividends(), Adjust.SPLITS)
    assert_frame_equal(undo_splits(adjusted, known), traded, rel_tol=1e-12)


@given(RATIOS, st.sampled_from([2.0, 0.25]))
def test_a_later_split_scales_adjusted_history_by_one_factor(
    found: list[tuple[int, float]], ratio: float
) -> None:
    """Its ratio divides every adjusted price, and nothing else changes."""
    traded = bars([float(100 + n) for n in range(30)])
    before = splits(*((day(n), r) for n, r in found))
    after = pl.concat([before, splits((day(40), ratio))])
    old = apply_adjustments(traded, before, dividends(), Adjust.SPLITS)
    new = apply_adjustments(traded, after, dividends(), Adjust.SPLITS)
    np.testing.assert_allclose(new["close"] * ratio, old["close"], rtol=1e-12)
    np.testing.assert_allclose(new["volume"] / ratio, old["volume"], rtol=1e-12)


def test_a_split_after_the_fetch_is_not_undone() -> None:
    """The vendor could not have adjusted for what had not happened."""
    given_bars = bars([10.0, 10.0])
    later = splits(((FETCHED + timedelta(days=5)).date(), 2.0))
    assert_frame_equal(undo_splits(given_bars, later), given_bars)


def test_a_split_counts_from_its_ex_date_on() -> None:
    """Prices of the day before are divided, those of the ex-date are not."""
    adjusted = apply_adjustments(
        bars([400.0, 100.0]), splits((day(1), 4.0)), dividends(), Adjust.SPLITS
    )
    assert adjusted["close"].to_list() == [100.0, 100.0]
    assert adjusted["volume"].to_list() == [4000.0, 1000.0]


def test_returns_across_an_ex_date_are_total_returns() -> None:
    """A close that falls by its dividend has a return of zero."""
    adjusted = apply_adjustments(
        bars([100.0, 98.0, 99.0]), splits(), dividends((day(1), 2.0)), Adjust.ALL
    )
    closes = adjusted["close"].to_numpy()
    np.testing.assert_allclose(closes[1] / closes[0], 1.0)
    np.testing.assert_allclose(closes[2] / closes[1], 99 / 98)


def test_a_dividend_on_the_day_of_a_split_is_per_share_after_it() -> None:
    """2 dollars on each of 4 shares are 8 on the one before."""
    adjusted = apply_adjustments(
        bars([400.0, 98.0]), splits((day(1), 4.0)), dividends((day(1), 2.0)), Adjust.ALL
    )
    np.testing.assert_allclose(adjusted["close"], [98.0, 98.0])


def test_a_range_that_ends_before_a_dividend_is_adjusted_for_it() -> None:
    """The close before the ex-date may lie outside the range asked for."""
    closes = pl.DataFrame(
        {"asset_id": [1], "ex_date": [day(10)], "close": [100.0]},
        schema={"asset_id": pl.Int32(), "ex_date": pl.Date(), "close": pl.Float64()},
    )
    adjusted = apply_adjustments(
        bars([50.0]), splits(), dividends((day(10), 2.0)), Adjust.ALL, closes=closes
    )
    np.testing.assert_allclose(adjusted["close"], [49.0])


def test_assets_do_not_mix() -> None:
    """One asset's split leaves the other alone."""
    both = pl.concat([bars([400.0, 100.0]), bars([400.0, 100.0], asset=2)])
    adjusted = apply_adjustments(both, splits((day(1), 4.0)), dividends(), Adjust.SPLITS)
    assert adjusted["close"].to_list() == [100.0, 100.0, 400.0, 100.0]


def test_order_of_rows_is_kept() -> None:
    """Joins inside do not shuffle the caller's rows."""
    shuffled = bars([400.0, 300.0, 200.0, 100.0]).sample(fraction=1, shuffle=True, seed=3)
    adjusted = apply_adjustments(shuffled, splits((day(2), 2.0)), dividends(), Adjust.SPLITS)
    assert adjusted["session"].to_list() == shuffled["session"].to_list()


@pytest.mark.parametrize(
    ("ticker", "ex_date", "ratio"),
    [("AAPL", date(2014, 6, 9), 7.0), ("AAPL", date(2020, 8, 31), 4.0)],
)
def test_real_splits_join_real_prices(
    shared_fixtures: Path, ticker: str, ex_date: date, ratio: float
) -> None:
    """Adjusted closes do not jump where the traded ones fell to a seventh."""
    file = shared_fixtures / "prices" / "lean" / "equity_usa_daily_raw.csv.gz"
    raw = pl.read_csv(file, try_parse_dates=True)
    name, when = raw.columns[0], raw.columns[1]
    traded = raw.filter(pl.col(name) == ticker).select(
        pl.lit(1, pl.Int32).alias("asset_id"), pl.col(when).cast(pl.Date).alias("session"), *PRICES
    )
    traded = traded.filter(pl.col("session").is_between(ex_date - timedelta(10), ex_date))
    jump = traded["close"][-2] / traded["open"][-1]
    assert jump == pytest.approx(ratio, rel=0.05)
    adjusted = apply_adjustments(traded, splits((ex_date, ratio)), dividends(), Adjust.SPLITS)
    assert adjusted["close"][-2] / adjusted["open"][-1] == pytest.approx(1.0, rel=0.05)


def told(*rows: tuple[date, float, int, int | None]) -> pl.DataFrame:
    """TOLD_SPLITS of source x: ex-date, ratio, and from and until which hour it said so."""
    return pl.DataFrame(
        [
            (1, day, "x", ratio, hour(since), None if until is None else hour(until))
            for day, ratio, since, until in rows
        ],
        schema=TOLD_SPLITS,
        orient="row",
    )


def hour(n: int) -> datetime:
    return FETCHED + timedelta(hours=n)


def from_x(interval: str = "1d") -> pl.DataFrame:
    return bars([10.0, 10.0]).with_columns(source=pl.lit("x"), interval=pl.lit(interval))


@pytest.mark.parametrize(
    ("known", "interval", "close"),
    [
        ([(1, 4.0, 0, None)], "1d", 40.0),  # told with the bars
        ([(1, 4.0, 1, None)], "1d", 10.0),  # learnt of after the bars were given
        ([(1, 4.0, 1, None)], "5m", 40.0),  # pieces of a day may be told by a later call
        ([(1, 4.0, -5, 0)], "1d", 10.0),  # withdrawn by then
        ([(1, 3.0, -5, 1), (1, 4.0, 1, None)], "1d", 30.0),  # corrected since
        ([(1, 3.0, -5, -1), (1, 4.0, -1, None)], "1d", 40.0),  # corrected before
        ([(400, 4.0, 0, None)], "1d", 10.0),  # not yet happened
    ],
)
def test_a_source_is_undone_by_its_own_words_of_then(
    known: list[tuple[int, float, int, int | None]], interval: str, close: float
) -> None:
    """What it says later, or said before, is not what it divided by."""
    rows = told(*((day(n), ratio, since, until) for n, ratio, since, until in known))
    undone = undo_own_splits(from_x(interval), rows)
    assert undone["close"].to_list() == [close, 10.0]
    assert undone["volume"][0] * undone["close"][0] == 10_000.0


@given(RATIOS, st.lists(st.integers(1, 29), max_size=3, unique=True))
def test_total_returns_do_not_depend_on_splits(
    found: list[tuple[int, float]], paid: list[int]
) -> None:
    """Shares cut in pieces with their prices and cash: the fully adjusted return is the same."""
    whole = bars([float(100 + n) for n in range(30)])
    cash = [(day(n), 2.0) for n in paid]
    plain = apply_adjustments(whole, splits(), dividends(*cash), Adjust.ALL)["close"].to_numpy()
    known = splits(*((day(n), ratio) for n, ratio in found))
    pieces = [
        float(np.prod([r for n, r in found if day(n) <= session])) for session in whole["session"]
    ]
    traded = whole.with_columns(*(pl.col(c) / pl.Series(pieces) for c in PRICES))
    share = dict(zip(whole["session"], pieces, strict=True))
    cut = dividends(*((ex_date, amount / share[ex_date]) for ex_date, amount in cash))
    closes = apply_adjustments(traded, known, cut, Adjust.ALL)["close"].to_numpy()
    np.testing.assert_allclose(closes[1:] / closes[:-1], plain[1:] / plain[:-1], rtol=1e-12)
