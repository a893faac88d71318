"""Who may do what: an owner, a writer and a reader, as roles that logins are put into.

Belongs here: the roles, their rights, logins. Does not: passwords' origin (settings.py),
connections (connection.py).

- **owner** owns the schema and migrates it. It may log in but has no password, so that nobody
  can: TimescaleDB runs a hypertable's jobs as its owner, which must have the LOGIN attribute.
- **writer** does what runs need: rows of every table, temporary tables, and Dagster's schema,
  whose tables Dagster makes itself. No other DDL.
- **reader** selects. Its logins begin in read-only transactions with a statement timeout.

Roles belong to the server and rights to a database, so several databases of one server share
the roles unless STOCK_PLATFORM_ROLE_PREFIX tells them apart. Default privileges cover what
later migrations make, and every migration grants anew.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import psycopg
from psycopg import sql

from stock_platform.domain.errors import DatabaseError, InputError, one_of
from stock_platform.storage.connection import connected
from stock_platform.storage.frames import Connection, one, run

Kind = Literal["owner", "writer", "reader"]
KINDS: tuple[Kind, ...] = get_args(Kind)
PREFIX = "stock_platform"
GUEST_SCHEMA = "dagster"
"""Dagster's schema, where it shares the database."""

READER_TIMEOUT_SECONDS = 60
_SHORTEST_PASSWORD = 8
_ATTRIBUTES = {"owner": "login", "writer": "nologin", "reader": "nologin"}
_OWNED = {"r": "table", "p": "table", "v": "view", "m": "materialized view", "S": "sequence"}


@dataclass(frozen=True)
class Login:
    """A login in one of the roles."""

    name: str
    role: Kind
    timeout_ms: str | None


@dataclass(frozen=True)
class Roles:
    """The roles of a database.

    Attributes:
        names: each role's name.
        missing: those the server does not have.
        granted: those with the rights they should have on every table.
        how: what an administrator has to run where we may not; None where all is well.
        logins: who is in which role, directly.
    """

    names: dict[Kind, str]
    missing: list[Kind]
    granted: list[Kind]
    how: str | None
    logins: list[Login]


def role_names(prefix: str = PREFIX) -> dict[Kind, str]:
    """The roles' names: ``stock_platform_owner``, ``..._writer``, ``..._reader``."""
    return {kind: f"{prefix}_{kind}" for kind in KINDS}


def ensure_roles(url: str, prefix: str = PREFIX) -> str | None:
    """Create the roles if they are missing and we may, and grant them what they need.

    Returns:
        None where all is well, else what an administrator has to run; nothing has changed then.

    Raises:
        DatabaseError: the database cannot be reached.
    """
    names = role_names(prefix)
    with connected(url, prepare_threshold=None) as connection:
        try:
            with connection.transaction():
                _create(connection, names)
                _grant(connection, names)
        except (psycopg.errors.InsufficientPrivilege, psycopg.errors.UndefinedObject) as error:
            return _how(connection, names, " ".join(str(error).split()))
        except psycopg.errors.InternalError as error:  # another process granted the same
            if "concurrently" not in str(error):
                raise
    return None


def roles(url: str, prefix: str = PREFIX) -> Roles:
    """The roles as they are. Raises DatabaseError."""
    names = role_names(prefix)
    with connected(url) as connection:
        missing = [kind for kind, name in names.items() if not _exists(connection, name)]
        granted = [k for k in KINDS if k not in missing and _has_rights(connection, k, names[k])]
        how = None
        if len(granted) < len(KINDS):
            how = _how(connection, names, "roles or rights are missing")
        return Roles(names, missing, granted, how, _logins(connection, names))


def add_login(
    url: str,
    name: str,
    kind: Kind,
    password: str,
    *,
    prefix: str = PREFIX,
    timeout_seconds: float = READER_TIMEOUT_SECONDS,
    replace: bool = False,
) -> None:
    """Make a login in a role. The server is sent the password's verifier, never the password.

    Args:
        url: the database, as a user who may create roles.
        name: the login's name.
        kind: the role it is put into.
        password: at least eight characters.
        prefix: of the roles' names.
        timeout_seconds: longest statement of a reader; 0 is no limit.
        replace: give a login of one of our roles this role and password, if it is there.

    Raises:
        InputError: the name is taken, or the password too short.
        DatabaseError: unreachable, or this user may not create roles.
    """
    if kind not in KINDS:
        raise InputError("role", kind, one_of(KINDS))
    if len(password) < _SHORTEST_PASSWORD:
        allowed = f"use at least {_SHORTEST_PASSWORD} characters"
        raise InputError("password", "***", allowed)
    group = role_names(prefix)[kind]
    with connected(url, prepare_threshold=None) as connection:
        known = [login for login in _logins(connection, role_names(prefix)) if login.name == name]
        if _exists(connection, name) and not (replace and known):
            raise InputError("name", name, "there is such a role already: choose another name")
        if not _exists(connection, group):
            raise DatabaseError(f"there is no role {group} yet: run db migrate, or see db roles")
        verifier = connection.pgconn.encrypt_password(
            password.encode(), name.encode(), b"scram-sha-256"
        ).decode()
        login = sql.Identifier(name)
        verb = sql.SQL("alter" if known else "create")
        text = sql.SQL("{} role {} login password {}")
        run(connection, text.format(verb, login, sql.Literal(verifier)))
        for former in known:
            if former.role != kind:
                other = sql.Identifier(role_names(prefix)[former.role])
                run(connection, sql.SQL("revoke {} from {}").format(other, login))
                run(connection, sql.SQL("alter role {} reset all").format(login))
        run(connection, sql.SQL("grant {} to {}").format(sql.Identifier(group), login))
        if kind == "reader":
            for setting, value in (
                ("default_transaction_read_only", "on"),
                ("statement_timeout", f"{round(timeout_seconds * 1000)}ms"),
            ):
                run(
                    connection,
                    sql.SQL("alter role {} set {} = {}").format(
                        login, sql.Identifier(setting), sql.Literal(value)
                    ),
                )


