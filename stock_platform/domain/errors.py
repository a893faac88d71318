"""The tree of everything that can go wrong, in words a user can act on.

Belongs here: exception classes. Does not: handling, retrying, printing.

    StockPlatformError                 exit code 1
    |- InputError                      exit code 2: the caller's value is not allowed
    |- DatabaseError                   the database cannot be reached, or refused
    |- CacheError                      the HTTP cache on disk cannot be used
    `- SourceError                     what a vendor answered, or failed to
       |- RateLimited                  too many calls; carries retry_after
       |- NotEntitled                  the key's plan lacks this data: not retried
       |- UnknownSymbol                the vendor does not know the ticker
       |- NoData                       the vendor knows the ticker and has no bars there
       |- Malformed                    the answer is not what the vendor documents
       `- Unavailable                  transient: network, 5xx, challenge page; retried

Only ``Unavailable`` and ``RateLimited`` are transient (``SourceError.transient``).
"""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


class StockPlatformError(Exception):
    """Base of all errors this platform raises on purpose."""

    exit_code = 1


class InputError(StockPlatformError, ValueError):
    """A parameter's value is not allowed.

    The message names the parameter, the value, and what is allowed.
    """

    exit_code = 2

    def __init__(self, parameter: str, value: object, allowed: str) -> None:
        self.parameter = parameter
        self.value = value
        self.allowed = allowed
        super().__init__(f"{parameter}: {value!r} is not allowed; {allowed}")


class DatabaseError(StockPlatformError):
    """The database cannot be reached, is too old, or refused a statement."""


class CacheError(StockPlatformError):
    """The HTTP cache on disk cannot be read or written."""


class SourceError(StockPlatformError):
    """A vendor's answer that is not bars.

    Attributes:
        source: the vendor's name, as in ``sources/<name>``.
        status: a short stable word for ledgers and metrics (``rate_limited``, ...).
        transient: whether asking again later can help.
        requests: HTTP requests made before giving up, as counted against the quota.
        rate_limited: how many of them were answered with "too many calls".
    """

    status = "failed"
    transient = False
    requests = 0
    rate_limited = 0

    def __init__(self, source: str, message: str) -> None:
        self.source = source
        self.detail = message
        super().__init__(f"{source}: {message}")


class RateLimited(SourceError):
    """Too many calls.

    Attributes:
        retry_after: seconds; None where the vendor gave none.
        guessed: nobody said until when: ``retry_after`` is a guess, or None.
    """

    status = "rate_limited"
    transient = True

    def __init__(
        self,
        source: str,
        message: str,
        retry_after: float | None = None,
        *,
        guessed: bool = False,
    ) -> None:
        super().__init__(source, message)
        self.retry_after = retry_after
        self.guessed = guessed or retry_after is None


class NotEntitled(SourceError):
    """The key, or its plan, has no right to this data (401, 403, premium notices)."""

    status = "not_entitled"


class UnknownSymbol(SourceError):
    """The vendor does not know the ticker."""

    status = "unknown_symbol"

    def __init__(self, source: str, symbol: str, message: str = "unknown symbol") -> None:
        super().__init__(source, f"{symbol}: {message}")
        self.symbol = symbol


class NoData(SourceError):
    """The vendor answered properly and has nothing for the range asked."""

    status = "no_data"


class Malformed(SourceError):
    """The answer does not have the documented form (HTML, truncated, wrong interval)."""

    status = "malformed"


class Unavailable(SourceError):
    """A transient failure: connection, timeout, 5xx, a challenge page.

    ``at_once`` tells whether the same request may succeed if it is sent again at once; a wall
    that keeps programs out stays up, and knocking again makes it worse.
    """

    status = "unavailable"
    transient = True

    def __init__(self, source: str, message: str, *, at_once: bool = True) -> None:
        super().__init__(source, message)
        self.at_once = at_once


def one_of(values: Iterable[object], given: object = None) -> str:
    """The ``allowed`` text of an InputError: ``use one of a, b, c``.

    With what was ``given`` the nearest of the values stands first: ``did you mean b? use ...``.
    """
    names = [str(v) for v in values]
    near = get_close_matches(str(given).lower(), names, 2) if given else []
    return (
        (f"did you mean {' or '.join(near)}? " if near else "") + "use one of " + ", ".join(names)
    )
