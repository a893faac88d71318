"""What Finnhub does with HTTP that other vendors do not.

Belongs here: the time of its 429, the detour of its directory. Does not: sending
(sources/transport.py).

* A 429 has no Retry-After: ``X-Ratelimit-Reset`` tells the epoch second from which calls
  count anew.
* ``/stock/symbol`` is several megabytes and may redirect to a signed file on another host.
  It is followed once, over https or to our own base address, without the key.
"""

from __future__ import annotations

from collections.abc import Mapping

import httpx

from stock_platform.domain.errors import RateLimited
from stock_platform.sources.finnhub.config import LISTING_PATH
from stock_platform.sources.transport import Parameters, Response, Secrets, Transport

REDIRECTS = {301, 302, 303, 307, 308}
LONGEST_RESET = 3600.0
"""A reset further away is a clock that is wrong, ours or theirs."""


class FinnhubTransport(Transport):
    """Finnhub's address, and the connections to it."""

    def send(self, path: str, params: Parameters, headers: Mapping[str, str]) -> Response:
        """As ``Transport.send``; the directory's redirect is followed once."""
        response = super().send(path, params, headers)
        target = self._target(response) if path == LISTING_PATH else None
        if target is None:
            return response
        other = Transport(self.source, _origin(target), self.clock, self.options, Secrets())
        try:
            return other.send(target.raw_path.decode("ascii"), {}, headers)
        finally:
            other.close()

    def check(self, response: Response) -> None:
        """As ``Transport.check``, with the vendor's own time to wait."""
        try:
            super().check(response)
        except RateLimited as refusal:
            if refusal.retry_after is not None:
                raise
            pause = reset_after(response.headers, self.options.wall())
            raise RateLimited(self.source, refusal.detail, pause) from None

    def _target(self, response: Response) -> httpx.URL | None:
        """Where a redirect leads, if it is followed."""
        location = response.headers.get("location", "")
        if response.status not in REDIRECTS or not location:
            return None
        base = httpx.URL(self.base_url)
        target = base.join(location)  # httpx has refused what is no address
        return target if target.scheme == "https" or _origin(target) == _origin(base) else None


def reset_after(headers: Mapping[str, str], now: float) -> float | None:
    """Seconds until ``X-Ratelimit-Reset``; None without one that can be meant."""
    text = headers.get("x-ratelimit-reset", "").strip()
    if not text.isascii() or not text.isdecimal():
        return None
    pause = float(text) - now
    return pause if 0 < pause <= LONGEST_RESET else None


def _origin(url: httpx.URL) -> str:
    return f"{url.scheme}://{url.netloc.decode('ascii')}"
