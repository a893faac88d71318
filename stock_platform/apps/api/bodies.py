"""Bodies of answers, kept by ETag: whoever asks for the same gets the same bytes.

Belongs here: how many are kept, and that each is made once. Does not: what an ETag stands for
(routes/prices.py): the version of what it holds is part of it, so nothing kept can be stale.
"""

from __future__ import annotations

import asyncio
import gzip
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

_GZIP_LEVEL = 1
"""Of 450 KB of JSON level 1 leaves 72 KB in 1.5 ms, level 6 58 KB in 8 ms."""

_THREADS = 4
_LARGEST_SHARE = 8


@dataclass(frozen=True)
class Body:
    """The bytes of an answer, and the cursor of the page after it."""

    content: bytes
    after: str | None = None

    def zipped(self) -> Body:
        """The same, compressed."""
        return replace(self, content=gzip.compress(self.content, _GZIP_LEVEL, mtime=0))


class Bodies:
    """Bodies by ETag, the latest used, up to so many bytes. Used in one event loop.

    Args:
        most: bytes; a body that would take an eighth of it is not kept.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._size = 0
        self._kept: OrderedDict[str, Body] = OrderedDict()
        self._under_way: dict[str, asyncio.Future[tuple[str, Body]]] = {}
        # Few, so that those who wait for a body that is kept do not wait for many being made.
        self._threads = ThreadPoolExecutor(_THREADS, "bodies")

    async def find(self, etag: str, make: Callable[[], tuple[str, Body]]) -> tuple[str, Body]:
        """The body of an ETag, with the ETag it has; those who ask while it is made share it.

        Args:
            etag: of what was there when it was asked for.
            make: the ETag of what there is when it is made, which may be newer, and the body.
        """
        kept = self._kept.get(etag)
        if kept is not None:
            self._kept.move_to_end(etag)
            return etag, kept
        making = self._under_way.get(etag)
        if making is None:
            making = asyncio.get_running_loop().run_in_executor(self._threads, make)
            self._under_way[etag] = making
            making.add_done_callback(lambda made: self._made(etag, made))
        return await asyncio.shield(making)

    def _made(self, etag: str, made: asyncio.Future[tuple[str, Body]]) -> None:
        self._under_way.pop(etag, None)
        if not made.cancelled() and made.exception() is None:
            self._put(*made.result())

    def _put(self, etag: str, body: Body) -> None:
        size = len(body.content)
        if size * _LARGEST_SHARE > self._most or etag in self._kept:
            return
        self._kept[etag] = body
        self._size += size
        while self._size > self._most:
            _, gone = self._kept.popitem(last=False)
            self._size -= len(gone.content)

    def close(self) -> None:
        """End the threads."""
        self._threads.shutdown(wait=False, cancel_futures=True)
