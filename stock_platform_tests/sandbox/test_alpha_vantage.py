"""Alpha Vantage in the sandbox, for its own client and for ours."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import polars as pl
import pytest

from stock_platform.domain.bars import Interval
from stock_platform.domain.capabilities import Feed, Tile
from stock_platform.domain.clock import FixedClock
from stock_platform.domain.errors import (
    Malformed,
    NotEntitled,
    RateLimited,
    SourceError,
    Unavailable,
    UnknownSymbol,
)
from stock_platform.sandbox.server import SandboxServer
from stock_platform.sandbox.vendors.alpha_vantage import AlphaVantage
from stock_platform.sources.base import Question, Source
from stock_platform.sources.quota import MemoryQuota
from stock_platform.sources.registry import SOURCES, build
from stock_platform.sources.spec import Setup
from stock_platform.sources.transport import HttpOptions
from stock_platform_tests.sandbox.conftest import NOW

FRIDAY = date(2013, 3, 1)
COLUMNS = ("session", "open", "high", "low", "close", "volume")


@pytest.fixture(autouse=True)
def _unlimited(sandbox: SandboxServer) -> Iterator[None]:
    sandbox.app.limits.configure("alpha_vantage", [])
    yield
    sandbox.app.limits.configure("alpha_vantage", AlphaVantage.limits)


def get(client: httpx.Client, function: str, key: str | None = "k", **query: str) -> httpx.Response:
    params = {"function": function, **query, **({"apikey": key} if key else {})}
    answer = client.get("/alpha_vantage/query", params=params)
    assert answer.status_code == 200
    return answer


Ours = Callable[..., Source]


@pytest.fixture
def ours(sandbox: SandboxServer) -> Iterator[Ours]:
    """Our sources against the sandbox, on its clock, by key; closed in the end."""
    made: list[Source] = []

    def source(key: str = "k", now: datetime = NOW) -> Source:
        elapsed = [1_362_225_600.0]

        def sleep(seconds: float) -> None:
            elapsed[0] += seconds

        setup = Setup(
            capabilities=SOURCES["alpha_vantage"].capabilities,
            quota=MemoryQuota(lambda: elapsed[0], sleep),
            clock=FixedClock(now),
            keys={"ALPHA_VANTAGE_API_KEY": key},
            base_url=sandbox.base_url("alpha_vantage"),
            http=HttpOptions(backoff=0.0, max_wait=10.0),
        )
        made.append(build(setup))
        return made[-1]

    yield source
    for one in made:
        one.close()


def tile(symbol: str, days: int = 60, endpoint: str = "daily", end: date = FRIDAY) -> Tile:
    return Tile("alpha_vantage", endpoint, Interval.DAY, end - timedelta(days=days), end, 1, symbol)


def alive(sandbox: SandboxServer, suffix: str) -> str:
    listing = sandbox.market.listing().filter(pl.col("delisted_on").is_null())
    return str(listing.filter(pl.col("symbol").str.contains(suffix))["symbol"][0])


@pytest.mark.parametrize("kind", ["^IBM$", r"^[A-Z]{4}$", r"\.B$", r"\.PRA$", r"\.WS$", r"\.U$"])
def test_our_bars_are_the_market_s(sandbox: SandboxServer, ours: Ours, kind: str) -> None:
    """Every spelling of a share: the true bars, to the cent, stamped at the opening."""
    symbol = alive(sandbox, kind)
    answer = ours().fetch(tile(symbol))
    truth = sandbox.market.bars(symbol, FRIDAY - timedelta(days=60), FRIDAY)
    assert truth.height > 0
    assert answer.bars.select(COLUMNS).equals(truth.cast({"volume": pl.Float64}))
    assert not answer.unfinished
    assert answer.requests == 1


def test_the_running_day_is_not_there_yet(sandbox: SandboxServer, ours: Ours) -> None:
    """Days come once they are over: asked in between, the day is unfinished."""
    noon = datetime(2013, 3, 1, 17, tzinfo=UTC)
    sandbox.market.time.freeze(noon)
    answer = ours(now=noon).fetch(tile("IBM", 3))
    assert answer.bars["session"].max() == date(2013, 2, 28)
    assert answer.unfinished == {FRIDAY}


def test_our_minutes_are_the_market_s(sandbox: SandboxServer, ours: Ours) -> None:
    """On a premium key: a day's minutes add up to its bar; a free key is refused."""
    asked = Tile("alpha_vantage", "intraday", Interval.MINUTES_15, FRIDAY, FRIDAY, 1, "IBM")
    answer = ours("premium-1").fetch(asked)
    truth = sandbox.market.bars("IBM", FRIDAY, FRIDAY).row(0, named=True)
    assert answer.bars.height == 26
    assert answer.bars["ts"][0] == datetime(2013, 3, 1, 14, 30, tzinfo=UTC)
    assert answer.bars["volume"].sum() == truth["volume"]
    assert (answer.bars["open"][0], answer.bars["close"][-1]) == (truth["open"], truth["close"])
    assert (answer.bars["high"].max(), answer.bars["low"].min()) == (truth["high"], truth["low"])
    with pytest.raises(NotEntitled, match="premium endpoint"):
        ours().fetch(asked)


