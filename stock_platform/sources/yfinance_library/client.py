"""Asking Yahoo through yfinance.

Belongs here: ranges, feeds, wiring. Does not: reading answers (chart.py, bars.py, facts.py),
the library (library.py), limits and depths (config.py). Needs no key.

The library asks through a session of ours, and that through the platform's ``HttpClient``
(asking.py), whose transport is curl_cffi (curl.py). So one question is one request, but for
the crumb the first time Yahoo wants one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import polars as pl

from stock_platform.domain.bars import Interval
from stock_platform.domain.capabilities import Feed, Tile
from stock_platform.domain.errors import InputError, Malformed, NoData, UnknownSymbol
from stock_platform.domain.symbols import Symbol, default_calendar, parse_symbol, to_vendor
from stock_platform.sources.base import Answer, Facts, Question
from stock_platform.sources.http import Call, Response
from stock_platform.sources.payload import closing, utc_midnight
from stock_platform.sources.periods import SETTLES_WITHIN
from stock_platform.sources.spec import Setup, SourceSpec, VendorSource
from stock_platform.sources.yfinance_library.asking import Asking, Crumbs
from stock_platform.sources.yfinance_library.bars import Parsed, parse_history
from stock_platform.sources.yfinance_library.chart import Chart, read_chart
from stock_platform.sources.yfinance_library.config import (
    BASE_URL,
    CAPABILITIES,
    HOST,
    MINUTE_DAYS_PER_REQUEST,
    NAME,
)
from stock_platform.sources.yfinance_library.curl import through_curl
from stock_platform.sources.yfinance_library.facts import (
    parse_chain,
    read_expiry,
    read_profile,
    read_quote,
)
from stock_platform.sources.yfinance_library.place import zone_of

DAY = timedelta(days=1)
ALL_TIME = timedelta(days=99 * 365)
"""What the library means by ``max``."""


@dataclass(frozen=True)
class YfinanceSource(VendorSource):
    """yfinance as a Source."""

    crumbs: Crumbs = field(default_factory=Crumbs)

    def fetch(self, tile: Tile) -> Answer:
        """The bars of one symbol from ``tile.start`` on, with its splits and dividends.

        Daily bars run to the present whatever ``tile.end`` is; see config.py.

        Raises:
            SourceError: see Source.fetch.
        """
        symbol = _symbol(tile.symbol)
        calendar = default_calendar(symbol)
        settled_at = closing(tile.end, calendar) + SETTLES_WITHIN
        with self.http.call() as call:
            parts: list[Parsed] = []
            nothing: NoData | None = None
            for first, last in self._ranges(tile, calendar):
                try:
                    parts.append(
                        self._history(
                            call, symbol, tile.interval, first, last, settled_at=settled_at
                        )
                    )
                except NoData as error:
                    nothing = error
            if not parts:
                raise nothing or NoData(NAME, "nothing in an empty range")
            return call.stamp(_answer(parts, tile))

    def ask(self, question: Question) -> Facts:
        """A quote, a profile, a chain of options, or all splits or dividends of a symbol.

        Raises:
            SourceError: see Source.ask.
        """
        if question.feed not in self.capabilities.feeds:
            return super().ask(question)
        symbol = _symbol(question.symbol)
        with self.http.call() as call:
            match question.feed:
                case Feed.QUOTE:
                    facts = self._one(call, symbol, question.feed, read_quote)
                case Feed.PROFILE:
                    facts = self._one(call, symbol, question.feed, read_profile)
                case Feed.OPTIONS:
                    facts = self._options(call, symbol, question)
                case _:
                    facts = self._actions(call, symbol, question)
            return call.stamp(facts)

    def _history(
        self,
        call: Call,
        symbol: Symbol,
        interval: Interval,
        first: datetime,
        last: datetime,
        *,
        settled_at: datetime | None,
    ) -> Parsed:
        """One request's bars and actions; without ``settled_at`` the answer is not kept."""
        from stock_platform.sources.yfinance_library import library

        calendar = default_calendar(symbol)

        def read(response: Response) -> tuple[bytes, Chart]:
            chart = read_chart(
                response.status,
                response.body,
                symbol=symbol.ticker,
                interval=interval,
                calendar=calendar,
                now=response.received_at,
            )
            return chart.shown, chart

        asking = Asking(
            call, self.crumbs, read, cache=settled_at is not None, settled_at=settled_at
        )
        history = library.history(
            asking,
            _spelled(symbol),
            zone=zone_of(calendar),
            start=first,
            end=last,
            interval=interval,
        )
        chart = asking.values[-1]
        try:
            return parse_history(
                history, chart, symbol=symbol.ticker, interval=interval, calendar=calendar
            )
        except (KeyError, TypeError, ValueError) as error:
            said = f"{type(error).__name__}: {error}"
            raise Malformed(NAME, f"not a history as yfinance documents it: {said}") from None

    def _actions(self, call: Call, symbol: Symbol, question: Question) -> Facts:
        """All splits or dividends within the question's dates, out of the whole history."""
        end = utc_midnight(self._today) + DAY
        found = self._history(call, symbol, Interval.DAY, end - ALL_TIME, end, settled_at=None)
        frame = found.splits if question.feed is Feed.SPLITS else found.dividends
        if question.start is not None:
            frame = frame.filter(pl.col("ex_date") >= question.start)
        if question.end is not None:
            frame = frame.filter(pl.col("ex_date") <= question.end)
        bars = pl.col("session").is_not_null()
        return Facts(question.feed, frame, rejected=found.rejected.filter(~bars))

    def _one(
        self, call: Call, symbol: Symbol, feed: Feed, parse: Callable[..., pl.DataFrame]
    ) -> Facts:
        """A frame that one answer holds."""
        from stock_platform.sources.yfinance_library import library

        def read(response: Response) -> tuple[bytes, pl.DataFrame]:
            frame = parse(response.status, response.body, symbol=symbol.ticker)
            return response.body, frame

        asking = Asking(call, self.crumbs, read)
        ask = library.quote if feed is Feed.QUOTE else library.profile
        ask(asking, _spelled(symbol))
        return Facts(feed, asking.values[-1])

    def _options(self, call: Call, symbol: Symbol, question: Question) -> Facts:
        """Every contract of one expiry, the nearest unless one is named."""
        from stock_platform.sources.yfinance_library import library

        def read(response: Response) -> tuple[bytes, date]:
            expiry = read_expiry(
                response.status, response.body, symbol=symbol.ticker, asked=question.expiry
            )
            return response.body, expiry

        asking = Asking(call, self.crumbs, read)
        calls, puts = library.options(asking, _spelled(symbol), question.expiry)
        frame, rejected = parse_chain(calls, puts, symbol=symbol.ticker, expiry=asking.values[-1])
        return Facts(question.feed, frame, rejected=rejected)

    def _ranges(self, tile: Tile, calendar: str) -> list[tuple[datetime, datetime]]:
        """The requests' ranges; the sessions before the tile's that they bring are cut off.

        A daily bar of Sydney or of a currency in summer is stamped on the UTC day before.
        """
        if tile.interval is Interval.DAY:
            return [(utc_midnight(tile.start) - DAY, utc_midnight(self._today) + DAY)]
        zone = ZoneInfo(zone_of(calendar))
        first = datetime.combine(tile.start, time(), zone).astimezone(UTC)
        last = datetime.combine(tile.end + DAY, time(), zone).astimezone(UTC)
        if self.capabilities.endpoint(tile.endpoint).to_now:
            return [(first, max(last, utc_midnight(self._today) + DAY))]
        step = timedelta(days=MINUTE_DAYS_PER_REQUEST)
        ranges = []
        while first < last:
            ranges.append((first, min(first + step, last)))
            first += step
        return ranges

    @property
    def _today(self) -> date:
        return self.http.clock.now().astimezone(UTC).date()


