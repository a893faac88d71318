"""Real recorded answers of MarketWatch: a download, and pages of another kind."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path

import httpx
import pytest

from stock_platform.domain.bars import Interval
from stock_platform.domain.capabilities import Feed, Tile
from stock_platform.domain.errors import Malformed
from stock_platform.sources.base import Question, Source
from stock_platform.sources.robots import forget_rules
from stock_platform_tests.sources.vendors import Vendor, source_of

CSV = "Download_Data_STOCK_US_XNAS_AAPL.csv"
PAGES = ("marketsummary.html", "marketsummary.1.html", "marketsummary.2.html")
TILE = Tile(
    "marketwatch", "download", Interval.DAY, date(2025, 12, 15), date(2026, 1, 14), 1, "AAPL"
)


def replay(folder: Path, name: str) -> Source:
    """A source of a replay that answers every path, /robots.txt too, with one answer."""
    forget_rules()
    body = (folder / "payloads" / "marketwatch" / name).read_bytes()
    now = datetime(2026, 11, 21, tzinfo=UTC)
    return source_of("marketwatch", Vendor([httpx.Response(200, content=body)]), now=now)


def test_bars(shared_fixtures: Path) -> None:
    """A month of AAPL, newest first in the file."""
    answer = replay(shared_fixtures, CSV).fetch(TILE)
    assert answer.bars.height == 21
    assert answer.bars["session"].is_sorted()
    assert answer.bars["session"].n_unique() == 21
    assert answer.rejected.is_empty()
    first, last = answer.bars.row(0, named=True), answer.bars.row(-1, named=True)
    assert first == {
        "symbol": "AAPL",
        "ts": datetime(2025, 12, 15, 14, 30, tzinfo=UTC),
        "session": date(2025, 12, 15),
        "open": 280.15,
        "high": 280.15,
        "low": 272.84,
        "close": 274.11,
        "volume": 50_409_078.0,
        "vwap": None,
        "trades": None,
    }
    assert (last["session"], last["close"], last["volume"]) == (
        date(2026, 1, 14),
        259.96,
        40_019_422.0,
    )
    assert answer.requests == 2, "one for the rules, one for the bars"


def test_a_download_is_no_page(shared_fixtures: Path) -> None:
    """Asked for a quote."""
    with pytest.raises(Malformed, match="text instead of a page"):
        replay(shared_fixtures, CSV).ask(Question(Feed.QUOTE, "AAPL"))


@pytest.mark.parametrize("name", PAGES)
def test_other_pages(shared_fixtures: Path, name: str) -> None:
    """The market's summary of 2019 is neither a download nor a quote."""
    source = replay(shared_fixtures, name)
    with pytest.raises(Malformed, match="an HTML page instead of CSV: Market Summary"):
        source.fetch(TILE)
    with pytest.raises(Malformed, match="without a quote of stock/aapl: Market Summary"):
        source.ask(Question(Feed.QUOTE, "AAPL"))


def test_every_recorded_answer_is_covered(shared_fixtures: Path) -> None:
    """A payload added to the folder needs an expectation here."""
    folder = shared_fixtures / "payloads" / "marketwatch"
    assert {p.name for p in folder.iterdir()} == {CSV, *PAGES}