@pytest.mark.parametrize(("symbol", "endpoint"), [("EUR/USD", "fx"), ("BTC-EUR", "crypto")])
def test_our_pairs_are_the_market_s(
    sandbox: SandboxServer, ours: Ours, symbol: str, endpoint: str
) -> None:
    """UTC days; the coin's running day is left out."""
    answer = ours().fetch(tile(symbol, 20, endpoint, NOW.date()))
    truth = sandbox.market.others.bars(symbol, NOW.date() - timedelta(days=20))
    names = COLUMNS if endpoint == "crypto" else COLUMNS[:-1]
    assert answer.bars.select(names).equals(truth.select(names))
    assert answer.bars.height > 10
    assert answer.unfinished == ({NOW.date()} if endpoint == "crypto" else set())


def test_our_facts(sandbox: SandboxServer, ours: Ours) -> None:
    """Quote, rate, profile, directory: living and dead."""
    source = ours()
    truth = sandbox.market.bars("IBM").tail(2)
    quote = source.ask(Question(Feed.QUOTE, "IBM")).frame.row(0, named=True)
    assert (quote["price"], quote["previous_close"]) == (truth["close"][1], truth["close"][0])
    assert quote["ts"] == datetime(2013, 3, 1, 21, tzinfo=UTC)
    rate = source.ask(Question(Feed.QUOTE, "EUR/USD")).frame.row(0, named=True)
    assert rate["price"] == pytest.approx(sandbox.market.others.bars("EUR/USD")["close"][-1])
    profile = source.ask(Question(Feed.PROFILE, "IBM")).frame.row(0, named=True)
    assert profile["name"] == "International Business Machines Corporation"
    listing = sandbox.market.listing()
    active = source.ask(Question(Feed.LISTING))
    living = listing.filter(pl.col("delisted_on").is_null())
    assert sorted(active.frame["symbol"]) == sorted(living["symbol"])
    assert active.rejected.is_empty()
    dead = listing.filter(pl.col("delisted_on") >= date(2012, 1, 1))
    gone = source.ask(Question(Feed.LISTING, start=date(2012, 1, 1)))
    assert sorted(zip(gone.frame["symbol"], gone.frame["delisted_on"], strict=True)) == sorted(
        zip(dead["symbol"], dead["delisted_on"], strict=True)
    )
    found = source.ask(Question(Feed.LISTING, "IBM")).frame
    assert found["symbol"][0] == "IBM"
    for unknown in (Question(Feed.QUOTE, "ZZZZZ"), Question(Feed.PROFILE, "ZZZZZ")):
        with pytest.raises(UnknownSymbol):
            source.ask(unknown)
    with pytest.raises(UnknownSymbol, match="Invalid API call"):
        source.fetch(tile("ZZZZZ"))


def test_limits_are_told_in_a_good_status(
    sandbox: SandboxServer, ours: Ours, client: httpx.Client
) -> None:
    """A second call within the second: 200 and Information, counted as a violation."""
    sandbox.app.limits.configure("alpha_vantage", AlphaVantage.limits)
    assert "Global Quote" in get(client, "GLOBAL_QUOTE", symbol="IBM").json()
    assert "1 request per second" in get(client, "GLOBAL_QUOTE", symbol="IBM").json()["Information"]
    assert sandbox.report()["limits"]["alpha_vantage"]["violations"] == 1
    sandbox.app.limits.configure("alpha_vantage", [(1, 600.0)])
    with pytest.raises(RateLimited, match="25 requests per day"):
        source = ours("other")
        for _ in range(2):
            source.fetch(tile("IBM"))


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
    sandbox.app.faults.add([{"kind": kind, "vendor": "alpha_vantage"}])
    with pytest.raises(error):
        ours().fetch(tile("IBM"))


def test_rows_with_holes_are_told(sandbox: SandboxServer, ours: Ours) -> None:
    """A null is a field that is missing: rejected, never a bar."""
    sandbox.app.faults.add([{"kind": "null_close", "vendor": "alpha_vantage", "share": 0.5}])
    answer = ours().fetch(tile("IBM", 137))
    assert answer.rejected.height > 30
    assert set(answer.rejected["reasons"].explode()) == {"close is null"}


@pytest.mark.parametrize(
    ("recorded", "function", "query"),
    [
        ("global_quote.json", "GLOBAL_QUOTE", {"symbol": "MSFT"}),
        ("foreign_exchange.json", "CURRENCY_EXCHANGE_RATE",
         {"from_currency": "BTC", "to_currency": "EUR"}),
        ("btc-aud-partial.json", "DIGITAL_CURRENCY_DAILY", {"symbol": "BTC", "market": "EUR"}),
        ("search-ibm.json", "SYMBOL_SEARCH", {"keywords": "IBM"}),
        ("error-message-invalid-call.json", "TIME_SERIES_DAILY", {"symbol": "NOPE"}),
    ],
)  # fmt: skip
def test_keys_are_those_recorded(
    client: httpx.Client,
    shared_fixtures: Path,
    recorded: str,
    function: str,
    query: dict[str, str],
) -> None:
    """Envelope and fields have the recorded names, in their order."""
    theirs = json.loads((shared_fixtures / "payloads/alpha_vantage" / recorded).read_text())
    ours = get(client, function, **query).json()
    assert list(ours) == list(theirs)
    for name, value in theirs.items():
        mine, rows = ours[name], [ours[name], value]
        if isinstance(value, str):
            assert mine == value
            continue
        if isinstance(value, list):
            rows = [mine[0], value[0]]
        elif name.startswith("Time Series"):
            rows = [next(iter(mine.values())), next(iter(value.values()))]
        assert list(rows[0])[: len(rows[1])] == list(rows[1])


