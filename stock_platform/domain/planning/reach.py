"""What each endpoint can reach of a grid, and why the rest is out of reach.

Belongs here: turning capabilities (asset classes, depth, spans, exclusions) into indexes
and masks over one grid. Does not: choosing calls (cover.py, schedule.py).

Every endpoint's history ends at the present, so what it reaches of a row is the sessions
from an index on, and of two endpoints the deeper reaches all that the other does.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta

import numpy as np
import numpy.typing as npt

from stock_platform.domain.capabilities import Capabilities, Endpoint, TileShape
from stock_platform.domain.cells import CellGrid, Mask, Sessions
from stock_platform.domain.planning.model import PlanAsset, Uncovered

Indexes = npt.NDArray[np.int64]
# Calendars whose every day is a session; the others have five sessions a week at the most.
CONTINUOUS = frozenset({"24/7"})


@dataclass(frozen=True, eq=False)
class Reach:
    """One endpoint over one grid.

    Attributes:
        source: index of the source in the order given to the planner.
        serves: bool per asset: right class, not excluded.
        first: per asset, the index of the oldest session it reaches.
        window_stop: per kind of calendar (0 weekdays, 1 continuous) and session, one past
            the last session that a call starting there can span; None where unlimited.
    """

    source: int
    capabilities: Capabilities
    endpoint: Endpoint
    serves: Mask
    first: Indexes
    window_stop: Indexes | None


@dataclass(frozen=True, eq=False)
class Field:
    """The demand with everything that can reach it.

    Attributes:
        need: bool, assets x sessions: cells some call can get.
        assets: in the grid's order. continuous: per asset, 1 for a calendar without gaps.
        rows: the row endpoints, and those of blocks, which are rows sent together (blocks.py).
        columns: the column endpoints.
        row_first: per asset, the oldest session index a row call reaches (sessions if none).
        family: per asset, which column family it is in; -1 for none.
        families: for each family, the indexes into ``columns`` of its endpoints.
    """

    need: Mask
    assets: tuple[PlanAsset, ...]
    continuous: Indexes
    sessions: Sessions
    today: date
    rows: tuple[Reach, ...]
    columns: tuple[Reach, ...]
    row_first: Indexes
    family: Indexes
    families: tuple[tuple[int, ...], ...]

    def column_sources(self, family: int) -> Indexes:
        """Per session, the bit set of sources with a column call that reaches it."""
        bits = np.zeros(len(self.sessions), dtype=np.int64)
        for index in self.families[family]:
            reach = self.columns[index]
            bits[_shared_first(reach) :] |= 1 << reach.source
        return bits


def _shared_first(reach: Reach) -> int:
    return int(reach.first[0]) if len(reach.first) else 0


def survey(
    grid: CellGrid,
    assets: Mapping[int, PlanAsset],
    sources: Sequence[Capabilities],
    *,
    today: date,
    exclude: Collection[tuple[str, str]] = (),
    unknown: Collection[tuple[str, int]] = (),
) -> tuple[Field, tuple[Uncovered, ...]]:
    """What can be reached, and by what; and the cells out of reach, with why.

    ``exclude`` holds (source, endpoint) pairs not to be used, ``unknown`` (source, asset id)
    pairs where the source does not know the asset.
    """
    listed = tuple(assets[int(asset_id)] for asset_id in grid.assets)
    continuous = np.array([a.calendar in CONTINUOUS for a in listed], dtype=np.int64)
    reaches = [
        _reach(index, source, endpoint, grid, listed, continuous, today, unknown)
        for index, source in enumerate(sources)
        for endpoint in source.endpoints
        if grid.interval in endpoint.intervals and (source.source, endpoint.name) not in exclude
    ]
    reaches = _stand_by(reaches, grid)
    rows = tuple(r for r in reaches if r.endpoint.shape is not TileShape.COLUMN)
    columns = tuple(r for r in reaches if r.endpoint.shape is TileShape.COLUMN)

    sessions = len(grid.sessions)
    row_first = np.full(len(listed), sessions, dtype=np.int64)
    for reach in rows:
        row_first = np.where(reach.serves, np.minimum(row_first, reach.first), row_first)
    column_first = np.full(len(listed), sessions, dtype=np.int64)
    usable = np.zeros(len(listed), dtype=np.int64)
    for index, reach in enumerate(columns):
        column_first = np.where(reach.serves, np.minimum(column_first, reach.first), column_first)
        usable |= reach.serves.astype(np.int64) << index
    kinds = np.unique(usable[usable > 0])
    family = np.where(usable > 0, np.searchsorted(kinds, usable), -1)
    families = tuple(
        tuple(index for index in range(len(columns)) if kind >> index & 1)
        for kind in kinds.tolist()
    )

    position = np.arange(sessions)
    opens, closes = _listing(grid, listed)
    stop = int(np.searchsorted(grid.sessions, np.datetime64(today, "D"), side="right"))
    first = np.maximum(np.minimum(row_first, column_first), opens)
    last = np.minimum(closes, stop)
    need = grid.mask & (position >= first[:, None]) & (position < last[:, None])
    field = Field(
        need, listed, continuous, grid.sessions, today, rows, columns, row_first, family, families
    )
    if int(need.sum()) == len(grid):
        return field, ()
    lost = grid.mask & ~need
    why = _Reasons(sources, grid, exclude, unknown, today)
    return field, why.of(lost, listed, opens, closes, stop)


def _reach(
    index: int,
    source: Capabilities,
    endpoint: Endpoint,
    grid: CellGrid,
    assets: Sequence[PlanAsset],
    continuous: Indexes,
    today: date,
    unknown: Collection[tuple[str, int]],
) -> Reach:
    serves = np.array(
        [
            a.asset_class in endpoint.asset_classes and (source.source, a.asset_id) not in unknown
            for a in assets
        ],
        dtype=np.bool_,
    )
    first = np.zeros(len(assets), dtype=np.int64)
    if endpoint.depth_days is not None:
        oldest = np.datetime64(today - timedelta(days=endpoint.depth_days), "D")
        first[:] = np.searchsorted(grid.sessions, oldest)
    if endpoint.since is not None:
        begun = np.searchsorted(grid.sessions, np.datetime64(endpoint.since, "D"))
        first = np.maximum(first, begun)
    window_stop = None
    if endpoint.shape is not TileShape.COLUMN and endpoint.max_sessions is not None:
        window_stop = np.stack(
            [_window_stop(grid.sessions, endpoint.max_sessions, bool(k)) for k in (0, 1)]
        )
        if endpoint.to_now:
            # One call ends at the present, so it reaches no further than its span.
            end = int(np.searchsorted(grid.sessions, np.datetime64(today, "D"), side="right"))
            days = np.append(grid.sessions[:end], np.datetime64(today, "D"))
            spans = [_window_stop(days, endpoint.max_sessions, bool(k)) for k in (0, 1)]
            nearest = np.array([int(np.searchsorted(s, len(days))) for s in spans])
            first = np.maximum(first, nearest[continuous])
            window_stop = None
    return Reach(index, source, endpoint, serves, first, window_stop)


def _stand_by(reaches: list[Reach], grid: CellGrid) -> list[Reach]:
    """The reaches, those of standby sources only for assets whose need exceeds all others'."""
    main = [r for r in reaches if not r.capabilities.standby]
    if len(main) == len(reaches) or not grid.mask.size:
        return reaches
    sessions = len(grid.sessions)
    oldest = np.where(grid.mask.any(axis=1), grid.mask.argmax(axis=1), sessions)
    reached = np.full(len(grid.assets), sessions, dtype=np.int64)
    for reach in main:
        reached = np.where(reach.serves, np.minimum(reached, reach.first), reached)
    lacking = reached > oldest
    return [replace(r, serves=r.serves & lacking) if r.capabilities.standby else r for r in reaches]


