"""Polygon's feeds: answers as tests say, recorded ones, and the sandbox's."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import httpx
import polars as pl
import pytest

from stock_platform.domain.capabilities import Feed
from stock_platform.domain.clock import FixedClock
from stock_platform.domain.errors import (
    InputError,
    Malformed,
    NoData,
    NotEntitled,
    RateLimited,
    UnknownSymbol,
)
from stock_platform.domain.symbols import parse_symbol
from stock_platform.sandbox.config import SandboxConfig
from stock_platform.sandbox.server import SandboxServer
from stock_platform.sources.base import FEED_SCHEMAS, Facts, Question, Source
from stock_platform.sources.polygon.reference import parse_list, parse_previous, parse_profile
from stock_platform.sources.quota import MemoryQuota
from stock_platform.sources.registry import SOURCES, build
from stock_platform.sources.spec import Setup
from stock_platform_tests.sources.vendors import KEY, FakeTime, Vendor, as_json, source_of

FEEDS = (Feed.QUOTE, Feed.PROFILE, Feed.LISTING, Feed.SPLITS, Feed.DIVIDENDS)
NOW = datetime(2013, 3, 2, 12, tzinfo=UTC)
SECOND_PAGE = "mock-v3_reference_tickers_cursor_YWN0aXZlPXRydWUmZGF0ZT0yMDIyLTA0LTI3JmxpbWl0PTImb3JkZXI9YXNjJnBhZ2VfbWFya2VyPUFBJT.json"  # noqa: E501


def listed(results: Sequence[Any], **more: Any) -> httpx.Response:
    return as_json({"results": list(results), "status": "OK", "request_id": "1", **more})


def ask(question: Question, *answers: httpx.Response) -> Facts:
    return source_of("polygon", Vendor(list(answers))).ask(question)


def recorded(folder: Path, name: str) -> httpx.Response:
    return httpx.Response(200, content=(folder / "payloads" / "polygon" / name).read_bytes())


def split(ticker: str, day: str, old: Any, new: Any) -> dict[str, Any]:
    return {"execution_date": day, "split_from": old, "split_to": new, "ticker": ticker}


def dividend(ticker: str, day: str, amount: Any, **more: Any) -> dict[str, Any]:
    return {"cash_amount": amount, "ex_dividend_date": day, "ticker": ticker} | more


# ---- how it asks ----


@pytest.mark.parametrize(
    ("feed", "day"), [(Feed.SPLITS, "execution_date"), (Feed.DIVIDENDS, "ex_dividend_date")]
)
def test_actions_of_one_ticker_and_of_all(feed: Feed, day: str) -> None:
    """In the vendor's spelling, a thousand a page; an open end is today in New York."""
    vendor = Vendor([listed([])])
    source = source_of("polygon", vendor)
    source.ask(Question(feed, "BAC.PRB"))
    source.ask(Question(feed, None, date(2024, 1, 2), date(2024, 2, 2)))
    assert {request.url.path for request in vendor.asked} == {f"/v3/reference/{feed}"}
    order = {"sort": day, "order": "asc", "limit": "1000"}
    assert [dict(request.url.params) for request in vendor.asked] == [
        {"ticker": "BACpB", f"{day}.lte": "2024-03-09", **order},
        {f"{day}.gte": "2024-01-02", f"{day}.lte": "2024-02-02", **order},
    ]
    assert vendor.asked[0].headers["authorization"] == f"Bearer {KEY}"


def test_follows_pages_on_our_own_host() -> None:
    """Each page takes a grant; the cursor alone travels on."""
    following = "https://api.massive.com/v3/reference/splits?cursor=abc&apiKey=x"
    first = listed([split("AAPL", "2020-08-31", 1, 4)], next_url=following)
    vendor = Vendor([first, listed([split("TSLA", "2020-08-31", 1, 5)])])
    facts = source_of("polygon", vendor).ask(Question(Feed.SPLITS, None, date(2020, 1, 1)))
    assert facts.frame["symbol"].to_list() == ["AAPL", "TSLA"]
    assert facts.requests == 2
    assert str(vendor.asked[1].url) == "https://vendor.test/v3/reference/splits?cursor=abc"
    with pytest.raises(Malformed, match="leads nowhere new"):
        ask(Question(Feed.SPLITS), first)


