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
- Few folds: every cover that can matter is listed, and the choice is exact.
- Otherwise the corners of the convex hull of all covers are found exactly (hull.py), and
  from the corners about the deadline greedy sweeps run into the gaps: giving up columns in
  the order of fewest new rows touched, and rows in the order of fewest new columns.
- All candidates are judged together against the deadline (schedule.Demand).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Protocol

import numpy as np
import numpy.typing as npt

from stock_platform.domain.cells import Mask
from stock_platform.domain.planning.hull import Corner, Graph
from stock_platform.domain.planning.reach import Indexes
from stock_platform.domain.planning.schedule import WORTH_SHARE, Counts, Demand, Pace, relaxed

MOST_FOLDS = 12
"""With so many kinds of rows, or of columns, every combination is looked at."""

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

    @cached_property
    def table(self) -> Weights:
        """``need`` as numbers, for matrix products."""
        return self.need.astype(np.float32)

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


class Covers(Protocol):
    """Candidate covers of one block, numbered from 0."""

    def calls(self, block: Block) -> dict[int, Counts]:
        """Calls bound to each bit set of sources, one number a cover."""

    def columns(self, k: int) -> Mask:
        """The column groups chosen in cover k."""


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
        """See Covers."""
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

    def columns(self, k: int) -> Mask:
        """See Covers."""
        return self.column_step >= k


@dataclass(frozen=True, eq=False)
class Listed:
    """Covers written out: bool, covers x row groups and covers x column groups."""

    row_table: Mask
    column_table: Mask

    def calls(self, block: Block) -> dict[int, Counts]:
        """See Covers."""
        result: dict[int, Counts] = {}
        for table, weights, bits in (
            (self.row_table, block.row_calls, block.row_bits),
            (self.column_table, block.column_calls, block.column_bits),
        ):
            labels = np.array(bits, dtype=np.int64)
            for value in dict.fromkeys(bits):
                counts = table[:, labels == value] @ weights[labels == value]
                result[value] = result.get(value, 0) + counts
        return result

    def columns(self, k: int) -> Mask:
        """See Covers."""
        return np.asarray(self.column_table[k])


def every_cover(block: Block) -> Listed | None:
    """All covers that can matter, where there are few; None otherwise.

    Once the rows not called are known, so are the columns, and the other way round.
    """
    rows, columns = block.need.shape
    short = min(rows, columns)
    if short > MOST_FOLDS:
        return None
    picks = (np.arange(1 << short)[:, None] >> np.arange(short) & 1).astype(np.bool_)
    if rows <= columns:
        return Listed(picks, (~picks).astype(np.float32) @ block.table > 0)
    return Listed((~picks).astype(np.float32) @ block.table.T > 0, picks)


def give_up_columns(block: Block, start: Corner | None = None) -> Curve:
    """Omits columns one by one, always the one whose rows are fewest calls per call saved."""
    column_step, row_step = _peel(
        block.table,
        block.row_calls,
        block.column_calls,
        None if start is None else (start.rows, ~start.columns),
    )
    return Curve(row_step, column_step, int(column_step.max(initial=-1)) + 1)


def give_up_rows(block: Block, start: Corner | None = None) -> Curve:
    """The same with the parts exchanged, turned so that k rises with the rows called."""
    row_step, column_step = _peel(
        np.ascontiguousarray(block.table.T),
        block.column_calls,
        block.row_calls,
        None if start is None else (start.columns, ~start.rows),
    )
    steps = int(row_step.max(initial=-1)) + 1
    # A row given up at step s is not called from state s+1 on; count states from the end.
    return Curve(steps - 1 - row_step, steps - 1 - column_step, steps)


