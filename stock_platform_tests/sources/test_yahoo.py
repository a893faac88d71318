"""Yahoo's chart against a vendor that answers as tests say."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any, ClassVar
from zoneinfo import ZoneInfo

import httpx
import polars as pl
import pytest

from stock_platform.domain.bars import Basis, Interval
from stock_platform.domain.capabilities import Tile
from stock_platform.domain.errors import Malformed, NoData, NotEntitled, UnknownSymbol
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
WEEK = Tile("yahoo", "chart", Interval.DAY, date(2024, 3, 4), date(2024, 3, 8), 1, "AAPL")


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
        "firstTradeDate": 345479400,
        "regularMarketTime": at(date(2024, 3, 8), 16, 0, 1),
        "gmtoffset": -18000,
        "exchangeTimezoneName": "America/New_York",
        "currentTradingPeriod": {
            "regular": {"start": at(date(2024, 3, 11)), "end": at(date(2024, 3, 11), 16, 0)}
        },
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


def error(code: str, description: str, status: int = 200) -> httpx.Response:
    return as_json(
        {"chart": {"result": None, "error": {"code": code, "description": description}}}, status
    )


def ask(document: Any, tile: Tile = WEEK, now: datetime = NOON) -> Any:
    answer = document if isinstance(document, httpx.Response) else as_json(document)
    return source_of("yahoo", Vendor([answer]), now=now).fetch(tile)


class TestConformance(SourceConformance):
    source: ClassVar[str] = "yahoo"
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


def test_asks_to_the_present() -> None:
    """period2 is tomorrow whatever the tile's end, so that later splits are in the answer."""
    vendor = Vendor([as_json(chart(five_bars()))])
    source_of("yahoo", vendor).fetch(replace(WEEK, end=date(2024, 3, 4)))
    url = vendor.asked[0].url
    assert url.path == "/v8/finance/chart/AAPL"
    assert url.params["period1"] == str(at(date(2024, 3, 3), 0, 0, zone=ZoneInfo("UTC")))
    assert url.params["period2"] == str(at(date(2024, 3, 10), 0, 0, zone=ZoneInfo("UTC")))
    assert url.params["interval"] == "1d"
    assert url.params["events"] == "div|split|capitalGain"


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
    with pytest.raises(UnknownSymbol):
        source_of("yahoo", vendor).fetch(replace(WEEK, symbol=symbol))
    assert vendor.asked[0].url.raw_path.decode().split("?")[0].endswith(f"/{spelled}")


def test_basis_currency_and_listing() -> None:
    """Basis is the endpoint's; currency and first trade come from the answer."""
    answer = ask(chart(five_bars()))
    assert answer.currency == "USD"
    assert answer.listed_from == date(1980, 12, 12)
    source = source_of("yahoo", Vendor([]))
    assert source.capabilities.endpoint("chart").basis is Basis.SPLIT_ADJUSTED


def test_a_bar_before_the_first_trade_moves_the_listing() -> None:
    """firstTradeDate is not believed against bars."""
    assert ask(chart(five_bars(), firstTradeDate=at(date(2024, 3, 6)))).listed_from == date(
        2024, 3, 4
    )
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
    assert datetime.fromtimestamp(stamps[0], UTC).date() == date(2024, 3, 3)
    document = chart(rows, stamps=stamps, exchangeTimezoneName="Australia/Sydney", symbol="BHP.AX")
    answer = ask(document, replace(WEEK, symbol="BHP.AX"))
    assert answer.bars["session"].to_list() == [row.session for row in rows]


def test_an_unknown_zone_falls_back_to_the_offset() -> None:
    """Without a usable zone name gmtoffset decides; without both the answer is malformed."""
    answer = ask(chart(five_bars(), exchangeTimezoneName="Mars/Olympus"))
    assert answer.bars.height == 5
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


def test_the_answers_own_clock_can_say_live() -> None:
    """While the market time is before the close of the current period, its bar is live."""
    day = date(2024, 3, 8)
    document = chart(
        five_bars(),
        regularMarketTime=at(day, 12, 0),
        currentTradingPeriod={"regular": {"start": at(day), "end": at(day, 16, 0)}},
    )
    answer = ask(document, now=datetime(2026, 1, 1, tzinfo=UTC))
    assert answer.unfinished == {day}


def test_a_share_that_seldom_trades_is_final_after_the_close() -> None:
    """Its last trade is long before the close; on the next day its bar is still final."""
    day = date(2024, 3, 8)
    document = chart(
        five_bars(),
        regularMarketTime=at(day, 15, 41),
        currentTradingPeriod={"regular": {"start": at(day), "end": at(day, 16, 0)}},
    )
    assert ask(document).bars["session"].max() == day
    early = datetime(2024, 3, 8, 22, tzinfo=UTC)
    assert ask(document, now=early).unfinished == {day}


