"""The SEC's company tickers as data: what can be asked, how often.

Belongs here: capabilities. Does not: how it is asked (client.py) or read (parse.py).

https://www.sec.gov/search-filings/edgar-search-assistance/accessing-edgar-data and
https://www.sec.gov/files/company_tickers.json : ticker, CIK and name of who files with the
SEC, one file; no key. Ten requests a second at the most, and every one must say who asks: a
User-Agent with a name and an e-mail address (STOCK_PLATFORM_USER_AGENT), else 403. Who asks
faster is shut out for ten minutes.
"""

from __future__ import annotations

from stock_platform.domain.capabilities import Capabilities, Feed, Limit

NAME = "sec"
BASE_URL = "https://www.sec.gov"
PATH = "/files/company_tickers.json"
SHUT_OUT_SECONDS = 600.0
USER_AGENT_VARIABLE = "STOCK_PLATFORM_USER_AGENT"

CAPABILITIES = Capabilities(
    source=NAME,
    limits=(Limit(10, 1.0),),
    preference=60,
    feeds=(Feed.LISTING,),
)
