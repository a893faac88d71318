"""Real histories with faults planted in them: told by their kind, and nothing beside them."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from stock_platform.domain.calendar import get_calendar
from stock_platform.domain.validation import Level, findings
from stock_platform.domain.validation.findings import flagged_rows
from stock_platform_tests.domain import histories, spoiling

UNSURE = {"pence in the first third", "unknown split 3:1", "unknown split 3:1, 30 rows"}
"""Faults of which a series alone does not tell which side is right, or that there is one."""

RECALL, FALSE = 0.95, 0.001


@pytest.fixture(scope="module")
def clean(shared_fixtures: Path) -> pl.DataFrame:
    bars = histories.continuous(shared_fixtures)
    if bars.is_empty():
        pytest.skip("no real histories here")
    return bars


def sessions_of(bars: pl.DataFrame) -> pl.DataFrame:
    span = bars.select(pl.col("session").min().alias("a"), pl.col("session").max().alias("b"))
    table = get_calendar("XNYS").table(*span.row(0))
    return bars.select("asset_id").unique().sort("asset_id").join(table, how="cross")


def told_rows(bars: pl.DataFrame, splits: pl.DataFrame) -> pl.DataFrame:
    found = findings(bars, splits=splits, sessions=sessions_of(bars), level=Level.STRICT)
    return flagged_rows(bars, found)


KEY = ["asset_id", "session"]


@pytest.mark.parametrize("name", [n for n in spoiling.SPOILS if n not in UNSURE])
def test_faults_in_real_histories_are_told_by_their_kind(clean: pl.DataFrame, name: str) -> None:
    """At least 95 % of the wrong rows by the right rule; at most 0.1 % of the right rows at all."""
    rules, spoil = spoiling.SPOILS[name]
    spoilt = spoil(clean, 11)
    told = told_rows(spoilt.bars, spoilt.splits)
    right = told.filter(pl.col("rule").is_in(list(rules))).join(spoilt.planted, on=KEY, how="semi")
    wrong = told.join(spoilt.planted, on=KEY, how="anti").select(KEY).n_unique()
    assert right.select(KEY).n_unique() >= RECALL * spoilt.planted.n_unique()
    assert wrong <= FALSE * spoilt.bars.height


def test_clean_histories_are_left_alone(clean: pl.DataFrame) -> None:
    """At most 0.1 % of 80,000 rows are told, and none of them put aside."""
    told = told_rows(clean, pl.DataFrame(schema={"asset_id": pl.Int32, "ex_date": pl.Date,
                                                 "ratio": pl.Float64}))  # fmt: skip
    assert told.select(KEY).n_unique() <= FALSE * clean.height
    assert set(told["severity"]) <= {"warning"}


def test_a_change_of_unit_is_told_on_both_sides(clean: pl.DataFrame) -> None:
    """Every row in pence is told, though not which side is right."""
    spoilt = spoiling.SPOILS["pence in the first third"][1](clean, 11)
    told = told_rows(spoilt.bars, spoilt.splits).filter(pl.col("rule") == "unit_error")
    assert told.join(spoilt.planted, on=KEY, how="semi").select(KEY).n_unique() >= (
        RECALL * spoilt.planted.height
    )