def _window_stop(sessions: Sessions, span: int, continuous: bool) -> Indexes:
    """Per session, one past the last session within ``span`` sessions from it.

    Exchanges' holidays count as sessions here: a little less is asked than would be allowed.
    """
    if continuous:
        return np.asarray(
            np.searchsorted(sessions, sessions + np.timedelta64(span, "D")), dtype=np.int64
        )
    after = np.busday_offset(sessions, span, roll="forward")
    return np.asarray(np.searchsorted(sessions, after), dtype=np.int64)


def _listing(grid: CellGrid, assets: Sequence[PlanAsset]) -> tuple[Indexes, Indexes]:
    """Per asset, the index of the first session since its listing and one past its last."""
    opens = np.zeros(len(assets), dtype=np.int64)
    closes = np.full(len(assets), len(grid.sessions), dtype=np.int64)
    for row, asset in enumerate(assets):
        if asset.listed_on is not None:
            opens[row] = np.searchsorted(grid.sessions, np.datetime64(asset.listed_on, "D"))
        if asset.delisted_on is not None:
            closes[row] = np.searchsorted(
                grid.sessions, np.datetime64(asset.delisted_on, "D"), side="right"
            )
    return opens, closes


@dataclass(frozen=True)
class _Reasons:
    """Says why cells are out of reach."""

    sources: Sequence[Capabilities]
    grid: CellGrid
    exclude: Collection[tuple[str, str]]
    unknown: Collection[tuple[str, int]]
    today: date

    def of(
        self,
        lost: Mask,
        assets: Sequence[PlanAsset],
        opens: Indexes,
        closes: Indexes,
        stop: int,
    ) -> tuple[Uncovered, ...]:
        """Cells grouped by reason, in the order of the reasons' text."""
        grouped: dict[str, Mask] = {}

        def put(reason: str, row: int, span: slice) -> None:
            if lost[row, span].any():
                mask = grouped.setdefault(reason, np.zeros_like(lost))
                mask[row, span] = lost[row, span]

        cache: dict[tuple[object, ...], str] = {}
        for row in np.flatnonzero(lost.any(axis=1)).tolist():
            asset = assets[row]
            begin, end = int(opens[row]), int(min(closes[row], stop))
            put("the session is still to come", row, slice(stop, None))
            put("before the asset was listed", row, slice(0, min(begin, stop)))
            put("after the asset was delisted", row, slice(min(int(closes[row]), stop), stop))
            if begin < end:
                blind = frozenset(s for s, a in self.unknown if a == asset.asset_id)
                key = (asset.asset_class, blind)
                if key not in cache:
                    cache[key] = self._out_of_reach(asset, blind)
                put(cache[key], row, slice(begin, end))
        return tuple(
            Uncovered(self.grid.with_mask(grouped[reason]).trimmed(), reason)
            for reason in sorted(grouped)
        )

    def _out_of_reach(self, asset: PlanAsset, blind: frozenset[str]) -> str:
        if not self.sources:
            return "no source is on"
        interval = self.grid.interval
        offers = [
            (source, endpoint)
            for source in self.sources
            for endpoint in source.endpoints
            if asset.asset_class in endpoint.asset_classes
        ]
        if not offers:
            return f"no source that is on serves {asset.asset_class}"
        offers = [(s, e) for s, e in offers if interval in e.intervals]
        if not offers:
            return f"no source that is on serves {interval} bars of {asset.asset_class}"
        ended = "and no other source is on"
        open_offers = [(s, e) for s, e in offers if (s.source, e.name) not in self.exclude]
        if not open_offers:
            names = _joined(s.source for s, _ in offers)
            return f"{names} cannot be used now {ended}"
        seeing = [(s, e) for s, e in open_offers if s.source not in blind]
        if not seeing:
            names = _joined(s.source for s, _ in open_offers)
            return f"unknown to {names} {ended}"
        depths: dict[str, tuple[int, str]] = {}
        for source, endpoint in seeing:
            depth = self._depth(endpoint, self.today)
            if depth[0] > depths.get(source.source, (-1, ""))[0]:
                depths[source.source] = depth
        told = _joined(f"{name} reaches ({depths[name][1]})" for name in depths)
        return f"older than {told} {ended}"

    @staticmethod
    def _depth(endpoint: Endpoint, today: date) -> tuple[int, str]:
        if endpoint.depth_days is not None:
            return endpoint.depth_days, f"{endpoint.depth_days} days"
        if endpoint.since is not None:
            return (today - endpoint.since).days, f"to {endpoint.since}"
        return endpoint.max_sessions or 0, f"{endpoint.max_sessions} sessions"


def _joined(words: Iterable[str]) -> str:
    return " and ".join(dict.fromkeys(words))
