"""Binance, Kraken and Coinbase against vendors that answer as tests say."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any, ClassVar

import httpx
import pytest

from stock_platform.domain.bars import Basis, Interval
from stock_platform.domain.capabilities import Feed, Limit, Tile
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
from stock_platform.sources.base import LISTINGS, QUOTES, Question
from stock_platform.sources.quota import MemoryQuota
from stock_platform.sources.registry import SOURCES, build
from stock_platform.sources.spec import Setup
from stock_platform.sources.transport import HttpOptions
from stock_platform_tests.sources.conformance import DAYS, HTML, SourceConformance
from stock_platform_tests.sources.vendors import (
    NOON,
    Bar,
    FakeTime,
    Vendor,
    as_json,
    five_bars,
    source_of,
)

MONDAY, FRIDAY = date(2024, 3, 4), date(2024, 3, 8)
MIDNIGHTS = [datetime(2024, 3, d, tzinfo=UTC) for d in DAYS]
WEEK = Tile("binance", "klines", Interval.DAY, MONDAY, FRIDAY, 1, "BTC-USDT")
KRAKEN_WEEK = Tile("kraken", "ohlc", Interval.DAY, MONDAY, FRIDAY, 1, "BTC-USD")
COINBASE_WEEK = Tile("coinbase", "candles", Interval.DAY, MONDAY, FRIDAY, 1, "BTC-USD")


def seconds(day: date | datetime) -> int:
    at = day if isinstance(day, datetime) else datetime(day.year, day.month, day.day, tzinfo=UTC)
    return int(at.timestamp())


def text(value: object) -> object:
    return str(value) if isinstance(value, int | float) else value


def kline(row: Bar, at: datetime | None = None, length: int = 86_400) -> list[Any]:
    opens = seconds(at or row.session) * 1000
    prices = [text(v) for v in (row.open, row.high, row.low, row.close, row.volume)]
    return [opens, *prices, opens + length * 1000 - 1, "1.0", 77, "1.0", "1.0", "0"]


def klines(start: datetime, count: int, step: timedelta) -> list[list[Any]]:
    length = int(step.total_seconds())
    return [kline(Bar(start.date()), start + n * step, length) for n in range(count)]


class OfExchange(SourceConformance):
    stamps: ClassVar[list[datetime]] = MIDNIGHTS

    def refused(self) -> None:
        """No exchange has plans; what is refused by place is tested below."""


class TestBinance(OfExchange):
    source: ClassVar[str] = "binance"
    tile: ClassVar[Tile] = WEEK

    def answer_of(self, rows: Sequence[Bar]) -> Any:
        return [kline(row) for row in rows]

    def empty(self) -> httpx.Response:
        return as_json([])

    def notice(self) -> httpx.Response:
        return as_json({"code": -1003, "msg": "Too much request weight used; current limit is ..."})

    @pytest.mark.parametrize(
        ("body", "said"),
        [
            (HTML, "HTML page.*Just a moment"),
            (b"", "empty"),
            (b"Service temporarily confused", "text instead of JSON: Service temp"),
            (b'"a word"', "the answer is str"),
            (b"[1, 2]", "none of 2 candles can be read.*a row is int, not an array"),
            (b"{}", "no candles: the answer is dict"),
        ],
    )
    def test_tells_what_came_instead(self, body: bytes, said: str) -> None:
        """Binance's answer is an array, and its rows are."""
        super().test_tells_what_came_instead(body, said)

    def test_asks_for_leave_every_time(self) -> None:
        """With a limit of three, for 2,401 calls take long."""
        time, limit = FakeTime(), Limit(3, 60.0)
        source = build(
            Setup(
                replace(SOURCES["binance"].capabilities, limits=(limit,)),
                MemoryQuota(time.now, time.sleep),
                clock=FixedClock(NOON),
                http=HttpOptions(
                    transport=httpx.MockTransport(Vendor([self.answer(five_bars())])),
                    wall=time.now,
                ),
            )
        )
        for day in range(limit.calls + 1):
            source.fetch(replace(self.tile, start=self.tile.start - timedelta(days=day)))
        assert time.slept == [limit.seconds]
        assert SOURCES["binance"].capabilities.limits == (Limit(2400, 60.0),)


