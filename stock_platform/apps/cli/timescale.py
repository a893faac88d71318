"""``stock-platform db timescale``: make the database use TimescaleDB.

Belongs here: options, progress, words. Does not: how it is done (storage/timescale).
"""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Annotated, Self

import typer

from stock_platform.apps.cli.selection import Json
from stock_platform.domain.errors import InputError

if TYPE_CHECKING:
    from stock_platform.storage.timescale import Advance, TimescaleStatus

EVERY_SECONDS = 5.0
"""Between lines of progress where there is no terminal."""


def timescale(
    *,
    status: Annotated[
        bool, typer.Option("--status", help="Show what is in use, and change nothing.")
    ] = False,
    cancel: Annotated[
        bool, typer.Option("--cancel", help="Give up a conversion that was not finished.")
    ] = False,
    json: Json = False,
) -> None:
    """Partition, compress and aggregate with TimescaleDB; readers and writers go on meanwhile.

    A database that began on plain PostgreSQL is converted table by table. Ended at any moment,
    the command goes on where it was when it is run again. Chunks, compression and retention
    follow STOCK_PLATFORM_CHUNK_DAYS, _COMPRESS_AFTER_DAYS and _RETENTION_DAYS.
    """
    from dataclasses import asdict

    from stock_platform.apps.cli import output
    from stock_platform.settings import load_settings
    from stock_platform.storage import timescale as storage
    from stock_platform.storage.migrate import migrate
    from stock_platform.storage.roles import ensure_roles

    if status and cancel:
        raise InputError("--cancel", "with --status", "give one of them")
    settings = load_settings()
    url = settings.resolve_database_url()
    dropped: list[str] = []
    steps: list[storage.Step] = []
    if cancel:
        dropped = storage.cancel(url)
    elif not status:
        migrate(url, settings.role_prefix, settings.timescale)
        with _Bars() as bars:
            steps = storage.set_up(url, settings.timescale, bars)
        ensure_roles(url, settings.role_prefix)
    found = storage.timescale_status(url)
    if json:
        told = {"steps": [asdict(step) for step in steps], "cancelled": dropped}
        output.show_json(asdict(found) | told)
        return
    for step in steps:
        typer.echo(f"{step.subject}: {step.action} ({step.seconds:.1f} s)")
    for table in dropped:
        typer.echo(f"{table}: the unfinished copy is dropped")
    if not status and not steps and not dropped:
        typer.echo("nothing to do")
    _show(found)


def _show(found: TimescaleStatus) -> None:
    from stock_platform.apps.cli import output
    from stock_platform.apps.cli.database import size

    typer.echo(f"{found.url}: {found.extension.told()}")
    rows = []
    for table in found.tables:
        kind = "hypertable" if table.hypertable else "plain table"
        if table.converting is not None:
            kind += f", {table.converting:,} rows copied"
        ratio = None
        if table.bytes_before and table.bytes_after:
            ratio = f"{table.bytes_before / table.bytes_after:.1f} x"
        chunks = f"{table.compressed} of {table.chunks}" if table.hypertable else None
        rows.append(
            [
                table.name,
                kind,
                size(table.bytes),
                chunks,
                ratio,
                table.compress_after,
                table.retention,
            ]
        )
    columns = ["table", "kind", "size", "compressed", "ratio", "compress after", "keep"]
    output.show_table(columns, rows)
    if found.aggregates:
        typer.echo(f"continuous aggregates: {', '.join(found.aggregates)}")


class _Bars:
    """Progress on stderr: bars on a terminal, else a line now and then."""

    def __init__(self) -> None:
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

        from stock_platform.apps.cli import output

        console = output.console(stderr=True)
        self._bars = None
        if console.is_terminal:
            self._bars = Progress(
                TextColumn("{task.description}"),
                BarColumn(),
                MofNCompleteColumn(),
                console=console,
                transient=True,
            )
        self._tasks: dict[str, int] = {}
        self._said = 0.0

    def __enter__(self) -> Self:
        if self._bars is not None:
            self._bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._bars is not None:
            self._bars.stop()

    def __call__(self, advance: Advance) -> None:
        """Show a moment of the work."""
        title = f"{advance.stage} {advance.table}"
        if self._bars is not None:
            from rich.progress import TaskID

            if title not in self._tasks:
                self._tasks[title] = int(self._bars.add_task(title))
            task = TaskID(self._tasks[title])
            self._bars.update(task, completed=advance.done, total=advance.total)
        elif time.monotonic() - self._said >= EVERY_SECONDS or advance.done >= advance.total:
            self._said = time.monotonic()
            sys.stderr.write(f"{title}: {advance.done:,} of about {advance.total:,}\n")
            sys.stderr.flush()
