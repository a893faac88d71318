"""Schedules: a run of a scope after each close of the exchange.

Belongs here: when a session may be asked for, and whether it has been. Does not: what a run
does (jobs.py).

Ticks come some minutes after every hour at which the exchange closes, that of half days
included. A tick looks at the calendar and requests a run for each session that is over and
has none yet: on holidays nothing, on a half day at its own close, and after a time when
nobody was running whatever was missed.
"""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

from dagster import (
    DagsterInstance,
    DagsterRunStatus,
    DefaultScheduleStatus,
    RunRequest,
    RunsFilter,
    ScheduleDefinition,
    ScheduleEvaluationContext,
    SkipReason,
    schedule,
)

from stock_platform.domain.calendar import ExchangeCalendar, get_calendar
from stock_platform.orchestration.jobs import job_name
from stock_platform.orchestration.partitions import SHARD_KEYS, WATCHLIST_TICKERS, Scope
from stock_platform.settings import Settings

DELAY = timedelta(minutes=30)
"""After the close: vendors need some minutes to publish a day."""

CATCH_UP = timedelta(days=7)
"""How far back a tick looks for sessions without a run."""

LOOK_BACK = timedelta(days=7)
"""How many days before its session a run covers as well. What is stored there costs no call;
what another run's answer brought since, or waited, or came corrected, is judged again."""

HOURS_FROM = timedelta(days=730)
"""Closing hours are those of the last two years, and of the next."""

SESSION_TAG = "stock_platform/session"

GONE = (DagsterRunStatus.FAILURE, DagsterRunStatus.CANCELED)
"""A session whose run ended so is requested again; what was stored is not asked for again."""


def after_close(scope: Scope, settings: Settings) -> ScheduleDefinition:
    """The schedule of a scope. The watchlist's is on by default, the market's needs a key."""
    calendar = get_calendar(settings.calendar)
    now = settings.clock.now()
    watchlist = scope.name == "watchlist"

    @schedule(
        name=f"{scope.name}_after_close",
        job_name=job_name(scope.name),
        cron_schedule=closing_crons(calendar, now.date()),
        execution_timezone=calendar.zone,
        default_status=(
            DefaultScheduleStatus.RUNNING if watchlist else DefaultScheduleStatus.STOPPED
        ),
        description=(
            f"Asks for each session of {calendar.name} once it is over, half days and holidays "
            f"as the calendar has them, {DELAY.seconds // 60} minutes after the close. Looks a "
            "week back: what is stored costs no call, what came meanwhile is judged."
        ),
    )
    def evaluate(context: ScheduleEvaluationContext) -> Iterator[RunRequest | SkipReason]:
        moment = settings.market_time or context.scheduled_execution_time.astimezone(UTC)
        yield from requests(scope, calendar, moment, settings.start_date, context.instance)

    return evaluate


def weekly_catalog() -> ScheduleDefinition:
    """The refresh of the catalog, on Saturdays: the week's listings, delistings and renames."""
    return ScheduleDefinition(
        name="catalog_weekly",
        job_name="catalog_job",
        cron_schedule="0 9 * * 6",
        execution_timezone="America/New_York",
        default_status=DefaultScheduleStatus.RUNNING,
        description="Asks the directories who is listed: new symbols flow into the shards.",
    )


def requests(
    scope: Scope,
    calendar: ExchangeCalendar,
    now: datetime,
    start: date,
    instance: DagsterInstance,
) -> Iterator[RunRequest | SkipReason]:
    """A run request for every recent session that is over and has no run; else why not."""
    names = SHARD_KEYS
    if scope.name == "watchlist":
        names = tuple(instance.get_dynamic_partitions(WATCHLIST_TICKERS))
    if not names:
        yield SkipReason("no ticker is tracked: stock-platform backfill TICKER adds one")
        return
    last = calendar.last_completed(now - DELAY)
    first = max(start, last - CATCH_UP)
    sessions: list[date] = (
        calendar.sessions(first, last).astype(object).tolist() if first <= last else []
    )
    wanted = [session for session in sessions if not has_run(instance, scope, session)]
    for session in wanted:
        yield RunRequest(
            run_key=f"{scope.name} {session}",
            tags={
                **scope.range_tags(
                    (since(calendar, session, start), names[0]), (session, names[-1])
                ),
                SESSION_TAG: f"{scope.name} {session}",
            },
        )
    if not wanted:
        today = calendar.session_of(now)
        open_now = f"; {calendar.name} is open, its session is asked for later" if today else ""
        yield SkipReason(f"{last}, the last completed session, has its run{open_now}")


def since(calendar: ExchangeCalendar, session: date, start: date) -> date:
    """The first session of a run for ``session``: a week back, within the partitions."""
    first: date = calendar.sessions(max(start, session - LOOK_BACK), session)[0].astype(object)
    return first


def has_run(instance: DagsterInstance, scope: Scope, session: date) -> bool:
    """Whether this session's run was made, and did not fail."""
    found = instance.get_runs(RunsFilter(tags={SESSION_TAG: f"{scope.name} {session}"}), limit=1)
    return bool(found) and found[0].status not in GONE


def closing_crons(calendar: ExchangeCalendar, today: date) -> list[str]:
    """A cron expression, in the exchange's zone, for each time of day at which it closes."""
    table = calendar.table(today - HOURS_FROM, today + timedelta(days=365))
    zone = ZoneInfo(calendar.zone)
    times: dict[tuple[int, int], set[int]] = {}
    for closes in table["closes"].to_list():
        tick = (closes + DELAY).astimezone(zone)
        times.setdefault((tick.hour, tick.minute), set()).add(tick.isoweekday() % 7)
    return [
        f"{minute} {hour} * * {','.join(map(str, sorted(days)))}"
        for (hour, minute), days in sorted(times.items())
    ]
