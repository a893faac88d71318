"""From raw quotes to validated prices, a bounded chunk at a time.

Belongs here: reading a chunk's raw rows and actions and having the domain judge them.
Does not: rules (domain/validation), fetching, writing (the consumer commits each batch).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

import polars as pl

from stock_platform.domain.bars import Basis, Interval
from stock_platform.domain.batches import News, ValidatedBatch
from stock_platform.domain.calendar import get_calendar
from stock_platform.domain.capabilities import Capabilities, Endpoint
from stock_platform.domain.cells import CellGrid, Sessions
from stock_platform.domain.clock import Clock
from stock_platform.domain.validation import Context, Level, Rulebook, choose
from stock_platform.domain.validation.choosing import as_traded
from stock_platform.domain.validation.decisions import standing
from stock_platform.pipeline.rejudging import (
    ASSETS_AT_ONCE,
    EVER,
    Known,
    around_days,
    chunks,
    tasks,
)
from stock_platform.storage import actions, decisions, price_checks, readers, rejudging
from stock_platform.storage import assets as catalog
from stock_platform.storage.connection import Database
from stock_platform.storage.locks import judging


def validate_cells(
    db: Database,
    grid: CellGrid,
    clock: Clock,
    sources: Mapping[str, Capabilities],
    level: Level,
    rulebook: Rulebook | None = None,
) -> Iterator[ValidatedBatch]:
    """Judge every raw quote of ``grid``, a bounded part at a time.

    From the level strict on, a verdict depends on the raw quotes around it (rejudging.py), and
    cells judged before are judged again where what came new may have changed their verdicts:
    batches hold those besides. In whatever order and parts cells are judged, once all that was
    fetched has been, the verdicts are the same.

    Nobody else judges a batch's assets until the next one is asked for: write it before.

    Sources are preferred in the order of their capabilities' ``preference``.
    """
    judge = _Judge(db, clock, sources, level, rulebook or Rulebook())
    near = Level.STRICT in level.included
    for part in chunks(grid, near=near):
        asked = part.trimmed()
        with judging(db, asked.assets.tolist()):
            yield from judge.among_neighbours(asked) if near else judge.alone(asked)


def rejudge_late_actions(
    db: Database,
    clock: Clock,
    sources: Mapping[str, Capabilities],
    level: Level,
    rulebook: Rulebook | None = None,
) -> Iterator[ValidatedBatch]:
    """Judge cells again whose splits and dividends came after they had been judged.

    As ``validate_cells``; below the level strict no verdict depends on them.
    """
    for interval in rejudging.unjudged_intervals(db):
        waiting = rejudging.unjudged(db, interval)
        if Level.STRICT not in level.included:
            yield _judged_with(waiting, interval)
            continue
        ids = waiting["asset_id"].unique().sort().to_list()
        for start in range(0, len(ids), ASSETS_AT_ONCE):
            some = CellGrid.rectangle(ids[start : start + ASSETS_AT_ONCE], EVER, interval)
            judged = readers.judged(db, some, some.sessions)
            mine = waiting.filter(pl.col("asset_id").is_in(some.assets.tolist()))
            yield _judged_with(mine.join(judged, on="asset_id", how="anti"), interval)
            if judged.height:
                cells = CellGrid.from_frame(judged, interval)
                yield from validate_cells(db, cells, clock, sources, level, rulebook)


def _judged_with(actions: pl.DataFrame, interval: Interval) -> ValidatedBatch:
    """A batch of no cell that settles actions: nothing has been judged without them."""
    news = News(tuple(actions["action_id"].to_list()))
    none = pl.DataFrame()
    return ValidatedBatch(CellGrid.rectangle([], [], interval), none, none, news=news)


class _Judge:
    """What judging a part's cells takes, read once."""

    def __init__(
        self,
        db: Database,
        clock: Clock,
        sources: Mapping[str, Capabilities],
        level: Level,
        rulebook: Rulebook,
    ) -> None:
        self.db, self.clock, self.level, self.rulebook = db, clock, level, rulebook
        self.preference = [c.source for c in sorted(sources.values(), key=lambda c: c.preference)]
        self.float32 = [c.source for c in sources.values() if any(e.float32 for e in c.endpoints)]
        self.tellers = sorted(
            c.source for c in sources.values() if any(map(tells_its_splits, c.endpoints))
        )

    def alone(self, asked: CellGrid) -> Iterator[ValidatedBatch]:
        """Every quote by its own rules."""
        ids = asked.assets.tolist()
        at = self.clock.now()
        raw = readers.raw(self.db, asked)
        calendars = catalog.by_id(self.db, ids).select("asset_id", "calendar")
        splits = readers.splits(self.db, ids)
        told = actions.told_splits(self.db, ids, self.tellers) if self.tellers else None
        sessions = session_table(calendars, asked)
        yield self._chosen(asked, with_local_dates(raw, calendars), at, splits, sessions, told=told)

    def among_neighbours(self, asked: CellGrid) -> Iterator[ValidatedBatch]:
        """Every quote among its neighbours, and again those that these may have changed."""
        ids = asked.assets.tolist()
        at = self.clock.now()
        known = catalog.by_id(self.db, ids)
        calendars = known.select("asset_id", "calendar")
        waiting = rejudging.unjudged(self.db, asked.interval, ids)  # before the actions are read
        splits = readers.splits(self.db, ids)
        told = actions.told_splits(self.db, ids, self.tellers) if self.tellers else None
        context = Context(
            dividends=readers.dividends(self.db, ids),
            classes=dict(known.select("asset_id", "asset_class").iter_rows()),
            rulebook=self.rulebook,
        )

        def traded(raw: pl.DataFrame) -> pl.DataFrame:
            return as_traded(
                with_local_dates(raw, calendars), splits, frozenset(self.float32), told,
                frozenset(self.tellers),
            )  # fmt: skip

        for task in tasks(
            self.db,
            asked,
            Known(
                traded, splits, context, lambda cells: session_table(calendars, cells),
                self.level, waiting,
            ),
        ):  # fmt: skip
            batch = self._chosen(
                task.cells, task.raw, at, splits, task.sessions, traded=task.traded,
                context=replace(context, faults=task.faults),
            )  # fmt: skip
            yield replace(batch, news=task.news)

    def _chosen(
        self,
        cells: CellGrid,
        raw: pl.DataFrame,
        at: datetime,
        splits: pl.DataFrame,
        sessions: pl.DataFrame,
        **more: Any,
    ) -> ValidatedBatch:
        decided = standing(raw, decisions.of_cells(self.db, cells))
        verdict = choose(
            raw,
            splits=splits,
            preference=self.preference,
            sessions=sessions,
            now=at,
            level=self.level,
            float32=self.float32,
            tellers=self.tellers,
            compared=_compared(self.db, cells),
            decided=decided.standing,
            **more,
        )
        return ValidatedBatch(cells, verdict.accepted, verdict.quarantined, at, decided.void)


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
    return around_days(cells, 1)


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
