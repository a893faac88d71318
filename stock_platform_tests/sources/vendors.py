"""A vendor that answers as a test says, and a source that asks it: the seam is the transport."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime

import httpx

from stock_platform.domain.clock import FixedClock
from stock_platform.sources.base import Source
from stock_platform.sources.quota import MemoryQuota
from stock_platform.sources.registry import SOURCES, build
from stock_platform.sources.spec import Setup
from stock_platform.sources.transport import HttpOptions

KEY = "s3cr3t+key/with=signs"
NOON = datetime(2024, 3, 9, 17, tzinfo=UTC)
"""A Saturday: every session up to 2024-03-08 is over."""

Handler = Callable[[httpx.Request], httpx.Response]


@dataclass
class FakeTime:
    """A clock that moves only when somebody sleeps."""

    seconds: float = 1_710_000_000.0
    slept: list[float] = field(default_factory=list)

    def now(self) -> float:
        return self.seconds

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.seconds += seconds


@dataclass
class Vendor:
    """Answers in turn, the last one for ever; remembers what it was asked."""

    answers: list[httpx.Response | Exception | Handler]
    asked: list[httpx.Request] = field(default_factory=list)

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request)
        answer = self.answers[min(len(self.asked), len(self.answers)) - 1]
        if isinstance(answer, Exception):
            raise answer
        if isinstance(answer, httpx.Response):
            return httpx.Response(
                answer.status_code, headers=answer.headers, content=answer.content
            )
        return answer(request)


def source_of(
    name: str,
    vendor: Vendor | Handler,
    *,
    now: datetime = NOON,
    http: HttpOptions | None = None,
    time: FakeTime | None = None,
    base_url: str | None = "https://vendor.test",
    options: Mapping[str, object] | None = None,
) -> Source:
    """A source asking ``vendor``, with limits counted on a fake clock."""
    time = time or FakeTime()
    return build(
        Setup(
            capabilities=SOURCES[name].capabilities,
            quota=MemoryQuota(time.now, time.sleep),
            clock=FixedClock(now),
            keys=dict.fromkeys(SOURCES[name].capabilities.variables, KEY),
            base_url=base_url,
            http=replace(
                http or HttpOptions(), transport=httpx.MockTransport(vendor), wall=time.now
            ),
            options=options or {},
        )
    )


def as_json(document: object, status: int = 200, **headers: str) -> httpx.Response:
    """A JSON answer."""
    return httpx.Response(
        status,
        content=json.dumps(document).encode(),
        headers={"content-type": "application/json", **headers},
    )


@dataclass(frozen=True)
class Bar:
    """A bar as a test states it; numbers may be text, or None."""

    session: date
    open: object = 10.0
    high: object = 11.0
    low: object = 9.0
    close: object = 10.5
    volume: object = 1000


def five_bars() -> list[Bar]:
    """The week of 4 March 2024."""
    return [
        Bar(date(2024, 3, 4 + n), 10.0 + n, 11.0 + n, 9.0 + n, 10.5 + n, 1000 + n) for n in range(5)
    ]


def closes(rows: Sequence[Bar]) -> list[object]:
    """The closes of bars."""
    return [row.close for row in rows]
