"""Validation: each rule catches its fault, and the best quote is chosen."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from stock_platform.domain.bars import PRICE_COLUMNS, RAW_QUOTES, VALIDATED_PRICES, Adjust, conform
from stock_platform.domain.calendar import get_calendar
from stock_platform.domain.corporate_actions import DIVIDENDS, SPLITS, apply_adjustments
from stock_platform.domain.validation import RULES, Level, Severity, Verdict, choose
from stock_platform_tests.domain import lean

SESSION = date(2024, 3, 8)
OPENS, CLOSES = get_calendar("XNYS").open_close(SESSION)
NOW = datetime(2024, 3, 11, tzinfo=UTC)
GOOD: dict[str, Any] = {
    "asset_id": 1,
    "interval": "1d",
    "source": "good",
    "ts": OPENS,
    "session": SESSION,
    "open": 10.0,
    "high": 11.0,
    "low": 9.0,
    "close": 10.5,
    "volume": 100.0,
    "vwap": 10.2,
    "basis": "as_traded",
    "fetched_at": NOW,
}
NO_SPLITS = pl.DataFrame(schema=SPLITS)


def judged(*rows: dict[str, Any], splits: pl.DataFrame = NO_SPLITS, **options: Any) -> Verdict:
    raw = conform(pl.DataFrame([GOOD | row for row in rows], infer_schema_length=None), RAW_QUOTES)
    table = get_calendar("XNYS").table(date(2024, 3, 1), date(2024, 3, 15))
    sessions = pl.DataFrame({"asset_id": pl.Series([1, 2], dtype=pl.Int32)}).join(
        table, how="cross"
    )
    defaults: dict[str, Any] = {"preference": ["good", "spare"], "now": NOW}
    return choose(raw, splits=splits, sessions=sessions, **(defaults | options))


ERRORS = [
    ("missing_price", {"close": None}),
    ("missing_price", {"open": float("nan")}),
    ("missing_key", {"ts": None}),
    ("missing_key", {"session": None}),
    ("number_out_of_bounds", {"high": 1e12}),
    ("number_out_of_bounds", {"volume": float("nan")}),
    ("number_out_of_bounds", {"volume": float("inf")}),
    ("number_out_of_bounds", {"volume": 1e16}),
    ("not_as_traded", {"basis": "fully_adjusted"}),
    ("price_not_positive", {"low": 0.0}),
    ("price_not_positive", {"low": 4e-9}),  # stored as zero
    ("high_below_low", {"high": 8.0, "low": 9.0}),
    ("open_outside_range", {"open": 12.0}),
    ("close_outside_range", {"close": 8.0}),
    ("volume_negative", {"volume": -1.0}),
    ("stamp_in_future", {"ts": NOW + timedelta(days=1)}),
    ("not_a_session", {"session": date(2024, 3, 9)}),
    ("stamp_outside_session", {"ts": OPENS - timedelta(hours=5)}),
    ("session_not_over", {"fetched_at": CLOSES - timedelta(minutes=1)}),
]
WARNINGS = [
    ("missing_volume", {"volume": None}),
    ("no_trades", {"volume": 0.0}),
    ("vwap_outside_range", {"vwap": 12.0}),
    ("vwap_outside_range", {"vwap": float("nan")}),
    ("vwap_outside_range", {"vwap": float("inf")}),
]


def test_a_good_bar_passes_every_rule() -> None:
    """No reason, no flag."""
    verdict = judged({})
    assert verdict.accepted["flags"].to_list() == [[]]
    assert verdict.quarantined.is_empty()
    assert dict(verdict.accepted.schema) == VALIDATED_PRICES


@pytest.mark.parametrize(("rule", "fault"), ERRORS)
def test_an_error_puts_the_row_aside_by_name(rule: str, fault: dict[str, Any]) -> None:
    """Each error rule catches its fault, and the row is kept as it came."""
    verdict = judged(fault)
    assert verdict.accepted.is_empty()
    (row,) = verdict.quarantined.to_dicts()
    assert rule in row["reasons"]
    assert json.loads(row["row"])["source"] == "good"


@pytest.mark.parametrize(("rule", "fault"), WARNINGS)
def test_a_warning_stays_on_the_row(rule: str, fault: dict[str, Any]) -> None:
    """Each warning rule flags its fault and lets the bar pass."""
    assert judged(fault).accepted["flags"].to_list() == [[rule]]


def test_an_average_that_no_column_holds_is_left_out() -> None:
    """The bar is good without it; the flag tells."""
    for vwap in (float("nan"), float("inf"), 1e12):
        assert judged({"vwap": vwap}).accepted["vwap"].to_list() == [None]


def test_every_rule_is_tried_here_and_says_what_it_catches() -> None:
    """No rule without a test and a docstring."""
    tried = {name for name, _ in ERRORS + WARNINGS}
    assert tried == set(RULES)
    assert all(rule.about.endswith(".") for rule in RULES.values())
    assert {n for n, _ in WARNINGS} == {
        r.name for r in RULES.values() if r.severity is Severity.WARNING
    }


def test_basic_checks_less_than_standard() -> None:
    """Levels include the ones before them."""
    assert judged({"open": 12.0}, level=Level.BASIC).accepted.height == 1
    assert judged({"close": None}, level=Level.BASIC).accepted.is_empty()


def test_the_preferred_source_is_chosen() -> None:
    """One bar for each session, from the source that goes first."""
    verdict = judged({"source": "spare", "close": 10.4}, {})
    assert verdict.accepted["source"].to_list() == ["good"]


def test_as_traded_goes_before_derived() -> None:
    """A price that came as traded is better than one that had to be derived."""
    verdict = judged({"basis": "split_adjusted"}, {"source": "spare"})
    assert verdict.accepted["source"].to_list() == ["spare"]


def test_the_next_source_takes_the_place_of_one_that_fails() -> None:
    """What fails is put aside, and the session still has its bar."""
    verdict = judged({"close": 99.0}, {"source": "spare"})
    assert verdict.accepted["source"].to_list() == ["spare"]
    assert verdict.quarantined["source"].to_list() == ["good"]


def test_splits_known_at_the_fetch_are_undone() -> None:
    """4 for 1 on the Monday: the adjusted 25 were 100 on the Friday."""
    prices = {"open": 25.0, "high": 26.0, "low": 24.0, "close": 25.5, "volume": 400.0, "vwap": None}
    split = pl.DataFrame(
        [(1, date(2024, 3, 11), "good", 4.0, NOW), (1, date(2024, 4, 1), "good", 2.0, NOW)],
        schema=SPLITS,
        orient="row",
    )
    verdict = judged({"basis": "split_adjusted", **prices}, splits=split)
    (row,) = verdict.accepted.to_dicts()
    assert (row["open"], row["close"], row["volume"]) == (100.0, 102.0, 100.0)


def test_float32_noise_is_taken_off_before_splits_are_undone() -> None:
    """74.05999755859375 is what 74.06 looks like after Yahoo's float32."""
    noisy = {"basis": "split_adjusted", "high": 75.0, "low": 74.0, "vwap": None}
    noisy |= {"open": 74.05999755859375, "close": 74.05999755859375}
    assert judged(noisy, float32=["good"]).accepted["close"].to_list() == [74.06]
    assert judged(noisy).accepted["close"].to_list() == [74.05999756]


