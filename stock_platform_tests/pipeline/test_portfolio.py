"""Orders as people write them, and performance from stored prices, against hand calculations."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path

import polars as pl
import pytest

from stock_platform.domain.clock import FixedClock
from stock_platform.domain.errors import InputError
from stock_platform.pipeline.performance import measure, refresh
from stock_platform.pipeline.portfolio import Order, check_orders, enter_orders
from stock_platform.pipeline.statements import read_statement
from stock_platform.storage import assets, performance
from stock_platform.storage import portfolio as book
from stock_platform.storage.connection import Database

CLOCK = FixedClock(datetime(2024, 2, 1, 22, tzinfo=UTC))
TODAY = date(2024, 2, 1)


def store(database: Database, ticker: str, closes: dict[date, float]) -> int:
    """Validated daily bars of an asset, by their closes."""
    asset_id = assets.resolve(database, [ticker])[ticker]
    with database.connect() as connection:
        for day, close in closes.items():
            connection.execute(
                "insert into stocks.validated_prices (asset_id, interval, ts, session, open, "
                "high, low, close, volume, source) "
                "values (%s, '1d', %s, %s, %s, %s, %s, %s, 1, 'test')",
                [asset_id, datetime(day.year, day.month, day.day, 14, 30, tzinfo=UTC), day]
                + [close] * 4,
            )
    return asset_id


def told(database: Database, table: str, asset_id: int, day: date, value: float) -> None:
    column = "ratio" if table == "splits_in_force" else "amount"
    with database.connect() as connection:
        connection.execute(
            f"insert into stocks.{table} "
            f"(asset_id, ex_date, {column}, source, sources, fetched_at, recorded_at) "
            "values (%s, %s, %s, 'test', '{test}', now(), now())",
            [asset_id, day, value],
        )


def test_a_portfolio_through_a_split_and_a_dividend(database: Database) -> None:
    """Bought before a 7-for-1, with a dividend of 0.5 after it: by hand."""
    enter_orders(
        database,
        CLOCK,
        [
            Order("me", "aaa", "buy", 10, 700, "2024-01-02", fee=7),
            Order("me", "AAA", "sell", "20", "105", "2024-01-09", fee=1),
        ][:1],
    )
    asset_id = store(
        database,
        "AAA",
        {date(2024, 1, 2): 707, date(2024, 1, 4): 714, date(2024, 1, 5): 103,
         date(2024, 1, 8): 104, date(2024, 1, 9): 110},
    )  # fmt: skip
    told(database, "splits_in_force", asset_id, date(2024, 1, 5), 7)
    told(database, "dividends_in_force", asset_id, date(2024, 1, 8), 0.5)
    told(database, "dividends_in_force", asset_id, date(2024, 1, 4), 3.5)
    enter_orders(database, CLOCK, [Order("me", "AAA", "sell", "20", "105", "2024-01-09", fee=1)])

    found = measure(database, "me", "USD", TODAY)
    summary = found.summary
    assert summary["market_value"] == pytest.approx(50 * 110)
    assert summary["cost"] == pytest.approx(7007 * 50 / 70)
    assert summary["realised"] == pytest.approx(20 * 105 - 1 - 7007 * 20 / 70)
    assert summary["dividends"] == pytest.approx(10 * 3.5 + 70 * 0.5)
    growth = (
        (7070 / 7007) * ((7140 + 35) / 7070) * (7210 / 7140) * ((7280 + 35) / 7210)
        * ((5500 + 2099) / 7280)
    )  # fmt: skip
    assert summary["twr"] == pytest.approx(growth - 1)
    (position,) = found.positions.to_dicts()
    assert (position["ticker"], position["quantity"]) == ("AAA", 50)
    assert found.problems == []


def test_money_of_another_currency_goes_by_the_days_rate(database: Database) -> None:
    """By the pair, or by its inverse; without either it is told."""
    enter_orders(database, CLOCK, [Order("me", "SAP.DE", "buy", 10, 100, "2024-01-02")])
    store(database, "SAP.DE", {date(2024, 1, 2): 100, date(2024, 1, 3): 100})
    assert "no rate for EUR" in measure(database, "me", "USD", TODAY).problems[0]
    assets.register(database, [assets.NewAsset("USD/EUR", "fx", "24/5")])
    store(database, "USD/EUR", {date(2024, 1, 1): 0.8, date(2024, 1, 3): 0.5})
    found = measure(database, "me", "USD", TODAY)
    assert found.problems == []
    assert found.days["market_value"].to_list() == pytest.approx([1250, 2000])
    assert found.summary["cost"] == pytest.approx(1250)


def test_the_stored_account_is_rebuilt_only_where_its_inputs_changed(database: Database) -> None:
    """A new price, dividend or transaction rebuilds it; nothing else does."""
    enter_orders(database, CLOCK, [Order("me", "AAA", "buy", 10, 100, "2024-01-02")])
    asset_id = store(database, "AAA", {date(2024, 1, 2): 100})
    assert refresh(database, "me", "USD", TODAY)
    assert not refresh(database, "me", "USD", TODAY)
    store(database, "AAA", {date(2024, 1, 3): 110})
    assert refresh(database, "me", "USD", TODAY)
    told(database, "dividends_in_force", asset_id, date(2024, 1, 3), 1)
    assert refresh(database, "me", "USD", TODAY)
    enter_orders(database, CLOCK, [Order("me", "AAA", "buy", 1, 100, "2024-01-03")])
    assert refresh(database, "me", "USD", TODAY)
    assert not refresh(database, "me", "USD", TODAY)
    stored = performance.days(database, "me", "USD")
    assert stored.equals(measure(database, "me", "USD", TODAY).days)
    assert performance.days(database, "me", "USD", date(2024, 1, 3)).height == 1


def test_a_user_without_transactions_is_told(database: Database) -> None:
    """With those who have some."""
    enter_orders(database, CLOCK, [Order("ann", "AAA", "buy", 1, 1, "2024-01-02")])
    with pytest.raises(InputError, match="ann"):
        measure(database, "bob", "USD", TODAY)


@pytest.mark.parametrize(
    ("change", "parameter"),
    [
        ({"ticker": "???"}, "ticker"),
        ({"side": "hold"}, "side"),
        ({"quantity": "-1"}, "quantity"),
        ({"quantity": "ten"}, "quantity"),
        ({"price": "-1"}, "price"),
        ({"fee": "nan"}, "fee"),
        ({"user": "two words"}, "user"),
        ({"currency": "dollars"}, "currency"),
        ({"executed_at": "yesterday"}, "executed_at"),
        ({"executed_at": "2024-02-02"}, "executed_at"),
        ({"executed_at": "1776-07-04"}, "executed_at"),
        ({"executed_at": "9999-12-31T23:59:59-14:00"}, "executed_at"),
        ({"external_id": "x" * 201}, "external_id"),
    ],
)
def test_a_wrong_order_is_refused_before_anything_is_stored(
    database: Database, change: dict[str, str], parameter: str
) -> None:
    """The error names the parameter; the asset is not even registered."""
    right = Order("me", "NEW", "buy", 1, 1, "2024-01-02")
    wrong = Order(**{**vars(right), **change})
    with pytest.raises(InputError) as raised:
        enter_orders(database, CLOCK, [right, wrong])
    assert raised.value.parameter == parameter
    assert check_orders(database, CLOCK, [right, wrong]).keys() == {1}
    assert assets.count(database) == 0


def test_a_typing_error_gets_suggestions_where_the_market_is_known(database: Database) -> None:
    """With a catalog a ticker that is not in it is refused, or said to be new."""
    assets.register(
        database,
        [assets.NewAsset(f"AA{chr(65 + n // 26)}{chr(65 + n % 26)}", "stock", "XNYS")
         for n in range(150)],
    )  # fmt: skip
    typo = Order("me", "AAZA", "buy", 1, 1, "2024-01-02")
    with pytest.raises(InputError, match="did you mean AA"):
        enter_orders(database, CLOCK, [typo])
    assert enter_orders(database, CLOCK, [typo], new_tickers=True).ids


def test_a_time_of_day_is_the_exchanges(database: Database) -> None:
    """A date alone is noon there; an evening in New York is that day's trade."""
    enter_orders(
        database,
        CLOCK,
        [
            Order("me", "AAA", "buy", 1, 1, "2024-01-02"),
            Order("me", "AAA", "buy", 1, 1, "2024-01-03T19:30"),
            Order("me", "AAA", "buy", 1, 1, "2024-01-05T01:00:00+00:00"),
            Order("me", "AAA", "buy", 1, 1, "2024-02-01"),
            Order("me", "7203.T", "buy", 1, 1, "2024-01-03T23:30:00+00:00"),
        ],
    )
    found = [(t.trade_date.day, t.executed_at) for t in book.transactions(database)]
    assert found == [
        (2, datetime(2024, 1, 2, 17, tzinfo=UTC)),
        (4, datetime(2024, 1, 3, 23, 30, tzinfo=UTC)),
        (3, datetime(2024, 1, 4, 0, 30, tzinfo=UTC)),
        (4, datetime(2024, 1, 5, 1, tzinfo=UTC)),
        (1, datetime(2024, 2, 1, 17, tzinfo=UTC)),
    ]


