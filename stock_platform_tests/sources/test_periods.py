"""When a vendor's current trading period is over, by its own clock and by ours."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from stock_platform.sources.periods import PRESENT, SETTLES_WITHIN, period_over

NEW_YORK, LONDON = ZoneInfo("America/New_York"), ZoneInfo("Europe/London")
FRIDAY = date(2026, 11, 20)
BLACK_FRIDAY = date(2026, 11, 27)


def local(
    day: date, hour: int, minute: int = 0, second: int = 0, zone: ZoneInfo = NEW_YORK
) -> datetime:
    return datetime(day.year, day.month, day.day, hour, minute, second, tzinfo=zone).astimezone(UTC)


SATURDAY = local(FRIDAY + timedelta(days=1), 12)
CLOSE = local(FRIDAY, 16)


@pytest.mark.parametrize(
    ("session", "calendar", "closes", "last_trade"),
    [
        (FRIDAY, "XNYS", CLOSE, CLOSE),
        (FRIDAY, "XNYS", CLOSE, None),
        # half a day that the vendor takes for a whole one
        (BLACK_FRIDAY, "XNYS", local(BLACK_FRIDAY, 16), local(BLACK_FRIDAY, 13)),
    ],
)
def test_a_period_that_is_over(
    session: date, calendar: str, closes: datetime, last_trade: datetime | None
) -> None:
    """The last trade was at the market's close, whatever end the vendor names; so a year later."""
    for later in (timedelta(days=1), timedelta(days=365)):
        assert period_over(session, calendar, closes, last_trade, closes + later)
    assert not period_over(session, calendar, closes, last_trade, closes - timedelta(minutes=1))


def test_a_share_that_seldom_trades() -> None:
    """Its last trade is long before the close: it is over once the close has settled."""
    last_trade = local(FRIDAY, 15, 41)
    assert not period_over(FRIDAY, "XNYS", CLOSE, last_trade, CLOSE + timedelta(hours=1))
    assert period_over(FRIDAY, "XNYS", CLOSE, last_trade, CLOSE + SETTLES_WITHIN)
    assert period_over(FRIDAY, "XNYS", CLOSE, last_trade, SATURDAY)


def test_a_recording_of_an_open_session_stays_open() -> None:
    """Long after its period an answer is known to be old: its last trade tells how far it got."""
    noon = local(FRIDAY, 12)
    assert not period_over(FRIDAY, "XNYS", CLOSE, noon, CLOSE + PRESENT + timedelta(minutes=1))


def test_a_night_between_sessions_is_no_end() -> None:
    """On an evening before another session only the vendor's own end counts."""
    thursday = FRIDAY - timedelta(days=1)
    closes, late = local(thursday, 20), local(thursday, 16, 30)
    assert not period_over(thursday, "XNYS", closes, late, closes + timedelta(days=365))
    assert period_over(thursday, "XNYS", closes, closes, closes + timedelta(days=365))


@pytest.mark.parametrize(
    ("calendar", "closes", "last_trade"),
    [
        ("24/5", local(FRIDAY, 23, 59, zone=LONDON), local(FRIDAY, 22, 29, zone=LONDON)),
        ("CMES", local(FRIDAY, 23, 59), local(FRIDAY, 16, 59, 59)),
    ],
)
def test_a_week_that_ends_before_midnight(
    calendar: str, closes: datetime, last_trade: datetime
) -> None:
    """Currencies and futures stop at 17:00 in New York on Fridays, the vendor's day at midnight."""
    assert period_over(FRIDAY, calendar, closes, last_trade, closes + timedelta(hours=12))
