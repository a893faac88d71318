"""Yahoo's pages against a site that answers as tests say."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime
from html import escape
from typing import Any, ClassVar

import httpx
import pytest

from stock_platform.domain.bars import Basis, Interval
from stock_platform.domain.capabilities import Feed, Tile
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
from stock_platform.sources.base import Answer, Question
from stock_platform.sources.robots import RobotsGate, forget_rules
from stock_platform_tests.sources.conformance import HTML, SourceConformance
from stock_platform_tests.sources.vendors import NOON, Bar, Vendor, five_bars, source_of

WEEK = Tile("yahoo_page", "history", Interval.DAY, date(2024, 3, 4), date(2024, 3, 8), 1, "AAPL")


@pytest.fixture(autouse=True)
def _no_robots(monkeypatch: pytest.MonkeyPatch) -> None:
    """The vendors of these tests answer pages alone; test_robots.py has the rest."""
    monkeypatch.setattr(RobotsGate, "allow", lambda self, path, call=None: None)


def whole(head: str, body: str, title: str = "Apple Inc. (AAPL) - Yahoo Finance") -> httpx.Response:
    page = (
        f"<!doctype html><html><head><title>{title}</title>{head}</head><body>{body}</body></html>"
    )
    return httpx.Response(200, text=page, headers={"content-type": "text/html"})


def head(symbol: str = "AAPL", more: str = "") -> str:
    return f'<link rel="canonical" href="https://finance.yahoo.com/quote/{symbol}/{more}">'


def row(*cells: object) -> str:
    return "<tr>" + "".join(f"<td>{'-' if c is None else c}</td>" for c in cells) + "</tr>"


def event(day: str, words: str) -> str:
    return f'<tr><td>{day}</td><td colspan="6">{words}</td></tr>'


def bar(one: Bar) -> str:
    day = f"{one.session:%b} {one.session.day}, {one.session.year}"
    return row(day, one.open, one.high, one.low, one.close, one.close, one.volume)


def history(
    *rows: str, symbol: str = "AAPL", currency: str = "USD", title: str = "Apple Inc. (AAPL)"
) -> httpx.Response:
    names = "".join(
        f"<th>{name}</th>"
        for name in (
            "Date", "Open", "High", "Low", "Close <span>Close price adjusted for splits.</span>",
            "Adj Close <span>Adjusted close price</span>", "Volume",
        )
    )  # fmt: skip
    table = f"<table><thead><tr>{names}</tr></thead><tbody>{''.join(rows)}</tbody></table>"
    body = f"<table><tr><td>other</td></tr></table><span>Currency in {currency}</span>{table}"
    return whole(head(symbol, "history/"), body, title)


def fetch(page: httpx.Response, tile: Tile = WEEK, now: datetime = NOON) -> Answer:
    return source_of("yahoo_page", Vendor([page]), now=now).fetch(tile)


class TestConformance(SourceConformance):
    source: ClassVar[str] = "yahoo_page"
    tile: ClassVar[Tile] = WEEK

    def answer(self, rows: Sequence[Bar]) -> httpx.Response:
        return history(*[bar(one) for one in reversed(rows)])

    def empty(self) -> httpx.Response:
        return history('<tr><td colspan="7">There is no data for this period.</td></tr>')

    def refused(self) -> None:
        return None

    def notice(self) -> httpx.Response:
        return httpx.Response(200, text="Edge: Too Many Requests")

    @pytest.mark.parametrize(
        ("body", "kind", "said"),
        [
            (HTML, Unavailable, "Cloudflare challenge.*Just a moment"),
            (b"", Malformed, "empty"),
            (b"Service temporarily confused", Malformed, "text instead of a page: Service temp"),
            (b'"a word"', Malformed, "text instead"),
            (b"[1, 2]", Malformed, "JSON instead"),
            (b"{}", Malformed, "JSON instead"),
            (b"<html><body>hm</body></html>", Malformed, "without a table of prices"),
        ],
    )
    def test_tells_what_came_instead(  # type: ignore[override]  # see below
        self, body: bytes, kind: type[SourceError], said: str
    ) -> None:
        """Pages are the documented answer here, so walls among them are told apart by name."""
        with pytest.raises(kind, match=said):
            self.fetch(httpx.Response(200, content=body))


def test_asks_to_the_present() -> None:
    """Whatever the tile's end, so that the splits that undo the adjustment are in the page."""
    vendor = Vendor([history(bar(five_bars()[0]))])
    source_of("yahoo_page", vendor).fetch(replace(WEEK, end=date(2024, 3, 4)))
    url = vendor.asked[0].url
    assert url.path == "/quote/AAPL/history/"
    assert datetime.fromtimestamp(int(url.params["period1"]), UTC).date() == date(2024, 3, 3)
    assert datetime.fromtimestamp(int(url.params["period2"]), UTC).date() == date(2024, 3, 10)
    assert vendor.asked[0].headers["accept"].startswith("text/html")
    endpoint = source_of("yahoo_page", vendor).capabilities.endpoint("history")
    assert (endpoint.basis, endpoint.to_now) == (Basis.SPLIT_ADJUSTED, True)


