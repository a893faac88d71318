"""One truth from several sources: what is one action, what stands, and what contradicts it."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from stock_platform.domain.corporate_actions import DIVIDENDS, SPLITS
from stock_platform.domain.reconciling import FAMILIES, KINDS, VALUE, WITHIN, Kind, reconcile

FETCHED = datetime(2024, 6, 1, tzinfo=UTC)
DAY = date(2024, 3, 4)  # a Monday


def told(kind: Kind, *rows: tuple[date, str, float], currency: str | None = "USD") -> pl.DataFrame:
    frame = pl.DataFrame(
        [(1, day, source, value, FETCHED) for day, source, value in rows],
        schema={"asset_id": pl.Int32(), "ex_date": pl.Date(), "source": pl.String(),
                VALUE[kind]: pl.Float64(), "fetched_at": SPLITS["fetched_at"]},
        orient="row",
    )  # fmt: skip
    if kind == "split":
        return frame.select(list(SPLITS))
    return frame.with_columns(pl.lit(currency).alias("currency")).select(list(DIVIDENDS))


def later(days: int) -> date:
    return DAY + timedelta(days=days)


def stands(kind: Kind, found: pl.DataFrame) -> list[tuple[date, float]]:
    return found.select("ex_date", VALUE[kind]).rows()


def test_a_split_told_a_day_apart_is_one() -> None:
    """Two vendors against one decide its day; who said otherwise is noted."""
    rows = [(later(0), "yahoo", 4.0), (later(1), "polygon", 4.0), (later(1), "tiingo", 4.0)]
    found = reconcile(told("split", *rows), "split")
    assert stands("split", found.in_force) == [(later(1), 4.0)]
    assert found.in_force["sources"].to_list() == [["polygon", "tiingo", "yahoo"]]
    [conflict] = found.conflicts.to_dicts()
    assert (conflict["source"], conflict["told_ex_date"], conflict["what"]) == (
        "yahoo",
        later(0),
        "date",
    )


def test_ways_to_one_vendor_have_one_voice() -> None:
    """Yahoo's chart, library and page say the same day: that is one vendor's word."""
    rows = [(later(0), name, 4.0) for name in ("yahoo", "yfinance_library", "yahoo_page")]
    found = reconcile(told("split", *rows, (later(1), "polygon", 4.0)), "split")
    assert stands("split", found.in_force) == [(later(1), 4.0)]


def test_ones_own_file_wins_a_tie() -> None:
    """Of two voices the more trusted one stands, whatever its name or time."""
    rows = [(later(0), "files", 3.0), (later(0), "polygon", 2.0)]
    found = reconcile(told("split", *rows), "split")
    assert stands("split", found.in_force) == [(later(0), 3.0)]
    assert found.conflicts["what"].to_list() == ["value"]


def test_a_rounded_ratio_is_the_same() -> None:
    """7 for 1 told as 6.9999, and a stock dividend of 2 % told as 1.0200004."""
    rows = [(later(0), "yahoo", 6.9999), (later(0), "polygon", 7.0)]
    found = reconcile(told("split", *rows), "split")
    assert stands("split", found.in_force) == [(later(0), 7.0)]
    assert found.conflicts.is_empty()
    rows = [(later(0), "yahoo", 1.02), (later(0), "polygon", 1.03)]
    assert reconcile(told("split", *rows), "split").conflicts["what"].to_list() == ["value"]


def test_a_total_and_its_part_are_a_conflict_and_count_once() -> None:
    """Regular and special cash of one day, of which one vendor tells only the regular."""
    rows = [(later(0), "polygon", 3.25), (later(0), "yahoo", 0.25), (later(0), "tiingo", 3.25)]
    found = reconcile(told("dividend", *rows), "dividend")
    assert stands("dividend", found.in_force) == [(later(0), 3.25)]
    assert found.conflicts.select("source", "told_value", "what").rows() == [
        ("yahoo", 0.25, "value")
    ]


def test_a_special_the_day_after_is_a_dividend_of_its_own() -> None:
    """A source that tells two within days means two; so do two far-off amounts of two."""
    rows = [(later(0), "yahoo", 0.25), (later(1), "yahoo", 0.25)]
    found = reconcile(told("dividend", *rows), "dividend")
    assert found.in_force.height == 2
    rows = [(later(0), "yahoo", 0.25), (later(1), "polygon", 3.0)]
    found = reconcile(told("dividend", *rows), "dividend")
    assert found.in_force.height == 2
    assert found.conflicts.is_empty()


def test_two_days_told_by_one_are_kept_apart_by_the_other() -> None:
    """One tells Monday and Tuesday, the other Tuesday and Wednesday: two dividends, two days."""
    rows = [
        (later(0), "polygon", 0.25), (later(1), "polygon", 0.25),
        (later(1), "yahoo", 0.25), (later(2), "yahoo", 0.25),
    ]  # fmt: skip
    found = reconcile(told("dividend", *rows), "dividend")
    assert found.in_force.height == 2


def test_weekly_dividends_are_not_one() -> None:
    """A fund that pays the same each week, told by two sources a day apart."""
    weeks = [later(7 * n) for n in range(8)]
    rows = [(day, "polygon", 0.1) for day in weeks]
    rows += [(day + timedelta(days=1), "yahoo", 0.1) for day in weeks]
    found = reconcile(told("dividend", *rows), "dividend")
    assert stands("dividend", found.in_force) == [(day, 0.1) for day in weeks]
    assert found.conflicts.height == 8


def test_cash_in_two_currencies_is_a_conflict() -> None:
    """The same day, dollars and pounds: one counts, and the other is told."""
    both = pl.concat(
        [
            told("dividend", (later(0), "polygon", 1.0)),
            told("dividend", (later(0), "yahoo", 1.0), currency="GBP"),
        ]
    )
    found = reconcile(both, "dividend")
    assert found.in_force["currency"].to_list() == ["USD"]
    assert found.conflicts.select("told_currency", "what").rows() == [("GBP", "currency")]


def test_nothing_told() -> None:
    """No tellings, no actions."""
    assert reconcile(told("split"), "split").in_force.is_empty()


TELLINGS = st.lists(
    st.tuples(
        st.integers(0, 40),
        st.sampled_from(["files", "polygon", "tiingo", "yahoo", "yfinance_library", "zz"]),
        st.sampled_from([0.1, 0.25, 0.2504, 2.0, 3.25, 4.0, 4.0001]),
    ),
    max_size=14,
    unique_by=lambda row: row[:2],
)


@pytest.mark.parametrize("kind", KINDS)
@given(TELLINGS, st.randoms(use_true_random=False))
def test_order_of_arrival_does_not_matter(
    kind: Kind, rows: list[tuple[int, str, float]], random: object
) -> None:
    """The same tellings in any order give the same actions and conflicts."""
    frame = told(kind, *((later(n), source, value) for n, source, value in rows))
    shuffled = frame.sample(fraction=1.0, shuffle=True, seed=random.randint(0, 999))  # type: ignore[attr-defined]  # a Random
    one, two = reconcile(frame, kind), reconcile(shuffled, kind)
    assert_frame_equal(one.in_force, two.in_force)
    assert_frame_equal(one.conflicts, two.conflicts)


@pytest.mark.parametrize("kind", KINDS)
@given(TELLINGS)
def test_every_telling_is_accounted_for(kind: Kind, rows: list[tuple[int, str, float]]) -> None:
    """It agrees with an action near its day, or it is a conflict; days are in force once."""
    frame = told(kind, *((later(n), source, value) for n, source, value in rows))
    found = reconcile(frame, kind)
    assert found.in_force["ex_date"].is_unique().all()
    disputed = set(found.conflicts.select("source", "told_ex_date").rows())
    assert len(disputed) == found.conflicts.height
    for row in frame.iter_rows(named=True):
        if (row["source"], row["ex_date"]) in disputed:
            continue
        same = found.in_force.filter(pl.col("ex_date") == row["ex_date"])
        assert same.height == 1
        assert row["source"] in same["sources"].item()


@pytest.mark.parametrize("kind", KINDS)
@given(TELLINGS, st.integers(-1, 1))
def test_an_echo_adds_no_action(kind: Kind, rows: list[tuple[int, str, float]], shift: int) -> None:
    """Another vendor that repeats one source's words, a day off at most, changes no count."""
    own = [row for row in rows if row[1] == "polygon"]
    spaced = [
        row for row in own if not any(0 < abs(row[0] - o[0]) <= 2 * WITHIN[kind].days for o in own)
    ]
    frame = told(kind, *((later(n), source, value) for n, source, value in spaced))
    echo = told(kind, *((later(n + shift), "tiingo", value) for n, _, value in spaced))
    both = reconcile(pl.concat([frame, echo]), kind)
    assert stands(kind, both.in_force) == stands(kind, frame.sort("ex_date"))
    assert "tiingo" not in FAMILIES
