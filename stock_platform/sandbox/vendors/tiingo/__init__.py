"""Tiingo, on the free plan: days, minutes and coins.

Belongs here: endpoints, the token, limits and errors. Does not: shares
(``rows``), coins (``coins``).

Free plan: 50 requests an hour and 1,000 a day for a token, which comes as ``Authorization:
Token ...`` or as ``token`` in the query. An error is worded in ``detail``; a spent allowance
is a 429, and has been a sentence in a 200. https://www.tiingo.com/documentation/general/overview
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from stock_platform.sandbox.config import Limit
from stock_platform.sandbox.vendors.base import Answer, Endpoint, Vendor, endpoint
from stock_platform.sandbox.vendors.tiingo import coins, rows
from stock_platform.sandbox.vendors.tiingo.wire import error

_SPENT = (
    "Error: You have run over your hourly request allocation. Please upgrade at "
    "https://api.tiingo.com/pricing to have your limits increased."
)


class Tiingo(Vendor):
    """Tiingo's REST API."""

    name: ClassVar[str] = "tiingo"
    limits: ClassVar[Sequence[Limit]] = ((50, 3_600.0), (1_000, 86_400.0))

    @property
    def endpoints(self) -> Sequence[Endpoint]:
        """The endpoints served."""
        return _ENDPOINTS

    def account(self, query: Mapping[str, str], headers: Mapping[str, str]) -> str | None:
        """The token, from the header or the query."""
        scheme, _, token = headers.get("authorization", "").partition(" ")
        return (token.strip() if scheme.lower() == "token" else "") or query.get("token") or None

    def authorize(self, key: str | None, known: Sequence[str] | None) -> Answer | None:
        """403 without a token, 401 with one it does not know."""
        if key is None:
            return error(403, "Please supply a token")
        if known is not None and key not in known:
            return error(401, "Invalid token.")
        return None

    def too_many(self) -> Answer:
        """Its 429, without a Retry-After."""
        return error(429, _SPENT)

    def broken(self, status: int) -> Answer:
        """Its 5xx."""
        return Answer(b"<h1>Server Error</h1>", status, "text/html")

    def error_inside(self) -> Answer:
        """The sentence about a spent allowance, in a 200, as plain text."""
        return Answer(_SPENT.removeprefix("Error: ").encode(), content_type="text/plain")

    def not_found(self) -> Answer:
        """An unknown path."""
        return error(404, "Not found.")


# The app takes the vendor's name from the front of a path, where Tiingo's paths have it anyway.
_ENDPOINTS = (
    endpoint("crypto", "/crypto/prices", coins.crypto),
    endpoint("daily", "/daily/{symbol}/prices", rows.daily),
    endpoint("meta", "/daily/{symbol}", rows.meta),
    endpoint("iex", "/iex/{symbol}/prices", rows.iex),
)
