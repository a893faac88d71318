"""What a source can do, as data: the planner's and the quotas' view of a vendor.

Belongs here: tile shapes, limits, endpoints, tiles. Does not: how a call is made
(sources/<vendor>/client.py).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum

from stock_platform.domain.bars import Basis, Interval
from stock_platform.domain.symbols import AssetClass


class TileShape(StrEnum):
    """Which cells one call covers."""

    ROW = "row"  # one symbol x a range of sessions
    COLUMN = "column"  # every symbol of the market x one session
    BLOCK = "block"  # several symbols, named, x a range of sessions


class Feed(StrEnum):
    """What a source can tell besides bars; the frames are in sources/base.py."""

    QUOTE = "quote"  # the price now
    PROFILE = "profile"  # who a company is
    LISTING = "listing"  # every symbol the vendor knows, or a directory's
    SPLITS = "splits"
    DIVIDENDS = "dividends"
    SERIES = "series"  # observations of an economic series
    SERIES_INFO = "series_info"  # what a series is
    OPTIONS = "options"  # a chain: every contract of one expiry


@dataclass(frozen=True)
class Limit:
    """At most ``calls`` within any ``seconds``; holds together with the source's other limits.

    With ``zone`` the window is the calendar day of that IANA zone instead of a sliding
    one (``seconds`` must then be 86,400): vendors that reset at their midnight.
    """

    calls: int
    seconds: float
    zone: str | None = None


@dataclass(frozen=True)
class Meter:
    """A header of a vendor's own that tells what is used of one of its windows.

    Attributes:
        header: its name in lower case; its value is what is used, our call included.
        most: all there is in a window.
        seconds: the window's length.
        each: what one call uses, at the most.
    """

    header: str
    most: float
    seconds: float
    each: float = 1.0


@dataclass(frozen=True)
class Reading:
    """What a vendor said in an answer about what is left of a limit.

    Attributes:
        remaining: calls left. calls: of how many, if it said so.
        resets_in: seconds until they all are there again, if it said so.
        seconds: the window's length, if it said so.
    """

    remaining: float
    calls: float | None = None
    resets_in: float | None = None
    seconds: float | None = None


@dataclass(frozen=True)
class Endpoint:
    """One kind of call.

    Attributes:
        name: unique within the source; goes into the fetch log.
        shape: what one call covers.
        intervals: bar lengths it serves.
        asset_classes: asset classes it serves.
        basis: what its prices are adjusted for.
        depth_days: calendar days of history it reaches back from today; None is all.
        since: the first day it has anything of, where history begins on a fixed date.
        max_sessions: sessions a row call can span; None is unlimited.
        max_symbols: symbols a block call can name.
        bars_a_request: bars that one HTTP request of a call brings at the most, where longer
            answers come in pages; None: all in one.
        to_now: the call always runs to the present (needed where prices are adjusted for
            later splits, which only the same answer can tell).
        complete: whether a session absent from a good answer means no trade took place
            (then the cell is no_data and no other source is asked).
        end_of_day: the current session is served only after its close.
        float32: prices carry float32 noise (74.05999755859375 for 74.06).
        actions: answers tell every split and dividend of the days they span, so that one told
            before and not again is withdrawn.
        tickers_then: how a renamed share is asked for. False: under today's ticker, which has
            the history of those before (Yahoo). True: every day under the ticker of that day
            (Polygon). None: tickers are the user's own, or no share's.
    """

    name: str
    shape: TileShape
    intervals: tuple[Interval, ...]
    asset_classes: tuple[AssetClass, ...]
    basis: Basis
    depth_days: int | None = None
    since: date | None = None
    max_sessions: int | None = None
    max_symbols: int = 1
    bars_a_request: int | None = None
    to_now: bool = False
    complete: bool = True
    end_of_day: bool = True
    float32: bool = False
    actions: bool = False
    tickers_then: bool | None = False


@dataclass(frozen=True)
class LiveQuotes:
    """What quotes of a source are worth while an exchange is open.

    A source whose quotes are of the last session only has none.

    Attributes:
        asset_classes: of what it tells the price now.
        at_once: symbols that one call can name.
        abroad: whether listings outside the United States are among them.
        one_venue: whether trades of a single exchange are all it sees: its last one may be older
            than the market's, and the session's range and volume are a part.
    """

    asset_classes: tuple[AssetClass, ...]
    at_once: int = 1
    abroad: bool = False
    one_venue: bool = False


@dataclass(frozen=True)
class Capabilities:
    """A source as data.

    Attributes:
        source: the vendor's name, as in ``sources/<name>``.
        endpoints: the bars that can be asked for.
        limits: all hold at once, over all endpoints and feeds.
        preference: order among sources that cost the same; lower is better.
        concurrency: calls in flight at once at the most.
        needs_key: name of the environment variable of the key, or None.
        also_needs: further variables it cannot do without (a secret beside the key's id).
        may_use: variables that help where they are set (a key that raises the limits).
        default_on: whether it is used without being asked for.
        feeds: what it can tell besides bars.
        market_feeds: those of them that it tells of every symbol at once.
        live: what its quotes are good for while exchanges are open; None: not live.
        standby: it is asked only for cells that no other source in play can reach.
        bucket: whose limits it shares: sources of one host are counted together under this
            name; None is its own.
        meter: where it tells what is used in a header that is not one everybody knows
            (sources/allowance.py has those).
    """

    source: str
    endpoints: tuple[Endpoint, ...] = ()
    limits: tuple[Limit, ...] = ()
    preference: int = 100
    concurrency: int = 1
    needs_key: str | None = None
    also_needs: tuple[str, ...] = ()
    may_use: tuple[str, ...] = ()
    default_on: bool = True
    feeds: tuple[Feed, ...] = ()
    market_feeds: tuple[Feed, ...] = ()
    live: LiveQuotes | None = None
    standby: bool = False
    bucket: str | None = None
    meter: Meter | None = None

    @property
    def account(self) -> str:
        """The name its calls are counted under."""
        return self.bucket or self.source

    @property
    def variables(self) -> tuple[str, ...]:
        """Every environment variable it reads a key from."""
        needed = (self.needs_key,) if self.needs_key else ()
        return (*needed, *self.also_needs, *self.may_use)

    def endpoint(self, name: str) -> Endpoint:
        """The endpoint of that name. Raises KeyError."""
        for candidate in self.endpoints:
            if candidate.name == name:
                return candidate
        raise KeyError(name)


@dataclass(frozen=True)
class Tile:
    """One planned call: what to ask, and of whom.

    ``asset_id`` and ``symbol`` (canonical) are None for column tiles and for blocks, whose
    ``members`` are pairs of both; ``start`` and ``end`` are inclusive session dates (equal
    for column tiles).
    """

    source: str
    endpoint: str
    interval: Interval
    start: date
    end: date
    asset_id: int | None = None
    symbol: str | None = None
    members: tuple[tuple[int, str], ...] = ()

    @property
    def symbols(self) -> tuple[str, ...]:
        """The canonical symbols it names; none where it asks for the whole market."""
        return (self.symbol,) if self.symbol else tuple(symbol for _, symbol in self.members)

    def describe(self) -> str:
        """``yahoo chart AAPL 1d 2024-01-02..2025-12-31``; no secrets, stable."""
        span = f"{self.start}" if self.start == self.end else f"{self.start}..{self.end}"
        names = self.symbols
        who = names[0] if names else "market"
        who += f"+{len(names) - 1}" if len(names) > 1 else ""
        return f"{self.source} {self.endpoint} {who} {self.interval} {span}"


@dataclass(frozen=True)
class QuotaState:
    """What is left of a source's limits, as the planner sees it.

    Attributes:
        spent: for each of the source's limits in order, the calls already inside the window.
        blocked_seconds: the remaining time of a Retry-After.
        ages: for each limit, how many seconds ago those calls' windows began, where known;
            otherwise they are taken for just made.
        resets_in: for each calendar-day limit, the seconds until the vendor's midnight,
            where known; otherwise 24 hours.
    """

    spent: tuple[int, ...] = field(default=())
    blocked_seconds: float = 0.0
    ages: tuple[tuple[float, ...], ...] = ()
    resets_in: tuple[float | None, ...] = ()
