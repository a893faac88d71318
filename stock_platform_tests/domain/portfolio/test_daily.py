"""The daily account: values, dividends, splits, currencies, against hand calculations."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal

import polars as pl
import pytest

from stock_platform.domain.portfolio import Side, Transaction, daily_account, in_todays_shares
from stock_platform.domain.portfolio.daily import Account

D = date


def trade(side: str, quantity: str, price: str, day: date, asset_id: int = 1) -> Transaction:
    at = datetime(day.year, day.month, day.day, 15, tzinfo=UTC)
    return Transaction(
        "me", asset_id, Side(side), Decimal(quantity), Decimal(price),
        "EUR" if asset_id == 2 else "USD", Decimal(0), at, day,
    )  # fmt: skip


def closes(rows: list[tuple[int, date, float]]) -> pl.DataFrame:
    return pl.DataFrame(
        rows,
        schema={"asset_id": pl.Int32, "session": pl.Date, "close": pl.Float64},
        orient="row",
    )


def dividends(rows: list[tuple[int, date, float]]) -> pl.DataFrame:
    return pl.DataFrame(
        rows,
        schema={"asset_id": pl.Int32, "ex_date": pl.Date, "amount": pl.Float64},
        orient="row",
    )


def test_a_purchase_a_split_dividends_and_a_sale_by_hand() -> None:
    """10 at 700; a dividend of 7 a share; 7-for-1; a dividend of 1; 20 sold at 120.

    Shares of today: 70 at 100. Dividends 10 x 7 and 70 x 1. 50 are left at 130.
    """
    splits = {1: [(D(2024, 1, 5), Decimal(7))]}
    account = daily_account(
        in_todays_shares(
            [trade("buy", "10", "700", D(2024, 1, 2)), trade("sell", "20", "120", D(2024, 1, 9))],
            splits,
        ),
        closes(
            [
                (1, D(2024, 1, 2), 714 / 7),
                (1, D(2024, 1, 3), 707 / 7),
                (1, D(2024, 1, 5), 110.0),
                (1, D(2024, 1, 8), 115.0),
                (1, D(2024, 1, 9), 130.0),
            ]
        ),
        dividends([(1, D(2024, 1, 3), 1.0), (1, D(2024, 1, 8), 1.0), (1, D(2024, 1, 2), 9.0)]),
        {1: "USD"},
        lambda currency, day: 1.0,
        D(2024, 1, 31),
    )
    days = account.days.rows_by_key("session", named=True, unique=True)
    assert days[D(2024, 1, 2)]["market_value"] == pytest.approx(7140)
    assert days[D(2024, 1, 2)]["dividends"] == 0  # bought on the ex-date
    assert days[D(2024, 1, 3)]["dividends"] == pytest.approx(70)
    assert days[D(2024, 1, 5)]["market_value"] == pytest.approx(7700)
    assert days[D(2024, 1, 8)]["dividends"] == pytest.approx(70)
    last = days[D(2024, 1, 9)]
    assert last["market_value"] == pytest.approx(50 * 130)
    assert last["cost"] == pytest.approx(5000)
    assert last["realised"] == pytest.approx(20 * 120 - 20 * 100)
    growth = (
        (7140 / 7000) * ((7070 + 70) / 7140) * (7700 / 7070) * ((8050 + 70) / 7700)
        * ((6500 + 2400) / 8050)
    )  # fmt: skip
    assert last["twr"] == pytest.approx(growth - 1)
    (position,) = account.positions.to_dicts()
    assert position["quantity"] == 50
    assert position["unrealised"] == pytest.approx(1500)
    assert position["dividends"] == pytest.approx(140)


def euros(rates: dict[date, float]) -> Account:
    return daily_account(
        [trade("buy", "10", "100", D(2024, 1, 2), asset_id=2)],
        closes([(2, D(2024, 1, 2), 100.0), (2, D(2024, 1, 3), 100.0)]),
        dividends([]),
        {2: "EUR"},
        lambda currency, day: rates.get(day) if currency == "EUR" else 1.0,
        D(2024, 1, 3),
    )


def test_another_currency_is_converted_at_its_days_rate() -> None:
    """Bought at 1.10, worth 1.20 a day later: the cost stays, the value rises."""
    account = euros({D(2024, 1, 2): 1.1, D(2024, 1, 3): 1.2})
    assert account.days["cost"].to_list() == pytest.approx([1100, 1100])
    assert account.days["market_value"].to_list() == pytest.approx([1100, 1200])
    assert account.positions["unrealised"][0] == pytest.approx(100)


def test_a_rate_that_is_not_known_is_told() -> None:
    """Its money is counted one for one, and the account says so."""
    assert euros({}).lacking == {"EUR"}


def test_a_holding_without_a_price_is_worth_what_was_paid() -> None:
    """It is counted as unpriced, and the return is nothing yet."""
    account = daily_account(
        [trade("buy", "10", "100", D(2024, 1, 2))],
        closes([]),
        dividends([]),
        {1: "USD"},
        lambda currency, day: 1.0,
        D(2024, 1, 3),
    )
    assert account.days.select("market_value", "twr", "unpriced").rows() == [(1000.0, 0.0, 1)]
