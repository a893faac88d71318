"""Whether prices have changed: asked at every request, and nearly for nothing.

Belongs here: asking once for all who wait, and not asking what cannot have changed. Does not:
what a version is made of (storage/serving.py).

A request is answered by a question that is put after it came, so that what was committed before
it is always seen. While one question is under way, requests gather, and the next question is
for all of them. It first asks for the database's moment alone: if that is the same as when
versions were read, nothing was committed since, and they still hold.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor

from stock_platform.storage.connection import Database
from stock_platform.storage.serving import Version, data_moment, price_versions

Key = tuple[str, str]
"""Ticker and interval."""

_MOST_KEPT = 20_000


class Versions:
    """The versions of prices, for one process.

    Args:
        db: read from.
    """

    def __init__(self, db: Database) -> None:
        self._db = db
        self._moment: str | None = None
        self._kept: dict[Key, Version | None] = {}
        self._waiting: dict[Key, list[asyncio.Future[Version | None]]] = {}
        self._asking: asyncio.Task[None] | None = None
        # Of its own: answers that take long fill the threads that are shared.
        self._thread = ThreadPoolExecutor(1, "versions")

    async def of(self, ticker: str, interval: str) -> Version | None:
        """The version of a ticker's prices now; None: the ticker is unknown.

        Raises:
            DatabaseError: the database does not answer.
        """
        loop = asyncio.get_running_loop()
        mine: asyncio.Future[Version | None] = loop.create_future()
        self._waiting.setdefault((ticker, interval), []).append(mine)
        if self._asking is None or self._asking.done():
            self._asking = loop.create_task(self._ask_for_all())
        return await mine

    async def _ask_for_all(self) -> None:
        loop = asyncio.get_running_loop()
        while self._waiting:
            waiting, self._waiting = self._waiting, {}
            try:
                found = await loop.run_in_executor(self._thread, self.read, list(waiting))
            except Exception as error:  # noqa: BLE001 - it is raised where it is waited for
                for future in (f for futures in waiting.values() for f in futures):
                    if not future.done():
                        future.set_exception(error)
                continue
            for key, futures in waiting.items():
                for future in futures:
                    if not future.done():
                        future.set_result(found[key])

    def read(self, keys: list[Key]) -> dict[Key, Version | None]:
        """The versions now. In one thread at a time. Raises DatabaseError."""
        kept = self._kept
        if self._moment is None or data_moment(self._db) != self._moment:
            kept = {}
        found = {key: kept[key] for key in keys if key in kept}
        missing: defaultdict[str, list[str]] = defaultdict(list)
        for ticker, interval in keys:
            if (ticker, interval) not in found:
                missing[interval].append(ticker)
        for interval, tickers in missing.items():
            moment, versions = price_versions(self._db, tickers, interval)
            read = {(ticker, interval): version for ticker, version in versions.items()}
            found |= read
            self._keep(moment, read)
        return found

    def _keep(self, moment: str | None, read: dict[Key, Version | None]) -> None:
        if moment is None or moment != self._moment or len(self._kept) > _MOST_KEPT:
            self._moment, self._kept = moment, {}
        self._kept |= read

    def close(self) -> None:
        """End the thread."""
        self._thread.shutdown(wait=False, cancel_futures=True)
