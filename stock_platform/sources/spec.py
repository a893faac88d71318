"""How a vendor registers itself, and what it is built from.

Belongs here: the specification of a source, and the set-up handed to its builder. Does
not: the list of vendors (registry.py), settings.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from stock_platform.domain.capabilities import Capabilities
from stock_platform.domain.clock import Clock, SystemClock
from stock_platform.domain.errors import InputError
from stock_platform.sources.base import Source
from stock_platform.sources.http import HttpClient
from stock_platform.sources.quota import Quota
from stock_platform.sources.transport import HttpOptions, Secrets


@dataclass(frozen=True)
class Setup:
    """What a source is built from.

    Attributes:
        capabilities: the vendor's, perhaps with limits scaled to a faster clock.
        quota: shared by all sources.
        clock: the market's clock.
        key: the API key, where one is needed.
        base_url: in place of the vendor's own address.
        http: how requests are made.
        options: of this source alone, by name (``files`` has some).
    """

    capabilities: Capabilities
    quota: Quota
    clock: Clock = field(default_factory=SystemClock)
    key: str | None = field(default=None, repr=False)
    base_url: str | None = None
    http: HttpOptions = field(default_factory=HttpOptions)
    options: Mapping[str, object] = field(default_factory=dict)

    def http_client(self, base_url: str, secrets: Secrets | None = None) -> HttpClient:
        """The source's way to its vendor, whose own address is ``base_url``."""
        address = (self.base_url or base_url).rstrip("/")
        return HttpClient(
            self.capabilities.source,
            address,
            quota=self.quota,
            limits=self.capabilities.limits,
            clock=self.clock,
            options=self.http,
            secrets=secrets,
            stand_in=address != base_url.rstrip("/"),
        )

    def needed_key(self, where: str) -> str:
        """The key. Raises InputError naming the variable and ``where`` to get one."""
        if not self.key:
            variable = self.capabilities.needs_key or "key"
            raise InputError(variable, "", f"set it to a key of your own; get one at {where}")
        return self.key


@dataclass(frozen=True)
class SourceSpec:
    """A vendor, as registered.

    Attributes:
        capabilities: as the vendor publishes them.
        build: makes the source.
        base_url: the vendor's address; None for sources without one.
    """

    capabilities: Capabilities
    build: Callable[[Setup], Source]
    base_url: str | None = None
