"""Least-cost covers of a bipartite graph when columns cost one price and rows another.

Belongs here: exact covers by minimum cut, and what a graph's spectrum proves. Does not: deadlines
(schedule.py), the plan (cover.py), what follows for bounds (bounds.py).

With prices a for a column and b for a row, the least-cost cover is a minimum cut (Koenig's
theorem with weights; the flow is scipy's Dinic). Over all prices these covers are the
corners of the lower convex hull of all covers, drawn as points (columns, rows): the
Lagrangian relaxation of the budgets. Corners are found as Eisner and Severance (1976) do:
between two known ones, ask at the prices at which they cost the same. Between two
neighbouring corners a cover may have to be dearer than the hull; how much is where the
heuristics work.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from stock_platform.domain.cells import Mask

Counts = npt.NDArray[np.int64]
Reals = npt.NDArray[np.float64]

MOST_FLOWS = 20
"""Corners asked for at the most; coarser where there are more."""
MOST_EDGES = 1_000_000
SAMPLE_EDGES = 24
"""Of larger graphs so many edges of every vertex are looked at: enough for a lower bound."""
SPARSE = 0.15
"""Share of cells below which a sparse matrix is faster."""
SPECTRUM_MARGIN = 1.01
"""On singular values, for what an iteration may have left undone."""
PROOF_MARGIN = 0.995
"""On bounds that rest on those."""


@dataclass(frozen=True, eq=False)
class Corner:
    """A cover: which rows and columns are in it, and how many those are by weight."""

    rows: Mask
    columns: Mask
    row_count: int
    column_count: int


@dataclass(frozen=True)
class Line:
    """``column_price`` x columns + ``row_price`` x rows >= ``cost`` for every cover."""

    column_price: int
    row_price: int
    cost: int


@dataclass(frozen=True, eq=False)
class Graph:
    """A bipartite graph of rows and columns with weights (1 where not folded).

    No row and no column may be without an edge.
    """

    need: Mask
    row_weight: Counts
    column_weight: Counts

    @classmethod
    def plain(cls, need: Mask) -> Graph:
        """With weights of 1; empty rows and columns are left out."""
        need = need[need.any(axis=1)][:, need.any(axis=0)]
        rows, columns = need.shape
        return cls(need, np.ones(rows, dtype=np.int64), np.ones(columns, dtype=np.int64))

    @cached_property
    def edges(self) -> int:
        """How many."""
        return int(self.need.sum())

    @property
    def corners(self) -> tuple[Corner, ...]:
        """Corners of the hull, from all columns to all rows."""
        return self._hull[0]

    @property
    def lines(self) -> tuple[Line, ...]:
        """Inequalities every cover obeys; with ``corners`` they draw the hull."""
        return self._hull[1]

    @cached_property
    def _hull(self) -> tuple[tuple[Corner, ...], tuple[Line, ...]]:
        if not self.edges:
            return (), ()
        rows, columns = self.need.shape
        ends = [
            self._cover(np.zeros(rows, dtype=np.bool_), np.ones(columns, dtype=np.bool_)),
            self._cover(np.ones(rows, dtype=np.bool_), np.zeros(columns, dtype=np.bool_)),
        ]
        corners, lines = list(ends), []
        line, _ = self._cheapest(1, 1)
        lines.append(line)
        waiting = [(ends[0], ends[1])]
        while waiting and len(lines) < MOST_FLOWS:
            left, right = waiting.pop(0)
            column_price = right.row_count - left.row_count
            row_price = left.column_count - right.column_count
            if column_price <= 0 or row_price <= 0:
                continue
            line, corner = self._cheapest(column_price, row_price)
            lines.append(line)
            known = column_price * left.column_count + row_price * left.row_count
            if corner is None or line.cost >= known:
                continue
            corners.append(corner)
            waiting += [(left, corner), (corner, right)]
        corners.sort(key=lambda corner: (-corner.column_count, corner.row_count))
        return tuple(corners), tuple(lines)

    def _cover(self, rows: Mask, columns: Mask) -> Corner:
        return Corner(
            rows, columns, int(self.row_weight[rows].sum()), int(self.column_weight[columns].sum())
        )

    def _cheapest(self, column_price: int, row_price: int) -> tuple[Line, Corner | None]:
        """The least cost at these prices, and a cover of that cost (None: of a sample only)."""
        from scipy.sparse import csr_array
        from scipy.sparse.csgraph import breadth_first_order, maximum_flow

        rows, columns = self.need.shape
        source, sink = rows + columns, rows + columns + 1
        heads, tails = self._ends
        capacity = np.concatenate(
            [
                self.row_weight * row_price,
                np.full(len(heads), np.iinfo(np.int32).max // 4),
                self.column_weight * column_price,
            ]
        ).astype(np.int32)
        origin = np.concatenate([np.full(rows, source), heads, np.arange(rows, source)])
        target = np.concatenate([np.arange(rows), tails + rows, np.full(columns, sink)])
        network = csr_array((capacity, (origin, target)), shape=(sink + 1, sink + 1))
        result = maximum_flow(network, source, sink)
        line = Line(column_price, row_price, int(result.flow_value))
        if len(heads) < self.edges:
            return line, None
        residual = csr_array(network - result.flow)
        residual.eliminate_zeros()
        reached = np.zeros(sink + 1, dtype=np.bool_)
        reached[breadth_first_order(residual, source, return_predecessors=False)] = True
        return line, self._cover(~reached[:rows], reached[rows:source])

    @cached_property
    def _ends(self) -> tuple[Counts, Counts]:
        """The edges, or a sample of them if they are many."""
        if self.edges <= MOST_EDGES:
            heads, tails = np.nonzero(self.need)
            return heads.astype(np.int64), tails.astype(np.int64)
        columns = self.need.shape[1]
        by_row = _some(self.need)
        by_column = _some(np.ascontiguousarray(self.need.T))
        codes = np.unique(
            np.concatenate([by_row[0] * columns + by_row[1], by_column[1] * columns + by_column[0]])
        )
        return codes // columns, codes % columns

    @cached_property
    def spectrum(self) -> Spectrum:
        """The two largest singular values; for unit weights."""
        from scipy.sparse import csr_array
        from scipy.sparse.linalg import svds

        matrix = self.need.astype(np.float32)
        if min(matrix.shape) < 32:
            left, values, right = np.linalg.svd(matrix, full_matrices=False)
            second = values[1] if len(values) > 1 else 0.0
            return Spectrum.of(left[:, 0], right[0], values[0], second)
        start = np.ones(min(matrix.shape), dtype=np.float32)
        start[::2] = 0.5
        left, values, right = svds(
            csr_array(matrix) if self.edges < SPARSE * matrix.size else matrix,
            k=2,
            tol=1e-3,
            v0=start,
        )
        order = np.argsort(values)[::-1]
        return Spectrum.of(left[:, order[0]], right[order[0]], values[order[0]], values[order[1]])


def _some(table: Mask) -> tuple[Counts, Counts]:
    """SAMPLE_EDGES edges of every row of the table, spread by strides of primes."""
    heads, tails = [], []
    for row, line in enumerate(table):
        ends = np.flatnonzero(line)
        picked = (row * 7919 + np.arange(min(SAMPLE_EDGES, len(ends))) * 104_729) % len(ends)
        tails.append(ends[picked])
        heads.append(np.full(len(picked), row))
    return np.concatenate(heads), np.concatenate(tails)


@dataclass(frozen=True, eq=False)
class Spectrum:
    """The leading singular triple and the second value.

    The vectors' entries stand ascending; ``columns_of`` has them in the graph's order.
    """

    first: float
    second: float
    rows: Reals
    columns: Reals
    columns_of: Reals

    @classmethod
    def of(cls, rows: Any, columns: Any, first: float, second: float) -> Spectrum:
        """The vectors of the largest value have no negative entries (Perron)."""
        return cls(
            float(first),
            float(second) * SPECTRUM_MARGIN,
            np.sort(np.abs(np.asarray(rows, dtype=np.float64))),
            np.sort(np.abs(np.asarray(columns, dtype=np.float64))),
            np.maximum(np.abs(np.asarray(columns, dtype=np.float64)), 1e-12),
        )


def least_touched(graph: Graph) -> Counts:
    """For 0, 1, 2, ... columns omitted, a bound on the rows that have a cell in them.

    For unit weights. Two arguments, both from the spectrum:

    - Rows S without a cell in the columns D are a hole of the matrix. A hole needs
      first * u(S) * v(D) <= second * sqrt(|S| |D|), where u and v are the leading vectors'
      sums over S and D (expander mixing lemma).
    - A union is at least 2/(m+1) S1 - 2/(m(m+1)) S2 for any whole m (Dawson and Sankoff
      1967), S1 being the degrees' sum and S2 the common rows over pairs; and S1 + 2 S2 is
      the square of the matrix times the indicator of D.
    """
    lead = graph.spectrum
    rows, columns = graph.need.shape
    d = np.arange(columns + 1, dtype=np.float64)

    sums = np.concatenate([[0.0], np.cumsum(lead.rows)])
    counts = np.arange(1, rows + 1)
    thin = np.maximum.accumulate(sums[1:] / np.sqrt(counts))
    least = np.concatenate([[0.0], np.cumsum(lead.columns)])
    with np.errstate(divide="ignore", invalid="ignore"):
        limit = np.where(d > 0, lead.second * np.sqrt(d) / (lead.first * least), np.inf)
    hole = np.searchsorted(thin, np.minimum(limit, 1e18) * (1 + 1e-9), side="right")
    by_hole = rows - hole

    # Both S1 and the square depend on v(D): S1 >= ratio * v(D), and the square is at most
    # first^2 v(D)^2 + second^2 (|D| - v(D)^2). With S1 replaced the bound is concave in v(D),
    # so it is least at the least or the greatest v(D) there can be; the same holds with S1
    # replaced by the sum of the smallest degrees, whatever v(D) is.
    degrees = graph.need.sum(axis=0)
    ratio = float((degrees / lead.columns_of).min())
    fewest = np.concatenate([[0.0], np.cumsum(np.sort(degrees))])
    most = np.minimum(np.concatenate([[0.0], np.cumsum(lead.columns[::-1])]), np.sqrt(d))
    ends = np.stack([np.minimum(least, most), most])
    squares = (lead.first * ends) ** 2 + lead.second**2 * (d - ends**2)
    by_pairs = np.zeros(columns + 1)
    guess = np.floor(squares[0] / np.maximum(ratio * ends[0], 1))
    for m in np.maximum(1, guess + np.array([[-1], [0], [1], [2]])):
        for single in (ratio * ends, np.stack([fewest, fewest])):
            values = 2 / (m + 1) * single - (squares - single) / (m * (m + 1))
            by_pairs = np.maximum(by_pairs, np.ceil(values.min(axis=0) * PROOF_MARGIN))
    touched = np.maximum(by_hole, by_pairs.astype(np.int64))
    return np.asarray(np.maximum.accumulate(np.maximum(touched, 0)), dtype=np.int64)
