"""What of a frame a table has already: compared in polars, against rows read in blocks.

Belongs here: telling new rows, rows that are the same for certain, and rows that may differ.
Does not: writing (upsert.py), blocks (blocks.py).

A number is the same for certain if it is the double that the stored decimal reads as, or if it
rounds to that decimal and is not so near to the middle between two that another way of rounding
could disagree: below 2**49 units of the last decimal, products and quotients by a power of ten
are off by less than a sixteenth of a unit. All else is left to the database to compare.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl
from psycopg import sql

from stock_platform.storage.blocks import Blocks, stream_blocks
from stock_platform.storage.frames import Connection, dates
from stock_platform.storage.keyed import Bounds, Table

_OLD = "_old"
_EXACT = 2.0**49
_NEAR = 0.4  # of a unit; at 0.5 the ways of rounding part
_SPARSE = 3  # times fewer days than the span has: name them


@dataclass(frozen=True)
class Differences:
    """A frame against a table.

    Attributes:
        new: rows of the frame whose keys the table does not have.
        doubtful: rows of the frame that the table has and that may differ.
        absent: key and day of the table's rows of the cells asked about, not in the frame.
        alone: whether the table is known to have no other rows within the bounds.
    """

    new: pl.DataFrame
    doubtful: pl.DataFrame
    absent: pl.DataFrame
    alone: bool = False


def compare(
    connection: Connection,
    table: Table,
    frame: pl.DataFrame,
    bounds: Bounds,
    cells: pl.DataFrame | None,
) -> Differences:
    """Compare the frame (the table's columns, unique keys) with the rows within the bounds.

    Args:
        connection: in a transaction that keeps other writers of the assets out.
        table: what to compare with.
        frame: may be empty if ``cells`` are given.
        bounds: where its rows are.
        cells: asset_id and day; the table's rows of these cells that the frame lacks are told.
    """
    local, key = list(table.local), (*table.local, table.day)
    wanted = frame.select("asset_id", table.time)
    found = [pl.DataFrame(schema={name: frame.schema[name] for name in local})]
    same = [found[0]]
    absent = [pl.DataFrame(schema={name: frame.schema[name] for name in dict.fromkeys(key)})]
    sparse = _sparse(table, frame, cells)
    others = 0
    blocks = _present(table, frame, bounds, sparse)
    for rows in stream_blocks(connection, blocks):
        both = frame.join(rows, on=local, how="inner", suffix=_OLD)
        found.append(both.select(local))
        same.append(both.filter(_same(table, frame.schema)).select(local))
        if cells is not None:
            gone = rows.join(wanted, on=local, how="anti")
            others += gone.height
            gone = gone.join(
                cells, left_on=["asset_id", table.day], right_on=["asset_id", "day"], how="semi"
            )
            others -= gone.height
            absent.append(gone.select(absent[0].columns))
    there, equal, alone = pl.concat(found), pl.concat(same), cells is not None and not others
    alone = alone and sparse is None
    if there.is_empty():
        return Differences(frame, frame.clear(), pl.concat(absent), alone)
    new = frame.join(there, on=local, how="anti", maintain_order="left")
    if equal.height == there.height:
        return Differences(new, frame.clear(), pl.concat(absent), alone)
    doubtful = frame.join(there, on=local, how="semi").join(equal, on=local, how="anti")
    return Differences(new, doubtful, pl.concat(absent), alone)


def _sparse(table: Table, frame: pl.DataFrame, cells: pl.DataFrame | None) -> pl.Series | None:
    """The days that rows may be of, where they are few in a long span."""
    of_rows = frame[table.time].cast(pl.Date())  # of a stamp: the date in UTC
    days = of_rows.clear() if cells is None else cells["day"]
    named = pl.concat([of_rows.unique(), days.unique().alias(table.time)]).unique().sort()
    few = named.len() * table.every * _SPARSE < np.ptp(named.to_numpy()).astype(int)
    return named if few else None


def _present(table: Table, frame: pl.DataFrame, bounds: Bounds, sparse: pl.Series | None) -> Blocks:
    """The rows within the bounds; where they are of few days in a long span, of these alone."""
    condition = bounds.span(table)
    if sparse is not None:
        listed = dates(sparse)
        condition = sql.SQL("{} and ({}::date = any({}) or {} = any({}))").format(
            condition,
            sql.Identifier("r", table.time),
            listed,
            sql.Identifier("r", table.day),
            listed,
        )
    columns = {name: frame.schema[name] for name in (table.time, *table.compared)}
    return Blocks(table.identifier, columns, bounds.assets, condition, order=(table.time,))


def _same(table: Table, schema: pl.Schema) -> pl.Expr:
    """Whether a row is the same as the stored one for certain."""
    return pl.all_horizontal(
        _rounds_to(name, table.decimals)
        if schema[name] == pl.Float64() and table.decimals is not None
        else pl.col(name).eq_missing(pl.col(f"{name}{_OLD}"))
        for name in table.compared
    )


def _rounds_to(name: str, decimals: int) -> pl.Expr:
    given, stored, unit = pl.col(name), pl.col(f"{name}{_OLD}"), 10.0**decimals
    units = given * unit
    whole = units.round()
    certain = (units.abs() < _EXACT) & ((units - whole).abs() < _NEAR) & (whole / unit == stored)
    return given.eq_missing(stored) | certain.fill_null(value=False)
