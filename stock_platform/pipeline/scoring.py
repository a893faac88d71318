"""Scores of scopes, tickers, partitions, days and sources, from sums over the board.

Belongs here: who is summed with whom. Does not: facts (facts.py, board.py), what a score is
(domain/quality.py), tables (storage/quality.py).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import polars as pl

from stock_platform.domain.bars import UTC_STAMP
from stock_platform.domain.cells import CellGrid, Mask
from stock_platform.domain.coverage import SHARDS, CellStatus
from stock_platform.domain.quality import COUNTS, Fact, with_scores
from stock_platform.pipeline.board import Board, spread
from stock_platform.pipeline.facts import refresh_facts
from stock_platform.pipeline.gaps import find_gaps, stored_gaps
from stock_platform.storage import quality
from stock_platform.storage.locks import Work, alone

if TYPE_CHECKING:
    from stock_platform.pipeline.runtime import Platform

Masks = Mapping[str, Mask]
Numbers = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Scored:
    """What a scoring did.

    Attributes:
        cells_read: cells whose facts were read again.
        changed: scores that are new, others or gone.
        rows: quality.ROWS, all of them.
        gaps: quality.STORED_GAPS, all of them.
        board: what they were read from.
    """

    cells_read: int
    changed: int
    rows: pl.DataFrame
    gaps: pl.DataFrame
    board: Board


def score(platform: Platform) -> Scored:
    """Bring facts, scores, trend and gaps up to date; while another does it, wait.

    The slower of two would put back what it read before the other's changes.
    """
    with alone(platform.db, Work.SCORING):
        return _score(platform)


def _score(platform: Platform) -> Scored:
    read = refresh_facts(platform)
    board = Board.of(platform)
    scopes = {
        "watchlist": set(platform.watchlist_assets()["asset_id"].to_list()),
        "market": set(platform.known_market()["asset_id"].to_list()),
    }
    failed = quality.failed_by_source(platform.db)
    rows = rows_of(board, scopes, failed)
    changed = quality.put_scores(platform.db, rows, board.now.date())
    gaps = stored_gaps(find_gaps(platform, board), board.now)
    quality.put_gaps(platform.db, gaps)
    return Scored(read, changed, rows, gaps, board)


def rows_of(
    board: Board, scopes: Mapping[str, set[int]], failed: Mapping[str, int]
) -> pl.DataFrame:
    """Scores of all kinds: quality.ROWS."""
    made = [pl.DataFrame(schema=quality.ROWS)]
    if len(board.grid.assets):
        masks = cell_masks(board)
        made.append(_tickers(board, masks))
        for scope, members in scopes.items():
            inside = np.isin(board.grid.assets, sorted(members))
            if inside.any():
                made += _scope(board, masks, scope, inside)
        made += [
            _source(board, source, facts, failed.get(source, 0))
            for source, facts in sorted(board.by_source.items())
            if source
        ]
    return pl.concat(made)


def cell_masks(board: Board) -> dict[str, Mask]:
    """Of each of COUNTS, the cells that count."""
    expected = board.expected
    stored = expected & board.state(CellStatus.STORED)
    priced = stored & board.has(Fact.PRICED)
    here = board.last & stored
    timed = expected & (board.followed | board.last)
    return {
        "expected": expected,
        "stored": stored,
        "priced": priced,
        "doubted": priced & board.has(Fact.DOUBTED),
        "aside": stored & board.has(Fact.ASIDE) & ~priced,
        "compared": stored & board.has(Fact.COMPARED),
        "apart": stored & board.has(Fact.COMPARED) & board.has(Fact.APART),
        "timed": timed,
        "prompt": timed & (board.has(Fact.PROMPT) | here),
    }


def _recent(board: Board, masks: Masks) -> dict[str, Mask]:
    """The masks, with timeliness of recent sessions alone."""
    return {
        name: mask & board.recent if name in ("timed", "prompt") else mask
        for name, mask in masks.items()
    }


def _tickers(board: Board, masks: Masks) -> pl.DataFrame:
    counts = {name: mask.sum(axis=1) for name, mask in _recent(board, masks).items()}
    return _made(
        board, "ticker", counts,
        asset_id=board.grid.assets, last_session=_newest(board.grid, masks["priced"]),
    )  # fmt: skip


def _scope(
    board: Board, masks: Masks, scope: str, inside: npt.NDArray[np.bool_]
) -> list[pl.DataFrame]:
    """The scope as a whole, its days, and its partitions."""
    own = dict(masks) if inside.all() else {name: mask[inside] for name, mask in masks.items()}
    recent = _recent(board, own)
    newest = _newest(board.grid, _any(own["priced"]))
    whole = {name: np.array([mask.sum()]) for name, mask in recent.items()}
    dates, starts = board.date_starts
    by_day = {
        name: np.add.reduceat(mask.sum(axis=0), starts).astype(np.int64)
        for name, mask in own.items()
    }
    made = [
        _made(board, "scope", whole, scope=[scope], last_session=newest),
        _made(board, "day", by_day, scope=[scope] * len(dates), session=dates),
    ]
    ids = board.grid.assets[inside]
    if scope == "watchlist":
        counts = {n: np.add.reduceat(m, starts, axis=1, dtype=np.int64) for n, m in own.items()}
        made.append(_grid(board, counts, scope, "asset_id", ids, dates))
    else:
        shards = ids % SHARDS
        present = np.unique(shards)
        counts = {
            n: np.stack(
                [np.add.reduceat(m[shards == s].sum(axis=0), starts) for s in present]
            ).astype(np.int64)
            for n, m in own.items()
        }
        made.append(_grid(board, counts, scope, "shard", present, dates))
    return made


def _grid(
    board: Board, counts: Mapping[str, Numbers], scope: str, column: str, names: Any, dates: Any
) -> pl.DataFrame:
    """One partition a name and date."""
    flat = {name: table.ravel() for name, table in counts.items()}
    keys = {
        column: np.repeat(names, len(dates)), "session": np.tile(dates, len(names)),
        "scope": [scope] * (len(dates) * len(names)),
    }  # fmt: skip
    return _made(board, "partition", flat, **keys)


def _source(board: Board, source: str, stored: quality.YearFacts, failed: int) -> pl.DataFrame:
    """A source by its own quotes: those that passed, agreed, and came in time."""
    facts = spread(stored, board.grid)

    def has(fact: Fact) -> Mask:
        found: Mask = board.grid.mask & ((facts & np.uint8(fact)) != 0)
        return found

    here, aside = has(Fact.STORED), has(Fact.ASIDE)
    followed = board.grid.sessions[None, :] >= board.followed_since(stored)[:, None]
    timed = here & board.recent & (followed | board.last)
    compared = has(Fact.COMPARED)
    masks = {
        "expected": here | has(Fact.ABSENT),
        "stored": here,
        "priced": here & ~aside,
        "doubted": here & ~aside & has(Fact.DOUBTED),
        "aside": here & aside,
        "compared": compared,
        "apart": compared & has(Fact.APART),
        "timed": timed,
        "prompt": timed & (has(Fact.PROMPT) | board.last),
    }
    counts = {name: np.array([mask.sum()]) for name, mask in masks.items()}
    counts["expected"] += failed
    newest = _newest(board.grid, _any(here))
    return _made(board, "source", counts, source=[source], last_session=newest)


def _any(mask: Mask) -> Mask:
    """One row: the columns in which any row has a cell."""
    found: Mask = np.asarray(mask.any(axis=0)).reshape(1, -1)
    return found


def _newest(grid: CellGrid, mask: Mask) -> list[Any]:
    """The last session of each row of a mask; None where it has none."""
    sessions = grid.sessions.astype(object)
    has: npt.NDArray[np.bool_] = np.any(mask, axis=1)
    last = mask.shape[1] - 1 - np.argmax(mask[:, ::-1], axis=1)
    return [sessions[at] if some else None for at, some in zip(last, has, strict=True)]


def _made(board: Board, kind: str, counts: Mapping[str, Numbers], **columns: Any) -> pl.DataFrame:
    """ROWS of a kind; groups of which nothing is expected are left out."""
    frame = pl.DataFrame({name: counts[name] for name in COUNTS}).with_columns(
        pl.Series(name, values, dtype=quality.ROWS[name]) for name, values in columns.items()
    )
    frame = with_scores(frame.filter(pl.col("expected") > 0))
    fixed = {"kind": kind, "scored_at": board.now, **quality.NOBODY, "last_session": None}
    return frame.with_columns(
        pl.lit(value).cast(quality.ROWS[name] if name != "scored_at" else UTC_STAMP).alias(name)
        for name, value in fixed.items()
        if name not in columns
    ).select(pl.col(name).cast(kind_) for name, kind_ in quality.ROWS.items())


def total(rows: pl.DataFrame) -> dict[str, Any]:
    """The scores of some rows as if they were one group."""
    sums = rows.select(pl.col(name).sum() for name in COUNTS)
    return with_scores(sums).row(0, named=True)


__all__ = ["Scored", "cell_masks", "rows_of", "score", "total"]
