"""The envelope of Yahoo's answers: a result, or one of many ways to say no.

Belongs here: text instead of JSON, errors by code and words, the crumb. Does not: what is in
a result (chart.py, facts.py). Pure.

yfinance takes many of these for missing prices, or does not look; so they are read before
it sees them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from stock_platform.domain.errors import (
    Malformed,
    NoData,
    NotEntitled,
    RateLimited,
    SourceError,
    Unavailable,
    UnknownSymbol,
)
from stock_platform.sources.payload import as_list, as_mapping, excerpt, read_json
from stock_platform.sources.yfinance_library.config import NAME

ENVELOPES = ("chart", "quoteResponse", "quoteSummary", "optionChain", "finance")
BLOCKED = 999
CRUMB = re.compile(r"[^\s<>{}\"]{4,40}")


def result_of(status: int, body: bytes, kind: str, symbol: str) -> Mapping[str, object]:
    """The one result of an answer.

    Args:
        status: the HTTP status.
        body: decoded bytes.
        kind: the envelope that is due, one of ENVELOPES.
        symbol: canonical ticker, for messages.

    Raises:
        SourceError: what the answer stands for instead.
    """
    _check_text(status, body)
    document = as_mapping(NAME, read_json(NAME, body), "the answer")
    name = next((n for n in ENVELOPES if document.get(n) is not None), None)
    if name is None:
        if status >= 400:
            raise _error_of(status, "", excerpt(body), symbol)
        raise Malformed(NAME, f"no {kind} in the answer: {excerpt(body)}")
    envelope = as_mapping(NAME, document[name], name)
    error = envelope.get("error")
    if error is not None:
        said = error if isinstance(error, dict) else {"description": str(error)}
        code, description = str(said.get("code") or ""), str(said.get("description") or "")
        raise _error_of(status, code, description, symbol)
    results = as_list(NAME, envelope.get("result"), f"{name}.result")
    if status >= 400:
        raise _error_of(status, "", excerpt(body), symbol)
    if name != kind:
        raise Malformed(NAME, f"{name} in the answer, where {kind} was due")
    if not results:
        if kind == "chart":
            raise Malformed(NAME, f"no result in the answer: {excerpt(body)}")
        raise UnknownSymbol(NAME, symbol, "the answer is empty")
    return as_mapping(NAME, results[0], f"{kind}.result[0]")


def crumb_of(status: int, body: bytes) -> str:
    """The crumb in the answer to ``getcrumb``. Raises the SourceError that came instead."""
    text = body.decode("utf-8", errors="replace").strip()
    if "too many requests" in text.lower() or status == BLOCKED:
        raise RateLimited(NAME, f"too many calls: {excerpt(body) or f'HTTP {status}'}")
    if status in (401, 403):
        raise NotEntitled(NAME, f"no crumb to be had: {excerpt(body) or f'HTTP {status}'}")
    if status >= 400 or not CRUMB.fullmatch(text):
        raise Malformed(NAME, f"no crumb in HTTP {status}: {excerpt(body) or 'nothing'}")
    return text


def _check_text(status: int, body: bytes) -> None:
    """Raise for the refusals that come as plain text, whatever their status."""
    if status == BLOCKED:
        raise RateLimited(NAME, f"too many calls: {excerpt(body) or 'HTTP 999'}")
    start = body[:300].lstrip()
    if start.startswith(b"{"):
        return
    said = excerpt(start)
    if "too many requests" in said.lower():
        raise RateLimited(NAME, f"too many calls: {said}")
    if "will be right back" in body[:20_000].decode("utf-8", errors="replace").lower():
        raise Unavailable(NAME, "the page that Yahoo shows while it is down")
    if status >= 400:
        raise _error_of(status, "", said, "")


def _error_of(status: int, code: str, description: str, symbol: str) -> SourceError:
    """The error that a status and Yahoo's code and words stand for."""
    said = description or code or f"HTTP {status}"
    word, low = code.lower(), said.lower()
    if "too many requests" in word or "too many requests" in low:
        return RateLimited(NAME, f"too many calls: {said}")
    if status == 404 or word == "not found" or "symbol may be delisted" in low:
        # a 404 without words of Yahoo's is about the path, not the symbol
        return UnknownSymbol(NAME, symbol, said) if symbol else Malformed(NAME, said)
    if "data doesn't exist" in low or "not available for" in low or status == 422:
        return NoData(NAME, said)
    if status in (401, 403) or word in ("unauthorized", "forbidden"):
        return NotEntitled(NAME, said)
    if "internal" in word or "unavailable" in word or "timeout" in word or status >= 500:
        return Unavailable(NAME, said)
    if status >= 400:
        return Malformed(NAME, f"the request was refused with HTTP {status}: {said}")
    return Malformed(NAME, f"an error without a known meaning: {code} {said}".strip())
