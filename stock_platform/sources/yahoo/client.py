"""Asking Yahoo's v8 chart, and v7 spark for quotes.

Belongs here: addresses, parameters, ranges. Does not: reading answers (parse.py), limits
and depths (config.py). Needs no key.

``GET /v8/finance/chart/{symbol}?period1=&period2=&interval=&events=div|split|capitalGain``
with epoch seconds; ``period2`` is exclusive.
``GET /v7/finance/spark?symbols=A,B&range=1d&interval=1d``
"""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from urllib.parse import quote
from zoneinfo import ZoneInfo

import polars as pl

from stock_platform.domain.bars import Interval
from stock_platform.domain.calendar import get_calendar
from stock_platform.domain.capabilities import Feed, Tile
from stock_platform.domain.errors import InputError, NoData, UnknownSymbol
from stock_platform.domain.symbols import Symbol, default_calendar, parse_symbol, to_vendor
from stock_platform.sources.base import Answer, Facts, Question
from stock_platform.sources.payload import closing, utc_midnight
from stock_platform.sources.periods import SETTLES_WITHIN
from stock_platform.sources.spec import Setup, SourceSpec, VendorSource
from stock_platform.sources.yahoo.config import (
    BASE_URL,
    CAPABILITIES,
    MINUTE_DAYS_PER_REQUEST,
    NAME,
)
from stock_platform.sources.yahoo.parse import Chart, parse_chart
from stock_platform.sources.yahoo.spark import MOST_SYMBOLS, parse_spark

EVENTS = "div|split|capitalGain"
DAY = timedelta(days=1)


class YahooSource(VendorSource):
    """Yahoo as a Source."""

    def fetch(self, tile: Tile) -> Answer:
        """The bars of one symbol from ``tile.start`` on, with its splits and dividends.

        Daily bars run to the present whatever ``tile.end`` is; see config.py.

        Raises:
            SourceError: see Source.fetch.
        """
        if tile.symbol is None:
            raise InputError("symbol", None, "name one: yahoo answers for one symbol at a time")
        symbol = parse_symbol(tile.symbol)
        calendar = default_calendar(symbol)
        with self.http.call() as call:
            charts: list[Chart] = []
            nothing: NoData | None = None
            for first, last in self._ranges(tile, calendar):
                try:
                    charts.append(
                        call.get(
                            f"/v8/finance/chart/{self._ticker(symbol)}",
                            {
                                "period1": int(first.timestamp()),
                                "period2": int(last.timestamp()),
                                "interval": str(tile.interval),
                                "events": EVENTS,
                                "includePrePost": "false",
                            },
                            read=lambda response: parse_chart(
                                response.status,
                                response.body,
                                symbol=symbol.ticker,
                                interval=tile.interval,
                                calendar=calendar,
                                now=response.received_at,
                            ),
                            cache=True,
                            settled_at=closing(tile.end, calendar) + SETTLES_WITHIN,
                        )
                    )
                except NoData as error:
                    nothing = error
            if not charts:
                raise nothing or NoData(NAME, "nothing in an empty range")
            return call.stamp(_answer(charts, tile))

    def ask(self, question: Question) -> Facts:
        """The price now of a symbol, or of several.

        Raises:
            InputError: another feed, none or too many symbols. SourceError: see Source.ask.
        """
        if question.feed is not Feed.QUOTE:
            return super().ask(question)
        asked = question.symbols or ((question.symbol,) if question.symbol else ())
        if not 1 <= len(asked) <= MOST_SYMBOLS:
            raise InputError("symbols", len(asked), f"name 1 to {MOST_SYMBOLS}")
        names = {}
        for text in asked:
            symbol = parse_symbol(text)
            try:
                names[to_vendor(symbol, NAME).upper()] = symbol.ticker
            except InputError as error:
                if len(asked) == 1:
                    raise UnknownSymbol(NAME, symbol.ticker, str(error)) from None
        if not names:
            raise NoData(NAME, f"no quote of {', '.join(asked)}")
        with self.http.call() as call:
            frame, rejected = call.get(
                "/v7/finance/spark",
                {"symbols": ",".join(names), "range": "1d", "interval": "1d"},
                read=lambda response: parse_spark(response.status, response.body, names),
            )
            return call.stamp(Facts(Feed.QUOTE, frame, rejected))

    def _ticker(self, symbol: Symbol) -> str:
        try:
            return quote(to_vendor(symbol, NAME), safe="=")
        except InputError as error:
            raise UnknownSymbol(NAME, symbol.ticker, str(error)) from None

    def _ranges(self, tile: Tile, calendar: str) -> list[tuple[datetime, datetime]]:
        """The requests' ranges; the sessions before the tile's that they bring are cut off.

        A daily bar of Sydney or of a currency in summer is stamped on the UTC day before.
        """
        if tile.interval is Interval.DAY:
            return [(utc_midnight(tile.start) - DAY, utc_midnight(self._today) + DAY)]
        zone = ZoneInfo(get_calendar(calendar).zone)
        first = datetime.combine(tile.start, time(), zone).astimezone(UTC)
        last = datetime.combine(tile.end + DAY, time(), zone).astimezone(UTC)
        if self.capabilities.endpoint(tile.endpoint).to_now:
            last = max(last, utc_midnight(self._today) + DAY)
            return [(first, last)]
        step = timedelta(days=MINUTE_DAYS_PER_REQUEST)
        ranges = []
        while first < last:
            ranges.append((first, min(first + step, last)))
            first += step
        return ranges

    @property
    def _today(self) -> date:
        return self.http.clock.now().astimezone(UTC).date()


def _answer(charts: list[Chart], tile: Tile) -> Answer:
    """One answer of the charts, from the first session asked for on."""
    wanted = pl.col("session") >= tile.start
    first = charts[0]
    bars = pl.concat([chart.bars for chart in charts])
    rejected = pl.concat([chart.rejected for chart in charts])
    return Answer(
        bars=bars.filter(wanted).unique(["symbol", "ts"], keep="last").sort("symbol", "ts"),
        splits=pl.concat([chart.splits for chart in charts]).unique().sort("ex_date"),
        dividends=pl.concat([chart.dividends for chart in charts]).unique().sort("ex_date"),
        rejected=rejected.filter(wanted | pl.col("session").is_null()),
        unfinished=frozenset().union(*(chart.unfinished for chart in charts)),
        listed_from=first.listed_from,
        currency=first.currency,
    )


def build(setup: Setup) -> YahooSource:
    """The source, wired."""
    return YahooSource(setup.capabilities, setup.http_client(BASE_URL))


SPEC = SourceSpec(CAPABILITIES, build, base_url=BASE_URL)
