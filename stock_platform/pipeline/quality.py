"""Quality as people ask for it: of everything, or of one ticker, as plain data.

Belongs here: gathering for the command line and the API. Does not: scoring (scoring.py), showing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import polars as pl

from stock_platform.domain.gaps import reason_of
from stock_platform.domain.quality import COUNTS, SCORES, Fact
from stock_platform.pipeline.board import Board
from stock_platform.pipeline.gaps import Gaps, find_gaps
from stock_platform.pipeline.scoring import cell_masks, rows_of
from stock_platform.storage import assets as catalog
from stock_platform.storage import quality as stored

if TYPE_CHECKING:
    from stock_platform.pipeline.runtime import Platform

WORST = 20
BEST = 100.0
DAYS_SHOWN = 10
_SHOWN = (*SCORES, *COUNTS, "last_session")


def overview(platform: Platform) -> dict[str, Any]:
    """Scores as they were made last, with how much changed since.

    Returns:
        scored_at (null: never), changed_since (assets), scopes, tickers (how many), worst_tickers
        (of those below 100), sources, gaps (state, reason, gaps, sessions), days (the last ones
        of each scope), trend.
    """
    db = platform.db
    scopes = stored.scores(db, "scope")
    tickers = stored.scores(db, "ticker").sort("overall", "asset_id")
    below = tickers.filter(pl.col("overall") < BEST).head(WORST)
    names = catalog.by_id(db, below["asset_id"].to_list()).select("asset_id", "ticker")
    days = {
        scope: stored.scores(db, "day", scope=scope).tail(DAYS_SHOWN)
        for scope in scopes["scope"].to_list()
    }
    return {
        "scored_at": scopes["scored_at"].max(),
        "changed_since": stored.touched(db)["asset_id"].n_unique(),
        "scopes": _dicts(scopes, "scope"),
        "tickers": tickers.height,
        "worst_tickers": _dicts(below.join(names, on="asset_id", maintain_order="left"),
                                "ticker"),
        "sources": _dicts(stored.scores(db, "source"), "source"),
        "gaps": [
            {"state": state, "reason": reason_of(state), "gaps": count, "sessions": sessions}
            for state, (count, sessions) in stored.gap_counts(db).items()
        ],
        "days": [
            row | {"scope": scope} for scope, frame in days.items()
            for row in _dicts(frame, "session")
        ],
        "trend": [
            {"scope": scope, **row}
            for scope in scopes["scope"].to_list()
            for row in stored.trend(db, "scope", scope=scope)
            .select("day", *SCORES).tail(DAYS_SHOWN).to_dicts()
        ],
    }  # fmt: skip


def of_ticker(platform: Platform, ticker: str) -> dict[str, Any]:
    """One ticker's scores as of now, its gaps, doubted sessions, sources and trend.

    Returns:
        ticker, asset_id, scores (null where nothing was ever asked), sources, rules (sessions by
        the rule that found fault), years, gaps, doubted (sessions), trend.

    Raises:
        InputError: the ticker is not in the database.
    """
    db = platform.db
    asset = platform.assets_for([ticker], register=False)
    asset_id = int(asset["asset_id"][0])
    board = Board.of(platform, asset)
    rows = rows_of(board, {}, {})
    mine = rows.filter(pl.col("kind") == "ticker")
    doubted = board.grid.sessions[
        (board.has(Fact.DOUBTED) | board.has(Fact.ASIDE)).any(axis=0)
    ].astype(object).tolist() if len(board.grid.assets) else []  # fmt: skip
    return {
        "ticker": asset["ticker"][0],
        "asset_id": asset_id,
        "scores": {k: mine.row(0, named=True)[k] for k in _SHOWN} if mine.height else None,
        "sources": _dicts(rows.filter(pl.col("kind") == "source"), "source"),
        "years": _years(board),
        "rules": stored.finding_counts(db, asset_id),
        "gaps": gap_dicts(find_gaps(platform, board)),
        "doubted": doubted[-DAYS_SHOWN:],
        "trend": stored.trend(db, "ticker", asset_id=asset_id).select("day", *SCORES).to_dicts(),
    }


def gap_dicts(gaps: Gaps) -> list[dict[str, Any]]:
    """Gaps as plain data: state, reason, start, end, sessions, sources."""
    return [
        {
            "state": row["state"], "reason": reason_of(row["state"]),
            "start": row["first_session"], "end": row["last_session"],
            "sessions": row["sessions"], "sources": row["sources"],
        }
        for row in gaps.runs.to_dicts()
    ]  # fmt: skip


def _years(board: Board) -> list[dict[str, Any]]:
    """Cells expected, stored, priced and doubted by year."""
    if not len(board.grid.assets):
        return []
    masks = cell_masks(board)
    names = ("expected", "stored", "priced", "doubted", "aside")
    frame = pl.DataFrame(
        {"year": pl.Series(board.grid.sessions).dt.year()}
        | {name: masks[name].sum(axis=0) for name in names}
    )
    by = frame.group_by("year").agg(pl.col(names).sum()).sort("year")
    return by.filter(pl.col("expected") > 0).to_dicts()


def _dicts(frame: pl.DataFrame, name: str) -> list[dict[str, Any]]:
    return frame.select(name, *(n for n in _SHOWN if n != name)).to_dicts()
