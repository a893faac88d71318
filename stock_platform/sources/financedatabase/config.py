"""FinanceDatabase as data: what can be asked, how often.

Belongs here: capabilities, the files. Does not: how they are asked (client.py) or read
(parse.py).

https://github.com/JerBouma/FinanceDatabase : CSV files of instruments by exchange, kept by
volunteers; no key, no prices, no day of record. Off by default: it says what somebody once
wrote down, delisted companies among it. A file is named by Yahoo's code of its exchange:
NASDAQ is three (NMS Global Select, NGM Global Market, NCM Capital Market), NYQ the NYSE, ASE
NYSE American and PCX NYSE Arca. GitHub publishes no limit of its raw files; thirty a minute
is ours.
"""

from __future__ import annotations

from stock_platform.domain.capabilities import Capabilities, Feed, Limit

NAME = "financedatabase"
BASE_URL = "https://raw.githubusercontent.com"
PATH = "/JerBouma/FinanceDatabase/main/database/equities/{}.csv"
EXCHANGES = ("NMS", "NYQ", "ASE", "PCX", "NGM", "NCM")
"""The files of the United States, in the order they are asked for."""

CAPABILITIES = Capabilities(
    source=NAME,
    limits=(Limit(30, 60.0),),
    preference=90,
    default_on=False,
    feeds=(Feed.LISTING, Feed.PROFILE),
)
