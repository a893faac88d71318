"""Asking Alpaca for bars and snapshots.

Belongs here: addresses, parameters, paging, spelling of tickers. Does not: reading answers
(parse.py, quotes.py), limits and depths (config.py). Both keys travel in headers.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from urllib.parse import quote

import polars as pl

from stock_platform.domain.bars import Interval
from stock_platform.domain.calendar import get_calendar
from stock_platform.domain.capabilities import Feed, Tile
from stock_platform.domain.errors import InputError, Malformed, NoData, UnknownSymbol
from stock_platform.domain.symbols import (
    AssetClass,
    Symbol,
    default_calendar,
    parse_symbol,
    us_share,
)
from stock_platform.sources.alpaca.config import (
    BARS_A_REQUEST,
    BASE_URL,
    CAPABILITIES,
    DELAY,
    KEYS_AT,
    MOST_SYMBOLS,
    NAME,
    SECRET_VARIABLE,
)
from stock_platform.sources.alpaca.parse import (
    NEW_YORK,
    US_MARKET,
    Page,
    TooRecent,
    parse_bars,
)
from stock_platform.sources.alpaca.quotes import parse_snapshot, parse_snapshots
from stock_platform.sources.base import Answer, Facts, Question
from stock_platform.sources.http import Call
from stock_platform.sources.payload import closing, trading_hours
from stock_platform.sources.spec import Setup, SourceSpec, VendorSource
from stock_platform.sources.transport import Secrets

TIMEFRAME = {
    Interval.MINUTE: "1Min",
    Interval.MINUTES_5: "5Min",
    Interval.MINUTES_15: "15Min",
    Interval.HOUR: "1Hour",
    Interval.DAY: "1Day",
}
SHARES = (AssetClass.STOCK, AssetClass.ETF, AssetClass.FUND)
MOST_PAGES = 500
MOST_REFUSED = 3
"""Requests for several quotes that end with a ticker refused, until the call is given up."""

ABROAD = "Alpaca has US listings only"

SETTLES_WITHIN = timedelta(hours=4)
"""After the close: trades until 20:00 count for the day's volume."""


class AlpacaSource(VendorSource):
    """Alpaca as a Source."""

    def fetch(self, tile: Tile) -> Answer:
        """The bars of the tile's symbols, canonical, in one frame.

        The end of the range is cut to 16 minutes ago; sessions that are not over by then
        are unfinished.

        Raises:
            UnknownSymbol: one of the symbols, which it names; to be asked again without it.
            NoData: none has a bar in the range. SourceError: see Source.fetch.
        """
        if not tile.symbols:
            raise InputError("symbol", None, "name some: Alpaca answers for named symbols")
        asked = _spelled(tile.symbols)
        until = (self.http.clock.now() - DELAY).replace(microsecond=0)
        with self.http.call() as call:
            answer = self._bars(call, tile, asked, until)
            return call.stamp(answer) if call.http_status is not None else answer

    def ask(self, question: Question) -> Facts:
        """The latest trade of a symbol, or of several, from IEX (the free plan's only live feed).

        QUOTES: open, high, low and volume are of IEX's part of the session.

        Raises:
            InputError: another feed, none or too many symbols. SourceError: see Source.ask.
        """
        if question.feed is not Feed.QUOTE:
            return super().ask(question)
        if question.symbols:
            return self._several(question.symbols)
        if question.symbol is None:
            raise InputError("symbol", None, "name one: a quote is of one symbol")
        symbol = parse_symbol(question.symbol)
        ticker = _spelling(symbol)
        if ticker is None:
            raise UnknownSymbol(NAME, symbol.ticker, ABROAD)
        with self.http.call() as call:
            frame = call.get(
                f"/v2/stocks/{quote(ticker)}/snapshot",
                {"feed": "iex"},
                read=lambda r: parse_snapshot(
                    r.status, r.body, ticker=ticker, symbol=symbol.ticker
                ),
            )
            return call.stamp(Facts(Feed.QUOTE, frame))

    def _several(self, symbols: tuple[str, ...]) -> Facts:
        """``GET /v2/stocks/snapshots``; a ticker that it refuses is left out, the rest asked again.

        Raises:
            InputError: too many symbols. NoData: a quote of none. SourceError: see Source.ask.
        """
        if len(symbols) > MOST_SYMBOLS:
            raise InputError("symbols", len(symbols), f"name 1 to {MOST_SYMBOLS}")
        spelled = ((_spelling(s), s.ticker) for s in map(parse_symbol, symbols))
        asked = {spelling: ticker for spelling, ticker in spelled if spelling is not None}
        with self.http.call() as call:
            while asked:
                try:
                    frame, rejected = call.get(
                        "/v2/stocks/snapshots",
                        {"symbols": ",".join(asked), "feed": "iex"},
                        read=lambda r: parse_snapshots(r.status, r.body, asked=asked),
                    )
                except UnknownSymbol as error:
                    if asked.pop(error.symbol, None) is None or call.requests >= MOST_REFUSED:
                        raise NoData(NAME, error.detail) from None
                else:
                    return call.stamp(Facts(Feed.QUOTE, frame, rejected))
            raise NoData(NAME, f"no quote of {', '.join(symbols)[:80]}: {ABROAD}")

    def _bars(self, call: Call, tile: Tile, asked: dict[str, str], until: datetime) -> Answer:
        """The answer for what is over by ``until``."""
        waiting = _not_over(tile, until)
        if until <= _midnight(tile.start):
            return Answer(unfinished=waiting, requests=0)
        try:
            pages = self._pages(call, tile, asked, until)
        except TooRecent:
            cut = _midnight(min(waiting, default=tile.start)) - timedelta(seconds=1)
            if not waiting or until <= cut:
                raise
            return self._bars(call, tile, asked, cut)
        except UnknownSymbol as error:
            symbol = asked.get(error.symbol, error.symbol)
            raise UnknownSymbol(NAME, symbol, error.detail.partition(": ")[2]) from None
        answer = _within(_answer(pages), tile)
        answer = replace(answer, unfinished=answer.unfinished | waiting)
        if answer.bars.is_empty() and answer.rejected.is_empty() and not answer.unfinished:
            names = ", ".join(asked.values())
            raise NoData(NAME, f"{names[:80]}: no bars in {tile.start}..{tile.end}")
        return answer

    def _pages(self, call: Call, tile: Tile, asked: dict[str, str], until: datetime) -> list[Page]:
        """``GET /v2/stocks/bars``, paged across symbols."""
        last = _midnight(tile.end + timedelta(days=1)) - timedelta(seconds=1)
        params: dict[str, str | int] = {
            "symbols": ",".join(asked),
            "timeframe": TIMEFRAME[tile.interval],
            "start": _text(_midnight(tile.start)),
            "end": _text(min(last, until)),
            "limit": BARS_A_REQUEST,
            "adjustment": "raw",
            "feed": "sip",
            "sort": "asc",
        }
        pages: list[Page] = []
        seen: set[str] = set()
        while True:
            page = call.get(
                "/v2/stocks/bars",
                params,
                read=lambda r: parse_bars(
                    r.status, r.body, asked=asked, interval=tile.interval, now=r.received_at
                ),
                cache=last <= until,
                settled_at=closing(tile.end, US_MARKET) + SETTLES_WITHIN,
            )
            pages.append(page)
            if page.next_token is None:
                return pages
            if page.next_token in seen or len(pages) >= MOST_PAGES:
                raise Malformed(NAME, f"page {len(pages)} leads nowhere new")
            seen.add(page.next_token)
            params = {**params, "page_token": page.next_token}


