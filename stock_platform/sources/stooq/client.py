"""Asking Stooq for a history.

Belongs here: the address and its parameters. Does not: reading answers (parse.py), limits
(config.py), spelling (spelling.py). A key, where there is one, travels apart from the address.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta

import polars as pl

from stock_platform.domain.bars import Basis
from stock_platform.domain.capabilities import Tile
from stock_platform.domain.errors import InputError, NoData
from stock_platform.domain.symbols import AssetClass, Symbol, default_calendar, parse_symbol
from stock_platform.sources.base import Answer
from stock_platform.sources.http import Response
from stock_platform.sources.payload import closing, trading_hours
from stock_platform.sources.spec import Setup, SourceSpec, VendorSource
from stock_platform.sources.stooq.config import BASE_URL, CAPABILITIES, DAY_SECONDS, NAME
from stock_platform.sources.stooq.parse import History, parse_history
from stock_platform.sources.stooq.spelling import currency_of, spell
from stock_platform.sources.transport import Secrets

PATH = "/q/d/l/"
PUBLISHED_WITHIN = timedelta(hours=12)
"""After the close, for a day's bar to be there, and to be final."""

ADJUSTED = (AssetClass.STOCK, AssetClass.ETF, AssetClass.FUND)


@dataclass(frozen=True)
class StooqSource(VendorSource):
    """Stooq as a Source. ``pace``: seconds of ours for one of Stooq's."""

    pace: float = 1.0

    def fetch(self, tile: Tile) -> Answer:
        """The daily bars of one symbol over a range, in one request.

        Raises:
            SourceError: see Source.fetch. UnknownSymbol without asking where Stooq has no
                spelling for the symbol.
        """
        if tile.symbol is None:
            raise InputError("symbol", None, "name one: Stooq answers for one symbol")
        symbol = parse_symbol(tile.symbol)
        calendar = default_calendar(symbol)
        params = {
            "s": spell(symbol),
            "d1": f"{tile.start:%Y%m%d}",
            "d2": f"{tile.end:%Y%m%d}",
            "i": "d",
        }

        def read(response: Response) -> History:
            return parse_history(
                response.status,
                response.body,
                symbol=symbol.ticker,
                calendar=calendar,
                now=response.received_at,
                pace=self.pace,
            )

        settled = closing(tile.end, calendar) + PUBLISHED_WITHIN
        with self.http.call() as call:
            try:
                history = call.get(PATH, params, read, cache=True, settled_at=settled)
            except NoData:
                live = self._to_come(tile, date.min, calendar)
                if live and min(live) <= tile.start:  # nothing else was asked for
                    return call.stamp(Answer(unfinished=frozenset(live)))
                raise
            return call.stamp(self._answer(history, symbol, tile))

    def _answer(self, history: History, symbol: Symbol, tile: Tile) -> Answer:
        """The bars of the tile; sessions at its end may still be published."""
        inside = pl.col("session").is_between(tile.start, tile.end)
        last = history.bars["session"].max()
        live = {day for day in history.unfinished if tile.start <= day <= tile.end}
        after = last if isinstance(last, date) else date.min
        live |= self._to_come(tile, after, default_calendar(symbol))
        bars = history.bars.filter(inside)
        rejected = history.rejected.filter(inside | pl.col("session").is_null())
        if bars.is_empty() and rejected.is_empty() and not live:
            raise NoData(NAME, f"{symbol.ticker}: no bars in {tile.start}..{tile.end}")
        adjusted = symbol.asset_class in ADJUSTED
        return Answer(
            bars=bars,
            basis=Basis.FULLY_ADJUSTED if adjusted else Basis.AS_TRADED,
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


def build(setup: Setup) -> StooqSource:
    """The source, wired; it works without a key, as far as Stooq lets it."""
    key = setup.key(CAPABILITIES.may_use[0])
    secrets = Secrets(params={"apikey": key}) if key else None
    http = setup.http_client(BASE_URL, secrets, accept="text/csv, text/plain")
    pace = max(limit.seconds for limit in setup.capabilities.limits) / DAY_SECONDS
    return StooqSource(setup.capabilities, http, pace)


SPEC = SourceSpec(CAPABILITIES, build, base_url=BASE_URL)
