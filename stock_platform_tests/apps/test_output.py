"""Tables on a terminal of 100 columns, and what is said where there is nothing to show."""

from __future__ import annotations

import os
import subprocess
from datetime import UTC, date, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stock_platform.apps.cli.output import show_table
from stock_platform_tests.apps.conftest import Cli

DAY = date(2013, 2, 25)
STAMP = datetime(2013, 2, 25, 14, 30, tzinfo=UTC)


@pytest.fixture
def printed(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> object:
    """What a table looks like at 100 columns."""
    monkeypatch.setenv("COLUMNS", "100")

    def show(columns: list[str], rows: list[list[object]]) -> str:
        show_table(columns, rows)
        return capsys.readouterr().out

    return show


def test_numbers_days_and_names_are_never_broken(printed) -> None:  # type: ignore[no-untyped-def]
    """A row of prices too wide for the terminal loses its empty columns, not its digits."""
    names = ["ticker", "ts", "session", "open", "high", "low", "close", "volume", "vwap", "flags"]
    row = ["AAPL", STAMP, DAY, 453.8512, 455.1212, 442.5712, 442.8012, 13_306_400, None, None]
    out = printed(names, [row, row])
    for text in ("2013-02-25 14:30:00Z", "453.8512", "13,306,400"):
        assert out.count(text) == 2
    assert "vwap" not in out
    assert max(map(len, out.splitlines())) <= 100


def test_a_single_row_too_wide_is_shown_upright(printed) -> None:  # type: ignore[no-untyped-def]
    """One value a line, each whole."""
    words = [f"a{i}-{'x' * 12}" for i in range(12)]
    out = printed([f"name_{i}" for i in range(12)], [words])
    assert [line.split() for line in out.splitlines()] == [
        [f"name_{i}", word] for i, word in enumerate(words)
    ]


@given(
    st.lists(st.sampled_from([DAY, STAMP, 1.5, 12_345_678, "BRK.B", None]), min_size=1, max_size=5)
)
def test_what_fits_loses_nothing(row: list[object]) -> None:
    """Up to five columns of days, stamps, numbers and tickers keep their every text."""
    import contextlib
    import io

    from stock_platform.apps.cli import output

    out = io.StringIO()
    with contextlib.redirect_stdout(out), pytest.MonkeyPatch.context() as patch:
        patch.setenv("COLUMNS", "120")
        show_table([f"c{i}" for i in range(len(row))], [row, row])
    for value in row:
        assert str(output.cell(value)) in out.getvalue()


@pytest.mark.parametrize("group", ["catalog", "portfolio", "db"])
def test_a_group_alone_prints_its_help(bare: Cli, group: str) -> None:
    """Help, exit code 2, and no error without words."""
    said = bare(group)
    assert said.code == 2
    assert "Commands" in said.out + said.err
    assert "error:" not in said.err


def test_a_reader_that_leaves_is_no_error(bare: Cli) -> None:
    """`| head` ends a table quietly, with the exit code of a closed pipe."""
    read, write = os.pipe()
    process = subprocess.Popen(
        bare.command("rules"), cwd=bare.folder, env=bare.surroundings({}),
        stdout=write, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    os.close(read)
    os.close(write)
    _, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (141, "")


def test_an_empty_database_says_what_to_do(cli: Cli) -> None:
    """Unknown tickers, users and series name the command that brings them."""
    assert "stock-platform backfill AAPL" in cli("prices", "AAPL").error
    assert "stock-platform backfill AAPL" in cli("status", "AAPL").error
    assert "stock-platform portfolio buy" in cli("portfolio", "positions").error
    assert "stock-platform series GDP --refresh" in cli("series").err
    assert "no call in the last 7 days" in cli("usage").err
    assert cli("sources", "list", "--json").json == cli("sources", "--json").json


def test_an_export_of_no_known_kind_is_refused(bare: Cli) -> None:
    """A name that ends in .xls becomes neither a file nor a folder."""
    said = bare("export", "prices.xls")
    assert said.code == 2
    assert ".parquet, .csv or .sql" in said.error
    assert not (bare.folder / "prices.xls").exists()
