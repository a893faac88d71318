"""Gaps: runs of sessions without a price, and why. Pure.

Belongs here: cutting states into runs, naming the reason. Does not: reading states, filling.

Sessions are those of the asset's calendar from the first that anybody asked for to the last
completed one. Where a source says that there is no bar although the asset traded before and
after, it may be a halt or the source's own hole: a second source decides. Two that say so make
it a halt; one alone is called what it is.
"""

from __future__ import annotations

from enum import StrEnum

import numpy as np
import numpy.typing as npt
import polars as pl

from stock_platform.domain.cells import CellGrid, Mask


class GapState(StrEnum):
    """What became of a session without a price; the order is that of the codes, from 1."""

    MISSING = "missing"
    WAITING = "waiting"
    FAILED = "failed"
    HALT = "halt"
    NO_DATA = "no_data"
    NOT_LISTED = "not_listed"
    QUARANTINED = "quarantined"
    UNJUDGED = "unjudged"


REASONS = {
    GapState.MISSING: "never asked for",
    GapState.WAITING: "waits for a source's quota",
    GapState.FAILED: "could not be had",
    GapState.HALT: "halt: two sources say there was no trade",
    GapState.NO_DATA: "the vendor has none",
    GapState.NOT_LISTED: "not listed",
    GapState.QUARANTINED: "every quote failed a rule",
    GapState.UNJUDGED: "stored, and not judged yet",
}

OPEN = (GapState.MISSING, GapState.FAILED, GapState.NO_DATA, GapState.UNJUDGED)
"""What asking (another source), or judging, may fill; waiting cells have a date of their own."""

CODES = {state: code for code, state in enumerate(GapState, start=1)}

_CELLS_AT_ONCE = 1_000_000

GAPS: dict[str, pl.DataType] = {
    "asset_id": pl.Int32(),
    "first_session": pl.Date(),
    "last_session": pl.Date(),
    "sessions": pl.Int64(),
    "state": pl.String(),
}


def gap_codes(
    grid: CellGrid,
    states: npt.NDArray[np.uint8],
    priced: Mask,
    aside: Mask,
    voices: npt.NDArray[np.uint8],
    order: tuple[str, ...],
) -> npt.NDArray[np.uint8]:
    """The gap state of every place of the grid (``CODES``); 0 where there is none.

    Args:
        grid: the sessions of the assets' calendars.
        states: the ledger's state of each place, an index into ``order``.
        priced: where a validated price is.
        aside: where a quote is in quarantine.
        voices: how many sources say that there is no bar.
        order: names of the ledger's states, that of never asked (``missing``) first.
    """
    at = {name: index for index, name in enumerate(order)}
    known = grid.mask & (states != at["missing"])
    begun = np.logical_or.accumulate(known, axis=1)
    span = grid.mask & begun & ~priced
    before = np.logical_or.accumulate(priced, axis=1)
    after = np.logical_or.accumulate(priced[:, ::-1], axis=1)[:, ::-1]
    codes = np.zeros(states.shape, dtype=np.uint8)

    def put(state: GapState, where: Mask) -> None:
        codes[span & where] = CODES[state]

    put(GapState.MISSING, states == at["missing"])
    put(GapState.WAITING, states == at["waiting"])
    put(GapState.FAILED, states == at["failed"])
    none = states == at["no_data"]
    put(GapState.NO_DATA, none)
    put(GapState.HALT, none & (voices > 1) & before & after)
    put(GapState.NOT_LISTED, states == at["not_listed"])
    stored = states == at["stored"]
    put(GapState.UNJUDGED, stored & ~aside)
    put(GapState.QUARANTINED, stored & aside)
    return codes


def runs(grid: CellGrid, codes: npt.NDArray[np.uint8]) -> pl.DataFrame:
    """GAPS: sessions of one asset and state without another session of its between them."""
    step = max(1, _CELLS_AT_ONCE // max(1, len(grid.sessions)))
    found = [pl.DataFrame(schema=GAPS)]
    some = np.flatnonzero(codes.any(axis=1))
    for start in range(0, len(some), step):
        rows = some[start : start + step]
        part = CellGrid(grid.assets[rows], grid.sessions, grid.mask[rows], grid.interval)
        found.append(_runs(part, codes[rows]))
    return pl.concat(found)


def _runs(grid: CellGrid, codes: npt.NDArray[np.uint8]) -> pl.DataFrame:
    rows, columns = np.nonzero(grid.mask)
    frame = pl.DataFrame(
        {
            "asset_id": grid.assets[rows],
            "session": grid.sessions[columns],
            "code": codes[rows, columns],
        },
        schema={"asset_id": pl.Int32(), "session": pl.Date(), "code": pl.UInt8()},
    )
    names = {code: str(state) for state, code in CODES.items()}
    return (
        frame.with_columns(pl.struct("asset_id", "code").rle_id().alias("run"))
        .filter(pl.col("code") > 0)
        .group_by("run", maintain_order=True)
        .agg(
            pl.col("asset_id", "code").first(),
            pl.col("session").min().alias("first_session"),
            pl.col("session").max().alias("last_session"),
            pl.len().cast(pl.Int64()).alias("sessions"),
        )
        .with_columns(pl.col("code").replace_strict(names, return_dtype=pl.String()).alias("state"))
        .select(list(GAPS))
    )


def reason_of(state: str) -> str:
    """The reason in words."""
    return REASONS[GapState(state)]
