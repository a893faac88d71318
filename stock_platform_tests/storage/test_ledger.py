"""The ledger: its rules hold for any marks in any order, and it answers at scale."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import numpy as np
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stock_platform.domain.bars import Interval
from stock_platform.domain.cells import CellGrid
from stock_platform.domain.coverage import MARKS, SETTLED, CellStatus
from stock_platform.storage import bits, ledger
from stock_platform.storage.connection import Database
from stock_platform.storage.marking import RANK
from stock_platform_tests.storage import worlds

NOW = datetime(2024, 6, 1, 12, tzinfo=UTC)
LATER = NOW + timedelta(hours=1)
EARLIER = NOW - timedelta(hours=1)
DAYS = [date(2023, 12, 29), date(2024, 1, 2), date(2024, 2, 29), date(2024, 12, 31)]
GRID = CellGrid.rectangle([1, 2, 3], DAYS)

Cell = tuple[int, date]


def write(db: Database, marks: pl.DataFrame) -> int:
    with db.connect() as connection:
        return ledger.mark(connection, marks)


def marks(rows: list[tuple[int, date, str, str, datetime | None]]) -> pl.DataFrame:
    """MARKS of asset, session, status, source and retry_after; the reason is the status."""
    schema = {k: MARKS[k] for k in ("asset_id", "session", "status", "source", "retry_after")}
    return (
        pl.DataFrame(rows, schema=schema, orient="row")
        .with_columns(pl.lit("1d").alias("interval"), pl.col("status").alias("reason"))
        .select(list(MARKS))
    )


one_mark = st.tuples(
    st.sampled_from([1, 2, 3]),
    st.sampled_from(DAYS),
    st.sampled_from([str(s) for s in CellStatus]),
    st.sampled_from(["yahoo", "polygon", ""]),
    st.sampled_from([None, EARLIER, LATER]),
)


class Model:
    """The rules of marking.py, cell by cell in Python."""

    def __init__(self) -> None:
        self.cells: dict[Cell, tuple[CellStatus, set[str], datetime | None]] = {}

    def mark(self, rows: list[tuple[int, date, str, str, datetime | None]]) -> None:
        for asset, day, word, source, retry in rows:
            status, cell = CellStatus(word), (asset, day)
            known = self.cells.get(cell)
            if known and RANK[known[0]] > RANK[status]:
                continue
            if known and known[0] is status and status in SETTLED:
                known[1].add(source)
            else:
                self.cells[cell] = (status, {source}, None if status in SETTLED else retry)

    def missing(self, now: datetime, *, retry_failed: bool) -> set[Cell]:
        def needed(cell: Cell) -> bool:
            status, _, retry = self.cells.get(cell, (None, set(), None))
            if status in SETTLED:
                return False
            return retry_failed or retry is None or retry <= now

        return {cell for cell in GRID.pairs() if needed(cell)}


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(batches=st.lists(st.lists(one_mark, max_size=12), max_size=5), wanted=st.data())
def test_the_rules_hold(
    database: Database,
    batches: list[list[tuple[int, date, str, str, datetime | None]]],
    wanted: st.DataObject,
) -> None:
    """States, missing and due cells are those of a model that goes cell by cell."""
    with database.connect() as connection:
        connection.execute("truncate stocks.coverage_bits")
    model = Model()
    for batch in batches:
        model.mark(batch)
        write(database, marks(batch))
        before = model.cells.copy()
        assert write(database, marks([])) == 0
        assert model.cells == before
    shown = wanted.draw(st.lists(st.booleans(), min_size=12, max_size=12))
    grid = GRID.with_mask(np.array(shown).reshape(3, 4))
    codes = ledger.states(database, grid)
    for row, asset in enumerate(grid.assets.tolist()):
        for column, day in enumerate(DAYS):
            known = model.cells.get((asset, day))
            code = ledger.CODES[known[0]] if known else 0
            assert codes[row, column] == (code if grid.mask[row, column] else ledger.NO_CELL)
    for retry_failed in (False, True):
        needed = ledger.missing(database, grid, NOW, retry_failed=retry_failed)
        expected = model.missing(NOW, retry_failed=retry_failed) & set(grid.pairs())
        assert set(needed.pairs()) == expected
    due = {
        cell
        for cell, (status, _, retry) in model.cells.items()
        if status is CellStatus.WAITING and (retry is None or retry <= NOW)
    }
    assert set(ledger.due(database, NOW).pairs()) == due
    assert ledger.summary(database, grid)["cells"].sum() == len(grid)
    rows = ledger.cells(database, 1, DAYS[0], DAYS[-1])
    assert {(1, day) for day in rows["session"]} == {c for c in model.cells if c[0] == 1}
    assert rows["session"].is_unique().all()


def test_order_does_not_matter_for_settled_states(database: Database) -> None:
    """Settled marks commute: concurrent writers cannot undo one another."""
    rows = [
        (1, DAYS[0], "stored", "yahoo", None),
        (1, DAYS[0], "no_data", "polygon", None),
        (1, DAYS[1], "not_listed", "", None),
        (1, DAYS[1], "no_data", "yahoo", None),
    ]
    found = []
    for order in (rows, rows[::-1]):
        with database.connect() as connection:
            connection.execute("truncate stocks.coverage_bits")
        for row in order:
            write(database, marks([row]))
        found.append(ledger.cells(database, 1, DAYS[0], DAYS[-1]).drop("updated_at"))
    assert found[0].equals(found[1])
    assert found[0]["status"].to_list() == ["stored", "no_data"]


def test_putting_off_one_cell_leaves_the_others_due(database: Database) -> None:
    """Each cell keeps its own retry_after; a try of a cell counts for all that wait with it."""
    write(database, marks([(1, DAYS[1], "failed", "yahoo", EARLIER)]))
    write(database, marks([(1, DAYS[2], "failed", "yahoo", LATER)]))
    needed = ledger.missing(database, CellGrid.rectangle([1], DAYS[1:3]), NOW)
    assert list(needed.pairs()) == [(1, DAYS[1])]
    write(database, marks([(1, DAYS[1], "failed", "yahoo", LATER)]))
    write(database, marks([(1, DAYS[1], "failed", "yahoo", LATER)]))  # the same again
    rows = ledger.cells(database, 1, DAYS[0], DAYS[-1])
    assert rows["attempts"].to_list() == [2, 2]
    assert rows["retry_after"].to_list() == [LATER, LATER]
    assert not ledger.missing(database, CellGrid.rectangle([1], DAYS[1:3]), NOW)


def test_reasons_are_counted_once_a_cell(database: Database) -> None:
    """Sources that agree do not make two cells of one; stored cells have no reason."""
    grid = CellGrid.rectangle([1, 2], DAYS)
    cells = grid.to_frame()
    for source in ("yahoo", "polygon"):
        write(database, worlds.marks_of(cells.head(5), "no_data", source, "no trade"))
    write(database, worlds.marks_of(cells.slice(5, 2), "failed", "yahoo", "malformed", LATER))
    write(database, worlds.marks_of(cells.head(1)))
    found = ledger.reasons(database, grid)
    assert found.select("status", "reason", "cells").rows() == [
        ("no_data", "no trade", 4),
        ("failed", "malformed", 2),
    ]
    summary = ledger.summary(database, grid)
    assert dict(summary.select("status", "cells").rows()) == {
        "stored": 1, "missing": 1, "no_data": 4, "failed": 2,
    }  # fmt: skip


def test_intervals_are_apart(database: Database) -> None:
    """A stored daily bar says nothing of minutes."""
    write(database, worlds.marks_of(GRID.to_frame()))
    minutes = CellGrid(GRID.assets, GRID.sessions, GRID.mask, Interval.MINUTE)
    assert not ledger.missing(database, GRID, NOW)
    assert len(ledger.missing(database, minutes, NOW)) == len(GRID)


def test_an_unknown_status_is_refused(database: Database) -> None:
    """A word that is no status never reaches the table."""
    with pytest.raises(ValueError, match="lost"):
        write(database, worlds.marks_of(GRID.to_frame(), "lost"))


@given(days=st.lists(st.sets(st.integers(1, 366), max_size=30), min_size=1, max_size=8))
def test_packing_is_exact(days: list[set[int]]) -> None:
    """Bit i from the left is day-of-year i + 1, whatever the days."""
    series = pl.Series([sorted(d) for d in days], dtype=pl.List(pl.Int16()))
    for text, expected in zip(bits.pack(series), days, strict=True):
        number = f"{int(text[1:], 16):b}".zfill(8 * bits.BYTES)
        assert {i + 1 for i, bit in enumerate(number) if bit == "1"} == expected
