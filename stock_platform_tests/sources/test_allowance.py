"""What vendors say is left of their limits is read, in every spelling, and heeded by all."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import httpx
import pytest

from stock_platform.domain.capabilities import Limit, Meter, Reading
from stock_platform.domain.errors import RateLimited
from stock_platform.sources.allowance import readings
from stock_platform.sources.quota import MemoryQuota, Quota
from stock_platform.storage.connection import Database
from stock_platform.storage.quota import PostgresQuota

NOW = 1_710_000_000.0
MINUTE = [Limit(30, 1.0), Limit(60, 60.0)]


@pytest.mark.parametrize(
    ("headers", "reading"),
    [
        (
            {"X-Ratelimit-Limit": "60", "X-Ratelimit-Remaining": "0", "X-Ratelimit-Reset": "7"},
            Reading(0, 60, 7),
        ),
        (
            {"X-RateLimit-Limit": "200", "X-RateLimit-Remaining": "199",
             "X-RateLimit-Reset": str(int(NOW) + 40)},
            Reading(199, 200, 40),
        ),
        ({"x-ratelimit-remaining": "3", "x-ratelimit-reset": f"{NOW * 1000 + 500:.0f}"},
         Reading(3, None, 0.5)),
        (
            {"RateLimit-Limit": "100, 100;w=60", "RateLimit-Remaining": "50",
             "RateLimit-Reset": "30"},
            Reading(50, 100, 30, 60),
        ),
        ({"RateLimit": "limit=100, remaining=50, reset=5"}, Reading(50, 100, 5)),
        (
            {"RateLimit-Policy": '"default";q=100;w=10', "RateLimit": '"default";r=50;t=30'},
            Reading(50, 100, 30, 10),
        ),
        (
            {"X-Rate-Limit-Remaining": "0",
             "X-Rate-Limit-Reset": format_datetime(datetime.fromtimestamp(NOW + 90, UTC))},
            Reading(0, None, 90),
        ),
        (
            {"Date": format_datetime(datetime.fromtimestamp(NOW + 1000, UTC)),
             "X-RateLimit-Remaining": "0", "X-RateLimit-Reset": str(int(NOW) + 1060)},
            Reading(0, None, 60),
        ),
    ],
)  # fmt: skip
def test_every_spelling(headers: dict[str, str], reading: Reading) -> None:
    """The IETF's drafts and X-RateLimit; a reset as a span or as an instant of the vendor's."""
    assert readings(httpx.Headers(headers), NOW) == [reading]


def test_a_meter_of_the_vendors_own() -> None:
    """Binance tells the weight used; two make a call."""
    meter = Meter("x-mbx-used-weight-1m", most=6000, seconds=60, each=2)
    headers = httpx.Headers({"X-MBX-USED-WEIGHT-1M": "5000"})
    assert readings(headers, NOW, meter) == [Reading(500, seconds=60)]
    assert readings(httpx.Headers(), NOW, meter) == []


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"X-RateLimit-Remaining": "many"},
        {"X-RateLimit-Limit": "60"},
        {"RateLimit": "gibberish;;=,"},
        {"X-RateLimit-Reset": "7"},
        {"X-RateLimit-Remaining": ""},
    ],
)
def test_what_cannot_be_read_is_passed_over(headers: dict[str, str]) -> None:
    """No header is trusted to be well formed."""
    assert readings(httpx.Headers(headers), NOW) == []


class Time:
    """A clock for both implementations."""

    def __init__(self) -> None:
        self.at = NOW

    def stamp(self) -> float:
        return self.at

    def instant(self) -> datetime:
        return datetime.fromtimestamp(self.at, UTC)

    def sleep(self, seconds: float) -> None:
        self.at += seconds


@pytest.fixture(params=["memory", "postgres"])
def quotas(request: pytest.FixtureRequest, database: Database) -> tuple[Quota, Quota, Time]:
    """Two users of one quota, and their clock; in memory they are one."""
    at = Time()
    if request.param == "memory":
        one = MemoryQuota(now=at.stamp, sleep=at.sleep)
        return one, one, at
    made = [PostgresQuota(database, now=at.instant, sleep=at.sleep) for _ in range(2)]
    return made[0], made[1], at


def test_nothing_left_is_no_call_until_the_reset(quotas: tuple[Quota, Quota, Time]) -> None:
    """What one is told, all obey; the block ends with the vendor's window."""
    one, other, at = quotas
    one.acquire("v", MINUTE, 0).done()
    one.heed("v", MINUTE, [Reading(0, 60, 25)])
    with pytest.raises(RateLimited) as refused:
        other.acquire("v", MINUTE, 24)
    assert refused.value.retry_after == pytest.approx(25)
    at.at += 25
    other.acquire("v", MINUTE, 0).done()


