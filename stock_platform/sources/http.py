"""The HTTP layer all vendors share: limits, retries, cache, and errors in our words.

Belongs here: when to send, when to send again, what to keep. Does not: sending
(transport.py), what a vendor's body means (sources/<vendor>/parse.py).

What every request gets:

* a grant of the quota, whether it is the first try, a retry or a further page; what the answer's
  headers say is left of the vendor's limits is heeded by all processes (allowance.py);
* retries with backoff and jitter, for ``Unavailable`` alone, and not before a wall;
* on "too many calls", by status 429 or in the body's words: a block of the source for all
  processes, as long as Retry-After says, and another try if that is a short wait;
* a cache for answers about the past, kept only after they have been read without an error;
* no secret in any message: keys travel apart from addresses and are cut out of all text.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import replace
from datetime import datetime
from types import TracebackType
from typing import Protocol, Self, TypeVar

import httpx
import stamina

from stock_platform.domain.capabilities import Limit, Meter
from stock_platform.domain.clock import Clock
from stock_platform.domain.errors import RateLimited, SourceError, Unavailable
from stock_platform.sources.allowance import readings
from stock_platform.sources.base import Answer, Facts
from stock_platform.sources.cache import HttpCache, Kept
from stock_platform.sources.quota import Quota
from stock_platform.sources.transport import (
    HttpOptions,
    Parameters,
    Response,
    Secrets,
    Transport,
    retry_after,
)

__all__ = ["Call", "HttpClient", "HttpOptions", "Response", "Secrets", "kept_since", "retry_after"]

logger = logging.getLogger(__name__)
T = TypeVar("T")
A = TypeVar("A", Answer, Facts)

FRESH_SECONDS = 6 * 3600.0
STRIKES = 3
"""Answers of "too many calls" to one request before it is given up."""

LONGEST_BLOCK = 86_400.0
NOT_MODIFIED = 304
SERVER_ERROR = 500

Reader = Callable[[Response], T]

_NOT_BEFORE: ContextVar[float] = ContextVar("not_before", default=float("-inf"))


@contextmanager
def kept_since(moment: float | None) -> Iterator[None]:
    """Use no answer that was kept before a moment (wall clock, epoch seconds), in this thread.

    An older one still serves its ETag. None: whatever the cache's own rules allow.
    """
    token = _NOT_BEFORE.set(float("-inf") if moment is None else moment)
    try:
        yield
    finally:
        _NOT_BEFORE.reset(token)


class Gate(Protocol):
    """Asked before every request whether it may be made (robots.txt)."""

    @property
    def limits(self) -> Sequence[Limit]:
        """Limits besides the source's own."""

    def allow(self, path: str, call: Call | None = None) -> None:
        """Raise a SourceError if not; ``call`` counts the requests it takes to know."""


