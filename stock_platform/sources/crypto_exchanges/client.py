"""Asking the exchanges: candles of a pair, page by page, a pair's price, Binance's pairs.

Belongs here: pages, what is asked of whom. Does not: the requests' spelling (bridge.py),
reading (parse.py), capabilities (config.py).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from queue import Empty, SimpleQueue
from typing import Any

import polars as pl

from stock_platform.domain.bars import PARSED_BARS, Basis, empty
from stock_platform.domain.capabilities import Feed, Tile
from stock_platform.domain.errors import InputError, NoData, UnknownSymbol
from stock_platform.domain.symbols import AssetClass, pair_of, parse_symbol
from stock_platform.sources.base import REJECTED, Answer, Facts, Question
from stock_platform.sources.crypto_exchanges.bridge import ask, connect, market_of
from stock_platform.sources.crypto_exchanges.config import BINANCE, EXCHANGES, Exchange
from stock_platform.sources.crypto_exchanges.parse import (
    Page,
    check_ticker,
    read_bars,
    read_listing,
    read_quote,
)
from stock_platform.sources.http import Call, Response
from stock_platform.sources.payload import utc_midnight
from stock_platform.sources.spec import Setup, SourceSpec, VendorSource

SETTLES_WITHIN = timedelta(minutes=2)


@dataclass(frozen=True)
class _Pair:
    symbol: str
    base: str
    quote: str


@dataclass(frozen=True)
class ExchangeSource(VendorSource):
    """One exchange as a Source."""

    exchange: Exchange = BINANCE
    idle: SimpleQueue[Any] = field(default_factory=SimpleQueue, repr=False, compare=False)

    def fetch(self, tile: Tile) -> Answer:
        """The candles of one pair.

        Raises:
            SourceError: see Source.fetch.
        """
        pair = self._pair(tile.symbol)
        start, end = utc_midnight(tile.start), utc_midnight(tile.end + timedelta(days=1))
        pages: list[Page] = []
        nothing: NoData | None = None
        with self.http.call() as call:
            while start < end:
                try:
                    page = self._page(call, tile, pair, start, end)
                    pages.append(page)
                except NoData as error:
                    nothing, page = error, None
                following = self._next(page, start, tile)
                if following is None or following <= start:
                    break
                start = following
            if not pages:
                raise nothing or NoData(self.exchange.name, f"{pair.symbol}: an empty range")
            return call.stamp(_answer(pages, tile, pair.quote))

    def ask(self, question: Question) -> Facts:
        """A pair's price (QUOTE), or Binance's pairs (LISTING).

        Raises:
            InputError, SourceError: see Source.ask.
        """
        if question.feed not in self.capabilities.feeds:
            return super().ask(question)
        with self.http.call() as call:
            if question.feed is Feed.LISTING:
                return call.stamp(self._listing(call))
            return call.stamp(self._quote(call, self._pair(question.symbol)))

    # --- one request each -----------------------------------------------------------------

    def _page(self, call: Call, tile: Tile, pair: _Pair, start: datetime, end: datetime) -> Page:
        found: list[Page] = []

        def check(document: object, response: Response) -> None:
            found[:] = [
                read_bars(
                    self.exchange,
                    document,
                    symbol=pair.symbol,
                    interval=tile.interval,
                    now=response.received_at,
                )
            ]

        limit = self.exchange.page
        if self.exchange.windows:
            end = min(end, start + limit * tile.interval.length)
        since, until = int(start.timestamp() * 1000), int(end.timestamp() * 1000) - 1
        params = {"until": until} if self.exchange.name != "kraken" else {}
        with self._ccxt() as ccxt_exchange:
            market = market_of(ccxt_exchange, self.exchange, pair.base, pair.quote)
            ask(
                ccxt_exchange,
                self.exchange,
                call,
                pair.symbol,
                check,
                lambda x: x.fetch_ohlcv(market, tile.interval.value, since, limit, params),
                wall=self.http.options.wall,
                settled_at=utc_midnight(tile.end + timedelta(days=1)) + SETTLES_WITHIN,
            )
        return found[0]

    def _next(self, page: Page | None, start: datetime, tile: Tile) -> datetime | None:
        """Where the next page begins; None after the last."""
        length = tile.interval.length
        if self.exchange.windows:
            return start + self.exchange.page * length
        if page is None or page.last is None or page.rows < self.exchange.page:
            return None
        return None if self.exchange.name == "kraken" else page.last + length

    def _quote(self, call: Call, pair: _Pair) -> Facts:
        at: list[datetime] = []
        with self._ccxt() as ccxt_exchange:
            market = market_of(ccxt_exchange, self.exchange, pair.base, pair.quote)
            name = str(ccxt_exchange.market(market)["id"])

            def check(document: object, response: Response) -> None:
                check_ticker(self.exchange, document, name)
                at[:] = [response.received_at]

            ticker = ask(
                ccxt_exchange,
                self.exchange,
                call,
                pair.symbol,
                check,
                lambda x: x.fetch_ticker(market),
                wall=self.http.options.wall,
            )
        frame = read_quote(
            self.exchange, ticker, symbol=pair.symbol, currency=pair.quote, now=at[0]
        )
        return Facts(Feed.QUOTE, frame)

    def _listing(self, call: Call) -> Facts:
        found: list[tuple[pl.DataFrame, pl.DataFrame]] = []

        def check(document: object, _: Response) -> None:
            found[:] = [read_listing(self.exchange.name, document)]

        with self._ccxt() as ccxt_exchange:
            ask(
                ccxt_exchange,
                self.exchange,
                call,
                "the pairs",
                check,
                lambda x: x.publicGetExchangeInfo(),
                wall=self.http.options.wall,
            )
        return Facts(Feed.LISTING, *found[0])

    # --- what it takes --------------------------------------------------------------------

    @contextmanager
    def _ccxt(self) -> Iterator[Any]:
        """A ccxt exchange that nobody else uses meanwhile."""
        try:
            made = self.idle.get_nowait()
        except Empty:
            made = connect(self.exchange)
        try:
            yield made
        finally:
            self.idle.put(made)

    def _pair(self, text: str | None) -> _Pair:
        if text is None:
            raise InputError("symbol", None, "name one: this endpoint answers for one pair")
        symbol, name = parse_symbol(text), self.exchange.name
        pair = pair_of(symbol)
        if pair is None or symbol.asset_class is not AssetClass.CRYPTO:
            raise UnknownSymbol(name, symbol.ticker, f"{name} trades coins, like BTC-USDT")
        base, quote = pair
        if quote in self.exchange.lacking:
            raise UnknownSymbol(name, symbol.ticker, self.exchange.lacking[quote].format(base=base))
        return _Pair(symbol.ticker, base, quote)


def _answer(pages: list[Page], tile: Tile, currency: str) -> Answer:
    """The days asked for, of all pages."""
    inside = pl.col("session").is_between(tile.start, tile.end)
    bars = pl.concat([empty(PARSED_BARS), *(page.bars for page in pages)])
    return Answer(
        bars=bars.filter(inside).unique(["symbol", "ts"], keep="last").sort("symbol", "ts"),
        basis=Basis.AS_TRADED,
        rejected=pl.concat([empty(REJECTED), *(page.rejected for page in pages)]).filter(
            inside | pl.col("session").is_null()
        ),
        unfinished=frozenset(
            day for page in pages for day in page.unfinished if tile.start <= day <= tile.end
        ),
        currency=currency,
    )


def _spec(exchange: Exchange) -> SourceSpec:
    def build(setup: Setup) -> ExchangeSource:
        http = setup.http_client(exchange.base_url)
        return ExchangeSource(setup.capabilities, http, exchange)

    return SourceSpec(exchange.capabilities, build, base_url=exchange.base_url)


SPECS = tuple(_spec(exchange) for exchange in EXCHANGES)
