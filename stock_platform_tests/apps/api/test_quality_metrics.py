"""Quality and coverage in ``/metrics``."""

from __future__ import annotations

from datetime import date

from prometheus_client.parser import text_string_to_metric_families
from starlette.testclient import TestClient

from stock_platform.pipeline.runtime import Platform
from stock_platform.pipeline.scoring import score
from stock_platform.settings import load_settings
from stock_platform.storage.connection import Database
from stock_platform.storage.ledger import mark
from stock_platform_tests.apps.api.conftest import NOW, SESSIONS, START
from stock_platform_tests.storage import worlds


def test_scores_and_coverage_are_gauges(client: TestClient, filled: Database) -> None:
    """By scope and by state, as they were scored last."""
    days = [d for d in worlds.weekdays(START, SESSIONS) if d >= date(2024, 1, 2)]
    with Platform.from_settings(
        load_settings(database_url=filled.url, market_time=NOW, start_date=START)
    ) as platform:
        ids = platform.watchlist_assets()["asset_id"].to_list()[:3]
        with filled.connect() as connection:
            mark(connection, worlds.marks_of(worlds.raw_bars(ids, days)))
        score(platform)
    text = client.get("/metrics").text
    found = {
        (s.name, tuple(sorted(s.labels.items()))): s.value
        for family in text_string_to_metric_families(text)
        for s in family.samples
    }
    scope = ("scope", "watchlist")
    assert found["stock_platform_quality_score", (scope, ("score", "accuracy"))] == 100
    assert 0 < found["stock_platform_coverage_ratio", (scope,)] <= 1
    assert found["stock_platform_scope_cells", (scope, ("state", "priced"))] > 0
