"""Portfolios from the command line; and what ``up`` makes of a purchase."""

from __future__ import annotations

import json
import signal
import time
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from stock_platform.sandbox.config import SandboxConfig
from stock_platform.sandbox.server import SandboxServer
from stock_platform_tests.apps.conftest import NOW, Cli


def test_transactions_from_the_command_line(cli: Cli, tmp_path: Path) -> None:
    """Entered, listed, valued at what was paid, removed; wrong ones are refused in a line."""
    bought = cli("portfolio", "buy", "aapl", "10", "--price", "150", "--date", "2012-01-04")
    assert (bought.code, bought.out) == (0, "entered as 1\n")
    sold = cli("portfolio", "sell", "AAPL", "11", "--price", "9", "--date", "2012-01-05")
    assert sold.code == 2
    assert sold.error == (
        "error: quantity: '11' is not allowed; sell at most what is held: "
        "it is 1 more than held on 2012-01-05"
    )
    later = cli("portfolio", "buy", "AAPL", "1", "--price", "1", "--date", "2013-03-04")
    assert (later.code, "executed_at" in later.error) == (2, True)
    [row] = cli("portfolio", "list", "--json").json
    assert (row["ticker"], row["quantity"], row["date"]) == ("AAPL", 10.0, "2012-01-04")
    held = cli("portfolio", "positions", "--json").json
    assert held["positions"][0]["market_value"] == 1500.0
    assert "no price yet" in held["problems"][0]
    assert "1,500.00 USD" in cli("portfolio", "performance").out
    assert cli("portfolio", "remove", "1").code == 0
    assert cli("portfolio", "list", "--json").json == []


def test_a_file_is_imported_whole_or_not_at_all(cli: Cli, tmp_path: Path) -> None:
    """Every wrong line is told; once right it can be imported again."""
    path = tmp_path / "trades.csv"
    path.write_text(
        "ticker,side,quantity,price,date,id\n"
        "AAPL,buy,10,150,2012-01-04,a\nAAPL,hold,1,1,2012-01-05,b\n"
        "MSFT,buy,-1,1,2012-01-05,c\n"
    )
    said = cli("portfolio", "import", str(path))
    assert said.code == 2
    assert [line.split(": ")[1] for line in said.err.splitlines()[:2]] == ["line 3", "line 4"]
    assert cli("portfolio", "list", "--json").json == []
    path.write_text(path.read_text().replace("hold", "sell").replace("-1", "2"))
    assert cli("portfolio", "import", str(path), "--json").json["entered"] == 3
    assert cli("portfolio", "import", str(path), "--json").json == {
        "rows": 3,
        "entered": 0,
        "entered_before": 3,
    }


@pytest.mark.slow
def test_a_purchase_is_followed_by_up(cli: Cli) -> None:
    """Of a ticker nobody knew, two years ago: three years come by themselves, with one call.

    Two 2-for-1 splits and eight dividends lie between; the performance is that of a
    calculation by hand from the sandbox's own bars.
    """
    evening = NOW + timedelta(hours=3)  # when Yahoo's bar of the day is final
    config = SandboxConfig(symbols=120, now=evening, limits={"yahoo": []})
    with SandboxServer(config) as server:
        cli.environment |= {
            "STOCK_PLATFORM_SOURCES": "yahoo",
            "STOCK_PLATFORM_YAHOO_BASE_URL": server.base_url("yahoo"),
            "STOCK_PLATFORM_START_DATE": "2013-02-25",
            "STOCK_PLATFORM_MARKET_TIME": evening.isoformat(),
        }
        with cli.start("up", "--port", "0") as process:
            try:
                assert process.stdout
                next(line for line in process.stdout if line.startswith("Dagster UI: "))
                words = ("--price", "52.60", "--fee", "5", "--date", "2011-03-07")
                assert cli("portfolio", "buy", "NYYQ", "10", *words).code == 0
                found = wait_for_prices(cli)
                process.send_signal(signal.SIGINT)
                process.communicate(timeout=150)
            finally:
                process.kill()
        expected = by_hand(server, "NYYQ", 10, 52.60, 5)
        assert server.report()["vendors"]["yahoo"]["calls"] == 1
    assert found["market_value"] == pytest.approx(expected["value"])
    assert found["dividends"] == pytest.approx(expected["dividends"])
    assert found["twr"] == pytest.approx(expected["twr"])
    prices = cli("prices", "NYYQ", "--json").json
    assert (prices[0]["session"], prices[-1]["session"]) == ("2010-03-08", "2013-03-01")


def wait_for_prices(cli: Cli) -> dict[str, Any]:
    ends = time.monotonic() + 240
    while time.monotonic() < ends:
        found: dict[str, Any] = json.loads(cli("portfolio", "performance", "--json").out)
        if not found["problems"] and found["last"] == "2013-03-01":
            return found
        time.sleep(3)
    raise AssertionError("no prices came")


def by_hand(
    server: SandboxServer, ticker: str, shares: float, price: float, fee: float
) -> dict[str, float]:
    """Day by day in shares of the day: what the platform does in shares of today."""
    splits = dict(server.market.splits(ticker).iter_rows())
    dividends = dict(server.market.dividends(ticker).iter_rows())
    bars = server.market.bars(ticker, date(2011, 3, 7), NOW.date())
    closes = dict(bars.select(pl.col("session"), pl.col("close")).iter_rows())
    worth, growth, income = shares * price + fee, 1.0, 0.0
    for day, close in closes.items():
        bought = day == date(2011, 3, 7)
        shares *= 1.0 if bought else splits.get(day, 1.0)
        paid = 0.0 if bought else shares * dividends.get(day, 0.0)
        income += paid
        growth *= (shares * close + paid) / worth
        worth = shares * close
    return {"value": worth, "dividends": income, "twr": growth - 1}