def _peel(
    table: Weights,
    row_cost: Counts,
    column_gain: Counts,
    start: tuple[Mask, Mask] | None,
) -> tuple[Indexes, Indexes]:
    """The step at which each column is omitted, and at which each row is first touched.

    Minimum-union greedy: the next column adds the least row cost per gain; columns that
    add none go at once, in the same step. ``start`` has rows touched and columns omitted
    in step 0.
    """
    rows, columns = table.shape
    omitted = np.full(columns, -1, dtype=np.int64)
    touched = np.full(rows, -1, dtype=np.int64)
    step = 0
    cost = row_cost.astype(np.float32)
    if start is not None:
        touched[start[0]] = 0
        omitted[start[1]] = 0
        step = 1
    left: Weights = np.where(touched < 0, cost, 0).astype(np.float32) @ table
    gain = column_gain.astype(np.float32)
    rate = np.where(omitted < 0, left / gain, np.inf)
    while True:
        best = int(np.argmin(rate))
        if omitted[best] >= 0:
            return omitted, touched
        new = np.flatnonzero((table[:, best] > 0) & (touched < 0))
        touched[new] = step
        if len(new):
            left -= cost[new] @ table[new]
        gone = (omitted < 0) & (left < 0.5)
        gone[best] = True
        omitted[gone] = step
        rate = np.where(omitted < 0, left / gain, np.inf)
        step += 1


def candidates(block: Block, base: Mapping[int, int], by: Sequence[Pace]) -> list[Covers]:
    """Covers among which one is done early: all there are, or those about the deadline."""
    everything = every_cover(block)
    if everything is not None:
        return [everything]
    corners = Graph(block.need, block.row_calls, block.column_calls).corners
    listed = Listed(np.stack([c.rows for c in corners]), np.stack([c.columns for c in corners]))
    demand, _ = judged(listed, block, base)
    at = int(np.argmin(demand.finishes(by)))
    near = corners[max(0, at - 1) : at + 2]
    found: list[Covers] = [listed]
    # Each gap next to the best corner is entered from both of its ends.
    for left, right in pairwise(near):
        found += [give_up_columns(block, left), give_up_rows(block, right)]
    return found


def judged(covers: Covers, block: Block, base: Mapping[int, int]) -> tuple[Demand, Counts]:
    """What the covers ask of the sources, base included; and the calls of each, without."""
    groups = covers.calls(block)
    total = np.sum(list(groups.values()), axis=0)
    for bits, count in base.items():
        groups[bits] = groups.get(bits, np.zeros_like(total)) + count
    return Demand.of(groups), total


@dataclass(frozen=True, eq=False)
class Choice:
    """The columns chosen, and what follows.

    Attributes:
        columns: bool, over the block's columns.
        calls: of the rows and columns, by bit set of sources.
    """

    columns: Mask
    calls: Counter[int]


def choose(block: Block, base: Mapping[int, int], by: Sequence[Pace]) -> Choice:
    """The columns with which all is done earliest; of equally early ones the fewest calls.

    ``base`` is what else must be called, by bit set of sources.
    """
    found = candidates(block, base, by)
    judgements = [judged(covers, block, base) for covers in found]
    deadline = relaxed(min(demand.earliest(by) for demand, _ in judgements), WORTH_SHARE)
    best: tuple[int, float, float, int, int] | None = None
    for which, (demand, total) in enumerate(judgements):
        good = np.flatnonzero(demand.feasible(by, deadline))
        if not len(good):
            continue
        fewest = good[total[good] == total[good].min()]
        calls = found[which].calls(block)
        for k in dict.fromkeys((int(fewest[0]), int(fewest[-1]))):
            single = Demand(demand.sets, demand.calls[:, k : k + 1])
            liking = sum(int(c[k]) * _best_liked(bits, by) for bits, c in calls.items())
            rank = (int(total[k]), liking, single.earliest(by), which, k)
            best = rank if best is None or rank < best else best
    if best is None:
        raise AssertionError("a deadline is the time of some cover, and no cover makes it")
    covers, k = found[best[3]], best[4]
    chosen = np.zeros(sum(len(g) for g in block.columns), dtype=np.bool_)
    for members, taken in zip(block.columns, covers.columns(k).tolist(), strict=True):
        chosen[members] = taken
    standing = {bits: int(counts[k]) for bits, counts in covers.calls(block).items()}
    return Choice(chosen, Counter(standing))


def _best_liked(bits: int, by: Sequence[Pace]) -> int:
    return min(by[s].preference for s in range(len(by)) if bits >> s & 1)
