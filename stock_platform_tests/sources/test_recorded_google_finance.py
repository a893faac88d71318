"""Real recorded answers of Google Finance: the page of today, and the API of 2017 refused."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest

from stock_platform.domain.capabilities import Feed
from stock_platform.domain.errors import Malformed
from stock_platform.sources.base import Facts, Question
from stock_platform.sources.robots import forget_rules
from stock_platform_tests.sources.vendors import Vendor, source_of

PAGE = "quote-CNY-VND.html"
RETIRED = {
    "old-api-get_prices_invalid.txt": "text instead of a page: EXCHANGE",
    "old-api-get_prices_msft.txt": "text instead of a page: EXCHANGE",
    "old-api-historical_invalid.txt": "Error 400",
    "old-api-historical_msft.txt": "text instead of a page",
    "old-api-invalid.txt": "JSON instead of a page",
    "old-api-msft.txt": "text instead of a page",
}


def ask(folder: Path, name: str, symbol: str, status: int = 200) -> Facts:
    """Ask a replay that answers every path, /robots.txt too, with one recorded answer."""
    forget_rules()
    body = (folder / "payloads" / "google_finance" / name).read_bytes()
    vendor = Vendor([httpx.Response(status, content=body)])
    return source_of("google_finance", vendor).ask(Question(Feed.QUOTE, symbol))


def test_quote(shared_fixtures: Path) -> None:
    """CNY/VND on 25 June 2026."""
    assert ask(shared_fixtures, PAGE, "CNY/VND").frame.row(0, named=True) == {
        "symbol": "CNY/VND",
        "ts": datetime(2026, 6, 25, 6, 5, tzinfo=UTC),
        "price": 3877.5505503,
        "open": None,
        "high": None,
        "low": None,
        "previous_close": 3878.213241,
        "volume": None,
        "currency": "VND",
    }


@pytest.mark.parametrize("symbol", ["AAPL", "CNY/USD", "^DJI"])
def test_another_symbols_page(shared_fixtures: Path, symbol: str) -> None:
    """The page is about CNY-VND, though it has the Dow's price too."""
    with pytest.raises(Malformed, match="was given CNY-VND"):
        ask(shared_fixtures, PAGE, symbol)


@pytest.mark.parametrize("name", sorted(RETIRED))
@pytest.mark.parametrize("status", [200, 400])
def test_the_retired_api_is_refused(shared_fixtures: Path, name: str, status: int) -> None:
    """Answers of 2017 are never misread."""
    with pytest.raises(Malformed, match=RETIRED[name] if status == 200 else "."):
        ask(shared_fixtures, name, "MSFT", status)


def test_cut_short_anywhere(shared_fixtures: Path) -> None:
    """A page that ends before its quote is malformed."""
    body = (shared_fixtures / "payloads" / "google_finance" / PAGE).read_bytes()
    quote = body.index(b"3877.5505503")
    for cut in (2, 1000, 300_000, quote - 1, quote + 5, quote + 40):
        forget_rules()
        vendor = Vendor([httpx.Response(200, content=body[:cut])])
        with pytest.raises(Malformed):
            source_of("google_finance", vendor).ask(Question(Feed.QUOTE, "CNY/VND"))


def test_every_recorded_answer_is_covered(shared_fixtures: Path) -> None:
    """A payload added to the folder needs an expectation here."""
    folder = shared_fixtures / "payloads" / "google_finance"
    assert {p.name for p in folder.iterdir()} == {PAGE, *RETIRED}
