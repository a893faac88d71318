"""Reading FRED's series: bytes to rows, or an error.

Belongs here: the answers of ``series/observations`` and ``series``. Does not: formats and
errors (envelope.py), asking (client.py). Pure.

An observation is ``date``, ``value`` and the days over which that was the value published.
Values are text; ``.`` is a value that is missing, which is an observation too. Whose
observations they are is not told. ``units`` other than ``lin`` and ``output_type`` other than
1 are values that were computed, and refused.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import partial

import polars as pl

from stock_platform.domain.errors import Malformed
from stock_platform.sources.base import SERIES, SERIES_INFO
from stock_platform.sources.fred.config import NAME
from stock_platform.sources.fred.envelope import Row, read_document
from stock_platform.sources.payload import number, rejected_frame, rejected_row

MISSING = "."
INFO = {
    "series_id": "id",
    "title": "title",
    "units": "units",
    "frequency": "frequency",
    "seasonal_adjustment": "seasonal_adjustment",
    "notes": "notes",
}


@dataclass(frozen=True)
class Page:
    """Some of a series' observations.

    Attributes:
        rows: as they came.
        next_offset: where the next page begins; None on the last.
        lacking: in words, that the page has fewer rows than it says; None where not.
    """

    rows: list[Row]
    next_offset: int | None = None
    lacking: str | None = None


@dataclass(frozen=True)
class Read:
    """Rows, read; the fields are those of sources.base.Facts."""

    frame: pl.DataFrame
    rejected: pl.DataFrame


def parse_page(status: int, body: bytes, series: str, offset: int = 0) -> Page:
    """One page of observations, beginning with number ``offset``.

    Raises:
        UnknownSymbol, NotEntitled, RateLimited, Unavailable. Malformed: also another page
            than was asked for, and values that were computed.
    """
    document = read_document(status, body, series, "observations")
    for name, plain in (("units", "lin"), ("output_type", "1")):
        given = document.about.get(name)
        if given is not None and str(given) != plain:
            raise Malformed(NAME, f"{series}: {name} is {given!r}, not {plain!r}")
    begun, count = document.count("offset") or 0, document.count("count")
    if begun != offset:
        raise Malformed(NAME, f"{series}: asked from number {offset}, was given from {begun}")
    rows = document.rows
    there = offset + len(rows)
    if count is None or there >= count:
        return Page(rows)
    if rows and len(rows) >= (document.count("limit") or 0):
        return Page(rows, next_offset=there)
    return Page(rows, lacking=f"{there} of {count} observations came")


def read_observations(rows: Sequence[Row], series: str, lacking: str | None = None) -> Read:
    """SERIES, sorted by date and publication.

    Args:
        rows: of all pages.
        series: its id, for the frame.
        lacking: that rows are lacking, for ``rejected``.

    Raises:
        Malformed: none of the rows can be read.
    """
    found: dict[tuple[date, date | None], dict[str, object]] = {}
    rejected: list[dict[str, object]] = []
    for entry in rows:
        refused = partial(rejected_row, entry, symbol=series)
        try:
            day = _day(entry, "date")
            if day is None:
                raise ValueError("date is null")
            refused = partial(refused, session=day)
            row = {
                "series_id": series,
                "date": day,
                "value": _value(entry),
                "realtime_start": _day(entry, "realtime_start"),
                "realtime_end": _day(entry, "realtime_end"),
            }
            place = (day, _day(entry, "realtime_start"))
            if place in found and found[place] != row:
                raise ValueError("another value of the same date in one answer")
        except ValueError as error:
            rejected.append(refused(str(error)))
            continue
        found[place] = row
    if rejected and not found:
        reasons = rejected[0]["reasons"]
        raise Malformed(NAME, f"none of {len(rejected)} observations can be read: {reasons}")
    if lacking:
        rejected.append(rejected_row({"series_id": series}, lacking, symbol=series))
    frame = pl.DataFrame(list(found.values()), schema=SERIES, orient="row")
    return Read(frame.sort("date", "realtime_start"), rejected_frame(rejected))


def parse_info(status: int, body: bytes, series: str) -> Read:
    """SERIES_INFO of one series, the newest where there are several versions of it.

    Raises:
        UnknownSymbol, NotEntitled, RateLimited, Unavailable. Malformed: also the
            information of other series.
    """
    document = read_document(status, body, series, "seriess")
    ours = [row for row in document.rows if str(row.get("id")).upper() == series]
    if not ours:
        given = ", ".join(str(row.get("id")) for row in document.rows[:3]) or "none"
        raise Malformed(NAME, f"asked for {series}, was given {given}")
    entry = max(ours, key=lambda row: str(row.get("realtime_end") or ""))
    try:
        row: dict[str, object] = {name: _text(entry, field) for name, field in INFO.items()}
        row |= {
            "series_id": series,
            "first_date": _day(entry, "observation_start"),
            "last_date": _day(entry, "observation_end"),
            "updated_at": _instant(entry, "last_updated"),
        }
        if row["title"] is None:
            raise ValueError("title is null")
    except ValueError as error:
        raise Malformed(NAME, f"{series}: the information cannot be read: {error}") from None
    made = [{name: row[name] for name in SERIES_INFO}]
    return Read(pl.DataFrame(made, schema=SERIES_INFO, orient="row"), rejected_frame([]))


def _value(entry: Row) -> float | None:
    given = entry.get("value")
    if isinstance(given, str) and given.strip() == MISSING:
        return None
    try:
        found = number(given)
    except ValueError as error:
        raise ValueError(f"value: {error}") from None
    if found is None:
        raise ValueError("value is null" if given is None else "value is empty")
    return found


def _text(entry: Row, name: str) -> str | None:
    given = entry.get(name)
    return (given.strip() or None) if isinstance(given, str) else None


def _day(entry: Row, name: str) -> date | None:
    given = entry.get(name)
    if given is None or given == "":
        return None
    try:
        if isinstance(given, str) and re.fullmatch(r"\d{4}-\d\d-\d\d", given):
            return date.fromisoformat(given)
    except ValueError:  # a 30th of February
        pass
    raise ValueError(f"{name}: {given!r} is not a date")


def _instant(entry: Row, name: str) -> datetime | None:
    """``2024-10-30 07:54:01-05``, with the hours that St. Louis is behind UTC."""
    given = _text(entry, name)
    if given is None:
        return None
    try:
        found = datetime.fromisoformat(given)
    except ValueError:
        raise ValueError(f"{name}: {given!r} is not a time") from None
    if found.tzinfo is None:
        raise ValueError(f"{name}: {given!r} has no time zone")
    return found.astimezone(UTC)
