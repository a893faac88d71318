"""Who asks, and what they may.

Belongs here: tokens of requests, and the rules for requests without one. Does not: how tokens
are kept (storage/tokens.py).

- Once a token is made, every request but ``/health`` and the documentation needs one.
- Before that the API listens on loopback only, and whoever is on this machine may read and
  trade. A page in a browser is on this machine too: so the Host must name this machine, or a
  page could point a name of its own at it (DNS rebinding), and what changes anything must not
  come from another site. No CORS header is ever sent.
"""

from __future__ import annotations

import ipaddress
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from threading import Lock
from typing import Annotated, Any
from urllib.parse import urlsplit

from fastapi import Depends, Request
from fastapi.security import HTTPBearer
from starlette.concurrency import run_in_threadpool

from stock_platform.apps.api.context import Api, the_api
from stock_platform.apps.api.problems import Problem
from stock_platform.domain.errors import InputError
from stock_platform.storage.tokens import Right, Token, recognized

KNOWN_SECONDS = 2.0
"""How long the list of tokens is kept: a token that is revoked is void after that."""

_OURS = ("localhost", "127.0.0.1", "::1")
_MOST_CALLERS = 10_000

bearer = HTTPBearer(
    auto_error=False, description="A token of `stock-platform api tokens create NAME`."
)


@dataclass(frozen=True)
class Caller:
    """Who asks.

    Attributes:
        name: of the token; None: somebody on this machine, without one.
        user: whose portfolio alone; None: anybody's.
    """

    name: str | None
    right: Right
    user: str | None = None

    def portfolio_of(self, user: str | None) -> str:
        """Whose portfolio is asked for. Raises Problem: another's than this token is for."""
        chosen = user or self.user or "me"
        if self.user is not None and chosen != self.user:
            raise Problem(403, "this token is for the portfolio of another user")
        return chosen


class Rates:
    """A token bucket for each caller: a second's worth of requests at once, then the rate."""

    def __init__(self, rate: float) -> None:
        self.rate = rate
        self._left: dict[str, tuple[float, float]] = {}
        self._lock = Lock()

    def take(self, caller: str) -> float:
        """Seconds until this caller may ask again; 0: now."""
        now, most = time.monotonic(), max(1.0, self.rate)
        with self._lock:
            if len(self._left) > _MOST_CALLERS:
                self._left.clear()
            left, at = self._left.get(caller, (most, now))
            left = min(most, left + (now - at) * self.rate)
            self._left[caller] = (max(0.0, left - 1) if left >= 1 else left, now)
        return 0.0 if left >= 1 else (1 - left) / self.rate


def needs(right: Right) -> Callable[..., Awaitable[Caller]]:
    """A dependency: the caller, if it may do what needs ``right``."""

    async def check(
        request: Request,
        api: Annotated[Api, Depends(the_api)],
        _documented: Annotated[Any, Depends(bearer)] = None,
    ) -> Caller:
        caller = await _caller(request, api, right)
        request.scope["state"]["token"] = caller.name
        client = request.client.host if request.client else "?"
        wait = api.rates.take(f"token {caller.name}" if caller.name else f"from {client}")
        if wait:
            seconds = str(int(wait) + 1)
            raise Problem(429, "too many requests with this token", {"Retry-After": seconds})
        if not caller.right.includes(right):
            raise Problem(403, f"this needs the right to {right}, and the token may {caller.right}")
        return caller

    return check


Reader = Annotated[Caller, Depends(needs(Right.READ))]
Trader = Annotated[Caller, Depends(needs(Right.TRADE))]
Admin = Annotated[Caller, Depends(needs(Right.ADMIN))]


async def _caller(request: Request, api: Api, right: Right) -> Caller:
    known = api.known_tokens(KNOWN_SECONDS)
    if known is None:
        known = await run_in_threadpool(api.read_tokens)
    words = request.headers.get("authorization", "").split(maxsplit=1)
    if len(words) == 2 and words[0].lower() == "bearer":
        found = recognized(words[1].strip(), known, api.wall_clock())
        if found is None:
            raise _refused("this token is unknown, expired or revoked")
        return Caller(found.name, found.right, found.user)
    if words:
        raise _refused("use Authorization: Bearer TOKEN")
    if not api.on_loopback or _any_in_force(known):
        raise _refused("a token is needed: Authorization: Bearer TOKEN")
    _on_this_machine(request, right)
    return Caller(None, Right.TRADE)


def _on_this_machine(request: Request, right: Right) -> None:
    """Raises Problem where a request without a token does not plainly come from here."""
    if not is_loopback(request.client.host if request.client else ""):
        raise _refused("without a token, ask from the machine itself")
    if _name(request.headers.get("host", "")) not in _OURS:
        raise Problem(403, "without a token, use the address http://127.0.0.1 or http://localhost")
    if right is Right.READ:
        return
    origin = request.headers.get("origin")
    foreign = origin is not None and urlsplit(origin).netloc != request.headers.get("host")
    if foreign or request.headers.get("sec-fetch-site", "none") not in ("none", "same-origin"):
        raise Problem(403, "another site's page may change nothing here")


def _name(host: str) -> str:
    """The host of a Host header, without its port."""
    if host.startswith("["):
        return host[1:].partition("]")[0].lower()
    return host.partition(":")[0].lower()


def _any_in_force(known: list[Token]) -> bool:
    return any(token.revoked_at is None for token in known)


def _refused(detail: str) -> Problem:
    return Problem(401, detail, {"WWW-Authenticate": 'Bearer realm="stock-platform"'})


def is_loopback(host: str) -> bool:
    """Whether an address or name is this machine's own."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def check_host(host: str, *, any_token: bool) -> None:
    """Raises InputError: others could reach the API there, and no token keeps them out."""
    if not is_loopback(host) and not any_token:
        raise InputError(
            "host",
            host,
            "make a token first (stock-platform api tokens create NAME --rights read), "
            "or listen on 127.0.0.1",
        )
