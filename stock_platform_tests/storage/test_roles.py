"""Roles: an owner migrates, a writer does what runs need, a reader writes nothing."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from datetime import date

import polars as pl
import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import make_conninfo

from stock_platform.domain.cells import CellGrid
from stock_platform.domain.errors import DatabaseError, InputError
from stock_platform.storage import migrate, timescale
from stock_platform.storage.connection import Database, connected
from stock_platform.storage.guests import Guest, make_room
from stock_platform.storage.roles import (
    GUEST_SCHEMA,
    Kind,
    add_login,
    drop_login,
    ensure_roles,
    role_names,
    roles,
)
from stock_platform.storage.writers import write_fetch, write_validated
from stock_platform_tests.storage.worlds import fetched, raw_bars, validated, weekdays

pytestmark = pytest.mark.both_servers
PASSWORD = "a-hidden-word"  # noqa: S105 - made up
REFUSALS = (
    psycopg.errors.InsufficientPrivilege,
    psycopg.errors.ObjectNotInPrerequisiteState,  # a view that nobody can write
)
Login = Callable[[Kind], str]


@pytest.fixture(autouse=True)
def prefix(server_url: str) -> Iterator[str]:
    """Roles of this test's own on the shared server; dropped after the test's databases."""
    prefix = f"t_{uuid.uuid4().hex[:10]}"
    yield prefix
    with psycopg.connect(server_url, autocommit=True) as admin:
        found = admin.execute(
            "select rolname from pg_roles where starts_with(rolname, %s) order by 1 desc", [prefix]
        ).fetchall()
        for (name,) in found:
            admin.execute(sql.SQL("drop role {}").format(sql.Identifier(name)))


@pytest.fixture
def login(database_url: str, prefix: str) -> Login:
    """Makes a login in a role and gives its URL."""
    make_room(Guest(database_url, GUEST_SCHEMA))
    assert ensure_roles(database_url, prefix) is None

    def made(kind: Kind) -> str:
        name = f"{prefix}_user_{kind}"
        add_login(database_url, name, kind, PASSWORD, prefix=prefix, timeout_seconds=0.2)
        return make_conninfo(database_url, user=name, password=PASSWORD)

    return made


def refused(url: str, text: str) -> None:
    """A statement is refused, in a transaction that may write."""
    url = make_conninfo(url, options="-c default_transaction_read_only=off")
    with psycopg.connect(url) as connection, pytest.raises(REFUSALS):
        connection.execute(text.encode())


def objects(url: str, kinds: str) -> list[str]:
    """Quoted names of the relations of some kinds in ``stocks``."""
    with connected(url) as connection:
        found = connection.execute(
            "select oid::regclass::text from pg_class where relnamespace = 'stocks'::regnamespace "
            "and relkind = any(%s) order by 1",
            [list(kinds)],
        ).fetchall()
    return [str(row[0]) for row in found]


def test_a_reader_can_write_nothing(database_url: str, login: Login) -> None:
    """No table, no view, no sequence, no new object, even where it turns read-only off."""
    url = login("reader")
    for table in objects(database_url, "rpv"):
        with psycopg.connect(url) as connection:
            connection.execute(f"select * from {table} limit 1".encode())
        refused(url, f"insert into {table} default values")
        refused(url, f"delete from {table}")
        with psycopg.connect(database_url) as admin:
            column = admin.execute(
                "select attname from pg_attribute where attrelid = %s::regclass and attnum > 0 "
                "and attgenerated = '' and attidentity = '' limit 1",
                [table],
            ).fetchone()
        assert column is not None
        refused(url, f'update {table} set "{column[0]}" = null')
    for table in objects(database_url, "rp"):
        refused(url, f"truncate {table}")
        refused(url, f"lock table {table} in exclusive mode")
        refused(url, f"alter table {table} add mine int")
    for sequence in objects(database_url, "S"):
        refused(url, f"select nextval('{sequence}')")
        refused(url, f"select setval('{sequence}', 1)")
    for text in (
        "create table stocks.mine (n int)",
        "create table public.mine (n int)",
        "create temporary table mine (n int)",
        "create schema mine",
        "create table dagster.mine (n int)",
        "create function stocks.mine() returns int language sql as 'select 1'",
        "create role mine",
        "drop view stocks.coverage",
    ):
        refused(url, text)


def test_no_function_lends_rights(database_url: str, login: Login) -> None:
    """None runs with its owner's rights, and nobody but our roles may call any."""
    login("reader")
    with connected(database_url) as connection:
        lending = connection.execute(
            "select proname from pg_proc where pronamespace = 'stocks'::regnamespace "
            "and (prosecdef or has_function_privilege('public', oid, 'execute'))"
        ).fetchall()
    assert lending == []


