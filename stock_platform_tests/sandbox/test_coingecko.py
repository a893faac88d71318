"""CoinGecko's public API as recorded, and through our adapter."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from stock_platform.domain.bars import Interval
from stock_platform.domain.capabilities import Feed, Tile
from stock_platform.domain.clock import FixedClock
from stock_platform.domain.errors import Malformed, NotEntitled, RateLimited
from stock_platform.sandbox.config import SandboxConfig
from stock_platform.sandbox.server import SandboxServer
from stock_platform.sources.base import Question, Source
from stock_platform.sources.quota import MemoryQuota
from stock_platform.sources.registry import SOURCES, build
from stock_platform.sources.spec import Setup
from stock_platform.sources.transport import HttpOptions
from stock_platform_tests.sandbox.test_yahoo import shape

NOW = datetime(2024, 3, 9, 17, 30, tzinfo=UTC)
FRIDAY = date(2024, 3, 8)
KEYS = ["good-key"]
CONFIG = SandboxConfig(symbols=5, now=NOW, start=date(2022, 6, 1), keys={"coingecko": KEYS})


@pytest.fixture(scope="module")
def _running() -> Iterator[SandboxServer]:
    with SandboxServer(CONFIG) as server:
        yield server


@pytest.fixture
def sandbox(_running: SandboxServer) -> Iterator[SandboxServer]:
    _running.app.reset()
    yield _running
    _running.app.reset()


def source(sandbox: SandboxServer, key: str | None = "good-key", prefix: str = "/api/v3") -> Source:
    setup = Setup(
        SOURCES["coingecko"].capabilities,
        MemoryQuota(),
        FixedClock(NOW),
        keys={"COINGECKO_API_KEY": key} if key else {},
        base_url=sandbox.base_url("coingecko") + prefix,
        http=HttpOptions(backoff=0.01, max_wait=0.5),
    )
    return build(setup)


def week(symbol: str, days: int = 29) -> Tile:
    start = NOW.date() - timedelta(days=days)
    return Tile("coingecko", "ohlc", Interval.DAY, start, NOW.date(), 1, symbol)


def get(sandbox: SandboxServer, path: str, status: int = 200, /, **query: Any) -> Any:
    answer = httpx.get(f"{sandbox.base_url('coingecko')}/api/v3/{path}", params=query)
    assert answer.status_code == status, answer.text
    return answer.json()


@pytest.mark.parametrize("prefix", ["/api/v3", ""])
@pytest.mark.parametrize(("symbol", "days"), [("BTC-USD", 29), ("DOGE-EUR", 5)])
def test_our_bars_are_the_truth(
    sandbox: SandboxServer, prefix: str, symbol: str, days: int
) -> None:
    """29 days of four-hour candles are the market's days; today is unfinished."""
    tile = week(symbol, days)
    with closing(source(sandbox, prefix=prefix)) as coingecko:
        answer = coingecko.fetch(tile)
    truth = sandbox.market.others.bars(symbol, tile.start)
    assert truth.height == days
    assert answer.bars["session"].to_list() == truth["session"].to_list()
    for name in ("open", "high", "low", "close"):
        assert answer.bars[name].to_list() == truth[name].to_list()
    assert answer.unfinished == {NOW.date()}
    assert answer.rejected.is_empty()
    assert answer.requests == 1


def test_our_feeds(sandbox: SandboxServer) -> None:
    """The last minute's price, the coin's name, the list with its namesakes."""
    with closing(source(sandbox)) as coingecko:
        quote = coingecko.ask(Question(Feed.QUOTE, "ETH-USD")).frame.row(0, named=True)
        live = sandbox.market.others.bars("ETH-USD", live=True)
        assert (quote["price"], quote["ts"]) == (live["close"][-1], NOW)
        profile = coingecko.ask(Question(Feed.PROFILE, "ETH-USD")).frame.row(0, named=True)
        assert profile["name"] == "Ethereum"
        assert profile["market_cap"] == int(live["close"][-1] * profile["shares_outstanding"])
        listing = coingecko.ask(Question(Feed.LISTING))
        found = dict(listing.frame.select("symbol", "vendor_symbol").rows())
        assert (found["BTC-USD"], found["ADA-USD"]) == ("bitcoin", "cardano")
        assert listing.rejected.height == 3


def test_older_days_have_the_wrong_granularity(sandbox: SandboxServer) -> None:
    """Beyond 30 days the candles are four days long: refused, not taken for days."""
    with closing(source(sandbox)) as coingecko, pytest.raises(Malformed, match="wrong granularity"):
        coingecko.fetch(week("BTC-USD", 60))


def test_keys_and_limits(sandbox: SandboxServer) -> None:
    """No key is needed, a wrong one is refused, and 429s reach us as they are."""
    with closing(source(sandbox, key=None)) as coingecko:
        assert coingecko.fetch(week("BTC-USD", 5)).bars.height == 5
    with closing(source(sandbox, key="bad")) as coingecko, pytest.raises(NotEntitled, match="Key"):
        coingecko.fetch(week("BTC-USD", 5))
    sandbox.app.faults.add([{"kind": "http_429", "vendor": "coingecko", "retry_after": 119}])
    with closing(source(sandbox)) as coingecko, pytest.raises(RateLimited) as caught:
        coingecko.fetch(week("BTC-USD", 5))
    assert caught.value.retry_after == pytest.approx(119)


