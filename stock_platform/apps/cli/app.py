"""The commands, put together.

Belongs here: which commands there are, in the order help shows them. Does not: their work.
"""

from __future__ import annotations

from typing import Annotated

import typer

from stock_platform.apps.cli import (
    actions,
    alerts,
    api,
    backfill,
    backups,
    catalog,
    database,
    demo,
    explaining,
    export,
    fetch,
    market,
    plan,
    portfolio,
    prices,
    quality,
    quarantine,
    quotes,
    reconcile,
    roles,
    sandbox,
    series,
    sources,
    status,
    timescale,
    tracking,
    up,
    usage,
    validate,
)

_SEE, _RUN, _KEEP = "Look", "Run", "Tools"

app = typer.Typer(
    name="stock-platform",
    help="Stock prices you can trust, in your own PostgreSQL, from free sources.",
    epilog="Exit codes: 0 done, 1 failed, 2 wrong usage, 3 partly done. "
    "Settings: the environment and .env (see .env.example).",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import PackageNotFoundError, version

        try:
            number = version("stock-platform")
        except PackageNotFoundError:  # run from a checkout that is not installed
            number = "(not installed)"
        typer.echo(f"stock-platform {number}")
        raise typer.Exit


@app.callback()
def _options(
    *,
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_version, is_eager=True)
    ] = False,
    debug: Annotated[
        bool,
        typer.Option("--debug", help="Show where an error comes from. Or STOCK_PLATFORM_DEBUG=1."),
    ] = False,
) -> None:
    pass


app.command("demo", rich_help_panel=_RUN)(demo.demo)
app.command("up", rich_help_panel=_RUN)(up.up)
app.add_typer(api.app, name="api", rich_help_panel=_RUN)
app.command("backfill", rich_help_panel=_RUN)(backfill.backfill)
app.command("plan", rich_help_panel=_RUN)(plan.plan)
app.command("prices", rich_help_panel=_SEE)(prices.prices)
app.command("quotes", rich_help_panel=_SEE)(quotes.quotes)
app.add_typer(quotes.app, name="live", rich_help_panel=_RUN)
app.add_typer(portfolio.app, name="portfolio", rich_help_panel=_RUN)
app.command("untrack", rich_help_panel=_RUN)(tracking.untrack)
app.command("export", rich_help_panel=_SEE)(export.export)
app.command("actions", rich_help_panel=_SEE)(actions.actions)
app.command("series", rich_help_panel=_SEE)(series.series)
app.command("status", rich_help_panel=_SEE)(status.status)
app.add_typer(catalog.app, name="catalog", rich_help_panel=_SEE)
app.add_typer(quarantine.app, name="quarantine", rich_help_panel=_SEE)
app.command("explain", rich_help_panel=_SEE)(explaining.explain)
app.command("quality", rich_help_panel=_SEE)(quality.quality)
app.command("validate", rich_help_panel=_SEE)(validate.validate)
app.command("reconcile", rich_help_panel=_RUN)(reconcile.reconcile)
app.command("rules", rich_help_panel=_SEE)(validate.rules)
app.add_typer(sources.app, name="sources", rich_help_panel=_SEE)
app.add_typer(alerts.app, name="alerts", rich_help_panel=_SEE)
app.command("usage", rich_help_panel=_SEE)(usage.usage)
app.command("market", rich_help_panel=_SEE)(market.market)
app.command("fetch", rich_help_panel=_KEEP)(fetch.fetch)
app.command("sandbox", rich_help_panel=_KEEP)(sandbox.sandbox)
database.app.command("backup")(backups.backup)
database.app.command("restore")(backups.restore)
database.app.command("timescale")(timescale.timescale)
database.app.add_typer(roles.app, name="roles")
app.add_typer(database.app, name="db", rich_help_panel=_KEEP)
