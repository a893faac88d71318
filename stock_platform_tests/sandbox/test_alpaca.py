"""Alpaca in the sandbox: its forms, its pages, its free plan; and our adapter against it.

In 2018, since Alpaca's history begins in 2016.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Any

import httpx
import polars as pl
import pytest

from stock_platform.domain.bars import Interval
from stock_platform.domain.capabilities import Feed, Tile
from stock_platform.domain.clock import FixedClock
from stock_platform.domain.errors import Malformed, NoData, NotEntitled, UnknownSymbol
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
    limits={"alpaca": []},
    keys={"alpaca": ["good-id", "good-secret"]},
)
KEYS = {"APCA-API-KEY-ID": "good-id", "APCA-API-SECRET-KEY": "good-secret"}
_made: list[Source] = []
START, END = date(2016, 1, 4), date(2018, 3, 2)


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


def get(sandbox: SandboxServer, path: str, status: int = 200, **query: Any) -> dict[str, Any]:
    answer = httpx.get(sandbox.base_url("alpaca") + path, params=query, headers=KEYS)
    assert answer.status_code == status, answer.text
    body: dict[str, Any] = answer.json()
    return body


def adapter(sandbox: SandboxServer, now: datetime = NOW, **keys: Any) -> Source:
    made = build(
        Setup(
            SOURCES["alpaca"].capabilities,
            MemoryQuota(),
            FixedClock(now),
            keys={"ALPACA_API_KEY": "good-id", "ALPACA_API_SECRET": "good-secret", **keys},
            base_url=sandbox.base_url("alpaca"),
            http=HttpOptions(backoff=0.01),
        )
    )
    _made.append(made)
    return made


def block(symbols: list[str], start: date = START, end: date = END) -> Tile:
    members = tuple(enumerate(symbols, start=1))
    return Tile("alpaca", "bars", Interval.DAY, start, end, members=members)


def traded(sandbox: SandboxServer) -> int:
    return sandbox.market.bars("AAPL", START, END).height


def living(sandbox: SandboxServer, count: int) -> list[str]:
    """Some of every kind: preferreds, warrants, units, classes and words among them."""
    listing = sandbox.market.listing().filter(pl.col("delisted_on").is_null())
    odd = listing.filter(pl.col("symbol").str.contains(r"\."))["symbol"].to_list()
    return ["AAPL", "NA", "TRUE", *odd, *listing["symbol"]][:count]


def test_our_adapter_reads_the_truth(sandbox: SandboxServer) -> None:
    """Twenty symbols over two years, in two pages of one call: the true bars."""
    symbols = list(dict.fromkeys(living(sandbox, 30)))[:20]
    assert any("." in symbol for symbol in symbols)
    answer = adapter(sandbox).fetch(block(symbols))
    assert answer.requests == -(-answer.bars.height // 10_000) == 2
    assert answer.rejected.is_empty()
    for symbol in symbols:
        found = answer.bars.filter(pl.col("symbol") == symbol).drop(
            "symbol", "ts", "vwap", "trades"
        )
        truth = sandbox.market.bars(symbol, START, END)
        assert found.equals(truth.cast({"volume": pl.Float64})), symbol
    assert sandbox.report()["violations"] == 0


def test_a_row_and_a_block_agree(sandbox: SandboxServer) -> None:
    """One symbol alone, and the same among others."""
    source = adapter(sandbox)
    one = source.fetch(replace(block([]), symbol="AAPL", asset_id=1)).bars
    assert one.height == traded(sandbox)
    many = source.fetch(block(["AAPL", "NA"])).bars.filter(pl.col("symbol") == "AAPL")
    assert one.equals(many)


def test_minutes_add_up_to_the_day(sandbox: SandboxServer) -> None:
    """Of every interval, stamped in the session."""
    source, day = adapter(sandbox), date(2018, 2, 28)
    truth = sandbox.market.bars("AAPL", day, day)
    for interval, count in (("1m", 390), ("5m", 78), ("15m", 26), ("1h", 7)):
        tile = replace(block(["AAPL"], day, day), interval=Interval(interval))
        bars = source.fetch(tile).bars
        assert (bars.height, bars["volume"].sum()) == (count, truth["volume"][0])
        assert set(bars["session"]) == {day}
        assert bars["close"][-1] == truth["close"][0]


def test_pages_run_across_symbols(sandbox: SandboxServer) -> None:
    """A page ends after ``limit`` bars wherever that is; every bar comes once, in order."""
    days = date(2018, 1, 2), date(2018, 2, 28)
    heights = {s: sandbox.market.bars(s, *days).height for s in living(sandbox, 60)}
    first, second, third = sorted(s for s, height in heights.items() if height == 40)[:3]
    query: dict[str, Any] = {
        "symbols": f"{third},{first},NOSUCH,{second}", "start": str(days[0]), "end": str(days[1]),
        "limit": 25,
    }  # fmt: skip
    pages = [get(sandbox, "/v2/stocks/bars", **query)]
    while pages[-1]["next_page_token"]:
        token = pages[-1]["next_page_token"]
        pages.append(get(sandbox, "/v2/stocks/bars", **query, page_token=token))
    rows = [(s, r["t"]) for page in pages for s, bars in page["bars"].items() for r in bars]
    assert len(pages) == -(-len(rows) // 25)
    assert rows == sorted(rows)
    assert len(set(rows)) == len(rows) == 40 * 3  # NOSUCH is only absent
    assert list(pages[1]["bars"]) == [first, second]
    assert rows[0] == (first, "2018-01-02T05:00:00Z")
    newest = get(sandbox, "/v2/stocks/bars", **query, sort="desc")["bars"][first]
    assert newest[0]["t"] == "2018-02-28T05:00:00Z"


def test_one_symbol_by_its_own_address(sandbox: SandboxServer) -> None:
    """An array, or null; the keys are those documented."""
    body = get(sandbox, "/v2/stocks/AAPL/bars", start="2018-02-01", end="2018-02-02")
    assert list(body) == ["bars", "symbol", "next_page_token"]
    assert [list(bar) for bar in body["bars"]] == [["t", "o", "h", "l", "c", "v", "n", "vw"]] * 2
    assert get(sandbox, "/v2/stocks/NOSUCH/bars", start="2018-02-01")["bars"] is None


def test_history_begins_in_2016(sandbox: SandboxServer) -> None:
    """Nothing before, though the market has it."""
    bars = get(sandbox, "/v2/stocks/bars", symbols="AAPL", start="2015-01-02", limit=2)["bars"]
    assert bars["AAPL"][0]["t"] == "2016-01-04T05:00:00Z"


def test_the_free_plan_lacks_the_last_quarter_of_an_hour(sandbox: SandboxServer) -> None:
    """403 for the tape's end; without an end it is 15 minutes ago; a live day as it stands."""
    now = datetime(2018, 3, 2, 17, tzinfo=UTC)
    sandbox.market.time.freeze(now)
    query: dict[str, Any] = {"symbols": "AAPL", "start": "2018-03-01"}
    refused = get(sandbox, "/v2/stocks/bars", 403, **query, end="2018-03-02T16:50:00Z")
    assert refused["message"] == "subscription does not permit querying recent SIP data"
    assert len(get(sandbox, "/v2/stocks/bars", **query)["bars"]["AAPL"]) == 2
    answer = adapter(sandbox, now).fetch(block(["AAPL"]))
    assert answer.bars["session"].max() == date(2018, 3, 1)
    assert answer.unfinished == {END}
    ahead = datetime(2018, 3, 2, 18, tzinfo=UTC)  # our clock runs an hour before the vendor's
    answer = adapter(sandbox, ahead).fetch(block(["AAPL"]))
    assert (answer.requests, answer.unfinished) == (2, frozenset({END}))
    assert answer.bars["session"].max() == date(2018, 3, 1)


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ({"symbols": "AAPL,B@D"}, "invalid symbol: B@D"),
        ({"symbols": ""}, "symbols is required"),
        ({"symbols": "AAPL", "timeframe": "1Fortnight"}, "invalid timeframe"),
        ({"symbols": "AAPL", "limit": "10001"}, "invalid limit"),
        ({"symbols": "AAPL", "start": "soon"}, "invalid start"),
        ({"symbols": "AAPL", "start": "2018-02-02", "end": "2018-02-01"}, "before start"),
        ({"symbols": "AAPL", "page_token": "?"}, "invalid page_token"),
        ({"symbols": "AAPL", "feed": "x"}, "invalid feed"),
        ({"symbols": "AAPL", "adjustment": "x"}, "invalid adjustment"),
        ({"symbols": "AAPL", "sort": "x"}, "invalid sort"),
    ],
)
def test_bad_requests_are_a_400(sandbox: SandboxServer, query: dict[str, Any], words: str) -> None:
    """Worded in ``message``."""
    assert words in get(sandbox, "/v2/stocks/bars", 400, **query)["message"]


