"""Finnhub in the sandbox, for its own client and for ours."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import polars as pl
import pytest

from stock_platform.domain.bars import Interval
from stock_platform.domain.capabilities import Feed, Tile
from stock_platform.domain.clock import FixedClock
from stock_platform.domain.errors import (
    Malformed,
    NoData,
    NotEntitled,
    RateLimited,
    SourceError,
    Unavailable,
    UnknownSymbol,
)
from stock_platform.sandbox.server import SandboxServer
from stock_platform.sandbox.vendors.finnhub import Finnhub
from stock_platform.sources.base import Question, Source
from stock_platform.sources.quota import MemoryQuota
from stock_platform.sources.registry import SOURCES, build
from stock_platform.sources.spec import Setup
from stock_platform.sources.transport import HttpOptions
from stock_platform_tests.sandbox.conftest import NOW

FRIDAY = date(2013, 3, 1)
PRICES = ("open", "high", "low", "close")
COLUMNS = ("session", *PRICES, "volume")
Ours = Callable[..., Source]


@pytest.fixture(autouse=True)
def _unlimited(sandbox: SandboxServer) -> Iterator[None]:
    sandbox.app.limits.configure("finnhub", [])
    yield
    sandbox.app.limits.configure("finnhub", Finnhub.limits)


@pytest.fixture
def ours(sandbox: SandboxServer) -> Iterator[Ours]:
    """Our source against the sandbox, on its clock, by key; closed in the end."""
    made: list[Source] = []

    def source(key: str = "premium-1", now: datetime = NOW) -> Source:
        elapsed = [1_362_225_600.0]

        def sleep(seconds: float) -> None:
            elapsed[0] += seconds

        setup = Setup(
            capabilities=SOURCES["finnhub"].capabilities,
            quota=MemoryQuota(lambda: elapsed[0], sleep),
            clock=FixedClock(now),
            keys={"FINNHUB_API_KEY": key},
            base_url=sandbox.base_url("finnhub"),
            http=HttpOptions(backoff=0.0, max_wait=10.0),
        )
        made.append(build(setup))
        return made[-1]

    yield source
    for one in made:
        one.close()


def tile(
    symbol: str, days: int = 60, endpoint: str = "candle", end: date = FRIDAY, step: str = "1d"
) -> Tile:
    start = end - timedelta(days=days)
    return Tile("finnhub", endpoint, Interval(step), start, end, 1, symbol)


def alive(sandbox: SandboxServer, suffix: str) -> str:
    listing = sandbox.market.listing().filter(pl.col("delisted_on").is_null())
    return str(listing.filter(pl.col("symbol").str.contains(suffix))["symbol"][0])


# ---- our adapter ----------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["^IBM$", r"^[A-Z]{4}$", r"\.B$", r"\.PRA$", r"\.WS$", r"\.U$"])
def test_our_bars_are_the_market_s(sandbox: SandboxServer, ours: Ours, kind: str) -> None:
    """Every spelling of a share: the true bars, to the cent, stamped at the opening."""
    symbol = alive(sandbox, kind)
    answer = ours().fetch(tile(symbol))
    truth = sandbox.market.bars(symbol, FRIDAY - timedelta(days=60), FRIDAY)
    splits = sandbox.market.splits(symbol).filter(pl.col("ex_date") > date(2012, 12, 1))
    assert truth.height > 0
    assert splits.is_empty()
    assert answer.bars.select(COLUMNS).equals(truth.cast({"volume": pl.Float64}))
    assert answer.bars["ts"][-1] == datetime(2013, 3, 1, 14, 30, tzinfo=UTC)
    assert (answer.unfinished, answer.requests) == (frozenset(), 1)


def test_days_are_adjusted_for_splits(sandbox: SandboxServer, ours: Ours) -> None:
    """Years of a share that split: the true bars over the ratio of what came after."""
    listing = sandbox.market.listing().filter(pl.col("delisted_on").is_null())
    start = date(2010, 1, 4)
    symbol, splits = next(
        (s, x)
        for s in listing["symbol"]
        if (x := sandbox.market.splits(s).filter(pl.col("ex_date") > date(2011, 1, 3))).height
    )
    answer = ours().fetch(tile(symbol, (FRIDAY - start).days))
    truth = sandbox.market.bars(symbol, start, FRIDAY)
    factor = np.ones(truth.height)
    for ex_date, ratio in splits.iter_rows():
        factor[truth["session"].to_numpy() < np.datetime64(ex_date)] *= ratio
    assert answer.bars["session"].to_list() == truth["session"].to_list()
    assert factor[0] != 1.0
    assert answer.bars["close"].to_numpy() == pytest.approx(
        truth["close"].to_numpy() / factor, abs=1e-6
    )


def test_the_running_day_is_left_out(sandbox: SandboxServer, ours: Ours) -> None:
    """Served as far as it has come; unfinished for us."""
    noon = datetime(2013, 3, 1, 17, tzinfo=UTC)
    sandbox.market.time.freeze(noon)
    answer = ours(now=noon).fetch(tile("IBM", 3))
    assert answer.bars["session"].max() == date(2013, 2, 28)
    assert answer.unfinished == {FRIDAY}


def test_our_minutes_are_the_market_s(sandbox: SandboxServer, ours: Ours) -> None:
    """A day's quarters of an hour add up to its bar."""
    answer = ours().fetch(tile("IBM", 0, "candle_intraday", step="15m"))
    truth = sandbox.market.bars("IBM", FRIDAY, FRIDAY).row(0, named=True)
    assert answer.bars.height == 26
    assert answer.bars["ts"][0] == datetime(2013, 3, 1, 14, 30, tzinfo=UTC)
    assert answer.bars["volume"].sum() == truth["volume"]
    assert (answer.bars["open"][0], answer.bars["close"][-1]) == (truth["open"], truth["close"])
    assert (answer.bars["high"].max(), answer.bars["low"].min()) == (truth["high"], truth["low"])