class TestKraken(OfExchange):
    source: ClassVar[str] = "kraken"
    tile: ClassVar[Tile] = KRAKEN_WEEK

    def answer_of(self, rows: Sequence[Bar]) -> Any:
        made = [
            [
                seconds(r.session),
                *(text(v) for v in (r.open, r.high, r.low, r.close, "10.2", r.volume)),
                77,
            ]
            for r in rows
        ]
        return {"error": [], "result": {"XXBTZUSD": made, "last": seconds(FRIDAY)}}

    def empty(self) -> httpx.Response:
        return as_json({"error": [], "result": {"XXBTZUSD": [], "last": 1}})

    def notice(self) -> httpx.Response:
        return as_json({"error": ["EGeneral:Too many requests"]})


class TestCoinbase(OfExchange):
    source: ClassVar[str] = "coinbase"
    tile: ClassVar[Tile] = COINBASE_WEEK

    def answer_of(self, rows: Sequence[Bar]) -> Any:
        return {
            "candles": [
                {
                    "start": str(seconds(r.session)),
                    "low": text(r.low),
                    "high": text(r.high),
                    "open": text(r.open),
                    "close": text(r.close),
                    "volume": text(r.volume),
                }
                for r in reversed(rows)
            ]
        }

    def test_tells_of_duplicates_that_differ(self) -> None:
        """Newest first here, so the row that came later in the list is the older one."""
        answer = self.fetch(self.answer([*five_bars(), replace(five_bars()[-1], close=14.25)]))
        assert answer.bars.height == 5
        assert answer.rejected["session"].to_list() == [FRIDAY]

    def empty(self) -> httpx.Response:
        return as_json({"candles": []})

    def notice(self) -> None:
        """Coinbase says so by its status alone."""


def ask(
    document: Any, tile: Tile = WEEK, *, now: datetime = NOON, time: FakeTime | None = None
) -> Any:
    answer = document if isinstance(document, httpx.Response) else as_json(document)
    return source_of(tile.source, Vendor([answer]), now=now, time=time).fetch(tile)


def quote(document: Any, source: str = "binance", symbol: str = "BTC-USDT") -> Any:
    answer = document if isinstance(document, httpx.Response) else as_json(document)
    return source_of(source, Vendor([answer])).ask(Question(Feed.QUOTE, symbol))


@pytest.mark.parametrize(
    ("tile", "path", "params"),
    [
        (
            WEEK,
            "/api/v3/klines",
            {
                "symbol": "BTCUSDT",
                "interval": "1d",
                "limit": "1000",
                "startTime": f"{seconds(MONDAY)}000",
                "endTime": f"{seconds(FRIDAY) + 86_399}999",
            },
        ),
        (
            KRAKEN_WEEK,
            "/0/public/OHLC",
            {"pair": "XBTUSD", "interval": "1440", "since": f"{seconds(MONDAY) - 86_400}"},
        ),
        (
            COINBASE_WEEK,
            "/api/v3/brokerage/market/products/BTC-USD/candles",
            {
                "granularity": "ONE_DAY",
                "start": f"{seconds(MONDAY)}",
                "end": f"{seconds(FRIDAY) + 86_399}",
            },
        ),
    ],
)
def test_one_request_and_no_market_list(tile: Tile, path: str, params: dict[str, str]) -> None:
    """A week is one request, below our base address, of the pair as the exchange spells it."""
    cases = {"binance": TestBinance, "kraken": TestKraken, "coinbase": TestCoinbase}
    vendor = Vendor([cases[tile.source]().answer(five_bars())])
    answer = source_of(tile.source, vendor, base_url="https://proxy.test/px").fetch(tile)
    (request,) = vendor.asked
    assert (request.url.host, request.url.path) == ("proxy.test", "/px" + path)
    assert dict(request.url.params) == params
    assert answer.basis is Basis.AS_TRADED
    assert answer.currency == tile.symbol.partition("-")[2]  # type: ignore[union-attr]


def test_reads_trades_and_kraken_vwap() -> None:
    """Counts of trades are whole numbers; the average price is Kraken's own."""
    assert ask(TestBinance().answer(five_bars())).bars["trades"].to_list() == [77] * 5
    bars = ask(TestKraken().answer(five_bars()), KRAKEN_WEEK).bars
    assert bars["trades"].to_list() == [77] * 5
    assert bars["vwap"].to_list() == [10.2] * 5


