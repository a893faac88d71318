"""Alpha Vantage: one path, a function for everything, and errors with a status of 200.

Belongs here: the functions served, the key, limits and errors. Does not: series
(``series``), what is told besides (``facts``), wording and formats (``wire``).

Free plan: 25 requests a day and one a second for a key, which comes as ``apikey``. Premium
are minutes, ``outputsize=full`` and adjusted days: a key that begins with ``premium`` has
them. https://www.alphavantage.co/documentation/
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import ClassVar

from stock_platform.sandbox.config import Limit
from stock_platform.sandbox.vendors.alpha_vantage import facts, series
from stock_platform.sandbox.vendors.alpha_vantage.wire import (
    NO_FUNCTION,
    NO_KEY,
    TOO_FAST,
    complaint,
)
from stock_platform.sandbox.vendors.base import Answer, Call, Endpoint, Vendor, endpoint

_FUNCTIONS: Mapping[str, Callable[[Call], Answer]] = {
    "TIME_SERIES_DAILY": series.daily,
    "TIME_SERIES_DAILY_ADJUSTED": series.premium,
    "TIME_SERIES_INTRADAY": series.intraday,
    "FX_DAILY": series.fx_daily,
    "DIGITAL_CURRENCY_DAILY": series.coin_daily,
    "GLOBAL_QUOTE": facts.quote,
    "CURRENCY_EXCHANGE_RATE": facts.rate,
    "OVERVIEW": facts.overview,
    "LISTING_STATUS": facts.listing,
    "SYMBOL_SEARCH": facts.search,
}


def _query(call: Call) -> Answer:
    """``/query``: whatever ``function`` says."""
    function = call.query.get("function", "").upper()
    answer = _FUNCTIONS.get(function)
    return complaint("Error Message", NO_FUNCTION.format(function)) if not answer else answer(call)


class AlphaVantage(Vendor):
    """Alpha Vantage's API."""

    name: ClassVar[str] = "alpha_vantage"
    limits: ClassVar[Sequence[Limit]] = ((1, 1.0), (25, 86_400.0))

    @property
    def endpoints(self) -> Sequence[Endpoint]:
        """The one there is."""
        return (endpoint("query", "/query", _query),)

    def account(
        self,
        query: Mapping[str, str],
        headers: Mapping[str, str],  # noqa: ARG002 - it takes no key there
    ) -> str | None:
        """The key."""
        return query.get("apikey") or None

    def authorize(self, key: str | None, known: Sequence[str] | None) -> Answer | None:
        """A missing key, or one it does not know (in life it knows every word)."""
        if key is None or (known is not None and key not in known):
            return complaint("Error Message", NO_KEY)
        return None

    def too_many(self) -> Answer:
        """Its notice, which names both limits: it does not tell here which one was broken."""
        return complaint("Information", TOO_FAST)

    def broken(self, status: int) -> Answer:
        """A 5xx of its host."""
        text = f"<html><head><title>{status} Server Error</title></head><body></body></html>"
        return Answer(text.encode(), status, "text/html")

    def error_inside(self) -> Answer:
        """An error in a 200."""
        said = "An internal error has occurred. Please try again, or contact support."
        return complaint("Information", said)

    def not_found(self) -> Answer:
        """An unknown path."""
        return Answer(b"<h1>Not Found</h1>", 404, "text/html")
