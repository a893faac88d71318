"""Binance's market data as recorded, through our adapter, and through ccxt's own client."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from stock_platform.domain.bars import Interval
from stock_platform.domain.capabilities import Feed, Tile
from stock_platform.domain.clock import FixedClock
from stock_platform.domain.errors import RateLimited, UnknownSymbol
from stock_platform.sandbox.config import SandboxConfig
from stock_platform.sandbox.server import SandboxServer
from stock_platform.sources.base import Question, Source
from stock_platform.sources.quota import MemoryQuota
from stock_platform.sources.registry import SOURCES, build
from stock_platform.sources.spec import Setup
from stock_platform.sources.transport import HttpOptions
from stock_platform_tests.sandbox.test_yahoo import shape

NOW = datetime(2024, 3, 9, 17, 30, tzinfo=UTC)
START, FRIDAY = date(2020, 1, 1), date(2024, 3, 8)
CONFIG = SandboxConfig(symbols=5, now=NOW, start=START)
DAYS = Tile("binance", "klines", Interval.DAY, START, FRIDAY, 1, "BTC-USDT")


@pytest.fixture(scope="module")
def _running() -> Iterator[SandboxServer]:
    with SandboxServer(CONFIG) as server:
        yield server


@pytest.fixture
def sandbox(_running: SandboxServer) -> Iterator[SandboxServer]:
    _running.app.reset()
    yield _running
    _running.app.reset()


@pytest.fixture
def source(sandbox: SandboxServer) -> Iterator[Source]:
    capabilities = SOURCES["binance"].capabilities
    setup = Setup(
        capabilities,
        MemoryQuota(),
        FixedClock(NOW),
        base_url=sandbox.base_url("binance"),
        http=HttpOptions(backoff=0.01, max_wait=0.5),
    )
    with closing(build(setup)) as made:
        yield made


def get(sandbox: SandboxServer, path: str, status: int = 200, /, **query: Any) -> Any:
    answer = httpx.get(f"{sandbox.base_url('binance')}/api/v3/{path}", params=query)
    assert answer.status_code == status, answer.text
    return answer.json()


def stamp(*when: int) -> int:
    return int(datetime(*when, tzinfo=UTC).timestamp() * 1000)  # type: ignore[arg-type,misc]  # y, m, d


def test_our_bars_are_the_truth(sandbox: SandboxServer, source: Source) -> None:
    """Four years of days in two pages, every number; the day in progress is unfinished."""
    answer = source.fetch(replace(DAYS, end=date(2024, 3, 9)))
    truth = sandbox.market.others.bars("BTC-USDT", START)
    assert answer.bars["session"].to_list() == truth["session"].to_list()
    for name in ("open", "high", "low", "close", "volume"):
        assert answer.bars[name].to_list() == truth[name].to_list()
    assert answer.unfinished == {date(2024, 3, 9)}
    assert (answer.requests, answer.currency) == (2, "USDT")
    assert answer.rejected.is_empty()


@pytest.mark.parametrize(
    ("interval", "minutes", "pages"),
    [
        (Interval.MINUTE, 1, 5),
        (Interval.MINUTES_5, 5, 1),
        (Interval.MINUTES_15, 15, 1),
        (Interval.HOUR, 60, 1),
    ],
)
def test_minutes_are_the_truth(
    sandbox: SandboxServer, source: Source, interval: Interval, minutes: int, pages: int
) -> None:
    """Three days page by page, and not one candle too many or too few."""
    tile = replace(
        DAYS,
        endpoint="klines_intraday",
        interval=interval,
        start=date(2024, 3, 6),
        symbol="ETH-EUR",
    )
    answer = source.fetch(tile)
    others = sandbox.market.others
    days = [tile.start + timedelta(days=n) for n in range(3)]
    truth = [others.intraday("ETH-EUR", day, minutes) for day in days]
    assert answer.bars["ts"].to_list() == [ts for one in truth for ts in one["ts"]]
    assert answer.bars["close"].to_list() == [close for one in truth for close in one["close"]]
    assert answer.requests == pages


def test_our_quote_and_pairs(sandbox: SandboxServer, source: Source) -> None:
    """The price is the last minute's; the pairs are those in tether and euros."""
    row = source.ask(Question(Feed.QUOTE, "SOL-USDT")).frame.row(0, named=True)
    path = sandbox.market.others.intraday("SOL-USDT", date(2024, 3, 9))
    assert row["price"] == path["close"][-1]
    assert row["ts"] == NOW
    listing = source.ask(Question(Feed.LISTING)).frame
    assert {"BTC-USDT", "BTC-EUR"} < set(listing["symbol"])
    assert not [symbol for symbol in listing["symbol"] if symbol.endswith("-USD")]


def test_faults_reach_us_as_errors(sandbox: SandboxServer, source: Source) -> None:
    """An unknown pair, too many calls; a bad answer now and then is asked for again."""
    with pytest.raises(UnknownSymbol, match=r"Invalid symbol"):
        source.fetch(replace(DAYS, symbol="NOPE-USDT"))
    for kind in ("http_503", "error_200"):
        sandbox.app.faults.add([{"kind": kind, "vendor": "binance", "times": 1}])
        assert source.fetch(replace(DAYS, start=FRIDAY)).requests == 2
    sandbox.app.faults.add([{"kind": "http_429", "vendor": "binance"}])
    with pytest.raises(RateLimited, match="Too much request weight used"):
        source.fetch(replace(DAYS, start=FRIDAY))


