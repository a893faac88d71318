"""CoinGecko's public API.

Belongs here: endpoints, the key, limits and errors. Does not: candles and charts
(``history``), prices and names (``coins``).

A demo key, in ``x-cg-demo-api-key``, allows 30 calls a minute and 10,000 a month. Without
one it is 5 to 15 as the load permits: here the same 30, counted by address. In life a 429
says in Retry-After how long to wait: configure ``retry_after`` for it. Paths are served with
and without ``/api/v3``, which is part of the public base address.
https://docs.coingecko.com/v3.0.1/reference
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import ClassVar

from stock_platform.sandbox.config import Limit
from stock_platform.sandbox.vendors.base import Answer, Call, Endpoint, Vendor, dump, endpoint
from stock_platform.sandbox.vendors.coingecko import coins, history
from stock_platform.sandbox.vendors.coingecko.wire import HEADERS, JSON_TYPE, error, refusal


class CoinGecko(Vendor):
    """CoinGecko's API v3."""

    name: ClassVar[str] = "coingecko"
    limits: ClassVar[Sequence[Limit]] = ((30, 60.0), (10_000, 30 * 86_400.0))

    @property
    def endpoints(self) -> Sequence[Endpoint]:
        """The endpoints served."""
        return _ENDPOINTS

    def account(self, query: Mapping[str, str], headers: Mapping[str, str]) -> str | None:
        """The demo key; without one calls are counted by address."""
        return headers.get("x-cg-demo-api-key") or query.get("x_cg_demo_api_key") or None

    def authorize(self, key: str | None, known: Sequence[str] | None) -> Answer | None:
        """No key is needed; one that it does not know is refused."""
        if key is not None and known is not None and key not in known:
            return refusal(401, 10_002, "Incorrect API Key. Please check and try again.")
        return None

    def too_many(self) -> Answer:
        """Its 429."""
        said = (
            "You've exceeded the Rate Limit. Please visit https://www.coingecko.com/en/api/pricing "
            "to subscribe to our API plans for higher rate limits."
        )
        body = {"status": {"error_code": 429, "error_message": said}}
        return Answer(dump(body), 429, JSON_TYPE, HEADERS)

    def broken(self, status: int) -> Answer:
        """A 5xx: its proxy's page."""
        page = f"<html><head><title>{status}: Server Error | CoinGecko</title></head></html>"
        return Answer(page.encode(), status, "text/html; charset=UTF-8")

    def error_inside(self) -> Answer:
        """A refusal in a 200."""
        body = {"status": {"error_code": 1020, "error_message": "Please try again later."}}
        return Answer(dump(body), 200, JSON_TYPE, HEADERS)

    def not_found(self) -> Answer:
        """An unknown path."""
        return error(404, "Incorrect path. Please check https://www.coingecko.com/api/")


def _ping(_call: Call) -> Answer:
    return Answer(dump({"gecko_says": "(V3) To the Moon!"}), 200, JSON_TYPE, HEADERS)


_PATHS: dict[str, tuple[str, Callable[[Call], Answer]]] = {
    "ping": ("/ping", _ping),
    "list": ("/coins/list", coins.listing),
    "markets": ("/coins/markets", coins.markets),
    "ohlc": ("/coins/{symbol}/ohlc", history.ohlc),
    "market_chart": ("/coins/{symbol}/market_chart", history.market_chart),
    "price": ("/simple/price", coins.price),
}
_ENDPOINTS = tuple(
    endpoint(name, prefix + path, handle)
    for prefix in ("/api/v3", "")
    for name, (path, handle) in _PATHS.items()
)
