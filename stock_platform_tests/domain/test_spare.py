"""What is left for work that can wait."""

from __future__ import annotations

import pytest

from stock_platform.domain.capabilities import Capabilities, Limit, QuotaState
from stock_platform.domain.spare import spare_by_account, spare_calls

DAY = (Limit(500, 86_400.0),)


@pytest.mark.parametrize(
    ("limits", "state", "demand", "expected"),
    [
        (DAY, QuotaState(), 0, 100),  # a fifth of a day at the most
        (DAY, QuotaState(spent=(200,)), 0, 50),  # what is left of its first half
        (DAY, QuotaState(spent=(200,)), 270, 30),  # once the demand is met
        (DAY, QuotaState(spent=(200,)), 400, 0),
        (DAY, QuotaState(spent=(250,)), 0, 0),
        (DAY, QuotaState(blocked_seconds=5.0), 0, 0),
        ((Limit(5, 60.0),), QuotaState(spent=(5,)), 0, 10),  # ten minutes of a short window
        ((Limit(5, 60.0),), QuotaState(), 45, 5),
        ((Limit(5, 60.0), Limit(25, 86_400.0, "America/New_York")), QuotaState(), 0, 5),
    ],
)
def test_spare_calls(
    limits: tuple[Limit, ...], state: QuotaState, demand: int, expected: int
) -> None:
    """Long windows keep what is needed, and their second half; short ones lend what they let by."""
    assert spare_calls(limits, state, demand) == expected


@pytest.mark.parametrize("limit", [Limit(500, 86_400.0), Limit(25, 86_400.0), Limit(50, 3600.0)])
def test_work_that_can_wait_cannot_starve_updates(limit: Limit) -> None:
    """However often it is done within a window, half of it is left for the next update."""
    spent = 0
    while calls := spare_calls((limit,), QuotaState(spent=(spent,)), 0):
        spent += calls
    assert 0 < spent <= limit.calls / 2


def test_one_host_has_one_account() -> None:
    """What is needed of one source is not spare for another of its host."""
    one = Capabilities("yahoo", limits=DAY, bucket="host")
    two = Capabilities("yahoo_page", limits=DAY, bucket="host")
    free = Capabilities("files")
    spent = QuotaState(spent=(200,))
    found = spare_by_account(
        [one, two, free], {"yahoo": spent, "yahoo_page": spent}, {"yahoo": 270}
    )
    assert found == {"host": 30}
