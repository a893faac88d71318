"""Blocks: rows of one source that ask for the same sessions, sent as one request.

Belongs here: how many rows a request holds, and putting rows together. Does not: which rows
are called (cover.py), who takes them (schedule.py).

A source that answers for several symbols a request (a block) is planned as if each row were a
call of its own, ``bundle`` of which finish together: as many as fit into a request whatever
sessions of the demand they span. Once the rows are chosen they are packed: in the order of their
sessions, as many as the request may name and one page of its answer can hold. Rows of unequal
spans share a request only where that asks for little more than they need, or the plan would
otherwise make more requests than were reckoned with.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from stock_platform.domain.bars import Interval
from stock_platform.domain.capabilities import Endpoint, Tile, TileShape
from stock_platform.domain.planning.model import Coverage
from stock_platform.domain.planning.reach import Field

BARS_A_SESSION = {
    Interval.MINUTE: 390,
    Interval.MINUTES_5: 78,
    Interval.MINUTES_15: 26,
    Interval.HOUR: 7,
    Interval.DAY: 1,
}
"""Of a US share; what a page holds is reckoned with it."""

ALONE = (TileShape.ROW, TileShape.COLUMN)
"""Calls that are a request each: a source that has both is paced by them."""

WASTE = 1.25
"""A request asks for at the most so many times the sessions that its rows span."""


def bundles(field: Field, interval: Interval, *, best: bool = False) -> dict[str, int]:
    """Rows a request of each source that answers for blocks: so many always fit into one.

    With ``best`` no request can hold more: for bounds.
    """
    found: dict[str, int] = {}
    wanted = field.need.any(axis=1)
    if not wanted.any():
        return found
    need = field.need[wanted]
    if best:
        span = int(need.sum(axis=1).min())
    else:
        used = np.flatnonzero(need.any(axis=0))
        span = int(used[-1] - used[0]) + 1
    mixed = {r.source for r in (*field.rows, *field.columns) if r.endpoint.shape in ALONE}
    for reach in field.rows:
        sure = reach.endpoint.max_sessions is None and reach.source not in mixed
        if reach.endpoint.shape is TileShape.BLOCK and (sure or best):
            name = reach.capabilities.source
            held = room(reach.endpoint, interval, span)
            found[name] = max(held, found.get(name, 1))
    return found


def room(endpoint: Endpoint, interval: Interval, sessions: int) -> int:
    """Rows of so many sessions that one request of a block endpoint holds."""
    if endpoint.bars_a_request is None:
        return endpoint.max_symbols
    held = endpoint.bars_a_request // (BARS_A_SESSION[interval] * max(sessions, 1))
    return max(1, min(endpoint.max_symbols, held))


def packed(
    endpoint: Endpoint, rows: Iterable[tuple[Tile, Coverage]], interval: Interval, bundle: int
) -> Iterator[tuple[Tile, Coverage]]:
    """The row tiles of a block endpoint, packed into requests, most cells first.

    There are no more requests than one for every ``bundle`` rows. Where a request's range is
    limited, rows share one only if they ask for the same sessions.
    """
    ordered = sorted(rows, key=lambda row: (row[1].first, row[1].stop, row[0].symbol or ""))
    blocks = _packed(endpoint, ordered, interval, WASTE)
    if len(blocks) > -(-len(ordered) // bundle):
        blocks = _packed(endpoint, ordered, interval, np.inf)
    blocks.sort(key=lambda block: -sum(part.stop - part.first for _, part in block))
    for block in blocks:
        yield _joined(block)


def _packed(
    endpoint: Endpoint,
    ordered: Sequence[tuple[Tile, Coverage]],
    interval: Interval,
    waste: float,
) -> list[list[tuple[Tile, Coverage]]]:
    blocks: list[list[tuple[Tile, Coverage]]] = []
    first = stop = spans = 0
    for tile, part in ordered:
        width = part.stop - part.first
        if blocks:
            low, high = min(first, part.first), max(stop, part.stop)
            count = len(blocks[-1]) + 1
            fits = count <= room(endpoint, interval, high - low)
            if endpoint.max_sessions is not None:  # a longer range would not be answered
                fits = fits and (part.first, part.stop) == (first, stop)
            if fits and (high - low) * count <= waste * (spans + width):
                blocks[-1].append((tile, part))
                first, stop, spans = low, high, spans + width
                continue
        blocks.append([(tile, part)])
        first, stop, spans = part.first, part.stop, width
    return blocks


def _joined(block: Sequence[tuple[Tile, Coverage]]) -> tuple[Tile, Coverage]:
    tiles = [tile for tile, _ in block]
    parts = [part for _, part in block]
    lead = tiles[0]
    members = tuple((tile.asset_id or 0, tile.symbol or "") for tile in tiles)
    tile = Tile(
        lead.source,
        lead.endpoint,
        lead.interval,
        min(t.start for t in tiles),
        max(t.end for t in tiles),
        members=members,
    )
    rows = np.concatenate([part.rows for part in parts])
    first, stop = min(p.first for p in parts), max(p.stop for p in parts)
    return tile, Coverage(np.sort(rows), first, stop, False)
