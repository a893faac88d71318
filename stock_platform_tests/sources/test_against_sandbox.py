"""The sources against the sandbox, which shares no code with them: bars, limits, faults."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import polars as pl
import pytest

from stock_platform.domain.bars import Interval
from stock_platform.domain.capabilities import Limit, Tile
from stock_platform.domain.clock import FixedClock
from stock_platform.domain.errors import Malformed, NoData, NotEntitled, UnknownSymbol
from stock_platform.sandbox.config import SandboxConfig
from stock_platform.sandbox.server import SandboxServer
from stock_platform.sources.base import Source
from stock_platform.sources.quota import MemoryQuota
from stock_platform.sources.registry import SOURCES, build
from stock_platform.sources.spec import Setup
from stock_platform.sources.transport import HttpOptions

NOW = datetime(2013, 3, 2, 12, tzinfo=UTC)
RATE = 300.0
CONFIG = SandboxConfig(
    symbols=300,
    now=NOW,
    start=date(2010, 1, 4),
    clock_rate=RATE,
    keys={"polygon": ["good-key"]},
)


@pytest.fixture(scope="module")
def _running() -> Iterator[SandboxServer]:
    with SandboxServer(CONFIG) as server:
        yield server


@pytest.fixture
def sandbox(_running: SandboxServer) -> Iterator[SandboxServer]:
    _running.app.reset()
    yield _running
    _running.app.reset()


def source(sandbox: SandboxServer, name: str, **changes: Any) -> Source:
    capabilities = SOURCES[name].capabilities
    limits = tuple(Limit(x.calls, x.seconds / RATE) for x in capabilities.limits)
    setup = Setup(
        replace(capabilities, limits=limits),
        MemoryQuota(),
        FixedClock(NOW),
        keys=dict.fromkeys(capabilities.variables, "good-key"),
        base_url=sandbox.base_url(name),
        http=HttpOptions(backoff=0.01),
    )
    return build(replace(setup, **changes))


def row(symbol: str, start: date = date(2011, 1, 3), end: date = date(2013, 3, 1)) -> Tile:
    return Tile("yahoo", "chart", Interval.DAY, start, end, 1, symbol)


def day(session: date) -> Tile:
    return Tile("polygon", "grouped", Interval.DAY, session, session)


def as_traded(bars: pl.DataFrame, splits: pl.DataFrame) -> pl.DataFrame:
    """Yahoo's bars with the splits of the same answer undone."""
    for ex_date, ratio in splits.select("ex_date", "ratio").iter_rows():
        before = pl.col("session") < ex_date
        bars = bars.with_columns(
            *(
                pl.when(before).then(pl.col(n) * ratio).otherwise(pl.col(n)).alias(n)
                for n in ("open", "high", "low", "close")
            ),
            pl.when(before).then(pl.col("volume") / ratio).otherwise("volume").alias("volume"),
        )
    return bars


def close_to(found: pl.DataFrame, truth: pl.DataFrame, tolerance: float) -> None:
    assert found["session"].to_list() == truth["session"].to_list()
    for name in ("open", "high", "low", "close", "volume"):
        off = ((found[name] - truth[name]).abs() / truth[name].clip(lower_bound=1e-9)).max()
        assert off is not None
        assert float(off) < tolerance, name  # type: ignore[arg-type]  # a maximum of floats


def split_symbols(sandbox: SandboxServer) -> list[str]:
    listing = sandbox.market.listing().filter(pl.col("delisted_on").is_null())
    return [
        symbol
        for symbol in listing["symbol"]
        if sandbox.market.splits(symbol).filter(pl.col("ex_date") > date(2011, 6, 1)).height
    ]


def test_yahoo_rows_are_the_truth(sandbox: SandboxServer) -> None:
    """Two years of tickers that split: with the answer's own splits undone, the true bars."""
    yahoo = source(sandbox, "yahoo")
    symbols = split_symbols(sandbox)[:5]
    assert symbols
    for symbol in [*symbols, "AAPL"]:
        answer = yahoo.fetch(row(symbol))
        truth = sandbox.market.bars(symbol, date(2011, 1, 3), date(2013, 3, 1))
        close_to(as_traded(answer.bars, answer.splits), truth, 1e-4)
        paid = sandbox.market.dividends(symbol).filter(pl.col("ex_date") >= date(2011, 1, 4))
        found = answer.dividends.filter(pl.col("ex_date") >= date(2011, 1, 4))
        assert found["ex_date"].to_list() == paid["ex_date"].to_list()
        assert found["amount"].to_list() == pytest.approx(paid["amount"].to_list(), rel=1e-4)
    yahoo.close()


