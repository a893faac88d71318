"""Verdicts among neighbours: the same whatever else is judged, and repairs only if certain."""

from __future__ import annotations

from datetime import UTC, date, datetime
from itertools import pairwise

import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from stock_platform.domain.bars import RAW_QUOTES, conform
from stock_platform.domain.calendar import get_calendar
from stock_platform.domain.corporate_actions import SPLITS
from stock_platform.domain.validation import Context, Level, Verdict, choose
from stock_platform.domain.validation.findings import BLOCK_DAYS
from stock_platform_tests.domain import faults

NOW = datetime(2021, 1, 4, tzinfo=UTC)
TABLE = get_calendar("XNYS").table(date(2018, 1, 2), date(2020, 12, 31))
NO_SPLITS = pl.DataFrame(schema=SPLITS)


def quotes(bars: pl.DataFrame, source: str = "one") -> pl.DataFrame:
    """RAW_QUOTES of bars, as traded."""
    return conform(
        bars.join(TABLE, on="session", how="left", maintain_order="left").with_columns(
            pl.col("opens").alias("ts"), pl.lit("1d").alias("interval"),
            pl.lit(source).alias("source"), pl.lit("as_traded").alias("basis"),
            pl.lit(NOW).alias("fetched_at"),
        ),
        RAW_QUOTES,
    )  # fmt: skip


def judged(raw: pl.DataFrame, cells: pl.DataFrame) -> Verdict:
    """The verdict on cells, with the quotes that the pipeline would read for them."""
    ids = raw.select("asset_id").unique()
    return choose(
        raw, splits=NO_SPLITS, sessions=ids.join(TABLE, how="cross"), preference=["one"], now=NOW,
        level=Level.STRICT, context=Context(cells.select("asset_id", "session")),
    )  # fmt: skip


def near(raw: pl.DataFrame, cells: pl.DataFrame) -> pl.DataFrame:
    """The quotes in the cells' blocks and the two beside."""
    block = pl.col("session").cast(pl.Int32).floordiv(BLOCK_DAYS)
    first, last = cells.select(block.min().alias("a"), block.max().alias("b")).row(0)
    return raw.filter(block.is_between(first - 1, last + 1))


HISTORY = faults.history(2, seed=9)
KINDS = sorted(set(faults.FAULTS) - {"a day late"})


@settings(max_examples=12, deadline=None)
@given(
    st.sampled_from(KINDS), st.integers(0, 50),
    st.lists(st.integers(1, 754), min_size=1, max_size=3, unique=True),
)  # fmt: skip
def test_a_verdict_does_not_depend_on_the_chunks(kind: str, seed: int, cuts: list[int]) -> None:
    """Sessions judged in any pieces, each with its margin, get the verdicts of one piece."""
    raw = quotes(faults.FAULTS[kind][1](HISTORY, seed)[0])
    whole = judged(raw, raw)
    days = TABLE["session"]
    ends = [0, *sorted(cuts), len(days)]
    for first, last in pairwise(ends):
        cells = raw.filter(pl.col("session").is_in(days[first:last].implode()))
        if cells.is_empty():
            continue
        part = judged(near(raw, cells), cells)
        mine = pl.col("session").is_in(days[first:last].implode())
        assert part.accepted.equals(whole.accepted.filter(mine))
        key = ["asset_id", "ts", "source"]
        assert part.quarantined.sort(key).equals(whole.quarantined.filter(mine).sort(key))


def test_a_certain_repair_is_applied_and_marked() -> None:
    """A bar a hundred times too high among good ones is divided, flagged, and not put aside."""
    bars, planted = faults.unit(100, 1)(HISTORY, 5)
    verdict = judged(quotes(bars), quotes(bars))
    assert verdict.quarantined.is_empty()
    fixed = verdict.accepted.join(planted, on=["asset_id", "session"], how="semi")
    assert fixed["flags"].to_list() == [["unit_error", "repaired"]] * 2
    good = HISTORY.join(planted, on=["asset_id", "session"], how="semi")
    assert (fixed["close"] / good["close"] - 1).abs().max() < 1e-9  # type: ignore[operator]
    assert fixed["volume"].equals(good["volume"])


def test_another_sources_good_bar_goes_before_a_repair() -> None:
    """The preferred source's bar is a hundred times too high: the other source's is chosen."""
    bars, planted = faults.unit(0.01, 1)(HISTORY, 5)
    raw = pl.concat([quotes(bars), quotes(HISTORY, "two")])
    chosen = judged(raw, raw).accepted.join(planted, on=["asset_id", "session"], how="semi")
    assert set(chosen["source"]) == {"two"}
    assert chosen["flags"].to_list() == [[], []]


def test_what_is_likely_wrong_goes_to_quarantine_and_what_may_be_is_flagged() -> None:
    """A stale repeat is put aside; a run without volume stays with its flag."""
    bars, planted = faults.stale(HISTORY, 3)
    verdict = judged(quotes(bars), quotes(bars))
    assert verdict.quarantined.height == planted.height
    assert set(verdict.quarantined["reasons"].explode()) == {"stale_repeat"}
    bars, planted = faults.no_volume(8)(HISTORY, 3)
    verdict = judged(quotes(bars), quotes(bars))
    assert verdict.quarantined.is_empty()
    flagged = verdict.accepted.filter(pl.col("flags").list.contains("zero_volume_run"))
    assert flagged.height == planted.height
