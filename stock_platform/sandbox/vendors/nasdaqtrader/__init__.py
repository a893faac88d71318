"""NASDAQ Trader's symbol directory: three text files of what is listed now.

Belongs here: the vendor's endpoints, limits and errors. Does not: the files (``files``).

No key. No limit is published; 30 a minute for an address is a guess at what a web server bears.
Errors are web pages. https://www.nasdaqtrader.com/trader.aspx?id=symboldirdefs
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from stock_platform.sandbox.config import Limit
from stock_platform.sandbox.vendors.base import Answer, Endpoint, Vendor, endpoint
from stock_platform.sandbox.vendors.nasdaqtrader import files

_HTML = "text/html; charset=utf-8"


def _page(status: int, title: str) -> Answer:
    text = (
        f"<!DOCTYPE html><html><head><title>{title}</title></head>"
        f"<body><h2>{status} - {title}</h2></body></html>"
    )
    return Answer(text.encode(), status, _HTML)


class NasdaqTrader(Vendor):
    """NASDAQ Trader's dynamic symbol directory."""

    name: ClassVar[str] = "nasdaqtrader"
    limits: ClassVar[Sequence[Limit]] = ((30, 60.0),)

    @property
    def endpoints(self) -> Sequence[Endpoint]:
        """The endpoints served."""
        return _ENDPOINTS

    def account(
        self,
        query: Mapping[str, str],  # noqa: ARG002 - there is no key
        headers: Mapping[str, str],  # noqa: ARG002 - there is no key
    ) -> str | None:
        """None: counted by address."""
        return None

    def too_many(self) -> Answer:
        """Its 429."""
        return _page(429, "Too Many Requests")

    def broken(self, status: int) -> Answer:
        """Its 5xx."""
        return _page(status, "Server Error")

    def error_inside(self) -> Answer:
        """A page of its own in a 200, where the file was due."""
        return _page(200, "Symbol Directory - Temporarily Unavailable")

    def not_found(self) -> Answer:
        """An unknown path."""
        return _page(404, "File or directory not found.")


_ENDPOINTS = (
    endpoint("traded", "/dynamic/SymDir/nasdaqtraded.txt", files.traded),
    endpoint("listed", "/dynamic/SymDir/nasdaqlisted.txt", files.listed),
    endpoint("other", "/dynamic/SymDir/otherlisted.txt", files.other),
)
