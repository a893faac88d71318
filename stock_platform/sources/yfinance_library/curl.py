"""Sending as a browser does: curl_cffi in place of httpx.

Belongs here: one request, sent and read. Does not: limits, retries, cache (sources/http.py),
what a body means (envelope.py).

yfinance insists on curl_cffi, for Yahoo tells scripts from browsers by their TLS handshake.
All else is the platform's HTTP layer: the same ``Call`` with its grants, retries, holds and
cache; only its transport is this one. Where a test puts a transport of its own in place of
the network, that one is asked, by httpx.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import httpx

from stock_platform.domain.errors import Malformed, Unavailable
from stock_platform.sources.http import HttpClient
from stock_platform.sources.transport import Parameters, Response, Transport
from stock_platform.sources.yfinance_library.config import BASE_URL, COOKIE_URL

if TYPE_CHECKING:
    from curl_cffi.requests import Response as Answered
    from curl_cffi.requests import Session

COOKIE_PATH = "/"
"""Of the page whose only use is its cookie; Yahoo has it on a host of its own."""

LOOPBACK = {"localhost", "127.0.0.1", "::1"}
WRITE_FAILED = 0xFFFFFFFF
"""What a curl write callback returns to end the transfer."""


class CurlTransport(Transport):
    """A transport that sends by curl_cffi, as Chrome. Safe to use from several threads."""

    def __init__(self, plain: Transport) -> None:
        super().__init__(plain.source, plain.base_url, plain.clock, plain.options, plain.secrets)
        self._session: Session[Answered] | None = None
        self._making = threading.Lock()

    def close(self) -> None:
        """Close connections."""
        super().close()
        with self._making:
            if self._session is not None:
                self._session.close()
                self._session = None

    def send(self, path: str, params: Parameters, headers: Mapping[str, str]) -> Response:
        """Send one request and read the answer; as Transport.send."""
        if self.options.transport is not None:
            return super().send(path, params, headers)
        from curl_cffi.requests.exceptions import RequestException, Timeout

        body = bytearray()

        def take(chunk: bytes) -> int:
            body.extend(chunk)
            return WRITE_FAILED if len(body) > self.options.max_bytes else len(chunk)

        base = COOKIE_URL if (self.base_url, path) == (BASE_URL, COOKIE_PATH) else self.base_url
        query = f"?{httpx.QueryParams(params)}" if params else ""
        where = self.shown_host
        try:
            answer = self._browser().request(
                "GET",
                base + path + query,
                headers=dict(headers),
                allow_redirects=False,
                content_callback=take,
            )
        except Timeout as error:
            raise Unavailable(self.source, f"no answer from {where}: {_words(error)}") from None
        except (RequestException, OSError) as error:
            if len(body) > self.options.max_bytes:
                text = f"answer longer than {self.options.max_bytes} bytes"
                raise Malformed(self.source, text) from None
            raise Unavailable(self.source, f"cannot reach {where}: {_words(error)}") from None
        found = {name.lower(): value for name, value in answer.headers.items() if value is not None}
        return Response(answer.status_code, found, bytes(body), self.clock.now())

    def _browser(self) -> Session[Answered]:
        with self._making:
            if self._session is None:
                from curl_cffi import CurlOpt
                from curl_cffi.requests import Session

                options = self.options
                told: dict[CurlOpt, Any] = {
                    CurlOpt.LOW_SPEED_LIMIT: 1,  # bytes a second, over the time below
                    CurlOpt.LOW_SPEED_TIME: max(1, round(options.read_timeout)),
                }
                if httpx.URL(self.base_url).host in LOOPBACK:
                    # a proxy of the environment cannot reach a server of this machine
                    told[CurlOpt.NOPROXY] = "*"
                self._session = Session(
                    impersonate="chrome",
                    timeout=(
                        options.connect_timeout,
                        max(options.total_timeout - options.connect_timeout, 1.0),
                    ),
                    curl_options=told,
                )
            return self._session


def through_curl(client: HttpClient) -> HttpClient:
    """``client``, sending by curl_cffi."""
    plain = client.transport
    client.transport = CurlTransport(plain)
    plain.close()
    return client


def _words(error: Exception) -> str:
    """The message of curl without its advice."""
    return str(error).partition(" See https")[0].strip() or type(error).__name__
