"""NASDAQ's stock screener against a vendor that answers as tests say."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from stock_platform.domain.capabilities import Feed
from stock_platform.domain.errors import (
    InputError,
    Malformed,
    NoData,
    NotEntitled,
    RateLimited,
    SourceError,
    Unavailable,
    UnknownSymbol,
)
from stock_platform.sources.base import LISTINGS, PROFILES, Facts, Question
from stock_platform.sources.nasdaq_screener.parse import read_symbol
from stock_platform.sources.registry import SOURCES
from stock_platform_tests.sources.vendors import Vendor, as_json, source_of


def row(symbol: str, **more: Any) -> dict[str, Any]:
    return {
        "symbol": symbol, "name": "Some  Company ", "lastsale": "$15.88", "netchange": "0.05",
        "pctchange": "0.316%", "volume": "20100", "marketCap": "66410099.00", "country": "China",
        "ipoyear": "2008", "industry": "Consumer Services", "sector": "Real Estate",
        "url": "/market-activity/stocks/x",
    } | more  # fmt: skip


def wrapped(*rows: dict[str, Any]) -> dict[str, Any]:
    head = {"symbol": "Symbol", "name": "Name"}
    return {
        "data": {"asOf": None, "headers": head, "rows": list(rows)},
        "message": None,
        "status": {"rCode": 200, "bCodeMessage": None, "developerMessage": None},
    }


def ask(answer: Any, feed: Feed = Feed.PROFILE, symbol: str | None = None) -> Facts:
    answer = answer if isinstance(answer, httpx.Response) else as_json(answer)
    return source_of("nasdaq_screener", Vendor([answer])).ask(Question(feed, symbol))


def test_profiles_of_every_stock_in_one_request() -> None:
    """Sector, industry, country and a capitalization that is a number, or null."""
    rows = [row("AACG"), row("AACI", marketCap="0.00", ipoyear="", sector="")]
    vendor = Vendor([as_json(wrapped(*rows, row("AACX", marketCap="1,234.5", country="N/A")))])
    facts = source_of("nasdaq_screener", vendor).ask(Question(Feed.PROFILE))
    assert vendor.asked[0].url.path == "/api/screener/stocks"
    assert dict(vendor.asked[0].url.params) == {
        "tableonly": "true", "limit": "25", "download": "true"
    }  # fmt: skip
    assert dict(facts.frame.schema) == PROFILES
    assert facts.requests == 1
    first, second, third = facts.frame.iter_rows(named=True)
    assert first["name"] == "Some Company"
    assert (first["country"], first["sector"]) == ("China", "Real Estate")
    assert (first["industry"], first["market_cap"]) == ("Consumer Services", 66410099.0)
    assert (first["currency"], first["asset_class"], first["listed_on"]) == ("USD", "stock", None)
    assert (second["market_cap"], second["sector"]) == (None, None)
    assert (third["market_cap"], third["country"]) == (1234.5, None)


def test_a_listing_of_the_same_rows() -> None:
    """Canonical tickers; the vendor's own beside them; the exchange is not told."""
    facts = ask([row("ABR^D"), row("BRK/B"), row("NA")], Feed.LISTING)
    assert dict(facts.frame.schema) == LISTINGS
    assert facts.frame.select("symbol", "vendor_symbol").rows() == [
        ("ABR.PRD", "ABR^D"),
        ("BRK.B", "BRK/B"),
        ("NA", "NA"),
    ]
    assert facts.frame["exchange"].null_count() == 3
    assert set(facts.frame["active"]) == {True}


@pytest.mark.parametrize("shape", ["download", "table", "bare"])
def test_rows_wherever_they_stand(shape: str) -> None:
    """The download, the page's table, and the bare list are one."""
    rows = [row("AAPL")]
    answer: Any = {"download": wrapped(*rows), "table": {"data": {"table": {"rows": rows}}}}
    facts = ask(answer.get(shape, rows))
    assert facts.frame["symbol"].to_list() == ["AAPL"]


