"""The vendors that the sandbox plays, one folder each."""

from __future__ import annotations

from stock_platform.sandbox.vendors.alpaca import Alpaca
from stock_platform.sandbox.vendors.alpha_vantage import AlphaVantage
from stock_platform.sandbox.vendors.bank_of_canada import BankOfCanada
from stock_platform.sandbox.vendors.base import Vendor
from stock_platform.sandbox.vendors.binance import Binance
from stock_platform.sandbox.vendors.coingecko import CoinGecko
from stock_platform.sandbox.vendors.ecb import Ecb
from stock_platform.sandbox.vendors.finnhub import Finnhub
from stock_platform.sandbox.vendors.fred import Fred
from stock_platform.sandbox.vendors.google_finance import GoogleFinance
from stock_platform.sandbox.vendors.marketwatch import MarketWatch
from stock_platform.sandbox.vendors.nasdaqtrader import NasdaqTrader
from stock_platform.sandbox.vendors.polygon import Polygon
from stock_platform.sandbox.vendors.sec import Sec
from stock_platform.sandbox.vendors.stooq import Stooq
from stock_platform.sandbox.vendors.tiingo import Tiingo
from stock_platform.sandbox.vendors.yahoo import Yahoo
from stock_platform.sandbox.vendors.yahoo_page import YahooPage

ALL: tuple[Vendor, ...] = (
    Yahoo(),
    Polygon(),
    Alpaca(),
    Ecb(),
    BankOfCanada(),
    Binance(),
    CoinGecko(),
    AlphaVantage(),
    Finnhub(),
    Fred(),
    Stooq(),
    NasdaqTrader(),
    Sec(),
    YahooPage(),
    GoogleFinance(),
    MarketWatch(),
    Tiingo(),
)