def _symbol(text: str | None) -> Symbol:
    if text is None:
        raise InputError("symbol", None, "name one: yfinance answers for one symbol at a time")
    return parse_symbol(text)


def _spelled(symbol: Symbol) -> str:
    try:
        return to_vendor(symbol, HOST)
    except InputError as error:
        raise UnknownSymbol(NAME, symbol.ticker, str(error)) from None


def _answer(parts: list[Parsed], tile: Tile) -> Answer:
    """One answer of the parts, from the first session asked for on."""
    wanted = pl.col("session") >= tile.start
    first = parts[0]
    bars = pl.concat([part.bars for part in parts])
    rejected = pl.concat([part.rejected for part in parts])
    unfinished: frozenset[date] = frozenset().union(*(part.unfinished for part in parts))
    return Answer(
        bars=bars.filter(wanted).unique(["symbol", "ts"], keep="last").sort("symbol", "ts"),
        splits=pl.concat([part.splits for part in parts]).unique().sort("ex_date"),
        dividends=pl.concat([part.dividends for part in parts]).unique().sort("ex_date"),
        rejected=rejected.filter(wanted | pl.col("session").is_null()),
        unfinished=frozenset(day for day in unfinished if day >= tile.start),
        listed_from=first.listed_from,
        currency=first.currency,
    )


def build(setup: Setup) -> YfinanceSource:
    """The source, wired."""
    return YfinanceSource(setup.capabilities, through_curl(setup.http_client(BASE_URL)))


SPEC = SourceSpec(CAPABILITIES, build, base_url=BASE_URL)
