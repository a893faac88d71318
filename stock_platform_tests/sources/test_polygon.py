"""Polygon's aggregates against a vendor that answers as tests say."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Any, ClassVar
from zoneinfo import ZoneInfo

import httpx
import pytest

from stock_platform.domain.bars import Basis, Interval
from stock_platform.domain.capabilities import Tile, TileShape
from stock_platform.domain.errors import (
    InputError,
    Malformed,
    NoData,
    NotEntitled,
    UnknownSymbol,
)
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
WEEK = Tile("polygon", "range", Interval.DAY, MONDAY, FRIDAY, 1, "AAPL")
DAY = Tile("polygon", "grouped", Interval.DAY, FRIDAY, FRIDAY)


def t(day: date, hour: int = 0, zone: ZoneInfo = NEW_YORK) -> int:
    """Epoch milliseconds of a local time."""
    return int(datetime(day.year, day.month, day.day, hour, tzinfo=zone).timestamp() * 1000)


def result(row: Bar, hour: int = 0, zone: ZoneInfo = NEW_YORK, **more: Any) -> dict[str, Any]:
    return {
        "o": row.open,
        "h": row.high,
        "l": row.low,
        "c": row.close,
        "v": row.volume,
        "vw": 10.2,
        "n": 77,
        "t": t(row.session, hour, zone),
        **more,
    }


def answer_of(results: Sequence[dict[str, Any]], **more: Any) -> dict[str, Any]:
    count = len(results)
    return {
        "queryCount": count,
        "resultsCount": count,
        "adjusted": False,
        "results": list(results),
        "status": "OK",
        "request_id": "1",
        "count": count,
    } | more


def grouped(*tickers: str, day: date = FRIDAY, **more: Any) -> dict[str, Any]:
    return answer_of([result(Bar(day), 16, T=ticker) for ticker in tickers], **more)


def ask(document: Any, tile: Tile = DAY, now: datetime = NOON) -> Any:
    answer = document if isinstance(document, httpx.Response) else as_json(document)
    return source_of("polygon", Vendor([answer]), now=now).fetch(tile)


class TestConformance(SourceConformance):
    source: ClassVar[str] = "polygon"
    tile: ClassVar[Tile] = WEEK

    def answer_of(self, rows: Sequence[Bar]) -> Any:
        return answer_of([result(row) for row in rows], ticker="AAPL")

    def empty(self) -> httpx.Response:
        return as_json({"ticker": "AAPL", "queryCount": 0, "resultsCount": 0, "status": "OK"})

    def refused(self) -> httpx.Response:
        said = "You are not entitled to this data. Please upgrade your plan"
        return as_json({"status": "NOT_AUTHORIZED", "message": said}, 403)

    def notice(self) -> httpx.Response:
        said = "You've exceeded the maximum requests per minute, please wait or upgrade"
        return as_json({"status": "ERROR", "error": said})


def test_asks_for_a_range_as_traded() -> None:
    """Unadjusted, ascending, most bars a page; the key in a header alone."""
    vendor = Vendor([as_json(TestConformance().answer_of(five_bars()))])
    answer = source_of("polygon", vendor).fetch(WEEK)
    request = vendor.asked[0]
    assert request.url.path == "/v2/aggs/ticker/AAPL/range/1/day/2024-03-04/2024-03-08"
    assert dict(request.url.params) == {"adjusted": "false", "sort": "asc", "limit": "50000"}
    assert request.headers["authorization"] == f"Bearer {KEY}"
    assert answer.basis is Basis.AS_TRADED
    assert answer.bars["vwap"].to_list() == [10.2] * 5
    assert answer.bars["trades"].to_list() == [77] * 5
    assert answer.currency == "USD"


def test_adjusted_answers_say_so() -> None:
    """What the vendor says of adjustment is believed, not what was asked for."""
    document = answer_of([result(row) for row in five_bars()], adjusted=True)
    assert ask(document, WEEK).basis is Basis.SPLIT_ADJUSTED


def test_follows_pages_on_our_own_host() -> None:
    """next_url's host and key are dropped; each page takes a grant."""
    rows = [result(row) for row in five_bars()]
    first = answer_of(
        rows[:3], next_url="https://api.polygon.io/v2/aggs/next/1?cursor=abc%3D&apiKey=other"
    )
    vendor = Vendor([as_json(first), as_json(answer_of(rows[3:]))])
    answer = source_of("polygon", vendor, base_url="https://proxy.test/px").fetch(WEEK)
    assert answer.bars.height == 5
    assert answer.requests == 2
    second = vendor.asked[1]
    assert second.url.host == "proxy.test"
    assert second.url.path == "/px/v2/aggs/next/1"
    assert dict(second.url.params) == {"cursor": "abc="}
    assert second.headers["authorization"] == f"Bearer {KEY}"


