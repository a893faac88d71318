"""Google Finance's pages in the sandbox, by their addresses and through our adapter."""

from __future__ import annotations

import httpx
import polars as pl
import pytest

from stock_platform.domain.capabilities import Feed
from stock_platform.domain.errors import (
    Malformed,
    RateLimited,
    SourceError,
    Unavailable,
    UnknownSymbol,
)
from stock_platform.sandbox.server import SandboxServer
from stock_platform.sources.base import Question
from stock_platform_tests.sandbox.pages import FRIDAY, ours


def test_our_quotes_are_the_truth(sandbox: SandboxServer) -> None:
    """Shares of all exchanges in either layout: the last two closes."""
    table = sandbox.market.listing().filter(
        pl.col("delisted_on").is_null()
        & (pl.col("kind") == "CS")
        & ~pl.col("symbol").str.contains(".", literal=True)
    )
    source = ours(sandbox, "google_finance")
    requests = set()
    for exchange in ("XNAS", "XNYS", "ARCX", "XASE"):
        for symbol in table.filter(pl.col("exchange") == exchange)["symbol"].head(4):
            truth = sandbox.market.bars(symbol)
            facts = source.ask(Question(Feed.QUOTE, symbol))
            requests.add(facts.requests)
            row = facts.frame.row(0, named=True)
            assert (row["symbol"], row["currency"]) == (symbol, "USD")
            assert row["price"] == pytest.approx(truth["close"][-1], abs=1e-4)
            assert row["ts"].date() == truth["session"][-1]
            assert row["previous_close"] == pytest.approx(truth["close"][-2], abs=1e-4)
    source.close()
    assert {1, 2} <= requests


@pytest.mark.parametrize("symbol", ["EUR/USD", "USD/JPY", "BTC-USD", "^GSPC", "^FTSE"])
def test_our_quotes_of_others(sandbox: SandboxServer, symbol: str) -> None:
    """Pairs and indices, in the pair's second currency."""
    source = ours(sandbox, "google_finance")
    row = source.ask(Question(Feed.QUOTE, symbol)).frame.row(0, named=True)
    source.close()
    truth = sandbox.market.others.bars(symbol, live=True)
    assert row["price"] == pytest.approx(truth["close"][-1])
    assert row["previous_close"] == pytest.approx(truth["close"][-2], abs=1e-4)
    instrument = sandbox.market.others.find(symbol)
    assert instrument is not None
    assert row["currency"] == instrument.quote


def test_unknown_tickers(sandbox: SandboxServer, client: httpx.Client) -> None:
    """A page that says so; our adapter tries every exchange, once."""
    answer = client.get("/google_finance/finance/quote/QQQZZ:NASDAQ")
    assert answer.status_code == 200
    assert "couldn't find any match" in answer.text
    source = ours(sandbox, "google_finance")
    with pytest.raises(UnknownSymbol) as caught:
        source.ask(Question(Feed.QUOTE, "QQQZZ"))
    assert caught.value.requests == 5, "one for the rules, one for each exchange"
    source.close()


def test_both_layouts_are_served(sandbox: SandboxServer, client: httpx.Client) -> None:
    """Some pages have the attributes of old, all have the data."""
    exchanges = {"XNAS": "NASDAQ", "XNYS": "NYSE"}
    table = sandbox.market.listing().filter(pl.col("delisted_on").is_null()).head(40)
    old = []
    for symbol, exchange in table.select("symbol", "exchange").iter_rows():
        if exchange in exchanges and "." not in symbol:
            page = client.get(f"/google_finance/finance/quote/{symbol}:{exchanges[exchange]}").text
            assert "AF_initDataCallback({key: 'ds:2'" in page
            old.append("data-last-price" in page)
    assert set(old) == {True, False}


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("html", Unavailable),
        ("truncated", Malformed),
        ("empty", Malformed),
        ("error_200", Malformed),
        ("http_503", Unavailable),
        ("http_429", RateLimited),
    ],
)
def test_faults(sandbox: SandboxServer, kind: str, expected: type[SourceError]) -> None:
    """What is not the page is told by its name."""
    sandbox.app.faults.add([{"kind": kind, "endpoint": "quote"}])
    source = ours(sandbox, "google_finance")
    with pytest.raises(expected):
        source.ask(Question(Feed.QUOTE, "EUR/USD"))
    source.close()


def test_dates(sandbox: SandboxServer) -> None:
    """The stamp is the close of the last session."""
    source = ours(sandbox, "google_finance")
    row = source.ask(Question(Feed.QUOTE, "AAPL")).frame.row(0, named=True)
    source.close()
    assert (row["ts"].date(), row["ts"].hour) == (FRIDAY, 21)
