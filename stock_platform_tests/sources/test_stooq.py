"""Stooq against a vendor that answers as tests say."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Any, ClassVar

import httpx
import pytest

from stock_platform.domain.bars import Basis, Interval
from stock_platform.domain.capabilities import Tile
from stock_platform.domain.clock import FixedClock
from stock_platform.domain.errors import (
    InputError,
    Malformed,
    NoData,
    NotEntitled,
    RateLimited,
    SourceError,
    Unavailable,
    UnknownSymbol,
)
from stock_platform.domain.symbols import parse_symbol
from stock_platform.sources.quota import MemoryQuota
from stock_platform.sources.registry import SOURCES, build
from stock_platform.sources.spec import Setup
from stock_platform.sources.stooq.spelling import spell
from stock_platform.sources.transport import HttpOptions
from stock_platform_tests.sources.conformance import HTML, SourceConformance
from stock_platform_tests.sources.vendors import KEY, NOON, Bar, Vendor, five_bars, source_of

MONDAY, FRIDAY = date(2024, 3, 4), date(2024, 3, 8)
WEEK = Tile("stooq", "daily", Interval.DAY, MONDAY, FRIDAY, 1, "AAPL")
HEADER = ("Date", "Open", "High", "Low", "Close", "Volume")
POLISH = "Data,Otwarcie,Najwyzszy,Najnizszy,Zamkniecie,Wolumen"
PROOF = (
    "<!DOCTYPE html><html><head><title>stooq.com</title></head><body><noscript>This site requires "
    "JavaScript to verify your browser. Please enable JavaScript and reload.</noscript><script>"
    '(async()=>{await fetch("/__verify",{method:"POST"})})()</script></body></html>'
)


def lines(rows: Sequence[Bar], header: Sequence[str] = HEADER) -> httpx.Response:
    buffer = io.StringIO()
    writer = csv.writer(buffer)
    writer.writerow(header)
    for row in rows:
        writer.writerow([row.session, row.open, row.high, row.low, row.close, row.volume])
    return httpx.Response(200, content=buffer.getvalue().encode())


def text(body: str, status: int = 200) -> httpx.Response:
    return httpx.Response(status, content=body.encode())


def fetch(answer: httpx.Response | str, tile: Tile = WEEK, now: datetime = NOON) -> Any:
    answer = text(answer) if isinstance(answer, str) else answer
    return source_of("stooq", Vendor([answer]), now=now).fetch(tile)


class TestConformance(SourceConformance):
    source: ClassVar[str] = "stooq"
    tile: ClassVar[Tile] = WEEK
    text: ClassVar[bool] = True

    def answer(self, rows: Sequence[Bar]) -> httpx.Response:
        return lines(rows)

    def empty(self) -> httpx.Response:
        return text("No data")

    def refused(self) -> None:
        """It has no plans."""

    def notice(self) -> None:
        """Its only notice is for the rest of the day."""

    @pytest.mark.parametrize(
        ("body", "said"),
        [
            (b"", "empty"),
            (b"Service temporarily confused", "no CSV header of days but: Service temp"),
            (b'"a word"', "header"),
            (b"[1, 2]", "header"),
            (b"{}", "header"),
        ],
    )
    def test_tells_what_came_instead(self, body: bytes, said: str) -> None:
        """As with all; but a page is this vendor's way not to answer scripts for a while."""
        with pytest.raises(Malformed, match=said):
            self.fetch(httpx.Response(200, content=body))
        with pytest.raises(Unavailable, match=r"challenge page.*HTML page.*Just a moment"):
            self.fetch(httpx.Response(200, content=HTML))


def test_asks_for_a_range_in_one_request() -> None:
    """Days as eight digits; a key travels beside the address, where there is one."""
    vendor = Vendor([lines(five_bars())])
    answer = source_of("stooq", vendor).fetch(WEEK)
    request = vendor.asked[0]
    assert request.url.path == "/q/d/l/"
    asked = dict(request.url.params)
    assert asked.pop("apikey") == KEY
    assert asked == {"s": "aapl.us", "d1": "20240304", "d2": "20240308", "i": "d"}
    assert answer.basis is Basis.FULLY_ADJUSTED
    assert answer.currency == "USD"
    assert answer.bars["vwap"].null_count() == 5


def test_no_key_is_needed() -> None:
    """It is built without one, and then sends none."""
    vendor = Vendor([lines(five_bars())])
    setup = Setup(
        SOURCES["stooq"].capabilities,
        MemoryQuota(lambda: 0.0, lambda _: None),
        clock=FixedClock(NOON),
        http=HttpOptions(transport=httpx.MockTransport(vendor)),
    )
    assert build(setup).fetch(WEEK).bars.height == 5
    assert "apikey" not in vendor.asked[0].url.params


