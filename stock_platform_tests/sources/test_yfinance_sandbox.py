"""yfinance as a source against the sandbox, over real HTTP: the market is the truth."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Any

import polars as pl
import pytest

from stock_platform.domain.bars import Interval
from stock_platform.domain.capabilities import Feed, Limit, Tile
from stock_platform.domain.clock import FixedClock
from stock_platform.domain.errors import Malformed, NoData, UnknownSymbol
from stock_platform.sandbox.config import SandboxConfig
from stock_platform.sandbox.server import SandboxServer
from stock_platform.sources.base import Question, Source
from stock_platform.sources.quota import MemoryQuota
from stock_platform.sources.registry import SOURCES, build
from stock_platform.sources.spec import Setup
from stock_platform.sources.transport import HttpOptions

NOW = datetime(2013, 3, 2, 12, tzinfo=UTC)
RATE = 300.0
START = date(2011, 1, 3)
PRICES = ("open", "high", "low", "close")


@pytest.fixture(scope="module")
def _running() -> Iterator[SandboxServer]:
    config = SandboxConfig(symbols=300, now=NOW, start=date(2010, 1, 4), clock_rate=RATE)
    with SandboxServer(config) as server:
        yield server


@pytest.fixture
def sandbox(_running: SandboxServer) -> Iterator[SandboxServer]:
    _running.app.reset()
    yield _running
    _running.app.reset()
    _running.market.time.freeze(NOW)


@pytest.fixture
def make(sandbox: SandboxServer) -> Iterator[Any]:
    made: list[Source] = []

    def one(now: datetime = NOW) -> Source:
        capabilities = SOURCES["yfinance"].capabilities
        limits = tuple(Limit(x.calls, x.seconds / RATE) for x in capabilities.limits)
        made.append(
            build(
                Setup(
                    replace(capabilities, limits=limits),
                    MemoryQuota(),
                    FixedClock(now),
                    base_url=sandbox.base_url("yahoo"),
                    http=HttpOptions(backoff=0.01),
                )
            )
        )
        return made[-1]

    yield one
    for source in made:
        source.close()


def row(symbol: str, start: date = START, end: date = date(2013, 3, 1)) -> Tile:
    return Tile("yfinance", "history", Interval.DAY, start, end, 1, symbol)


def as_traded(bars: pl.DataFrame, splits: pl.DataFrame) -> pl.DataFrame:
    """Bars with the splits of the same answer undone."""
    for ex_date, ratio in splits.select("ex_date", "ratio").iter_rows():
        factor = pl.when(pl.col("session") < ex_date).then(ratio).otherwise(1.0)
        bars = bars.with_columns(
            *(pl.col(name) * factor for name in PRICES), (pl.col("volume") / factor)
        )
    return bars


def split_symbols(sandbox: SandboxServer) -> list[str]:
    listing = sandbox.market.listing().filter(pl.col("delisted_on").is_null())
    recent = pl.col("ex_date") > date(2011, 6, 1)
    return [s for s in listing["symbol"] if sandbox.market.splits(s).filter(recent).height]


def test_bars_splits_and_dividends_are_the_truth(sandbox: SandboxServer, make: Any) -> None:
    """Two years of tickers that split: with the answer's own splits undone, the true bars."""
    source = make()
    symbols = split_symbols(sandbox)[:5]
    assert symbols
    for symbol in [*symbols, "AAPL"]:
        answer = source.fetch(row(symbol))
        truth = sandbox.market.bars(symbol, START, date(2013, 3, 1))
        bars = as_traded(answer.bars, answer.splits)
        assert bars["session"].to_list() == truth["session"].to_list()
        for name in (*PRICES, "volume"):
            assert bars[name].to_list() == pytest.approx(truth[name].to_list(), rel=1e-4)
        after = pl.col("ex_date") >= date(2011, 1, 4)
        paid, found = sandbox.market.dividends(symbol).filter(after), answer.dividends.filter(after)
        assert found["ex_date"].to_list() == paid["ex_date"].to_list()
        assert found["amount"].to_list() == pytest.approx(paid["amount"].to_list(), rel=1e-4)
        assert (answer.requests, answer.rejected.height) == (1, 0)


def test_minutes_add_up_to_days(make: Any) -> None:
    """1m, 5m, 15m and 1h bars of a session are its daily bar."""
    source = make()
    day = date(2013, 2, 28)
    whole = source.fetch(row("IBM", day)).bars.row(0, named=True)
    for endpoint, interval, count in (
        ("history_1m", Interval.MINUTE, 390),
        ("history_5m", Interval.MINUTES_5, 78),
        ("history_5m", Interval.MINUTES_15, 26),
        ("history_1h", Interval.HOUR, 7),
    ):
        tile = replace(row("IBM", day, day), endpoint=endpoint, interval=interval)
        bars = source.fetch(tile).bars.filter(pl.col("session") == day)
        assert bars.height == count
        assert bars["open"][0] == pytest.approx(whole["open"], abs=1e-3)
        assert bars["high"].max() == pytest.approx(whole["high"], abs=1e-3)
        assert bars["low"].min() == pytest.approx(whole["low"], abs=1e-3)
        assert bars["close"][-1] == pytest.approx(whole["close"], abs=1e-3)
        assert bars["volume"].sum() == pytest.approx(whole["volume"], rel=1e-6)
        assert bars["ts"][0] == whole["ts"]


