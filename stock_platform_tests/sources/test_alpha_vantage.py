"""Alpha Vantage against a vendor that answers as tests say."""

from __future__ import annotations

import json
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
    NotEntitled,
    RateLimited,
    SourceError,
    Unavailable,
    UnknownSymbol,
)
from stock_platform.domain.symbols import parse_symbol
from stock_platform.sources.alpha_vantage.spelling import read, spell
from stock_platform.sources.base import FEED_SCHEMAS, Facts, Question
from stock_platform.sources.quota import MemoryQuota
from stock_platform.sources.registry import SOURCES, build
from stock_platform.sources.spec import Setup
from stock_platform.sources.transport import HttpOptions
from stock_platform_tests.sources.conformance import HTML, SourceConformance
from stock_platform_tests.sources.vendors import (
    KEY,
    NOON,
    Bar,
    FakeTime,
    Vendor,
    as_json,
    five_bars,
    source_of,
)

MONDAY, FRIDAY = date(2024, 3, 4), date(2024, 3, 8)
WEEK = Tile("alpha_vantage", "daily", Interval.DAY, MONDAY, FRIDAY, 1, "AAPL")
HOURS = Tile("alpha_vantage", "intraday", Interval.HOUR, FRIDAY, FRIDAY, 1, "AAPL")
PREMIUM = (
    "Thank you for using Alpha Vantage! This is a premium endpoint. You may subscribe to any of "
    "the premium plans at https://www.alphavantage.co/premium/ to instantly unlock all premium "
    "endpoints"
)
TOO_FAST = (
    "Thank you for using Alpha Vantage! Please consider spreading out your free API requests more "
    "sparingly (1 request per second). You may subscribe to any of the premium plans at "
    "https://www.alphavantage.co/premium/ to lift the free key rate limit (25 requests per day)"
)
TODAY = (
    "We have detected your API key as {} and our standard API rate limit is 25 requests per day. "
    "Please subscribe to any of the premium plans at https://www.alphavantage.co/premium/ to "
    "instantly remove all daily rate limits."
)


def fields(row: Bar) -> dict[str, Any]:
    names = ("open", "high", "low", "close", "volume")
    return {f"{n}. {name}": getattr(row, name) for n, name in enumerate(names, 1)}


def daily(rows: Sequence[Bar], symbol: str = "AAPL", name: str = "Daily") -> dict[str, Any]:
    """The answer; a day that comes twice is stamped with its time too, as live ones are."""
    series: dict[str, Any] = {}
    for row in rows:
        day = str(row.session)
        series[day if day not in series else f"{day} 16:00:00"] = fields(row)
    return {
        "Meta Data": {
            "1. Information": "Prices",
            "2. Symbol": symbol,
            "5. Time Zone": "US/Eastern",
        },
        f"Time Series ({name})": series,
    }


def fetch(answer: httpx.Response | Any, tile: Tile = WEEK, now: datetime = NOON) -> Any:
    answer = answer if isinstance(answer, httpx.Response) else as_json(answer)
    return source_of("alpha_vantage", Vendor([answer]), now=now).fetch(tile)


def ask(answer: Any, question: Question, now: datetime = NOON) -> Facts:
    answer = answer if isinstance(answer, httpx.Response) else as_json(answer)
    return source_of("alpha_vantage", Vendor([answer]), now=now).ask(question)


def text(body: str) -> httpx.Response:
    return httpx.Response(200, content=body.encode())


class TestConformance(SourceConformance):
    source: ClassVar[str] = "alpha_vantage"
    tile: ClassVar[Tile] = WEEK

    def answer_of(self, rows: Sequence[Bar]) -> Any:
        return daily(rows)

    def empty(self) -> httpx.Response:
        return as_json(daily([]))

    def refused(self) -> httpx.Response:
        return as_json({"Information": PREMIUM})

    def notice(self) -> httpx.Response:
        return as_json({"Information": TOO_FAST})

    @pytest.mark.parametrize(
        ("body", "said"),
        [
            (HTML, "HTML page.*Just a moment"),
            (b"", "empty"),
            (b"Service temporarily confused", "text instead of JSON: Service temp"),
            (b'"a word"', "not an object"),
            (b"[1, 2]", "not an object"),
        ],
    )
    def test_tells_what_came_instead(self, body: bytes, said: str) -> None:
        """As with all; but an empty object is this vendor's way to have nothing."""
        super().test_tells_what_came_instead(body, said)
        with pytest.raises(NoData, match="an empty answer"):
            self.fetch(as_json({}))


