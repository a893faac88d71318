"""Yahoo's quotes, profiles and options in the sandbox; the yfinance library is content."""

from __future__ import annotations

import json
import logging
import warnings
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from stock_platform.sandbox.server import SandboxServer
from stock_platform_tests.sandbox.conftest import epoch

CRUMB = {"crumb": "sAnDb0xCrUm"}


@pytest.fixture
def yf(sandbox: SandboxServer, tmp_path: Path) -> Iterator[Any]:
    """The yfinance library; only addresses are changed."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pandas and peewee deprecations inside the library
        yfinance = pytest.importorskip("yfinance")
        requests = pytest.importorskip("curl_cffi.requests")
        from yfinance.data import SingletonMeta

        class Session(requests.Session):  # type: ignore[misc,name-defined]  # untyped library
            def request(self, method: str, url: str, *args: Any, **kwargs: Any) -> Any:
                parts = urlsplit(url)
                query = f"?{parts.query}" if parts.query else ""
                url = f"{sandbox.base_url('yahoo')}{parts.path or '/'}{query}"
                return super().request(method, url, *args, **kwargs)

        before = dict(SingletonMeta._instances)
        SingletonMeta._instances.clear()
        yfinance.set_tz_cache_location(str(tmp_path))
        logging.getLogger("yfinance").setLevel(logging.CRITICAL)
        session = Session(impersonate="chrome")
        yield lambda symbol: yfinance.Ticker(symbol, session=session)
        session.close()
        SingletonMeta._instances.clear()
        SingletonMeta._instances.update(before)


def get(client: httpx.Client, path: str, **query: Any) -> Any:
    answer = client.get(f"/yahoo{path}", params={**CRUMB, **query})
    assert answer.status_code == 200, answer.text
    return answer.json()


def last_close(sandbox: SandboxServer, symbol: str) -> float:
    return float(sandbox.market.bars(symbol)["close"][-1])


def test_yfinance_info_and_fast_info(sandbox: SandboxServer, yf: Any) -> None:
    """Ticker.info and fast_info tell the market's last close, and who it is."""
    info = yf("IBM").info
    assert info["currentPrice" if "currentPrice" in info else "regularMarketPrice"] == (
        pytest.approx(last_close(sandbox, "IBM"), abs=0.01)
    )
    assert (info["symbol"], info["currency"], info["quoteType"]) == ("IBM", "USD", "EQUITY")
    assert info["country"] == "United States"
    assert info["sector"]
    assert info["marketCap"] == pytest.approx(
        info["sharesOutstanding"] * info["regularMarketPrice"], rel=1e-6
    )
    assert yf("IBM").fast_info["currency"] == "USD"


def test_yfinance_option_chain(sandbox: SandboxServer, yf: Any) -> None:
    """Ticker.options and option_chain of the nearest and of a named expiry."""
    ticker = yf("AAPL")
    assert ticker.options[0] == "2013-03-08"
    nearest, later = ticker.option_chain(), ticker.option_chain(ticker.options[4])
    price = last_close(sandbox, "AAPL")
    for chain in (nearest, later):
        assert chain.underlying["regularMarketPrice"] == pytest.approx(price, abs=0.01)
        assert chain.calls["strike"].is_monotonic_increasing
        assert chain.calls["lastPrice"].is_monotonic_decreasing
        assert chain.puts["lastPrice"].is_monotonic_increasing
        assert (chain.calls["inTheMoney"] == (chain.calls["strike"] < price)).all()
    assert (later.calls["ask"] >= nearest.calls["ask"]).all()


def test_calls_and_puts_agree(sandbox: SandboxServer, client: httpx.Client) -> None:
    """Call less put is price less strike, within the interest and the cents."""
    chain = get(client, "/v7/finance/options/AAPL")["optionChain"]["result"][0]
    price = chain["quote"]["regularMarketPrice"]
    calls, puts = chain["options"][0]["calls"], chain["options"][0]["puts"]
    assert price == pytest.approx(last_close(sandbox, "AAPL"), abs=0.01)
    for call, put in zip(calls, puts, strict=True):
        apart = call["lastPrice"] - put["lastPrice"]
        assert apart == pytest.approx(price - call["strike"], abs=0.01 * price)
    assert calls[0]["contractSymbol"].startswith("AAPL130308C00")


