"""robots.txt: what a site asks of those who read its pages with a program.

Belongs here: fetching a site's rules, keeping them for a day, and judging a path by them
(RFC 9309). Does not: sending and counting requests (http.py), who must ask (the sources that
read pages say ``setup.http_client(..., robots=True)``).

The rules are those for the user agent ``stock_platform``. They are asked for once a process
and address, through the source's own client, so that the request counts like any other.

* A good answer is believed: a path it disallows is ``NotEntitled``; a Crawl-delay or a
  Request-rate is a further limit of the source, waited out like the others.
* 4xx: the site has no rules, all is allowed. So is a web page, which no robots.txt is: a
  site, or a replay of one, that answers every path with the same page.
* 5xx, no answer, a redirect to somewhere else: nothing is allowed for now (``Unavailable``).
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from math import inf
from typing import TYPE_CHECKING

from protego import Protego

from stock_platform.domain.capabilities import Limit
from stock_platform.domain.errors import NotEntitled

if TYPE_CHECKING:
    from stock_platform.sources.http import Call, HttpClient
    from stock_platform.sources.transport import Response

PATH = "/robots.txt"
AGENT = "stock_platform"
FRESH_SECONDS = 86_400.0
MOST_BYTES = 512_000
"""More of a robots.txt than the 500 KiB that RFC 9309 asks to be read is not read."""


@dataclass(frozen=True)
class Rules:
    """What a site asks for.

    Attributes:
        parsed: None allows everything.
        kept_at: when it was fetched, epoch seconds.
    """

    parsed: Protego | None
    kept_at: float = 0.0

    def allows(self, path: str) -> bool:
        """Whether a path, with its query, may be read."""
        return self.parsed is None or bool(self.parsed.can_fetch(path, AGENT))

    @property
    def limits(self) -> tuple[Limit, ...]:
        """Crawl-delay and Request-rate as limits."""
        if self.parsed is None:
            return ()
        found = []
        delay = self.parsed.crawl_delay(AGENT)
        if delay and 0 < delay < inf:
            found.append(Limit(1, float(delay)))
        rate = self.parsed.request_rate(AGENT)
        if rate is not None and rate.requests > 0 and rate.seconds > 0:
            found.append(Limit(int(rate.requests), float(rate.seconds)))
        return tuple(found)


_KEPT: dict[str, Rules] = {}
"""By base address, for the whole process."""


def read_rules(response: Response, kept_at: float = 0.0) -> Rules:
    """The rules of an answer to ``/robots.txt`` that is neither 3xx, 429 nor 5xx."""
    text = response.body[:MOST_BYTES].decode("utf-8", errors="replace").removeprefix("\ufeff")
    if response.status != 200 or text.lstrip().startswith("<"):
        return Rules(None, kept_at)
    return Rules(Protego.parse(text), kept_at)


def forget_rules() -> None:
    """Forget the rules of all sites."""
    _KEPT.clear()


class RobotsGate:
    """Asked before every request of a client. Safe to use from several threads at once."""

    def __init__(self, http: HttpClient) -> None:
        self._http = http
        self._lock = threading.Lock()

    @property
    def limits(self) -> Sequence[Limit]:
        """What the rules known so far add to the source's own limits."""
        rules = _KEPT.get(self._http.transport.base_url)
        return rules.limits if rules is not None else ()

    def allow(self, path: str, call: Call | None = None) -> None:
        """Return if the site lets us read ``path`` (with its query).

        Args:
            path: below the base address.
            call: to count the request for the rules with, where one is needed.

        Raises:
            NotEntitled: it does not. Unavailable, RateLimited: the rules cannot be had.
        """
        if not self._rules(call).allows(path):
            host = self._http.transport.shown_host
            bare = path.partition("?")[0]
            raise NotEntitled(
                self._http.source, f"{PATH.lstrip('/')} of {host} does not allow {bare}"
            )

    def _rules(self, call: Call | None) -> Rules:
        address, now = self._http.transport.base_url, self._http.options.wall()
        with self._lock:
            kept = _KEPT.get(address)
            if kept is not None and 0 <= now - kept.kept_at < FRESH_SECONDS:
                return kept
            asking = self._http.call(gated=False)
            try:
                with asking:
                    rules = asking.get(PATH, {}, read=lambda response: read_rules(response, now))
            finally:
                if call is not None:
                    call.count(asking)
            _KEPT[address] = rules
            return rules
