"""Faults on demand: what goes wrong, for whom, how often.

Belongs here: rules, their matching, and the spoiling of bars. Does not: how a vendor words
its errors.

Transport faults replace or damage the whole answer; bar faults change numbers inside it:

    http_429        the vendor's 429; ``retry_after`` seconds in its header, when given
    http_500, http_503
    error_200       status 200 with the vendor's error body
    html            status 200 with a web page
    truncated       the body ends in the middle, and says so nowhere
    empty           status 200, no body
    slow            answers after ``seconds``
    disconnect      the connection closes in the middle of the body
    stale           answers as of ``days`` ago (default 5)
    null_rows       all five values of some rows are null
    null_close      the close alone is null
    wrong_100x      prices of some rows are 100 times too high (pence for pounds)
    negative        prices of some rows are negative
    high_below_low  high and low of some rows are exchanged
    repeated        some rows repeat the row before them
"""

from __future__ import annotations

import itertools
import random
import threading
from collections.abc import Iterable, Mapping, MutableMapping
from dataclasses import asdict, dataclass, field, fields
from fnmatch import fnmatchcase
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stock_platform.domain.errors import InputError, one_of

TRANSPORT = (
    "http_429", "http_500", "http_503", "error_200", "html", "truncated", "empty", "slow",
    "disconnect", "stale",
)  # fmt: skip
BARS = ("null_rows", "null_close", "wrong_100x", "negative", "high_below_low", "repeated")
KINDS = TRANSPORT + BARS


@dataclass
class Fault:
    """One rule. The first rule that matches a call acts on it, alone.

    Attributes:
        kind: what happens; see the module.
        vendor, endpoint, symbol: which calls, as shell patterns (``*`` is any). ``symbol``
            is the vendor's spelling; endpoints without one have ``""``.
        probability: of acting on a call that matches.
        nth: act on the nth matching call only, counted from 1.
        every: act on every nth matching call.
        times: stop after acting this often. ``once`` in JSON is ``times: 1``.
        retry_after: for http_429, seconds to put into Retry-After; None sends no header.
        seconds: for slow.
        days: for stale.
        share: for bar faults, the share of rows that is spoilt; at least one row is.
    """

    kind: str
    vendor: str = "*"
    endpoint: str = "*"
    symbol: str = "*"
    probability: float = 1.0
    nth: int | None = None
    every: int | None = None
    times: int | None = None
    retry_after: float | None = None
    seconds: float = 5.0
    days: int = 5
    share: float = 0.02
    id: int = 0
    matched: int = field(default=0, compare=False)
    acted: int = field(default=0, compare=False)

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise InputError("fault.kind", self.kind, one_of(KINDS))
        if not 0 <= self.probability <= 1:
            raise InputError("fault.probability", self.probability, "give 0 to 1")
        if not 0 < self.share <= 1:
            raise InputError("fault.share", self.share, "give a number above 0, at most 1")


def read_fault(values: Mapping[str, Any]) -> Fault:
    """A rule from JSON.

    Raises:
        InputError: an unknown field or a value that is not allowed.
    """
    if not isinstance(values, Mapping):
        raise InputError("fault", values, "give an object like {'kind': 'http_429'}")
    made = dict(values)
    if made.pop("once", False):
        made["times"] = 1
    known = {f.name for f in fields(Fault)} - {"id", "matched", "acted"}
    unknown = sorted(set(made) - known)
    if unknown or "kind" not in made:
        raise InputError("fault", unknown[0] if unknown else values, one_of(sorted(known)))
    return Fault(**made)


class FaultBook:
    """The rules in force. Its dice are seeded, so a sequence of calls repeats exactly."""

    def __init__(self, rules: Iterable[Mapping[str, Any]] = (), seed: int = 0) -> None:
        self._rules: list[Fault] = []
        self._seed = seed
        self._dice = random.Random(seed)  # noqa: S311 - faults, not secrets
        self._numbers = itertools.count(1)
        self._lock = threading.Lock()
        self.add(rules)

    def add(self, rules: Iterable[Mapping[str, Any]]) -> list[int]:
        """Add rules behind those in force; their ids."""
        made = [read_fault(rule) for rule in rules]
        with self._lock:
            for rule in made:
                rule.id = next(self._numbers)
            self._rules += made
        return [rule.id for rule in made]

    def clear(self) -> None:
        """Drop every rule and start the dice again."""
        with self._lock:
            self._rules.clear()
            self._dice = random.Random(self._seed)  # noqa: S311 - faults, not secrets

    def choose(self, vendor: str, endpoint: str, symbol: str) -> Fault | None:
        """The fault that befalls a call."""
        with self._lock:
            for rule in self._rules:
                if not (
                    fnmatchcase(vendor, rule.vendor)
                    and fnmatchcase(endpoint, rule.endpoint)
                    and fnmatchcase(symbol, rule.symbol)
                ):
                    continue
                rule.matched += 1
                if (
                    (rule.times is not None and rule.acted >= rule.times)
                    or (rule.nth is not None and rule.matched != rule.nth)
                    or (rule.every is not None and rule.matched % rule.every)
                    or self._dice.random() >= rule.probability
                ):
                    continue
                rule.acted += 1
                return rule
        return None

    def report(self) -> list[dict[str, Any]]:
        """The rules with how often each matched and acted."""
        with self._lock:
            return [asdict(rule) for rule in self._rules]


Columns = MutableMapping[str, NDArray[np.float64]]


def spoil(columns: Columns, fault: Fault | None) -> None:
    """Apply a bar fault in place; None and transport faults change nothing.

    ``columns`` has open, high, low, close, volume; nulls are NaN. Which rows are spoilt
    depends on the fault's id and the number of rows only.
    """
    rows = len(columns["close"])
    if fault is None or fault.kind not in BARS or rows == 0:
        return
    dice = np.random.default_rng([fault.id, rows])
    hit = dice.choice(rows, size=max(1, round(rows * fault.share)), replace=False)
    prices = ("open", "high", "low", "close")
    if fault.kind == "null_rows":
        for values in columns.values():
            values[hit] = np.nan
    elif fault.kind == "null_close":
        columns["close"][hit] = np.nan
    elif fault.kind == "high_below_low":
        high = columns["high"][hit]
        columns["high"][hit] = columns["low"][hit]
        columns["low"][hit] = high
    elif fault.kind == "repeated":
        for values in columns.values():
            values[hit] = values[np.maximum(hit - 1, 0)]
    else:
        for name in prices:
            columns[name][hit] *= 100.0 if fault.kind == "wrong_100x" else -1.0
