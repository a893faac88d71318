"""FRED: economic series and their vintages.

Belongs here: endpoints, the key, limits and errors. Does not: answers (``series``), formats
and wording (``wire``).

The key comes as ``api_key``. Two calls a second, 120 a minute. Everything is in XML unless
``file_type=json``, errors too. Paths may begin with ``/fred``, as in life.
https://fred.stlouisfed.org/docs/api/fred/
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import ClassVar

from stock_platform.sandbox.config import Limit
from stock_platform.sandbox.vendors.base import Answer, Call, Endpoint, Vendor
from stock_platform.sandbox.vendors.fred import series
from stock_platform.sandbox.vendors.fred.wire import FORMAT, KEY_HELP, error


def _endpoint(name: str, path: str, handle: Callable[[Call], Answer]) -> Endpoint:
    return Endpoint(name, re.compile(f"(?:/fred)?{re.escape(path)}"), handle)


_ENDPOINTS = (
    _endpoint("series", "/series", series.info),
    _endpoint("observations", "/series/observations", series.observations),
    _endpoint("vintagedates", "/series/vintagedates", series.vintage_dates),
)


class Fred(Vendor):
    """FRED's API."""

    name: ClassVar[str] = "fred"
    limits: ClassVar[Sequence[Limit]] = ((2, 1.0), (120, 60.0))

    @property
    def endpoints(self) -> Sequence[Endpoint]:
        """The endpoints served."""
        return _ENDPOINTS

    def account(
        self,
        query: Mapping[str, str],
        headers: Mapping[str, str],  # noqa: ARG002 - it takes no key there
    ) -> str | None:
        """The key."""
        FORMAT.set("json" if query.get("file_type") == "json" else "xml")
        return query.get("api_key") or None

    def authorize(self, key: str | None, known: Sequence[str] | None) -> Answer | None:
        """400 without a key, or with one it does not know (any form of key will do here)."""
        if key is None:
            return error(400, f"Bad Request.  Variable api_key is not set.  {KEY_HELP}")
        if known is not None and key not in known:
            said = "Bad Request.  The value for variable api_key is not registered."
            return error(400, f"{said}  {KEY_HELP}")
        return None

    def too_many(self) -> Answer:
        """Its 429."""
        return error(429, "Too Many Requests.  Exceeded Rate Limit")

    def broken(self, status: int) -> Answer:
        """A 5xx."""
        return error(status, "Internal Server Error" if status == 500 else "Service Unavailable")

    def error_inside(self) -> Answer:
        """An error in a 200."""
        said = error(500, "Internal Server Error")
        return Answer(said.body, 200, said.content_type)

    def not_found(self) -> Answer:
        """An unknown path."""
        return error(404, "Not Found.")
