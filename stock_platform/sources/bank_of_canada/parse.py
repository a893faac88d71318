"""Reading the Bank of Canada's observations: bytes to bars, or an error.

Belongs here: Valet's JSON. Does not: asking (client.py). Pure.

    {"seriesDetail": {"FXCADUSD": ...},
     "observations": [{"d": "2021-01-04", "FXCADUSD": {"v": "0.7843"}}]}

Values are text; a day on which another series alone has one lacks ours. Errors are
``{"message": ..., "docs": ...}``: 404 for a series there is not, 400 for dates.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

import polars as pl

from stock_platform.domain.bars import PARSED_BARS, conform
from stock_platform.domain.errors import (
    Malformed,
    NoData,
    NotEntitled,
    RateLimited,
    SourceError,
    UnknownSymbol,
)
from stock_platform.sources.bank_of_canada.config import NAME
from stock_platform.sources.payload import (
    as_list,
    as_mapping,
    excerpt,
    number,
    openings,
    read_json,
    rejected_frame,
    rejected_row,
)

CALENDAR = "24/5"


@dataclass(frozen=True)
class Rates:
    """One pair's rates, read; the fields are those of sources.base.Answer."""

    bars: pl.DataFrame
    rejected: pl.DataFrame


def parse_observations(status: int, body: bytes, *, symbol: str, series: str) -> Rates:
    """The observations of one series as bars.

    Args:
        status: the HTTP status.
        body: decoded bytes.
        symbol: canonical pair, for the frame.
        series: the one asked for (``FXUSDCAD``).

    Raises:
        UnknownSymbol, NoData: no observations. NotEntitled, RateLimited, Malformed: also
            where the observations are of another series.
    """
    document = _document(status, body, symbol)
    if "observations" not in document:
        raise Malformed(NAME, "no observations in the answer")
    entries = [
        as_mapping(NAME, entry, "an observation")
        for entry in as_list(NAME, document["observations"], "observations")
    ]
    detail = as_mapping(NAME, document.get("seriesDetail") or {}, "seriesDetail")
    others = [*detail, *(name for entry in entries for name in entry if name != "d")]
    if others and series not in others:
        raise Malformed(NAME, f"asked for {series}, was given {others[0]}")
    if not entries:
        raise NoData(NAME, f"{symbol}: no observations")
    rows: dict[date, dict[str, object]] = {}
    rejected: list[dict[str, object]] = []
    for entry in entries:
        session: date | None = None
        try:
            session = _date(entry.get("d"))
            row: dict[str, object] = {"symbol": symbol, "session": session}
            row |= dict.fromkeys(("open", "high", "low", "close"), _value(entry, series))
        except ValueError as error:
            rejected.append(rejected_row(entry, str(error), symbol=symbol, session=session))
            continue
        if session in rows and rows[session] != row:
            reason = "another rate of the same day in one answer"
            rejected.append(rejected_row(entry, reason, symbol=symbol, session=session))
            continue
        rows[session] = row
    if not rows:
        reasons = rejected[0]["reasons"]
        raise Malformed(NAME, f"none of {len(rejected)} observations can be read: {reasons}")
    stamps = openings(rows, CALENDAR)
    made = [{**row, "ts": stamps[session]} for session, row in rows.items()]
    frame = conform(pl.DataFrame(made, schema_overrides={"ts": PARSED_BARS["ts"]}), PARSED_BARS)
    return Rates(frame.sort("symbol", "ts"), rejected_frame(rejected))


def _value(entry: Mapping[str, object], series: str) -> float:
    """The observation's number. Raises ValueError."""
    held = entry.get(series)
    found = number(held.get("v") if isinstance(held, dict) else held)
    if found is None:
        raise ValueError("close is null")
    return found


def _date(value: object) -> date:
    if not isinstance(value, str) or not re.fullmatch(r"\d{4}-\d\d-\d\d", value):
        raise ValueError(f"{value!r} is not a date")
    return date.fromisoformat(value)


def _document(status: int, body: bytes, symbol: str) -> Mapping[str, object]:
    """The answer's object, once it is known not to be an error."""
    if status in (401, 403):
        raise NotEntitled(NAME, f"HTTP {status}: {excerpt(body)}")
    document = as_mapping(NAME, read_json(NAME, body), "the answer")
    said = document.get("message")
    if status == 200 and not isinstance(said, str):
        return document
    raise _error_of(status, str(said or f"HTTP {status}"), symbol)


def _error_of(status: int, said: str, symbol: str) -> SourceError:
    low = said.lower()
    if "too many requests" in low or "rate limit" in low:
        return RateLimited(NAME, f"too many calls: {said}")
    if status == 404 or "not found" in low:
        return UnknownSymbol(NAME, symbol, said)
    return Malformed(NAME, f"the request was refused: {said}")