@pytest.mark.parametrize(
    ("symbol", "endpoint"),
    [
        ("EUR/USD", "forex_candle"),
        ("USD/JPY", "forex_candle"),
        ("BTC-USD", "crypto_candle"),
        ("ETH-USDT", "crypto_candle"),
    ],
)
def test_our_pairs_are_the_market_s(
    sandbox: SandboxServer, ours: Ours, symbol: str, endpoint: str
) -> None:
    """Currencies by New York's days, coins by UTC's; the coin's running day is left out."""
    answer = ours().fetch(tile(symbol, 20, endpoint, NOW.date()))
    truth = sandbox.market.others.bars(symbol, NOW.date() - timedelta(days=20))
    assert answer.bars.height > 10
    assert answer.bars["session"].to_list() == truth["session"].to_list()
    for name in (*PRICES, "volume"):
        assert answer.bars[name].to_list() == pytest.approx(truth[name].to_list(), abs=1e-5)
    assert answer.unfinished == ({NOW.date()} if endpoint == "crypto_candle" else set())


@pytest.mark.parametrize(("hour", "last", "running"), [(21, 28, True), (23, 28, False)])
def test_the_running_day_of_a_currency(
    sandbox: SandboxServer, ours: Ours, hour: int, last: int, running: bool
) -> None:
    """Live until 17:00 in New York, and not there until it is over in UTC too."""
    now = datetime(2013, 3, 1, hour, tzinfo=UTC)
    sandbox.market.time.freeze(now)
    answer = ours(now=now).fetch(tile("EUR/USD", 4, "forex_candle"))
    assert answer.bars["session"].max() == date(2013, 2, last)
    assert answer.unfinished == ({FRIDAY} if running else set())


