"""Stooq in the sandbox, by its address and through our adapter."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime
from pathlib import Path

import httpx
import polars as pl
import pytest

from stock_platform.domain.bars import Basis, Interval
from stock_platform.domain.capabilities import Tile
from stock_platform.domain.clock import FixedClock
from stock_platform.domain.errors import (
    Malformed,
    NoData,
    NotEntitled,
    RateLimited,
    SourceError,
    Unavailable,
)
from stock_platform.sandbox.market import real
from stock_platform.sandbox.server import SandboxServer
from stock_platform.sandbox.vendors.stooq import Stooq
from stock_platform.sources.base import Source
from stock_platform.sources.quota import MemoryQuota
from stock_platform.sources.registry import SOURCES, build
from stock_platform.sources.spec import Setup
from stock_platform.sources.transport import HttpOptions
from stock_platform_tests.sandbox.conftest import NOW

needs_real = pytest.mark.skipif(not real.available(), reason="needs bokeh_sampledata")
FRIDAY = date(2013, 3, 1)
COLUMNS = ("session", "open", "high", "low", "close", "volume")
Ours = Callable[..., Source]


@pytest.fixture(autouse=True)
def _unlimited(sandbox: SandboxServer) -> Iterator[None]:
    sandbox.app.limits.configure("stooq", [])
    yield
    sandbox.app.limits.configure("stooq", Stooq.limits)


@pytest.fixture
def ours(sandbox: SandboxServer) -> Iterator[Ours]:
    """Our sources against the sandbox, on its clock; closed in the end."""
    made: list[Source] = []

    def source(now: datetime = NOW) -> Source:
        elapsed = [1_362_225_600.0]

        def sleep(seconds: float) -> None:
            elapsed[0] += seconds

        setup = Setup(
            capabilities=SOURCES["stooq"].capabilities,
            quota=MemoryQuota(lambda: elapsed[0], sleep),
            clock=FixedClock(now),
            base_url=sandbox.base_url("stooq"),
            http=HttpOptions(backoff=0.0, max_wait=10.0),
        )
        made.append(build(setup))
        return made[-1]

    yield source
    for one in made:
        one.close()


def tile(symbol: str, start: date = date(2008, 1, 2), end: date = FRIDAY) -> Tile:
    return Tile("stooq", "daily", Interval.DAY, start, end, 1, symbol)


def get(client: httpx.Client, **query: str) -> httpx.Response:
    answer = client.get("/stooq/q/d/l/", params=query)
    assert answer.status_code == 200
    return answer


def plain(sandbox: SandboxServer, shape: str) -> str:
    """A living share of that shape that never split or paid."""
    listing = sandbox.market.listing().filter(pl.col("delisted_on").is_null())
    for symbol in listing.filter(pl.col("symbol").str.contains(shape))["symbol"]:
        market = sandbox.market
        if market.splits(symbol).is_empty() and market.dividends(symbol).is_empty():
            return str(symbol)
    raise AssertionError(f"every {shape} has split or paid")


@pytest.mark.parametrize("shape", [r"^[A-Z]{4}$", r"\.B$", r"\.PRA$", r"\.WS$", r"\.U$"])
def test_our_bars_are_the_market_s(sandbox: SandboxServer, ours: Ours, shape: str) -> None:
    """Every spelling of a share, where there is nothing to adjust: the true bars."""
    symbol = plain(sandbox, shape)
    answer = ours().fetch(tile(symbol))
    truth = sandbox.market.bars(symbol, date(2008, 1, 2))
    assert truth.height > 50
    assert answer.bars.select(COLUMNS).equals(truth.cast({"volume": pl.Float64}))
    assert answer.basis is Basis.FULLY_ADJUSTED
    assert (answer.requests, answer.rejected.height, answer.unfinished) == (1, 0, frozenset())


@needs_real
def test_shares_are_adjusted_for_all(sandbox: SandboxServer, ours: Ours) -> None:
    """MSFT: a split of 2003 and every dividend since, by the market's own account of them."""
    answer = ours().fetch(tile("MSFT", date(2003, 1, 2)))
    truth = sandbox.market.bars("MSFT", date(2003, 1, 2))
    assert answer.bars["session"].equals(truth["session"])
    factor = pl.Series([1.0] * truth.height)
    for ex_date, ratio in sandbox.market.splits("MSFT").iter_rows():
        factor = factor / (truth["session"] < ex_date).replace_strict({True: ratio, False: 1.0})
    traded = sandbox.market.bars("MSFT")
    for ex_date, amount in sandbox.market.dividends("MSFT").iter_rows():
        before = traded.filter(pl.col("session") < ex_date)["close"][-1]
        cut = (truth["session"] < ex_date).replace_strict({True: 1 - amount / before, False: 1.0})
        factor = factor * cut
    assert answer.bars["close"].to_list() == pytest.approx(
        (truth["close"] * factor).to_list(), rel=1e-4
    )
    assert answer.bars["close"][-1] == truth["close"][-1]
    assert answer.bars["close"][0] < truth["close"][0] * 0.45
    assert answer.bars["volume"][0] > truth["volume"][0] * 2


