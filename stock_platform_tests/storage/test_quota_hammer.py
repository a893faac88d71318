"""Eight processes at four vendors: no call too many, hardly one too few, whoever dies."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import numpy as np
import pytest

from stock_platform.domain.capabilities import Limit
from stock_platform.domain.planning.quota import start_times
from stock_platform.storage.connection import Database
from stock_platform.storage.quota import HOLD_SECONDS, PostgresQuota
from stock_platform_tests.storage.quota_hammer import LIMITS, limits_of

SERVE = (
    "import sys; from stock_platform.sandbox.config import SandboxConfig; "
    "from stock_platform.sandbox.server import serve; "
    "serve(SandboxConfig(symbols=5, clock_rate=float(sys.argv[1])), port=int(sys.argv[2]))"
)
ENVIRONMENT = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}


@contextmanager
def sandbox(rate: float) -> Iterator[str]:
    """A sandbox in a process of its own; its address."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-c", SERVE, str(rate), str(port)]
    url = f"http://127.0.0.1:{port}"
    with subprocess.Popen(command, env=ENVIRONMENT) as process:
        try:
            for _ in range(600):
                try:
                    httpx.get(f"{url}/_sandbox/health", trust_env=False)
                    break
                except httpx.TransportError:
                    time.sleep(0.1)
            yield url
        finally:
            process.terminate()


def start(database: str, url: str, rate: float, seconds: float, dies: int) -> subprocess.Popen[str]:
    module = "stock_platform_tests.storage.quota_hammer"
    return subprocess.Popen(
        [sys.executable, "-m", module, database, url, str(rate), str(seconds), str(dies)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=ENVIRONMENT,
    )


def allowance(vendor: str, rate: float, seconds: float) -> int:
    """The most calls that a vendor's limits allow in so long, made without any delay."""
    limits = limits_of(vendor, rate)
    most = sum(int(x.calls * (seconds / x.seconds + 1)) for x in limits[:1])
    return int(np.searchsorted(start_times(most, limits), seconds))


@pytest.mark.parametrize(
    ("rate", "windows"), [(3.0, 1.8), pytest.param(1.0, 5.5, marks=pytest.mark.thorough)]
)
def test_eight_processes_at_four_vendors(
    database: Database, database_url: str, rate: float, windows: float
) -> None:
    """By the sandbox's count none too many, and 95 % of what is allowed; kill -9 changes neither.

    Two of the eight kill themselves between an answer and its ``done``, one is killed from here.
    """
    seconds = windows * 60.0 / rate
    with sandbox(rate) as url:
        workers = [
            start(database_url, url, rate, seconds, dies) for dies in (2, 3, 0, 0, 0, 0, 0, 0)
        ]
        for worker in workers:
            assert worker.stdout is not None
            assert worker.stdout.readline() == "ready\n"
        for worker in workers:
            assert worker.stdin is not None
            worker.stdin.write("go\n")
            worker.stdin.flush()
        time.sleep(seconds / 3)
        os.kill(workers[2].pid, signal.SIGKILL)
        for worker in workers:
            worker.communicate(timeout=seconds + 60)
        report = httpx.get(f"{url}/_sandbox/report", trust_env=False).json()
    assert [worker.returncode for worker in workers] == [-signal.SIGKILL] * 3 + [0] * 5
    assert report["violations"] == 0
    for vendor in LIMITS:
        used = report["limits"][vendor]["accepted"] / allowance(vendor, rate, seconds)
        assert 0.95 <= used <= 1.0, f"{vendor}: {used:.3f}"
    quota, began = PostgresQuota(database), time.monotonic()
    for vendor in LIMITS:  # what the dead left in flight is freed long before HOLD_SECONDS
        quota.acquire(vendor, [Limit(1, 0.1)], HOLD_SECONDS).done()
    assert time.monotonic() - began < HOLD_SECONDS / 4
