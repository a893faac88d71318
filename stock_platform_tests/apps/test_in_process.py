"""``portfolio queue``, tokens, and reading as the reader: commands run in this process."""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import make_conninfo

from stock_platform.apps.cli import main
from stock_platform.domain.errors import DatabaseError
from stock_platform.pipeline.portfolio import Order, enter_orders
from stock_platform.pipeline.runtime import Platform
from stock_platform.settings import load_settings
from stock_platform.storage import backfills, tokens
from stock_platform.storage.assets import NewAsset, register, track
from stock_platform.storage.connection import Database
from stock_platform.storage.roles import add_login, ensure_roles
from stock_platform.storage.tokens import PREFIX, Right
from stock_platform.storage.writers import write_validated
from stock_platform_tests.apps.conftest import UNREACHABLE, Said
from stock_platform_tests.storage import worlds

NOW = datetime(2013, 3, 1, 23, tzinfo=UTC)


@dataclass
class Here:
    """Runs a command in this process."""

    capture: pytest.CaptureFixture[str]

    def __call__(self, *words: str) -> Said:
        code = main(words)
        out, err = self.capture.readouterr()
        return Said(code, out, err)


@pytest.fixture
def here(
    database: Database,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> Here:
    """Commands on a fresh database."""
    monkeypatch.chdir(tmp_path)
    for name, value in (
        ("DATABASE_URL", database.url),
        ("STOCK_PLATFORM_HOME", str(tmp_path / "home")),
        ("STOCK_PLATFORM_MARKET_TIME", NOW.isoformat()),
        ("STOCK_PLATFORM_START_DATE", "2013-01-02"),
        ("STOCK_PLATFORM_SOURCES", "yahoo"),
        ("COLUMNS", "160"),
    ):
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("STOCK_PLATFORM_READER_URL", raising=False)
    return Here(capsys)


def queue_up(db: Database) -> dict[str, int]:
    """A job in every state: A failed, B waits for a quota, C is pending, D done, E under way."""
    ids = register(db, [NewAsset(t, "stock", "XNYS", "USD") for t in "ABCDE"])
    rows = [
        ("A", "failed", 5, None, "the server is on fire", NOW),
        ("B", "rate_limited", 0, NOW + timedelta(hours=1), None, None),
        ("C", "pending", 2, NOW + timedelta(minutes=10), "timed out", None),
        ("D", "completed", 1, None, None, NOW),
        ("E", "in_progress", 1, None, None, None),
    ]
    with db.connect() as connection:
        for ticker, state, attempts, again, error, ended in rows:
            connection.execute(
                "insert into stocks.backfill_queue (asset_id, first_day, last_day, state, "
                "attempts, retry_after, error, finished_at, run_id) "
                "values (%s, '2012-01-03', '2013-03-01', %s, %s, %s, %s, %s, %s)",
                [ids[ticker], state, attempts, again, error, ended,
                 "a-run" if state == "in_progress" else None],
            )  # fmt: skip
    return ids


def test_the_queue_is_shown_by_state(here: Here, database: Database) -> None:
    """Every job with its ticker, times and error; --state keeps those of one; JSON has all."""
    queue_up(database)
    told = here("portfolio", "queue", "--json").json
    assert told["states"] == dict.fromkeys(backfills.STATES, 1)
    assert [job["ticker"] for job in told["jobs"]] == ["E", "D", "C", "B", "A"]
    assert told["jobs"][4]["error"] == "the server is on fire"
    assert told["jobs"][3]["retry_after"] == "2013-03-02T00:00:00+00:00"
    [failed] = here("portfolio", "queue", "--state", "failed", "--json").json["jobs"]
    assert (failed["ticker"], failed["attempts"]) == ("A", 5)
    assert len(here("portfolio", "queue", "--limit", "2", "--json").json["jobs"]) == 2
    shown = here("portfolio", "queue")
    assert shown.code == 0
    assert "on fire" in shown.out
    assert "2013-03-02 00:00" in shown.out
    assert "5 jobs" in shown.err
    assert "queue retry --all" in shown.err
    wrong = here("portfolio", "queue", "--state", "lost")
    assert wrong.code == 2
    assert "rate_limited" in wrong.error


def test_an_empty_queue_reads_well(here: Here) -> None:
    """Nothing is an answer, too."""
    assert here("portfolio", "queue", "--json").json["jobs"] == []
    said = here("portfolio", "queue")
    assert (said.code, "0 jobs" in said.err) == (0, True)


def test_failed_and_waiting_jobs_are_tried_again(here: Here, database: Database) -> None:
    """One ticker's, or all; those that are done or under way are left alone."""
    ids = queue_up(database)
    now = NOW
    assert backfills.due(database, now) == 0
    assert here("portfolio", "queue", "retry", "a", "--json").json == {"due_now": 1}
    [job] = backfills.take(database, "r", now)
    assert (job.asset_id, job.attempts) == (ids["A"], 1)
    assert here("portfolio", "queue", "retry", "--all").out == "2 histories due now\n"
    assert {j.asset_id for j in backfills.take(database, "r2", now)} == {ids["B"], ids["C"]}
    states = backfills.states(database)
    assert (states["in_progress"], states["completed"]) == (4, 1)
    assert "none has failed" in here("portfolio", "queue", "retry", "--all").out
    for words in ([], ["A", "--all"]):
        refused = here("portfolio", "queue", "retry", *words)
        assert (refused.code, "--all" in refused.error) == (2, True)
    assert here("portfolio", "queue", "retry", "NOPE").code == 2


def test_tokens_are_made_listed_and_revoked(here: Here, database: Database) -> None:
    """The text is shown once and kept nowhere; its digest is; the list tells each one's state."""
    made = here("api", "tokens", "create", "grafana", "--rights", "read", "--json").json
    text = made["token"]
    assert text.startswith(PREFIX)
    assert (made["rights"], made["user"], made["expires_at"]) == ("read", None, None)
    plain = here("api", "tokens", "create", "broker", "--rights", "trade", "--user", "anna",
                 "--days", "30")  # fmt: skip
    assert plain.out.strip().startswith(PREFIX)
    assert "not shown again" in plain.err
    tokens.create(database, "old", Right.ADMIN, expires_at=datetime.now(UTC) - timedelta(seconds=1))
    listed = here("api", "tokens", "list", "--json")
    rows = {row["name"]: row for row in listed.json}
    assert {name: row["state"] for name, row in rows.items()} == {
        "grafana": "in force", "broker": "in force", "old": "expired",
    }  # fmt: skip
    assert (rows["broker"]["rights"], rows["broker"]["user"]) == ("trade", "anna")
    days = datetime.fromisoformat(rows["broker"]["expires_at"]) - datetime.now(UTC)
    assert timedelta(days=29, hours=23) < days < timedelta(days=30, minutes=1)

    with database.connect() as connection:
        kept = connection.execute("select name, digest, t::text from stocks.api_tokens t")
        stored = {row[0]: (bytes(row[1]), row[2]) for row in kept}
    assert stored["grafana"][0] == hashlib.sha256(text.encode()).digest()
    for shown in (
        *(row for _, row in stored.values()),
        listed.out,
        here("api", "tokens", "list").out,
    ):
        assert text not in shown
        assert plain.out.strip() not in shown

    assert here("api", "tokens", "revoke", "grafana").code == 0
    states = {row["name"]: row["state"] for row in here("api", "tokens", "list", "--json").json}
    assert states["grafana"] == "revoked"
    again = here("api", "tokens", "revoke", "grafana")
    assert (again.code, "in force" in again.error) == (2, True)
    assert here("api", "tokens", "create", "grafana").code == 0, "its name is free again"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["create", "two words"], "name"),
        (["create", "x", "--rights", "root"], "rights"),
        (["create", "x", "--days", "0"], "days"),
        (["create", "x", "--user", "two words"], "user"),
        (["revoke", "nobody"], "name"),
    ],
)
def test_wrong_tokens_are_refused(
    here: Here, database: Database, words: list[str], said: str
) -> None:
    """The parameter is named, and nothing is stored."""
    refused = here("api", "tokens", *words)
    assert refused.code == 2
    assert said in refused.error
    assert tokens.tokens(database) == []


