"""Asking Polygon/Massive for aggregates and reference data.

Belongs here: addresses, parameters, paging. Does not: reading answers (parse.py,
reference.py), limits and depths (config.py). The key travels in a Bearer header, never in an
address.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import date, timedelta
from urllib.parse import parse_qsl, quote, urlsplit

import polars as pl

from stock_platform.domain.bars import Interval
from stock_platform.domain.capabilities import Feed, Tile, TileShape
from stock_platform.domain.errors import InputError, Malformed, NoData, UnknownSymbol
from stock_platform.domain.symbols import (
    AssetClass,
    Symbol,
    default_calendar,
    parse_symbol,
    to_vendor,
)
from stock_platform.sources.base import Answer, Facts, Question
from stock_platform.sources.http import Call
from stock_platform.sources.payload import closing, trading_hours
from stock_platform.sources.polygon.config import (
    BARS_PER_PAGE,
    BASE_URL,
    CAPABILITIES,
    KEYS_AT,
    NAME,
    ROWS_PER_PAGE,
)
from stock_platform.sources.polygon.parse import NEW_YORK, Page, parse_grouped, parse_range
from stock_platform.sources.polygon.reference import (
    Read,
    parse_list,
    parse_previous,
    parse_profile,
    read_dividends,
    read_listing,
    read_splits,
)
from stock_platform.sources.spec import Setup, SourceSpec, VendorSource
from stock_platform.sources.transport import Secrets

US_MARKET = "XNYS"
MULTIPLIER = {
    Interval.MINUTE: "1/minute",
    Interval.MINUTES_5: "5/minute",
    Interval.MINUTES_15: "15/minute",
    Interval.HOUR: "1/hour",
    Interval.DAY: "1/day",
}
KEY_PARAMETERS = {"apikey", "api_key", "key", "token"}
MOST_PAGES = 200
PUBLISHED_WITHIN = timedelta(hours=36)
"""After the close, for the day's whole-market answer to be there."""

SETTLES_WITHIN = timedelta(hours=4)

WIDENED = timedelta(days=31)
"""By so much the vendor widens a range at the most."""