def test_asks_for_days_in_one_request() -> None:
    """The compact answer; the key is a parameter and in no message."""
    vendor = Vendor([as_json(daily(five_bars()))])
    answer = source_of("alpha_vantage", vendor).fetch(WEEK)
    request = vendor.asked[0]
    assert request.url.path == "/query"
    assert dict(request.url.params) == {
        "function": "TIME_SERIES_DAILY",
        "symbol": "AAPL",
        "outputsize": "compact",
        "apikey": KEY,
    }
    assert (answer.requests, answer.currency, answer.basis) == (1, "USD", None)
    endpoint = SOURCES["alpha_vantage"].capabilities.endpoint("daily")
    assert endpoint.basis is Basis.AS_TRADED
    assert not endpoint.complete


def test_other_days_of_one_answer_cost_nothing() -> None:
    """The last 100 days are one answer: another week of them comes from the cache."""
    vendor = Vendor([as_json(daily(five_bars()))])
    source = source_of("alpha_vantage", vendor, base_url=None)
    assert source.fetch(replace(WEEK, end=MONDAY)).bars.height == 1
    second = source.fetch(replace(WEEK, start=FRIDAY))
    assert (second.bars["session"].to_list(), second.requests) == ([FRIDAY], 0)
    assert len(vendor.asked) == 1


def test_a_range_outside_the_answer_is_no_data() -> None:
    """What the 100 bars do not hold is not there; it settles nothing."""
    old = replace(WEEK, start=date(2023, 10, 2), end=date(2023, 10, 6))
    with pytest.raises(NoData, match=r"2023-10-02\.\.2023-10-06"):
        fetch(daily(five_bars()), old)


def test_a_session_just_over_may_still_be_published() -> None:
    """An hour after the close without its bar: unfinished. The next day: not there."""
    rows = five_bars()[:4]
    assert fetch(daily(rows), now=datetime(2024, 3, 8, 22, tzinfo=UTC)).unfinished == {FRIDAY}
    assert not fetch(daily(rows)).unfinished
    only = fetch(daily(rows), replace(WEEK, start=FRIDAY), datetime(2024, 3, 8, 22, tzinfo=UTC))
    assert (only.bars.height, only.unfinished) == (0, {FRIDAY})


def test_minutes_are_asked_by_the_month() -> None:
    """Unadjusted regular hours, one request a calendar month; stamps are bar starts, Eastern."""
    march = daily([], name="60min")
    march["Meta Data"] |= {"4. Interval": "60min", "6. Time Zone": "US/Eastern"}
    march["Time Series (60min)"] = {
        "2024-03-11 09:30:00": fields(Bar(MONDAY)),  # summer time since Sunday
        "2024-03-08 15:30:00": fields(Bar(FRIDAY)),
    }
    february = json.loads(json.dumps(march))
    february["Time Series (60min)"] = {"2024-02-29 10:30:00": fields(Bar(FRIDAY))}
    vendor = Vendor([as_json(february), as_json(march)])
    tile = replace(HOURS, start=date(2024, 2, 28), end=date(2024, 3, 11))
    answer = source_of("alpha_vantage", vendor, now=datetime(2024, 3, 12, 20, tzinfo=UTC)).fetch(
        tile
    )
    assert [request.url.params["month"] for request in vendor.asked] == ["2024-02", "2024-03"]
    asked = vendor.asked[0].url.params
    assert (asked["interval"], asked["adjusted"], asked["extended_hours"]) == (
        "60min",
        "false",
        "false",
    )
    assert asked["outputsize"] == "full"
    assert answer.bars["ts"].to_list() == [
        datetime(2024, 2, 29, 15, 30, tzinfo=UTC),
        datetime(2024, 3, 8, 20, 30, tzinfo=UTC),
        datetime(2024, 3, 11, 13, 30, tzinfo=UTC),
    ]
    assert answer.bars["session"].to_list()[1] == FRIDAY
    assert answer.requests == 2


