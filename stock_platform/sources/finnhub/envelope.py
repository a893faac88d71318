"""Finnhub's errors, in whatever status they come.

Belongs here: ``{"error": "..."}``. Does not: good answers (parse.py, facts.py). Pure.

401 is a key it does not know, 403 one whose plan lacks the data; their words are in
``error``, and so they are at times in a 200.
"""

from __future__ import annotations

from stock_platform.domain.errors import (
    Malformed,
    NotEntitled,
    RateLimited,
    SourceError,
    Unavailable,
    UnknownSymbol,
)
from stock_platform.sources.finnhub.config import NAME
from stock_platform.sources.payload import excerpt, read_json


def value_of(status: int, body: bytes, what: str) -> object:
    """The answer's JSON value, once it is known not to be an error.

    Raises:
        UnknownSymbol, NotEntitled, RateLimited, Unavailable, Malformed.
    """
    if status in (401, 403) and not body.lstrip().startswith(b"{"):
        raise NotEntitled(NAME, f"HTTP {status}: {excerpt(body)}")
    if status != 200 and not body.lstrip().startswith((b"{", b"[")):
        raise Malformed(NAME, f"the request for {what} was refused: HTTP {status}, {excerpt(body)}")
    value = read_json(NAME, body)
    said = value.get("error") if isinstance(value, dict) else None
    if said or status != 200:
        raise _error_of(status, str(said or excerpt(body)), what)
    return value


def _error_of(status: int, said: str, what: str) -> SourceError:
    low = said.lower()
    if status == 429 or "limit reached" in low or "too many" in low:
        return RateLimited(NAME, f"too many calls: {said}")
    if status == 401 or "api key" in low:
        return NotEntitled(NAME, said)
    if status == 403 or "have access" in low or "premium" in low:
        return NotEntitled(NAME, f"the key's plan lacks {what}: {said}")
    if "symbol" in low and ("not supported" in low or "not found" in low or "invalid" in low):
        return UnknownSymbol(NAME, what, said)
    if status >= 500 or "internal" in low or "try again" in low or "timeout" in low:
        return Unavailable(NAME, said)
    return Malformed(NAME, f"the request for {what} was refused: {said}")
