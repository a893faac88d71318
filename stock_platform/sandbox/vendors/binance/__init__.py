"""Binance's spot market data, which needs no key.

Belongs here: endpoints, limits and errors. Does not: candles (``klines``), prices and pairs
(``ticker``).

An address may use 6,000 weight a minute, which is 3,000 klines; every answer says in
X-MBX-USED-WEIGHT-1M how much it has used. Errors are ``{"code": -1121, "msg": ...}``.
https://developers.binance.com/docs/binance-spot-api-docs/rest-api
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from stock_platform.sandbox.config import Limit
from stock_platform.sandbox.vendors.base import Answer, Endpoint, Vendor, endpoint
from stock_platform.sandbox.vendors.binance import klines, ticker
from stock_platform.sandbox.vendors.binance.wire import failure, weighed


class Binance(Vendor):
    """Binance's REST API."""

    name: ClassVar[str] = "binance"
    limits: ClassVar[Sequence[Limit]] = ((3000, 60.0),)

    @property
    def endpoints(self) -> Sequence[Endpoint]:
        """The endpoints served."""
        return _ENDPOINTS

    def account(
        self,
        query: Mapping[str, str],  # noqa: ARG002 - market data knows no keys
        headers: Mapping[str, str],  # noqa: ARG002 - market data knows no keys
    ) -> str | None:
        """None: Binance counts by address."""
        return None

    def too_many(self) -> Answer:
        """Its 429."""
        return failure(
            429,
            -1003,
            "Too much request weight used; current limit is 6000 request weight per 1 MINUTE. "
            "Please use WebSocket Streams for live updates to avoid polling the API.",
        )

    def broken(self, status: int) -> Answer:
        """Its 5xx."""
        return failure(status, -1000, "An unknown error occurred while processing the request.")

    def error_inside(self) -> Answer:
        """An error in a 200."""
        return failure(
            200, -1001, "Internal error; unable to process your request. Please try again."
        )

    def not_found(self) -> Answer:
        """An unknown path."""
        page = b"<html><head><title>404 Not Found</title></head><body>nginx</body></html>"
        return Answer(page, 404, "text/html")


_ENDPOINTS = (
    endpoint("klines", "/api/v3/klines", weighed(2, klines.klines)),
    endpoint("uiKlines", "/api/v3/uiKlines", weighed(2, klines.klines)),
    endpoint("ticker", "/api/v3/ticker/24hr", weighed(2, ticker.day)),
    endpoint("price", "/api/v3/ticker/price", weighed(2, ticker.price)),
    endpoint("exchangeInfo", "/api/v3/exchangeInfo", weighed(20, ticker.exchange_info)),
    endpoint("time", "/api/v3/time", weighed(1, ticker.time)),
    endpoint("ping", "/api/v3/ping", weighed(1, ticker.ping)),
)
