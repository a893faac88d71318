"""How FRED writes: JSON or XML, errors with a code and a message.

Belongs here: formats that its endpoints share. Does not: data.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextvars import ContextVar
from xml.sax.saxutils import quoteattr

from stock_platform.sandbox.vendors.base import Answer, dump

KEY_HELP = "Read https://fred.stlouisfed.org/docs/api/api_key.html for more information."
JSON_TYPE = "application/json; charset=UTF-8"
XML_TYPE = "text/xml; charset=UTF-8"
_HEADER = '<?xml version="1.0" encoding="utf-8" ?>\n'

FORMAT: ContextVar[str] = ContextVar("fred_format", default="xml")
"""Of the request in hand; errors are written in it before an endpoint sees the query."""


def document(
    about: Mapping[str, object], name: str, child: str, rows: Sequence[Mapping[str, object] | str]
) -> Answer:
    """A good answer: ``about`` the whole, and ``rows`` under ``name``."""
    if FORMAT.get() == "json":
        return Answer(dump({**about, name: list(rows)}), 200, JSON_TYPE, cells=len(rows))
    lines = [
        f"  <{child}>{row}</{child}>" if isinstance(row, str) else f"  <{child}{_attributes(row)}/>"
        for row in rows
    ]
    text = "\n".join([f"{_HEADER}<{name}{_attributes(about)}>", *lines, f"</{name}>", ""])
    return Answer(text.encode(), 200, XML_TYPE, cells=len(rows))


def error(code: int, message: str) -> Answer:
    """An error, with its status."""
    if FORMAT.get() == "json":
        body = dump({"error_code": code, "error_message": message})
        return Answer(body, code, JSON_TYPE)
    text = f'{_HEADER}<error code="{code}" message={quoteattr(message)} />\n\n\n\n'
    return Answer(text.encode(), code, XML_TYPE)


def _attributes(row: Mapping[str, object]) -> str:
    return "".join(f" {name}={quoteattr(str(value))}" for name, value in row.items())
