"""``market``: what it says at instants when a session's bar and its trading differ."""

from __future__ import annotations

from datetime import datetime

import pytest

from stock_platform.apps.cli.market import describe


@pytest.mark.parametrize(
    ("calendar", "at", "is_open", "shown", "opens", "closes"),
    [
        ("24/5", "2024-11-03T22:30Z", True, "2024-11-04", "03T22:00", "05T00:00"),
        ("24/5", "2024-11-01T22:30Z", False, "2024-11-04", "03T22:00", "05T00:00"),
        ("CMES", "2024-11-05T22:30Z", False, "2024-11-06", "05T23:00", "06T22:00"),
        ("XTKS", "2024-11-05T03:00Z", False, "2024-11-05", "05T00:00", "05T06:30"),
        ("XNYS", "2024-11-05T15:00Z", True, "2024-11-05", "05T14:30", "05T21:00"),
    ],
)
def test_open_and_from_when_to_when(
    calendar: str, at: str, is_open: bool, shown: str, opens: str, closes: str
) -> None:
    """Currencies on a Sunday evening and a Friday night, futures' rest, Tokyo's noon."""
    facts = describe(calendar, datetime.fromisoformat(at))
    session = facts["current"] or facts["next"]
    assert facts["open"] is is_open
    assert str(session["session"]) == shown
    assert (f"{session['opens']:%dT%H:%M}", f"{session['closes']:%dT%H:%M}") == (opens, closes)
