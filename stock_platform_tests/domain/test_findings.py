"""Findings: every planted fault is told by its kind, and clean histories are left alone."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from datetime import date
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from stock_platform.domain.bars import Basis
from stock_platform.domain.calendar import get_calendar
from stock_platform.domain.validation import Level, Rulebook, findings
from stock_platform.domain.validation.findings import flagged_rows
from stock_platform.pipeline.inspecting import inspect_file
from stock_platform.sources.files.config import FilesOptions
from stock_platform_tests.domain import faults, lean, quoting

ASSETS = 25
TWINS_NOTED = 3
"""Rows of PSH.L's repaired twin that lack prices, or open above their high: they are faults."""

KINDS = {
    "100x-error": {"unit_error"},
    "bad-stock-split": {"split_adjustment"},
    "missing-div-adjust": {"dividend_adjustment"},
    "cg-double-count": {"dividend_adjustment"},
    "bad-div": {"dividend_adjustment", "dividend_amount", "dividend_duplicate"},
}


def show(*lines: str) -> None:
    sys.stdout.write("\n".join(("", *lines, "")))


def sessions_of(bars: pl.DataFrame) -> pl.DataFrame:
    table = get_calendar("XNYS").table(date(2018, 1, 1), date(2020, 12, 31))
    return bars.select("asset_id").unique().sort("asset_id").join(table, how="cross")


def keys(frame: pl.DataFrame) -> set[tuple[int, date]]:
    return set(frame.select("asset_id", "session").iter_rows())


def told_of(bars: pl.DataFrame, *, stored: bool, **known: Any) -> pl.DataFrame:
    """The bars that rules speak of: as a file's or ticker's, or as runs judge what is stored."""
    if stored:
        return quoting.told_rows(bars, **known)
    return flagged_rows(bars, findings(bars, **known))


