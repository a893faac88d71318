"""What surrounds every request: its id, the limits of size and number, its log line.

Belongs here: plain ASGI, so that nothing is paid for what is not used. Does not: who asks
(auth.py), what errors look like (problems.py).
"""

from __future__ import annotations

import re
import time
import uuid
from collections import Counter
from typing import Any

import structlog
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from stock_platform.apps.api import problems

ID = re.compile(r"[A-Za-z0-9._:-]{1,64}")
BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)
"""Seconds: the bounds of the histogram of answers."""

log = structlog.get_logger("stock_platform.api")


class Traffic:
    """Answers of this process: by route, method and status, and how long they took."""

    def __init__(self) -> None:
        self.answers: Counter[tuple[str, str, int]] = Counter()
        self.seconds: Counter[float] = Counter()
        self.total = 0.0

    def count(self, route: str, method: str, status: int, seconds: float) -> None:
        """One more."""
        self.answers[route, method, status] += 1
        self.seconds[next((b for b in BUCKETS if seconds <= b), float("inf"))] += 1
        self.total += seconds


class TooLarge(HTTPException):
    """The body is longer than allowed; as this, FastAPI passes it on from where it reads."""

    def __init__(self) -> None:
        super().__init__(413)


class Edge:
    """ASGI around the app.

    Args:
        app: what answers.
        traffic: where answers are counted.
        concurrency: requests at once; further ones are told to come again.
        max_body: bytes of a request's body.
    """

    def __init__(self, app: ASGIApp, traffic: Traffic, concurrency: int, max_body: int) -> None:
        self.app = app
        self.traffic = traffic
        self.concurrency = concurrency
        self.max_body = max_body
        self._under_way = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = dict(scope["headers"])
        request_id = _given(headers, b"x-request-id") or uuid.uuid4().hex
        scope.setdefault("state", {})["request_id"] = request_id
        structlog.contextvars.clear_contextvars()
        structlog.contextvars.bind_contextvars(request_id=request_id)
        if run_id := _given(headers, b"x-run-id"):
            structlog.contextvars.bind_contextvars(run_id=run_id)
        call = _Call(send, request_id)
        self._under_way += 1
        try:
            await self._within_limits(scope, headers, receive, call)
        except TooLarge:
            await call.problem(413, f"use a body of at most {self.max_body:,} bytes")
        except Exception:
            log.exception("failed")
            if call.status:  # its beginning is sent: all that is left is to break it off
                raise
            await call.problem(500, "something went wrong; the log has it under the request's id")
        finally:
            self._under_way -= 1
            self._tell(scope, call)

    async def _within_limits(
        self, scope: Scope, headers: dict[bytes, bytes], receive: Receive, call: _Call
    ) -> None:
        if self._under_way > self.concurrency and scope["path"] != "/health":
            await call.problem(503, "too many requests at once", [(b"retry-after", b"1")])
            return
        length = headers.get(b"content-length", b"0")
        if length.isdigit() and int(length) > self.max_body:
            raise TooLarge
        got = 0

        async def limited() -> Message:
            nonlocal got
            message = await receive()
            got += len(message.get("body", b""))
            if got > self.max_body:
                raise TooLarge
            return message

        await self.app(scope, limited, call.send)

    def _tell(self, scope: Scope, call: _Call) -> None:
        seconds = time.perf_counter() - call.began
        route: Any = scope.get("route")
        path = getattr(route, "path", None) or "(none)"
        self.traffic.count(path, scope["method"], call.status, seconds)
        log.info(
            "answered",
            method=scope["method"],
            path=scope["path"],
            status=call.status,
            milliseconds=round(seconds * 1000, 1),
            bytes=call.size,
            client=(scope.get("client") or ["?"])[0],
            token=scope["state"].get("token"),
        )


class _Call:
    """An answer on its way out: it bears the request's id, and is measured."""

    def __init__(self, send: Send, request_id: str) -> None:
        self._send = send
        self.request_id = request_id
        self.began = time.perf_counter()
        self.status = 0
        self.size = 0

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            message["headers"] = [
                *message.get("headers", ()),
                (b"x-request-id", self.request_id.encode()),
                (b"x-content-type-options", b"nosniff"),
            ]
        self.size += len(message.get("body", b""))
        await self._send(message)

    async def problem(
        self, status: int, detail: str, headers: list[tuple[bytes, bytes]] | None = None
    ) -> None:
        body = problems.body(status, detail, self.request_id)
        told = [
            (b"content-type", problems.MEDIA_TYPE.encode()),
            (b"content-length", str(len(body)).encode()),
            (b"connection", b"close"),
            *(headers or []),
        ]
        await self.send({"type": "http.response.start", "status": status, "headers": told})
        await self.send({"type": "http.response.body", "body": body})


def _given(headers: dict[bytes, bytes], name: bytes) -> str | None:
    """An id that the client gave, if it is one that may stand in a log."""
    text = headers.get(name, b"").decode("latin-1")
    return text if ID.fullmatch(text) else None
