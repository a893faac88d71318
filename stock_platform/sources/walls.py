"""Walls: pages that stand where the answer should be, and keep programs out.

Belongs here: telling a captcha, a consent page or a browser check by its marks; pure. Does not:
getting around one, which nothing here does.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

REFUSALS = (401, 403)
_SMALL_PAGE = 60_000

# A mark in a page and the wall that has it. Ordinary pages, which are large, may name some of
# these in their scripts.
_WALLS = (
    ("captcha-delivery.com", "a DataDome captcha"),
    ("please enable js and disable any ad blocker", "a DataDome captcha"),
    ("px-captcha", "a PerimeterX captcha"),
    ("/cdn-cgi/challenge-platform/h/", "a Cloudflare challenge"),
    ("cf-browser-verification", "a Cloudflare challenge"),
    ("our systems have detected unusual traffic", "Google's unusual-traffic captcha"),
    ("collectconsent", "a consent page"),
    ("verify you are a human", "a captcha"),
    ("g-recaptcha", "a captcha"),
    ("hcaptcha.com", "a captcha"),
)
_WALL_TITLES = (
    ("just a moment", "a Cloudflare challenge"),
    ("attention required", "a Cloudflare challenge"),
    ("checking your browser", "a browser check"),
    ("are you a robot", "a captcha"),
    ("before you continue", "a consent page"),
    ("access denied", "a page that denies access"),
    ("access to this page has been denied", "a PerimeterX captcha"),
    ("will be right back", "a page that says the site is out of order"),
)


def wall_of(status: int, body: bytes, headers: Mapping[str, str] | None = None) -> str | None:
    """What kind of wall an answer is, or None where it may be what was asked for."""
    told = headers or {}
    if told.get("cf-mitigated") == "challenge":
        return "a Cloudflare challenge"
    if status in REFUSALS and "x-datadome" in told:
        return "a DataDome captcha"
    if not body[:100].lstrip(b"\xef\xbb\xbf \r\n\t").startswith(b"<"):
        return None
    if len(body) >= _SMALL_PAGE and status not in REFUSALS:
        return None
    text = body.decode("utf-8", errors="replace").lower()
    title = re.search(r"<title[^>]*>(.*?)</title>", text, re.DOTALL)
    words = title[1] if title else ""
    return next((name for mark, name in _WALLS if mark in text), None) or next(
        (name for mark, name in _WALL_TITLES if mark in words), None
    )