@pytest.mark.parametrize("symbol", ["EUR/USD", "BTC-USD", "^GSPC", "GC=F"])
def test_our_others_are_the_market_s(sandbox: SandboxServer, ours: Ours, symbol: str) -> None:
    """As quoted; currencies have no volume."""
    answer = ours().fetch(tile(symbol, date(2012, 1, 2), NOW.date()))
    truth = sandbox.market.others.bars(symbol, date(2012, 1, 2))
    names = COLUMNS[:-1] if "/" in symbol else COLUMNS
    assert answer.bars.select(names).equals(truth.select(names))
    assert answer.basis is Basis.AS_TRADED
    assert answer.unfinished == ({NOW.date()} if symbol == "BTC-USD" else set())


def test_the_running_day(sandbox: SandboxServer, client: httpx.Client, ours: Ours) -> None:
    """It is in the download, and left out by us."""
    noon = datetime(2013, 3, 1, 17, tzinfo=UTC)
    sandbox.market.time.freeze(noon)
    assert get(client, s="ibm.us", i="d").text.splitlines()[-1].startswith("2013-03-01")
    answer = ours(noon).fetch(tile("IBM"))
    assert answer.bars["session"].max() == date(2013, 2, 28)
    assert answer.unfinished == {FRIDAY}


def test_what_is_not_there(client: httpx.Client, ours: Ours) -> None:
    """Unknown, out of range, no such interval, no symbol: the same two words."""
    for query in (
        {"s": "nope.us", "i": "d"},
        {"s": "ibm.us", "i": "d", "d1": "19900101", "d2": "19901231"},
        {"s": "ibm.us", "i": "5"},
        {"s": "ibm"},
        {},
    ):
        assert get(client, **query).text == "No data"
    with pytest.raises(NoData):
        ours().fetch(tile("ZZZZZ"))


def test_the_form_is_the_recorded_one(client: httpx.Client, shared_fixtures: Path) -> None:
    """Header, line ends and dates as in the recorded files; weeks and months add up."""
    folder = shared_fixtures / "payloads" / "stooq"
    for name, symbol in (("aapl_us_d-2019.csv", "ibm.us"), ("eurusd_d.csv", "eurusd")):
        theirs, mine = (folder / name).read_bytes(), get(client, s=symbol, i="d").content
        assert mine.split(b"\n")[0] == theirs.split(b"\n")[0]
        assert mine.endswith(b"\r\n")
    days, weeks, months = (
        pl.read_csv(io.BytesIO(get(client, s="ibm.us", i=i, d1="20120102", d2="20121231").content))
        for i in "dwm"
    )
    assert days.height == 250
    assert (weeks.height, months.height) == (53, 12)
    assert months["Volume"].sum() == weeks["Volume"].sum() == days["Volume"].sum()
    assert months["High"].max() == days["High"].max()


@pytest.mark.parametrize(
    ("kind", "error", "said"),
    [
        ("http_429", RateLimited, "daily hits limit"),
        ("http_503", Unavailable, "503"),
        ("error_200", NotEntitled, "apikey"),
        ("html", Unavailable, "not worked around"),
        ("empty", Malformed, "empty"),
        ("truncated", Malformed, "cut short"),
    ],
)
def test_faults(
    sandbox: SandboxServer, ours: Ours, kind: str, error: type[SourceError], said: str
) -> None:
    """Whatever goes wrong becomes an error of ours."""
    sandbox.app.faults.add([{"kind": kind, "vendor": "stooq"}])
    with pytest.raises(error, match=said):
        ours().fetch(tile("IBM"))


def test_limits_and_holes(sandbox: SandboxServer, client: httpx.Client, ours: Ours) -> None:
    """A sentence with a status of 200, counted; rows without a close are rejected by us."""
    sandbox.app.faults.add([{"kind": "null_close", "vendor": "stooq", "share": 0.5}])
    answer = ours().fetch(tile("IBM"))
    assert set(answer.rejected["reasons"].explode()) == {"close is null"}
    sandbox.app.limits.configure("stooq", [(1, 600.0)])
    get(client, s="ibm.us")
    assert get(client, s="ibm.us").text == "Exceeded the daily hits limit"
    assert sandbox.report()["limits"]["stooq"]["violations"] == 1
