"""yfinance as a source, against a vendor that answers as tests say."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Any, ClassVar
from zoneinfo import ZoneInfo

import httpx
import pytest

from stock_platform.domain.bars import Interval
from stock_platform.domain.capabilities import Feed, Tile
from stock_platform.domain.errors import (
    InputError,
    Malformed,
    NoData,
    NotEntitled,
    RateLimited,
    Unavailable,
    UnknownSymbol,
)
from stock_platform.sources.base import OPTIONS, PROFILES, QUOTES, Question
from stock_platform_tests.sources.conformance import SourceConformance
from stock_platform_tests.sources.vendors import (
    NOON,
    Bar,
    Vendor,
    as_json,
    five_bars,
    source_of,
)

NEW_YORK = ZoneInfo("America/New_York")
importlib.import_module(
    "stock_platform.sources.yfinance_library.library"
)  # which silences yfinance
WEEK = Tile("yfinance", "history", Interval.DAY, date(2024, 3, 4), date(2024, 3, 8), 1, "AAPL")


def at(
    day: date, hour: int = 9, minute: int = 30, second: int = 0, zone: ZoneInfo = NEW_YORK
) -> int:
    """The epoch stamp of a local time."""
    local = datetime(day.year, day.month, day.day, hour, minute, second, tzinfo=zone)
    return int(local.timestamp())


def chart(rows: Sequence[Bar], *, stamps: Sequence[object] | None = None, **changes: Any) -> Any:
    """A chart of AAPL; ``changes`` go into meta, but for ``events``."""
    events = changes.pop("events", None)
    meta = {
        "currency": "USD",
        "symbol": "AAPL",
        "instrumentType": "EQUITY",
        "firstTradeDate": 345479400,
        "regularMarketTime": at(date(2024, 3, 8), 16, 0, 1),
        "gmtoffset": -18000,
        "exchangeTimezoneName": "America/New_York",
        "dataGranularity": "1d",
    } | changes
    names = ("open", "high", "low", "close", "volume")
    quote = {name: [getattr(row, name) for row in rows] for name in names}
    result = {
        "meta": meta,
        "timestamp": list(stamps) if stamps is not None else [at(row.session) for row in rows],
        "indicators": {"quote": [quote], "adjclose": [{"adjclose": quote["close"]}]},
    }
    if events is not None:
        result["events"] = events
    return {"chart": {"result": [result], "error": None}}


def error(
    code: str, description: str, status: int = 200, envelope: str = "chart"
) -> httpx.Response:
    said = {"code": code, "description": description}
    return as_json({envelope: {"result": None, "error": said}}, status)


def ask(document: Any, tile: Tile = WEEK, now: datetime = NOON) -> Any:
    answer = document if isinstance(document, httpx.Response) else as_json(document)
    return source_of("yfinance", Vendor([answer]), now=now).fetch(tile)


class TestConformance(SourceConformance):
    source: ClassVar[str] = "yfinance"
    tile: ClassVar[Tile] = WEEK

    def answer_of(self, rows: Sequence[Bar]) -> Any:
        return chart(rows)

    def empty(self) -> httpx.Response:
        document = chart([])
        del document["chart"]["result"][0]["timestamp"]
        document["chart"]["result"][0]["indicators"] = {"quote": [{}]}
        return as_json(document)

    def refused(self) -> httpx.Response:
        return error("Unauthorized", "this plan needs a login", 401)

    def notice(self) -> httpx.Response:
        return httpx.Response(200, text="Edge: Too Many Requests")


# ---- bars ----


def test_one_question_is_one_request_to_the_present() -> None:
    """No cookie, no crumb, no time zone first; period2 is tomorrow whatever the tile's end."""
    vendor = Vendor([as_json(chart(five_bars()))])
    answer = source_of("yfinance", vendor).fetch(replace(WEEK, end=date(2024, 3, 4)))
    assert (answer.requests, len(vendor.asked)) == (1, 1)
    url = vendor.asked[0].url
    utc = ZoneInfo("UTC")
    assert url.path == "/v8/finance/chart/AAPL"
    assert dict(url.params) == {
        "period1": str(at(date(2024, 3, 3), 0, 0, zone=utc)),
        "period2": str(at(date(2024, 3, 10), 0, 0, zone=utc)),
        "interval": "1d",
        "includePrePost": "false",
        "events": "div,splits,capitalGains",
    }


