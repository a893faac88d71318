"""The coverage ledger: what is known of every cell.

Belongs here: questions to the ledger. Does not: writing it (marking.py, whose ``mark`` is at
home here too), bit strings (bits.py), what a state means (domain/coverage.py).

Answers come by the year, all assets' bits in one row, and are unpacked by numpy: 6,000 assets x
10 years, fifteen million cells, take a tenth of a second.
"""

from __future__ import annotations

from datetime import date, datetime

import numpy as np
import numpy.typing as npt
import polars as pl
from psycopg import sql

from stock_platform.domain.bars import UTC_STAMP, Interval
from stock_platform.domain.cells import CellGrid
from stock_platform.domain.coverage import CellStatus
from stock_platform.storage import bits
from stock_platform.storage.connection import Database
from stock_platform.storage.frames import Connection, ints, read, read_packed, run
from stock_platform.storage.marking import RANK, mark

__all__ = [
    "CELLS",
    "NO_CELL",
    "SUMMARY",
    "cells",
    "due",
    "mark",
    "missing",
    "reasons",
    "states",
    "summary",
]

NO_CELL = 255
"""The code of a place on the grid that is not in the set."""

CODES = {status: code for code, status in enumerate(CellStatus, start=1)}

CELLS: dict[str, pl.DataType] = {
    "asset_id": pl.Int32(),
    "interval": pl.String(),
    "session": pl.Date(),
    "status": pl.String(),
    "reason": pl.String(),
    "source": pl.String(),
    "attempts": pl.Int64(),
    "retry_after": UTC_STAMP,
    "updated_at": UTC_STAMP,
}

SUMMARY: dict[str, pl.DataType] = {
    "status": pl.String(),
    "reason": pl.String(),
    "source": pl.String(),
    "cells": pl.Int64(),
}


def missing(db: Database, grid: CellGrid, now: datetime, *, retry_failed: bool = False) -> CellGrid:
    """The cells of ``grid`` that need a call: not settled by any source, and not put off.

    Args:
        db: the database.
        grid: the cells asked about.
        now: cells with a retry_after later than this are put off.
        retry_failed: ask for waiting and failed cells whatever their retry_after.
    """
    if not grid:
        return grid
    condition: sql.Composable = _SETTLED
    if not retry_failed:
        condition = sql.SQL("({} or c.retry_after > {})").format(_SETTLED, sql.Literal(now))
    done = np.zeros(grid.mask.shape, dtype=np.bool_)
    with db.connect() as connection:
        found = _read(connection, grid, condition, sql.SQL("0"))
    for year in bits.unpack(found, grid):
        done[year.rows, year.columns] = year.marked
    np.logical_not(done, out=done)
    np.logical_and(done, grid.mask, out=done)
    return grid.with_mask(done)


def states(db: Database, grid: CellGrid) -> npt.NDArray[np.uint8]:
    """The state of every place on the grid: 0 missing, 1.. in CellStatus' order, 255 no cell."""
    codes = np.zeros(grid.mask.shape, dtype=np.uint8)
    if grid.mask.size:
        whens = [
            sql.SQL("when {} then {}").format(sql.Literal(str(status)), sql.Literal(code))
            for status, code in CODES.items()
        ]
        with db.connect() as connection:
            found = _read(
                connection,
                grid,
                sql.SQL("true"),
                sql.SQL("case c.status {} end").format(sql.SQL(" ").join(whens)),
            )
        for status in reversed(CODES):  # the strongest is written last
            part = found[found["code"] == CODES[status]]
            for year in bits.unpack(part, grid):
                block = codes[year.rows, year.columns]
                codes[year.rows, year.columns] = np.where(year.marked, CODES[status], block)
    codes[~grid.mask] = NO_CELL
    return codes


def reasons(db: Database, grid: CellGrid) -> pl.DataFrame:
    """Why cells are not stored: SUMMARY, most cells first; stored and missing cells are left out.

    A cell that several sources agree on is counted once.
    """
    if not grid:
        return pl.DataFrame(schema=SUMMARY)
    with db.connect() as connection:
        rows = run(
            connection,
            sql.SQL(
                "select distinct status, reason, source from stocks.coverage_bits c "
                "where {} and status <> 'stored'"
            ).format(_within(grid)),
        ).fetchall()
        kinds = sorted(rows, key=lambda r: (-RANK[CellStatus(r[0])], r))
        if not kinds:
            return pl.DataFrame(schema=SUMMARY)
        table = sql.SQL(", ").join(
            sql.SQL("({}, {}, {}, {})").format(sql.Literal(i), *map(sql.Literal, kind))
            for i, kind in enumerate(kinds)
        )
        found = _read(
            connection,
            grid,
            sql.SQL("c.status <> 'stored'"),
            sql.SQL(
                "(select k.code from (values {}) as k(code, status, reason, source) "
                "where k.status = c.status and k.reason = c.reason and k.source = c.source)"
            ).format(table),
        )
    unseen = grid.mask.copy()
    counted = []
    for code, (status, reason, source) in enumerate(kinds):
        cells_of_kind = 0
        for year in bits.unpack(found[found["code"] == code], grid):
            block = unseen[year.rows, year.columns]
            cells_of_kind += int((block & year.marked).sum())
            unseen[year.rows, year.columns] = block & ~year.marked
        if cells_of_kind:
            counted.append((status, reason, source, cells_of_kind))
    frame = pl.DataFrame(counted, schema=SUMMARY, orient="row")
    return frame.sort(["cells", "status", "reason", "source"], descending=[True, *[False] * 3])


