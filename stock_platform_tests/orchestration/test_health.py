"""The checkup every half an hour: who was down is tried, and people are told."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta

import dagster as dg
import pytest

from stock_platform.domain.errors import RateLimited, SourceError, Unavailable
from stock_platform.orchestration.health import health_job
from stock_platform.orchestration.resources import platform_resource, using
from stock_platform.pipeline.checkup import check_sources
from stock_platform.pipeline.runtime import Platform
from stock_platform.settings import Settings
from stock_platform.storage import alerts
from stock_platform.storage.health import HealthBook
from stock_platform_tests.pipeline.worlds import ROW, FakeSource

BEGAN = datetime(2024, 3, 9, 12, tzinfo=UTC)


class Sick:
    """A platform of two sources, one of which is down, on a clock that is set by hand."""

    def __init__(self, settings: Settings) -> None:
        self.now = BEGAN
        self.error: SourceError | None = Unavailable("lame", "HTTP 503")
        days = [date(2024, 3, 7), date(2024, 3, 8)]
        self.lame = FakeSource("lame", {"AAPL": days}, ROW, behaviour=lambda _: self.error)
        self.sound = FakeSource("sound", {"AAPL": days}, ROW)
        self.platform = Platform(settings)
        sources = {"lame": self.lame, "sound": self.sound}
        self.platform.__dict__ |= {
            "sources": sources,
            "live_sources": sources,
            "health": HealthBook(self.platform.db, lambda: self.now),
        }
        for _ in range(5):
            self.platform.router.failed("lame", "row", Unavailable("lame", "HTTP 503"))

    def later(self, **span: float) -> dict[str, tuple[str, bool]]:
        """By source, the circuit after a checkup some time later, and whether it was tried."""
        self.now += timedelta(**span)
        return {c.source: (c.circuit, c.tried) for c in check_sources(self.platform)}


@pytest.fixture
def sick(settings: Settings) -> Iterator[Sick]:
    made = Sick(settings)
    with made.platform:
        yield made


def test_one_cheap_call_to_who_was_down(sick: Sick) -> None:
    """Nothing while its pause lasts, nor of a source that works; then one call, and while it
    fails longer pauses. Once it answers, the circuit closes and it is left alone."""
    assert sick.later(seconds=1) == {"lame": ("open", False), "sound": ("closed", False)}
    assert sick.later(minutes=30)["lame"] == ("open", True)
    assert len(sick.lame.asked) == 1
    assert sick.lame.asked[0].symbol == "AAPL"
    sick.error = RateLimited("lame", "HTTP 429", 60.0)
    assert sick.later(minutes=30)["lame"] == ("open", True)
    assert sick.platform.health.all()["lame"].last_error == "unavailable: HTTP 503"
    sick.error = None
    assert sick.later(minutes=30)["lame"] == ("closed", True)
    assert sick.later(minutes=30)["lame"] == ("closed", False)
    assert len(sick.lame.asked) == 3
    assert not sick.sound.asked


def test_the_job_tells_what_it_found(sick: Sick, instance: dg.DagsterInstance) -> None:
    """Its run has a table of sources; what is wrong is an alert, and over once it answers."""
    sick.now += timedelta(minutes=30)

    def run() -> dict[str, dg.MetadataValue]:
        with using(sick.platform):
            result = health_job().execute_in_process(
                {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
                instance=instance,
                resources={"platform": platform_resource()},
            )
        (event,) = result.get_step_success_events()
        (output,) = [e for e in result.all_events if e.event_type_value == "STEP_OUTPUT"]
        assert event.step_key == "check_health"
        return dict(output.step_output_data.metadata)

    found = run()
    assert found["down"].value == "lame"
    assert found["tried"].value == 1
    assert [a.subject for a in alerts.open_alerts(sick.platform.db)] == ["lame"]
    sick.error = None
    sick.now += timedelta(minutes=30)
    assert run()["down"].value == "none"
    assert not alerts.open_alerts(sick.platform.db)
