"""The app put together, and served by uvicorn.

Belongs here: assembly, the documentation's page, processes. Does not: answers.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from fastapi_offline import FastAPIOffline

from stock_platform.apps.api import problems
from stock_platform.apps.api.auth import Rates, check_host, is_loopback
from stock_platform.apps.api.context import Api
from stock_platform.apps.api.edge import Edge
from stock_platform.apps.api.logs import configure
from stock_platform.apps.api.routes import explaining, market, operations, portfolio, prices
from stock_platform.settings import Settings, load_settings
from stock_platform.storage.tokens import any_in_force

_HOST = "STOCK_PLATFORM_API_HOST"
_DESCRIPTION = """
Prices one can trust, and portfolios. Prices are stored as traded and adjusted on read; stamps
are UTC at the bar's start; `session` is the exchange's date.

Once a token was made (`stock-platform api tokens create NAME`), send it as
`Authorization: Bearer TOKEN`. Errors are problem+json (RFC 9457). Every answer has an
`X-Request-ID`: yours, if you sent one; the log has it too.
"""


def build(settings: Settings, host: str) -> FastAPI:
    """The app, for an address to listen on. Nothing is connected yet."""
    api = Api(settings, host, Rates(settings.api_rate / settings.api_workers))

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        yield
        api.close()

    app = FastAPIOffline(
        title="stock_platform",
        version=operations.our_version(),
        description=_DESCRIPTION,
        lifespan=lifespan,
        redoc_url=None,
        swagger_ui_parameters={"displayRequestDuration": True, "persistAuthorization": False},
    )
    app.state.api = api
    for group in (prices, market, explaining, portfolio, operations):
        app.include_router(group.router)
    problems.install(app)
    app.add_middleware(
        Edge,
        traffic=api.traffic,
        concurrency=settings.api_concurrency,
        max_body=settings.api_max_body_kb * 1024,
    )
    _describe(app)
    return app


def _describe(app: FastAPI) -> None:
    """Put what our errors look like into the OpenAPI."""

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            made = get_openapi(
                title=app.title,
                version=app.version,
                description=app.description,
                routes=app.routes,
            )
            schemas = made.setdefault("components", {}).setdefault("schemas", {})
            schemas["Problem"] = problems.SCHEMA
            app.openapi_schema = made
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]  # FastAPI's own way to extend it


def make() -> FastAPI:
    """The app of a worker process: settings come from its environment."""
    configure()
    settings = load_settings()
    return build(settings, os.environ.get(_HOST) or settings.api_host)


def admit(settings: Settings, host: str, *, wait: Callable[[], object] | None = None) -> None:
    """Bring the database up to date, and see that a token keeps others out, if they can come.

    Args:
        settings: of the platform.
        host: to listen on.
        wait: called again and again while a token is missing; None: that is an error.

    Raises:
        InputError: the host is not this machine's own, and there is no token.
        DatabaseError: the database cannot be reached.
    """
    from stock_platform.pipeline.runtime import Platform

    with Platform.from_settings(settings) as platform:  # migrates
        while wait is not None and not (is_loopback(host) or any_in_force(platform.db)):
            wait()
        check_host(host, any_token=any_in_force(platform.db))


def serve(
    settings: Settings,
    host: str,
    port: int,
    ready: Callable[[], object] = lambda: None,
    wait: Callable[[], object] | None = None,
) -> None:
    """Serve until SIGINT or SIGTERM; ``ready`` is called once nothing stands against it.

    ``wait`` is as for ``admit``.

    Raises:
        InputError: the host is not this machine's own, and there is no token.
        DatabaseError: the database cannot be reached.
    """
    import uvicorn

    admit(settings, host, wait=wait)
    ready()
    os.environ[_HOST] = host
    # A page of bars is too small to share: with a core to itself a worker takes a fifth less.
    cores = max(1, (os.cpu_count() or 1) // settings.api_workers)
    os.environ.setdefault("POLARS_MAX_THREADS", str(cores))
    configure()
    uvicorn.run(
        f"{__name__}:make",
        factory=True,
        host=host,
        port=port,
        workers=settings.api_workers,
        access_log=False,
        log_config=None,
        proxy_headers=False,  # what a client says of its address is not believed
        server_header=False,
        timeout_keep_alive=30,
        timeout_graceful_shutdown=5,
    )