@pytest.mark.parametrize(
    ("symbol", "spelled"),
    [
        ("BRK.B", "BRK-B"),
        ("EUR/USD", "EURUSD=X"),
        ("BTC-USD", "BTC-USD"),
        ("^GSPC", "%5EGSPC"),
        ("GC=F", "GC=F"),
    ],
)
def test_spells_symbols_as_yahoo_does(symbol: str, spelled: str) -> None:
    """Canonical tickers become Yahoo's in the address."""
    vendor = Vendor([error("Not Found", "No data found, symbol may be delisted", 404)])
    with pytest.raises(UnknownSymbol, match="may be delisted"):
        source_of("yfinance", vendor).fetch(replace(WEEK, symbol=symbol))
    assert len(vendor.asked) == 1
    assert vendor.asked[0].url.raw_path.decode().split("?")[0].endswith(f"/{spelled}")


def test_currency_and_listing() -> None:
    """Currency and first trade come from the answer, which is not believed against bars."""
    answer = ask(chart(five_bars()))
    assert (answer.currency, answer.listed_from) == ("USD", date(1980, 12, 12))
    later = ask(chart(five_bars(), firstTradeDate=at(date(2024, 3, 6))))
    assert later.listed_from == date(2024, 3, 4)
    assert ask(chart(five_bars(), firstTradeDate=None)).listed_from is None


def test_sessions_before_the_tile_are_cut_off() -> None:
    """The range begins a day early for zones ahead of UTC; what it adds is left out."""
    answer = ask(chart(five_bars()), replace(WEEK, start=date(2024, 3, 6)))
    assert answer.bars["session"].min() == date(2024, 3, 6)


def test_sydney_sessions_are_sydney_dates() -> None:
    """A stamp on the previous UTC day is the exchange's local date."""
    sydney = ZoneInfo("Australia/Sydney")
    rows = five_bars()
    stamps = [at(row.session, 10, 0, zone=sydney) for row in rows]
    document = chart(rows, stamps=stamps, exchangeTimezoneName="Australia/Sydney", symbol="BHP.AX")
    answer = ask(document, replace(WEEK, symbol="BHP.AX"))
    assert answer.bars["session"].to_list() == [row.session for row in rows]


def test_an_unknown_zone_falls_back_to_the_offset() -> None:
    """Without a usable zone name gmtoffset decides; without both the answer is malformed."""
    assert ask(chart(five_bars(), exchangeTimezoneName="Mars/Olympus")).bars.height == 5
    with pytest.raises(Malformed, match="time zone"):
        ask(chart(five_bars(), exchangeTimezoneName=None, gmtoffset=None))


def test_a_bar_stamped_with_the_market_time_is_live() -> None:
    """After the close Yahoo's last bar is preliminary while it bears the market's time."""
    rows = five_bars()
    stamps = [at(row.session) for row in rows[:4]] + [at(rows[4].session, 16, 0, 1)]
    answer = ask(chart(rows, stamps=stamps))
    assert answer.bars["session"].max() == date(2024, 3, 7)
    assert answer.unfinished == {date(2024, 3, 8)}


def test_a_live_duplicate_leaves_the_final_bar() -> None:
    """A session's own bar stays when a live row of the same day follows it."""
    rows = [*five_bars(), replace(five_bars()[-1], close=14.25)]
    stamps = [at(row.session) for row in rows[:5]] + [at(date(2024, 3, 8), 16, 0, 1)]
    answer = ask(chart(rows, stamps=stamps))
    assert answer.bars["close"].to_list()[-1] == 14.5
    assert answer.unfinished == frozenset()
    assert answer.rejected.is_empty()


def test_the_answers_own_clock_can_say_live() -> None:
    """An answer recorded within a session, read years later, is still of that moment."""
    day = date(2024, 3, 8)
    document = chart(
        five_bars(),
        regularMarketTime=at(day, 12, 0),
        currentTradingPeriod={"regular": {"start": at(day), "end": at(day, 16, 0)}},
    )
    assert ask(document, now=datetime(2026, 1, 1, tzinfo=UTC)).unfinished == {day}


def test_only_a_live_bar_is_an_answer_without_bars() -> None:
    """The library cannot read an answer without rows; nor is this one an error."""
    today = [five_bars()[-1]]
    answer = ask(chart(today), now=datetime(2024, 3, 8, 18, tzinfo=UTC))
    assert answer.bars.is_empty()
    assert answer.unfinished == {date(2024, 3, 8)}