def test_a_chains_keys_are_those_recorded(client: httpx.Client, shared_fixtures: Path) -> None:
    """Every key of ours is Yahoo's."""
    path = shared_fixtures / "payloads/yahoo_other/v7-options-aapl-2025-09-19.json"
    real = json.loads(path.read_text())["optionChain"]["result"][0]
    ours = get(client, "/v7/finance/options/AAPL")["optionChain"]["result"][0]
    assert set(ours) == set(real)
    assert set(ours["quote"]) <= set(real["quote"]) | {"typeDisp"}
    assert set(ours["options"][0]) == set(real["options"][0])
    assert set(ours["options"][0]["calls"][1]) <= set(real["options"][0]["calls"][0])


def test_a_quotes_keys_are_those_recorded(client: httpx.Client, shared_fixtures: Path) -> None:
    """Every key of ours is Yahoo's."""
    path = shared_fixtures / "payloads/yahoo_other/v7-quote-aapl.json"
    real = json.loads(path.read_text())["quoteResponse"]["result"][0]
    ours = get(client, "/v7/finance/quote", symbols="AAPL")["quoteResponse"]["result"][0]
    extra = {"fiftyTwoWeekLow", "fiftyTwoWeekHigh"}
    assert set(ours) <= set(real) | extra


def test_several_quotes_and_an_unknown_one(client: httpx.Client) -> None:
    """An unknown symbol is missing, not an error."""
    found = get(client, "/v7/finance/quote", symbols="IBM,NOSUCH,AAPL")["quoteResponse"]["result"]
    assert [one["symbol"] for one in found] == ["IBM", "AAPL"]
    assert get(client, "/v7/finance/options/NOSUCH")["optionChain"]["result"] == []
    answer = client.get(
        "/yahoo/v10/finance/quoteSummary/NOSUCH", params={**CRUMB, "modules": "price"}
    )
    assert answer.status_code == 404
    assert answer.json()["quoteSummary"]["error"]["description"].startswith("Quote not found")


@pytest.mark.parametrize(
    "path",
    ["/v7/finance/quote?symbols=IBM", "/v7/finance/options/IBM", "/v10/finance/quoteSummary/IBM"],
)
def test_without_the_crumb(client: httpx.Client, path: str) -> None:
    """401, in Yahoo's words."""
    answer = client.get(f"/yahoo{path}")
    assert answer.status_code == 401
    assert answer.json()["finance"]["error"] == {
        "code": "Unauthorized",
        "description": "Invalid Crumb",
    }


def test_numbers_are_dressed_unless_asked(client: httpx.Client) -> None:
    """raw and fmt; bare with formatted=false; only the modules asked for."""
    path = "/v10/finance/quoteSummary/IBM"
    dressed = get(client, path, modules="price,quoteType")["quoteSummary"]["result"][0]
    bare = get(client, path, modules="price", formatted="false")["quoteSummary"]["result"][0]
    assert set(dressed) == {"price", "quoteType"}
    assert set(bare) == {"price"}
    price = bare["price"]["regularMarketPrice"]
    assert dressed["price"]["regularMarketPrice"] == {"raw": price, "fmt": f"{price:,}"}


def test_a_session_in_progress(sandbox: SandboxServer, client: httpx.Client) -> None:
    """The quote of a running session is that of its minutes so far, its stamp now."""
    client.post("/_sandbox/clock", json={"now": "2013-02-27T17:00:00+00:00"})
    now = get(client, "/v7/finance/quote", symbols="IBM")["quoteResponse"]["result"][0]
    whole = sandbox.market.bars("IBM", date(2013, 2, 26), date(2013, 2, 26)).row(0, named=True)
    assert now["marketState"] == "REGULAR"
    assert now["regularMarketTime"] == epoch(2013, 2, 27, 17)
    assert now["regularMarketPreviousClose"] == pytest.approx(whole["close"], abs=0.01)
    assert now["regularMarketDayLow"] <= now["regularMarketPrice"] <= now["regularMarketDayHigh"]


def test_an_empty_expiry_and_bad_questions(client: httpx.Client) -> None:
    """A date without contracts has none; a missing parameter is named."""
    stamp = epoch(2013, 3, 6)
    chain = get(client, "/v7/finance/options/AAPL", date=stamp)["optionChain"]["result"][0]
    assert chain["options"] == [
        {"expirationDate": stamp, "hasMiniOptions": False, "calls": [], "puts": []}
    ]
    for path in ("/v7/finance/quote", "/v10/finance/quoteSummary/IBM"):
        answer = client.get(f"/yahoo{path}", params=CRUMB)
        assert answer.status_code == 400
        assert "Missing required query parameter" in answer.text
