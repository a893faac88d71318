"""How Tiingo is asked and how it writes: dates, steps, stamps, errors.

Belongs here: what its endpoints share. Does not: data.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stock_platform.sandbox.faults import spoil
from stock_platform.sandbox.market.asset import Floats
from stock_platform.sandbox.market.frame import Frame
from stock_platform.sandbox.market.timeline import ZONE
from stock_platform.sandbox.vendors.base import Answer, Call, dump

MOST = 10_000
PARTS = {"open": 0, "high": 1, "low": 2, "close": 3}
STEP = re.compile(r"(\d+)(min|hour|day)", re.IGNORECASE)
SECONDS = {"min": 60, "hour": 3_600, "day": 86_400}


@dataclass(frozen=True)
class Span:
    """Dates as asked, inclusive; ``whole`` is False where none were given."""

    start: date
    end: date
    whole: bool


def error(status: int, text: str) -> Answer:
    """An error under ``detail``."""
    return Answer(dump({"detail": text}), status)


def read_span(call: Call) -> Span | Answer:
    """``startDate`` and ``endDate``, or a 400."""
    found = {}
    for name in ("startDate", "endDate"):
        text = call.query.get(name)
        try:
            found[name] = datetime.fromisoformat(text).date() if text else None
        except ValueError:
            return error(400, f"Error: {name} is not a date: {text}")
    start, end = found["startDate"], found["endDate"]
    today = call.now.astimezone(ZONE).date()
    whole = start is not None or end is not None
    span = Span(start or date(1960, 1, 1), end or max(today, call.now.date()), whole)
    if span.start > span.end:
        return error(400, "Error: startDate cannot be after endDate")
    return span


def newest(frame: Frame) -> Frame:
    """The last bars, as many as fit into an answer."""
    return Frame(frame.stamps[-MOST:], frame.prices[:, -MOST:], frame.volume[-MOST:])


def spoilt(
    prices: Floats, volume: Floats, call: Call
) -> tuple[dict[str, Floats], NDArray[np.bool_]]:
    """The columns after the call's fault, and which rows are there: none with a null."""
    columns = {name: prices[at].copy() for name, at in PARTS.items()} | {"volume": volume.copy()}
    spoil(columns, call.fault)
    return columns, ~np.isnan(columns["close"])


def answer(made: list[dict[str, Any]]) -> Answer:
    """Rows as an answer."""
    return Answer(dump(made), cells=len(made))


def rounded(value: float) -> float:
    """A price as it is written."""
    return round(float(value), 4)


def midnight(day: date) -> int:
    """Epoch seconds of a date's beginning in UTC."""
    return int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp())


def stamp_text(stamp: float, form: str) -> str:
    """Epoch seconds as text in UTC."""
    return datetime.fromtimestamp(stamp, UTC).strftime(form)