def test_hours_of_a_coin(sandbox: SandboxServer, ours: Ours) -> None:
    """24 that add up to the day."""
    answer = ours().fetch(tile("BTC-USD", 0, "crypto_candle_intraday", step="1h"))
    truth = sandbox.market.others.bars("BTC-USD", FRIDAY, FRIDAY).row(0, named=True)
    assert answer.bars.height == 24
    assert answer.bars["volume"].sum() == pytest.approx(truth["volume"])
    assert (answer.bars["open"][0], answer.bars["close"][-1]) == (truth["open"], truth["close"])


def test_a_free_key_has_no_candles(ours: Ours) -> None:
    """Not entitled, by the vendor's words; nor foreign quotes."""
    source = ours("free")
    for one in (tile("IBM"), tile("EUR/USD", 5, "forex_candle")):
        with pytest.raises(NotEntitled, match="You don't have access to this resource"):
            source.fetch(one)
    for feed in (Feed.QUOTE, Feed.PROFILE):
        with pytest.raises(NotEntitled):
            source.ask(Question(feed, "VOD.L"))
    with pytest.raises(NoData):
        ours().fetch(tile("ZZZZZ"))


def test_our_facts(sandbox: SandboxServer, ours: Ours) -> None:
    """Quote, profile, directory, on a free key."""
    source = ours("free")
    truth = sandbox.market.bars("IBM").tail(2)
    quote = source.ask(Question(Feed.QUOTE, "IBM")).frame.row(0, named=True)
    assert (quote["price"], quote["previous_close"]) == (truth["close"][1], truth["close"][0])
    assert (quote["open"], quote["high"], quote["low"]) == (
        truth["open"][1],
        truth["high"][1],
        truth["low"][1],
    )
    assert quote["ts"] == datetime(2013, 3, 1, 21, tzinfo=UTC)
    coin = source.ask(Question(Feed.QUOTE, "BTC-USD")).frame.row(0, named=True)
    assert coin["previous_close"] == sandbox.market.others.bars("BTC-USD")["close"][-1]
    profile = source.ask(Question(Feed.PROFILE, "IBM")).frame.row(0, named=True)
    assert profile["name"] == "International Business Machines Corporation"
    assert profile["market_cap"] == pytest.approx(profile["shares_outstanding"] * truth["close"][1])
    for unknown in (Question(Feed.QUOTE, "ZZZZZ"), Question(Feed.PROFILE, "ZZZZZ")):
        with pytest.raises(UnknownSymbol):
            source.ask(unknown)


def test_our_directory(sandbox: SandboxServer, ours: Ours) -> None:
    """Through its redirect, without the key; every living asset, in canonical spelling."""
    listing = sandbox.market.listing().filter(pl.col("delisted_on").is_null())
    found = ours("free").ask(Question(Feed.LISTING))
    assert found.rejected.is_empty()
    assert sorted(found.frame["symbol"]) == sorted(listing["symbol"])
    kinds = dict(found.frame.select("symbol", "asset_class").iter_rows())
    funds = listing.filter(pl.col("kind") == "ETF")["symbol"]
    assert {s for s, kind in kinds.items() if kind == "etf"} == set(funds)
    assert {call["endpoint"] for call in sandbox.report(log=True)["log"]} == {"symbols", "file"}
    one = ours("free").ask(Question(Feed.LISTING, "IBM")).frame
    assert one["symbol"].to_list() == ["IBM"]


def test_a_quote_in_the_session(sandbox: SandboxServer, ours: Ours) -> None:
    """The last minute's price, stamped with it; the day so far; yesterday's close."""
    noon = datetime(2013, 3, 1, 17, tzinfo=UTC)
    sandbox.market.time.freeze(noon)
    quote = ours(now=noon).ask(Question(Feed.QUOTE, "IBM")).frame.row(0, named=True)
    before = sandbox.market.bars("IBM", date(2013, 2, 28), date(2013, 2, 28))
    assert quote["previous_close"] == before["close"][0]
    assert noon - timedelta(minutes=1) <= quote["ts"] <= noon
    assert quote["low"] <= quote["price"] <= quote["high"]


