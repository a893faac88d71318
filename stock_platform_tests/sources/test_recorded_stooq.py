"""Real recorded answers of Stooq give what was looked up by hand."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from stock_platform.domain.errors import NoData, RateLimited, Unavailable
from stock_platform.sources.stooq.parse import History, parse_history

NOW = datetime(2026, 11, 20, 23, tzinfo=UTC)
"""Midnight in Warsaw."""

FILES = {
    "aapl_us_d-2019.csv",
    "daily-limit-200.txt",
    "eurusd_d.csv",
    "page-history.html",
    "unknown-symbol-200.txt",
}


def read(folder: Path, name: str, symbol: str = "AAPL", calendar: str = "XNYS") -> History:
    body = (folder / "payloads" / "stooq" / name).read_bytes()
    return parse_history(200, body, symbol=symbol, calendar=calendar, now=NOW)


def test_a_stock(shared_fixtures: Path) -> None:
    """Apple since its listing on Stooq, adjusted back: cents of a dollar in 1984."""
    found = read(shared_fixtures, "aapl_us_d-2019.csv")
    assert found.bars.height == 8733
    assert found.rejected.is_empty()
    assert found.bars["session"].is_sorted()
    first, last = found.bars.row(0, named=True), found.bars.row(-1, named=True)
    assert first["session"] == date(1984, 9, 7)
    assert first["ts"] == datetime(1984, 9, 7, 13, 30, tzinfo=UTC)
    assert (first["open"], first["high"], first["low"], first["close"]) == (
        0.41583,
        0.42087,
        0.41079,
        0.41583,
    )
    assert first["volume"] == 23669718.0
    assert last["session"] == date(2019, 5, 3)
    assert (last["open"], last["high"], last["low"], last["close"]) == (
        210.89,
        211.84,
        210.23,
        211.75,
    )
    assert last["volume"] == 20892378.0


def test_a_currency(shared_fixtures: Path) -> None:
    """Euros since 1971, of the currencies before it; no volume."""
    found = read(shared_fixtures, "eurusd_d.csv", "EUR/USD", "24/5")
    assert found.bars.height == 12353
    assert found.rejected.is_empty()
    first, last = found.bars.row(0, named=True), found.bars.row(-1, named=True)
    assert (first["session"], first["close"]) == (date(1971, 1, 4), 0.5353)
    assert last["ts"] == datetime(2019, 4, 29, tzinfo=UTC)
    assert (last["open"], last["high"], last["low"], last["close"]) == (
        1.11488,
        1.1191,
        1.11451,
        1.11834,
    )
    assert found.bars["volume"].null_count() == 12353


def test_sentences(shared_fixtures: Path) -> None:
    """Nothing there, and nothing more today: a whole day to wait at midnight."""
    with pytest.raises(NoData, match="AAPL: No data"):
        read(shared_fixtures, "unknown-symbol-200.txt")
    with pytest.raises(RateLimited, match="Exceeded the daily hits limit") as caught:
        read(shared_fixtures, "daily-limit-200.txt")
    assert caught.value.retry_after == 24 * 3600


def test_the_page_in_place_of_csv(shared_fixtures: Path) -> None:
    """What a browser sees: named, not read."""
    said = r"a web page, an HTML page instead of CSV \(HTTP 200\): UCO.US - ProShares Ultra"
    with pytest.raises(Unavailable, match=said):
        read(shared_fixtures, "page-history.html")


def test_every_recorded_answer_is_read(shared_fixtures: Path) -> None:
    """No file of the folder is left out above."""
    folder = shared_fixtures / "payloads" / "stooq"
    assert {file.name for file in folder.iterdir()} == FILES
