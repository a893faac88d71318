"""NASDAQ Trader's symbol directory as data: what can be asked, how often.

Belongs here: capabilities. Does not: how it is asked (client.py) or read (parse.py).

https://www.nasdaqtrader.com/trader.aspx?id=symboldirdefs : text files, made anew several
times a day, of what is listed now; no key. ``nasdaqlisted.txt`` has NASDAQ's own listings,
``otherlisted.txt`` those of the other exchanges, ``nasdaqtraded.txt`` both: it is the one
that is asked for. Nothing is said of the past, of delistings or of prices. The times in the
files are New York's. No limit is published; ten a minute is ours, out of courtesy.
"""

from __future__ import annotations

from stock_platform.domain.capabilities import Capabilities, Feed, Limit

NAME = "nasdaqtrader"
BASE_URL = "https://www.nasdaqtrader.com"
PATH = "/dynamic/SymDir/nasdaqtraded.txt"

CAPABILITIES = Capabilities(
    source=NAME,
    limits=(Limit(10, 60.0),),
    preference=30,
    feeds=(Feed.LISTING,),
)
