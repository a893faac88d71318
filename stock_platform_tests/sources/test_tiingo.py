"""Tiingo against a vendor that answers as tests say."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any, ClassVar

import httpx
import polars as pl
import pytest

from stock_platform.domain.bars import Basis, Interval
from stock_platform.domain.capabilities import Feed, Tile
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
from stock_platform.sources.base import PARSED_DIVIDENDS, PARSED_SPLITS, PROFILES, Question
from stock_platform.sources.quota import MemoryQuota
from stock_platform.sources.registry import SOURCES, build
from stock_platform.sources.spec import Setup
from stock_platform.sources.tiingo.spelling import read, spell, spell_coin
from stock_platform.sources.transport import HttpOptions
from stock_platform_tests.sources.conformance import FRIDAY, MONDAY, SourceConformance
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

WEEK = Tile("tiingo", "daily", Interval.DAY, MONDAY, FRIDAY, 1, "AAPL")
IEX = Tile("tiingo", "iex", Interval.MINUTES_5, FRIDAY, FRIDAY, 1, "AAPL")
COIN = Tile("tiingo", "crypto", Interval.DAY, MONDAY, FRIDAY, 1, "BTC-USD")
SPENT = (
    "You have run over your hourly request allocation. Please upgrade at "
    "https://api.tiingo.com/pricing to have your limits increased."
)
PATIENT = HttpOptions(max_wait=20_000)


def row(bar: Bar, **more: Any) -> dict[str, Any]:
    """A row of ``daily``, its adjusted prices different."""
    return {
        "date": f"{bar.session}T00:00:00.000Z", "close": bar.close, "high": bar.high,
        "low": bar.low, "open": bar.open, "volume": bar.volume, "adjClose": 1.0, "adjHigh": 1.0,
        "adjLow": 1.0, "adjOpen": 1.0, "adjVolume": 4, "divCash": 0.0, "splitFactor": 1.0,
    } | more  # fmt: skip


def minute(at: datetime, **more: Any) -> dict[str, Any]:
    """A row of ``iex``."""
    stamp = at.strftime("%Y-%m-%dT%H:%M:%S.000Z")
    return {"date": stamp, "open": 10.0, "high": 11.0, "low": 9.0, "close": 10.5, **more}


def coin(*rows: dict[str, Any], ticker: str = "btcusd", **more: Any) -> dict[str, Any]:
    return {
        "ticker": ticker, "baseCurrency": ticker[:-3], "quoteCurrency": ticker[-3:],
        "priceData": list(rows),
    } | more  # fmt: skip


def price(bar: Bar, **more: Any) -> dict[str, Any]:
    """A row of ``crypto``."""
    return {
        "date": f"{bar.session}T00:00:00+00:00", "open": bar.open, "high": bar.high,
        "low": bar.low, "close": bar.close, "volume": 2.5, "volumeNotional": 26.25,
        "tradesDone": 77, **more,
    }  # fmt: skip


def ask(document: Any, tile: Tile = WEEK, now: datetime = NOON) -> Any:
    answer = document if isinstance(document, httpx.Response) else as_json(document)
    return source_of("tiingo", Vendor([answer]), now=now).fetch(tile)


class TestConformance(SourceConformance):
    source: ClassVar[str] = "tiingo"
    tile: ClassVar[Tile] = WEEK

    def answer_of(self, rows: Sequence[Bar]) -> Any:
        return [row(bar) for bar in rows]

    def empty(self) -> httpx.Response:
        return as_json([])

    def refused(self) -> httpx.Response:
        said = "You do not have permission to access this data. Please upgrade your plan"
        return as_json({"detail": said}, 403)

    def notice(self) -> httpx.Response:
        return httpx.Response(200, text=SPENT)

    # The allowance comes back by the hour, so waiting takes more patience than elsewhere.

    def test_waits_longer_each_time_without_retry_after(self) -> None:
        """429 without Retry-After: an hour, the next time two."""
        time = FakeTime()
        limited = httpx.Response(429, text="Too Many Requests")
        answer = self.fetch(limited, limited, self.answer(five_bars()), time=time, http=PATIENT)
        assert answer.bars.height == 5
        assert time.slept == [3600.0, 7200.0]

    def test_understands_a_notice_in_a_good_status(self) -> None:
        """HTTP 200 with "run over your allocation" holds until the next full hour."""
        with pytest.raises(RateLimited) as caught:
            self.fetch(self.notice(), now=NOON + timedelta(minutes=45))
        assert caught.value.retry_after == 900.0
        answer = self.fetch(self.notice(), self.answer(five_bars()), http=PATIENT)
        assert (answer.bars.height, answer.rate_limited) == (5, 1)

    def test_asks_for_leave_every_time(self) -> None:
        """The fifty-first call of an hour waits for it to pass."""
        time = FakeTime()
        vendor = Vendor([self.answer(five_bars())])
        source = source_of("tiingo", vendor, time=time, http=PATIENT)
        for day in range(51):
            source.fetch(replace(WEEK, start=MONDAY - timedelta(days=day)))
        assert time.slept == [3600.0]
        assert len(vendor.asked) == 51


def test_asks_for_a_range_as_traded() -> None:
    """One request, the key in a header alone; raw prices, not the adjusted ones."""
    vendor = Vendor([as_json([row(bar) for bar in five_bars()])])
    answer = source_of("tiingo", vendor).fetch(WEEK)
    request = vendor.asked[0]
    assert request.url.path == "/tiingo/daily/AAPL/prices"
    assert dict(request.url.params) == {
        "startDate": "2024-03-04", "endDate": "2024-03-08", "format": "json",
        "resampleFreq": "daily",
    }  # fmt: skip
    assert request.headers["authorization"] == f"Token {KEY}"
    assert KEY not in str(request.url)
    assert answer.bars["open"].to_list() == [10.0, 11.0, 12.0, 13.0, 14.0]
    assert (answer.currency, answer.splits.height, answer.dividends.height) == ("USD", 0, 0)
    assert SOURCES["tiingo"].capabilities.endpoint("daily").basis is Basis.AS_TRADED


def test_what_split_and_paid_comes_with_the_bars() -> None:
    """On the day it went ex; once, though the row comes twice."""
    rows = [row(bar) for bar in five_bars()]
    rows[1] |= {"splitFactor": 4.0}
    rows[2] |= {"divCash": 0.24}
    rows[3] |= {"splitFactor": "0.1", "divCash": None}
    answer = ask([*rows, rows[1], rows[2]])
    assert dict(answer.splits.schema) == PARSED_SPLITS
    assert dict(answer.dividends.schema) == PARSED_DIVIDENDS
    assert answer.splits.rows() == [
        ("AAPL", date(2024, 3, 5), 4.0),
        ("AAPL", date(2024, 3, 7), 0.1),
    ]
    assert answer.dividends.rows() == [("AAPL", date(2024, 3, 6), 0.24, "USD")]


def test_a_split_that_is_none_is_told() -> None:
    """A factor of zero would make a price infinite; a split beside a bad price still holds."""
    rows = [row(bar) for bar in five_bars()]
    rows[0] |= {"splitFactor": 0.0}
    rows[1] |= {"divCash": -1.0}
    rows[2] |= {"splitFactor": 2.0, "close": None}
    answer = ask(rows)
    assert answer.bars.height == 2
    reasons = [reason[0] for reason in answer.rejected["reasons"]]
    assert reasons == ["splitFactor is 0", "divCash is -1", "close is null"]
    assert answer.splits["ratio"].to_list() == [2.0]


@pytest.mark.parametrize(
    ("days", "name"),
    [
        (["2018-01-05", "2018-01-12", "2018-01-19"], "weeks"),
        (["2018-03-23", "2018-03-29", "2018-04-06"], "weeks"),
        (["2018-01-31", "2018-02-28", "2018-03-29", "2018-04-30"], "months"),
        (["2016-12-30", "2017-12-29", "2018-12-31"], "years"),
    ],
)
def test_longer_bars_are_refused(days: list[str], name: str) -> None:
    """An answer does not say what its bars are, so their distance has to."""
    rows = [row(Bar(date.fromisoformat(day))) for day in days]
    tile = replace(WEEK, start=date(2016, 1, 1), end=date(2019, 1, 1))
    with pytest.raises(Malformed, match=f"asked for 1d, was given bars .* which are {name}"):
        ask(rows, tile)


def test_a_share_that_seldom_trades_has_days_nonetheless() -> None:
    """Gaps alone are no weeks."""
    days = [date(2018, 1, 5), date(2018, 1, 12), date(2018, 1, 16)]
    tile = replace(WEEK, start=date(2018, 1, 1), end=date(2018, 2, 1))
    assert ask([row(Bar(day)) for day in days], tile).bars.height == 3
    assert ask([row(Bar(days[0]))], tile).bars.height == 1


def test_a_day_that_is_not_published_yet() -> None:
    """Friday is over, but its bar is not there: ask again."""
    rows = [row(bar) for bar in five_bars()[:4]]
    evening = datetime(2024, 3, 8, 22, tzinfo=UTC)
    assert ask(rows, now=evening).unfinished == {FRIDAY}
    assert ask(rows).unfinished == frozenset()
    assert ask([], replace(WEEK, start=FRIDAY), evening).unfinished == {FRIDAY}


def test_bars_outside_the_range_are_left_out() -> None:
    """Without dates the vendor answers with the last day, whatever was asked."""
    rows = [row(bar, splitFactor=2.0) for bar in five_bars()]
    answer = ask(rows, replace(WEEK, end=date(2024, 3, 6)))
    assert (answer.bars.height, answer.splits.height) == (3, 3)
    with pytest.raises(NoData, match="AAPL: no bars in 2024-02-01"):
        ask(rows, replace(WEEK, start=date(2024, 2, 1), end=date(2024, 2, 2)))


@pytest.mark.parametrize(
    ("answer", "kind", "said"),
    [
        (as_json({"detail": "Not found."}, 404), UnknownSymbol, "AAPL: Not found."),
        (as_json({"detail": "Error: Ticker 'AAPL' not found"}), UnknownSymbol, "not found"),
        (as_json({"detail": "Please supply a token"}, 401), NotEntitled, "supply a token"),
        (as_json({"detail": "Please supply a token"}, 403), NotEntitled, "supply a token"),
        (as_json({"detail": "Invalid token."}), NotEntitled, "Invalid token"),
        (httpx.Response(403, text="<title>Denied</title>"), NotEntitled, "Denied"),
        (httpx.Response(404, text="<title>Lost</title>"), Malformed, "HTML page.*Lost"),
        (as_json({"detail": SPENT}), RateLimited, "hourly request allocation"),
        (as_json({"detail": f"Error: {SPENT}"}, 429), RateLimited, "hourly request allocation"),
        (as_json([SPENT]), RateLimited, "hourly request allocation"),
        (httpx.Response(200, text=SPENT), RateLimited, "hourly request allocation"),
        (httpx.Response(403, text=SPENT), RateLimited, "hourly request allocation"),
        (as_json({"detail": "Error: startDate is after endDate"}, 400), Malformed, "HTTP 400"),
        (as_json({"detail": "Please try again later"}), Unavailable, "try again"),
        (as_json([{"close": 1.0}]), Malformed, "none of 1 rows.*date: None"),
        (as_json([row(Bar(MONDAY), date="soon")]), Malformed, "'soon' is not a stamp"),
        (as_json([row(Bar(MONDAY), date="2024-03-04T14:30:00Z")]), Malformed, "times of the day"),
        (as_json({"ticker": "AAPL", "name": "Apple"}), Malformed, "an object with no rows"),
        (as_json([1]), Malformed, "a row is int"),
    ],
)
def test_errors(answer: httpx.Response, kind: type[SourceError], said: str) -> None:
    """By status, in a good status, as JSON and as plain text."""
    with pytest.raises(kind, match=said):
        ask(answer)


@pytest.mark.parametrize(
    ("said", "seconds"),
    [
        ("You have run over your hourly request allocation.", 3600),
        ("You have run over your daily request allocation.", 12 * 3600),
        ("You have run over your 500 symbol look up for this month.", 86_400),
    ],
)
def test_when_an_allowance_comes_back(said: str, seconds: float) -> None:
    """At the full hour, at midnight in New York, with the month; faster by a faster clock."""
    with pytest.raises(RateLimited) as caught:
        ask(httpx.Response(200, text=said))
    assert caught.value.retry_after == pytest.approx(seconds)
    capabilities = SOURCES["tiingo"].capabilities
    limits = tuple(replace(limit, seconds=limit.seconds / 60) for limit in capabilities.limits)
    source = build(
        Setup(
            replace(capabilities, limits=limits),
            MemoryQuota(),
            clock=FixedClock(NOON),
            keys={"TIINGO_API_KEY": KEY},
            base_url="https://vendor.test",
            http=HttpOptions(
                transport=httpx.MockTransport(Vendor([httpx.Response(200, text=said)])), max_wait=1
            ),
        )
    )
    with pytest.raises(RateLimited) as caught:
        source.fetch(WEEK)
    assert caught.value.retry_after == pytest.approx(seconds / 60)


@pytest.mark.parametrize(
    ("symbol", "spelled"),
    [
        ("AAPL", "AAPL"), ("NA", "NA"), ("BRK.B", "BRK-B"), ("SPG.PRJ", "SPG-P-J"),
        ("TY.PR", "TY-P"), ("ACHR.WS", "ACHR-WS"), ("AAM.U", "AAM-U"), ("VFINX", "VFINX"),
    ],
)  # fmt: skip
def test_its_spelling(symbol: str, spelled: str) -> None:
    """There and back."""
    assert spell(parse_symbol(symbol)) == spelled
    assert read(spelled.lower()).ticker == symbol


@pytest.mark.parametrize("symbol", ["VOD.L", "^GSPC", "GC=F", "EUR/USD", "AAN.WI", "BTC-USD"])
def test_what_it_has_no_spelling_for_is_unknown(symbol: str) -> None:
    """No call is made."""
    vendor = Vendor([])
    with pytest.raises(UnknownSymbol):
        source_of("tiingo", vendor).fetch(replace(WEEK, symbol=symbol))
    with pytest.raises(UnknownSymbol):
        spell_coin(parse_symbol("AAPL"))
    assert not vendor.asked


def five_minutes(count: int, step: int = 5) -> list[dict[str, Any]]:
    opened = datetime(2024, 3, 8, 14, 30, tzinfo=UTC)
    return [minute(opened + timedelta(minutes=step * n)) for n in range(count)]


def test_minutes_are_of_one_exchange() -> None:
    """Stamped in UTC at their start; that exchange's volume is not the market's."""
    vendor = Vendor([as_json([{**entry, "volume": 100} for entry in five_minutes(78)])])
    answer = source_of("tiingo", vendor).fetch(IEX)
    request = vendor.asked[0]
    assert request.url.path == "/iex/AAPL/prices"
    assert dict(request.url.params) == {
        "startDate": "2024-03-08", "endDate": "2024-03-08", "format": "json",
        "resampleFreq": "5min",
    }  # fmt: skip
    assert answer.bars.height == 78
    assert answer.bars["ts"][0] == datetime(2024, 3, 8, 14, 30, tzinfo=UTC)
    assert answer.bars["ts"][-1] == datetime(2024, 3, 8, 20, 55, tzinfo=UTC)
    assert set(answer.bars["session"]) == {FRIDAY}
    assert answer.bars["volume"].null_count() == 78


def test_a_minute_that_is_not_over_is_left_out() -> None:
    """And the session is told as unfinished."""
    answer = ask(five_minutes(5), IEX, datetime(2024, 3, 8, 14, 52, tzinfo=UTC))
    assert answer.bars.height == 4
    assert answer.unfinished == {FRIDAY}


def test_minutes_of_another_length_are_refused() -> None:
    """Longer ones where there are enough to tell; shorter ones always."""
    with pytest.raises(Malformed, match="asked for 5m, was given bars 0:30:00 apart"):
        ask(five_minutes(13, 30), IEX)
    with pytest.raises(Malformed, match="asked for 5m, was given bars 0:01:00 apart"):
        ask(five_minutes(3, 1), IEX)
    assert ask(five_minutes(3, 30), IEX).bars.height == 3


def test_a_coin() -> None:
    """Of those in the answer, the one asked for; days of UTC, volumes in coins."""
    rows = [price(bar) for bar in five_bars()]
    vendor = Vendor([as_json([coin(ticker="ethusd"), coin(*rows, exchangeData={"GDAX": []})])])
    answer = source_of("tiingo", vendor).fetch(COIN)
    request = vendor.asked[0]
    assert request.url.path == "/tiingo/crypto/prices"
    assert dict(request.url.params) == {
        "tickers": "btcusd", "startDate": "2024-03-04", "endDate": "2024-03-08",
        "resampleFreq": "1day",
    }  # fmt: skip
    assert answer.bars["session"].to_list() == [bar.session for bar in five_bars()]
    assert answer.bars["ts"][0] == datetime(2024, 3, 4, tzinfo=UTC)
    assert (answer.bars["volume"][0], answer.bars["trades"][0]) == (2.5, 77)
    assert answer.currency == "USD"


def test_a_coins_day_in_progress_is_left_out() -> None:
    """It is in the answer all the same."""
    rows = [price(bar) for bar in five_bars()]
    answer = ask([coin(*rows)], COIN, datetime(2024, 3, 8, 12, tzinfo=UTC))
    assert answer.bars["session"].max() == date(2024, 3, 7)
    assert answer.unfinished == {FRIDAY}


def test_a_coins_minutes() -> None:
    """Asked for to the next midnight, since an end is an instant; what is beyond is dropped."""
    opened = datetime(2024, 3, 8, 23, tzinfo=UTC)
    rows = [minute(opened + timedelta(minutes=15 * n), volume=1.5) for n in range(5)]
    tile = replace(COIN, endpoint="crypto_intraday", interval=Interval.MINUTES_15, start=FRIDAY)
    vendor = Vendor([as_json([coin(*rows)])])
    answer = source_of("tiingo", vendor).fetch(tile)
    assert dict(vendor.asked[0].url.params) == {
        "tickers": "btcusd", "startDate": "2024-03-08", "endDate": "2024-03-09",
        "resampleFreq": "15min",
    }  # fmt: skip
    assert answer.bars.height == 4
    assert answer.bars["volume"].sum() == 6.0


@pytest.mark.parametrize(
    ("document", "kind", "said"),
    [
        ([], NoData, "no coin of that name"),
        ([coin()], NoData, "BTC-USD: no bars"),
        ([coin(ticker="ethusd")], Malformed, "asked for BTC-USD, was given ethusd"),
        ([{"ticker": "btcusd"}], Malformed, "no priceData"),
        ([coin(priceData=3)], Malformed, "priceData is int"),
        ({"ticker": "btcusd"}, Malformed, "an object with no coins"),
    ],
)
def test_no_coin(document: Any, kind: type[SourceError], said: str) -> None:
    """An unknown pair is an empty answer, as is one without trades."""
    with pytest.raises(kind, match=said):
        ask(document, COIN)


META = {
    "ticker": "BRK-B", "name": " Berkshire\nHathaway", "exchangeCode": "NYSE",
    "startDate": "1996-05-09", "endDate": "2024-03-08", "description": "Insurance.",
}  # fmt: skip


def profile(document: Any, symbol: str | None = "BRK.B", status: int = 200) -> pl.DataFrame:
    source = source_of("tiingo", Vendor([as_json(document, status)]))
    return source.ask(Question(Feed.PROFILE, symbol)).frame


def test_a_profile() -> None:
    """Name, exchange, and the first day with a price; what is not told is null."""
    vendor = Vendor([as_json(META)])
    facts = source_of("tiingo", vendor).ask(Question(Feed.PROFILE, "BRK-B"))
    assert (vendor.asked[0].url.path, facts.requests) == ("/tiingo/daily/BRK-B", 1)
    assert dict(facts.frame.schema) == PROFILES
    found = facts.frame.row(0, named=True)
    assert {name: value for name, value in found.items() if value is not None} == {
        "symbol": "BRK.B", "name": "Berkshire Hathaway", "exchange": "XNYS", "currency": "USD",
        "listed_on": date(1996, 5, 9),
    }  # fmt: skip
    other = profile({**META, "exchangeCode": "PINK", "startDate": None}).row(0, named=True)
    assert (other["exchange"], other["listed_on"]) == ("PINK", None)
    fund = profile({**META, "ticker": "vfinx"}, "VFINX").row(0, named=True)
    assert fund["asset_class"] == "fund"


@pytest.mark.parametrize(
    ("document", "status", "kind", "said"),
    [
        ({"detail": "Not found."}, 404, UnknownSymbol, "BRK.B: Not found"),
        ({**META, "ticker": "MSFT"}, 200, Malformed, "asked for BRK.B, was given MSFT"),
        ({**META, "startDate": "soon"}, 200, Malformed, "startDate is 'soon'"),
        ({"ticker": "BRK-B"}, 200, Malformed, "no name or no ticker"),
        ([META], 200, Malformed, "not an object"),
    ],
)
def test_no_profile(document: Any, status: int, kind: type[SourceError], said: str) -> None:
    """Refused with a reason."""
    with pytest.raises(kind, match=said):
        profile(document, status=status)


def test_what_it_needs() -> None:
    """A key, a symbol, and a feed it has."""
    with pytest.raises(InputError, match=r"TIINGO_API_KEY.*get one at"):
        build(Setup(SOURCES["tiingo"].capabilities, MemoryQuota()))
    source = source_of("tiingo", Vendor([]))
    with pytest.raises(InputError, match="answers for one symbol"):
        source.fetch(replace(WEEK, symbol=None))
    with pytest.raises(InputError, match="a profile is of one symbol"):
        source.ask(Question(Feed.PROFILE))
    with pytest.raises(InputError, match="use one of bars, profile"):
        source.ask(Question(Feed.QUOTE, "AAPL"))
