"""Lower bounds: how few calls, and how little time, any plan must take.

Belongs here: proofs. Does not: plans.

Cells that only a column call (only a row call) reaches force calls. What is left is a
bipartite graph, and the question is its *frontier*: with so many column calls, how many row
calls are needed at least? The frontier is the largest of

- the hull of all covers, exact by minimum cuts (hull.py; linear programming duality);
- must-repair (Kuo and Fuchs 1987): a ticker with more gaps than there are column calls must
  be called itself, and a session with more gaps than there are row calls must be a column;
- all covers, where equal gaps fold to few kinds (cover.every_cover): then it is exact;
- the spectrum (hull.least_touched): sessions omitted together touch many tickers in a graph
  that looks random. The singular values come from an iteration, so this one holds up to
  its tolerance and a margin. It is for unfolded graphs, and worked out only where the
  others leave a gap.

A deadline is impossible if the frontier lies above what the sources can make by it, or if
the forced calls break Hall's condition. The fewest calls of any plan at all come from the
frontier as well, and so do the fewest of a plan that ends by a deadline.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from stock_platform.domain.planning.cover import Block, every_cover
from stock_platform.domain.planning.hull import Graph, least_touched
from stock_platform.domain.planning.reach import Field, Indexes
from stock_platform.domain.planning.schedule import Counts, Demand, Pace, capacities, earliest

CLOSE = 1.01
"""Bounds this near to the plan are not worth more work."""


@dataclass(frozen=True, eq=False)
class Forced:
    """What every plan must call, and the graph that is left.

    Attributes:
        rows: number of row calls forced. columns: number of column calls forced.
        demand: forced calls by the bit set of sources that could make them.
        parts: the rest, one graph for each group of column families that share an endpoint.
        row_sources, column_sources: bit sets of the sources with such calls at all.
    """

    rows: int
    columns: int
    demand: dict[int, int]
    parts: tuple[Graph, ...]
    row_sources: int
    column_sources: int


def forced(field: Field) -> Forced:
    """The calls no plan can do without, and the rest of the demand."""
    position = np.arange(len(field.sessions))
    row_can = position >= field.row_first[:, None]
    demand: dict[int, int] = {}
    column_count = row_count = 0
    parts = []
    row_reaches = field.rows
    for families in _related(field):
        members = np.flatnonzero(np.isin(field.family, families))
        need = field.need[members]
        bits = np.zeros(len(position), dtype=np.int64)
        for family in families:
            if family >= 0:
                bits |= field.column_sources(family)
        must = (need & ~row_can[members]).any(axis=0)
        for value in bits[must].tolist():
            demand[value] = demand.get(value, 0) + 1
        column_count += int(must.sum())
        need = need & ~must
        deep = need & (bits == 0)
        deep_rows = np.flatnonzero(deep.any(axis=1))
        oldest = deep[deep_rows].argmax(axis=1) if len(deep_rows) else deep_rows
        for row, first in zip(deep_rows.tolist(), oldest.tolist(), strict=True):
            asset = int(members[row])
            able = 0
            widest: Indexes | None = None
            unlimited = False
            for reach in row_reaches:
                if not reach.serves[asset]:
                    continue
                if reach.first[asset] <= first:
                    able |= 1 << reach.source
                if reach.window_stop is None:
                    unlimited = True
                else:
                    stop = reach.window_stop[field.continuous[asset]]
                    widest = stop if widest is None else np.maximum(widest, stop)
            calls = 1
            if not unlimited and widest is not None:
                calls = _windows(np.flatnonzero(deep[row]), widest)
            row_count += calls
            # Of several calls only the one of the oldest cell is sure to be bound to these.
            demand[able] = demand.get(able, 0) + 1
        need = np.delete(need, deep_rows, axis=0)
        if need.any():
            parts.append(Graph.plain(need))
    return Forced(
        row_count,
        column_count,
        demand,
        tuple(parts),
        _bits(r.source for r in field.rows),
        _bits(r.source for r in field.columns),
    )


def _windows(cells: Indexes, stop: Indexes) -> int:
    count, at = 0, 0
    while at < len(cells):
        at = int(np.searchsorted(cells, stop[cells[at]]))
        count += 1
    return count


def _bits(sources: Iterable[int]) -> int:
    result = 0
    for source in sources:
        result |= 1 << source
    return result


def _related(field: Field) -> list[list[int]]:
    """Column families grouped by shared endpoints; assets without columns are [-1]."""
    groups: list[tuple[set[int], list[int]]] = []
    for family, endpoints in enumerate(field.families):
        merged, ids = set(endpoints), [family]
        apart = []
        for known, listed in groups:
            if known & merged:
                merged |= known
                ids = listed + ids
            else:
                apart.append((known, listed))
        groups = [*apart, (merged, ids)]
    return [[-1], *(sorted(ids) for _, ids in groups)]


def frontier(graph: Graph) -> tuple[Counts, bool]:
    """For 0, 1, 2, ... column calls, a bound on the row calls needed; whether it is exact."""
    columns = np.arange(graph.need.shape[1] + 1)
    by_row = np.sort(graph.need.sum(axis=1))
    by_column = np.sort(graph.need.sum(axis=0))
    rows = len(by_row) - np.searchsorted(by_row, columns, side="right")
    rows[:-1] = np.maximum(rows[:-1], by_column[::-1])
    folded = Block.of(graph.need, [0] * len(by_row), [1] * len(by_row), [0] * len(by_column))
    everything = every_cover(folded)
    if everything is not None:
        used = everything.column_table @ folded.column_calls
        exact = np.full(len(columns), len(by_row))
        np.minimum.at(exact, used, everything.row_table @ folded.row_calls)
        return np.asarray(np.minimum.accumulate(exact)), True
    hull = Graph(folded.need, folded.row_calls, folded.column_calls)
    for line in hull.lines:
        rows = np.maximum(rows, -((line.column_price * columns - line.cost) // line.row_price))
    return np.asarray(np.maximum(rows, 0)), False


def raised(rows: Counts, graph: Graph, *, exact: bool) -> Counts:
    """A frontier raised by what the graph's spectrum says."""
    if exact:
        return rows
    rows = np.maximum(rows, least_touched(graph.need)[::-1])
    # The other way round: rows that are not called have all their cells in columns.
    spread = least_touched(np.ascontiguousarray(graph.need.T))
    saved = np.searchsorted(spread, np.arange(len(rows)), side="right") - 1
    return np.asarray(np.maximum(rows, graph.need.shape[0] - saved))


