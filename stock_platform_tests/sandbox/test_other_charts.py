"""Coins, currencies, indices and futures as Yahoo and Polygon serve them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import httpx
import polars as pl
import pytest

from stock_platform.domain.bars import Interval
from stock_platform.domain.calendar import get_calendar
from stock_platform.domain.capabilities import Tile
from stock_platform.domain.clock import FixedClock
from stock_platform.domain.errors import UnknownSymbol
from stock_platform.domain.symbols import default_calendar, parse_symbol
from stock_platform.sandbox.config import SandboxConfig
from stock_platform.sandbox.server import SandboxServer
from stock_platform.sources.base import Source
from stock_platform.sources.quota import MemoryQuota
from stock_platform.sources.registry import SOURCES, build
from stock_platform.sources.spec import Setup
from stock_platform_tests.sandbox.test_yahoo import shape

NOW = datetime(2024, 3, 9, 17, tzinfo=UTC)
START, FRIDAY = date(2024, 1, 2), date(2024, 3, 8)
CONFIG = SandboxConfig(
    symbols=5, now=NOW, start=date(2022, 6, 1), limits={"yahoo": [], "polygon": []}
)


@pytest.fixture(scope="module")
def sandbox() -> Iterator[SandboxServer]:
    with SandboxServer(CONFIG) as server:
        yield server


def source(sandbox: SandboxServer, name: str) -> Source:
    capabilities = replace(SOURCES[name].capabilities, limits=())
    keys = dict.fromkeys(capabilities.variables, "key")
    return build(
        Setup(
            capabilities,
            MemoryQuota(),
            FixedClock(NOW),
            keys=keys,
            base_url=sandbox.base_url(name),
        )
    )


def chart(sandbox: SandboxServer, symbol: str, **query: Any) -> dict[str, Any]:
    url = f"{sandbox.base_url('yahoo')}/v8/finance/chart/{symbol}"
    answer = httpx.get(url, params={"interval": "1d", **query}, timeout=60)
    assert answer.status_code == 200, answer.text
    result: dict[str, Any] = answer.json()["chart"]["result"][0]
    return result


def agree(found: pl.DataFrame, truth: pl.DataFrame, tolerance: float) -> None:
    assert found["session"].to_list() == truth["session"].to_list()
    for name in ("open", "high", "low", "close"):
        assert found[name].to_list() == pytest.approx(truth[name].to_list(), rel=tolerance), name


@pytest.mark.parametrize(
    ("recorded", "symbol"),
    [
        ("btc-usd-1d.json", "BTC-USD"),
        ("eurusd-x-1d.json", "EURUSD=X"),
        ("gc-f-futures.json", "GC=F"),
    ],
)
def test_keys_and_stamps_are_those_recorded(
    sandbox: SandboxServer, shared_fixtures: Path, recorded: str, symbol: str
) -> None:
    """Key by key and type by type as a real answer; days are stamped at the same hour."""
    path = shared_fixtures / "payloads" / "yahoo_chart" / recorded
    real = json.loads(path.read_text())["chart"]["result"][0]
    span = {"period1": "1704067200", "period2": "1709856000"}
    ours = chart(sandbox, symbol, **span)
    assert shape(ours) == shape(real)
    assert list(ours["meta"]) == list(real["meta"])
    for key in ("instrumentType", "exchangeTimezoneName", "currency", "exchangeName", "priceHint"):
        assert ours["meta"][key] == real["meta"][key]
    zone = ZoneInfo(real["meta"]["exchangeTimezoneName"])
    hours = {datetime.fromtimestamp(t, zone).time() for t in real["timestamp"]}
    assert {datetime.fromtimestamp(t, zone).time() for t in ours["timestamp"]} == hours


@pytest.mark.parametrize(
    "symbol", ["BTC-USD", "ETH-EUR", "EUR/USD", "USD/JPY", "EUR/GBP", "^GSPC", "^FTSE", "GC=F"]
)
def test_yahoo_gives_the_truth(sandbox: SandboxServer, symbol: str) -> None:
    """Our adapter's bars are the market's, at float32's precision, the day in progress not."""
    tile = Tile("yahoo", "chart", Interval.DAY, START, FRIDAY, 1, symbol)
    with closing(source(sandbox, "yahoo")) as yahoo:
        answer = yahoo.fetch(tile)
    agree(answer.bars, sandbox.market.others.bars(symbol, START), 1e-6)
    assert answer.rejected.is_empty()
    assert answer.currency == sandbox.market.others.find(symbol).quote  # type: ignore[union-attr]
    hours = get_calendar(default_calendar(parse_symbol(symbol))).open_close(FRIDAY)
    assert answer.bars["ts"].max() == hours[0]