@pytest.mark.parametrize(
    ("kind", "error"),
    [
        ("http_429", RateLimited),
        ("http_503", Unavailable),
        ("error_200", Unavailable),
        ("html", Malformed),
        ("empty", Malformed),
        ("truncated", Malformed),
    ],
)
def test_faults(sandbox: SandboxServer, ours: Ours, kind: str, error: type[SourceError]) -> None:
    """Whatever goes wrong becomes an error of ours."""
    sandbox.app.faults.add([{"kind": kind, "vendor": "finnhub"}])
    with pytest.raises(error) as caught:
        ours().fetch(tile("IBM"))
    if isinstance(caught.value, RateLimited):
        assert caught.value.retry_after == pytest.approx(60, abs=3)


def test_rows_with_holes_are_told(sandbox: SandboxServer, ours: Ours) -> None:
    """A null is rejected, never a bar."""
    sandbox.app.faults.add([{"kind": "null_close", "vendor": "finnhub", "share": 0.5}])
    answer = ours().fetch(tile("IBM", 137))
    assert answer.rejected.height > 30
    assert set(answer.rejected["reasons"].explode()) == {"close is null"}


def test_no_key_is_in_the_log(sandbox: SandboxServer, ours: Ours) -> None:
    """Neither from the header nor from the address."""
    ours("premium-secret").fetch(tile("IBM", 5))
    httpx.get(sandbox.base_url("finnhub") + "/quote", params={"symbol": "IBM", "token": "hidden"})
    text = json.dumps(sandbox.report(log=True))
    assert "premium-secret" not in text
    assert "hidden" not in text


# ---- the vendor's own ways ------------------------------------------------------------


@pytest.mark.parametrize(
    ("recorded", "path", "query"),
    [
        ("quote-AAPL.json", "/quote", {"symbol": "MSFT"}),
        ("profile-AAPL.json", "/stock/profile2", {"symbol": "MSFT"}),
        ("search-apple.json", "/search", {"q": "MSFT"}),
        ("stock-symbol-US.json", "/stock/symbol", {"exchange": "US"}),
        (
            "candle-forex-eurusd-D.json",
            "/forex/candle",
            {
                "symbol": "OANDA:EUR_USD",
                "resolution": "D",
                "from": "1360000000",
                "to": "1362000000",
            },
        ),
    ],
)
def test_keys_are_those_recorded(
    client: httpx.Client, shared_fixtures: Path, recorded: str, path: str, query: dict[str, str]
) -> None:
    """Fields have the recorded names, in their order, at ``/api/v1`` too."""
    theirs = json.loads((shared_fixtures / "payloads/finnhub" / recorded).read_text())
    for prefix in ("/finnhub", "/finnhub/api/v1"):
        answer = client.get(
            prefix + path, params={**query, "token": "premium-1"}, follow_redirects=True
        )
        assert answer.status_code == 200
        ours = answer.json()
        if isinstance(theirs, list):
            assert list(ours[0]) == list(theirs[0])
        else:
            assert list(ours) == list(theirs)
    if "result" in theirs:
        assert list(ours["result"][0]) == list(theirs["result"][0])


def test_its_own_errors(sandbox: SandboxServer, client: httpx.Client) -> None:
    """401, 403, 422, 429 with the reset's headers, as recorded."""
    assert client.get("/finnhub/quote?symbol=IBM").status_code == 401
    paths = (
        "/stock/candle",
        "/forex/candle?symbol=OANDA:EUR_USD",
        "/stock/split",
        "/quote?symbol=A.L",
    )
    for path in paths:
        answer = client.get(f"/finnhub{path}", headers={"X-Finnhub-Token": "k"})
        assert answer.status_code == 403
        assert answer.json() == {"error": "You don't have access to this resource."}
    asked = {"symbol": "IBM", "token": "premium-1", "from": "0", "to": "1"}
    for query, status in (
        ({**asked, "resolution": "7"}, 422),
        ({**asked, "resolution": "D", "from": "x"}, 422),
        ({**asked, "resolution": "D", "symbol": ""}, 422),
        ({**asked, "resolution": "D"}, 200),
    ):
        assert client.get("/finnhub/stock/candle", params=query).status_code == status
    assert client.get("/finnhub/stock/symbol?exchange=L&token=k").json() == []
    assert client.get("/finnhub/file/publicdatany/symbol/US.json?token=k").status_code == 403
    sandbox.app.limits.configure("finnhub", [(1, 600.0)])
    client.get("/finnhub/quote?symbol=IBM&token=one")
    limited = client.get("/finnhub/quote?symbol=IBM&token=one")
    assert limited.status_code == 429
    assert limited.json() == {
        "error": "API limit reached. Please try again later. Remaining Limit: 0"
    }
    assert {"x-ratelimit-limit", "x-ratelimit-remaining", "x-ratelimit-reset"} <= set(
        limited.headers
    )