def test_minutes_in_csv_and_in_progress() -> None:
    """CSV is read alike; a bar that is not over is left out, and its session may still grow."""
    body = (
        "timestamp,open,high,low,close,volume\r\n"
        "2024-03-08 12:00:00,1,2,0.5,1.5,\r\n"
        "2024-03-08 11:00:00,1,2,0.5,1.5,70\r\n"
    )
    answer = fetch(text(body), HOURS, datetime(2024, 3, 8, 17, 30, tzinfo=UTC))
    assert answer.bars["ts"].to_list() == [datetime(2024, 3, 8, 16, tzinfo=UTC)]
    assert answer.unfinished == {FRIDAY}
    between = fetch(text(body), HOURS, datetime(2024, 3, 8, 18, 0, tzinfo=UTC))
    assert (between.bars.height, between.unfinished) == (2, {FRIDAY})
    with pytest.raises(Malformed, match="cut short"):
        fetch(text(body[:-4]), HOURS)
    with pytest.raises(Malformed, match="no prices"):
        fetch(text("timestamp,value\n2024-03-08 12:00:00,1\n"), HOURS)
    with pytest.raises(NoData):
        fetch(text("timestamp,open,high,low,close,volume\r\n"), HOURS)
    with pytest.raises(RateLimited):
        fetch(text('{"Information": "25 requests per day"}'), HOURS)


def test_rows_of_csv_that_lack_values_are_told() -> None:
    """A short line is rejected alone."""
    body = "timestamp,open,high,low,close,volume\n2024-03-08,1,2,0.5,1.5,9\n2024-03-07,1,2\n"
    answer = fetch(text(body))
    assert answer.bars["session"].to_list() == [FRIDAY]
    assert answer.rejected["reasons"].to_list() == [["low is null"]]


def test_a_shifted_row_of_csv_is_no_bar() -> None:
    """An unquoted comma within a number puts every later value into the wrong column."""
    body = "timestamp,open,high,low,close,volume\n2024-03-08,1,2,0.5,1.5,9\n"
    answer = fetch(text(body + "2024-03-07,1,234,2,1,2,9\n"))
    assert answer.bars["session"].to_list() == [FRIDAY]
    assert answer.rejected.height == 1


def test_currencies_have_utc_days() -> None:
    """Two codes, no volume; Sundays stay for validation to judge."""
    series = {"2024-03-08": "1.0940", "2024-03-03": "1.0850"}
    document: dict[str, Any] = {
        "Meta Data": {
            "1. Information": "Forex Daily Prices (open, high, low, close)",
            "2. From Symbol": "EUR",
            "3. To Symbol": "USD",
            "6. Time Zone": "UTC",
        },
        "Time Series FX (Daily)": {
            day: dict.fromkeys(("1. open", "2. high", "3. low", "4. close"), price)
            for day, price in series.items()
        },
    }
    tile = replace(WEEK, endpoint="fx", symbol="EUR/USD", start=date(2024, 3, 1))
    vendor = Vendor([as_json(document)])
    answer = source_of("alpha_vantage", vendor).fetch(tile)
    asked = vendor.asked[0].url.params
    assert (asked["function"], asked["from_symbol"], asked["to_symbol"]) == (
        "FX_DAILY",
        "EUR",
        "USD",
    )
    assert answer.bars["ts"].to_list() == [
        datetime(2024, 3, 3, tzinfo=UTC),
        datetime(2024, 3, 8, tzinfo=UTC),
    ]
    assert answer.bars["volume"].to_list() == [None, None]
    assert answer.currency == "USD"
    document["Meta Data"]["2. From Symbol"] = "GBP"
    with pytest.raises(Malformed, match="asked for EUR/USD, was given From Symbol GBP"):
        fetch(document, tile)


