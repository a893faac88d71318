"""200 requests a second of ten-year prices: how long do they take, and how many could there be?

Belongs here: a database of a hundred tickers, the API as users start it, and two loads
(_load.py). At 200 a second p99 is held against its limit of 250 ms: the first time each ticker is
asked for, asked for again, compressed, revalidated, and while prices are written. The API's
processor time is told besides, since it does not depend on what else a machine does. Then as many
as come, as a ratio to /health, which costs what any request does and reads nothing.
"""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date
from functools import partial
from pathlib import Path
from threading import Event, Thread

import numpy as np

from stock_platform.apps.supervise import answers, free_port
from stock_platform.storage.assets import NewAsset, register
from stock_platform.storage.connection import Database
from stock_platform.storage.embedded import ensure_server, remove_server
from stock_platform.storage.migrate import migrate
from stock_platform.storage.writers import write_validated
from stock_platform_tests.benchmarks._load import Measured, at_most, at_rate, request
from stock_platform_tests.storage import worlds

TICKERS, DAYS = 100, 2520
RATE, SECONDS = 200, 10
SECONDS_AT_MOST, CONNECTIONS = 5, 16
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
                measure(port, names, url, server.pid)
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


def measure(port: int, names: list[str], url: str, server: int) -> None:
    """The phases."""

    def told(name: str, load: Callable[[], Measured]) -> None:
        before = processor_seconds(server)
        measured = load()
        show(name, measured, processor_seconds(server) - before)

    plain = [request(f"/v1/prices/{name}") for name in names]
    zipped = [request(f"/v1/prices/{name}", Accept_Encoding="gzip") for name in names]
    heads = [b""] * len(names)
    count = RATE * SECONDS
    told("first answer", lambda: at_rate(port, plain, RATE, len(names), heads=heads))
    told("first answer, gzip", lambda: at_rate(port, zipped, RATE, len(names)))
    known = [
        request(f"/v1/prices/{name}", If_None_Match=_etag(head))
        for name, head in zip(names, heads, strict=True)
    ]
    hot = {"asked again": plain, "asked again, gzip": zipped, "If-None-Match": known}
    for name, requests in hot.items():
        told(name, partial(at_rate, port, requests, RATE, count))
    with writing(url):
        told("gzip, prices written", lambda: at_rate(port, zipped, RATE, count))
    health = at_most(port, [request("/health")], SECONDS_AT_MOST, CONNECTIONS)
    for name, requests in hot.items():
        most = at_most(port, requests, SECONDS_AT_MOST, CONNECTIONS)
        p50, p99 = np.percentile(most.taken, [50, 99])
        sys.stdout.write(
            f"{name:22} {most.rate:6.0f} requests/s at most  p50 {p50:6.1f}  p99 {p99:6.1f} ms  "
            f"({most.rate / health.rate:.2f} of /health, {health.rate:.0f}/s)\n"
        )


@contextmanager
def writing(url: str) -> Iterator[None]:
    """Five times a second, new prices of one more ticker are committed."""
    done = Event()

    def write() -> None:
        days = worlds.weekdays(date(2014, 1, 2), DAYS)[-5:]
        with Database(url) as db:
            for number in itertools.count():
                asset = number % TICKERS + 1
                write_validated(db, worlds.validated(worlds.raw_bars([asset], days, seed=number)))
                if done.wait(0.2):
                    return

    thread = Thread(target=write)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def _etag(head: bytes) -> str:
    (line,) = (line for line in head.split(b"\r\n") if line.startswith(b"etag: "))
    return line.removeprefix(b"etag: ").decode()


def processor_seconds(server: int) -> float:
    """Of the processes that a process started, where the system tells (Linux)."""
    total = 0.0
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
        except OSError:  # it has ended
            continue
        if int(fields[1]) == server:
            total += (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return total


def show(name: str, measured: Measured, processor: float) -> None:
    """Percentiles, and how far the limit is."""
    if set(measured.statuses) - {200, 304}:
        raise SystemExit(f"{name}: {dict(measured.statuses)}")
    p50, p95, p99 = np.percentile(measured.taken, [50, 95, 99])
    size = measured.size / len(measured.taken) / 1024
    each = processor * 1000 / len(measured.taken)
    sys.stdout.write(
        f"{name:22} {len(measured.taken):5} requests, {measured.rate:4.0f}/s of {RATE}  "
        f"{size:4.0f} KB and {each:5.2f} ms of processor each  "
        f"p50 {p50:6.1f}  p95 {p95:6.1f}  p99 {p99:6.1f} ms  ({p99 / LIMIT_MS:.2f} of the "
        f"limit; load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores)\n"
    )


if __name__ == "__main__":
    main()
