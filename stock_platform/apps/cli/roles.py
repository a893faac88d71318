"""``stock-platform db roles``: who may own, write and read.

Belongs here: options, words, asking for a password. Does not: rights (storage/roles.py). A
password comes from a prompt or the environment, and is never shown.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from stock_platform.apps.cli.selection import Json

app = typer.Typer(help="Show and make the logins of owner, writer and reader.")


class Role(StrEnum):
    """The roles."""

    OWNER = "owner"
    WRITER = "writer"
    READER = "reader"


@app.callback(invoke_without_command=True)
def show(context: typer.Context, *, json: Json = False) -> None:
    """Show the roles, whether their rights are complete, and their logins."""
    if context.invoked_subcommand is not None:
        return
    from dataclasses import asdict

    from stock_platform.apps.cli import output
    from stock_platform.settings import load_settings
    from stock_platform.storage.roles import roles

    settings = load_settings()
    found = roles(settings.resolve_database_url(), settings.role_prefix)
    if json:
        output.show_json(asdict(found))
        return
    output.show_table(
        ["role", "name", "rights", "logins"],
        [
            [
                kind,
                name,
                "missing" if kind in found.missing else
                "complete" if kind in found.granted else "incomplete",
                [login.name for login in found.logins if login.role == kind],
            ]
            for kind, name in found.names.items()
        ],
    )  # fmt: skip
    if found.how is not None:
        output.note(found.how)


@app.command()
def add(
    name: Annotated[str, typer.Argument(help="The login's name.")],
    role: Annotated[Role, typer.Option(help="What it may do.")] = Role.READER,
    *,
    replace: Annotated[
        bool, typer.Option("--replace", help="Change the role and password of a login of ours.")
    ] = False,
) -> None:
    """Make a login in a role; asks for its password, or takes STOCK_PLATFORM_ROLE_PASSWORD."""
    from stock_platform.settings import load_settings
    from stock_platform.storage.connection import described
    from stock_platform.storage.roles import add_login

    settings = load_settings()
    if settings.role_password is not None:
        password = settings.role_password.get_secret_value()
    else:
        password = typer.prompt("Password", hide_input=True, confirmation_prompt=True)
    url = settings.resolve_database_url()
    add_login(
        url,
        name,
        role.value,
        password,
        prefix=settings.role_prefix,
        timeout_seconds=settings.reader_timeout_seconds,
        replace=replace,
    )
    typer.echo(
        f"{name} is {'an' if role is Role.OWNER else 'a'} {role.value}: {described(url, user=name)}"
    )


@app.command()
def drop(name: Annotated[str, typer.Argument(help="The login's name.")]) -> None:
    """Remove a login."""
    from stock_platform.settings import load_settings
    from stock_platform.storage.roles import drop_login

    settings = load_settings()
    drop_login(settings.resolve_database_url(), name, prefix=settings.role_prefix)
    typer.echo(f"{name} is gone")