@pytest.mark.parametrize(
    "row",
    [
        {"1. open": "1", "2. high": "3", "3. low": "1", "4. close": "2", "5. volume": "7.5"},
        {
            "1a. open (AUD)": "1",
            "1b. open (USD)": "10",
            "2a. high (AUD)": "3",
            "2b. high (USD)": "30",
            "3a. low (AUD)": "1",
            "3b. low (USD)": "10",
            "4a. close (AUD)": "2",
            "4b. close (USD)": "20",
            "5. volume": "7.5",
            "6. market cap (USD)": "150",
        },
        {
            "1b. open (USD)": "10",
            "1a. open (AUD)": "1",
            "2b. high (USD)": "30",
            "2a. high (AUD)": "3",
            "3b. low (USD)": "10",
            "3a. low (AUD)": "1",
            "4b. close (USD)": "20",
            "4a. close (AUD)": "2",
            "5. volume": "7.5",
        },
    ],
)
def test_coins_in_both_shapes(row: dict[str, str]) -> None:
    """Old answers have two prices a field; the market's is taken, whatever the order."""
    document = {
        "Meta Data": {"2. Digital Currency Code": "BTC", "4. Market Code": "AUD"},
        "Time Series (Digital Currency Daily)": {"2024-03-09": row, "2024-03-08": row},
    }
    tile = replace(WEEK, endpoint="crypto", symbol="BTC-AUD", end=date(2024, 3, 9))
    answer = fetch(document, tile)
    bar = answer.bars.row(0, named=True)
    assert (bar["open"], bar["high"], bar["low"], bar["close"]) == (1, 3, 1, 2)
    assert bar["volume"] == 7.5
    assert answer.currency == "AUD"
    assert answer.unfinished == {date(2024, 3, 9)}, "the UTC day is not over"


@pytest.mark.parametrize(
    ("ticker", "spelled"),
    [
        ("AAPL", "AAPL"),
        ("BRK.B", "BRK-B"),
        ("ALL.PRH", "ALL-P-H"),
        ("TRT.PR", "TRT-P"),
        ("OXY.WS", "OXY-WS"),
        ("AAM.U", "AAM-U"),
        ("CELG.R", "CELG-R"),
        ("SHOP.TO", "SHOP.TRT"),
        ("MBG.DE", "MBG.DEX"),
        ("RELIANCE.BO", "RELIANCE.BSE"),
        ("600104.SS", "600104.SHH"),
        ("000002.SZ", "000002.SHZ"),
    ],
)
def test_spelling(ticker: str, spelled: str) -> None:
    """There and back."""
    assert spell(parse_symbol(ticker)) == spelled
    assert read(spelled).ticker == ticker


@pytest.mark.parametrize("ticker", ["VOD.L", "7203.T", "^GSPC", "GC=F"])
def test_what_it_has_not_is_not_asked(ticker: str) -> None:
    """London mixes pence, dollars and euros without saying which; the rest is not there."""
    vendor = Vendor([])
    with pytest.raises(UnknownSymbol):
        source_of("alpha_vantage", vendor).fetch(replace(WEEK, symbol=ticker))
    with pytest.raises(UnknownSymbol):
        source_of("alpha_vantage", vendor).fetch(replace(HOURS, symbol="SHOP.TO"))
    assert not vendor.asked


@pytest.mark.parametrize(
    ("document", "kind", "said"),
    [
        ({"Error Message": "Invalid API call. Please retry"}, UnknownSymbol, "AAPL: Invalid API"),
        ({"Error Message": "the parameter apikey is invalid or missing."}, NotEntitled, "apikey"),
        (
            {"Information": "The **demo** API key is for demo purposes only."},
            NotEntitled,
            r"\*\*demo",
        ),
        (
            {"Information": "The outputsize=full parameter value is a premium feature"},
            NotEntitled,
            "plan: The outputsize=full",
        ),
        ({"Information": "Please try again later"}, Unavailable, "again later"),
        ({"Error Message": "function does not exist"}, Malformed, "AAPL was refused: function"),
        ({"Weekly Time Series": {}}, Malformed, "asked for 1d, was given 'Weekly Time Series'"),
        ({"Time Series (5min)": {}}, Malformed, "asked for 1d, was given"),
        ({"Time Series (Daily)": []}, Malformed, "not an object"),
        ({"Time Series (Daily)": {"2024-03-08": 7}}, Malformed, "none of 1 rows"),
        ({"Time Series (Daily)": {"lately": {}}}, Malformed, "'lately' is not a stamp"),
        ({"Time Series (Daily)": {"0001-01-01": {}}}, Malformed, "is not a stamp"),
        (daily(five_bars(), "MSFT"), Malformed, "asked for AAPL, was given MSFT"),
        ({"bestMatches": []}, Malformed, "no time series but bestMatches"),
    ],
)
def test_errors_by_their_meaning(
    document: dict[str, Any], kind: type[SourceError], said: str
) -> None:
    """All of them come with a status of 200."""
    with pytest.raises(kind, match=said):
        fetch(document)


