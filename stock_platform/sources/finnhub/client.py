"""Asking Finnhub for candles, quotes, companies and the directory.

Belongs here: addresses and parameters. Does not: reading answers (parse.py, facts.py),
spelling (spelling.py), limits (config.py). The key travels in a header, never in an address.
"""

from __future__ import annotations

from datetime import timedelta

import polars as pl

from stock_platform.domain.bars import Interval
from stock_platform.domain.capabilities import Feed, Tile
from stock_platform.domain.errors import InputError, NoData
from stock_platform.domain.symbols import Symbol, default_calendar, parse_symbol
from stock_platform.sources.base import Answer, Facts, Question
from stock_platform.sources.finnhub.config import (
    BASE_URL,
    CAPABILITIES,
    KEYS_AT,
    LISTING_PATH,
    NAME,
    PATHS,
)
from stock_platform.sources.finnhub.facts import (
    Read,
    parse_listing,
    parse_profile,
    parse_quote,
    parse_search,
)
from stock_platform.sources.finnhub.parse import parse_candles
from stock_platform.sources.finnhub.spelling import currency_of, spelled
from stock_platform.sources.finnhub.transport import FinnhubTransport
from stock_platform.sources.http import Call
from stock_platform.sources.payload import closing, utc_midnight
from stock_platform.sources.spec import Setup, SourceSpec, VendorSource
from stock_platform.sources.transport import Secrets

RESOLUTION = {
    Interval.MINUTE: "1",
    Interval.MINUTES_5: "5",
    Interval.MINUTES_15: "15",
    Interval.HOUR: "60",
    Interval.DAY: "D",
}
MARGIN = timedelta(days=1)
"""Before and after the range: days start at 17:00 in New York, or in Tokyo, of the day before."""

SETTLES_WITHIN = timedelta(hours=8)


class FinnhubSource(VendorSource):
    """Finnhub as a Source."""

    def fetch(self, tile: Tile) -> Answer:
        """The bars of one symbol between ``tile.start`` and ``tile.end``.

        Raises:
            NotEntitled: on a free key. NoData: none in the range. SourceError: see Source.fetch.
        """
        if tile.symbol is None:
            raise InputError("symbol", None, "name one: candles are of one symbol at a time")
        symbol = parse_symbol(tile.symbol)
        first, last = utc_midnight(tile.start) - MARGIN, utc_midnight(tile.end) + MARGIN
        params: dict[str, str | int] = {
            "symbol": spelled(symbol),
            "resolution": RESOLUTION[tile.interval],
            "from": int(first.timestamp()),
            "to": int(last.timestamp()) + 86_399,
        }
        with self.http.call() as call:
            found = call.get(
                PATHS[tile.endpoint],
                params,
                read=lambda r: parse_candles(
                    r.status, r.body, symbol=symbol, interval=tile.interval, now=r.received_at
                ),
                cache=True,
                settled_at=closing(tile.end, default_calendar(symbol)) + SETTLES_WITHIN,
            )
            inside = pl.col("session").is_between(tile.start, tile.end)
            answer = Answer(
                bars=found.bars.filter(inside),
                basis=self.capabilities.endpoint(tile.endpoint).basis,
                rejected=found.rejected.filter(inside | pl.col("session").is_null()),
                unfinished=frozenset(d for d in found.unfinished if tile.start <= d <= tile.end),
                currency=currency_of(symbol),
            )
            if answer.bars.is_empty() and answer.rejected.is_empty() and not answer.unfinished:
                raise NoData(NAME, f"{symbol.ticker}: no candles in {tile.start}..{tile.end}")
            return call.stamp(answer)

    def ask(self, question: Question) -> Facts:
        """A quote, a company, the directory of US symbols, or one entry of any directory.

        Raises:
            InputError: another feed, or no symbol for a quote or a profile.
            UnknownSymbol. SourceError: see Source.ask.
        """
        symbol = parse_symbol(question.symbol) if question.symbol is not None else None
        if question.feed not in self.capabilities.feeds:
            return super().ask(question)
        with self.http.call() as call:
            if question.feed is Feed.LISTING:
                read = self._listing(call, symbol)
            elif symbol is None:
                raise InputError("symbol", None, f"name one: a {question.feed} needs it")
            else:
                read = self._one(call, question.feed, symbol)
            return call.stamp(Facts(question.feed, read.frame, read.rejected))

    def _listing(self, call: Call, symbol: Symbol | None) -> Read:
        """``GET /stock/symbol``, or ``/search`` for one."""
        if symbol is None:
            return call.get(
                LISTING_PATH, {"exchange": "US"}, read=lambda r: parse_listing(r.status, r.body)
            )
        return call.get(
            "/search",
            {"q": spelled(symbol)},
            read=lambda r: parse_search(r.status, r.body, symbol),
        )

    def _one(self, call: Call, feed: Feed, symbol: Symbol) -> Read:
        """``GET /quote`` or ``/stock/profile2``."""
        path, parse = (
            ("/quote", parse_quote) if feed is Feed.QUOTE else ("/stock/profile2", parse_profile)
        )
        return call.get(
            path, {"symbol": spelled(symbol)}, read=lambda r: parse(r.status, r.body, symbol)
        )


def build(setup: Setup) -> FinnhubSource:
    """The source, wired. Raises InputError without a key."""
    secrets = Secrets(headers={"X-Finnhub-Token": setup.needed_key(KEYS_AT)})
    client = setup.http_client(BASE_URL, secrets)
    client.transport.close()
    client.transport = FinnhubTransport(
        client.source, client.transport.base_url, client.clock, client.options, secrets
    )
    return FinnhubSource(setup.capabilities, client)


SPEC = SourceSpec(CAPABILITIES, build, base_url=BASE_URL)
