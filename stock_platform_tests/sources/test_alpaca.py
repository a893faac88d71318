"""Alpaca's bars and snapshots against a vendor that answers as tests say.

No answer of Alpaca's was recorded; these are written after its documentation,
https://docs.alpaca.markets/reference/stockbars and .../stocksnapshotsingle.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Any, ClassVar
from zoneinfo import ZoneInfo

import httpx
import pytest

from stock_platform.domain.bars import Basis, Interval
from stock_platform.domain.capabilities import Feed, Tile, TileShape
from stock_platform.domain.errors import (
    InputError,
    Malformed,
    NoData,
    NotEntitled,
    RateLimited,
    Unavailable,
    UnknownSymbol,
)
from stock_platform.sources.base import Answer, Facts, Question
from stock_platform.sources.quota import MemoryQuota
from stock_platform.sources.registry import SOURCES, build
from stock_platform.sources.spec import Setup
from stock_platform_tests.sources.conformance import SourceConformance
from stock_platform_tests.sources.vendors import (
    KEY,
    NOON,
    Bar,
    Vendor,
    as_json,
    five_bars,
    source_of,
)

NEW_YORK = ZoneInfo("America/New_York")
MONDAY, FRIDAY = date(2024, 3, 4), date(2024, 3, 8)
WEEK = Tile("alpaca", "bars", Interval.DAY, MONDAY, FRIDAY, 1, "AAPL")
BLOCK = replace(
    WEEK, asset_id=None, symbol=None, members=((1, "AAPL"), (2, "BRK.B"), (3, "BAC.PRB"))
)
RECENT = {"message": "subscription does not permit querying recent SIP data"}

# The documentation's own example of a snapshot, shortened.
SNAPSHOT: dict[str, Any] = {
    "symbol": "AAPL",
    "latestTrade": {
        "t": "2021-05-11T20:00:00.435997104Z", "x": "Q", "p": 125.91, "s": 5589631,
        "c": ["@", "M"], "i": 179430, "z": "C",
    },
    "latestQuote": {"t": "2021-05-11T22:05:02Z", "ap": 125.68, "bp": 125.6},
    "minuteBar": {"t": "2021-05-11T22:02:00Z", "o": 125.66, "c": 125.66},
    "dailyBar": {
        "t": "2021-05-11T04:00:00Z", "o": 123.5, "h": 126.27, "l": 122.77, "c": 125.91,
        "v": 125863164, "n": 790000, "vw": 124.9,
    },
    "prevDailyBar": {"t": "2021-05-10T04:00:00Z", "o": 129.41, "c": 126.85, "v": 79569305},
}  # fmt: skip


def result(row: Bar, hour: int = 0) -> dict[str, Any]:
    at = datetime(row.session.year, row.session.month, row.session.day, hour, tzinfo=NEW_YORK)
    return {
        "t": at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "o": row.open,
        "h": row.high,
        "l": row.low,
        "c": row.close,
        "v": row.volume,
        "n": 77,
        "vw": 10.2,
    }


def answer_of(token: Any = None, **bars: Any) -> dict[str, Any]:
    return {"bars": bars, "next_page_token": token}


def week() -> list[dict[str, Any]]:
    return [result(row) for row in five_bars()]


def ask(*answers: Any, tile: Tile = WEEK, now: datetime = NOON) -> Answer:
    made = [a if isinstance(a, httpx.Response) else as_json(a) for a in answers]
    return source_of("alpaca", Vendor(list(made)), now=now).fetch(tile)


def quote(answer: httpx.Response, symbol: str | None = "AAPL") -> Facts:
    return source_of("alpaca", Vendor([answer])).ask(Question(Feed.QUOTE, symbol))


class TestConformance(SourceConformance):
    source: ClassVar[str] = "alpaca"
    tile: ClassVar[Tile] = WEEK

    def answer_of(self, rows: Sequence[Bar]) -> Any:
        return answer_of(AAPL=[result(row) for row in rows])

    def empty(self) -> httpx.Response:
        return as_json({"bars": {}, "next_page_token": None})

    def refused(self) -> httpx.Response:
        return as_json({"message": "your plan does not permit it: forbidden."}, 403)

    def notice(self) -> httpx.Response:
        return as_json({"message": "too many requests."})


def test_asks_for_days_as_traded() -> None:
    """Whole days of New York, the consolidated tape, unadjusted; keys in headers alone."""
    vendor = Vendor([as_json(answer_of(AAPL=week()))])
    answer = source_of("alpaca", vendor).fetch(WEEK)
    request = vendor.asked[0]
    assert request.url.path == "/v2/stocks/bars"
    assert dict(request.url.params) == {
        "symbols": "AAPL",
        "timeframe": "1Day",
        "start": "2024-03-04T05:00:00Z",
        "end": "2024-03-09T04:59:59Z",
        "limit": "10000",
        "adjustment": "raw",
        "feed": "sip",
        "sort": "asc",
    }
    assert request.headers["apca-api-key-id"] == KEY
    assert request.headers["apca-api-secret-key"] == KEY
    assert SOURCES["alpaca"].capabilities.endpoint("bars").basis is Basis.AS_TRADED
    assert answer.bars["vwap"].to_list() == [10.2] * 5
    assert answer.bars["trades"].to_list() == [77] * 5
    assert answer.currency == "USD"


def test_a_block_is_one_request() -> None:
    """Several symbols in one call, spelled as Alpaca does, and canonical in the answer."""
    vendor = Vendor(
        [as_json(answer_of(**{"AAPL": week(), "BRK.B": week(), "BAC.PRB": week()[:2]}))]
    )
    answer = source_of("alpaca", vendor).fetch(BLOCK)
    assert vendor.asked[0].url.params["symbols"] == "AAPL,BRK.B,BAC.PRB"
    assert answer.requests == 1
    counts = dict(answer.bars["symbol"].value_counts().iter_rows())
    assert counts == {"AAPL": 5, "BRK.B": 5, "BAC.PRB": 2}
    assert answer.bars.select("symbol", "ts").is_unique().all()


def test_spells_rights_in_full() -> None:
    """CELG.R is CELG.RT there."""
    vendor = Vendor([as_json(answer_of(**{"CELG.RT": week()}))])
    answer = source_of("alpaca", vendor).fetch(replace(WEEK, symbol="CELG.R"))
    assert vendor.asked[0].url.params["symbols"] == "CELG.RT"
    assert set(answer.bars["symbol"]) == {"CELG.R"}


def test_follows_pages_across_symbols() -> None:
    """A page ends anywhere; the next begins with the same or the next symbol."""
    first = answer_of("QUFQTA==", AAPL=week()[:3])
    second = answer_of(None, **{"AAPL": week()[3:], "BRK.B": week()})
    vendor = Vendor([as_json(first), as_json(second)])
    answer = source_of("alpaca", vendor).fetch(BLOCK)
    assert (answer.bars.height, answer.requests) == (10, 2)
    asked = [dict(request.url.params) for request in vendor.asked]
    assert asked[1] == {**asked[0], "page_token": "QUFQTA=="}


def test_paging_that_goes_in_circles_ends() -> None:
    """A page that leads to itself is malformed, not a loop."""
    with pytest.raises(Malformed, match="leads nowhere new"):
        ask(answer_of("same", AAPL=week()))


def test_an_error_on_a_later_page_fails_the_whole_call() -> None:
    """Half a range is not an answer."""
    with pytest.raises(NotEntitled) as caught:
        ask(answer_of("more", AAPL=week()), as_json({"message": "forbidden."}, 403))
    assert caught.value.requests == 2


def test_reads_the_form_of_a_single_symbol() -> None:
    """/v2/stocks/{symbol}/bars has an array, and null for nothing."""
    document = {"bars": week(), "symbol": "AAPL", "next_page_token": None}
    assert ask(document).bars.height == 5
    with pytest.raises(NoData):
        ask({"bars": None, "symbol": "AAPL", "next_page_token": None})


def test_a_block_names_the_symbol_that_is_unknown() -> None:
    """In canonical form, so that the others can be asked again without it."""
    tile = replace(BLOCK, members=((1, "AAPL"), (2, "CELG.R")))
    with pytest.raises(UnknownSymbol, match=r"CELG\.R: invalid symbol: CELG\.RT$") as caught:
        ask(as_json({"message": "invalid symbol: CELG.RT"}, 400), tile=tile)
    assert (caught.value.symbol, caught.value.requests) == ("CELG.R", 1)


@pytest.mark.parametrize("status", [400, 422])
def test_a_symbol_that_is_refused_alone_is_unknown(status: int) -> None:
    """Canonical, in the vendor's words, after one request."""
    with pytest.raises(UnknownSymbol, match=r"AAPL.*invalid symbol: AAPL") as caught:
        ask(as_json({"message": "invalid symbol: AAPL"}, status))
    assert (caught.value.symbol, caught.value.requests) == ("AAPL", 1)


