"""``stock-platform quarantine``: the rows that were not good enough, why, and what people decided.

Belongs here: listing and showing them, accepting and rejecting. Does not: judging
(domain/validation), what a decision does (pipeline/deciding.py).
"""

from __future__ import annotations

import getpass
import json as json_module
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from stock_platform.apps.cli.selection import Json, Tickers

if TYPE_CHECKING:
    from stock_platform.storage.decisions import Decision

ID = 8
"""Characters of an id that are shown: enough to name a row."""

_ROW = 36
"""Characters of a row in the table; JSON and ``show`` have all of it."""


class ListByDefault(TyperGroup):
    """``quarantine AAPL`` and ``quarantine --json`` are ``quarantine list ...``."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Put ``list`` first where no command is named."""
        if not args or (args[0] not in self.commands and args[0] not in ("-h", "--help")):
            args = ["list", *args]
        parsed: list[str] = super().parse_args(ctx, args)
        return parsed


app = typer.Typer(
    cls=ListByDefault,
    help="Rows that failed validation or could not be read: list, show, accept, reject.",
)

Id = Annotated[str, typer.Argument(help="A row's id, or its first characters.", metavar="ID")]
Reason = Annotated[str, typer.Option("--reason", help="Why, in a few words.")]
By = Annotated[str | None, typer.Option("--by", help="Who decides. Default: the user's name.")]


@app.command("list")
def list_rows(
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
    from stock_platform.storage import assets, decisions, readers

    first, last = read_span(start, end)
    names = read_tickers(tickers or [])
    with Platform.reading() as platform:
        ids = None
        if names:
            ids = platform.assets_for(names, register=False)["asset_id"].to_list()
        frame = readers.quarantined(platform.db, ids, first, last, limit)
        named = assets.by_id(platform.db, frame["asset_id"].drop_nulls().unique().to_list())
        decided = decisions.listed(platform.db, frame["quarantine_id"].to_list())
    known = dict(named.select("asset_id", "ticker").iter_rows())
    rows = frame.to_dicts()
    for row in rows:
        row["ticker"] = known.get(row["asset_id"]) or row["ticker"]
        row["decision"] = decided.get(row["quarantine_id"])
    if json:
        output.show_json(rows)
        return
    output.show_table(
        ["id", "session", "ticker", "source", "reasons", "row"],
        [
            [r["quarantine_id"][:ID], r["session"], r["ticker"], r["source"], r["reasons"],
             _short(r["row"])]
            for r in rows
        ],
    )  # fmt: skip
    output.note(output.plural(len(rows), "row"))


def _short(text: str) -> str:
    """A row's prices, as in ``O 184.39 H 184.48 L 182.31``; its beginning where it has none."""
    try:
        row = json_module.loads(text)
        told = [
            f"{name[0].upper()} {round(float(row[name]), 4):.12g}"
            for name in ("open", "high", "low", "close", "volume")
            if row[name] is not None
        ]
    except (ValueError, TypeError, KeyError):  # as it came, which may be anything
        told = []
    if told:
        return " ".join(told)
    return text if len(text) <= _ROW else f"{text[: _ROW - 3]}..."


@app.command("show")
def show(quarantine_id: Id, *, json: Json = False) -> None:
    """Show one row: as it came, every rule it failed, and what people decided about it."""
    from stock_platform.pipeline.runtime import Platform
    from stock_platform.storage import decisions

    with Platform.reading() as platform:
        found = decisions.entry(platform.db, quarantine_id)
        _tell(platform, found, json=json)


@app.command("accept")
def accept(quarantine_id: Id, reason: Reason, by: By = None, *, json: Json = False) -> None:
    """Make a row the validated price, for as long as its source says the same."""
    _decide(quarantine_id, "accept", reason, by, json=json)


@app.command("reject")
def reject(quarantine_id: Id, reason: Reason, by: By = None, *, json: Json = False) -> None:
    """Mark a row as judged: it stays out, for as long as its source says the same."""
    _decide(quarantine_id, "reject", reason, by, json=json)


def _decide(
    quarantine_id: str, verdict: Decision, reason: str, by: str | None, *, json: bool
) -> None:
    from stock_platform.pipeline.deciding import decide
    from stock_platform.pipeline.runtime import Platform

    with Platform.from_settings() as platform:
        found = decide(platform, quarantine_id, verdict, reason, by or getpass.getuser())
        _tell(platform, found, json=json)


def _tell(platform: Any, found: dict[str, Any], *, json: bool) -> None:
    from stock_platform.apps.cli import output
    from stock_platform.storage import assets

    if found["asset_id"]:
        named = assets.by_id(platform.db, [found["asset_id"]])["ticker"].to_list()
        found["ticker"] = named[0] if named else found["ticker"]
    if json:
        output.show_json(found)
        return
    row = found["row"]
    shown = row if isinstance(row, dict) else {"row": row}
    output.show_pairs(
        {
            "id": found["quarantine_id"],
            "ticker": found["ticker"],
            "session": found["session"],
            "source": found["source"],
            "stage": found["stage"],
            "failed": found["reasons"],
            "in quarantine": found["in_quarantine"],
            **{str(k): str(v) for k, v in shown.items() if v is not None},
        }
    )
    for made in found["decisions"]:
        ended = f" (void: {made['voided_why']})" if made["voided_at"] else ""
        typer.echo(
            f"{made['verdict']}ed by {made['decided_by']} on {made['decided_at']:%Y-%m-%d}: "
            f"{made['reason']}{ended}"
        )
