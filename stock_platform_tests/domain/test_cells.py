"""Sets of cells behave as sets."""

from __future__ import annotations

from datetime import date, timedelta

from hypothesis import given
from hypothesis import strategies as st

from stock_platform.domain.cells import CellGrid

CELLS = st.sets(
    st.tuples(st.integers(1, 6), st.integers(0, 6).map(lambda n: date(2024, 1, 1) + timedelta(n))),
    max_size=20,
)


@given(CELLS, CELLS)
def test_operations_are_those_of_sets(
    one: set[tuple[int, date]], other: set[tuple[int, date]]
) -> None:
    """Intersection, difference and union, whatever the axes."""
    a, b = CellGrid.from_pairs(one), CellGrid.from_pairs(other)
    assert set(a.intersection(b).pairs()) == one & other
    assert set(a.difference(b).pairs()) == one - other
    assert set(CellGrid.union([a, b]).pairs()) == one | other
    assert set(a.trimmed().pairs()) == one
    assert len(a) == len(one)
    assert bool(a) == bool(one)


@given(CELLS, st.integers(1, 30))
def test_chunks_are_the_whole(cells: set[tuple[int, date]], size: int) -> None:
    """Cut into groups of rows, nothing is lost and nothing comes twice."""
    chunks = [pair for part in CellGrid.from_pairs(cells).row_chunks(size) for pair in part.pairs()]
    assert sorted(chunks) == sorted(cells)


@given(CELLS)
def test_frames_and_back(cells: set[tuple[int, date]]) -> None:
    """A frame of cells is the same set."""
    grid = CellGrid.from_pairs(cells)
    assert set(CellGrid.from_frame(grid.to_frame()).pairs()) == cells