def test_crypto_days_end_at_midnight() -> None:
    """A 24/7 bar is live until its UTC day is over, Yahoo's 23:59 included."""
    rows = [Bar(date(2024, 3, 9)), Bar(date(2024, 3, 10))]
    utc = ZoneInfo("UTC")
    day = date(2024, 3, 10)
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
    tile = replace(WEEK, symbol="BTC-USD")
    answer = ask(document, tile, now)
    assert answer.bars["session"].to_list() == [date(2024, 3, 9)]
    assert answer.bars["ts"].to_list() == [datetime(2024, 3, 9, tzinfo=UTC)]
    assert answer.unfinished == {day}


def test_null_rows_are_no_bars() -> None:
    """A row of nulls is nothing; a row whose close alone is null is rejected."""
    rows = five_bars()
    rows[1] = Bar(rows[1].session, None, None, None, None, None)
    rows[3] = replace(rows[3], close=None)
    answer = ask(chart(rows))
    assert answer.bars["session"].dt.day().to_list() == [4, 6, 8]
    assert answer.rejected["session"].to_list() == [date(2024, 3, 7)]
    assert answer.rejected["reasons"].to_list() == [["close is null"]]


def test_close_only_rows_stay() -> None:
    """A fund's close without open, high and low is what the vendor said."""
    row = ask(chart([Bar(date(2024, 3, 4), None, None, None, 10.5, None)])).bars.row(0, named=True)
    assert (row["open"], row["close"], row["volume"]) == (None, 10.5, None)


def test_silent_downsampling_is_malformed() -> None:
    """dataGranularity other than asked for is an error, not bars."""
    with pytest.raises(Malformed, match="asked for 1d bars, was given 3mo bars"):
        ask(chart(five_bars(), dataGranularity="3mo"))


def test_another_ticker_is_malformed() -> None:
    """An answer about another ticker is not taken for ours."""
    with pytest.raises(Malformed, match="asked for AAPL, was given MSFT"):
        ask(chart(five_bars(), symbol="MSFT"))


def test_arrays_of_unequal_length_are_malformed() -> None:
    """Values that do not match the stamps could be of any day."""
    document = chart(five_bars())
    document["chart"]["result"][0]["indicators"]["quote"][0]["low"].pop()
    with pytest.raises(Malformed, match="5 stamps but 4 values of low"):
        ask(document)


def test_pence_become_pounds() -> None:
    """GBp, ILA and ZAc are hundredths; float32 noise is removed before dividing."""
    rows = [Bar(date(2024, 3, 4), 1279.5, 1286.5699462890625, 1258, 1259.5, 728520)]
    for unit, currency in (("GBp", "GBP"), ("ILA", "ILS"), ("ZAc", "ZAR")):
        answer = ask(chart(rows, currency=unit))
        bar = answer.bars.row(0, named=True)
        assert answer.currency == currency
        assert (bar["open"], bar["high"], bar["low"], bar["close"]) == (
            12.795,
            12.8657,
            12.58,
            12.595,
        )
        assert bar["volume"] == 728520


def test_dividends_are_as_paid() -> None:
    """Amounts are multiplied by every later split in the answer, and no earlier one."""
    events = {
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
    answer = ask(chart(five_bars(), events=events))
    assert answer.splits.rows() == [
        ("AAPL", date(2024, 3, 6), 4.0),
        ("AAPL", date(2024, 3, 8), 7.0),
    ]
    assert answer.dividends.rows() == [
        ("AAPL", date(2024, 3, 5), 2.65, "USD"),
        ("AAPL", date(2024, 3, 6), 0.77, "USD"),
        ("AAPL", date(2024, 3, 8), 0.5, "USD"),
    ]


def test_reverse_splits_pence_and_capital_gains() -> None:
    """1-for-10 divides what was paid; pence dividends are in pounds; gains add to them."""
    events = {
        "splits": {"1": {"date": at(date(2024, 3, 7)), "numerator": 1, "denominator": 10}},
        "dividends": {"a": {"date": at(date(2024, 3, 5)), "amount": 25.0}},
        "capitalGains": {"b": {"date": at(date(2024, 3, 5)), "amount": 5.0}},
    }
    answer = ask(chart(five_bars(), events=events, currency="GBp"))
    assert answer.splits["ratio"].to_list() == [0.1]
    assert answer.dividends.rows() == [("AAPL", date(2024, 3, 5), 0.03, "GBP")]


def test_unreadable_events_are_rejected() -> None:
    """A split of nothing and a dividend of words are told, not guessed."""
    events = {
        "splits": {"1": {"date": at(date(2024, 3, 7)), "numerator": 0, "denominator": 1}},
        "dividends": {"a": {"date": at(date(2024, 3, 5)), "amount": "soon"}},
    }
    answer = ask(chart(five_bars(), events=events))
    assert answer.splits.is_empty()
    assert answer.dividends.is_empty()
    assert sorted(r[0].split(":")[0] for r in answer.rejected["reasons"].to_list()) == [
        "dividends",
        "split",
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
    ],
)  # fmt: skip
def test_errors_by_their_meaning(answer: httpx.Response, kind: type[Exception]) -> None:
    """Yahoo's codes and words become our errors, whatever the status."""
    with pytest.raises(kind):
        ask(answer)


