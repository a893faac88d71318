"""Asking Tiingo.

Belongs here: addresses, parameters, which days are still to come. Does not: reading answers
(parse.py, profile.py), limits and depths (config.py), spelling (spelling.py). The key travels
in a header, never in an address.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from urllib.parse import quote

import polars as pl

from stock_platform.domain.bars import Interval
from stock_platform.domain.capabilities import Feed, Tile
from stock_platform.domain.errors import InputError, NoData
from stock_platform.domain.symbols import Symbol, default_calendar, parse_symbol
from stock_platform.sources.base import Answer, Facts, Question
from stock_platform.sources.http import Call, Response
from stock_platform.sources.payload import closing, trading_hours
from stock_platform.sources.spec import Setup, SourceSpec, VendorSource
from stock_platform.sources.tiingo.config import (
    BASE_URL,
    CAPABILITIES,
    CRYPTO,
    CRYPTO_INTRADAY,
    DAILY,
    HOUR_SECONDS,
    IEX,
    KEYS_AT,
    NAME,
)
from stock_platform.sources.tiingo.envelope import document_of
from stock_platform.sources.tiingo.parse import Page, Wanted, read_coin, read_rows
from stock_platform.sources.tiingo.profile import read_profile
from stock_platform.sources.tiingo.spelling import spell, spell_coin
from stock_platform.sources.transport import Secrets

FREQUENCY = {
    Interval.MINUTE: "1min",
    Interval.MINUTES_5: "5min",
    Interval.MINUTES_15: "15min",
    Interval.HOUR: "1hour",
    Interval.DAY: "1day",
}
PUBLISHED_WITHIN = timedelta(hours=12)
"""After the close, for a share's or a fund's day to be there."""

SETTLES_WITHIN = timedelta(hours=12)


@dataclass(frozen=True)
class TiingoSource(VendorSource):
    """Tiingo as a Source. ``pace``: seconds of ours for one of the vendor's."""

    pace: float = 1.0

    def fetch(self, tile: Tile) -> Answer:
        """The bars of one symbol over a range: one request.

        ``daily`` has the range's splits and dividends besides.

        Raises:
            SourceError: see Source.fetch. UnknownSymbol without asking where the vendor has
                no spelling for the symbol.
        """
        if tile.symbol is None:
            raise InputError("symbol", None, "name one: Tiingo answers for one symbol")
        symbol = parse_symbol(tile.symbol)
        coin = tile.endpoint in (CRYPTO.name, CRYPTO_INTRADAY.name)
        with self.http.call() as call:
            late = PUBLISHED_WITHIN if tile.endpoint == DAILY.name else timedelta()
            calendar = default_calendar(symbol)
            try:
                page, currency = (self._coin if coin else self._share)(call, symbol, tile)
            except NoData:
                to_come = self._to_come(tile, date.min, calendar, late)
                if not to_come:
                    raise
                return call.stamp(Answer(unfinished=frozenset(to_come)))
            last = page.bars["session"].max()
            after = last if isinstance(last, date) else date.min
            to_come = self._to_come(tile, after, calendar, late)
            return call.stamp(_answer(page, tile, to_come, currency))

    def ask(self, question: Question) -> Facts:
        """PROFILE: name and exchange of one US share; one request.

        Raises:
            InputError: another feed, or no symbol. UnknownSymbol. SourceError: see Source.ask.
        """
        if question.feed is not Feed.PROFILE:
            return super().ask(question)
        if question.symbol is None:
            raise InputError("symbol", None, "name one: a profile is of one symbol")
        symbol = parse_symbol(question.symbol)
        with self.http.call() as call:
            frame = call.get(
                f"/tiingo/daily/{quote(spell(symbol))}",
                {},
                read=lambda r: read_profile(self._document(r, symbol), symbol),
            )
            return call.stamp(Facts(Feed.PROFILE, frame))

    def _share(self, call: Call, symbol: Symbol, tile: Tile) -> tuple[Page, str | None]:
        """``GET /tiingo/daily/{ticker}/prices`` or ``/iex/{ticker}/prices``."""
        iex = tile.endpoint == IEX.name
        path = f"/{'iex' if iex else 'tiingo/daily'}/{quote(spell(symbol))}/prices"
        params: dict[str, str | int] = {
            "startDate": str(tile.start),
            "endDate": str(tile.end),
            "format": "json",
            "resampleFreq": FREQUENCY[tile.interval] if iex else "daily",
        }
        calendar = default_calendar(symbol)

        def read(response: Response) -> Page:
            wanted = Wanted(
                symbol.ticker,
                tile.interval,
                calendar,
                response.received_at,
                volumes=not iex,
                new_york_days=iex,
            )
            return read_rows(self._document(response, symbol), wanted)

        settled = closing(tile.end, calendar) + SETTLES_WITHIN
        return call.get(path, params, read, cache=True, settled_at=settled), "USD"

    def _coin(self, call: Call, symbol: Symbol, tile: Tile) -> tuple[Page, str | None]:
        """``GET /tiingo/crypto/prices``."""
        ticker = spell_coin(symbol)
        beyond = timedelta(days=1) if tile.interval.intraday else timedelta()
        params: dict[str, str | int] = {
            "tickers": ticker,
            "startDate": str(tile.start),
            "endDate": str(tile.end + beyond),  # of minutes an end is an instant, its midnight
            "resampleFreq": FREQUENCY[tile.interval],
        }
        calendar = default_calendar(symbol)

        def read(response: Response) -> tuple[Page, str | None]:
            wanted = Wanted(symbol.ticker, tile.interval, calendar, response.received_at)
            return read_coin(self._document(response, symbol), ticker, wanted)

        settled = closing(tile.end, calendar) + SETTLES_WITHIN
        return call.get("/tiingo/crypto/prices", params, read, cache=True, settled_at=settled)

    def _document(self, response: Response, symbol: Symbol) -> dict[str, object] | list[object]:
        return document_of(
            response.status, response.body, symbol.ticker, response.received_at, self.pace
        )

    def _to_come(self, tile: Tile, last: date, calendar: str, late: timedelta) -> set[date]:
        """Sessions of the tile that are not over, or after ``last`` and perhaps not published."""
        now = self.http.clock.now()
        start = max(tile.start, (now - late).date() - timedelta(days=2))
        days = [start + timedelta(days=n) for n in range((tile.end - start).days + 1)]
        ends = {day: hours[1] for day in days if (hours := trading_hours(day, calendar))}
        return {
            day for day, end in ends.items() if now < end + (late if day > last else timedelta())
        }


