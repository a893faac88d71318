"""What a database tells of itself."""

from __future__ import annotations

import pytest

from stock_platform.storage.connection import Database
from stock_platform.storage.info import database_info
from stock_platform.storage.migrate import migrate
from stock_platform_tests.storage.test_backup import fill


def test_rows_sizes_and_waste(database: Database, database_url: str) -> None:
    """Rows are counted, indexes listed, connections counted."""
    fill(database)
    with database.connect() as connection:
        connection.execute("update stocks.raw_quotes set trades = 1")
    found = database_info(database_url)
    tables = {table.name: table for table in found.tables}
    quotes = tables["raw_quotes"]
    assert (quotes.rows, quotes.counted) == (180, True)
    assert 0 < quotes.index_bytes < quotes.bytes
    assert "raw_quotes_pkey" in {index.name for index in found.indexes}
    sizes = [table.bytes for table in found.tables]
    assert sizes == sorted(sizes, reverse=True)
    assert found.connections.clients == sum(found.connections.by_state.values()) > 0
    assert found.connections.limit > found.connections.clients


def test_slow_queries_where_they_are_known(database: Database, database_url: str) -> None:
    """None without the extension, and none where the server does not preload it."""
    assert database_info(database_url).slow_queries is None
    with database.connect() as connection:
        connection.execute("create extension pg_stat_statements")
    found = database_info(database_url).slow_queries
    assert found is None or all(query.calls > 0 for query in found)


@pytest.mark.timescale
def test_chunks_are_counted(timescale_url: str) -> None:
    """A hypertable's rows and sizes are those of its chunks."""
    migrate(timescale_url)
    with Database(timescale_url) as database:
        fill(database)
    tables = {table.name: table for table in database_info(timescale_url).tables}
    assert tables["raw_quotes"].rows == 180
    assert (tables["raw_quotes"].chunks or 0) > 0
