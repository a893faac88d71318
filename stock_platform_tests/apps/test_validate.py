"""``validate`` and ``rules``: faults of a file or a ticker, for people and for programs."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from stock_platform_tests.apps.conftest import Cli
from stock_platform_tests.domain import faults


def write(folder: Path, bars: pl.DataFrame) -> Path:
    """The bars as Yahoo's table."""
    path = folder / "MADE.csv"
    bars.select(
        pl.col("session").alias("Date"),
        *(pl.col(c).alias(c.title()) for c in faults.PRICES),
        pl.col("close").alias("Adj Close"), pl.col("volume").alias("Volume"),
        pl.lit(0.0).alias("Dividends"),
        pl.when(pl.col("session") == faults.SPLIT).then(4.0).otherwise(0.0).alias("Stock Splits"),
    ).write_csv(path)  # fmt: skip
    return path


def test_a_files_faults_are_told(bare: Cli, tmp_path: Path) -> None:
    """A clean file ends with 0, one that lacks a split with 3, and both say what they have."""
    clean = faults.history(1, seed=8)
    said = bare("validate", str(write(tmp_path, clean)), "--calendar", "XNYS", "--json")
    assert (said.code, said.json) == (0, [])
    path = write(tmp_path, faults.split_missing(clean, 0)[0])
    said = bare("validate", str(path), "--json")
    assert said.code == 3
    (found,) = said.json
    assert found["rule"] == "split_adjustment"
    assert found["factor"] == 0.25
    assert found["first_session"] == "2018-01-02"
    table = bare("validate", str(path))
    assert "split_adjustment" in table.out
    assert max(map(len, table.out.splitlines())) <= 100


def test_bad_input_is_named(bare: Cli, tmp_path: Path) -> None:
    """A level, a file and a rules file that are not there are named, with what is allowed."""
    path = write(tmp_path, faults.history(1, seed=8).head(30))
    assert "basic, standard, strict" in bare("validate", str(path), "--level", "high").error
    assert "give a file" in bare("validate", "nowhere/x.csv").error
    rules = tmp_path / "rules.toml"
    rules.write_text("[thresholds]\nspikes = 1\n", encoding="utf-8")
    said = bare("validate", str(path), STOCK_PLATFORM_VALIDATION_RULES=str(rules))
    assert said.code == 2
    assert "'spikes'" in said.error


def test_rules_explain_themselves(bare: Cli) -> None:
    """Every rule is listed with its level, one is explained, and the defaults can be copied."""
    listed = {rule["name"]: rule for rule in bare("rules", "--json").json}
    assert listed["unit_error"]["level"] == "strict"
    assert "pence for pounds" in bare("rules", "unit_error").out
    assert "spike_move = 0.5" in bare("rules", "--defaults").out
    assert bare("rules", "spikes").code == 2


def test_an_unknown_ticker_is_named(cli: Cli) -> None:
    """A ticker that is not stored ends with 2."""
    said = cli("validate", "NOSUCH")
    assert said.code == 2
    assert "NOSUCH" in said.error
