"""A backfill's progress on stderr: a live bar in a terminal, a line now and then elsewhere.

Belongs here: showing progress. Does not: counting it (pipeline/report.py).
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Self

from stock_platform.apps.cli.output import console, duration

if TYPE_CHECKING:
    from rich.progress import Progress as Bar
    from rich.progress import TaskID

    from stock_platform.pipeline.report import Progress

EVERY_SECONDS = 5.0
FETCHING, JUDGING = "fetching", "validating, aggregating"


class RunProgress:
    """Progress of one run while the ``with`` block lasts; call it with each ``Progress``."""

    def __init__(self, title: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._title = title
        self._clock = clock
        self._began = clock()
        self._said = self._began - EVERY_SECONDS
        self._bar: Bar | None = None
        self._task: TaskID | None = None
        self.latest: Progress | None = None

    def __call__(self, progress: Progress) -> None:
        """Show a moment of the fetch."""
        self.latest = progress
        if self._bar is not None and self._task is not None:
            self._bar.update(
                self._task,
                total=progress.asked,
                completed=progress.done,
                description=self._describe(progress),
                detail=self._detail(progress),
            )
        elif self._clock() - self._said >= EVERY_SECONDS or progress.done >= progress.asked:
            self._said = self._clock()
            share = progress.done / progress.asked if progress.asked else 1.0
            cells = f"{share:.0%} of {progress.asked:,} cells"
            sys.stderr.write(f"{self._title}: {cells}, {self._detail(progress)}\n")
            sys.stderr.flush()

    def _describe(self, progress: Progress) -> str:
        return JUDGING if progress.done >= progress.asked else FETCHING

    def _detail(self, progress: Progress) -> str:
        calls = ", ".join(f"{name} {n:,}" for name, n in sorted(progress.calls.items()))
        made = sum(progress.calls.values())
        text = f"{made:,} of about {max(progress.planned_calls, made):,} calls"
        text += f" ({calls})" if calls else ""
        left = progress.expected_seconds - (self._clock() - self._began)
        if progress.done < progress.asked and left > 1:
            text += f", about {duration(left)} left"
        return text

    def __enter__(self) -> Self:
        terminal = console(stderr=True)
        if terminal.is_terminal:
            from rich.progress import (
                BarColumn,
                MofNCompleteColumn,
                SpinnerColumn,
                TextColumn,
                TimeElapsedColumn,
            )
            from rich.progress import Progress as Bar
            from rich.table import Column

            self._bar = Bar(
                SpinnerColumn(),
                TextColumn("{task.description}", table_column=Column(no_wrap=True)),
                BarColumn(bar_width=12),
                MofNCompleteColumn(),
                TextColumn("{task.fields[detail]}", style="dim", table_column=Column(no_wrap=True)),
                TimeElapsedColumn(),
                console=terminal,
                transient=True,
            )
            self._bar.start()
            self._task = self._bar.add_task(f"{self._title}: starting", total=None, detail="")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._bar is not None:
            self._bar.stop()


class CountProgress:
    """Progress of work in parts while the ``with`` block lasts; call it with done, all, rows."""

    def __init__(self, title: str, unit: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._title = title
        self._unit = unit
        self._clock = clock
        self._said = clock()
        self._bar: Bar | None = None
        self._task: TaskID | None = None

    def __call__(self, done: int, total: int, rows: int) -> None:
        """Show how far it is."""
        if self._bar is not None and self._task is not None:
            self._bar.update(self._task, total=total, completed=done, detail=f"{rows:,} rows")
        elif self._clock() - self._said >= EVERY_SECONDS:
            self._said = self._clock()
            sys.stderr.write(f"{self._title}: {done:,} of {total:,} {self._unit}, {rows:,} rows\n")
            sys.stderr.flush()

    def __enter__(self) -> Self:
        terminal = console(stderr=True)
        if terminal.is_terminal:
            from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
            from rich.progress import Progress as Bar

            self._bar = Bar(
                TextColumn("{task.description}"),
                BarColumn(),
                MofNCompleteColumn(),
                TextColumn("{task.fields[detail]}", style="dim"),
                TimeElapsedColumn(),
                console=terminal,
                transient=True,
            )
            self._bar.start()
            self._task = self._bar.add_task(self._title, total=None, detail="")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._bar is not None:
            self._bar.stop()
