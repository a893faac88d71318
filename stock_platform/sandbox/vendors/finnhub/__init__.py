"""Finnhub: quotes and companies for a free key, candles for a premium one.

Belongs here: endpoints, the key, limits and errors. Does not: candles (``candles``), what is
told besides (``facts``), wording and spellings (``wire``).

A key, as ``token`` or in ``X-Finnhub-Token``, has 60 requests a minute, and 30 a second
whatever its plan. A 429 tells in X-Ratelimit-Reset when calls count anew. A key that begins
with ``premium`` has the candles. Paths may begin with ``/api/v1``, as in life, and their last
part with two slashes, as the vendor's Python client writes them.
https://finnhub.io/docs/api
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from time import time
from typing import ClassVar

from stock_platform.sandbox.config import Limit
from stock_platform.sandbox.vendors.base import Answer, Call, Endpoint, Vendor
from stock_platform.sandbox.vendors.finnhub import candles, facts
from stock_platform.sandbox.vendors.finnhub.wire import (
    NO_ACCESS,
    PLAN,
    SIGNATURE,
    error,
)


def _endpoint(name: str, path: str, handle: Callable[[Call], Answer]) -> Endpoint:
    return Endpoint(name, re.compile(f"(?:/api/v1)?/?{re.escape(path)}"), handle)


def _premium(_call: Call) -> Answer:
    return error(403, NO_ACCESS)


_ENDPOINTS = (
    _endpoint("quote", "/quote", facts.quote),
    _endpoint("profile", "/stock/profile2", facts.profile),
    _endpoint("symbols", "/stock/symbol", facts.symbols),
    _endpoint("file", facts.FILE, facts.file),
    _endpoint("search", "/search", facts.search),
    _endpoint("candle", "/stock/candle", candles.stock),
    _endpoint("forex_candle", "/forex/candle", candles.forex),
    _endpoint("crypto_candle", "/crypto/candle", candles.crypto),
    _endpoint("split", "/stock/split", _premium),
    _endpoint("dividend", "/stock/dividend", _premium),
)


class Finnhub(Vendor):
    """Finnhub's API."""

    name: ClassVar[str] = "finnhub"
    limits: ClassVar[Sequence[Limit]] = ((30, 1.0), (60, 60.0))

    @property
    def endpoints(self) -> Sequence[Endpoint]:
        """The endpoints served."""
        return _ENDPOINTS

    def account(self, query: Mapping[str, str], headers: Mapping[str, str]) -> str | None:
        """The key; of a signed file its signature, which stands in for one."""
        if query.get("signature") == SIGNATURE:
            return SIGNATURE
        key = headers.get("x-finnhub-token") or query.get("token") or None
        PLAN.set("premium" if (key or "").startswith("premium") else "free")
        return key

    def authorize(self, key: str | None, known: Sequence[str] | None) -> Answer | None:
        """401 without a key, or with one it does not know."""
        if key is None:
            return error(401, "Please use an API key.")
        if known is not None and key not in (*known, SIGNATURE):
            return error(401, "Invalid API key")
        return None

    def too_many(self) -> Answer:
        """Its 429; the minute that counts ends in a minute at the latest."""
        said = "API limit reached. Please try again later. Remaining Limit: 0"
        return error(
            429,
            said,
            {
                "X-Ratelimit-Limit": "60",
                "X-Ratelimit-Remaining": "0",
                "X-Ratelimit-Reset": str(int(time()) + 60),
            },
        )

    def broken(self, status: int) -> Answer:
        """A 5xx of its host."""
        text = f"<html><head><title>{status}</title></head><body></body></html>"
        return Answer(text.encode(), status, "text/html")

    def error_inside(self) -> Answer:
        """An error in a 200."""
        return error(200, "Internal error. Please try again later.")

    def not_found(self) -> Answer:
        """An unknown path."""
        return Answer(b"404 page not found\n", 404, "text/plain")
