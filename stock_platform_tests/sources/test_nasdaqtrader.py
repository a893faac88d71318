"""NASDAQ Trader's directory against a vendor that answers as tests say."""

from __future__ import annotations

import httpx
import pytest

from stock_platform.domain.bars import Interval
from stock_platform.domain.capabilities import Feed, Tile
from stock_platform.domain.errors import (
    InputError,
    Malformed,
    NotEntitled,
    RateLimited,
    Unavailable,
    UnknownSymbol,
)
from stock_platform.sources.base import LISTINGS, Facts, Question
from stock_platform.sources.registry import SOURCES
from stock_platform_tests.sources.vendors import NOON, Vendor, source_of

TRADED = (
    "Nasdaq Traded|Symbol|Security Name|Listing Exchange|Market Category|ETF|Round Lot Size|"
    "Test Issue|Financial Status|CQS Symbol|NASDAQ Symbol|NextShares"
)
LISTED = (
    "Symbol|Security Name|Market Category|Test Issue|Financial Status|Round Lot Size|ETF|NextShares"
)
OTHER = "ACT Symbol|Security Name|Exchange|CQS Symbol|ETF|Round Lot Size|Test Issue|NASDAQ Symbol"
FOOTER = "File Creation Time: 0721202521:31|||||||"
ROWS = (
    "Y|AAPL|Apple Inc. - Common Stock|Q|Q|N|100|N|N||AAPL|N",
    "Y|BAC$B|Bank of America  Preferred B |N| |N|100|N||BACpB|BAC-B|N",
    "Y|BRK.B|Berkshire Hathaway Inc.|N| |N|100|N||BRK.B|BRK.B|N",
    "Y|NE.A|Noble Tranche 2 Warrants|N| |N|100|N||NE.WS.A|NE+A|N",
    "Y|SPY|SPDR S&P 500|P| |Y|100|N||SPY|SPY|N",
    "Y|CBOE|Cboe Global Markets|Z| ||100|N||CBOE|CBOE|N",
    "Y|IEXX|Some Company|V| |N|100|N||IEXX|IEXX|N",
    "Y|AMX|Some American Company|A| |N|100|N||AMX|AMX|N",
    "Y|EVGBC|Eaton Vance NextShares|Q|G|N|100|N|N||EVGBC|Y",
    "Y|ZVZZT|NASDAQ TEST STOCK|Q|G|N|100|Y|N||ZVZZT|N",
    "Y|NA|Nano Labs|Q|G|N|100|N|N||NA|N",
    "Y|TRUE|TrueCar|Q|G|N|100|N|N||TRUE|N",
    "Y|NAN|Nuveen|N| |N|100|N||NAN|NAN|N",
)


def text(*lines: str, end: str = "\r\n") -> httpx.Response:
    return httpx.Response(200, content=end.join([*lines, ""]).encode())


def ask(answer: httpx.Response, symbol: str | None = None) -> Facts:
    source = source_of("nasdaqtrader", Vendor([answer]))
    return source.ask(Question(Feed.LISTING, symbol))


def test_the_whole_directory_in_one_request() -> None:
    """Canonical tickers, MICs, funds; test issues left out; words that are tickers kept."""
    vendor = Vendor([text(TRADED, *ROWS, FOOTER)])
    facts = source_of("nasdaqtrader", vendor).ask(Question(Feed.LISTING))
    assert [str(r.url.path) for r in vendor.asked] == ["/dynamic/SymDir/nasdaqtraded.txt"]
    assert dict(facts.frame.schema) == LISTINGS
    assert facts.rejected.is_empty()
    assert (facts.requests, facts.http_status, facts.received_at) == (1, 200, NOON)
    found = {row["symbol"]: row for row in facts.frame.iter_rows(named=True)}
    assert list(found) == [
        "AAPL", "AMX", "BAC.PRB", "BRK.B", "CBOE", "EVGBC", "IEXX", "NA", "NAN", "NE.WS.A", "SPY",
        "TRUE",
    ]  # fmt: skip
    assert {s: row["exchange"] for s, row in found.items()} == {
        "AAPL": "XNAS", "AMX": "XASE", "BAC.PRB": "XNYS", "BRK.B": "XNYS", "CBOE": "BATS",
        "EVGBC": "XNAS", "IEXX": "IEXG", "NA": "XNAS", "NAN": "XNYS", "NE.WS.A": "XNYS",
        "SPY": "ARCX", "TRUE": "XNAS",
    }  # fmt: skip
    assert {s for s, row in found.items() if row["asset_class"] == "etf"} == {"SPY", "EVGBC"}
    assert found["BAC.PRB"]["vendor_symbol"] == "BAC$B"
    assert found["BAC.PRB"]["name"] == "Bank of America Preferred B"
    assert set(facts.frame["currency"]) == {"USD"}
    assert set(facts.frame["active"]) == {True}
    assert facts.frame["delisted_on"].null_count() == facts.frame.height


def test_files_are_known_by_their_header() -> None:
    """NASDAQ's own file names no exchange; the others' has two exact spellings."""
    own = ask(text(LISTED, "NA|Nano Labs|G|N|N|100|N|N", "QQQ|Invesco|G|N|N|100|Y|N", FOOTER))
    assert own.frame.select("symbol", "exchange", "asset_class").rows() == [
        ("NA", "XNAS", "stock"),
        ("QQQ", "XNAS", "etf"),
    ]
    other = ask(text(OTHER, "JQC.V|Nuveen Rights|N|JQCrw|N|100|N|JQC^#", FOOTER, end="\n"))
    assert other.frame.row(0)[:4] == ("JQC.R.WI", "JQC.V", "Nuveen Rights", "XNYS")