def test_a_statement_in_a_brokers_words(tmp_path: Path) -> None:
    """Other names and order of columns, semicolons, a mark at the beginning, empty lines."""
    path = tmp_path / "statement.csv"
    path.write_text(
        "\ufeffTrade Date;Symbol;Action;Shares;Price;Commission;Order ID;Note\n"
        "2024-01-02;AAPL;Bought;10;$185.50;$1.00;17;x\n\n"
        "2024-01-03;AAPL;SELL;5;190;;;\n",
        encoding="utf-8",
    )
    rows = read_statement(path, "me")
    assert [line for line, _ in rows] == [2, 4]
    assert rows[0][1] == Order(
        "me", "AAPL", "buy", "10", "185.50", "2024-01-02", None, "1.00", "17"
    )
    assert rows[1][1] == Order("me", "AAPL", "sell", "5", "190", "2024-01-03", None, 0, None)


@pytest.mark.parametrize("text", ["", "a,b\n1,2\n", "ticker,side,quantity,price\nA,buy,1,1\n"])
def test_a_file_that_is_no_statement_is_refused(tmp_path: Path, text: str) -> None:
    """The error names the columns that are wanted."""
    path = tmp_path / "statement.csv"
    path.write_text(text)
    with pytest.raises(InputError, match="file"):
        read_statement(path, "me")


