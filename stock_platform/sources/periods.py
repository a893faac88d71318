"""Whether a vendor's current trading period was over when it answered.

Belongs here: the period an answer describes, against the calendar and the clock. Does not:
reading it (sources/<vendor>), sessions in general (domain/calendar). Pure.

The answer's own clock is the time of the last trade. It stops before the period's end where the
market closes early, or before a weekend, or where a share seldom trades; and in an answer that
was recorded in mid-session it stands still for ever.
"""

from __future__ import annotations

from datetime import date, datetime, timedelta

from stock_platform.sources.payload import trading_hours

DAY = timedelta(days=1)
LAST_TRADE = timedelta(minutes=1)
"""Before the close, at the most, the last trade of a market that trades all the time."""

SETTLES_WITHIN = timedelta(hours=4)
"""After the close, for the last bar to become final."""

PRESENT = timedelta(days=4)
"""After its close a period is no longer the current one, long weekends included."""


def period_over(
    session: date, calendar: str, closes: datetime, market_time: datetime | None, now: datetime
) -> bool:
    """Whether the current period, of ``session``, was over.

    Args:
        session: the exchange's date of the period.
        calendar: the exchange's.
        closes: the period's end as the vendor tells it.
        market_time: of the last trade; None where it is not told.
        now: when the vendor answered. An answer much later than the period is a recording:
            of its last trade alone is known when it was made.
    """
    if now < closes:
        return False
    hours = trading_hours(session, calendar)
    if hours is not None and trading_hours(session + DAY, calendar) is None:
        closes = min(closes, hours[1])  # early on the eve of a holiday
    if market_time is None or market_time >= closes - LAST_TRADE:
        return True
    return settled(closes, now)


def settled(closes: datetime, now: datetime) -> bool:
    """Whether an answer of ``now`` has the final bar of a period, however it is stamped.

    For hours after the close volumes are corrected; much later it is no answer of the period's
    own evening, but a recording of one that may have been made a second after the close.
    """
    return closes + SETTLES_WITHIN <= now <= closes + PRESENT
