"""``stock-platform export``: prices into Parquet, CSV or SQL files.

Belongs here: options, progress, the summary. Does not: the export (pipeline/export.py).
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from stock_platform.apps.cli.selection import Json, Scope, ScopeOption, TickersFile
from stock_platform.domain.errors import InputError

if TYPE_CHECKING:
    from stock_platform.pipeline.export_formats import Kind


def export(
    target: Annotated[
        Path,
        typer.Argument(
            help="A file (.parquet, .csv, .sql), or a folder for one file a year.",
            metavar="TARGET",
        ),
    ],
    tickers: Annotated[
        list[str] | None, typer.Argument(help="Tickers; none: those of the scope.")
    ] = None,
    scope: ScopeOption = Scope.WATCHLIST,
    tickers_file: TickersFile = None,
    start: Annotated[str | None, typer.Option(help="First session, such as 2024-01-31.")] = None,
    end: Annotated[str | None, typer.Option(help="Last session, inclusive.")] = None,
    interval: Annotated[str, typer.Option(help="1m, 5m, 15m, 1h, 1d, 1wk or 1mo.")] = "1d",
    adjust: Annotated[
        str, typer.Option(help="none: as traded; splits; all: splits and dividends.")
    ] = "none",
    format: Annotated[  # noqa: A002 - the option's name
        str | None, typer.Option(help="parquet, csv or sql. Default: the suffix, else parquet.")
    ] = None,
    *,
    delisted: Annotated[
        bool, typer.Option(help="Of the market: what is no longer listed, too.")
    ] = True,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with an export that was stopped.")
    ] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace an earlier export.")
    ] = False,
    json: Json = False,
) -> None:
    """Write stored prices to files, by year, whatever their number.

    Parts that are finished are kept: after Ctrl-C, or worse, go on with --resume. A folder has
    the layout year=2024/part-00000.parquet that polars, DuckDB and Spark read as one table.
    Prices are as traded unless adjusted; stamps are UTC at the bar's start. A ticker that several
    companies had, one after the other, has an asset_id for each.
    """
    from stock_platform.apps.cli import output as out
    from stock_platform.apps.cli.prices import check_interval
    from stock_platform.apps.cli.progress import CountProgress
    from stock_platform.apps.cli.selection import read_file, read_span, read_tickers
    from stock_platform.pipeline.export import Request, check_target, run_export
    from stock_platform.pipeline.runtime import Platform
    from stock_platform.storage import assets

    first, last = read_span(start, end)
    names = read_tickers([*(tickers or []), *(read_file(tickers_file) if tickers_file else [])])
    if names and scope is Scope.MARKET:
        raise InputError("scope", "market", "leave out the tickers, or use --scope watchlist")
    check_interval(interval, adjust)
    kind = choose_kind(format, target)
    with Platform.from_settings() as platform:
        ids: tuple[int, ...] = ()
        if not names:
            market = scope is Scope.MARKET
            known = assets.universe(
                platform.db, "market" if market else "watchlist", delisted=delisted
            ).sort("ticker", "asset_id")
            names, ids = tuple(known["ticker"]), tuple(known["asset_id"])
        if not names:
            raise InputError("tickers", "none", f"name some: the {scope} is empty")
        request = Request(target, kind, names, first, last, interval, adjust, ids)
        check_target(request, resume=resume, overwrite=overwrite)
        with CountProgress("export", "parts") as progress:
            try:
                summary = run_export(
                    platform.db, request, resume=resume, overwrite=overwrite, tell=progress
                )
            except KeyboardInterrupt:
                if request.state.is_dir():
                    out.note("finished parts are kept: go on with --resume")
                raise
    if json:
        out.show_json(summary.as_dict())
        return
    size, again = summary.bytes / 1e6, f", {summary.resumed:,} found finished"
    out.note(
        f"{out.plural(summary.rows, 'bar')} of {out.plural(summary.tickers, 'ticker')} in "
        f"{target} ({size:,.1f} MB, {out.plural(summary.parts, 'part')}"
        f"{again if summary.resumed else ''}, {out.duration(summary.seconds)})"
    )


def choose_kind(given: str | None, target: Path) -> Kind:
    """The format asked for, or the one that the name tells. Raises InputError."""
    from stock_platform.domain.errors import one_of
    from stock_platform.pipeline.export_formats import Kind

    suffix = target.suffix.lower().lstrip(".")
    if suffix.isalpha() and suffix not in set(Kind) and not target.is_dir():
        raise InputError(
            "target", str(target), "end its name in .parquet, .csv or .sql, or in none"
        )
    if given is not None and given not in set(Kind):
        raise InputError("format", given, one_of(Kind))
    if given is not None and suffix in set(Kind) and suffix != given:
        raise InputError("format", given, f"it does not go with {target.name}")
    return Kind(given or (suffix if suffix in set(Kind) else "parquet"))
