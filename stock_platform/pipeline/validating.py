"""From raw quotes to validated prices, a bounded chunk at a time.

Belongs here: reading a chunk's raw rows and actions and having the domain judge them.
Does not: rules (domain/validation), fetching, writing (the consumer commits each batch).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import polars as pl

from stock_platform.domain.bars import Basis
from stock_platform.domain.batches import ValidatedBatch
from stock_platform.domain.calendar import get_calendar
from stock_platform.domain.capabilities import Capabilities, Endpoint
from stock_platform.domain.cells import CellGrid
from stock_platform.domain.clock import Clock
from stock_platform.domain.validation import Level, choose
from stock_platform.storage import actions, readers
from stock_platform.storage import assets as catalog
from stock_platform.storage.connection import Database
from stock_platform.storage.locks import judging

CELLS_PER_BATCH = 100_000


def validate_cells(
    db: Database,
    grid: CellGrid,
    clock: Clock,
    sources: Mapping[str, Capabilities],
    level: Level,
) -> Iterator[ValidatedBatch]:
    """Judge every raw quote of ``grid``; one batch per about 100,000 cells.

    Nobody else judges a batch's assets until the next one is asked for: write it before.

    Sources are preferred in the order of their capabilities' ``preference``.
    """
    preference = [c.source for c in sorted(sources.values(), key=lambda c: c.preference)]
    float32 = [c.source for c in sources.values() if any(e.float32 for e in c.endpoints)]
    tellers = sorted(c.source for c in sources.values() if any(map(tells_its_splits, c.endpoints)))
    for part in grid.row_chunks(CELLS_PER_BATCH):
        cells = part.trimmed()
        ids = cells.assets.tolist()
        calendars = catalog.by_id(db, ids).select("asset_id", "calendar")
        with judging(db, ids):
            at = clock.now()
            verdict = choose(
                with_local_dates(readers.raw(db, cells), calendars),
                splits=readers.splits(db, ids),
                preference=preference,
                sessions=session_table(calendars, cells),
                now=at,
                level=level,
                float32=float32,
                told=actions.told_splits(db, ids, tellers) if tellers else None,
                tellers=tellers,
            )
            yield ValidatedBatch(cells, verdict.accepted, verdict.quarantined, at)


def tells_its_splits(endpoint: Endpoint) -> bool:
    """Whether its answers tell the splits that its prices are adjusted for."""
    return endpoint.to_now and endpoint.basis is Basis.SPLIT_ADJUSTED


def with_local_dates(raw: pl.DataFrame, calendars: pl.DataFrame) -> pl.DataFrame:
    """``raw`` with fetched_on: the exchange's date when a row was fetched."""
    dated = raw.join(calendars, on="asset_id", how="left", maintain_order="left")
    fetched_on = pl.col("fetched_at").dt.date()
    for name in calendars["calendar"].unique().sort():
        local = pl.col("fetched_at").dt.convert_time_zone(get_calendar(name).zone).dt.date()
        fetched_on = pl.when(pl.col("calendar") == name).then(local).otherwise(fetched_on)
    return dated.with_columns(fetched_on.alias("fetched_on")).drop("calendar")


def session_table(assets: pl.DataFrame, cells: CellGrid) -> pl.DataFrame:
    """The sessions of assets by their calendars: asset_id, session, opens, closes (UTC)."""
    first, last = cells.sessions[0].astype(object), cells.sessions[-1].astype(object)
    tables = [
        get_calendar(name).table(first, last).with_columns(pl.lit(name).alias("calendar"))
        for name in assets["calendar"].unique().sort()
    ]
    return assets.join(pl.concat(tables), on="calendar").drop("calendar")
