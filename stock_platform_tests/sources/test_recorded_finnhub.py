"""Real recorded answers of Finnhub give what was looked up by hand."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path

import httpx
import polars as pl
import pytest

from stock_platform.domain.bars import Interval
from stock_platform.domain.capabilities import Tile
from stock_platform.domain.errors import Malformed, NotEntitled, RateLimited, SourceError
from stock_platform.domain.symbols import parse_symbol
from stock_platform.sources.finnhub.facts import (
    parse_listing,
    parse_profile,
    parse_quote,
    parse_search,
)
from stock_platform.sources.finnhub.parse import parse_candles
from stock_platform_tests.sources.vendors import Vendor, source_of

NOW = datetime(2026, 11, 21, tzinfo=UTC)
APPLE = parse_symbol("AAPL")
EURO = parse_symbol("EUR/USD")

Parser = Callable[[int, bytes], object]
PARSERS: dict[str, Parser] = {
    "candles": lambda status, body: parse_candles(
        status, body, symbol=EURO, interval=Interval.DAY, now=NOW
    ),
    "quote": lambda status, body: parse_quote(status, body, APPLE),
    "profile": lambda status, body: parse_profile(status, body, APPLE),
    "listing": parse_listing,
    "search": lambda status, body: parse_search(status, body, APPLE),
}
# file, its status, the parser it is for
FILES = {
    "candle-forex-eurusd-D.json": (200, "candles"),
    "quote-AAPL.json": (200, "quote"),
    "profile-AAPL.json": (200, "profile"),
    "stock-symbol-US.json": (200, "listing"),
    "search-apple.json": (200, "search"),
    "calendar-earnings-aapl.json": (200, None),
    "news-sentiment-AAPL.json": (403, None),
    "error-429.json": (429, None),
}


def body(folder: Path, name: str) -> bytes:
    return (folder / "payloads" / "finnhub" / name).read_bytes()


def test_a_quote(shared_fixtures: Path) -> None:
    """At the close of Friday 22 May 2026."""
    quote = parse_quote(200, body(shared_fixtures, "quote-AAPL.json"), APPLE)
    assert quote.frame.row(0) == (
        "AAPL",
        datetime(2026, 5, 22, 20, tzinfo=UTC),
        308.82,
        306.12,
        311.4,
        305.84,
        304.99,
        None,
        "USD",
    )


def test_a_profile(shared_fixtures: Path) -> None:
    """14.7 billion shares, 4.5 trillion dollars."""
    profile = parse_profile(200, body(shared_fixtures, "profile-AAPL.json"), APPLE)
    row = {k: v for k, v in profile.frame.row(0, named=True).items() if v is not None}
    assert row == {
        "symbol": "AAPL",
        "name": "Apple Inc",
        "exchange": "XNAS",
        "currency": "USD",
        "country": "US",
        "industry": "Technology",
        "website": "https://www.apple.com/",
        "listed_on": date(1980, 12, 12),
        "shares_outstanding": 14_687_360_000.0,
        "market_cap": 4_535_749_272_209.37,
    }


def test_the_directory(shared_fixtures: Path) -> None:
    """25 listings: 17 over the counter, 4 funds, 4 others of which one is a preferred."""
    read = parse_listing(200, body(shared_fixtures, "stock-symbol-US.json"))
    assert read.rejected.is_empty()
    assert read.frame.height == 25
    assert read.frame.filter(pl.col("exchange") == "OOTC").height == 17
    assert set(read.frame.filter(pl.col("asset_class") == "etf")["symbol"]) == {
        "RSHO",
        "RPV",
        "OILU",
        "GDXD",
    }
    row = read.frame.filter(pl.col("symbol") == "SPOT").row(0, named=True)
    assert (row["name"], row["exchange"], row["figi"], row["currency"]) == (
        "SPOTIFY TECHNOLOGY SA",
        "XNYS",
        "BBG003T4VFC2",
        "USD",
    )
    preferred = read.frame.filter(pl.col("symbol") == "RC.PRE").row(0, named=True)
    assert preferred["vendor_symbol"] == "RC.PRE"


def test_a_search(shared_fixtures: Path) -> None:
    """Eleven results; each can be asked for by its own name, at home and abroad."""
    answer = body(shared_fixtures, "search-apple.json")
    for symbol, name in (
        ("AAPL", "Apple Inc"),
        ("2788.T", "Apple International Co Ltd"),
        ("603020.SS", "Apple Flavor & Fragrance Group Co Ltd"),
        ("164A.T", "Applepark Co Ltd"),
        ("PNPL.L", "Pineapple Power Corporation PLC"),
    ):
        read = parse_search(200, answer, parse_symbol(symbol))
        assert read.frame.select("symbol", "name").rows() == [(symbol, name)]
        assert read.rejected.is_empty()


def test_candles_of_the_euro(shared_fixtures: Path) -> None:
    """November 2019; each stamped at 22:00 UTC of the day before its session."""
    answer = body(shared_fixtures, "candle-forex-eurusd-D.json")
    read = parse_candles(200, answer, symbol=EURO, interval=Interval.DAY, now=NOW)
    assert read.bars.height == 21
    assert read.rejected.is_empty()
    assert not read.unfinished
    sessions = read.bars["session"].to_list()
    assert (sessions[0], sessions[-1]) == (date(2019, 11, 4), date(2019, 12, 2))
    assert all(day.weekday() < 5 for day in sessions)
    first = read.bars.row(0, named=True)
    assert first["ts"] == datetime(2019, 11, 4, tzinfo=UTC)
    assert [first[n] for n in ("open", "high", "low", "close", "volume")] == [
        1.11674,
        1.11749,
        1.11242,
        1.1127,
        46494.0,
    ]
    last = read.bars.row(-1, named=True)
    assert [last[n] for n in ("open", "high", "low", "close", "volume")] == [
        1.10228,
        1.10889,
        1.10023,
        1.10784,
        47505.0,
    ]


@pytest.mark.parametrize(
    ("status", "name", "error", "said"),
    [
        (403, "news-sentiment-AAPL.json", NotEntitled, "You don't have access to this resource"),
        (200, "news-sentiment-AAPL.json", NotEntitled, "You don't have access to this resource"),
        (429, "error-429.json", RateLimited, "API limit reached"),
        (200, "error-429.json", RateLimited, "API limit reached"),
    ],
)
def test_errors(
    shared_fixtures: Path, status: int, name: str, error: type[SourceError], said: str
) -> None:
    """In whatever status they come, whatever was asked."""
    for parse in PARSERS.values():
        with pytest.raises(error, match=said):
            parse(status, body(shared_fixtures, name))


def test_a_recorded_429_over_http(shared_fixtures: Path) -> None:
    """With the headers it had."""
    headers = {
        "X-Ratelimit-Limit": "60",
        "X-Ratelimit-Remaining": "0",
        "X-Ratelimit-Reset": "1710000300",
    }
    vendor = Vendor(
        [httpx.Response(429, headers=headers, content=body(shared_fixtures, "error-429.json"))]
    )
    day = date(2024, 3, 8)
    with pytest.raises(RateLimited, match="Remaining Limit: 0") as caught:
        source_of("finnhub", vendor).fetch(
            Tile("finnhub", "candle", Interval.DAY, day, day, 1, "AAPL")
        )
    assert caught.value.retry_after == pytest.approx(300)


def test_answers_of_other_endpoints_are_malformed(shared_fixtures: Path) -> None:
    """None is taken for another's, nor the earnings' calendar for any."""
    for name, (status, meant) in FILES.items():
        for kind, parse in PARSERS.items():
            if status == 200 and kind != meant:
                with pytest.raises(Malformed):
                    parse(200, body(shared_fixtures, name))


def test_every_recorded_answer_is_covered(shared_fixtures: Path) -> None:
    """A payload added to the folder needs an expectation here."""
    folder = shared_fixtures / "payloads" / "finnhub"
    assert {p.name for p in folder.iterdir()} == {*FILES, "README-capture.md"}
