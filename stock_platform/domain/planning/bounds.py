"""Lower bounds: how few calls, and how little time, any plan must take.

Belongs here: proofs. Does not: plans.

Calls: cells that only a column call (only a row call) reaches force calls; what is left is
a bipartite graph whose largest matching no cover can beat (Koenig's theorem; the matching
is scipy's Hopcroft-Karp). A matching of a part of the edges is a bound as well, so of
dense graphs only a sample of the edges is looked at before all of them.

Time: a deadline is impossible if the sources cannot make that many calls by it, if the
forced calls break Hall's condition, or if the must-repair rule of Kuo and Fuchs (1987)
runs out of budget: a ticker with more gaps than the column calls left must be called
itself, and a session with more gaps than the row calls left must be asked as a column.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from stock_platform.domain.cells import Mask
from stock_platform.domain.planning.reach import Field, Indexes
from stock_platform.domain.planning.schedule import Demand, Pace, capacities, earliest

SAMPLE_EDGES = 24
MOST_EDGES = 4_000_000


@dataclass(frozen=True, eq=False)
class Forced:
    """What every plan must call, and the graph that is left.

    Attributes:
        rows: number of row calls forced. columns: number of column calls forced.
        demand: forced calls by the bit set of sources that could make them.
        graphs: the rest, bool, assets x sessions; one for each group of column families
            that share an endpoint.
        row_sources, column_sources: bit sets of the sources with such calls at all.
    """

    rows: int
    columns: int
    demand: dict[int, int]
    graphs: tuple[Mask, ...]
    row_sources: int
    column_sources: int


def forced(field: Field) -> Forced:
    """The calls no plan can do without, and the rest of the demand."""
    position = np.arange(len(field.sessions))
    row_can = position >= field.row_first[:, None]
    demand: dict[int, int] = {}
    column_count = row_count = 0
    graphs = []
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
        oldest = deep[deep_rows].argmax(axis=1)
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
        need = need[need.any(axis=1)][:, need.any(axis=0)]
        if need.size:
            graphs.append(need)
    return Forced(
        row_count,
        column_count,
        demand,
        tuple(graphs),
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


def least_cover(graph: Mask) -> int:
    """A lower bound on the vertices that cover the graph's edges; mostly the exact least."""
    from scipy.sparse import csr_array
    from scipy.sparse.csgraph import maximum_bipartite_matching

    if graph.shape[0] < graph.shape[1]:
        graph = np.ascontiguousarray(graph.T)
    edges = int(graph.sum())
    side = graph.shape[1]

    def matched(rows: Indexes, columns: Indexes) -> int:
        table = csr_array((np.ones(len(rows), dtype=np.int8), (rows, columns)), shape=graph.shape)
        return int((maximum_bipartite_matching(table, perm_type="column") >= 0).sum())

    found = 0
    if edges > SAMPLE_EDGES * side:
        found = matched(*_sample(graph))
        if found == side:
            return found
    if edges <= MOST_EDGES:
        found = max(found, matched(*np.nonzero(graph)))
    return found


def _sample(graph: Mask) -> tuple[Indexes, Indexes]:
    """Some edges of every column, spread over its rows."""
    rows, columns = [], []
    table = np.ascontiguousarray(graph.T)
    for column in range(len(table)):
        all_rows = np.flatnonzero(table[column])
        count = min(SAMPLE_EDGES, len(all_rows))
        # A stride that is no divisor of the length sends neighbours to different rows.
        picked = all_rows[(column * 7919 + np.arange(count) * 104_729) % len(all_rows)]
        rows.append(np.unique(picked))
        columns.append(np.full(len(rows[-1]), column))
    return np.concatenate(rows), np.concatenate(columns)


def calls_bound(part: Forced, covers: Sequence[int]) -> int:
    """No plan has fewer calls."""
    return part.rows + part.columns + sum(covers)


def seconds_bound(part: Forced, covers: Sequence[int], by: Sequence[Pace]) -> float:
    """No plan is done sooner (seconds from now)."""
    calls = calls_bound(part, covers)
    if not calls:
        return 0.0
    hall = Demand.of({bits: np.array([count]) for bits, count in part.demand.items()})
    degrees = [(np.sort(graph.sum(axis=1)), np.sort(graph.sum(axis=0))) for graph in part.graphs]

    def possible(deadline: float) -> bool:
        able = capacities(by, deadline)

        def room(bits: int) -> int:
            return int(sum(able[s] for s in range(len(by)) if bits >> s & 1))

        rows_left = room(part.row_sources) - part.rows
        columns_left = room(part.column_sources) - part.columns
        if rows_left < 0 or columns_left < 0:
            return False
        if calls > room(part.row_sources | part.column_sources):
            return False
        if part.demand and not bool(hall.feasible(by, deadline)[0]):
            return False
        for by_row, by_column in degrees:
            if _above(by_row, columns_left) > rows_left:
                return False
            if _above(by_column, rows_left) > columns_left:
                return False
        return True

    return earliest(by, possible)


def _above(ascending: npt.NDArray[np.int64], limit: int) -> int:
    return len(ascending) - int(np.searchsorted(ascending, limit, side="right"))
