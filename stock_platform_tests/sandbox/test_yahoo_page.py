"""Yahoo's pages in the sandbox, by their addresses and through our adapter."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import httpx
import polars as pl
import pytest
from selectolax.lexbor import LexborHTMLParser

from stock_platform.domain.bars import Interval
from stock_platform.domain.capabilities import Feed, Tile
from stock_platform.domain.errors import Malformed, SourceError, Unavailable
from stock_platform.sandbox.market import real
from stock_platform.sandbox.server import SandboxServer
from stock_platform.sources.base import Question
from stock_platform_tests.sandbox.pages import (
    FRIDAY,
    START,
    adjusted,
    close_to,
    ours,
    split_symbol,
)

needs_real = pytest.mark.skipif(not real.available(), reason="needs bokeh_sampledata")


def tile(symbol: str, start: date = START) -> Tile:
    return Tile("yahoo_page", "history", Interval.DAY, start, FRIDAY, 1, symbol)


def blobs(page: str) -> dict[str, Any]:
    """The API's answers in a page, by the beginning of their paths."""
    found: dict[str, Any] = {}
    for node in LexborHTMLParser(page).css("script[data-sveltekit-fetched]"):
        url = httpx.URL(node.attributes.get("data-url") or "")
        if url.path.endswith("/quote") or "quoteSummary" in url.path:
            path = "/".join(url.path.split("/")[:4])
            found.setdefault(path, json.loads(json.loads(node.text())["body"]))
    return found


@needs_real
def test_our_bars_are_the_truth(sandbox: SandboxServer) -> None:
    """AAPL has not split since: the page has the market's prices, to the cent."""
    source = ours(sandbox, "yahoo_page")
    answer = source.fetch(tile("AAPL"))
    source.close()
    truth = sandbox.market.bars("AAPL", START, FRIDAY)
    close_to(answer.bars, truth)
    assert answer.bars["volume"].to_list() == truth["volume"].to_list()
    assert (answer.requests, answer.currency) == (2, "USD")
    paid = sandbox.market.dividends("AAPL").filter(pl.col("ex_date") >= START)
    assert answer.dividends.select("ex_date", "amount").rows() == paid.rows()


def test_our_bars_of_a_company_that_split(sandbox: SandboxServer) -> None:
    """Adjusted as of now, with the split and the dividends as paid in the same answer."""
    symbol = split_symbol(sandbox)
    source = ours(sandbox, "yahoo_page")
    answer = source.fetch(tile(symbol))
    source.close()
    close_to(answer.bars, adjusted(sandbox, symbol, sandbox.market.bars(symbol, START, FRIDAY)))
    splits = sandbox.market.splits(symbol).filter(pl.col("ex_date") >= START)
    assert answer.splits.select("ex_date", "ratio").rows() == splits.rows()
    assert answer.rejected.is_empty()


def test_a_live_row_is_left_out(sandbox: SandboxServer) -> None:
    """In the middle of a session the newest row is not final."""
    now = datetime(2013, 2, 27, 17, tzinfo=UTC)
    sandbox.market.time.freeze(now)
    source = ours(sandbox, "yahoo_page", now)
    answer = source.fetch(tile("AAPL", date(2013, 2, 20)))
    source.close()
    assert answer.bars["session"].max() == date(2013, 2, 26)
    assert answer.unfinished == {date(2013, 2, 27)}


def test_our_quote_and_profile(sandbox: SandboxServer) -> None:
    """The page says what the API says."""
    source = ours(sandbox, "yahoo_page")
    quote = source.ask(Question(Feed.QUOTE, "AAPL")).frame.row(0, named=True)
    profile = source.ask(Question(Feed.PROFILE, "AAPL")).frame.row(0, named=True)
    source.close()
    truth = sandbox.market.bars("AAPL")
    assert quote["price"] == pytest.approx(truth["close"][-1], abs=0.005)
    assert quote["previous_close"] == pytest.approx(truth["close"][-2], abs=0.005)
    assert quote["ts"].date() == FRIDAY
    assert (quote["volume"], quote["currency"]) == (truth["volume"][-1], "USD")
    assert (profile["exchange"], profile["asset_class"]) == ("XNAS", "stock")
    assert profile["country"] == "United States"
    assert profile["shares_outstanding"] > 0


def test_the_page_looks_like_the_recorded_one(client: httpx.Client, shared_fixtures: Path) -> None:
    """Same kinds of data, in the same places."""
    theirs = (shared_fixtures / "payloads/yahoo_html/quote-page-VFINX.html").read_text()
    mine = client.get("/yahoo_page/quote/AAPL/").text
    for path, envelope in (
        ("/v7/finance/quote", "quoteResponse"),
        ("/v10/finance/quoteSummary", "quoteSummary"),
    ):
        one, other = (blobs(page)[path][envelope]["result"][0] for page in (theirs, mine))
        keys = set(one) & {"symbol", "regularMarketPrice", "currency", "price", "summaryDetail"}
        assert keys <= set(other)
    price = blobs(mine)["/v7/finance/quote"]["quoteResponse"]["result"][0]["regularMarketPrice"]
    assert set(price) == {"raw", "fmt"}
    for page in (theirs, mine):
        assert LexborHTMLParser(page).css_first('fin-streamer[data-symbol="ES=F"]') is not None


def test_unknown_tickers_are_sent_to_lookup(sandbox: SandboxServer, client: httpx.Client) -> None:
    """A redirect, which our adapter does not follow."""
    answer = client.get("/yahoo_page/quote/QQQZZ/")
    assert answer.status_code == 302
    assert answer.headers["location"].endswith("/yahoo_page/lookup/?s=QQQZZ")
    source = ours(sandbox, "yahoo_page")
    with pytest.raises(Unavailable, match="HTTP 302"):
        source.fetch(tile("QQQZZ"))
    source.close()


def test_robots(client: httpx.Client) -> None:
    """Rules of the site, as text."""
    answer = client.get("/yahoo_page/robots.txt")
    assert answer.headers["content-type"] == "text/plain"
    assert answer.text.startswith("User-agent: *")


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("html", Unavailable),
        ("truncated", Malformed),
        ("empty", Malformed),
        ("error_200", Malformed),
        ("http_503", Unavailable),
    ],
)
def test_faults(sandbox: SandboxServer, kind: str, expected: type[SourceError]) -> None:
    """What is not the page is told by its name."""
    sandbox.app.faults.add(
        [{"kind": kind, "endpoint": "history"}, {"kind": kind, "endpoint": "quote"}]
    )
    source = ours(sandbox, "yahoo_page")
    with pytest.raises(expected):
        source.fetch(tile("AAPL"))
    with pytest.raises(expected):
        source.ask(Question(Feed.QUOTE, "AAPL"))
    source.close()


def test_bar_faults_reach_the_page(sandbox: SandboxServer) -> None:
    """A close that is missing is rejected, not guessed."""
    sandbox.app.faults.add([{"kind": "null_close", "share": 0.1}])
    source = ours(sandbox, "yahoo_page")
    answer = source.fetch(tile("AAPL"))
    source.close()
    assert answer.rejected["reasons"].list.first().unique().to_list() == ["close is null"]
