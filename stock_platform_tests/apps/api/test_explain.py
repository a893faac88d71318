"""``/v1/explain`` tells what the command line tells."""

from __future__ import annotations

from datetime import date

from starlette.testclient import TestClient

from stock_platform.apps.cli.output import clean
from stock_platform.pipeline.explaining import explain
from stock_platform.pipeline.runtime import Platform
from stock_platform.settings import load_settings
from stock_platform.storage.connection import Database
from stock_platform_tests.apps.api.conftest import NOW


def test_the_same_json_as_the_command_line(client: TestClient, filled: Database) -> None:
    """The route's answer is what ``explain --json`` prints; strangers and bad dates are 422."""
    answer = client.get("/v1/explain", params={"ticker": "aapl", "date": "2023-05-03"})
    assert answer.status_code == 200
    with Platform.from_settings(
        load_settings(database_url=filled.url, market_time=NOW)
    ) as platform:
        assert answer.json() == clean(explain(platform, "AAPL", date(2023, 5, 3)))
    assert answer.json()["price"]["close"] > 0
    stranger = client.get("/v1/explain", params={"ticker": "AAPX", "date": "2023-05-03"})
    assert stranger.status_code in (404, 422)
    assert "did you mean AAPL" in stranger.text
    assert client.get("/v1/explain", params={"ticker": "AAPL", "date": "x"}).status_code == 422
