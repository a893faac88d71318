"""The services of ``up`` and ``demo``: Dagster's code server, web server and daemon.

Belongs here: their command lines, order, and DAGSTER_HOME. Does not: processes (supervise.py),
what Dagster runs (orchestration/).

One code server is shared by the web server and the daemon, which is one process less than
``dagster dev`` and half the memory of one each. The location has the same name, and the
instance is the one that ``dagster dev`` in the repository uses, so both show one history.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from stock_platform.apps.supervise import Service, Supervisor, answers
from stock_platform.domain.errors import StockPlatformError

if TYPE_CHECKING:
    from stock_platform.settings import Settings

LOCATION = "stock_platform"
MODULE = "stock_platform.definitions"
CONFIGURATION = Path(__file__).parents[1] / "dagster.yaml"
OURS = "(Delete this line there to keep your own.)"
"""In a line of the file for as long as we may replace it."""


def prepare_home(settings: Settings) -> Path:
    """The folder for DAGSTER_HOME: the one that is set, or ours with this version's dagster.yaml.

    dagster.yaml holds no address and no password: its classes ask the settings. A file that its
    owner has taken over (see OURS) is left as it is.

    Raises:
        StockPlatformError: the folder that is set is none.
    """
    given = os.environ.get("DAGSTER_HOME")
    if given:
        if not Path(given).is_dir():
            raise StockPlatformError(f"DAGSTER_HOME is {given}, which is no folder")
        return Path(given).absolute()
    home = settings.home.absolute() / "dagster"
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    there = home / CONFIGURATION.name
    if there.is_file() and OURS not in there.read_text(encoding="utf-8"):
        return home
    part = home / f".dagster.yaml.{os.getpid()}"
    part.write_bytes(CONFIGURATION.read_bytes())
    part.replace(there)
    return home


@contextmanager
def dagster_services(
    supervisor: Supervisor, settings: Settings, port: int, host: str | None = None
) -> Iterator[str]:
    """Dagster's services while the block lasts; yields the address once the UI answers.

    Raises:
        StockPlatformError: a service ended, or does not answer.
    """
    home = prepare_home(settings)
    with TemporaryDirectory(prefix="stock_platform_") as folder:
        code = Path(folder) / "code.sock"  # short: a socket's path has at most 107 characters
        workspace = Path(folder) / "workspace.yaml"
        workspace.write_text(
            "load_from:\n  - grpc_server:\n"
            f"      socket: {code}\n      location_name: {LOCATION}\n",
            encoding="utf-8",
        )
        environment = {"DAGSTER_HOME": str(home), "DAGSTER_DISABLE_TELEMETRY": "1"}
        supervisor.start(
            Service(
                "code-server",
                [
                    *(sys.executable, "-m", "dagster", "api", "grpc", "--lazy-load-user-code"),
                    *("--module-name", MODULE, "--socket", str(code)),
                    *("--location-name", LOCATION, "--use-python-environment-entry-point"),
                ],
                environment,
                signal.SIGTERM,
            )
        )
        supervisor.wait_until(code.exists, "Dagster's code server")
        host = host or settings.webserver_host
        supervisor.start(
            Service(
                "webserver",
                [
                    *(sys.executable, "-m", "dagster_webserver", "--workspace", str(workspace)),
                    *("--host", host, "--port", str(port)),
                ],
                environment,
            )
        )
        supervisor.start(
            Service(
                "daemon",
                [
                    *(sys.executable, "-m", "dagster._daemon", "run"),
                    *("--workspace", str(workspace)),
                ],
                environment,
            )
        )
        url = address(host, port)
        supervisor.wait_until(lambda: answers(f"{url}/server_info"), "the Dagster UI")
        try:
            yield url
        finally:
            supervisor.stop()


def start_api(supervisor: Supervisor, host: str, port: int) -> str:
    """Start the HTTP API; its address, once it answers.

    Raises:
        StockPlatformError: it ended, or does not answer.
    """
    command = [sys.executable, "-m", "stock_platform", "api", "serve"]
    supervisor.start(Service("api", [*command, "--host", host, "--port", str(port)]))
    url = address(host, port)
    supervisor.wait_until(lambda: answers(f"{url}/health"), "the HTTP API")
    return url


def address(host: str, port: int) -> str:
    """Where to reach from this machine what listens on ``host``."""
    reached = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - compared
    return f"http://[{reached}]:{port}" if ":" in reached else f"http://{reached}:{port}"
