"""Asking Alpha Vantage.

Belongs here: functions, parameters, months. Does not: reading answers (parse.py, facts.py,
directory.py), limits and depths (config.py), spelling (spelling.py). The key is a parameter
that travels apart from the address.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta

import polars as pl

from stock_platform.domain.capabilities import Feed, Tile
from stock_platform.domain.errors import InputError, NoData, UnknownSymbol
from stock_platform.domain.symbols import (
    Symbol,
    default_calendar,
    pair_of,
    parse_symbol,
)
from stock_platform.sources.alpha_vantage.answers import Asked
from stock_platform.sources.alpha_vantage.config import (
    BASE_URL,
    CAPABILITIES,
    CRYPTO,
    DAILY,
    DAY_SECONDS,
    FX,
    KEYS_AT,
    NAME,
)
from stock_platform.sources.alpha_vantage.directory import parse_listing, parse_search
from stock_platform.sources.alpha_vantage.facts import parse_overview, parse_quote, parse_rate
from stock_platform.sources.alpha_vantage.parse import SERIES, Series, Wanted, parse_series
from stock_platform.sources.alpha_vantage.spelling import codes, currency_of, spell
from stock_platform.sources.base import Answer, Facts, Question
from stock_platform.sources.http import Call, Response
from stock_platform.sources.payload import closing, trading_hours
from stock_platform.sources.spec import Setup, SourceSpec, VendorSource
from stock_platform.sources.transport import Secrets

PATH = "/query"
PUBLISHED_WITHIN = timedelta(hours=12)
"""After the close, for a day's bar to be there."""

SETTLES_WITHIN = timedelta(hours=12)


@dataclass(frozen=True)
class AlphaVantageSource(VendorSource):
    """Alpha Vantage as a Source. ``pace``: seconds of ours for one of the vendor's."""

    pace: float = 1.0

    def fetch(self, tile: Tile) -> Answer:
        """The bars of one symbol: one request, of ``intraday`` one a calendar month.

        Raises:
            SourceError: see Source.fetch. UnknownSymbol without asking where the vendor has
                no spelling for the symbol.
        """
        if tile.symbol is None:
            raise InputError("symbol", None, "name one: Alpha Vantage answers for one symbol")
        symbol = parse_symbol(tile.symbol)
        asked = list(_requests(symbol, tile))
        with self.http.call() as call:
            series: list[Series] = []
            nothing: NoData | None = None
            for params in asked:
                try:
                    series.append(self._series(call, params, symbol, tile))
                except NoData as error:
                    nothing = error
            if not series:
                raise nothing or NoData(NAME, f"{symbol.ticker}: no answer")
            return call.stamp(self._answer(series, symbol, tile))

    def ask(self, question: Question) -> Facts:
        """One request.

        QUOTE: the last session's close of a share; of currencies and coins the present rate.
        PROFILE: of companies.
        LISTING: every US listing that is active; with an ``end`` alone (or equal to
        ``start``), those that were active on that day; with a ``start`` before it, those
        delisted from ``start`` to ``end`` (or to now). With a symbol: the best matches of it
        as a word, in all the vendor's markets.

        Raises:
            InputError: another feed, or no symbol where one is needed. SourceError: see
                Source.ask.
        """
        match question.feed:
            case Feed.LISTING:
                return self._listing(question)
            case Feed.QUOTE | Feed.PROFILE if question.symbol is None:
                raise InputError("symbol", None, f"name one: a {question.feed} is of one symbol")
            case Feed.QUOTE:
                return self._quote(parse_symbol(str(question.symbol)))
            case Feed.PROFILE:
                symbol = parse_symbol(str(question.symbol))
                params = {"function": "OVERVIEW", "symbol": spell(symbol)}
                with self.http.call() as call:
                    frame = call.get(
                        PATH,
                        params,
                        lambda r: parse_overview(r.status, r.body, self._of(symbol, r)),
                    )
                    return call.stamp(Facts(Feed.PROFILE, frame))
            case _:
                return super().ask(question)

    def _series(
        self, call: Call, params: dict[str, str | int], symbol: Symbol, tile: Tile
    ) -> Series:
        calendar = default_calendar(symbol)

        def read(response: Response) -> Series:
            wanted = Wanted(
                symbol.ticker,
                response.received_at,
                self.pace,
                interval=tile.interval,
                calendar=calendar,
                pair=pair_of(symbol),
            )
            return parse_series(response.status, response.body, wanted)

        settled = closing(tile.end, calendar) + SETTLES_WITHIN
        return call.get(PATH, params, read, cache=True, settled_at=settled)

    def _answer(self, series: list[Series], symbol: Symbol, tile: Tile) -> Answer:
        """The bars of the tile; sessions at its end may still be published."""
        inside = pl.col("session").is_between(tile.start, tile.end)
        bars = pl.concat([one.bars for one in series]).unique(["symbol", "ts"], keep="last")
        last = bars["session"].max()
        bars = bars.filter(inside).sort("symbol", "ts")
        rejected = pl.concat([one.rejected for one in series])
        rejected = rejected.filter(inside | pl.col("session").is_null())
        live = {day for one in series for day in one.unfinished if tile.start <= day <= tile.end}
        after = last if isinstance(last, date) else date.min
        live |= self._to_come(tile, after, default_calendar(symbol))
        if bars.is_empty() and rejected.is_empty() and not live:
            raise NoData(NAME, f"{symbol.ticker}: no bars in {tile.start}..{tile.end}")
        return Answer(
            bars=bars,
            rejected=rejected,
            unfinished=frozenset(live),
            currency=currency_of(symbol),
        )

    def _to_come(self, tile: Tile, last: date, calendar: str) -> set[date]:
        """Sessions of the tile that are not over, or after ``last`` and perhaps not published."""
        now = self.http.clock.now()
        start = max(tile.start, (now - PUBLISHED_WITHIN).date() - timedelta(days=2))
        days = [start + timedelta(days=n) for n in range((tile.end - start).days + 1)]
        ends = {day: h[1] for day in days if (h := trading_hours(day, calendar))}
        late = {day: PUBLISHED_WITHIN if day > last else timedelta() for day in ends}
        return {day for day, end in ends.items() if now < end + late[day]}

    def _quote(self, symbol: Symbol) -> Facts:
        calendar, currency = default_calendar(symbol), currency_of(symbol)
        pair = pair_of(symbol)
        params: dict[str, str | int]
        if pair is None:
            params = {"function": "GLOBAL_QUOTE", "symbol": spell(symbol)}
        else:
            base, quote = pair
            params = {"function": "CURRENCY_EXCHANGE_RATE", "from_currency": base}
            params["to_currency"] = quote

        def read(response: Response) -> pl.DataFrame:
            status, body, asked = response.status, response.body, self._of(symbol, response)
            if pair is not None:
                return parse_rate(status, body, asked, pair=pair)
            return parse_quote(status, body, asked, calendar=calendar, currency=currency)

        with self.http.call() as call:
            return call.stamp(Facts(Feed.QUOTE, call.get(PATH, params, read)))

    def _listing(self, question: Question) -> Facts:
        start, end = question.start, question.end
        delisted = start is not None and start != end
        params: dict[str, str | int]
        if question.symbol is not None:
            params = {"function": "SYMBOL_SEARCH", "keywords": question.symbol}
        elif delisted:
            params = {"function": "LISTING_STATUS", "state": "delisted"}
        else:
            params = {"function": "LISTING_STATUS", "state": "active"}
            if end is not None:
                params["date"] = str(end)
        parse = parse_listing if question.symbol is None else parse_search
        what = question.symbol or "the directory"
        with self.http.call() as call:
            frame, rejected = call.get(
                PATH,
                params,
                lambda r: parse(r.status, r.body, Asked(what, r.received_at, self.pace)),
            )
            if delisted and question.symbol is None:
                until = end or self.http.clock.now().date()
                frame = frame.filter(pl.col("delisted_on").is_between(start, until))
                if frame.is_empty():
                    raise NoData(NAME, f"nothing was delisted in {start}..{until}")
            return call.stamp(Facts(Feed.LISTING, frame, rejected))

    def _of(self, symbol: Symbol, response: Response) -> Asked:
        return Asked(symbol.ticker, response.received_at, self.pace)


