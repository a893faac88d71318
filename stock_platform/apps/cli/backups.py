"""``stock-platform db backup`` and ``db restore``.

Belongs here: options and words. Does not: how it is done (storage/backup.py, restore.py).
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from stock_platform.apps.cli.selection import Json


def backup(
    target: Annotated[
        Path, typer.Argument(help="File to make, or a folder for it.", metavar="TARGET")
    ],
    *,
    verify: Annotated[
        bool,
        typer.Option(help="Restore it into a scratch database and compare every table."),
    ] = True,
    json: Json = False,
) -> None:
    """Back the database up into one file of pg_dump's custom format, and verify it."""
    from dataclasses import asdict

    from stock_platform.apps.cli import PARTLY, output
    from stock_platform.apps.cli.database import size
    from stock_platform.settings import load_settings
    from stock_platform.storage.backup import backup as make

    url = load_settings().resolve_database_url()
    made = make(url, target, verify=verify, tell=output.note)
    if json:
        output.show_json(asdict(made))
    else:
        manifest = made.manifest
        output.show_pairs(
            {
                "file": str(made.path),
                "size": size(made.path.stat().st_size),
                "tables": f"{len(manifest.tables)}, {output.plural(manifest.rows, 'row')}",
                "schema": manifest.migration,
                "content": manifest.content_hash,
                "verified": "yes, by restoring it" if made.verified else "no",
            }
        )
    if made.unverified_because is not None:
        output.note(f"it could not be verified: {made.unverified_because}")
        raise typer.Exit(PARTLY)


def restore(
    file: Annotated[Path, typer.Argument(help="A file of `db backup`.", metavar="FILE")],
    *,
    force: Annotated[bool, typer.Option("--force", help="Replace what is there.")] = False,
    json: Json = False,
) -> None:
    """Bring a backup back: all of it, checked, or nothing."""
    from dataclasses import asdict

    from stock_platform.apps.cli import output
    from stock_platform.settings import load_settings
    from stock_platform.storage.archive import read_manifest
    from stock_platform.storage.connection import described
    from stock_platform.storage.restore import restore as bring_back

    read_manifest(file)  # a broken file starts no server
    settings = load_settings()
    url = settings.resolve_database_url()
    restored = bring_back(
        url,
        file,
        force=force,
        role_prefix=settings.role_prefix,
        timescale=settings.timescale,
    )
    manifest = restored.manifest
    if json:
        output.show_json(asdict(restored) | {"url": described(url)})
        return
    output.show_pairs(
        {
            "database": described(url),
            "backup of": f"{manifest.database} at {manifest.created_at[:19]}Z",
            "tables": f"{len(manifest.tables)}, {output.plural(manifest.rows, 'row')}",
            "content": manifest.content_hash,
            "migrated": ", ".join(restored.applied) or None,
        }
    )