def test_a_live_session_is_left_out(sandbox: SandboxServer, make: Any) -> None:
    """In the middle of a session its bar is live; the day before is final."""
    now = datetime(2013, 2, 27, 17, tzinfo=UTC)
    sandbox.market.time.freeze(now)
    answer = make(now).fetch(row("AAPL", date(2013, 2, 20), date(2013, 2, 26)))
    assert answer.bars["session"].max() == date(2013, 2, 26)
    assert answer.unfinished == {date(2013, 2, 27)}


def test_feeds_of_actions(sandbox: SandboxServer, make: Any) -> None:
    """All splits and dividends there ever were, as paid."""
    source = make()
    for symbol in ("MSFT", "AAPL", "IBM"):
        splits = source.ask(Question(Feed.SPLITS, symbol)).frame
        paid = source.ask(Question(Feed.DIVIDENDS, symbol)).frame
        truth = sandbox.market.splits(symbol), sandbox.market.dividends(symbol)
        assert splits.select("ex_date", "ratio").rows() == truth[0].rows()
        assert paid["ex_date"].to_list() == truth[1]["ex_date"].to_list()
        assert paid["amount"].to_list() == pytest.approx(truth[1]["amount"].to_list(), rel=1e-3)


def test_quote_profile_and_options(sandbox: SandboxServer, make: Any) -> None:
    """Behind a crumb, fetched once: the last close, the listing, a chain around the price."""
    source = make()
    listed = sandbox.market.listing().filter(pl.col("symbol") == "IBM").row(0, named=True)
    last = sandbox.market.bars("IBM").row(-1, named=True)
    quote = source.ask(Question(Feed.QUOTE, "IBM"))
    now = quote.frame.row(0, named=True)
    assert quote.requests == 4
    assert [now[n] for n in ("price", *PRICES[:3])] == pytest.approx(
        [last[n] for n in ("close", *PRICES[:3])], abs=0.01
    )
    assert (now["volume"], now["currency"]) == (last["volume"], "USD")
    profile = source.ask(Question(Feed.PROFILE, "IBM"))
    about = profile.frame.row(0, named=True)
    assert profile.requests == 1
    assert (about["name"], about["exchange"]) == (listed["name"], listed["exchange"])
    assert (about["listed_on"], about["asset_class"]) == (listed["listed_on"], "stock")
    assert about["market_cap"] == pytest.approx(about["shares_outstanding"] * now["price"])
    for expiry in (None, date(2013, 4, 19)):
        chain = source.ask(Question(Feed.OPTIONS, "IBM", expiry=expiry)).frame
        assert chain["expiry"].unique().to_list() == [expiry or date(2013, 3, 8)]
        assert set(chain["kind"]) == {"call", "put"}
        inside = (chain["kind"] == "call") == (chain["strike"] < now["price"])
        assert chain["in_the_money"].to_list() == inside.to_list()
        assert chain["volume"].null_count() > 0
        assert (chain["bid"] <= chain["ask"]).all()
    assert sandbox.report()["violations"] == 0


def test_errors(make: Any) -> None:
    """Unknown to each endpoint; a day without contracts; a share without options."""
    source = make()
    with pytest.raises(UnknownSymbol):
        source.fetch(row("QQQZZ"))
    for feed in (Feed.QUOTE, Feed.PROFILE, Feed.OPTIONS, Feed.SPLITS):
        with pytest.raises(UnknownSymbol):
            source.ask(Question(feed, "QQQZZ"))
    with pytest.raises(NoData, match="there are 2013-03-08"):
        source.ask(Question(Feed.OPTIONS, "IBM", expiry=date(2013, 3, 9)))


@pytest.mark.parametrize("kind", ["http_429", "http_500", "http_503", "disconnect"])
def test_faults_that_pass(sandbox: SandboxServer, make: Any, kind: str) -> None:
    """A fault that befalls one call costs a try, not the answer."""
    sandbox.app.faults.add([{"kind": kind, "once": True}])
    answer = make().fetch(row("AAPL"))
    assert (answer.bars.height > 100, answer.requests) == (True, 2)


@pytest.mark.parametrize("kind", ["html", "truncated", "empty"])
def test_faults_that_spoil_the_answer(sandbox: SandboxServer, make: Any, kind: str) -> None:
    """What is not the documented form is Malformed, whole: bars and feeds."""
    sandbox.app.faults.add([{"kind": kind}])
    source = make()
    with pytest.raises(Malformed):
        source.fetch(row("AAPL"))
    for feed in (Feed.QUOTE, Feed.PROFILE, Feed.OPTIONS, Feed.DIVIDENDS):
        with pytest.raises(Malformed):
            source.ask(Question(feed, "AAPL"))
