"""What a vendor of the sandbox is: endpoints, accounts, limits, error bodies.

Belongs here: the interface between the app and a vendor. Does not: any vendor's own format.
A new vendor is one folder with a subclass of ``Vendor`` and one line in ``vendors.ALL``.
"""

from __future__ import annotations

import json
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, ClassVar

from stock_platform.sandbox.config import Limit, SandboxConfig
from stock_platform.sandbox.faults import Fault
from stock_platform.sandbox.market.market import Market

JSON = "application/json"


@dataclass(frozen=True)
class Answer:
    """An HTTP answer; ``cells`` is how many bars it carries."""

    body: bytes
    status: int = 200
    content_type: str = JSON
    headers: Mapping[str, str] = field(default_factory=dict)
    cells: int = 0


@dataclass(frozen=True)
class Call:
    """One request, as an endpoint sees it.

    Attributes:
        path: the named parts of the path, decoded.
        query: the query's parameters; the last of equal names wins.
        base: scheme, host and prefix under which the caller reached the vendor.
        now: the market's time for this call (earlier under a ``stale`` fault).
        fault: a bar fault to apply, or None.
    """

    path: Mapping[str, str]
    query: Mapping[str, str]
    base: str
    now: datetime
    market: Market
    config: SandboxConfig
    fault: Fault | None = None


@dataclass(frozen=True)
class Endpoint:
    """A path and what answers it. ``slow_first`` marks answers that may generate the market."""

    name: str
    pattern: re.Pattern[str]
    handle: Callable[[Call], Answer]
    slow_first: bool = False


def endpoint(
    name: str, path: str, handle: Callable[[Call], Answer], *, slow_first: bool = False
) -> Endpoint:
    """An endpoint from a path such as ``/v8/finance/chart/{symbol}``."""
    pattern = re.sub(r"\\{(\w+)\\}", r"(?P<\1>[^/]+)", re.escape(path))
    return Endpoint(name, re.compile(pattern), handle, slow_first)


class Vendor(ABC):
    """One vendor. ``limits`` are those of its free plan."""

    name: ClassVar[str]
    limits: ClassVar[Sequence[Limit]]

    @property
    @abstractmethod
    def endpoints(self) -> Sequence[Endpoint]:
        """Its endpoints, tried in order."""

    @abstractmethod
    def account(self, query: Mapping[str, str], headers: Mapping[str, str]) -> str | None:
        """The caller's key, by which its limits are counted; None counts by address."""

    def authorize(
        self,
        key: str | None,  # noqa: ARG002 - for vendors with keys
        known: Sequence[str] | None,  # noqa: ARG002 - for vendors with keys
    ) -> Answer | None:
        """The refusal of a missing or unknown key; ``known`` None takes any key."""
        return None

    @abstractmethod
    def too_many(self) -> Answer:
        """The 429."""

    @abstractmethod
    def broken(self, status: int) -> Answer:
        """A 5xx."""

    @abstractmethod
    def error_inside(self) -> Answer:
        """Status 200 around an error."""

    @abstractmethod
    def not_found(self) -> Answer:
        """The answer to a path it does not have."""

    def page(self) -> Answer:
        """A web page where JSON was due."""
        text = (
            "<!DOCTYPE html><html><head><title>Just a moment...</title></head>"
            "<body><h1>Checking your browser before you continue</h1></body></html>"
        )
        return Answer(text.encode(), content_type="text/html; charset=utf-8")


def dump(value: Any) -> bytes:
    """Compact JSON."""
    return json.dumps(value, separators=(",", ":"), allow_nan=False).encode()