def test_listings_abroad_and_pairs_are_unknown_here() -> None:
    """No call is made; a block names the first of them."""
    vendor = Vendor([as_json(answer_of(AAPL=week()))])
    for symbol in ("VOD.L", "EUR/USD", "BTC-USD", "^GSPC"):
        with pytest.raises(UnknownSymbol, match="US listings only"):
            source_of("alpaca", vendor).fetch(replace(WEEK, symbol=symbol))
    with pytest.raises(UnknownSymbol) as caught:
        source_of("alpaca", vendor).fetch(replace(BLOCK, members=((1, "AAPL"), (2, "VOD.L"))))
    assert caught.value.symbol == "VOD.L"
    assert not vendor.asked


def test_a_symbol_without_bars_is_only_absent() -> None:
    """Nothing says whether Alpaca knows it: its sessions are not settled."""
    answer = ask(answer_of(AAPL=week()), tile=BLOCK)
    assert set(answer.bars["symbol"]) == {"AAPL"}
    assert answer.rejected.is_empty()
    assert SOURCES["alpaca"].capabilities.endpoint("bars").complete is False


def test_other_tickers_are_not_taken_for_ours() -> None:
    """Nothing but strangers is malformed; one among ours is rejected."""
    with pytest.raises(Malformed, match="asked for AAPL, was given MSFT"):
        ask(answer_of(MSFT=week()))
    answer = ask(answer_of(AAPL=week(), MSFT=week()))
    assert set(answer.bars["symbol"]) == {"AAPL"}
    assert answer.rejected.height == 5


