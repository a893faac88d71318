"""Frames of yfinance to frames of ours.

Belongs here: the history's bars, splits and dividends. Does not: reading answers (chart.py),
asking (library.py). Pure.

The library's index is the exchange's local time: midnight of the session for days. Its
``Dividends`` and ``Stock Splits`` columns put an event that falls on a day without a bar
on the bar before, so the events are read from the series it keeps beside the frame.

Dividends are split-adjusted by every later split like the prices; multiplied by those
splits they are as paid. Yahoo gives six decimals, so 0.094643 before a 28-for-1 is known to
four: 2.6500.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

import polars as pl

from stock_platform.domain.bars import PARSED_BARS, PRICE_COLUMNS, Interval, conform
from stock_platform.sources.base import PARSED_DIVIDENDS, PARSED_SPLITS
from stock_platform.sources.money import Money, as_paid
from stock_platform.sources.payload import openings, rejected_frame, rejected_row
from stock_platform.sources.yfinance_library.chart import Chart
from stock_platform.sources.yfinance_library.shown import QUOTE, Row

COLUMNS = {name: name.title() for name in QUOTE}


@dataclass(frozen=True)
class History:
    """What the library made of a chart.

    Attributes:
        frame: its history: a pandas frame by local time.
        dividends, gains: amount and currency (None: that of the prices) by date.
        splits: new shares for one by date.
    """

    frame: Any
    dividends: Sequence[tuple[date, float, str | None]]
    gains: Sequence[tuple[date, float, str | None]]
    splits: Sequence[tuple[date, float]]


@dataclass(frozen=True)
class Parsed:
    """A chart in our frames; the fields are those of sources.base.Answer."""

    bars: pl.DataFrame
    splits: pl.DataFrame
    dividends: pl.DataFrame
    rejected: pl.DataFrame
    unfinished: frozenset[date]
    listed_from: date | None
    currency: str | None


def parse_history(
    history: History, chart: Chart, *, symbol: str, interval: Interval, calendar: str
) -> Parsed:
    """The library's history as PARSED_BARS and actions.

    Bars of the chart that the library left out are rejected; a volume that the answer does
    not tell is null, not the library's 0.

    Raises:
        KeyError, ValueError, TypeError: the frame is not as the library documents it.
    """
    read = _read(history.frame, chart, interval)
    missing = [row for row in chart.rows if _key(row.at, row.session, interval) not in read]
    rejected = [*chart.rejected, *(_left_out(row, symbol) for row in missing)]
    rows = sorted(read.values(), key=lambda row: row.at)
    opened = {} if interval.intraday else openings((row.session for row in rows), calendar)
    frame = pl.DataFrame(
        {
            "symbol": [symbol] * len(rows),
            "ts": [opened.get(row.session, row.at) for row in rows],
            "session": [row.session for row in rows],
            **{name: [row.values[name] for row in rows] for name in QUOTE},
        },
        schema={name: PARSED_BARS[name] for name in ("symbol", "ts", "session", *QUOTE)},
    )
    splits = _splits(history.splits, symbol)
    first = [day for day in (chart.listed_from, *(r.session for r in rows[:1])) if day]
    return Parsed(
        bars=conform(frame.sort("ts"), PARSED_BARS),
        splits=splits,
        dividends=_dividends([*history.dividends, *history.gains], symbol, splits, chart.money),
        rejected=rejected_frame(rejected),
        unfinished=chart.unfinished,
        listed_from=min(first) if chart.listed_from else None,
        currency=chart.money.currency,
    )


def _key(at: datetime, session: date, interval: Interval) -> object:
    return at if interval.intraday else session


def _read(frame: Any, chart: Chart, interval: Interval) -> dict[object, Row]:
    """The library's bars; rows of events alone are none."""
    volumeless = {
        _key(row.at, row.session, interval) for row in chart.rows if row.values["volume"] is None
    }
    columns = {name: frame[column].tolist() for name, column in COLUMNS.items()}
    found: dict[object, Row] = {}
    for index, local in enumerate(frame.index):
        values = {name: _number(columns[name][index]) for name in QUOTE}
        if values["close"] is None:
            continue
        at = local.to_pydatetime().astimezone(UTC)
        key = _key(at, local.date(), interval)
        scaled = {name: chart.money.price(values[name]) for name in PRICE_COLUMNS}
        volume = None if key in volumeless else values["volume"]
        found[key] = Row(at, local.date(), {**scaled, "volume": volume})
    return found


def _number(value: Any) -> float | None:
    found = float(value)
    return found if math.isfinite(found) else None


def _left_out(row: Row, symbol: str) -> dict[str, object]:
    shown = {"timestamp": int(row.at.timestamp()), **row.values}
    reason = "yfinance left this bar out of its history"
    return rejected_row(shown, reason, symbol=symbol, ts=row.at, session=row.session)


def _splits(events: Iterable[tuple[date, float]], symbol: str) -> pl.DataFrame:
    """PARSED_SPLITS, one row a day."""
    ratios: dict[date, float] = defaultdict(lambda: 1.0)
    for day, ratio in events:
        ratios[day] *= ratio
    days = sorted(ratios)
    return pl.DataFrame(
        {"symbol": [symbol] * len(days), "ex_date": days, "ratio": [ratios[d] for d in days]},
        schema=PARSED_SPLITS,
    )


def _dividends(
    events: Iterable[tuple[date, float, str | None]],
    symbol: str,
    splits: pl.DataFrame,
    prices: Money,
) -> pl.DataFrame:
    """PARSED_DIVIDENDS as paid, one row a day."""
    later = list(splits.select("ex_date", "ratio").iter_rows())
    amounts: dict[date, float] = defaultdict(float)
    currencies: dict[date, str | None] = {}
    for day, amount, currency in events:
        money = Money.of(currency) if currency else prices
        ratio = math.prod(r for ex_date, r in later if ex_date > day)
        amounts[day] = round(amounts[day] + as_paid(money.price(amount) or 0.0, ratio), 10)
        currencies[day] = money.currency
    days = sorted(amounts)
    return pl.DataFrame(
        {
            "symbol": [symbol] * len(days),
            "ex_date": days,
            "amount": [amounts[d] for d in days],
            "currency": [currencies[d] for d in days],
        },
        schema=PARSED_DIVIDENDS,
    )
