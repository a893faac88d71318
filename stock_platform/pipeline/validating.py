"""From raw quotes to validated prices, a bounded chunk at a time.

Belongs here: reading a chunk's raw rows and actions and having the domain judge them.
Does not: rules (domain/validation), fetching, writing (the consumer commits each batch).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import polars as pl

from stock_platform.domain.bars import Basis
from stock_platform.domain.batches import ValidatedBatch
from stock_platform.domain.calendar import get_calendar
from stock_platform.domain.capabilities import Capabilities, Endpoint
from stock_platform.domain.cells import CellGrid, Sessions
from stock_platform.domain.clock import Clock
from stock_platform.domain.validation import Context, Level, Rulebook, choose
from stock_platform.domain.validation.choosing import as_traded
from stock_platform.domain.validation.decisions import standing
from stock_platform.domain.validation.findings import block_days
from stock_platform.storage import actions, decisions, price_checks, readers
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
    rulebook: Rulebook | None = None,
) -> Iterator[ValidatedBatch]:
    """Judge every raw quote of ``grid``; one batch per about 100,000 cells.

    From the level strict on, a verdict depends on the raw quotes of its asset in its block of
    days and the two beside it (domain/validation/context.py), and on nothing else that is not
    of the asset as a whole. So cells of those blocks that had a verdict before are judged
    again with ``grid``'s: what came new may have changed it. In whatever order and chunks
    cells are judged, once all that was fetched has been, the verdicts are the same.

    Nobody else judges a batch's assets until the next one is asked for: write it before.

    Sources are preferred in the order of their capabilities' ``preference``.
    """
    preference = [c.source for c in sorted(sources.values(), key=lambda c: c.preference)]
    float32 = [c.source for c in sources.values() if any(e.float32 for e in c.endpoints)]
    tellers = sorted(c.source for c in sources.values() if any(map(tells_its_splits, c.endpoints)))
    near = Level.STRICT in level.included
    for part in grid.row_chunks(CELLS_PER_BATCH):
        asked = part.trimmed()
        ids = asked.assets.tolist()
        known = catalog.by_id(db, ids)
        calendars = known.select("asset_id", "calendar")
        with judging(db, ids):
            at = clock.now()
            cells, around = asked, asked
            if near:
                cells = judged_again(asked, readers.judged(db, asked, neighbours(asked)))
                around = CellGrid.rectangle(ids, neighbours(cells), grid.interval)
            raw = readers.raw(db, around)
            decided = standing(raw, decisions.of_cells(db, cells))
            verdict = choose(
                with_local_dates(raw, calendars),
                splits=readers.splits(db, ids),
                preference=preference,
                sessions=session_table(calendars, around),
                now=at,
                level=level,
                float32=float32,
                told=actions.told_splits(db, ids, tellers) if tellers else None,
                tellers=tellers,
                context=Context(
                    cells.to_frame(),
                    readers.dividends(db, ids),
                    dict(known.select("asset_id", "asset_class").iter_rows()),
                    rulebook or Rulebook(),
                )
                if near
                else None,
                compared=_compared(db, around),
                decided=decided.standing,
            )
            yield ValidatedBatch(cells, verdict.accepted, verdict.quarantined, at, decided.void)


def traded_quotes(
    db: Database, cells: CellGrid, sources: Mapping[str, Capabilities]
) -> pl.DataFrame:
    """Every source's quotes of ``cells`` as traded; those fully adjusted are left out.

    RAW_QUOTES with basis as_traded, one row a bar and source.
    """
    ids = cells.assets.tolist()
    raw = readers.raw(db, cells)
    if raw.is_empty():
        return raw
    tellers = sorted(c.source for c in sources.values() if any(map(tells_its_splits, c.endpoints)))
    noisy = frozenset(c.source for c in sources.values() if any(e.float32 for e in c.endpoints))
    calendars = catalog.by_id(db, ids).select("asset_id", "calendar")
    return as_traded(
        with_local_dates(raw, calendars).filter(pl.col("basis") != str(Basis.FULLY_ADJUSTED)),
        readers.splits(db, ids),
        noisy,
        actions.told_splits(db, ids, tellers) if tellers else None,
        frozenset(tellers),
    ).with_columns(pl.lit(str(Basis.AS_TRADED)).alias("basis"))


def _compared(db: Database, cells: CellGrid) -> pl.DataFrame:
    """CHECKS of the cells' quotes."""
    first, last = cells.sessions[0].astype(object), cells.sessions[-1].astype(object)
    return price_checks.of_assets(db, cells.assets.tolist(), first, last, cells.interval)


def neighbours(cells: CellGrid) -> Sessions:
    """Every day from the block before the first cell's to the block after the last cell's."""
    days = block_days(str(cells.interval))
    length = np.timedelta64(days, "D")
    first, last = (int(d.astype(np.int64)) // days for d in (cells.sessions[0], cells.sessions[-1]))
    start = np.datetime64(0, "D") + (first - 1) * length
    return np.arange(start, start + (last - first + 3) * length, dtype="datetime64[D]")


def judged_again(cells: CellGrid, judged: pl.DataFrame) -> CellGrid:
    """``cells``, and those of ``judged`` (asset_id, session) whose verdict may hang on them."""
    if judged.is_empty():
        return cells
    before = CellGrid.from_frame(judged, cells.interval)
    both = CellGrid.union([cells, before])
    block = both.sessions.astype(np.int64) // block_days(str(cells.interval))
    named, column = np.unique(block, return_inverse=True)
    touched = np.zeros((len(both.assets), len(named)), dtype=np.bool_)
    rows, columns = np.nonzero(cells.onto(both))
    touched[rows, column[columns]] = True
    near = touched.copy()
    for at, number in enumerate(named):
        for other in (number - 1, number + 1):
            beside = np.searchsorted(named, other)
            if beside < len(named) and named[beside] == other:
                near[:, at] |= touched[:, beside]
    return both.with_mask(cells.onto(both) | (both.mask & near[:, column])).trimmed()


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
