"""Putting one table in another's place: its name and all that hangs on it.

Belongs here: what depends on a table in PostgreSQL's catalogs. Does not: when (conversion.py).

A view, a grant or a trigger belongs to a table's number and not to its name, so each is read
from the old one and made again on the new. ``create or replace view`` keeps a view's own
dependents, grants and owner. What cannot be taken along is found before anything begins.
"""

from __future__ import annotations

from psycopg import sql

from stock_platform.storage.frames import Connection, run

_VIEWS = sql.SQL(
    """select distinct format('%I.%I', n.nspname, v.relname),
        pg_get_viewdef(v.oid), coalesce(array_to_string(v.reloptions, ', '), '')
    from pg_depend d
    join pg_rewrite r on r.oid = d.objid and d.classid = 'pg_rewrite'::regclass
    join pg_class v on v.oid = r.ev_class and v.relkind = 'v'
    join pg_namespace n on n.oid = v.relnamespace
    where d.refclassid = 'pg_class'::regclass and d.refobjid = {table}::regclass"""
)

_OBSTACLES = sql.SQL(
    """select distinct pg_describe_object(classid, objid, 0) from (
        select d.classid, d.objid from pg_depend d
        where d.refclassid = 'pg_class'::regclass and d.refobjid = {table}::regclass
            and d.deptype = 'n' and d.classid not in (
                'pg_rewrite'::regclass, 'pg_constraint'::regclass, 'pg_trigger'::regclass,
                'pg_class'::regclass, 'pg_attrdef'::regclass)
        union
        select 'pg_class'::regclass, v.oid from pg_depend d
        join pg_rewrite r on r.oid = d.objid and d.classid = 'pg_rewrite'::regclass
        join pg_class v on v.oid = r.ev_class and v.relkind = 'm'
        where d.refclassid = 'pg_class'::regclass and d.refobjid = {table}::regclass
        union
        select 'pg_constraint'::regclass, oid from pg_constraint
        where contype = 'f' and {table}::regclass in (confrelid, conrelid)
        union
        select 'pg_policy'::regclass, oid from pg_policy where polrelid = {table}::regclass
        union
        select 'pg_publication_rel'::regclass, oid from pg_publication_rel
        where prrelid = {table}::regclass
        union
        select 'pg_class'::regclass, inhrelid from pg_inherits
        where inhparent = {table}::regclass
    ) x order by 1"""
)


def obstacles(connection: Connection, table: str) -> list[str]:
    """What depends on the table and cannot be taken along, in words."""
    found = run(connection, _OBSTACLES.format(table=_literal(table)))
    return [f"drop {row[0]} first, and make it again after" for row in found]


def view_locks(connection: Connection, table: str) -> list[sql.Composed]:
    """Statements that lock the views of the table and no more; ``lock table`` would take theirs.

    A reader comes to the table by its views, so these are to be taken before it.
    """
    found = run(
        connection,
        sql.SQL(
            "select distinct format('alter view %I.%I owner to %I', n.nspname, v.relname, "
            "pg_get_userbyid(v.relowner)) from pg_depend d "
            "join pg_rewrite r on r.oid = d.objid and d.classid = 'pg_rewrite'::regclass "
            "join pg_class v on v.oid = r.ev_class and v.relkind = 'v' "
            "join pg_namespace n on n.oid = v.relnamespace "
            "where d.refclassid = 'pg_class'::regclass and d.refobjid = {}::regclass order by 1"
        ).format(_literal(table)),
    )
    return [sql.Composed([_text(row[0])]) for row in found]


def exchange(connection: Connection, old: str, new: str) -> None:
    """Give ``new`` the name, views, triggers, grants, owner and options of ``old``; drop that.

    The caller is in a transaction that holds ACCESS EXCLUSIVE on ``old``. Both are in
    ``stocks``; ``new`` was made LIKE ``old`` INCLUDING ALL.
    """
    run(connection, sql.SQL("set local search_path = pg_catalog"))
    views = run(connection, _VIEWS.format(table=_literal(old))).fetchall()
    repeated = [row[0] for row in run(connection, _REPEATED.format(table=_literal(old)))]
    indexes = dict(run(connection, _INDEXES.format(table=_literal(old))).fetchall())
    aside = f"{old}_before"
    _take_over(connection, old, new)
    _rename(connection, old, aside)
    _rename(connection, new, old)
    for name, definition, options in views:
        run(
            connection,
            sql.SQL("create or replace view {} {} as {}").format(
                _text(name), _text(f"with ({options})" if options else ""), _text(definition)
            ),
        )
    run(connection, sql.SQL("drop table stocks.{}").format(sql.Identifier(aside)))
    for statement in repeated:
        run(connection, _text(statement))
    for shape, name in run(connection, _INDEXES.format(table=_literal(old))).fetchall():
        if indexes.get(shape, name) != name:
            run(
                connection,
                sql.SQL("alter index stocks.{} rename to {}").format(
                    sql.Identifier(name), sql.Identifier(indexes[shape])
                ),
            )


# Triggers and comments, as statements that name the table.
_REPEATED = sql.SQL(
    """select pg_get_triggerdef(oid) from pg_trigger
    where tgrelid = {table}::regclass and not tgisinternal
    union all
    select format('comment on table %s is %L', {table}::regclass, obj_description(
        {table}::regclass, 'pg_class'))
    where obj_description({table}::regclass, 'pg_class') is not null"""
)

# What an index is but for its name and its table's.
_INDEXES = sql.SQL(
    """select i.indisunique::text || i.indisprimary::text
        || substring(pg_get_indexdef(i.indexrelid) from ' USING .*'), c.relname
    from pg_index i join pg_class c on c.oid = i.indexrelid
    where i.indrelid = {table}::regclass"""
)

# Owner, grants (of the table and of its columns) and storage options.
_RIGHTS = sql.SQL(
    """with t as (select * from pg_class where oid = {old}::regclass)
    select 1, format('alter table %s owner to %I', {new}, pg_get_userbyid(relowner)) from t
    union all
    select 2, format('grant %s on %s to %s%s', a.privilege_type, {new},
        case when a.grantee = 0 then 'public' else quote_ident(pg_get_userbyid(a.grantee)) end,
        case when a.is_grantable then ' with grant option' else '' end)
    from t cross join lateral aclexplode(relacl) a
    union all
    select 2, format('grant %s (%I) on %s to %s', a.privilege_type, c.attname, {new},
        case when a.grantee = 0 then 'public' else quote_ident(pg_get_userbyid(a.grantee)) end)
    from pg_attribute c cross join lateral aclexplode(c.attacl) a
    where c.attrelid = {old}::regclass and not c.attisdropped
    union all
    select 3, format('alter table %s set (%s)', {new}, array_to_string(reloptions, ', '))
    from t where reloptions is not null
    order by 1"""
)


def _take_over(connection: Connection, old: str, new: str) -> None:
    found = run(connection, _RIGHTS.format(old=_literal(old), new=_literal(new))).fetchall()
    for _, statement in found:
        run(connection, _text(statement))


def _rename(connection: Connection, old: str, new: str) -> None:
    run(
        connection,
        sql.SQL("alter table stocks.{} rename to {}").format(
            sql.Identifier(old), sql.Identifier(new)
        ),
    )


def _literal(table: str) -> sql.Literal:
    return sql.Literal(f"stocks.{table}")


def _text(statement: str) -> sql.SQL:
    """SQL that the server itself worded."""
    return sql.SQL(statement)