def saying(db: Database, grid: CellGrid, status: CellStatus) -> dict[str, npt.NDArray[np.bool_]]:
    """By source, the grid's cells of which it says so; sources that say so of none are left out."""
    if not grid:
        return {}
    condition = sql.SQL("c.status = {} and c.source <> ''").format(sql.Literal(str(status)))
    with db.connect() as connection:
        rows = run(
            connection,
            sql.SQL("select distinct source from stocks.coverage_bits c where {} and {}").format(
                _within(grid), condition
            ),
        ).fetchall()
        sources = sorted(row[0] for row in rows)
        if not sources:
            return {}
        found = _read(
            connection,
            grid,
            condition,
            sql.SQL("array_position({}::text[], c.source)").format(sql.Literal(sources)),
        )
    said = {}
    for code, source in enumerate(sources, start=1):
        mask = np.zeros(grid.mask.shape, dtype=np.bool_)
        for year in bits.unpack(found[found["code"] == code], grid):
            mask[year.rows, year.columns] = year.marked
        said[source] = mask & grid.mask
    return said


def summary(db: Database, grid: CellGrid) -> pl.DataFrame:
    """Cells by status and reason, stored and missing ones too (these without a source)."""
    codes = states(db, grid)
    plain = [
        (name, "", "", int((codes == code).sum()))
        for name, code in (("stored", CODES[CellStatus.STORED]), ("missing", 0))
    ]
    frame = pl.DataFrame([r for r in plain if r[3]], schema=SUMMARY, orient="row")
    return pl.concat([frame, reasons(db, grid)])


def cells(
    db: Database, asset_id: int, start: date, end: date, interval: Interval | None = None
) -> pl.DataFrame:
    """One row a cell of an asset that anything is known of: CELLS, by interval and session."""
    statement = sql.SQL(
        "select asset_id, interval, session, status, reason, source, attempts, "
        "retry_after at time zone 'UTC', updated_at at time zone 'UTC' "
        "from stocks.coverage where asset_id = {} and session between {} and {} and {} "
        "order by interval, session"
    ).format(
        sql.Literal(asset_id),
        sql.Literal(start),
        sql.Literal(end),
        sql.SQL("interval = {}").format(sql.Literal(str(interval)))
        if interval
        else sql.SQL("true"),
    )
    with db.connect() as connection:
        return read(connection, statement, CELLS)


def due(db: Database, now: datetime, interval: Interval = Interval.DAY) -> CellGrid:
    """The waiting cells of an interval whose time has come."""
    with db.connect() as connection:
        frame = read(
            connection,
            sql.SQL(
                "select c.asset_id, make_date(c.year, 1, 1) + d.i "
                "from stocks.coverage_bits c cross join lateral generate_series(0, 365) as d(i) "
                "where c.status = 'waiting' and c.retry_after <= {} and c.interval = {} "
                "and get_bit(c.sessions, d.i) = 1"
            ).format(sql.Literal(now), sql.Literal(str(interval))),
            {"asset_id": pl.Int32(), "session": pl.Date()},
        )
    if frame.is_empty():
        return CellGrid.rectangle([], [], interval)
    return CellGrid.from_frame(frame, interval)


def waiting_until(db: Database, grid: CellGrid) -> pl.DataFrame:
    """asset_id, retry_after (UTC) and reason: when the first of an asset's waiting cells is due.

    Of the years that the grid is in; reasons are those of all the asset's waiting cells.
    """
    schema: dict[str, pl.DataType] = {
        "asset_id": pl.Int32(),
        "retry_after": UTC_STAMP,
        "reason": pl.String(),
    }
    with db.connect() as connection:
        return read(
            connection,
            sql.SQL(
                "select c.asset_id, min(c.retry_after) at time zone 'UTC', "
                "string_agg(distinct concat_ws(': ', nullif(c.source, ''), "
                "nullif(c.reason, '')), '; ') "
                "from stocks.coverage_bits c where {} and c.status = 'waiting' "
                "and isfinite(c.retry_after) group by c.asset_id"
            ).format(_within(grid)),
            schema,
        )


def failures(db: Database, grid: CellGrid) -> pl.DataFrame:
    """asset_id and reason: why cells of an asset failed last, by source, in one line.

    Of the years that the grid is in.
    """
    schema: dict[str, pl.DataType] = {"asset_id": pl.Int32(), "reason": pl.String()}
    with db.connect() as connection:
        return read(
            connection,
            sql.SQL(
                "select asset_id, string_agg(said, '; ' order by said) from ("
                "select distinct c.asset_id, concat_ws(': ', nullif(c.source, ''), "
                "nullif(c.reason, '')) as said from stocks.coverage_bits c "
                "where {} and c.status = 'failed') x group by asset_id"
            ).format(_within(grid)),
            schema,
        )


def _read(
    connection: Connection, grid: CellGrid, condition: sql.Composable, code: sql.Composable
) -> npt.NDArray[np.void]:
    query = sql.SQL(
        "select string_agg(int4send(c.asset_id), ''::bytea), string_agg(int2send(c.year), ''), "
        "string_agg(int2send(({})::smallint), ''), string_agg(bit_send(c.sessions), '') "
        "from stocks.coverage_bits c where {} and {} group by c.year"
    ).format(code, _within(grid), condition)
    return bits.rows(read_packed(connection, query))


def _within(grid: CellGrid) -> sql.Composed:
    years, _ = bits.year_and_day(grid.sessions[[0, -1]])
    return sql.SQL("c.interval = {} and c.year between {} and {} and c.asset_id = any({})").format(
        sql.Literal(str(grid.interval)),
        sql.Literal(int(years[0])),
        sql.Literal(int(years[1])),
        ints(grid.assets),
    )


_SETTLED = sql.SQL("c.status in ('stored', 'no_data', 'not_listed')")
