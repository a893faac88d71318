"""Lots: cost by first in, first out, and by average; splits; sales of more than is held."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stock_platform.domain.errors import InputError
from stock_platform.domain.portfolio import (
    Method,
    Side,
    Transaction,
    hold,
    in_todays_shares,
    shortfall,
)
from stock_platform.domain.portfolio.transactions import read_number

START = datetime(2020, 1, 1, 15, tzinfo=UTC)


def trade(side: str, quantity: object, price: object, day: int = 0, fee: object = 0) -> Transaction:
    at = START + timedelta(days=day)
    return Transaction(
        "me", 1, Side(side), Decimal(str(quantity)), Decimal(str(price)), "USD",
        Decimal(str(fee)), at, at.date(),
    )  # fmt: skip


def test_fifo_as_the_irs_works_it_out() -> None:
    """Publication 550, "Identifying stock": 100 at 10, 200 at 11, 50 given away, 100 at 9.

    The basis of the 130 sold then is 50 at 10 and 80 at 11, and 2,220 stay.
    """
    trades = [
        trade("buy", 100, 10, 0),
        trade("buy", 200, 11, 1),
        trade("sell", 50, 0, 2),
        trade("buy", 100, 9, 3),
        trade("sell", 130, 12, 4),
    ]
    before, after = hold(trades[:-1]), hold(trades)
    assert before.cost - after.cost == 1380
    assert [after.quantity, after.cost] == [220, 120 * 11 + 100 * 9]
    assert after.realised == -500 + 130 * 12 - 1380


def test_average_cost_takes_a_part_of_the_whole() -> None:
    """100 at 10 and 100 at 20 cost 15 a share; a sale changes no other share's cost."""
    trades = [trade("buy", 100, 10, 0), trade("buy", 100, 20, 1), trade("sell", 50, 30, 2, fee=5)]
    held = hold(trades, Method.AVERAGE)
    assert [held.quantity, held.unit_cost] == [150, 15]
    assert held.realised == 50 * 30 - 5 - 50 * 15


def test_selling_more_than_is_held_is_refused() -> None:
    """Now, and on any day before a later purchase."""
    with pytest.raises(InputError, match="at most what is held, 1"):
        hold([trade("buy", 1, 1), trade("sell", 2, 1, 1)])
    early = [trade("sell", 1, 1, 0), trade("buy", 1, 1, 1)]
    found = shortfall(early, {})
    assert found is not None
    assert (found[0].side, found[1]) == (Side.SELL, Decimal(1))


def test_shares_of_before_a_split_can_be_sold_after_it() -> None:
    """10 before a 7-for-1 are 70 after it, of a seventh of the cost each."""
    splits = {1: [(date(2020, 1, 10), Decimal(7))]}
    trades = [trade("buy", 10, 700, 0), trade("sell", 30, 110, 20)]
    assert shortfall(trades, splits) is None
    assert shortfall([*trades, trade("sell", 41, 110, 21)], splits) is not None
    held = hold(in_todays_shares(trades, splits))
    assert [held.quantity, held.cost, held.realised] == [40, 4000, 300]


amounts = st.decimals("0.001", "1000", places=3)
trades_of = st.lists(
    st.tuples(st.sampled_from(["buy", "sell"]), amounts, amounts, st.integers(0, 400)),
    max_size=20,
)


def allowed(made: list[tuple[str, Decimal, Decimal, int]]) -> list[Transaction]:
    """The purchases, and those sales that there are shares for."""
    kept: list[Transaction] = []
    for side, quantity, price, day in sorted(made, key=lambda m: m[3]):
        one = trade(side, quantity, price, day)
        if shortfall([*kept, one], {}) is None:
            kept.append(one)
    return sorted(kept, key=lambda t: t.order)


@given(trades_of, st.sampled_from(["2", "7", "0.1", "1.5", "20"]), st.integers(0, 400))
def test_a_split_changes_no_value(
    made: list[tuple[str, Decimal, Decimal, int]], ratio: str, day: int
) -> None:
    """Cost, realised gain and the value of what is held are those of before the split."""
    trades = allowed(made)
    split = Decimal(ratio)
    ex_date = (START + timedelta(days=day)).date()
    after = [  # what the same owner trades after the split, in shares of then
        t if t.trade_date < ex_date
        else Transaction(**{**vars(t), "quantity": t.quantity * split, "price": t.price / split})
        for t in trades
    ]  # fmt: skip
    plain = hold(trades)
    halved = hold(in_todays_shares(after, {1: [(ex_date, split)]}))
    assert halved.quantity == pytest.approx(plain.quantity * split, abs=Decimal("1e-6"))
    assert halved.cost == pytest.approx(plain.cost, abs=Decimal("1e-6"))
    assert halved.realised == pytest.approx(plain.realised, abs=Decimal("1e-6"))


@given(amounts, amounts, amounts, amounts, st.sampled_from(list(Method)))
def test_buying_and_selling_at_one_price_loses_the_fees(
    quantity: Decimal, price: Decimal, fee: Decimal, other: Decimal, method: Method
) -> None:
    """Gain is minus the fees, and nothing is left."""
    held = hold(
        [trade("buy", quantity, price, 0, fee), trade("sell", quantity, price, 1, other)], method
    )
    assert held.quantity == held.cost == 0
    assert held.realised == pytest.approx(-(fee + other), abs=Decimal("1e-12"))


@given(trades_of)
def test_money_is_conserved(made: list[tuple[str, Decimal, Decimal, int]]) -> None:
    """What was paid less what was received is the cost of what is held less what was realised."""
    for method in Method:
        held = hold(allowed(made), method)
        assert held.bought - held.sold == pytest.approx(
            held.cost - held.realised, abs=Decimal("1e-9")
        )


@pytest.mark.parametrize("text", ["", "nan", "inf", "-1", "1e12", "0", "1.123456789", "abc"])
def test_a_number_that_is_none_is_refused(text: str) -> None:
    """The error names the parameter."""
    with pytest.raises(InputError, match="quantity"):
        read_number("quantity", text)
