"""``stock-platform up``: the database, the Dagster UI, the daemon and the HTTP API, until Ctrl-C.

Belongs here: options, and what is printed. Does not: services (apps/services.py).
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from stock_platform.settings import Settings


def up(
    port: Annotated[
        int | None,
        typer.Option(min=0, max=65535, help="Port of the UI; default: the first free from 3000."),
    ] = None,
    host: Annotated[
        str | None,
        typer.Option(help="Address to listen on; default: STOCK_PLATFORM_WEBSERVER_HOST."),
    ] = None,
    *,
    open_browser: Annotated[bool, typer.Option("--open", help="Open the UI in a browser.")] = False,
) -> None:
    """Start everything: database, Dagster UI, daemon, HTTP API. One Ctrl-C stops it all."""
    from stock_platform.apps.services import dagster_services, start_api
    from stock_platform.apps.supervise import Supervisor, free_port, only_one
    from stock_platform.settings import load_settings

    settings = load_settings()
    with only_one(settings.home / "up.lock", "stock-platform up") as tell:
        wanted = settings.webserver_port if port is None else port
        address = host or settings.webserver_host
        chosen = free_port(address, wanted, exactly=port is not None)
        with database(settings), Supervisor(settings.home / "logs") as supervisor:
            typer.echo("starting Dagster ...")
            with dagster_services(supervisor, settings, chosen, address) as url:
                tell(url)
                if settings.api_port:
                    where = settings.api_host
                    served = start_api(supervisor, where, free_port(where, settings.api_port))
                    typer.echo(f"HTTP API: {served}/docs")
                typer.echo(f"Dagster UI: {url}  (logs: {supervisor.log_dir}; Ctrl-C stops all)")
                if open_browser:
                    show_in_browser(url)
                try:
                    supervisor.watch()
                except KeyboardInterrupt:
                    typer.echo("stopping ...")


@contextmanager
def database(settings: Settings) -> Iterator[None]:
    """The database, migrated. An embedded server that this call started stops at the end.

    It stays if others are connected by then. Raises DatabaseError.
    """
    from stock_platform.storage.connection import described
    from stock_platform.storage.embedded import server_status, stop_server
    from stock_platform.storage.info import other_clients
    from stock_platform.storage.migrate import migrate

    ours = settings.database_url is None and server_status(settings.home) is None
    url = settings.resolve_database_url()
    applied = migrate(url, settings.role_prefix, settings.timescale)
    kind = "embedded PostgreSQL" if settings.database_url is None else "database"
    typer.echo(f"{kind}: {described(url)}" + (f", migrated ({len(applied)})" if applied else ""))
    try:
        yield
    finally:
        if ours and server_status(settings.home) is not None:
            if other_clients(url):
                typer.echo("the embedded PostgreSQL stays: others use it (stock-platform db stop)")
            else:
                stop_server(settings.home)


def show_in_browser(url: str) -> None:
    """Open a page, where there is a screen and a person before it."""
    import webbrowser

    screen = sys.platform in ("darwin", "win32") or os.environ.get("DISPLAY")
    if screen and sys.stdout.isatty():
        webbrowser.open(url)
