"""``stock-platform market``: is it open, and what comes next.

Belongs here: showing an exchange's hours. Does not: knowing them (domain/calendar.py).
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from stock_platform.apps.cli.selection import Json
from stock_platform.domain.errors import InputError


def market(
    calendar: Annotated[
        str | None, typer.Option(help="Exchange (MIC such as XNYS or XLON), 24/7 or 24/5.")
    ] = None,
    at: Annotated[
        str | None, typer.Option(help="An instant such as 2024-07-03T18:00Z; default: now.")
    ] = None,
    *,
    json: Json = False,
) -> None:
    """Tell whether an exchange is open, its next session, half days and the last completed one."""
    from stock_platform.apps.cli import output
    from stock_platform.settings import load_settings

    settings = load_settings()
    now = read_instant(at) if at else settings.clock.now()
    facts = describe(calendar or settings.calendar, now)
    if json:
        output.show_json(facts)
    else:
        output.show_pairs(_lines(facts))


def read_instant(text: str) -> datetime:
    """An ISO stamp, UTC where it names no zone. Raises InputError."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise InputError("at", text, "use an instant like 2024-07-03T18:00Z") from None
    return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)


def describe(name: str, now: datetime) -> dict[str, Any]:
    """An exchange at an instant; stamps are UTC."""
    from zoneinfo import ZoneInfo

    from stock_platform.domain.calendar import get_calendar

    exchange = get_calendar(name)
    today = now.astimezone(ZoneInfo(exchange.zone)).date()
    current = exchange.trading_session(now) if exchange.is_open(now) else None
    last = exchange.last_completed(now)
    following = exchange.next_session(current or last)
    if exchange.trading_hours(following)[1] <= now:  # its bar goes on to midnight
        following = exchange.next_session(following)
    return {
        "calendar": name,
        "zone": exchange.zone,
        "now": now,
        "open": current is not None,
        "current": _session(exchange, current) if current else None,
        "next": _session(exchange, following),
        "last_completed": last,
        "today": today,
        "today_is_session": exchange.is_session(today),
    }


def _session(exchange: Any, day: Any) -> dict[str, Any]:
    opens, closes = exchange.trading_hours(day)
    return {
        "session": day,
        "opens": opens,
        "closes": closes,
        "half_day": exchange.is_half_day(day),
    }


def _lines(facts: dict[str, Any]) -> dict[str, Any]:
    shown = facts["current"] or facts["next"]
    state = "open" if facts["open"] else "closed"
    if not facts["open"] and not facts["today_is_session"]:
        state += f" ({facts['today']} is no session)"
    elif not facts["open"] and facts["next"]["opens"] < facts["now"]:
        state += " (a break of the session)"
    half = ", half day" if shown["half_day"] else ""
    lines = {
        "calendar": f"{facts['calendar']} ({facts['zone']})",
        "now": facts["now"],
        "state": state,
    }
    lines["session" if facts["open"] else "next session"] = f"{shown['session']}{half}"
    lines |= {"opens": shown["opens"], "closes": shown["closes"]}
    if facts["open"]:
        lines["next session"] = facts["next"]["session"]
    return lines | {"last completed": facts["last_completed"]}
