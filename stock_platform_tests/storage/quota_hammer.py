"""A process that calls four vendors of a sandbox as fast as the shared quotas let it.

Run: ``python -m stock_platform_tests.storage.quota_hammer DATABASE SANDBOX RATE SECONDS DIES``.
It prints ``ready`` and starts when a line comes in. With DIES above 0 it kills itself (SIGKILL)
in mid-call: the answer of that coin call has come, and the quota has not been told.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time

import httpx

from stock_platform.domain.capabilities import Limit
from stock_platform.domain.errors import RateLimited
from stock_platform.storage.connection import Database
from stock_platform.storage.quota import PostgresQuota

LIMITS = {  # of the vendors' free plans: calls and seconds
    "polygon": ((5, 60.0),),
    "yahoo": ((60, 60.0), (2000, 3600.0)),
    "finnhub": ((30, 1.0), (60, 60.0)),
    "coingecko": ((30, 60.0), (10_000, 31 * 86_400.0)),
}
PATHS = {
    "polygon": "/polygon/v2/aggs/ticker/AAPL/prev?apiKey=hammer",
    "yahoo": "/yahoo/v8/finance/chart/AAPL?range=1d&interval=1d",
    "finnhub": "/finnhub/api/v1/quote?symbol=AAPL&token=hammer",
    "coingecko": "/coingecko/api/v3/ping",
}


def limits_of(vendor: str, rate: float) -> tuple[Limit, ...]:
    return tuple(Limit(calls, seconds / rate) for calls, seconds in LIMITS[vendor])


def hammer(quota: PostgresQuota, vendor: str, rate: float, ends: float, dies: int) -> None:
    limits, made = limits_of(vendor, rate), 0
    with httpx.Client(base_url=sys.argv[2], timeout=60.0, trust_env=False) as client:
        while (left := ends - time.monotonic()) > 0:
            try:
                grant = quota.acquire(vendor, limits, left)
            except RateLimited:  # not before the end
                return
            client.get(PATHS[vendor])
            made += 1
            if vendor == "coingecko" and made == dies:
                os.kill(os.getpid(), signal.SIGKILL)
            grant.done()


def main() -> None:
    rate, seconds, dies = float(sys.argv[3]), float(sys.argv[4]), int(sys.argv[5])
    with Database(sys.argv[1], max_size=4) as db:
        quota = PostgresQuota(db)
        for vendor in LIMITS:
            quota.state(vendor, limits_of(vendor, rate))
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        sys.stdin.readline()
        ends = time.monotonic() + seconds
        threads = [
            threading.Thread(target=hammer, args=(quota, vendor, rate, ends, dies))
            for vendor in LIMITS
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()


if __name__ == "__main__":
    main()
