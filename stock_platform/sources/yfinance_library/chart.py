"""A chart, read before yfinance reads it: what it is shown, and what it would not tell.

Belongs here: rows and events that would make the library fail, or that it would drop or
merge without a word. Does not: making bars (bars.py). Pure.

The library turns whole columns into numbers, so one ``"n/a"`` loses all; of two rows of one
day it keeps one and says nothing; it makes a missing volume 0; and it takes the market's
last price for a bar. So rows that cannot be read are taken out and rejected here, twins too,
and live rows are left out and told. What is left comes back as the document the library gets.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime

from stock_platform.domain.bars import PRICE_COLUMNS, Interval
from stock_platform.domain.errors import InputError, Malformed, NoData, UnknownSymbol
from stock_platform.domain.symbols import from_vendor
from stock_platform.sources.money import Money
from stock_platform.sources.payload import (
    as_list,
    as_mapping,
    instant,
    number,
    rejected_row,
)
from stock_platform.sources.yfinance_library.config import HOST, NAME
from stock_platform.sources.yfinance_library.envelope import result_of
from stock_platform.sources.yfinance_library.place import Place, read_stamp
from stock_platform.sources.yfinance_library.shown import (
    QUOTE,
    Rejected,
    Row,
    readable_events,
    shown,
)

SAME_GRANULARITY = {"60m": "1h"}


@dataclass(frozen=True)
class Chart:
    """An answer as yfinance is shown it, and what is known of it besides.

    Attributes:
        shown: the document for the library, as JSON.
        rows: its bars. rejected: rows of REJECTED.
        unfinished: sessions without a final bar.
    """

    shown: bytes
    rows: Sequence[Row]
    place: Place
    money: Money
    rejected: Rejected
    unfinished: frozenset[date]
    listed_from: date | None


@dataclass
class _Reading:
    """What was read of the rows so far."""

    rows: dict[object, Row] = field(default_factory=dict)
    rejected: Rejected = field(default_factory=list)
    unfinished: set[date] = field(default_factory=set)


def read_chart(
    status: int, body: bytes, *, symbol: str, interval: Interval, calendar: str, now: datetime
) -> Chart:
    """The chart in an answer.

    Args:
        status: the HTTP status.
        body: decoded bytes.
        symbol: canonical ticker.
        interval: the one asked for.
        calendar: of the symbol; tells whether a session is over.
        now: when the vendor gave the answer.

    Raises:
        UnknownSymbol, NoData, NotEntitled, RateLimited, Unavailable, Malformed.
    """
    result = result_of(status, body, "chart", symbol)
    meta = as_mapping(NAME, result.get("meta"), "chart.result[0].meta")
    _check_granularity(meta, interval)
    check_symbol(meta.get("symbol"), symbol)
    place = Place.of(meta, calendar, now)
    stamps = as_list(NAME, result.get("timestamp"), "timestamp")
    if not stamps:
        if meta.get("currency") is None and meta.get("firstTradeDate") is None:
            raise UnknownSymbol(NAME, symbol, "no bars and no currency: delisted or never listed")
        raise NoData(NAME, f"{symbol}: no bars in the range")
    reading = _read_rows(stamps, _arrays(result, len(stamps)), place, symbol, interval)
    events = readable_events(result.get("events"), reading.rejected, symbol)
    rows = sorted(reading.rows.values(), key=lambda row: row.at)
    first = read_stamp(meta.get("firstTradeDate"))
    return Chart(
        shown=shown(meta, rows, events, place, interval, stamps),
        rows=rows,
        place=place,
        money=Money.of(meta.get("currency")),
        rejected=reading.rejected,
        unfinished=frozenset(reading.unfinished),
        listed_from=place.day(first) if first else None,
    )


def check_symbol(given: object, symbol: str) -> None:
    """Raise Malformed where the answer is about another ticker than was asked for."""
    if not isinstance(given, str):
        return
    try:
        same = from_vendor(given, HOST).ticker == symbol
    except InputError:
        same = given.upper() == symbol.upper()
    if not same:
        raise Malformed(NAME, f"asked for {symbol}, was given {given}")


def _check_granularity(meta: Mapping[str, object], interval: Interval) -> None:
    served = meta.get("dataGranularity")
    name = SAME_GRANULARITY.get(str(served), str(served))
    if served is not None and name != str(interval):
        raise Malformed(NAME, f"asked for {interval} bars, was given {served} bars")


# ---- rows ----


def _arrays(result: Mapping[str, object], count: int) -> dict[str, Sequence[object]]:
    """The arrays of the quote, one value a stamp; an array that is not there is null."""
    indicators = as_mapping(NAME, result.get("indicators"), "indicators")
    quotes = as_list(NAME, indicators.get("quote"), "indicators.quote")
    quote = as_mapping(NAME, quotes[0] if quotes else {}, "indicators.quote[0]")
    arrays: dict[str, Sequence[object]] = {}
    for name in QUOTE:
        values = as_list(NAME, quote.get(name), name)
        if values and len(values) != count:
            raise Malformed(NAME, f"{count} stamps but {len(values)} values of {name}")
        arrays[name] = values or [None] * count
    return arrays


def _read_rows(
    stamps: Sequence[object],
    arrays: Mapping[str, Sequence[object]],
    place: Place,
    symbol: str,
    interval: Interval,
) -> _Reading:
    found = _Reading()
    timed: list[tuple[datetime, dict[str, object]]] = []
    for index, stamp in enumerate(stamps):
        raw = {"timestamp": stamp, **{name: arrays[name][index] for name in QUOTE}}
        try:
            timed.append((instant(stamp), raw))
        except ValueError as error:
            found.rejected.append(rejected_row(raw, f"timestamp: {error}", symbol=symbol))
    timed.sort(key=lambda item: item[0])
    for at, raw in timed:
        session = place.session(at, interval)
        live = not place.finished(at, interval) or place.mark(at, timed[-1][0], interval)
        if not place.over(session) or (live and not interval.intraday):
            found.unfinished.add(session)
        if live or all(raw[name] is None for name in PRICE_COLUMNS):
            continue  # a null row: the vendor has no bar there
        try:
            values = {name: number(raw[name]) for name in QUOTE}
            if values["close"] is None:
                raise ValueError("close is null")
        except ValueError as error:
            found.rejected.append(
                rejected_row(raw, str(error), symbol=symbol, ts=at, session=session)
            )
            continue
        _add(found, Row(at, session, values), symbol, interval)
    if not interval.intraday:
        found.unfinished -= {row.session for row in found.rows.values()}
    return found


def _add(found: _Reading, row: Row, symbol: str, interval: Interval) -> None:
    """Keep the first row of a time; a later one that differs is rejected."""
    key = row.at if interval.intraday else row.session
    kept = found.rows.setdefault(key, row)
    if kept.values != row.values:
        told = {"timestamp": int(row.at.timestamp()), **row.values}
        reason = "another bar of the same time in one answer"
        found.rejected.append(
            rejected_row(told, reason, symbol=symbol, ts=row.at, session=row.session)
        )
