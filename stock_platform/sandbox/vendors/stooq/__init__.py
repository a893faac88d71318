"""Stooq: histories as CSV, and sentences or pages with a status of 200 instead.

Belongs here: the one endpoint for programs, its limit and errors. Does not: histories
(``history``).

Limits are counted by address; how many requests a day it allows is not published (200 here).
A page it shows to scripts wants JavaScript and a proof of work (fault ``html``).
https://stooq.com/q/d/l/?s=aapl.us&i=d
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from stock_platform.sandbox.config import Limit
from stock_platform.sandbox.vendors.base import Answer, Endpoint, Vendor, endpoint
from stock_platform.sandbox.vendors.stooq.history import TEXT, history

_PROOF = (
    "<!DOCTYPE html><html><head><title>Stooq</title></head><body><noscript>This site requires "
    "JavaScript to verify your browser. Please enable JavaScript and reload.</noscript><script>"
    '(async()=>{const r=await fetch("/__verify",{method:"POST"});if(r.ok)location.reload()})();'
    "</script></body></html>"
)


class Stooq(Vendor):
    """Stooq's download of histories."""

    name: ClassVar[str] = "stooq"
    limits: ClassVar[Sequence[Limit]] = ((200, 86_400.0),)

    @property
    def endpoints(self) -> Sequence[Endpoint]:
        """The one there is."""
        return (endpoint("download", "/q/d/l/", history),)

    def account(
        self,
        query: Mapping[str, str],  # noqa: ARG002 - it needs no key here
        headers: Mapping[str, str],  # noqa: ARG002 - it needs no key here
    ) -> str | None:
        """None: it counts by address."""
        return None

    def too_many(self) -> Answer:
        """Its one notice, with a status of 200."""
        return Answer(b"Exceeded the daily hits limit", 200, TEXT)

    def broken(self, status: int) -> Answer:
        """A 5xx of its host."""
        text = f"<html><head><title>{status}</title></head><body>nginx</body></html>"
        return Answer(text.encode(), status, "text/html")

    def error_inside(self) -> Answer:
        """What it says to scripts that hold no key of its captcha."""
        text = "Get your apikey:\n\n1. Open https://stooq.com/q/d/?s=aapl.us&get_apikey\n"
        return Answer(text.encode(), 200, TEXT)

    def page(self) -> Answer:
        """The page that wants a proof of work."""
        return Answer(_PROOF.encode(), content_type="text/html; charset=utf-8")

    def not_found(self) -> Answer:
        """An unknown path: its front page."""
        page = b"<html><head><title>Stooq</title></head><body></body></html>"
        return Answer(page, content_type="text/html")
