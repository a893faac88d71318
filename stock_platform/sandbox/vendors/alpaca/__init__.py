"""Alpaca's market data, on the free plan.

Belongs here: endpoints, the pair of keys, limits and errors. Does not: bars (``bars``).

Free plan: 200 requests a minute for a pair of keys, which come in the headers
APCA-API-KEY-ID and APCA-API-SECRET-KEY. The consolidated tape is served once it is 15 minutes
old. Errors word themselves in ``message``. https://docs.alpaca.markets/reference/stockbars
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from stock_platform.sandbox.config import Limit
from stock_platform.sandbox.vendors.alpaca import bars
from stock_platform.sandbox.vendors.base import Answer, Endpoint, Vendor, dump, endpoint


class Alpaca(Vendor):
    """Alpaca's market data API."""

    name: ClassVar[str] = "alpaca"
    limits: ClassVar[Sequence[Limit]] = ((200, 60.0),)

    @property
    def endpoints(self) -> Sequence[Endpoint]:
        """The endpoints served."""
        return _ENDPOINTS

    def account(
        self,
        query: Mapping[str, str],  # noqa: ARG002 - the keys never come in the query
        headers: Mapping[str, str],
    ) -> str | None:
        """The pair of keys, ``id:secret``; None where one is missing."""
        key, secret = (headers.get(f"apca-api-{name}") for name in ("key-id", "secret-key"))
        return f"{key}:{secret}" if key and secret else None

    def authorize(self, key: str | None, known: Sequence[str] | None) -> Answer | None:
        """401 without both keys, 403 with some it does not know (``known`` has either half)."""
        if key is None:
            return bars.error(401, "unauthorized.")
        if known is not None and not set(key.split(":", 1)) <= set(known):
            return bars.error(403, "forbidden.")
        return None

    def too_many(self) -> Answer:
        """Its 429, with the state of the limit in headers and no Retry-After."""
        headers = {"X-RateLimit-Limit": "200", "X-RateLimit-Remaining": "0"}
        return Answer(dump({"message": "too many requests."}), 429, headers=headers)

    def broken(self, status: int) -> Answer:
        """Its 5xx."""
        return bars.error(status, "internal server error occurred")

    def error_inside(self) -> Answer:
        """An error in a 200."""
        return bars.error(200, "internal server error occurred")

    def not_found(self) -> Answer:
        """An unknown path."""
        return bars.error(404, "endpoint not found.")


_ENDPOINTS = (
    endpoint("bars", "/v2/stocks/bars", bars.several, slow_first=True),
    endpoint("bars_of_one", "/v2/stocks/{symbol}/bars", bars.single),
    endpoint("snapshots", "/v2/stocks/snapshots", bars.snapshots),
    endpoint("snapshot", "/v2/stocks/{symbol}/snapshot", bars.snapshot),
)