def test_its_own_sentences(sandbox: SandboxServer, client: httpx.Client) -> None:
    """No key, no such function, premium size; no key is in the log of calls."""
    assert (
        "apikey is invalid" in get(client, "OVERVIEW", None, symbol="IBM").json()["Error Message"]
    )
    assert "does not exist" in get(client, "NOTHING").json()["Error Message"]
    full = get(client, "TIME_SERIES_DAILY", symbol="IBM", outputsize="full").json()
    assert "outputsize=full" in full["Information"]
    paid = get(client, "TIME_SERIES_DAILY", "premium-x", symbol="IBM", outputsize="full").json()
    assert len(paid["Time Series (Daily)"]) == sandbox.market.bars("IBM").height
    assert get(client, "OVERVIEW", symbol="NOPE").json() == {}
    assert "premium-x" not in json.dumps(sandbox.report(log=True))
    rows = list(csv.reader(get(client, "LISTING_STATUS", state="delisted").text.splitlines()))
    assert rows[0][-1] == "status"
    assert {row[-1] for row in rows[1:]} == {"Delisted"}
    for query in ({"state": "asleep"}, {"date": "soon"}, {"date": "2009-01-01"}):
        assert "Error Message" in get(client, "LISTING_STATUS", **query).json()


@pytest.fixture
def library(sandbox: SandboxServer, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The alpha_vantage library with its one address changed."""
    base = pytest.importorskip("alpha_vantage.alphavantage").AlphaVantage
    address = f"{sandbox.base_url('alpha_vantage')}/query?"
    monkeypatch.setattr(base, "_ALPHA_VANTAGE_API_URL", address)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    return base


def test_the_library_s_series(sandbox: SandboxServer, library: Any) -> None:
    """Days and minutes as pandas frames, JSON and CSV."""
    assert library is not None
    from alpha_vantage.timeseries import TimeSeries

    truth = sandbox.market.bars("MSFT").tail(100)
    frame, meta = TimeSeries("k", output_format="pandas").get_daily("MSFT")
    assert frame["4. close"].to_list() == truth["close"].to_list()[::-1]
    assert [stamp.date() for stamp in frame.index] == truth["session"].to_list()[::-1]
    assert meta["2. Symbol"] == "MSFT"
    minutes, meta = TimeSeries("premium-1").get_intraday("MSFT", "60min", "full", month="2013-02")
    assert len(minutes) == 19 * 7
    assert meta["4. Interval"] == "60min"
    rows, _ = TimeSeries("k", output_format="csv").get_daily("MSFT")
    table = list(rows)
    assert table[0] == ["timestamp", "open", "high", "low", "close", "volume"]
    assert float(table[1][4]) == truth["close"][-1]
    with pytest.raises(ValueError, match="premium endpoint"):
        TimeSeries("k").get_intraday("MSFT")
    with pytest.raises(ValueError, match="Invalid API call"):
        TimeSeries("k").get_daily("NOPE")
    quote, _ = TimeSeries("k").get_quote_endpoint("MSFT")
    assert float(quote["05. price"]) == truth["close"][-1]
    matches, _ = TimeSeries("k").get_symbol_search("MSFT")
    assert matches["1. symbol"].to_list() == ["MSFT"]


def test_the_library_s_other_classes(sandbox: SandboxServer, library: Any) -> None:
    """Currencies, coins and companies."""
    assert library is not None
    from alpha_vantage.cryptocurrencies import CryptoCurrencies
    from alpha_vantage.foreignexchange import ForeignExchange
    from alpha_vantage.fundamentaldata import FundamentalData

    others = sandbox.market.others
    days, _ = ForeignExchange("k").get_currency_exchange_daily("EUR", "USD")
    truth = others.bars("EUR/USD").tail(100)
    assert [float(day["4. close"]) for day in days.values()] == truth["close"].to_list()[::-1]
    coins, meta = CryptoCurrencies("k").get_digital_currency_daily("BTC", "USD")
    assert next(iter(coins)) == "2013-03-02"
    assert float(coins["2013-03-01"]["4. close"]) == others.bars("BTC-USD")["close"][-1]
    assert meta["3. Digital Currency Name"] == "Bitcoin"
    rate, _ = CryptoCurrencies("k").get_digital_currency_exchange_rate("BTC", "USD")
    assert float(rate["5. Exchange Rate"]) > 0
    company, _ = FundamentalData("k").get_company_overview("IBM")
    assert company["Exchange"] == "NYSE"
