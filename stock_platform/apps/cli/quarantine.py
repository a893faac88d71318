"""``stock-platform quarantine``: the rows that were not good enough, and why.

Belongs here: listing them. Does not: judging (domain/validation).
"""

from __future__ import annotations

from typing import Annotated

import typer

from stock_platform.apps.cli.selection import Json, Tickers


def quarantine(
    tickers: Tickers = None,
    start: Annotated[str | None, typer.Option(help="First session.")] = None,
    end: Annotated[str | None, typer.Option(help="Last session, inclusive.")] = None,
    limit: Annotated[
        int, typer.Option(min=1, help="At most so many rows, the latest first.")
    ] = 100,
    *,
    json: Json = False,
) -> None:
    """List rows that failed validation or could not be read, with every reason."""
    from stock_platform.apps.cli import output
    from stock_platform.apps.cli.selection import read_span, read_tickers
    from stock_platform.pipeline.runtime import Platform
    from stock_platform.storage import assets, readers

    first, last = read_span(start, end)
    names = read_tickers(tickers or [])
    with Platform.from_settings() as platform:
        ids = None
        if names:
            ids = platform.assets_for(names, register=False)["asset_id"].to_list()
        frame = readers.quarantined(platform.db, ids, first, last, limit)
        named = assets.by_id(platform.db, frame["asset_id"].drop_nulls().unique().to_list())
    known = dict(named.select("asset_id", "ticker").iter_rows())
    rows = frame.to_dicts()
    for row in rows:
        row["ticker"] = known.get(row["asset_id"]) or row["ticker"]
    if json:
        output.show_json(rows)
        return
    output.show_table(
        ["session", "ticker", "source", "stage", "reasons", "row"],
        [
            [r["session"], r["ticker"], r["source"], r["stage"], r["reasons"], r["row"]]
            for r in rows
        ],
    )
    output.note(output.plural(len(rows), "row"))
