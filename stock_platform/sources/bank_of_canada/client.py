"""Asking the Bank of Canada for exchange rates.

Belongs here: addresses, parameters, what is not published yet. Does not: reading answers
(parse.py).
"""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import polars as pl

from stock_platform.domain.calendar import get_calendar
from stock_platform.domain.capabilities import Tile
from stock_platform.domain.errors import InputError, NoData, UnknownSymbol
from stock_platform.domain.symbols import AssetClass, Symbol, pair_of, parse_symbol
from stock_platform.sources.bank_of_canada.config import BASE_URL, CAPABILITIES, NAME
from stock_platform.sources.bank_of_canada.parse import CALENDAR, parse_observations
from stock_platform.sources.base import Answer
from stock_platform.sources.spec import Setup, SourceSpec, VendorSource

ZONE = ZoneInfo("America/Toronto")
PUBLISHED_BY = time(18, 30)
"""In Toronto; the bank says by 16:30."""


class BankOfCanadaSource(VendorSource):
    """The Bank of Canada as a Source."""

    def fetch(self, tile: Tile) -> Answer:
        """The rates of one pair X/CAD or CAD/X between ``tile.start`` and ``tile.end``.

        A rate is final once it is published, so one of today is a bar. ``currency`` is the
        pair's second.

        Raises:
            UnknownSymbol: another pair, or a currency without rates. NoData: none in the
                range. SourceError: see Source.fetch.
        """
        if tile.symbol is None:
            raise InputError("symbol", None, "name one: rates are of one pair at a time")
        symbol = parse_symbol(tile.symbol)
        base, currency = _pair(symbol)
        series = f"FX{base}{currency}"
        with self.http.call() as call:
            try:
                rates = call.get(
                    f"/valet/observations/{series}/json",
                    {"start_date": str(tile.start), "end_date": str(tile.end)},
                    read=lambda r: parse_observations(
                        r.status, r.body, symbol=symbol.ticker, series=series
                    ),
                    cache=True,
                    settled_at=_published(tile.end),
                )
            except NoData:
                waiting = _waiting(tile, set(), self.http.clock.now())
                if not waiting:
                    raise
                return call.stamp(Answer(unfinished=waiting, currency=currency))
            inside = pl.col("session").is_between(tile.start, tile.end)
            bars = rates.bars.filter(inside)
            rejected = rates.rejected.filter(inside | pl.col("session").is_null())
            now = call.received_at or self.http.clock.now()
            waiting = _waiting(tile, set(bars["session"]), now)
            if bars.is_empty() and rejected.is_empty() and not waiting:
                raise NoData(NAME, f"{symbol.ticker}: no rates in {tile.start}..{tile.end}")
            return call.stamp(
                Answer(bars=bars, rejected=rejected, unfinished=waiting, currency=currency)
            )


def _pair(symbol: Symbol) -> tuple[str, str]:
    """The pair, one of which is CAD. Raises UnknownSymbol with what to ask instead."""
    pair = pair_of(symbol)
    if symbol.asset_class is not AssetClass.FX or pair is None:
        hint = "the Bank of Canada has currencies only, like USD/CAD"
        raise UnknownSymbol(NAME, symbol.ticker, hint)
    if "CAD" not in pair:
        hint = f"only rates of the Canadian dollar are published: {pair[0]}/CAD, {pair[1]}/CAD"
        raise UnknownSymbol(NAME, symbol.ticker, hint)
    return pair


def _published(day: date) -> datetime:
    return datetime.combine(day, PUBLISHED_BY, ZONE)


def _waiting(tile: Tile, there: set[date], now: datetime) -> frozenset[date]:
    """The tile's sessions without a rate that may still get one."""
    first = max(tile.start, now.date() - timedelta(days=1))
    if first > tile.end:
        return frozenset()
    days: list[date] = get_calendar(CALENDAR).sessions(first, tile.end).tolist()
    return frozenset(day for day in days if day not in there and now < _published(day))


def build(setup: Setup) -> BankOfCanadaSource:
    """The source, wired."""
    return BankOfCanadaSource(setup.capabilities, setup.http_client(BASE_URL))


SPEC = SourceSpec(CAPABILITIES, build, base_url=BASE_URL)
