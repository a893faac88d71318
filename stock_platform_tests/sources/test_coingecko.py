"""CoinGecko against a vendor that answers as tests say."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any, ClassVar

import httpx
import pytest

from stock_platform.domain.bars import Basis, Interval
from stock_platform.domain.capabilities import Feed, Limit, Tile
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
from stock_platform.sources.base import LISTINGS, PROFILES, QUOTES, Question
from stock_platform.sources.coingecko.coins import IDS
from stock_platform.sources.quota import MemoryQuota
from stock_platform.sources.registry import SOURCES, build
from stock_platform.sources.spec import Setup
from stock_platform_tests.sources.conformance import DAYS, HTML, SourceConformance
from stock_platform_tests.sources.vendors import (
    KEY,
    NOON,
    Bar,
    Vendor,
    as_json,
    five_bars,
    source_of,
)

MONDAY, FRIDAY = date(2024, 3, 4), date(2024, 3, 8)
WEEK = Tile("coingecko", "ohlc", Interval.DAY, MONDAY, FRIDAY, 1, "BTC-USD")
FOUR_HOURS = timedelta(hours=4)


def candles(row: Bar, step: timedelta = FOUR_HOURS) -> list[list[Any]]:
    """A day's candles: all alike, stamped with their ends."""
    midnight = datetime(row.session.year, row.session.month, row.session.day, tzinfo=UTC)
    ends = [midnight + (n + 1) * step for n in range(timedelta(days=1) // step)]
    values = [row.open, row.high, row.low, row.close]
    return [[int(end.timestamp() * 1000), *values] for end in ends]


def answer_of(rows: Sequence[Bar]) -> list[list[Any]]:
    return [candle for row in rows for candle in candles(row)]


def fetch(document: Any, tile: Tile = WEEK, now: datetime = NOON) -> Any:
    answer = document if isinstance(document, httpx.Response) else as_json(document)
    return source_of("coingecko", Vendor([answer]), now=now).fetch(tile)


def ask(document: Any, feed: Feed = Feed.QUOTE, symbol: str | None = "BTC-USD") -> Any:
    answer = document if isinstance(document, httpx.Response) else as_json(document)
    return source_of("coingecko", Vendor([answer])).ask(Question(feed, symbol))


class TestConformance(SourceConformance):
    source: ClassVar[str] = "coingecko"
    tile: ClassVar[Tile] = WEEK
    stamps: ClassVar[list[datetime]] = [datetime(2024, 3, d, tzinfo=UTC) for d in DAYS]
    volumes: ClassVar[list[float | None]] = [None] * 5

    def answer_of(self, rows: Sequence[Bar]) -> Any:
        return answer_of(rows)

    def empty(self) -> httpx.Response:
        return as_json([])

    def refused(self) -> httpx.Response:
        said = "Your request exceeds the allowed time range. Upgrade to a paid plan"
        return as_json({"error": {"status": {"error_code": 10012, "error_message": said}}}, 401)

    def notice(self) -> httpx.Response:
        said = "You've exceeded the Rate Limit. Please visit https://www.coingecko.com"
        return as_json({"status": {"error_code": 429, "error_message": said}})

    def test_reads_numbers_in_text(self) -> None:
        """Prices may be text; candles have no volume."""
        row = Bar(MONDAY, "10", "1.1e1", "9.0", "1,010.5")
        found = self.bars([replace(row, high="1,020")]).row(0, named=True)
        assert (found["open"], found["high"], found["close"]) == (10.0, 1020.0, 1010.5)
        assert found["volume"] is None

    @pytest.mark.parametrize(
        ("body", "said"),
        [
            (HTML, "HTML page.*Just a moment"),
            (b"", "empty"),
            (b"Service temporarily confused", "text instead of JSON: Service temp"),
            (b'"a word"', "not an object|text instead"),
            (b"[1, 2]", "no candle of 2 can be read.*a candle is int, not an array"),
            (b"{}", "no candles but an object"),
        ],
    )
    def test_tells_what_came_instead(self, body: bytes, said: str) -> None:
        """The answer is an array, and its rows are."""
        super().test_tells_what_came_instead(body, said)


def test_asks_for_the_range_with_short_candles() -> None:
    """One request, of the shortest range that reaches back; the key in a header alone."""
    vendor = Vendor([as_json(answer_of(five_bars()))])
    answer = source_of("coingecko", vendor).fetch(WEEK)
    (request,) = vendor.asked
    assert request.url.path == "/coins/bitcoin/ohlc"
    assert dict(request.url.params) == {"vs_currency": "usd", "days": "7"}
    assert request.headers["x-cg-demo-api-key"] == KEY
    assert (answer.basis, answer.currency) == (Basis.AS_TRADED, "USD")


@pytest.mark.parametrize(
    ("back", "days"), [(6, 7), (7, 14), (29, 30), (30, 90), (364, 365), (900, 365)]
)
def test_which_range(back: int, days: int) -> None:
    """Of those there are; the longest for whatever is older."""
    vendor = Vendor([as_json(answer_of(five_bars()))])
    source_of("coingecko", vendor).fetch(replace(WEEK, start=NOON.date() - timedelta(days=back)))
    assert vendor.asked[0].url.params["days"] == str(days)


def test_a_day_is_all_its_candles() -> None:
    """First open, highest high, lowest low, last close, whatever order they come in."""
    rows = candles(Bar(FRIDAY, 10, 11, 9, 10.5))
    rows[0][1], rows[5][4], rows[2][2], rows[3][3] = 10.25, 10.75, 12, 8
    (bar,) = fetch(rows[::-1]).bars.rows(named=True)
    assert (bar["open"], bar["high"], bar["low"], bar["close"]) == (10.25, 12.0, 8.0, 10.75)


def test_half_hours_make_days_too() -> None:
    """CoinGecko gives them for short ranges."""
    rows = candles(Bar(FRIDAY), timedelta(minutes=30))
    assert fetch(rows).bars["session"].to_list() == [FRIDAY]


def test_a_day_with_a_hole_is_rejected() -> None:
    """A missing candle could hold the high: no bar is made of the rest."""
    rows = answer_of(five_bars())
    del rows[8]
    answer = fetch(rows)
    assert answer.bars["session"].dt.day().to_list() == [4, 6, 7, 8]
    assert answer.rejected["session"].to_list() == [date(2024, 3, 5)]
    assert answer.rejected["reasons"].to_list() == [["5 candles of the day's 6"]]


def test_the_first_day_of_the_range_is_cut() -> None:
    """The range begins now minus seven days: a day before those asked for is no news."""
    before = candles(Bar(date(2024, 3, 3)))[4:]
    answer = fetch([*before, *answer_of(five_bars())])
    assert answer.bars["session"].min() == MONDAY
    assert answer.rejected.is_empty()


def test_the_candle_in_progress_ends_in_the_future() -> None:
    """Today is unfinished, and so is yesterday while its last candle may still come."""
    rows = answer_of(five_bars())
    assert fetch(rows[:-1], now=datetime(2024, 3, 8, 18, tzinfo=UTC)).unfinished == {FRIDAY}
    late = fetch(rows[:-1], now=datetime(2024, 3, 9, 0, 20, tzinfo=UTC))
    assert late.unfinished == {FRIDAY}
    assert late.rejected.is_empty()
    assert fetch(rows, now=datetime(2024, 3, 9, 0, 20, tzinfo=UTC)).bars.height == 5


def test_long_candles_are_the_wrong_granularity() -> None:
    """Four days, as for ranges beyond a month, or a step that does not fill a day."""
    start = datetime(2024, 1, 1, tzinfo=UTC)
    for step, said in (
        (timedelta(days=4), "wrong granularity: candles of 4 days"),
        (timedelta(days=1), "wrong granularity: candles of 1 day"),
        (timedelta(hours=3, minutes=7), "do not make up days"),
    ):
        rows = [[int((start + n * step).timestamp() * 1000), 1, 2, 1, 2] for n in range(10)]
        with pytest.raises(Malformed, match=said):
            fetch(rows)


def test_closes_alone_make_no_bars() -> None:
    """What market_chart says has no high and no low."""
    with pytest.raises(Malformed, match="closes without highs and lows"):
        fetch({"prices": [[1709251200000, 1.0]], "market_caps": [], "total_volumes": []})


@pytest.mark.parametrize(
    ("symbol", "said"),
    [
        ("NOPE-USD", "not among the"),
        ("BTC-USDT", "ask for BTC-USD"),
        ("AAPL", "coins only"),
        ("EUR/USD", "coins only"),
    ],
)
def test_what_it_cannot_be_asked(symbol: str, said: str) -> None:
    """UnknownSymbol with a hint, without a request."""
    vendor = Vendor([])
    with pytest.raises(UnknownSymbol, match=said):
        source_of("coingecko", vendor).fetch(replace(WEEK, symbol=symbol))
    assert not vendor.asked


@pytest.mark.parametrize(
    ("answer", "kind", "said"),
    [
        (as_json({"error": "coin not found"}, 404), UnknownSymbol, "coin not found"),
        (as_json({"error": "invalid vs_currency"}, 400), UnknownSymbol, "vs_currency"),
        (
            as_json({"status": {"error_code": 10002, "error_message": "API Key Missing"}}, 401),
            NotEntitled,
            "API Key Missing",
        ),
        (
            as_json({"error_code": 10005, "error_message": "limited to PRO API subscribers"}),
            NotEntitled,
            "PRO API",
        ),
        (httpx.Response(403, text="<title>Access denied</title>"), Unavailable, "denies access"),
        (httpx.Response(403, text="Forbidden"), Unavailable, "Forbidden"),
        (as_json({"error": "Internal Server Error, please try again"}), Unavailable, "try again"),
        (as_json({"error": "Missing parameter days"}, 422), Malformed, "Missing parameter"),
        (as_json({"error": {"a": 1}}), Malformed, "refused"),
        (as_json(7), Malformed, "is int, not an object"),
        (as_json([[1, 2]]), Malformed, "a candle of 2 cells"),
        (as_json([["soon", 1, 2, 1, 2]]), Malformed, "'soon' is not a number"),
        (as_json([]), NoData, "no candles"),
    ],
)
def test_errors_by_their_meaning(
    answer: httpx.Response, kind: type[SourceError], said: str
) -> None:
    """Their three shapes, by status or inside a 200."""
    with pytest.raises(kind, match=said):
        fetch(answer)


MARKET = {
    "id": "bitcoin",
    "symbol": "btc",
    "name": "Bitcoin",
    "current_price": 70187,
    "market_cap": 1381651251183,
    "high_24h": 70215,
    "low_24h": 68060,
    "total_volume": 20154184933,
    "circulating_supply": 19675987,
    "last_updated": "2024-04-07T16:49:31.736Z",
}


def test_a_quote() -> None:
    """Of markets: the 24 hours' high and low, no volume for it is money there."""
    vendor = Vendor([as_json([MARKET])])
    facts = source_of("coingecko", vendor).ask(Question(Feed.QUOTE, "BTC-EUR"))
    assert vendor.asked[0].url.path == "/coins/markets"
    assert dict(vendor.asked[0].url.params) == {"vs_currency": "eur", "ids": "bitcoin"}
    assert dict(facts.frame.schema) == QUOTES
    assert facts.frame.row(0) == (
        "BTC-EUR",
        datetime(2024, 4, 7, 16, 49, 31, 736_000, tzinfo=UTC),
        70187.0,
        None,
        70215.0,
        68060.0,
        None,
        None,
        "EUR",
    )


def test_a_simple_price_is_a_quote_too() -> None:
    """Stamped by the vendor, or when it came."""
    row = ask({"bitcoin": {"usd": 49326, "last_updated_at": 1709913600}}).frame.row(0, named=True)
    assert (row["price"], row["ts"]) == (49326.0, datetime(2024, 3, 8, 16, tzinfo=UTC))
    assert ask({"bitcoin": {"usd": 49326}}).frame["ts"].to_list() == [NOON]
    with pytest.raises(Malformed, match="no price in USD"):
        ask({"bitcoin": {"eur": 1}})


def test_a_profile() -> None:
    """Coins in circulation stand where a company's shares do."""
    facts = ask([MARKET], Feed.PROFILE)
    assert dict(facts.frame.schema) == PROFILES
    row = facts.frame.row(0, named=True)
    assert (row["name"], row["asset_class"], row["currency"]) == ("Bitcoin", "crypto", "USD")
    assert (row["shares_outstanding"], row["market_cap"]) == (19675987.0, 1381651251183.0)


@pytest.mark.parametrize("feed", [Feed.QUOTE, Feed.PROFILE])
def test_markets_without_the_coin(feed: Feed) -> None:
    """None is unknown; another one is malformed, and so is what is no market."""
    with pytest.raises(UnknownSymbol, match="no coin 'bitcoin'"):
        ask([], feed)
    for document, said in (
        ([MARKET | {"id": "ethereum"}], "asked for bitcoin, was given ethereum"),
        ([7], "not an object"),
        ([MARKET | {"current_price": None, "name": None}], "no price|no name"),
        ([MARKET | {"current_price": "?", "market_cap": "?"}], "not a number"),
        ({"gecko_says": "(V3) To the Moon!"}, "not an array"),
    ):
        with pytest.raises(Malformed, match=said):
            ask(document, feed)


def test_the_list_of_coins() -> None:
    """The best known have their letters; those that nobody has a better claim to are told."""
    names = [
        ("bitcoin", "btc", "Bitcoin"),
        ("batcat", "btc", "batcat"),
        ("zus", "zcn", "Zus"),
        ("one", "xyz", "One"),
        ("two", "xyz", "Two"),
        ("odd", "a b!", "Odd"),
    ]
    rows = [dict(zip(("id", "symbol", "name"), row, strict=True)) for row in names]
    vendor = Vendor([as_json([*rows, 7, {"id": None}])])
    facts = source_of("coingecko", vendor).ask(Question(Feed.LISTING))
    assert vendor.asked[0].url.path == "/coins/list"
    assert dict(facts.frame.schema) == LISTINGS
    assert facts.frame.select("symbol", "vendor_symbol", "name").rows() == [
        ("BTC-USD", "bitcoin", "Bitcoin"),
        ("ZCN-USD", "zus", "Zus"),
    ]
    reasons = {reason for row in facts.rejected["reasons"] for reason in row}
    assert {"BTC-USD is bitcoin", "several coins are XYZ-USD", "no id or symbol"} < reasons
    assert facts.rejected.height == 6
    for document in ([], [7]):
        with pytest.raises(Malformed, match="none of"):
            ask(document, Feed.LISTING, None)


def test_feeds_that_are_not_there() -> None:
    """Coins have no dividends; a quote needs its coin."""
    with pytest.raises(InputError, match="quote, profile, listing"):
        ask([], Feed.DIVIDENDS)
    with pytest.raises(InputError, match="name one"):
        ask([], Feed.QUOTE, None)


def test_a_key_raises_the_pace() -> None:
    """Five a minute without one, thirty with; no key, no header."""
    capabilities = SOURCES["coingecko"].capabilities
    for keys, calls in (({}, 5), ({"COINGECKO_API_KEY": "k"}, 30)):
        source = build(Setup(capabilities, MemoryQuota(), keys=keys))
        assert source.capabilities.limits[0] == Limit(calls, 60.0)
        source.close()


def test_retry_after_is_kept() -> None:
    """As recorded: 119 seconds, beyond what a call waits."""
    answer = as_json({"status": {"error_code": 429}}, 429, **{"retry-after": "119"})
    with pytest.raises(RateLimited) as caught:
        fetch(answer)
    assert caught.value.retry_after == pytest.approx(119)


def test_ids_are_unique() -> None:
    """No two symbols mean one coin."""
    assert len(set(IDS.values())) == len(IDS) >= 60
