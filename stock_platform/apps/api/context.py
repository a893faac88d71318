"""What the routes share: settings, connections, caches.

Belongs here: construction. Does not: answers.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime
from functools import cached_property
from threading import Lock
from typing import TYPE_CHECKING, TypeVar

from fastapi import Request

from stock_platform.apps.api.bodies import Bodies
from stock_platform.apps.api.edge import Traffic
from stock_platform.apps.api.versions import Versions
from stock_platform.pipeline.runtime import Platform
from stock_platform.pipeline.store import Store
from stock_platform.settings import Settings
from stock_platform.storage.connection import Database
from stock_platform.storage.tokens import Token, tokens

if TYPE_CHECKING:
    from stock_platform.apps.api.auth import Rates

T = TypeVar("T")


class ReadingPlatform(Platform):
    """The platform as one who only reads: as the reader, if one is set; nothing is migrated."""

    @cached_property
    def db(self) -> Database:
        """The database in read-only transactions, with a time limit on every statement."""
        return Database(
            self.settings.resolve_reader_url(),
            "stock_platform_api",
            session={
                "default_transaction_read_only": "on",
                "statement_timeout": f"{round(self.settings.api_timeout_seconds * 1000)}ms",
            },
        )


class Api:
    """The state of one process of the API.

    Args:
        settings: of the platform.
        host: the address it listens on.
    """

    def __init__(self, settings: Settings, host: str, rates: Rates) -> None:
        from stock_platform.apps.api.auth import is_loopback

        self.settings = settings
        self.on_loopback = is_loopback(host)
        self.reading = ReadingPlatform(settings)
        self.store = Store(self.reading.db)
        self.versions = Versions(self.reading.db)
        self.bodies = Bodies(settings.api_cache_mb * 2**20)
        self.traffic = Traffic()
        self.rates = rates
        self._tokens: tuple[float, list[Token]] | None = None
        self._kept: dict[str, tuple[float, object]] = {}
        self._lock = Lock()

    @cached_property
    def writing(self) -> Platform:
        """The platform for what changes something."""
        return Platform.from_settings(self.settings)

    def wall_clock(self) -> datetime:
        """Now, whatever the market's clock says: tokens expire in real time."""
        return datetime.now(UTC)

    def read_tokens(self) -> list[Token]:
        """All tokens, from the database."""
        found = tokens(self.reading.db)
        self._tokens = (time.monotonic(), found)
        return found

    def known_tokens(self, seconds: float) -> list[Token] | None:
        """All tokens as they were at most so many seconds ago; None: they must be read."""
        if self._tokens is None or time.monotonic() - self._tokens[0] > seconds:
            return None
        return self._tokens[1]

    def kept(self, name: str, seconds: float, make: Callable[[], T]) -> T:
        """What ``make`` made, at most so long ago; one thread makes it, others wait."""
        with self._lock:
            at, found = self._kept.get(name, (float("-inf"), None))
            if time.monotonic() - at > seconds:
                found = make()
                self._kept[name] = (time.monotonic(), found)
            return found  # type: ignore[return-value]  # what make returns under this name

    def close(self) -> None:
        """Close connections."""
        self.versions.close()
        self.bodies.close()
        self.reading.close()
        if "writing" in self.__dict__:
            self.writing.close()


async def the_api(request: Request) -> Api:
    """The state of the process, for routes."""
    api: Api = request.app.state.api
    return api
