"""Finnhub's candles, quotes, companies and directory, from a vendor that answers as tests say."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path
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
from stock_platform.sources.base import FEED_SCHEMAS, Facts, Question
from stock_platform.sources.finnhub.spelling import same_company
from stock_platform.sources.quota import MemoryQuota
from stock_platform.sources.registry import SOURCES, build
from stock_platform.sources.spec import Setup
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

WEEK = Tile("finnhub", "candle", Interval.DAY, MONDAY, FRIDAY, 1, "AAPL")
PAIR = replace(WEEK, endpoint="forex_candle", symbol="EUR/USD")
REFUSAL = {"error": "You don't have access to this resource."}
LIMIT = {"error": "API limit reached. Please try again later. Remaining Limit: 0"}
QUOTE = {
    "c": 308.82, "d": 3.83, "dp": 1.2558, "h": 311.4, "l": 305.84, "o": 306.12, "pc": 304.99,
    "t": 1779480000,
}  # fmt: skip
ZEROS = {"c": 0, "d": None, "dp": None, "h": 0, "l": 0, "o": 0, "pc": 0, "t": 0}
PROFILE = {"country": "US", "currency": "USD", "name": "Apple Inc", "ticker": "AAPL"}
LISTED = {
    "currency": "USD", "description": "APPLE INC", "displaySymbol": "AAPL", "figi": "BBG000B9XRY4",
    "figiComposite": "BBG000B9XRY4", "mic": "XNAS", "symbol": "AAPL", "symbol2": "",
    "type": "Common Stock",
}  # fmt: skip


def epoch(*when: int) -> int:
    return int(datetime(*when, tzinfo=UTC).timestamp())  # type: ignore[arg-type,misc]  # y, m, d...


def candles(rows: Sequence[Bar], hour: int = 0, offset: int = 0) -> dict[str, Any]:
    """The document of daily bars whose days begin at ``hour`` UTC, ``offset`` days away."""
    first = [
        epoch(r.session.year, r.session.month, r.session.day, hour) + offset * 86_400 for r in rows
    ]
    return {
        "c": [r.close for r in rows],
        "h": [r.high for r in rows],
        "l": [r.low for r in rows],
        "o": [r.open for r in rows],
        "s": "ok",
        "t": first,
        "v": [r.volume for r in rows],
    }


def ask(feed: Feed, answer: object, symbol: str | None = "AAPL") -> Facts:
    made = answer if isinstance(answer, httpx.Response) else as_json(answer)
    return source_of("finnhub", Vendor([made])).ask(Question(feed, symbol))


class TestConformance(SourceConformance):
    source: ClassVar[str] = "finnhub"
    tile: ClassVar[Tile] = WEEK

    def answer_of(self, rows: Sequence[Bar]) -> Any:
        return candles(rows)

    def empty(self) -> httpx.Response:
        return as_json({"s": "no_data"})

    def refused(self) -> httpx.Response:
        return as_json(REFUSAL, 403)

    def notice(self) -> httpx.Response:
        return as_json(LIMIT)


def test_asks_for_candles() -> None:
    """A day more on both sides, since days begin in other zones; the key in its header alone."""
    vendor = Vendor([as_json(candles(five_bars()))])
    answer = source_of("finnhub", vendor).fetch(WEEK)
    request = vendor.asked[0]
    assert request.url.path == "/stock/candle"
    assert dict(request.url.params) == {
        "symbol": "AAPL",
        "resolution": "D",
        "from": str(epoch(2024, 3, 3)),
        "to": str(epoch(2024, 3, 10) - 1),
    }
    assert request.headers["x-finnhub-token"] == KEY
    assert (answer.basis, answer.currency) == (Basis.SPLIT_ADJUSTED, "USD")


@pytest.mark.parametrize("hour", [0, 5, 14])
def test_days_of_shares_begin_at_a_midnight(hour: int) -> None:
    """UTC's, New York's, or at the opening: the session is the same."""
    answer = source_of("finnhub", Vendor([as_json(candles(five_bars(), hour))])).fetch(WEEK)
    assert answer.bars["session"].to_list() == [row.session for row in five_bars()]
    assert answer.bars["ts"][0] == datetime(2024, 3, 4, 14, 30, tzinfo=UTC)


def test_days_abroad_begin_at_their_own_midnight() -> None:
    """Tokyo's is 15:00 UTC of the day before."""
    tile = replace(WEEK, symbol="7203.T")
    answer = source_of("finnhub", Vendor([as_json(candles(five_bars(), 15, -1))])).fetch(tile)
    assert answer.bars["session"].to_list() == [row.session for row in five_bars()]
    assert answer.bars["ts"][0] == datetime(2024, 3, 4, tzinfo=UTC)
    assert answer.currency is None