def test_polygon_columns_are_the_truth(sandbox: SandboxServer) -> None:
    """One call brings every ticker of a day, as traded; its bars equal a row's, stamps too."""
    polygon = source(sandbox, "polygon")
    session = date(2012, 6, 15)
    answer = polygon.fetch(day(session))
    assert answer.requests == 1
    assert answer.bars.height > 200
    assert answer.rejected.is_empty()
    for symbol in answer.bars["symbol"].sample(20, seed=1):
        found = answer.bars.filter(pl.col("symbol") == symbol)
        truth = sandbox.market.bars(symbol, session, session)
        if truth.height:  # a ticker that another asset has by now
            close_to(found, truth, 1e-6)
    tile = Tile("polygon", "range", Interval.DAY, session, session, 1, "AAPL")
    one = polygon.fetch(tile).bars
    same = answer.bars.filter(pl.col("symbol") == "AAPL")
    assert one.drop("trades", "vwap").equals(same.drop("trades", "vwap"))
    polygon.close()


def test_no_limit_is_broken(sandbox: SandboxServer) -> None:
    """Calls from many threads, as fast as is allowed: the vendor counts no violation."""
    polygon = source(sandbox, "polygon")
    sessions = [date(2012, 6, 4) + timedelta(days=n) for n in range(5)]
    sessions += [date(2012, 6, 11) + timedelta(days=n) for n in range(5)]
    sessions += [date(2012, 6, 18) + timedelta(days=n) for n in range(5)]
    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(lambda session: polygon.fetch(day(session)), sessions))
    assert sum(a.requests for a in answers) == len(sessions)
    assert sandbox.report()["violations"] == 0
    polygon.close()


PASSING: list[dict[str, Any]] = [
    {"kind": "http_429", "retry_after": 0.1},
    {"kind": "http_429"},
    {"kind": "error_200", "vendor": "polygon"},  # Yahoo's says that the symbol is unknown
    {"kind": "http_500"},
    {"kind": "http_503"},
    {"kind": "disconnect"},
]
CASES = [(n, f) for f in PASSING for n in ("polygon", "yahoo") if f.get("vendor", n) == n]


@pytest.mark.parametrize(("name", "fault"), CASES)
def test_faults_that_pass(sandbox: SandboxServer, name: str, fault: dict[str, Any]) -> None:
    """A fault that befalls one call costs a try, not the answer."""
    sandbox.app.faults.add([{**fault, "once": True}])
    vendor = source(sandbox, name)
    tile = row("AAPL") if name == "yahoo" else day(date(2012, 6, 15))
    answer = vendor.fetch(tile)
    assert answer.bars.height > 100
    assert answer.requests == 2
    vendor.close()


@pytest.mark.parametrize("kind", ["html", "truncated", "empty"])
@pytest.mark.parametrize("name", ["yahoo", "polygon"])
def test_faults_that_spoil_the_answer(sandbox: SandboxServer, name: str, kind: str) -> None:
    """What is not the documented form is Malformed, whole."""
    sandbox.app.faults.add([{"kind": kind}])
    vendor = source(sandbox, name)
    tile = row("AAPL") if name == "yahoo" else day(date(2012, 6, 15))
    with pytest.raises(Malformed):
        vendor.fetch(tile)
    vendor.close()


def test_stale_days_are_noticed(sandbox: SandboxServer) -> None:
    """Bars of an earlier day in a day's answer never pass for that day."""
    sandbox.app.faults.add([{"kind": "stale", "days": 5}])
    polygon = source(sandbox, "polygon")
    try:
        answer = polygon.fetch(day(date(2013, 3, 1)))
        assert answer.bars.is_empty()
    except (Malformed, NoData, NotEntitled):
        pass
    polygon.close()


def test_errors_of_both(sandbox: SandboxServer) -> None:
    """Unknown tickers, holidays, wrong keys: each the documented error."""
    yahoo, polygon = source(sandbox, "yahoo"), source(sandbox, "polygon")
    with pytest.raises(UnknownSymbol):
        yahoo.fetch(row("QQQZZ"))
    with pytest.raises(NoData):
        polygon.fetch(day(date(2012, 7, 4)))
    with pytest.raises(NoData):
        polygon.fetch(replace(day(date(2012, 6, 4)), endpoint="range", symbol="QQQZZ"))
    bad = source(sandbox, "polygon", keys={"POLYGON_API_KEY": "bad-key"})
    with pytest.raises(NotEntitled) as caught:
        bad.fetch(day(date(2012, 6, 15)))
    assert "bad-key" not in str(caught.value)
    for made in (yahoo, polygon, bad):
        made.close()


def test_a_live_session_is_left_out(sandbox: SandboxServer) -> None:
    """In the middle of a session its bar is live; the day before is final."""
    now = datetime(2013, 2, 27, 17, tzinfo=UTC)
    sandbox.market.time.freeze(now)
    try:
        yahoo = source(sandbox, "yahoo", clock=FixedClock(now))
        answer = yahoo.fetch(row("AAPL", date(2013, 2, 20), date(2013, 2, 26)))
        assert answer.bars["session"].max() == date(2013, 2, 26)
        assert answer.unfinished <= {date(2013, 2, 27)}
        polygon = source(sandbox, "polygon", clock=FixedClock(now))
        assert polygon.fetch(day(date(2013, 2, 27))).unfinished == {date(2013, 2, 27)}
        yahoo.close()
        polygon.close()
    finally:
        sandbox.market.time.freeze(NOW)
