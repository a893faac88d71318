"""Alerts: what is wrong now, who is told of it, and when it is over.

Belongs here: what counts as wrong, and telling once. Does not: ways to tell (notifying.py), rows
(storage/alerts.py), Dagster's runs (orchestration/alerting.py).

A trouble is a kind and a subject (``source_down yahoo``). While it lasts there is one alert of
it, told once and again every STOCK_PLATFORM_ALERT_REPEAT_HOURS; when it is over that is told
too. All that is due goes out in one message. What could not be sent stays due.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from stock_platform.domain.calendar import get_calendar
from stock_platform.domain.health import Circuit
from stock_platform.pipeline import notifying
from stock_platform.pipeline.runtime import Platform
from stock_platform.storage import alerts, gauges
from stock_platform.storage.alerts import Alert

RUN_FAILED = "run_failed"
FOUND_HERE = ("source_down", "stale_data", "queue_stuck", "repeated_failures")
"""The kinds that ``troubles`` finds, and that are over when it finds them no longer."""

DOWN_FOR = timedelta(minutes=15)
LATE_AFTER = timedelta(hours=6)
"""After the close, by when a tracked asset should have its validated price."""

DUE_FOR = timedelta(minutes=30)
WORKED_ON_FOR = timedelta(hours=3)
EVENTS_WAIT = timedelta(minutes=15)
LOOK_BACK = timedelta(hours=1)
FEWEST_CALLS = 10
FAILING_SHARE = 0.5
_NAMED = 8
_LONGEST = 300


@dataclass(frozen=True)
class Trouble:
    """Something that is wrong: a kind, what it is about, and a sentence."""

    kind: str
    subject: str
    message: str


@dataclass(frozen=True)
class Told:
    """What became of a look: alerts that are open, and how many people were told of."""

    open: int
    told: int
    ways: list[str]


def look(platform: Platform, *, over: Collection[int] = ()) -> Told:
    """Find what is wrong, tell what is new, repeated or over.

    Args:
        platform: whose database, clock and settings.
        over: ids of alerts that others found to be over (failed runs).

    Raises:
        NotToldError: there was something to tell, and no way took it.
    """
    db, now = platform.db, datetime.now(UTC)
    found = list(troubles(platform, now))
    for trouble in found:
        alerts.seen(db, trouble.kind, trouble.subject, trouble.message, now)
    present = {(t.kind, t.subject) for t in found}
    gone = [
        a.alert_id
        for a in alerts.open_alerts(db)
        if a.alert_id in over or (a.kind in FOUND_HERE and (a.kind, a.subject) not in present)
    ]
    alerts.resolve(db, gone, now)
    alerts.prune(db, now)
    told, ways = send_due(platform, now)
    return Told(len(alerts.open_alerts(db)), told, ways)


def report(platform: Platform, trouble: Trouble) -> None:
    """Keep a trouble that somebody else found, and tell of it if it is new."""
    now = datetime.now(UTC)
    alerts.seen(platform.db, trouble.kind, trouble.subject, trouble.message, now)
    send_due(platform, now)


def send_due(platform: Platform, now: datetime) -> tuple[int, list[str]]:
    """Tell what is due, in one message; how many alerts, and by which ways.

    Raises:
        NotToldError: no way took it.
    """
    if not notifying.ways(platform.settings):
        return 0, []
    repeat = timedelta(hours=platform.settings.alert_repeat_hours)
    with alerts.turn(platform.db) as ours:
        due = alerts.untold(platform.db, repeat, now) if ours else []
        if not due:
            return 0, []
        took = notifying.tell(platform.settings, *_words(due, now))
        alerts.told(platform.db, due, now)
        return len(due), took


def troubles(platform: Platform, now: datetime) -> Iterator[Trouble]:
    """What is wrong with sources, data and queue."""
    yield from _sources_down(platform)
    yield from _stale(platform, now)
    yield from _stuck(platform, now)
    yield from _failing(platform, now)


def _sources_down(platform: Platform) -> Iterator[Trouble]:
    book = platform.health
    now = book.now()
    for name, health in book.all().items():
        if name not in platform.capabilities or health.circuit(now) is Circuit.CLOSED:
            continue
        since = health.last_success_at
        if since is None or now - since >= DOWN_FOR:
            last = f"since {since:%Y-%m-%d %H:%M} UTC" if since else "as long as we know it"
            yield Trouble(
                "source_down", name, f"{name} has not answered {last}: {health.last_error or '?'}"
            )


def _stale(platform: Platform, now: datetime) -> Iterator[Trouble]:
    """Assets tracked for some hours that lack the session that should be there by now."""
    tracked = platform.watchlist_assets()
    if tracked.is_empty():
        return
    last = gauges.last_sessions(platform.db, now - LATE_AFTER)
    for (calendar,), group in tracked.group_by("calendar", maintain_order=True):
        expected = get_calendar(str(calendar)).last_completed(platform.clock.now() - LATE_AFTER)
        late = [
            (str(ticker), last[asset])
            for asset, ticker, gone in group.select("asset_id", "ticker", "delisted_on").iter_rows()
            if gone is None and asset in last and (last[asset] or expected.min) < expected
        ]
        if late:
            named = ", ".join(
                f"{ticker} ({session or 'no price'})" for ticker, session in late[:_NAMED]
            )
            more = f" and {len(late) - _NAMED:,} more" if len(late) > _NAMED else ""
            yield Trouble(
                "stale_data",
                str(calendar),
                f"{len(late):,} of {group.height:,} tracked assets of {calendar} have no price "
                f"of {expected}: {named}{more}",
            )


def _stuck(platform: Platform, now: datetime) -> Iterator[Trouble]:
    state = gauges.queue(platform.db)
    for subject, since, most, words in (
        ("due", state.oldest_due, DUE_FOR, "a history to fill is due and nobody takes it"),
        ("in_progress", state.oldest_taken, WORKED_ON_FOR, "a history is being filled"),
        ("events", state.oldest_event, EVENTS_WAIT, "a portfolio's event is not acted on"),
    ):
        if since is not None and now - since >= most:
            text = f"{words} since {since:%Y-%m-%d %H:%M} UTC; is the daemon running?"
            yield Trouble("queue_stuck", subject, text)


def _failing(platform: Platform, now: datetime) -> Iterator[Trouble]:
    for source, (calls, bad, error) in gauges.failing(platform.db, now - LOOK_BACK).items():
        if calls >= FEWEST_CALLS and bad >= FAILING_SHARE * calls:
            text = f"{bad:,} of {calls:,} calls of the last hour failed: {error or '?'}"
            yield Trouble("repeated_failures", source, f"{source}: {text}")
    failed = gauges.queue(platform.db).states["failed"]
    if failed:
        text = f"{failed:,} histories could not be filled in five attempts (/health/queue has why)"
        yield Trouble("repeated_failures", "backfill_queue", text)


def _words(due: Sequence[Alert], now: datetime) -> tuple[str, list[str]]:
    """Subject and lines of a message."""
    over = [a for a in due if a.resolved_at is not None]
    wrong = [a for a in due if a.resolved_at is None]
    lines = [f"{_title(a)}: {_short(a.message)}{_again(a)}" for a in wrong]
    lines += [f"over: {_title(a)}, after {_span(now - a.opened_at)}" for a in over]
    if not wrong:
        return f"stock_platform: over: {_title(over[0])}" + _more(over), lines
    return f"stock_platform: {_title(wrong[0])}" + _more(due), lines


def _title(alert: Alert) -> str:
    return f"{alert.kind.replace('_', ' ')} ({alert.subject})"


def _again(alert: Alert) -> str:
    return f" (since {alert.opened_at:%Y-%m-%d %H:%M} UTC)" if alert.times_told else ""


def _more(due: Sequence[Alert]) -> str:
    return f" and {len(due) - 1} more" if len(due) > 1 else ""


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _LONGEST else f"{line[:_LONGEST]}..."


def _span(length: timedelta) -> str:
    minutes = round(length.total_seconds() / 60)
    return f"{minutes} min" if minutes < 120 else f"{minutes / 60:.0f} h"


__all__ = ["RUN_FAILED", "Told", "Trouble", "look", "report", "send_due", "troubles"]
