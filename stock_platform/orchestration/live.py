"""Live prices as Dagster sees them: a sensor that asks for quotes while exchanges are open.

Belongs here: when a round of asking is. Does not: what it does (pipeline/live.py).

The sensor's tick asks itself: starting a run takes 5 to 10 seconds of a core and would come every
minute, while a round takes a second, and ends by itself after ``TICK_SECONDS``; what it had no
time for is due at the next tick. A tick when nobody is due is one query.
"""

from dagster import (
    DefaultSensorStatus,
    SensorDefinition,
    SensorEvaluationContext,
    SkipReason,
    sensor,
)

from stock_platform.orchestration.resources import PlatformResource
from stock_platform.pipeline.live import LiveReport, ask_due

EVERY_SECONDS = 30


def live_sensor() -> SensorDefinition:
    """Asks for the quotes that are due."""

    @sensor(
        name="live_quotes",
        minimum_interval_seconds=EVERY_SECONDS,
        default_status=DefaultSensorStatus.RUNNING,
        description=(
            "Asks for quotes of tracked assets in the hours of each one's own exchange, every "
            "STOCK_PLATFORM_LIVE_MINUTES or as `stock-platform live` says, many at a call, and "
            "stores what is newer by the exchange's stamp."
        ),
    )
    def live_quotes(context: SensorEvaluationContext, platform: PlatformResource) -> SkipReason:
        report = ask_due(platform.get())
        said = summary(report)
        if report.calls:
            context.log.info(said)
        return SkipReason(said)

    return live_quotes


def summary(report: LiveReport) -> str:
    """A round in words."""
    if not report.asked:
        late = f"; {report.postponed:,} are postponed" if report.postponed else ""
        why = "".join(f"; {n}: {said}" for n, said in sorted(report.failures.items()))
        return f"no quote is due{late}{why}" if not late else late[2:] + why
    calls = ", ".join(f"{n} {count:,}" for n, count in sorted(report.calls.items()))
    parts = [
        f"{report.asked:,} assets asked for in {report.seconds:.1f} s (calls: {calls})",
        f"{report.latest:,} newer quotes",
        f"{report.quarantined:,} put aside" if report.quarantined else "",
        f"no quote of {', '.join(report.silent[:10])}" if report.silent else "",
        f"{report.postponed:,} postponed" if report.postponed else "",
        *(f"{name}: {said}" for name, said in sorted(report.failures.items())),
    ]
    return "; ".join(filter(None, parts))
