"""Verdicts among neighbours through PostgreSQL: the same in whatever order and pieces they come."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime
from itertools import pairwise

import numpy as np
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stock_platform.domain.calendar import get_calendar
from stock_platform.domain.cells import CellGrid
from stock_platform.domain.clock import FixedClock
from stock_platform.domain.validation import Level
from stock_platform.pipeline import rejudging as near
from stock_platform.pipeline.validating import rejudge_late_actions, validate_cells
from stock_platform.storage import assets, readers, writers
from stock_platform.storage.connection import Database
from stock_platform.storage.rejudging import unjudged
from stock_platform_tests.domain import faults, quoting, spoiling
from stock_platform_tests.storage import worlds

CLOCK = FixedClock(datetime(2025, 1, 3, tzinfo=UTC))
START = date(2019, 1, 2)
DAYS = get_calendar("XNYS").sessions(START, date(2020, 12, 31)).astype(object).tolist()
TICKERS = ["CLEAN", "BAR", "RUN", "SPLIT", "UNIT", "STALE", "NOISE", "TWO"]
SPLIT_DAY = DAYS[400]

TABLES = (
    "raw_quotes", "validated_prices", "quarantine", "coverage_bits", "fetch_log", "open_levels",
    "unjudged_actions", "prices_history", "weekly_prices", "monthly_prices", "splits", "dividends",
    "splits_in_force", "dividends_in_force", "splits_history", "dividends_history",
    "splits_in_force_history", "dividends_in_force_history",
)  # fmt: skip


def made() -> pl.DataFrame:
    """Two years of quotes of eight assets, with a fault of another kind in each but the first."""
    clean = faults.history(len(TICKERS), 3, START)
    by_asset = {i: clean.filter(pl.col("asset_id") == i) for i in range(1, len(TICKERS) + 1)}
    by_asset[2] = spoiling.scattered(100, 0.03)(by_asset[2], 1).bars
    by_asset[3] = spoiling.block(100, 90)(by_asset[3], 2).bars
    before = pl.col("session") < SPLIT_DAY
    by_asset[4] = by_asset[4].with_columns(
        pl.when(before).then(pl.col(c) * 2).otherwise(pl.col(c)).alias(c) for c in faults.PRICES
    )
    by_asset[5] = spoiling.since(100)(by_asset[5], 3).bars
    by_asset[6] = spoiling.stale(4)(by_asset[6], 4).bars
    by_asset[7] = spoiling.any_price(0.05)(by_asset[7], 5).bars
    parts = [quoting.quotes(part) for part in by_asset.values()]
    two = spoiling.scattered(0.01, 0.05)(by_asset[8], 6).bars
    parts.append(quoting.quotes(two, "another"))
    return pl.concat(parts).with_columns(pl.col(*faults.PRICES).round(6))


QUOTES = made()


@pytest.fixture(scope="module")
def db(module_database_url: str) -> Iterator[Database]:
    """A database with eight assets."""
    with Database(module_database_url, "stock_platform_tests") as database:
        ids = assets.register(
            database, [assets.NewAsset(t, "stock", "XNYS", "USD") for t in TICKERS]
        )
        assert sorted(ids.values()) == list(range(1, len(TICKERS) + 1))
        yield database


def emptied(db: Database) -> None:
    with db.connect() as connection:
        connection.execute(f"truncate {', '.join('stocks.' + t for t in TABLES)}".encode())


def fetch(db: Database, cells: CellGrid) -> None:
    bars = QUOTES.join(cells.to_frame(), on=["asset_id", "session"], how="semi")
    for part in bars.partition_by("source"):
        writers.write_fetch(db, [worlds.fetched(part)], None)


def judge(db: Database, cells: CellGrid, level: Level = Level.STRICT) -> int:
    judged = 0
    for batch in validate_cells(db, cells, CLOCK, {}, level):
        writers.write_validated(db, batch)
        judged += len(batch.grid)
    return judged


def told(db: Database, source: str = "told", *, ratio: float = 2.0) -> None:
    batch = worlds.fetched(QUOTES.clear(), splits=worlds.splits_of([(4, SPLIT_DAY, ratio)], source))
    writers.write_fetch(db, [batch], None)


def outcome(db: Database) -> dict[str, pl.DataFrame]:
    """Everything that verdicts left behind, but when."""
    ids = list(range(1, len(TICKERS) + 1))
    with db.connect() as connection:
        levels = connection.execute(
            "select asset_id, block from stocks.open_levels order by 1, 2"
        ).fetchall()
    return {
        "prices": readers.prices(db, ids),
        "aside": readers.quarantined(db, ids, limit=100_000)
        .select("asset_id", "source", "ts", "session", pl.col("reasons").list.sort())
        .sort("asset_id", "source", "ts"),
        "levels": pl.DataFrame(levels, schema=["asset_id", "block"], orient="row"),
        "weeks": readers.weekly(db, ids),
    }


def everything() -> CellGrid:
    return CellGrid.rectangle(range(1, len(TICKERS) + 1), DAYS)


@pytest.fixture(scope="module")
def at_once(db: Database) -> dict[str, pl.DataFrame]:
    """What judging all of it at once leaves."""
    emptied(db)
    told(db)
    fetch(db, everything())
    judge(db, everything())
    return outcome(db)


def assert_same(db: Database, expected: dict[str, pl.DataFrame]) -> None:
    for name, frame in outcome(db).items():
        assert frame.equals(expected[name]), name


def test_judged_at_once_every_fault_is_dealt_with(at_once: dict[str, pl.DataFrame]) -> None:
    """Wrong bars are put aside or repaired, whole years of them; a clean asset has no mark."""
    prices, aside = at_once["prices"], at_once["aside"]
    assert prices.filter(pl.col("asset_id") == 1)["flags"].list.len().sum() == 0
    good = faults.history(len(TICKERS), 3, START).select("asset_id", "session", "close")
    both = prices.join(good, on=["asset_id", "session"], suffix="_good")
    wrong = both.filter((pl.col("close") / pl.col("close_good") - 1).abs() > 1e-4)
    # the split's asset trades at twice the continuous price before it, and that is right
    wrong = wrong.filter((pl.col("asset_id") != 4) | (pl.col("session") >= SPLIT_DAY))
    marks = pl.col("flags").list.len()
    assert wrong.filter(marks == 0).is_empty()
    assert set(wrong["asset_id"]) <= {5}
    assert aside.filter(pl.col("asset_id") == 6).height == 4
    assert set(at_once["levels"]["asset_id"]) >= {3, 5}
    assert prices.filter(pl.col("asset_id") == 4)["flags"].list.len().sum() == 0


def in_runs_of_a_day(order: Sequence[int]) -> list[CellGrid]:
    ids = range(1, len(TICKERS) + 1)
    return [CellGrid.rectangle(ids, [DAYS[at]]) for at in order]


@st.composite
def pieces(draw: st.DrawFn) -> list[CellGrid]:
    """The cells cut by days and assets, each a piece of its own, in any order."""
    cuts = draw(st.lists(st.integers(1, len(DAYS) - 1), min_size=1, max_size=5, unique=True))
    ends = [0, *sorted(cuts), len(DAYS)]
    shards = draw(st.integers(1, 3))
    found = [
        CellGrid.rectangle(range(1 + shard, len(TICKERS) + 1, shards), DAYS[a:b])
        for a, b in pairwise(ends)
        for shard in range(shards)
    ]
    return draw(st.permutations(found))


@settings(max_examples=4, deadline=None, suppress_health_check=list(HealthCheck))
@given(pieces(), st.data())
def test_any_order_of_pieces_gives_the_same_verdicts(
    db: Database, at_once: dict[str, pl.DataFrame], order: list[CellGrid], data: st.DataObject
) -> None:
    """Fetched and judged piece by piece, the split told at any time: as judged at once."""
    emptied(db)
    when = data.draw(st.integers(0, len(order)), label="the split is told before piece")
    for number, cells in enumerate(order):
        if number == when:
            told(db)
        fetch(db, cells)
        judge(db, cells)
    if when == len(order):
        told(db)
    for batch in rejudge_late_actions(db, CLOCK, {}, Level.STRICT):
        writers.write_validated(db, batch)
    assert unjudged(db, everything().interval).is_empty()
    assert_same(db, at_once)


@pytest.mark.thorough
@pytest.mark.parametrize("way", ["oldest first", "newest first", "shuffled"])
def test_a_run_a_day_gives_the_same_verdicts(
    db: Database, at_once: dict[str, pl.DataFrame], way: str
) -> None:
    """Five hundred runs of a day leave what one run leaves."""
    emptied(db)
    told(db)
    order = np.arange(len(DAYS))
    if way == "newest first":
        order = order[::-1]
    elif way == "shuffled":
        order = np.random.default_rng(1).permutation(order)
    for cells in in_runs_of_a_day(order.tolist()):
        fetch(db, cells)
        judge(db, cells)
    assert_same(db, at_once)


def test_the_last_weeks_in_runs_of_a_day_and_a_hole_filled(
    db: Database, at_once: dict[str, pl.DataFrame]
) -> None:
    """A history with a hole, then 15 runs of a day newest first, then the hole's."""
    emptied(db)
    told(db)
    ids = range(1, len(TICKERS) + 1)
    for days in (DAYS[:200], DAYS[230:-15]):
        fetch(db, CellGrid.rectangle(ids, days))
        judge(db, CellGrid.rectangle(ids, days))
    for cells in in_runs_of_a_day(list(range(len(DAYS) - 1, len(DAYS) - 16, -1))):
        fetch(db, cells)
        judge(db, cells)
    hole = CellGrid.rectangle(ids, DAYS[200:230])
    fetch(db, hole)
    judge(db, hole)
    assert_same(db, at_once)