def test_a_status_that_says_so() -> None:
    """A gateway's own refusals."""
    with pytest.raises(NotEntitled, match="HTTP 403: You are not subscribed"):
        fetch(as_json({"message": "You are not subscribed to this API."}, 403))
    with pytest.raises(Malformed, match="HTTP 404"):
        fetch(httpx.Response(404, text="no such page"))


def test_the_day_is_used_up_until_midnight_in_new_york() -> None:
    """Seven hours at 17:00 there; asked once, and whatever key is echoed is cut out."""
    for key in (KEY, "SOMEBODYELSES"):
        vendor = Vendor([as_json({"Information": TODAY.format(key)})])
        source = source_of("alpha_vantage", vendor, now=datetime(2024, 3, 8, 22, tzinfo=UTC))
        for said in ("25 requests per day", "out of quota"):
            with pytest.raises(RateLimited, match=said) as caught:
                source.fetch(WEEK)
            assert caught.value.retry_after == pytest.approx(7 * 3600)
            assert key not in str(caught.value)
        assert len(vendor.asked) == 1


def test_too_fast_is_not_the_day() -> None:
    """That notice names the daily limit, too; the old one by the minute waits for one."""
    old = "Our standard API call frequency is 5 calls per minute and 500 calls per day."
    for notice, waited in ((TOO_FAST, 1.0), (old, 60.0)):
        time = FakeTime()
        vendor = Vendor([as_json({"Note": notice}), as_json(daily(five_bars()))])
        answer = source_of("alpha_vantage", vendor, time=time).fetch(WEEK)
        assert answer.bars.height == 5
        assert time.slept == [waited]


@pytest.mark.parametrize(
    ("notice", "seconds"),
    [
        ("You have reached the 25 requests/day limit for your free API key. Get premium", 25200),
        ("Please contact premium@alphavantage.co for a higher API call volume.", 60),
        ("You have exceeded the rate limit per minute for your plan", 60),
        ("Your API rate limit was reached", 60),
    ],
)
def test_refusals_in_other_words(notice: str, seconds: float) -> None:
    """Of other years and plans; the word premium in them is an offer, not the reason."""
    options = HttpOptions(max_wait=1.0)
    source = source_of(
        "alpha_vantage",
        Vendor([as_json({"Information": notice})]),
        now=datetime(2024, 3, 8, 22, tzinfo=UTC),
        http=options,
    )
    with pytest.raises(RateLimited) as caught:
        source.fetch(WEEK)
    assert caught.value.retry_after == pytest.approx(seconds)


QUOTE = {
    "Global Quote": {
        "01. symbol": "BRK-B",
        "02. open": "405.0",
        "03. high": "407.5",
        "04. low": "401.25",
        "05. price": "406.5",
        "06. volume": "2900000",
        "07. latest trading day": "2024-03-08",
        "08. previous close": "404.0",
        "10. change percent": "0.6188%",
    }
}


def test_a_quote() -> None:
    """The last session's close, stamped at it; an empty one is an unknown symbol."""
    question = Question(Feed.QUOTE, "BRK.B")
    facts = ask(QUOTE, question)
    assert dict(facts.frame.schema) == FEED_SCHEMAS[Feed.QUOTE]
    assert facts.frame.row(0) == (
        "BRK.B",
        datetime(2024, 3, 8, 21, tzinfo=UTC),
        406.5,
        405.0,
        407.5,
        401.25,
        404.0,
        2900000.0,
        "USD",
    )
    assert (facts.requests, facts.http_status) == (1, 200)
    delayed = {"Global Quote - DATA DELAYED BY 15 MINUTES": QUOTE["Global Quote"]}
    now = datetime(2024, 3, 8, 19, tzinfo=UTC)
    assert ask(delayed, question, now).frame["ts"].to_list() == [now], "the session is open"
    nothing: list[dict[str, Any]] = [{}, {"Global Quote": {}}]
    for empty in nothing:
        with pytest.raises(UnknownSymbol, match=r"BRK\.B: an empty quote"):
            ask(empty, question)
    with pytest.raises(Malformed, match="asked for AAPL, was given BRK-B"):
        ask(QUOTE, Question(Feed.QUOTE, "AAPL"))
    broken = {"Global Quote": QUOTE["Global Quote"] | {"05. price": "soon"}}
    with pytest.raises(Malformed, match="price: 'soon' is not a number"):
        ask(broken, question)