def test_paging_that_goes_in_circles_ends() -> None:
    """A page that leads to itself is malformed, not a loop."""
    page = answer_of([result(row) for row in five_bars()], next_url="https://x.test/v2/same")
    with pytest.raises(Malformed, match="leads nowhere new"):
        ask(page, WEEK)


def test_an_error_on_a_later_page_fails_the_whole_call() -> None:
    """Half a range is not an answer."""
    first = answer_of([result(five_bars()[0])], next_url="https://x.test/v2/next")
    vendor = Vendor([as_json(first), as_json({"status": "NOT_AUTHORIZED", "message": "no"}, 403)])
    with pytest.raises(NotEntitled) as caught:
        source_of("polygon", vendor).fetch(WEEK)
    assert caught.value.requests == 2


def test_crypto_and_currencies_have_utc_days() -> None:
    """X: and C: pairs stamp UTC midnight; their session is the UTC date."""
    utc = ZoneInfo("UTC")
    for symbol, spelled in (("BTC-USD", "X:BTCUSD"), ("EUR/USD", "C:EURUSD")):
        rows = [result(row, 0, utc) for row in five_bars()]
        vendor = Vendor([as_json(answer_of(rows, adjusted=True, ticker=spelled))])
        answer = source_of("polygon", vendor).fetch(replace(WEEK, symbol=symbol))
        assert f"/ticker/{spelled}/" in vendor.asked[0].url.path
        assert answer.bars["session"].to_list() == [row.session for row in five_bars()]
        assert answer.bars["ts"][0] == datetime(2024, 3, 4, tzinfo=UTC)
        assert answer.basis is Basis.AS_TRADED, "nothing splits there"


def test_a_listing_abroad_is_unknown_here() -> None:
    """Polygon has US stocks only; no call is made."""
    vendor = Vendor([])
    with pytest.raises(UnknownSymbol):
        source_of("polygon", vendor).fetch(replace(WEEK, symbol="VOD.L"))
    assert not vendor.asked


def test_another_ticker_is_malformed() -> None:
    """An answer about another ticker is not taken for ours."""
    with pytest.raises(Malformed, match="asked for AAPL, was given MSFT"):
        ask(answer_of([result(five_bars()[0])], ticker="MSFT"), WEEK)


def test_bars_outside_the_range_are_left_out() -> None:
    """The vendor widens a range at times."""
    answer = ask(
        answer_of([result(row) for row in five_bars()]), replace(WEEK, end=date(2024, 3, 6))
    )
    assert answer.bars.height == 3


def test_minutes_keep_their_stamps() -> None:
    """Intraday bars are stamped at their start, and belong to New York's date."""
    rows = [result(Bar(FRIDAY), 9 + n) for n in range(3)]
    tile = replace(WEEK, interval=Interval.HOUR)
    answer = ask(answer_of(rows), tile)
    assert answer.bars["ts"].to_list() == [
        datetime(2024, 3, 8, 14 + n, tzinfo=UTC) for n in range(3)
    ]
    assert answer.bars["session"].to_list() == [FRIDAY] * 3


def test_a_day_of_the_market() -> None:
    """One call, every ticker in canonical form, stamped at the session's opening."""
    vendor = Vendor([as_json(grouped("AAPL", "BRK.B", "BACpB", "NA", "TRUE"))])
    answer = source_of("polygon", vendor).fetch(DAY)
    request = vendor.asked[0]
    assert request.url.path == "/v2/aggs/grouped/locale/us/market/stocks/2024-03-08"
    assert request.url.params["adjusted"] == "false"
    assert answer.bars["symbol"].to_list() == ["AAPL", "BAC.PRB", "BRK.B", "NA", "TRUE"]
    assert set(answer.bars["ts"]) == {datetime(2024, 3, 8, 14, 30, tzinfo=UTC)}
    assert set(answer.bars["session"]) == {FRIDAY}
    assert answer.requests == 1


def test_column_and_row_stamp_a_bar_alike() -> None:
    """The key of a bar is the same whichever endpoint it came from."""
    row = ask(answer_of([result(Bar(FRIDAY))], ticker="AAPL"), WEEK).bars
    column = ask(grouped("AAPL")).bars
    assert row.equals(column)


def test_over_the_counter_is_left_out() -> None:
    """otc rows are another market's."""
    document = grouped("AAPL")
    document["results"].append(result(Bar(FRIDAY), 16, T="NSRGY", otc=True))
    answer = ask(document)
    assert answer.bars["symbol"].to_list() == ["AAPL"]
    assert answer.rejected.is_empty()