def test_keys_come_in_pairs(sandbox: SandboxServer) -> None:
    """401 without both, 403 with a wrong one; our adapter says neither key."""
    url = sandbox.base_url("alpaca") + "/v2/stocks/AAPL/bars"
    assert httpx.get(url, headers={"APCA-API-KEY-ID": "good-id"}).status_code == 401
    assert httpx.get(url, headers={**KEYS, "APCA-API-SECRET-KEY": "no"}).status_code == 403
    with pytest.raises(NotEntitled, match="forbidden") as caught:
        adapter(sandbox, ALPACA_API_SECRET="bad-secret").fetch(block(["AAPL"]))  # noqa: S106
    assert "bad-secret" not in str(caught.value)


def test_limits_are_counted_by_pair() -> None:
    """Two hundred a minute each."""
    config = replace(CONFIG, symbols=3, limits={"alpaca": [(2, 60.0)]}, keys={})
    with SandboxServer(config) as server:
        url = server.base_url("alpaca") + "/v2/stocks/NA/bars"
        pairs = [{**KEYS, "APCA-API-KEY-ID": name} for name in ("one", "one", "one", "two")]
        answers = [httpx.get(url, headers=headers) for headers in pairs]
    assert [a.status_code for a in answers] == [200, 200, 429, 200]
    assert answers[2].json() == {"message": "too many requests."}
    assert "retry-after" not in answers[2].headers


