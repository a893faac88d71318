"""The HTTP layer all vendors share: limits, retries, cache, and errors in our words.

Belongs here: sending one request well. Does not: what a vendor's body means
(sources/<vendor>/parse.py), which asks for bars (client.py).

What every request gets:

* a grant of the quota, whether it is the first try, a retry or a further page;
* timeouts, a limit to the answer's size, gzip, a pool of connections, no redirects
  (a vendor that redirects an API call sends us to a consent or challenge page);
* retries with backoff and jitter, for ``Unavailable`` alone;
* on "too many calls", by status 429 or in the body's words: a block of the source for all
  processes, as long as Retry-After says, and another try if that is a short wait;
* a cache for answers about the past, kept only after they have been read without an error;
* no secret in any message: keys travel apart from addresses and are cut out of all text.
"""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar
from urllib.parse import quote, quote_plus

import httpx
import stamina

from stock_platform.domain.capabilities import Limit
from stock_platform.domain.clock import Clock
from stock_platform.domain.errors import Malformed, RateLimited, SourceError, Unavailable
from stock_platform.sources.base import Answer
from stock_platform.sources.cache import HttpCache, Kept
from stock_platform.sources.payload import excerpt
from stock_platform.sources.quota import Quota

logger = logging.getLogger(__name__)
T = TypeVar("T")

FRESH_SECONDS = 6 * 3600.0
STRIKES = 3
"""Answers of "too many calls" to one request before it is given up."""

LONGEST_BLOCK = 86_400.0
USER_AGENT = "stock_platform"
TOO_MANY_REQUESTS = 429
REQUEST_TIMEOUT = 408
NOT_MODIFIED = 304

Parameters = Mapping[str, str | int]


