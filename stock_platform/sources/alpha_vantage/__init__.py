"""Alpha Vantage: the last 100 sessions of one symbol a call, quotes, profiles, a directory."""

from stock_platform.sources.alpha_vantage.client import SPEC

__all__ = ["SPEC"]
