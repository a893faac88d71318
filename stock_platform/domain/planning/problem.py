"""The steps of planning: forced calls, the choice of columns, the rest by rows, the tiles.

Belongs here: how reach, cover and schedule fit together. Does not: the public function
and its bounds (planner.py).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from stock_platform.domain.bars import Interval
from stock_platform.domain.capabilities import (
    Capabilities,
    Endpoint,
    QuotaState,
    Tile,
    TileShape,
)
from stock_platform.domain.cells import Mask
from stock_platform.domain.planning.blocks import bundles, packed
from stock_platform.domain.planning.cover import Block, choose
from stock_platform.domain.planning.model import Coverage
from stock_platform.domain.planning.reach import Field, Indexes, Reach
from stock_platform.domain.planning.schedule import (
    Counts,
    Group,
    Pace,
    earliest,
    paces,
    relaxed,
    share,
)

Item = TypeVar("Item")

LATENCY_SECONDS = 0.5
"""Seconds from a call to its answer where nothing is known."""
DOUBT = 1_000_000
"""Added to the preference of row endpoints whose answers are not complete."""
MOST_CALLS = 2_000_000
"""Times are worked out for so many calls of a source at the most."""


@dataclass(frozen=True, eq=False)
class Draft:
    """The tiles in order, where their cells are, and which cells column tiles get."""

    tiles: dict[Tile, Coverage]
    columns: Mask


@dataclass(frozen=True, eq=False)
class Chosen:
    """Column calls (families x sessions)."""

    columns: Mask

    def over(self, field: Field) -> Mask:
        """The needed cells that column calls get."""
        padded = np.vstack([self.columns, np.zeros((1, self.columns.shape[1]), dtype=np.bool_)])
        return np.asarray(padded[field.family] & field.need)


@dataclass(frozen=True, eq=False)
class Problem:
    """A field with the paces of its sources; ``quickest`` are those that none can beat."""

    field: Field
    by: tuple[Pace, ...]
    quickest: tuple[Pace, ...]

    @classmethod
    def of(
        cls,
        field: Field,
        sources: Sequence[Capabilities],
        quotas: Mapping[str, QuotaState],
        health: Mapping[str, float],
        latency: Mapping[str, float],
        interval: Interval,
    ) -> Problem:
        """Works out each source's pace for as many calls as any plan could need."""
        rows = row_costs(field, field.need, len(sources))
        most = int(rows.max(axis=1, initial=0).sum()) + len(field.families) * len(field.sessions)
        delays = {s.source: latency.get(s.source, LATENCY_SECONDS) for s in sources}
        most = min(most, MOST_CALLS)
        rows_a_request = bundles(field, interval)
        by = paces(
            sources, most, quotas=quotas, health=health, latency=delays, bundles=rows_a_request
        )
        best = bundles(field, interval, best=True)
        if best == rows_a_request:
            return cls(field, by, by)
        quickest = paces(sources, most, quotas=quotas, health=health, latency=delays, bundles=best)
        return cls(field, by, quickest)

    def solve(self, interval: Interval) -> Draft:
        """The tiles of the plan."""
        chosen = self._choose_columns()
        return self._tiles(chosen, interval)

    def _choose_columns(self) -> Chosen:
        field = self.field
        position = np.arange(len(field.sessions))
        bits = [field.column_sources(f) for f in range(len(field.families))]
        columns = np.zeros((len(field.families), len(field.sessions)), dtype=np.bool_)
        column_only = field.need & (position < field.row_first[:, None])
        for family in range(len(field.families)):
            columns[family] = column_only[field.family == family].any(axis=0)
        rest = field.need & ~Chosen(columns).over(field)
        # Assets with a cell that no column call reaches are called anyway, and then a row
        # call brings the others of theirs too.
        reached = np.vstack([b > 0 for b in [*bits, np.zeros(len(position), dtype=np.int64)]])
        bound = (rest & ~reached[field.family]).any(axis=1)
        free = rest.any(axis=1) & ~bound
        costs = row_costs(field, rest, len(self.by))
        row_bits = _bit_sets(costs)
        row_calls = np.where(costs > 0, costs, np.iinfo(np.int64).max).min(axis=1, initial=1)

        fixed: Counter[int] = Counter()
        for row in np.flatnonzero(bound).tolist():
            fixed[row_bits[row]] += int(row_calls[row])
        for family in range(len(field.families)):
            fixed.update(bits[family][columns[family]].tolist())

        blocks = []
        for family in range(len(field.families)):
            rows = np.flatnonzero(free & (field.family == family))
            part = rest[rows]
            sessions = np.flatnonzero(part.any(axis=0))
            if not len(sessions):
                continue
            block = Block.of(
                np.ascontiguousarray(part[:, sessions]),
                [row_bits[row] for row in rows.tolist()],
                [int(row_calls[row]) for row in rows.tolist()],
                bits[family][sessions].tolist(),
            )
            blocks.append((family, sessions, block))
        blocks.sort(key=lambda entry: (-int(entry[2].need.sum()), entry[0]))

        # One family at a time, the others standing at their last choice (at first: the
        # fewer of all rows and all columns).
        standing = [_simplest(block) for _, _, block in blocks]
        for _ in range(min(len(blocks), 2)):
            for index, (family, sessions, block) in enumerate(blocks):
                base = fixed.copy()
                for other, counts in enumerate(standing):
                    if other != index:
                        base.update(counts)
                choice = choose(block, base, self.by)
                columns[family, sessions] = choice.columns
                standing[index] = choice.calls
        return Chosen(columns)

    def _tiles(self, chosen: Chosen, interval: Interval) -> Draft:
        field = self.field
        by_column = chosen.over(field)
        rest = field.need & ~by_column
        costs = row_costs(field, rest, len(self.by))
        members: dict[tuple[int, ...], list[int]] = {}
        for row in np.flatnonzero(rest.any(axis=1)).tolist():
            members.setdefault(tuple(costs[row].tolist()), []).append(row)
        calls: dict[tuple[int, ...], list[tuple[int, int]]] = {}
        for family in range(len(field.families)):
            bits = field.column_sources(family)
            for session in np.flatnonzero(chosen.columns[family])[::-1].tolist():
                able = tuple(int(bits[session]) >> s & 1 for s in range(len(self.by)))
                calls.setdefault(able, []).append((family, session))

        liking = tuple(pace.preference for pace in self.by)
        groups = [Group(cost, liking, len(listed)) for cost, listed in calls.items()]
        # Where an endpoint's silence settles nothing, a second call may have to follow.
        doubt = {r.source for r in field.rows if not r.endpoint.complete}
        liking = tuple(n + DOUBT * (s in doubt) for s, n in enumerate(liking))
        groups += [Group(cost, liking, len(listed)) for cost, listed in members.items()]
        taken = self._share(groups)
        columns: list[tuple[int, int, int]] = []
        for index, listed in enumerate(calls.values()):
            columns += [(s, f, j) for s, (f, j) in _dealt(listed, taken[index])]
        rows: list[tuple[int, int]] = []
        for index, members_of in enumerate(members.values(), start=len(calls)):
            rows += _dealt(members_of, taken[index])
        return Draft(self._ordered(columns, rows, rest, interval), by_column)

    def _share(self, groups: Sequence[Group]) -> Counts:
        """The calls of the chosen cover, shared so that they are done earliest."""
        first = earliest(self.by, lambda at: share(groups, self.by, at) is not None)
        taken = share(groups, self.by, relaxed(first))
        if taken is None:
            raise AssertionError("a plan was promised by a deadline and is not to be had")
        return taken

    def _ordered(
        self,
        columns: Sequence[tuple[int, int, int]],
        rows: Sequence[tuple[int, int]],
        rest: Mask,
        interval: Interval,
    ) -> dict[Tile, Coverage]:
        """Source by source: columns, newest first; then rows, those with most cells first."""
        field = self.field
        found: dict[int, list[tuple[Tile, Coverage]]] = {s: [] for s in range(len(self.by))}
        seen: dict[Tile, int] = {}
        for source, family, session in sorted(columns, key=lambda c: (c[0], -c[2], c[1])):
            day = field.sessions[session].item()
            endpoint = next(
                field.columns[i].endpoint.name
                for i in field.families[family]
                if field.columns[i].source == source and field.columns[i].first[0] <= session
            )
            tile = Tile(self.by[source].name, endpoint, interval, day, day)
            members = np.flatnonzero(field.family == family)
            if tile in seen:
                known = found[source][seen[tile]][1]
                members = np.union1d(known.rows, members)
                found[source][seen[tile]] = (tile, Coverage(members, session, session + 1, True))
                continue
            seen[tile] = len(found[source])
            found[source].append((tile, Coverage(members, session, session + 1, True)))
        sizes = rest.sum(axis=1)
        blocks: dict[int, dict[Endpoint, list[tuple[Tile, Coverage]]]] = {}
        for source, row in sorted(
            rows, key=lambda r: (-int(sizes[r[1]]), field.assets[r[1]].symbol)
        ):
            offer, parts = self._row_tiles(source, row, rest[row], interval)
            if offer.shape is TileShape.BLOCK:
                blocks.setdefault(source, {}).setdefault(offer, []).extend(parts)
            else:
                found[source] += parts
        for source, by_endpoint in blocks.items():
            for offer, parts in by_endpoint.items():
                found[source] += packed(offer, parts, interval, self.by[source].bundle)
        return {tile: part for listed in found.values() for tile, part in listed}

    def _row_tiles(
        self, source: int, row: int, need: Mask, interval: Interval
    ) -> tuple[Endpoint, list[tuple[Tile, Coverage]]]:
        field, asset = self.field, self.field.assets[row]
        cells = np.flatnonzero(need)
        options = [
            (calls, index)
            for index, reach in enumerate(field.rows)
            if reach.source == source and (calls := _row_calls(reach, row, cells, field))
        ]
        reach = field.rows[min(options)[1]]
        tiles = []
        for part in _segments(reach, cells, int(field.continuous[row])):
            first, last = int(part[0]), int(part[-1])
            tile = Tile(
                self.by[source].name,
                reach.endpoint.name,
                interval,
                field.sessions[first].item(),
                field.today if reach.endpoint.to_now else field.sessions[last].item(),
                asset.asset_id,
                asset.symbol,
            )
            tiles.append((tile, Coverage(np.array([row]), first, last + 1, False)))
        return reach.endpoint, tiles


