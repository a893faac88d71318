"""Who is due for a quote and when, and what of an answer is believed."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stock_platform.domain.calendar import get_calendar
from stock_platform.domain.capabilities import Capabilities, Limit, LiveQuotes, QuotaState
from stock_platform.domain.live import (
    FAR,
    FUTURE,
    NO_STAMP,
    NOT_POSITIVE,
    OLDER,
    QUOTED,
    WATCHED,
    allowance,
    due,
    judge,
    route,
    slot,
)
from stock_platform.domain.symbols import AssetClass

NOW = datetime(2024, 11, 4, 15, tzinfo=UTC)


def local(zone: str, *spans: tuple[str, str]) -> Callable[[datetime], bool]:
    """Whether an instant lies in hours of the place's weekdays."""
    place = ZoneInfo(zone)

    def trades(now: datetime) -> bool:
        here = now.astimezone(place)
        inside = any(time.fromisoformat(a) <= here.time() < time.fromisoformat(b) for a, b in spans)
        return here.weekday() < 5 and inside

    return trades


def currencies(now: datetime) -> bool:
    """Sunday 17:00 to Friday 17:00 in New York."""
    here = now.astimezone(ZoneInfo("America/New_York"))
    day, late = here.weekday(), here.time() >= time(17)
    return day < 4 or (day == 4 and not late) or (day == 6 and late)


def futures(now: datetime) -> bool:
    """Those of the currencies, but for an hour from 17:00 on each day."""
    return currencies(now) and now.astimezone(ZoneInfo("America/New_York")).hour != 17


def holiday(
    usual: Callable[[datetime], bool], zone: str, closed: str, half: str = "", until: str = ""
) -> Callable[[datetime], bool]:
    def trades(now: datetime) -> bool:
        here = now.astimezone(ZoneInfo(zone))
        if str(here.date()) in closed.split():
            return False
        if str(here.date()) in half.split() and here.time() >= time.fromisoformat(until):
            return False
        return usual(now)

    return trades


NEW_YORK = local("America/New_York", ("09:30", "16:00"))
LONDON = local("Europe/London", ("08:00", "16:30"))
TOKYO_OLD = local("Asia/Tokyo", ("09:00", "11:30"), ("12:30", "15:00"))
TOKYO = local("Asia/Tokyo", ("09:00", "11:30"), ("12:30", "15:30"))  # since 2024-11-05

WEEKS = {
    "the clocks of New York change, Tokyo has a holiday": (
        date(2024, 10, 31),
        {
            "XNYS": NEW_YORK,
            "XLON": LONDON,
            "XTKS": lambda now: holiday(
                TOKYO if now >= datetime(2024, 11, 4, 20, tzinfo=UTC) else TOKYO_OLD,
                "Asia/Tokyo",
                "2024-11-04",
            )(now),
        },
    ),
    "the clocks of London change": (
        date(2024, 10, 25),
        {"XNYS": NEW_YORK, "XLON": LONDON, "XTKS": TOKYO_OLD},
    ),
    "Thanksgiving and the half day after it": (
        date(2024, 11, 25),
        {
            "XNYS": holiday(NEW_YORK, "America/New_York", "2024-11-28", "2024-11-29", "13:00"),
            "XLON": LONDON,
            "XTKS": TOKYO,
        },
    ),
    "Christmas": (
        date(2024, 12, 22),
        {
            "XNYS": holiday(NEW_YORK, "America/New_York", "2024-12-25", "2024-12-24", "13:00"),
            "XLON": holiday(
                LONDON, "Europe/London", "2024-12-25 2024-12-26", "2024-12-24", "12:30"
            ),
            "XTKS": TOKYO,
        },
    ),
    "the clocks of New York change in spring, Tokyo rests": (
        date(2025, 3, 7),
        {"XNYS": NEW_YORK, "XLON": LONDON, "XTKS": TOKYO},
    ),
}


def watched(*rows: tuple[str, int, datetime | None]) -> pl.DataFrame:
    """WATCHED of calendars, minutes and when they were asked for."""
    return pl.DataFrame(
        [(n, f"T{n}", "stock", c, every, at) for n, (c, every, at) in enumerate(rows)],
        schema=WATCHED,
        orient="row",
    )


@pytest.mark.parametrize("week", WEEKS)
def test_a_week_is_asked_in_each_exchanges_hours(week: str) -> None:
    """Tick by tick, against hours written down here by the local clocks."""
    first, hours = WEEKS[week]
    hours = {**hours, "24/7": lambda _: True, "24/5": currencies}
    if week.startswith("the clocks"):  # no holiday of Chicago
        hours["CMES"] = futures
    names = list(hours)
    asked: list[datetime | None] = [None] * len(names)
    now = datetime.combine(first, time(23, 59, 59), UTC)  # ticks a second before, and on the slot
    for tick in range(7 * 24 * 8):
        rows = watched(*((name, 15, at) for name, at in zip(names, asked, strict=True)))
        found = {names[n] for n in due(rows, now)["asset_id"]}
        fresh = {  # nobody is asked twice in a quarter of an hour
            name for name, at in zip(names, asked, strict=True) if at is None or slot(now, 15) > at
        }
        assert found == {name for name in fresh if hours[name](now)}, now
        asked = [now if name in found else at for name, at in zip(names, asked, strict=True)]
        now += timedelta(minutes=14, seconds=59) if tick % 2 else timedelta(seconds=1)


