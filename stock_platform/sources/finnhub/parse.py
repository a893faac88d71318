"""Reading Finnhub's candles: bytes to bars, or an error.

Belongs here: ``/stock/candle``, ``/forex/candle``, ``/crypto/candle``. Does not: errors
(envelope.py), facts (facts.py), asking (client.py). Pure: ``now`` is passed in.

``{"s": "ok", "t": [...], "o": [...], "h": [...], "l": [...], "c": [...], "v": [...]}``:
arrays of one length, ``t`` in epoch seconds of a bar's start, prices in the listing's
currency. ``{"s": "no_data"}`` where there are none, or no such symbol. Whose candles they
are is not told.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import partial
from zoneinfo import ZoneInfo

import polars as pl

from stock_platform.domain.bars import PARSED_BARS, Interval, conform
from stock_platform.domain.calendar import get_calendar
from stock_platform.domain.errors import InputError, Malformed, NoData
from stock_platform.domain.symbols import AssetClass, Symbol, default_calendar
from stock_platform.sources.finnhub.config import NAME
from stock_platform.sources.finnhub.envelope import value_of
from stock_platform.sources.payload import (
    as_list,
    as_mapping,
    closing,
    instant,
    number,
    openings,
    rejected_frame,
    rejected_row,
)
from stock_platform.sources.spacing import check_spacing

NEW_YORK = ZoneInfo("America/New_York")
ROLLOVER = timedelta(hours=7)
"""From the start of a currency's day, 17:00 in New York, to the midnight that names it."""

FIELDS = {"open": "o", "high": "h", "low": "l", "close": "c", "volume": "v"}


@dataclass(frozen=True)
class Candles:
    """An answer, read; the fields are those of sources.base.Answer."""

    bars: pl.DataFrame
    rejected: pl.DataFrame
    unfinished: frozenset[date]


def parse_candles(
    status: int, body: bytes, *, symbol: Symbol, interval: Interval, now: datetime
) -> Candles:
    """One symbol's bars.

    Args:
        status: the HTTP status.
        body: decoded bytes.
        symbol: whose they are; its calendar's openings stamp daily bars.
        interval: the one asked for.
        now: when the vendor gave the answer; bars that were not over then are left out.

    Raises:
        NoData: none. UnknownSymbol, NotEntitled, RateLimited, Unavailable, Malformed.
    """
    value = value_of(status, body, f"candles of {symbol.ticker}")
    columns = _columns(as_mapping(NAME, value, "the answer"), symbol.ticker)
    calendar = default_calendar(symbol)
    zone = _zone(symbol, calendar)
    rows: dict[date, dict[str, object]] = {}  # by session, or by instant
    rejected: list[dict[str, object]] = []
    unfinished: set[date] = set()
    stamps: list[datetime] = []
    for at_, *values in zip(*columns.values(), strict=True):
        entry = dict(zip(columns, (at_, *values), strict=True))
        try:
            at = instant(at_)
        except ValueError as error:
            rejected.append(rejected_row(entry, f"t: {error}", symbol=symbol.ticker))
            continue
        stamps.append(at)
        session = _session(at, symbol, interval, zone)
        if not _over(at, session, symbol, interval, calendar, now):
            unfinished.add(session)
            continue
        refused = partial(rejected_row, entry, symbol=symbol.ticker, ts=at, session=session)
        try:
            row = {"symbol": symbol.ticker, "ts": at, "session": session, **_numbers(entry)}
        except ValueError as error:
            rejected.append(refused(str(error)))
            continue
        place = at if interval.intraday else session
        if place in rows and _unlike(rows[place], row):
            what = "time" if interval.intraday else "session"
            reason = f"another bar of the same {what} in one answer"
            rejected.append(refused(reason))
            continue
        rows[place] = row
    check_spacing(NAME, stamps, interval)
    if rejected and not rows and not unfinished:
        raise Malformed(
            NAME, f"none of {len(rejected)} candles can be read: {rejected[0]['reasons']}"
        )
    found = list(rows.values())
    if not interval.intraday:
        opened = openings(rows, calendar)
        found = [{**row, "ts": opened[day]} for day, row in rows.items()]
    frame = conform(pl.DataFrame(found, schema=PARSED_BARS, orient="row"), PARSED_BARS)
    return Candles(frame.sort("symbol", "ts"), rejected_frame(rejected), frozenset(unfinished))


def _columns(document: Mapping[str, object], ticker: str) -> dict[str, list[object]]:
    """The arrays, stamps first, all of one length; without volumes these are null."""
    state = document.get("s")
    if state == "no_data":
        raise NoData(NAME, f"{ticker}: no_data")
    if state != "ok":
        raise Malformed(NAME, f"{ticker}: no candles; s is {state!r}")
    names = ["t", *FIELDS.values()]
    lacking = [name for name in names if name != "v" and name not in document]
    if lacking:
        raise Malformed(NAME, f"{ticker}: no {', '.join(lacking)} beside s")
    columns = {name: as_list(NAME, document.get(name), name) for name in names}
    if not columns["t"]:
        raise NoData(NAME, f"{ticker}: no candles")
    if document.get("v") is None:
        columns["v"] = [None] * len(columns["t"])
    lengths = {name: len(column) for name, column in columns.items()}
    if len(set(lengths.values())) > 1:
        raise Malformed(NAME, f"{ticker}: arrays of different lengths: {lengths}")
    return columns


def _zone(symbol: Symbol, calendar: str) -> ZoneInfo | None:
    """The exchange's zone, for shares."""
    if symbol.asset_class in (AssetClass.CRYPTO, AssetClass.FX):
        return None
    try:
        return ZoneInfo(get_calendar(calendar).zone)
    except InputError:
        return None


def _session(at: datetime, symbol: Symbol, interval: Interval, zone: ZoneInfo | None) -> date:
    """The day a bar belongs to; see the stamps in config.py."""
    if interval.intraday:
        return at.astimezone(zone or UTC).date()
    if symbol.asset_class is AssetClass.FX:
        return (at.astimezone(NEW_YORK).replace(tzinfo=None) + ROLLOVER).date()
    return at.astimezone(zone).date() if zone and at.time() != time(0) else at.date()


def _over(
    at: datetime,
    session: date,
    symbol: Symbol,
    interval: Interval,
    calendar: str,
    now: datetime,
) -> bool:
    if at + timedelta(days=3) < now:
        return True
    if interval.intraday or symbol.asset_class in (AssetClass.FX, AssetClass.CRYPTO):
        return at + interval.length <= now
    return now >= closing(session, calendar)


def _numbers(entry: Mapping[str, object]) -> dict[str, object]:
    """The numbers of a candle by our names. Raises ValueError naming the field."""
    values: dict[str, object] = {}
    for name, field in FIELDS.items():
        try:
            found = number(entry[field])
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from None
        if found is None and name != "volume":
            raise ValueError(f"{name} is null")
        values[name] = found
    return values


def _unlike(one: Mapping[str, object], other: Mapping[str, object]) -> bool:
    return any(one[name] != other[name] for name in FIELDS)
