"""Reading Yahoo's v8 chart: bytes to bars, or an error.

Belongs here: the bars. Does not: errors (envelope.py), the exchange's clock (place.py), splits
and dividends (events.py), asking (client.py). Pure: ``now`` is passed in.

Units and stamps, as documented by use (https://finance.yahoo.com has no reference):

* ``timestamp`` is epoch seconds at the session's opening (currencies and crypto: local
  midnight); the session is that instant's date in ``exchangeTimezoneName``.
* The last daily bar can be live. It is then stamped with the market time, or at the opening
  of a session that is not over; its numbers change until after the close, so it is left
  out and its session is ``unfinished``.
* Prices carry float32 noise; London's are in pence (``GBp``), Tel Aviv's in agorot
  (``ILA``), Johannesburg's in cents (``ZAc``): all become the major unit.
* A range with nothing in it has no ``timestamp`` and ``quote: [{}]``.
* ``dataGranularity`` tells the interval that was served, which is not always the one asked.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime

import polars as pl

from stock_platform.domain.bars import PARSED_BARS, PRICE_COLUMNS, Interval, conform
from stock_platform.domain.errors import InputError, Malformed, NoData, UnknownSymbol
from stock_platform.domain.symbols import from_vendor
from stock_platform.sources.money import Money
from stock_platform.sources.payload import (
    as_list,
    as_mapping,
    instant,
    number,
    openings,
    rejected_frame,
    rejected_row,
)
from stock_platform.sources.yahoo.config import NAME
from stock_platform.sources.yahoo.envelope import check_text, result_of
from stock_platform.sources.yahoo.events import read_dividends, read_splits
from stock_platform.sources.yahoo.place import Place, read_stamp

QUOTE = (*PRICE_COLUMNS, "volume")
SAME_GRANULARITY = {"60m": "1h"}


@dataclass(frozen=True)
class Chart:
    """An answer, read; the fields are those of sources.base.Answer."""

    bars: pl.DataFrame
    splits: pl.DataFrame
    dividends: pl.DataFrame
    rejected: pl.DataFrame
    unfinished: frozenset[date]
    listed_from: date | None
    currency: str | None


def parse_chart(
    status: int, body: bytes, *, symbol: str, interval: Interval, calendar: str, now: datetime
) -> Chart:
    """The chart in an answer.

    Args:
        status: the HTTP status.
        body: decoded bytes.
        symbol: canonical ticker, for the frames.
        interval: the one asked for.
        calendar: of the symbol; its openings stamp daily bars.
        now: when the vendor gave the answer.

    Raises:
        UnknownSymbol, NoData, NotEntitled, RateLimited, Unavailable, Malformed.
    """
    check_text(status, body)
    result = result_of(status, body, symbol)
    meta = as_mapping(NAME, result.get("meta"), "chart.result[0].meta")
    _check_granularity(meta, interval)
    _check_symbol(meta.get("symbol"), symbol)
    money = Money.of(meta.get("currency"))
    where = Place.of(meta, calendar, now)
    stamps = as_list(NAME, result.get("timestamp"), "timestamp")
    if not stamps:
        if meta.get("currency") is None and meta.get("firstTradeDate") is None:
            raise UnknownSymbol(NAME, symbol, "no bars and no currency: delisted or never listed")
        raise NoData(NAME, f"{symbol}: no bars in the range")
    quote = _quote(result, len(stamps))
    kept, rejected, unfinished = _rows(stamps, quote, money, where, symbol, interval)
    splits, bad_splits = read_splits(result.get("events"), symbol, where.session)
    dividends, bad_dividends = read_dividends(
        result.get("events"), symbol, where.session, splits, money
    )
    bars = _frame(kept, symbol, interval, calendar)
    return Chart(
        bars=bars,
        splits=splits,
        dividends=dividends,
        rejected=rejected_frame([*rejected, *bad_splits, *bad_dividends]),
        unfinished=unfinished,
        listed_from=_listed_from(meta, where, bars),
        currency=money.currency,
    )


def _check_granularity(meta: Mapping[str, object], interval: Interval) -> None:
    served = meta.get("dataGranularity")
    if served is None:
        return
    name = SAME_GRANULARITY.get(str(served), str(served))
    if name != str(interval):
        raise Malformed(NAME, f"asked for {interval} bars, was given {served} bars")


def _check_symbol(given: object, symbol: str) -> None:
    """Raise Malformed where the answer is about another ticker than was asked for."""
    if not isinstance(given, str):
        return
    try:
        same = from_vendor(given, NAME).ticker == symbol
    except InputError:
        same = given.upper() == symbol.upper()
    if not same:
        raise Malformed(NAME, f"asked for {symbol}, was given {given}")


def _listed_from(meta: Mapping[str, object], where: Place, bars: pl.DataFrame) -> date | None:
    first = read_stamp(meta.get("firstTradeDate"))
    if first is None:
        return None
    listed = where.session(first)
    earliest = bars["session"].min()
    return min(listed, earliest) if isinstance(earliest, date) else listed


# ---- bars ----


@dataclass(frozen=True)
class _Row:
    at: datetime
    session: date
    values: dict[str, float | None]


def _quote(result: Mapping[str, object], count: int) -> dict[str, Sequence[object]]:
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


def _rows(
    stamps: Sequence[object],
    quote: Mapping[str, Sequence[object]],
    money: Money,
    where: Place,
    symbol: str,
    interval: Interval,
) -> tuple[list[_Row], list[dict[str, object]], frozenset[date]]:
    """The final bars, the rows that could not be read, and the sessions still to come."""
    rejected: list[dict[str, object]] = []
    timed: list[tuple[datetime, dict[str, object]]] = []
    for index, stamp in enumerate(stamps):
        raw = {"timestamp": stamp, **{name: quote[name][index] for name in QUOTE}}
        try:
            timed.append((instant(stamp), raw))
        except ValueError as error:
            rejected.append(rejected_row(raw, f"timestamp: {error}", symbol=symbol))
    timed.sort(key=lambda item: item[0])

    rows: list[_Row] = []
    unfinished: set[date] = set()
    times = Counter(where.time_of_day(at) for at, _ in timed)
    last = timed[-1][0] if timed else None
    for at, raw in timed:
        session = where.session(at)
        if interval.intraday:
            live = _live_minute(at, last, where, interval)
            if not where.over(session):
                unfinished.add(session)
        else:
            usual = {when for when, n in times.items() if n > 1 or when != where.time_of_day(at)}
            live = where.live(at, usual)
            if live:
                unfinished.add(session)
        if live or all(raw[name] is None for name in PRICE_COLUMNS):
            continue  # a null row: the vendor has no bar there
        try:
            values = {name: number(raw[name]) for name in QUOTE}
        except ValueError as error:
            reason = str(error)
        else:
            if values["close"] is not None:
                scaled = {n: money.price(v) for n, v in values.items() if n != "volume"}
                rows.append(_Row(at, session, {**scaled, "volume": values["volume"]}))
                continue
            reason = "close is null"
        rejected.append(rejected_row(raw, reason, symbol=symbol, ts=at, session=session))
    kept, doubled = _without_duplicates(rows, where, symbol, interval)
    if not interval.intraday:
        unfinished -= {row.session for row in kept}
    return kept, rejected + doubled, frozenset(unfinished)


def _live_minute(at: datetime, last: datetime | None, where: Place, interval: Interval) -> bool:
    """Whether an intraday bar is not over, or is the mark that ends the series.

    Yahoo ends a series with a row stamped at the market time, the close included: a price
    without a period.
    """
    if at + interval.length > where.now and not where.over(where.session(at)):
        return True
    return at == last and at == where.market_time


def _without_duplicates(
    rows: list[_Row], where: Place, symbol: str, interval: Interval
) -> tuple[list[_Row], list[dict[str, object]]]:
    """One row a bar: the one stamped at the opening, else the last; others are rejected."""
    best: dict[object, _Row] = {}
    doubled: list[dict[str, object]] = []
    for row in rows:
        key = row.at if interval.intraday else row.session
        other = best.get(key)
        if other is None:
            best[key] = row
            continue
        loser = row if where.opening(other.at) and not where.opening(row.at) else other
        best[key] = row if loser is other else other
        if row.values != other.values:
            shown = {"timestamp": int(loser.at.timestamp()), **loser.values}
            doubled.append(
                rejected_row(
                    shown,
                    "another bar of the same time in one answer",
                    symbol=symbol,
                    ts=loser.at,
                    session=loser.session,
                )
            )
    return list(best.values()), doubled


def _frame(rows: list[_Row], symbol: str, interval: Interval, calendar: str) -> pl.DataFrame:
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
    return conform(frame.sort("ts"), PARSED_BARS)
