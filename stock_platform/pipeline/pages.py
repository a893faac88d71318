"""Prices of one ticker in pages and windows, for answers that end somewhere.

Belongs here: where a page ends, what is read for it. Does not: reading and adjusting (store.py).

A page begins after the last bar of the one before, by its stamp, so that every bar comes once
even if others were stored meanwhile. Of bars shorter than a day only some weeks are read at a
time; how prices are adjusted does not depend on what is read with them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta

import polars as pl

from stock_platform.domain.bars import Adjust, Interval
from stock_platform.pipeline.bulk import as_moment, as_span
from stock_platform.pipeline.store import PERIODS, Store

WINDOW_ROWS = 20_000
"""About so many bars are read at a time where they are shorter than a day."""

_MINUTES_A_DAY = 24 * 60


@dataclass(frozen=True)
class Question:
    """What ``Store.prices`` is asked, of one ticker.

    Attributes:
        after: only bars that begin after this instant (for weeks and months: after its date).
    """

    ticker: str
    start: date | None = None
    end: date | None = None
    adjust: str = "none"
    interval: str = "1d"
    as_of: datetime | None = None
    after: datetime | None = None

    @classmethod
    def read(
        cls,
        ticker: str,
        start: date | None,
        end: date | None,
        adjust: str,
        interval: str,
        as_of: str | None,
        after: datetime | None = None,
    ) -> Question:
        """A checked question. Raises InputError."""
        first, last = as_span(start, end)
        if interval not in PERIODS:
            Interval.parse(interval)
        return cls(
            ticker, first, last, str(Adjust.parse(adjust)), interval, as_moment("as_of", as_of),
            after,
        )  # fmt: skip

    @property
    def stamp(self) -> str:
        """The column that pages follow."""
        return "period" if self.interval in PERIODS else "ts"


def page(store: Store, asked: Question, limit: int) -> tuple[pl.DataFrame, datetime | None]:
    """The first ``limit`` bars, and after which instant the next page begins; None: the last.

    Raises:
        InputError: as ``Store.prices``.
    """
    parts: list[pl.DataFrame] = []
    rows = 0
    for frame in windows(store, asked):
        parts.append(frame)
        rows += frame.height
        if rows > limit:
            break
    whole = pl.concat(parts)
    if whole.height <= limit:
        return whole, None
    last = whole[asked.stamp][limit - 1]
    if not isinstance(last, datetime):
        last = datetime(last.year, last.month, last.day, tzinfo=UTC)
    return whole.head(limit), last.astimezone(UTC)


def windows(store: Store, asked: Question) -> Iterator[pl.DataFrame]:
    """All bars, in frames in the order of time; at least one, though it may be empty.

    Raises:
        InputError: as ``Store.prices``.
    """
    asked = replace(asked, start=_from(asked))
    if asked.interval in PERIODS or asked.interval == Interval.DAY or asked.as_of is not None:
        yield _read(store, asked)
        return
    bar = Interval.parse(asked.interval)
    span = store.span(asked.ticker, asked.interval)
    if span is None:
        yield _read(store, asked)
        return
    first, last = max(span[0], asked.start or span[0]), min(span[1], asked.end or span[1])
    step = max(1, WINDOW_ROWS * bar.length // timedelta(minutes=_MINUTES_A_DAY))
    while True:
        until = min(first + timedelta(days=step - 1), last)
        yield _read(store, replace(asked, start=min(first, until), end=until))
        first = until + timedelta(days=1)
        if first > last:
            return


def _from(asked: Question) -> date | None:
    """The first session that can have a bar after ``after``; sessions may begin a day before."""
    if asked.after is None or asked.interval in PERIODS:
        return asked.start
    try:
        day = asked.after.date() - timedelta(days=2)
    except OverflowError:
        return asked.start
    found = max(day, asked.start or day)
    return min(found, asked.end or found)


def _read(store: Store, asked: Question) -> pl.DataFrame:
    frame = store.prices(
        asked.ticker, asked.start, asked.end, adjust=asked.adjust, interval=asked.interval,
        as_of=asked.as_of,
    )  # fmt: skip
    if asked.after is None:
        return frame
    after = asked.after.date() if asked.interval in PERIODS else asked.after
    return frame.filter(pl.col(asked.stamp) > after)