def _spelled(symbols: tuple[str, ...]) -> dict[str, str]:
    """Canonical tickers by Alpaca's spelling. Raises UnknownSymbol where it has none."""
    asked: dict[str, str] = {}
    for ticker in symbols:
        symbol = parse_symbol(ticker)
        spelling = _spelling(symbol)
        if spelling is None:
            raise UnknownSymbol(NAME, symbol.ticker, ABROAD)
        asked[spelling] = symbol.ticker
    return asked


def _spelling(symbol: Symbol) -> str | None:
    """Alpaca's ticker: BRK.B, BAC.PRB, OXY.WS, AAM.U, CELG.RT; None for what is no US share."""
    if symbol.asset_class not in SHARES or default_calendar(symbol) != US_MARKET:
        return None
    share = us_share(symbol)
    if share is not None and share.kind == "R":
        return ".".join([share.root, "RT", *share.tails])
    return symbol.ticker


def _midnight(day: date) -> datetime:
    """New York's midnight, in UTC."""
    return datetime.combine(day, time(), NEW_YORK).astimezone(UTC)


def _text(instant: datetime) -> str:
    return instant.strftime("%Y-%m-%dT%H:%M:%SZ")


def _not_over(tile: Tile, until: datetime) -> frozenset[date]:
    """The tile's sessions whose close is after ``until``."""
    first = max(tile.start, until.astimezone(NEW_YORK).date())
    if first > tile.end:
        return frozenset()
    days: list[date] = get_calendar(US_MARKET).sessions(first, tile.end).tolist()
    hours = {day: trading_hours(day, US_MARKET) for day in days}
    return frozenset(day for day, span in hours.items() if span and span[1] > until)


def _answer(pages: list[Page]) -> Answer:
    return Answer(
        bars=pl.concat([page.bars for page in pages])
        .unique(["symbol", "ts"], keep="last")
        .sort("symbol", "ts"),
        rejected=pl.concat([page.rejected for page in pages]),
        unfinished=frozenset().union(*(page.unfinished for page in pages)),
        currency="USD",
    )


def _within(answer: Answer, tile: Tile) -> Answer:
    """The bars of the range asked for."""
    inside = pl.col("session").is_between(tile.start, tile.end)
    return replace(answer, bars=answer.bars.filter(inside))


def build(setup: Setup) -> AlpacaSource:
    """The source, wired. Raises InputError without both keys."""
    secrets = Secrets(
        headers={
            "APCA-API-KEY-ID": setup.needed_key(KEYS_AT),
            "APCA-API-SECRET-KEY": setup.needed_key(KEYS_AT, SECRET_VARIABLE),
        }
    )
    return AlpacaSource(setup.capabilities, setup.http_client(BASE_URL, secrets))


SPEC = SourceSpec(CAPABILITIES, build, base_url=BASE_URL)
