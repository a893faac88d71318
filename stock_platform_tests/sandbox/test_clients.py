"""The vendors' own client libraries work against the sandbox; only addresses are changed.

That is how we know that the sandbox is true: these libraries were written for the vendors.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pytest

from stock_platform.sandbox.market import real
from stock_platform.sandbox.server import SandboxServer

needs_real = pytest.mark.skipif(not real.available(), reason="needs bokeh_sampledata")


@pytest.fixture
def yf(sandbox: SandboxServer, tmp_path: Path) -> Iterator[Any]:
    """The yfinance library, its session sending every *.yahoo.com request to the sandbox."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pandas and peewee deprecations inside the library
        yfinance = pytest.importorskip("yfinance")
        requests = pytest.importorskip("curl_cffi.requests")
        from yfinance.data import SingletonMeta

        class Session(requests.Session):  # type: ignore[misc,name-defined]  # untyped library
            def request(self, method: str, url: str, *args: Any, **kwargs: Any) -> Any:
                parts = urlsplit(url)
                if (parts.hostname or "").endswith("yahoo.com"):
                    query = f"?{parts.query}" if parts.query else ""
                    url = f"{sandbox.base_url('yahoo')}{parts.path or '/'}{query}"
                return super().request(method, url, *args, **kwargs)

        SingletonMeta._instances.clear()
        yfinance.set_tz_cache_location(str(tmp_path))
        logging.getLogger("yfinance").setLevel(logging.CRITICAL)
        yfinance.sandbox_session = Session(impersonate="chrome")
        yield yfinance
        yfinance.sandbox_session.close()
        SingletonMeta._instances.clear()


@needs_real
def test_yfinance_history(sandbox: SandboxServer, yf: Any) -> None:
    """Ticker.history gives the true bars, split-adjusted, with actions, by date."""
    ticker = yf.Ticker("MSFT", session=yf.sandbox_session)
    frame = ticker.history(start="2003-01-02", end="2004-01-01", auto_adjust=False, actions=True)
    truth = sandbox.market.bars("MSFT", date(2003, 1, 2), date(2003, 12, 31))
    assert [d.date() for d in frame.index] == truth["session"].to_list()
    factor = np.where(truth["session"].to_numpy() < np.datetime64("2003-02-18"), 2.0, 1.0)
    assert frame["Close"].to_numpy() == pytest.approx(truth["close"].to_numpy() / factor, rel=1e-6)
    assert frame["Stock Splits"][frame["Stock Splits"] > 0].to_list() == [2.0]
    assert frame["Dividends"][frame["Dividends"] > 0].to_list() == [0.08, 0.16]
    assert (frame["Adj Close"] < frame["Close"]).all()
    assert str(frame.index.tz) == "America/New_York"


@needs_real
def test_yfinance_periods_intervals_and_actions(yf: Any) -> None:
    """Ranges, weeks, hours, the longest period and the actions' own table."""
    ticker = yf.Ticker("IBM", session=yf.sandbox_session)
    assert len(ticker.history(period="5d")) == 5
    assert 50 <= len(ticker.history(period="1y", interval="1wk")) <= 54
    assert len(ticker.history(start="2013-02-25", end="2013-03-02", interval="1h")) == 35
    assert len(ticker.history(period="max")) > 3000
    assert len(ticker.dividends) > 45


def test_yfinance_download(sandbox: SandboxServer, yf: Any) -> None:
    """download of several, one of them generated, one unknown, in threads."""
    listing = sandbox.market.listing()
    made = listing.filter(~listing["real"] & listing["delisted_on"].is_null())["yahoo"][12]
    frame = yf.download(
        ["AAPL", made, "NOSUCH"], start="2012-06-01", end="2012-07-01", auto_adjust=False,
        progress=False, session=yf.sandbox_session,
    )  # fmt: skip
    assert len(frame) == 21
    assert frame["Close"]["AAPL"].notna().all()
    assert frame["Close"][made].notna().sum() >= 19
    assert frame["Close"]["NOSUCH"].isna().all()


def test_yfinance_says_rate_limited(sandbox: SandboxServer, yf: Any) -> None:
    """Our 429 is Yahoo's 429 to the library."""
    sandbox.app.faults.add([{"kind": "http_429", "vendor": "yahoo"}])
    with pytest.raises(yf.exceptions.YFRateLimitError):
        yf.Ticker("AAPL", session=yf.sandbox_session).history(period="5d", raise_errors=True)


@pytest.fixture
def polygon(sandbox: SandboxServer) -> Any:
    """The massive library's client with its address changed."""
    massive = pytest.importorskip("massive")
    return massive.RESTClient("good-key", base=sandbox.base_url("polygon"), retries=0)


def test_massive_aggregates(sandbox: SandboxServer, polygon: Any) -> None:
    """grouped, range with paging, previous close."""
    grouped = polygon.get_grouped_daily_aggs("2013-02-27", adjusted=False)
    assert len(grouped) > 500
    apple = next(a for a in grouped if a.ticker == "AAPL")
    truth = sandbox.market.bars("AAPL", date(2012, 1, 3), date(2013, 2, 27))
    assert apple.close == pytest.approx(truth["close"][-1], abs=1e-4)
    bars = list(polygon.list_aggs("AAPL", 1, "day", "2012-01-03", "2013-02-27", limit=50))
    assert len(bars) == truth.height
    assert [b.close for b in bars] == pytest.approx(truth["close"].to_list(), abs=1e-4)
    assert polygon.get_previous_close_agg("AAPL")[0].ticker == "AAPL"
    assert polygon.get_grouped_daily_aggs("2012-12-25") == []


def test_massive_reference(sandbox: SandboxServer, polygon: Any) -> None:
    """Tickers, splits, dividends and ticker events through the library's own paging."""
    listing = sandbox.market.listing()
    tickers = [t.ticker for t in polygon.list_tickers(market="stocks", limit=250)]
    assert sorted(tickers) == sorted(
        listing.filter(listing["delisted_on"].is_null())["polygon"].to_list()
    )
    splits = list(polygon.list_splits(limit=100))
    assert len(splits) > 100
    assert all(s.split_to and s.split_from for s in splits)
    assert len(list(polygon.list_dividends(ticker="NOSUCH"))) == 0
    assert len(list(polygon.list_dividends(limit=1000))) > 1000
    assert polygon.get_ticker_events("AAPL").events
    details = polygon.get_ticker_details("AAPL")
    assert (details.ticker, details.type, details.market) == ("AAPL", "CS", "stocks")
    assert details.market_cap > details.share_class_shares_outstanding > 0


def test_massive_errors(sandbox: SandboxServer, polygon: Any) -> None:
    """401, 403 and 429 reach the library's exceptions with the vendor's words."""
    from massive.exceptions import BadResponse

    with pytest.raises(BadResponse, match="NOT_AUTHORIZED"):
        polygon.get_grouped_daily_aggs("2001-01-02")
    import massive

    with pytest.raises(BadResponse, match="Unknown API Key"):
        massive.RESTClient("bad", base=sandbox.base_url("polygon")).get_previous_close_agg("IBM")
