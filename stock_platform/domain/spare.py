"""What may be spent of a source's limits on work that can wait. Pure.

Belongs here: how many calls are spare. Does not: state (storage/quota.py), choosing calls
(domain/planning), making them.

Of a long window (an hour or more) spare is what is left of it once the demand known has been
met, never more than ``SHARE`` of the whole window at once, and never of its second half: however
often such work is done, that is for the updates still to come. Shorter windows are as good as new
within minutes: of them ``SHARE`` of what they let through in ``TIME_GIVEN``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from stock_platform.domain.capabilities import Capabilities, Limit, QuotaState

SHARE = 0.2
"""Of a window, at the most."""

KEPT = 0.5
"""Of a long window, for what is not known yet; live quotes leave as much (domain/live.py)."""

LONG_WINDOW = 3600.0
"""Seconds from which on what is spent is gone for today's purposes."""

TIME_GIVEN = 600.0
"""Seconds that such work may take of a source whose windows are short."""


def spare_calls(
    limits: Sequence[Limit], state: QuotaState, demand: int, share: float = SHARE
) -> int:
    """HTTP requests that may be spent; 0 while the source is blocked.

    Args:
        limits: all hold at once.
        state: what is spent of each.
        demand: requests known to be needed for what is missing.
        share: of a window, at the most.
    """
    if state.blocked_seconds > 0:
        return 0
    found: list[float] = []
    for index, limit in enumerate(limits):
        spent = state.spent[index] if index < len(state.spent) else 0
        if limit.zone is not None or limit.seconds >= LONG_WINDOW:
            room = min(limit.calls - demand, limit.calls * (1 - KEPT)) - spent
            found.append(min(limit.calls * share, room))
        else:
            passed = limit.calls * max(1.0, TIME_GIVEN / limit.seconds)
            found.append(min(passed * share, passed - demand))
    return max(0, math.floor(min(found, default=0)))


def spare_by_account(
    sources: Sequence[Capabilities],
    quotas: Mapping[str, QuotaState],
    demand: Mapping[str, int],
    share: float = SHARE,
) -> dict[str, int]:
    """Spare requests by account: sources of one host draw on the same.

    Args:
        sources: those that may be asked; one without limits (files of one's own) costs nothing
            and is left out.
        quotas: the state, by source.
        demand: requests known to be needed, by source.
        share: of a window, at the most.
    """
    needed: dict[str, int] = {}
    for source in sources:
        needed[source.account] = needed.get(source.account, 0) + demand.get(source.source, 0)
    found: dict[str, int] = {}
    for source in sources:
        if not source.limits:
            continue
        calls = spare_calls(
            source.limits, quotas.get(source.source, QuotaState()), needed[source.account], share
        )
        found[source.account] = min(calls, found.get(source.account, calls))
    return found
