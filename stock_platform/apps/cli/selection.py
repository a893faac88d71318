"""What a command is about: tickers, dates, shards, checked before anything happens.

Belongs here: reading and checking input; every check raises InputError and touches neither
database nor network. Does not: what is done with it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from stock_platform.domain.errors import InputError

if TYPE_CHECKING:
    from stock_platform.domain.cells import Sessions
    from stock_platform.settings import Settings


class Scope(StrEnum):
    """Which assets are meant."""

    WATCHLIST = "watchlist"
    MARKET = "market"


Tickers = Annotated[
    list[str] | None, typer.Argument(help="Tickers in any common spelling: AAPL BRK.B BTC-USD.")
]
TickersFile = Annotated[
    Path | None, typer.Option(help="A file of tickers, one a line; # begins a comment.")
]
Start = Annotated[str, typer.Option(help="First day, such as 2024-01-31.")]
End = Annotated[
    str | None, typer.Option(help="Last day, inclusive; default: the last completed session.")
]
ScopeOption = Annotated[
    Scope, typer.Option(help="watchlist: these tickers, or those tracked; market: all there are.")
]
Shards = Annotated[
    str | None, typer.Option(help="Only these shards of the market: 0-31, or 0,4,8-11.")
]
RetryFailed = Annotated[
    bool, typer.Option("--retry-failed", help="Ask again for what failed or waits, not due yet.")
]
Refresh = Annotated[
    bool, typer.Option("--refresh", help="Ask again for what is stored: vendors correct prices.")
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@dataclass(frozen=True)
class Selection:
    """Checked input.

    Attributes:
        scope: which assets.
        tickers: canonical, in the order given, without repeats; empty for tracked or all.
        shards: of the market scope.
        sessions: the completed sessions of the settings' calendar that are meant.
    """

    scope: Scope
    tickers: tuple[str, ...]
    shards: tuple[int, ...]
    sessions: Sessions

    @property
    def start(self) -> date:
        """The first session."""
        first: date = self.sessions[0].astype(object)
        return first

    @property
    def end(self) -> date:
        """The last session."""
        last: date = self.sessions[-1].astype(object)
        return last


def select(
    settings: Settings,
    *,
    scope: Scope,
    tickers: Sequence[str] | None,
    tickers_file: Path | None,
    shards: str | None,
    start: str,
    end: str | None,
) -> Selection:
    """The selection of a command's options.

    Raises:
        InputError: a value that is not allowed, or values that do not go together.
    """
    names = read_tickers([*(tickers or []), *(read_file(tickers_file) if tickers_file else [])])
    if tickers_file and not names:
        raise InputError("tickers-file", str(tickers_file), "give a file with a ticker in it")
    if scope is Scope.MARKET and names:
        raise InputError("scope", "market", "leave out the tickers, or use --scope watchlist")
    if scope is Scope.WATCHLIST and shards is not None:
        raise InputError("shards", shards, "use them with --scope market")
    numbers = read_shards(shards)
    first = read_date("start", start)
    sessions = completed_sessions(settings, first, end and read_date("end", end))
    made = Selection(scope, names, numbers, sessions)
    if made.start < settings.start_date:
        raise InputError(
            "start",
            str(first),
            f"use a date from {settings.start_date} on, or set STOCK_PLATFORM_START_DATE",
        )
    return made


def read_tickers(words: Sequence[str]) -> tuple[str, ...]:
    """Canonical tickers without repeats. Raises InputError naming the first that is none."""
    from stock_platform.domain.symbols import parse_symbol

    return tuple(dict.fromkeys(parse_symbol(word).ticker for word in words))


def read_file(path: Path) -> list[str]:
    """The tickers of a file: one a line, the first column of a CSV; # begins a comment."""
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or "it is not UTF-8 text"
        raise InputError("tickers-file", str(path), f"give a readable text file ({why})") from None
    words = [line.partition("#")[0].partition(",")[0].strip().strip('"') for line in lines]
    if words and words[0].lower() in ("ticker", "symbol"):
        words = words[1:]
    return [word for word in words if word]


def read_shards(text: str | None) -> tuple[int, ...]:
    """``0-31`` or ``0,4,8-11`` as numbers; None is every shard. Raises InputError."""
    from stock_platform.domain.coverage import SHARDS

    if text is None:
        return tuple(range(SHARDS))
    found: set[int] = set()
    for part in text.split(","):
        first, dash, last = part.strip().partition("-")
        low = _number(first, text)
        high = _number(last, text) if dash else low
        if not 0 <= low <= high < SHARDS:
            raise InputError("shards", text, f"use numbers from 0 to {SHARDS - 1}, like 0-7,16")
        found.update(range(low, high + 1))
    return tuple(sorted(found))


def _number(text: str, whole: str) -> int:
    if not text.strip().isdecimal():
        raise InputError("shards", whole, "use numbers and ranges, like 0-7,16")
    return int(text)


def read_date(parameter: str, text: str) -> date:
    """An ISO date. Raises InputError."""
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise InputError(parameter, text, "use a date like 2024-01-31") from None


def read_span(start: str | None, end: str | None) -> tuple[date | None, date | None]:
    """First and last day, either of them open. Raises InputError."""
    first = read_date("start", start) if start else None
    last = read_date("end", end) if end else None
    if first and last and first > last:
        raise InputError("start", str(first), f"use a date up to the end, {last}")
    return first, last


def completed_sessions(settings: Settings, start: date, end: date | str | None) -> Sessions:
    """The calendar's completed sessions from start to end (None: the last one there is).

    Raises:
        InputError: inverted, out of the calendar's bounds, all in the future, or no session.
    """
    import numpy as np

    from stock_platform.domain.calendar import get_calendar

    exchange = get_calendar(settings.calendar)
    last = exchange.last_completed(settings.clock.now())
    until = end if isinstance(end, date) else last
    if isinstance(end, date) and start > end:
        raise InputError("start", str(start), f"use a date up to the end, {end}")
    if start > last:
        raise InputError(
            "start", str(start), f"use a date up to the last completed session, {last}"
        )
    found = exchange.sessions(start, until)
    found = found[found <= np.datetime64(last, "D")]
    if not len(found):
        raise InputError(
            "start..end",
            f"{start}..{until}",
            f"use a range with a session of {settings.calendar}; the next one is "
            f"{exchange.next_session(start)}",
        )
    return found
