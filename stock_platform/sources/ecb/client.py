"""Asking the European Central Bank for reference rates.

Belongs here: addresses, the choice of file, what is not published yet. Does not: reading
answers (parse.py).
"""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import polars as pl

from stock_platform.domain.calendar import get_calendar
from stock_platform.domain.capabilities import Tile
from stock_platform.domain.errors import InputError, NoData, UnknownSymbol
from stock_platform.domain.symbols import AssetClass, Symbol, pair_of, parse_symbol
from stock_platform.sources.base import Answer
from stock_platform.sources.ecb.config import (
    BASE_URL,
    CAPABILITIES,
    NAME,
    RECENT_DAYS,
    RECENT_PATH,
    WHOLE_PATH,
)
from stock_platform.sources.ecb.parse import CALENDAR, parse_rates
from stock_platform.sources.spec import Setup, SourceSpec, VendorSource

ZONE = ZoneInfo("Europe/Berlin")
PUBLISHED_BY = time(18)
"""Central European Time; the bank says about 16:00."""


class EcbSource(VendorSource):
    """The European Central Bank as a Source."""

    def fetch(self, tile: Tile) -> Answer:
        """The rates of one pair EUR/X between ``tile.start`` and ``tile.end``.

        A rate is final once it is published, so one of today is a bar. ``currency`` is X.

        Raises:
            UnknownSymbol: another pair, or a currency without rates. NoData: none in the
                range. SourceError: see Source.fetch.
        """
        if tile.symbol is None:
            raise InputError("symbol", None, "name one: rates are of one pair at a time")
        symbol = parse_symbol(tile.symbol)
        currency = _currency(symbol)
        recent = tile.start >= self.http.clock.now().date() - timedelta(days=RECENT_DAYS)
        with self.http.call() as call:
            rates = call.get(
                RECENT_PATH if recent else WHOLE_PATH,
                {},
                read=lambda r: parse_rates(
                    r.status, r.body, symbol=symbol.ticker, currency=currency, whole=not recent
                ),
                cache=True,
                settled_at=_published(tile.end),
            )
            inside = pl.col("session").is_between(tile.start, tile.end)
            bars = rates.bars.filter(inside)
            rejected = rates.rejected.filter(inside | pl.col("session").is_null())
            waiting = _waiting(tile, bars, call.received_at or self.http.clock.now())
            if bars.is_empty() and rejected.is_empty() and not waiting:
                raise NoData(NAME, f"{symbol.ticker}: no rates in {tile.start}..{tile.end}")
            return call.stamp(
                Answer(bars=bars, rejected=rejected, unfinished=waiting, currency=currency)
            )


def _currency(symbol: Symbol) -> str:
    """The X of EUR/X. Raises UnknownSymbol with what to ask instead."""
    pair = pair_of(symbol)
    if symbol.asset_class is not AssetClass.FX or pair is None:
        raise UnknownSymbol(NAME, symbol.ticker, "the ECB has currencies only, like EUR/USD")
    base, currency = pair
    if base == "EUR":
        return currency
    if currency == "EUR":
        hint = f"only EUR/{base} is published; ask for that one"
    else:
        hint = f"only rates of the euro are published: EUR/{base} and EUR/{currency}"
    raise UnknownSymbol(NAME, symbol.ticker, hint)


def _published(day: date) -> datetime:
    return datetime.combine(day, PUBLISHED_BY, ZONE)


def _waiting(tile: Tile, bars: pl.DataFrame, now: datetime) -> frozenset[date]:
    """The tile's sessions without a rate that may still get one."""
    first = max(tile.start, now.date() - timedelta(days=1))
    if first > tile.end:
        return frozenset()
    days: list[date] = get_calendar(CALENDAR).sessions(first, tile.end).tolist()
    there = set(bars["session"])
    return frozenset(day for day in days if day not in there and now < _published(day))


def build(setup: Setup) -> EcbSource:
    """The source, wired."""
    return EcbSource(setup.capabilities, setup.http_client(BASE_URL, accept="application/xml"))


SPEC = SourceSpec(CAPABILITIES, build, base_url=BASE_URL)
