"""The sandbox as an ASGI application: every vendor, and the ``/_sandbox`` controls.

Belongs here: the way of a request through limits, faults and a vendor; the controls. Does
not: any vendor's answers, sockets (``server``).

A vendor answers under its name (``/yahoo/v8/...``) and, because their paths differ, at the
root too (``/v8/...``). A request is counted when it arrives: key, then limits, then whether
the vendor is off, then faults, then the vendor's own answer.

    GET    /_sandbox/health   {"status": "ok", "now": ..., "symbols": ..., "warm": ...}
    GET    /_sandbox/report   counts; ``?log=true`` adds every call
    GET    /_sandbox/listing  the true assets, one object each (``Market.listing``)
    GET    /_sandbox/truth/X  the true bars, splits and dividends of symbol X
    POST   /_sandbox/faults   a rule, or a list of them (``faults.Fault``); answers their ids
    DELETE /_sandbox/faults   drop every rule
    POST   /_sandbox/vendors  {"yahoo": false} switches a vendor off, true on again
    POST   /_sandbox/limits   {"clock_rate": 60, "limits": {"polygon": [[5, 60]]}}
    POST   /_sandbox/clock    {"now": "2013-03-01T23:00:00+00:00"}; null lets time run
    POST   /_sandbox/reset    forget counts, the log, arrivals and faults
"""

from __future__ import annotations

import asyncio
import json
import logging
import math
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from time import perf_counter, time
from typing import Any
from urllib.parse import parse_qsl, unquote, urlencode

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import Receive, Scope, Send

from stock_platform.domain.errors import InputError, one_of
from stock_platform.sandbox.config import SandboxConfig
from stock_platform.sandbox.faults import BARS, Fault, FaultBook
from stock_platform.sandbox.journal import CallRecord, Journal
from stock_platform.sandbox.limits import LimitCounter
from stock_platform.sandbox.market.market import Market
from stock_platform.sandbox.vendors import ALL
from stock_platform.sandbox.vendors.base import Answer, Call, Endpoint, Vendor

_LOG = logging.getLogger(__name__)
_SECRET = ("apikey", "api_key", "token", "crumb")


@dataclass(frozen=True)
class _Request:
    """A vendor's request, read."""

    vendor: Vendor
    endpoint: Endpoint | None
    path: Mapping[str, str]
    query: Mapping[str, str]
    headers: Mapping[str, str]
    base: str
    client: str
    url_path: str

    @property
    def tile(self) -> str:
        """What was asked, without keys: equal for equal questions."""
        rest = sorted((k, v) for k, v in self.query.items() if k.lower() not in _SECRET)
        return f"{self.url_path}?{urlencode(rest)}" if rest else self.url_path