def test_a_token_in_force_keeps_its_name(here: Here) -> None:
    """A second of its name is refused: a list of two grafanas tells nobody which to revoke."""
    assert here("api", "tokens", "create", "grafana").code == 0
    assert "in force" in here("api", "tokens", "create", "grafana").error


READING = [
    ["prices", "A"], ["status"], ["status", "A"], ["explain", "A", "2013-01-04"], ["quotes", "A"],
    ["quarantine"], ["sources"], ["sources", "show", "yahoo"], ["usage"], ["alerts"],
    ["actions", "A"], ["series"], ["catalog", "search", "A"], ["catalog", "changes"],
    ["catalog", "show", "A"], ["live", "list"], ["portfolio", "list"], ["portfolio", "positions"],
    ["portfolio", "performance"], ["portfolio", "queue"],
]  # fmt: skip


@pytest.fixture
def reader(database: Database, server_url: str) -> Iterator[str]:
    """A login that may only read."""
    prefix = f"t_{uuid.uuid4().hex[:10]}"
    word = uuid.uuid4().hex
    assert ensure_roles(database.url, prefix) is None
    add_login(database.url, f"{prefix}_who", "reader", word, prefix=prefix)
    yield make_conninfo(database.url, user=f"{prefix}_who", password=word)
    with psycopg.connect(database.url, autocommit=True) as owner:
        for role in ("who", "reader", "writer", "owner"):
            name = sql.Identifier(f"{prefix}_{role}")
            if role == "owner":
                owner.execute(sql.SQL("reassign owned by {} to current_user").format(name))
            owner.execute(sql.SQL("drop owned by {}").format(name))
            owner.execute(sql.SQL("drop role {}").format(name))


