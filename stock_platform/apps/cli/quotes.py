"""``stock-platform quotes`` and ``live``: the newest prices, and who is asked for them.

Belongs here: showing, and turning the watch on and off. Does not: asking (pipeline/live.py).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from stock_platform.apps.cli.selection import Json

if TYPE_CHECKING:
    import polars as pl

app = typer.Typer(no_args_is_help=True, help="Turn live prices of tracked tickers on and off.")

Names = Annotated[list[str], typer.Argument(help="Tickers in any common spelling.")]


def quotes(
    tickers: Annotated[
        list[str] | None, typer.Argument(help="Tickers; none: all that have a quote.")
    ] = None,
    *,
    refresh: Annotated[
        bool, typer.Option("--refresh", help="Ask for them first, whatever the hour.")
    ] = False,
    json: Json = False,
) -> int:
    """Print the newest price of each ticker, with the exchange's stamp and its age then."""
    from stock_platform.apps.cli import DONE, FAILED, PARTLY, output
    from stock_platform.apps.cli.selection import read_tickers
    from stock_platform.domain.errors import InputError
    from stock_platform.pipeline.live import ask_now
    from stock_platform.pipeline.runtime import Platform
    from stock_platform.storage import quotes as stored

    names = read_tickers(tickers) if tickers else []
    silent: list[str] = []
    with Platform.from_settings() if refresh else Platform.reading() as platform:
        if names:
            wanted = platform.assets_for(names, register=False)
        else:
            wanted = platform.watchlist_assets()
        ids = wanted["asset_id"].to_list()
        if refresh:
            if not ids:
                raise InputError("tickers", "", "name one: no ticker is tracked")
            report = ask_now(platform, ids)
            silent = report.silent
            for name, said in sorted(report.failures.items()):
                output.note(f"{name}: {said}")
        frame = stored.latest(platform.db, ids if names else None)
    if json:
        output.show_json(frame.drop("asset_id").to_dicts())
    elif frame.is_empty():
        output.note("no quote is stored: stock-platform quotes AAPL --refresh")
    else:
        _show(frame)
    for ticker in silent:
        typer.echo(f"error: {ticker}: no source has a good quote of it", err=True)
    if not silent:
        return DONE
    return PARTLY if len(silent) < len(ids) else FAILED


def _show(frame: pl.DataFrame) -> None:
    from stock_platform.apps.cli import output

    rows = [
        (
            row["ticker"],
            row["price"],
            None
            if not row["previous_close"]
            else f"{100 * (row['price'] / row['previous_close'] - 1):+.2f}",
            row["currency"],
            row["quoted_at"],
            output.duration(max(0.0, row["age_seconds"])),
            row["source"],
        )
        for row in frame.iter_rows(named=True)
    ]
    output.show_table(
        ["ticker", "price", "change %", "currency", "exchange's stamp", "age stored", "source"],
        rows,
    )


@app.command("on")
def on(
    tickers: Names,
    every: Annotated[
        int | None,
        typer.Option(
            min=1, max=1440, help="Minutes; default: STOCK_PLATFORM_LIVE_MINUTES.", metavar="N"
        ),
    ] = None,
) -> None:
    """Ask for quotes of tickers while their exchange is open; tracks those that are not yet."""
    _watch(tickers, every)


@app.command("off")
def off(tickers: Names) -> None:
    """Ask for no more quotes of tickers; they stay tracked."""
    _watch(tickers, 0)


@app.command("list")
def show(*, json: Json = False) -> None:
    """List who is asked for, how often, and when last."""
    from stock_platform.apps.cli import output
    from stock_platform.pipeline.runtime import Platform
    from stock_platform.storage import quotes as stored

    with Platform.reading() as platform:
        frame = stored.watched(platform.db, platform.settings.live_minutes)
    shown = frame.select("ticker", "calendar", "every", "asked_at").sort("ticker")
    if json:
        output.show_json(shown.to_dicts())
    else:
        output.show_frame(shown)


def _watch(tickers: list[str], every: int | None) -> None:
    from stock_platform.apps.cli.selection import read_tickers
    from stock_platform.pipeline.runtime import Platform
    from stock_platform.storage import quotes as stored

    names = read_tickers(tickers)
    with Platform.from_settings() as platform:
        ids = platform.assets_for(names, register=every != 0)["asset_id"].to_list()
        stored.watch(platform.db, ids, every)
        minutes = platform.settings.live_minutes if every is None else every
    often = f"every {minutes} min while it trades" if minutes else "never"
    typer.echo(f"{', '.join(names)}: {often}")
