"""FRED's ``series``, ``series/observations`` and ``series/vintagedates``.

Belongs here: parameters, real-time periods, pages. Does not: values (``market.macro``),
formats (``wire``).

Without a real-time period the answer is as of today in St. Louis. With one, each value comes
with the part of it over which it was published. Values are not transformed (``units`` is
``lin``), nor averaged, and come a row a value (``output_type`` 1).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import date, datetime
from zoneinfo import ZoneInfo

from stock_platform.sandbox.market.macro import FOREVER, MEASURES, Macro, Measure, Published
from stock_platform.sandbox.vendors.base import Answer, Call
from stock_platform.sandbox.vendors.fred.wire import document, error

ST_LOUIS = ZoneInfo("America/Chicago")
EARLIEST = date(1776, 7, 4)
FIRST, LAST = date(1600, 1, 1), FOREVER
_MOST = {"observations": 100_000, "vintage_dates": 10_000}


class _Bad(Exception):
    """A request that is refused, with FRED's words."""


def _refusing(handle: Callable[[Call], Answer]) -> Callable[[Call], Answer]:
    def guarded(call: Call) -> Answer:
        try:
            return handle(call)
        except _Bad as bad:
            return error(400, f"Bad Request.  {bad}")

    return guarded


@_refusing
def info(call: Call) -> Answer:
    """``/series``: what it is."""
    measure = _measure(call)
    since, until = _period(call)
    values = _published(call, measure, since, until)
    if not values:
        raise _Bad("The series does not exist in ALFRED but may exist in FRED.")
    updated = datetime.combine(
        max(p.since for p in values), datetime.min.time().replace(7, 54, 1), ST_LOUIS
    )
    spans = {"realtime_start": str(since), "realtime_end": str(until)}
    row = {
        "id": measure.series,
        **spans,
        "title": measure.title,
        "observation_start": str(next(p.day for p in values if p.value is not None)),
        "observation_end": str(values[-1].day),
        "frequency": measure.frequency,
        "frequency_short": measure.frequency_short,
        "units": measure.units,
        "units_short": measure.units_short,
        "seasonal_adjustment": measure.adjustment,
        "seasonal_adjustment_short": measure.adjustment_short,
        "last_updated": f"{updated:%Y-%m-%d %H:%M:%S}{updated:%z}"[:-2],
        "popularity": measure.popularity,
        "notes": f"{measure.title}, of the sandbox.",
    }
    return document(spans, "seriess", "series", [row])


@_refusing
def observations(call: Call) -> Answer:
    """``/series/observations``."""
    measure, query = _measure(call), call.query
    since, until = _period(call)
    first = _date(query, "observation_start", FIRST)
    last = _date(query, "observation_end", LAST)
    if first > last:
        raise _Bad("Variable observation_start can not be after observation_end.")
    for name, plain in (("units", "lin"), ("output_type", "1")):
        if query.get(name, plain) != plain:
            raise _Bad(f"Value of {name} is not one of: '{plain}'.")
    values = [p for p in _published(call, measure, since, until) if first <= p.day <= last]
    rows = [
        {
            "realtime_start": str(max(p.since, since)),
            "realtime_end": str(min(p.until, until)),
            "date": str(p.day),
            "value": "." if p.value is None else f"{p.value:.{measure.decimals}f}",
        }
        for p in values
    ]
    offset, limit, order = _page(query, "observations")
    if order == "desc":
        rows.reverse()
    about = {
        "realtime_start": str(since),
        "realtime_end": str(until),
        "observation_start": str(first),
        "observation_end": str(last),
        "units": "lin",
        "output_type": 1,
        "file_type": query.get("file_type", "xml"),
        "order_by": "observation_date",
        "sort_order": order,
        "count": len(rows),
        "offset": offset,
        "limit": limit,
    }
    return document(about, "observations", "observation", rows[offset : offset + limit])


@_refusing
def vintage_dates(call: Call) -> Answer:
    """``/series/vintagedates``: the days on which a value was new or revised."""
    measure = _measure(call)
    since, until = _period(call, EARLIEST, FOREVER)
    days = sorted({str(p.since) for p in _history(call, measure) if since <= p.since <= until})
    offset, limit, order = _page(call.query, "vintage_dates")
    if order == "desc":
        days.reverse()
    about = {
        "realtime_start": str(since),
        "realtime_end": str(until),
        "order_by": "vintage_date",
        "sort_order": order,
        "count": len(days),
        "offset": offset,
        "limit": limit,
    }
    return document(about, "vintage_dates", "vintage_date", days[offset : offset + limit])


def _history(call: Call, measure: Measure) -> list[Published]:
    """Every value published by today."""
    return Macro(call.config.seed).history(measure.series, _today(call))


def _published(call: Call, measure: Measure, since: date, until: date) -> list[Published]:
    """The values that were current on some day of a real-time period."""
    return [p for p in _history(call, measure) if p.since <= until and p.until >= since]


def _measure(call: Call) -> Measure:
    given = call.query.get("file_type", "xml")
    if given not in ("xml", "json"):
        raise _Bad("Value of file_type is not one of: 'xml', 'json'.")
    series = call.query.get("series_id", "").upper()
    if not series:
        raise _Bad("Variable series_id is not set.")
    if series not in MEASURES:
        raise _Bad("The series does not exist.")
    return MEASURES[series]


def _today(call: Call) -> date:
    return call.now.astimezone(ST_LOUIS).date()


def _period(call: Call, start: date | None = None, end: date | None = None) -> tuple[date, date]:
    """The real-time period; by default today, both ends."""
    today = _today(call)
    since = _date(call.query, "realtime_start", start or today)
    until = _date(call.query, "realtime_end", end or today)
    for name, day in (("realtime_start", since), ("realtime_end", until)):
        if today < day < FOREVER:
            raise _Bad(
                f"Variable {name} can not be after today's date ({today}) unless it's equal "
                f"to the real-time max date {FOREVER}."
            )
    if since > until:
        raise _Bad("Variable realtime_start can not be after realtime_end.")
    return since, until


def _date(query: Mapping[str, str], name: str, default: date) -> date:
    given = query.get(name)
    if given is None:
        return default
    try:
        if re.fullmatch(r"\d{4}-\d\d-\d\d", given):
            return date.fromisoformat(given)
    except ValueError:  # no such day
        pass
    raise _Bad(f"Variable {name} is not a YYYY-MM-DD formatted date string.")


def _page(query: Mapping[str, str], what: str) -> tuple[int, int, str]:
    """Offset, limit and order."""
    most, order = _MOST[what], query.get("sort_order", "asc")
    offset, limit = query.get("offset", "0"), query.get("limit", str(most))
    if not offset.isdecimal():
        raise _Bad("Variable offset is not an integer that is 0 or more.")
    if not limit.isdecimal() or not 1 <= int(limit) <= most:
        raise _Bad(f"Variable limit is not between 1 and {most}.")
    if order not in ("asc", "desc"):
        raise _Bad("Value of sort_order is not one of: 'asc', 'desc'.")
    return int(offset), int(limit), order