def test_crypto_days_end_at_midnight() -> None:
    """A 24/7 bar is live until its UTC day is over, Yahoo's 23:59 included."""
    utc, day = ZoneInfo("UTC"), date(2024, 3, 10)
    rows = [Bar(date(2024, 3, 9)), Bar(day)]
    now = datetime(2024, 3, 10, 23, 59, 30, tzinfo=UTC)
    document = chart(
        rows,
        stamps=[at(row.session, 0, 0, zone=utc) for row in rows],
        exchangeTimezoneName="UTC",
        symbol="BTC-USD",
        regularMarketTime=int(now.timestamp()),
        currentTradingPeriod={
            "regular": {"start": at(day, 0, 0, zone=utc), "end": at(day, 23, 59, zone=utc)}
        },
    )
    answer = ask(document, replace(WEEK, symbol="BTC-USD"), now)
    assert answer.bars["session"].to_list() == [date(2024, 3, 9)]
    assert answer.bars["ts"].to_list() == [datetime(2024, 3, 9, tzinfo=UTC)]
    assert answer.unfinished == {day}


def test_null_rows_and_rows_with_nulls() -> None:
    """A row of nulls is nothing; a null close is rejected; a null volume is not the library's 0."""
    rows = five_bars()
    rows[1] = Bar(rows[1].session, None, None, None, None, None)
    rows[3] = replace(rows[3], close=None)
    rows[4] = Bar(rows[4].session, None, None, None, 10.5, None)
    answer = ask(chart(rows))
    assert answer.bars["session"].dt.day().to_list() == [4, 6, 8]
    last = answer.bars.row(-1, named=True)
    assert (last["open"], last["close"], last["volume"]) == (None, 10.5, None)
    assert answer.rejected["session"].to_list() == [date(2024, 3, 7)]


def test_what_the_library_would_not_notice() -> None:
    """Downsampling, another ticker, arrays that do not match: each is malformed."""
    with pytest.raises(Malformed, match="asked for 1d bars, was given 3mo bars"):
        ask(chart(five_bars(), dataGranularity="3mo"))
    with pytest.raises(Malformed, match="asked for AAPL, was given MSFT"):
        ask(chart(five_bars(), symbol="MSFT"))
    document = chart(five_bars())
    document["chart"]["result"][0]["indicators"]["quote"][0]["low"].pop()
    with pytest.raises(Malformed, match="5 stamps but 4 values of low"):
        ask(document)


def test_pence_become_pounds() -> None:
    """GBp, ILA and ZAc are hundredths; float32 noise is removed before dividing."""
    rows = [Bar(date(2024, 3, 4), 1279.5, 1286.5699462890625, 1258, 1259.5, 728520)]
    for unit, currency in (("GBp", "GBP"), ("ILA", "ILS"), ("ZAc", "ZAR")):
        answer = ask(chart(rows, currency=unit))
        assert answer.currency == currency
        assert answer.bars.row(0)[3:8] == (12.795, 12.8657, 12.58, 12.595, 728520)


EVENTS = {
    "splits": {
        "1": {"date": at(date(2024, 3, 6)), "numerator": 4, "denominator": 1},
        "2": {"date": at(date(2024, 3, 8)), "splitRatio": "7:1"},
    },
    "dividends": {
        "a": {"date": at(date(2024, 3, 5)), "amount": 0.094643},
        "b": {"date": at(date(2024, 3, 6)), "amount": 0.11},
        "c": {"date": at(date(2024, 3, 8)), "amount": 0.5},
    },
}
SPLITS = [("AAPL", date(2024, 3, 6), 4.0), ("AAPL", date(2024, 3, 8), 7.0)]
PAID = [
    ("AAPL", date(2024, 3, 5), 2.65, "USD"),
    ("AAPL", date(2024, 3, 6), 0.77, "USD"),
    ("AAPL", date(2024, 3, 8), 0.5, "USD"),
]


def test_dividends_are_as_paid() -> None:
    """Amounts are multiplied by every later split in the answer, and no earlier one."""
    answer = ask(chart(five_bars(), events=EVENTS))
    assert answer.splits.rows() == SPLITS
    assert answer.dividends.rows() == PAID


