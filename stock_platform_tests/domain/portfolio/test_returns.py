"""Time- and money-weighted returns against published worked examples."""

from __future__ import annotations

from datetime import date

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stock_platform.domain.portfolio import annualised, money_weighted, time_weighted


@pytest.mark.parametrize(
    ("values", "inflows", "outflows"),
    [
        ([1_000_000, 1_162_484, 1_192_328], [1_000_000, 0, 100_000], [0, 0, 0]),
        ([1_000_000, 1_062_484, 1_003_440], [1_000_000, 0, 0], [0, 100_000, 0]),
    ],
)
def test_time_weighted_as_investopedia_works_it_out(
    values: list[float], inflows: list[float], outflows: list[float]
) -> None:
    """Two investors of one fund, one pays in and one takes out: both earned 9.79 %.

    https://www.investopedia.com/terms/t/time-weightedror.asp
    """
    earned = time_weighted(values, inflows, outflows)
    assert earned[1] == pytest.approx(0.1625, abs=5e-5)
    assert (1 + earned[2]) / (1 + earned[1]) - 1 == pytest.approx(-0.0556, abs=5e-5)
    assert earned[2] == pytest.approx(0.0979, abs=5e-5)


def test_money_weighted_as_excel_works_it_out() -> None:
    """The example of XIRR in Microsoft's documentation: 37.34 %."""
    days = [
        date(2008, 1, 1),
        date(2008, 3, 1),
        date(2008, 10, 30),
        date(2009, 2, 15),
        date(2009, 4, 1),
    ]
    rate = money_weighted(days, [-10_000, 2_750, 4_250, 3_250, 2_750])
    assert rate == pytest.approx(0.373362535, abs=1e-8)


def test_money_weighted_needs_money_both_ways() -> None:
    """No rate where nothing came back, or all is of one day."""
    assert money_weighted([date(2020, 1, 1), date(2021, 1, 1)], [-1, -1]) is None
    assert money_weighted([date(2020, 1, 1)] * 2, [-1, 1]) is None
    assert money_weighted([], []) is None


def test_a_return_of_less_than_a_year_is_not_made_one_a_year() -> None:
    """21 % in two years are 10 % a year; in a month they are not annualised."""
    assert annualised(0.21, date(2021, 1, 1), date(2023, 1, 1)) == pytest.approx(0.1)
    assert annualised(0.21, date(2021, 1, 1), date(2021, 2, 1)) is None


@given(
    st.lists(st.floats(-0.5, 1.0), min_size=1, max_size=30),
    st.data(),
)
def test_flows_change_no_time_weighted_return(growths: list[float], data: st.DataObject) -> None:
    """Whatever is paid in or taken out, the time-weighted return is the asset's own."""
    worth, values, inflows, outflows = 0.0, [], [], []
    for growth in growths:
        paid = data.draw(st.floats(1.0, 1e6))
        after = (worth + paid) * (1 + growth)
        taken = data.draw(st.floats(0.0, 0.9)) * after
        worth = after - taken
        values.append(worth)
        inflows.append(paid)
        outflows.append(taken)
    earned = time_weighted(values, inflows, outflows)
    assert earned == pytest.approx(np.cumprod([1 + g for g in growths]) - 1, rel=1e-6, abs=1e-9)
