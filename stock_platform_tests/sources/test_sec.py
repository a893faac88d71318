"""The SEC's company tickers against a vendor that answers as tests say."""

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
    UnknownSymbol,
)
from stock_platform.sources.base import LISTINGS, Facts, Question
from stock_platform.sources.transport import HttpOptions
from stock_platform_tests.sources.vendors import Vendor, as_json, source_of

APPLE = {"cik_str": 320193, "ticker": "AAPL", "title": "Apple Inc."}
UNDECLARED = (
    b"<!DOCTYPE html><html><head><title>SEC.gov | Your Request Originates from an Undeclared "
    b"Automated Tool</title></head><body>Please declare your traffic</body></html>"
)
TOO_FAST = UNDECLARED.replace(
    b"Your Request Originates from an Undeclared Automated Tool", b"Request Rate Threshold Exceeded"
)


def numbered(*rows: Any) -> dict[str, Any]:
    return {str(n): row for n, row in enumerate(rows)}


def filer(ticker: str, cik: Any = 1018724, title: str = "SOME CO") -> dict[str, Any]:
    return {"cik_str": cik, "ticker": ticker, "title": title}


def ask(answer: Any, symbol: str | None = None) -> Facts:
    answer = answer if isinstance(answer, httpx.Response) else as_json(answer)
    return source_of("sec", Vendor([answer])).ask(Question(Feed.LISTING, symbol))


def test_every_filer_in_one_request() -> None:
    """Ten digits of CIK, canonical tickers, our User-Agent."""
    rows = (APPLE, filer("BRK-B", 1067983), filer("CTA-PA"), filer("GRP-UN"), filer("MKC-V"))
    vendor = Vendor([as_json(numbered(*rows, filer("VFINX"), filer("NA"), filer("ETI-P")))])
    options = HttpOptions(user_agent="Jane Doe jane@doe.example")
    facts = source_of("sec", vendor, http=options).ask(Question(Feed.LISTING))
    request = vendor.asked[0]
    assert (request.url.path, len(vendor.asked)) == ("/files/company_tickers.json", 1)
    assert request.headers["user-agent"] == "Jane Doe jane@doe.example"
    assert dict(facts.frame.schema) == LISTINGS
    found = {row["symbol"]: row for row in facts.frame.iter_rows(named=True)}
    assert list(found) == ["AAPL", "BRK.B", "CTA.PRA", "ETI.PR", "GRP.U", "MKC.V", "NA", "VFINX"]
    assert found["AAPL"]["cik"] == "0000320193"
    assert (found["AAPL"]["name"], found["AAPL"]["exchange"]) == ("Apple Inc.", None)
    assert (found["BRK.B"]["vendor_symbol"], found["BRK.B"]["cik"]) == ("BRK-B", "0001067983")
    assert (found["VFINX"]["asset_class"], found["NA"]["asset_class"]) == ("fund", None)


def test_the_form_with_exchanges() -> None:
    """Fields named once, rows as arrays; OTC and null are no exchange of ours."""
    rows = [
        [320193, "Apple Inc.", "AAPL", "Nasdaq"],
        [40545, "GE", "GE", "NYSE"],
        [1, "Over", "OVER", "OTC"],
        [2, "Nowhere", "NOWH", None],
        [3, "C", "CBOE", "CBOE"],
    ]
    facts = ask({"fields": ["cik", "name", "ticker", "exchange"], "data": rows})
    assert facts.frame.select("symbol", "exchange", "cik").rows() == [
        ("AAPL", "XNAS", "0000320193"),
        ("CBOE", "BATS", "0000000003"),
        ("GE", "XNYS", "0000040545"),
        ("NOWH", None, "0000000002"),
        ("OVER", "OTC", "0000000001"),
    ]


def test_the_form_of_funds() -> None:
    """Its tickers are called symbols, and it has no names."""
    fields = ["cik", "seriesId", "classId", "symbol"]
    facts = ask({"fields": fields, "data": [[2110, "S000009184", "C000024954", "LACAX"]]})
    assert facts.frame.row(0)[:5] == ("LACAX", "LACAX", None, None, "fund")


def test_one_symbol() -> None:
    """Of the same file."""
    answer = numbered(APPLE, filer("BRK-B", 1067983))
    assert ask(answer, "BRK.B").frame["cik"].to_list() == ["0001067983"]
    with pytest.raises(UnknownSymbol, match="MSFT: not in the SEC's tickers"):
        ask(answer, "MSFT")


def test_rows_that_cannot_be_read_are_told() -> None:
    """No ticker, a CIK that is none, the same ticker of two filers."""
    bad = [filer("?"), filer("B", "x"), filer(""), filer("C", None), filer("AAPL", 5)]
    facts = ask(numbered(APPLE, APPLE, *bad))
    assert facts.frame["cik"].to_list() == ["0000320193"]
    reasons = [r[0] for r in facts.rejected["reasons"]]
    assert "'?' is not allowed" in reasons[0]
    assert reasons[1:] == [
        "CIK is 'x'", "no ticker", "CIK is None", "another row of the same symbol"
    ]  # fmt: skip
    with pytest.raises(Malformed, match="none of 2 rows"):
        ask(numbered(*bad[:2]))


@pytest.mark.parametrize("status", [403, 200])
def test_a_caller_without_a_name_is_told_what_to_do(status: int) -> None:
    """By status or as a page in a 200 alike."""
    with pytest.raises(
        NotEntitled, match=r"Undeclared Automated Tool.*STOCK_PLATFORM_USER_AGENT to 'name e-mail'"
    ):
        ask(httpx.Response(status, content=UNDECLARED))


@pytest.mark.parametrize("status", [403, 200])
def test_who_asks_too_fast_is_shut_out(status: int) -> None:
    """For ten minutes, which is longer than a call waits."""
    with pytest.raises(RateLimited, match="Threshold Exceeded") as caught:
        ask(httpx.Response(status, content=TOO_FAST))
    assert caught.value.retry_after == 600


@pytest.mark.parametrize(
    ("answer", "kind", "said"),
    [
        (httpx.Response(404, text="<Error/>"), Malformed, "HTTP 404"),
        (httpx.Response(200, text="<title>Hm</title>"), Malformed, "HTML page.*Hm"),
        (httpx.Response(200, text='{"0":{"cik_str":3'), Malformed, "cut short"),
        ([], Malformed, "not an object"),
        ({}, Malformed, "no rows"),
        ({"message": "no"}, Malformed, "row message is str"),
        ({"fields": ["a"], "data": []}, Malformed, "no ticker or no CIK among the fields a"),
        ({"fields": ["cik", "ticker"]}, Malformed, "fields but no data"),
        ({"fields": ["cik", "ticker"], "data": [1]}, Malformed, "a row of data is int"),
        ({"fields": ["cik", "ticker"], "data": []}, NoData, "no rows"),
    ],
)
def test_errors(answer: Any, kind: type[SourceError], said: str) -> None:
    """What is not the file is said."""
    with pytest.raises(kind, match=said):
        ask(answer)


def test_it_offers_a_directory_alone() -> None:
    """No other feed."""
    with pytest.raises(InputError, match="use one of listing"):
        source_of("sec", Vendor([])).ask(Question(Feed.PROFILE, "AAPL"))
