"""Services as child processes: started, watched, and stopped together.

Belongs here: processes, ports, logs, the wait for an answer. Does not: which services there
are (services.py).

Every service is a session of its own, so that Ctrl-C in the terminal reaches us alone and we
stop them in order; its signal goes to its whole group, runs under way included. Should we be
killed, the kernel ends them (child.py).
"""

from __future__ import annotations

import fcntl
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

from stock_platform.domain.errors import StockPlatformError

READY_SECONDS = 180.0
STOP_SECONDS = 15.0
POLL_SECONDS = 0.1
PORTS_TRIED = 50
LAST_WORDS = 300


@dataclass(frozen=True)
class Service:
    """A program to keep running.

    Attributes:
        name: for messages, and the name of its log.
        command: program and arguments.
        environment: variables on top of ours; None removes one.
        stop: the signal that asks it to end.
    """

    name: str
    command: Sequence[str]
    environment: Mapping[str, str | None] = field(default_factory=dict)
    stop: signal.Signals = signal.SIGINT


class Supervisor:
    """Services under way. Leaving the ``with`` block stops them, the last one first."""

    def __init__(self, log_dir: Path) -> None:
        self.log_dir = log_dir
        self._running: list[tuple[Service, subprocess.Popen[bytes]]] = []

    def start(self, service: Service) -> None:
        """Start a service; its output goes to a log of its name."""
        self.log_dir.mkdir(parents=True, exist_ok=True)
        environment = {**os.environ, **service.environment}
        command = [sys.executable, "-m", "stock_platform.apps.child", str(os.getpid())]
        path = self.log(service.name)
        if path.exists():
            path.replace(path.with_suffix(".log.1"))
        with path.open("wb") as log:
            process = subprocess.Popen(  # noqa: S603 - our own command
                [*command, *service.command],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env={k: v for k, v in environment.items() if v is not None},
                start_new_session=True,
            )
        self._running.append((service, process))

    def log(self, name: str) -> Path:
        """Where a service's output is."""
        return self.log_dir / f"{name}.log"

    def wait_until(
        self, ready: Callable[[], bool], what: str, seconds: float = READY_SECONDS
    ) -> None:
        """Wait until ``ready``.

        Raises:
            StockPlatformError: a service ended meanwhile, or it took too long.
        """
        deadline = time.monotonic() + seconds
        while not ready():
            self.check()
            if time.monotonic() > deadline:
                raise StockPlatformError(
                    f"{what} did not answer within {seconds:.0f} s; see {self.log_dir}"
                )
            time.sleep(POLL_SECONDS)

    def watch(self) -> None:
        """Wait for Ctrl-C. Raises StockPlatformError when a service ends by itself."""
        while True:
            self.check()
            time.sleep(5 * POLL_SECONDS)

    def check(self) -> None:
        """Raises StockPlatformError with its last words when a service has ended."""
        for service, process in self._running:
            code = process.poll()
            if code is not None:
                raise StockPlatformError(
                    f"{service.name} ended with code {code}: {self._last_words(service.name)} "
                    f"(log: {self.log(service.name)})"
                )

    def stop(self) -> None:
        """Stop everything, in reverse order; what does not end in time is killed."""
        with _uninterrupted():
            while self._running:
                service, process = self._running.pop()
                _signal(process, service.stop)
                with suppress(subprocess.TimeoutExpired):
                    process.wait(STOP_SECONDS)
                _signal(process, signal.SIGKILL)  # it, or what it left behind
                process.wait()

    def _last_words(self, name: str) -> str:
        lines = self.log(name).read_text(encoding="utf-8", errors="replace").split("\n")
        said = [line.strip() for line in lines if line.strip()]
        return said[-1][-LAST_WORDS:] if said else "it said nothing"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()


def _signal(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    """Signal the service's whole group."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, number)


@contextmanager
def _uninterrupted() -> Iterator[None]:
    """Put a further Ctrl-C off: stopping is under way."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def answers(url: str) -> bool:
    """Whether a web server answers there with success."""
    try:
        with urllib.request.urlopen(url, timeout=5) as response:  # noqa: S310 - our own http address
            return bool(response.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def is_free(host: str, port: int) -> bool:
    """Whether a port can be listened on."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
        return True


def free_port(host: str, wanted: int, *, exactly: bool = False) -> int:
    """A port that is free: the one wanted, or else one after it; 0 takes any.

    Raises:
        StockPlatformError: it is taken and must be that one, or so are all that were tried.
    """
    if wanted == 0:
        with socket.socket() as probe:
            probe.bind((host, 0))
            return int(probe.getsockname()[1])
    for port in range(wanted, min(wanted + (1 if exactly else PORTS_TRIED), 65_536)):
        if is_free(host, port):
            return port
    hint = "choose another with --port, or --port 0 for any"
    raise StockPlatformError(f"port {wanted} on {host} is taken: {hint}")


@contextmanager
def only_one(path: Path, what: str) -> Iterator[Callable[[str], None]]:
    """Hold a lock; yields a function that leaves a word (an address) for who comes second.

    Raises:
        StockPlatformError: another process holds it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            where = file.read().strip()
            raise StockPlatformError(
                f"{what} is running already" + (f" at {where}" if where else "")
            ) from None

        def leave(word: str) -> None:
            file.seek(0)
            file.truncate()
            file.write(word)
            file.flush()

        leave("")
        try:
            yield leave
        finally:
            leave("")
