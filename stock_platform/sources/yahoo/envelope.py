"""The envelope of Yahoo's answers: a result, or one of many ways to say no.

Belongs here: text instead of JSON, errors by code and words. Does not: what is in a result
(parse.py). Pure.
"""

from __future__ import annotations

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
from stock_platform.sources.yahoo.config import NAME


def check_text(status: int, body: bytes) -> None:
    """Raise for the refusals that come as plain text, whatever their status."""
    if status == 999:
        raise RateLimited(NAME, f"too many calls: {excerpt(body) or 'HTTP 999'}")
    start = body[:300].lstrip()
    if start.startswith(b"{"):
        return
    said = excerpt(start)
    if "too many requests" in said.lower():
        raise RateLimited(NAME, f"too many calls: {said}")
    if status >= 400:
        raise error_of(status, "", said, "")


def result_of(status: int, body: bytes, symbol: str) -> Mapping[str, object]:
    """The one result of an answer. Raises the SourceError it stands for instead."""
    document = as_mapping(NAME, read_json(NAME, body), "the answer")
    envelope = document.get("chart") or document.get("finance")
    if envelope is None:
        if status >= 400:
            raise error_of(status, "", excerpt(body), symbol)
        raise Malformed(NAME, f"no chart in the answer: {excerpt(body)}")
    chart = as_mapping(NAME, envelope, "chart")
    error = chart.get("error")
    if error is not None:
        said = error if isinstance(error, dict) else {"description": str(error)}
        code, description = str(said.get("code") or ""), str(said.get("description") or "")
        raise error_of(status, code, description, symbol)
    results = as_list(NAME, chart.get("result"), "chart.result")
    if not results or status >= 400:
        raise error_of(status, "", excerpt(body), symbol)
    return as_mapping(NAME, results[0], "chart.result[0]")


def error_of(status: int, code: str, description: str, symbol: str) -> SourceError:
    """The error that a status and Yahoo's code and words stand for."""
    said = description or code or f"HTTP {status}"
    word, low = code.lower(), said.lower()
    if "too many requests" in word or "too many requests" in low:
        return RateLimited(NAME, f"too many calls: {said}")
    if status == 404 or word == "not found" or "symbol may be delisted" in low:
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