def test_delayed_is_good_data() -> None:
    """DELAYED only tells the plan."""
    assert ask(grouped("AAPL", status="DELAYED")).bars.height == 1


def test_rows_of_another_day_are_rejected() -> None:
    """A stale bar in the day's answer is told; an answer of stale bars is malformed."""
    document = grouped("AAPL")
    document["results"].append(result(Bar(MONDAY), 16, T="MSFT"))
    answer = ask(document)
    assert answer.rejected["symbol"].to_list() == ["MSFT"]
    assert "a bar of 2024-03-04" in answer.rejected["reasons"].to_list()[0][0]
    with pytest.raises(Malformed, match="given bars of 2024-03-04"):
        ask(grouped("AAPL", day=MONDAY))


def test_bars_of_another_time_are_malformed() -> None:
    """Seconds taken for milliseconds are of 1970: no silence about a week without bars."""
    seconds = [{**result(row), "t": result(row)["t"] // 1000} for row in five_bars()[:1]]
    with pytest.raises(Malformed, match="was given bars of 1970-01-20"):
        ask(answer_of(seconds, ticker="AAPL"), WEEK)


def test_a_strange_ticker_is_rejected_alone() -> None:
    """What cannot be a ticker does not stop the others."""
    answer = ask(grouped("AAPL", "not a ticker!"))
    assert answer.bars.height == 1
    assert answer.rejected.height == 1


def test_before_the_end_of_the_day_is_not_yet() -> None:
    """The free plan's 403 for today is neither a missing right nor a day without trades."""
    said = "Attempted to request today's data before end of day. Please upgrade your plan"
    refused = as_json({"status": "NOT_AUTHORIZED", "message": said}, 403)
    answer = ask(refused, now=datetime(2024, 3, 8, 22, tzinfo=UTC))
    assert answer.bars.is_empty()
    assert answer.unfinished == {FRIDAY}


def test_an_empty_session_is_not_yet_and_later_no_data() -> None:
    """A session on which nobody traded is not published; a holiday is without data at once."""
    empty = as_json({"queryCount": 0, "resultsCount": 0, "adjusted": False, "status": "OK"})
    assert ask(empty, now=datetime(2024, 3, 9, 1, tzinfo=UTC)).unfinished == {FRIDAY}
    with pytest.raises(NoData):
        ask(empty, now=datetime(2024, 3, 20, tzinfo=UTC))
    good_friday = date(2024, 3, 29)
    with pytest.raises(NoData):
        ask(
            empty,
            replace(DAY, start=good_friday, end=good_friday),
            datetime(2024, 3, 30, tzinfo=UTC),
        )


@pytest.mark.parametrize(
    ("answer", "kind", "said"),
    [
        (as_json({"status": "ERROR", "error": "Unknown API Key"}, 401), NotEntitled, "Unknown API"),
        (
            as_json({"status": "NOT_AUTHORIZED", "message": "upgrade your plan"}),
            NotEntitled,
            "plan",
        ),
        (
            as_json({"status": "NOT_FOUND", "message": "Data not found."}, 404),
            UnknownSymbol,
            "found",
        ),
        (as_json({"status": "ERROR", "error": "Invalid date"}, 400), Malformed, "Invalid date"),
        (as_json({"status": "OK", "results": [{"T": "A"}]}), Malformed, "none of 1 results"),
        (as_json({"status": "OK", "market": "open"}), Malformed, "no results and no count"),
        (as_json({"status": "OK", "results": {"A": 1}}), Malformed, "not an array"),
        (as_json({"status": "OK", "results": [1]}), Malformed, "not an object"),
    ],
)
def test_errors_by_their_meaning(answer: httpx.Response, kind: type[Exception], said: str) -> None:
    """401 and 429 say why in error, 403 in message, and a 200 may hold either."""
    with pytest.raises(kind, match=said):
        ask(answer)


def test_a_key_is_needed() -> None:
    """Without a key there is one clear line, before anything is asked."""
    with pytest.raises(InputError, match=r"POLYGON_API_KEY.*get one at"):
        build(Setup(SOURCES["polygon"].capabilities, MemoryQuota()))


def test_shapes() -> None:
    """grouped covers a day of the market, range a ticker's days; both as traded."""
    capabilities = SOURCES["polygon"].capabilities
    assert capabilities.endpoint("grouped").shape is TileShape.COLUMN
    assert capabilities.endpoint("range").shape is TileShape.ROW
    assert {e.basis for e in capabilities.endpoints} == {Basis.AS_TRADED}
    assert capabilities.needs_key == "POLYGON_API_KEY"
