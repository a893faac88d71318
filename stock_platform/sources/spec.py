"""How a vendor registers itself, and what it is built from.

Belongs here: the specification of a source, and the set-up handed to its builder. Does
not: the list of vendors (registry.py), settings.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from stock_platform.domain.capabilities import Capabilities, Tile
from stock_platform.domain.clock import Clock, SystemClock
from stock_platform.domain.errors import InputError, one_of
from stock_platform.sources.base import Answer, Facts, Question, Source
from stock_platform.sources.http import HttpClient
from stock_platform.sources.quota import Quota
from stock_platform.sources.robots import RobotsGate
from stock_platform.sources.transport import HttpOptions, Secrets


@dataclass(frozen=True)
class Setup:
    """What a source is built from.

    Attributes:
        capabilities: the vendor's, perhaps with limits scaled to a faster clock.
        quota: shared by all sources.
        clock: the market's clock.
        keys: the values of the vendor's key variables that are set, by variable.
        base_url: in place of the vendor's own address.
        http: how requests are made.
        options: of this source alone, by name (``files`` has some).
    """

    capabilities: Capabilities
    quota: Quota
    clock: Clock = field(default_factory=SystemClock)
    keys: Mapping[str, str] = field(default_factory=dict, repr=False)
    base_url: str | None = None
    http: HttpOptions = field(default_factory=HttpOptions)
    options: Mapping[str, object] = field(default_factory=dict)

    def http_client(
        self,
        base_url: str,
        secrets: Secrets | None = None,
        *,
        accept: str = "application/json",
        robots: bool = False,
    ) -> HttpClient:
        """The source's way to its vendor, whose own address is ``base_url``.

        ``accept`` is the Accept header: what kind of answer is asked for. ``robots`` is for
        sources that read web pages: they ask the site's robots.txt first.
        """
        address = (self.base_url or base_url).rstrip("/")
        client = HttpClient(
            self.capabilities.source,
            address,
            quota=self.quota,
            limits=self.capabilities.limits,
            clock=self.clock,
            options=replace(self.http, accept=accept),
            secrets=secrets,
            stand_in=address != base_url.rstrip("/"),
            account=self.capabilities.account,
            meter=self.capabilities.meter,
        )
        if robots:
            client.gate = RobotsGate(client)
        return client

    def key(self, variable: str | None = None) -> str | None:
        """The value of a key variable (``needs_key`` unless named), or None."""
        return self.keys.get(variable or self.capabilities.needs_key or "") or None

    def needed_key(self, where: str, variable: str | None = None) -> str:
        """The key. Raises InputError naming the variable and ``where`` to get one."""
        found = self.key(variable)
        if found is None:
            name = variable or self.capabilities.needs_key or "key"
            raise InputError(name, "", f"set it to a key of your own; get one at {where}")
        return found


@dataclass(frozen=True)
class VendorSource:
    """What most sources are: capabilities and a client; a subclass asks and reads."""

    capabilities: Capabilities
    http: HttpClient

    def fetch(self, tile: Tile) -> Answer:
        """Raises InputError: this source has no bars. See Source.fetch."""
        raise InputError("source", tile.source, self._offer("bars"))

    def ask(self, question: Question) -> Facts:
        """Raises InputError: this source has no such feed. See Source.ask."""
        raise InputError("feed", str(question.feed), self._offer(question.feed))

    def close(self) -> None:
        """Close connections and the cache."""
        self.http.close()

    def _offer(self, lacking: str) -> str:
        """What can be asked instead."""
        bars = ["bars"] if self.capabilities.endpoints else []
        there = [name for name in (*bars, *self.capabilities.feeds) if name != lacking]
        return f"{self.capabilities.source} has no such thing; {one_of(there)}"


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