def test_keys_it_does_not_know(sandbox: SandboxServer) -> None:
    """401; a signed file needs none."""
    vendor = sandbox.app.vendors["finnhub"]
    refused = vendor.authorize("bad", ["good"])
    assert refused is not None
    assert refused.status == 401
    assert vendor.authorize("good", ["good"]) is None
    signed = vendor.account({"signature": "sandbox-signature"}, {})
    assert vendor.authorize(signed, ["good"]) is None


@pytest.fixture
def library(sandbox: SandboxServer, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Any]:
    """The finnhub-python client with its one address changed."""
    finnhub = pytest.importorskip("finnhub")
    monkeypatch.setattr(finnhub.Client, "API_URL", sandbox.base_url("finnhub") + "/api/v1")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")

    def client(key: str) -> Any:
        return finnhub.Client(api_key=key)

    return client


def test_the_library_s_facts(sandbox: SandboxServer, library: Callable[[str], Any]) -> None:
    """Quotes, profiles, the directory (a redirect) and the search, on a free key."""
    truth = sandbox.market.bars("MSFT").tail(1)
    with library("free") as client:
        assert client.quote("MSFT")["c"] == truth["close"][0]
        assert client.quote("NOPE")["t"] == 0
        assert client.company_profile2(symbol="MSFT")["ticker"] == "MSFT"
        assert client.company_profile2(symbol="NOPE") == {}
        living = sandbox.market.listing().filter(pl.col("delisted_on").is_null())
        assert len(client.stock_symbols("US")) == living.height
        york = client.stock_symbols("US", mic="XNYS", currency="USD")
        assert {row["mic"] for row in york} == {"XNYS"}
        assert client.symbol_lookup("MSFT")["result"][0]["symbol"] == "MSFT"


def test_the_library_s_candles(sandbox: SandboxServer, library: Callable[[str], Any]) -> None:
    """With a premium key; a free one raises the library's own error."""
    from finnhub.exceptions import FinnhubAPIException

    span = (
        int(datetime(2013, 2, 1, tzinfo=UTC).timestamp()),
        int(datetime(2013, 3, 2, tzinfo=UTC).timestamp()),
    )
    with library("premium-1") as client:
        found = client.stock_candles("MSFT", "D", *span)
        truth = sandbox.market.bars("MSFT", date(2013, 2, 1), FRIDAY)
        assert (found["s"], found["c"]) == ("ok", truth["close"].to_list())
        assert client.stock_candles("NOPE", "D", *span) == {"s": "no_data"}
        euro = client.forex_candles("OANDA:EUR_USD", "D", *span)
        assert len(euro["t"]) == 20
        assert client.crypto_candles("BINANCE:BTCUSDT", "60", *span)["s"] == "ok"
    with library("free") as client, pytest.raises(FinnhubAPIException, match="have access"):
        client.stock_candles("MSFT", "D", *span)
    sandbox.app.limits.configure("finnhub", [(1, 600.0)])
    with library("other") as client:
        client.quote("MSFT")
        with pytest.raises(FinnhubAPIException, match="API limit reached"):
            client.quote("MSFT")