@pytest.mark.parametrize("stored", [False, True])
def test_planted_faults_are_found_by_their_kind(
    *, stored: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of every kind at least 95 % of rows are told, and at most 0.1 % of the others."""
    clean = faults.history(ASSETS, seed=7)
    known = faults.splits(clean)
    lines, poor = [], []
    for name, (rule, plant) in faults.FAULTS.items():
        bars, planted = plant(clean, 11)
        told = told_of(bars, stored=stored, splits=known, sessions=sessions_of(bars))
        right = keys(told.filter(pl.col("rule") == rule)) & keys(planted)
        wrong = keys(told) - keys(planted)
        recall = len(right) / planted.n_unique()
        false = len(wrong) / bars.height
        lines.append(f"{name:24} {rule:18} {planted.height:6,} {recall:8.1%} {false:8.3%}")
        if recall < 0.95 or false > 0.001:
            poor.append(lines[-1])
    with capsys.disabled():
        show(f"{'fault':24} {'rule':18} {'rows':>6} {'recall':>8} {'false':>8}", *lines)
    assert not poor


def test_gaps_are_told_as_ranges_and_flag_no_bar() -> None:
    """Three missing sessions are one finding with their first and last day."""
    bars = faults.history(1, seed=3)
    gone = bars["session"][100:103]
    rest = bars.filter(~pl.col("session").is_in(gone.implode()))
    found = findings(rest, sessions=sessions_of(bars))
    assert found.select("rule", "first_session", "last_session", "rows").rows() == [
        ("gap", gone[0], gone[2], 3)
    ]
    assert flagged_rows(rest, found).is_empty()


def test_faults_of_dividends_are_told_where_they_are() -> None:
    """A step left out, a hundredfold dividend and a dividend told twice, each by its name."""
    clean = faults.history(4, seed=5)
    paid = faults.quarterly(clean)
    bars = faults.adjusted(clean, paid)
    assert findings(bars, dividends=paid).is_empty()
    third = paid.filter(pl.col("asset_id") == 1)["ex_date"][2]
    lacking = paid.filter((pl.col("asset_id") != 1) | (pl.col("ex_date") != third))
    found = findings(faults.adjusted(clean, lacking), dividends=paid)
    assert found["rule"].to_list() == ["dividend_adjustment"]
    assert found["last_session"][0] < third
    assert (
        found["rows"][0]
        == clean.filter((pl.col("asset_id") == 1) & (pl.col("session") < third)).height
    )
    hundredfold = paid.with_columns(
        pl.when((pl.col("asset_id") == 1) & (pl.col("ex_date") == third))
        .then(pl.col("amount") * 100).otherwise(pl.col("amount")).alias("amount")
    )  # fmt: skip
    found = findings(bars, dividends=hundredfold)
    assert found.select("rule", "first_session").rows() == [("dividend_amount", third)]
    assert found["expected"][0] == pytest.approx(found["value"][0] / 100)
    again = paid.filter((pl.col("asset_id") == 1) & (pl.col("ex_date") == third)).with_columns(
        pl.col("ex_date").dt.offset_by("1d")
    )
    found = findings(bars, dividends=pl.concat([paid, again]))
    assert found["rule"].to_list() == ["dividend_duplicate"]


def test_the_source_that_differs_is_told() -> None:
    """Of three sources the one 5 % off is told, and of two both are, less surely."""
    bars = faults.history(1, seed=2).head(50)
    three = pl.concat(
        bars.with_columns(
            pl.lit(name).alias("source"),
            *(pl.col(c) * (1.05 if name == "c" else 1.0) for c in faults.PRICES),
        )
        for name in "abc"
    )
    found = findings(three)
    assert set(found.select("source", "rule", "severity").iter_rows()) == {
        ("c", "sources_disagree", "error")
    }
    found = findings(three.filter(pl.col("source") != "b"))
    assert set(found["source"]) == {"a", "c"}
    assert set(found["severity"]) == {"warning"}
    assert findings(three, level=Level.STRICT).is_empty()


def test_an_hour_off_is_a_wrong_session() -> None:
    """Intraday bars of a day stamped an hour late are told; those in time are not."""
    table = get_calendar("XNYS").table(date(2024, 3, 8), date(2024, 3, 12))
    bars = (
        table.join(pl.DataFrame({"n": range(7)}), how="cross")
        .with_columns(
            pl.lit(1, pl.Int32).alias("asset_id"), pl.lit("1h").alias("interval"),
            (pl.col("opens") + pl.duration(hours=pl.col("n"))).alias("ts"),
            *(pl.lit(10.0).alias(c) for c in faults.PRICES),
            (pl.col("n") * 100.0 + 100 + pl.col("session").dt.day()).alias("volume"),
        )
        .drop("n", "opens", "closes")
    )  # fmt: skip
    sessions = table.with_columns(pl.lit(1, pl.Int32).alias("asset_id"))
    assert findings(bars, sessions=sessions).is_empty()
    late = pl.col("session") == date(2024, 3, 11)
    shifted = bars.with_columns(
        pl.when(late).then(pl.col("ts").dt.offset_by("1h")).otherwise(pl.col("ts")).alias("ts")
    )
    found = findings(shifted, sessions=sessions)
    assert found.select("rule", "first_session", "rows", "repair").rows() == [
        ("wrong_session", date(2024, 3, 11), 7, "stamps -1 h")
    ]


def rows_of(path: Path) -> pl.DataFrame:
    table = pl.read_csv(path, infer_schema_length=None)
    table = table.rename({table.columns[0]: "day"}).with_columns(
        pl.col("day").str.slice(0, 10).str.to_date().alias("session")
    )
    return table.with_columns(pl.lit(1, pl.Int32).alias("asset_id"))


def broken_rows(bad: pl.DataFrame, good: pl.DataFrame) -> set[date]:
    """Sessions of which a column differs by more than what its decimals can."""
    columns = [c for c in ("Open", "High", "Low", "Close", "Adj Close", "Dividends") if c in bad]
    both = bad.join(good, on="session", suffix="_good")
    differs = [
        (pl.col(c) - pl.col(f"{c}_good")).abs() > 1e-4 * pl.col(f"{c}_good").abs().clip(1e-6)
        for c in columns
    ]
    return set(both.filter(pl.any_horizontal(differs))["session"])


def test_yahoos_faults_are_told_by_their_kind(
    shared_fixtures: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """At least 95 % of each broken file's rows, and at most 0.1 % of repaired and clean ones."""
    folder = shared_fixtures / "prices" / "yfinance_repair"
    lines, poor, clean_rows, clean_told = [], [], 0, 0
    for path in sorted(folder.glob("*.csv")):
        (seen,) = inspect_file(
            path, FilesOptions(str(path), basis=Basis.SPLIT_ADJUSTED),
            level=Level.COMPREHENSIVE, rulebook=Rulebook(),
        )  # fmt: skip
        bars = rows_of(path)
        found = seen.found.with_columns(
            pl.lit(1, pl.Int32).alias("asset_id"), pl.lit("").alias("source")
        )
        told = flagged_rows(bars, found)
        twin = path.with_name(path.stem + "-fixed.csv")
        if not twin.exists():
            clean_rows += bars.height
            clean_told += told["session"].n_unique()
            continue
        broken = broken_rows(bars, rows_of(twin))
        rules = next(r for kind, r in KINDS.items() if path.stem.endswith(kind))
        right = broken & set(told.filter(pl.col("rule").is_in(list(rules)))["session"])
        lines.append(f"{path.stem:36} {len(broken):5} {len(right) / len(broken):8.1%}")
        if len(right) < 0.95 * len(broken):
            poor.append(lines[-1])
    with capsys.disabled():
        told_rows = f"repaired and clean: {clean_told} of {clean_rows:,} rows told"
        show("broken file, broken rows, told by the right kind", *lines, told_rows)
    assert lines
    assert not poor
    assert clean_told <= max(TWINS_NOTED, 0.001 * clean_rows)


def clean_histories(shared: Path) -> Iterator[tuple[str, pl.DataFrame, dict[str, object]]]:
    folder = shared / "prices" / "lean"
    if folder.exists():
        bars = lean.raw_bars(folder)
        splits, dividends = lean.actions(lean.factors(folder, bars))
        traded = bars.with_columns(pl.lit(str(Basis.AS_TRADED)).alias("basis"))
        yield "lean", traded, {"splits": splits, "dividends": dividends}
    for package, pattern in (
        ("bokeh_sampledata", "_data/*.csv"),
        ("arch", "data/*/*.csv.gz"),
        ("backtesting", "test/*.csv"),
    ):
        spec = find_spec(package)
        for place in (spec.submodule_search_locations or []) if spec else []:
            for path in sorted(Path(place).glob(pattern)):
                table = pl.read_csv(path, infer_schema_length=None)
                if not {"Open", "High", "Low", "Close", "Volume"} <= set(table.columns):
                    continue
                if (table["Close"] <= 0).any() or table.height < 1000:
                    continue
                day = table.columns[0]
                names = (*faults.PRICES, "volume")
                bars = table.select(
                    pl.lit(1, pl.Int32).alias("asset_id"),
                    pl.col(day).str.slice(0, 10).str.to_date("%Y-%m-%d", strict=False)
                    .alias("session"),
                    *(pl.col(c.title()).cast(pl.Float64).alias(c) for c in names),
                ).drop_nulls("session")  # fmt: skip
                yield path.name, bars, {}


@pytest.mark.parametrize("stored", [False, True])
def test_clean_histories_are_left_alone(
    *, stored: bool, shared_fixtures: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """At most 0.1 % of the rows of real, good histories are told."""
    lines, told, rows = [], 0, 0
    for name, bars, known in clean_histories(shared_fixtures):
        seen = told_of(bars, stored=stored, **known).select("asset_id", "session").n_unique()
        lines.append(f"{name:24} {bars.height:8,} {seen:5}")
        told, rows = told + seen, rows + bars.height
    with capsys.disabled():
        show("clean history, rows, told", *lines)
    assert told <= 0.001 * rows


def test_made_histories_are_left_alone() -> None:
    """Fat tails, three years, a hundred assets: at most 0.1 % of rows are told."""
    bars = faults.history(100, seed=np.random.SeedSequence(4).entropy or 4)  # type: ignore[arg-type]
    found = findings(bars, splits=faults.splits(bars), sessions=sessions_of(bars))
    assert flagged_rows(bars, found).height <= 0.001 * bars.height