def test_binance_pages_go_on_where_the_last_ended() -> None:
    """1,000 minutes a page; a page with fewer is the last one."""
    tile = replace(WEEK, endpoint="klines_intraday", interval=Interval.MINUTE, start=FRIDAY)
    start = datetime(2024, 3, 8, tzinfo=UTC)
    minute = timedelta(minutes=1)
    vendor = Vendor(
        [
            as_json(klines(start, 1000, minute)),
            as_json(klines(start + 1000 * minute, 440, minute)),
        ]
    )
    answer = source_of("binance", vendor).fetch(tile)
    assert (answer.bars.height, answer.requests) == (1440, 2)
    assert vendor.asked[1].url.params["startTime"] == f"{seconds(start) + 60_000}000"
    assert answer.bars["session"].unique().to_list() == [FRIDAY]


def test_binance_begins_where_the_listing_does() -> None:
    """Years before a listing cost no request."""
    vendor = Vendor([as_json([kline(row) for row in five_bars()])])
    answer = source_of("binance", vendor).fetch(replace(WEEK, start=date(2010, 1, 1)))
    assert (answer.bars.height, answer.requests) == (5, 1)


def test_coinbase_pages_are_spans_of_time() -> None:
    """300 candles a page, asked by time: an empty span is not the end."""
    rows = TestCoinbase().answer(five_bars())
    vendor = Vendor([as_json({"candles": []}), as_json({"candles": []}), rows])
    tile = replace(COINBASE_WEEK, start=FRIDAY - timedelta(days=650))
    answer = source_of("coinbase", vendor).fetch(tile)
    assert (answer.bars.height, answer.requests) == (5, 3)
    spans = [(int(r.url.params["start"]), int(r.url.params["end"])) for r in vendor.asked]
    assert spans[1][0] == spans[0][1] + 1 == spans[0][0] + 300 * 86_400
    assert spans[2][1] == seconds(FRIDAY) + 86_399


def test_an_error_on_a_later_page_fails_the_whole_call() -> None:
    """Half a range is not an answer."""
    tile = replace(WEEK, endpoint="klines_intraday", interval=Interval.MINUTE, start=FRIDAY)
    first = klines(datetime(2024, 3, 8, tzinfo=UTC), 1000, timedelta(minutes=1))
    vendor = Vendor([as_json(first), as_json({"code": -1121, "msg": "Invalid symbol."}, 400)])
    with pytest.raises(UnknownSymbol) as caught:
        source_of("binance", vendor).fetch(tile)
    assert caught.value.requests == 2


def test_the_live_minute_is_left_out() -> None:
    """Its day is unfinished; the minutes before it are bars."""
    tile = replace(WEEK, endpoint="klines_intraday", interval=Interval.MINUTE, start=FRIDAY)
    start = datetime(2024, 3, 8, tzinfo=UTC)
    now = start + timedelta(minutes=9, seconds=30)
    answer = ask(klines(start, 10, timedelta(minutes=1)), tile, now=now)
    assert answer.bars["ts"].max() == start + timedelta(minutes=8)
    assert answer.unfinished == {FRIDAY}


def test_candles_of_another_length_are_malformed() -> None:
    """A week, an hour, or a stamp between two days is not a day."""
    start = datetime(2024, 3, 4, tzinfo=UTC)
    with pytest.raises(Malformed, match="a candle of 7 days, 0:00:00, not of 1 day"):
        ask(klines(start, 1, timedelta(days=7)))
    with pytest.raises(Malformed, match="begins no candle of 1 day"):
        ask(klines(start + timedelta(hours=1), 3, timedelta(hours=1)))
    late = five_bars()
    rows = [kline(row) for row in late]
    rows[2][6] += 86_400_000
    answer = ask(rows)
    assert answer.bars.height == 4
    assert answer.rejected.height == 1


@pytest.mark.parametrize(
    ("source", "symbol", "said"),
    [
        ("binance", "BTC-USD", "ask for BTC-USDT, or kraken or coinbase"),
        ("binance", "AAPL", "trades coins"),
        ("coinbase", "EUR/USD", "trades coins"),
    ],
)
def test_what_an_exchange_cannot_have_is_not_asked(source: str, symbol: str, said: str) -> None:
    """UnknownSymbol with a hint, without a request."""
    vendor = Vendor([])
    tile = replace({"binance": WEEK, "coinbase": COINBASE_WEEK}[source], symbol=symbol)
    with pytest.raises(UnknownSymbol, match=said):
        source_of(source, vendor).fetch(tile)
    assert not vendor.asked


