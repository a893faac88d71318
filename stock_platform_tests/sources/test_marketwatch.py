"""MarketWatch against a site that answers as tests say."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Any, ClassVar

import httpx
import pytest

from stock_platform.domain.bars import Basis, Interval
from stock_platform.domain.capabilities import Feed, Tile
from stock_platform.domain.errors import (
    InputError,
    Malformed,
    NoData,
    SourceError,
    Unavailable,
    UnknownSymbol,
)
from stock_platform.sources.base import Answer, Question
from stock_platform.sources.robots import RobotsGate
from stock_platform_tests.sources.conformance import HTML, SourceConformance
from stock_platform_tests.sources.vendors import NOON, Bar, Vendor, five_bars, source_of

WEEK = Tile("marketwatch", "download", Interval.DAY, date(2024, 3, 4), date(2024, 3, 8), 1, "AAPL")
HEADING = "Date,Open,High,Low,Close,Volume"
CAPTCHA = (
    '<html lang="en"><head><title>marketwatch.com</title></head><body><p id="cmsg">Please enable '
    "JS and disable any ad blocker</p><script>var dd={'host':'geo.captcha-delivery.com'}</script>"
    "</body></html>"
)


@pytest.fixture(autouse=True)
def _no_robots(monkeypatch: pytest.MonkeyPatch) -> None:
    """The vendors of these tests answer downloads alone; test_robots.py has the rest."""
    monkeypatch.setattr(RobotsGate, "allow", lambda self, path, call=None: None)


def line(one: Bar) -> str:
    values = (one.open, one.high, one.low, one.close, one.volume)
    cells = ",".join(f'"{"" if value is None else value}"' for value in values)
    return f"{one.session:%m/%d/%Y},{cells}"


def download(*lines: str) -> httpx.Response:
    return httpx.Response(200, text="\n".join([HEADING, *lines]))


def fetch(answer: httpx.Response, tile: Tile = WEEK, now: datetime = NOON) -> Answer:
    return source_of("marketwatch", Vendor([answer]), now=now).fetch(tile)


class TestConformance(SourceConformance):
    source: ClassVar[str] = "marketwatch"
    tile: ClassVar[Tile] = WEEK
    text: ClassVar[bool] = True

    def answer(self, rows: Sequence[Bar]) -> httpx.Response:
        return download(*[line(one) for one in reversed(rows)])

    def empty(self) -> httpx.Response:
        return download()

    def refused(self) -> None:
        return None

    def notice(self) -> httpx.Response:
        return httpx.Response(200, text="Too Many Requests")

    @pytest.mark.parametrize(
        ("body", "kind", "said"),
        [
            (HTML, Unavailable, "Cloudflare challenge.*Just a moment"),
            (b"", Malformed, "empty"),
            (b"Service temporarily confused", Malformed, "header.*Service temp"),
            (b'"a word"', Malformed, "header"),
            (b"[1, 2]", Malformed, "header"),
            (b"{}", Malformed, "header"),
            (b"<html><title>Summary</title></html>", Malformed, "an HTML page.*Summary"),
        ],
    )
    def test_tells_what_came_instead(  # type: ignore[override]  # see below
        self, body: bytes, kind: type[SourceError], said: str
    ) -> None:
        """A site behind a wall: its pages are told from the site's own by name."""
        with pytest.raises(kind, match=said):
            self.fetch(httpx.Response(200, content=body))


def test_what_is_asked() -> None:
    """The link of the page "Download data"."""
    vendor = Vendor([download(line(five_bars()[0]))])
    source_of("marketwatch", vendor).fetch(WEEK)
    url = vendor.asked[0].url
    assert url.path == "/investing/stock/aapl/downloaddatapartial"
    assert dict(url.params) == {
        "startdate": "03/04/2024 00:00:00",
        "enddate": "03/08/2024 23:59:59",
        "daterange": "d30",
        "frequency": "p1d",
        "csvdownload": "true",
        "downloadpartial": "false",
        "newdates": "false",
    }
    capabilities = source_of("marketwatch", vendor).capabilities
    assert capabilities.endpoint("download").basis is Basis.SPLIT_ADJUSTED
    assert (capabilities.default_on, capabilities.standby) == (False, True)


def test_a_year_a_request() -> None:
    """Longer ranges are several requests, one answer; a year without bars is no error."""
    vendor = Vendor(
        [download(line(Bar(date(2022, 3, 4)))), download(), download(line(Bar(date(2024, 3, 4))))]
    )
    answer = source_of("marketwatch", vendor).fetch(replace(WEEK, start=date(2022, 3, 4)))
    assert answer.requests == 3
    spans = [(r.url.params["startdate"][:10], r.url.params["enddate"][:10]) for r in vendor.asked]
    assert spans == [
        ("03/04/2022", "03/03/2023"),
        ("03/04/2023", "03/02/2024"),
        ("03/03/2024", "03/08/2024"),
    ]
    assert answer.bars["session"].to_list() == [date(2022, 3, 4), date(2024, 3, 4)]