def test_unknown_symbols_are_absent(sandbox: SandboxServer) -> None:
    """Like those without bars."""
    with pytest.raises(NoData):
        adapter(sandbox).fetch(block(["QQQZZ"]))
    assert set(adapter(sandbox).fetch(block(["QQQZZ", "NA"])).bars["symbol"]) == {"NA"}


def test_a_quote_is_of_the_present(sandbox: SandboxServer) -> None:
    """The day so far, and the close before."""
    now = datetime(2018, 3, 2, 17, tzinfo=UTC)
    sandbox.market.time.freeze(now)
    row = adapter(sandbox, now).ask(Question(Feed.QUOTE, "AAPL")).frame.row(0, named=True)
    truth = sandbox.market.bars("AAPL", END - (END - START), date(2018, 3, 1))
    assert row["previous_close"] == truth["close"][-1]
    assert row["low"] <= row["price"] <= row["high"]
    assert row["ts"] <= now
    assert (now - row["ts"]).total_seconds() < 120
    with pytest.raises(UnknownSymbol, match="no snapshot found"):
        adapter(sandbox, now).ask(Question(Feed.QUOTE, "QQQZZ"))


def test_many_quotes_are_one_call(sandbox: SandboxServer) -> None:
    """The same as one by one; unknown symbols are absent, and what is none refuses the call."""
    now = datetime(2018, 3, 2, 17, tzinfo=UTC)
    sandbox.market.time.freeze(now)
    source, symbols = adapter(sandbox, now), tuple(dict.fromkeys(living(sandbox, 30)))[:20]
    facts = source.ask(Question(Feed.QUOTE, symbols=(*symbols, "QQQZZ")))
    assert facts.requests == 1
    told = get(sandbox, "/v2/stocks/snapshots", symbols=",".join(symbols))
    silent = {symbol for symbol, snapshot in told.items() if snapshot is None}
    assert set(facts.frame["symbol"]) == set(symbols) - silent
    assert len(silent) < 3
    for symbol in facts.frame["symbol"][:3]:
        alone = source.ask(Question(Feed.QUOTE, symbol)).frame
        assert facts.frame.filter(pl.col("symbol") == symbol).equals(alone)
    told = get(sandbox, "/v2/stocks/snapshots", symbols="AAPL,QQQZZ")  # one is unknown
    assert list(told) == ["AAPL"]
    assert list(told["AAPL"]) == ["latestTrade", "minuteBar", "dailyBar", "prevDailyBar"]
    for query, words in (("AAPL,B@D", "invalid symbol: B@D"), ("", "symbols is required")):
        assert words in get(sandbox, "/v2/stocks/snapshots", 400, symbols=query)["message"]
    assert get(sandbox, "/v2/stocks/snapshots", 403, symbols="AAPL", feed="sip")


@pytest.mark.parametrize("kind", ["http_429", "http_500", "http_503", "disconnect", "error_200"])
def test_faults_that_pass(sandbox: SandboxServer, kind: str) -> None:
    """A fault that befalls one call costs a try, not the answer."""
    sandbox.app.faults.add([{"kind": kind, "retry_after": 0.1, "once": True}])
    answer = adapter(sandbox).fetch(block(["AAPL"]))
    assert (answer.bars.height, answer.requests) == (traded(sandbox), 2)


@pytest.mark.parametrize("kind", ["html", "truncated", "empty"])
def test_faults_that_spoil_the_answer(sandbox: SandboxServer, kind: str) -> None:
    """What is not the documented form is Malformed, whole."""
    sandbox.app.faults.add([{"kind": kind}])
    with pytest.raises(Malformed):
        adapter(sandbox).fetch(block(["AAPL"]))


def test_rows_with_a_null_are_left_out(sandbox: SandboxServer) -> None:
    """Alpaca gives no nulls."""
    sandbox.app.faults.add([{"kind": "null_close", "share": 0.1}])
    assert adapter(sandbox).fetch(block(["AAPL"])).bars.height == traded(sandbox) * 9 // 10 + 1
