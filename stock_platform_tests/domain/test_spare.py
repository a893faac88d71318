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
        (DAY, QuotaState(spent=(450,)), 0, 50),  # what is left of it
        (DAY, QuotaState(spent=(450,)), 45, 5),  # once the demand is met
        (DAY, QuotaState(spent=(450,)), 200, 0),
        (DAY, QuotaState(blocked_seconds=5.0), 0, 0),
        ((Limit(5, 60.0),), QuotaState(spent=(5,)), 0, 10),  # ten minutes of a short window
        ((Limit(5, 60.0),), QuotaState(), 45, 5),
        ((Limit(5, 60.0), Limit(25, 86_400.0, "America/New_York")), QuotaState(), 0, 5),
    ],
)
def test_spare_calls(
    limits: tuple[Limit, ...], state: QuotaState, demand: int, expected: int
) -> None:
    """Long windows keep what is needed and four fifths; short ones lend what they let through."""
    assert spare_calls(limits, state, demand) == expected


def test_one_host_has_one_account() -> None:
    """What is needed of one source is not spare for another of its host."""
    one = Capabilities("yahoo", limits=DAY, bucket="host")
    two = Capabilities("yahoo_page", limits=DAY, bucket="host")
    free = Capabilities("files")
    spent = QuotaState(spent=(400,))
    found = spare_by_account([one, two, free], {"yahoo": spent, "yahoo_page": spent}, {"yahoo": 70})
    assert found == {"host": 30}
