"""How Polygon writes: numbers, envelopes, errors, pages.

Belongs here: formats shared by its endpoints. Does not: data.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from datetime import date, datetime
from typing import Any
from urllib.parse import parse_qsl, urlencode
from uuid import uuid4

from stock_platform.sandbox.market.timeline import ZONE
from stock_platform.sandbox.vendors.base import Answer, dump

PRICING = "https://polygon.io/pricing"
BAD_TIME = "Could not parse the time parameter: '{}'. Use YYYY-MM-DD or Unix MS Timestamps"


def request_id() -> str:
    """32 hexadecimal digits."""
    return uuid4().hex


def error(status: int, text: str) -> Answer:
    """An error under ``error``: 400, 401, 429, 5xx."""
    return Answer(dump({"status": "ERROR", "request_id": request_id(), "error": text}), status)


def not_authorized(text: str) -> Answer:
    """A 403, worded in ``message``."""
    body = {
        "status": "NOT_AUTHORIZED",
        "request_id": request_id(),
        "message": f"{text} Please upgrade your plan at {PRICING}",
    }
    return Answer(dump(body), 403)


TIMEFRAME = "Your plan doesn't include this data timeframe."
SAME_DAY = "Attempted to request today's data before end of day."


def volume_text(value: float) -> str:
    """A volume as Go's %g writes it: whole millions come in scientific notation."""
    if value < 1e6 or value != int(value):
        return repr(int(value)) if value == int(value) else repr(value)
    digits = str(int(value))
    mantissa = digits.rstrip("0")
    tail = f".{mantissa[1:]}" if len(mantissa) > 1 else ""
    return f"{mantissa[0]}{tail}e+{len(digits) - 1:02d}"


def price_text(value: float, decimals: int = 4) -> str:
    """At most four decimals unless told, whole numbers without a point."""
    rounded = round(value, decimals)
    return repr(int(rounded)) if rounded == int(rounded) else repr(rounded)


def flag(query: Mapping[str, str], name: str, default: bool) -> bool:
    """A boolean parameter."""
    return query.get(name, str(default)).lower() == "true"


def count(query: Mapping[str, str], default: int, most: int) -> int | Answer:
    """The ``limit`` parameter."""
    text = query.get("limit", str(default))
    if not text.isdigit() or not 1 <= int(text) <= most:
        return error(400, f"The 'limit' parameter must be a number between 1 and {most}")
    return int(text)


def read_time(text: str) -> tuple[date, int | None] | None:
    """A date, or milliseconds: the New York date, and the milliseconds if that they were."""
    if re.fullmatch(r"\d{10,}", text):
        stamp = int(text)
        return datetime.fromtimestamp(stamp / 1000, ZONE).date(), stamp
    try:
        return (date.fromisoformat(text), None) if re.fullmatch(r"[\d-]{10}", text) else None
    except ValueError:
        return None


def pack(parameters: Mapping[str, Any]) -> str:
    """A cursor."""
    return base64.urlsafe_b64encode(urlencode(parameters).encode()).decode().rstrip("=")


def unpack(query: Mapping[str, str]) -> dict[str, str] | Answer:
    """The query with what its cursor remembers."""
    cursor = query.get("cursor")
    if not cursor:
        return dict(query)
    try:
        text = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode()
    except (binascii.Error, UnicodeDecodeError):
        return error(400, "The 'cursor' parameter is invalid")
    return dict(query) | dict(parse_qsl(text))


def listing(rows: list[dict[str, Any]], next_url: str | None, with_count: bool) -> Answer:
    """A page of reference data."""
    body: dict[str, Any] = {"results": rows, "status": "OK", "request_id": request_id()}
    if with_count:
        body["count"] = len(rows)
    if next_url:
        body["next_url"] = next_url
    return Answer(dump(body))