@pytest.mark.parametrize(
    ("text", "symbol"),
    [
        ("AAPL", "AAPL"), ("TRUE", "TRUE"), ("ABR^D", "ABR.PRD"), ("DCOM^", "DCOM.PR"),
        ("BRK/A", "BRK.A"), ("ACHR/WS", "ACHR.WS"), ("AAM/U", "AAM.U"),
    ],
)  # fmt: skip
def test_its_spelling(text: str, symbol: str) -> None:
    """A caret marks a preferred share here, where elsewhere it marks a right."""
    assert read_symbol(text) == symbol


def test_one_symbol() -> None:
    """Of the same answer."""
    answer = wrapped(row("AAPL"), row("ABR^D"))
    assert ask(answer, symbol="ABR-PD").frame["symbol"].to_list() == ["ABR.PRD"]
    with pytest.raises(UnknownSymbol, match="MSFT: not in the screener"):
        ask(answer, symbol="MSFT")


def test_rows_that_cannot_be_read_are_told() -> None:
    """No ticker, no number, another row of the same stock; an answer of such rows is none."""
    bad = [row("?"), row("B", marketCap="much"), row(""), row("A", name="Other")]
    facts = ask([row("A"), row("A"), *bad])
    assert facts.frame["symbol"].to_list() == ["A"]
    reasons = [r[0] for r in facts.rejected["reasons"]]
    assert "'?' is not allowed" in reasons[0]
    assert reasons[1] == "marketCap: 'much' is not a number"
    assert reasons[2] == "symbol is ''"
    assert reasons[3] == "another row of the same symbol"
    with pytest.raises(Malformed, match="none of 2 rows"):
        ask(bad[:2])


def refusal(code: int) -> dict[str, Any]:
    words = [{"code": 1, "errorMessage": "so it is"}]
    return {"data": None, "message": None, "status": {"rCode": code, "bCodeMessage": words}}


@pytest.mark.parametrize(
    ("answer", "kind", "said"),
    [
        (refusal(400), Malformed, "HTTP 400: so it is"),
        (refusal(403), NotEntitled, "so it is"),
        (refusal(503), Unavailable, "so it is"),
        (refusal(200), Malformed, "no data in the answer: so it is"),
        (as_json(refusal(404), 404), Malformed, "HTTP 404: so it is"),
        (httpx.Response(403, text="<title>Access Denied</title>"), Unavailable, "Access Denied"),
        (httpx.Response(200, text="<title>Robot?</title>"), Malformed, "HTML page.*Robot"),
        (httpx.Response(429, headers={"retry-after": "900"}), RateLimited, "too many"),
        ([], NoData, "no rows"),
        (wrapped(), NoData, "no rows"),
        ({"data": {"count": 1}}, Malformed, "no rows in data but count"),
        ({"data": [1]}, Malformed, "data is list"),
        ([1], Malformed, "a row is int"),
        ("x", Malformed, "not an object"),
        ({}, Malformed, "no data"),
    ],
)
def test_errors(answer: Any, kind: type[SourceError], said: str) -> None:
    """By status, or inside a good one."""
    with pytest.raises(kind, match=said):
        ask(answer)


def test_too_many_calls_inside_a_good_status() -> None:
    """Held for the shortest window, then asked again."""
    vendor = Vendor([as_json(refusal(429)), as_json([row("A")])])
    facts = source_of("nasdaq_screener", vendor).ask(Question(Feed.LISTING))
    assert (facts.requests, facts.rate_limited) == (2, 1)


def test_off_unless_asked_for() -> None:
    """It is a page's own address; and it has no quotes, for want of a time."""
    assert not SOURCES["nasdaq_screener"].capabilities.default_on
    with pytest.raises(InputError, match="use one of listing, profile"):
        ask([row("A")], Feed.QUOTE)
