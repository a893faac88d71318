"""Reading the European Central Bank's rates: bytes to bars, or an error.

Belongs here: the XML of eurofxref-daily, -hist-90d and -hist. Does not: asking (client.py).
Pure.

    <gesmes:Envelope> ... <Cube> <Cube time="2021-01-08"> <Cube currency="USD" rate="1.225"/>

Newest day first as a rule. A currency that was not fixed on a day is absent from it. A document
that declares types or entities is refused unread, so that none can be expanded.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from xml.etree import ElementTree as ET

import polars as pl

from stock_platform.domain.bars import PARSED_BARS, conform
from stock_platform.domain.errors import (
    Malformed,
    NoData,
    NotEntitled,
    Unavailable,
    UnknownSymbol,
)
from stock_platform.sources.ecb.config import NAME
from stock_platform.sources.payload import (
    excerpt,
    number,
    openings,
    read_text,
    rejected_frame,
    rejected_row,
)

CUBE = "{http://www.ecb.int/vocabulary/2002-08-01/eurofxref}Cube"
CALENDAR = "24/5"


@dataclass(frozen=True)
class Rates:
    """One currency's rates, read; the fields are those of sources.base.Answer."""

    bars: pl.DataFrame
    rejected: pl.DataFrame


def parse_rates(status: int, body: bytes, *, symbol: str, currency: str, whole: bool) -> Rates:
    """The rates of one currency as bars.

    Args:
        status: the HTTP status.
        body: decoded bytes.
        symbol: canonical pair, for the frame.
        currency: ISO code of the currency whose rates are wanted.
        whole: whether the document reaches back to the first day there is.

    Raises:
        UnknownSymbol: the whole history never had the currency. NoData: this document has
            not. NotEntitled, Unavailable, Malformed.
    """
    rows: dict[date, dict[str, object]] = {}
    rejected: list[dict[str, object]] = []
    seen: set[str] = set()
    for day, entry in _entries(status, body):
        code = entry.get("currency", "")
        seen.add(code)
        if code != currency:
            continue
        session: date | None = None
        try:
            session = _date(day)
            rate = number(entry.get("rate"))
            if rate is None:
                raise ValueError("close is null")
        except ValueError as error:
            shown = {"time": day, **entry}
            rejected.append(rejected_row(shown, str(error), symbol=symbol, session=session))
            continue
        row = {"symbol": symbol, "session": session}
        row |= dict.fromkeys(("open", "high", "low", "close"), rate)
        if session in rows and rows[session] != row:
            reason = "another rate of the same day in one answer"
            rejected.append(rejected_row(entry, reason, symbol=symbol, session=session))
            continue
        rows[session] = row
    if not rows and not rejected:
        if whole and seen:
            raise UnknownSymbol(NAME, symbol, f"no rate of {currency} has ever been published")
        raise NoData(NAME, f"{symbol}: no rates in the file, which has {len(seen)} currencies")
    if not rows:
        reasons = rejected[0]["reasons"]
        raise Malformed(NAME, f"none of {len(rejected)} rates can be read: {reasons}")
    stamps = openings(rows, CALENDAR)
    made = [{**row, "ts": stamps[session]} for session, row in rows.items()]
    frame = conform(pl.DataFrame(made, schema_overrides={"ts": PARSED_BARS["ts"]}), PARSED_BARS)
    return Rates(frame.sort("symbol", "ts"), rejected_frame(rejected))


def _entries(status: int, body: bytes) -> Iterator[tuple[str, dict[str, str]]]:
    """Day and attributes of every rate in the document."""
    if status in (401, 403):
        raise NotEntitled(NAME, f"HTTP {status}: {excerpt(body)}")
    if status == 404:
        raise Unavailable(NAME, f"HTTP 404, the file has moved: {excerpt(body)}")
    if status != 200:
        raise Malformed(NAME, f"HTTP {status}: {excerpt(body)}")
    text = read_text(NAME, body, "XML")
    if re.search(r"<!(DOCTYPE|ENTITY)", text, re.IGNORECASE):
        raise Malformed(NAME, "the XML declares types or entities: refused")
    try:
        root = ET.fromstring(text)  # noqa: S314 - without declarations there is nothing to expand
    except (ET.ParseError, ValueError) as error:
        if not text.lstrip().startswith("<"):
            raise Malformed(NAME, f"text instead of XML: {excerpt(body)}") from None
        raise Malformed(NAME, f"XML cut short or broken: {error}") from None
    outer = root.find(CUBE)
    if outer is None:
        raise Malformed(NAME, f"no rates in the XML: {excerpt(body)}")
    for day in outer.findall(CUBE):
        for entry in day.findall(CUBE):
            yield day.get("time", ""), dict(entry.attrib)


def _date(text: str) -> date:
    if not re.fullmatch(r"\d{4}-\d\d-\d\d", text):
        raise ValueError(f"{text!r} is not a date")
    return date.fromisoformat(text)
