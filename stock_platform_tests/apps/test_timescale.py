"""``db timescale`` from the command line."""

from __future__ import annotations

import pytest

from stock_platform.storage import migrate as module
from stock_platform.storage.migrate import migrate
from stock_platform_tests.apps.conftest import Cli


def test_a_plain_server(cli: Cli) -> None:
    """The status is shown; the work is refused in one line that says why."""
    status = cli("db", "timescale", "--status", "--json").json
    if status["extension"]["preloaded"]:
        pytest.skip("this server has TimescaleDB")
    assert {table["hypertable"] for table in status["tables"]} <= {False}
    refused = cli("db", "timescale")
    assert refused.code == 1
    assert "plain PostgreSQL: the server has no TimescaleDB" in refused.error
    assert cli("db", "timescale", "--status", "--cancel").code == 2
    wrong = cli("db", "timescale", STOCK_PLATFORM_RETENTION_DAYS='{"assets": 30}')
    assert wrong.code == 2
    assert "raw_quotes, raw_intraday" in wrong.error


@pytest.mark.timescale
def test_a_conversion(cli: Cli, timescale_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """It prints what it did, and the second time that there was little to do."""
    with monkeypatch.context() as patch:
        patch.setattr(module, "set_up_fresh", lambda *_: [])
        migrate(timescale_url)
    said = cli("db", "timescale", "--json", DATABASE_URL=timescale_url).json
    subjects = [step["subject"] for step in said["steps"]]
    assert subjects[:2] == ["extension", "raw_quotes"]
    assert {table["hypertable"] for table in said["tables"]} == {True}
    again = cli("db", "timescale", DATABASE_URL=timescale_url)
    assert again.code == 0
    assert "raw_quotes" in again.out
    assert "intraday aggregates: refreshed" in again.out
    assert max(map(len, again.out.splitlines())) <= 100
