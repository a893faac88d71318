"""Scores and gaps as pure functions."""

from __future__ import annotations

from datetime import date

import numpy as np
import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from stock_platform.domain.cells import CellGrid
from stock_platform.domain.gaps import CODES, GapState, gap_codes, runs
from stock_platform.domain.quality import COUNTS, SCORES, differs, doubts, with_scores

ORDER = ("missing", "stored", "no_data", "not_listed", "waiting", "failed")
DAYS = [date(2024, 1, d) for d in range(2, 12)]


@given(st.lists(st.integers(0, 10_000), min_size=9, max_size=9))
def test_scores_stay_within_their_bounds(numbers: list[int]) -> None:
    """Whatever the counts: from 0 to 100, and null only where nothing is counted."""
    made = dict(zip(COUNTS, numbers, strict=True))
    made["stored"] = min(made["stored"], made["expected"])
    made["doubted"] = min(made["doubted"], made["priced"])
    made["apart"] = min(made["apart"], made["compared"])
    made["prompt"] = min(made["prompt"], made["timed"])
    row = with_scores(pl.DataFrame({k: [v] for k, v in made.items()})).row(0, named=True)
    assert all(row[s] is None or 0 <= row[s] <= 100 for s in SCORES)
    known = [row[s] for s in SCORES[:-1] if row[s] is not None]
    if known:
        assert min(known) - 0.01 <= row["overall"] <= max(known) + 0.01
    else:
        assert row["overall"] is None


def test_what_flags_say() -> None:
    """Harmless marks and settled ones cast no doubt; disputes tell of sources apart."""
    flags = [[], ["no_trades"], ["spike"], ["unit_error", "repaired"], ["disputed"],
             ["session_not_over", "accepted_by_person"]]  # fmt: skip
    frame = pl.DataFrame({"flags": flags}, schema={"flags": pl.List(pl.String())})
    assert frame.select(doubts())["flags"].to_list() == [False, False, True, False, True, False]
    assert frame.select(differs())["flags"].to_list() == [False] * 4 + [True, False]


@given(st.lists(st.sampled_from(range(6)), min_size=10, max_size=10), st.integers(0, 2**20))
def test_every_session_is_priced_or_in_one_gap(states: list[int], bits: int) -> None:
    """From the first session asked for on; before it there is no gap."""
    grid = CellGrid.rectangle([7], DAYS)
    codes = np.array([states], dtype=np.uint8)
    stored = codes == ORDER.index("stored")
    priced = stored & np.array([[bool(bits >> i & 1) for i in range(10)]])
    aside = stored & np.array([[bool(bits >> (10 + i) & 1) for i in range(10)]])
    voices = np.where(codes == ORDER.index("no_data"), 1 + np.arange(10) % 2, 0).astype(np.uint8)
    found = gap_codes(grid, codes, priced, aside, voices, ORDER)
    begun = np.logical_or.accumulate(codes > 0, axis=1)
    assert ((found > 0) == (begun & ~priced)).all()
    told = runs(grid, found)
    assert told["sessions"].sum() == (found > 0).sum()
    halted = found == CODES[GapState.HALT]
    for column in np.flatnonzero(halted[0]):
        assert priced[0, :column].any()
        assert priced[0, column:].any()
        assert voices[0, column] > 1
