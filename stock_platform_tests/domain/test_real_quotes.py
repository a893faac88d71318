"""Yahoo's recorded quotes, sound and broken, held against the standard rules.

The broken ones are those yfinance repairs, each with what it should have been beside it.
What is wrong with most of them (a split or a dividend that was not adjusted for, pence for
pounds) shows only against their neighbours; rules that see one bar must let them pass.
"""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path

import polars as pl
import pytest

from stock_platform.domain.bars import PRICE_COLUMNS, RAW_QUOTES, VALIDATED_PRICES, conform
from stock_platform.domain.calendar import get_calendar
from stock_platform.domain.corporate_actions import SPLITS
from stock_platform.domain.validation import Verdict, choose
from stock_platform.domain.validation.schema import ValidatedBars

NOW = datetime(2026, 6, 1, tzinfo=UTC)


def judged(shared: Path, name: str, exchange: str) -> tuple[pl.DataFrame, Verdict]:
    """The quotes of a file, and what becomes of them."""
    read = pl.read_csv(
        shared / "prices" / "yfinance_repair" / f"{name}.csv", infer_schema_length=None
    )
    day = pl.col(read.columns[0]).str.slice(0, 10).str.to_date()
    quotes = read.select(
        pl.lit(1).alias("asset_id"),
        pl.lit("1d").alias("interval"),
        pl.lit("yahoo").alias("source"),
        pl.lit("split_adjusted").alias("basis"),
        pl.lit(NOW).alias("fetched_at"),
        day.alias("session"),
        *(pl.col(c.title()).cast(pl.Float64).alias(c) for c in (*PRICE_COLUMNS, "volume")),
    )
    days = quotes["session"]
    first, last = days.min(), days.max()
    assert isinstance(first, date)
    assert isinstance(last, date)
    table = get_calendar(exchange).table(first, last)
    raw = conform(
        quotes.join(table, on="session", how="left").with_columns(pl.col("opens").alias("ts")),
        RAW_QUOTES,
    )
    assert raw["ts"].null_count() == 0
    verdict = choose(
        raw,
        splits=pl.DataFrame(schema=SPLITS),
        sessions=table.with_columns(pl.lit(1, pl.Int32).alias("asset_id")),
        preference=["yahoo"],
        now=NOW,
        float32=["yahoo"],
    )
    return raw, verdict


@pytest.mark.parametrize("name", ["EWG-1d-no-bad-divs", "CALM-1d-no-bad-divs"])
def test_sound_histories_pass_without_a_flag(shared_fixtures: Path, name: str) -> None:
    """The controls: 662 sessions each, no false alarm, and pandera agrees."""
    raw, verdict = judged(shared_fixtures, name, "XNYS")
    assert verdict.quarantined.is_empty()
    assert verdict.accepted.height == raw.height == 662
    assert verdict.accepted["flags"].list.len().sum() == 0
    assert dict(verdict.accepted.schema) == VALIDATED_PRICES
    ValidatedBars.validate(verdict.accepted)


def test_sound_prices_keep_the_cents_that_were_traded(shared_fixtures: Path) -> None:
    """Without float32 noise nearly all are whole cents, and none moves by a millionth."""
    raw, verdict = judged(shared_fixtures, "EWG-1d-no-bad-divs", "XNYS")
    closes = verdict.accepted.sort("session")["close"]
    assert ((closes * 100).round(6) % 1 == 0).mean() == 1.0
    moved = (closes / raw.sort("session")["close"] - 1).abs()
    assert moved.max() == pytest.approx(0, abs=1e-6)


def test_rows_without_prices_and_torn_rows_are_put_aside(shared_fixtures: Path) -> None:
    """Yahoo's two empty days of PSH.L, and an open above its high."""
    raw, verdict = judged(shared_fixtures, "PSH-L-1d-bad-div", "XLON")
    reasons = verdict.quarantined.sort("session").select("session", "reasons").rows()
    assert reasons == [
        (date(2022, 10, 13), ["missing_price"]),
        (date(2022, 10, 14), ["missing_price"]),
        (date(2024, 5, 1), ["open_outside_range"]),
    ]
    assert verdict.accepted.height == raw.height - 3
    ValidatedBars.validate(verdict.accepted)


def test_days_without_trades_are_flagged_and_kept(shared_fixtures: Path) -> None:
    """AET.L did not trade on 22 of its 23 days; its prices were carried over."""
    _, verdict = judged(shared_fixtures, "AET-L-1d-100x-error", "XLON")
    assert verdict.quarantined.is_empty()
    assert verdict.accepted["flags"].list.contains("no_trades").sum() == 22


@pytest.mark.parametrize(
    ("name", "exchange"),
    [
        ("4063-T-1d-bad-stock-split", "XTKS"),
        ("8TRA-DE-1d-missing-div-adjust", "XETR"),
        ("ALPHA-PA-1d-bad-stock-split", "XPAR"),
        ("SAND-1d-bad-div", "XNYS"),
    ],
)
def test_what_shows_only_against_neighbours_passes(
    shared_fixtures: Path, name: str, exchange: str
) -> None:
    """Broken and repaired alike: the standard level sees one bar at a time, and says no more."""
    for version in (name, f"{name}-fixed"):
        raw, verdict = judged(shared_fixtures, version, exchange)
        assert verdict.quarantined.is_empty()
        assert verdict.accepted.height == raw.height
