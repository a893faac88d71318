"""One HTTP request, sent well: the part of the HTTP layer that knows httpx.

Belongs here: options, secrets, sending, and the meaning of statuses that every vendor
shares. Does not: limits, retries, cache (http.py), what a body means
(sources/<vendor>/parse.py).

Timeouts, a limit to the answer's size, gzip, a pool of connections, and no redirects: a
vendor that redirects an API call sends us to a consent or challenge page. Keys travel
apart from addresses, and are cut out of every text.
"""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import quote, quote_plus

import httpx

from stock_platform.domain.clock import Clock
from stock_platform.domain.errors import Malformed, RateLimited, Unavailable
from stock_platform.sources.payload import excerpt
from stock_platform.sources.walls import REFUSALS, wall_of

USER_AGENT = "stock_platform"
TOO_MANY_REQUESTS = 429
REQUEST_TIMEOUT = 408
SHORTEST_SECRET = 4
"""Shorter values are no keys, and would be cut out of words."""

Parameters = Mapping[str, str | int]


@dataclass(frozen=True)
class HttpOptions:
    """How requests are made; the same for all sources.

    Attributes:
        user_agent: who we say we are.
        accept: the Accept header.
        cache_dir: folder of the disk cache, a file a source; None keeps it in memory.
        max_wait: the longest wait for the quota, in seconds; beyond it RateLimited.
        max_pause: the longest wait after a refusal (429, Retry-After); None is max_wait. A
            fetch that has other sources goes on with those instead.
        connect_timeout, read_timeout, total_timeout: seconds; the total must stay below
            quota.HOLD_SECONDS.
        attempts: tries of one request whose failure is transient, the first included.
        backoff: first wait between tries in seconds; it doubles, plus jitter.
        max_bytes: the longest answer, decoded.
        connections: at the most, to one source.
        transport: in place of the network, for tests.
        wall: wall clock, epoch seconds.
    """

    user_agent: str = USER_AGENT
    accept: str = "application/json"
    cache_dir: Path | None = None
    max_wait: float = 90.0
    max_pause: float | None = None
    connect_timeout: float = 10.0
    read_timeout: float = 30.0
    total_timeout: float = 90.0
    attempts: int = 3
    backoff: float = 0.5
    max_bytes: int = 64 * 2**20
    connections: int = 8
    transport: httpx.BaseTransport | None = None
    wall: Callable[[], float] = time.time

    @property
    def longest_pause(self) -> float:
        """Seconds to wait at the most after a refusal."""
        return self.max_wait if self.max_pause is None else min(self.max_pause, self.max_wait)


@dataclass(frozen=True)
class Response:
    """One answer, read to its end.

    Attributes:
        headers: lower-case names. body: decoded bytes.
        received_at: when the vendor gave it, by the market's clock.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes
    received_at: datetime
    from_cache: bool = False


@dataclass(frozen=True)
class Secrets:
    """A source's key, as it travels, and the art of cutting it out of texts."""

    params: Mapping[str, str] = field(default_factory=dict, repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)

    def redact(self, text: str) -> str:
        """``text`` with every key replaced by asterisks, in any spelling of an address."""
        for value in self._values:
            text = text.replace(value, "***")
        return text

    @property
    def _values(self) -> list[str]:
        whole = [*self.params.values(), *self.headers.values()]
        bare = [value.split(" ", 1)[1] for value in self.headers.values() if " " in value]
        secret = [v for v in [*whole, *bare] if len(v) >= SHORTEST_SECRET]
        spelled = {form(v) for v in secret for form in (str, quote, quote_plus)}
        return sorted(spelled, key=len, reverse=True)