def test_a_rate() -> None:
    """Currencies and coins have the present rate, stamped by the vendor."""
    document = {
        "Realtime Currency Exchange Rate": {
            "1. From_Currency Code": "EUR",
            "3. To_Currency Code": "USD",
            "5. Exchange Rate": "1.09400000",
            "6. Last Refreshed": "2024-03-08 21:59:01",
            "7. Time Zone": "UTC",
            "8. Bid Price": "1.09390000",
        }
    }
    vendor = Vendor([as_json(document)])
    facts = source_of("alpha_vantage", vendor).ask(Question(Feed.QUOTE, "EUR/USD"))
    asked = vendor.asked[0].url.params
    assert (asked["from_currency"], asked["to_currency"]) == ("EUR", "USD")
    row = facts.frame.row(0, named=True)
    assert (row["symbol"], row["price"], row["currency"]) == ("EUR/USD", 1.094, "USD")
    assert row["ts"] == datetime(2024, 3, 8, 21, 59, 1, tzinfo=UTC)
    with pytest.raises(Malformed, match="given EUR in USD"):
        ask(document, Question(Feed.QUOTE, "BTC-USD"))
    with pytest.raises(NoData):
        ask({}, Question(Feed.QUOTE, "BTC-USD"))


def test_a_profile() -> None:
    """A company; what is None or - in words is null."""
    document = {
        "Symbol": "IBM",
        "AssetType": "Common Stock",
        "Name": "International Business Machines",
        "CIK": "51143",
        "Exchange": "NYSE",
        "Currency": "USD",
        "Country": "USA",
        "Sector": "TECHNOLOGY",
        "Industry": "None",
        "OfficialSite": "https://www.ibm.com",
        "MarketCapitalization": "-",
        "SharesOutstanding": "934735000",
    }
    frame = ask(document, Question(Feed.PROFILE, "IBM")).frame
    assert dict(frame.schema) == FEED_SCHEMAS[Feed.PROFILE]
    row = frame.row(0, named=True)
    assert (row["exchange"], row["asset_class"], row["cik"]) == ("XNYS", "stock", "0000051143")
    assert (row["industry"], row["market_cap"]) == (None, None)
    assert (row["website"], row["shares_outstanding"]) == ("https://www.ibm.com", 934735000.0)
    with pytest.raises(UnknownSymbol, match="SPY: no overview"):
        ask({}, Question(Feed.PROFILE, "SPY"))
    with pytest.raises(Malformed, match="given IBM"):
        ask(document, Question(Feed.PROFILE, "MSFT"))


DIRECTORY = """\
symbol,name,exchange,assetType,ipoDate,delistingDate,status
A,Agilent Technologies Inc,NYSE,Stock,1999-11-18,null,Active
ALL-P-H,Allstate Corp (The),NYSE,Stock,2019-08-02,null,Active
ANY,"AXS First, Priority CLO Bond ETF",NYSE ARCA,ETF,2020-09-09,null,Active
NA,Nano Labs Ltd,NASDAQ,Stock,2022-07-12,null,Active
-P-HIZ,,NYSE,Stock,2019-08-02,null,Active
SHORT,Row
"""


