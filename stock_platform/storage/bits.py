"""Cells as bit strings and back: the ledger's compact form, in numpy.

Belongs here: packing and unpacking. Does not: SQL (ledger.py, marking.py), what a state means
(domain/coverage.py).

A bit string has 366 bits for a year; bit i, from the left, is day-of-year i + 1.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from stock_platform.domain.cells import CellGrid, Mask, Sessions

DAYS = 366
BYTES = 46
_HEX = 2 * BYTES

ROW = np.dtype([("asset_id", "i4"), ("year", "i2"), ("code", "i2"), ("bits", "u1", (BYTES,))])
"""A row of the ledger: its asset, its year, what is asked of it as a number, its bits."""

_SENT = np.dtype([("length", ">i4"), ("bits", "u1", (BYTES,))])  # as bit_send has it


def rows(packed: Iterable[Sequence[memoryview]]) -> npt.NDArray[np.void]:
    """ROWs of asset_id, year, code and sessions, each sent in binary and strung together."""
    parts = [np.zeros(0, dtype=ROW)]
    for assets, years, codes, sessions in packed:
        part = np.empty(len(assets) // 4, dtype=ROW)
        part["asset_id"] = np.frombuffer(assets, dtype=">i4")
        part["year"] = np.frombuffer(years, dtype=">i2")
        part["code"] = np.frombuffer(codes, dtype=">i2")
        part["bits"] = np.frombuffer(sessions, dtype=_SENT)["bits"]
        parts.append(part)
    return np.concatenate(parts)


def pack(days: pl.Series) -> list[str]:
    """Bit strings of a list column of days of the year, as ``x``-hex for a varbit of 368."""
    counts = days.list.len().to_numpy()
    rows = np.repeat(np.arange(len(days)), counts)
    matrix = np.zeros((len(days), 8 * BYTES), dtype=np.bool_)
    matrix[rows, days.explode(empty_as_null=False).to_numpy() - 1] = True
    text = np.packbits(matrix, axis=1).tobytes().hex()
    return ["x" + text[at : at + _HEX] for at in range(0, len(text), _HEX)]


@dataclass(frozen=True)
class Year:
    """One year's part of a grid.

    Attributes:
        rows: indices of assets on the grid.
        columns: the grid's columns of the year.
        marked: bool, (rows, columns): whether the bit is set.
        bits: the packed bits, one line a row.
    """

    rows: npt.NDArray[np.intp]
    columns: slice
    marked: Mask


def unpack(found: npt.NDArray[np.void], grid: CellGrid) -> Iterator[Year]:
    """The bits of ``found`` (``ROW``s of assets of the grid) year by year, one line an asset."""
    years, days = year_and_day(grid.sessions)
    for year in np.unique(years):
        columns = slice(*np.searchsorted(years, [year, year + 1]))
        part = found[found["year"] == year]
        if not len(part):
            continue
        part = part[np.argsort(part["asset_id"], kind="stable")]
        ids, starts = np.unique(part["asset_id"], return_index=True)
        bits = part["bits"]
        if len(ids) < len(part):  # an asset's bits of several sources or reasons
            bits = np.bitwise_or.reduceat(bits, starts, axis=0)
        unpacked = np.unpackbits(np.ascontiguousarray(bits), axis=1)
        marked = unpacked[:, days[columns]].view(np.bool_)
        yield Year(np.searchsorted(grid.assets, ids), columns, marked)


def year_and_day(sessions: Sessions) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """The year, and the day of the year from 0, of each session."""
    year = sessions.astype("datetime64[Y]")
    day = (sessions.astype("datetime64[D]") - year.astype("datetime64[D]")).astype(np.int64)
    return year.astype(np.int64) + 1970, day
