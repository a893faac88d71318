"""Learning who is in the market: from directories, or else from whole-market prices.

Belongs here: which of the two, and what a refresh reports. Does not: directories themselves
(directories.py), registering symbols of a run's answers (market.py).

Prices of the whole market name every ticker that traded, and nothing else: no renames, no
delistings. They are the way where no directory is to be had.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta

import polars as pl

from stock_platform.domain.bars import Interval
from stock_platform.domain.calendar import get_calendar
from stock_platform.domain.capabilities import Endpoint, Tile, TileShape
from stock_platform.domain.cells import CellGrid
from stock_platform.domain.errors import InputError, NoData
from stock_platform.pipeline.answers import Moment, batch_of
from stock_platform.pipeline.directories import Directories, DirectoryReport, curated_list
from stock_platform.pipeline.fetching import first_unpublished
from stock_platform.pipeline.market import Market
from stock_platform.pipeline.router import Router
from stock_platform.sources.base import Source
from stock_platform.storage import assets, writers
from stock_platform.storage import catalog as storage

LOOK_BACK = timedelta(days=10)


@dataclass(frozen=True)
class CatalogReport:
    """What a refresh found: assets in all, added, rows stored, and calls by source."""

    total: int
    added: int
    rows: int
    calls: Counter[str]
    session: str | None
    directories: list[DirectoryReport] = field(default_factory=list)

    @property
    def refused(self) -> list[DirectoryReport]:
        """Refreshes that changed nothing because the directory cannot be true."""
        return [made for made in self.directories if made.status == "refused"]


def refresh(
    market: Market,
    sources: Mapping[str, Source],
    router: Router,
    run_id: str | None = None,
    *,
    only: Sequence[str] = (),
    dry_run: bool = False,
    force: bool = False,
    shares_only: bool = False,
) -> CatalogReport:
    """Refresh the catalog: US shares, the largest coins, the curated list.

    Shares come from directories. Where there never was one, they come from the last session's
    whole-market prices; later a ticker nobody knows may be a renamed asset's, which prices
    cannot tell.

    Args:
        market: the catalog's market.
        sources: those that are on.
        router: how they fare.
        run_id: whose refresh it is.
        only: ask these sources alone.
        dry_run: tell what would change, and change nothing.
        force: apply a directory that looks wrong.
        shares_only: leave out coins and the curated list.

    Raises:
        InputError: no source has a directory or whole-market prices, or ``only`` names one
            that has none.
        SourceError: the only way there is to learn the market did not answer.
    """
    ours = Directories(market.db, sources, router, market.clock, run_id=run_id)
    made: list[DirectoryReport] = []
    before = assets.count(market.db)
    prices: CatalogReport | None = None
    if not only or set(only) - {"coingecko"}:
        if only or ours.has("shares"):
            made.append(ours.shares([n for n in only if n != "coingecko"], dry_run=dry_run,
                                    force=force))  # fmt: skip
        told = bool(made) and made[0].status not in ("unavailable", "refused")
        if not (told or dry_run or only or storage.last_directory(market.db)):
            prices = refresh_catalog(market, sources, run_id)
        elif not made:
            made.append(ours.shares(dry_run=dry_run, force=force))
    if not shares_only:
        if (not only and ours.has("crypto")) or "coingecko" in only:
            made.append(ours.coins(dry_run=dry_run))
        if not only:
            made.append(ours.curated(dry_run=dry_run))
    total = assets.count(market.db)
    calls = sum((m.calls for m in made), Counter[str]())
    if prices is not None:
        calls += prices.calls
    return CatalogReport(
        total, total - before, prices.rows if prices else 0, calls,
        prices.session if prices else None, made,
    )  # fmt: skip


def refresh_catalog(
    market: Market, sources: Mapping[str, Source], run_id: str | None
) -> CatalogReport:
    """Register every symbol of the last completed session's whole-market answer.

    The answer's bars are stored too. Where that session is stored for every known asset
    already, no call is made.

    Raises:
        InputError: no source that answers for the whole market is switched on.
        SourceError: the source could not answer.
    """
    source, endpoint = _whole_market(sources)
    now = market.clock.now()
    exchange = get_calendar(market.calendar)
    last = exchange.last_completed(now)
    before = assets.universe(market.db, scope="market", calendar=market.calendar)
    if not only_tracked(market):
        curated = [row.ticker for row in curated_list()]  # indices are in no answer
        listed = before.filter(~pl.col("ticker").is_in(curated))
        today = CellGrid.rectangle(listed["asset_id"], [last])
        if not market.missing(today):
            return CatalogReport(before.height, 0, 0, Counter(), str(last))
    name = source.capabilities.source
    calls: Counter[str] = Counter()
    for day in reversed(exchange.sessions(last - LOOK_BACK, last).astype(object)):
        tile = Tile(name, endpoint.name, Interval.DAY, day, day)
        started = market.wall.now()
        try:
            answer = source.fetch(tile)
        except NoData:
            calls[name] += 1
            continue
        calls[name] += answer.requests
        moment = Moment(now, started, market.wall.now(), first_unpublished(market.calendar, now))
        roll = market.roll_call(answer.bars, tile, endpoint, now)
        batch = batch_of(tile, endpoint, answer, roll.cells, roll.owners, None, moment)
        writers.write_fetch(market.db, [batch], run_id)
        if answer.bars.is_empty():  # today's is not published yet
            continue
        return CatalogReport(
            before.height + roll.discovered, roll.discovered, batch.bars.height, calls, str(day)
        )
    return CatalogReport(before.height, 0, 0, calls, None)


def only_tracked(market: Market) -> bool:
    """Whether nobody has asked yet who else is in the market."""
    known = assets.universe(market.db, scope="market", calendar=market.calendar)
    return set(known["asset_id"]) <= set(assets.tracked(market.db))


def _whole_market(sources: Mapping[str, Source]) -> tuple[Source, Endpoint]:
    for source in sorted(sources.values(), key=lambda s: s.capabilities.preference):
        for endpoint in source.capabilities.endpoints:
            if endpoint.shape is TileShape.COLUMN and Interval.DAY in endpoint.intervals:
                return source, endpoint
    raise InputError(
        "scope",
        "market",
        "switch on a source that answers for the whole market: set POLYGON_API_KEY (free), "
        "or use --scope watchlist with tickers",
    )
