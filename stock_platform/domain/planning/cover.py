"""Choosing columns: which sessions to ask for the whole market, which tickers one by one.

Belongs here: the trade between column calls and row calls. Does not: what is reachable
(reach.py), the proof of how good it is (bounds.py).

Missing cells are the edges of a bipartite graph of assets and sessions, a row call is an
asset, a column call a session, and every edge needs one of its ends: a vertex cover.
With no clock the least one is found exactly (Koenig 1931, by the matching of Hopcroft and
Karp 1973). With budgets (so many columns and so many rows by a deadline) it is the
constrained bipartite vertex cover of Kuo and Fuchs (1987, spare rows and columns of
memory chips), which is NP-complete. So:

- Assets with the same gaps, and sessions with the same gaps, are folded into one vertex
  with a weight: some cover of least cost takes each fold wholly or not at all.
- Two greedy sweeps give a whole curve of covers each, from all columns to all rows: one
  gives up columns in the order of fewest new rows touched, the other gives up rows in the
  order of fewest new columns touched.
- All points of the curves are judged together against the deadline (schedule.Demand).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from stock_platform.domain.cells import Mask
from stock_platform.domain.planning.reach import Indexes
from stock_platform.domain.planning.schedule import Counts, Demand, Pace, relaxed

Weights = npt.NDArray[np.float32]


def pattern_groups(patterns: Mask, keys: Sequence[Hashable]) -> list[Indexes]:
    """Indexes of rows that have the same pattern and key, in order of first appearance."""
    packed = np.packbits(patterns, axis=1)
    groups: dict[Hashable, list[int]] = {}
    for index, key in enumerate(keys):
        groups.setdefault((packed[index].tobytes(), key), []).append(index)
    return [np.array(members, dtype=np.int64) for members in groups.values()]


@dataclass(frozen=True, eq=False)
class Block:
    """Cells that both a row call and a column call can get, folded by equal gaps.

    Attributes:
        need: bool, row groups x column groups.
        columns: for each column group, its indexes among the block's columns.
        row_calls, column_calls: calls to make all rows (columns) of a group.
        row_bits, column_bits: the sources able to, as bit sets.
    """

    need: Mask
    columns: tuple[Indexes, ...]
    row_calls: Counts
    column_calls: Counts
    row_bits: tuple[int, ...]
    column_bits: tuple[int, ...]

    @classmethod
    def of(
        cls,
        need: Mask,
        row_bits: Sequence[int],
        row_calls: Sequence[int],
        column_bits: Sequence[int],
    ) -> Block:
        """From cells (assets x sessions), with each asset's and session's sources."""
        rows = pattern_groups(need, list(zip(row_bits, row_calls, strict=True)))
        lead = np.array([g[0] for g in rows], dtype=np.int64)
        folded = need[lead]
        columns = pattern_groups(np.ascontiguousarray(folded.T), list(column_bits))
        head = np.array([g[0] for g in columns], dtype=np.int64)
        return cls(
            np.ascontiguousarray(folded[:, head]),
            tuple(columns),
            np.array([sum(row_calls[i] for i in g.tolist()) for g in rows], dtype=np.int64),
            np.array([len(g) for g in columns], dtype=np.int64),
            tuple(row_bits[i] for i in lead.tolist()),
            tuple(column_bits[i] for i in head.tolist()),
        )


@dataclass(frozen=True, eq=False)
class Curve:
    """Covers numbered k = 0 .. steps.

    In cover k the columns with ``column_step`` >= k are chosen, and the rows with
    ``row_step`` < k are called.
    """

    row_step: Indexes
    column_step: Indexes
    steps: int

    def calls(self, block: Block) -> dict[int, Counts]:
        """Calls bound to each bit set of sources, one number a cover."""
        result: dict[int, Counts] = {}
        for bits, step, weight in zip(
            block.row_bits, self.row_step.tolist(), block.row_calls.tolist(), strict=True
        ):
            result.setdefault(bits, np.zeros(self.steps + 1, dtype=np.int64))
            if step < self.steps:
                result[bits][step + 1] += weight
        for bits, step, weight in zip(
            block.column_bits, self.column_step.tolist(), block.column_calls.tolist(), strict=True
        ):
            counts = result.setdefault(bits, np.zeros(self.steps + 1, dtype=np.int64))
            counts[0] += weight
            if step < self.steps:
                counts[step + 1] -= weight
        return {bits: np.cumsum(counts) for bits, counts in result.items()}


def give_up_columns(block: Block) -> Curve:
    """Omits columns one by one, always the one whose rows are fewest calls per call saved."""
    order, row_step = _peel(block.need, block.row_calls, block.column_calls)
    return Curve(row_step, order, len(block.columns))


def give_up_rows(block: Block) -> Curve:
    """The same with the parts exchanged, turned so that k rises with the rows called."""
    order, column_step = _peel(
        np.ascontiguousarray(block.need.T), block.column_calls, block.row_calls
    )
    steps = int(order.max(initial=-1)) + 1
    # A row given up at step s is not called from state s+1 on; count states from the end.
    return Curve(steps - 1 - order, steps - 1 - column_step, steps)


def _peel(need: Mask, row_cost: Counts, column_gain: Counts) -> tuple[Indexes, Indexes]:
    """Order in which columns are omitted, and the step at which each row is first touched.

    Minimum-union greedy: the next column adds the least row cost per gain; columns that
    add none go at once, in the same step.
    """
    steps = np.full(need.shape[1], -1, dtype=np.int64)
    touched = np.full(need.shape[0], -1, dtype=np.int64)
    table = need.astype(np.float32)
    left: Weights = row_cost.astype(np.float32) @ table
    gain = column_gain.astype(np.float32)
    step = 0
    while True:
        rate = np.where(steps < 0, left / gain, np.inf)
        best = int(np.argmin(rate))
        if steps[best] >= 0:
            return steps, touched
        new = np.flatnonzero(need[:, best] & (touched < 0))
        touched[new] = step
        if len(new):
            left -= row_cost[new].astype(np.float32) @ table[new]
        free = (steps < 0) & (left < 0.5)
        free[best] = True
        steps[free] = step
        step += 1


@dataclass(frozen=True, eq=False)
class Choice:
    """The columns chosen, and what follows.

    Attributes:
        columns: bool, over the block's columns.
        calls: of the rows and columns, by bit set of sources.
        deadline: the finish aimed at, tolerance included.
    """

    columns: Mask
    calls: Counter[int]
    deadline: float


def choose(block: Block, base: Mapping[int, int], by: Sequence[Pace]) -> Choice:
    """The columns with which all is done earliest; of equally early ones the fewest calls.

    ``base`` is what else must be called, by bit set of sources.
    """
    curves = (give_up_columns(block), give_up_rows(block))
    demands = []
    totals = []
    for curve in curves:
        groups = curve.calls(block)
        totals.append(sum(groups.values(), np.zeros(curve.steps + 1, dtype=np.int64)))
        for bits, count in base.items():
            groups[bits] = groups.get(bits, np.zeros(curve.steps + 1, dtype=np.int64)) + count
        demands.append(Demand.of(groups))
    deadline = relaxed(min(demand.earliest(by) for demand in demands))
    best: tuple[int, float, float, int, int] | None = None
    for which, (demand, total) in enumerate(zip(demands, totals, strict=True)):
        good = np.flatnonzero(demand.feasible(by, deadline))
        if not len(good):
            continue
        fewest = good[total[good] == total[good].min()]
        for k in dict.fromkeys((int(fewest[0]), int(fewest[-1]))):
            single = Demand(demand.sets, demand.calls[:, k : k + 1])
            finish = single.earliest(by)
            rank = (int(total[k]), _liking(block, curves[which], k, by), finish, which, k)
            best = rank if best is None or rank < best else best
    assert best is not None  # noqa: S101 - a deadline is the time of some cover
    curve, k = curves[best[3]], best[4]
    chosen = np.zeros(sum(len(g) for g in block.columns), dtype=np.bool_)
    for members, step in zip(block.columns, curve.column_step.tolist(), strict=True):
        chosen[members] = step >= k
    calls = Counter({bits: int(counts[k]) for bits, counts in curve.calls(block).items()})
    return Choice(chosen, calls, deadline)


def _liking(block: Block, curve: Curve, k: int, by: Sequence[Pace]) -> float:
    """Sum of the preferences of the best liked source of every call; lower is better."""

    def liked(bits: int) -> int:
        return min(by[s].preference for s in range(len(by)) if bits >> s & 1)

    rows = sum(
        calls * liked(bits)
        for bits, calls, step in zip(
            block.row_bits, block.row_calls.tolist(), curve.row_step.tolist(), strict=True
        )
        if step < k
    )
    columns = sum(
        calls * liked(bits)
        for bits, calls, step in zip(
            block.column_bits, block.column_calls.tolist(), curve.column_step.tolist(), strict=True
        )
        if step >= k
    )
    return float(rows + columns)
