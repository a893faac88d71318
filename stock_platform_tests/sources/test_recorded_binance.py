"""Real recorded answers of Binance give the candles and prices that were looked up by hand."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import httpx
import pytest

from stock_platform.domain.bars import Interval
from stock_platform.domain.capabilities import Feed, Tile
from stock_platform.domain.errors import Malformed, RateLimited, SourceError, UnknownSymbol
from stock_platform.sources.base import Answer, Facts, Question
from stock_platform.sources.transport import HttpOptions
from stock_platform_tests.sources.vendors import FakeTime, Vendor, source_of

NOW = datetime(2026, 11, 21, tzinfo=UTC)
DAY = date(2021, 10, 22)
MINUTES = Tile("binance", "klines_intraday", Interval.MINUTE, DAY, DAY, 1, "BTC-USDT")
WEEKLY = Tile("binance", "klines", Interval.DAY, date(2017, 7, 3), date(2017, 7, 9), 1, "ETH-BTC")
COVERED = {
    "spot_market_klines.json",
    "jkorf-GetUiKlines.json",
    "jkorf-GetTicker.json",
    "jkorf-GetExchangeInfo.json",
    "spot_market_exchange_info.json",
    "error-400-invalid-symbol.json",
    "error-429-weight.json",
}
OTHERS = {"spot_market_depth.json", "spot_market_time.json", "spot_market_trades.json"}


def vendor(folder: Path, name: str, status: int = 200) -> Vendor:
    body = (folder / "payloads" / "binance" / name).read_bytes()
    return Vendor([httpx.Response(status, content=body)])


def fetch(folder: Path, name: str, tile: Tile = MINUTES, status: int = 200) -> Answer:
    return source_of("binance", vendor(folder, name, status), now=NOW).fetch(tile)


def ask(folder: Path, name: str, feed: Feed, symbol: str | None = None) -> Facts:
    return source_of("binance", vendor(folder, name), now=NOW).ask(Question(feed, symbol))


def test_minutes(shared_fixtures: Path) -> None:
    """Ten minutes from 23:03 on, all numbers as text, the whole in one request."""
    answer = fetch(shared_fixtures, "spot_market_klines.json")
    first = datetime(2021, 10, 22, 23, 3, tzinfo=UTC)
    assert answer.bars["ts"].to_list() == [
        first + n * timedelta(minutes=1) for n in range(answer.bars.height)
    ]
    assert answer.bars.row(0) == (
        "BTC-USDT", first, DAY, 60685.22, 60729.84, 60670.9, 60719.27, 21.63272, None, 617,
    )  # fmt: skip
    assert answer.rejected.is_empty()
    assert (answer.requests, answer.currency) == (1, "USDT")


def test_minutes_are_no_days(shared_fixtures: Path) -> None:
    """The same answer to a question for days is refused, and so are weeks."""
    days = Tile("binance", "klines", Interval.DAY, DAY, DAY, 1, "BTC-USDT")
    with pytest.raises(Malformed, match="begins no candle of 1 day"):
        fetch(shared_fixtures, "spot_market_klines.json", days)
    with pytest.raises(Malformed, match="a candle of 7 days"):
        fetch(shared_fixtures, "jkorf-GetUiKlines.json", WEEKLY)


def test_a_price(shared_fixtures: Path) -> None:
    """BNBBTC's ticker, and not another pair's."""
    row = ask(shared_fixtures, "jkorf-GetTicker.json", Feed.QUOTE, "BNB-BTC").frame.row(
        0, named=True
    )
    assert row == {
        "symbol": "BNB-BTC",
        "ts": datetime(2017, 7, 12, 14, 31, 39, 40_000, tzinfo=UTC),
        "price": 4.000002,
        "open": 99.0,
        "high": 100.0,
        "low": 0.1,
        "previous_close": 0.10002,
        "volume": 8913.3,
        "currency": "BTC",
    }
    with pytest.raises(Malformed, match="was given BNBBTC"):
        ask(shared_fixtures, "jkorf-GetTicker.json", Feed.QUOTE, "BTC-USDT")


@pytest.mark.parametrize(
    ("name", "pairs"),
    [
        ("jkorf-GetExchangeInfo.json", [("ETH-BTC", "ETHBTC", "BTC", True)]),
        (
            "spot_market_exchange_info.json",
            [("BTC-USDT", "BTCUSDT", "USDT", True), ("ETH-USDT", "ETHUSDT", "USDT", True)],
        ),
    ],
)
def test_the_pairs(
    shared_fixtures: Path, name: str, pairs: list[tuple[str, str, str, bool]]
) -> None:
    """exchangeInfo as a directory."""
    frame = ask(shared_fixtures, name, Feed.LISTING).frame
    assert frame.select("symbol", "vendor_symbol", "currency", "active").rows() == pairs


@pytest.mark.parametrize("status", [400, 200])
def test_an_unknown_symbol(shared_fixtures: Path, status: int) -> None:
    """By its code, whatever the status."""
    with pytest.raises(UnknownSymbol, match=r"BTC-USDT: Invalid symbol\."):
        fetch(shared_fixtures, "error-400-invalid-symbol.json", status=status)


@pytest.mark.parametrize("status", [429, 418, 200, 400])
def test_too_much_weight(shared_fixtures: Path, status: int) -> None:
    """By its status or its code."""
    source = source_of(
        "binance",
        vendor(shared_fixtures, "error-429-weight.json", status),
        now=NOW,
        time=FakeTime(),
        http=HttpOptions(max_wait=30),
    )
    with pytest.raises(RateLimited, match="Too much request weight used"):
        source.fetch(MINUTES)


@pytest.mark.parametrize("name", sorted(OTHERS | {"spot_market_exchange_info.json"}))
def test_answers_of_other_endpoints(shared_fixtures: Path, name: str) -> None:
    """What is no candle gives none, and says so; nor is it a price or a directory."""
    with pytest.raises(Malformed):
        fetch(shared_fixtures, name)
    with pytest.raises(Malformed):
        ask(shared_fixtures, name, Feed.QUOTE, "BTC-USDT")
    if name in OTHERS:
        with pytest.raises(Malformed):
            ask(shared_fixtures, name, Feed.LISTING)


def test_every_file_is_covered(shared_fixtures: Path) -> None:
    """No recorded answer goes untried, and none breaks anything but with a SourceError."""
    names = {path.name for path in (shared_fixtures / "payloads" / "binance").iterdir()}
    assert names == COVERED | OTHERS
    for name in names:
        for tile in (MINUTES, WEEKLY):
            try:
                fetch(shared_fixtures, name, tile)
            except SourceError:
                continue
