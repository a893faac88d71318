"""Limits are counted strictly, at arrival, in sliding windows."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from stock_platform.domain.errors import InputError
from stock_platform.sandbox.config import SandboxConfig
from stock_platform.sandbox.limits import LimitCounter
from stock_platform.sandbox.server import SandboxServer
from stock_platform_tests.sandbox.conftest import CONFIG


class Ticks:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def counter(limits: Any, rate: float = 1.0) -> tuple[LimitCounter, Ticks]:
    ticks = Ticks()
    return LimitCounter({"v": limits}, rate, ticks), ticks


def test_the_request_after_the_last_allowed_is_a_violation() -> None:
    """5 a minute: the sixth within 60 s is refused; at 60 s exactly it is taken."""
    limits, ticks = counter([(5, 60)])
    assert all(limits.arrive("v", "a") is None for _ in range(5))
    ticks.now += 59.999
    refusal = limits.arrive("v", "a")
    assert refusal is not None
    assert refusal.wait == pytest.approx(0.001)
    ticks.now += 0.001
    assert limits.arrive("v", "a") is None
    assert limits.report()["v"]["violations"] == 1


def test_no_burst_passes_at_a_windows_edge() -> None:
    """A sliding window: five late in one minute leave none for the start of the next."""
    limits, ticks = counter([(5, 60)])
    ticks.now = 1059.0
    assert all(limits.arrive("v", "a") is None for _ in range(5))
    ticks.now = 1061.0
    assert limits.arrive("v", "a") is not None


def test_several_windows_hold_at_once() -> None:
    """2 a second and 3 a minute."""
    limits, ticks = counter([(2, 1), (3, 60)])
    assert [limits.arrive("v", "a") is None for _ in range(3)] == [True, True, False]
    ticks.now += 1
    assert [limits.arrive("v", "a") is None for _ in range(2)] == [True, False]
    refusal = limits.arrive("v", "a")
    assert refusal is not None
    assert refusal.limit == (3, 60.0)
    report: Any = limits.report()["v"]
    assert report["accounts"]["a"]["peak"] == {"2/1s": 2, "3/60s": 3}


def test_accounts_are_counted_apart() -> None:
    """One key's calls use up nothing of another's."""
    limits, _ = counter([(1, 60)])
    assert limits.arrive("v", "a") is None
    assert limits.arrive("v", "b") is None
    assert limits.arrive("v", "a") is not None


def test_the_clock_rate_shrinks_windows() -> None:
    """At rate 60 a minute's window lasts a second."""
    limits, ticks = counter([(1, 60)], rate=60)
    assert limits.arrive("v", "a") is None
    ticks.now += 0.999
    assert limits.arrive("v", "a") is not None
    ticks.now += 0.001
    assert limits.arrive("v", "a") is None


@pytest.mark.parametrize("bad", [[(0, 60)], [(5, 0)], [5], ["ab"]])
def test_bad_limits_are_named(bad: Any) -> None:
    """A limit that is no pair of positive numbers is refused."""
    with pytest.raises(InputError, match="limits"):
        LimitCounter({"v": bad})


def test_the_free_plan_of_polygon_over_http() -> None:
    """Five calls pass, the sixth is 429 with the vendor's words; the other key still works."""
    config = SandboxConfig(symbols=5, now=CONFIG.now, start=CONFIG.start, retry_after=["polygon"])
    with SandboxServer(config) as server, httpx.Client(base_url=server.url) as client:
        url = "/v2/aggs/ticker/AAPL/prev"
        answers = [client.get(url, params={"apiKey": "one"}) for _ in range(6)]
        assert [a.status_code for a in answers] == [200] * 5 + [429]
        assert "exceeded the maximum requests per minute" in answers[-1].json()["error"]
        assert 1 <= int(answers[-1].headers["retry-after"]) <= 60
        assert client.get(url, headers={"Authorization": "Bearer two"}).status_code == 200
        report = server.report()
        assert report["violations"] == 1
        assert set(report["limits"]["polygon"]["accounts"]) == {"key-1", "key-2"}
        assert "one" not in str(report["limits"])