@pytest.mark.parametrize(
    "kind", ["http_503", "html", "truncated", "empty", "null_rows", "repeated"]
)
def test_faults(sandbox: SandboxServer, kind: str) -> None:
    """None gives a bar that is not the truth."""
    sandbox.app.faults.add([{"kind": kind, "vendor": "coingecko", "symbol": "bitcoin", "times": 1}])
    with closing(source(sandbox)) as coingecko:
        try:
            answer = coingecko.fetch(week("BTC-USD", 5))
        except Malformed:
            return
    if kind != "repeated":
        truth = sandbox.market.others.bars("BTC-USD")
        joined = answer.bars.join(truth, on="session", suffix="_true")
        assert joined["close"].to_list() == joined["close_true"].to_list()


@pytest.mark.parametrize(
    ("path", "query", "recorded"),
    [
        (
            "coins/bitcoin/ohlc",
            {"vs_currency": "usd", "days": 7},
            "ohlc_data_for_one_coin_in_the_last_7_days.json",
        ),
        (
            "coins/bitcoin/market_chart",
            {"vs_currency": "usd", "days": 30},
            "hourly_historical_prices_for_one_coin.json",
        ),
        (
            "coins/bitcoin/market_chart",
            {"vs_currency": "usd", "days": 90, "interval": "daily"},
            "daily_historical_prices_for_one_coin.json",
        ),
        (
            "coins/markets",
            {"vs_currency": "usd", "ids": "bitcoin"},
            "market_data_for_a_coin.json",
        ),
        (
            "simple/price",
            {"vs_currencies": "usd", "ids": "bitcoin"},
            "simple_price_for_one_coin.json",
        ),
        ("coins/list", {}, "the_list_of_supported_coins-first1500of7248.json"),
    ],
)
def test_keys_and_types_are_those_recorded(
    sandbox: SandboxServer, shared_fixtures: Path, path: str, query: dict[str, Any], recorded: str
) -> None:
    """Key by key and type by type as a real answer, in the same order and number."""
    real = json.loads((shared_fixtures / "payloads" / "coingecko" / recorded).read_text())
    ours = get(sandbox, path, **query)
    assert shape(ours) == shape(real)
    first, known = (doc[0] if isinstance(doc, list) else doc for doc in (ours, real))
    if isinstance(known, dict):
        assert list(first) == list(known)
    if "chart" in path:
        count, real_count = len(ours["prices"]), len(real["prices"])
        assert count == pytest.approx(real_count, rel=0.03)
        midnights = [t for t, _ in ours["prices"] if t % 86_400_000 == 0]
        assert len(midnights) >= (count - 1 if "interval" in query else 0)
        assert ours["prices"][-1][0] == int(NOW.timestamp() * 1000)
    if "ohlc" in path:
        assert len(ours) == len(real)
        assert ours[-1][0] == int(datetime(2024, 3, 9, 20, tzinfo=UTC).timestamp() * 1000)


def test_recorded_errors_are_word_for_word(sandbox: SandboxServer, shared_fixtures: Path) -> None:
    """The 429's body."""
    path = shared_fixtures / "payloads" / "coingecko" / "error-429.json"
    sandbox.app.faults.add([{"kind": "http_429", "vendor": "coingecko"}])
    assert get(sandbox, "ping", 429) == json.loads(path.read_text())


@pytest.mark.parametrize(
    ("path", "query", "status"),
    [
        ("coins/nope/ohlc", {"vs_currency": "usd", "days": 7}, 404),
        ("coins/bitcoin/ohlc", {"vs_currency": "xxx", "days": 7}, 400),
        ("coins/bitcoin/ohlc", {"vs_currency": "usd", "days": 8}, 400),
        ("coins/bitcoin/ohlc", {"vs_currency": "usd", "days": 7, "interval": "daily"}, 401),
        ("coins/bitcoin/ohlc", {"days": 7}, 422),
        ("coins/bitcoin/market_chart", {"vs_currency": "usd", "days": "max"}, 401),
        ("coins/bitcoin/market_chart", {"vs_currency": "usd"}, 422),
        ("coins/markets", {"vs_currency": "usd", "page": "x"}, 422),
        ("simple/price", {"vs_currencies": "usd"}, 422),
        ("simple/price", {"ids": "bitcoin"}, 422),
        ("nonsense", {}, 404),
    ],
)
def test_errors(sandbox: SandboxServer, path: str, query: dict[str, Any], status: int) -> None:
    """What it says to questions it cannot answer."""
    assert "error" in get(sandbox, path, status, **query)


def test_midnight_is_the_close_of_the_day_before(sandbox: SandboxServer) -> None:
    """A chart's daily point is the price at which the day that just ended closed."""
    chart = get(sandbox, "coins/bitcoin/market_chart", vs_currency="usd", days=10, interval="daily")
    closes = sandbox.market.others.bars("BTC-USD")
    points = dict(chart["prices"][:-1])
    for session, close in closes.tail(5).select("session", "close").iter_rows():
        ends = datetime(session.year, session.month, session.day, tzinfo=UTC) + timedelta(days=1)
        assert points[int(ends.timestamp() * 1000)] == close


def test_pages_of_markets(sandbox: SandboxServer) -> None:
    """The largest first; a page beyond the last is empty; unknown ids are left out."""
    rows = get(sandbox, "coins/markets", vs_currency="eur", per_page=3)
    assert [row["market_cap_rank"] for row in rows] == [1, 2, 3]
    assert rows[0]["market_cap"] > rows[1]["market_cap"] > rows[2]["market_cap"]
    assert get(sandbox, "coins/markets", vs_currency="eur", per_page=250, page=2) == []
    assert get(sandbox, "simple/price", ids="nope", vs_currencies="usd") == {}
