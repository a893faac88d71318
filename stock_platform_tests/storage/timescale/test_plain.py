"""Where there is no TimescaleDB: said so, and nothing changed. Options are checked anywhere."""

from __future__ import annotations

import pytest

from stock_platform.domain.errors import DatabaseError, InputError
from stock_platform.storage import readers, timescale
from stock_platform.storage.connection import Database
from stock_platform.storage.timescale import Extension, TimescaleOptions


def without(database: Database) -> None:
    """Skip where the tests run against a server that has it."""
    if timescale.timescale_status(database.url).extension.preloaded:
        pytest.skip("this server has TimescaleDB")


def test_a_plain_server_is_told_of(database: Database) -> None:
    """Asking for TimescaleDB is refused in a sentence; the status is that of plain tables."""
    without(database)
    before = readers.content_hash(database)
    with pytest.raises(DatabaseError, match="plain PostgreSQL: the server has no TimescaleDB"):
        timescale.set_up(database.url)
    assert timescale.set_up_fresh(database.url) == []
    assert timescale.cancel(database.url) == []
    assert readers.content_hash(database) == before
    found = timescale.timescale_status(database.url)
    assert [t.name for t in found.tables] == list(timescale.TABLES)
    assert {t.hypertable for t in found.tables} == {False}


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"chunk_days": {"assets": 7}}, "raw_quotes, raw_intraday"),
        ({"retention_days": {"raw_quotes": 1}}, "takes 7 to"),
        ({"compress_after_days": {"raw_quotes": 0}}, "takes 1 to"),
    ],
)
def test_options_are_checked(given: dict[str, dict[str, int]], words: str) -> None:
    """An unknown table and a number of days that makes no sense are refused."""
    with pytest.raises(InputError, match=words):
        TimescaleOptions(**given)


def test_what_is_there_is_said() -> None:
    """Every state of the extension has its sentence, with what to do about it."""
    assert "shared_preload_libraries" in Extension("2.29", False, None, None, None).told()
    apache = Extension("2.29", True, "2.29", "apache", "public")
    assert (apache.usable, apache.full) == (True, False)
    assert "hypertables only" in apache.told()
    assert Extension("2.29", True, "2.29", "timescale", "public").told() == "TimescaleDB 2.29"