@pytest.mark.parametrize(
    ("tile", "answer", "kind", "said"),
    [
        (WEEK, as_json({"code": -1121, "msg": "Invalid symbol."}, 400), UnknownSymbol, "Invalid"),
        (WEEK, as_json({"code": -1120, "msg": "Invalid interval."}, 400), Malformed, "Invalid int"),
        (
            WEEK,
            as_json(
                {"code": 0, "msg": "Service unavailable from a restricted location."},
                451,
            ),
            NotEntitled,
            "restricted location",
        ),
        (
            WEEK,
            httpx.Response(403, text="<html><title>Blocked access from your country</title>"),
            NotEntitled,
            "Blocked access",
        ),
        (WEEK, httpx.Response(403, text="WAF"), Unavailable, "WAF"),
        (WEEK, as_json({"code": -2015, "msg": "Invalid API-key."}, 401), NotEntitled, "API-key"),
        (WEEK, as_json({"serverTime": 1}), Malformed, "not an array"),
        (
            KRAKEN_WEEK,
            as_json({"error": ["EQuery:Unknown asset pair"]}),
            UnknownSymbol,
            "Unknown asset pair",
        ),
        (KRAKEN_WEEK, as_json({"error": ["EService:Unavailable"]}), Unavailable, "EService"),
        (KRAKEN_WEEK, as_json({"error": ["EGeneral:Invalid arguments"]}), Malformed, "refused"),
        (KRAKEN_WEEK, as_json({"error": [], "result": {"a": [], "b": []}}), Malformed, "2 pairs"),
        (
            COINBASE_WEEK,
            as_json(
                {
                    "error": "NOT_FOUND",
                    "error_details": "valid product_id is required",
                    "message": "valid product_id is required",
                },
                404,
            ),
            UnknownSymbol,
            "product_id",
        ),
        (COINBASE_WEEK, as_json({"candles": {"a": 1}}), Malformed, "0|pairs|array|row"),
    ],
)
def test_errors_by_their_meaning(
    tile: Tile, answer: httpx.Response, kind: type[SourceError], said: str
) -> None:
    """What ccxt makes of an exchange's errors, in our words and the exchange's own."""
    with pytest.raises(kind, match=said):
        ask(answer, tile)


def test_a_ban_lasts_as_long_as_its_text_says() -> None:
    """418 names the end in epoch milliseconds; Retry-After, if it came, goes first."""
    time = FakeTime()
    until = int(time.seconds + 900) * 1000
    said = f"Way too much request weight used; IP banned until {until}. Please use the websocket"
    with pytest.raises(RateLimited, match="banned until") as caught:
        ask(as_json({"code": -1003, "msg": said}, 418), time=time)
    assert caught.value.retry_after == pytest.approx(900)
    with pytest.raises(RateLimited) as caught:
        ask(as_json({"code": -1003, "msg": said}, 418, **{"retry-after": "120"}))
    assert caught.value.retry_after == pytest.approx(120)


def test_a_short_ban_is_waited_out() -> None:
    """As any refusal: hold, then ask again."""
    time = FakeTime()
    said = f"Way too much request weight used; IP banned until {int(time.seconds + 9) * 1000}."
    vendor = Vendor([as_json({"code": -1003, "msg": said}, 418), TestBinance().answer(five_bars())])
    answer = source_of("binance", vendor, time=time).fetch(WEEK)
    assert (answer.bars.height, answer.rate_limited) == (5, 1)
    assert time.slept == [9.0]


TICKER = {
    "symbol": "BTCUSDT",
    "prevClosePrice": "66000.0",
    "lastPrice": "68300.10",
    "openPrice": "66100.00",
    "highPrice": "69990.90",
    "lowPrice": "66000.00",
    "volume": "73812.93",
    "openTime": seconds(MONDAY) * 1000,
    "closeTime": seconds(FRIDAY) * 1000 + 12,
}


def test_a_quote_of_binance() -> None:
    """One request; the 24 hours' numbers, stamped by the exchange."""
    facts = quote(TICKER)
    assert dict(facts.frame.schema) == QUOTES
    assert facts.frame.row(0) == (
        "BTC-USDT",
        datetime(2024, 3, 8, 0, 0, 0, 12_000, tzinfo=UTC),
        68300.1,
        66100.0,
        69990.9,
        66000.0,
        66000.0,
        73812.93,
        "USDT",
    )
    assert facts.requests == 1


