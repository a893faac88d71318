"""Economic series: revisions are kept, what is unchanged is no news."""

from __future__ import annotations

from datetime import UTC, date, datetime

import polars as pl

from stock_platform.sources.base import SERIES, SERIES_INFO
from stock_platform.storage.connection import Database
from stock_platform.storage.series import known, series, write_series

NOW = datetime(2024, 5, 1, 12, tzinfo=UTC)
NO_INFO = pl.DataFrame(schema=SERIES_INFO)


def values(*rows: tuple[str, date, float | None, date | None]) -> pl.DataFrame:
    return pl.DataFrame(
        [(*row, None) for row in rows], schema=SERIES, orient="row"
    )  # fmt: skip


Q1, Q2 = date(2023, 10, 1), date(2024, 1, 1)
FIRST, SECOND = date(2024, 4, 25), date(2024, 5, 30)


def test_a_revision_is_a_row_of_its_own(database: Database) -> None:
    """As it was known before, and as it is known now."""
    assert write_series(database, "fred", NO_INFO, values(("GDP", Q1, 1.0, FIRST)), NOW) == 1
    later = values(("GDP", Q1, 1.5, SECOND), ("GDP", Q2, 2.0, SECOND))
    assert write_series(database, "fred", NO_INFO, later, NOW) == 2
    assert series(database, ["GDP"])["value"].to_list() == [1.5, 2.0]
    assert series(database, ["GDP"], as_of=FIRST)["value"].to_list() == [1.0]
    assert series(database, ["GDP"], start=Q2)["value"].to_list() == [2.0]


def test_running_again_changes_nothing(database: Database) -> None:
    """The same values on another day are no news, missing ones included."""
    rows = values(("DGS10", Q1, 4.5, FIRST), ("DGS10", Q2, None, FIRST))
    assert write_series(database, "fred", NO_INFO, rows, NOW) == 2
    again = rows.with_columns(realtime_start=pl.lit(SECOND))
    assert write_series(database, "fred", NO_INFO, again, NOW) == 0
    found = series(database, ["DGS10"])
    assert found["value"].to_list() == [4.5, None]
    assert found["known_from"].to_list() == [FIRST, FIRST]


def test_what_a_series_is(database: Database) -> None:
    """Title and units are kept with the span of its values."""
    info = pl.DataFrame(
        [("GDP", "Gross Domestic Product", "Billions of Dollars", "Quarterly", "SAAR", Q1, Q2,
          NOW, "notes")],
        schema=SERIES_INFO, orient="row",
    )  # fmt: skip
    write_series(database, "fred", info, values(("GDP", Q1, 1.0, None)), NOW)
    (row,) = known(database).to_dicts()
    assert (row["title"], row["units"], row["observations"]) == (
        "Gross Domestic Product",
        "Billions of Dollars",
        1,
    )
    assert series(database, ["GDP"])["known_from"].to_list() == [NOW.date()]