@pytest.mark.parametrize(
    ("symbol", "place"), [("BRK.B", "stock/brk.b"), ("VFINX", "fund/vfinx"), ("AAPL", "stock/aapl")]
)
def test_addresses(symbol: str, place: str) -> None:
    """Shares and funds have places of their own."""
    vendor = Vendor([download(line(five_bars()[0]))])
    answer = source_of("marketwatch", vendor).fetch(replace(WEEK, symbol=symbol))
    assert vendor.asked[0].url.path == f"/investing/{place}/downloaddatapartial"
    assert answer.bars["symbol"].to_list() == [symbol]
    assert answer.currency == "USD"


@pytest.mark.parametrize("symbol", ["VOD.L", "BAC.PRB", "EUR/USD", "GC=F", "^GSPC"])
def test_no_bars_of_others(symbol: str) -> None:
    """Are unknown, without a request."""
    vendor = Vendor([])
    with pytest.raises(UnknownSymbol):
        source_of("marketwatch", vendor).fetch(replace(WEEK, symbol=symbol))
    assert vendor.asked == []


def test_dollars_thousands_and_gaps() -> None:
    """ "$1,234.56" is a number; a fund's N/A volume is none; columns go by their names."""
    answer = fetch(
        httpx.Response(
            200,
            text='\ufeffDate, Close ,Open,High,Low,Volume\r\n03/05/2024,"$1,235.25","$1,234.56",'
            '"$1,240.00","$1,230.00","12,345,678"\r\n03/04/2024,10.5,,,,N/A\r\n\r\n',
        )
    )
    assert answer.bars.select("session", "open", "high", "close", "volume").rows() == [
        (date(2024, 3, 4), None, None, 10.5, None),
        (date(2024, 3, 5), 1234.56, 1240.0, 1235.25, 12_345_678.0),
    ]


def test_rows_that_cannot_be_read() -> None:
    """Bad dates and torn lines are told; the rest stays."""
    answer = fetch(
        download(line(five_bars()[0]), '2024-03-05,"1","2","1","1","1"', '03/06/2024,"1","2"', "")
    )
    assert answer.bars.height == 1
    assert answer.rejected["reasons"].list.first().to_list() == [
        "date: '2024-03-05' is not a date",
        "3 cells in a row",
    ]
    with pytest.raises(Malformed, match="none of 1 rows"):
        fetch(download('soon,"1","2","1","1","1"'))


def test_bars_outside_the_range_are_cut_off() -> None:
    """The site widens ranges at times."""
    answer = fetch(download(*map(line, five_bars())), replace(WEEK, start=date(2024, 3, 6)))
    assert answer.bars["session"].min() == date(2024, 3, 6)


WALLS = [
    (httpx.Response(200, text=CAPTCHA), "DataDome captcha"),
    (httpx.Response(403, text=CAPTCHA), "DataDome captcha"),
    (httpx.Response(401, text="", headers={"x-datadome": "protected"}), "DataDome captcha"),
    (httpx.Response(401, text="HTTP Forbidden"), "refuses us with HTTP 401"),
    (httpx.Response(403, text="<html><title>Access Denied</title></html>"), "denies access"),
    (httpx.Response(403, text=""), "HTTP 403"),
    (httpx.Response(301, headers={"location": "/investing/fund/spy"}), "HTTP 301"),
]


@pytest.mark.parametrize(("answer", "said"), WALLS)
def test_walls_are_named(answer: httpx.Response, said: str) -> None:
    """And never worked around, for bars and quotes alike."""
    with pytest.raises(Unavailable, match=said) as caught:
        fetch(answer)
    moved = answer.status_code == 301
    assert caught.value.requests == (3 if moved else 1), "nobody knocks at a wall again"
    with pytest.raises(Unavailable, match=said):
        source_of("marketwatch", Vendor([answer])).ask(Question(Feed.QUOTE, "AAPL"))


def test_unknown_symbols_and_others() -> None:
    """404 is an unknown symbol; no rows is no data; other statuses are malformed."""
    for ask_for in (fetch, lambda a: source_of("marketwatch", Vendor([a])).ask(Question(Feed.QUOTE, "QQQZZ"))):  # fmt: skip  # noqa: E501
        with pytest.raises(UnknownSymbol):
            ask_for(httpx.Response(404, text="<html><title>Page Not Found</title></html>"))
        with pytest.raises(Malformed, match="HTTP 400"):
            ask_for(httpx.Response(400, text="<html></html>"))
    with pytest.raises(NoData):
        fetch(httpx.Response(200, text=HEADING + "\r\n"))