def test_calls_of_others_are_counted(quotas: tuple[Quota, Quota, Time]) -> None:
    """The vendor has counted 50 where we made 10: there are 10 left, until its reset."""
    one, other, at = quotas
    for _ in range(10):
        one.acquire("v", MINUTE, 0).done()
        at.at += 0.1
    one.heed("v", MINUTE, [Reading(10, 60, 30)])
    one.heed("v", MINUTE, [Reading(10, 60, 30)])  # said twice, counted once
    assert other.state("v", MINUTE).spent[1] == 50
    for _ in range(10):
        other.acquire("v", MINUTE, 0).done()
        at.at += 0.1
    with pytest.raises(RateLimited) as refused:
        other.acquire("v", MINUTE, 1)
    assert refused.value.retry_after == pytest.approx(29)
    at.at += 29.01
    assert other.state("v", MINUTE).spent[1] == 20


def test_more_left_than_we_think_changes_nothing(quotas: tuple[Quota, Quota, Time]) -> None:
    """A vendor that counts less (a window of its own that has just begun) gives us no more."""
    one, _, _ = quotas
    for _ in range(5):
        one.acquire("v", [Limit(5, 60.0)], 0).done()
    one.heed("v", [Limit(5, 60.0)], [Reading(4, 5, 60)])
    assert one.state("v", [Limit(5, 60.0)]).spent == (5,)
    with pytest.raises(RateLimited):
        one.acquire("v", [Limit(5, 60.0)], 1)


def test_calls_in_flight_are_not_taken_for_others(quotas: tuple[Quota, Quota, Time]) -> None:
    """The vendor may have counted calls whose answers are still out: none is counted twice."""
    one, other, _ = quotas
    grants = [one.acquire("v", MINUTE, 0) for _ in range(4)]
    grants[0].done()
    one.heed("v", MINUTE, [Reading(56, 60, 50)])
    assert other.state("v", MINUTE).spent[1] == 4


@pytest.mark.parametrize("reading", [Reading(0, None, 5), Reading(0, 7000, 5), Reading(0)])
def test_a_window_we_do_not_know(quotas: tuple[Quota, Quota, Time], reading: Reading) -> None:
    """Nothing left of whatever it is: no call now, and not for ever."""
    one, other, at = quotas
    one.heed("v", [Limit(2, 1.0)], [reading])
    with pytest.raises(RateLimited):
        other.acquire("v", [Limit(2, 1.0)], 0.5)
    at.at += 5.01
    other.acquire("v", [Limit(2, 1.0)], 0).done()


def test_a_day_of_the_vendors(quotas: tuple[Quota, Quota, Time]) -> None:
    """A calendar day's limit is matched by its number of calls, and ends at its midnight."""
    one, other, at = quotas
    limits = [Limit(50, 3600.0), Limit(1000, 86_400.0, "America/New_York")]
    one.heed("v", limits, [Reading(999, 1000)])
    assert other.state("v", limits).spent[1] == 1
    one.heed("v", limits, [Reading(0, 1000)])
    with pytest.raises(RateLimited) as refused:
        other.acquire("v", limits, 10)
    local = datetime.fromtimestamp(at.at, UTC) + timedelta(seconds=refused.value.retry_after or 0)
    assert (local.hour, local.minute) in {(4, 0), (5, 0)}