@pytest.mark.parametrize(("hour", "offset"), [(22, -1), (0, 0)])
def test_days_of_currencies_begin_the_evening_before(hour: int, offset: int) -> None:
    """17:00 in New York, 22:00 UTC in winter; Sunday evening is Monday's."""
    vendor = Vendor([as_json(candles(five_bars(), hour, offset))])
    answer = source_of("finnhub", vendor).fetch(PAIR)
    assert vendor.asked[0].url.path == "/forex/candle"
    assert vendor.asked[0].url.params["symbol"] == "OANDA:EUR_USD"
    assert answer.bars["session"].to_list() == [row.session for row in five_bars()]
    assert answer.bars["ts"][0] == datetime(2024, 3, 4, tzinfo=UTC)
    assert (answer.basis, answer.currency) == (Basis.AS_TRADED, "USD")


def test_a_running_day_of_a_currency_is_left_out() -> None:
    """Friday ends at 22:00 UTC."""
    document = candles(five_bars(), 22, -1)
    for hour, count in ((21, 4), (22, 5)):
        now = datetime(2024, 3, 8, hour, tzinfo=UTC)
        answer = source_of("finnhub", Vendor([as_json(document)]), now=now).fetch(PAIR)
        assert answer.bars.height == count
        assert answer.unfinished == ({FRIDAY} if count == 4 else set())


@pytest.mark.parametrize(
    ("symbol", "spelling"), [("BTC-USDT", "BINANCE:BTCUSDT"), ("BTC-USD", "COINBASE:BTC-USD")]
)
def test_coins(symbol: str, spelling: str) -> None:
    """UTC days; against money of Coinbase, against coins of Binance; the live day left out."""
    vendor = Vendor([as_json(candles(five_bars()))])
    tile = replace(WEEK, endpoint="crypto_candle", symbol=symbol)
    now = datetime(2024, 3, 8, 23, 59, tzinfo=UTC)
    answer = source_of("finnhub", vendor, now=now).fetch(tile)
    assert vendor.asked[0].url.path == "/crypto/candle"
    assert vendor.asked[0].url.params["symbol"] == spelling
    assert answer.bars.height == 4
    assert answer.unfinished == {FRIDAY}
    assert answer.currency == symbol.partition("-")[2]


def test_minutes_keep_their_stamps() -> None:
    """Bars of 15 minutes stamped with their start; the running one is left out."""
    stamps = [epoch(2024, 3, 8, 14, 30) + 900 * n for n in range(3)]
    document = {**candles([Bar(FRIDAY)] * 3), "t": stamps}
    tile = replace(WEEK, endpoint="candle_intraday", interval=Interval.MINUTES_15, start=FRIDAY)
    vendor = Vendor([as_json(document)])
    now = datetime(2024, 3, 8, 15, 14, tzinfo=UTC)
    answer = source_of("finnhub", vendor, now=now).fetch(tile)
    assert vendor.asked[0].url.params["resolution"] == "15"
    assert [int(ts.timestamp()) for ts in answer.bars["ts"]] == stamps[:2]
    assert set(answer.bars["session"]) == answer.unfinished == {FRIDAY}
    assert answer.basis is Basis.AS_TRADED


def test_bars_outside_the_range_are_left_out() -> None:
    """The margins' days; a range with nothing else has no data."""
    one_day = replace(WEEK, start=FRIDAY)
    source = source_of("finnhub", Vendor([as_json(candles(five_bars()))]))
    assert source.fetch(one_day).bars["session"].to_list() == [FRIDAY]
    with pytest.raises(NoData, match="no candles in 2024-03-09"):
        source.fetch(replace(WEEK, start=date(2024, 3, 9), end=date(2024, 3, 10)))


