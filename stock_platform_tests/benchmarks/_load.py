"""Load for an HTTP server, from few instructions: it shares the cores with what it measures.

Belongs here: keep-alive connections that read as little of an answer as they must. Does not: what
is asked for, or how it is judged (api.py).

Open: requests start on the clock, whether former ones were answered or not, so that a slow server
cannot slow its own load (coordinated omission); a time is from when a request was due. Closed: a
number of connections, each of which asks again as soon as it was answered.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import uvloop

Answered = Callable[[int, bytes], None]
"""Told the status and the head of an answer."""


@dataclass
class Measured:
    """What came: milliseconds each, bytes and statuses in all, and how long it took."""

    taken: list[float] = field(default_factory=list)
    size: int = 0
    statuses: Counter[int] = field(default_factory=Counter)
    seconds: float = 0.0

    @property
    def rate(self) -> float:
        """Answers a second."""
        return len(self.taken) / self.seconds


class Connection(asyncio.Protocol):
    """One connection, with one request at a time."""

    def __init__(self) -> None:
        self.waiting: asyncio.Future[tuple[int, bytes, int]] | None = None
        self._head = b""
        self._left = -1
        self._size = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the way to write."""
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        """Read the head, then count the body."""
        if self._left < 0:
            self._head += data
            end = self._head.find(b"\r\n\r\n")
            if end < 0:
                return
            data, self._head = self._head[end + 4 :], self._head[: end + 2]
            at = self._head.find(b"content-length: ")
            stop = self._head.find(b"\r\n", at)
            self._left = self._size = int(self._head[at + 16 : stop]) if at >= 0 else 0
        self._left -= len(data)
        if self._left == 0 and self.waiting is not None:
            head, self._head, self._left = self._head, b"", -1
            waiting, self.waiting = self.waiting, None
            waiting.set_result((int(head[9:12]), head, self._size))

    def connection_lost(self, exc: Exception | None) -> None:
        """Whoever waits is told."""
        if self.waiting is not None:
            self.waiting.set_exception(exc or ConnectionError("closed"))

    async def ask(self, request: bytes) -> tuple[int, bytes, int]:
        """Status, head and bytes of the answer."""
        self.waiting = asyncio.get_running_loop().create_future()
        self.transport.write(request)  # type: ignore[attr-defined]
        return await self.waiting


def request(path: str, **headers: str) -> bytes:
    """A GET."""
    told = {"Host": "127.0.0.1", **headers}
    lines = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in told.items())
    return f"GET {path} HTTP/1.1\r\n{lines}\r\n".encode()


def at_rate(
    port: int, requests: Sequence[bytes], rate: float, count: int, connections: int = 32,
    heads: list[bytes] | None = None,
) -> Measured:  # fmt: skip
    """Open load: ``count`` requests, in turn, ``rate`` a second; ``heads`` gets what came."""

    async def run() -> Measured:
        loop = asyncio.get_running_loop()
        idle = deque(await _connect(port, connections))
        measured = Measured()
        free = asyncio.Semaphore(connections)
        began = loop.time() + 0.1

        async def one(number: int) -> None:
            due = began + number / rate
            await asyncio.sleep(due - loop.time())
            async with free:
                connection = idle.popleft()
                status, head, size = await connection.ask(requests[number % len(requests)])
                idle.append(connection)
            measured.taken.append((loop.time() - due) * 1000)
            measured.size += size
            measured.statuses[status] += 1
            if heads is not None:
                heads[number % len(requests)] = head

        await asyncio.gather(*(one(number) for number in range(count)))
        measured.seconds = loop.time() - began
        return measured

    return uvloop.run(run())


def at_most(port: int, requests: Sequence[bytes], seconds: float, connections: int) -> Measured:
    """Closed load: as many answers as come."""

    async def run() -> Measured:
        measured = Measured()
        began = time.perf_counter()
        until = began + seconds
        turn = iter(range(10**9))

        async def one(connection: Connection) -> None:
            while (at := time.perf_counter()) < until:
                status, _, size = await connection.ask(requests[next(turn) % len(requests)])
                measured.taken.append((time.perf_counter() - at) * 1000)
                measured.size += size
                measured.statuses[status] += 1

        await asyncio.gather(*map(one, await _connect(port, connections)))
        measured.seconds = time.perf_counter() - began
        return measured

    return uvloop.run(run())


async def _connect(port: int, connections: int) -> list[Connection]:
    loop = asyncio.get_running_loop()
    made = [await loop.create_connection(Connection, "127.0.0.1", port) for _ in range(connections)]
    return [protocol for _, protocol in made]
