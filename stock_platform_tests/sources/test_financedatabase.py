"""FinanceDatabase's files against a vendor that answers as tests say."""

from __future__ import annotations

import httpx
import pytest

from stock_platform.domain.capabilities import Feed
from stock_platform.domain.errors import (
    InputError,
    Malformed,
    NoData,
    NotEntitled,
    SourceError,
    UnknownSymbol,
)
from stock_platform.sources.base import LISTINGS, PROFILES, Facts, Question
from stock_platform.sources.financedatabase.config import EXCHANGES
from stock_platform.sources.financedatabase.parse import read_symbol
from stock_platform.sources.registry import SOURCES
from stock_platform_tests.sources.vendors import Vendor, source_of

HEADER = (
    "symbol,name,summary,currency,sector,industry_group,industry,exchange,mic,market,country,"
    "state,city,zipcode,website,market_cap,isin,cusip,figi,composite_figi,shareclass_figi,delisted"
)
FUNDS = "symbol,name,currency,summary,category_group,category,family,exchange,mic,isin"


def row(symbol: str, exchange: str = "NMS", name: str = '"Some, Inc."', delisted: str = "") -> str:
    summary = '"Two\nlines, and a ""word"""'
    return (
        f"{symbol},{name},{summary},USD,Tech,Hardware,Phones,{exchange},XNAS,NASDAQ,Ireland,,Cork,"
        f"1,http://x.example,Mega Cap,IE00B4BNMY34,1,BBG1,BBG2,BBG3,{delisted}"
    )


def csv(*rows: str, header: str = HEADER) -> httpx.Response:
    return httpx.Response(200, content="\n".join([header, *rows, ""]).encode())


def ask(
    *answers: httpx.Response, feed: Feed = Feed.PROFILE, symbol: str | None = None
) -> tuple[Facts, list[str]]:
    vendor = Vendor(list(answers))
    facts = source_of("financedatabase", vendor).ask(Question(feed, symbol))
    return facts, [request.url.path for request in vendor.asked]


def test_one_request_a_file() -> None:
    """All of them, in order; the rows together."""
    answers = [
        csv(row(f"AA{letter}", name)) for letter, name in zip("ABCDEF", EXCHANGES, strict=True)
    ]
    facts, paths = ask(*answers, feed=Feed.LISTING)
    root = "/JerBouma/FinanceDatabase/main/database/equities"
    assert paths == [f"{root}/{name}.csv" for name in ("NMS", "NYQ", "ASE", "PCX", "NGM", "NCM")]
    assert facts.requests == 6
    assert dict(facts.frame.schema) == LISTINGS
    assert facts.frame["symbol"].to_list() == ["AAA", "AAB", "AAC", "AAD", "AAE", "AAF"]


def test_a_profile() -> None:
    """Quoted commas and lines are read; a size in words is no capitalization."""
    facts, _ = ask(csv(row("AAPL")))
    assert dict(facts.frame.schema) == PROFILES
    assert facts.frame.row(0, named=True) == {
        "symbol": "AAPL", "name": "Some, Inc.", "exchange": "XNAS", "asset_class": "stock",
        "currency": "USD", "country": "Ireland", "sector": "Tech", "industry": "Phones",
        "website": "http://x.example", "listed_on": None, "shares_outstanding": None,
        "market_cap": None, "cik": None, "isin": "IE00B4BNMY34", "figi": "BBG2",
    }  # fmt: skip


def test_what_is_delisted_says_so() -> None:
    """Where the file does not say, neither do we."""
    rows = [row("AAA", delisted="True"), row("AAB", delisted="False"), row("AAC")]
    facts, _ = ask(csv(*rows), feed=Feed.LISTING)
    assert facts.frame["active"].to_list() == [False, True, None]


def test_a_file_of_funds() -> None:
    """Known by its columns."""
    line = 'ACWI,iShares,USD,"Sum\nmary",Alternatives,Blend,BlackRock,NGM,,US4642882579'
    facts, _ = ask(csv(line, header=FUNDS), feed=Feed.LISTING)
    assert facts.frame.row(0)[:6] == ("ACWI", "ACWI", "iShares", "NGM", "etf", "USD")


def test_one_symbol_ends_with_the_file_that_has_it() -> None:
    """And has been in none of the others if it is in none."""
    facts, paths = ask(csv(row("AAA")), csv(row("BRK/B", "NYQ")), symbol="BRK-B")
    assert (facts.frame["symbol"].to_list(), len(paths)) == (["BRK.B"], 2)
    with pytest.raises(UnknownSymbol, match="MSFT: not in the files NMS, NYQ"):
        ask(csv(row("AAA")), symbol="MSFT")


@pytest.mark.parametrize(
    ("text", "symbol"),
    [
        ("AAPL", "AAPL"), ("NA", "NA"), ("ABR^D", "ABR.PRD"), ("DCOM^", "DCOM.PR"),
        ("BRK/B", "BRK.B"), ("BCV-PA", "BCV.PRA"), ("AP-WT", "AP.WS"), ("BQI RT WI", "BQI.R.WI"),
        ("VOD.L", "VOD.L"), ("^ADFI-IV", "^ADFI-IV"),
    ],
)  # fmt: skip
def test_its_spellings(text: str, symbol: str) -> None:
    """Yahoo's and NASDAQ's, mixed."""
    assert read_symbol(text)[0] == symbol


def test_rows_that_cannot_be_read_are_told() -> None:
    """A ticker that is none, too few values, a second row that differs."""
    rows = [row("A"), row("A"), row("?!"), "B,Short", row("A", name="Other")]
    facts, _ = ask(csv(*rows))
    assert facts.frame["symbol"].to_list() == ["A"]
    reasons = [r[0] for r in facts.rejected["reasons"]][:3]
    assert "'?!' is not allowed" in reasons[0]
    assert reasons[1:] == ["a row of 2 values", "another row of the same symbol"]


@pytest.mark.parametrize(
    ("answer", "kind", "said"),
    [
        (httpx.Response(404, text="404: Not Found"), Malformed, "NMS: there is no such file.*404"),
        (httpx.Response(403, text="no"), NotEntitled, "NMS: HTTP 403: no"),
        (httpx.Response(200, text="<html><title>x</title>"), Malformed, "HTML page"),
        (httpx.Response(200, text=""), Malformed, "empty answer"),
        (httpx.Response(200, text="a,b\n1,2\n"), Malformed, "no CSV header but"),
        (csv(), NoData, "a header alone"),
        (httpx.Response(200, text=f"{HEADER}\nA,B"), Malformed, "CSV cut short"),
        (httpx.Response(200, text=f'{HEADER}\nA,B,"half a'), Malformed, "CSV cut short"),
        (csv("?,B"), Malformed, "none of 6 rows"),
    ],
)
def test_errors(answer: httpx.Response, kind: type[SourceError], said: str) -> None:
    """One file that cannot be had fails the whole: half a directory is no answer."""
    with pytest.raises(kind, match=said):
        ask(answer)


def test_off_unless_asked_for() -> None:
    """Volunteers keep it; and it has neither bars nor quotes."""
    assert not SOURCES["financedatabase"].capabilities.default_on
    with pytest.raises(InputError, match="use one of listing, profile"):
        ask(csv(row("A")), feed=Feed.QUOTE)
