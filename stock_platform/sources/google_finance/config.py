"""Google Finance as data: what can be asked, how often, and how Google spells symbols.

Belongs here: capabilities, spellings. Does not: how it is asked (client.py) or read (parse.py).

https://www.google.com/finance/quote/AAPL:NASDAQ , currencies and coins
https://www.google.com/finance/quote/EUR-USD . Quotes alone, delayed by up to 20 minutes, in the
currency of the listing (London in pence, GBX: given in pounds). The API of old
(finance.google.com: getprices, historical, output=json) was retired in 2017; its answers are
refused. Off by default and on standby: the page's layout changes without notice. Its
robots.txt is obeyed. From the European Union pages may redirect to consent.google.com.

A US ticker does not tell its exchange, so NASDAQ is asked first, and the next one only when
the page says that there is no such symbol; what was found is remembered by the process.
"""

from __future__ import annotations

from stock_platform.domain.capabilities import Capabilities, Feed, Limit
from stock_platform.domain.errors import InputError
from stock_platform.domain.symbols import AssetClass, Symbol, pair_of, us_share

NAME = "google_finance"
BASE_URL = "https://www.google.com"
ACCEPT = "text/html,application/xhtml+xml"

US_EXCHANGES = ("NASDAQ", "NYSE", "NYSEARCA", "NYSEAMERICAN")
FUNDS = "MUTF"

INDICES = {
    "^GSPC": ".INX:INDEXSP", "^DJI": ".DJI:INDEXDJX", "^IXIC": ".IXIC:INDEXNASDAQ",
    "^NDX": "NDX:INDEXNASDAQ", "^RUT": "RUT:INDEXRUSSELL", "^VIX": "VIX:INDEXCBOE",
    "^FTSE": "UKX:INDEXFTSE", "^GDAXI": "DAX:INDEXDB", "^FCHI": "PX1:INDEXEURO",
    "^STOXX50E": "SX5E:INDEXSTOXX", "^N225": "NI225:INDEXNIKKEI", "^HSI": "HSI:INDEXHANGSENG",
    "^NSEI": "NIFTY_50:INDEXNSE", "^BSESN": "SENSEX:INDEXBOM", "^GSPTSE": "OSPTX:INDEXTSI",
    "^AXJO": "XJO:INDEXASX",
}  # fmt: skip

# Our suffix of an exchange abroad, and Google's name of it.
ABROAD = {
    "L": "LON", "PA": "EPA", "AS": "AMS", "BR": "EBR", "LS": "ELI", "DE": "ETR", "F": "FRA",
    "MI": "BIT", "MC": "BME", "SW": "SWX", "VI": "VIE", "ST": "STO", "HE": "HEL", "CO": "CPH",
    "IC": "ICE", "WA": "WSE", "IS": "IST", "TA": "TLV", "JO": "JSE", "T": "TYO", "HK": "HKG",
    "SS": "SHA", "SZ": "SHE", "KS": "KRX", "KQ": "KOSDAQ", "TW": "TPE", "SI": "SGX",
    "KL": "KLSE", "BK": "BKK", "JK": "IDX", "NS": "NSE", "BO": "BOM", "AX": "ASX", "NZ": "NZE",
    "TO": "TSE", "NE": "NEO", "CN": "CNSX", "MX": "BMV", "SA": "BVMF", "BA": "BCBA",
}  # fmt: skip

CAPABILITIES = Capabilities(
    source=NAME,
    limits=(Limit(1, 5.0), Limit(400, 86_400.0)),
    preference=95,
    default_on=False,
    feeds=(Feed.QUOTE,),
    standby=True,
)


def spellings(symbol: Symbol) -> tuple[str, ...]:
    """What Google may call the symbol, in the order to try.

    Raises:
        InputError: it has no name for it.
    """
    ticker, pair = symbol.ticker, pair_of(symbol)
    if pair is not None:
        return (f"{pair[0]}-{pair[1]}",)
    if ticker in INDICES:
        return (INDICES[ticker],)
    share = us_share(symbol)
    if symbol.asset_class is AssetClass.FUND:
        return (f"{ticker}:{FUNDS}",)
    root, _, suffix = ticker.partition(".")
    if share is not None and share.kind == "class" and not share.tails:
        return tuple(f"{ticker}:{exchange}" for exchange in reversed(US_EXCHANGES[:2]))
    if share is None and suffix in ABROAD:
        return (f"{root}:{ABROAD[suffix]}",)
    if symbol.asset_class in (AssetClass.STOCK, AssetClass.ETF) and not suffix:
        return tuple(f"{ticker}:{exchange}" for exchange in US_EXCHANGES)
    raise InputError("ticker", ticker, f"{NAME} has no name for it that is known")
