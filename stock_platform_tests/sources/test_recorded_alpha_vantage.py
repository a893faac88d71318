"""Real recorded answers of Alpha Vantage give what was looked up by hand."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from stock_platform.domain.bars import Interval
from stock_platform.domain.errors import (
    Malformed,
    NotEntitled,
    RateLimited,
    SourceError,
    UnknownSymbol,
)
from stock_platform.sources.alpha_vantage.answers import Asked
from stock_platform.sources.alpha_vantage.directory import parse_listing, parse_search
from stock_platform.sources.alpha_vantage.facts import parse_overview, parse_quote, parse_rate
from stock_platform.sources.alpha_vantage.parse import Series, Wanted, parse_series

NOW = datetime(2026, 11, 21, 5, tzinfo=UTC)
ERRORS: list[tuple[str, type[SourceError], str]] = [
    ("error-apikey-invalid.json", NotEntitled, "apikey is invalid or missing"),
    ("error-information-25-per-day.json", RateLimited, r"API key as \*\*\* and our .* 25 requests"),
    ("error-message-invalid-call.json", UnknownSymbol, "IBM: Invalid API call"),
    ("error-note-5-per-minute.json", RateLimited, "5 calls per minute"),
]
READ = {
    "btc-aud-partial.json",
    "company_overview.json",
    "crypto_currencies.json",
    "foreign_exchange.json",
    "global_quote.json",
    "ibm-partial.json",
    "intraday-aapl-15min-csv-head.csv",
    "intraday-msft-1min.json",
    "search-ibm.json",
    "symbol_search.json",
}


def body(folder: Path, name: str) -> bytes:
    return (folder / "payloads" / "alpha_vantage" / name).read_bytes()


def series(
    folder: Path,
    name: str,
    symbol: str,
    interval: Interval = Interval.DAY,
    calendar: str = "XNYS",
    pair: tuple[str, str] | None = None,
) -> Series:
    wanted = Wanted(symbol, NOW, interval=interval, calendar=calendar, pair=pair)
    return parse_series(200, body(folder, name), wanted)


def test_a_stock(shared_fixtures: Path) -> None:
    """Newest first as it came; there was no volume in it."""
    found = series(shared_fixtures, "ibm-partial.json", "IBM")
    assert [str(day) for day in found.bars["session"]] == [
        "2020-12-31",
        "2021-01-04",
        "2021-01-05",
        "2021-01-06",
        "2021-01-07",
        "2021-01-08",
        "2021-01-11",
    ]
    assert found.bars["close"].to_list() == [125.88, 123.94, 126.14, 129.29, 128.99, 128.53, 128.58]
    second = found.bars.row(1, named=True)
    assert second["ts"] == datetime(2021, 1, 4, 14, 30, tzinfo=UTC)
    assert (second["open"], second["high"], second["low"]) == (125.85, 125.9174, 123.04)
    assert second["volume"] is None
    assert found.rejected.is_empty()
    with pytest.raises(Malformed, match="asked for MSFT, was given IBM"):
        series(shared_fixtures, "ibm-partial.json", "MSFT")


def test_a_coin(shared_fixtures: Path) -> None:
    """UTC days, seven a week, in the market's currency."""
    found = series(
        shared_fixtures,
        "btc-aud-partial.json",
        "BTC-AUD",
        calendar="24/7",
        pair=("BTC", "AUD"),
    )
    assert found.bars["session"].to_list() == [date(2021, 1, day) for day in range(3, 10)]
    first = found.bars.row(0, named=True)
    assert first["ts"] == datetime(2021, 1, 3, tzinfo=UTC)
    assert (first["open"], first["high"], first["low"], first["close"]) == (
        43661.512063,
        47191.8085834,
        43371.8596506,
        44779.087847,
    )
    assert first["volume"] == 120957.56675
    with pytest.raises(Malformed, match="was given Market Code AUD"):
        series(
            shared_fixtures,
            "btc-aud-partial.json",
            "BTC-USD",
            calendar="24/7",
            pair=("BTC", "USD"),
        )


def test_minutes_in_json(shared_fixtures: Path) -> None:
    """100 minutes of a winter's day."""
    found = series(shared_fixtures, "intraday-msft-1min.json", "MSFT", Interval.MINUTE)
    assert found.bars.height == 100
    assert set(found.bars["session"]) == {date(2017, 12, 18)}
    assert found.bars["ts"][0] == datetime(2017, 12, 18, 18, 17, tzinfo=UTC)
    last = found.bars.row(-1, named=True)
    assert last["ts"] == datetime(2017, 12, 18, 19, 56, tzinfo=UTC)
    assert (last["open"], last["high"], last["low"], last["close"]) == (86.49, 86.5, 86.475, 86.5)
    assert last["volume"] == 10494.0
    with pytest.raises(Malformed, match="asked for 15m, was given"):
        series(shared_fixtures, "intraday-msft-1min.json", "MSFT", Interval.MINUTES_15)


