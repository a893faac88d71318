"""Reading Stooq's CSV: bytes to bars, or an error.

Belongs here: ``/q/d/l/``. Does not: asking (client.py), spelling (spelling.py). Pure.

    Date,Open,High,Low,Close,Volume                          English, the page's default
    Data,Otwarcie,Najwyzszy,Najnizszy,Zamkniecie,Wolumen     Polish, on stooq.pl or by cookie

Lines end with CR LF, the last one too; currencies have no volume. Instead of CSV, always with
a status of 200: ``No data`` (an unknown symbol, or nothing in the range), ``Exceeded the daily
hits limit``, ``Get your apikey:`` with a captcha's address, or a web page: the history's own,
or one that wants JavaScript (a proof of work). Nothing of that is worked around.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import polars as pl

from stock_platform.domain.bars import PARSED_BARS, conform
from stock_platform.domain.calendar import EARLIEST, LATEST
from stock_platform.domain.errors import (
    Malformed,
    NoData,
    NotEntitled,
    RateLimited,
    SourceError,
    Unavailable,
)
from stock_platform.sources.payload import (
    closing,
    excerpt,
    number,
    openings,
    read_text,
    rejected_frame,
    rejected_row,
)
from stock_platform.sources.stooq.config import DAY_SECONDS, NAME, ZONE

COLUMNS = {
    "date": "date", "open": "open", "high": "high", "low": "low", "close": "close",
    "volume": "volume",
    "data": "date", "otwarcie": "open", "najwyzszy": "high", "najnizszy": "low",
    "zamkniecie": "close", "wolumen": "volume",
}  # fmt: skip
PRICES = ("open", "high", "low", "close")
NEEDED = {"date", *PRICES}
_ASCII = str.maketrans("żźęółćńąś", "zzeolcnas")
_NOTHING = ("no data", "brak danych")
_TOO_MANY = ("exceeded the daily hits limit", "przekroczony dzienny limit")
_KEY_WANTED = ("get your apikey", "uzyskaj apikey", "apikey")
_CHALLENGES = (
    "requires javascript", "enable javascript", "captcha", "__verify", "proof of work",
    "proof-of-work", "challenge", "just a moment", "checking your browser",
)  # fmt: skip
_ENOUGH = 5
"""Rows of which two are neighbours, if they are days."""


@dataclass(frozen=True)
class History:
    """One answer, read; the fields are those of sources.base.Answer."""

    bars: pl.DataFrame
    rejected: pl.DataFrame
    unfinished: frozenset[date]


def parse_history(
    status: int, body: bytes, *, symbol: str, calendar: str, now: datetime, pace: float = 1.0
) -> History:
    """The daily bars of one symbol; a session that was not over is left out.

    Args:
        status: the HTTP status.
        body: decoded bytes.
        symbol: canonical ticker, for the frame.
        calendar: of the symbol; its openings stamp the bars.
        now: when Stooq gave the answer.
        pace: seconds of ours for one of Stooq's.

    Raises:
        NoData: "No data", or a header alone. RateLimited: until midnight in Warsaw.
        NotEntitled: a key is wanted. Unavailable: a web page. Malformed: anything else, rows
            that are not days included.
    """
    header, lines, decimal_comma = _table(status, body, symbol, now, pace)
    kept: dict[date, dict[str, object]] = {}
    rejected: list[dict[str, object]] = []
    unfinished: set[date] = set()
    for line in lines:
        day = _day(line[header["date"]]) if len(line) > header["date"] else None
        if day is None:
            rejected.append(rejected_row(line, "no date in it", symbol=symbol))
            continue
        if now < closing(day, calendar):
            unfinished.add(day)
            continue
        try:
            row = {"symbol": symbol, "session": day, **_numbers(line, header, decimal_comma)}
        except ValueError as error:
            rejected.append(rejected_row(line, str(error), symbol=symbol, session=day))
            continue
        if day in kept and kept[day] != row:
            reason = "another bar of the same session in one answer"
            rejected.append(rejected_row(line, reason, symbol=symbol, session=day))
            continue
        kept[day] = row
    if rejected and not kept and not unfinished:
        reasons = rejected[0]["reasons"]
        raise Malformed(NAME, f"none of {len(rejected)} rows can be read: {reasons}")
    if not kept and not unfinished:
        raise NoData(NAME, f"{symbol}: a header without rows")
    _check_spacing(sorted(kept))
    opened = openings(kept, calendar)
    rows = [{**row, "ts": opened[day]} for day, row in kept.items()]
    frame = conform(pl.DataFrame(rows, schema=PARSED_BARS, orient="row"), PARSED_BARS)
    return History(frame.sort("ts"), rejected_frame(rejected), frozenset(unfinished))


def _table(
    status: int, body: bytes, symbol: str, now: datetime, pace: float
) -> tuple[dict[str, int], list[list[str]], bool]:
    """Where each column is, the lines below the header, and whether decimals have a comma."""
    if re.match(rb"(?:\xef\xbb\xbf)?\s*<", body):
        raise _page(status, body)
    if status != 200:
        raise _refusal(status, excerpt(body))
    text = read_text(NAME, body)
    first = text.lstrip().splitlines()[0].strip()
    separator = ";" if ";" in first else ","
    cells = next(csv.reader([first], delimiter=separator))
    names = [name.strip().lower().translate(_ASCII) for name in cells]
    header = {COLUMNS[name]: at for at, name in enumerate(names) if name in COLUMNS}
    if not set(header) >= NEEDED:
        raise _sentence(text, body, symbol, now, pace)
    if not text.endswith("\n"):
        raise Malformed(NAME, f"CSV cut short after {len(body)} bytes")
    rows = list(csv.reader(text.lstrip().splitlines()[1:], delimiter=separator))
    whole = [_cells(row, len(names)) for row in rows if row]
    return header, whole, separator == ";"


def _cells(row: list[str], columns: int) -> list[str]:
    """The row; one with more cells than there are columns may be shifted: its date alone."""
    return row if not any(cell.strip() for cell in row[columns:]) else row[:1]


def _page(status: int, body: bytes) -> SourceError:
    """A web page where CSV was due: what kind of it, and its title."""
    low = body[:20_000].decode("utf-8", errors="replace").lower()
    kind = "a web page"
    if any(words in low for words in _CHALLENGES):
        kind = "a challenge page, which is not worked around"
    said = f"{kind}, an HTML page instead of CSV (HTTP {status}): {excerpt(body)}"
    return Unavailable(NAME, said, at_once=False)


def _refusal(status: int, said: str) -> SourceError:
    if status in (401, 402, 403):
        return NotEntitled(NAME, f"HTTP {status}: {said}")
    return Malformed(NAME, f"HTTP {status}: {said}")


def _sentence(text: str, body: bytes, symbol: str, now: datetime, pace: float) -> SourceError:
    """The error that a line of words means."""
    low = " ".join(text.lower().translate(_ASCII).split())
    if low.startswith(_NOTHING):
        return NoData(NAME, f"{symbol}: {excerpt(body)} (not known there, or not in this range)")
    if any(words in low for words in _TOO_MANY):
        return RateLimited(NAME, f"too many calls: {excerpt(body)}", _until_midnight(now) * pace)
    if any(words in low for words in _KEY_WANTED):
        return NotEntitled(NAME, f"it wants a key from scripts now: {excerpt(body)}")
    return Malformed(NAME, f"no CSV header of days but: {excerpt(body)}")


def _until_midnight(now: datetime) -> float:
    zone = ZoneInfo(ZONE)
    following = now.astimezone(zone).date() + timedelta(days=1)
    midnight = datetime(following.year, following.month, following.day, tzinfo=zone)
    return min(DAY_SECONDS, (midnight - now).total_seconds())


def _day(text: str) -> date | None:
    try:
        found = date.fromisoformat(text.strip())
    except ValueError:
        return None
    return found if EARLIEST <= found <= LATEST else None


def _numbers(line: list[str], header: Mapping[str, int], decimal_comma: bool) -> dict[str, object]:
    """The numbers of a line by our names. Raises ValueError naming the column."""
    values: dict[str, object] = {}
    for name in (*PRICES, "volume"):
        at = header.get(name)
        text = line[at] if at is not None and at < len(line) else None
        try:
            comma = decimal_comma and text is not None and "," in text
            values[name] = number(text, decimal_comma=comma)
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from None
        if values[name] is None and name in PRICES:
            raise ValueError(f"{name} is null")
    return values


def _check_spacing(days: list[date]) -> None:
    """Raise Malformed where the rows are weeks or months: CSV does not name its interval."""
    gaps = [(b - a).days for a, b in pairwise(days)]
    if len(gaps) >= _ENOUGH and min(gaps) > 4:
        raise Malformed(NAME, f"asked for days, was given rows {min(gaps)} days apart")
