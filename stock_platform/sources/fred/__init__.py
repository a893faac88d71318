"""FRED, the St. Louis Fed's economic series."""

from stock_platform.sources.fred.client import SPEC

__all__ = ["SPEC"]