# ---- quotes ----


def page(path: str = "stock/aapl", **changes: str | None) -> httpx.Response:
    tags = {
        "tickerSymbol": "AAPL",
        "price": "$1,170.73",
        "priceCurrency": "USD",
        "quoteTime": "Mar 8, 2024 4:00 p.m.",
        "exchangeTimezone": "America/New_York",
    } | changes
    head = "".join(f'<meta name="{k}" content="{v}">' for k, v in tags.items() if v is not None)
    link = f'<link rel="canonical" href="https://www.marketwatch.com/investing/{path}">'
    text = f"<!DOCTYPE html><html><head><title>AAPL</title>{link}{head}</head><body></body></html>"
    return httpx.Response(200, text=text)


def ask(answer: httpx.Response, symbol: str = "AAPL") -> tuple[dict[str, Any], str]:
    vendor = Vendor([answer])
    facts = source_of("marketwatch", vendor).ask(Question(Feed.QUOTE, symbol))
    assert (len(vendor.asked), facts.requests) == (1, 1)
    return facts.frame.row(0, named=True), vendor.asked[0].url.path


def test_quote() -> None:
    """Price, currency and stamp out of the page's tags."""
    assert ask(page()) == (
        {
            "symbol": "AAPL",
            "ts": datetime(2024, 3, 8, 21, tzinfo=UTC),
            "price": 1170.73,
            "open": None,
            "high": None,
            "low": None,
            "previous_close": None,
            "volume": None,
            "currency": "USD",
        },
        "/investing/stock/aapl",
    )


@pytest.mark.parametrize(
    ("time", "zone", "at"),
    [
        ("Mar 8, 2024 4:00 p.m. EST", "", datetime(2024, 3, 8, 21, tzinfo=UTC)),
        ("Jul 8, 2024 4:00 p.m. EDT", "EST", datetime(2024, 7, 8, 20, tzinfo=UTC)),
        ("Jul 8, 2024 9:30 AM", "Eastern Standard Time", datetime(2024, 7, 8, 13, 30, tzinfo=UTC)),
        ("March 8, 2024 11:05 am", "America/New_York", datetime(2024, 3, 8, 16, 5, tzinfo=UTC)),
        ("3/8/2024 4:00:01 PM", "GMT", datetime(2024, 3, 8, 16, 0, 1, tzinfo=UTC)),
        ("", "", None),
    ],
)
def test_stamps(time: str, zone: str, at: datetime | None) -> None:
    """Times as the site has written them, in the zone it names."""
    assert ask(page(quoteTime=time, exchangeTimezone=zone))[0]["ts"] == at


@pytest.mark.parametrize(
    ("symbol", "place", "ticker"),
    [
        ("^GSPC", "index/spx", "SPX"),
        ("EUR/USD", "currency/eurusd", "EURUSD"),
        ("BTC-USD", "cryptocurrency/btcusd", "BTCUSD"),
        ("VFINX", "fund/vfinx", "VFINX"),
    ],
)
def test_quotes_of_others(symbol: str, place: str, ticker: str) -> None:
    """Indices, currencies, coins and funds have places of their own."""
    row, path = ask(page(place, tickerSymbol=ticker), symbol)
    assert (row["symbol"], path) == (symbol, f"/investing/{place}")


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (page(price=None), "without a quote of stock/aapl"),
        (page(price="N/A"), "price is null"),
        (page(price="dear"), "dear"),
        (page(quoteTime="yesterday"), "quoteTime"),
        (page(exchangeTimezone="Mars/Olympus"), "exchangeTimezone"),
        (page(exchangeTimezone="America"), "exchangeTimezone"),
        (page(exchangeTimezone=None), "exchangeTimezone"),
        (page(tickerSymbol="MSFT"), "asked for stock/aapl, was given msft"),
        (page("stock/msft", tickerSymbol=None), "asked for stock/aapl, was given msft"),
        (httpx.Response(200, text=page().text[:-20]), "cut short"),
        (download(), "text instead of a page"),
    ],
)
def test_pages_that_cannot_be_read(answer: httpx.Response, said: str) -> None:
    """Are malformed, in words."""
    with pytest.raises(Malformed, match=said):
        ask(answer)


def test_feeds_and_symbols() -> None:
    """Other feeds, and no symbol, are the caller's mistake."""
    source = source_of("marketwatch", Vendor([]))
    with pytest.raises(InputError, match="profile"):
        source.ask(Question(Feed.PROFILE, "AAPL"))
    with pytest.raises(InputError, match="symbol"):
        source.ask(Question(Feed.QUOTE))
    with pytest.raises(InputError, match="symbol"):
        source.fetch(replace(WEEK, symbol=None))
