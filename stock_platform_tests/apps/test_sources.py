"""``sources`` and ``usage``: how sources fare, what was asked of them, trying and resetting."""

from __future__ import annotations

import psycopg
import pytest

from stock_platform.sandbox.server import SandboxServer
from stock_platform_tests.apps.conftest import Cli

RANGE = ("--start", "2013-01-02", "--end", "2013-01-04")


def entry(cli: Cli, name: str) -> dict[str, object]:
    found = {e["source"]: e for e in cli("sources", "--json").json}
    return dict(found[name])


def test_a_source_is_tried_in_one_line(cli: Cli, sandbox: SandboxServer) -> None:
    """One call, a plain verdict, exit code 0; it counts for usage and health."""
    cli.environment |= sandbox_urls(sandbox)
    said = cli("sources", "test", "yahoo")
    assert said.code == 0, said.err
    assert said.out.startswith("yahoo works: AAPL at ")
    assert cli("sources", "test", "yahoo", "--json").json["works"] is True
    assert entry(cli, "yahoo")["success_rate"] == 1.0
    (day,) = cli("usage", "--json").json
    assert (day["source"], day["calls"], day["failed"], day["cost"]) == ("yahoo", 2, 0, 0.0)
    assert day["quota_a_day"] == 48_000


def test_a_source_that_is_down_says_why(cli: Cli) -> None:
    """Exit code 1 and one line; its failures open the circuit, and reset closes it."""
    cli.environment |= {"STOCK_PLATFORM_YAHOO_BASE_URL": "http://127.0.0.1:9"}
    for _ in range(2):
        said = cli("sources", "test", "yahoo")
        assert said.code == 1
        assert "yahoo: cannot reach http://127.0.0.1:9" in said.error
    found = entry(cli, "yahoo")
    assert found["circuit"] in ("open", "half_open")
    assert "cannot reach" in str(found["last_error"])
    assert "circuit open" in str(found["state"]) or "to be tried" in str(found["state"])
    assert cli("sources", "reset", "yahoo").code == 0
    assert entry(cli, "yahoo")["circuit"] == "closed"
    assert entry(cli, "yahoo")["last_error"] is None
    (day,) = cli("usage", "--source", "yahoo", "--json").json
    assert (day["failed"], day["requests"]) == (2, 6)


def test_one_source_in_full(cli: Cli) -> None:
    """What a call covers, its limits, its key's variable and address."""
    said = cli("sources", "show", "polygon")
    assert said.code == 0
    for word in ("POLYGON_API_KEY", "every symbol x 1 session", "https://api.polygon.io"):
        assert word in said.out
    assert cli("sources", "show", "polygon", "--json").json["needs"] == "POLYGON_API_KEY"


@pytest.mark.parametrize("words", ["show nope", "test nope", "reset nope"])
def test_unknown_sources_are_named(cli: Cli, words: str) -> None:
    """With those there are."""
    said = cli("sources", *words.split())
    assert said.code == 2
    assert "source: 'nope' is not allowed; use one of" in said.error


def test_a_base_url_of_no_source_is_refused(cli: Cli) -> None:
    """A typo in a variable's name does not send requests to the vendor in silence."""
    said = cli("sources", STOCK_PLATFORM_YAHO_BASE_URL="http://127.0.0.1:1")
    assert said.code == 2
    assert "STOCK_PLATFORM_YAHO_BASE_URL" in said.error
    assert "yahoo" in said.error


def test_keys_are_nowhere(cli: Cli, sandbox: SandboxServer, database_url: str) -> None:
    """Not on the screen, not in any table, not in any file of the home."""
    key = "k3y-that-must-not-leak"
    cli.environment |= sandbox_urls(sandbox) | {"POLYGON_API_KEY": key}
    texts = [
        said.out + said.err
        for words in (
            ["sources"],
            ["sources", "show", "polygon"],
            ["sources", "test", "polygon"],
            ["fetch", "polygon", "AAPL", "NOPE", *RANGE],
            ["usage"],
            ["backfill", "AAPL", *RANGE],
        )
        for said in [cli(*words)]
    ]
    assert not any(key in text for text in texts)
    with psycopg.connect(database_url) as connection:
        tables = connection.execute(
            "select quote_ident(table_schema) || '.' || quote_ident(table_name) "
            "from information_schema.tables "
            "where table_schema not in ('pg_catalog', 'information_schema')"
        ).fetchall()
        for (table,) in tables:
            rows = connection.execute(f"select t::text from {table} t").fetchall()
            assert not any(key in str(row[0]) for row in rows), table
    home = cli.folder / "home"
    files = [path for path in home.rglob("*") if path.is_file()]
    assert files
    assert not any(key.encode() in path.read_bytes() for path in files)


def sandbox_urls(server: SandboxServer) -> dict[str, str]:
    return {
        f"STOCK_PLATFORM_{name.upper()}_BASE_URL": server.base_url(name)
        for name in ("yahoo", "polygon")
    }
