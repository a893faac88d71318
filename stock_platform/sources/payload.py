"""Reading what vendors send: JSON that may be HTML, numbers that may be text.

Belongs here: helpers that every vendor's parser shares; pure. Does not: anything of one
vendor, HTTP (http.py).
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime, timedelta

import polars as pl

from stock_platform.domain.bars import UTC_STAMP
from stock_platform.domain.calendar import get_calendar
from stock_platform.domain.errors import InputError, Malformed
from stock_platform.sources.base import REJECTED

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
EXCERPT = 160

_SPACES = " '\u00a0\u2009\u202f\u2019"
_SPACED = re.compile(rf"[+-]?\d{{1,3}}([{_SPACES}]\d{{3}})+([.,]\d*)?")
"""Thousands set apart as in France, Poland and Switzerland: ``1 234,5``, ``1'234.5``."""


def read_json(source: str, body: bytes) -> object:
    """The JSON value of a body.

    Raises:
        Malformed: empty, HTML, other text, or cut short; says which.
    """
    text = body.decode("utf-8", errors="replace").strip().removeprefix("\ufeff")
    if not text:
        raise Malformed(source, "empty answer instead of JSON")
    if text.startswith("<"):
        raise Malformed(source, f"an HTML page instead of JSON: {excerpt(body)}")
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        if text[0] in "{[" and (text[-1] not in "}]" or error.pos >= len(text)):
            raise Malformed(source, f"JSON cut short after {len(body)} bytes") from None
        if text[0] not in "{[":
            raise Malformed(source, f"text instead of JSON: {excerpt(body)}") from None
        raise Malformed(
            source, f"broken JSON at character {error.pos} of {len(text)}: {error.msg}"
        ) from None
    except RecursionError:
        raise Malformed(source, "JSON nested too deeply") from None


def read_text(source: str, body: bytes, what: str = "CSV") -> str:
    """The text of a body that is no JSON and no page, without a byte-order mark.

    Raises:
        Malformed: empty, or an HTML page; says which.
    """
    text = body.decode("utf-8", errors="replace").removeprefix("\ufeff")
    if not text.strip():
        raise Malformed(source, f"empty answer instead of {what}")
    if re.match(r"\s*<(!doctype|html|head|body|script)", text, re.IGNORECASE):
        raise Malformed(source, f"an HTML page instead of {what}: {excerpt(body)}")
    return text


def excerpt(body: bytes) -> str:
    """A few words of a body for an error message: a page's title, or the first words."""
    text = body[:20_000].decode("utf-8", errors="replace")
    title = re.search(r"<title[^>]*>(.*?)</title>", text, re.IGNORECASE | re.DOTALL)
    if title:
        text = title.group(1)
    elif text.lstrip().startswith("<"):
        text = re.sub(r"<[^>]*>", " ", text)
    text = " ".join(text.split())
    return text if len(text) <= EXCERPT else text[:EXCERPT].rstrip() + "..."


def as_mapping(source: str, value: object, what: str) -> Mapping[str, object]:
    """``value`` if it is a JSON object. Raises Malformed naming ``what``."""
    if isinstance(value, dict):
        return value
    raise Malformed(source, f"{what} is {type(value).__name__}, not an object")


def as_list(source: str, value: object, what: str) -> list[object]:
    """``value`` if it is a JSON array; null is empty. Raises Malformed naming ``what``."""
    if value is None:
        return []
    if isinstance(value, list):
        return value
    raise Malformed(source, f"{what} is {type(value).__name__}, not an array")


def number(value: object, *, decimal_comma: bool = False) -> float | None:
    """A number that may come as text: ``12``, ``"1.5e+06"``, ``"1,234.5"``, ``"1 234.5"``.

    Null and blank are None.

    Args:
        value: as it came.
        decimal_comma: text is written as in Germany: ``"1.234,5"``.

    Raises:
        ValueError: not a finite number.
    """
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise ValueError(f"{value!r} is not a number")  # noqa: TRY004 - bad data, not a bug
    if isinstance(value, str):
        text = value.strip()
        if not text:
            return None
        if _SPACED.fullmatch(text):
            text = re.sub(rf"[{_SPACES}]", "", text)
        if decimal_comma:
            grouped = re.fullmatch(r"[+-]?\d{1,3}(\.\d{3})+(,\d*)?", text)
            text = (text.replace(".", "") if grouped else text).replace(",", ".")
        elif re.fullmatch(r"[+-]?\d{1,3}(,\d{3})+(\.\d*)?", text):
            text = text.replace(",", "")
        try:
            found = float(text)
        except ValueError:
            raise ValueError(f"{value!r} is not a number") from None
    else:
        try:
            found = float(value)
        except OverflowError:
            raise ValueError("a whole number too large to be one of ours") from None
    if not math.isfinite(found):
        raise ValueError(f"{value!r} is not a finite number")
    return found


def instant(value: object, unit: float = 1.0) -> datetime:
    """The UTC instant of an epoch stamp; ``unit`` is seconds a step (0.001: milliseconds).

    Raises:
        ValueError: not a number, or no time people live in.
    """
    steps = number(value)
    if steps is None:
        raise ValueError("stamp is null")
    try:
        return EPOCH + timedelta(seconds=steps * unit)
    except OverflowError:
        raise ValueError(f"{value!r} is not a stamp") from None


def trading_hours(session: date, calendar: str) -> tuple[datetime, datetime] | None:
    """Opening and close of a session in UTC; None for a date that is no session.

    None too where the calendar does not know: another exchange, a year long ago.
    """
    try:
        exchange = get_calendar(calendar)
        return exchange.open_close(session) if exchange.is_session(session) else None
    except InputError:
        return None


def openings(sessions: Iterable[date], calendar: str) -> dict[date, datetime]:
    """The stamp of each session's daily bar: its opening on ``calendar``, in UTC.

    Every source stamps daily bars so. A date that is no session gets its UTC midnight, for
    validation to judge.
    """
    stamps = {}
    for day in set(sessions):
        hours = trading_hours(day, calendar)
        stamps[day] = hours[0] if hours else utc_midnight(day)
    return stamps


def closing(session: date, calendar: str) -> datetime:
    """When a session ends, in UTC; a date that is no session ends at its UTC midnight."""
    hours = trading_hours(session, calendar)
    return hours[1] if hours else utc_midnight(session) + timedelta(days=1)


def utc_midnight(day: date) -> datetime:
    """The instant at which a date begins in UTC."""
    return datetime(day.year, day.month, day.day, tzinfo=UTC)


def rejected_row(
    row: object,
    *reasons: str,
    symbol: str | None = None,
    ts: datetime | None = None,
    session: date | None = None,
) -> dict[str, object]:
    """One row of REJECTED; ``row`` is what came, shown as JSON."""
    return {
        "symbol": symbol,
        "ts": ts,
        "session": session,
        "row": json.dumps(row, default=str, ensure_ascii=False),
        "reasons": list(reasons),
    }


def rejected_frame(rows: list[dict[str, object]]) -> pl.DataFrame:
    """REJECTED of rows made by ``rejected_row``."""
    return pl.DataFrame(rows, schema={**REJECTED, "ts": UTC_STAMP}, orient="row")
