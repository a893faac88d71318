"""The Bank of Canada's exchange rates as data: what can be asked, how often.

Belongs here: capabilities. Does not: how it is asked (client.py) or read (parse.py).

https://www.bankofcanada.ca/valet/docs and https://www.bankofcanada.ca/rates/exchange/ . No
key; no published limit. One series a pair, ``FXUSDCAD``, since 3 January 2017; both
directions are published (``FXCADUSD``).

A rate is one number a business day, the average of what banks reported through it, published
by 16:30 in Toronto. It is given here as a bar whose open, high, low and close are equal and
whose volume is null; the session is the rate's date, the stamp its UTC midnight. It is for
information, no price that anybody traded at: so the source stands by, for pairs and days
that no other reaches. Crosses (EUR/USD) are not derived. Canadian holidays have no rate, so
silence settles nothing: ``complete`` is False.
"""

from __future__ import annotations

from datetime import date

from stock_platform.domain.bars import Basis, Interval
from stock_platform.domain.capabilities import Capabilities, Endpoint, Limit, TileShape
from stock_platform.domain.symbols import AssetClass

NAME = "bank_of_canada"
BASE_URL = "https://www.bankofcanada.ca"

SINCE = date(2017, 1, 3)

OBSERVATIONS = Endpoint(
    name="observations",
    shape=TileShape.ROW,
    intervals=(Interval.DAY,),
    asset_classes=(AssetClass.FX,),
    basis=Basis.AS_TRADED,
    since=SINCE,
    complete=False,
)

CAPABILITIES = Capabilities(
    source=NAME,
    endpoints=(OBSERVATIONS,),
    limits=(Limit(30, 60.0),),
    preference=82,
    standby=True,
)
