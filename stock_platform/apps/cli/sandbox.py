"""``stock-platform sandbox``: the vendors' stand-in, on a port, until Ctrl-C.

Belongs here: options and the lines to use it by. Does not: what it answers (sandbox/).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from stock_platform.sandbox.config import SandboxConfig
    from stock_platform.sandbox.server import SandboxServer


def sandbox(
    symbols: Annotated[int, typer.Option(help="How many symbols to generate.")] = 500,
    seed: Annotated[int, typer.Option(help="Seed of the generated market.")] = 7,
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="Port on 127.0.0.1; 0 takes a free one.")
    ] = 8700,
    now: Annotated[
        str | None,
        typer.Option(help="The market's time, such as 2013-03-01T23:00Z; default: the real one."),
    ] = None,
    clock_rate: Annotated[
        float, typer.Option(help="How many times faster than real time limits run.")
    ] = 1.0,
    faults: Annotated[
        str | None,
        typer.Option(help='Faults as JSON: [{"kind": "http_429", "vendor": "yahoo", "nth": 3}].'),
    ] = None,
    config: Annotated[
        str | None, typer.Option(help="Any further setting of the sandbox, as a JSON object.")
    ] = None,
) -> None:
    """Serve an offline market with the vendors' endpoints, limits and faults, until Ctrl-C."""
    import time

    from stock_platform.apps.cli.market import read_instant
    from stock_platform.sandbox.config import SandboxConfig
    from stock_platform.sandbox.server import SandboxServer

    given: dict[str, Any] = {"symbols": symbols, "seed": seed, "clock_rate": clock_rate}
    if now is not None:
        given["now"] = read_instant(now).isoformat()
    if faults is not None:
        found = read_json("faults", faults)
        given["faults"] = [found] if isinstance(found, dict) else found
    if config is not None:
        given |= read_json("config", config, kind=dict)
    made = SandboxConfig.from_mapping(given)
    try:
        with SandboxServer(made, port=port) as server:
            typer.echo("\n".join(instructions(server, made)))
            while True:
                time.sleep(1)  # not a lock: polars' handler keeps Ctrl-C from ending its wait
    except KeyboardInterrupt:
        typer.echo("# stopped")


def instructions(server: SandboxServer, made: SandboxConfig) -> Iterator[str]:
    """The settings to use a sandbox by, for a shell."""
    from stock_platform.sandbox.vendors import ALL
    from stock_platform.sources.registry import SOURCES

    played = {vendor.name for vendor in ALL}
    names = []
    for name, spec in SOURCES.items():
        vendor = SAME_HOST.get(name, name)
        if vendor not in played:
            continue
        names.append(name)
        yield f"export STOCK_PLATFORM_{name.upper()}_BASE_URL={server.base_url(vendor)}"
        if vendor not in made.keys:
            for variable in spec.capabilities.variables:
                yield f"export {variable}=any-key-will-do"
    yield "export STOCK_PLATFORM_USER_AGENT='sandbox nobody@example.com'"  # the SEC wants one
    yield f"export STOCK_PLATFORM_SOURCES={','.join(names)}"
    yield f"export STOCK_PLATFORM_CLOCK_RATE={made.clock_rate:g}"
    if made.now is not None:
        yield f"export STOCK_PLATFORM_MARKET_TIME={made.now.isoformat()}"
        # The settings' first day may be after that: a year of history, then.
        yield f"export STOCK_PLATFORM_START_DATE={made.now.year - 1}-01-01"
    yield f"# serving {len(server.market.assets):,} symbols at {server.url} until Ctrl-C"


SAME_HOST = {"yfinance": "yahoo"}
"""Sources that ask the host of another vendor."""


def read_json(parameter: str, text: str, kind: type = list) -> Any:
    """JSON of a kind. Raises InputError."""
    import json

    from stock_platform.domain.errors import InputError

    name = "an object" if kind is dict else "a list of objects"
    try:
        found = json.loads(text)
    except json.JSONDecodeError as error:
        raise InputError(parameter, text[:80], f"give {name} as JSON ({error})") from None
    if not isinstance(found, kind if kind is dict else list | dict):
        raise InputError(parameter, text[:80], f"give {name} as JSON")
    return found
