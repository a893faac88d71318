from __future__ import annotations

from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

import dagster as dg
import pytest

from stock_platform.domain.calendar import get_calendar
from stock_platform.orchestration.build import build_definitions
from stock_platform.orchestration.instance import open_instance
from stock_platform.orchestration.partitions import build_scopes
from stock_platform.orchestration.schedules import (
    SESSION_TAG,
    closing_crons,
    refresh_request,
    requests,
)
from stock_platform.settings import load_settings
from stock_platform_tests.orchestration.worlds import World

NEW_YORK = ZoneInfo("America/New_York")
XNYS = get_calendar("XNYS")
SCOPES = build_scopes(load_settings())


def asked(
    instance: dg.DagsterInstance, now: datetime, scope: str = "market", start: date | None = None
) -> list[str]:
    """Sessions requested at an instant by a tick that looks at this week only."""
    return [
        request.tags[SESSION_TAG].split()[1]
        for request in requests(
            SCOPES[scope],  # type: ignore[index]  # a literal in every call
            XNYS,
            now,
            start or now.date(),
            instance,
        )
        if isinstance(request, dg.RunRequest)
    ]


@pytest.mark.parametrize(
    ("local", "sessions"),
    [
        (datetime(2023, 11, 22, 16, 30, tzinfo=NEW_YORK), ["2023-11-22"]),  # an ordinary Wednesday
        (datetime(2023, 11, 22, 16, 29, tzinfo=NEW_YORK), []),  # not yet
        (datetime(2023, 11, 23, 16, 30, tzinfo=NEW_YORK), []),  # Thanksgiving
        (datetime(2023, 11, 24, 13, 30, tzinfo=NEW_YORK), ["2023-11-24"]),  # the half day after it
        (datetime(2023, 11, 22, 13, 30, tzinfo=NEW_YORK), []),  # 13:30 on an ordinary day
        (datetime(2023, 11, 25, 16, 30, tzinfo=NEW_YORK), []),  # Saturday
        (datetime(2024, 3, 8, 16, 30, tzinfo=NEW_YORK), ["2024-03-08"]),  # winter time
        (datetime(2024, 3, 11, 16, 30, tzinfo=NEW_YORK), ["2024-03-11"]),  # summer time
    ],
)
def test_sessions_are_asked_for_after_their_close(
    instance: dg.DagsterInstance, local: datetime, sessions: list[str]
) -> None:
    """Half an hour after the close of that very day, whatever day it is."""
    assert asked(instance, local.astimezone(UTC), start=local.date()) == sessions


def test_what_was_missed_follows(instance: dg.DagsterInstance) -> None:
    """After a week of nobody running, every session of it is asked for, one run each."""
    now = datetime(2023, 11, 24, 18, 30, tzinfo=UTC)
    assert asked(instance, now, start=date(2016, 1, 4)) == [
        "2023-11-17", "2023-11-20", "2023-11-21", "2023-11-22", "2023-11-24",
    ]  # fmt: skip


def test_a_run_looks_a_week_back(instance: dg.DagsterInstance) -> None:
    """What came since its session's own run is judged; the partitions' start bounds it."""
    now = datetime(2024, 3, 8, 21, 30, tzinfo=UTC)
    *_, newest = requests(SCOPES["market"], XNYS, now, date(2016, 1, 4), instance)
    assert isinstance(newest, dg.RunRequest)
    assert newest.tags["dagster/asset_partition_range_start"] == "2024-03-01|00"
    assert newest.tags["dagster/asset_partition_range_end"] == "2024-03-08|31"


def test_a_session_is_asked_for_once(world: World, instance: dg.DagsterInstance) -> None:
    """A tick after the run gives its reason; a failed run is asked for again."""
    now = datetime(2024, 3, 8, 21, 30, tzinfo=UTC)
    [request] = requests(SCOPES["market"], XNYS, now, date(2024, 3, 8), instance)
    assert isinstance(request, dg.RunRequest)
    assert request.run_key == "market 2024-03-08"
    assert request.tags["dagster/asset_partition_range_start"] == "2024-03-08|00"
    assert request.tags["dagster/asset_partition_range_end"] == "2024-03-08|31"
    assert world.run(
        instance, "market", ("2024-03-08", "00"), ("2024-03-08", "31"), tags=dict(request.tags)
    ).success
    [skip] = requests(SCOPES["market"], XNYS, now, date(2024, 3, 8), instance)
    assert isinstance(skip, dg.SkipReason)
    assert "2024-03-08" in (skip.skip_message or "")
    [run] = instance.get_runs()
    instance.report_run_failed(run)
    assert asked(instance, now) == ["2024-03-08"]


def test_ticks_are_at_closing_times() -> None:
    """New York closes at 16:00 and, on half days, at 13:00; a tick follows each."""
    assert closing_crons(XNYS, date(2024, 3, 8)) == ["30 13 * * 1,2,3,5", "30 16 * * 1,2,3,4,5"]


def test_a_watchlist_without_tickers_says_so(instance: dg.DagsterInstance) -> None:
    """Nothing is tracked, so nothing is asked."""
    [skip] = requests(
        SCOPES["watchlist"], XNYS, datetime(2024, 3, 9, tzinfo=UTC), date(2024, 3, 1), instance
    )
    assert isinstance(skip, dg.SkipReason)
    assert "tracked" in (skip.skip_message or "")


def test_the_schedule_covers_every_tracked_ticker(environment: pytest.MonkeyPatch) -> None:
    """Evaluated as the daemon does: one request over the whole list."""
    settings = load_settings(start_date=date(2024, 3, 8))
    schedule = build_definitions(settings).resolve_schedule_def("watchlist_after_close")
    when = datetime(2024, 3, 8, 16, 30, tzinfo=NEW_YORK)
    with open_instance(settings) as instance:
        instance.add_dynamic_partitions("watchlist_tickers", ["ZZZ", "AAA", "MMM"])
        with dg.build_schedule_context(instance, when) as context:
            result = schedule.evaluate_tick(context)
    [request] = result.run_requests or []
    assert request.tags["dagster/asset_partition_range_start"] == "2024-03-08|ZZZ"
    assert request.tags["dagster/asset_partition_range_end"] == "2024-03-08|MMM"


def test_the_weekly_refresh_asks_for_its_window(instance: dg.DagsterInstance) -> None:
    """All tickers, from so many days ago to the last session that is over; asked again."""
    saturday = datetime(2024, 3, 9, 10, tzinfo=UTC)
    settings = load_settings(refresh_days=30, start_date=date(2016, 1, 4))
    nobody = refresh_request(SCOPES["watchlist"], XNYS, saturday, settings, instance)
    assert isinstance(nobody, dg.SkipReason)
    instance.add_dynamic_partitions("watchlist_tickers", ["AAA", "BBB"])
    asked_for = refresh_request(SCOPES["watchlist"], XNYS, saturday, settings, instance)
    assert isinstance(asked_for, dg.RunRequest)
    assert asked_for.tags["dagster/asset_partition_range_start"] == "2024-02-07|AAA"
    assert asked_for.tags["dagster/asset_partition_range_end"] == "2024-03-08|BBB"
    assert asked_for.run_config == {
        "ops": {"watchlist__raw_quotes": {"config": {"ask_again": True}}}
    }
    never = load_settings(refresh_days=0)
    off = refresh_request(SCOPES["market"], XNYS, saturday, never, instance)
    assert isinstance(off, dg.SkipReason)