def test_reverse_splits_pence_and_capital_gains() -> None:
    """1-for-10 divides what was paid; pence dividends are in pounds; a fund's gains add."""
    events = {
        "splits": {"1": {"date": at(date(2024, 3, 7)), "numerator": 1, "denominator": 10}},
        "dividends": {"a": {"date": at(date(2024, 3, 5)), "amount": 25.0}},
        "capitalGains": {"b": {"date": at(date(2024, 3, 5)), "amount": 5.0}},
    }
    answer = ask(chart(five_bars(), events=events, currency="GBp", instrumentType="ETF"))
    assert answer.splits["ratio"].to_list() == [0.1]
    assert answer.dividends.rows() == [("AAPL", date(2024, 3, 5), 0.03, "GBP")]


def test_an_event_on_a_day_without_a_bar_keeps_its_day() -> None:
    """The library's frame would move it to the bar before."""
    rows = [row for row in five_bars() if row.session.day != 6]
    events = {
        "dividends": {
            "a": {"date": at(date(2024, 3, 6)), "amount": 0.5},
            "b": {"date": at(date(2024, 3, 8)), "amount": 2.0, "currency": "VND"},
        }
    }
    answer = ask(chart(rows, events=events))
    assert answer.bars.height == 4
    assert answer.dividends.rows() == [
        ("AAPL", date(2024, 3, 6), 0.5, "USD"),
        ("AAPL", date(2024, 3, 8), 2.0, "VND"),
    ]


def test_unreadable_events_are_rejected() -> None:
    """A split of nothing, a dividend of words, no object at all: told, and the rest stays."""
    events = {
        "splits": {"1": {"date": at(date(2024, 3, 7)), "numerator": 0, "denominator": 1}},
        "dividends": [
            {"date": at(date(2024, 3, 5)), "amount": "soon"},
            {"date": at(date(2024, 3, 6)), "amount": "0.25"},
            7,
        ],
    }
    answer = ask(chart(five_bars(), events=events))
    assert answer.splits.is_empty()
    assert answer.dividends["amount"].to_list() == [0.25]
    assert sorted(r[0].split(":")[0] for r in answer.rejected["reasons"].to_list()) == [
        "dividends",
        "dividends",
        "splits",
    ]


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (error("Not Found", "No data found, symbol may be delisted", 404), UnknownSymbol),
        (error("Not Found", "No data found, symbol may be delisted", 200), UnknownSymbol),
        (error("Bad Request", "Data doesn't exist for startDate = 1, endDate = 2", 400), NoData),
        (error("Unprocessable Entity", "1m data not available for startTime=1", 422), NoData),
        (error("Bad Request", "Invalid input - interval=2d is not supported", 400), Malformed),
        (httpx.Response(404, text="Not Found"), Malformed),
        (httpx.Response(403, text="Forbidden"), NotEntitled),
        (as_json({"finance": {"error": {"code": "Unauthorized"}}}, 401), NotEntitled),
        (as_json({"chart": {"result": [], "error": None}}), Malformed),
        (as_json({"chart": {"result": None, "error": None}}), Malformed),
        (as_json({"quoteResponse": {"result": [{}], "error": None}}), Malformed),
        (as_json(chart([], currency=None, firstTradeDate=None)), UnknownSymbol),
        (httpx.Response(200, text="<html>Will be right back...</html>"), Unavailable),
    ],
)  # fmt: skip
def test_errors_by_their_meaning(answer: httpx.Response, kind: type[Exception]) -> None:
    """Yahoo's codes and words become our errors, whatever the status."""
    with pytest.raises(kind):
        ask(answer)


def test_999_is_a_refusal() -> None:
    """Yahoo's own status for too many calls."""
    vendor = Vendor([httpx.Response(999, text="denied"), as_json(chart(five_bars()))])
    assert source_of("yfinance", vendor).fetch(WEEK).rate_limited == 1