def drop_login(url: str, name: str, *, prefix: str = PREFIX) -> None:
    """Remove a login of one of our roles.

    Raises:
        InputError: it is in none of them.
        DatabaseError: unreachable, not allowed, or it owns something.
    """
    names = role_names(prefix)
    with connected(url, prepare_threshold=None) as connection:
        if name not in {login.name for login in _logins(connection, names)}:
            raise InputError("name", name, "use a login that `db roles` lists")
        run(connection, sql.SQL("drop role {}").format(sql.Identifier(name)))


def _create(connection: Connection, names: dict[Kind, str]) -> None:
    for kind, name in names.items():
        if _exists(connection, name):
            continue
        text = f"create role {{}} {_ATTRIBUTES[kind]}"
        try:
            with connection.transaction():
                run(connection, sql.SQL(text).format(sql.Identifier(name)))
        except (psycopg.errors.DuplicateObject, psycopg.errors.UniqueViolation):
            pass  # another process was faster
    member = sql.SQL("select pg_has_role(current_user, {}, 'usage')")  # superusers always are
    if not one(connection, member.format(sql.Literal(names["owner"])))[0]:
        run(connection, sql.SQL("grant {} to current_user").format(_id(names, "owner")))


def _grant(connection: Connection, names: dict[Kind, str]) -> None:
    owner, writer, reader = (_id(names, kind) for kind in KINDS)
    _hand_over(connection, names["owner"])
    rights = """
        revoke all on schema stocks from public;
        revoke all on all routines in schema stocks from public;
        grant usage on schema stocks to {writer}, {reader};
        grant execute on all routines in schema stocks to {writer}, {reader};
        grant select, insert, update, delete on all tables in schema stocks to {writer};
        revoke insert, update, delete on stocks.alembic_version from {writer};
        grant usage, select, update on all sequences in schema stocks to {writer};
        grant select on all tables in schema stocks to {reader};
        grant select on all sequences in schema stocks to {reader};
    """
    later = """
        alter default privileges for role {maker} in schema stocks
            grant select, insert, update, delete on tables to {writer};
        alter default privileges for role {maker} in schema stocks
            grant usage, select, update on sequences to {writer};
        alter default privileges for role {maker} in schema stocks
            grant select on tables to {reader};
        alter default privileges for role {maker} in schema stocks
            grant select on sequences to {reader};
    """
    connection.execute(sql.SQL(rights).format(writer=writer, reader=reader))
    me = sql.Identifier(str(one(connection, sql.SQL("select current_user"))[0]))
    for maker in (owner, me):
        connection.execute(sql.SQL(later).format(maker=maker, writer=writer, reader=reader))
    _grant_database(connection, owner, writer, reader)
    _grant_guest(connection, writer)


def _hand_over(connection: Connection, owner: str) -> None:
    """Let the owner role own the schema and all in it."""
    query = "select pg_get_userbyid(nspowner) from pg_namespace where nspname = 'stocks'"
    schema = one(connection, sql.SQL(query))[0]
    to = sql.Identifier(owner)
    if schema != owner:
        connection.execute(sql.SQL("alter schema stocks owner to {}").format(to))
    found = run(
        connection,
        sql.SQL(
            "select c.relkind, c.relname from pg_class c "
            "where c.relnamespace = 'stocks'::regnamespace and c.relkind in ('r','p','v','m','S') "
            "and pg_get_userbyid(c.relowner) <> {} and not exists (select from pg_depend d "
            "where d.objid = c.oid and c.relkind = 'S' and d.deptype in ('a', 'i'))"
        ).format(sql.Literal(owner)),
    ).fetchall()
    aggregates = _continuous_aggregates(connection)
    for kind, name in found:
        what = "materialized view" if name in aggregates else _OWNED[kind]
        text = f"alter {what} {{}} owner to {{}}"
        connection.execute(sql.SQL(text).format(sql.Identifier("stocks", name), to))
    routines = run(
        connection,
        sql.SQL(
            "select p.oid::regprocedure::text, case p.prokind when 'a' then 'aggregate' "
            "when 'p' then 'procedure' else 'function' end from pg_proc p "
            "where p.pronamespace = 'stocks'::regnamespace and pg_get_userbyid(p.proowner) <> {}"
        ).format(sql.Literal(owner)),
    ).fetchall()
    for signature, what in routines:  # regprocedure's text is quoted as SQL needs it
        connection.execute(sql.SQL(f"alter {what} {signature} owner to {{}}").format(to))


