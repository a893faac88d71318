"""``stock-platform untrack``: the way off the watchlist.

Belongs here: options and words. Does not: the watchlist itself (storage/assets.py), the way
onto it (``backfill``, ``live on``, ``portfolio buy``).
"""

from __future__ import annotations

from typing import Annotated

import typer


def untrack(
    tickers: Annotated[
        list[str], typer.Argument(help="Tickers in any common spelling.", metavar="TICKER...")
    ],
) -> int:
    """Ask no more for tickers, such as a misspelled one. What is stored stays.

    A ticker that a portfolio holds stays tracked; the exit code is 3 then.
    """
    from stock_platform.apps.cli import DONE, PARTLY, output
    from stock_platform.apps.cli.selection import read_tickers
    from stock_platform.pipeline.runtime import Platform
    from stock_platform.storage import assets

    names = read_tickers(tickers)
    with Platform.from_settings() as platform:
        found = assets.resolve_any(platform.db, names)
        for name in names:
            if name not in found:
                raise assets.unknown_ticker(platform.db, name)
        assets.untrack(platform.db, list(found.values()))
        still = set(assets.tracked(platform.db))
    held = [name for name in names if found[name] in still]
    gone = [name for name in names if name not in held]
    if gone:
        typer.echo(f"{', '.join(gone)}: no longer tracked; stock-platform backfill tracks again")
    if held:
        output.note(f"{', '.join(held)}: held in a portfolio, so still tracked")
    return PARTLY if held else DONE
