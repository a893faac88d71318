"""The document that yfinance is shown in place of Yahoo's.

Belongs here: events that can be read, and the form the library does not stumble over. Does
not: the rows (chart.py). Pure.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime

from stock_platform.domain.bars import PRICE_COLUMNS, Interval
from stock_platform.sources.payload import (
    as_list,
    instant,
    number,
    rejected_row,
    trading_hours,
    utc_midnight,
)
from stock_platform.sources.yfinance_library.config import NAME
from stock_platform.sources.yfinance_library.place import Place, read_stamp

QUOTE = (*PRICE_COLUMNS, "volume")
Rejected = list[dict[str, object]]


@dataclass(frozen=True)
class Row:
    """One bar as it came, with its numbers read."""

    at: datetime
    session: date
    values: dict[str, float | None]


# ---- events ----


def readable_events(events: object, rejected: Rejected, symbol: str) -> dict[str, object]:
    """Splits, dividends and capital gains whose numbers can be read; the others are rejected."""
    found: dict[str, object] = {}
    for kind, read in (
        ("dividends", _dividend),
        ("capitalGains", _cash),
        ("splits", _split),
    ):
        held = events.get(kind) if isinstance(events, dict) else None
        entries = held.items() if isinstance(held, dict) else enumerate(as_list(NAME, held, kind))
        readable: dict[str, object] = {}
        for key, entry in entries:
            try:
                if not isinstance(entry, dict):
                    raise ValueError(f"{entry!r} is no object")  # noqa: TRY004 - bad data
                at = instant(entry.get("date", key))
                readable[str(len(readable))] = {"date": int(at.timestamp()), **read(entry)}
            except ValueError as error:
                rejected.append(rejected_row(entry, f"{kind}: {error}", symbol=symbol))
        if readable:
            found[kind] = readable
    return found


def _cash(entry: Mapping[str, object]) -> dict[str, object]:
    amount = number(entry.get("amount"))
    if amount is None or amount < 0:
        raise ValueError(f"amount is {entry.get('amount')!r}")
    return {"amount": amount}


def _dividend(entry: Mapping[str, object]) -> dict[str, object]:
    currency = entry.get("currency")
    return _cash(entry) | ({"currency": currency} if isinstance(currency, str) else {})


def _split(entry: Mapping[str, object]) -> dict[str, object]:
    above, below = number(entry.get("numerator")), number(entry.get("denominator"))
    if above is None or below is None:
        text = str(entry.get("splitRatio", ""))
        left, mark, right = text.replace("/", ":").partition(":")
        if not mark:
            raise ValueError(f"ratio is {text!r}")
        above, below = number(left), number(right)
    if not above or not below or above < 0 or below < 0:
        raise ValueError(f"ratio is {above}:{below}")
    return {"numerator": above, "denominator": below}


# ---- what the library is shown ----


def shown(
    meta: Mapping[str, object],
    rows: Sequence[Row],
    events: Mapping[str, object],
    place: Place,
    interval: Interval,
    stamps: Sequence[object],
) -> bytes:
    """The document in the form that the library reads without stumbling.

    It cannot read an answer without rows: then it gets one of nulls, which it drops.
    """
    kind = meta.get("instrumentType")
    about: dict[str, object] = {
        "currency": meta.get("currency"),
        "symbol": meta.get("symbol"),
        "instrumentType": kind if isinstance(kind, str) else "EQUITY",
        "exchangeTimezoneName": place.zone.key,
    }
    at = [int(row.at.timestamp()) for row in rows]
    values: dict[str, list[float | None]] = {n: [row.values[n] for row in rows] for n in QUOTE}
    if not rows:
        first = next((found for found in map(read_stamp, stamps) if found), place.now)
        at, values = [int(first.timestamp())], {name: [None] for name in QUOTE}
    if interval.intraday:
        about["tradingPeriods"] = _hours(rows, place, interval)
    result = {
        "meta": about,
        "timestamp": at,
        "events": dict(events),
        "indicators": {"quote": [values]},
    }
    return json.dumps({"chart": {"result": [result], "error": None}}).encode()


def _hours(rows: Sequence[Row], place: Place, interval: Interval) -> list[list[dict[str, object]]]:
    """Trading hours that hold every row: it is for validation to judge rows beyond a session.

    The library asks for them, and drops without a word what lies outside.
    """
    days: dict[date, list[datetime]] = {}
    for row in rows:
        days.setdefault(row.session, []).append(row.at)
    if not days:
        days[place.day(place.now)] = [place.now]
    periods = []
    for session, at in days.items():
        hours = trading_hours(session, place.calendar) or (utc_midnight(session),) * 2
        zone = {"timezone": place.zone.key, "gmtoffset": 0}
        start, end = min([*at, hours[0]]), max([max(at) + interval.length, hours[1]])
        if place.session(start, interval) != session:
            start = min(at)  # the library knows a period by the local date of its start
        periods.append([{"start": int(start.timestamp()), "end": int(end.timestamp()), **zone}])
    return periods