@pytest.mark.parametrize(
    ("document", "error", "said"),
    [
        ({"s": "ok", "t": [], "o": [], "h": [], "l": [], "c": [], "v": []}, NoData, "no candles"),
        ({**candles(five_bars()), "o": [1.0]}, Malformed, "different lengths"),
        ({**candles(five_bars()), "o": "x"}, Malformed, "o is str"),
        ({"s": "ok", "t": [1]}, Malformed, "no o, h, l, c beside s"),
        ({"s": "okay"}, Malformed, "s is 'okay'"),
        ({**candles(five_bars()), "t": ["a"] * 5}, Malformed, "none of 5 candles"),
        ({"error": "Invalid API key"}, NotEntitled, "Invalid API key"),
        ({"error": "Symbol not supported"}, UnknownSymbol, "not supported"),
        ({"error": "Internal error. Try again."}, Unavailable, "Internal"),
        ({"error": "Wrong resolution"}, Malformed, "refused: Wrong resolution"),
    ],
)
def test_what_is_not_candles(document: object, error: type[SourceError], said: str) -> None:
    """Each the right error, in the vendor's words."""
    with pytest.raises(error, match=said):
        source_of("finnhub", Vendor([as_json(document)])).fetch(WEEK)


def test_candles_without_volumes() -> None:
    """Of currencies there may be none; and a stamp that is none is told."""
    document = {k: v for k, v in candles(five_bars(), 22, -1).items() if k != "v"}
    document["t"][0] = None
    answer = source_of("finnhub", Vendor([as_json(document)])).fetch(PAIR)
    assert answer.bars["volume"].to_list() == [None] * 4
    assert answer.rejected["reasons"].to_list() == [["t: stamp is null"]]


def test_statuses_without_json() -> None:
    """401 and 403 are a refusal whatever they carry; 404 is a request gone wrong."""
    for status, error in ((401, NotEntitled), (403, NotEntitled), (404, Malformed)):
        vendor = Vendor([httpx.Response(status, text="<title>Nothing here</title>")])
        with pytest.raises(error, match="Nothing here"):
            source_of("finnhub", vendor).fetch(WEEK)


def test_a_refusal_names_the_endpoint_s_lack_once() -> None:
    """A free key: one request, not entitled, and nothing else is tried."""
    vendor = Vendor([as_json(REFUSAL, 403)])
    with pytest.raises(NotEntitled, match="plan lacks candles of AAPL: You don't have access"):
        source_of("finnhub", vendor).fetch(WEEK)
    assert len(vendor.asked) == 1


def test_candles_are_not_planned_while_others_have_them() -> None:
    """On standby, and last among the sources that are."""
    own = SOURCES["finnhub"].capabilities
    assert own.standby
    assert not any(endpoint.complete for endpoint in own.endpoints)
    others = [spec.capabilities for name, spec in SOURCES.items() if name != "finnhub"]
    assert own.preference > max(other.preference for other in others)


# ---- limits ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("headers", "slept"),
    [
        ({"X-Ratelimit-Reset": "1710000019"}, 19.0),
        ({"X-Ratelimit-Reset": "1710000019", "Retry-After": "7"}, 7.0),
        ({"X-Ratelimit-Reset": "1709999999"}, 1.0),
        ({"X-Ratelimit-Reset": "1810000000"}, 1.0),
        ({"X-Ratelimit-Reset": "soon"}, 1.0),
        ({}, 1.0),
    ],
)
def test_waits_until_the_limit_is_reset(headers: dict[str, str], slept: float) -> None:
    """429: X-Ratelimit-Reset in place of Retry-After, unless it cannot be meant."""
    clock = FakeTime()
    vendor = Vendor([as_json(LIMIT, 429, **headers), as_json(candles(five_bars()))])
    answer = source_of("finnhub", vendor, time=clock).fetch(WEEK)
    assert (answer.bars.height, answer.rate_limited) == (5, 1)
    assert clock.slept == [pytest.approx(slept)]