def test_a_delisted_symbol_may_be_empty_and_nameless() -> None:
    """200 without bars, currency and first trade is a symbol Yahoo no longer knows."""
    document = chart([], currency=None, firstTradeDate=None)
    with pytest.raises(UnknownSymbol):
        ask(document)


def test_999_is_a_refusal() -> None:
    """Yahoo's own status for too many calls."""
    vendor = Vendor([httpx.Response(999, text="denied"), as_json(chart(five_bars()))])
    assert source_of("yahoo", vendor).fetch(WEEK).rate_limited == 1


def minutes(count: int, step: int = 1) -> tuple[list[Bar], list[int]]:
    rows = [Bar(date(2024, 3, 8)) for _ in range(count)]
    return rows, [at(date(2024, 3, 8)) + 60 * step * n for n in range(count)]


def test_minutes_are_asked_for_in_weeks() -> None:
    """More than seven days of 1m bars are several requests, one answer."""
    rows, stamps = minutes(3)
    vendor = Vendor([as_json(chart(rows, stamps=stamps, dataGranularity="1m"))])
    tile = Tile(
        "yahoo", "chart_1m", Interval.MINUTE, date(2024, 2, 29), date(2024, 3, 8), 1, "AAPL"
    )
    answer = source_of("yahoo", vendor).fetch(tile)
    assert answer.requests == 2
    spans = [int(r.url.params["period2"]) - int(r.url.params["period1"]) for r in vendor.asked]
    assert max(spans) <= 7 * 86_400
    assert answer.bars.height == 3
    assert answer.bars["ts"].to_list() == [datetime.fromtimestamp(s, UTC) for s in stamps]


def test_a_bar_that_is_not_over_is_left_out_of_minutes() -> None:
    """Bars end; the one under way, and the price mark that ends the series, are no bars."""
    rows, stamps = minutes(4, step=5)
    stamps[3] = stamps[2] + 90
    now = datetime.fromtimestamp(stamps[3], UTC)
    day = date(2024, 3, 8)
    document = chart(
        rows,
        stamps=stamps,
        dataGranularity="5m",
        regularMarketTime=stamps[3],
        currentTradingPeriod={"regular": {"start": at(day), "end": at(day, 16, 0)}},
    )
    tile = replace(WEEK, endpoint="chart_5m", interval=Interval.MINUTES_5)
    answer = ask(document, tile, now)
    assert answer.bars.height == 2
    assert answer.unfinished == {day}


def test_hours_may_be_called_sixty_minutes() -> None:
    """60m and 1h are one interval."""
    rows, stamps = minutes(2, step=60)
    document = chart(rows, stamps=stamps, dataGranularity="60m")
    tile = replace(WEEK, endpoint="chart_1h", interval=Interval.HOUR)
    assert ask(document, tile).bars.height == 2


def test_bars_keep_float32_noise() -> None:
    """Raw is what the vendor said; cleaning is validation's business."""
    row = Bar(date(2024, 3, 4), 74.05999755859375, 75.1500015258789, 73.79750061035156, 75.0875015258789)  # fmt: skip  # noqa: E501
    assert ask(chart([row])).bars["open"].to_list() == [74.05999755859375]
    capabilities = source_of("yahoo", Vendor([])).capabilities
    assert capabilities.endpoint("chart").float32


def test_a_cached_answer_from_before_the_close_is_not_used_again() -> None:
    """What was asked for was not over when the answer was given, so ask again."""
    vendor = Vendor([as_json(chart(five_bars()))])
    now = datetime(2024, 3, 8, 20, tzinfo=UTC)
    source = source_of("yahoo", vendor, now=now, base_url=None)
    source.fetch(WEEK)
    source.fetch(WEEK)
    assert len(vendor.asked) == 2
    source.fetch(replace(WEEK, end=date(2024, 3, 6)))
    assert len(vendor.asked) == 2, "a settled range may use the answer"


def test_the_answer_tells_when_the_vendor_gave_it() -> None:
    """A cached answer is adjusted as of its receipt, not of now."""
    answer = ask(chart(five_bars()))
    assert answer.received_at == NOON
    assert answer.received_at + timedelta(0) == NOON
    assert isinstance(answer.bars, pl.DataFrame)
