"""``stock-platform catalog``: who is listed, who was, and what changed.

Belongs here: refreshing, showing and searching. Does not: what a directory means
(domain/catalog), asking for one (pipeline/directories.py).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from stock_platform.apps.cli.selection import Json

if TYPE_CHECKING:
    from stock_platform.pipeline.catalog import CatalogReport
    from stock_platform.pipeline.directories import DirectoryReport

app = typer.Typer(
    name="catalog",
    help="Who is listed, who was, and what changed: refresh, show, search, changes.",
    no_args_is_help=True,
)

SHOWN = 40
"""Changes that a refresh prints; ``catalog changes`` has all."""


@app.command("refresh")
def refresh(
    source: Annotated[
        list[str] | None,
        typer.Option(help="Ask this source alone; may be repeated. Default: all cheap ones."),
    ] = None,
    *,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Tell what would change, and change nothing.")
    ] = False,
    force: Annotated[
        bool, typer.Option("--force", help="Apply a directory although it looks wrong.")
    ] = False,
    json: Json = False,
) -> int:
    """Ask the directories who is listed: listings, delistings, renames, reused tickers."""
    from stock_platform.apps.cli import FAILED, PARTLY, output
    from stock_platform.pipeline.runtime import Platform

    with Platform.from_settings() as platform:
        report = platform.refresh_catalog(only=source or (), dry_run=dry_run, force=force)
    failed = [m for m in report.directories if m.status in ("refused", "unavailable")]
    worked = report.session is not None or len(failed) < len(report.directories)
    shares_failed = any(m.directory == "shares" for m in failed) and report.session is None
    code = (FAILED if shares_failed or not worked else PARTLY) if failed else 0
    if json:
        output.show_json(_as_data(report))
        return code
    for made in report.directories:
        _tell(made)
    if report.session is not None:
        output.note(
            f"no directory is on: {report.added:,} symbols learned from the prices of "
            f"{report.session}; switch on nasdaqtrader for names, delistings and renames"
        )
    output.note(f"{output.plural(report.total, 'asset')} in the catalog, {report.added:,} new")
    return code


@app.command("show")
def show(
    ticker: Annotated[str, typer.Argument(help="A ticker, present or former.")],
    *,
    json: Json = False,
) -> None:
    """Show an asset: its tickers over time, identifiers, listing, and what changed."""
    from stock_platform.apps.cli import output
    from stock_platform.domain.symbols import parse_symbol
    from stock_platform.pipeline.runtime import Platform
    from stock_platform.storage import assets, catalog

    name = parse_symbol(ticker).ticker
    with Platform.reading() as platform:
        found = catalog.holders(platform.db, name)
        if not found:
            raise assets.unknown_ticker(platform.db, name)
        told = [
            {
                **catalog.facts_of(platform.db, asset_id),
                "tickers": catalog.tickers_of(platform.db, asset_id),
                "changes": catalog.changes(platform.db, asset_id=asset_id).to_dicts(),
            }
            for asset_id in found
        ]
    if json:
        output.show_json(told)
        return
    for asset in told:
        tickers, changes = asset.pop("tickers"), asset.pop("changes")
        now = tickers[-1]["ticker"]
        title = now if now == name else f"{now}, formerly {name}"
        output.show_pairs({k: v for k, v in asset.items() if v is not None}, title=title)
        output.show_table(
            ["ticker", "from", "until", "perhaps from"],
            [
                [t["ticker"], t["valid_from"] or "ever", t["valid_to"] or "now", t["earliest"]]
                for t in tickers
            ],
        )
        if changes:
            _show_changes(changes)


@app.command("search")
def search(
    text: Annotated[
        str, typer.Argument(help="Part of a name, a ticker, a CIK, a FIGI or an ISIN.")
    ],
    limit: Annotated[int, typer.Option(min=1, help="At most so many assets.")] = 20,
    *,
    json: Json = False,
) -> None:
    """Find assets by name, ticker (former ones too) or identifier."""
    from stock_platform.apps.cli import output
    from stock_platform.domain.errors import InputError
    from stock_platform.pipeline.runtime import Platform
    from stock_platform.storage import catalog

    if not text.strip():
        raise InputError("text", text, "give a part of a name, a ticker or an identifier")
    with Platform.reading() as platform:
        found = catalog.search(platform.db, text, limit)
    if json:
        output.show_json(found.to_dicts())
        return
    output.show_table(
        ["ticker", "formerly", "name", "class", "exchange", "listed", "delisted"],
        [
            [
                r["ticker"], r["matched"], _short(r["name"], 40), r["asset_class"], r["exchange"],
                r["listed_on"], r["delisted_on"],
            ]
            for r in found.iter_rows(named=True)
        ],
    )  # fmt: skip
    output.note(output.plural(found.height, "asset"))


@app.command("changes")
def changes(
    kind: Annotated[
        list[str] | None,
        typer.Option(help="Only: listed, delisted, renamed, reused, relisted, named, moved."),
    ] = None,
    since: Annotated[str | None, typer.Option(help="Only refreshes from this day on.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="At most so many, the latest first.")] = 100,
    *,
    json: Json = False,
) -> None:
    """List what refreshes changed; doubtful renames are not applied."""
    from stock_platform.apps.cli import output
    from stock_platform.apps.cli.selection import read_date
    from stock_platform.domain.catalog import Kind
    from stock_platform.domain.errors import InputError, one_of
    from stock_platform.pipeline.runtime import Platform
    from stock_platform.storage import catalog

    for word in kind or ():
        if word not in list(Kind):
            raise InputError("kind", word, one_of([str(k) for k in Kind]))
    first = read_date("since", since) if since else None
    with Platform.reading() as platform:
        found = catalog.changes(platform.db, kinds=kind or None, since=first, limit=limit)
    if json:
        output.show_json(found.to_dicts())
        return
    _show_changes(found.to_dicts())
    output.note(output.plural(found.height, "change"))


def _tell(made: DirectoryReport) -> None:
    from stock_platform.apps.cli import output

    for name, told in made.sources.items():
        why = told.get("refused")
        said = f"refused: {why}" if why else f"{told['rows']:,} symbols"
        output.note(f"{name}: {said}")
    counts = ", ".join(f"{n:,} {kind}" for kind, n in made.counts.items() if n) or "nothing new"
    if made.status in ("refused", "unavailable"):
        output.note(f"{made.directory}: {made.status}, nothing was changed: {made.reason}")
        if made.status == "refused" and "suspicious" in str(made.reason):
            output.note("--force applies it all the same")
        return
    typer.echo(f"{made.directory} of {made.as_of}: {made.status}; {counts}")
    rows = made.changes.to_dicts()
    if rows:
        _show_changes(rows[:SHOWN])
        if len(rows) > SHOWN:
            output.note(f"and {len(rows) - SHOWN:,} more: stock-platform catalog changes")


def _show_changes(rows: list[dict[str, Any]]) -> None:
    from stock_platform.apps.cli import output

    output.show_table(
        ["kind", "ticker", "formerly", "on", "name", "evidence", "sure"],
        [
            [
                r["kind"] if r["applied"] else f"{r['kind']}?",
                r["ticker"],
                r["former_ticker"],
                r["on"],
                _short(r["name"], 21),
                _short(r["evidence"], 20),
                r["score"],
            ]
            for r in rows
        ],
    )


def _as_data(report: CatalogReport) -> dict[str, Any]:
    return {
        "assets": report.total,
        "added": report.added,
        "prices_of": report.session,
        "requests": dict(report.calls),
        "directories": [
            {
                "directory": m.directory, "status": m.status, "as_of": m.as_of,
                "reason": m.reason, "symbols": m.symbols, "sources": m.sources,
                "counts": m.counts, "changes": m.changes.to_dicts(),
            }
            for m in report.directories
        ],
    }  # fmt: skip


def _short(text: str | None, longest: int) -> str | None:
    return text if text is None or len(text) <= longest else f"{text[: longest - 1]}…"