def joined(frontiers: Sequence[Counts]) -> Counts:
    """The frontier of several graphs that share nothing: the best split of the columns."""
    total = np.zeros(1, dtype=np.int64)
    for part in frontiers:
        longer = np.full(len(total) + len(part) - 1, np.iinfo(np.int64).max)
        for used, rows in enumerate(total.tolist()):
            span = slice(used, used + len(part))
            longer[span] = np.minimum(longer[span], part + rows)
        total = longer
    return total


@dataclass(frozen=True)
class Bounds:
    """What no plan can beat.

    Attributes:
        calls: none has fewer.
        calls_in_time: none that takes no longer than the plan at hand has fewer.
        seconds: none is done sooner.
    """

    calls: int
    calls_in_time: int
    seconds: float


def bounds(field: Field, by: Sequence[Pace], calls: int, finish: float) -> Bounds:
    """Bounds for the field's demand, worked out until they are close to the plan's figures."""
    part = forced(field)
    frontiers = [frontier(graph) for graph in part.parts]
    found = _bounds(part, joined([rows for rows, _ in frontiers]), by, finish)
    if part.parts and (calls > found.calls_in_time * CLOSE or finish > found.seconds * CLOSE):
        better = [
            raised(rows, graph, exact=exact)
            for (rows, exact), graph in zip(frontiers, part.parts, strict=True)
        ]
        found = _bounds(part, joined(better), by, finish)
    return found


def _bounds(part: Forced, rows: Counts, by: Sequence[Pace], finish: float) -> Bounds:
    hall = Demand.of({bits: np.array([count]) for bits, count in part.demand.items()})
    columns = np.arange(len(rows))

    def room(able: Counts, bits: int) -> int:
        return int(sum(able[s] for s in range(len(by)) if bits >> s & 1))

    bundle = max(pace.bundle for pace in by) if by else 1
    requests = -(-(rows + part.rows) // bundle)  # rows of a block share a request

    def fewest(deadline: float) -> int | None:
        """Calls of the smallest plan by the deadline, as far as can be told; None: no plan."""
        able = capacities(by, deadline)
        rows_left = room(able, part.row_sources) - part.rows
        columns_left = room(able, part.column_sources) - part.columns
        if rows_left < 0 or columns_left < 0:
            return None
        if part.demand and not bool(hall.feasible(by, deadline)[0]):
            return None
        open_ = (columns <= columns_left) & (rows <= rows_left)
        if not open_.any():
            return None
        made = int((columns + rows)[open_].min()) + part.rows + part.columns
        if made > room(able, part.row_sources | part.column_sources):
            return None
        return int((columns + requests)[open_].min()) + part.columns

    any_time = int((columns + requests).min()) + part.columns
    if not any_time:
        return Bounds(0, 0, 0.0)
    in_time = fewest(finish)
    return Bounds(
        any_time,
        any_time if in_time is None else in_time,
        earliest(by, lambda deadline: fewest(deadline) is not None),
    )
