"""Gaps of a real store, filled from vendors in memory within what is spare."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from stock_platform.domain.calendar import get_calendar
from stock_platform.domain.capabilities import Limit
from stock_platform.domain.cells import CellGrid
from stock_platform.domain.errors import Unavailable
from stock_platform.pipeline.answers import ABSENT
from stock_platform.pipeline.explaining import explain
from stock_platform.pipeline.filling import fill_gaps
from stock_platform.pipeline.runtime import Platform
from stock_platform.pipeline.scoring import score
from stock_platform.settings import load_settings
from stock_platform.sources.base import Source
from stock_platform.storage import ledger, quality
from stock_platform_tests.pipeline.worlds import ROW, FakeSource

NOW = datetime(2024, 3, 9, 12, tzinfo=UTC)
DAYS = get_calendar("XNYS").sessions(date(2024, 2, 1), date(2024, 3, 8)).astype(object).tolist()
HOLE, HALT = DAYS[5], DAYS[8]


@pytest.fixture
def platform(database_url: str, tmp_path: Path) -> Iterator[Platform]:
    """Two vendors: the first lacks two sessions, the second lacks one of them."""
    settings = load_settings(
        database_url=database_url, home=tmp_path, market_time=NOW, start_date=date(2024, 1, 2)
    )
    first = FakeSource("first", {"AAA": [d for d in DAYS if d not in (HOLE, HALT)]}, ROW)
    second = FakeSource("second", {"AAA": [d for d in DAYS if d != HALT]}, ROW, preference=200)
    with Platform(settings) as platform:
        platform.__dict__["sources"] = {"first": first, "second": second}
        yield platform


def asked(platform: Platform, name: str) -> int:
    source = platform.sources[name]
    assert isinstance(source, FakeSource)
    return len(source.asked)


def load(platform: Platform) -> int:
    """AAA from the first vendor alone, but for three sessions that nobody asked for."""
    (asset,) = platform.assets_for(["AAA"])["asset_id"].to_list()
    both = dict(platform.sources)
    platform.__dict__["sources"] = {"first": both["first"]}
    platform.__dict__.pop("capabilities", None)
    for days in (DAYS[:12], DAYS[15:]):
        grid = CellGrid.rectangle([asset], days)
        for batches in platform.fetch(grid):
            platform.write_fetch(batches)
        for batch in platform.validate(grid):
            platform.write_validated(batch)
        platform.refresh_indicators(grid)
    platform.__dict__["sources"] = both
    platform.__dict__.pop("capabilities", None)
    score(platform)
    return int(asset)


def states(platform: Platform) -> dict[str, int]:
    return {state: sessions for state, (_, sessions) in quality.gap_counts(platform.db).items()}


def test_gaps_are_filled_or_say_why_they_stay(platform: Platform) -> None:
    """Unasked sessions come, a hole comes from the other vendor, and what neither has is a halt."""
    asset = load(platform)
    assert states(platform) == {"missing": 3, "no_data": 2}
    plan = fill_gaps(platform, dry_run=True)
    assert plan.open_cells == {"never_asked": 3, "said_none": 2}
    assert plan.planned >= 2
    report = fill_gaps(platform)
    assert report.filled == 4
    assert report.halts == 1
    assert platform.refresh_indicators(CellGrid.rectangle([asset], DAYS)) == 0  # they follow
    again = score(platform)
    assert states(platform) == {"halt": 1}
    assert set(ledger.cells(platform.db, asset, HALT, HALT)["reason"]) == {ABSENT}
    gap = again.gaps.row(0, named=True)
    assert (gap["first_session"], gap["sources"]) == (HALT, ["first", "second"])
    row = quality.scores(platform.db, "ticker", asset_ids=[asset]).row(0, named=True)
    assert row["completeness"] == 100
    story = " ".join(explain(platform, "AAA", HALT)["story"])
    assert "first and second say that there is no bar of that day: a halt" in story
    before = asked(platform, "first"), asked(platform, "second")
    assert fill_gaps(platform).planned == 0  # nothing is asked twice
    assert (asked(platform, "first"), asked(platform, "second")) == before


def test_what_came_beside_an_answer_is_judged(platform: Platform) -> None:
    """Quotes that nobody judged yet are no gap to ask for: they are judged, without a call."""
    (asset,) = platform.assets_for(["AAA"])["asset_id"].to_list()
    for batches in platform.fetch(CellGrid.rectangle([asset], [DAYS[0], DAYS[-1]])):
        platform.write_fetch(batches)
    score(platform)
    assert states(platform)["unjudged"] >= 20
    assert fill_gaps(platform).judged >= 20
    score(platform)
    assert "unjudged" not in states(platform)


def test_without_spare_quota_nothing_is_asked(platform: Platform) -> None:
    """A day's limit that leaves nothing to spare leaves the gaps, and says how many."""
    load(platform)
    for source in platform.sources.values():
        assert isinstance(source, FakeSource)
        source.capabilities = replace(source.capabilities, limits=(Limit(2, 86_400.0),))
    platform.__dict__.pop("capabilities", None)
    before = asked(platform, "first"), asked(platform, "second")
    report = fill_gaps(platform)
    assert report.spare == {"first": 0, "second": 0}
    assert (report.filled, report.left) == (0, 5)
    assert (asked(platform, "first"), asked(platform, "second")) == before


def test_a_source_that_fails_costs_others_no_more_than_is_spare(platform: Platform) -> None:
    """Cells of a vendor that is down go to the next one, but for two calls of its ten alone."""
    names = [f"T{letter}" for letter in "ABCDEF"]
    known = dict.fromkeys(names, DAYS)
    down = Unavailable("first", "down", at_once=False)
    first = FakeSource("first", known, ROW, behaviour=lambda tile: down)
    second = FakeSource("second", known, ROW, preference=200)
    second.capabilities = replace(second.capabilities, limits=(Limit(10, 86_400.0),))
    assets = platform.assets_for(names)["asset_id"].to_list()
    beside = {"zero": FakeSource("zero", known, ROW)}
    use(platform, beside)
    for batches in platform.fetch(CellGrid.rectangle(assets, DAYS[:-3])):
        platform.write_fetch(batches)
    use(platform, {"first": first, "second": second})
    report = fill_gaps(platform)
    assert len(second.asked) == report.calls["second"] == report.spare["second"] == 2
    assert report.filled == 2 * 2  # the last session is not due yet
    grid = CellGrid.rectangle(assets, DAYS[:-1])
    assert len(platform.missing(grid, retry_failed=True)) == 4 * 2
    # They wait for nothing: no run comes to ask without a limit.
    assert not ledger.due(platform.db, datetime(9999, 1, 1, tzinfo=UTC))


def use(platform: Platform, sources: Mapping[str, Source]) -> None:
    platform.__dict__["sources"] = dict(sources)
    platform.__dict__.pop("capabilities", None)