def test_currencies_trade_from_sunday_to_friday_evening_in_new_york() -> None:
    """Summer and winter; Sunday's evening is Monday's session, Friday's late is Friday's."""
    fx = get_calendar("24/5")
    for day, opens in ((date(2024, 11, 3), 22), (date(2024, 7, 7), 21)):
        sunday = datetime.combine(day, time(opens), UTC)
        assert not fx.is_open(sunday - timedelta(seconds=1))
        assert fx.is_open(sunday)
        assert fx.trading_session(sunday) == day + timedelta(days=1)
        assert fx.trading_session(sunday - timedelta(hours=1)) == day - timedelta(days=2)
        friday = datetime.combine(day + timedelta(days=5), time(opens), UTC)
        assert fx.is_open(friday - timedelta(seconds=1))
        assert not fx.is_open(friday)
    assert fx.is_session(date(2024, 11, 1))  # daily bars stay those of UTC's weekdays
    assert fx.open_close(date(2024, 11, 1))[1] == datetime(2024, 11, 2, tzinfo=UTC)


@pytest.mark.parametrize(
    ("calendar", "session", "opens", "closes"),
    [
        ("24/5", "2024-11-04", "2024-11-03T22:00", "2024-11-05T00:00"),
        ("24/5", "2024-11-05", "2024-11-05T00:00", "2024-11-06T00:00"),
        ("24/5", "2024-11-01", "2024-11-01T00:00", "2024-11-01T21:00"),
        ("CMES", "2024-11-01", "2024-10-31T22:00", "2024-11-01T21:00"),
        ("XNYS", "2024-11-29", "2024-11-29T14:30", "2024-11-29T18:00"),
        ("XTKS", "2024-11-05", "2024-11-05T00:00", "2024-11-05T06:30"),
        ("24/7", "2024-11-02", "2024-11-02T00:00", "2024-11-03T00:00"),
    ],
)
def test_hours_of_a_session(calendar: str, session: str, opens: str, closes: str) -> None:
    """From when to when one can trade: it is open at once, and at the end no longer."""
    exchange = get_calendar(calendar)
    begins, ends = (datetime.fromisoformat(text).replace(tzinfo=UTC) for text in (opens, closes))
    assert exchange.trading_hours(date.fromisoformat(session)) == (begins, ends)
    assert exchange.is_open(begins)
    assert exchange.is_open(ends - timedelta(seconds=1))
    assert exchange.trading_session(begins) == date.fromisoformat(session)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.integers(20, 400), min_size=1, max_size=60),
    st.integers(1, 90),
    st.sampled_from(["XNYS", "XTKS", "24/7", "24/5", "CMES"]),
)
def test_no_slot_is_asked_twice(gaps: list[int], every: int, calendar: str) -> None:
    """However ticks fall: once a slot at most, only while it trades, and never missed by a tick."""
    now, asked = datetime(2024, 11, 4, 0, 0, tzinfo=UTC), None
    for gap in gaps:
        now += timedelta(seconds=gap * 7)
        found = due(watched((calendar, every, asked)), now)
        trades = get_calendar(calendar).is_open(now)
        in_slot = asked is not None and asked >= slot(now, every)
        if not in_slot:
            assert bool(found.height) == trades
        elif found.height:  # it reopened in the middle of a slot
            reopened = get_calendar(calendar).trading_since(now)
            assert asked is not None
            assert reopened is not None
            assert reopened > asked
        asked = now if found.height else asked


def test_those_who_ask_for_minutes_get_them_and_those_who_want_none_get_none() -> None:
    """Every minute for one, every quarter of an hour for another, never for a third."""
    rows = watched(*((("24/7", every, NOW - timedelta(seconds=50))) for every in (1, 15, 0)))
    assert due(rows, NOW - timedelta(seconds=10)).is_empty()
    assert due(rows, NOW)["asset_id"].to_list() == [0, 1]
    later = watched(*((("24/7", every, NOW)) for every in (1, 15, 0)))
    assert due(later, NOW + timedelta(minutes=1))["asset_id"].to_list() == [0]