def test_robots_are_asked_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """The source obeys robots.txt, and counts asking for it."""
    monkeypatch.undo()
    forget_rules()
    rules = httpx.Response(200, text="User-agent: *\nDisallow: /quote/*/history")
    vendor = Vendor([rules, whole(head(), blob(quote_answer()))])
    source = source_of("yahoo_page", vendor)
    assert source.ask(Question(Feed.QUOTE, "AAPL")).requests == 2
    with pytest.raises(NotEntitled, match=r"robots\.txt of https://vendor\.test does not allow"):
        source.fetch(WEEK)
    forget_rules()


@pytest.mark.parametrize(
    ("symbol", "path"),
    [
        ("BRK.B", "/quote/BRK-B/history/"),
        ("EUR/USD", "/quote/EURUSD=X/history/"),
        ("^GSPC", "/quote/%5EGSPC/history/"),
        ("VOD.L", "/quote/VOD.L/history/"),
    ],
)
def test_spells_symbols_as_yahoo_does(symbol: str, path: str) -> None:
    """In addresses, and when it compares whom the page is about."""
    spelled = path.split("/")[2]
    vendor = Vendor([history(bar(five_bars()[0]), symbol=spelled)])
    source_of("yahoo_page", vendor).fetch(replace(WEEK, symbol=symbol))
    assert vendor.asked[0].url.raw_path.decode().split("?")[0] == path


def test_thousands_words_and_dashes() -> None:
    """1,234.50 is a number, a dash none; a row of dashes is no bar."""
    answer = fetch(
        history(
            row("Mar 5, 2024", "1,234.50", "1,240", "1,230.00", "1,235.25", "1,200", "12,345,678"),
            row("Mar 4, 2024", "-", "-", "-", "-", "-", "-"),
            row("March 6, 2024", "\u2014", "-", "-", "1,236", "1,201", "-"),
        )
    )  # fmt: skip
    assert answer.bars.select("session", "open", "close", "volume").rows() == [
        (date(2024, 3, 5), 1234.5, 1235.25, 12_345_678.0),
        (date(2024, 3, 6), None, 1236.0, None),
    ]
    assert answer.rejected.is_empty()


def test_events_of_the_table() -> None:
    """Splits as ratios; dividends as paid, by the later splits of the page; gains added."""
    answer = fetch(
        history(
            event("Mar 8, 2024", "<span>0.24</span> Dividend"),
            bar(five_bars()[4]),
            event("Mar 6, 2024", "<strong>4:1</strong> Stock Splits"),
            event("Mar 5, 2024", "<strong>0.0825</strong> <span>Dividend</span>"),
            event("Mar 5, 2024", "0.1 Capital Gain"),
            event("Mar 4, 2024", "1:10 Stock Split"),
            bar(five_bars()[0]),
            event("Mar 4, 2024", "Spin-off of something"),
            event("some day", "0.24 Dividend"),
        )
    )
    assert answer.splits.rows() == [
        ("AAPL", date(2024, 3, 4), 0.1),
        ("AAPL", date(2024, 3, 6), 4.0),
    ]
    assert answer.dividends.rows() == [
        ("AAPL", date(2024, 3, 5), 0.73, "USD"),
        ("AAPL", date(2024, 3, 8), 0.24, "USD"),
    ]
    assert answer.bars.height == 2
    reasons = answer.rejected["reasons"].list.first().to_list()
    assert reasons == [
        "an event without a known meaning: 'Spin-off of something'",
        "'0.24 Dividend' without a date",
    ]


def test_pence_become_pounds() -> None:
    """The page says its currency; prices and dividends are in the major unit."""
    page = history(
        row("Mar 4, 2024", "70.10", "71.00", "69.5", "70.5", "70.5", "1,000"),
        event("Mar 4, 2024", "3.74 Dividend"),
        symbol="VOD.L",
        currency="GBp",
        title="Vodafone (VOD.L)",
    )
    answer = fetch(page, replace(WEEK, symbol="VOD.L"))
    assert (answer.bars["close"][0], answer.currency) == (0.705, "GBP")
    assert answer.dividends.rows() == [("VOD.L", date(2024, 3, 4), 0.0374, "GBP")]