def _answer(page: Page, tile: Tile, to_come: set[date], currency: str | None) -> Answer:
    """What lies in the tile. Raises NoData where that is nothing."""
    inside = pl.col("session").is_between(tile.start, tile.end)
    events = pl.col("ex_date").is_between(tile.start, tile.end)
    bars = page.bars.filter(inside)
    rejected = page.rejected.filter(inside | pl.col("session").is_null())
    unfinished = {day for day in page.unfinished if tile.start <= day <= tile.end} | to_come
    if bars.is_empty() and rejected.is_empty() and not unfinished:
        raise NoData(NAME, f"{tile.symbol}: no bars in {tile.start}..{tile.end}")
    return Answer(
        bars=bars,
        splits=page.splits.filter(events),
        dividends=page.dividends.filter(events),
        rejected=rejected,
        unfinished=frozenset(unfinished),
        currency=currency,
    )


def build(setup: Setup) -> TiingoSource:
    """The source, wired. Raises InputError without a key."""
    secrets = Secrets(headers={"Authorization": f"Token {setup.needed_key(KEYS_AT)}"})
    pace = setup.capabilities.limits[0].seconds / HOUR_SECONDS
    return TiingoSource(setup.capabilities, setup.http_client(BASE_URL, secrets), pace)


SPEC = SourceSpec(CAPABILITIES, build, base_url=BASE_URL)