def test_the_directory_is_of_stocks_that_trade() -> None:
    """Or one symbol's row of it; who is not there does not trade now."""
    vendor = Vendor([listed([], count=0)])
    source = source_of("polygon", vendor)
    assert source.ask(Question(Feed.LISTING)).frame.is_empty()
    assert dict(vendor.asked[0].url.params) == {
        "market": "stocks", "active": "true", "sort": "ticker", "order": "asc", "limit": "1000",
    }  # fmt: skip
    with pytest.raises(UnknownSymbol, match="not in the directory"):
        source.ask(Question(Feed.LISTING, "BTC-USD"))
    assert vendor.asked[1].url.params["ticker"] == "X:BTCUSD"


def test_one_ticker_by_its_own_address() -> None:
    """A profile and a previous close, as traded."""
    vendor = Vendor(
        [as_json({"status": "OK", "results": {"ticker": "BRK.B"}}), listed([], count=0)]
    )
    source = source_of("polygon", vendor)
    assert source.ask(Question(Feed.PROFILE, "BRK-B")).frame["symbol"].to_list() == ["BRK.B"]
    with pytest.raises(NoData):
        source.ask(Question(Feed.QUOTE, "EUR/USD"))
    assert [r.url.path for r in vendor.asked] == [
        "/v3/reference/tickers/BRK.B",
        "/v2/aggs/ticker/C:EURUSD/prev",
    ]
    assert dict(vendor.asked[1].url.params) == {"adjusted": "false"}


@pytest.mark.parametrize("feed", [Feed.PROFILE, Feed.QUOTE])
def test_some_need_a_symbol(feed: Feed) -> None:
    """And one that Polygon can spell; no call is made."""
    with pytest.raises(InputError, match=f"a {feed} needs it"):
        ask(Question(feed))
    with pytest.raises(UnknownSymbol):
        ask(Question(feed, "VOD.L"))


def test_other_feeds_are_refused() -> None:
    """Naming those there are."""
    assert SOURCES["polygon"].capabilities.feeds == FEEDS
    with pytest.raises(InputError, match="use one of bars, quote, profile, listing, splits"):
        ask(Question(Feed.OPTIONS, "AAPL"))


# ---- how it reads ----


def test_splits_of_a_day_multiply() -> None:
    """A reverse split and its undoing on one day, and a row that came twice."""
    rows = [
        split("XYZ", "2024-01-05", 500, 1), split("XYZ", "2024-01-05", 1, 500),
        {**split("AAA", "2024-01-05", 10, 1), "id": "1"},
        {**split("AAA", "2024-01-05", 10, 1), "id": "2"},
    ]  # fmt: skip
    facts = ask(Question(Feed.SPLITS), listed(rows))
    assert facts.frame.rows() == [("AAA", date(2024, 1, 5), 0.1), ("XYZ", date(2024, 1, 5), 1.0)]


def test_dividends_of_a_day_add_up() -> None:
    """A regular and a special one; in two currencies they cannot."""
    rows = [
        dividend("AAA", "2024-01-05", 0.1, dividend_type="CD", currency="USD"),
        dividend("AAA", "2024-01-05", "0.2", dividend_type="SC", currency="USD"),
        dividend("AAA", "2024-01-05", 0.5, currency="CAD"),
        dividend("ENB", "2024-02-14", 0.915, currency="CAD"),
    ]
    facts = ask(Question(Feed.DIVIDENDS), listed(rows))
    assert facts.frame.rows() == [
        ("AAA", date(2024, 1, 5), 0.3, "USD"),
        ("ENB", date(2024, 2, 14), 0.915, "CAD"),
    ]
    assert "paid in CAD" in facts.rejected["reasons"].to_list()[0][0]


@pytest.mark.parametrize(
    "row",
    [
        split("AAPL", "2020-08-31", 0, 4),
        split("AAPL", "2020-08-31", 1, None),
        split("AAPL", "2020-08-31", "one", 4),
        split("AAPL", "31 August", 1, 4),
        split("", "2020-08-31", 1, 4),
        split("not a ticker!", "2020-08-31", 1, 4),
        {"ticker": "AAPL"},
    ],
)
def test_rows_that_cannot_be_read_are_told(row: dict[str, Any]) -> None:
    """Among others they are rejected; alone the answer is malformed."""
    good = split("MSFT", "2003-02-18", 1, 2)
    facts = ask(Question(Feed.SPLITS), listed([row, good]))
    assert (facts.frame.height, facts.rejected.height) == (1, 1)
    with pytest.raises(Malformed, match="none of 1 results"):
        ask(Question(Feed.SPLITS), listed([row]))


