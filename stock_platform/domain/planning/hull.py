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

import numpy as np
import numpy.typing as npt

from stock_platform.domain.cells import Mask

Counts = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float32]

MOST_FLOWS = 20
"""Corners asked for at the most; coarser where there are more."""
MOST_EDGES = 1_000_000
SAMPLE_EDGES = 24
"""Of larger graphs so many edges of every vertex are looked at: enough for a lower bound."""
SPARSE = 0.15
"""Share of cells below which a sparse matrix is faster."""
NOISE_MARGIN = 1.003
"""On singular values, for what an iteration may have left undone."""


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


def _some(table: Mask) -> tuple[Counts, Counts]:
    """SAMPLE_EDGES edges of every row of the table, spread by strides of primes."""
    heads, tails = [], []
    for row, line in enumerate(table):
        ends = np.flatnonzero(line)
        picked = (row * 7919 + np.arange(min(SAMPLE_EDGES, len(ends))) * 104_729) % len(ends)
        tails.append(ends[picked])
        heads.append(np.full(len(picked), row))
    return np.concatenate(heads), np.concatenate(tails)


def noise(need: Mask) -> float:
    """The largest singular value of the matrix less each column's mean."""
    from scipy.sparse import csr_array
    from scipy.sparse.linalg import LinearOperator, svds

    matrix = need.astype(np.float32)
    if min(need.shape) < 32:
        return float(np.linalg.norm(matrix - matrix.mean(axis=0), 2)) * NOISE_MARGIN
    sparse = need.mean() < SPARSE
    table = csr_array(matrix) if sparse else matrix
    turned = csr_array(table.T) if sparse else matrix.T

    def forward(x: Floats) -> Floats:
        y = table @ x.ravel()
        return np.asarray(y - y.mean(), dtype=np.float32)

    def backward(y: Floats) -> Floats:
        return np.asarray(turned @ (y.ravel() - y.mean()), dtype=np.float32)

    operator = LinearOperator(need.shape, matvec=forward, rmatvec=backward, dtype=np.float32)
    start = np.random.default_rng(0).standard_normal(min(need.shape)).astype(np.float32)
    values = svds(operator, k=1, tol=1e-4, v0=start, return_singular_vectors=False)
    return float(values[0]) * NOISE_MARGIN


def least_touched(need: Mask) -> Counts:
    """For any 0, 1, 2, ... columns, a bound on the rows that have a cell in one of them.

    For columns D let S1 be the sum of their degrees, n the number of rows, and e the noise.
    The matrix times the indicator of D has the mean S1 / n, and from there the squared
    distance e^2 |D| at the most. Two arguments follow:

    - Rows S without a cell in D are a hole of the matrix, and a hole needs
      |S| / (1 - |S| / n) <= (e n / S1)^2 |D| (expander mixing lemma).
    - A union is at least 2/(m+1) S1 - 2/(m(m+1)) S2 for any whole m (Dawson and Sankoff
      1967), S2 being the common rows over pairs, and S1 + 2 S2 <= S1^2 / n + e^2 |D|. The
      bound is concave in S1, so it is least at the least or the greatest S1 there can be.
    """
    rows, columns = need.shape
    excess = noise(need) ** 2 * np.arange(columns + 1)
    ascending = np.sort(need.sum(axis=0))
    touched = np.zeros(columns + 1)
    fewest = np.concatenate([[0.0], np.cumsum(ascending)])
    most = np.concatenate([[0.0], np.cumsum(ascending[::-1])])
    hole = excess[1:] * (rows / fewest[1:]) ** 2
    touched[1:] = rows - hole / (1 + hole / rows)
    guess = np.floor(fewest / rows + excess / np.maximum(fewest, 1))
    for m in np.maximum(1, guess + np.array([[-1], [0], [1], [2]])):
        worst = np.full(columns + 1, np.inf)
        for degrees in (fewest, most):
            pairs = (degrees**2 / rows + excess - degrees) / 2
            worst = np.minimum(worst, 2 / (m + 1) * degrees - 2 / (m * (m + 1)) * pairs)
        touched = np.maximum(touched, worst)
    whole = np.ceil(np.maximum(touched, 0) - 1e-6).astype(np.int64)
    return np.asarray(np.maximum.accumulate(whole))
