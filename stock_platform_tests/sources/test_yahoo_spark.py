"""Yahoo's spark: the price now of many symbols at a call, whatever the vendor answers."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from stock_platform.domain.capabilities import Feed
from stock_platform.domain.errors import (
    InputError,
    Malformed,
    NoData,
    RateLimited,
    SourceError,
    Unavailable,
    UnknownSymbol,
)
from stock_platform.sources.base import Facts, Question
from stock_platform.sources.yahoo.spark import MOST_SYMBOLS
from stock_platform_tests.sources.vendors import Vendor, as_json, source_of

STAMP = datetime(2024, 3, 8, 20, 59, 30, tzinfo=UTC)


def told(symbol: str, price: object = 170.73, **meta: object) -> dict[str, Any]:
    """What spark says of a symbol; ``meta`` is changed."""
    usual = {
        "currency": "USD",
        "symbol": symbol,
        "regularMarketPrice": price,
        "regularMarketTime": int(STAMP.timestamp()),
        "regularMarketDayHigh": 173.7,
        "regularMarketDayLow": 168.94,
        "regularMarketVolume": 76_267_041,
        "chartPreviousClose": 169.0,
    }
    return {"symbol": symbol, "response": [{"meta": usual | meta}]}


def spark(*results: object, error: object = None, status: int = 200) -> httpx.Response:
    return as_json({"spark": {"result": list(results) or None, "error": error}}, status)


def ask(answer: httpx.Response | Exception, *symbols: str) -> tuple[Facts, Vendor]:
    vendor = Vendor([answer])
    return source_of("yahoo", vendor).ask(Question(Feed.QUOTE, symbols=symbols)), vendor


def test_many_symbols_in_one_call() -> None:
    """As the exchange stamped them, in the spelling of those who ask; without a crumb."""
    facts, vendor = ask(
        spark(told("MSFT", 406.22), told("BRK-B"), told("EURUSD=X", 1.0938, currency="USD")),
        "BRK.B", "EUR/USD", "MSFT",
    )  # fmt: skip
    assert [r.url.path for r in vendor.asked] == ["/v7/finance/spark"]
    assert dict(vendor.asked[0].url.params) == {
        "symbols": "BRK-B,EURUSD=X,MSFT", "range": "1d", "interval": "1d",
    }  # fmt: skip
    assert facts.frame["symbol"].to_list() == ["BRK.B", "EUR/USD", "MSFT"]
    assert facts.frame["price"].to_list() == [170.73, 1.0938, 406.22]
    assert facts.frame.row(2, named=True) == {
        "symbol": "MSFT", "ts": STAMP, "price": 406.22, "open": None, "high": 173.7,
        "low": 168.94, "previous_close": 169.0, "volume": 76_267_041.0, "currency": "USD",
    }  # fmt: skip


def test_pence_are_pounds() -> None:
    """London's GBp are hundredths; prices are told in the currency itself."""
    facts, _ = ask(spark(told("VOD.L", 7012.0, currency="GBp")), "VOD.L")
    row = facts.frame.row(0, named=True)
    assert (row["price"], row["previous_close"], row["currency"]) == (70.12, 1.69, "GBP")


def test_what_has_no_price_or_is_not_known_is_left_out() -> None:
    """Delisted ones have a meta without a price, unknown ones no entry, others were not asked."""
    facts, _ = ask(
        spark(
            told("AAPL"),
            told("GONE", None),
            told("HALT", regularMarketTime=None),
            {"symbol": "BARE", "response": []},
            told("TSLA"),
        ),
        "AAPL", "GONE", "HALT", "BARE", "ZZZZ",
    )  # fmt: skip
    assert facts.frame["symbol"].to_list() == ["AAPL"]
    assert facts.rejected.is_empty()


@pytest.mark.parametrize("bad", [told("MSFT", "n/a"), told("MSFT", regularMarketTime="soon")])
def test_one_unreadable_quote_stops_no_other(bad: dict[str, Any]) -> None:
    """It is handed back with why."""
    facts, _ = ask(spark(told("AAPL"), bad), "AAPL", "MSFT")
    assert facts.frame["symbol"].to_list() == ["AAPL"]
    assert facts.rejected["symbol"].to_list() == ["MSFT"]
    assert facts.rejected["reasons"].list.len().to_list() == [1]


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (spark(told("TSLA")), NoData),
        (spark(error={"code": "Not Found", "description": "No data found"}, status=404), NoData),
        (spark(error={"code": "Bad Request", "description": "Too many symbols"}, status=400),
         Malformed),
        (spark(error={"code": "internal-error", "description": "?"}, status=500), Unavailable),
        (httpx.Response(429, content=b"Too Many Requests\r\n"), RateLimited),
        (httpx.Response(200, content=b"<html>Will be right back</html>"), SourceError),
        (httpx.Response(200, content=b'{"spark": {"result": ['), Malformed),
        (as_json({"AAPL": {"close": [1.0]}}), Malformed),
    ],
    ids=["others", "404", "400", "500", "429", "html", "cut", "v8"],
)  # fmt: skip
def test_what_an_answer_stands_for(answer: httpx.Response, expected: type[SourceError]) -> None:
    """Each is a fault by its kind; none of them is a quote."""
    with pytest.raises(expected):
        ask(answer, "AAPL", "MSFT")


def test_unknown_alone_and_too_many() -> None:
    """One symbol that is not known is unknown; more than twenty are not asked for."""
    nothing = spark(error={"code": "Not Found", "description": "No data found"}, status=404)
    with pytest.raises(UnknownSymbol, match="ZZZZ"):
        ask(nothing, "ZZZZ")
    with pytest.raises(InputError, match=r"symbols: '?21'?.*1 to 20"):
        ask(spark(told("A")), *(f"T{chr(65 + n)}" for n in range(MOST_SYMBOLS + 1)))
    vendor = Vendor([spark(told("AAPL"))])
    with pytest.raises(InputError):
        source_of("yahoo", vendor).ask(Question(Feed.QUOTE))
    assert not vendor.asked