def test_frames_have_their_schemas(database: Database) -> None:
    """Days and positions are as documented."""
    enter_orders(database, CLOCK, [Order("me", "AAA", "buy", 1, 1, "2024-01-02")])
    found = measure(database, "me", "USD", TODAY)
    assert found.days.schema["session"] == pl.Date()
    assert found.positions.columns[:3] == ["ticker", "name", "quantity"]


@pytest.mark.parametrize("ex_date", [date(2024, 2, 1), date(2024, 2, 8)])
def test_a_live_price_counts_in_the_shares_of_its_day(database: Database, ex_date: date) -> None:
    """A quote before a split, of today or announced, values the shares that there were."""
    enter_orders(database, CLOCK, [Order("me", "AAA", "buy", 10, 100, "2024-01-02")])
    asset_id = store(database, "AAA", {date(2024, 1, 30): 100.0})
    told(database, "splits_in_force", asset_id, ex_date, 4.0)
    with database.connect() as connection:
        connection.execute(
            "insert into stocks.latest_quotes (asset_id, price, quoted_at, session, currency, "
            "source, fetched_at, stored_at) values (%s, 104, %s, %s, 'USD', 'test', now(), now())",
            [asset_id, datetime(2024, 1, 31, 16, tzinfo=UTC), date(2024, 1, 31)],
        )
    found = measure(database, "me", "USD", TODAY)
    assert found.positions["market_value"].to_list() == [pytest.approx(1040)]
    assert found.positions["quantity"].to_list() == [40 if ex_date <= TODAY else 10]