def test_never_asks_for_the_last_quarter_of_an_hour() -> None:
    """The end is 16 minutes ago; a session whose close is later is unfinished."""
    vendor = Vendor([as_json(answer_of(AAPL=week()))])
    now = datetime(2024, 3, 8, 21, 10, tzinfo=UTC)  # ten minutes after the close
    answer = source_of("alpaca", vendor, now=now).fetch(WEEK)
    assert vendor.asked[0].url.params["end"] == "2024-03-08T20:54:00Z"
    assert answer.unfinished == {FRIDAY}
    assert answer.bars.height == 4
    later = datetime(2024, 3, 8, 21, 16, tzinfo=UTC)
    assert ask(answer_of(AAPL=week()), now=later).unfinished == frozenset()


def test_a_day_that_has_not_begun_costs_no_call() -> None:
    """Before New York's midnight plus the delay there is nothing to ask for."""
    vendor = Vendor([])
    tile = replace(WEEK, start=FRIDAY)
    answer = source_of("alpaca", vendor, now=datetime(2024, 3, 8, 5, 10, tzinfo=UTC)).fetch(tile)
    assert (answer.unfinished, answer.requests) == (frozenset({FRIDAY}), 0)
    assert not vendor.asked


def test_a_plan_without_recent_data_still_gives_the_past() -> None:
    """Where clocks differ the tape's last minutes are refused: asked up to the day before."""
    vendor = Vendor([as_json(RECENT, 403), as_json(answer_of(AAPL=week()[:4]))])
    answer = source_of("alpaca", vendor, now=datetime(2024, 3, 8, 18, tzinfo=UTC)).fetch(WEEK)
    assert vendor.asked[1].url.params["end"] == "2024-03-08T04:59:59Z"
    assert (answer.bars.height, answer.unfinished, answer.requests) == (4, frozenset({FRIDAY}), 2)


