"""Asking for Yahoo's web pages.

Belongs here: addresses, parameters. Does not: reading pages (history.py, quote.py), limits
(config.py). Needs no key, sends no cookies.
"""

from __future__ import annotations

from datetime import UTC, timedelta
from urllib.parse import quote

import polars as pl

from stock_platform.domain.capabilities import Feed, Tile
from stock_platform.domain.errors import InputError, UnknownSymbol
from stock_platform.domain.symbols import Symbol, default_calendar, parse_symbol, to_vendor
from stock_platform.sources.base import Answer, Facts, Question
from stock_platform.sources.payload import closing, utc_midnight
from stock_platform.sources.spec import Setup, SourceSpec, VendorSource
from stock_platform.sources.yahoo_page.config import ACCEPT, BASE_URL, CAPABILITIES, NAME
from stock_platform.sources.yahoo_page.history import parse_history
from stock_platform.sources.yahoo_page.quote import parse_profile, parse_quote

DAY = timedelta(days=1)
SETTLES_WITHIN = timedelta(hours=4)
"""After the close, for the last row to become final."""


class YahooPageSource(VendorSource):
    """Yahoo's pages as a Source."""

    def fetch(self, tile: Tile) -> Answer:
        """Daily bars of one symbol from ``tile.start`` to the present, splits and dividends.

        Raises:
            SourceError: see Source.fetch.
        """
        if tile.symbol is None:
            raise InputError("symbol", None, "name one: a page is about one symbol")
        symbol = parse_symbol(tile.symbol)
        spelled, calendar = _spelled(symbol), default_calendar(symbol)
        today = utc_midnight(self.http.clock.now().astimezone(UTC).date())
        with self.http.call() as call:
            history = call.get(
                f"/quote/{quote(spelled, safe='=')}/history/",
                {
                    "period1": int((utc_midnight(tile.start) - DAY).timestamp()),
                    "period2": int((today + DAY).timestamp()),
                },
                read=lambda response: parse_history(
                    response.status,
                    response.body,
                    symbol=symbol.ticker,
                    spelled=spelled,
                    calendar=calendar,
                    now=response.received_at,
                ),
                cache=True,
                settled_at=closing(tile.end, calendar) + SETTLES_WITHIN,
            )
            wanted = pl.col("session") >= tile.start
            return call.stamp(
                Answer(
                    bars=history.bars.filter(wanted),
                    splits=history.splits,
                    dividends=history.dividends,
                    rejected=history.rejected.filter(wanted | pl.col("session").is_null()),
                    unfinished=history.unfinished,
                    currency=history.currency,
                )
            )

    def ask(self, question: Question) -> Facts:
        """The quote or the profile of one symbol, out of its page.

        Raises:
            SourceError: see Source.ask.
        """
        if question.feed not in self.capabilities.feeds:
            return super().ask(question)
        if question.symbol is None:
            raise InputError("symbol", None, "name one: a page is about one symbol")
        symbol = parse_symbol(question.symbol)
        spelled = _spelled(symbol)
        parse = parse_quote if question.feed is Feed.QUOTE else parse_profile
        with self.http.call() as call:
            frame = call.get(
                f"/quote/{quote(spelled, safe='=')}/",
                {},
                read=lambda response: parse(
                    response.status, response.body, symbol=symbol.ticker, spelled=spelled
                ),
            )
            return call.stamp(Facts(question.feed, frame))


def _spelled(symbol: Symbol) -> str:
    try:
        return to_vendor(symbol, "yahoo")
    except InputError as error:
        raise UnknownSymbol(NAME, symbol.ticker, str(error)) from None


def build(setup: Setup) -> YahooPageSource:
    """The source, wired."""
    http = setup.http_client(BASE_URL, accept=ACCEPT, robots=True)
    return YahooPageSource(setup.capabilities, http)


SPEC = SourceSpec(CAPABILITIES, build, base_url=BASE_URL)
