"""Yahoo Finance: chart, quotes, options, and what its users need to reach them.

Belongs here: Yahoo's endpoints, limits and errors. Does not: the answers (``chart``,
``quotes``, ``options``).

Yahoo publishes no limits; 60 requests a minute and 2,000 an hour for an address are what its
users report.
Its 429 is plain text. https://query2.finance.yahoo.com/v8/finance/chart/AAPL
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from stock_platform.sandbox.config import Limit
from stock_platform.sandbox.vendors.base import Answer, Call, Endpoint, Vendor, dump, endpoint
from stock_platform.sandbox.vendors.yahoo.chart import HEADERS, JSON_TYPE, failure
from stock_platform.sandbox.vendors.yahoo.options import options
from stock_platform.sandbox.vendors.yahoo.quotes import CRUMB, quote, summary, timeseries
from stock_platform.sandbox.vendors.yahoo.spark import any_chart, spark

_COOKIE = "A3=d=AQABBsandbox&S=AQAAAsandbox; Max-Age=31557600; Path=/; HttpOnly"


def _crumb(_call: Call) -> Answer:
    return Answer(CRUMB.encode(), content_type="text/plain;charset=utf-8", headers=HEADERS)


def _cookie(_call: Call) -> Answer:
    """fc.yahoo.com: a 404 whose only use is its cookie."""
    return Answer(b"", status=404, content_type="text/html", headers={"set-cookie": _COOKIE})


class Yahoo(Vendor):
    """Yahoo's chart API."""

    name: ClassVar[str] = "yahoo"
    limits: ClassVar[Sequence[Limit]] = ((60, 60.0), (2000, 3600.0))

    @property
    def endpoints(self) -> Sequence[Endpoint]:
        """The endpoints served."""
        return _ENDPOINTS

    def account(
        self,
        query: Mapping[str, str],  # noqa: ARG002 - Yahoo knows no keys
        headers: Mapping[str, str],  # noqa: ARG002 - Yahoo knows no keys
    ) -> str | None:
        """None: Yahoo counts by address."""
        return None

    def too_many(self) -> Answer:
        """Its 429."""
        return Answer(b"Too Many Requests\r\n", status=429, content_type="text/plain")

    def broken(self, status: int) -> Answer:
        """Its 5xx."""
        text = {500: "Internal Server Error", 503: "Service Unavailable"}.get(status, "Error")
        page = f"<html><head><title>{text}</title></head><body>Will be right back...</body></html>"
        return Answer(page.encode(), status=status, content_type="text/html")

    def error_inside(self) -> Answer:
        """An error in a 200."""
        return failure(200, "Internal Server Error", "Failed to fetch the chart")

    def not_found(self) -> Answer:
        """An unknown path."""
        error = {"code": "Not Found", "description": "HTTP 404 Not Found"}
        return Answer(dump({"finance": {"result": None, "error": error}}), 404, JSON_TYPE, HEADERS)


_ENDPOINTS = (
    endpoint("chart", "/v8/finance/chart/{symbol}", any_chart),
    endpoint("spark", "/v7/finance/spark", spark),
    endpoint("getcrumb", "/v1/test/getcrumb", _crumb),
    endpoint("cookie", "/", _cookie),
    endpoint("quote", "/v7/finance/quote", quote),
    endpoint("options", "/v7/finance/options/{symbol}", options),
    endpoint("quoteSummary", "/v10/finance/quoteSummary/{symbol}", summary),
    endpoint(
        "timeseries", "/ws/fundamentals-timeseries/v1/finance/timeseries/{symbol}", timeseries
    ),
)
