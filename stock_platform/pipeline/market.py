"""The market as the fetch engine sees it: who is who, what is missing, who else is asking.

Belongs here: questions to the catalog and the ledger that a fetch asks. Does not: SQL
(storage/), calls (fetching.py).
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta

import numpy as np
import polars as pl

from stock_platform.domain.calendar import get_calendar
from stock_platform.domain.capabilities import Endpoint, Tile
from stock_platform.domain.cells import AssetIds, CellGrid
from stock_platform.domain.clock import Clock, SystemClock
from stock_platform.domain.errors import InputError, UnknownSymbol
from stock_platform.domain.planning import PlanAsset
from stock_platform.domain.symbols import AssetClass, parse_symbol
from stock_platform.storage import assets as catalog
from stock_platform.storage import claims, ledger
from stock_platform.storage.catalog import last_directory
from stock_platform.storage.connection import Database

FOREVER = {"valid_from": date(1, 1, 1), "valid_to": date(9999, 12, 31)}


@dataclass(frozen=True)
class RollCall:
    """Who is in a whole-market answer.

    Attributes:
        owners: symbol, asset_id, valid_from, valid_to.
        cells: every asset that should be in such an answer, on its session.
        discovered: assets registered because of it.
        strangers: symbols that belong to no asset.
    """

    owners: pl.DataFrame
    cells: CellGrid
    discovered: int = 0
    strangers: list[str] = field(default_factory=list)


class Market:
    """Catalog, ledger and clocks for one exchange calendar.

    ``clock`` is the market's: which sessions are over. ``wall`` is the world's: when a
    vendor may be asked again. They differ where the market's clock is pinned.
    """

    def __init__(
        self, db: Database, clock: Clock, calendar: str, wall: Clock | None = None
    ) -> None:
        self.db = db
        self.clock = clock
        self.calendar = calendar
        self.wall = wall or SystemClock()

    def missing(self, grid: CellGrid, *, retry_failed: bool = False) -> CellGrid:
        """The cells of ``grid`` that need a call now."""
        return ledger.missing(self.db, grid, self.wall.now(), retry_failed=retry_failed)

    def claims(self) -> AbstractContextManager[claims.TileClaims]:
        """Claims on calls for the time of a fetch."""
        return claims.tile_claims(self.db)

    def listings(self, ids: AssetIds) -> pl.DataFrame:
        """asset_id, listed_on, delisted_on of the assets."""
        return self._of(ids).select("asset_id", "listed_on", "delisted_on")

    def plan_assets(self, ids: AssetIds) -> dict[int, PlanAsset]:
        """The assets as the planner knows them."""
        return {
            row["asset_id"]: PlanAsset(
                asset_id=row["asset_id"],
                symbol=row["ticker"],
                asset_class=AssetClass(row["asset_class"]),
                listed_on=row["listed_on"],
                delisted_on=row["delisted_on"],
                calendar=row["calendar"],
            )
            for row in self._of(ids).iter_rows(named=True)
        }

    def _of(self, ids: AssetIds) -> pl.DataFrame:
        return catalog.by_id(self.db, ids.tolist())

    def owner_of_row(self, tile: Tile) -> pl.DataFrame:
        """A row's answer is the asset's history, whatever its ticker was within its listing.

        Bars outside the listing are another company's, which has the ticker now.
        """
        listing = self.listings(np.array([tile.asset_id], dtype=np.int32)).row(0, named=True)
        first, last = listing["listed_on"], listing["delisted_on"]
        valid = FOREVER | ({"valid_from": first} if first else {})
        valid |= {"valid_to": last + timedelta(days=1)} if last else {}
        return pl.DataFrame(
            {
                "symbol": [tile.symbol],
                "asset_id": [tile.asset_id],
                **{k: [v] for k, v in valid.items()},
            },
            schema_overrides={"asset_id": pl.Int32()},
        )

    def roll_call(
        self, bars: pl.DataFrame, tile: Tile, endpoint: Endpoint, now: datetime
    ) -> RollCall:
        """Who is in a whole-market answer for ``tile.start``.

        A ticker means the asset that had it on that session. Where no directory keeps the
        catalog, new listings are registered; where one does, a ticker nobody knows may be a
        renamed asset's, and is left to the next directory.
        """
        session = tile.start
        owners = self._tickers_on(session)
        strangers = (
            bars.select("symbol").unique().join(owners, on="symbol", how="anti")
            .to_series().sort().to_list()
        )  # fmt: skip
        discovered = 0
        if strangers and session >= self._newest(now) and not last_directory(self.db):
            found = register_symbols(self.db, strangers, self.calendar)
            discovered = len(found)
            strangers = [s for s in strangers if s not in found]
            owners = self._tickers_on(session)
        everyone = catalog.universe(self.db, scope="market", calendar=self.calendar)
        present = everyone.filter(
            pl.col("asset_class").is_in([str(kind) for kind in endpoint.asset_classes])
            & (pl.col("listed_on").is_null() | (pl.col("listed_on") <= session))
            & (pl.col("delisted_on").is_null() | (pl.col("delisted_on") >= session))
        )
        cells = CellGrid.rectangle(present["asset_id"], [session], tile.interval)
        return RollCall(owners, cells, discovered, strangers)

    def _newest(self, now: datetime) -> date:
        """The session from which a ticker nobody knows is a new listing.

        In an older answer it may be another asset's former ticker, which only the catalog
        can tell. The newest answer may be a session old: vendors publish late.
        """
        exchange = get_calendar(self.calendar)
        return exchange.previous_session(exchange.last_completed(now))

    def _tickers_on(self, session: date) -> pl.DataFrame:
        """Who had which ticker on a session, as far as they were listed then."""
        held = catalog.ticker_map(self.db, session, session).rename({"ticker": "symbol"})
        listed = catalog.by_id(self.db, held["asset_id"].unique().to_list())
        return (
            held.join(listed.select("asset_id", "listed_on", "delisted_on"), on="asset_id")
            .filter(
                (pl.col("listed_on").is_null() | (pl.col("listed_on") <= session))
                & (pl.col("delisted_on").is_null() | (pl.col("delisted_on") >= session))
            )
            .drop("listed_on", "delisted_on")
        )

    def naming(self, tile: Tile, endpoint: Endpoint) -> list[Tile]:
        """A row's call under the tickers that the vendor knows the asset by.

        Most vendors have an asset's whole history under today's ticker; those with
        ``tickers_then`` have each day under the ticker of that day.

        Raises:
            UnknownSymbol: today's ticker is another asset's, or nobody's days are left.
        """
        if tile.asset_id is None or tile.symbol is None or endpoint.tickers_then is None:
            return [tile]
        if endpoint.tickers_then:
            held = catalog.ticker_map(self.db, tile.start, tile.end, [tile.asset_id])
            return _under_each(tile, held)
        present = catalog.resolve(self.db, [tile.symbol]).get(tile.symbol)
        if present not in (None, tile.asset_id):
            raise UnknownSymbol(
                tile.source, tile.symbol, "the ticker is another asset's now; it has its history"
            )
        return [tile]

    def sessions(self, start: date, end: date, parameter: str = "start..end") -> np.ndarray:
        """The completed sessions from start to end. Raises InputError where there are none."""
        if start > end:
            raise InputError("start", str(start), f"use a date up to the end, {end}")
        exchange = get_calendar(self.calendar)
        last = exchange.last_completed(self.clock.now())
        if start > last:
            raise InputError(
                "start", str(start), f"use a date up to the last completed session, {last}"
            )
        found = exchange.sessions(start, min(end, last))
        if not len(found):
            raise InputError(
                parameter,
                f"{start}..{end}",
                f"use a range with a session of {self.calendar}; "
                f"the next one after {start} is {exchange.next_session(start)}",
            )
        return found


def _under_each(tile: Tile, held: pl.DataFrame) -> list[Tile]:
    """A call for each ticker an asset had in the tile's range, over its days."""
    parts = []
    for ticker, start, until in held.select("ticker", "valid_from", "valid_to").iter_rows():
        first, last = max(tile.start, start), min(tile.end, until - timedelta(days=1))
        if first <= last:
            parts.append(replace(tile, symbol=ticker, start=first, end=last))
    parts = _whole(parts)
    if not parts:
        raise UnknownSymbol(tile.source, str(tile.symbol), "it had no ticker in that time")
    return parts


def _whole(parts: list[Tile]) -> list[Tile]:
    """The same with a ticker's spans that touch or overlap made one, by day."""
    made: list[Tile] = []
    for part in sorted(parts, key=lambda p: (str(p.symbol), p.start)):
        last = made[-1] if made else None
        if last and last.symbol == part.symbol and part.start <= last.end + timedelta(days=1):
            made[-1] = replace(last, end=max(last.end, part.end))
        else:
            made.append(part)
    return sorted(made, key=lambda p: (p.start, p.end))


def register_symbols(db: Database, tickers: list[str], calendar: str) -> dict[str, int]:
    """Register stocks by ticker; what is no ticker at all is left out of the answer."""
    new = []
    for ticker in tickers:
        try:
            symbol = parse_symbol(ticker)
        except InputError:
            continue
        new.append(catalog.NewAsset(symbol.ticker, symbol.asset_class, calendar))
    return catalog.register(db, new)
