"""What yfinance asks of Yahoo, asked by our HTTP layer.

Belongs here: from an address to a request of ours, and the crumb. Does not: sending
(curl.py), the meaning of bodies (envelope.py, chart.py, facts.py), the library (library.py).

Every request the library makes takes a grant, is retried, held and counted like any other
vendor's. An answer is read before the library sees it; what it stands for is raised, and
kept too, for the library hides errors.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import Generic, TypeVar
from urllib.parse import parse_qsl, quote, unquote, urlsplit

from stock_platform.domain.errors import Malformed, NotEntitled, SourceError, Unavailable
from stock_platform.sources.http import Call, Response
from stock_platform.sources.yfinance_library.config import NAME
from stock_platform.sources.yfinance_library.curl import COOKIE_PATH
from stock_platform.sources.yfinance_library.envelope import crumb_of

CRUMB_PATH = "/v1/test/getcrumb"
WANT_CRUMB = ("/v7/", "/v10/")
UNAUTHORIZED = 401

T = TypeVar("T")


class Crumbs:
    """The crumb a source has got, for all its questions. Safe to use from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._crumb: str | None = None

    @property
    def known(self) -> str | None:
        """The crumb, or None before one was needed."""
        return self._crumb

    def renewed(self, call: Call, refused: str | None) -> str:
        """A crumb other than the one that was refused. Raises SourceError without one."""
        with self._lock:
            if self._crumb is None or self._crumb == refused:
                self._crumb = None
                # Behind some blocklists there is no cookie to be had; the crumb's answer tells.
                with suppress(Unavailable):
                    call.get(COOKIE_PATH, {}, read=lambda _: None)
                self._crumb = call.get(
                    CRUMB_PATH, {}, read=lambda answer: crumb_of(answer.status, answer.body)
                )
            return self._crumb


@dataclass
class Asking(Generic[T]):
    """The requests of one question.

    Attributes:
        call: counts them.
        crumbs: of the source.
        read: an answer's body as the library is to see it, and its value.
        cache, settled_at: as in Call.get.
        values: what was read, one an answer.
        failure: the last thing that went wrong.
    """

    call: Call
    crumbs: Crumbs
    read: Callable[[Response], tuple[bytes, T]]
    cache: bool = False
    settled_at: datetime | None = None
    values: list[T] = field(default_factory=list)
    failure: SourceError | None = None

    def ask(self, method: str, url: str, params: Mapping[str, object] | None) -> bytes:
        """The body for a request of the library's. Raises the SourceError that came instead."""
        try:
            if method.upper() != "GET":
                raise Malformed(NAME, f"yfinance wants to {method}, which no question needs")
            parts = urlsplit(url)
            path = quote(unquote(parts.path), safe="/=:-_.~")
            query = {**dict(parse_qsl(parts.query)), **_texts(params or {})}
            body, value = self._asked(path, query)
        except SourceError as error:
            self.failure = error
            raise
        self.values.append(value)
        return body

    def _asked(self, path: str, query: dict[str, str]) -> tuple[bytes, T]:
        """Without a crumb as long as that is enough: a crumb costs two requests."""
        if not path.startswith(WANT_CRUMB):
            return self._get(path, query)
        crumb = self.crumbs.known
        try:
            return self._get(path, query | ({"crumb": crumb} if crumb else {}))
        except NotEntitled:
            if self.call.http_status != UNAUTHORIZED:
                raise
        return self._get(path, query | {"crumb": self.crumbs.renewed(self.call, crumb)})

    def _get(self, path: str, query: Mapping[str, str]) -> tuple[bytes, T]:
        return self.call.get(
            path, query, read=self.read, cache=self.cache, settled_at=self.settled_at
        )


def _texts(params: Mapping[str, object]) -> dict[str, str]:
    """Parameters as Yahoo spells them: ``false``, not ``False``."""
    return {
        name: str(value).lower() if isinstance(value, bool) else str(value)
        for name, value in params.items()
        if value is not None
    }
