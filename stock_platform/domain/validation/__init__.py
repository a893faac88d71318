"""Validation: which raw quotes may become the price we stand behind.

Belongs here: named rules (rules.py), the choice among sources (choosing.py), the contract
of a validated frame (schema.py, imported when asked for). Does not: reading and writing.
"""

from stock_platform.domain.validation.choosing import Verdict, choose
from stock_platform.domain.validation.rules import RULES, Level, Rule, Severity, judge

__all__ = ["RULES", "Level", "Rule", "Severity", "Verdict", "choose", "judge"]