def test_columns_may_stand_in_any_order() -> None:
    """They are read by name."""
    header = "Test Issue|NASDAQ Symbol|Security Name|Exchange|ACT Symbol|A New Column"
    facts = ask(text(header, "N|BAC-B|Bank of America|N|BAC$B|x", "N||Bare|N|BAR$A|x", FOOTER))
    assert facts.frame["symbol"].to_list() == ["BAC.PRB", "BAR.PRA"]
    assert set(facts.frame["asset_class"]) == {"stock"}


def test_an_unknown_exchange_keeps_the_vendors_word() -> None:
    """A new exchange is no reason to lose its listings."""
    facts = ask(text(OTHER, "ABC|New|X|ABC|N|100|N|ABC", FOOTER))
    assert facts.frame["exchange"].to_list() == ["X"]


def test_one_symbol() -> None:
    """Of the same file; what is not in it is unknown."""
    answer = text(TRADED, *ROWS, FOOTER)
    facts = ask(answer, "BAC-PB")
    assert facts.frame["symbol"].to_list() == ["BAC.PRB"]
    with pytest.raises(UnknownSymbol, match="ZVZZT: not in the directory"):
        ask(answer, "ZVZZT")


def test_rows_that_cannot_be_read_are_told() -> None:
    """A ticker that is none, a row of other length, a second row that differs."""
    rows = ("?!|Strange|G|N|N|100|N|N", "ABC|Cut", "DEF|One|G|N|N|100|N|N", "|No|G|N|N|100|N|N")
    again = ("DEF|One|G|N|N|100|N|N", "DEF|Two|G|N|N|100|N|N")
    facts = ask(text(LISTED, *rows, *again, FOOTER))
    assert facts.frame["name"].to_list() == ["One"]
    reasons = [r[0] for r in facts.rejected["reasons"]]
    assert len(reasons) == 4
    assert "'?!' is not allowed" in reasons[0]
    assert reasons[1] == "2 values under a header of 8"
    assert "there is none" in reasons[2]
    assert reasons[3] == "another row of the same symbol"
    with pytest.raises(Malformed, match="none of 2 rows"):
        ask(text(LISTED, *rows[:2], FOOTER))


def test_a_file_without_its_last_line_was_cut_short() -> None:
    """However long; a short one is called so. With its last line a short one is whole."""
    whole = text(LISTED, *[f"A{c}|Name|G|N|N|100|N|N" for c in "BCD"], FOOTER).content
    for cut in range(len(LISTED), len(whole) - len(FOOTER) + 20, 7):
        with pytest.raises(Malformed, match=r"cut short: \d rows, which is suspiciously short"):
            ask(httpx.Response(200, content=whole[:cut]))
    rows = [f"{a}{b}{c}|Name|G|N|N|100|N|N" for a in "ABCDE" for b in "ABCDEFGHIJKLMNO"
            for c in "ABCDEFGHIJKLMNO"]  # fmt: skip
    with pytest.raises(Malformed, match=r"cut short: 1125 rows and no 'File Creation Time'"):
        ask(text(LISTED, *rows))
    assert ask(text(LISTED, rows[0], FOOTER)).frame.height == 1
    with pytest.raises(Malformed, match="suspiciously short: a directory of no symbols"):
        ask(text(LISTED, FOOTER))
    with pytest.raises(Malformed, match="cut short"):
        ask(text(LISTED, rows[0], FOOTER, rows[1]))


@pytest.mark.parametrize(
    ("answer", "kind", "said"),
    [
        (httpx.Response(200, text="<!DOCTYPE html><title>Oops</title>"), Malformed, "HTML.*Oops"),
        (httpx.Response(200, text="<p>Oops</p>"), Malformed, "no header.*Oops"),
        (httpx.Response(200, text='{"error": 1}'), Malformed, "no header"),
        (httpx.Response(200, text=""), Malformed, "empty answer"),
        (httpx.Response(200, text=f"Symbol|Name\nA|B\n{FOOTER}"), Malformed, "no header"),
        (httpx.Response(404, text="<title>Gone</title>"), Malformed, "HTTP 404: Gone"),
        (httpx.Response(403, text="<title>Denied</title>"), NotEntitled, "HTTP 403: Denied"),
        (httpx.Response(429, headers={"retry-after": "900"}), RateLimited, "too many"),
        (httpx.Response(503), Unavailable, "503"),
    ],
)
def test_errors(answer: httpx.Response, kind: type[Exception], said: str) -> None:
    """A page saved as .txt is no directory."""
    with pytest.raises(kind, match=said):
        ask(answer)


def test_the_present_is_never_taken_from_the_cache() -> None:
    """The directory changes during the day."""
    vendor = Vendor([text(LISTED, f"AB{c}|Name|G|N|N|100|N|N", FOOTER) for c in "CD"])
    source = source_of("nasdaqtrader", vendor, base_url=None)
    found = [source.ask(Question(Feed.LISTING)).frame["symbol"][0] for _ in range(2)]
    assert found == ["ABC", "ABD"]
    assert vendor.asked[0].url.host == "www.nasdaqtrader.com"


def test_it_offers_a_directory_alone() -> None:
    """No bars, no other feed, no key."""
    source = source_of("nasdaqtrader", Vendor([]))
    with pytest.raises(InputError, match="use one of listing"):
        source.ask(Question(Feed.QUOTE, "AAPL"))
    with pytest.raises(InputError, match="no such thing"):
        day = NOON.date()
        source.fetch(Tile("nasdaqtrader", "x", Interval.DAY, day, day, 1, "AAPL"))
    assert SOURCES["nasdaqtrader"].capabilities.variables == ()
