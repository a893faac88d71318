"""Yahoo Finance's web site: the page of a symbol, and of its history.

Belongs here: paths, robots.txt, errors. Does not: the pages (``page``, ``history``).

As recorded where it is: an unknown ticker is sent to /lookup, who is taken for a European to
consent.yahoo.com (not here). Its limits are not published; 60 a minute here.
https://finance.yahoo.com/quote/AAPL/
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from stock_platform.sandbox.config import Limit
from stock_platform.sandbox.vendors.base import Answer, Call, Endpoint, endpoint
from stock_platform.sandbox.vendors.pages import PageVendor, robots
from stock_platform.sandbox.vendors.yahoo_page.history import history
from stock_platform.sandbox.vendors.yahoo_page.page import page

_ROBOTS = """\
User-agent: *
Disallow: /r/
Disallow: /caas/
Disallow: /__blank
Disallow: /_td_api
Disallow: /_remote
"""


def _robots(_call: Call) -> Answer:
    return robots(_ROBOTS)


class YahooPage(PageVendor):
    """finance.yahoo.com."""

    name: ClassVar[str] = "yahoo_page"
    title: ClassVar[str] = "Yahoo Finance"
    limits: ClassVar[Sequence[Limit]] = ((60, 60.0),)

    @property
    def endpoints(self) -> Sequence[Endpoint]:
        """The pages served."""
        return _ENDPOINTS

    def too_many(self) -> Answer:
        """Its 429, of the edge: plain text."""
        return Answer(b"Edge: Too Many Requests", 429, "text/plain")

    def page(self) -> Answer:
        """The form that asks for consent, where the page was due."""
        text = (
            "<!DOCTYPE html><html><head><title>Yahoo is part of the Yahoo family of brands</title>"
            '</head><body><form method="post" action="https://consent.yahoo.com/v2/collectConsent">'
            '<button name="agree">Accept all</button></form></body></html>'
        )
        return Answer(text.encode(), content_type="text/html; charset=utf-8")


_ENDPOINTS = (
    endpoint("robots", "/robots.txt", _robots),
    endpoint("history", "/quote/{symbol}/history/", history),
    endpoint("history", "/quote/{symbol}/history", history),
    endpoint("quote", "/quote/{symbol}/", page),
    endpoint("quote", "/quote/{symbol}", page),
)
