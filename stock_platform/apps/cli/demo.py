"""``stock-platform demo``: the platform at work, offline.

Belongs here: options. Does not: the demo itself (apps/demo).
"""

from __future__ import annotations

import os
from typing import Annotated

import typer

from stock_platform.apps.cli.selection import Json


def demo(
    serve: Annotated[
        bool | None,
        typer.Option(
            "--serve/--no-serve",
            help="Show the Dagster UI afterwards, until Ctrl-C. Default: unless CI is set.",
            show_default=False,
        ),
    ] = None,
    tickers: Annotated[
        int, typer.Option(min=0, help="How many generated tickers beside the real ones.")
    ] = 400,
    *,
    fresh: Annotated[bool, typer.Option("--fresh", help="Start over in an empty folder.")] = False,
    json: Json = False,
) -> int:
    """Fill a database offline, through real Dagster runs, from a sandbox with limits and faults.

    Needs no keys and no network. Exit code 1 if anything fell short.
    """
    from stock_platform.apps.demo import run_demo

    in_ci = os.environ.get("CI", "").lower() not in ("", "0", "false")
    return run_demo(
        serve=not in_ci if serve is None else serve, tickers=tickers, fresh=fresh, as_json=json
    )
