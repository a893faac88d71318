"""From an answer to marks: what becomes of every cell."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime

import polars as pl
import pytest

from stock_platform.domain.bars import Interval
from stock_platform.domain.capabilities import Endpoint, Tile
from stock_platform.domain.cells import CellGrid
from stock_platform.pipeline.answers import Moment, batch_of, unlisted
from stock_platform.pipeline.market import FOREVER
from stock_platform.sources.base import REJECTED, Answer
from stock_platform_tests.pipeline.worlds import NOW, ROW, SESSIONS, answer, bars

TILE = Tile("x", "row", Interval.DAY, SESSIONS[0], SESSIONS[-1], 1, "AAA")
MOMENT = Moment(NOW, NOW, NOW, fresh_since=date(2024, 3, 8))
OWNERS = pl.DataFrame(
    {"symbol": ["AAA"], "asset_id": [1], **{name: [day] for name, day in FOREVER.items()}},
    schema_overrides={"asset_id": pl.Int32()},
)


def states(
    given: Answer, moment: Moment = MOMENT, endpoint: Endpoint = ROW
) -> dict[date, tuple[str, str]]:
    asked = CellGrid.rectangle([1], SESSIONS)
    batch = batch_of(TILE, endpoint, given, asked, OWNERS, None, moment)
    return {
        row["session"]: (row["status"], row["reason"]) for row in batch.marks.iter_rows(named=True)
    }


def test_a_bar_stores_its_cell_and_a_gap_of_a_complete_answer_is_no_data() -> None:
    """Silence of a source that would know is an answer."""
    found = states(answer(bars("AAA", SESSIONS[:3])))
    assert [found[day][0] for day in SESSIONS] == ["stored"] * 3 + ["no_data"]


def test_a_gap_of_an_incomplete_answer_says_nothing() -> None:
    """Silence of a source that may not know leaves the cell open."""
    found = states(answer(bars("AAA", SESSIONS[:3])), endpoint=replace(ROW, complete=False))
    assert sorted(found) == SESSIONS[:3]


def test_before_the_first_trade_is_not_listed() -> None:
    """A ticker has no cells to fill before it was listed."""
    found = states(replace(answer(bars("AAA", SESSIONS[2:])), listed_from=SESSIONS[2]))
    assert [found[day][0] for day in SESSIONS] == ["not_listed"] * 2 + ["stored"] * 2


def test_the_newest_session_may_not_be_published_yet() -> None:
    """A gap at the fresh end waits instead of being settled for ever."""
    fresh = replace(MOMENT, fresh_since=SESSIONS[3])
    assert states(answer(bars("AAA", SESSIONS[:3])), fresh)[SESSIONS[3]][0] == "waiting"


def test_an_unfinished_session_waits_even_where_bars_came() -> None:
    """An open session's bars are stored and asked for again."""
    given = replace(answer(bars("AAA", SESSIONS)), unfinished=frozenset({SESSIONS[3]}))
    assert states(given)[SESSIONS[3]][0] == "waiting"


def test_a_row_that_could_not_be_read_fails_its_cell_and_is_put_aside() -> None:
    """An unreadable row is not "no trade"."""
    rejected = pl.DataFrame(
        {
            "symbol": ["AAA"],
            "ts": [None],
            "session": [SESSIONS[3]],
            "row": ['{"close": "n/a"}'],
            "reasons": [["close is not a number"]],
        },
        schema=REJECTED,
    )
    given = replace(answer(bars("AAA", SESSIONS[:3])), rejected=rejected)
    assert states(given)[SESSIONS[3]][0] == "failed"
    batch = batch_of(TILE, ROW, given, CellGrid.rectangle([1], SESSIONS), OWNERS, None, MOMENT)
    assert batch.rejected["ticker"].to_list() == ["AAA"]


def test_rows_keep_when_the_vendor_gave_them() -> None:
    """A cached answer's prices are adjusted as of then, not as of now."""
    then = datetime(2024, 3, 8, 9, tzinfo=UTC)
    given = replace(answer(bars("AAA", SESSIONS)), received_at=then)
    batch = batch_of(TILE, ROW, given, CellGrid.rectangle([1], SESSIONS), OWNERS, None, MOMENT)
    assert batch.bars["fetched_at"].unique().to_list() == [then]


@pytest.mark.parametrize(
    ("listed", "delisted", "outside"),
    [
        (None, None, 0),
        (SESSIONS[1], None, 1),
        (None, SESSIONS[1], 2),
        (SESSIONS[1], SESSIONS[2], 2),
    ],
)
def test_cells_outside_the_listing(listed: date, delisted: date, outside: int) -> None:
    """Both ends of a listing are sessions of it."""
    assets = pl.DataFrame(
        {"asset_id": [1], "listed_on": [listed], "delisted_on": [delisted]},
        schema={"asset_id": pl.Int32(), "listed_on": pl.Date(), "delisted_on": pl.Date()},
    )
    assert len(unlisted(CellGrid.rectangle([1], SESSIONS), assets)) == outside
