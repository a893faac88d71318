"""Tiingo in the sandbox: its forms and its free plan; and our adapter against it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import httpx
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
    UnknownSymbol,
)
from stock_platform.sandbox.config import SandboxConfig
from stock_platform.sandbox.server import SandboxServer
from stock_platform.sources.base import Question, Source
from stock_platform.sources.quota import MemoryQuota
from stock_platform.sources.registry import SOURCES, build
from stock_platform.sources.spec import Setup
from stock_platform.sources.transport import HttpOptions

NOW = datetime(2018, 3, 3, 12, tzinfo=UTC)
CONFIG = SandboxConfig(
    symbols=120,
    now=NOW,
    start=date(2014, 1, 2),
    limits={"tiingo": []},
    keys={"tiingo": ["good-key"]},
)
TOKEN = {"Authorization": "Token good-key"}
START, END = date(2014, 1, 2), date(2018, 3, 2)
_made: list[Source] = []


@pytest.fixture(scope="module")
def _running() -> Iterator[SandboxServer]:
    with SandboxServer(CONFIG) as server:
        yield server


@pytest.fixture
def sandbox(_running: SandboxServer) -> Iterator[SandboxServer]:
    _running.app.reset()
    _running.market.time.freeze(NOW)
    yield _running
    while _made:
        _made.pop().close()
    _running.app.reset()
    _running.market.time.freeze(NOW)


def adapter(sandbox: SandboxServer, now: datetime = NOW, key: str = "good-key") -> Source:
    made = build(
        Setup(
            SOURCES["tiingo"].capabilities,
            MemoryQuota(),
            FixedClock(now),
            keys={"TIINGO_API_KEY": key},
            base_url=sandbox.base_url("tiingo"),
            http=HttpOptions(backoff=0.01, max_wait=1.0),
        )
    )
    _made.append(made)
    return made


def get(sandbox: SandboxServer, path: str, status: int = 200, **query: Any) -> Any:
    answer = httpx.get(sandbox.base_url("tiingo") + path, params=query, headers=TOKEN)
    assert answer.status_code == status, answer.text
    return answer.json()


def days(symbol: str, start: date = START, end: date = END) -> Tile:
    return Tile("tiingo", "daily", Interval.DAY, start, end, 1, symbol)


def some(sandbox: SandboxServer, count: int) -> list[str]:
    """Symbols that trade, some of every kind."""
    listing = sandbox.market.listing().filter(pl.col("delisted_on").is_null())
    odd = listing.filter(pl.col("symbol").str.contains(r"\."))["symbol"].to_list()
    return list(dict.fromkeys([*odd, *listing["symbol"]]))[:count]


def test_our_adapter_reads_the_truth(sandbox: SandboxServer) -> None:
    """Bars as traded, splits and dividends of the whole market, one request a symbol."""
    splits = dividends = 0
    source, symbols = adapter(sandbox), some(sandbox, 40)
    assert {s.partition(".")[2] for s in symbols} >= {"B", "PRA", "WS", "U", ""}
    for symbol in symbols:
        answer = source.fetch(days(symbol))
        found = answer.bars.drop("symbol", "ts", "vwap", "trades")
        assert found.equals(sandbox.market.bars(symbol).cast({"volume": pl.Float64})), symbol
        assert (answer.requests, answer.rejected.height) == (1, 0)
        assert answer.splits.drop("symbol").equals(sandbox.market.splits(symbol)), symbol
        paid = answer.dividends.drop("symbol", "currency")
        assert paid.equals(sandbox.market.dividends(symbol)), symbol
        splits, dividends = splits + answer.splits.height, dividends + paid.height
    assert splits
    assert dividends
    assert sandbox.report()["violations"] == 0


def test_a_day_as_recorded(sandbox: SandboxServer) -> None:
    """Its keys, its stamp, its numbers; adjusted prices join up over a dividend."""
    rows = get(sandbox, "/tiingo/daily/aapl/prices", startDate="2018-02-26", endDate="2018-03-02")
    assert list(rows[0]) == [
        "date", "close", "high", "low", "open", "volume", "adjClose", "adjHigh", "adjLow",
        "adjOpen", "adjVolume", "divCash", "splitFactor",
    ]  # fmt: skip
    assert [row["date"] for row in rows][:2] == [
        "2018-02-26T00:00:00.000Z", "2018-02-27T00:00:00.000Z"
    ]  # fmt: skip
    assert len(get(sandbox, "/tiingo/daily/AAPL/prices")) == 1
    assert rows[-1]["adjClose"] == rows[-1]["close"]
    paying = next(s for s in some(sandbox, 99) if sandbox.market.dividends(s).height)
    ex = sandbox.market.dividends(paying)["ex_date"][-1]
    spelled = paying.replace(".PR", "-P-").replace(".", "-")
    rows = get(sandbox, f"/tiingo/daily/{spelled}/prices", startDate=ex - timedelta(days=7))
    at = next(n for n, row in enumerate(rows) if row["divCash"])
    before, row = rows[at - 1], rows[at]
    kept = before["adjClose"] / before["close"] / (row["adjClose"] / row["close"])
    assert kept == pytest.approx(1 - row["divCash"] / before["close"])


def test_weeks_are_refused_by_our_adapter(sandbox: SandboxServer) -> None:
    """Stamped on the last session of each."""
    rows = get(
        sandbox, "/tiingo/daily/AAPL/prices",
        startDate="2018-01-02", endDate="2018-02-28", resampleFreq="weekly",
    )  # fmt: skip
    assert [row["date"][:10] for row in rows][:3] == ["2018-01-05", "2018-01-12", "2018-01-19"]
    truth = sandbox.market.bars("AAPL", date(2018, 1, 8), date(2018, 1, 12))
    assert rows[1]["volume"] == truth["volume"].sum()
    assert (rows[1]["open"], rows[1]["close"]) == (truth["open"][0], truth["close"][-1])


def test_a_day_is_published_in_the_evening(sandbox: SandboxServer) -> None:
    """At the close it is not there, and our adapter says that it is to come."""
    for now, there in ((datetime(2018, 3, 2, 22, tzinfo=UTC), False),
                       (datetime(2018, 3, 2, 23, tzinfo=UTC), True)):  # fmt: skip
        sandbox.market.time.freeze(now)
        answer = adapter(sandbox, now).fetch(days("AAPL", END - timedelta(days=3)))
        assert (END in answer.bars["session"]) == there
        assert answer.unfinished == (frozenset() if there else {END})


def test_minutes_add_up_to_the_day(sandbox: SandboxServer) -> None:
    """Of every interval, without volumes."""
    day = date(2018, 2, 28)
    truth = sandbox.market.bars("AAPL", day, day)
    for interval, count in (("1m", 390), ("5m", 78), ("15m", 26)):
        tile = Tile("tiingo", "iex", Interval(interval), day, day, 1, "AAPL")
        bars = adapter(sandbox).fetch(tile).bars
        assert (bars.height, set(bars["session"])) == (count, {day})
        assert bars["ts"][0] == datetime(2018, 2, 28, 14, 30, tzinfo=UTC)
        assert (bars["open"][0], bars["close"][-1]) == (truth["open"][0], truth["close"][0])
        assert (bars["high"].max(), bars["low"].min()) == (truth["high"][0], truth["low"][0])
        assert bars["volume"].null_count() == count


def test_an_answer_of_minutes_ends_after_ten_thousand(sandbox: SandboxServer) -> None:
    """The newest stay; what our adapter asks for fits."""
    longest = SOURCES["tiingo"].capabilities.endpoint("iex").max_sessions
    assert longest is not None
    query: dict[str, Any] = {
        "startDate": "2018-01-02",
        "endDate": "2018-03-02",
        "resampleFreq": "1min",
    }
    rows = get(sandbox, "/iex/AAPL/prices", **query)
    assert len(rows) == 10_000 > longest * 390
    assert rows[-1]["date"] == "2018-03-02T20:59:00.000Z"
    assert list(rows[0]) == ["date", "open", "high", "low", "close"]
    some_columns = get(sandbox, "/iex/AAPL/prices", **query, columns="close,volume")
    assert list(some_columns[0]) == ["date", "close", "volume"]


@pytest.mark.parametrize("symbol", ["BTC-USD", "DOGE-EUR"])
def test_coins(sandbox: SandboxServer, symbol: str) -> None:
    """Days but for the one in progress, and minutes that add up to a day."""
    source, start = adapter(sandbox), date(2018, 2, 1)
    tile = Tile("tiingo", "crypto", Interval.DAY, start, date(2018, 3, 3), 1, symbol)
    answer = source.fetch(tile)
    truth = sandbox.market.others.bars(symbol, start)
    assert answer.bars.select(truth.columns).equals(truth)
    assert answer.unfinished == {date(2018, 3, 3)}
    assert answer.currency == symbol[-3:]
    for interval, count in (("1m", 1440), ("5m", 288), ("15m", 96), ("1h", 24)):
        tile = Tile("tiingo", "crypto_intraday", Interval(interval), END, END, 1, symbol)
        bars = source.fetch(tile).bars
        assert bars.height == count
        assert bars["volume"].sum() == pytest.approx(truth["volume"][-1])
        assert (bars["open"][0], bars["close"][-1]) == (truth["open"][-1], truth["close"][-1])


def test_several_coins(sandbox: SandboxServer) -> None:
    """Those it does not know are absent; no name at all is refused."""
    query: dict[str, Any] = {
        "tickers": "btcusd,nopeusd,ethusd",
        "resampleFreq": "1day",
        "startDate": "2018-03-01",
    }
    coins = get(sandbox, "/tiingo/crypto/prices", **query)
    assert [coin["ticker"] for coin in coins] == ["btcusd", "ethusd"]
    assert [row["date"] for row in coins[0]["priceData"]] == [
        f"2018-03-0{n}T00:00:00+00:00" for n in (1, 2, 3)
    ]
    tile = Tile("tiingo", "crypto", Interval.DAY, END, END, 1, "XRP-BTC")
    with pytest.raises(NoData, match="no coin of that name"):
        adapter(sandbox).fetch(tile)
    assert "tickers" in get(sandbox, "/tiingo/crypto/prices", 400)["detail"]


def test_who_a_share_is(sandbox: SandboxServer) -> None:
    """Name, exchange and first day."""
    for symbol in some(sandbox, 12):
        truth = sandbox.market.listing().filter(pl.col("symbol") == symbol).row(0, named=True)
        row = adapter(sandbox).ask(Question(Feed.PROFILE, symbol)).frame.row(0, named=True)
        assert (row["name"], row["exchange"]) == (truth["name"], truth["exchange"])
        assert row["listed_on"] == sandbox.market.bars(symbol)["session"][0]
    with pytest.raises(UnknownSymbol, match=r"QQQZZ: Not found\."):
        adapter(sandbox).ask(Question(Feed.PROFILE, "QQQZZ"))


@pytest.mark.parametrize(
    ("path", "query", "words"),
    [
        ("/tiingo/daily/AAPL/prices", {"startDate": "soon"}, "startDate is not a date"),
        ("/tiingo/daily/AAPL/prices", {"startDate": "2018-02-02", "endDate": "2018-02-01"},
         "cannot be after"),
        ("/tiingo/daily/AAPL/prices", {"resampleFreq": "5min"}, "resampleFreq"),
        ("/iex/AAPL/prices", {"resampleFreq": "daily"}, "'Min' or 'Hour' only"),
        ("/tiingo/crypto/prices", {"tickers": "btcusd", "resampleFreq": "x"}, "resampleFreq"),
    ],
)  # fmt: skip
def test_bad_requests_are_a_400(
    sandbox: SandboxServer, path: str, query: dict[str, str], words: str
) -> None:
    """Worded in ``detail``."""
    assert words in get(sandbox, path, 400, **query)["detail"]


def test_who_may_ask(sandbox: SandboxServer) -> None:
    """A token in the header or in the query; our adapter never says it."""
    url = sandbox.base_url("tiingo") + "/tiingo/daily/AAPL"
    none = httpx.get(url)
    assert (none.status_code, none.json()) == (403, {"detail": "Please supply a token"})
    assert httpx.get(url, params={"token": "good-key"}).status_code == 200
    with pytest.raises(NotEntitled, match=r"Invalid token\.") as caught:
        adapter(sandbox, key="bad-key").fetch(days("AAPL"))
    assert "bad-key" not in str(caught.value)
    with pytest.raises(UnknownSymbol, match="'QQQZZ' not found"):
        adapter(sandbox).fetch(days("QQQZZ"))
    assert get(sandbox, "/tiingo/nowhere", 404) == {"detail": "Not found."}
    at_the_root = httpx.get(f"{sandbox.url}/tiingo/daily/AAPL", headers=TOKEN)
    assert at_the_root.json()["ticker"] == "AAPL"


def test_fifty_an_hour() -> None:
    """For a token; the refusal names the allowance."""
    config = replace(CONFIG, symbols=3, limits={}, keys={})
    with SandboxServer(config) as server:
        url = server.base_url("tiingo") + "/tiingo/daily/AAPL"
        answers = [httpx.get(url, headers={"Authorization": "Token a"}) for _ in range(51)]
        other = httpx.get(url, headers={"Authorization": "Token b"})
    assert [a.status_code for a in answers] == [*[200] * 50, 429]
    assert "hourly request allocation" in answers[-1].json()["detail"]
    assert "retry-after" not in answers[-1].headers
    assert other.status_code == 200


@pytest.mark.parametrize("kind", ["http_429", "http_500", "http_503", "disconnect"])
def test_faults_that_pass(sandbox: SandboxServer, kind: str) -> None:
    """A fault that befalls one call costs a try, not the answer."""
    sandbox.app.faults.add([{"kind": kind, "retry_after": 0.1, "once": True}])
    answer = adapter(sandbox).fetch(days("AAPL"))
    assert (answer.bars.height, answer.requests) == (sandbox.market.bars("AAPL").height, 2)


@pytest.mark.parametrize("kind", ["html", "truncated", "empty"])
def test_faults_that_spoil_the_answer(sandbox: SandboxServer, kind: str) -> None:
    """What is not the documented form is Malformed, whole."""
    sandbox.app.faults.add([{"kind": kind}])
    with pytest.raises(Malformed):
        adapter(sandbox).fetch(days("AAPL"))


def test_a_sentence_in_a_good_status(sandbox: SandboxServer) -> None:
    """A spent allowance, by its words."""
    sandbox.app.faults.add([{"kind": "error_200"}])
    with pytest.raises(RateLimited, match="hourly request allocation"):
        adapter(sandbox).fetch(days("AAPL"))


def test_rows_with_a_null_are_left_out(sandbox: SandboxServer) -> None:
    """Tiingo gives no nulls."""
    sandbox.app.faults.add([{"kind": "null_close", "share": 0.1}])
    whole = sandbox.market.bars("AAPL").height
    assert adapter(sandbox).fetch(days("AAPL")).bars.height == whole - round(whole * 0.1)
