"""``stock-platform reconcile``: a second opinion on stored prices, with spare quota.

Belongs here: reading options, showing the plan and what came of it. Does not: asking and
comparing (pipeline/reconciling_prices.py).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from stock_platform.apps.cli.selection import Json, ScopeOption, Tickers
from stock_platform.apps.cli.selection import Scope as Scopes
from stock_platform.domain.errors import InputError

if TYPE_CHECKING:
    from datetime import date

    from stock_platform.pipeline.reconciling_prices import ReconcileReport
    from stock_platform.settings import Settings

SHOWN = 30
YEAR = 365


def reconcile(
    tickers: Tickers = None,
    start: Annotated[
        str | None, typer.Option(help="First day; default: a year before the end.")
    ] = None,
    end: Annotated[
        str | None, typer.Option(help="Last day, inclusive; default: the last completed session.")
    ] = None,
    scope: ScopeOption = Scopes.WATCHLIST,
    share: Annotated[
        float, typer.Option(help="Share of the stored cells that is sampled, 0 to 1.")
    ] = 0.002,
    *,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what would be asked, and ask nothing.")
    ] = False,
    json: Json = False,
) -> int:
    """Ask other sources for sampled and for disputed prices, and see who is right.

    Only quota that nothing else needs is spent. Ends with 3 where calls failed.
    """
    from stock_platform.apps.cli import DONE, PARTLY, output
    from stock_platform.apps.cli.selection import read_tickers
    from stock_platform.pipeline.runtime import Platform

    if not 0 <= share <= 1:
        raise InputError("share", share, "use a number from 0 to 1")
    names = read_tickers(tickers or [])
    if scope is Scopes.MARKET and names:
        raise InputError("scope", "market", "leave out the tickers, or use --scope watchlist")
    with Platform.from_settings() as platform:
        first, last = _span(platform.settings, start, end)
        if names:
            assets = platform.assets_for(names, register=False)
        elif scope is Scopes.MARKET:
            assets = platform.known_market()
        else:
            assets = platform.watchlist_assets()
        grid = platform.cells(assets, platform.sessions(first, last))
        report = platform.reconcile(grid, dry_run=dry_run, share=share)
    if json:
        output.show_json(report.to_dict())
    else:
        _show(report, dry_run=dry_run)
    return PARTLY if report.failures else DONE


def _span(settings: Settings, start: str | None, end: str | None) -> tuple[date, date]:
    """The first and last session in question."""
    from datetime import timedelta

    from stock_platform.apps.cli.selection import completed_sessions, read_span

    first, last = read_span(start, end)
    until = last or settings.clock.now().date()
    since = first or max(settings.start_date, until - timedelta(days=YEAR))
    found = completed_sessions(settings, since, last)
    return found[0].astype(object), found[-1].astype(object)


def _show(report: ReconcileReport, *, dry_run: bool) -> None:
    from stock_platform.apps.cli import output

    why = ", ".join(f"{n:,} {reason}" for reason, n in report.reasons.most_common(5))
    output.note(
        f"{report.cells:,} cells stored; to compare: {report.sampled:,} sampled, "
        f"{report.disputed:,} disputed" + (f" ({why})" if why else "")
    )
    planned: dict[str, int] = {}
    for ask in report.asked:
        planned[ask.tile.source] = planned.get(ask.tile.source, 0) + 1
    names = sorted({*planned, *(name for name, calls in report.demand.items() if calls)})
    if names:
        output.show_table(
            ["source", "calls planned", "requests made", "spare", "needed elsewhere"],
            [
                [n, planned.get(n, 0), report.calls[n], report.spare.get(n, ""),
                 report.demand.get(n, 0)]
                for n in names
            ],
        )  # fmt: skip
    if dry_run:
        for ask in report.asked[:SHOWN]:
            typer.echo(f"  {ask.tile.describe()}: {output.plural(len(ask.cells), 'cell')}")
        if len(report.asked) > SHOWN:
            output.note(f"and {len(report.asked) - SHOWN:,} more calls")
    if report.unaffordable:
        output.note(f"{report.unaffordable:,} cells are left for another day: no quota is spare")
    if report.unreachable:
        output.note(f"{report.unreachable:,} cells no other source that is on has")
    if dry_run:
        return
    found = report.by_source()
    if found:
        output.show_table(
            ["source", "agreed", "outvoted", "undecided", "absent", "accuracy"],
            [
                [name, *(one[k] for k in ("agreed", "outvoted", "undecided", "absent")),
                 f"{report.accuracy[name]:.4f}" if name in report.accuracy else ""]
                for name, one in found.items()
            ],
        )  # fmt: skip
    for title, frame in (("Outvoted", report.outvoted), ("Undecided", report.undecided)):
        if frame.height:
            output.show_table(
                ["asset", "session", "source", "field", "says", "the others"],
                [
                    [r["asset_id"], r["session"], r["source"], r["field"], r["value"],
                     r["expected"]]
                    for r in frame.head(SHOWN).iter_rows(named=True)
                ],
                title=title,
            )  # fmt: skip
    for failure, times in report.failures.items():
        typer.echo(f"error: {failure} ({times})", err=True)
    output.note(f"{output.plural(report.changed, 'validated price')} changed")