def _grant_database(
    connection: Connection,
    owner: sql.Identifier,
    writer: sql.Identifier,
    reader: sql.Identifier,
) -> None:
    """Rights on the database, where it is ours to give them: temporary tables, for one."""
    name, ours, public = one(
        connection,
        sql.SQL(
            "select current_database(), pg_has_role(current_user, datdba, 'usage'), "
            "exists (select from pg_namespace where nspname = 'public' "
            "and pg_has_role(current_user, nspowner, 'usage')) "
            "from pg_database where datname = current_database()"
        ),
    )
    if ours:
        text = """
            revoke temporary on database {database} from public;
            grant connect, temporary, create on database {database} to {owner};
            grant connect, temporary on database {database} to {writer};
            grant connect on database {database} to {reader};
        """
        connection.execute(
            sql.SQL(text).format(
                database=sql.Identifier(name), owner=owner, writer=writer, reader=reader
            )
        )
    if public:  # before PostgreSQL 15 everybody may create tables there
        connection.execute("revoke create on schema public from public")


def _grant_guest(connection: Connection, writer: sql.Identifier) -> None:
    """Let the writer keep Dagster's tables where they share the database."""
    schema = sql.Identifier(GUEST_SCHEMA)
    row = run(
        connection,
        sql.SQL(
            "select pg_has_role(current_user, nspowner, 'usage') from pg_namespace "
            "where nspname = {}"
        ).format(sql.Literal(GUEST_SCHEMA)),
    ).fetchone()
    if row is None or not row[0]:
        return
    text = """
        grant usage, create on schema {schema} to {writer};
        grant all on all tables in schema {schema} to {writer};
        grant all on all sequences in schema {schema} to {writer};
        alter default privileges in schema {schema} grant all on tables to {writer};
        alter default privileges in schema {schema} grant all on sequences to {writer};
    """
    connection.execute(sql.SQL(text).format(schema=schema, writer=writer))


def _continuous_aggregates(connection: Connection) -> set[str]:
    there = "select to_regclass('timescaledb_information.continuous_aggregates') is not null"
    if not one(connection, sql.SQL(there))[0]:
        return set()
    found = run(
        connection,
        sql.SQL(
            "select view_name from timescaledb_information.continuous_aggregates "
            "where view_schema = 'stocks'"
        ),
    )
    return {str(row[0]) for row in found}


def _has_rights(connection: Connection, kind: Kind, name: str) -> bool:
    """Whether a role has its right on every table."""
    right = {"owner": "trigger", "writer": "insert", "reader": "select"}[kind]
    row = one(
        connection,
        sql.SQL(
            "select coalesce(bool_and(has_table_privilege({role}, oid, {right})), false) "
            "from pg_class where relnamespace = to_regnamespace('stocks') "
            "and relkind in ('r', 'p') and relname <> 'alembic_version'"
        ).format(role=sql.Literal(name), right=sql.Literal(right)),
    )
    return bool(row[0])


def _logins(connection: Connection, names: dict[Kind, str]) -> list[Login]:
    kinds: dict[str, Kind] = {name: kind for kind, name in names.items()}
    found = run(
        connection,
        sql.SQL(
            "select m.rolname, g.rolname, (select substr(s, 19) from unnest(m.rolconfig) s "
            "where s like 'statement_timeout=%%') from pg_auth_members a "
            "join pg_roles m on m.oid = a.member join pg_roles g on g.oid = a.roleid "
            "where g.rolname = any({}) and m.rolcanlogin group by 1, 2, 3 order by 2, 1"
        ).format(sql.Literal(list(names.values()))),
    )
    return [Login(str(name), kinds[group], timeout) for name, group, timeout in found]


def _how(connection: Connection, names: dict[Kind, str], why: str) -> str:
    me = str(one(connection, sql.SQL("select current_user"))[0])
    lines = [
        f"create role {name} {_ATTRIBUTES[kind]};"
        for kind, name in names.items()
        if not _exists(connection, name)
    ]
    lines.append(f'grant {names["owner"]} to "{me}";')
    return f"{why}. Have an administrator run: {' '.join(lines)} and then run db migrate again"


def _exists(connection: Connection, name: str) -> bool:
    query = sql.SQL("select exists (select from pg_roles where rolname = {})")
    return bool(one(connection, query.format(sql.Literal(name)))[0])


def _id(names: dict[Kind, str], kind: Kind) -> sql.Identifier:
    return sql.Identifier(names[kind])