def test_minutes_in_csv(shared_fixtures: Path) -> None:
    """30 quarters of an hour, 26 a session from 9:30."""
    name = "intraday-aapl-15min-csv-head.csv"
    found = series(shared_fixtures, name, "AAPL", Interval.MINUTES_15)
    assert found.bars.height == 30
    days = found.bars["session"].to_list()
    assert (days.count(date(2023, 1, 31)), days.count(date(2023, 1, 30))) == (26, 4)
    last = found.bars.row(-1, named=True)
    assert last["ts"] == datetime(2023, 1, 31, 20, 45, tzinfo=UTC)
    assert (last["open"], last["high"], last["low"], last["close"]) == (
        142.471,
        143.364,
        142.138,
        143.32,
    )
    assert last["volume"] == 6111148.0
    assert found.bars["ts"][4] == datetime(2023, 1, 31, 14, 30, tzinfo=UTC)
    for other in (Interval.MINUTE, Interval.HOUR):
        with pytest.raises(Malformed, match="bars 0:15:00 apart"):
            series(shared_fixtures, name, "AAPL", other)


def test_minutes_of_coins_are_a_series_we_do_not_ask_for(shared_fixtures: Path) -> None:
    """A function that Alpha Vantage has dropped: prices without open, high and low."""
    with pytest.raises(Malformed, match="Digital Currency Intraday"):
        series(
            shared_fixtures,
            "crypto_currencies.json",
            "BTC-CNY",
            calendar="24/7",
            pair=("BTC", "CNY"),
        )


def test_a_quote(shared_fixtures: Path) -> None:
    """MSFT's Friday of 2018-10-05, stamped at its close."""
    frame = parse_quote(
        200,
        body(shared_fixtures, "global_quote.json"),
        Asked("MSFT", NOW),
        calendar="XNYS",
        currency="USD",
    )
    assert frame.row(0) == (
        "MSFT",
        datetime(2018, 10, 5, 20, tzinfo=UTC),
        112.13,
        112.63,
        113.17,
        110.64,
        112.79,
        29062853.0,
        "USD",
    )


def test_a_rate(shared_fixtures: Path) -> None:
    """A coin in yuan, at the vendor's second."""
    frame = parse_rate(
        200,
        body(shared_fixtures, "foreign_exchange.json"),
        Asked("BTC-CNY", NOW),
        pair=("BTC", "CNY"),
    )
    row = frame.row(0, named=True)
    assert (row["price"], row["currency"]) == (109631.430607, "CNY")
    assert row["ts"] == datetime(2017, 12, 20, 19, 23, 21, tzinfo=UTC)


def test_a_profile(shared_fixtures: Path) -> None:
    """IBM in 2020: no CIK or site in it then."""
    frame = parse_overview(200, body(shared_fixtures, "company_overview.json"), Asked("IBM", NOW))
    row = frame.row(0, named=True)
    assert row["name"] == "International Business Machines Corporation"
    assert (row["exchange"], row["asset_class"], row["currency"]) == ("XNYS", "stock", "USD")
    assert (row["country"], row["sector"]) == ("USA", "Technology")
    assert row["industry"] == "Information Technology Services"
    assert (row["shares_outstanding"], row["market_cap"]) == (890579008.0, 114234572800.0)
    assert (row["cik"], row["website"]) == (None, None)


@pytest.mark.parametrize(
    ("name", "symbols"),
    [
        ("search-ibm.json", ["IBM", "IBMJ", "IBMK"]),
        ("symbol_search.json", ["BA", "BABA", "BSVN"]),
    ],
)
def test_a_search(shared_fixtures: Path, name: str, symbols: list[str]) -> None:
    """Best matches first."""
    frame, rejected = parse_search(200, body(shared_fixtures, name), Asked("a word", NOW))
    assert frame["symbol"].to_list()[:3] == symbols
    assert frame.row(0, named=True)["exchange"] == "United States"
    assert frame.height + rejected.height == 10


@pytest.mark.parametrize(("name", "kind", "said"), ERRORS)
def test_errors_of_every_function(
    shared_fixtures: Path, name: str, kind: type[SourceError], said: str
) -> None:
    """The same object whatever was asked, CSV included."""
    raw, asked = body(shared_fixtures, name), Asked("IBM", NOW)
    readers: list[Callable[[], object]] = [
        lambda: series(shared_fixtures, name, "IBM"),
        lambda: series(shared_fixtures, name, "IBM", Interval.MINUTE),
        lambda: parse_quote(200, raw, asked, calendar="XNYS", currency="USD"),
        lambda: parse_rate(200, raw, asked, pair=("EUR", "USD")),
        lambda: parse_overview(200, raw, asked),
        lambda: parse_listing(200, raw, asked),
        lambda: parse_search(200, raw, asked),
    ]
    for read in readers:
        with pytest.raises(kind, match=said):
            read()


def test_the_day_ends_in_new_york(shared_fixtures: Path) -> None:
    """It is midnight there at 5:00 UTC: a whole day to wait; by the minute, one minute."""
    with pytest.raises(RateLimited) as caught:
        series(shared_fixtures, "error-information-25-per-day.json", "IBM")
    assert caught.value.retry_after == 24 * 3600
    with pytest.raises(RateLimited) as caught:
        series(shared_fixtures, "error-note-5-per-minute.json", "IBM")
    assert caught.value.retry_after == 60


def test_answers_of_other_functions_are_malformed(shared_fixtures: Path) -> None:
    """What is not a daily series gives no bars, and says so."""
    for name in READ - {"ibm-partial.json"}:
        with pytest.raises(Malformed):
            series(shared_fixtures, name, "IBM")


def test_every_recorded_answer_is_read(shared_fixtures: Path) -> None:
    """No file of the folder is left out above."""
    folder = shared_fixtures / "payloads" / "alpha_vantage"
    assert {file.name for file in folder.iterdir()} == READ | {name for name, _, _ in ERRORS}
