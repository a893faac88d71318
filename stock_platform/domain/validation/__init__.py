"""Validation: which raw quotes may become the price we stand behind.

Belongs here: rules of a bar (rules.py) and of a bar among its neighbours (neighbours.py), their
thresholds (rulebook.py), what they find (findings.py), the choice among sources (choosing.py),
the contract of a validated frame (schema.py, imported when asked for). Does not: reading and
writing.
"""

from stock_platform.domain.validation.choosing import Verdict, choose
from stock_platform.domain.validation.context import Context
from stock_platform.domain.validation.findings import FINDINGS, RULE_NAMES, findings
from stock_platform.domain.validation.neighbours import SERIES_RULES
from stock_platform.domain.validation.rulebook import Rulebook, Thresholds
from stock_platform.domain.validation.rules import RULES, Level, Rule, Severity, judge

__all__ = [
    "FINDINGS",
    "RULES",
    "RULE_NAMES",
    "SERIES_RULES",
    "Context",
    "Level",
    "Rule",
    "Rulebook",
    "Severity",
    "Thresholds",
    "Verdict",
    "choose",
    "findings",
    "judge",
]