def test_a_reader_begins_read_only_and_may_not_dawdle(login: Login) -> None:
    """Its login has a statement timeout and read-only transactions of its own."""
    url = login("reader")
    with Database(url) as database:
        with (
            pytest.raises(DatabaseError, match="statement timeout"),
            database.connect() as connection,
        ):
            connection.execute("select pg_sleep(5)")
        with (
            pytest.raises(psycopg.errors.ReadOnlySqlTransaction),
            database.connect() as connection,
        ):
            connection.execute("insert into stocks.assets default values")


def test_a_writer_does_what_runs_need(database_url: str, login: Login) -> None:
    """Fetched and validated batches, sources' health, and reading; migrate finds nothing to do."""
    url = login("writer")
    with psycopg.connect(database_url) as admin:
        admin.execute(
            "insert into stocks.assets (asset_class, calendar) "
            "select 'stock', 'XNYS' from generate_series(1, 2)"
        )
    assert migrate.migrate(url) == []
    bars = raw_bars([1, 2], weekdays(date(2024, 1, 2), 20))
    with Database(url) as database:
        assert write_fetch(database, [fetched(bars)], "run").inserted == bars.height
        write_validated(database, validated(bars, CellGrid.from_frame(bars)))
        with database.connect() as connection:
            row = connection.execute("select count(*) from stocks.weekly_prices").fetchone()
    assert row is not None
    assert row[0] > 0
    with psycopg.connect(url) as connection:  # and Dagster makes its tables
        connection.execute("create table dagster.runs (n int)")


def test_a_writer_changes_no_schema(database_url: str, login: Login) -> None:
    """No DDL on what is there, none beside it, and the schema's version is out of reach."""
    url = login("writer")
    for table in objects(database_url, "rp"):
        refused(url, f"alter table {table} add mine int")
        refused(url, f"drop table {table} cascade")
        refused(url, f"truncate {table}")
    for text in (
        "create table stocks.mine (n int)",
        "create table public.mine (n int)",
        "create schema mine",
        "drop schema stocks cascade",
        "update stocks.alembic_version set version_num = 'x'",
    ):
        refused(url, text)


def test_later_tables_are_covered(database_url: str, login: Login) -> None:
    """What an owner's migration makes, the others may use at once."""
    owner, writer, reader = login("owner"), login("writer"), login("reader")
    with psycopg.connect(database_url) as connection:  # as whoever migrated first
        connection.execute("create table stocks.later (n bigint generated always as identity)")
    with psycopg.connect(writer) as connection:
        connection.execute("insert into stocks.later default values")
    with psycopg.connect(reader) as connection:
        assert connection.execute("select n from stocks.later").fetchall() == [(1,)]
    refused(reader, "insert into stocks.later default values")
    with psycopg.connect(owner) as connection:  # and the owner may change what others made
        connection.execute("alter table stocks.assets add column mine int")


