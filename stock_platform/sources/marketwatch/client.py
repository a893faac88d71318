"""Asking MarketWatch for its download of daily bars and for the page of a symbol.

Belongs here: addresses, parameters, ranges. Does not: reading answers (parse.py), limits and
addresses of symbols (config.py). Needs no key, sends no cookies.

``GET /investing/stock/aapl/downloaddatapartial?startdate=01/02/2024 00:00:00&enddate=...
&daterange=d30&frequency=p1d&csvdownload=true&downloadpartial=false&newdates=false``; both
dates are inclusive.
"""

from __future__ import annotations

from datetime import date, timedelta

import polars as pl

from stock_platform.domain.capabilities import Tile
from stock_platform.domain.errors import InputError, NoData, UnknownSymbol
from stock_platform.domain.symbols import AssetClass, Symbol, default_calendar, parse_symbol
from stock_platform.sources.base import Answer, Facts, Question
from stock_platform.sources.html import Table
from stock_platform.sources.marketwatch.config import (
    ACCEPT,
    BASE_URL,
    CAPABILITIES,
    DAYS_PER_REQUEST,
    NAME,
    place_of,
)
from stock_platform.sources.marketwatch.parse import parse_download, parse_quote
from stock_platform.sources.payload import closing
from stock_platform.sources.spec import Setup, SourceSpec, VendorSource

SETTLES_WITHIN = timedelta(hours=4)
"""After the close, for the last row to become final."""


class MarketWatchSource(VendorSource):
    """MarketWatch as a Source."""

    def fetch(self, tile: Tile) -> Answer:
        """Daily bars of one US share or fund; a request for each year of the range.

        Raises:
            SourceError: see Source.fetch.
        """
        if tile.symbol is None:
            raise InputError("symbol", None, "name one: a download is of one symbol")
        symbol = parse_symbol(tile.symbol)
        if symbol.asset_class not in (AssetClass.STOCK, AssetClass.FUND):
            raise UnknownSymbol(NAME, symbol.ticker, "bars of US shares and funds only")
        place, calendar = _place(symbol), default_calendar(symbol)
        tables: list[Table] = []
        nothing: NoData | None = None
        with self.http.call() as call:
            for first, last in _years(tile.start, tile.end):
                try:
                    tables.append(
                        call.get(
                            f"/investing/{place}/downloaddatapartial",
                            {
                                "startdate": f"{first:%m/%d/%Y} 00:00:00",
                                "enddate": f"{last:%m/%d/%Y} 23:59:59",
                                "daterange": "d30",
                                "frequency": "p1d",
                                "csvdownload": "true",
                                "downloadpartial": "false",
                                "newdates": "false",
                            },
                            read=lambda response: parse_download(
                                response.status,
                                response.body,
                                headers=response.headers,
                                symbol=symbol.ticker,
                                calendar=calendar,
                                now=response.received_at,
                            ),
                            cache=True,
                            settled_at=closing(last, calendar) + SETTLES_WITHIN,
                        )
                    )
                except NoData as error:
                    nothing = error
            if not tables:
                raise nothing or NoData(NAME, "nothing in an empty range")
            return call.stamp(_answer(tables, tile))

    def ask(self, question: Question) -> Facts:
        """The quote of one symbol, out of the tags of its page.

        Raises:
            SourceError: see Source.ask.
        """
        if question.feed not in self.capabilities.feeds:
            return super().ask(question)
        if question.symbol is None:
            raise InputError("symbol", None, "name one: a page is about one symbol")
        symbol = parse_symbol(question.symbol)
        place = _place(symbol)
        with self.http.call() as call:
            frame = call.get(
                f"/investing/{place}",
                {},
                read=lambda response: parse_quote(
                    response.status,
                    response.body,
                    headers=response.headers,
                    symbol=symbol.ticker,
                    place=place,
                ),
            )
            return call.stamp(Facts(question.feed, frame))


def _place(symbol: Symbol) -> str:
    try:
        return place_of(symbol)
    except InputError as error:
        raise UnknownSymbol(NAME, symbol.ticker, str(error)) from None


def _years(start: date, end: date) -> list[tuple[date, date]]:
    """The ranges of the requests, each a year at the most."""
    ranges = []
    step = timedelta(days=DAYS_PER_REQUEST)
    while start <= end:
        ranges.append((start, min(start + step - timedelta(days=1), end)))
        start += step
    return ranges


def _answer(tables: list[Table], tile: Tile) -> Answer:
    """The bars of the range asked for."""
    wanted = pl.col("session").is_between(tile.start, tile.end)
    bars = pl.concat([table.bars for table in tables]).filter(wanted)
    rejected = pl.concat([table.rejected for table in tables])
    unfinished = frozenset().union(*(table.unfinished for table in tables))
    return Answer(
        bars=bars.unique(["symbol", "ts"], keep="last").sort("symbol", "ts"),
        rejected=rejected.filter(wanted | pl.col("session").is_null()),
        unfinished=frozenset(day for day in unfinished if tile.start <= day <= tile.end),
        currency="USD",
    )


def build(setup: Setup) -> MarketWatchSource:
    """The source, wired."""
    http = setup.http_client(BASE_URL, accept=ACCEPT, robots=True)
    return MarketWatchSource(setup.capabilities, http)


SPEC = SourceSpec(CAPABILITIES, build, base_url=BASE_URL)
