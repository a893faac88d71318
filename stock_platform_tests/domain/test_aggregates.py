"""Returns, volatility, weeks and months."""

from __future__ import annotations

from datetime import date, timedelta

import numpy as np
import polars as pl
import pytest

from stock_platform.domain.aggregates import returns_and_volatility, to_periods
from stock_platform_tests.domain.test_corporate_actions import bars, splits


def test_returns_and_volatility_are_numpys() -> None:
    """Returns of one session; the sample deviation of 21 and 63 of them, annualised."""
    closes = 100 * np.exp(np.random.default_rng(1).normal(0, 0.02, 100).cumsum())
    found = returns_and_volatility(bars(closes.tolist()))
    logs = np.diff(np.log(closes))
    np.testing.assert_allclose(found["log_return"][1:], logs)
    np.testing.assert_allclose(found["simple_return"][1:], np.diff(closes) / closes[:-1])
    for n in (21, 63):
        column = found[f"volatility_{n}"]
        assert column[:n].null_count() == n
        assert column[99] == pytest.approx(logs[-n:].std(ddof=1) * 252**0.5)


def test_assets_do_not_share_a_return() -> None:
    """The first session of each asset has none."""
    both = pl.concat([bars([1.0, 2.0]), bars([10.0, 20.0], asset=2)])
    assert returns_and_volatility(both)["simple_return"].to_list() == [None, 1.0, None, 1.0]


def test_a_split_inside_a_week_does_not_tear_it_apart() -> None:
    """Prices are in the basis of the week's last session."""
    monday = date(2024, 3, 4)
    week = bars([400.0, 404.0, 100.0, 102.0, 101.0], first=monday)
    (found,) = to_periods(week, splits((monday + timedelta(days=2), 4.0)), "1w").to_dicts()
    assert (found["open"], found["high"], found["low"], found["close"]) == (100, 102, 100, 101)
    assert found["volume"] == 2 * 4000 + 3 * 1000
    assert (found["period"], found["sessions"]) == (monday, 5)
    assert (found["first_session"], found["last_session"]) == (monday, date(2024, 3, 8))


def test_months_end_with_the_calendar() -> None:
    """A month holds its own sessions."""
    found = to_periods(bars([1.0] * 40, first=date(2024, 1, 20)), splits(), "1mo")
    assert found["sessions"].to_list() == [12, 28]
