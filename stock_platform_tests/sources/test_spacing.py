"""Bars of another length than was asked for give themselves away, whoever sends them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from stock_platform.domain.bars import Interval
from stock_platform.domain.capabilities import Tile, TileShape
from stock_platform.domain.errors import Malformed
from stock_platform.sources.spacing import check_spacing
from stock_platform_tests.sources.vendors import Vendor, as_json, source_of

MONDAY = datetime(2024, 2, 26, 14, 30, tzinfo=UTC)
MIDNIGHT = datetime(2024, 2, 26, 5, tzinfo=UTC)


def every(step: timedelta, count: int, first: datetime = MONDAY) -> list[datetime]:
    return [first + n * step for n in range(count)]


@pytest.mark.parametrize(
    ("step", "count", "interval", "said"),
    [
        (timedelta(minutes=1), 390, "1d", "several a day, 0:01:00 apart"),
        (timedelta(hours=1), 5, "1d", "several a day"),
        (timedelta(days=7), 5, "1d", "weeks"),
        (timedelta(days=30), 5, "1d", "months"),
        (timedelta(days=91), 5, "1d", "quarters"),
        (timedelta(days=1), 5, "1m", "days"),
        (timedelta(days=1), 5, "1h", "days"),
        (timedelta(minutes=5), 9, "1m", "bars 0:05:00 apart"),
        (timedelta(minutes=1), 9, "5m", "bars 0:01:00 apart"),
    ],
)
def test_another_length(step: timedelta, count: int, interval: str, said: str) -> None:
    """Coarser or finer bars are Malformed, in any order."""
    stamps = every(step, count)[::-1]
    with pytest.raises(Malformed, match=f"asked for {interval} bars, was given.*{said}"):
        check_spacing("s", stamps, Interval.parse(interval))


@pytest.mark.parametrize(
    ("stamps", "interval"),
    [
        (every(timedelta(days=1), 5), "1d"),
        (every(timedelta(days=7), 3), "1d"),  # a share that seldom trades
        ([*every(timedelta(days=7), 4), MONDAY + timedelta(days=1)], "1d"),
        ([*every(timedelta(days=1), 5), *every(timedelta(days=1), 2)], "1d"),  # twice
        ([MONDAY, MONDAY + timedelta(minutes=5), MONDAY + timedelta(minutes=7)], "1m"),
        (every(timedelta(minutes=5), 5), "1m"),
        (
            [*every(timedelta(hours=1), 7), *every(timedelta(hours=1), 7, MONDAY + timedelta(1))],
            "1h",
        ),
        ([], "1m"),
    ],
)
def test_gaps_are_no_other_length(stamps: list[datetime], interval: str) -> None:
    """Bars may be missing, and few of them tell nothing."""
    check_spacing("s", stamps, Interval.parse(interval))


def _polygon(stamps: Sequence[datetime]) -> Any:
    rows = [
        {"o": 1, "h": 2, "l": 1, "c": 1.5, "v": 10, "t": int(at.timestamp() * 1000)}
        for at in stamps
    ]
    return {"ticker": "AAPL", "results": rows, "resultsCount": len(rows), "status": "OK"}


def _alpaca(stamps: Sequence[datetime]) -> Any:
    rows = [{"t": at.isoformat(), "o": 1, "h": 2, "l": 1, "c": 1.5, "v": 10} for at in stamps]
    return {"bars": {"AAPL": rows}, "next_page_token": None}


def _finnhub(stamps: Sequence[datetime]) -> Any:
    columns = {name: [1.0] * len(stamps) for name in "ohlcv"}
    return {**columns, "t": [int(at.timestamp()) for at in stamps], "s": "ok"}


def _coinbase(stamps: Sequence[datetime]) -> Any:
    rows = [
        {"start": str(int(at.timestamp())), "open": "1", "high": "2", "low": "1", "close": "1",
         "volume": "3"} for at in stamps
    ]  # fmt: skip
    return {"candles": rows}


@pytest.mark.parametrize(
    ("source", "symbol", "answer"),
    [
        ("polygon", "AAPL", _polygon),
        ("alpaca", "AAPL", _alpaca),
        ("finnhub", "AAPL", _finnhub),
        ("coinbase", "BTC-USD", _coinbase),
    ],
)
def test_no_source_takes_hours_for_days(source: str, symbol: str, answer: Any) -> None:
    """An answer that does not name its interval: neither its first hours nor none at all."""
    hours = as_json(answer(every(timedelta(hours=1), 48, MIDNIGHT.replace(hour=0))))
    asked = source_of(source, Vendor([hours]))
    found = next(
        e
        for e in asked.capabilities.endpoints
        if Interval.DAY in e.intervals and e.shape is not TileShape.COLUMN
    )
    first, last = date(2024, 2, 26), date(2024, 3, 1)
    block = found.shape is TileShape.BLOCK
    tile = Tile(
        source, found.name, Interval.DAY, first, last,
        None, None if block else symbol, ((1, symbol),) if block else (),
    )  # fmt: skip
    with pytest.raises(Malformed, match="asked for 1d bars"):
        asked.fetch(tile)