def test_rows_of_another_ticker_are_not_taken() -> None:
    """Nor those outside the days asked for."""
    rows = [split("AAPL", "2020-08-31", 1, 4), split("MSFT", "2003-02-18", 1, 2)]
    facts = ask(Question(Feed.SPLITS, "AAPL"), listed(rows))
    assert facts.frame["symbol"].to_list() == ["AAPL"]
    assert "asked for AAPL, was given MSFT" in facts.rejected["reasons"].to_list()[0][0]
    late = ask(Question(Feed.SPLITS, None, date(2019, 1, 1), date(2021, 1, 1)), listed(rows))
    assert late.frame["symbol"].to_list() == ["AAPL"]
    with pytest.raises(Malformed, match="was given MSFT"):
        ask(Question(Feed.PROFILE, "AAPL"), as_json({"results": {"ticker": "MSFT"}}))


def test_kinds_in_the_directory() -> None:
    """Notes and funds that trade by net value are ETFs; markets have classes of their own."""
    rows = [
        {"ticker": "VXX", "market": "stocks", "type": "ETN", "cik": "312070"},
        {"ticker": "BACpB", "market": "stocks", "type": "PFD", "active": True},
        {"ticker": "X:BTCUSD", "market": "crypto", "currency_name": "United States Dollar",
         "currency_symbol": "USD"},
        {"ticker": "OLD", "market": "stocks", "type": "CS", "active": False,
         "delisted_utc": "2021-05-03T04:00:00Z"},
    ]  # fmt: skip
    facts = ask(Question(Feed.LISTING), listed(rows))
    shown = facts.frame.select("symbol", "asset_class", "currency", "active", "cik", "delisted_on")
    assert shown.rows() == [
        ("BAC.PRB", "stock", None, True, None, None),
        ("BTC-USD", "crypto", "USD", None, None, None),
        ("OLD", "stock", None, False, None, date(2021, 5, 3)),
        ("VXX", "etf", None, None, "0000312070", None),
    ]
    assert facts.frame["vendor_symbol"].to_list() == ["BACpB", "X:BTCUSD", "OLD", "VXX"]


@pytest.mark.parametrize("feed", FEEDS)
@pytest.mark.parametrize(
    "body", [b"", b"{}", b"[]", b"<html><title>Wait</title>", b'{"results": 7, "count": 1}',
             b'{"results": [7], "count": 1}', b'{"results": [{}], "count": 1}', b'{"results": {"a'],
)  # fmt: skip
def test_other_forms_are_malformed(feed: Feed, body: bytes) -> None:
    """Never an exception of Python's."""
    with pytest.raises(Malformed):
        ask(Question(feed, "AAPL"), httpx.Response(200, content=body))


# ---- recorded answers ----


def test_recorded_splits(shared_fixtures: Path) -> None:
    """Forward, reverse, odd ratios, a share class; SHOP's stands there under two dates."""
    answer = recorded(shared_fixtures, "mock-v3_reference_splits.json")
    facts = ask(Question(Feed.SPLITS), answer)
    assert facts.rejected.is_empty()
    assert facts.frame.rows() == [
        ("AMZN", date(2022, 6, 6), 20.0),
        ("BRW", date(2022, 5, 20), 0.5),
        ("CIG.C", date(2022, 5, 2), pytest.approx(4 / 3)),
        ("CM", date(2022, 5, 16), 2.0),
        ("CTO", date(2022, 7, 1), 3.0),
        ("DXCM", date(2022, 6, 10), 4.0),
        ("GOOG", date(2022, 7, 18), 20.0),
        ("GOOGL", date(2022, 7, 18), 20.0),
        ("SHOP", date(2022, 6, 22), 10.0),
        ("SHOP", date(2022, 6, 29), 10.0),
    ]
    of_one = ask(Question(Feed.SPLITS, "GOOGL"), answer)
    assert of_one.frame.rows() == [("GOOGL", date(2022, 7, 18), 20.0)]


def test_recorded_dividends(shared_fixtures: Path) -> None:
    """As paid; dollars where no currency is told."""
    facts = ask(
        Question(Feed.DIVIDENDS), recorded(shared_fixtures, "mock-v3_reference_dividends.json")
    )
    assert facts.rejected.is_empty()
    assert facts.frame.height == 10
    assert facts.frame.rows()[:2] == [
        ("AIRTP", date(2023, 8, 11), 0.5, "USD"),
        ("AIRTP", date(2023, 11, 13), 0.5, "USD"),
    ]
    assert set(facts.frame.filter(pl.col("symbol") == "CSSEN")["amount"]) == {0.59375}