@pytest.mark.parametrize("hour", range(0, 24, 3))
@pytest.mark.parametrize("symbol", ["BTC-USD", "EURUSD=X", "^GSPC", "^N225", "GC=F"])
def test_the_day_in_progress_is_stamped_with_the_time(
    sandbox: SandboxServer, symbol: str, hour: int
) -> None:
    """At any hour one bar a local date, none in the future, all but the last at its hour."""
    now = datetime(2024, 3, 6, hour, 20, tzinfo=UTC)
    sandbox.market.time.freeze(now)
    try:
        result = chart(sandbox, symbol, range="5d")
    finally:
        sandbox.market.time.freeze(NOW)
    zone = ZoneInfo(result["meta"]["exchangeTimezoneName"])
    stamps = [datetime.fromtimestamp(t, zone) for t in result["timestamp"]]
    assert stamps[-1] <= now
    assert len({s.date() for s in stamps}) == len(stamps)
    assert len({s.time() for s in stamps[:-1]}) == 1


def test_intraday_adds_up(sandbox: SandboxServer) -> None:
    """Hours of a day hold the day's high, low and close; the spelling JPY=X is USD/JPY."""
    for spelling, symbol in (("BTC-USD", "BTC-USD"), ("JPY=X", "USD/JPY"), ("^IXIC", "^IXIC")):
        start = datetime(2024, 3, 8, tzinfo=UTC)
        span = {"period1": int(start.timestamp()), "period2": int(start.timestamp()) + 86_400}
        quote = chart(sandbox, spelling, interval="1h", **span)["indicators"]["quote"][0]
        day = sandbox.market.others.bars(symbol, FRIDAY, FRIDAY).row(0, named=True)
        assert max(quote["high"]) == pytest.approx(day["high"], rel=1e-6)
        assert min(quote["low"]) == pytest.approx(day["low"], rel=1e-6)
        assert quote["close"][-1] == pytest.approx(day["close"], rel=1e-6)


def test_what_yahoo_does_not_have(sandbox: SandboxServer) -> None:
    """Tether pairs are the exchanges'; canonical spellings of currencies are not Yahoo's."""
    with closing(source(sandbox, "yahoo")) as yahoo:
        for symbol in ("BTC-USDT", "NOPE-USD", "EUR/AED"):
            with pytest.raises(UnknownSymbol):
                yahoo.fetch(Tile("yahoo", "chart", Interval.DAY, START, FRIDAY, 1, symbol))


@pytest.mark.parametrize("symbol", ["BTC-USD", "XRP-EUR", "EUR/USD", "USD/JPY"])
def test_polygon_gives_the_truth(sandbox: SandboxServer, symbol: str) -> None:
    """Days and hours of X: and C: pairs equal the market's, volumes too."""
    tile = Tile("polygon", "range", Interval.DAY, START, FRIDAY, 1, symbol)
    with closing(source(sandbox, "polygon")) as polygon:
        answer = polygon.fetch(tile)
        hours = polygon.fetch(replace(tile, interval=Interval.HOUR, start=FRIDAY)).bars
    truth = sandbox.market.others.bars(symbol, START)
    agree(answer.bars, truth, 1e-12)
    assert answer.bars["volume"].to_list() == pytest.approx(truth["volume"].to_list())
    path = sandbox.market.others.intraday(symbol, FRIDAY, 60)
    assert hours["ts"].to_list() == path["ts"].to_list()
    assert hours["close"].to_list() == path["close"].to_list()


def test_polygon_groups_by_utc(sandbox: SandboxServer) -> None:
    """A week of coins begins on a Sunday at UTC midnight."""
    url = f"{sandbox.base_url('polygon')}/v2/aggs/ticker/X:BTCUSD/range/1/week/{START}/{FRIDAY}"
    rows = httpx.get(url, params={"apiKey": "k"}).json()["results"]
    stamps = [datetime.fromtimestamp(row["t"] / 1000, UTC) for row in rows]
    assert {s.strftime("%a %H:%M") for s in stamps} == {"Sun 00:00"}
    assert {b - a for a, b in pairwise(stamps)} == {timedelta(days=7)}
