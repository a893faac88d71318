"""Real recorded pages of Yahoo give what was looked up by hand, or are refused."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path

import httpx
import pytest

from stock_platform.domain.bars import Interval
from stock_platform.domain.capabilities import Feed, Tile
from stock_platform.domain.errors import Malformed, Unavailable
from stock_platform.sources.base import Facts, Question
from stock_platform.sources.robots import forget_rules
from stock_platform_tests.sources.vendors import Vendor, source_of

REFUSED = [
    "yahoo_html/lookup-page.html",
    "yahoo_other/getcrumb.txt",
    "yahoo_other/v1-search-400.json",
    "yahoo_other/v7-download-aapl.csv",
    "yahoo_other/v7-options-aapl-2025-09-19.json",
    "yahoo_other/v7-quote-aapl.json",
]


def ask(folder: Path, name: str, symbol: str, feed: Feed = Feed.QUOTE) -> Facts:
    """Ask a replay that answers every path, /robots.txt too, with one recorded answer."""
    forget_rules()
    body = (folder / "payloads" / name).read_bytes()
    vendor = Vendor([httpx.Response(200, content=body)])
    return source_of("yahoo_page", vendor).ask(Question(feed, symbol))


def test_quote(shared_fixtures: Path) -> None:
    """VFINX on the evening of 29 October 2025."""
    facts = ask(shared_fixtures, "yahoo_html/quote-page-VFINX.html", "VFINX")
    row = facts.frame.row(0, named=True)
    assert row == {
        "symbol": "VFINX",
        "ts": datetime(2025, 10, 30, 0, 5, 3, tzinfo=UTC),
        "price": 636.38,
        "open": None,
        "high": None,
        "low": None,
        "previous_close": 636.41003,
        "volume": None,
        "currency": "USD",
    }


def test_profile(shared_fixtures: Path) -> None:
    """A fund has a name and a listing, no sector."""
    facts = ask(shared_fixtures, "yahoo_html/quote-page-VFINX.html", "VFINX", Feed.PROFILE)
    row = facts.frame.row(0, named=True)
    assert {k: v for k, v in row.items() if v is not None} == {
        "symbol": "VFINX",
        "name": "Vanguard 500 Index Fund",
        "exchange": "XNAS",
        "asset_class": "fund",
        "currency": "USD",
        "listed_on": date(1980, 1, 2),
    }


def test_another_symbols_page(shared_fixtures: Path) -> None:
    """The page names VTSMX and 110 others, but is about VFINX."""
    for symbol in ("AAPL", "VTSMX"):
        with pytest.raises(Malformed, match=f"asked for {symbol}, was given VFINX"):
            ask(shared_fixtures, "yahoo_html/quote-page-VFINX.html", symbol)


@pytest.mark.parametrize("name", REFUSED)
def test_other_answers_are_refused(shared_fixtures: Path, name: str) -> None:
    """The lookup page, and answers of the API: never misread, for quote and history alike."""
    for feed in (Feed.QUOTE, Feed.PROFILE):
        with pytest.raises(Malformed):
            ask(shared_fixtures, name, "AAPL", feed)
    forget_rules()
    vendor = Vendor(
        [httpx.Response(200, content=(shared_fixtures / "payloads" / name).read_bytes())]
    )
    tile = Tile(
        "yahoo_page", "history", Interval.DAY, date(2020, 1, 2), date(2020, 1, 3), 1, "AAPL"
    )
    with pytest.raises(Malformed):
        source_of("yahoo_page", vendor).fetch(tile)


def test_consent_redirect(shared_fixtures: Path) -> None:
    """From the EU the page is a redirect to consent: unavailable, named."""
    forget_rules()
    assert (shared_fixtures / "payloads/yahoo_other/quote-page-307-consent.txt").read_bytes() == b""
    location = "https://guce.yahoo.com/consent?brandType=nonEu&gcrumb=Xvxf4hA"
    vendor = Vendor([httpx.Response(307, headers={"location": location})])
    with pytest.raises(Unavailable, match=r"guce\.yahoo\.com"):
        source_of("yahoo_page", vendor).ask(Question(Feed.QUOTE, "AAPL"))


def test_every_recorded_answer_is_covered(shared_fixtures: Path) -> None:
    """A payload added to the folders needs an expectation here."""
    folder = shared_fixtures / "payloads"
    found = {
        f"{name}/{p.name}"
        for name in ("yahoo_html", "yahoo_other")
        for p in (folder / name).iterdir()
        if not p.name.endswith(".headers.json")
    }
    ours = {"yahoo_html/quote-page-VFINX.html", "yahoo_other/quote-page-307-consent.txt"}
    assert found == ours | set(REFUSED)
