"""Partitions of the two scopes: exchange sessions times tickers, or times shards.

Belongs here: partition definitions, and keys taken apart and put together. Does not: which
cells keys stand for (cells.py).

Dates are the sessions of one exchange, without a hole for weekends and holidays. A session
has its key from its first moment; cells of one that is not over are left out by cells.py.
Keys join the dimensions by name: ``2024-03-01|AAPL``, ``2024-03-01|07``.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time
from typing import Literal
from zoneinfo import ZoneInfo

import numpy as np
from dagster import (
    AssetKey,
    DynamicPartitionsDefinition,
    MultiPartitionKey,
    MultiPartitionsDefinition,
    PartitionsDefinition,
    StaticPartitionsDefinition,
    TimeWindowPartitionsDefinition,
)

from stock_platform.domain.calendar import LAST, ExchangeCalendar, get_calendar
from stock_platform.domain.coverage import SHARDS
from stock_platform.domain.errors import InputError
from stock_platform.settings import Settings

WATCHLIST_TICKERS = "watchlist_tickers"
"""Name of the dynamic partitions that are the tracked tickers."""

SHARD_KEYS = tuple(f"{shard:02d}" for shard in range(SHARDS))

DATE = "date"

ScopeName = Literal["watchlist", "market"]


@dataclass(frozen=True)
class Scope:
    """One of the two ways to look at the same tables.

    Attributes:
        name: the prefix of its asset keys, and its group.
        dimension: what its partitions are besides dates.
        partitions: date x dimension.
    """

    name: ScopeName
    dimension: Literal["ticker", "shard"]
    partitions: MultiPartitionsDefinition

    def key(self, session: date | str, name: str) -> MultiPartitionKey:
        """The partition of a session and a ticker or shard."""
        return MultiPartitionKey({DATE: str(session), self.dimension: name})

    def range_tags(self, first: tuple[date, str], last: tuple[date, str]) -> dict[str, str]:
        """The tags of a run over the rectangle between two corners."""
        return {
            "dagster/asset_partition_range_start": self.key(*first),
            "dagster/asset_partition_range_end": self.key(*last),
        }


def rectangles(keys: Iterable[str]) -> dict[tuple[date, ...], list[str]]:
    """Keys as rectangles: dates, and the tickers or shards that have exactly these.

    Raises:
        InputError: a key that is not date|ticker or date|shard.
    """
    dates: dict[str, list[str]] = defaultdict(list)
    for key in keys:
        session, separator, name = key.partition("|")
        if not separator:
            raise InputError("partition", key, "use a key like 2024-03-01|AAPL or 2024-03-01|07")
        dates[name].append(session)
    parsed = {text: date.fromisoformat(text) for found in dates.values() for text in found}
    grouped: dict[tuple[date, ...], list[str]] = defaultdict(list)
    for name, found in dates.items():
        grouped[tuple(sorted(parsed[text] for text in found))].append(name)
    return dict(grouped)


def scope_of(key: AssetKey) -> ScopeName:
    """The scope of an asset, by the prefix of its key.

    Raises:
        InputError: it is of neither.
    """
    match key.path[0]:
        case "watchlist":
            return "watchlist"
        case "market":
            return "market"
        case other:
            raise InputError("asset", other, "use an asset of watchlist or market")


def session_partitions(settings: Settings) -> TimeWindowPartitionsDefinition:
    """The sessions of the settings' exchange, from ``start_date`` on; no holes.

    Where the market's clock is pinned the sessions end with the last completed one.

    Raises:
        InputError: no such calendar, or a start outside what it knows.
    """
    calendar = get_calendar(settings.calendar)
    last, end = LAST, None
    if settings.market_time is not None:
        last = calendar.last_completed(settings.market_time)
        end = _midnight(calendar.next_session(last), calendar)  # where the last window ends
    days = calendar.sessions(settings.start_date, last)
    if not len(days):
        raise InputError(
            "STOCK_PLATFORM_START_DATE", str(settings.start_date), f"use a date before {last}"
        )
    weekdays = sorted({day.isoweekday() % 7 for day in days.astype(object)})
    between = np.arange(days[0], np.datetime64(last, "D") + 1).astype(object)
    sessions = set(days.astype(object))
    holes = [d for d in between if d.isoweekday() % 7 in weekdays and d not in sessions]
    return TimeWindowPartitionsDefinition(
        start=days[0].astype(object).isoformat(),
        end=end,
        fmt="%Y-%m-%d",
        cron_schedule=f"0 0 * * {','.join(map(str, weekdays))}",
        timezone=calendar.zone,
        exclusions=[_midnight(day, calendar) for day in holes] or None,
        end_offset=0 if end else 1,
    )


def build_scopes(settings: Settings) -> Mapping[ScopeName, Scope]:
    """Both scopes, over the same sessions."""
    dates = session_partitions(settings)
    tickers: PartitionsDefinition = DynamicPartitionsDefinition(name=WATCHLIST_TICKERS)
    shards = StaticPartitionsDefinition(SHARD_KEYS)
    return {
        "watchlist": Scope(
            "watchlist", "ticker", MultiPartitionsDefinition({DATE: dates, "ticker": tickers})
        ),
        "market": Scope(
            "market", "shard", MultiPartitionsDefinition({DATE: dates, "shard": shards})
        ),
    }


def runs_of(names: Sequence[str], wanted: Iterable[str]) -> list[tuple[str, str]]:
    """First and last of every unbroken stretch of ``names`` that is wanted.

    A run covers a rectangle, so names that are not neighbours take a run each.
    """
    marked = set(wanted)
    stretches: list[tuple[str, str]] = []
    previous_in = False
    for name in names:
        if name in marked:
            start = stretches.pop()[0] if previous_in else name
            stretches.append((start, name))
        previous_in = name in marked
    return stretches


def _midnight(day: date, calendar: ExchangeCalendar) -> datetime:
    return datetime.combine(day, time(), ZoneInfo(calendar.zone))
