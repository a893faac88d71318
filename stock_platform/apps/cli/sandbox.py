"""``stock-platform sandbox``: the vendors' stand-in, on a port, until Ctrl-C.

Belongs here: options and the lines to use it by. Does not: what it answers (sandbox/).
"""

from __future__ import annotations

from typing import Annotated, Any

import typer


def sandbox(
    symbols: Annotated[int, typer.Option(help="How many symbols to generate.")] = 500,
    seed: Annotated[int, typer.Option(help="Seed of the generated market.")] = 7,
    port: Annotated[int, typer.Option(help="Port on 127.0.0.1; 0 takes a free one.")] = 8700,
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
    import threading

    from stock_platform.apps.cli.market import read_instant
    from stock_platform.sandbox.config import SandboxConfig
    from stock_platform.sandbox.server import SandboxServer
    from stock_platform.sandbox.vendors import ALL

    given: dict[str, Any] = {"symbols": symbols, "seed": seed, "clock_rate": clock_rate}
    if now is not None:
        given["now"] = read_instant(now).isoformat()
    if faults is not None:
        found = read_json("faults", faults)
        given["faults"] = [found] if isinstance(found, dict) else found
    if config is not None:
        given |= read_json("config", config, kind=dict)
    made = SandboxConfig.from_mapping(given)
    with SandboxServer(made, port=port) as server:
        for vendor in ALL:
            url = server.base_url(vendor.name)
            typer.echo(f"export STOCK_PLATFORM_{vendor.name.upper()}_BASE_URL={url}")
            if vendor.name not in made.keys and vendor.name in _KEYED:
                typer.echo(f"export {_KEYED[vendor.name]}=any-key-will-do")
        typer.echo(f"export STOCK_PLATFORM_CLOCK_RATE={made.clock_rate:g}")
        if made.now is not None:
            typer.echo(f"export STOCK_PLATFORM_MARKET_TIME={made.now.isoformat()}")
        typer.echo(f"# serving {len(server.market.assets):,} symbols at {server.url} until Ctrl-C")
        try:
            threading.Event().wait()
        except KeyboardInterrupt:
            typer.echo("# stopped")


_KEYED = {"polygon": "POLYGON_API_KEY"}


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