def test_recorded_directory(shared_fixtures: Path) -> None:
    """Two pages, as the vendor's cursor leads."""
    facts = ask(
        Question(Feed.LISTING),
        recorded(shared_fixtures, "mock-v3_reference_tickers.json"),
        recorded(shared_fixtures, SECOND_PAGE),
    )
    assert facts.requests == 2
    shown = facts.frame.select(
        "symbol", "name", "exchange", "asset_class", "currency", "cik", "figi"
    )
    assert shown.rows() == [
        ("A", "Agilent Technologies Inc.", "XNYS", "stock", "USD", "0001090872", "BBG000C2V3D6"),
        ("AA", "Alcoa Corporation", "XNYS", "stock", "USD", "0001675149", "BBG00B3T3HD3"),
        ("AAA", "AAF First Priority CLO Bond ETF", "ARCX", "etf", "USD", None, "BBG00X5FSP48"),
        ("AAAU", "Goldman Sachs Physical Gold ETF Shares", "BATS", "etf", "USD", "0001708646",
         "BBG00LPXX872"),
    ]  # fmt: skip
    assert facts.frame["active"].to_list() == [True] * 4


@pytest.mark.parametrize(
    ("name", "worth"),
    [("AAPL", 2488795282370.0), ("AAPL_date_2020-10-01", 1916103105630.0)],
)
def test_recorded_profile(shared_fixtures: Path, name: str, worth: float) -> None:
    """Apple, and Apple of a day."""
    answer = recorded(shared_fixtures, f"mock-v3_reference_tickers_{name}.json")
    assert ask(Question(Feed.PROFILE, "AAPL"), answer).frame.row(0, named=True) == {
        "symbol": "AAPL",
        "name": "Apple Inc.",
        "exchange": "XNAS",
        "asset_class": "stock",
        "currency": "USD",
        "country": None,
        "sector": None,
        "industry": "ELECTRONIC COMPUTERS",
        "website": "https://www.apple.com",
        "listed_on": date(1980, 12, 12),
        "shares_outstanding": 16319440000.0,
        "market_cap": worth,
        "cik": "0000320193",
        "isin": None,
        "figi": "BBG000B9XRY4",
    }


def test_recorded_previous_close(shared_fixtures: Path) -> None:
    """Stamped at 16:00 in New York."""
    answer = recorded(shared_fixtures, "mock-v2_aggs_ticker_AAPL_prev.json")
    facts = ask(Question(Feed.QUOTE, "AAPL"), answer)
    assert facts.frame.rows() == [
        ("AAPL", datetime(2022, 4, 26, 20, tzinfo=UTC), 156.8, 162.25, 162.34, 156.72, None,
         95595226.0, "USD")
    ]  # fmt: skip


@pytest.mark.parametrize("feed", FEEDS)
@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("error-401-unknown-key.json", NotEntitled),
        ("error-403-not-authorized.json", NotEntitled),
        ("error-429.json", RateLimited),
    ],
)
def test_recorded_errors(
    shared_fixtures: Path, feed: Feed, name: str, kind: type[Exception]
) -> None:
    """By status or inside a 200 alike."""
    body = recorded(shared_fixtures, name).content
    symbol = parse_symbol("AAPL")
    for status in (200, int(name[6:9])):
        with pytest.raises(kind):
            match feed:
                case Feed.PROFILE:
                    parse_profile(status, body, symbol)
                case Feed.QUOTE:
                    parse_previous(status, body, symbol)
                case _:
                    parse_list(status, body, str(feed))


GOOD = {
    Feed.SPLITS: {"mock-v3_reference_splits.json"},
    Feed.DIVIDENDS: {"mock-v3_reference_dividends.json"},
    Feed.LISTING: {"mock-v3_reference_tickers.json", SECOND_PAGE},
    Feed.PROFILE: {
        "mock-v3_reference_tickers_AAPL.json",
        "mock-v3_reference_tickers_AAPL_date_2020-10-01.json",
    },
    Feed.QUOTE: {"mock-v2_aggs_ticker_AAPL_prev.json"},
}
AGGREGATES = {
    "aggs-aapl-2023-01.json",
    "mock-v2_aggs_ticker_AAPL_range_1_day_2005-04-01_2005-04-04.json",
    "mock-v2_aggs_ticker_AAPL_range_1_day_2005-04-02_2005-04-04.json",
}
"""Of the form of a previous close, which is the last of its bars."""