def test_recent_data_refused_for_the_past_is_not_entitled() -> None:
    """Then it is the plan, not the clock."""
    with pytest.raises(NotEntitled, match="recent SIP data"):
        ask(as_json(RECENT, 403))
    only_today = replace(WEEK, start=FRIDAY)
    answer = ask(as_json(RECENT, 403), tile=only_today, now=datetime(2024, 3, 8, 18, tzinfo=UTC))
    assert (answer.unfinished, answer.requests) == (frozenset({FRIDAY}), 1)


def test_minutes_keep_their_stamps() -> None:
    """Intraday bars are stamped at their start, and belong to New York's date."""
    rows = [result(Bar(FRIDAY), 9 + n) for n in range(3)]
    tile = replace(WEEK, interval=Interval.HOUR)
    answer = ask(answer_of(AAPL=rows), tile=tile)
    assert answer.bars["ts"].to_list() == [
        datetime(2024, 3, 8, 14 + n, tzinfo=UTC) for n in range(3)
    ]
    assert answer.bars["session"].to_list() == [FRIDAY] * 3
    live = ask(answer_of(AAPL=rows), tile=tile, now=datetime(2024, 3, 8, 16, 20, tzinfo=UTC))
    assert live.bars.height == 2
    assert live.unfinished == {FRIDAY}


def test_bars_outside_the_range_are_left_out() -> None:
    """Should the vendor widen a range."""
    assert ask(answer_of(AAPL=week()), tile=replace(WEEK, end=date(2024, 3, 6))).bars.height == 3


def test_a_stamp_that_is_none_is_rejected() -> None:
    """With the row as it came; an answer of nothing else is malformed."""
    broken = [{**week()[0], "t": "yesterday"}, {**week()[1], "t": "2024-03-05T05:00:00"}]
    answer = ask(answer_of(AAPL=[*broken, *week()[2:]]))
    assert answer.bars.height == 3
    assert [r[0] for r in answer.rejected["reasons"]] == [
        "t: 'yesterday' is not a stamp",
        "t: '2024-03-05T05:00:00' has no time zone",
    ]
    with pytest.raises(Malformed, match="none of 2 bars"):
        ask(answer_of(AAPL=broken))


@pytest.mark.parametrize(
    ("answer", "kind", "said"),
    [
        (as_json({"message": "forbidden."}, 403), NotEntitled, "forbidden"),
        (as_json({"message": "unauthorized."}, 401), NotEntitled, "unauthorized"),
        (as_json({"code": 40110000, "message": "request is not authorized"}), NotEntitled, "auth"),
        (httpx.Response(401, text="<html><head><title>401 Authorization Required</title></head>"),
         NotEntitled, "401 Authorization Required"),
        (as_json({"message": "invalid timeframe: 1Day1"}, 400), Malformed, "invalid timeframe"),
        (as_json({"message": "end should not be before start"}, 422), Malformed, "before start"),
        (as_json({"message": "internal server error occurred"}), Unavailable, "internal"),
        (as_json({"bars": [1], "next_page_token": None}), Malformed, "bars is list"),
        (as_json(answer_of(AAPL=[1])), Malformed, "a bar is int"),
        (as_json({"bars": {"AAPL": {"t": 1}}}), Malformed, "bars of AAPL is dict"),
    ],
)  # fmt: skip
def test_errors_by_their_meaning(answer: httpx.Response, kind: type[Exception], said: str) -> None:
    """By status or inside a 200, in the vendor's own words."""
    with pytest.raises(kind, match=said):
        ask(answer)