def row_costs(field: Field, rest: Mask, sources: int) -> Counts:
    """Calls of each source (columns) for all of each asset's cells (rows); 0: it cannot."""
    costs = np.zeros((len(rest), sources), dtype=np.int64)
    if not rest.size:
        return costs
    wanted = rest.any(axis=1)
    first = rest.argmax(axis=1)
    last = rest.shape[1] - 1 - rest[:, ::-1].argmax(axis=1)
    for reach in field.rows:
        able = wanted & reach.serves & (first >= reach.first)
        calls = able.astype(np.int64)
        if reach.window_stop is not None:
            stop = reach.window_stop[field.continuous, first]
            for row in np.flatnonzero(able & (last >= stop)).tolist():
                cells = np.flatnonzero(rest[row])
                calls[row] = sum(1 for _ in _segments(reach, cells, int(field.continuous[row])))
        old = costs[:, reach.source]
        better = able & ((old == 0) | (calls < old))
        costs[better, reach.source] = calls[better]
    return costs


def _row_calls(reach: Reach, row: int, cells: Indexes, field: Field) -> int:
    if not reach.serves[row] or cells[0] < reach.first[row]:
        return 0
    return sum(1 for _ in _segments(reach, cells, int(field.continuous[row])))


def _segments(reach: Reach, cells: Indexes, kind: int) -> Iterator[Indexes]:
    """The cells cut into as few parts as calls can span, oldest first."""
    if reach.window_stop is None:
        yield cells
        return
    at = 0
    while at < len(cells):
        upto = int(np.searchsorted(cells, reach.window_stop[kind][cells[at]]))
        yield cells[at:upto]
        at = upto


def _bit_sets(costs: Counts) -> list[int]:
    powers = 1 << np.arange(costs.shape[1], dtype=np.int64)
    return [int(v) for v in ((costs > 0) * powers).sum(axis=1)]


def _simplest(block: Block) -> Counter[int]:
    bits, calls = (
        (block.row_bits, block.row_calls)
        if block.row_calls.sum() < block.column_calls.sum()
        else (block.column_bits, block.column_calls)
    )
    counts: Counter[int] = Counter()
    for value, number in zip(bits, calls.tolist(), strict=True):
        counts[value] += number
    return counts


def _dealt(items: Sequence[Item], counts: Counts) -> Iterator[tuple[int, Item]]:
    """The items dealt out in order: so many to each source."""
    at = 0
    for source, count in enumerate(counts.tolist()):
        for item in items[at : at + count]:
            yield source, item
        at += count