def test_real_prices_come_back_from_float32(shared_fixtures: Path) -> None:
    """Adjusted for every split, served as float32, undone: what was on the tape, to the cent."""
    folder = shared_fixtures / "prices" / "lean"
    bars = lean.raw_bars(folder)
    splits = pl.concat(
        split.with_columns(pl.lit(ratio).alias("ratio"))
        for split in lean.actions(lean.factors(folder, bars))[0].iter_slices(1)
        if (ratio := to_a_quarter(split["ratio"][0])) is not None
    )
    served = apply_adjustments(bars, splits, pl.DataFrame(schema=DIVIDENDS), Adjust.SPLITS)
    hours = get_calendar("XNYS").table(date(1998, 1, 2), date(2021, 3, 31))
    raw = conform(
        served.join(hours, on="session").with_columns(
            pl.col(*PRICE_COLUMNS).cast(pl.Float32).cast(pl.Float64),
            pl.col("opens").alias("ts"),
            pl.lit("1d").alias("interval"),
            pl.lit("noisy").alias("source"),
            pl.lit("split_adjusted").alias("basis"),
        ),
        RAW_QUOTES,
    )
    sessions = bars.select("asset_id", "session").join(hours, on="session")
    verdict = choose(
        raw, splits=splits, sessions=sessions, preference=[], now=NOW, float32=["noisy"]
    )
    found = verdict.accepted.join(bars, on=["asset_id", "session"], suffix="_tape")
    assert found.height == verdict.accepted.height > 0.99 * bars.height
    for column in PRICE_COLUMNS:
        off = np.abs(found[column].to_numpy() / found[f"{column}_tape"].to_numpy() - 1)
        assert off.max() < 1.2e-7  # what float32 leaves open: 2128.9489 comes as 2128.949
        assert (off == 0).mean() > 0.9999


def to_a_quarter(ratio: float) -> float | None:
    """The whole or quartered number that a rounded factor stands for; None: a spin-off."""
    inverse = ratio < 1
    near = 1 / ratio if inverse else ratio
    whole = round(near * 4) / 4
    return None if abs(near - whole) > 1e-3 else 1 / whole if inverse else whole


def test_the_same_rows_give_the_same_verdict() -> None:
    """Whatever their order: the choice can be run again."""
    rows: list[dict[str, Any]] = [
        {},
        {"source": "spare"},
        {"source": "other"},
        {"asset_id": 2, "source": "other"},
    ]
    first, second = judged(*rows), judged(*reversed(rows))
    assert first.accepted.equals(second.accepted)
    assert first.accepted["source"].to_list() == ["good", "other"]


def test_the_contract_of_a_validated_frame() -> None:
    """pandera accepts what is chosen, and refuses a close above the high."""
    from pandera.errors import SchemaError

    from stock_platform.domain.validation.schema import ValidatedBars

    accepted = judged({}).accepted
    ValidatedBars.validate(accepted)
    with pytest.raises(SchemaError):
        ValidatedBars.validate(accepted.with_columns(close=pl.lit(99.0)))