def test_too_many_calls_waits_for_the_window() -> None:
    """429 comes without Retry-After; the window is a minute."""
    limited = as_json({"message": "too many requests."}, 429, **{"X-RateLimit-Reset": "1710000009"})
    with pytest.raises(RateLimited, match="too many requests"):
        ask(limited)


def test_a_quote_is_the_last_trade_and_the_day() -> None:
    """Stamped by the trade; nanoseconds are cut; IEX, which is free."""
    vendor = Vendor([as_json(SNAPSHOT)])
    facts = source_of("alpaca", vendor).ask(Question(Feed.QUOTE, "AAPL"))
    assert vendor.asked[0].url.path == "/v2/stocks/AAPL/snapshot"
    assert dict(vendor.asked[0].url.params) == {"feed": "iex"}
    assert facts.frame.row(0, named=True) == {
        "symbol": "AAPL",
        "ts": datetime(2021, 5, 11, 20, 0, 0, 435997, tzinfo=UTC),
        "price": 125.91,
        "open": 123.5,
        "high": 126.27,
        "low": 122.77,
        "previous_close": 126.85,
        "volume": 125863164.0,
        "currency": "USD",
    }
    assert (facts.requests, facts.http_status) == (1, 200)


def test_a_quote_before_the_first_trade_of_the_day() -> None:
    """What is missing is null."""
    bare = {"latestTrade": SNAPSHOT["latestTrade"], "dailyBar": None, "prevDailyBar": None}
    row = quote(as_json(bare)).frame.row(0, named=True)
    assert (row["price"], row["open"], row["previous_close"]) == (125.91, None, None)


def quotes(*answers: httpx.Response, symbols: tuple[str, ...]) -> tuple[Facts, Vendor]:
    vendor = Vendor(list(answers))
    return source_of("alpaca", vendor).ask(Question(Feed.QUOTE, symbols=symbols)), vendor


def test_many_quotes_are_one_call() -> None:
    """By ticker, spelled as there, canonical here; null, without a trade, or abroad: left out."""
    snapshot = {name: part for name, part in SNAPSHOT.items() if name != "symbol"}
    told = {
        "AAPL": snapshot, "CELG.RT": snapshot, "KUBTY": None,
        "MSFT": {**snapshot, "latestTrade": None},
        "IBM": {**snapshot, "latestTrade": {"t": "soon", "p": 1}},
    }  # fmt: skip
    asked = ("AAPL", "CELG.R", "VOD.L", "KUBTY", "MSFT", "IBM", "GONE")
    facts, vendor = quotes(as_json(told), symbols=asked)
    [request] = vendor.asked
    assert request.url.path == "/v2/stocks/snapshots"
    assert dict(request.url.params) == {
        "symbols": "AAPL,CELG.RT,KUBTY,MSFT,IBM,GONE", "feed": "iex"
    }  # fmt: skip
    assert facts.frame["symbol"].to_list() == ["AAPL", "CELG.R"]
    assert facts.frame["price"].to_list() == [125.91] * 2
    assert facts.rejected["symbol"].to_list() == ["IBM"]
    assert facts.requests == 1


def test_a_ticker_that_is_refused_does_not_cost_the_others_their_quotes() -> None:
    """They are asked for again without it, three times at the most."""
    bad = as_json({"message": "invalid symbol: CELG.RT"}, 400)
    facts, vendor = quotes(bad, as_json({"AAPL": SNAPSHOT}), symbols=("CELG.R", "AAPL"))
    assert [r.url.params["symbols"] for r in vendor.asked] == ["CELG.RT,AAPL", "AAPL"]
    assert (facts.frame["symbol"].to_list(), facts.requests) == (["AAPL"], 2)
    refusals = [as_json({"message": f"invalid symbol: {s}"}, 400) for s in ("A", "B", "C", "D")]
    with pytest.raises(NoData, match="invalid symbol: C") as caught:
        quotes(*refusals, symbols=("A", "B", "C", "D", "E"))
    assert caught.value.requests == 3


