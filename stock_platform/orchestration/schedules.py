"""Schedules: a run of a scope after each close of the exchange, and a refresh every week.

Belongs here: when a session may be asked for, and whether it has been. Does not: what a run
does (jobs.py).

Ticks come some minutes after every hour at which the exchange closes, that of half days
included. A tick looks at the calendar and requests a run for each session that is over and
has none yet: on holidays nothing, on a half day at its own close, and after a time when
nobody was running whatever was missed.
"""

from collections.abc import Iterator, Sequence
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
REFRESH_TAG = "stock_platform/refresh"
NOBODY = "no ticker is tracked: stock-platform backfill TICKER adds one"

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


def weekly_refresh(scope: Scope, settings: Settings) -> ScheduleDefinition:
    """The full refresh of a scope's last months. The market's is off by default, like its runs."""
    calendar = get_calendar(settings.calendar)

    @schedule(
        name=f"{scope.name}_refresh_weekly",
        job_name=job_name(scope.name),
        cron_schedule="0 5 * * 6",
        execution_timezone=calendar.zone,
        default_status=(
            DefaultScheduleStatus.RUNNING
            if scope.name == "watchlist"
            else DefaultScheduleStatus.STOPPED
        ),
        description=(
            "Asks again, stored or not, for the last STOCK_PLATFORM_REFRESH_DAYS days: vendors "
            "correct prices. What they say otherwise is stored, judged, and derived from again."
        ),
    )
    def evaluate(context: ScheduleEvaluationContext) -> RunRequest | SkipReason:
        moment = settings.market_time or context.scheduled_execution_time.astimezone(UTC)
        return refresh_request(scope, calendar, moment, settings, context.instance)

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


def refresh_request(
    scope: Scope,
    calendar: ExchangeCalendar,
    now: datetime,
    settings: Settings,
    instance: DagsterInstance,
) -> RunRequest | SkipReason:
    """A run that asks again for the sessions of the last ``refresh_days`` days; or why not."""
    if settings.refresh_days == 0:
        return SkipReason("STOCK_PLATFORM_REFRESH_DAYS is 0: nothing is asked for again")
    names = _names(scope, instance)
    if not names:
        return SkipReason(NOBODY)
    last = calendar.last_completed(now - DELAY)
    first = max(settings.start_date, last - timedelta(days=settings.refresh_days))
    sessions: list[date] = (
        calendar.sessions(first, last).astype(object).tolist() if first <= last else []
    )
    if not sessions:
        return SkipReason(f"no session is over since {first}")
    return RunRequest(
        run_key=f"{scope.name} refresh {last}",
        run_config={"ops": {f"{scope.name}__raw_quotes": {"config": {"ask_again": True}}}},
        tags={
            **scope.range_tags((sessions[0], names[0]), (sessions[-1], names[-1])),
            REFRESH_TAG: str(last),
        },
    )


def _names(scope: Scope, instance: DagsterInstance) -> Sequence[str]:
    """The tickers or shards of a scope, in the order of their partitions."""
    if scope.name == "watchlist":
        return instance.get_dynamic_partitions(WATCHLIST_TICKERS)
    return SHARD_KEYS


def requests(
    scope: Scope,
    calendar: ExchangeCalendar,
    now: datetime,
    start: date,
    instance: DagsterInstance,
) -> Iterator[RunRequest | SkipReason]:
    """A run request for every recent session that is over and has no run; else why not."""
    names = _names(scope, instance)
    if not names:
        yield SkipReason(NOBODY)
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
