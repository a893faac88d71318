"""Scores of random boards against a count cell by cell."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

import numpy as np
import polars as pl
import pytest

from stock_platform.domain.calendar import get_calendar
from stock_platform.domain.cells import CellGrid
from stock_platform.domain.coverage import SHARDS
from stock_platform.domain.quality import COUNTS, RECENT, Fact
from stock_platform.pipeline.board import Board
from stock_platform.pipeline.coverage import NAMES
from stock_platform.pipeline.scoring import rows_of
from stock_platform.storage.quality import YearFacts

XNYS = get_calendar("XNYS")
DATES = XNYS.sessions(date(2024, 1, 2), date(2024, 3, 8))
NOW = datetime(2024, 3, 9, 12, tzinfo=UTC)  # the last session closed fifteen hours ago
IDS = np.array([1, 2, 33, 34], dtype=np.int32)  # 1 and 33 share a shard
SCOPES = {"watchlist": {1, 34}, "market": {1, 2, 33}}


def board(seed: int) -> Board:
    """Four assets, the last of them a coin that trades on every day."""
    random = np.random.default_rng(seed)
    days = np.arange(DATES[0], DATES[-1] + 1)
    mask = np.stack([np.isin(days, DATES)] * 3 + [np.ones(len(days), dtype=bool)])
    states = random.integers(0, len(NAMES), mask.shape).astype(np.uint8)
    states[:, :3] = 0
    states[~mask] = 255
    facts = random.integers(0, 256, mask.shape).astype(np.uint8)
    since = np.array(["2024-01-20", "2024-02-20", "2024-03-01", "2024-01-02"], "datetime64[D]")
    packed = np.zeros((4, 366), dtype=np.uint8)
    packed[:, 1 : 1 + len(days)] = facts
    stored = YearFacts(IDS, np.full(4, 2024), packed, since)
    assets = pl.DataFrame(
        {"asset_id": IDS, "ticker": ["A", "B", "C", "D"], "calendar": ["XNYS"] * 3 + ["24/7"]}
    )
    return Board(
        CellGrid(IDS, days, mask), assets, DATES, states, facts, {"": stored, "v": stored}, NOW
    )


def counted(made: Board) -> dict[tuple[Any, ...], dict[str, int]]:
    """Counts by (kind, scope, session, shard, asset), the slow and plain way."""
    sums: dict[tuple[Any, ...], dict[str, int]] = {}
    days = made.grid.sessions.astype(object).tolist()
    dates = DATES.astype(object).tolist()
    closes = {
        name: dict(get_calendar(name).table(days[0], days[-1]).select("session", "closes").rows())
        for name in ("XNYS", "24/7")
    }
    since = made.by_source[""].first_fetched.astype(object).tolist()
    for row, asset in enumerate(IDS.tolist()):
        calendar = made.assets["calendar"][row]
        own = [c for c in range(len(days)) if made.grid.mask[row, c]]
        due = [c for c in own if closes[calendar][days[c]] + timedelta(hours=24) <= NOW]
        begun = False
        for c in own:
            state = NAMES[made.states[row, c]]
            begun = begun or state != "missing"
            stored = state == "stored"
            if not begun or state in ("no_data", "not_listed") or not (stored or c in due):
                continue
            fact = Fact(int(made.facts[row, c]))
            priced = stored and Fact.PRICED in fact
            last = c == due[-1]
            timed = last or days[c] >= since[row]
            compared = stored and Fact.COMPARED in fact
            cell = {
                "expected": True, "stored": stored, "priced": priced,
                "doubted": priced and Fact.DOUBTED in fact,
                "aside": stored and Fact.ASIDE in fact and not priced,
                "compared": compared, "apart": compared and Fact.APART in fact,
                "timed": timed, "prompt": timed and (Fact.PROMPT in fact or (last and stored)),
            }  # fmt: skip
            partition = next((d for d in dates if d >= days[c]), dates[-1])
            recent = days[c] >= dates[-RECENT]
            keys: list[tuple[tuple[Any, ...], bool]] = [(("ticker", "", None, -1, asset), recent)]
            for scope, members in SCOPES.items():
                if asset in members:
                    shard = asset % SHARDS if scope == "market" else -1
                    whose = asset if scope == "watchlist" else 0
                    keys += [
                        (("scope", scope, None, -1, 0), recent),
                        (("day", scope, partition, -1, 0), True),
                        (("partition", scope, partition, shard, whose), True),
                    ]
            for key, counts_time in keys:
                into = sums.setdefault(key, dict.fromkeys(COUNTS, 0))
                for name, yes in cell.items():
                    into[name] += bool(yes) and (counts_time or name not in ("timed", "prompt"))
    return sums


@pytest.mark.parametrize("seed", range(5))
def test_sums_are_those_of_the_cells(seed: int) -> None:
    """Of every ticker, scope, day and partition; a coin's weekend counts for Monday."""
    made = board(seed)
    rows = rows_of(made, SCOPES, {}).filter(pl.col("kind") != "source")
    found = {
        (
            r["kind"], r["scope"], None if r["session"] == date(1, 1, 1) else r["session"],
            r["shard"], r["asset_id"],
        ): {name: r[name] for name in COUNTS}
        for r in rows.to_dicts()
    }  # fmt: skip
    assert found == counted(made)


def test_a_source_is_judged_by_its_own_quotes() -> None:
    """What failed of it lowers its completeness."""
    made = board(1)
    (plain,) = rows_of(made, {}, {}).filter(kind="source").to_dicts()
    (worse,) = rows_of(made, {}, {"v": 10}).filter(kind="source").to_dicts()
    assert worse["expected"] == plain["expected"] + 10
    assert worse["completeness"] < plain["completeness"]
    stored = made.has(Fact.STORED)
    assert plain["stored"] == stored.sum()
    assert plain["aside"] == (stored & made.has(Fact.ASIDE)).sum()
