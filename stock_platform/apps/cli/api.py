"""``stock-platform api``: serve the HTTP API; make, list and revoke its tokens.

Belongs here: options and words. Does not: the API (apps/api/), tokens (storage/tokens.py).
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from stock_platform.apps.cli.selection import Json

app = typer.Typer(no_args_is_help=True, help="Serve the HTTP API, and hand out its tokens.")
tokens = typer.Typer(no_args_is_help=True, help="Make, list and revoke tokens of the HTTP API.")
app.add_typer(tokens, name="tokens")

_MOST_DAYS = 36_500
_LOOK_SECONDS = 2.0


class Rights(StrEnum):
    """What a token may do; each may do what the ones before it may."""

    READ = "read"
    TRADE = "trade"
    ADMIN = "admin"


@app.command()
def serve(
    host: Annotated[
        str | None, typer.Option(help="Address to listen on; default: STOCK_PLATFORM_API_HOST.")
    ] = None,
    port: Annotated[
        int | None,
        typer.Option(min=0, max=65535, help="Default: STOCK_PLATFORM_API_PORT; 0 takes any."),
    ] = None,
    *,
    wait: Annotated[
        bool,
        typer.Option("--wait", help="Where a token is needed first: listen once there is one."),
    ] = False,
) -> None:
    """Serve the HTTP API until Ctrl-C; the page /docs tells what there is."""
    import time

    from stock_platform.apps.api.server import serve as run
    from stock_platform.apps.services import address
    from stock_platform.apps.supervise import free_port
    from stock_platform.settings import load_settings

    settings = load_settings()
    where = host or settings.api_host
    chosen = free_port(where, settings.api_port if port is None else port, exactly=bool(port))
    told = f"HTTP API: {address(where, chosen)}/docs  (Ctrl-C stops)"
    said: list[str] = []

    def waiting() -> None:
        if not said:
            said.append("waiting for a token: stock-platform api tokens create NAME")
            typer.echo(said[0])
        time.sleep(_LOOK_SECONDS)

    run(settings, where, chosen, lambda: typer.echo(told), waiting if wait else None)


@tokens.command("create")
def create(
    name: Annotated[str, typer.Argument(help="What it is for, such as grafana.")],
    rights: Annotated[Rights, typer.Option(help="What it may do.")] = Rights.READ,
    user: Annotated[
        str | None, typer.Option("--user", "-u", help="The only portfolio it is for.")
    ] = None,
    days: Annotated[
        int | None,
        typer.Option(min=1, max=_MOST_DAYS, help="It expires after so many days; default: never."),
    ] = None,
    *,
    json: Json = False,
) -> None:
    """Make a token and print it, once: only its digest is kept.

    From then on the API asks every caller for one.
    """
    from datetime import UTC, datetime, timedelta

    from stock_platform.apps.cli import output
    from stock_platform.pipeline.runtime import Platform
    from stock_platform.storage import tokens as kept

    expires = None if days is None else datetime.now(UTC) + timedelta(days=days)
    with Platform.from_settings() as platform:
        text = kept.create(platform.db, name, kept.Right(rights), user=user, expires_at=expires)
    if json:
        output.show_json(
            {"name": name, "rights": rights, "user": user, "expires_at": expires, "token": text}
        )
        return
    typer.echo(text)
    output.note("Keep it: it is not shown again. Send it as Authorization: Bearer TOKEN.")
    output.note("From now on the API asks for a token on this machine, too.")


@tokens.command("list")
def show(*, json: Json = False) -> None:
    """List the tokens, never their text."""
    from datetime import UTC, datetime

    from stock_platform.apps.cli import output
    from stock_platform.pipeline.runtime import Platform
    from stock_platform.storage import tokens as kept

    with Platform.reading() as platform:
        found = kept.tokens(platform.db)
    now = datetime.now(UTC)
    rows = [
        {
            "name": t.name,
            "rights": str(t.right),
            "user": t.user,
            "state": "revoked" if t.revoked_at else "in force" if t.valid(now) else "expired",
            "created_at": t.created_at,
            "expires_at": t.expires_at,
            "revoked_at": t.revoked_at,
        }
        for t in found
    ]
    if json:
        output.show_json(rows)
        return
    columns = ["name", "rights", "user", "state", "created_at", "expires_at"]
    output.show_table(columns, [[row[name] for name in columns] for row in rows])


@tokens.command("revoke")
def revoke(name: Annotated[str, typer.Argument(help="The token's name.")]) -> None:
    """Make a token void for ever, within two seconds."""
    from stock_platform.pipeline.runtime import Platform
    from stock_platform.storage import tokens as kept

    with Platform.from_settings() as platform:
        kept.revoke(platform.db, name)
    typer.echo(f"{name} opens nothing any more")
