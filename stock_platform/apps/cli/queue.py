"""``stock-platform portfolio queue``: the histories that purchases ask for, and trying them again.

Belongs here: options and tables. Does not: states and times (storage/backfills.py), the work
(pipeline/backfilling.py).
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any

import typer

from stock_platform.apps.cli.selection import Json

app = typer.Typer(
    help="Show the queue of histories to fill; try failed and waiting ones again.",
    invoke_without_command=True,
)


class State(StrEnum):
    """States of a job."""

    PENDING = "pending"
    IN_PROGRESS = "in_progress"
    RATE_LIMITED = "rate_limited"
    COMPLETED = "completed"
    FAILED = "failed"


@app.callback()
def show(
    context: typer.Context,
    state: Annotated[State | None, typer.Option(help="Only jobs in this state.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=100_000, help="At most so many.")] = 30,
    *,
    json: Json = False,
) -> None:
    """Show the jobs, the latest first, and how many there are in each state.

    A job waits (pending), is worked on (in_progress), waits for a quota (rate_limited), or has
    ended. A failure is tried again after 5, 10, 20 and 40 minutes; the fifth is the last.
    """
    from stock_platform.apps.cli import output
    from stock_platform.pipeline.runtime import Platform
    from stock_platform.storage import assets, backfills, gauges

    if context.invoked_subcommand is not None:
        return
    with Platform.reading() as platform:
        found = gauges.queue(platform.db)
        rows = backfills.jobs(platform.db, state, limit).to_dicts()
        named = assets.by_id(platform.db, sorted({row["asset_id"] for row in rows}))
    tickers = dict(named.select("asset_id", "ticker").iter_rows())
    shown = [{"ticker": tickers.get(row["asset_id"]), **row} for row in rows]
    if json:
        output.show_json(
            {
                "states": found.states,
                "oldest_due": found.oldest_due,
                "open_events": found.open_events,
                "jobs": shown,
            }
        )
        return
    output.show_pairs({name: count for name, count in found.states.items() if count})
    if shown:
        columns = ["ticker", "first_day", "last_day", "state", "attempts", "retry_after", "error"]
        output.show_table(
            ["ticker", "from", "to", "state", "attempts", "again at (UTC)", "error"],
            [[_cell(row, name) for name in columns] for row in shown],
        )
    output.note(
        f"{output.plural(len(shown), f'{state} job' if state else 'job')}, the latest first"
    )
    if found.open_events:
        events = output.plural(found.open_events, "event")
        output.note(f"{events} of portfolios not acted on yet: stock-platform up does")
    if found.states.get(State.FAILED):
        output.note("failed ones again: stock-platform portfolio queue retry --all")


@app.command("retry")
def retry(
    ticker: Annotated[str | None, typer.Argument(help="Whose history.")] = None,
    *,
    everything: Annotated[
        bool, typer.Option("--all", help="Every failed and waiting history.")
    ] = False,
    json: Json = False,
) -> None:
    """Make failed and waiting histories due now, with all attempts before them again."""
    from stock_platform.apps.cli import output
    from stock_platform.apps.cli.selection import read_tickers
    from stock_platform.domain.errors import InputError
    from stock_platform.pipeline.runtime import Platform
    from stock_platform.storage import backfills

    if (ticker is None) != everything:
        raise InputError("ticker", ticker or "", "name one ticker, or give --all")
    names = read_tickers([ticker]) if ticker else []
    with Platform.from_settings() as platform:
        ids = None
        if names:
            ids = platform.assets_for(names, register=False)["asset_id"].to_list()
        count = backfills.retry(platform.db, ids)
    if json:
        output.show_json({"due_now": count})
        return
    if count:
        typer.echo(f"{output.plural(count, 'history', 'histories')} due now")
    else:
        typer.echo("none has failed, and none waits")


def _cell(row: dict[str, Any], name: str) -> Any:
    value = row[name]
    if name == "retry_after" and value is not None:
        return f"{value:%Y-%m-%d %H:%M}"
    return value