@pytest.mark.parametrize(
    ("path", "query", "recorded"),
    [
        ("klines", {"symbol": "BTCUSDT", "interval": "1m"}, "spot_market_klines.json"),
        ("ticker/24hr", {"symbol": "BTCUSDT"}, "jkorf-GetTicker.json"),
        ("time", {}, "spot_market_time.json"),
    ],
)
def test_keys_and_types_are_those_recorded(
    sandbox: SandboxServer, shared_fixtures: Path, path: str, query: dict[str, Any], recorded: str
) -> None:
    """Key by key and type by type as a real answer, in the same order."""
    real = json.loads((shared_fixtures / "payloads" / "binance" / recorded).read_text())
    ours = get(sandbox, path, **query)
    assert shape(ours) == shape(real)
    if isinstance(real, dict):
        assert list(ours) == list(real)
    else:
        assert [type(cell) for cell in ours[0]] == [type(cell) for cell in real[0]]


def test_recorded_errors_are_word_for_word(sandbox: SandboxServer, shared_fixtures: Path) -> None:
    """400 with its code."""
    path = shared_fixtures / "payloads" / "binance" / "error-400-invalid-symbol.json"
    ours = get(sandbox, "klines", 400, symbol="BTCUSD", interval="1d")
    assert ours == json.loads(path.read_text())


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ({"interval": "1d"}, -1102),
        ({"symbol": "BTCUSDT"}, -1102),
        ({"symbol": "btc/usdt", "interval": "1d"}, -1100),
        ({"symbol": "BTCUSDT", "interval": "7m"}, -1120),
        ({"symbol": "BTCUSDT", "interval": "1d", "limit": "many"}, -1100),
    ],
)
def test_errors(sandbox: SandboxServer, query: dict[str, Any], code: int) -> None:
    """By their codes."""
    assert get(sandbox, "klines", 400, **query)["code"] == code


def test_which_candles_are_chosen(sandbox: SandboxServer) -> None:
    """The latest, or the first from startTime on; at most 1,000; the live one is there."""
    pair: dict[str, Any] = {"symbol": "BTCUSDT"}
    days = get(sandbox, "klines", interval="1d", **pair)
    assert len(days) == 500
    assert days[-1][0] == stamp(2024, 3, 9)
    assert days[-1][6] == stamp(2024, 3, 10) - 1
    first = get(sandbox, "klines", interval="1d", startTime=0, limit=5000, **pair)
    assert (len(first), first[0][0]) == (1000, stamp(2020, 1, 1))
    hours = get(sandbox, "klines", interval="1h", startTime=stamp(2024, 3, 9, 16, 1), **pair)
    assert [row[0] for row in hours] == [stamp(2024, 3, 9, 17)]
    until = get(sandbox, "klines", interval="4h", endTime=stamp(2024, 3, 1) - 1, limit=2, **pair)
    assert [row[0] for row in until] == [stamp(2024, 2, 29, 16), stamp(2024, 2, 29, 20)]
    assert get(sandbox, "klines", interval="1d", startTime=stamp(2030, 1, 1), **pair) == []


def test_weeks_and_months(sandbox: SandboxServer) -> None:
    """Weeks begin on Monday, months on the first; they end where the next begins."""
    since: dict[str, Any] = {"symbol": "BTCUSDT", "startTime": stamp(2024, 1, 1), "limit": 3}
    weeks = get(sandbox, "klines", interval="1w", **since)
    assert [row[0] for row in weeks] == [stamp(2024, 1, 1), stamp(2024, 1, 8), stamp(2024, 1, 15)]
    months = get(sandbox, "klines", interval="1M", **since)
    assert [row[0] for row in months] == [stamp(2024, n, 1) for n in (1, 2, 3)]
    assert [row[6] + 1 for row in months] == [stamp(2024, n, 1) for n in (2, 3, 4)]
    assert float(months[0][1]) == float(weeks[0][1])


def test_every_answer_tells_the_weight(sandbox: SandboxServer) -> None:
    """klines weigh 2, exchangeInfo 20."""
    url = f"{sandbox.base_url('binance')}/api/v3/"
    used = [
        int(httpx.get(url + path).headers["x-mbx-used-weight-1m"])
        for path in ("klines?symbol=BTCUSDT&interval=1d", "exchangeInfo", "ping")
    ]
    assert used[1] - used[0] in (20, 20 - used[0])  # a minute may end in between
    assert used[2] - used[1] in (1, 1 - used[1])


def test_ccxt_runs_against_it(sandbox: SandboxServer) -> None:
    """The real ccxt.binance with its address changed: pairs, candles, price, error, time."""
    ccxt = pytest.importorskip("ccxt")
    client = ccxt.binance(
        {"enableRateLimit": False, "options": {"fetchMarkets": {"types": ["spot"]}}}
    )
    client.urls["api"]["public"] = sandbox.base_url("binance") + "/api/v3"
    client.session.trust_env = False
    with closing(client.session):
        markets = client.load_markets()
        assert {"BTC/USDT", "DOGE/EUR"} < set(markets)
        assert client.fetch_time() == int(NOW.timestamp() * 1000)
        candles = client.fetch_ohlcv("BTC/USDT", "1d", since=stamp(2024, 1, 1), limit=60)
        truth = sandbox.market.others.bars("BTC-USDT", date(2024, 1, 1)).head(60)
        assert [row[1:] for row in candles] == [
            list(row) for row in truth.select("open", "high", "low", "close", "volume").rows()
        ]
        ticker = client.fetch_ticker("ETH/USDT")
        assert ticker["last"] == sandbox.market.others.bars("ETH-USDT", live=True)["close"][-1]
        with pytest.raises(ccxt.BadSymbol):
            client.publicGetKlines({"symbol": "NOPE", "interval": "1d"})
        sandbox.app.faults.add([{"kind": "http_429", "vendor": "binance"}])
        with pytest.raises(ccxt.DDoSProtection):
            client.fetch_ticker("ETH/USDT")
