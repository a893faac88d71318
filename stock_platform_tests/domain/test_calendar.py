"""Calendars: sessions, half days, closures and the last completed session."""

from __future__ import annotations

import csv
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from stock_platform.domain.calendar import EARLIEST, LATEST, get_calendar
from stock_platform.domain.errors import InputError
from stock_platform.domain.symbols import FOREIGN

NYSE = get_calendar("XNYS")


def test_every_session_since_1990_opens_and_closes_as_recorded(shared_fixtures: Path) -> None:
    """8,324 sessions of the exchange, to the minute."""
    with (shared_fixtures / "prices" / "calendars" / "xnys_sessions.csv").open() as file:
        rows = [list(row.values())[:3] for row in csv.DictReader(file)]
    for day, opens, closes in rows:
        session = date.fromisoformat(str(day)[:10])
        expected = tuple(datetime.fromisoformat(str(x)) for x in (opens, closes))
        assert NYSE.open_close(session) == expected, day
    first, last = (date.fromisoformat(str(rows[i][0])[:10]) for i in (0, -1))
    assert len(NYSE.sessions(first, last)) == len(rows)


@pytest.mark.parametrize(
    "closed",
    ["2001-09-11", "2012-10-29", "2012-10-30", "2018-12-05", "2025-01-09", "2024-07-04"],
)
def test_closures_that_no_rule_foretells(closed: str) -> None:
    """Attacks, storms and days of mourning."""
    assert not NYSE.is_session(date.fromisoformat(closed))


def test_half_days() -> None:
    """The day after Thanksgiving ends at one o'clock."""
    assert NYSE.is_half_day(date(2024, 11, 29))
    assert not NYSE.is_half_day(date(2024, 11, 27))
    assert NYSE.open_close(date(2024, 11, 29))[1] == datetime(2024, 11, 29, 18, tzinfo=UTC)


def test_daylight_saving_moves_the_open_in_utc() -> None:
    """14:30 on the Friday, 13:30 on the Monday after the clocks change."""
    assert NYSE.open_close(date(2024, 3, 8))[0].hour == 14
    assert NYSE.open_close(date(2024, 3, 11))[0].hour == 13


def test_a_session_is_completed_at_its_close_and_not_before() -> None:
    """One second decides, on a half day too."""
    close = NYSE.open_close(date(2024, 11, 29))[1]
    assert NYSE.last_completed(close) == date(2024, 11, 29)
    assert NYSE.last_completed(close - timedelta(seconds=1)) == date(2024, 11, 27)


def test_open_or_not() -> None:
    """Open from the open on; closed from the close on, and on holidays."""
    opens, closes = NYSE.open_close(date(2024, 3, 8))
    assert NYSE.session_of(opens) == date(2024, 3, 8)
    assert not NYSE.is_open(closes)
    assert not NYSE.is_open(datetime(2024, 7, 4, 15, tzinfo=UTC))


def test_neighbours_and_holidays() -> None:
    """Weekends and holidays are stepped over."""
    assert NYSE.next_session(date(2024, 3, 28)) == date(2024, 4, 1)
    assert NYSE.previous_session(date(2024, 4, 1)) == date(2024, 3, 28)
    assert NYSE.holidays(date(2024, 7, 1), date(2024, 7, 7)) == [date(2024, 7, 4)]
    assert get_calendar("XLON").is_session(date(2024, 7, 4))


@pytest.mark.parametrize("name", ["XNYS", "24/7", "24/5"])
def test_days_outside_the_usual_span_are_known_too(name: str) -> None:
    """History before 1985 and days after 2035 cost a longer computation, not an error."""
    calendar = get_calendar(name)
    for first, last in (
        (date(1962, 1, 2), date(1990, 12, 31)),
        (date(2030, 1, 1), date(2050, 1, 3)),
    ):
        days = calendar.sessions(first, last).astype(object)
        assert days[0] >= first
        assert calendar.previous_session(days[1]) == days[0]
        assert calendar.next_session(days[-2]) == days[-1]
        opens, closes = calendar.open_close(days[5])
        assert calendar.last_completed(closes) == days[5]
        assert calendar.session_of(opens) == days[5]


def test_both_spans_say_the_same() -> None:
    """Where they overlap: asked for across the edge, and on either side of it."""
    first, edge, last = date(1980, 1, 1), date(1987, 6, 30), date(1990, 1, 2)
    across = NYSE.sessions(first, last)
    inside = NYSE.sessions(edge, last)
    assert across[across >= inside[0]].tolist() == inside.tolist()


def test_old_closures() -> None:
    """Independence Day of 1962; the funeral of Kennedy; the blackout of 1977; hurricane Gloria."""
    for day in ((1962, 7, 4), (1963, 11, 25), (1977, 7, 14), (1985, 9, 27)):
        assert not NYSE.is_session(date(*day)), day


def test_every_calendar_a_symbol_can_name_is_there() -> None:
    """None is refused; and those of three other continents have a year of sessions."""
    for name in {*FOREIGN.values(), "CMES"}:
        assert get_calendar(name).name == name
    for name in ("XTKS", "XETR", "CMES"):
        table = get_calendar(name).table(date(2024, 1, 1), date(2024, 12, 31))
        assert 240 <= table.height <= 260, name
        assert (table["opens"] < table["closes"]).all(), name


def test_round_the_clock() -> None:
    """Coins trade every day, currencies on weekdays; both by UTC days."""
    coins, currencies = get_calendar("24/7"), get_calendar("24/5")
    assert coins.is_session(date(2024, 3, 9))
    assert not currencies.is_session(date(2024, 3, 9))
    assert coins.last_completed(datetime(2024, 3, 10, tzinfo=UTC)) == date(2024, 3, 9)


def test_errors_name_the_parameter_the_value_and_the_bounds() -> None:
    """Bad input gets a clear error."""
    with pytest.raises(InputError, match="calendar: 'XXXX'"):
        get_calendar("XXXX")
    with pytest.raises(InputError, match="the next one is 2024-07-05"):
        NYSE.open_close(date(2024, 7, 4))
    with pytest.raises(InputError, match=f"start: '1899-12-31'.*from {EARLIEST} to {LATEST}"):
        NYSE.sessions(date(1899, 12, 31), date(2024, 1, 1))
    with pytest.raises(InputError, match="time zone"):
        NYSE.is_open(datetime(2024, 3, 8, 15))  # noqa: DTZ001 - the claim