@dataclass(frozen=True)
class HttpOptions:
    """How requests are made; the same for all sources.

    Attributes:
        user_agent: who we say we are.
        cache_dir: folder of the disk cache, a file a source; None keeps it in memory.
        max_wait: the longest wait for the quota, in seconds; beyond it RateLimited.
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
    cache_dir: Path | None = None
    max_wait: float = 90.0
    connect_timeout: float = 10.0
    read_timeout: float = 30.0
    total_timeout: float = 90.0
    attempts: int = 3
    backoff: float = 0.5
    max_bytes: int = 64 * 2**20
    connections: int = 8
    transport: httpx.BaseTransport | None = None
    wall: Callable[[], float] = time.time


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


Reader = Callable[[Response], T]


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
        spelled = {form(v) for v in [*whole, *bare] if v for form in (str, quote, quote_plus)}
        return sorted(spelled, key=len, reverse=True)


class HttpClient:
    """One source's way to its vendor. Safe to use from several threads at once.

    Args:
        source: its name, for quotas, messages and the cache's file.
        base_url: scheme and host, perhaps a path (a proxy, the sandbox).
        quota, limits: what is asked for leave before every request.
        clock: the market's clock.
        options: how requests are made.
        secrets: the key, if one is needed.
    """

    def __init__(
        self,
        source: str,
        base_url: str,
        *,
        quota: Quota,
        limits: Sequence[Limit],
        clock: Clock,
        options: HttpOptions,
        secrets: Secrets | None = None,
    ) -> None:
        self.source = source
        self.base_url = base_url.rstrip("/")
        self.quota = quota
        self.limits = limits
        self.clock = clock
        self.options = options
        self.secrets = secrets or Secrets()
        folder = options.cache_dir
        self.cache = HttpCache(folder / f"{source}.sqlite3" if folder is not None else None)
        self._client = httpx.Client(
            headers={"User-Agent": options.user_agent, "Accept": "application/json"},
            timeout=httpx.Timeout(options.read_timeout, connect=options.connect_timeout),
            limits=httpx.Limits(max_connections=options.connections),
            transport=options.transport,
            follow_redirects=False,
        )

    def call(self) -> Call:
        """A call: one request or several pages, counted together. Use as a context manager."""
        return Call(self)

    def close(self) -> None:
        """Close connections and the cache."""
        self._client.close()
        self.cache.close()

    @property
    def backoff_seconds(self) -> float:
        """How long to hold after a refusal without Retry-After: the shortest window."""
        return min((limit.seconds for limit in self.limits), default=60.0)

    def send(self, path: str, params: Parameters, headers: Mapping[str, str]) -> Response:
        """Send one request and read the answer.

        Raises:
            Unavailable: no answer, or one of 408, 3xx and 5xx. Malformed: an answer longer
                than allowed.
        """
        request = self._client.build_request(
            "GET",
            self.base_url + path,
            params={**params, **self.secrets.params} or None,
            headers={**headers, **self.secrets.headers},
        )
        where = self.shown_host
        started = time.monotonic()
        try:
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
        """Raise for what means the same with every vendor: too many calls, out of order."""
        status = response.status
        if status == TOO_MANY_REQUESTS:
            raise RateLimited(
                self.source,
                f"too many calls: {excerpt(response.body) or 'HTTP 429'}",
                retry_after(response.headers, self.options.wall()),
            )
        if status >= 500 or status == REQUEST_TIMEOUT:
            pause = retry_after(response.headers, self.options.wall())
            if pause:
                self.quota.block(self.source, min(pause, LONGEST_BLOCK))
            raise Unavailable(
                self.source, f"HTTP {status} from {self.shown_host}: {excerpt(response.body)}"
            )
        if 300 <= status < 400:
            target = httpx.URL(response.headers.get("location", "")).host or "itself"
            raise Unavailable(
                self.source,
                f"HTTP {status}: sends us to {target}, perhaps a consent or challenge page",
            )


class Call:
    """The requests of one tile, counted; errors that leave it carry the count."""

    def __init__(self, http: HttpClient) -> None:
        self._http = http
        self.requests = 0
        self.rate_limited = 0
        self.http_status: int | None = None
        self.seconds = 0.0
        self.received_at: datetime | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if isinstance(error, SourceError):
            error.requests = self.requests
            error.rate_limited = self.rate_limited
            error.detail = self._http.secrets.redact(error.detail)
            error.args = tuple(self._http.secrets.redact(str(arg)) for arg in error.args)

    def stamp(self, answer: Answer) -> Answer:
        """``answer`` with what this call counted."""
        return replace(
            answer,
            requests=self.requests,
            rate_limited=self.rate_limited,
            http_status=self.http_status,
            latency_ms=round(self.seconds * 1000),
            cached=self.requests == 0,
            received_at=self.received_at,
        )

    def get(
        self,
        path: str,
        params: Parameters,
        read: Reader[T],
        *,
        cache: bool = False,
        settled_at: datetime | None = None,
    ) -> T:
        """Ask, and read the answer; see the module's docstring for what happens in between.

        Args:
            path: below the base address, with a leading slash.
            params: without secrets.
            read: makes the answer's value, or raises a SourceError. It is given every
                status but 304, 408, 429, 3xx and 5xx.
            cache: whether an answer may be kept and used again for six hours. For
                questions about the past only.
            settled_at: an answer the vendor gave before this instant (by the market's
                clock) is not used again: what was asked for was not over then.

        Raises:
            SourceError: what ``read`` raises; RateLimited; Unavailable after all retries.
        """
        address = self._http.base_url + path + "?" + str(httpx.QueryParams(params))
        kept = self._http.cache.load(address) if cache else None
        if kept is not None and self._usable(kept, settled_at):
            try:
                return self._used(_response_of(kept), read)
            except SourceError:  # kept by an earlier version that read it otherwise
                self._http.cache.drop(address)
                kept = None
        conditions = _conditions(kept)
        for attempt in stamina.retry_context(
            on=Unavailable,
            attempts=self._http.options.attempts,
            timeout=None,
            wait_initial=self._http.options.backoff,
            wait_max=self._http.options.backoff * 16,
            wait_jitter=self._http.options.backoff,
        ):
            with attempt:
                return self._ask(address, path, params, read, conditions, kept, cache=cache)
        raise AssertionError("stamina's last attempt returns or raises")

    def _usable(self, kept: Kept, settled_at: datetime | None) -> bool:
        age = self._http.options.wall() - kept.kept_at
        return 0 <= age < FRESH_SECONDS and (settled_at is None or kept.received_at >= settled_at)

    def _used(self, response: Response, read: Reader[T]) -> T:
        value = read(response)
        self.http_status = response.status
        if self.received_at is None or response.received_at < self.received_at:
            self.received_at = response.received_at
        return value

    def _ask(
        self,
        address: str,
        path: str,
        params: Parameters,
        read: Reader[T],
        conditions: Mapping[str, str],
        kept: Kept | None,
        *,
        cache: bool,
    ) -> T:
        """One try: leave of the quota, the request, the reading; waits out short refusals."""
        http, strikes = self._http, 0
        while True:
            response = self._granted(path, params, conditions)
            try:
                if response.status == NOT_MODIFIED and kept is not None:
                    kept = replace(
                        kept, kept_at=http.options.wall(), received_at=response.received_at
                    )
                    value = self._used(_response_of(kept), read)
                    http.cache.store(address, kept)
                    return value
                http.check(response)
                value = self._used(response, read)
            except RateLimited as refusal:
                strikes += 1
                self.rate_limited += 1
                pause = refusal.retry_after
                if pause is None:
                    pause = http.backoff_seconds * 2 ** (strikes - 1)
                pause = min(pause, LONGEST_BLOCK)
                http.quota.block(http.source, pause)
                if strikes >= STRIKES or pause > http.options.max_wait:
                    raise RateLimited(http.source, refusal.detail, pause) from None
                logger.info("%s: too many calls, holding for %.1f s", http.source, pause)
                continue
            if cache and response.status == httpx.codes.OK:
                http.cache.store(address, _kept(response, http.options.wall()))
            return value

    def _granted(self, path: str, params: Parameters, conditions: Mapping[str, str]) -> Response:
        http = self._http
        grant = http.quota.acquire(http.source, http.limits, http.options.max_wait)
        self.requests += 1
        started = time.monotonic()
        try:
            response = http.send(path, params, conditions)
        finally:
            grant.done()
            self.seconds += time.monotonic() - started
        self.http_status = response.status
        return response


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


def _kept(response: Response, now: float) -> Kept:
    return Kept(
        status=response.status,
        body=response.body,
        kept_at=now,
        received_at=response.received_at,
        etag=response.headers.get("etag"),
        last_modified=response.headers.get("last-modified"),
    )


def _response_of(kept: Kept) -> Response:
    return Response(kept.status, {}, kept.body, kept.received_at, from_cache=True)


def _conditions(kept: Kept | None) -> dict[str, str]:
    """The headers that ask whether a kept answer still holds."""
    if kept is None:
        return {}
    if kept.etag:
        return {"If-None-Match": kept.etag}
    return {"If-Modified-Since": kept.last_modified} if kept.last_modified else {}


def _log_retry(details: stamina.instrumentation.RetryDetails) -> None:
    logger.info(
        "%s; trying again in %.1f s (try %d failed)",
        details.caused_by,
        details.wait_for,
        details.retry_num,
    )


# stamina would report retries through structlog, on standard output; httpx logs every
# address at INFO, keys in the query included.
stamina.instrumentation.set_on_retry_hooks([_log_retry])
logging.getLogger("httpx").setLevel(logging.WARNING)
logging.getLogger("httpcore").setLevel(logging.WARNING)
