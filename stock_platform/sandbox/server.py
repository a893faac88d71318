"""Running the sandbox: in a thread for tests, or until Ctrl-C for the command line.

Belongs here: uvicorn and sockets. Does not: what is answered (``app``).
"""

from __future__ import annotations

import logging
import socket
import threading
from types import TracebackType
from typing import Any, Self

import uvicorn

from stock_platform.domain.errors import StockPlatformError
from stock_platform.sandbox.app import SandboxApp
from stock_platform.sandbox.config import SandboxConfig
from stock_platform.sandbox.market.market import Market

START_SECONDS = 30.0


class SandboxServer:
    """A sandbox on a port of its own, while the ``with`` block lasts.

    >>> with SandboxServer(SandboxConfig(symbols=100)) as sandbox:
    ...     sandbox.base_url("yahoo")      # http://127.0.0.1:PORT/yahoo
    ...     sandbox.market.bars("AAPL")    # the truth
    ...     sandbox.report()["violations"]

    ``port`` 0 takes a free one. The market may be given, to share one between servers.
    """

    def __init__(
        self,
        config: SandboxConfig | None = None,
        host: str = "127.0.0.1",
        port: int = 0,
        market: Market | None = None,
    ) -> None:
        self.app = SandboxApp(config or SandboxConfig(), market=market)
        self._socket = _bind(host, port)
        self._server = uvicorn.Server(_settings(self.app))
        self._thread = threading.Thread(
            target=self._server.run, kwargs={"sockets": [self._socket]}, daemon=True
        )

    @property
    def url(self) -> str:
        """Where it listens; every vendor answers here, at the root."""
        host, port = self._socket.getsockname()[:2]
        return f"http://{host}:{port}"

    def base_url(self, vendor: str) -> str:
        """The address to use in place of a vendor's."""
        return f"{self.url}/{vendor}"

    @property
    def market(self) -> Market:
        """The truth."""
        return self.app.market

    def report(self, log: bool = False) -> dict[str, Any]:
        """The same as ``GET /_sandbox/report``."""
        return self.app.report(log)

    def start(self) -> None:
        """Start answering; returns when it does."""
        self._thread.start()
        waited = threading.Event()
        for _ in range(int(START_SECONDS / 0.01)):
            if self._server.started:
                return
            waited.wait(0.01)
        raise StockPlatformError(f"the sandbox did not start within {START_SECONDS:g} s")

    def stop(self) -> None:
        """Stop answering and free the port."""
        self._server.should_exit = True
        self._server.force_exit = True
        self._thread.join(timeout=START_SECONDS)
        self._socket.close()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()


def serve(config: SandboxConfig, host: str = "127.0.0.1", port: int = 8700) -> None:
    """Answer until the process is interrupted.

    Raises:
        StockPlatformError: the port is taken.
    """
    taken = _bind(host, port)
    try:
        uvicorn.Server(_settings(SandboxApp(config))).run(sockets=[taken])
    finally:
        taken.close()


def _settings(app: SandboxApp) -> uvicorn.Config:
    # Disconnects on demand are errors to uvicorn; failures of ours are logged by the app.
    logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)
    return uvicorn.Config(
        app, log_config=None, access_log=False, lifespan="off", server_header=False,
        timeout_graceful_shutdown=2, backlog=2048,
    )  # fmt: skip


def _bind(host: str, port: int) -> socket.socket:
    made = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        made.bind((host, port))
    except OSError as error:
        made.close()
        raise StockPlatformError(
            f"the sandbox cannot listen on {host}:{port}: {error.strerror}; "
            "--port takes another, --port 0 any free one"
        ) from error
    return made