@given(
    st.lists(
        st.tuples(
            st.integers(1, 5000),
            st.sampled_from([1.0, 5.0, 60.0, 3600.0, 86_400.0, 2.7e6]),
            st.integers(0, 5000),
        ),
        min_size=1,
        max_size=3,
    ),
    st.sampled_from([0.0, 30.0]),
)
def test_quotes_leave_quota_for_histories(
    windows: list[tuple[int, float, int]], blocked: float
) -> None:
    """Of a day half at the most; of an hour half of what is left, or one call; blocked: none."""
    limits = [Limit(calls, seconds) for calls, seconds, _ in windows]
    state = QuotaState(tuple(min(spent, calls) for calls, _, spent in windows), blocked)
    most = allowance(limits, state)
    assert most >= 0
    if blocked:
        assert most == 0
    for limit, spent in zip(limits, state.spent, strict=True):
        if limit.seconds > 3600:
            assert spent + most <= max(limit.calls // 2, spent)
        elif limit.seconds >= 60:
            assert most <= max(1, (limit.calls - spent) // 2)


def source(name: str, at_once: int = 1, preference: int = 50, **more: object) -> Capabilities:
    live = LiveQuotes(
        (AssetClass.STOCK,),
        at_once=at_once,
        abroad=bool(more.get("abroad")),
        one_venue=bool(more.get("one_venue")),
    )
    return Capabilities(name, preference=preference, live=live)


def wanted(*calendars: str) -> pl.DataFrame:
    return watched(*((c, 15, None) for c in calendars))


def test_many_symbols_at_a_call_before_one() -> None:
    """Then by preference; what a source has no quota for goes to the next; nothing is left over."""
    many, one, last = source("many", 3, 90), source("one", 1, 10), source("last", 1, 20)
    calls = route(wanted(*["XNYS"] * 8), [one, last, many], {"many": 2, "one": 1, "last": 9})
    assert [(c.source, c.asset_ids) for c in calls] == [
        ("many", (0, 1, 2)), ("many", (3, 4, 5)), ("one", (6,)), ("last", (7,)),
    ]  # fmt: skip


def test_all_venues_before_one() -> None:
    """A source that sees one exchange alone is asked after those that see all, however many a call;
    yet before those that are asked one by one."""
    part, whole, single = source("part", 9, 10, one_venue=True), source("whole", 2), source("one")
    left = {"part": 5, "whole": 1, "one": 9}
    calls = route(wanted(*["XNYS"] * 4), [single, part, whole], left)
    assert [(c.source, c.asset_ids) for c in calls] == [("whole", (0, 1)), ("part", (2, 3))]


def test_listings_abroad_go_to_those_who_have_them() -> None:
    """And an asset that a source does not know is not asked for there."""
    us, all_over = source("us", 9), source("all_over", 2, abroad=True)
    calls = route(
        wanted("XNYS", "XLON", "XNYS"), [us, all_over], {"us": 5, "all_over": 5}, {("us", 2)}
    )
    assert [(c.source, c.asset_ids) for c in calls] == [("us", (0,)), ("all_over", (1, 2))]
    assert not route(wanted("XLON"), [us], {"us": 5})


def test_what_is_not_believed() -> None:
    """Each rule by its name; equal stamps are no fault."""
    quote = {
        "source": "s", "quoted_at": NOW, "session": NOW.date(), "price": 100.0, "fetched_at": NOW,
    }  # fmt: skip
    cases: list[tuple[dict[str, object], list[str]]] = [
        ({}, []),
        ({"quoted_at": NOW - timedelta(minutes=30)}, [OLDER]),
        ({"quoted_at": NOW - timedelta(minutes=15)}, []),
        ({"quoted_at": NOW + timedelta(minutes=3)}, [FUTURE]),
        ({"quoted_at": NOW + timedelta(minutes=1)}, []),
        ({"price": 0.0}, [NOT_POSITIVE]),
        ({"price": -1.0}, [NOT_POSITIVE]),
        ({"price": float("nan")}, [NOT_POSITIVE]),
        ({"price": 151.0}, [FAR]),
        ({"price": 49.0}, [FAR]),
        ({"price": 149.0}, []),
        ({"quoted_at": None}, [NO_STAMP]),
    ]
    rows = [
        {**dict.fromkeys(QUOTED), **quote, **change, "asset_id": n}
        for n, (change, _) in enumerate(cases)
    ]
    ids = list(range(len(cases)))
    latest = pl.DataFrame(
        {"asset_id": ids, "quoted_at": [NOW - timedelta(minutes=15)] * len(ids)},
        schema_overrides={"asset_id": pl.Int32},
    )
    closes = pl.DataFrame(
        {"asset_id": ids, "session": [date(2024, 11, 1)] * len(ids), "close": [100.0] * len(ids)},
        schema_overrides={"asset_id": pl.Int32},
    )
    found = judge(pl.DataFrame(rows, schema=QUOTED), latest, closes, NOW)["reasons"].to_list()
    assert found == [reasons for _, reasons in cases]
    old = closes.with_columns(pl.lit(date(2024, 9, 1)).alias("session"))
    assert judge(pl.DataFrame(rows[8:9], schema=QUOTED), latest, old, NOW)["reasons"].to_list() == [
        []
    ]
