"""``stock-platform alerts``: what is wrong, who is told, and whether telling works.

Belongs here: options and words. Does not: finding and telling (pipeline/alerting.py).
"""

from __future__ import annotations

from typing import Annotated

import typer

from stock_platform.apps.cli.selection import Json

app = typer.Typer(help="Show alerts; send a test message.", invoke_without_command=True)


@app.callback()
def show(
    context: typer.Context,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="At most so many.")] = 30,
    *,
    json: Json = False,
) -> None:
    """Show the latest alerts, open ones and those that are over."""
    from dataclasses import asdict

    from stock_platform.apps.cli import output
    from stock_platform.pipeline.notifying import ways
    from stock_platform.pipeline.runtime import Platform
    from stock_platform.storage import alerts

    if context.invoked_subcommand is not None:
        return
    with Platform.reading() as platform:
        found = alerts.recent(platform.db, limit)
        told_by = ways(platform.settings)
    if json:
        output.show_json({"ways": told_by, "alerts": [asdict(alert) for alert in found]})
        return
    if found:
        output.show_table(
            ["alert", "about", "since", "over", "told", "what"],
            [
                [a.kind, a.subject, a.opened_at, a.resolved_at, a.times_told, a.message]
                for a in found
            ],
        )
    else:
        output.note("no alert")
    if not told_by:
        output.note(
            "nobody is told: set STOCK_PLATFORM_ALERT_WEBHOOK_URL, or STOCK_PLATFORM_SMTP_HOST "
            "and STOCK_PLATFORM_ALERT_EMAIL_TO"
        )


@app.command("test")
def send_test(*, json: Json = False) -> int:
    """Send a test message by every way that is set, and say which took it."""
    from stock_platform.apps.cli import DONE, FAILED, PARTLY, output
    from stock_platform.domain.errors import InputError
    from stock_platform.pipeline.notifying import NotToldError, tell_one, ways
    from stock_platform.settings import load_settings

    settings = load_settings()
    chosen = ways(settings)
    if not chosen:
        raise InputError(
            "alerts",
            "not set",
            "set STOCK_PLATFORM_ALERT_WEBHOOK_URL, or STOCK_PLATFORM_SMTP_HOST and "
            "STOCK_PLATFORM_ALERT_EMAIL_TO",
        )
    results: dict[str, str | None] = {}
    for way in chosen:
        try:
            tell_one(settings, way, "stock_platform: a test", ["Alerts arrive here."])
            results[way] = None
        except NotToldError as error:
            results[way] = str(error)
    if json:
        output.show_json([{"way": w, "sent": not e, "error": e} for w, e in results.items()])
    else:
        for way, failed in results.items():
            typer.echo(failed or f"{way}: sent")
    good = sum(not failed for failed in results.values())
    return DONE if good == len(results) else PARTLY if good else FAILED
