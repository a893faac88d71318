"""Polygon's envelope: the answer's object, and every error it may hold instead.

Belongs here: ``status``, ``error``, ``message``, and whose answer it is. Does not: results
(parse.py, reference.py). Pure.

401 and 429 say why in ``error``, 403 in ``message``; a 200 may hold one too. ``status``
DELAYED is good data.
"""

from __future__ import annotations

from collections.abc import Mapping

from stock_platform.domain.errors import (
    InputError,
    Malformed,
    NoData,
    NotEntitled,
    RateLimited,
    SourceError,
    Unavailable,
    UnknownSymbol,
)
from stock_platform.domain.symbols import from_vendor
from stock_platform.sources.payload import as_mapping, excerpt, read_json
from stock_platform.sources.polygon.config import NAME

GOOD = {"OK", "DELAYED"}


def check_ticker(given: object, symbol: str) -> None:
    """Raise Malformed where the answer is about another ticker than was asked for."""
    if not isinstance(given, str):
        return
    try:
        same = from_vendor(given, NAME).ticker == symbol
    except InputError:
        same = False
    if not same:
        raise Malformed(NAME, f"asked for {symbol}, was given {given}")


def document_of(status: int, body: bytes, what: str) -> Mapping[str, object]:
    """The answer's object, once it is known not to be an error; ``what`` was asked about.

    Raises:
        UnknownSymbol, NoData, NotEntitled, RateLimited, Unavailable, Malformed.
    """
    if status in (401, 403) and not body.lstrip().startswith(b"{"):
        raise NotEntitled(NAME, f"HTTP {status}: {excerpt(body)}")
    document = as_mapping(NAME, read_json(NAME, body), "the answer")
    word = str(document.get("status") or "").upper()
    said = str(document.get("error") or document.get("message") or "")
    if status == 200 and (word in GOOD or (not word and not said)):
        return document
    raise _error_of(status, word, said or f"HTTP {status}, status {word or 'missing'}", what)


def _error_of(status: int, word: str, said: str, what: str) -> SourceError:
    low = said.lower()
    if status == 429 or "maximum requests" in low or "too many requests" in low:
        return RateLimited(NAME, f"too many calls: {said}")
    if "before end of day" in low:
        return NoData(NAME, said)
    refused = word in ("NOT_AUTHORIZED", "AUTH_ERROR") or "api key" in low or "not entitled" in low
    if status in (401, 403) or refused or "upgrade your plan" in low:
        return NotEntitled(NAME, said)
    if status == 404 or word == "NOT_FOUND":
        return UnknownSymbol(NAME, what, said)
    if status >= 500 or "internal" in low or "try again" in low:
        return Unavailable(NAME, said)
    return Malformed(NAME, f"the request for {what} was refused: {said}")