def test_a_reset_far_away_is_told() -> None:
    """Too long to wait for: RateLimited with the time."""
    vendor = Vendor([as_json(LIMIT, 429, **{"X-Ratelimit-Reset": "1710000600"})])
    with pytest.raises(RateLimited, match="API limit reached") as caught:
        source_of("finnhub", vendor).fetch(WEEK)
    assert caught.value.retry_after == pytest.approx(600)


# ---- facts ----------------------------------------------------------------------------


def test_a_quote() -> None:
    """Dollars, stamped in UTC, without a volume."""
    vendor = Vendor([as_json(QUOTE)])
    facts = source_of("finnhub", vendor).ask(Question(Feed.QUOTE, "BRK-B"))
    assert vendor.asked[0].url.path == "/quote"
    assert dict(vendor.asked[0].url.params) == {"symbol": "BRK.B"}
    assert dict(facts.frame.schema) == FEED_SCHEMAS[Feed.QUOTE]
    assert facts.frame.row(0, named=True) == {
        "symbol": "BRK.B",
        "ts": datetime(2026, 5, 22, 20, tzinfo=UTC),
        "price": 308.82,
        "open": 306.12,
        "high": 311.4,
        "low": 305.84,
        "previous_close": 304.99,
        "volume": None,
        "currency": "USD",
    }
    assert (facts.requests, facts.http_status) == (1, 200)


@pytest.mark.parametrize(
    ("symbol", "spelling", "currency"),
    [
        ("VOD.L", "VOD.L", None),
        ("BAC.PRB", "BAC.PRB", "USD"),
        ("^GSPC", "^GSPC", None),
        ("EUR/GBP", "OANDA:EUR_GBP", "GBP"),
        ("ETH-BTC", "BINANCE:ETHBTC", "BTC"),
    ],
)
def test_spellings(symbol: str, spelling: str, currency: str | None) -> None:
    """As Finnhub writes them; a currency only where it is certain."""
    vendor = Vendor([as_json(QUOTE)])
    facts = source_of("finnhub", vendor).ask(Question(Feed.QUOTE, symbol))
    assert vendor.asked[0].url.params["symbol"] == spelling
    assert facts.frame["currency"].to_list() == [currency]


def test_futures_are_unknown_without_a_call() -> None:
    """Finnhub has none."""
    vendor = Vendor([as_json(QUOTE)])
    with pytest.raises(UnknownSymbol, match="no futures"):
        source_of("finnhub", vendor).ask(Question(Feed.QUOTE, "GC=F"))
    assert not vendor.asked


@pytest.mark.parametrize(
    ("document", "error", "said"),
    [
        (ZEROS, UnknownSymbol, "all zeros"),
        ({**ZEROS, "c": None, "t": None}, UnknownSymbol, "all zeros"),
        ({**ZEROS, "pc": 5.0, "t": 1779480000}, Malformed, "c is 0"),
        ({**QUOTE, "t": 0}, Malformed, "t is 0"),
        ({**QUOTE, "c": "much"}, Malformed, "'much' is not a number"),
        ({"count": 0, "result": []}, Malformed, "no c, pc and t"),
        ([], Malformed, "not an object"),
        (REFUSAL, NotEntitled, "have access"),
    ],
)
def test_quotes_that_are_none(document: object, error: type[SourceError], said: str) -> None:
    """All zeros is an unknown symbol, at HTTP 200."""
    with pytest.raises(error, match=said):
        ask(Feed.QUOTE, document)


def test_a_quote_before_the_first_trade_of_a_session() -> None:
    """Zeros for what is not there yet are nulls."""
    row = ask(Feed.QUOTE, {**QUOTE, "o": 0, "h": 0, "l": 0}).frame.row(0, named=True)
    assert (row["price"], row["open"], row["high"], row["low"]) == (308.82, None, None, None)


def test_a_profile() -> None:
    """Millions become units; what it lacks is null."""
    document = {
        **PROFILE, "exchange": "NEW YORK STOCK EXCHANGE, INC.", "ipo": "1980-12-12",
        "marketCapitalization": 4535749.272209372, "shareOutstanding": 14687.36,
        "finnhubIndustry": "Technology", "weburl": "",
    }  # fmt: skip
    row = ask(Feed.PROFILE, document).frame.row(0, named=True)
    assert row["market_cap"] == 4_535_749_272_209.37
    assert row["shares_outstanding"] == 14_687_360_000.0
    assert (row["exchange"], row["listed_on"]) == ("XNYS", date(1980, 12, 12))
    assert (row["industry"], row["website"], row["sector"]) == ("Technology", None, None)