def _requests(symbol: Symbol, tile: Tile) -> Iterator[dict[str, str | int]]:
    """The parameters of each request that a tile takes."""
    match tile.endpoint:
        case DAILY.name:
            yield {
                "function": "TIME_SERIES_DAILY",
                "symbol": spell(symbol),
                "outputsize": "compact",
            }
        case FX.name:
            base, quote = codes(symbol)
            yield {
                "function": "FX_DAILY",
                "from_symbol": base,
                "to_symbol": quote,
                "outputsize": "compact",
            }
        case CRYPTO.name:
            base, quote = codes(symbol)
            yield {"function": "DIGITAL_CURRENCY_DAILY", "symbol": base, "market": quote}
        case _:
            if default_calendar(symbol) != "XNYS":
                raise UnknownSymbol(NAME, symbol.ticker, "Alpha Vantage has US minutes only")
            for month in _months(tile.start, tile.end):
                yield {
                    "function": "TIME_SERIES_INTRADAY",
                    "symbol": spell(symbol),
                    "interval": SERIES[tile.interval],
                    "month": month,
                    "adjusted": "false",
                    "extended_hours": "false",
                    "outputsize": "full",
                }


def _months(start: date, end: date) -> list[str]:
    """``2024-02, 2024-03``: the calendar months of a range."""
    first, last = start.year * 12 + start.month - 1, end.year * 12 + end.month - 1
    return [f"{month // 12}-{month % 12 + 1:02d}" for month in range(first, last + 1)]


def build(setup: Setup) -> AlphaVantageSource:
    """The source, wired. Raises InputError without a key."""
    secrets = Secrets(params={"apikey": setup.needed_key(KEYS_AT)})
    pace = max(limit.seconds for limit in setup.capabilities.limits) / DAY_SECONDS
    return AlphaVantageSource(setup.capabilities, setup.http_client(BASE_URL, secrets), pace)


SPEC = SourceSpec(CAPABILITIES, build, base_url=BASE_URL)
