"""200 requests a second of ten-year prices: how long do they take?

Belongs here: a database of a hundred tickers, the API as users start it, and an open-loop load:
requests start on the clock, whether former ones were answered or not, so that a slow server
cannot slow its own load (coordinated omission). The limit it is held against is p99 < 250 ms.
Phases: the first time each ticker is asked, then asked again, then with If-None-Match.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import tempfile
import time
from datetime import date
from pathlib import Path

import httpx
import numpy as np

from stock_platform.apps.supervise import answers, free_port
from stock_platform.storage.assets import NewAsset, register
from stock_platform.storage.connection import Database
from stock_platform.storage.embedded import ensure_server, remove_server
from stock_platform.storage.migrate import migrate
from stock_platform.storage.writers import write_validated
from stock_platform_tests.storage import worlds

TICKERS, DAYS = 100, 2520
RATE, SECONDS = 200, 15
LIMIT_MS = 250


def main() -> None:
    """Print a line a phase."""
    with tempfile.TemporaryDirectory(prefix="stock_platform_bench_") as folder:
        home = Path(folder)
        url = ensure_server(home).url
        try:
            names = fill(url)
            port = free_port("127.0.0.1", 0)
            server = start(url, home, port)
            try:
                asyncio.run(measure(f"http://127.0.0.1:{port}", names))
            finally:
                server.terminate()
                server.wait(30)
        finally:
            remove_server(home)


def fill(url: str) -> list[str]:
    """Ten years of a hundred tickers."""
    migrate(url)
    names = [f"T{number:03}" for number in range(TICKERS)]
    with Database(url) as db:
        ids = register(db, [NewAsset(name, "stock", "XNYS", "USD") for name in names])
        days = worlds.weekdays(date(2014, 1, 2), DAYS)
        for asset in ids.values():
            write_validated(db, worlds.validated(worlds.raw_bars([asset], days, seed=asset)))
    return names


def start(url: str, home: Path, port: int) -> subprocess.Popen[bytes]:
    """The API as its command starts it."""
    environment = os.environ | {
        "DATABASE_URL": url, "STOCK_PLATFORM_HOME": str(home), "STOCK_PLATFORM_API_RATE": "100000",
    }  # fmt: skip
    with (home / "api.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "stock_platform", "api", "serve", "--port", str(port)],
            env=environment, stdout=log, stderr=log,
        )  # fmt: skip
    deadline = time.monotonic() + 60
    while not answers(f"http://127.0.0.1:{port}/health"):
        if time.monotonic() > deadline or process.poll() is not None:
            raise SystemExit((home / "api.log").read_text())
        time.sleep(0.2)
    return process


async def measure(url: str, names: list[str]) -> None:
    """The phases."""
    limits = httpx.Limits(max_connections=64, max_keepalive_connections=64)
    async with httpx.AsyncClient(base_url=url, limits=limits, timeout=60) as client:
        etags: dict[str, str] = {}
        first = await load(client, names, RATE, len(names) / RATE, etags)
        show("each ticker's first answer", first)
        show("asked again", await load(client, names, RATE, SECONDS, etags))
        show("If-None-Match", await load(client, names, RATE, SECONDS, etags, revalidate=True))


async def load(
    client: httpx.AsyncClient, names: list[str], rate: int, seconds: float,
    etags: dict[str, str], *, revalidate: bool = False,
) -> tuple[list[float], int]:  # fmt: skip
    """Milliseconds from when each request was due to its end, and the bytes that came."""
    began = time.perf_counter() + 0.2
    taken: list[float] = []
    size = 0

    async def one(number: int) -> None:
        nonlocal size
        due = began + number / rate
        await asyncio.sleep(due - time.perf_counter())
        name = names[number % len(names)]
        headers = {"if-none-match": etags[name]} if revalidate else {}
        answer = await client.get(f"/v1/prices/{name}", headers=headers)
        taken.append((time.perf_counter() - due) * 1000)
        if answer.status_code != (304 if revalidate else 200):
            raise SystemExit(f"{answer.status_code}: {answer.text[:200]}")
        etags[name] = answer.headers["etag"]
        size += len(answer.content)

    await asyncio.gather(*(one(number) for number in range(int(rate * seconds))))
    return taken, size


def show(name: str, measured: tuple[list[float], int]) -> None:
    """Percentiles, and how far the limit is."""
    taken, size = measured
    p50, p95, p99 = np.percentile(taken, [50, 95, 99])
    load_now = os.getloadavg()[0]
    sys.stdout.write(
        f"{name:28} {len(taken):5} requests at {RATE}/s  {size / len(taken) / 1024:6.0f} KB each  "
        f"p50 {p50:6.1f}  p95 {p95:6.1f}  p99 {p99:6.1f} ms  "
        f"({p99 / LIMIT_MS:.2f} of the limit; load {load_now:.1f} on {os.cpu_count()} cores)\n"
    )


if __name__ == "__main__":
    main()