def test_who_only_looks_needs_the_reader_alone(
    here: Here, database: Database, reader: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Reading commands work as the reader where the writer's database does not answer.

    They say what they say as the writer; what writes says that it cannot.
    """
    asset = register(database, [NewAsset("A", "stock", "XNYS", "USD")])["A"]
    track(database, [asset])
    days = worlds.weekdays(date(2013, 1, 2), 10)
    write_validated(database, worlds.validated(worlds.raw_bars([asset], days)))
    with Platform.from_settings(load_settings(database_url=database.url)) as platform:
        enter_orders(platform.db, platform.clock, [Order("me", "A", "buy", 1, 9, "2013-01-04")])
    as_writer = {" ".join(words): here(*words, "--json") for words in READING}
    monkeypatch.setenv("DATABASE_URL", UNREACHABLE)
    monkeypatch.setenv("STOCK_PLATFORM_READER_URL", reader)
    for words in READING:
        said = here(*words, "--json")
        before: Any = as_writer[" ".join(words)]
        assert said.code == before.code == 0, (words, said.err, before.err)
        assert type(json.loads(said.out)) is type(json.loads(before.out)), words
    for name in ("prices A", "portfolio list", "portfolio queue"):
        assert here(*name.split(), "--json").out == as_writer[name].out
    refused = here("portfolio", "buy", "A", "1", "--price", "1", "--date", "2013-01-07")
    assert (refused.code, "127.0.0.1:9" in refused.error) == (1, True)
    with Platform.reading() as platform, pytest.raises((DatabaseError, psycopg.Error)):
        enter_orders(platform.db, platform.clock, [Order("me", "A", "buy", 1, 9, "2013-01-04")])
