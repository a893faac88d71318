"""A process that has imported the command already, and forks for each one asked for.

Run: ``python -m stock_platform_tests.apps.zygote``; a request is a line of JSON on stdin, the
answer to it a line with the exit code. Importing the command's libraries takes a second of a
core, and the tests run it hundreds of times; a fork of a process that has only imported them
is as fresh as a new one.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import traceback
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any, NoReturn

LIBRARIES = (
    "dagster",
    "polars",
    "pandas_market_calendars",
    "stock_platform.apps.cli.app",
    "stock_platform.orchestration.build",
    "stock_platform.pipeline.runtime",
    "stock_platform.pipeline.store",
    "stock_platform.sandbox.server",
)


class Zygote:
    """The other end: runs commands one after another."""

    def __init__(self, repository: Path) -> None:
        self._lock = threading.Lock()
        self._process = subprocess.Popen(
            [sys.executable, "-m", __name__],
            cwd=repository,
            env={"PATH": os.environ["PATH"], "PYTHONPATH": str(repository)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def run(
        self, words: list[str], folder: Path, environment: Mapping[str, str], out: Path, err: Path,
        seconds: float,
    ) -> int:  # fmt: skip
        """The exit code of ``stock-platform`` with these words; what it prints is in the files."""
        request = {
            "words": words,
            "folder": str(folder),
            "environment": dict(environment),
            "out": str(out),
            "err": str(err),
        }
        assert self._process.stdin
        assert self._process.stdout
        with self._lock:
            watch = threading.Timer(seconds, self._process.kill)
            watch.start()
            try:
                print(json.dumps(request), file=self._process.stdin, flush=True)
                answer = self._process.stdout.readline()
            finally:
                watch.cancel()
        assert answer, f"stock-platform {' '.join(words)} did not end within {seconds:g} s"
        return int(answer)

    def close(self) -> None:
        assert self._process.stdin
        self._process.stdin.close()
        self._process.wait(10)
        assert self._process.stdout
        self._process.stdout.close()


def serve() -> None:
    """Answer requests until stdin ends."""
    for name in LIBRARIES:
        import_module(name)
    assert threading.active_count() == 1, threading.enumerate()
    for line in sys.stdin:
        request = json.loads(line)
        child = os.fork()
        if not child:
            become(request)
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)  # noqa: T201 - the answer


def become(request: dict[str, Any]) -> NoReturn:
    """Be the command, in its folder and its environment."""
    code = 70
    try:
        nothing = os.open(os.devnull, os.O_RDONLY)
        out, err = (
            os.open(request[name], os.O_WRONLY | os.O_CREAT | os.O_TRUNC) for name in ("out", "err")
        )
        for number, opened in enumerate((nothing, out, err)):
            os.dup2(opened, number)
            os.close(opened)
        sys.stdin = open(0, closefd=False)  # noqa: SIM115 - the one before has the requests
        os.environ.clear()
        os.environ.update(request["environment"])
        os.chdir(request["folder"])
        sys.path[0] = request["folder"]
        sys.argv = ["stock-platform", *request["words"]]
        signal.signal(signal.SIGINT, signal.default_int_handler)
        main = import_module("stock_platform.apps.cli").main
        try:
            code = main() or 0
        except SystemExit as stop:
            code = stop.code if isinstance(stop.code, int) else int(stop.code is not None)
    except BaseException:  # noqa: BLE001 - as Python does at the top
        traceback.print_exc()
        code = 1
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    serve()