def test_another_symbols_page_is_malformed() -> None:
    """By the page's own address, or its title."""
    with pytest.raises(Malformed, match="asked for AAPL, was given MSFT"):
        fetch(history(bar(five_bars()[0]), symbol="MSFT"))
    nameless = history(bar(five_bars()[0]), title="Microsoft (MSFT)").text.replace("canonical", "x")
    with pytest.raises(Malformed, match="asked for AAPL, was given MSFT"):
        fetch(httpx.Response(200, text=nameless))


def test_weekly_rows_are_malformed() -> None:
    """A page of weeks looks like one of days."""
    rows = [bar(Bar(date(2024, 1, 1 + 7 * n))) for n in range(4)]
    with pytest.raises(Malformed, match="a week or more apart"):
        fetch(history(*rows), replace(WEEK, start=date(2024, 1, 1)))


@pytest.mark.parametrize(
    ("answer", "kind", "said"),
    [
        (httpx.Response(404, text="<html><title>Not there</title></html>"), UnknownSymbol, "AAPL"),
        (httpx.Response(403, text="Forbidden"), Unavailable, "HTTP 403"),
        (httpx.Response(400, text="<html></html>"), Malformed, "HTTP 400"),
        (httpx.Response(999, text="denied"), RateLimited, "denied"),
        (
            httpx.Response(307, headers={"location": "https://consent.yahoo.com/v2"}),
            Unavailable,
            "consent.yahoo.com",
        ),
        (
            httpx.Response(
                200, text='<html><form action="https://consent.yahoo.com/v2/collectConsent"></html>'
            ),
            Unavailable,
            "consent page",
        ),
    ],
)
def test_errors_by_their_meaning(
    answer: httpx.Response, kind: type[SourceError], said: str
) -> None:
    """Statuses and walls become our errors, for history and quote alike."""
    with pytest.raises(kind, match=said):
        fetch(answer)
    with pytest.raises(kind, match=said):
        source_of("yahoo_page", Vendor([answer])).ask(Question(Feed.QUOTE, "AAPL"))


def test_dates_nobody_trades_on() -> None:
    """The ends of the calendar are told, and break nothing."""
    good = bar(five_bars()[0])
    answer = fetch(history(good, row("Dec 31, 9999", 1, 1, 1, 1, 1, 1)))
    assert answer.rejected["reasons"].to_list() == [["no date: 9999-12-31"]]


def test_no_data() -> None:
    """A table without rows."""
    with pytest.raises(NoData):
        fetch(history())


# ---- quote and profile ----

QUOTE: dict[str, Any] = {
    "symbol": "AAPL",
    "quoteType": "EQUITY",
    "currency": "USD",
    "exchange": "NMS",
    "fullExchangeName": "NasdaqGS",
    "longName": "Apple Inc.",
    "exchangeTimezoneName": "America/New_York",
    "firstTradeDateMilliseconds": 345479400000,
    "regularMarketPrice": {"raw": 170.73, "fmt": "170.73"},
    "regularMarketTime": {"raw": 1709931602, "fmt": "4:00PM EST"},
    "regularMarketPreviousClose": {"raw": 169.0, "fmt": "169.00"},
    "regularMarketVolume": {"raw": 76114600, "fmt": "76.115M"},
}


def quote_answer(**changes: Any) -> dict[str, Any]:
    return {"quoteResponse": {"result": [QUOTE | changes], "error": None}}


def summary_answer() -> dict[str, Any]:
    modules = {
        "assetProfile": {
            "country": "United States",
            "sector": "Technology",
            "industry": "Consumer Electronics",
            "website": "https://www.apple.com",
        },
        "summaryDetail": {"open": {"raw": 169.0}, "dayHigh": {"raw": 173.7}, "dayLow": {}},
        "defaultKeyStatistics": {"sharesOutstanding": {"raw": 15441900544}},
        "price": {"marketCap": {"raw": 2636395610112}},
    }
    return {"quoteSummary": {"result": [modules], "error": None}}


def blob(
    answer: Any, url: str = "https://query1.finance.yahoo.com/v7/finance/quote?symbols=AAPL"
) -> str:
    text = json.dumps({"status": 200, "headers": {}, "body": json.dumps(answer)})
    return (
        f'<script type="application/json" data-sveltekit-fetched data-url="{escape(url)}">'
        f"{text.replace('</', '<')}</script>"
    )


SUMMARY_URL = "https://query1.finance.yahoo.com/v10/finance/quoteSummary/AAPL?formatted=true"