class PolygonSource(VendorSource):
    """Polygon/Massive as a Source."""

    def fetch(self, tile: Tile) -> Answer:
        """The bars of one symbol over a range, or of the whole market on one session.

        Raises:
            SourceError: see Source.fetch.
        """
        shape = self.capabilities.endpoint(tile.endpoint).shape
        with self.http.call() as call:
            answer = (
                self._grouped(call, tile) if shape is TileShape.COLUMN else self._range(call, tile)
            )
            return call.stamp(answer)

    def ask(self, question: Question) -> Facts:
        """Splits, dividends, the directory, a company, or a previous close.

        Splits and dividends are of one symbol, or without one of every ticker; an open end
        is today, since what is announced may still be called off. None at all is an empty
        frame. The directory holds the stocks and funds that trade now.

        Raises:
            InputError: another feed, or no symbol for a profile or a quote.
            UnknownSymbol: of a profile. NoData: of a quote. SourceError: see Source.ask.
        """
        symbol = parse_symbol(question.symbol) if question.symbol is not None else None
        with self.http.call() as call:
            match question.feed:
                case Feed.SPLITS | Feed.DIVIDENDS:
                    read = self._actions(call, question, symbol)
                case Feed.LISTING:
                    read = self._listing(call, symbol)
                case Feed.PROFILE | Feed.QUOTE:
                    if symbol is None:
                        raise InputError("symbol", None, f"name one: a {question.feed} needs it")
                    read = self._one(call, question.feed, symbol)
                case _:
                    return super().ask(question)
            return call.stamp(Facts(question.feed, read.frame, read.rejected))

    def _actions(self, call: Call, question: Question, symbol: Symbol | None) -> Read:
        """``GET /v3/reference/splits`` or ``dividends``, paged."""
        splits = question.feed is Feed.SPLITS
        day = "execution_date" if splits else "ex_dividend_date"
        end = question.end or self.http.clock.now().astimezone(NEW_YORK).date()
        params: dict[str, str | int] = {"ticker": self._ticker(symbol)} if symbol else {}
        if question.start is not None:
            params[f"{day}.gte"] = str(question.start)
        params |= {f"{day}.lte": str(end), "sort": day, "order": "asc", "limit": ROWS_PER_PAGE}
        rows = self._rows(call, f"/v3/reference/{question.feed}", params)
        read = (read_splits if splits else read_dividends)(rows, symbol)
        inside = pl.col("ex_date") <= end if question.end else pl.lit(value=True)
        if question.start is not None:
            inside &= pl.col("ex_date") >= question.start
        return replace(read, frame=read.frame.filter(inside))

    def _listing(self, call: Call, symbol: Symbol | None) -> Read:
        """``GET /v3/reference/tickers``, paged."""
        which = {"ticker": self._ticker(symbol)} if symbol else {"market": "stocks"}
        params = {**which, "active": "true", "sort": "ticker", "order": "asc"}
        rows = self._rows(call, "/v3/reference/tickers", {**params, "limit": ROWS_PER_PAGE})
        if symbol and not rows:
            raise UnknownSymbol(NAME, symbol.ticker, "not in the directory of what trades now")
        return read_listing(rows, symbol)

    def _one(self, call: Call, feed: Feed, symbol: Symbol) -> Read:
        """``GET /v3/reference/tickers/{ticker}`` or ``/v2/aggs/ticker/{ticker}/prev``."""
        ticker = quote(self._ticker(symbol), safe=":")
        if feed is Feed.PROFILE:
            path = f"/v3/reference/tickers/{ticker}"
            return call.get(path, {}, read=lambda r: parse_profile(r.status, r.body, symbol))
        return call.get(
            f"/v2/aggs/ticker/{ticker}/prev",
            {"adjusted": "false"},
            read=lambda r: parse_previous(r.status, r.body, symbol),
        )

    def _rows(
        self, call: Call, path: str, params: Mapping[str, str | int]
    ) -> list[Mapping[str, object]]:
        """The rows of every page."""
        rows: list[Mapping[str, object]] = []
        what, seen = path, set[str]()
        while True:
            found, next_url = call.get(
                path, params, read=lambda r: parse_list(r.status, r.body, what)
            )
            rows += found
            if next_url is None:
                return rows
            if next_url in seen or len(seen) >= MOST_PAGES:
                raise Malformed(NAME, f"page {len(seen) + 1} of {what} leads nowhere new")
            seen.add(next_url)
            path, params = _next(next_url)

    def _grouped(self, call: Call, tile: Tile) -> Answer:
        """``GET /v2/aggs/grouped/locale/us/market/stocks/{date}``."""
        day = tile.start
        try:
            page = call.get(
                f"/v2/aggs/grouped/locale/us/market/stocks/{day}",
                {"adjusted": "false", "include_otc": "false"},
                read=lambda r: parse_grouped(r.status, r.body, session=day, calendar=US_MARKET),
                cache=True,
                settled_at=closing(day, US_MARKET) + SETTLES_WITHIN,
            )
        except NoData:
            if self._may_still_come(day):
                return Answer(unfinished=frozenset({day}))
            raise
        return _answer([page])

    def _may_still_come(self, day: date) -> bool:
        """Whether a session without any bar in the whole market is just not published."""
        hours = trading_hours(day, US_MARKET)
        return hours is not None and self.http.clock.now() < hours[1] + PUBLISHED_WITHIN

    def _range(self, call: Call, tile: Tile) -> Answer:
        """``GET /v2/aggs/ticker/{ticker}/range/{multiplier}/{timespan}/{from}/{to}``, paged."""
        if tile.symbol is None:
            raise InputError("symbol", None, "name one: this endpoint answers for one symbol")
        symbol = parse_symbol(tile.symbol)
        calendar = default_calendar(symbol)
        path = (
            f"/v2/aggs/ticker/{quote(self._ticker(symbol), safe=':')}/range/"
            f"{MULTIPLIER[tile.interval]}/{tile.start}/{tile.end}"
        )
        params: dict[str, str | int] = {"adjusted": "false", "sort": "asc", "limit": BARS_PER_PAGE}
        pages: list[Page] = []
        seen: set[str] = set()
        nothing: NoData | None = None
        while True:
            try:
                page = call.get(
                    path,
                    params,
                    read=lambda r: parse_range(
                        r.status,
                        r.body,
                        symbol=symbol.ticker,
                        interval=tile.interval,
                        calendar=calendar,
                        new_york_days=symbol.asset_class in (AssetClass.STOCK, AssetClass.ETF),
                        now=r.received_at,
                    ),
                    cache=True,
                    settled_at=closing(tile.end, calendar) + SETTLES_WITHIN,
                )
            except NoData as error:
                nothing = error
                break
            pages.append(page)
            if page.next_url is None:
                break
            if page.next_url in seen or len(pages) >= MOST_PAGES:
                raise Malformed(NAME, f"page {len(pages)} of {symbol.ticker} leads nowhere new")
            seen.add(page.next_url)
            path, params = _next(page.next_url)
        if not pages:
            raise nothing or NoData(NAME, f"{symbol.ticker}: no page")
        return _within(_answer(pages), tile)

    def _ticker(self, symbol: Symbol) -> str:
        try:
            return to_vendor(symbol, NAME)
        except InputError as error:
            raise UnknownSymbol(NAME, symbol.ticker, str(error)) from None


def _next(url: str) -> tuple[str, dict[str, str | int]]:
    """Path and parameters of the next page.

    The host is dropped, so that paging stays with our base address, and any key with it,
    since ours travels in a header.
    """
    parts = urlsplit(url)
    if not parts.path.startswith("/"):
        raise Malformed(NAME, "next_url is no address")
    kept = [(n, v) for n, v in parse_qsl(parts.query) if n.lower() not in KEY_PARAMETERS]
    return parts.path, dict(kept)


def _answer(pages: list[Page]) -> Answer:
    return Answer(
        bars=pl.concat([page.bars for page in pages])
        .unique(["symbol", "ts"], keep="last")
        .sort("symbol", "ts"),
        basis=pages[0].basis,
        rejected=pl.concat([page.rejected for page in pages]),
        unfinished=frozenset().union(*(page.unfinished for page in pages)),
        currency=pages[0].currency,
    )


def _within(answer: Answer, tile: Tile) -> Answer:
    """The bars of the range asked for; the vendor widens ranges to whole periods at times.

    Raises Malformed where all bars are of another time: stamps in another unit, say.
    """
    inside = pl.col("session").is_between(tile.start, tile.end)
    near = pl.col("session").is_between(tile.start - WIDENED, tile.end + WIDENED)
    if not answer.bars.is_empty() and answer.bars.filter(near).is_empty():
        given = answer.bars.row(0, named=True)["session"]
        raise Malformed(NAME, f"asked for {tile.start}..{tile.end}, was given bars of {given}")
    return replace(answer, bars=answer.bars.filter(inside))


def build(setup: Setup) -> PolygonSource:
    """The source, wired. Raises InputError without a key."""
    key = setup.needed_key(KEYS_AT)
    secrets = Secrets(headers={"Authorization": f"Bearer {key}"})
    return PolygonSource(setup.capabilities, setup.http_client(BASE_URL, secrets))


SPEC = SourceSpec(CAPABILITIES, build, base_url=BASE_URL)
