"""The asset ``quality``: what it shows, and its checks."""

from __future__ import annotations

import base64
import re
from io import BytesIO

import dagster as dg
import pytest
from PIL import Image

from stock_platform.domain.validation import RULE_NAMES
from stock_platform.orchestration.quality_checks import judge_store
from stock_platform.storage import quality
from stock_platform_tests.orchestration.worlds import World, checks, materializations

FIRST, LAST = "2024-02-01", "2024-03-08"


def scored(world: World, instance: dg.DagsterInstance) -> dg.ExecuteInProcessResult:
    job = world.definitions.resolve_job_def("quality_job")
    return job.execute_in_process(
        {"loggers": {"console": {"config": {"log_level": "ERROR"}}}}, instance
    )


def test_the_asset_shows_scores_gaps_and_a_picture(
    world: World, instance: dg.DagsterInstance
) -> None:
    """Tables, plottable numbers and a heatmap of a known size; sound data passes every check."""
    world.track(instance, "AAA", "BBB")
    assert world.run(instance, "watchlist", (FIRST, "AAA"), (LAST, "BBB")).success
    result = scored(world, instance)
    (made,) = materializations(result, "quality")
    assert made.metadata["watchlist_completeness"].value == 100
    assert made.metadata["cells_read_again"].value == 2 * 366
    text = str(made.metadata["worst_tickers"].value)
    assert "| AAA |" in text
    assert "| 2024-03-08 |" in text
    assert "| vendor |" in str(made.metadata["sources"].value)
    picture = str(made.metadata["freshness_watchlist"].value)
    found = re.search(r"base64,([^)]+)\)", picture)
    assert found
    image = Image.open(BytesIO(base64.b64decode(found.group(1))))
    assert image.format == "PNG"
    assert image.width >= 640
    assert len(picture) < 60_000
    passed = checks(result)
    assert {f"rule_{name}" for name in RULE_NAMES} <= set(passed)
    unexpected = {n for n, ok in passed.items() if not ok} - {"rule_stale_repeat"}
    assert not unexpected
    assert quality.trend(world.platform.db, "scope", scope="watchlist").height == 1


@pytest.mark.both_servers
def test_a_store_that_broke_its_promises_is_told(
    world: World, instance: dg.DagsterInstance
) -> None:
    """A second bar of a session, a price without its quote, an orphan, a lagging table."""
    world.track(instance, "AAA")
    assert world.run(instance, "watchlist", ("2024-03-01", "AAA"), (LAST, "AAA")).success
    sound = {r.check_name: r for r in judge_store(world.platform)}
    assert all(r.passed for r in sound.values()), [r.description for r in sound.values()]
    with world.platform.db.connect() as connection:
        connection.execute(
            "insert into stocks.validated_prices (asset_id, interval, ts, session, open, high, "
            "low, close, source) select asset_id, interval, ts + interval '1 hour', session, "
            "open, high, low, close, source from stocks.validated_prices "
            "order by session desc limit 1"
        )
        connection.execute("delete from stocks.indicators")
        connection.execute(
            "insert into stocks.monthly_prices (asset_id, period, open, high, low, close, "
            "sessions, first_session, last_session) values (999, '2024-02-01', 1, 1, 1, 1, 1, "
            "'2024-02-01', '2024-02-01')"
        )
    broken = {r.check_name: r for r in judge_store(world.platform)}
    assert not any(r.passed for r in broken.values())
    assert "1 two daily prices of a session (asset " in str(broken["unique_keys"].description)
    said = str(broken["references"].description)
    assert "assets of monthly_prices that are not in the catalog (asset 999)" in said
    assert "daily prices without the quote they are from" in said
    assert "indicators of 1 assets lag behind" in str(broken["fresh_store"].description)
