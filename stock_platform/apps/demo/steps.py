"""The demo, step by step: start, fill, look back, serve.

Belongs here: the order of steps, and what counts as falling short. Does not: its world
(world.py), wording (words.py).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from stock_platform.apps.demo import words, world
from stock_platform.apps.demo.world import World
from stock_platform.apps.supervise import Supervisor, free_port, only_one

if TYPE_CHECKING:
    from datetime import date

    import polars as pl

    from stock_platform.domain.cells import CellGrid
    from stock_platform.orchestration.launch import RunResult
    from stock_platform.pipeline.runtime import Platform
    from stock_platform.settings import Settings

Say = Callable[[str], None]

_INTERRUPTED = "DagsterExecutionInterruptedError"
"""What a run that Ctrl-C ended says of itself."""


@dataclass(frozen=True)
class Part:
    """One of the demo's two backfills, before it ran.

    Attributes:
        scope: watchlist or market.
        assets: asset_id, ticker and more.
        start, end: first and last session.
        grid: its cells.
        missing: how many of them needed a call; ``asked`` of how many assets.
    """

    scope: str
    assets: pl.DataFrame
    start: date
    end: date
    grid: CellGrid
    missing: int
    asked: int


def run_demo(*, serve: bool, tickers: int, fresh: bool, as_json: bool) -> int:
    """Fill the demo's database and tell what happened; the exit code.

    Raises:
        StockPlatformError: something did not start, or the folder is not a demo's.
    """
    from stock_platform.apps.cli import output

    began = time.monotonic()
    made = World(world.default_home(), tickers)
    say = output.note if as_json else words.say
    with (
        only_one(made.home / world.LOCK, "this demo") as tell,
        Supervisor(made.home / "logs") as supervisor,
    ):
        made.prepare(fresh=fresh)
        say("starting an embedded PostgreSQL and the sandbox ...")
        sandbox = world.start_sandbox(supervisor, made)
        made.enter(sandbox)
        from stock_platform.settings import load_settings

        settings = load_settings()
        with _server(settings):
            facts = fill(settings, made, sandbox, say)
            facts["seconds"] = round(time.monotonic() - began, 1)
            if as_json:
                output.show_json(facts)
            else:
                words.show(facts)
            if serve:
                _serve(settings, supervisor, tell, say)
    return 1 if facts["problems"] else 0


def fill(settings: Settings, made: World, sandbox: str, say: Say) -> dict[str, Any]:
    """Run both backfills and gather what happened."""
    from stock_platform.apps.demo import account
    from stock_platform.pipeline.runtime import Platform

    with Platform.from_settings(settings) as platform:
        everyone = platform.shard_assets()  # an empty catalog is filled first
        watched = platform.assets_for(list(world.TICKERS))
        say(f"filling it with {everyone.height:,} symbols, as of {world.NOW:%Y-%m-%d} ...")
        parts = [
            _part(platform, "market", everyone, world.MARKET_FIRST),
            _part(platform, "watchlist", watched, world.FIRST),
        ]
        ran = [(part, _run(platform, made, part)) for part in parts]
        return account.gather(platform, made, ran, sandbox)


def _part(platform: Platform, scope: str, assets: pl.DataFrame, first: date) -> Part:
    grid = platform.cells(assets, platform.sessions(first, world.LAST))
    missing = platform.missing(grid)
    asked = int(missing.mask.any(axis=1).sum())
    return Part(scope, assets, first, world.LAST, grid, len(missing), asked)


@dataclass(frozen=True)
class Ran:
    """A backfill that ran (``result`` None: nothing was left to do), and how long it took."""

    result: RunResult | None
    seconds: float


def _run(platform: Platform, made: World, part: Part) -> Ran:
    """Backfill a part through Dagster, unless an earlier demo finished it."""
    finished = made.memory().get("finished", [])
    if part.scope in finished and not part.missing:
        return Ran(None, 0.0)
    from stock_platform.apps.cli.progress import RunProgress
    from stock_platform.orchestration.launch import materialize_range

    began = time.monotonic()
    with RunProgress(part.scope) as progress:
        result = materialize_range(
            platform,
            scope=part.scope,
            tickers=list(world.TICKERS) if part.scope == "watchlist" else None,
            start=part.start,
            end=part.end,
            retry_failed=True,
            progress=progress,
        )
    if result.error and _INTERRUPTED in result.error:
        raise KeyboardInterrupt
    if result.success:
        made.remember(finished=sorted({*finished, part.scope}))
    return Ran(result, time.monotonic() - began)


@contextmanager
def _server(settings: Settings) -> Iterator[None]:
    """The demo's own embedded server, which no process of it outlives."""
    from stock_platform.storage.embedded import ensure_server, stop_server

    ensure_server(settings.home)
    try:
        yield
    finally:
        stop_server(settings.home)


def _serve(
    settings: Settings, supervisor: Supervisor, tell: Callable[[str], None], say: Say
) -> None:
    """Show the Dagster UI until Ctrl-C."""
    from stock_platform.apps.services import dagster_services

    port = free_port(settings.webserver_host, settings.webserver_port)
    say("starting the Dagster UI ...")
    with dagster_services(supervisor, settings, port) as url:
        tell(url)
        say(f"Dagster UI: {url}  (Ctrl-C stops all; logs: {supervisor.log_dir})")
        try:
            supervisor.watch()
        except KeyboardInterrupt:
            say("stopping ...")
