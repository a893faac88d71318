"""FRED as data: what can be asked, how often.

Belongs here: capabilities. Does not: how it is asked (client.py) or read (parse.py).

https://fred.stlouisfed.org/docs/api/fred/ : economic series of the Federal Reserve Bank of
St. Louis, each whole in one call: up to 100,000 observations, further ones in pages. It
has no bars.

A series' id is letters, digits and underscores (GDP, DGS10), its observations are dated with
the first day of their period, in the units that its information names. A value is what was
published as of ``realtime_start`` to ``realtime_end``, which for a plain question are both
the day of asking in St. Louis; revisions replace it later. Nothing is therefore ever cached.

A key is free, 32 letters and digits, and must travel in the address. Limits: 120 calls a
minute, and two a second since June 2026.
"""

from __future__ import annotations

from stock_platform.domain.capabilities import Capabilities, Feed, Limit

NAME = "fred"
BASE_URL = "https://api.stlouisfed.org/fred"
KEY_VARIABLE = "FRED_API_KEY"
KEYS_AT = "https://fredaccount.stlouisfed.org/apikeys (free)"

OBSERVATIONS_PER_PAGE = 100_000

CAPABILITIES = Capabilities(
    source=NAME,
    limits=(Limit(2, 1.0), Limit(120, 60.0)),
    preference=30,
    concurrency=2,
    needs_key=KEY_VARIABLE,
    feeds=(Feed.SERIES, Feed.SERIES_INFO),
)