def test_a_profile_of_another_share_of_the_company() -> None:
    """Asked for BRK.B it tells of BRK.A; that of another company is not taken."""
    facts = ask(Feed.PROFILE, {**PROFILE, "ticker": "BRK.A"}, "BRK.B")
    assert facts.frame["symbol"].to_list() == ["BRK.B"]
    with pytest.raises(Malformed, match="asked for MSFT, was given AAPL"):
        ask(Feed.PROFILE, PROFILE, "MSFT")


@pytest.mark.parametrize(
    ("given", "asked", "same"),
    [
        ("GOOGL", "GOOG", True), ("GOOG", "GOOGL", True), ("FOXA", "FOX", True),
        ("LBRDA", "LBRDK", True), ("BAC", "BAC.PRB", True), ("A", "AA", False),
        ("MSFT", "AAPL", False), ("AAL", "AAPL", False), ("AAP", "AAL", False),
    ],
)  # fmt: skip
def test_shares_of_one_company(given: str, asked: str, same: bool) -> None:
    """By their roots: equal, or apart by one letter at the end."""
    assert same_company(given, asked) is same


@pytest.mark.parametrize(
    ("document", "error", "said"),
    [
        ({}, UnknownSymbol, "no profile"),
        ({"metric": {}}, Malformed, "no ticker and name"),
        ({**PROFILE, "ipo": "soon"}, Malformed, "ipo: 'soon' is not a date"),
        ({**PROFILE, "shareOutstanding": "many"}, Malformed, "shareOutstanding"),
        (REFUSAL, NotEntitled, "have access"),
    ],
)
def test_profiles_that_are_none(document: object, error: type[SourceError], said: str) -> None:
    """An empty object is an unknown symbol."""
    with pytest.raises(error, match=said):
        ask(Feed.PROFILE, document)


def test_the_directory() -> None:
    """Canonical symbols, kinds and markets; what cannot be read is told."""
    rows = [
        {**LISTED, "symbol": "SPY", "type": "ETP", "mic": "ARCX"},
        {**LISTED, "symbol": "RC.PRE", "type": "PUBLIC", "figiComposite": ""},
        LISTED,
        LISTED,
        {**LISTED, "description": "ANOTHER"},
        {**LISTED, "symbol": "..."},
        {"symbol": "AAPL", "buy": 24, "period": "2025-03-01"},
    ]
    vendor = Vendor([as_json(rows)])
    facts = source_of("finnhub", vendor).ask(Question(Feed.LISTING))
    assert vendor.asked[0].url.path == "/stock/symbol"
    assert dict(vendor.asked[0].url.params) == {"exchange": "US"}
    assert facts.frame["symbol"].to_list() == ["AAPL", "RC.PRE", "SPY"]
    assert facts.frame["asset_class"].to_list() == ["stock", "stock", "etf"]
    assert facts.frame["exchange"].to_list() == ["XNAS", "XNAS", "ARCX"]
    assert facts.frame["figi"].to_list() == ["BBG000B9XRY4"] * 3
    assert facts.frame["active"].all()
    assert facts.rejected.height == 3


@pytest.mark.parametrize(
    ("document", "error", "said"),
    [
        ([], NoData, "empty"),
        ({"count": 1}, Malformed, "dict, not an array"),
        ([{"symbol": "AAPL", "buy": 24}], Malformed, "none of 1 entries"),
        ([1], Malformed, "an entry of the directory is int"),
        (LIMIT, RateLimited, "limit reached"),
    ],
)
def test_directories_that_are_none(document: object, error: type[SourceError], said: str) -> None:
    """Other answers that have a symbol are not taken for it."""
    with pytest.raises(error, match=said):
        ask(Feed.LISTING, document, None)


