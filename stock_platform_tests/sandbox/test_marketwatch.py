"""MarketWatch in the sandbox, by its addresses and through our adapter."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from pathlib import Path

import httpx
import polars as pl
import pytest

from stock_platform.domain.bars import Interval
from stock_platform.domain.capabilities import Feed, Tile
from stock_platform.domain.errors import Malformed, SourceError, Unavailable, UnknownSymbol
from stock_platform.sandbox.market import real
from stock_platform.sandbox.server import SandboxServer
from stock_platform.sandbox.vendors.marketwatch import MarketWatch
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
PATH = "/marketwatch/investing/stock/{}/downloaddatapartial"


@pytest.fixture(autouse=True)
def _unlimited(sandbox: SandboxServer) -> Iterator[None]:
    sandbox.app.limits.configure("marketwatch", [])
    yield
    sandbox.app.limits.configure("marketwatch", MarketWatch.limits)


def tile(symbol: str, start: date = START) -> Tile:
    return Tile("marketwatch", "download", Interval.DAY, start, FRIDAY, 1, symbol)


def download(client: httpx.Client, symbol: str, start: str, end: str) -> httpx.Response:
    return client.get(
        PATH.format(symbol),
        params={
            "startdate": f"{start} 00:00:00",
            "enddate": f"{end} 23:59:59",
            "daterange": "d30",
            "frequency": "p1d",
            "csvdownload": "true",
            "downloadpartial": "false",
            "newdates": "false",
        },
    )


@needs_real
def test_our_bars_are_the_truth(sandbox: SandboxServer) -> None:
    """Five years of AAPL, which has not split since, in six requests and one for the rules."""
    source = ours(sandbox, "marketwatch")
    answer = source.fetch(tile("AAPL", date(2008, 1, 2)))
    source.close()
    truth = sandbox.market.bars("AAPL", date(2008, 1, 2), FRIDAY)
    close_to(answer.bars, truth)
    assert answer.bars["volume"].to_list() == truth["volume"].to_list()
    assert (answer.requests, answer.currency) == (7, "USD")
    assert answer.rejected.is_empty()


def test_our_bars_of_a_company_that_split(sandbox: SandboxServer) -> None:
    """Adjusted as of now; the splits are elsewhere."""
    symbol = split_symbol(sandbox)
    source = ours(sandbox, "marketwatch")
    answer = source.fetch(tile(symbol))
    source.close()
    close_to(answer.bars, adjusted(sandbox, symbol, sandbox.market.bars(symbol, START, FRIDAY)))
    assert answer.splits.is_empty()


def test_the_download_looks_like_the_recorded_one(
    client: httpx.Client, shared_fixtures: Path
) -> None:
    """Heading, order, quotes, a line's end behind the last row."""
    recorded = "payloads/marketwatch/Download_Data_STOCK_US_XNAS_AAPL.csv"
    theirs = (shared_fixtures / recorded).read_text()
    mine = download(client, "aapl", "01/02/2013", "03/01/2013").text
    assert mine.splitlines()[0] == theirs.splitlines()[0]
    shapes = [
        "".join("9" if c.isdigit() else c for c in text.splitlines()[1]) for text in (mine, theirs)
    ]
    assert shapes[0].split(",")[0] == shapes[1].split(",")[0]
    assert shapes[0].count('"') == shapes[1].count('"') == 10
    assert all(text.endswith('"\n') for text in (mine, theirs))
    days = [line[:10] for line in mine.splitlines()[1:]]
    assert days[0] == "03/01/2013"


def test_a_year_at_the_most(client: httpx.Client) -> None:
    """More is silently cut to the last year; what is not asked rightly is a 400."""
    rows = download(client, "aapl", "01/02/2008", "03/01/2013").text.splitlines()[1:]
    assert 240 < len(rows) < 256
    assert rows[-1][6:10] == "2012"
    assert client.get(PATH.format("aapl")).status_code == 400


def test_our_quotes(sandbox: SandboxServer) -> None:
    """Shares, pairs, coins and indices, to the cent."""
    source = ours(sandbox, "marketwatch")
    found = {
        symbol: source.ask(Question(Feed.QUOTE, symbol)).frame.row(0, named=True)
        for symbol in ("AAPL", "EUR/USD", "BTC-USD", "^GSPC")
    }
    source.close()
    truth = sandbox.market.bars("AAPL")
    assert found["AAPL"]["price"] == pytest.approx(truth["close"][-1], abs=0.005)
    assert (found["AAPL"]["ts"].date(), found["AAPL"]["ts"].hour) == (FRIDAY, 21)
    for symbol in ("EUR/USD", "BTC-USD", "^GSPC"):
        close = sandbox.market.others.bars(symbol, live=True)["close"][-1]
        assert found[symbol]["price"] == pytest.approx(close, abs=0.005)


def test_places(sandbox: SandboxServer, client: httpx.Client) -> None:
    """Funds are elsewhere, unknown symbols nowhere."""
    table = sandbox.market.listing()
    etf = table.filter((pl.col("kind") == "ETF") & pl.col("delisted_on").is_null())["symbol"][0]
    answer = client.get(f"/marketwatch/investing/stock/{etf.lower()}")
    assert answer.status_code == 301
    assert answer.headers["location"].endswith(f"/investing/fund/{etf.lower()}")
    source = ours(sandbox, "marketwatch")
    with pytest.raises(Unavailable, match="HTTP 301"):
        source.fetch(tile(etf))
    with pytest.raises(UnknownSymbol):
        source.fetch(tile("QQQZZ"))
    with pytest.raises(UnknownSymbol):
        source.ask(Question(Feed.QUOTE, "QQQZZ"))
    source.close()


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("html", Unavailable),
        ("http_429", Unavailable),
        ("truncated", Malformed),
        ("empty", Malformed),
        ("error_200", Malformed),
        ("http_503", Unavailable),
    ],
)
def test_faults(sandbox: SandboxServer, kind: str, expected: type[SourceError]) -> None:
    """The captcha wall is named; what is not the answer is malformed."""
    sandbox.app.faults.add([{"kind": kind, "endpoint": e} for e in ("download", "quote")])
    source = ours(sandbox, "marketwatch")
    with pytest.raises(expected, match="DataDome" if kind in ("html", "http_429") else "."):
        source.fetch(tile("AAPL"))
    if kind != "truncated":
        with pytest.raises(expected):
            source.ask(Question(Feed.QUOTE, "AAPL"))
    source.close()


def test_beyond_its_limit_is_the_captcha(sandbox: SandboxServer, client: httpx.Client) -> None:
    """Thirty a minute, then the wall."""
    sandbox.app.limits.configure("marketwatch", [(3, 60.0)])
    statuses = [client.get("/marketwatch/investing/stock/aapl").status_code for _ in range(4)]
    assert statuses == [200, 200, 200, 403]
