"""``stock-platform db``: the database itself.

Belongs here: migrate, info, url, stop. Does not: how it is done (storage/).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from stock_platform.apps.cli.selection import Json
from stock_platform.domain.errors import InputError

if TYPE_CHECKING:
    from stock_platform.settings import Settings
    from stock_platform.storage.activity import Connections
    from stock_platform.storage.sizes import TableInfo

SHOWN_QUERY = 58
"""Characters of a query in a table of 100 columns."""

app = typer.Typer(help="Look after the database.", no_args_is_help=True)


@app.command()
def migrate(*, json: Json = False) -> None:
    """Bring the database to this version's schema; starts the embedded server if need be."""
    from stock_platform.apps.cli import output
    from stock_platform.settings import load_settings
    from stock_platform.storage.connection import described
    from stock_platform.storage.migrate import migrate as apply
    from stock_platform.storage.roles import GUEST_SCHEMA, ensure_roles

    settings = load_settings()
    url = settings.resolve_database_url()
    applied = apply(url, settings.role_prefix, settings.timescale)
    if settings.database_url is not None and settings.dagster_database_url is None:
        from stock_platform.storage.guests import Guest, make_room

        make_room(Guest(url, GUEST_SCHEMA))  # a writer may fill it and not make it
    problem = ensure_roles(url, settings.role_prefix)
    if json:
        output.show_json({"url": described(url), "applied": applied, "roles": problem})
        return
    typer.echo("\n".join(f"applied {name}" for name in applied) or "nothing to do")
    if problem is not None:
        output.note(f"roles: {problem}")


@app.command()
def info(*, json: Json = False) -> None:
    """Show the server, its schema version, sizes, bloat, compression, slow queries."""
    from dataclasses import asdict

    from stock_platform.apps.cli import output
    from stock_platform.settings import load_settings
    from stock_platform.storage.info import database_info

    settings = load_settings()
    found = database_info(settings.resolve_database_url())
    embedded = settings.database_url is None
    if json:
        output.show_json(asdict(found) | {"embedded": embedded})
        return
    behind = found.migration != found.newest_migration
    available = "available, not installed" if found.timescale_available else "not available"
    output.show_pairs(
        {
            "database": found.url + (" (embedded)" if embedded else ""),
            "server": found.server,
            "TimescaleDB": found.timescale or available,
            "schema": (found.migration or "none")
            + (f", newest is {found.newest_migration}: run db migrate" if behind else ""),
            "size": size(found.bytes),
            "connections": _connections(found.connections),
        }
    )
    if found.tables:
        hyper = any(t.chunks is not None for t in found.tables)
        output.show_table(
            ["table", "rows", "size", "indexes", "dead", *(["chunks", "ratio"] if hyper else [])],
            [
                [
                    t.name,
                    t.rows if t.counted or t.rows is None else f"about {t.rows:,}",
                    size(t.bytes),
                    size(t.index_bytes),
                    f"{t.dead_share:.0%}" if t.dead_share else None,
                    *(_chunks(t) if hyper else []),
                ]
                for t in found.tables
                if t.rows != 0
            ],
        )
        empty = sum(t.rows == 0 for t in found.tables)
        if empty:
            typer.echo(f"{output.plural(empty, 'more table')} without a row (--json names them)")
    if found.indexes:
        output.show_table(
            ["index", "table", "size", "scans"],
            [[i.name, i.table, size(i.bytes), i.scans] for i in found.indexes],
        )
    if found.slow_queries:
        output.show_table(
            ["query", "calls", "total", "mean"],
            [
                [
                    q.query[:SHOWN_QUERY],
                    q.calls,
                    output.duration(q.total_ms / 1000),
                    f"{q.mean_ms:,.1f} ms",
                ]
                for q in found.slow_queries
            ],
        )
    elif found.slow_queries is None:
        typer.echo("slow queries: create extension pg_stat_statements to see them here")


def _connections(found: Connections) -> str:
    states = ", ".join(f"{count} {state}" for state, count in found.by_state.items())
    return f"{found.clients} of {found.limit}" + (f" ({states})" if states else "")


def _chunks(table: TableInfo) -> list[str | None]:
    if table.chunks is None:
        return [None, None]
    compressed = f", {table.compressed_chunks} compressed" if table.compressed_chunks else ""
    ratio = f"{table.compression_ratio:.1f}x" if table.compression_ratio else None
    return [f"{table.chunks}{compressed}", ratio]


@app.command()
def url(
    *,
    show_password: Annotated[
        bool, typer.Option("--show-password", help="Print the password, for use with psql.")
    ] = False,
    dagster: Annotated[
        bool, typer.Option("--dagster", help="Dagster's database instead of the platform's.")
    ] = False,
) -> None:
    """Print the database's URL."""
    from stock_platform.settings import load_settings

    settings = load_settings()
    found = dagster_url(settings) if dagster else settings.resolve_database_url()
    typer.echo(found if show_password else masked(found))


@app.command()
def stop() -> None:
    """Stop the embedded server; its data stays."""
    from stock_platform.settings import load_settings
    from stock_platform.storage.embedded import stop_server

    settings = load_settings()
    if settings.database_url is not None:
        raise InputError(
            "DATABASE_URL", "***", "unset it: only the embedded server is ours to stop"
        )
    typer.echo("stopped" if stop_server(settings.home) else "it was not running")


def dagster_url(settings: Settings) -> str:
    """Where Dagster keeps its runs, as the settings say."""
    if settings.dagster_database_url is not None:
        return settings.dagster_database_url.get_secret_value()
    if settings.database_url is not None:
        return settings.database_url.get_secret_value()
    from stock_platform.storage.embedded import ensure_server

    return ensure_server(settings.home, extension_dir=settings.extension_dir).dagster_url


def masked(url: str) -> str:
    """The URL with asterisks for its password."""
    import re

    from stock_platform.storage.connection import normalized

    text = normalized(url)
    text = re.sub(r"(?<=://)([^:@/]*):[^@/]*@", r"\1:***@", text)
    return re.sub(r"(password\s*=\s*)('[^']*'|[^\s&]+)", r"\1***", text)


def size(count: int) -> str:
    """Bytes for people."""
    amount = float(count)
    for unit in ("B", "KB", "MB", "GB"):
        if amount < 1024:
            return f"{amount:,.0f} {unit}" if unit == "B" else f"{amount:,.1f} {unit}"
        amount /= 1024
    return f"{amount:,.1f} TB"