def test_one_entry_is_searched_for() -> None:
    """One request, and only the symbol itself; the others are but like it."""
    rows = [LISTED, {**LISTED, "symbol": "APLE"}, {**LISTED, "symbol": "2788.T"}]
    vendor = Vendor([as_json({"count": 3, "result": rows})])
    source = source_of("finnhub", vendor)
    facts = source.ask(Question(Feed.LISTING, "2788.T"))
    assert (vendor.asked[0].url.path, vendor.asked[0].url.params["q"]) == ("/search", "2788.T")
    assert facts.frame["symbol"].to_list() == ["2788.T"]
    with pytest.raises(UnknownSymbol, match="not among 3 results"):
        source.ask(Question(Feed.LISTING, "MSFT"))
    with pytest.raises(UnknownSymbol, match="not among 0 results"):
        ask(Feed.LISTING, {"count": 0, "result": []})


# ---- the directory's detour -----------------------------------------------------------


def moved(location: str) -> Callable[[httpx.Request], httpx.Response]:
    def handle(request: httpx.Request) -> httpx.Response:
        if request.url.path == "/stock/symbol":
            return httpx.Response(302, headers={"location": location})
        return as_json([LISTED])

    return handle


@pytest.mark.parametrize(
    ("location", "host"),
    [
        ("https://files.example/us.json?signature=a%2Fb", "files.example"),
        ("/file/us.json?signature=a%2Fb", "vendor.test"),
    ],
)
def test_the_directory_may_be_elsewhere(location: str, host: str) -> None:
    """A redirect to a signed file is followed once, and without the key."""
    vendor = Vendor([moved(location)])
    facts = source_of("finnhub", vendor).ask(Question(Feed.LISTING))
    assert facts.frame.height == 1
    assert facts.requests == 1
    first, second = vendor.asked
    assert first.headers["x-finnhub-token"] == KEY
    assert second.url.host == host
    assert str(second.url).endswith("us.json?signature=a%2Fb")
    assert "x-finnhub-token" not in second.headers


@pytest.mark.parametrize(
    "location", ["http://files.example/us.json", "", "https://files.example:port/"]
)
def test_other_detours_are_not_taken(location: str) -> None:
    """Nothing unencrypted on another host, nothing without an address."""
    vendor = Vendor([moved(location)])
    with pytest.raises(Unavailable, match=r"HTTP 302|Invalid URL"):
        source_of("finnhub", vendor, http=HttpOptions(attempts=1)).ask(Question(Feed.LISTING))
    assert {request.url.path for request in vendor.asked} == {"/stock/symbol"}


def test_a_detour_that_leads_on_ends() -> None:
    """Once is enough; and other paths are not followed at all."""
    vendor = Vendor([httpx.Response(302, headers={"location": "https://files.example/more"})])
    source = source_of("finnhub", vendor, http=HttpOptions(attempts=1))
    with pytest.raises(Unavailable):
        source.ask(Question(Feed.LISTING))
    assert len(vendor.asked) == 2
    with pytest.raises(Unavailable):
        source.ask(Question(Feed.QUOTE, "AAPL"))
    assert len(vendor.asked) == 3


# ---- what cannot be asked -------------------------------------------------------------


def test_what_cannot_be_asked() -> None:
    """A quote of nothing, splits, candles of nothing, no key."""
    source = source_of("finnhub", Vendor([as_json(QUOTE)]))
    with pytest.raises(InputError, match="name one"):
        source.ask(Question(Feed.QUOTE))
    with pytest.raises(InputError, match="use one of bars, quote, profile, listing"):
        source.ask(Question(Feed.SPLITS, "AAPL"))
    with pytest.raises(InputError, match="one symbol at a time"):
        source.fetch(replace(WEEK, symbol=None))
    with pytest.raises(InputError, match=r"FINNHUB_API_KEY.*get one at https://finnhub\.io"):
        build(Setup(SOURCES["finnhub"].capabilities, MemoryQuota()))


def test_facts_are_asked_anew(tmp_path: Path) -> None:
    """The present is never cached."""
    vendor = Vendor([as_json(QUOTE)])
    source = source_of(
        "finnhub", vendor, base_url=None, http=HttpOptions(cache_dir=tmp_path), now=NOON
    )
    for _ in range(2):
        source.ask(Question(Feed.QUOTE, "AAPL"))
    assert len(vendor.asked) == 2