@pytest.mark.parametrize("feed", FEEDS)
def test_answers_of_other_endpoints_are_malformed(shared_fixtures: Path, feed: Feed) -> None:
    """Every recorded answer is either the feed's or refused; none is half read."""
    names = {p.name for p in (shared_fixtures / "payloads" / "polygon").iterdir()}
    assert set().union(*GOOD.values()) | AGGREGATES <= names
    symbol = "AAPL" if feed in (Feed.PROFILE, Feed.QUOTE) else None
    others = names - GOOD[feed] - (AGGREGATES if feed is Feed.QUOTE else set())
    if feed is Feed.QUOTE:  # any ticker's bar, where the answer does not say whose it is
        others -= {n for n in others if "grouped" in n}
    assert len(others) > 15
    for name in others:
        if not name.startswith("error"):
            with pytest.raises(Malformed):
                ask(Question(feed, symbol), recorded(shared_fixtures, name))


# ---- the sandbox ----


@pytest.fixture(scope="module")
def sandbox() -> Iterator[SandboxServer]:
    config = SandboxConfig(symbols=300, now=NOW, start=date(2010, 1, 4), limits={"polygon": []})
    with SandboxServer(config) as server:
        yield server


@pytest.fixture
def polygon(sandbox: SandboxServer) -> Iterator[Source]:
    time = FakeTime()
    made = build(
        Setup(
            SOURCES["polygon"].capabilities,
            MemoryQuota(time.now, time.sleep),
            FixedClock(NOW),
            keys={"POLYGON_API_KEY": "good-key"},
            base_url=sandbox.base_url("polygon"),
        )
    )
    yield made
    made.close()


def test_actions_are_the_truth(sandbox: SandboxServer, polygon: Source) -> None:
    """Of every ticker in a few pages, and of one."""
    splits = polygon.ask(Question(Feed.SPLITS)).frame
    dividends = polygon.ask(Question(Feed.DIVIDENDS, None, date(2009, 1, 1)))
    assert dividends.requests > 1
    assert dividends.rejected.is_empty()
    for symbol in ("AAPL", "IBM", *splits["symbol"].unique().sort()[:5]):
        listing = sandbox.market.listing().filter(pl.col("symbol") == symbol)
        if listing.height != 1 or listing["former"].list.len()[0]:
            continue  # a ticker that two assets carried, or a former one
        found = splits.filter(pl.col("symbol") == symbol).drop("symbol")
        assert found.equals(sandbox.market.splits(symbol)), symbol
        one = polygon.ask(Question(Feed.DIVIDENDS, symbol, date(2009, 1, 1))).frame
        assert one.equals(dividends.frame.filter(pl.col("symbol") == symbol))
        truth = sandbox.market.dividends(symbol).filter(pl.col("ex_date") >= date(2009, 1, 1))
        assert one.select("ex_date", "amount").equals(truth), symbol


def test_the_directory_is_the_truth(sandbox: SandboxServer, polygon: Source) -> None:
    """Every living asset under its canonical symbol."""
    facts = polygon.ask(Question(Feed.LISTING))
    truth = sandbox.market.listing().filter(pl.col("delisted_on").is_null()).sort("symbol")
    assert facts.frame["symbol"].to_list() == truth["symbol"].to_list()
    assert facts.frame["name"].to_list() == truth["name"].to_list()
    assert dict(facts.frame.schema) == FEED_SCHEMAS[Feed.LISTING]


def test_a_company_and_its_close(sandbox: SandboxServer, polygon: Source) -> None:
    """As the market has them; an unknown ticker is so."""
    truth = sandbox.market.bars("IBM")
    quote = polygon.ask(Question(Feed.QUOTE, "IBM")).frame.row(0, named=True)
    assert (quote["price"], quote["volume"]) == (truth["close"][-1], truth["volume"][-1])
    profile = polygon.ask(Question(Feed.PROFILE, "IBM")).frame.row(0, named=True)
    assert profile["market_cap"] == pytest.approx(profile["shares_outstanding"] * quote["price"])
    assert profile["listed_on"] == truth["session"][0]
    with pytest.raises(UnknownSymbol, match="not found"):
        polygon.ask(Question(Feed.PROFILE, "QQQZZ"))
    with pytest.raises(NoData):
        polygon.ask(Question(Feed.QUOTE, "QQQZZ"))
