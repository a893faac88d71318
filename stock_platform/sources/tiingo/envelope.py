"""What every answer of Tiingo has in common: rows or an object, or a sentence instead.

Belongs here: from a body to JSON, or to an error. Does not: what the JSON means (parse.py).
Pure.

An error is ``{"detail": "..."}``, as a rule with a status that fits, or a sentence as plain
text; "You have run over your hourly request allocation" has come with 429 and with 200.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from stock_platform.domain.errors import (
    Malformed,
    NotEntitled,
    RateLimited,
    SourceError,
    Unavailable,
    UnknownSymbol,
)
from stock_platform.sources.payload import excerpt, read_json
from stock_platform.sources.tiingo.config import DAY_SECONDS, HOUR_SECONDS, NAME, ZONE

_SPENT = ("run over your", "request allocation")
_REFUSED = ("token", "permission", "not authorized", "authentication", "upgrade", "entitle")
_PASSING = ("try again", "temporarily", "unavailable", "internal server", "maintenance")


def document_of(
    status: int, body: bytes, what: str, now: datetime, pace: float = 1.0
) -> dict[str, object] | list[object]:
    """The answer's JSON, once it is known not to be an error.

    Args:
        status: the HTTP status.
        body: decoded bytes.
        what: what was asked about, for messages; the canonical symbol.
        now: when the vendor gave the answer.
        pace: seconds of ours for one of the vendor's (below 1 where its clock runs faster).

    Raises:
        RateLimited, NotEntitled, UnknownSymbol, Unavailable, Malformed.
    """
    said = excerpt(body)
    is_json = body.lstrip(b"\xef\xbb\xbf \r\n\t").startswith((b"{", b"["))
    page = body.lstrip().startswith(b"<") and status not in (401, 403)
    spent = any(words in said.lower() for words in _SPENT)
    if not is_json and not page and (status != 200 or spent):
        raise _error_of(status, said or f"HTTP {status}", what, now, pace)
    document = read_json(NAME, body)
    if isinstance(document, dict) and ("detail" in document or status != 200):
        words = document.get("detail") or document.get("message") or document.get("error")
        raise _error_of(status, str(words or f"HTTP {status}: {said}"), what, now, pace)
    if status != 200:
        raise _error_of(status, said, what, now, pace)
    if isinstance(document, list) and len(document) == 1 and isinstance(document[0], str):
        raise _error_of(status, document[0], what, now, pace)
    if not isinstance(document, dict | list):
        raise Malformed(NAME, f"the answer is {type(document).__name__}, not an object or an array")
    return document


def _error_of(status: int, said: str, what: str, now: datetime, pace: float) -> SourceError:
    low = said.lower()
    if status == 429 or any(words in low for words in _SPENT):
        return RateLimited(NAME, f"too many calls: {said}", _until_renewed(low, now) * pace)
    if status in (401, 403) or any(words in low for words in _REFUSED):
        return NotEntitled(NAME, said)
    if status == 404 or "not found" in low:
        return UnknownSymbol(NAME, what, said)
    if any(words in low for words in _PASSING):
        return Unavailable(NAME, said)
    return Malformed(NAME, f"the request for {what} was refused, HTTP {status}: {said}")


def _until_renewed(low: str, now: datetime) -> float:
    """Seconds until an allowance is there again: a full hour, a date of New York's, a month."""
    if "month" in low:
        return DAY_SECONDS  # and again, until it is
    if "daily" in low or "per day" in low:
        local = now.astimezone(ZoneInfo(ZONE))
        following = (local + timedelta(days=1)).date()
        midnight = datetime(following.year, following.month, following.day, tzinfo=local.tzinfo)
        return (midnight - now).total_seconds()
    return HOUR_SECONDS - now.timestamp() % HOUR_SECONDS