class Transport:
    """A vendor's address, and the connections to it. Safe to use from several threads.

    Args:
        source: the vendor's name, for messages.
        base_url: scheme and host, perhaps a path (a proxy, the sandbox).
        clock: the market's clock.
        options: how requests are made.
        secrets: the key, if one is needed.
    """

    def __init__(
        self, source: str, base_url: str, clock: Clock, options: HttpOptions, secrets: Secrets
    ) -> None:
        self.source = source
        self.base_url = base_url.rstrip("/")
        self.clock = clock
        self.options = options
        self.secrets = secrets
        self._client = httpx.Client(
            headers={"User-Agent": options.user_agent, "Accept": options.accept},
            timeout=httpx.Timeout(options.read_timeout, connect=options.connect_timeout),
            limits=httpx.Limits(max_connections=options.connections),
            transport=options.transport,
            follow_redirects=False,
            # a proxy of the environment cannot reach a server of this machine
            trust_env=not _is_loopback(self.base_url),
        )

    def close(self) -> None:
        """Close connections."""
        self._client.close()

    def send(self, path: str, params: Parameters, headers: Mapping[str, str]) -> Response:
        """Send one request and read the answer.

        Raises:
            Unavailable: no answer, or one of 408, 3xx and 5xx. Malformed: an answer longer
                than allowed.
        """
        where = self.shown_host
        started = time.monotonic()
        try:
            request = self._client.build_request(
                "GET",
                self.base_url + path,
                params={**params, **self.secrets.params} or None,
                headers={**headers, **self.secrets.headers},
            )
            with ExitStack() as stack:
                answer = self._client.send(request, stream=True)
                stack.callback(answer.close)
                body = bytearray()
                for chunk in answer.iter_bytes():
                    body += chunk
                    if len(body) > self.options.max_bytes:
                        raise Malformed(
                            self.source, f"answer longer than {self.options.max_bytes} bytes"
                        )
                    if time.monotonic() - started > self.options.total_timeout:
                        raise httpx.ReadTimeout("slow answer")
        except httpx.TimeoutException:
            took = time.monotonic() - started
            raise Unavailable(self.source, f"no answer from {where} within {took:.0f} s") from None
        except httpx.DecodingError:
            raise Unavailable(self.source, f"damaged answer from {where}") from None
        except (httpx.InvalidURL, UnicodeError) as error:
            reason = self.secrets.redact(str(error))
            raise Malformed(self.source, f"cannot ask {where}: {reason}") from None
        except (httpx.TransportError, OSError) as error:
            reason = self.secrets.redact(str(error)) or type(error).__name__
            raise Unavailable(self.source, f"cannot reach {where}: {reason}") from None
        return Response(answer.status_code, answer.headers, bytes(body), self.clock.now())

    @property
    def shown_host(self) -> str:
        """The base address, without a user or a query, for messages."""
        url = httpx.URL(self.base_url)
        return str(url.copy_with(userinfo=b"", query=None))

    def check(self, response: Response) -> None:
        """Raise for what means the same with every vendor: too many calls, a wall, out of order."""
        status = response.status
        if status == TOO_MANY_REQUESTS:
            raise RateLimited(
                self.source,
                f"too many calls: {excerpt(response.body) or 'HTTP 429'}",
                retry_after(response.headers, self.options.wall()),
            )
        if status in REFUSALS:  # of a vendor they mean the key; of a wall before it, they do not
            wall = wall_of(status, response.body, response.headers)
            if wall is not None:
                said = f"{wall} instead of the answer (HTTP {status}): {excerpt(response.body)}"
                raise Unavailable(self.source, said, at_once=False)
        if 500 <= status < 600 or status == REQUEST_TIMEOUT:
            raise Unavailable(
                self.source, f"HTTP {status} from {self.shown_host}: {excerpt(response.body)}"
            )
        if 300 <= status < 400:
            target = _host(response.headers.get("location", "")) or "itself"
            raise Unavailable(
                self.source,
                f"HTTP {status}: sends us to {target}, perhaps a consent or challenge page",
            )


def retry_after(headers: Mapping[str, str], now: float) -> float | None:
    """Seconds to wait by a Retry-After header, in seconds or as a date; None without one."""
    text = headers.get("retry-after", "").strip()
    if re.fullmatch(r"\d+(\.\d+)?", text):
        return float(text)
    try:
        until = parsedate_to_datetime(text)
    except ValueError:
        return None
    if until.tzinfo is None:
        until = until.replace(tzinfo=UTC)
    return max(0.0, until.timestamp() - now)


def _host(address: str) -> str:
    try:
        return httpx.URL(address).host
    except httpx.InvalidURL:
        return "no address at all"


def _is_loopback(url: str) -> bool:
    host = httpx.URL(url).host
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


# httpx logs every address at INFO, keys in the query included, and httpcore headers at DEBUG.
logging.getLogger("httpx").setLevel(logging.WARNING)
logging.getLogger("httpcore").setLevel(logging.WARNING)