def test_the_directory() -> None:
    """One request: NA is a ticker, null is not; rows that mean no symbol are told."""
    vendor = Vendor([text(DIRECTORY.replace("\n", "\r\n"))])
    facts = source_of("alpha_vantage", vendor).ask(Question(Feed.LISTING))
    asked = dict(vendor.asked[0].url.params)
    assert asked == {"function": "LISTING_STATUS", "state": "active", "apikey": KEY}
    assert dict(facts.frame.schema) == FEED_SCHEMAS[Feed.LISTING]
    assert facts.frame["symbol"].to_list() == ["A", "ALL.PRH", "ANY", "NA"]
    assert facts.frame["vendor_symbol"].to_list()[1] == "ALL-P-H"
    assert facts.frame["exchange"].to_list() == ["XNYS", "XNYS", "ARCX", "XNAS"]
    assert facts.frame["asset_class"].to_list() == ["stock", "stock", "etf", "stock"]
    assert facts.frame["listed_on"].to_list()[0] == date(1999, 11, 18)
    assert facts.frame["delisted_on"].to_list() == [None] * 4
    assert facts.frame["active"].all()
    assert facts.rejected.height == 2
    with pytest.raises(Malformed, match="cut short"):
        ask(text(DIRECTORY[:-3]), Question(Feed.LISTING))
    with pytest.raises(Malformed, match="no CSV header"):
        ask(text("a,b\n1,2\n"), Question(Feed.LISTING))
    with pytest.raises(Malformed, match="HTML page"):
        ask(text(HTML.decode()), Question(Feed.LISTING))
    with pytest.raises(RateLimited):
        ask({"Information": TODAY.format(KEY)}, Question(Feed.LISTING))
    with pytest.raises(NoData):
        ask(text(DIRECTORY.split("\n", maxsplit=1)[0] + "\n"), Question(Feed.LISTING))


def test_the_directory_of_a_day_and_of_the_dead() -> None:
    """An end alone is that day's directory; a start asks for what was delisted since."""
    head = DIRECTORY.split("\n", maxsplit=1)[0]
    body = (
        f"{head}\nOLD,Old Corp,NYSE,Stock,2000-01-01,2020-06-15,Delisted\n"
        "LATE,Late Corp,NYSE,Stock,2000-01-01,2024-02-01,Delisted\n"
    )
    vendor = Vendor([text(body)])
    source = source_of("alpha_vantage", vendor)
    source.ask(Question(Feed.LISTING, end=MONDAY))
    assert vendor.asked[-1].url.params["date"] == "2024-03-04"
    facts = source.ask(Question(Feed.LISTING, start=date(2024, 1, 1)))
    assert vendor.asked[-1].url.params["state"] == "delisted"
    assert facts.frame["symbol"].to_list() == ["LATE"]
    assert facts.frame["delisted_on"].to_list() == [date(2024, 2, 1)]
    assert not facts.frame["active"].any()
    with pytest.raises(NoData):
        source.ask(Question(Feed.LISTING, start=date(2022, 1, 1), end=date(2022, 12, 31)))


def test_the_search_of_a_word() -> None:
    """A directory question with a symbol: the vendor's best matches, pence told as pounds."""
    match = {"1. symbol": "TSCO.LON", "2. name": "Tesco PLC", "3. type": "Equity"}
    match |= {"4. region": "United Kingdom", "8. currency": "GBX", "9. matchScore": "0.7"}
    facts = ask({"bestMatches": [match, {"1. symbol": "?"}]}, Question(Feed.LISTING, "TSCO"))
    row = facts.frame.row(0, named=True)
    assert (row["symbol"], row["vendor_symbol"], row["currency"]) == ("TSCO.L", "TSCO.LON", "GBP")
    assert facts.rejected.height == 1
    with pytest.raises(NoData):
        ask({"bestMatches": []}, Question(Feed.LISTING, "TSCO"))
    with pytest.raises(Malformed, match="no matches but a"):
        ask({"a": 1}, Question(Feed.LISTING, "TSCO"))


def test_what_cannot_be_asked() -> None:
    """No key, no symbol, no such feed: a line of advice before anything is asked."""
    source = source_of("alpha_vantage", Vendor([]))
    for question in (Question(Feed.QUOTE), Question(Feed.PROFILE), Question(Feed.OPTIONS, "A")):
        with pytest.raises(InputError):
            source.ask(question)
    with pytest.raises(InputError):
        source.fetch(replace(WEEK, symbol=None))
    with pytest.raises(InputError, match=r"ALPHA_VANTAGE_API_KEY.*get one at"):
        build(Setup(SOURCES["alpha_vantage"].capabilities, MemoryQuota()))
