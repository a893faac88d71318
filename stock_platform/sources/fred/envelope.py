"""FRED's documents, in JSON or XML, and every error they may hold instead.

Belongs here: one form for both formats, whose errors they are. Does not: what the rows mean
(parse.py). Pure.

    {"count": 4, ..., "observations": [{"date": ..., "value": ...}]}
    <observations count="4" ...><observation date=... value=.../></observations>
    {"error_code": 400, "error_message": "Bad Request.  ..."}
    <error code="400" message="Bad Request.  ..." />

The format is told by the content, since without ``file_type`` FRED answers in XML. XML that
declares types or entities is refused unread, so that none can be expanded.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from xml.etree import ElementTree as ET

from stock_platform.domain.errors import (
    Malformed,
    NotEntitled,
    RateLimited,
    SourceError,
    Unavailable,
    UnknownSymbol,
)
from stock_platform.sources.fred.config import NAME
from stock_platform.sources.payload import as_list, as_mapping, excerpt, number, read_json

Row = Mapping[str, object]
_XML = re.compile(r"<(\?xml|observations|seriess|error|[a-z_]+\s+realtime_start)\b")
_ERROR = re.compile(r"(?:<\?xml[^>]*\?>)?\s*(<error\s[^<>]*/>)")


@dataclass(frozen=True)
class Document:
    """A good answer: what is said of the whole, and its rows."""

    about: Row
    rows: list[Row]

    def count(self, name: str) -> int | None:
        """A whole number of the envelope; None where it is not told. Raises Malformed."""
        try:
            found = number(self.about.get(name))
        except ValueError as error:
            raise Malformed(NAME, f"{name}: {error}") from None
        return None if found is None else int(found)


def read_document(status: int, body: bytes, what: str, rows: str) -> Document:
    """The answer, once it is known not to be an error.

    Args:
        status: the HTTP status.
        body: decoded bytes.
        what: the series asked for.
        rows: the name of the rows, ``observations`` or ``seriess``.

    Raises:
        UnknownSymbol, NotEntitled, RateLimited, Unavailable. Malformed: also the document of
            another endpoint.
    """
    found = _value(status, body, what)
    said = found.get("error_message")
    if said is not None or "error_code" in found:
        code = found.get("error_code")
        raise _error_of(_status(code, status), " ".join(str(said).split()), what)
    if status != 200:
        raise _error_of(status, excerpt(body), what)
    if rows not in found:
        given = ", ".join(sorted(str(key) for key in found)[:6]) or "nothing"
        raise Malformed(NAME, f"{what}: no {rows} in the answer, which has {given}")
    listed = as_list(NAME, found[rows], rows)
    return Document(found, [as_mapping(NAME, row, f"an entry of {rows}") for row in listed])


def _value(status: int, body: bytes, what: str) -> Row:
    text = body.decode("utf-8", errors="replace").strip().removeprefix("\ufeff")
    if _XML.match(text):
        return _xml(text)
    if status != 200 and not text.startswith("{"):
        raise _error_of(status, excerpt(body) or f"HTTP {status}", what)
    return as_mapping(NAME, read_json(NAME, body), "the answer")


def _xml(text: str) -> Row:
    """A document in the form it would have in JSON."""
    alone = _ERROR.match(text)
    if re.search(r"<!(DOCTYPE|ENTITY)", text, re.IGNORECASE):
        raise Malformed(NAME, "the XML declares types or entities: refused")
    try:
        # an error is read alone, whatever follows it
        root = ET.fromstring(alone[1] if alone else text)  # noqa: S314 - nothing to expand
    except (ET.ParseError, ValueError) as error:
        raise Malformed(NAME, f"XML cut short or broken: {error}") from None
    if root.tag == "error":
        return {
            "error_code": root.get("code"),
            "error_message": root.get("message") or "no message",
        }
    return {**root.attrib, root.tag: [dict(child.attrib) for child in root]}


def _status(code: object, status: int) -> int:
    try:
        return int(number(code) or status)
    except ValueError:
        return status


def _error_of(status: int, said: str, what: str) -> SourceError:
    low = said.lower()
    if status == 429 or "too many requests" in low or "rate limit" in low:
        return RateLimited(NAME, f"too many calls: {said}")
    if "api_key" in low or status in (401, 403):
        return NotEntitled(NAME, said)
    unset = "is not set" in low
    if "series does not exist" in low or ("series_id" in low and not unset):
        return UnknownSymbol(NAME, what, said)
    if status == 423 or status >= 500 or "internal server" in low:
        return Unavailable(NAME, said)
    return Malformed(NAME, f"the request for {what} was refused: {said}")
