"""Real recorded answers of Polygon give the bars that were looked up by hand."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest

from stock_platform.domain.bars import Basis, Interval
from stock_platform.domain.errors import Malformed, NotEntitled, RateLimited, SourceError
from stock_platform.sources.polygon.parse import Page, parse_grouped, parse_range

NOW = datetime(2026, 11, 21, tzinfo=UTC)
GROUPED = "mock-v2_aggs_grouped_locale_us_market_stocks_2005-04-04_adjusted_true.json"


def body(folder: Path, name: str) -> bytes:
    return (folder / "payloads" / "polygon" / name).read_bytes()


def read(folder: Path, name: str, status: int = 200, **changes: Any) -> Page:
    asked: dict[str, Any] = {
        "symbol": "AAPL",
        "interval": Interval.DAY,
        "calendar": "XNYS",
        "new_york_days": True,
        "now": NOW,
    }
    return parse_range(status, body(folder, name), **(asked | changes))


def test_a_stock_range(shared_fixtures: Path) -> None:
    """t is New York's midnight; v is written in scientific notation; adjusted is believed."""
    page = read(shared_fixtures, "aggs-aapl-2023-01.json")
    assert [str(d) for d in page.bars["session"]] == [
        "2023-01-03",
        "2023-01-04",
        "2023-01-05",
        "2023-01-06",
        "2023-01-09",
        "2023-01-10",
    ]
    first = page.bars.row(0, named=True)
    assert first["ts"] == datetime(2023, 1, 3, 14, 30, tzinfo=UTC)
    assert (first["open"], first["high"], first["low"], first["close"]) == (
        130.28,
        130.9,
        124.17,
        125.07,
    )
    assert (first["volume"], first["vwap"], first["trades"]) == (112117471.0, 125.725, 1021065)
    assert page.basis is Basis.SPLIT_ADJUSTED
    assert page.next_url is None


def test_a_crypto_range(shared_fixtures: Path) -> None:
    """t is UTC midnight, seven days a week; volumes are fractions of a coin."""
    page = read(
        shared_fixtures,
        "aggs-btcusd-2023-01.json",
        symbol="BTC-USD",
        calendar="24/7",
        new_york_days=False,
    )
    assert page.bars["session"].to_list() == [date(2023, 1, d) for d in range(1, 11)]
    assert page.bars["ts"][0] == datetime(2023, 1, 1, tzinfo=UTC)
    assert page.bars["close"].to_list()[:2] == [16611.58, 16666.95]
    assert page.bars["volume"][0] == 12300.315533316923
    assert page.basis is Basis.AS_TRADED


@pytest.mark.parametrize("start", ["2005-04-01", "2005-04-02"])
def test_summer_time_begins(shared_fixtures: Path, start: str) -> None:
    """Two midnights in New York on either side of the change of 2005-04-03."""
    page = read(shared_fixtures, f"mock-v2_aggs_ticker_AAPL_range_1_day_{start}_2005-04-04.json")
    assert page.bars["session"].to_list() == [date(2005, 4, 1), date(2005, 4, 4)]
    assert page.bars["ts"].to_list() == [
        datetime(2005, 4, 1, 14, 30, tzinfo=UTC),
        datetime(2005, 4, 4, 13, 30, tzinfo=UTC),
    ]
    assert page.bars["close"].to_list() == [1.4604, 1.4675]


def test_a_previous_close(shared_fixtures: Path) -> None:
    """The same form, stamped at 16:00 in New York."""
    page = read(shared_fixtures, "mock-v2_aggs_ticker_AAPL_prev.json")
    assert page.bars["session"].to_list() == [date(2022, 4, 26)]
    assert page.bars["ts"].to_list() == [datetime(2022, 4, 26, 13, 30, tzinfo=UTC)]


def test_a_day_of_the_market(shared_fixtures: Path) -> None:
    """GIK on 2020-10-14; asked for another day the answer is refused."""
    page = parse_grouped(
        200, body(shared_fixtures, GROUPED), session=date(2020, 10, 14), calendar="XNYS"
    )
    assert page.bars.row(0) == (
        "GIK",
        datetime(2020, 10, 14, 13, 30, tzinfo=UTC),
        date(2020, 10, 14),
        9.99,
        10.02,
        9.9,
        10.02,
        895345.0,
        9.9979,
        96,
    )
    with pytest.raises(Malformed, match="given bars of 2020-10-14"):
        parse_grouped(
            200, body(shared_fixtures, GROUPED), session=date(2005, 4, 4), calendar="XNYS"
        )


@pytest.mark.parametrize(
    ("name", "status", "kind", "said"),
    [
        ("error-401-unknown-key.json", 401, NotEntitled, "Unknown API Key"),
        ("error-403-not-authorized.json", 403, NotEntitled, "not entitled to this data"),
        ("error-429.json", 429, RateLimited, "maximum requests per minute"),
        ("error-401-unknown-key.json", 200, NotEntitled, "Unknown API Key"),
        ("error-403-not-authorized.json", 200, NotEntitled, "not entitled to this data"),
        ("error-429.json", 200, RateLimited, "maximum requests per minute"),
    ],
)
def test_errors(
    shared_fixtures: Path, name: str, status: int, kind: type[SourceError], said: str
) -> None:
    """By status or inside a 200 alike."""
    with pytest.raises(kind, match=said):
        read(shared_fixtures, name, status)


def test_answers_of_other_endpoints_are_malformed(shared_fixtures: Path) -> None:
    """What is not aggregates gives no bars, and says so."""
    folder = shared_fixtures / "payloads" / "polygon"
    others = [p.name for p in folder.iterdir() if "aggs" not in p.name and "error" not in p.name]
    assert len(others) >= 10
    for name in others:
        with pytest.raises(Malformed):
            read(shared_fixtures, name)
