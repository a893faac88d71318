"""NASDAQ's stock screener as data: what can be asked, how often.

Belongs here: capabilities. Does not: how it is asked (client.py) or read (parse.py).

https://www.nasdaq.com/market-activity/stocks/screener , behind which stands
https://api.nasdaq.com/api/screener/stocks : every stock of NASDAQ, NYSE and NYSE American in
one answer, no funds; no key. It is made for the page, not for us, so it is off by default and
asked seldom: ten a minute is ours. It is said to keep some clients waiting by their User-Agent
until they give up.

Market capitalizations are US dollars. Its prices carry no time, so they are no quotes here,
and the year of a first listing is no day, so that is left null.
"""

from __future__ import annotations

from stock_platform.domain.capabilities import Capabilities, Feed, Limit

NAME = "nasdaq_screener"
BASE_URL = "https://api.nasdaq.com"
PATH = "/api/screener/stocks"
PARAMETERS: dict[str, str | int] = {"tableonly": "true", "limit": 25, "download": "true"}

CAPABILITIES = Capabilities(
    source=NAME,
    limits=(Limit(10, 60.0),),
    preference=80,
    default_on=False,
    feeds=(Feed.LISTING, Feed.PROFILE),
)