class SandboxApp:
    """The ASGI application; ``market`` is the truth behind it."""

    def __init__(
        self,
        config: SandboxConfig,
        vendors: Sequence[Vendor] = ALL,
        market: Market | None = None,
    ) -> None:
        self.config = config
        self.market = market or Market(config)
        self.vendors = {vendor.name: vendor for vendor in vendors}
        self._check_vendors("limits", config.limits)
        self._check_vendors("keys", config.keys)
        self._check_vendors("off", config.off)
        self._check_vendors("retry_after", config.retry_after)
        limits = {name: config.limits.get(name, v.limits) for name, v in self.vendors.items()}
        self.limits = LimitCounter(limits, config.clock_rate)
        self.faults = FaultBook(config.faults, config.seed)
        self.journal = Journal(config.call_log)
        self.off = set(config.off)
        self._labels: dict[tuple[str, str], str] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] == "lifespan":
            await _lifespan(receive, send)
        elif scope["type"] == "http":
            if scope["path"].startswith("/_sandbox/"):
                await (await self._control(Request(scope, receive)))(scope, receive, send)
            else:
                try:
                    await self._serve(scope, send)
                except Exception:
                    # uvicorn's own error log is silent (see server), so say it here.
                    _LOG.exception("the sandbox failed to answer %s", scope["path"])
                    raise

    # --- vendors ------------------------------------------------------------------------

    async def _serve(self, scope: Scope, send: Send) -> None:
        arrived, began = time(), perf_counter()
        request = self._read(scope)
        if request is None:
            text = b"no vendor of the sandbox has this path\n"
            await _send(send, Answer(text, 404, "text/plain"))
            return
        vendor, fault = request.vendor, None
        key = vendor.account(request.query, request.headers)
        refused = vendor.authorize(key, self.config.keys.get(vendor.name))
        account = self._label(vendor.name, key) if key else request.client
        excess = None if refused else self.limits.arrive(vendor.name, account)
        symbol = request.path.get("symbol", "")
        if refused is not None:
            answer = refused
        elif excess is not None:
            answer = vendor.too_many()
            if vendor.name in self.config.retry_after:
                answer = _with_retry_after(answer, max(1, math.ceil(excess.wait)))
        elif vendor.name in self.off:
            answer = vendor.broken(503)
        elif request.endpoint is None:
            answer = vendor.not_found()
        elif scope["method"] not in ("GET", "HEAD"):
            answer = Answer(b"Method Not Allowed\n", 405, "text/plain")
        else:
            fault = self.faults.choose(vendor.name, request.endpoint.name, symbol)
            answer = await self._answer(request, request.endpoint, fault)
        delivered = fault is None or fault.kind not in ("truncated", "disconnect")
        self.journal.add(
            CallRecord(
                at=arrived,
                vendor=vendor.name,
                endpoint=request.endpoint.name if request.endpoint else "unknown",
                symbol=symbol,
                tile=request.tile,
                account=account,
                status=answer.status,
                fault=fault.kind if fault else None,
                cells=answer.cells if delivered else 0,
                seconds=round(perf_counter() - began, 6),
            )
        )
        await _send(send, answer, fault, head=scope["method"] == "HEAD")

    def _read(self, scope: Scope) -> _Request | None:
        raw = scope.get("raw_path") or scope["path"].encode()
        path = raw.decode("latin-1").split("?", 1)[0]
        first, _, rest = path.lstrip("/").partition("/")
        prefix = ""
        candidates = list(self.vendors.values())
        if first in self.vendors:
            # The massive library puts its base before the whole path of a next_url.
            rest = rest.removeprefix(f"{first}/")
            prefix, path, candidates = f"/{first}", f"/{rest}", [self.vendors[first]]
        headers = {k.decode("latin-1"): v.decode("latin-1") for k, v in scope["headers"]}
        host = headers.get("host") or ":".join(str(p) for p in scope.get("server") or ("sandbox",))
        for vendor in candidates:
            for found in vendor.endpoints:
                match = found.pattern.fullmatch(path)
                if match:
                    break
            else:
                if not prefix:
                    continue
                found, match = None, None
            return _Request(
                vendor=vendor,
                endpoint=found,
                path={k: unquote(v) for k, v in match.groupdict().items()} if match else {},
                query=dict(parse_qsl(scope["query_string"].decode(), keep_blank_values=True)),
                headers=headers,
                base=f"{scope.get('scheme', 'http')}://{host}{prefix}",
                client=(scope.get("client") or ("local", 0))[0],
                url_path=unquote(path),
            )
        return None

    async def _answer(self, request: _Request, found: Endpoint, fault: Fault | None) -> Answer:
        kind = fault.kind if fault else None
        vendor, now = request.vendor, self.market.now()
        if fault is not None:
            if kind == "http_429":
                answer = vendor.too_many()
                if fault.retry_after is None:
                    return answer
                return _with_retry_after(answer, fault.retry_after)
            if kind in ("http_500", "http_503"):
                return vendor.broken(int(kind[-3:]))
            if kind == "error_200":
                return vendor.error_inside()
            if kind == "html":
                return vendor.page()
            if kind == "empty":
                return Answer(b"")
            if kind == "slow":
                await asyncio.sleep(fault.seconds)
            if kind == "stale":
                now -= timedelta(days=fault.days)
        call = Call(
            path=request.path,
            query=request.query,
            base=request.base,
            now=now,
            market=self.market,
            config=self.config,
            fault=fault if kind in BARS else None,
        )
        if found.slow_first and not self.market.is_warm:
            await asyncio.to_thread(self.market.warm)
        answer = found.handle(call)
        if kind == "truncated":
            return replace(answer, body=answer.body[: len(answer.body) * 2 // 3])
        return answer

    def _label(self, vendor: str, key: str) -> str:
        """``key-1`` for the first key seen of a vendor, and so on; never the key itself."""
        known = sum(1 for v, _ in self._labels if v == vendor)
        return self._labels.setdefault((vendor, key), f"key-{known + 1}")

    # --- controls -------------------------------------------------------------------------

    async def _control(self, request: Request) -> Response:
        name = request.url.path.removeprefix("/_sandbox/")
        what = f"{request.method} {name.partition('/')[0]}"
        handlers: dict[str, Callable[[Request], Awaitable[Any]]] = {
            "GET health": self._health,
            "GET report": self._report,
            "GET listing": self._listing,
            "GET truth": self._truth,
            "POST faults": self._add_faults,
            "DELETE faults": self._clear_faults,
            "POST vendors": self._switch,
            "POST limits": self._set_limits,
            "POST clock": self._set_clock,
            "POST reset": self._reset,
        }
        if what not in handlers:
            return JSONResponse({"error": f"no control {what!r}; {one_of(handlers)}"}, 404)
        try:
            return JSONResponse(await handlers[what](request))
        except InputError as error:
            return JSONResponse({"error": str(error)}, 400)

    async def _health(self, _request: Request) -> dict[str, Any]:
        return {
            "status": "ok",
            "now": self.market.now().isoformat(),
            "symbols": len(self.market.assets),
            "real": len(self.market.histories),
            "vendors": {name: name not in self.off for name in self.vendors},
            "clock_rate": self.limits.clock_rate,
            "warm": self.market.is_warm,
        }

    async def _report(self, request: Request) -> dict[str, Any]:
        return self.report(log=request.query_params.get("log") == "true")

    async def _listing(self, _request: Request) -> Any:
        return json.loads(self.market.listing().write_json())

    async def _truth(self, request: Request) -> dict[str, Any]:
        symbol = unquote(request.url.path.rpartition("/")[2])
        return {
            "symbol": symbol,
            "bars": json.loads(self.market.bars(symbol).write_json()),
            "splits": json.loads(self.market.splits(symbol).write_json()),
            "dividends": json.loads(self.market.dividends(symbol).write_json()),
        }

    async def _add_faults(self, request: Request) -> dict[str, Any]:
        rules = await _json(request)
        return {"ids": self.faults.add(rules if isinstance(rules, list) else [rules])}

    async def _clear_faults(self, _request: Request) -> dict[str, Any]:
        self.faults.clear()
        return {"faults": []}

    async def _switch(self, request: Request) -> dict[str, Any]:
        wanted = await _json(request)
        self._check_vendors("vendors", wanted)
        for name, on in wanted.items():
            (self.off.discard if on else self.off.add)(name)
        return {"off": sorted(self.off)}

    async def _set_limits(self, request: Request) -> dict[str, Any]:
        wanted = await _json(request)
        self._check_vendors("limits", wanted.get("limits", {}))
        for vendor, limits in wanted.get("limits", {}).items():
            self.limits.configure(vendor, limits)
        self.limits.configure(rate=wanted.get("clock_rate"))
        return {"clock_rate": self.limits.clock_rate}

    async def _set_clock(self, request: Request) -> dict[str, Any]:
        text = (await _json(request)).get("now")
        try:
            now = datetime.fromisoformat(text) if text is not None else None
        except (TypeError, ValueError) as error:
            raise InputError("now", text, "give an ISO stamp, or null") from error
        if now is not None and now.tzinfo is None:
            now = now.replace(tzinfo=UTC)
        self.market.time.freeze(now)
        return {"now": self.market.now().isoformat()}

    async def _reset(self, _request: Request) -> dict[str, Any]:
        self.reset()
        return {"status": "ok"}

    # --- for tests in the same process ------------------------------------------------------

    def report(self, log: bool = False) -> dict[str, Any]:
        """``Journal.report`` with the limits' accounts, the faults and the violations."""
        made = self.journal.report(log)
        limits = self.limits.report()
        return made | {
            "limits": limits,
            "violations": sum(int(str(entry["violations"])) for entry in limits.values()),
            "faults": self.faults.report(),
            "clock_rate": self.limits.clock_rate,
            "off": sorted(self.off),
        }

    def reset(self) -> None:
        """Forget counts, the log, arrivals and faults; vendors and the clock stay."""
        self.journal.reset()
        self.limits.reset()
        self.faults.clear()

    def _check_vendors(self, parameter: str, names: Any) -> None:
        if not isinstance(names, Mapping | Sequence) or isinstance(names, str):
            raise InputError(parameter, names, "give an object or a list by vendor")
        for name in names:
            if name not in self.vendors:
                raise InputError(parameter, name, one_of(self.vendors))


async def _json(request: Request) -> Any:
    body = await request.body()
    try:
        return json.loads(body)
    except json.JSONDecodeError as error:
        raise InputError("body", body[:60], f"not JSON: {error}") from error


def _with_retry_after(answer: Answer, seconds: float) -> Answer:
    return replace(answer, headers={**answer.headers, "retry-after": f"{seconds:g}"})


async def _send(
    send: Send, answer: Answer, fault: Fault | None = None, *, head: bool = False
) -> None:
    headers = {"content-type": answer.content_type, "content-length": str(len(answer.body))}
    raw = [(k.encode(), v.encode()) for k, v in (headers | dict(answer.headers)).items()]
    await send({"type": "http.response.start", "status": answer.status, "headers": raw})
    if fault is not None and fault.kind == "disconnect":
        half = answer.body[: len(answer.body) // 2]
        await send({"type": "http.response.body", "body": half, "more_body": True})
        return
    await send({"type": "http.response.body", "body": b"" if head else answer.body})


async def _lifespan(receive: Receive, send: Send) -> None:
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return
