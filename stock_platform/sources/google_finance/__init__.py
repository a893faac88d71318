"""Google Finance's web pages: the price now."""

from stock_platform.sources.google_finance.client import SPEC

__all__ = ["SPEC"]
