"""The command line ``stock-platform``: one module a group of commands.

Belongs here: the entry point, and how errors become one line and an exit code. Does not:
any command's work. Modules of commands import nothing heavy at their top, so that help
comes at once; Dagster is imported by ``backfill`` and ``demo`` alone.

Exit codes: 0 done; 1 failed; 2 wrong usage or a value that is not allowed; 3 partly done;
130 interrupted by Ctrl-C (143 by SIGTERM).
"""

from __future__ import annotations

import os
import signal
import sys
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TextIO

DONE, FAILED, USAGE, PARTLY = 0, 1, 2, 3
INTERRUPTED, TERMINATED, BROKEN_PIPE = 130, 143, 141

_PROGRAM = "stock-platform"
DAGSTER_INTERRUPTED = "DagsterExecutionInterruptedError"
"""What Dagster raises for Ctrl-C in a run: told by its name, so that Dagster is not imported."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; the process's exit code."""
    given = list(sys.argv[1:] if argv is None else argv)
    debug = "--debug" in given or os.environ.get("STOCK_PLATFORM_DEBUG", "") not in ("", "0")
    words = [word for word in given if word != "--debug"] or ["--help"]
    with _sigterm_interrupts() as terminated:
        try:
            return _run(words)
        except KeyboardInterrupt:
            return TERMINATED if terminated else INTERRUPTED
        except BrokenPipeError:  # the reader of our output has gone, as `| head` does
            for stream in (sys.stdout, sys.stderr):  # so that nothing is flushed into it at exit
                _let_go(stream)
            return BROKEN_PIPE
        except Exception as error:  # noqa: BLE001 - the last place that can say it in one line
            if debug:
                traceback.print_exc()
            message, code = explain(error)
            if message:  # a group without a command has printed its help
                sys.stderr.write(f"error: {message}\n")
            return code
        except BaseException as error:
            if type(error).__name__ != DAGSTER_INTERRUPTED:
                raise
            return TERMINATED if terminated else INTERRUPTED


def _let_go(stream: TextIO) -> None:
    try:
        stream.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _run(words: list[str]) -> int:
    import typer

    from stock_platform.apps.cli.app import app

    command = typer.main.get_command(app)
    try:
        result: Any = command.main(words, prog_name=_PROGRAM, standalone_mode=False)
    except typer.Abort as error:
        raise KeyboardInterrupt from error
    sys.stdout.flush()
    return result if isinstance(result, int) else DONE


def explain(error: BaseException) -> tuple[str, int]:
    """An error in one line, and its exit code."""
    from stock_platform.domain.errors import StockPlatformError

    if isinstance(error, StockPlatformError):
        return one_line(str(error)), error.exit_code
    usage = getattr(error, "format_message", None)  # typer's usage errors, whoever vendors them
    if usage is not None:
        text = one_line(usage()).replace("Value error, ", "")
        text = text[:1].lower() + text[1:] + (_see(error) if text else "")
        return text, int(getattr(error, "exit_code", USAGE))
    if isinstance(error, OSError) and error.strerror:
        where = f": {error.filename}" if error.filename else ""
        return one_line(f"{error.strerror}{where}"), FAILED
    return f"{one_line(f'{type(error).__name__}: {error}')} (--debug shows where)", FAILED


def _see(error: BaseException) -> str:
    """Where the help of the command is that was used wrongly."""
    path = getattr(getattr(error, "ctx", None), "command_path", None)
    return f" (see `{path} --help`)" if path else ""


def one_line(text: str, longest: int = 600) -> str:
    """Text without line breaks, and not endless."""
    line = " ".join(text.split())
    return line if len(line) <= longest else f"{line[:longest]}..."


@contextmanager
def _sigterm_interrupts() -> Iterator[list[int]]:
    """Let SIGTERM end a command as Ctrl-C does: what is committed stays, children are stopped."""
    caught: list[int] = []

    def interrupt(number: int, _frame: object) -> None:
        caught.append(number)
        if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # a background job of a shell
            raise KeyboardInterrupt
        os.kill(os.getpid(), signal.SIGINT)  # whoever handles Ctrl-C now, Dagster perhaps

    try:
        before = signal.signal(signal.SIGTERM, interrupt)
    except ValueError:  # not in the main thread: whoever embeds us handles signals
        yield caught
        return
    try:
        yield caught
    finally:
        signal.signal(signal.SIGTERM, before)