def ask(page: httpx.Response, feed: Feed = Feed.QUOTE, symbol: str = "AAPL") -> dict[str, Any]:
    vendor = Vendor([page])
    facts = source_of("yahoo_page", vendor).ask(Question(feed, symbol))
    assert (len(vendor.asked), facts.requests, facts.feed) == (1, 1, feed)
    assert vendor.asked[0].url.path == f"/quote/{symbol}/"
    assert facts.frame.height == 1
    return facts.frame.row(0, named=True)


def test_quote_out_of_the_pages_data() -> None:
    """What the API answered for the page; what one answer lacks is taken from another."""
    others = blob(
        {"quoteResponse": {"result": [QUOTE | {"symbol": "MSFT", "regularMarketPrice": 1.0}]}},
        "https://query1.finance.yahoo.com/v7/finance/quote?symbols=MSFT%2CGOOG",
    )
    page = whole(head(), others + blob(quote_answer()) + blob(summary_answer(), SUMMARY_URL))
    assert ask(page) == {
        "symbol": "AAPL",
        "ts": datetime(2024, 3, 8, 21, 0, 2, tzinfo=UTC),
        "price": 170.73,
        "open": 169.0,
        "high": 173.7,
        "low": None,
        "previous_close": 169.0,
        "volume": 76114600.0,
        "currency": "USD",
    }


def test_profile_out_of_the_pages_data() -> None:
    """Who the company is, by Yahoo's words and codes."""
    page = whole(head(), blob(quote_answer()) + blob(summary_answer(), SUMMARY_URL))
    assert ask(page, Feed.PROFILE) == {
        "symbol": "AAPL",
        "name": "Apple Inc.",
        "exchange": "XNAS",
        "asset_class": "stock",
        "currency": "USD",
        "country": "United States",
        "sector": "Technology",
        "industry": "Consumer Electronics",
        "website": "https://www.apple.com",
        "listed_on": date(1980, 12, 12),
        "shares_outstanding": 15441900544.0,
        "market_cap": 2636395610112.0,
        "cik": None,
        "isin": None,
        "figi": None,
    }


def test_quote_of_the_elements_that_show_it() -> None:
    """Without the data the streaming elements tell, those of the symbol alone."""

    def shown(field: str, value: str, symbol: str | None = "AAPL") -> str:
        about = f'data-symbol="{symbol}"' if symbol else ""
        return f'<fin-streamer {about} data-field="{field}" data-value="{value}">x</fin-streamer>'

    page = whole(
        head(),
        shown("regularMarketPrice", "6935.75", "ES=F")
        + shown("regularMarketPrice", "1,170.73")
        + shown("regularMarketTime", "4:00PM EST")
        + shown("regularMarketPreviousClose", "1169", None),
    )
    quote = ask(page)
    assert (quote["price"], quote["previous_close"], quote["ts"]) == (1170.73, 1169.0, None)
    only = whole(head(), shown("regularMarketPrice", "6935.75", "ES=F"))
    with pytest.raises(Malformed, match="without a quote of AAPL"):
        ask(only)


def test_quotes_in_pence() -> None:
    """Prices in the major unit."""
    answer = quote_answer(symbol="VOD.L", currency="GBp", regularMarketPrice=70.5)
    url = "https://query1.finance.yahoo.com/v7/finance/quote?symbols=VOD.L"
    quote = ask(whole(head("VOD.L"), blob(answer, url), "x"), symbol="VOD.L")
    assert (quote["price"], quote["currency"]) == (0.705, "GBP")


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (blob(quote_answer(regularMarketPrice=None)), "no price of AAPL"),
        (blob(quote_answer(regularMarketPrice="dear")), "regularMarketPrice"),
        (blob(quote_answer(regularMarketTime="soon")), "soon"),
        (blob(quote_answer(regularMarketPrice=10**400)), "too large"),
        (blob(quote_answer(), "http://[::1"), "without a quote of AAPL"),
        (blob(quote_answer(symbol="MSFT")), "without a quote of AAPL"),
        (blob(quote_answer())[:-200] + "</script>", "broken JSON in the page"),
        ("", "without a quote of AAPL"),
    ],
)
def test_pages_that_cannot_be_read(body: str, said: str) -> None:
    """Are malformed, in words."""
    with pytest.raises(Malformed, match=said):
        ask(whole(head(), body))


def test_feeds_and_symbols() -> None:
    """Other feeds, and none, are the caller's mistake."""
    source = source_of("yahoo_page", Vendor([]))
    with pytest.raises(InputError, match="options"):
        source.ask(Question(Feed.OPTIONS, "AAPL"))
    with pytest.raises(InputError, match="symbol"):
        source.ask(Question(Feed.QUOTE))
    with pytest.raises(InputError, match="symbol"):
        source.fetch(replace(WEEK, symbol=None))
    capabilities = source.capabilities
    assert (capabilities.default_on, capabilities.standby) == (False, True)