@pytest.mark.timescale
def test_a_conversion_leaves_all_with_the_owner(
    timescale_url: str, prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Tables, chunks, aggregates and jobs are the owner's as `db timescale` ends; rights hold."""
    try:
        with monkeypatch.context() as patch:
            patch.setattr(migrate, "set_up_fresh", lambda *_: [])
            migrate.migrate(timescale_url, prefix)
        timescale.set_up(timescale_url)
        assert ensure_roles(timescale_url, prefix) is None
        owner = role_names(prefix)["owner"]
        with psycopg.connect(timescale_url) as admin:
            others = admin.execute(
                "select c.oid::regclass::text from pg_class c where "
                "pg_get_userbyid(c.relowner) <> %s and (c.relnamespace = 'stocks'::regnamespace "
                "or c.oid in (select format('%%I.%%I', materialization_hypertable_schema, "
                "materialization_hypertable_name)::regclass "
                "from timescaledb_information.continuous_aggregates))",
                [owner],
            ).fetchall()
            jobs = admin.execute(
                "select owner::text, job_id from timescaledb_information.jobs "
                "where job_id >= 1000 and hypertable_schema is not null"
            ).fetchall()
        assert others == []
        assert {job[0] for job in jobs} == {owner}
        assert migrate.migrate(timescale_url, prefix) == []
        name = f"{prefix}_user_writer"
        add_login(timescale_url, name, "writer", PASSWORD, prefix=prefix)
        writer = make_conninfo(timescale_url, user=name, password=PASSWORD)
        bars = raw_bars([1], weekdays(date(2020, 1, 2), 300))
        with Database(writer) as database:
            assert write_fetch(database, [fetched(bars)], "run").inserted == bars.height
            write_validated(database, validated(bars))
        timescale.set_up(timescale_url)  # compresses
        with Database(writer) as database:
            changed = bars.with_columns(pl.col("close") + 1)
            assert write_fetch(database, [fetched(changed)], "run").updated == bars.height
        add_login(timescale_url, f"{prefix}_r", "reader", PASSWORD, prefix=prefix)
        reader = make_conninfo(timescale_url, user=f"{prefix}_r", password=PASSWORD)
        with psycopg.connect(reader) as connection:
            for table in ("prices", "intraday_hourly", "intraday_daily", "raw_quotes"):
                connection.execute(f"select * from stocks.{table} limit 1".encode())
        for text in (
            "insert into stocks.raw_quotes select * from stocks.raw_quotes",
            "delete from stocks.validated_prices",
            "select drop_chunks('stocks.raw_quotes', older_than => now())",
            "select remove_compression_policy('stocks.raw_quotes')",
        ):
            refused(reader, text)
    finally:  # roles can go only after what they own
        with psycopg.connect(timescale_url) as admin:
            admin.execute("drop schema stocks cascade")


def test_an_owner_migrates(empty_database_url: str, prefix: str) -> None:
    """A login of the owner can do every migration from the first on."""
    with psycopg.connect(empty_database_url, autocommit=True) as admin:
        name = admin.info.dbname
        for kind, role in role_names(prefix).items():
            login = sql.SQL("login" if kind == "owner" else "nologin")
            admin.execute(sql.SQL("create role {} {}").format(sql.Identifier(role), login))
        admin.execute(
            sql.SQL("grant create on database {} to {}").format(
                sql.Identifier(name), sql.Identifier(f"{prefix}_owner")
            )
        )
        user = f"{prefix}_user_owner"
    add_login(empty_database_url, user, "owner", PASSWORD, prefix=prefix)
    url = make_conninfo(empty_database_url, user=user, password=PASSWORD)
    assert migrate.migrate(url, prefix) == list(migrate.known())
    found = roles(url, prefix)
    assert (found.missing, found.granted, found.how) == ([], ["owner", "writer", "reader"], None)


def test_who_may_not_make_roles_is_told_how(empty_database_url: str, prefix: str) -> None:
    """The migration goes through, and the words to run are complete: they work."""
    user = f"{prefix}_plain"
    with psycopg.connect(empty_database_url, autocommit=True) as admin:
        admin.execute(
            sql.SQL("create role {} login password {}").format(
                sql.Identifier(user), sql.Literal(PASSWORD)
            )
        )
        admin.execute(
            sql.SQL("grant create on database {} to {}").format(
                sql.Identifier(admin.info.dbname), sql.Identifier(user)
            )
        )
    url = make_conninfo(empty_database_url, user=user, password=PASSWORD)
    assert migrate.migrate(url, prefix) == list(migrate.known())
    how = roles(url, prefix).how
    assert how is not None
    words = how.partition("Have an administrator run: ")[2].partition(" and then")[0]
    with psycopg.connect(empty_database_url, autocommit=True) as admin:
        admin.execute(words.encode())
    assert ensure_roles(url, prefix) is None
    assert roles(url, prefix).granted == ["owner", "writer", "reader"]


def test_the_password_never_reaches_the_server(database_url: str, login: Login) -> None:
    """Only its verifier does, and no error repeats it."""
    url = login("reader")
    with psycopg.connect(database_url) as admin:
        row = admin.execute(
            "select rolpassword from pg_authid where rolname like '%%_user_reader' "
            "and rolname = %s",
            [psycopg.conninfo.conninfo_to_dict(url)["user"]],
        ).fetchone()
    assert row is not None
    assert row[0].startswith("SCRAM-SHA-256$")
    assert PASSWORD not in row[0]
    with pytest.raises(InputError) as caught:
        add_login(database_url, "x", "reader", "short-7")
    assert "short-7" not in str(caught.value)


def test_names_that_do_not_fit(database_url: str, login: Login, prefix: str) -> None:
    """A taken name, a role that is none, a login that is not ours."""
    login("reader")
    with pytest.raises(InputError, match="choose another name"):
        add_login(database_url, f"{prefix}_user_reader", "reader", PASSWORD, prefix=prefix)
    add_login(
        database_url, f"{prefix}_user_reader", "writer", PASSWORD, prefix=prefix, replace=True
    )
    assert [login.role for login in roles(database_url, prefix).logins] == ["writer"]
    add_login(
        database_url, f"{prefix}_user_reader", "reader", PASSWORD, prefix=prefix, replace=True
    )
    with pytest.raises(DatabaseError, match="run db migrate"):
        add_login(database_url, f"{prefix}_x", "reader", PASSWORD, prefix=f"{prefix}_no")
    with pytest.raises(InputError, match="db roles"):
        drop_login(database_url, "postgres", prefix=prefix)
    assert [
        entry.role for entry in roles(database_url, prefix).logins if "_user_" in entry.name
    ] == ["reader"]
    drop_login(database_url, f"{prefix}_user_reader", prefix=prefix)
    assert roles(database_url, prefix).logins == []