def test_quotes_of_kraken_and_coinbase() -> None:
    """Kraken's by any name of the pair; Coinbase's is its latest trade."""
    ticker = {
        "a": ["68301.0", "1", "1.0"],
        "b": ["68300.0", "1", "1.0"],
        "c": ["68300.5", "0.1"],
        "v": ["100.0", "2000.5"],
        "p": ["68000.0", "67900.0"],
        "t": [10, 20],
        "l": ["67000.0", "66900.0"],
        "h": ["69000.0", "69100.0"],
        "o": "67500.0",
    }
    row = quote({"error": [], "result": {"XXBTZUSD": ticker}}, "kraken", "BTC-USD").frame.row(
        0, named=True
    )
    assert (row["price"], row["volume"], row["high"], row["currency"]) == (
        68300.5,
        2000.5,
        69100.0,
        "USD",
    )
    trade = {
        "trade_id": "1",
        "product_id": "ETH-EUR",
        "price": "3555.5",
        "size": "0.1",
        "time": "2024-03-08T12:00:01.5Z",
        "side": "BUY",
    }
    facts = quote(
        {"trades": [trade], "best_bid": "3555", "best_ask": "3556"}, "coinbase", "ETH-EUR"
    )
    row = facts.frame.row(0, named=True)
    assert (row["price"], row["currency"]) == (3555.5, "EUR")
    assert row["ts"] == datetime(2024, 3, 8, 12, 0, 1, 500_000, tzinfo=UTC)
    with pytest.raises(Malformed, match="was given ETH-EUR"):
        quote({"trades": [trade]}, "coinbase", "BTC-USD")


@pytest.mark.parametrize(
    ("document", "said"),
    [
        ({}, "no price of BTCUSDT"),
        ([], "not an object"),
        ([TICKER], "not an object"),
        (TICKER | {"symbol": "ETHUSDT"}, "asked for BTCUSDT, was given ETHUSDT"),
        (TICKER | {"lastPrice": None}, "no price in the ticker"),
        (TICKER | {"lastPrice": "soon"}, "no price|not a number|documented"),
    ],
)
def test_a_ticker_that_is_none(document: Any, said: str) -> None:
    """Told, and never another pair's price."""
    with pytest.raises(Malformed, match=said):
        quote(document)


def test_the_pairs_of_binance() -> None:
    """Canonical, with what trades; currencies nobody spells are rejected, not dropped."""
    symbols = [
        {"symbol": "ETHBTC", "status": "TRADING", "baseAsset": "ETH", "quoteAsset": "BTC"},
        {"symbol": "LUNAUSDT", "status": "BREAK", "baseAsset": "LUNA", "quoteAsset": "USDT"},
        {"symbol": "BTCFDUSD", "status": "TRADING", "baseAsset": "BTC", "quoteAsset": "FDUSD"},
        {"symbol": "X"},
        7,
    ]
    vendor = Vendor([as_json({"timezone": "UTC", "symbols": symbols})])
    facts = source_of("binance", vendor).ask(Question(Feed.LISTING))
    assert vendor.asked[0].url.path == "/api/v3/exchangeInfo"
    assert dict(facts.frame.schema) == LISTINGS
    assert facts.frame.select("symbol", "vendor_symbol", "currency", "active").rows() == [
        ("ETH-BTC", "ETHBTC", "BTC", True),
        ("LUNA-USDT", "LUNAUSDT", "USDT", False),
    ]
    assert facts.rejected.height == 3
    with pytest.raises(Malformed, match="no symbols"):
        source_of("binance", Vendor([as_json({})])).ask(Question(Feed.LISTING))


def test_feeds_that_are_not_there() -> None:
    """An exchange has no profiles, Kraken no listing; the hint says what there is."""
    with pytest.raises(InputError, match="bars, quote"):
        source_of("kraken", Vendor([])).ask(Question(Feed.LISTING))
    with pytest.raises(InputError, match="name one"):
        source_of("binance", Vendor([])).ask(Question(Feed.QUOTE))


def test_an_empty_answer_of_kraken_is_no_data() -> None:
    """Also where only the live candle came, the day is unfinished rather than empty."""
    with pytest.raises(NoData):
        ask(TestKraken().empty(), KRAKEN_WEEK)
    only = TestKraken().answer(five_bars()[-1:])
    answer = ask(only, KRAKEN_WEEK, now=datetime(2024, 3, 8, 12, tzinfo=UTC))
    assert answer.bars.is_empty()
    assert answer.unfinished == {FRIDAY}


def test_ccxt_is_imported_late() -> None:
    """Not before the first call."""
    code = (
        "import sys, stock_platform.sources.registry; "
        "sys.exit(any(name.split('.')[0] == 'ccxt' for name in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
