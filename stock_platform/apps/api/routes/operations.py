"""``/health``, ``/metrics`` and what an operator may do.

Belongs here: answers about the platform itself. Does not: metrics' names (metrics.py).
"""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Query
from starlette.responses import Response

from stock_platform.apps.api import models
from stock_platform.apps.api.auth import Admin, Reader
from stock_platform.apps.api.context import Api, the_api
from stock_platform.apps.api.metrics import CONTENT_TYPE, exposition
from stock_platform.apps.api.problems import RESPONSES, Problem
from stock_platform.domain.errors import DatabaseError
from stock_platform.storage import alerts, assets, backfills, gauges

router = APIRouter(tags=["operations"])

_KEPT_SECONDS = 5.0

TheApi = Annotated[Api, Depends(the_api)]


def our_version() -> str:
    """The installed version, or what a checkout is called."""
    try:
        return version("stock-platform")
    except PackageNotFoundError:  # run from a checkout that is not installed
        return "(not installed)"


@router.get(
    "/health",
    response_model=models.Health,
    responses={
        500: RESPONSES[500],
        503: {"model": models.Health, "description": "The database does not answer."},
    },
)
def health(api: TheApi, response: Response) -> Any:
    """Whether the platform works; needs no token, and tells little."""
    found = {"version": our_version(), "status": "ok", "database": True}
    try:
        state = api.kept("health", _KEPT_SECONDS, lambda: _state(api))
    except DatabaseError:
        response.status_code = 503
        return {**found, "status": "down", "database": False}
    return {**found, **state}


def _state(api: Api) -> dict[str, Any]:
    kinds = sorted({alert.kind for alert in alerts.open_alerts(api.reading.db)})
    return {
        "migration": gauges.migration(api.reading.db),
        "status": "degraded" if kinds else "ok",
        "problems": kinds,
    }


@router.get("/health/queue", response_model=models.Queue, responses=RESPONSES)
def queue(api: TheApi, _reader: Reader, limit: Annotated[int, Query(ge=1, le=1000)] = 50) -> Any:
    """The queue of histories to fill: jobs by state, and the latest of them."""
    state = gauges.queue(api.reading.db)
    jobs = backfills.jobs(api.reading.db, limit=limit)
    known = assets.by_id(api.reading.db, jobs["asset_id"].unique().to_list())
    tickers = dict(known.select("asset_id", "ticker").iter_rows())
    return {
        "states": state.states,
        "oldest_due": state.oldest_due,
        "open_events": state.open_events,
        "jobs": [{"ticker": tickers.get(job.pop("asset_id")), **job} for job in jobs.to_dicts()],
    }


@router.get("/health/sources", response_model=models.Sources, responses=RESPONSES)
def sources(api: TheApi, _reader: Reader) -> Any:
    """Every source: state, quota left, success rate, last error, next try."""
    names = models.Source.model_fields
    return {"sources": [{name: entry[name] for name in names} for entry in described(api)]}


def described(api: Api) -> list[dict[str, Any]]:
    """What is known of every source, at most some seconds old."""
    from stock_platform.apps.cli.sources import describe

    return api.kept("sources", _KEPT_SECONDS, lambda: describe(api.reading))


@router.get(
    "/metrics",
    responses={
        **RESPONSES,
        200: {
            "description": "Metrics, for Prometheus.",
            "content": {"text/plain": {"schema": {"type": "string"}}},
        },
    },
    response_class=Response,
)
def metrics(api: TheApi, _reader: Reader) -> Response:
    """Calls, 429s, latencies, rows, queue, coverage, freshness and quotas, from the database."""
    return Response(exposition(api, described(api)), media_type=CONTENT_TYPE)


@router.post("/v1/admin/sources/{source}/reset", response_model=models.Done, responses=RESPONSES)
def reset(api: TheApi, _admin: Admin, source: Annotated[str, Path(max_length=40)]) -> Any:
    """Close a source's circuit and forget its failures, refusals and Retry-After."""
    from stock_platform.pipeline.wiring import capabilities_of
    from stock_platform.sources.registry import SOURCES

    if source not in SOURCES:
        raise Problem(404, "there is no such source; /health/sources lists them")
    platform = api.writing
    platform.health.reset(source, capabilities_of(source, platform.settings).account)
    return {"done": f"{source} will be asked again as if nothing had happened"}


@router.post("/v1/admin/queue/retry", response_model=models.Done, responses=RESPONSES)
def retry(api: TheApi, _admin: Admin) -> Any:
    """Make failed and waiting histories due now, with all attempts before them again."""
    count = backfills.retry(api.writing.db)
    return {"done": f"{count} due now"}
