"""``stock-platform series``: economic series, stored and as they were known.

Belongs here: listing, printing, refreshing. Does not: asking and storing (pipeline/series.py).
"""

from __future__ import annotations

from typing import Annotated

import typer

from stock_platform.apps.cli.prices import Format, Output
from stock_platform.apps.cli.selection import Json


def series(
    ids: Annotated[
        list[str] | None,
        typer.Argument(help="Ids such as GDP or DGS10; none: list what there is.", metavar="ID"),
    ] = None,
    start: Annotated[str | None, typer.Option(help="First date.")] = None,
    end: Annotated[str | None, typer.Option(help="Last date, inclusive.")] = None,
    as_of: Annotated[str | None, typer.Option(help="As the values were known on this day.")] = None,
    format: Annotated[  # noqa: A002 - the option's name
        Format | None, typer.Option(help="Default: the output's suffix, else a table.")
    ] = None,
    output: Output = None,
    *,
    refresh: Annotated[
        bool, typer.Option("--refresh", help="Ask for the series first, and store what is new.")
    ] = False,
    json: Json = False,
) -> int:
    """Print economic series (FRED), or refresh them; without ids list what is stored."""
    from stock_platform.apps.cli import DONE, FAILED, PARTLY
    from stock_platform.apps.cli import output as out
    from stock_platform.apps.cli.prices import choose_format, write
    from stock_platform.apps.cli.selection import read_date, read_span
    from stock_platform.domain.errors import InputError
    from stock_platform.pipeline.runtime import Platform
    from stock_platform.storage.series import known
    from stock_platform.storage.series import series as read_series

    first, last = read_span(start, end)
    day = read_date("as-of", as_of) if as_of else None
    chosen = Format.JSON if json else choose_format(format, output)
    failures: dict[str, str] = {}
    with Platform.from_settings() if refresh else Platform.reading() as platform:
        names = [text.strip().upper() for text in ids or []]
        if refresh:
            report = platform.refresh_series(names or platform.settings.series)
            failures = report.failures
            names = names or list(report.written)
            changed = sum(report.written.values())
            out.note(f"{out.plural(changed, 'value')} new or revised")
        if not names:
            frame = known(platform.db)
        else:
            frame = read_series(platform.db, names, first, last, day)
            there = set(frame["series_id"])
            lacking = [n for n in names if n not in there and n not in failures]
            if lacking and not (refresh or first or last or day):
                raise InputError(
                    "series", lacking[0], "use one that is stored, or --refresh to ask for it"
                )
    write(frame, chosen, output, unit="row", hide=("seasonal_adjustment",))
    if not names and frame.is_empty():
        out.note("no series is stored yet: stock-platform series GDP --refresh")
    for name, reason in failures.items():
        typer.echo(f"error: {name}: {reason}", err=True)
    if not failures:
        return DONE
    return PARTLY if frame.height else FAILED