def test_what_the_library_stumbles_over_is_malformed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its exceptions, our errors: by kind, else Malformed; what it swallowed comes out."""
    from yfinance import exceptions
    from yfinance.scrapers.history import PriceHistory

    for raised, kind in (
        (exceptions.YFRateLimitError(), RateLimited),
        (exceptions.YFTzMissingError("AAPL"), UnknownSymbol),
        (exceptions.YFPricesMissingError("AAPL", ""), NoData),
        (exceptions.YFInvalidPeriodError("AAPL", "7d", "1d"), NoData),
        (KeyError("tradingPeriods"), Malformed),
    ):

        def broken(*_args: Any, _raised: Exception = raised, **_kwargs: Any) -> None:
            raise _raised

        monkeypatch.setattr(PriceHistory, "history", broken)
        with pytest.raises(kind):
            ask(chart(five_bars()))

    def hides(history: Any, **_kwargs: Any) -> None:
        with pytest.raises(UnknownSymbol):
            history._data.get("https://query2.finance.yahoo.com/v8/finance/chart/AAPL")
        history._dividends = history._splits = history._capital_gains = {}

    monkeypatch.setattr(PriceHistory, "history", hides)
    with pytest.raises(UnknownSymbol):
        ask(error("Not Found", "No data found, symbol may be delisted", 404))


def test_bars_the_library_leaves_out_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """Never dropped in silence."""
    from yfinance.scrapers.history import PriceHistory

    whole = PriceHistory.history
    monkeypatch.setattr(
        PriceHistory, "history", lambda self, **options: whole(self, **options).iloc[1:]
    )
    answer = ask(chart(five_bars()))
    assert answer.bars.height == 4
    assert answer.rejected["session"].to_list() == [date(2024, 3, 4)]
    assert "left this bar out" in answer.rejected["reasons"][0][0]


# ---- minutes ----


def minutes(count: int, step: int = 1) -> tuple[list[Bar], list[int]]:
    rows = [Bar(date(2024, 3, 8)) for _ in range(count)]
    return rows, [at(date(2024, 3, 8)) + 60 * step * n for n in range(count)]


def test_minutes_are_asked_for_in_weeks() -> None:
    """More than seven days of 1m bars are several requests, one answer."""
    rows, stamps = minutes(3)
    vendor = Vendor([as_json(chart(rows, stamps=stamps, dataGranularity="1m"))])
    tile = replace(WEEK, endpoint="history_1m", interval=Interval.MINUTE, start=date(2024, 2, 29))
    answer = source_of("yfinance", vendor).fetch(tile)
    assert answer.requests == 2
    spans = [int(r.url.params["period2"]) - int(r.url.params["period1"]) for r in vendor.asked]
    assert max(spans) <= 7 * 86_400
    assert answer.bars["ts"].to_list() == [datetime.fromtimestamp(s, UTC) for s in stamps]


def test_a_bar_that_is_not_over_is_left_out_of_minutes() -> None:
    """Bars end; the one under way, and the price mark that ends the series, are no bars."""
    rows, stamps = minutes(4, step=5)
    stamps[3] = stamps[2] + 90
    day = date(2024, 3, 8)
    document = chart(rows, stamps=stamps, dataGranularity="5m", regularMarketTime=stamps[3])
    tile = replace(WEEK, endpoint="history_5m", interval=Interval.MINUTES_5)
    answer = ask(document, tile, datetime.fromtimestamp(stamps[3], UTC))
    assert answer.bars.height == 2
    assert answer.unfinished == {day}


def test_hours_may_be_called_sixty_minutes() -> None:
    """60m and 1h are one interval."""
    rows, stamps = minutes(2, step=60)
    document = chart(rows, stamps=stamps, dataGranularity="60m")
    tile = replace(WEEK, endpoint="history_1h", interval=Interval.HOUR)
    assert ask(document, tile).bars.height == 2


def test_bars_beyond_the_session_are_for_validation_to_judge() -> None:
    """The library would drop them without a word."""
    day = date(2024, 3, 8)
    rows = [Bar(day)] * 3
    stamps = [at(day, 8, 0), at(day, 9, 30), at(day, 17, 0)]
    tile = replace(WEEK, endpoint="history_5m", interval=Interval.MINUTES_5)
    assert ask(chart(rows, stamps=stamps, dataGranularity="5m"), tile).bars.height == 3


def test_a_cached_answer_from_before_the_close_is_not_used_again() -> None:
    """What was asked for was not over when the answer was given, so ask again."""
    vendor = Vendor([as_json(chart(five_bars()))])
    now = datetime(2024, 3, 8, 20, tzinfo=UTC)
    source = source_of("yfinance", vendor, now=now, base_url=None)
    source.fetch(WEEK)
    source.fetch(WEEK)
    assert len(vendor.asked) == 2
    source.fetch(replace(WEEK, end=date(2024, 3, 6)))
    assert len(vendor.asked) == 2, "a settled range may use the answer"


# ---- feeds ----


def tell(feed: Feed, *answers: Any, **details: Any) -> Any:
    vendor = Vendor([a if isinstance(a, httpx.Response) else as_json(a) for a in answers])
    return source_of("yfinance", vendor).ask(Question(feed, "AAPL", **details))


def test_splits_and_dividends() -> None:
    """Out of the whole history, within the dates asked for."""
    document = chart(five_bars(), events=EVENTS)
    assert tell(Feed.SPLITS, document).frame.rows() == SPLITS
    assert tell(Feed.DIVIDENDS, document).frame.rows() == PAID
    one = {"start": date(2024, 3, 6), "end": date(2024, 3, 7)}
    assert tell(Feed.DIVIDENDS, document, **one).frame.rows() == PAID[1:2]
    assert tell(Feed.SPLITS, chart(five_bars())).frame.is_empty()


QUOTE = {
    "symbol": "AAPL",
    "currency": "GBp",
    "regularMarketPrice": 1259.5,
    "regularMarketOpen": "1,250.5",
    "regularMarketDayHigh": {"raw": 1260, "fmt": "1,260.00"},
    "regularMarketDayLow": 1240,
    "regularMarketPreviousClose": None,
    "regularMarketVolume": 728520,
    "regularMarketTime": at(date(2024, 3, 8), 16, 0),
}


def quoted(**changes: Any) -> Any:
    return {"quoteResponse": {"result": [QUOTE | changes], "error": None}}


def test_a_quote() -> None:
    """One request; prices in the major unit, bare or dressed."""
    facts = tell(Feed.QUOTE, quoted())
    assert dict(facts.frame.schema) == QUOTES
    assert facts.requests == 1
    assert facts.frame.row(0) == (
        "AAPL", datetime(2024, 3, 8, 21, tzinfo=UTC), 12.595, 12.505, 12.6, 12.4, None, 728520.0,
        "GBP",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("document", "kind"),
    [
        ({"quoteResponse": {"result": [], "error": None}}, UnknownSymbol),
        (quoted(symbol="MSFT"), Malformed),
        (quoted(regularMarketPrice=None), NoData),
        (quoted(regularMarketPrice="dear"), Malformed),
        (quoted(regularMarketTime="noon"), Malformed),
        (chart(five_bars()), Malformed),
        ({"quoteResponse": {"result": ["AAPL"], "error": None}}, Malformed),
    ],
)
def test_quotes_that_are_none(document: Any, kind: type[Exception]) -> None:
    """Each way to have no quote is an error of ours."""
    with pytest.raises(kind):
        tell(Feed.QUOTE, document)


def summed(**modules: Any) -> Any:
    return {"quoteSummary": {"result": [modules], "error": None}}


def test_a_profile() -> None:
    """From the modules of quoteSummary, bare or dressed."""
    facts = tell(
        Feed.PROFILE,
        summed(
            assetProfile={"country": "United States", "sector": "Technology", "industry": " "},
            price={
                "symbol": "AAPL",
                "longName": "Apple Inc.",
                "exchange": "NMS",
                "quoteType": "EQUITY",
                "currency": "USD",
                "marketCap": {"raw": 3.5e12, "fmt": "3.5T"},
            },
            quoteType={
                "symbol": "AAPL",
                "firstTradeDateEpochUtc": 345479400,
                "timeZoneFullName": "America/New_York",
            },
            defaultKeyStatistics={"sharesOutstanding": 15022100480},
            summaryDetail=None,
        ),
    )
    assert dict(facts.frame.schema) == PROFILES
    row = {k: v for k, v in facts.frame.row(0, named=True).items() if v is not None}
    assert row == {
        "symbol": "AAPL",
        "name": "Apple Inc.",
        "exchange": "XNAS",
        "asset_class": "stock",
        "currency": "USD",
        "country": "United States",
        "sector": "Technology",
        "listed_on": date(1980, 12, 12),
        "shares_outstanding": 15022100480.0,
        "market_cap": 3.5e12,
    }


def test_profiles_that_are_none() -> None:
    """404 and nothing to tell; a profile of somebody else."""
    missing = error("Not Found", "Quote not found for symbol: AAPL", 404, "quoteSummary")
    with pytest.raises(UnknownSymbol, match="Quote not found"):
        tell(Feed.PROFILE, missing)
    with pytest.raises(NoData):
        tell(Feed.PROFILE, summed(price={}))
    with pytest.raises(Malformed, match="given MSFT"):
        tell(Feed.PROFILE, summed(price={"symbol": "MSFT"}))
    with pytest.raises(Malformed, match="assetProfile is list"):
        tell(Feed.PROFILE, summed(assetProfile=[1]))
    with pytest.raises(Malformed, match="not a number"):
        tell(Feed.PROFILE, summed(price={"longName": "Apple", "marketCap": "big"}))


EXPIRY = date(2024, 3, 15)
EXPIRES = at(EXPIRY, 0, 0, zone=ZoneInfo("UTC"))
CALL = {
    "contractSymbol": "AAPL240315C00170000",
    "strike": 170.0,
    "currency": "USD",
    "lastPrice": 2.5,
    "bid": 2.45,
    "ask": "2.55",
    "volume": None,
    "openInterest": 578,
    "impliedVolatility": 0.25,
    "inTheMoney": True,
    "lastTradeDate": at(date(2024, 3, 8), 15, 59),
    "expiration": EXPIRES,
}


def chain(calls: Any, puts: Any = (), **changes: Any) -> Any:
    options = {"expirationDate": EXPIRES, "calls": list(calls), "puts": list(puts)}
    result = {
        "underlyingSymbol": "AAPL",
        "expirationDates": [EXPIRES],
        "quote": {"symbol": "AAPL"},
        "options": [options],
    } | changes
    return {"optionChain": {"result": [result], "error": None}}


def test_a_chain() -> None:
    """One request for the nearest and for a named expiry; a missing volume is null."""
    put = CALL | {"contractSymbol": "AAPL240315P00170000", "volume": 3, "inTheMoney": False}
    del put["lastTradeDate"]
    for expiry in (None, EXPIRY):
        facts = tell(Feed.OPTIONS, chain([CALL], [put]), expiry=expiry)
        assert dict(facts.frame.schema) == OPTIONS
        assert (facts.requests, facts.rejected.height) == (1, 0)
        assert facts.frame.rows() == [
            ("AAPL", "AAPL240315C00170000", "call", EXPIRY, 170.0, 2.5, 2.45, 2.55, None, 578.0,
             0.25, True, datetime(2024, 3, 8, 20, 59, tzinfo=UTC), "USD"),
            ("AAPL", "AAPL240315P00170000", "put", EXPIRY, 170.0, 2.5, 2.45, 2.55, 3.0, 578.0,
             0.25, False, None, "USD"),
        ]  # fmt: skip


def test_the_expiry_is_in_the_question() -> None:
    """As epoch seconds of its UTC midnight."""
    vendor = Vendor([as_json(chain([CALL]))])
    source_of("yfinance", vendor).ask(Question(Feed.OPTIONS, "AAPL", expiry=EXPIRY))
    assert str(vendor.asked[0].url) == f"https://vendor.test/v7/finance/options/AAPL?date={EXPIRES}"


def test_contracts_that_cannot_be_read_are_rejected() -> None:
    """A strike of words and a contract without a name; the rest stays."""
    facts = tell(Feed.OPTIONS, chain([CALL, CALL | {"strike": "high"}], [{"strike": 5}]))
    assert facts.frame.height == 1
    reasons = [r[0] for r in facts.rejected["reasons"].to_list()]
    assert "'high' is not a number" in reasons[0]
    assert "contractSymbol" in reasons[1]


@pytest.mark.parametrize(
    ("document", "kind", "said"),
    [
        ({"optionChain": {"result": [], "error": None}}, UnknownSymbol, "empty"),
        (chain([], expirationDates=[], options=[]), NoData, "no options"),
        (chain([]), NoData, "no options of 2024-03-15; there are 2024-03-15"),
        (chain([CALL], underlyingSymbol="MSFT"), Malformed, "given MSFT"),
        (chain([CALL], options=[{"calls": [CALL]}]), Malformed, "expiry"),
        (chain([CALL], options="none"), Malformed, "options is str"),
        (chain([CALL | {"lastTradeDate": "noon"}]), Malformed, "yfinance cannot read"),
    ],
)
def test_chains_that_are_none(document: Any, kind: type[Exception], said: str) -> None:
    """Each way to have no chain is an error of ours."""
    with pytest.raises(kind, match=said):
        tell(Feed.OPTIONS, document)


def test_another_expiry_is_no_answer() -> None:
    """The nearest expiry is not served for the one asked for."""
    with pytest.raises(NoData, match="no options of 2024-03-22, but of 2024-03-15"):
        tell(Feed.OPTIONS, chain([CALL]), expiry=date(2024, 3, 22))


def test_what_it_does_not_tell() -> None:
    """A feed it has not, and a question without a symbol."""
    with pytest.raises(InputError, match="feed"):
        tell(Feed.LISTING, chart(five_bars()))
    source = source_of("yfinance", Vendor([]))
    with pytest.raises(InputError, match="symbol"):
        source.ask(Question(Feed.QUOTE))
    with pytest.raises(InputError, match="symbol"):
        source.fetch(replace(WEEK, symbol=None))


# ---- crumbs ----


class Guarded:
    """A vendor that wants a crumb, as Yahoo does."""

    def __init__(self, *crumbs: httpx.Response) -> None:
        self.crumbs = list(crumbs)
        self.asked: list[str] = []
        self.good = "cRuMb.1"

    def __call__(self, request: httpx.Request) -> httpx.Response:
        path, crumb = request.url.path, request.url.params.get("crumb")
        self.asked.append(path + (f" {crumb}" if crumb else ""))
        if path == "/":
            return httpx.Response(404, headers={"set-cookie": "A3=d=x; Path=/"})
        if path == "/v1/test/getcrumb":
            assert request.headers["cookie"] == "A3=d=x"
            return self.crumbs.pop(0) if self.crumbs else httpx.Response(200, text=self.good)
        if crumb != self.good:
            return error("Unauthorized", "Invalid Crumb", 401, "finance")
        return as_json(quoted())


def test_a_crumb_is_fetched_when_it_is_wanted() -> None:
    """401 first; then cookie, crumb, answer; the next question knows the crumb."""
    vendor = Guarded()
    source = source_of("yfinance", vendor)
    question = Question(Feed.QUOTE, "AAPL")
    assert [source.ask(question).requests for _ in range(2)] == [4, 1]
    assert vendor.asked == [
        "/v7/finance/quote",
        "/",
        "/v1/test/getcrumb",
        "/v7/finance/quote cRuMb.1",
        "/v7/finance/quote cRuMb.1",
    ]
    vendor.good = "cRuMb.2"  # it expired
    assert source.ask(question).requests == 4


@pytest.mark.parametrize(
    ("given", "kind", "said"),
    [
        (httpx.Response(200, text="Too Many Requests"), RateLimited, "Too Many Requests"),
        (httpx.Response(200, text="<html>consent</html>"), Malformed, "no crumb"),
        (httpx.Response(200, text=""), Malformed, "no crumb"),
        (httpx.Response(401, text="no cookie"), NotEntitled, "no cookie"),
        (httpx.Response(200, text="wrong-one"), NotEntitled, "Invalid Crumb"),
        (
            httpx.Response(307, headers={"location": "https://guce.yahoo.com/consent"}),
            Unavailable,
            "guce.yahoo.com",
        ),
    ],
)
def test_no_crumb_to_be_had(given: httpx.Response, kind: type[Exception], said: str) -> None:
    """The error that came instead; a form of consent is never filled in."""
    source = source_of("yfinance", Guarded(*[given] * 3))
    with pytest.raises(kind, match=said):
        source.ask(Question(Feed.QUOTE, "AAPL"))


def test_several_threads_ask_in_turn() -> None:
    """Answers do not get mixed up."""

    def answer(request: httpx.Request) -> httpx.Response:
        symbol = request.url.path.rpartition("/")[2]
        rows = [replace(row, close=float(len(symbol))) for row in five_bars()]
        return as_json(chart(rows, symbol=symbol))

    source = source_of("yfinance", answer)
    symbols = ["A", "IBM", "AAPL", "GOOGL"] * 5
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda s: source.fetch(replace(WEEK, symbol=s)), symbols))
    assert [a.bars["close"][0] for a in answers] == [float(len(s)) for s in symbols]
    assert all(a.requests == 1 for a in answers)


def test_the_users_own_yfinance_is_left_alone() -> None:
    """No session, crumb or answer of ours in the library's own objects."""
    from yfinance.data import YfData

    from stock_platform.sources.yfinance_library import library

    remembered = YfData.cache_get.cache_info()
    ask(chart(five_bars()))
    shared = YfData()
    assert not isinstance(shared._session, library.OurSession)
    assert YfData.cache_get.cache_info() == remembered
