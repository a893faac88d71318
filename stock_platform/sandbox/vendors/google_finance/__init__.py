"""Google Finance: the page of a symbol.

Belongs here: paths, robots.txt, errors. Does not: the page (``page``).

Its limits are not published; 60 a minute here. Beyond them it shows a captcha page ("unusual
traffic") with a status of 429. https://www.google.com/finance/quote/AAPL:NASDAQ
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from stock_platform.sandbox.config import Limit
from stock_platform.sandbox.vendors.base import Answer, Call, Endpoint, endpoint
from stock_platform.sandbox.vendors.google_finance.page import page
from stock_platform.sandbox.vendors.pages import HTML, PageVendor, document, robots

_ROBOTS = """\
User-agent: *
Disallow: /search
Allow: /search/about
Disallow: /sdch
Disallow: /groups
Disallow: /imgres
Disallow: /u/
"""


def _robots(_call: Call) -> Answer:
    return robots(_ROBOTS)


class GoogleFinance(PageVendor):
    """www.google.com/finance."""

    name: ClassVar[str] = "google_finance"
    title: ClassVar[str] = "Google Finance"
    limits: ClassVar[Sequence[Limit]] = ((60, 60.0),)

    @property
    def endpoints(self) -> Sequence[Endpoint]:
        """The page served."""
        return _ENDPOINTS

    def too_many(self) -> Answer:
        """Its captcha page, a 429."""
        words = "Our systems have detected unusual traffic from your computer network."
        return Answer(document("Sorry...", "", f"<p>{words}</p>"), 429, HTML)

    def page(self) -> Answer:
        """The page that asks for consent, where the quote was due."""
        return Answer(document("Before you continue", "", "<h1>Before you continue to Google</h1>"),
                      content_type=HTML)  # fmt: skip


_ENDPOINTS = (
    endpoint("robots", "/robots.txt", _robots),
    endpoint("quote", "/finance/quote/{symbol}", page),
)
