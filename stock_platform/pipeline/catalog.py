"""Learning who is in the market: from a source that answers for all of it at once.

Belongs here: the first fill of the catalog, and its refresh. Does not: renames and
delistings, registering symbols of a run's answers (market.py).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

from stock_platform.domain.bars import Interval
from stock_platform.domain.calendar import get_calendar
from stock_platform.domain.capabilities import Endpoint, Tile, TileShape
from stock_platform.domain.cells import CellGrid
from stock_platform.domain.errors import InputError, NoData
from stock_platform.pipeline.answers import Moment, batch_of
from stock_platform.pipeline.fetching import first_unpublished
from stock_platform.pipeline.market import Market
from stock_platform.sources.base import Source
from stock_platform.storage import assets, writers

LOOK_BACK = timedelta(days=10)


@dataclass(frozen=True)
class CatalogReport:
    """What a refresh found: assets in all, added, rows stored, and calls by source."""

    total: int
    added: int
    rows: int
    calls: Counter[str]
    session: str | None


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
        today = CellGrid.rectangle(before["asset_id"], [last])
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
