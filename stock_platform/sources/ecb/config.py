"""The European Central Bank's reference rates as data: what can be asked, how often.

Belongs here: capabilities. Does not: how it is asked (client.py) or read (parse.py).

https://www.ecb.europa.eu/stats/policy_and_exchange_rates/euro_reference_exchange_rates/ .
One file holds every currency: the last 90 days, or all since 4 January 1999. No key, no
published limit.

A rate is units of the currency for one euro, fixed at 14:15 Central European Time on the
days that TARGET is open and published about 16:00. It is one number a day, given here as a
bar whose open, high, low and close are equal and whose volume is null; the session is the
date of the fixing, the stamp its UTC midnight. It is for information, no price that anybody
traded at: so the source stands by, for pairs and days that no other reaches.

Only what is published: EUR/USD, but neither USD/EUR nor GBP/USD. TARGET has holidays that
the currencies' calendar (24/5) has not, so silence settles nothing: ``complete`` is False.
"""

from __future__ import annotations

from stock_platform.domain.bars import Basis, Interval
from stock_platform.domain.capabilities import Capabilities, Endpoint, Limit, TileShape
from stock_platform.domain.symbols import AssetClass

NAME = "ecb"
BASE_URL = "https://www.ecb.europa.eu"
RECENT_PATH = "/stats/eurofxref/eurofxref-hist-90d.xml"
WHOLE_PATH = "/stats/eurofxref/eurofxref-hist.xml"
RECENT_DAYS = 85
"""Days back within which the file of 90 days is asked; the rest is for clocks and holidays."""

REFERENCE = Endpoint(
    name="reference",
    shape=TileShape.ROW,
    intervals=(Interval.DAY,),
    asset_classes=(AssetClass.FX,),
    basis=Basis.AS_TRADED,
    complete=False,
)

CAPABILITIES = Capabilities(
    source=NAME,
    endpoints=(REFERENCE,),
    limits=(Limit(20, 60.0),),
    preference=80,
    standby=True,
)