class HttpClient:
    """One source's way to its vendor. Safe to use from several threads at once.

    Args:
        source: its name, for quotas, messages and the cache's file.
        base_url: scheme and host, perhaps a path (a proxy, the sandbox).
        quota: asked for leave before every request.
        limits: what the vendor allows.
        clock: the market's clock.
        options: how requests are made.
        secrets: the key, if one is needed.
        stand_in: whether the address is not the vendor's own (a sandbox, a replay, a proxy).
            What such a server says may change under the same address, so its answers are
            used again without asking only if they came with an ETag or a date.
        account: the name its calls are counted under; default its own.
        meter: a header of its own that tells what is used.

    Attributes:
        gate: asked before every request, where there is one.
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
        stand_in: bool = False,
        account: str | None = None,
        meter: Meter | None = None,
    ) -> None:
        self.meter = meter
        self.gate: Gate | None = None
        self.stand_in = stand_in
        self.account = account or source
        self.source = source
        self.quota = quota
        self.limits = limits
        self.clock = clock
        self.options = options
        self.secrets = secrets or Secrets()
        self.transport = Transport(source, base_url, clock, options, self.secrets)
        folder = options.cache_dir
        self.cache = HttpCache(folder / f"{source}.sqlite3" if folder is not None else None)

    def call(self, *, gated: bool = True) -> Call:
        """A call: one request or several pages, counted together. Use as a context manager.

        ``gated`` False asks no gate: the gate's own requests.
        """
        return Call(self, self.gate if gated else None)

    def close(self) -> None:
        """Close connections and the cache."""
        self.transport.close()
        self.cache.close()

    @property
    def backoff_seconds(self) -> float:
        """How long to hold after a refusal without Retry-After: the shortest window."""
        return min((limit.seconds for limit in self.limits), default=60.0)

    def hold(self, seconds: float) -> float:
        """Let no call of this source through for so long, in any process; the time held."""
        pause = min(seconds, LONGEST_BLOCK)
        self.quota.block(self.account, pause)
        return pause


class Call:
    """The requests of one tile, counted; errors that leave it carry the count."""

    def __init__(self, http: HttpClient, gate: Gate | None = None) -> None:
        self._http = http
        self._gate = gate
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
        redact = self._http.secrets.redact
        if isinstance(error, Exception):  # a reader's own mistake may show the body, too
            error.args = tuple(redact(a) if isinstance(a, str) else a for a in error.args)
        if isinstance(error, SourceError):
            error.requests = self.requests
            error.rate_limited = self.rate_limited
            error.detail = redact(error.detail)

    def count(self, other: Call) -> None:
        """Count the requests of another call as this one's."""
        self.requests += other.requests
        self.rate_limited += other.rate_limited
        self.seconds += other.seconds

    def stamp(self, answer: A) -> A:
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
        address = self._http.transport.base_url + path + "?" + str(httpx.QueryParams(params))
        kept = self._http.cache.load(address) if cache else None
        if kept is not None and self._usable(kept, settled_at):
            try:
                return self._used(_response_of(kept), read)
            except SourceError:  # kept by an earlier version that read it otherwise
                self._http.cache.drop(address)
                kept = None
        if self._gate is not None:
            self._gate.allow(path + ("?" + str(httpx.QueryParams(params)) if params else ""), self)
        conditions = _conditions(kept)
        for attempt in stamina.retry_context(
            on=_worth_another_try,
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
        if self._http.stand_in and not (kept.etag or kept.last_modified):
            return False
        if kept.kept_at < _NOT_BEFORE.get():
            return False
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
                http.transport.check(response)
                value = self._used(response, read)
            except RateLimited as refusal:
                strikes += 1
                self.rate_limited += 1
                pause = refusal.retry_after
                if pause is None:
                    pause = http.backoff_seconds * 2 ** (strikes - 1)
                pause = http.hold(pause)
                if strikes >= STRIKES or pause > http.options.longest_pause:
                    raise RateLimited(
                        http.source, refusal.detail, pause, guessed=refusal.guessed
                    ) from None
                logger.info("%s: too many calls, holding for %.1f s", http.source, pause)
                continue
            if cache and response.status == httpx.codes.OK:
                http.cache.store(address, _kept(response, http.options.wall()))
            return value

    def _granted(self, path: str, params: Parameters, conditions: Mapping[str, str]) -> Response:
        http = self._http
        limits = (*http.limits, *self._gate.limits) if self._gate is not None else http.limits
        if http.options.max_pause is not None:
            held = http.quota.state(http.account, ()).blocked_seconds
            if held > http.options.longest_pause:
                raise RateLimited(http.source, f"held after a refusal, for {held:.0f} s", held)
        grant = http.quota.acquire(http.account, limits, http.options.max_wait)
        self.requests += 1
        started = time.monotonic()
        try:
            response = http.transport.send(path, params, conditions)
        finally:
            grant.done()
            took = time.monotonic() - started
            self.seconds += took
        self.http_status = response.status
        pause = retry_after(response.headers, http.options.wall())
        said = readings(response.headers, http.options.wall(), http.meter)
        if said and pause is None:  # Retry-After takes precedence (RFC 9110, the drafts' section 5)
            http.quota.heed(http.account, limits, said, took)
        if pause and response.status >= SERVER_ERROR:
            http.hold(pause)
        return response


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


def _worth_another_try(error: Exception) -> bool:
    return isinstance(error, Unavailable) and error.at_once


def _log_retry(details: stamina.instrumentation.RetryDetails) -> None:
    logger.info(
        "%s; trying again in %.1f s (try %d failed)",
        details.caused_by,
        details.wait_for,
        details.retry_num,
    )


# stamina would report retries through structlog, on standard output.
stamina.instrumentation.set_on_retry_hooks([_log_retry])
