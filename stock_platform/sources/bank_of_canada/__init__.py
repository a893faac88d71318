"""The Bank of Canada's daily exchange rates of the Canadian dollar."""

from stock_platform.sources.bank_of_canada.client import SPEC

__all__ = ["SPEC"]
