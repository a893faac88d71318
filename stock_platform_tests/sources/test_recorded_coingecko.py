"""Real recorded answers of CoinGecko give the numbers that were looked up by hand."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from pathlib import Path

import httpx
import pytest

from stock_platform.domain.bars import Interval
from stock_platform.domain.capabilities import Feed, Tile
from stock_platform.domain.errors import Malformed, RateLimited, SourceError
from stock_platform.sources.base import Answer, Facts, Question
from stock_platform.sources.transport import HttpOptions
from stock_platform_tests.sources.vendors import FakeTime, Vendor, source_of

THEN = datetime(2021, 5, 15, 15, 34, 27, tzinfo=UTC)
WEEK = Tile("coingecko", "ohlc", Interval.DAY, date(2021, 5, 9), date(2021, 5, 15), 1, "BTC-USD")
SHORT = Tile("coingecko", "ohlc", Interval.DAY, date(2024, 3, 1), date(2024, 3, 3), 1, "BTC-USD")
OHLC = "ohlc_data_for_one_coin_in_the_last_7_days.json"
PRICES = {
    "btc_to_usd_exchange_rate.json": 49326.0,
    "price_for_multiple_coins.json": 49357.0,
    "simple_price_for_one_coin.json": 49013.0,
    "market_data_for_a_coin.json": 49053.0,
    "jkorf-GetMarkets.json": 70187.0,
}
LISTS = {
    "the_list_of_supported_coins-first1500of7248.json": 1500,
    "the_list_supported_coins-first1500of7248.json": 1500,
    "jkorf-GetAssets.json": 2,
}
CLOSES = {
    "daily_historical_prices_for_one_coin.json",
    "hourly_historical_prices_for_one_coin.json",
}
SNAPSHOTS = {
    "historical_price_for_one_coin_at_a_previous_date.json",
    "jkorf-GetAssetHistory.json",
}
COVERED = {*PRICES, *LISTS, *CLOSES, *SNAPSHOTS, OHLC, "jkorf-GetOhlc.json", "error-429.json"}


def vendor(folder: Path, name: str, status: int = 200) -> Vendor:
    body = (folder / "payloads" / "coingecko" / name).read_bytes()
    return Vendor([httpx.Response(status, content=body)])


def fetch(folder: Path, name: str, tile: Tile = WEEK, now: datetime = THEN) -> Answer:
    return source_of("coingecko", vendor(folder, name), now=now).fetch(tile)


def ask(folder: Path, name: str, feed: Feed, symbol: str | None = "BTC-USD") -> Facts:
    return source_of("coingecko", vendor(folder, name), now=THEN).ask(Question(feed, symbol))


def test_days_of_four_hour_candles(shared_fixtures: Path) -> None:
    """Six whole days; the seventh was in progress, its last candle stamped with 16:00 to come."""
    answer = fetch(shared_fixtures, OHLC)
    assert answer.bars["session"].to_list() == [date(2021, 5, d) for d in range(9, 15)]
    first = answer.bars.row(0, named=True)
    # of the six candles that end from 04:00 on the 9th to 00:00 on the 10th
    prices = (first["open"], first["high"], first["low"], first["close"])
    assert prices == (58771.88, 59092.64, 56636.68, 58050.13)
    assert first["ts"] == datetime(2021, 5, 9, tzinfo=UTC)
    assert first["volume"] is None
    assert answer.unfinished == {date(2021, 5, 15)}
    assert answer.rejected.is_empty()


def test_three_candles_are_no_day(shared_fixtures: Path) -> None:
    """Half of the 2nd of March 2024 makes no bar."""
    with pytest.raises(Malformed, match="3 candles of the day's 6"):
        fetch(shared_fixtures, "jkorf-GetOhlc.json", SHORT, now=datetime(2024, 3, 5, tzinfo=UTC))


@pytest.mark.parametrize(("name", "price"), PRICES.items())
def test_prices(shared_fixtures: Path, name: str, price: float) -> None:
    """Of simple/price and of markets alike."""
    row = ask(shared_fixtures, name, Feed.QUOTE).frame.row(0, named=True)
    assert (row["symbol"], row["price"], row["currency"]) == ("BTC-USD", price, "USD")


def test_a_market(shared_fixtures: Path) -> None:
    """Its stamp, its day, and the coin's profile."""
    row = ask(shared_fixtures, "market_data_for_a_coin.json", Feed.QUOTE).frame.row(0, named=True)
    assert row["ts"] == datetime(2021, 5, 15, 15, 59, 43, 867_000, tzinfo=UTC)
    assert (row["high"], row["low"]) == (51300.0, 48019.0)
    row = ask(shared_fixtures, "jkorf-GetMarkets.json", Feed.PROFILE).frame.row(0, named=True)
    assert (row["name"], row["market_cap"]) == ("Bitcoin", 1381651251183.0)
    assert row["shares_outstanding"] == 19675987.0


@pytest.mark.parametrize(("name", "rows"), LISTS.items())
def test_names(shared_fixtures: Path, name: str, rows: int) -> None:
    """Every coin is listed, or rejected with its reason."""
    facts = ask(shared_fixtures, name, Feed.LISTING, None)
    assert facts.frame.height + facts.rejected.height == rows
    found = dict(facts.frame.select("symbol", "vendor_symbol").rows())
    if rows == 1500:
        assert found["BTC-USD"] == "bitcoin"
        assert found["ADA-USD"] == "cardano"  # and not binance-peg-cardano
        assert found["AAVE-USD"] == "aave"
    else:
        assert found == {"ZCN-USD": "0chain", "ZOC-USD": "01coin"}


@pytest.mark.parametrize("status", [429, 200])
def test_too_many_calls(shared_fixtures: Path, status: int) -> None:
    """By status, or inside a 200."""
    source = source_of(
        "coingecko",
        vendor(shared_fixtures, "error-429.json", status),
        now=THEN,
        time=FakeTime(),
        http=HttpOptions(max_wait=30),
    )
    with pytest.raises(RateLimited, match="exceeded the Rate Limit"):
        source.fetch(WEEK)


@pytest.mark.parametrize("name", sorted(CLOSES))
def test_charts_have_no_highs(shared_fixtures: Path, name: str) -> None:
    """Daily or hourly, closes alone make no bar."""
    with pytest.raises(Malformed, match="closes without highs and lows"):
        fetch(shared_fixtures, name)


@pytest.mark.parametrize("name", sorted(SNAPSHOTS))
@pytest.mark.parametrize("feed", [Feed.QUOTE, Feed.PROFILE, Feed.LISTING])
def test_a_day_long_ago_is_no_present(shared_fixtures: Path, name: str, feed: Feed) -> None:
    """A price of 2017 without a stamp is not taken for one of now."""
    with pytest.raises(Malformed):
        ask(shared_fixtures, name, feed)


def test_every_file_is_covered(shared_fixtures: Path) -> None:
    """No recorded answer goes untried; the others are their headers, and say 200."""
    folder = shared_fixtures / "payloads" / "coingecko"
    headers = {p.name for p in folder.iterdir() if p.name.endswith(".headers.json")}
    assert {p.name for p in folder.iterdir()} - headers == COVERED
    for name in headers:
        assert json.loads((folder / name).read_text())["status"] == 200
    for name in COVERED:
        for attempt in (
            lambda name=name: fetch(shared_fixtures, name),
            lambda name=name: ask(shared_fixtures, name, Feed.QUOTE),
            lambda name=name: ask(shared_fixtures, name, Feed.LISTING, None),
        ):
            try:
                attempt()
            except SourceError:
                continue