def test_it_stands_by_and_is_off() -> None:
    """Nobody is sent there unasked; what it does not tell settles nothing."""
    capabilities = SOURCES["stooq"].capabilities
    assert capabilities.standby
    assert not capabilities.default_on
    assert capabilities.needs_key is None
    assert not capabilities.endpoint("daily").complete


@pytest.mark.parametrize(
    "body",
    [
        f"{POLISH}\r\n2024-03-07,1,3,0.5,2,70\r\n2024-03-08,2,3,1,2.5,80\r\n",
        (
            "\ufeffData;Otwarcie;Najwyższy;Najniższy;Zamknięcie;Wolumen\n"
            "2024-03-07;1;3;0,5;2;70\n2024-03-08;2;3;1;2,5;80\n"
        ),
        (
            "Date,Open,High,Low,Close,Volume,OpenInt\n"
            "2024-03-08,2,3,1,2.5,80,0\n2024-03-07,1,3,0.5,2,70,0\n"
        ),
        (
            '"Date","Open","High","Low","Close","Volume"\n'
            '"2024-03-08","2","3","1","2.5","80"\n2024-03-07,1,3,0.5,2,70,\n'
        ),
        "\r\nClose,Volume,Date,Open,High,Low\n2,70,2024-03-07,1,3,.5\n2.5,80,2024-03-08,2,3,1\n",
    ],
)
def test_headers_say_where_columns_are(body: str) -> None:
    """Polish, decimal commas, more columns, another order."""
    bars = fetch(body).bars
    assert bars["session"].to_list() == [date(2024, 3, 7), FRIDAY]
    assert bars["open"].to_list() == [1.0, 2.0]
    assert bars["low"].to_list() == [0.5, 1.0]
    assert bars["close"].to_list() == [2.0, 2.5]
    assert bars["volume"].to_list() == [70.0, 80.0]


def test_a_shifted_row_is_no_bar() -> None:
    """Thousands set apart by a comma, unquoted, make more cells than there are columns."""
    answer = fetch(
        "Date,Open,High,Low,Close,Volume\n2024-03-07,1,3,0.5,2,70\n"
        "2024-03-08,1,234.5,1,300,1,200,1,250,100\n"
    )
    assert answer.bars["session"].to_list() == [date(2024, 3, 7)]
    assert answer.rejected["session"].to_list() == [FRIDAY]


def test_thousands_set_apart_by_spaces() -> None:
    """As in Poland, with decimal commas."""
    bars = fetch(
        "Data;Otwarcie;Najwyzszy;Najnizszy;Zamkniecie;Wolumen\n"
        "2024-03-08;1 234,5;1.300,0;1\u00a0200;1250,25;1 000\n"
    ).bars
    assert bars.row(0)[3:8] == (1234.5, 1300.0, 1200.0, 1250.25, 1000.0)


def test_currencies_have_no_volume() -> None:
    """UTC weekdays, as quoted."""
    body = "Date,Open,High,Low,Close\n2024-03-08,1.09,1.1,1.08,1.0937\n"
    answer = fetch(body, replace(WEEK, symbol="EUR/USD"))
    assert answer.bars["ts"].to_list() == [datetime(2024, 3, 8, tzinfo=UTC)]
    assert answer.bars["volume"].to_list() == [None]
    assert (answer.basis, answer.currency) == (Basis.AS_TRADED, "USD")


def test_rows_that_cannot_be_read_are_told() -> None:
    """Short lines, dates that are none, lines for other years of the world."""
    body = (
        "Date,Open,High,Low,Close,Volume\n2024-03-08,1,2,0.5,1.5,9\n2024-03-07,1,2\nsoon,1,2,3,4,5\n"
        "0001-01-01,1,2,3,4,5\n2024-03-06,1,2,0.5,N/D,9\n"
    )
    answer = fetch(body)
    assert answer.bars["session"].to_list() == [FRIDAY]
    assert answer.rejected["reasons"].to_list() == [
        ["low is null"],
        ["no date in it"],
        ["no date in it"],
        ["close: 'N/D' is not a number"],
    ]


def test_rows_that_are_not_days_are_malformed() -> None:
    """CSV does not name its interval: weeks give themselves away."""
    weeks = [Bar(date(2024, 1, 5 + 7 * n)) for n in range(4)]
    weeks += [Bar(date(2024, 2, 2 + 7 * n)) for n in range(4)]
    with pytest.raises(Malformed, match="rows 7 days apart"):
        fetch(lines(weeks), replace(WEEK, start=date(2024, 1, 1)))


