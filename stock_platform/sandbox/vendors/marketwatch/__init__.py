"""MarketWatch: the page of a symbol, and its download of daily bars.

Belongs here: paths, robots.txt, the captcha wall. Does not: the page and the download
(``quotes``).

Its limits are not published; 30 a minute here, beyond them DataDome's captcha (403), the same
that the fault ``html`` shows with a 200. https://www.marketwatch.com/investing/stock/aapl
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from stock_platform.sandbox.config import Limit
from stock_platform.sandbox.vendors.base import Answer, Call, Endpoint, endpoint
from stock_platform.sandbox.vendors.marketwatch.quotes import download, page
from stock_platform.sandbox.vendors.pages import HTML, PageVendor, robots

_ROBOTS = """\
User-agent: *
Disallow: /search
Disallow: /account
Disallow: /api/
"""
_CAPTCHA = (
    '<html lang="en"><head><title>marketwatch.com</title><style>#cmsg{animation: A 1.5s;}</style>'
    '</head><body style="margin:0"><p id="cmsg">Please enable JS and disable any ad blocker</p>'
    "<script data-cfasync=\"false\">var dd={'rt':'c','cid':'x','hsh':'y','t':'bv','s':17439,"
    "'host':'geo.captcha-delivery.com'}</script><script data-cfasync=\"false\" "
    'src="https://ct.captcha-delivery.com/c.js"></script></body></html>'
)


def _robots(_call: Call) -> Answer:
    return robots(_ROBOTS)


class MarketWatch(PageVendor):
    """www.marketwatch.com."""

    name: ClassVar[str] = "marketwatch"
    title: ClassVar[str] = "MarketWatch"
    limits: ClassVar[Sequence[Limit]] = ((30, 60.0),)

    @property
    def endpoints(self) -> Sequence[Endpoint]:
        """The pages served."""
        return _ENDPOINTS

    def too_many(self) -> Answer:
        """The captcha wall."""
        return Answer(_CAPTCHA.encode(), 403, HTML, {"x-datadome": "protected"})

    def page(self) -> Answer:
        """The captcha where something else was due."""
        return Answer(_CAPTCHA.encode(), content_type=HTML)


_ENDPOINTS = (
    endpoint("robots", "/robots.txt", _robots),
    endpoint("download", "/investing/{kind}/{symbol}/downloaddatapartial", download),
    endpoint("quote", "/investing/{kind}/{symbol}", page),
)
