"""Polygon.io, now Massive: aggregates and reference data, on the free plan.

Belongs here: endpoints, the key, limits and errors. Does not: bars (``aggs``), tickers and
corporate actions (``reference``).

Free plan: 5 requests a minute for a key. The key comes as ``apiKey`` or as a bearer token.
401 and 429 word their error in ``error``, 403 in ``message``. https://massive.com/docs
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from stock_platform.sandbox.config import Limit
from stock_platform.sandbox.vendors.base import Answer, Endpoint, Vendor, endpoint
from stock_platform.sandbox.vendors.polygon import aggs, reference
from stock_platform.sandbox.vendors.polygon.wire import error


class Polygon(Vendor):
    """Polygon's REST API."""

    name: ClassVar[str] = "polygon"
    limits: ClassVar[Sequence[Limit]] = ((5, 60.0),)

    @property
    def endpoints(self) -> Sequence[Endpoint]:
        """The endpoints served."""
        return _ENDPOINTS

    def account(self, query: Mapping[str, str], headers: Mapping[str, str]) -> str | None:
        """The key, from the query or the bearer token."""
        bearer = headers.get("authorization", "")
        token = bearer[7:].strip() if bearer.lower().startswith("bearer ") else ""
        return query.get("apiKey") or token or None

    def authorize(self, key: str | None, known: Sequence[str] | None) -> Answer | None:
        """401 without a key, or with one it does not know."""
        if key is None:
            return error(401, "API Key was not provided")
        if known is not None and key not in known:
            return error(401, "Unknown API Key")
        return None

    def too_many(self) -> Answer:
        """Its 429."""
        return error(
            429,
            "You've exceeded the maximum requests per minute, please wait or upgrade your "
            "subscription to continue. https://polygon.io/pricing",
        )

    def broken(self, status: int) -> Answer:
        """Its 5xx."""
        return error(status, "Internal server error" if status == 500 else "Service unavailable")

    def error_inside(self) -> Answer:
        """An error in a 200."""
        return error(200, "Request failed, please try again")

    def not_found(self) -> Answer:
        """An unknown path."""
        return Answer(b"404 page not found\n", 404, "text/plain")


_ENDPOINTS = (
    endpoint(
        "grouped",
        "/v2/aggs/grouped/locale/us/market/stocks/{date}",
        aggs.grouped,
        slow_first=True,
    ),
    endpoint(
        "range", "/v2/aggs/ticker/{symbol}/range/{multiplier}/{span}/{start}/{end}", aggs.range_
    ),
    endpoint("prev", "/v2/aggs/ticker/{symbol}/prev", aggs.previous),
    endpoint("tickers", "/v3/reference/tickers", reference.tickers),
    endpoint("ticker", "/v3/reference/tickers/{symbol}", reference.ticker),
    endpoint("splits", "/v3/reference/splits", reference.splits, slow_first=True),
    endpoint("dividends", "/v3/reference/dividends", reference.dividends, slow_first=True),
    endpoint("events", "/vX/reference/tickers/{symbol}/events", reference.events),
)
