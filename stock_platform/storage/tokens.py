"""Tokens of the HTTP API: made, listed, revoked, recognized.

Belongs here: rows of ``api_tokens``. Does not: what a right allows (apps/api/auth.py).

A token is 256 random bits and is shown once. Its SHA-256 is kept: a slow, salted hash protects
passwords, which people choose and attackers guess; 256 random bits cannot be guessed or looked
up in a table, so the quick hash gives nothing away and costs a request no time.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

import psycopg
from psycopg import sql

from stock_platform.domain.errors import InputError, one_of
from stock_platform.domain.portfolio.transactions import read_user
from stock_platform.storage.connection import Database
from stock_platform.storage.frames import one, run

PREFIX = "sp_"
"""Tokens begin so, which lets scanners of repositories find one that leaked."""

_BYTES = 32


class Right(StrEnum):
    """What a token may do; each may do what the ones before it may."""

    READ = "read"
    TRADE = "trade"
    ADMIN = "admin"

    def includes(self, other: Right) -> bool:
        """Whether this right is as much as ``other``."""
        return list(Right).index(self) >= list(Right).index(other)

    @classmethod
    def parse(cls, text: str) -> Right:
        """A right by its name. Raises InputError."""
        try:
            return cls(text.strip().lower())
        except ValueError:
            raise InputError("rights", text, one_of(list(cls))) from None


@dataclass(frozen=True)
class Token:
    """A token as it is kept.

    Attributes:
        name: unique among those in force.
        right: read, trade or admin.
        user: whose portfolio alone it may see and change; None: anybody's.
        digest: SHA-256 of the token.
        expires_at: None: never.
        revoked_at: None: it is not.
    """

    token_id: int
    name: str
    right: Right
    user: str | None
    digest: bytes
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None

    def valid(self, now: datetime) -> bool:
        """Whether it opens anything at ``now``."""
        return self.revoked_at is None and (self.expires_at is None or now < self.expires_at)


def create(
    db: Database,
    name: str,
    right: Right,
    *,
    user: str | None = None,
    expires_at: datetime | None = None,
) -> str:
    """Make a token; the text is not kept and cannot be shown again.

    Raises:
        InputError: the name is taken by a token in force, or cannot be one.
    """
    if not re.fullmatch(r"[!-~]{1,60}", name):
        raise InputError("name", name, "use 1 to 60 letters, digits and signs without spaces")
    text = PREFIX + secrets.token_urlsafe(_BYTES)
    values = (name, digest_of(text), str(right), read_user(user) if user else None, expires_at)
    with db.connect() as connection:
        try:
            run(
                connection,
                sql.SQL(
                    "insert into stocks.api_tokens (name, digest, rights, user_id, expires_at) "
                    "values ({})"
                ).format(sql.SQL(", ").join(map(sql.Literal, values))),
            )
        except psycopg.errors.UniqueViolation:
            raise InputError(
                "name", name, "a token of this name is in force: revoke it, or use another name"
            ) from None
    return text


def tokens(db: Database) -> list[Token]:
    """All tokens, revoked ones too, the oldest first."""
    with db.connect() as connection:
        rows = run(
            connection,
            sql.SQL(
                "select token_id, name, rights, user_id, digest, created_at, expires_at, "
                "revoked_at from stocks.api_tokens order by token_id"
            ),
        ).fetchall()
    return [Token(r[0], r[1], Right(r[2]), r[3], bytes(r[4]), *r[5:]) for r in rows]


def revoke(db: Database, name: str) -> None:
    """Make a token void for ever. Raises InputError: none of this name is in force."""
    with db.connect() as connection:
        gone = run(
            connection,
            sql.SQL(
                "update stocks.api_tokens set revoked_at = now() "
                "where name = {} and revoked_at is null"
            ).format(sql.Literal(name)),
        ).rowcount
    if not gone:
        raise InputError("name", name, "use the name of a token in force: api tokens list")


def any_in_force(db: Database) -> bool:
    """Whether there is a token that was not revoked; one that expired counts.

    So an API that asks for tokens does not open when its last one expires.
    """
    with db.connect() as connection:
        return bool(
            one(
                connection,
                sql.SQL("select exists (select from stocks.api_tokens where revoked_at is null)"),
            )[0]
        )


def recognized(text: str, known: Iterable[Token], now: datetime) -> Token | None:
    """The valid token that ``text`` is, in a time that tells nothing of how near it came."""
    digest, found = digest_of(text), None
    for token in known:
        if hmac.compare_digest(digest, token.digest) and token.valid(now):
            found = token
    return found


def digest_of(text: str) -> bytes:
    """What is kept of a token."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()