def test_a_split_that_comes_later_clears_what_was_told(db: Database) -> None:
    """As-traded bars look torn until the split is known; then no cell carries a mark of it."""
    emptied(db)
    own = CellGrid.rectangle([4], DAYS)
    fetch(db, own)
    judge(db, own)
    told(db, ratio=2.0)
    assert unjudged(db, own.interval)["asset_id"].to_list() == [4]
    for batch in rejudge_late_actions(db, CLOCK, {}, Level.STRICT):
        writers.write_validated(db, batch)
    found = readers.prices(db, [4])
    assert found.height == len(DAYS)
    assert found["flags"].list.len().sum() == 0
    told(db, ratio=20.0)  # the same source, of another mind: now the bars lack a split
    judge(db, CellGrid.rectangle([4], [DAYS[-1]]))
    assert readers.prices(db, [4], DAYS[0], DAYS[10])["flags"].list.len().sum() >= 0
    assert unjudged(db, own.interval).is_empty()


def test_a_new_session_looks_at_months_and_judges_itself(db: Database) -> None:
    """Of a clean asset one new session is judged, and five blocks of days are read at most."""
    emptied(db)
    clean = CellGrid.rectangle([1], DAYS[:-1])
    fetch(db, clean)
    judge(db, clean)
    new = CellGrid.rectangle([1], DAYS[-1:])
    fetch(db, new)
    assert judge(db, new) == 1
    assert len(near.around_days(new, near.NEAR)) == 5 * 91