@pytest.mark.parametrize(
    ("answer", "symbols", "kind", "said"),
    [
        (as_json({}), ("AAPL", "IBM"), NoData, "no quote of AAPL, IBM"),
        (as_json({}), ("VOD.L", "^GSPC"), NoData, "US listings only"),
        (as_json({}), ("A",) * 101, InputError, "name 1 to 100"),
        (as_json({"MSFT": SNAPSHOT}), ("AAPL", "IBM"), Malformed, "was given MSFT"),
        (as_json({"AAPL": [1]}), ("AAPL", "IBM"), Malformed, "snapshot is list"),
        (as_json({"message": "forbidden."}, 403), ("AAPL", "IBM"), NotEntitled, "forbidden"),
        (as_json({"message": "invalid symbol: X"}, 400), ("AAPL", "IBM"), NoData, "symbol: X"),
    ],
)
def test_many_quotes_that_are_none(
    answer: httpx.Response, symbols: tuple[str, ...], kind: type[Exception], said: str
) -> None:
    """Each the right error."""
    with pytest.raises(kind, match=said):
        quotes(answer, symbols=symbols)


@pytest.mark.parametrize(
    ("answer", "kind", "said"),
    [
        (as_json({"message": "no snapshot found for AAPL"}, 404), UnknownSymbol, "no snapshot"),
        (as_json({"message": "invalid symbol: AAPL"}, 400), UnknownSymbol, "invalid symbol"),
        (as_json({**SNAPSHOT, "latestTrade": None}), NoData, "no trade"),
        (as_json({**SNAPSHOT, "symbol": "MSFT"}), Malformed, "was given MSFT"),
        (as_json({**SNAPSHOT, "latestTrade": {"t": "soon", "p": 1}}), Malformed, "'soon'"),
        (
            as_json({**SNAPSHOT, "latestTrade": {"t": "2021-05-11T20:00:00Z"}}),
            Malformed,
            "no price",
        ),
        (as_json({"symbol": "AAPL"}), Malformed, "no latestTrade"),
        (as_json([]), Malformed, "not an object"),
        (as_json({"message": "forbidden."}, 403), NotEntitled, "forbidden"),
    ],
)
def test_quotes_that_are_none(answer: httpx.Response, kind: type[Exception], said: str) -> None:
    """Each the right error, never an exception of Python's."""
    with pytest.raises(kind, match=said):
        quote(answer)


def test_what_cannot_be_asked() -> None:
    """A quote of nothing, of what is no US share, and feeds it lacks."""
    with pytest.raises(InputError, match="name one"):
        quote(as_json(SNAPSHOT), None)
    with pytest.raises(UnknownSymbol, match="US listings"):
        quote(as_json(SNAPSHOT), "VOD.L")
    with pytest.raises(InputError, match="use one of bars, quote"):
        source_of("alpaca", Vendor([])).ask(Question(Feed.PROFILE, "AAPL"))
    with pytest.raises(InputError, match="name some"):
        source_of("alpaca", Vendor([])).fetch(replace(WEEK, symbol=None))


@pytest.mark.parametrize("missing", ["ALPACA_API_KEY", "ALPACA_API_SECRET"])
def test_both_keys_are_needed(missing: str) -> None:
    """Without either there is one clear line, before anything is asked."""
    keys = {"ALPACA_API_KEY": "id", "ALPACA_API_SECRET": "secret"}
    del keys[missing]
    with pytest.raises(InputError, match=f"{missing}.*get one at"):
        build(Setup(SOURCES["alpaca"].capabilities, MemoryQuota(), keys=keys))


def test_shape() -> None:
    """A block of a hundred symbols, ten thousand bars a request."""
    endpoint = SOURCES["alpaca"].capabilities.endpoint("bars")
    assert endpoint.shape is TileShape.BLOCK
    assert (endpoint.max_symbols, endpoint.bars_a_request) == (100, 10_000)