def test_bars_outside_the_range_are_left_out() -> None:
    """Where the range is not heeded (a file, an old mirror), the tile still gets its own."""
    assert fetch(lines(five_bars()), replace(WEEK, end=date(2024, 3, 6))).bars.height == 3
    with pytest.raises(NoData, match=r"2023-10-02\.\.2023-10-06"):
        fetch(lines(five_bars()), replace(WEEK, start=date(2023, 10, 2), end=date(2023, 10, 6)))


def test_a_session_just_over_may_still_be_published() -> None:
    """No bar of it yet, or no data at all for it alone: unfinished, until the next day."""
    evening = datetime(2024, 3, 8, 22, tzinfo=UTC)
    assert fetch(lines(five_bars()[:4]), now=evening).unfinished == {FRIDAY}
    assert not fetch(lines(five_bars()[:4])).unfinished
    alone = replace(WEEK, start=FRIDAY)
    assert fetch("No data", alone, evening).unfinished == {FRIDAY}
    with pytest.raises(NoData):
        fetch("No data", WEEK, evening)
    with pytest.raises(NoData):
        fetch("No data", alone)


@pytest.mark.parametrize(
    ("ticker", "spelled"),
    [
        ("AAPL", "aapl.us"),
        ("BRK.B", "brk-b.us"),
        ("ABR.PRD", "abr_d.us"),
        ("OXY.WS", "oxy-ws.us"),
        ("NE.WS.A", "ne-ws-a.us"),
        ("AAM.U", "aam-u.us"),
        ("SAP.DE", "sap.de"),
        ("7203.T", "7203.jp"),
        ("0700.HK", "700.hk"),
        ("OTP.BD", "otp.hu"),
        ("PKN.WA", "pkn"),
        ("^GSPC", "^spx"),
        ("^IXIC", "^ndq"),
        ("^N225", "^nkx"),
        ("EUR/USD", "eurusd"),
        ("BTC-USD", "btcusd"),
        ("GC=F", "gc.f"),
    ],
)
def test_spelling(ticker: str, spelled: str) -> None:
    """Every kind of symbol."""
    assert spell(parse_symbol(ticker)) == spelled


@pytest.mark.parametrize("ticker", ["VOD.L", "TRT.PR", "AAN.WI", "^VIX", "SI=F", "SHOP.TO"])
def test_what_may_mean_something_else_is_not_asked(ticker: str) -> None:
    """Pence or pounds, cents or dollars, or no spelling that is known."""
    vendor = Vendor([])
    with pytest.raises(UnknownSymbol, match="not asked of Stooq"):
        source_of("stooq", vendor).fetch(replace(WEEK, symbol=ticker))
    with pytest.raises(InputError):
        source_of("stooq", vendor).fetch(replace(WEEK, symbol=None))
    assert not vendor.asked


@pytest.mark.parametrize(
    ("answer", "kind", "said"),
    [
        (text("No data"), NoData, "AAPL: No data"),
        (text("Brak danych\r\n"), NoData, "Brak danych"),
        (text("Date,Open,High,Low,Close,Volume\r\n"), NoData, "header without rows"),
        (text("Get your apikey:\n\n1. Open https://stooq.com/q/d/?s=aapl.us&get_apikey\n"),
         NotEntitled, "wants a key from scripts now: Get your apikey"),
        (text("Unauthorized", 401), NotEntitled, "HTTP 401: Unauthorized"),
        (text("Not here", 404), Malformed, "HTTP 404: Not here"),
        (text("Write to www@stooq.com if you want to use our data"), Malformed, "Write to www"),
        (text(PROOF), Unavailable, "a challenge page, which is not worked around.*stooq.com"),
        (text(PROOF, 403), Unavailable, "HTTP 403"),
        (text("<html><head><title>AAPL.US - Apple - Stooq</title></head><table></table></html>"),
         Unavailable, "a web page, an HTML page instead of CSV.*AAPL.US - Apple"),
        (text("Date,Open,High,Low,Close\n2024-03-08,1,2,x,4\n"), Malformed, "none of 1 rows"),
    ],
)  # fmt: skip
def test_errors_by_their_meaning(
    answer: httpx.Response, kind: type[SourceError], said: str
) -> None:
    """Nearly all of them come with a status of 200."""
    with pytest.raises(kind, match=said):
        fetch(answer)


@pytest.mark.parametrize(
    "said", ["Exceeded the daily hits limit", "Przekroczony dzienny limit wywolan\r\n"]
)
def test_the_day_is_used_up_until_midnight_in_warsaw(said: str) -> None:
    """Three hours at 20:00 UTC in winter; asked once."""
    vendor = Vendor([text(said)])
    source = source_of("stooq", vendor, now=datetime(2024, 3, 8, 20, tzinfo=UTC))
    for _ in range(2):
        with pytest.raises(RateLimited) as caught:
            source.fetch(WEEK)
        assert caught.value.retry_after == pytest.approx(3 * 3600)
    assert len(vendor.asked) == 1
