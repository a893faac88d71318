-- Who assets are: identifiers, exchange, and when directories listed them; the history of the
-- catalog: every refresh, and what it changed.

alter table stocks.assets
    add column exchange   text,                 -- MIC: XNAS, XNYS, ARCX, ...
    add column cik        text,                 -- of the issuer, ten digits
    add column figi       text,
    add column isin       text,
    add column first_seen date,                 -- by a directory of what is listed
    add column last_seen  date;                 -- null: no directory ever had it

-- A directory tells that a ticker changed since the last one, not when: valid_from is the day
-- it was first seen, earliest the first day on which it may have been so (null: exact).
alter table stocks.asset_symbols add column earliest date check (earliest < valid_from);

create index assets_by_cik on stocks.assets (cik) where cik is not null;
create index assets_by_figi on stocks.assets (figi) where figi is not null;

create table stocks.catalog_runs (
    catalog_run_id bigint generated always as identity primary key,
    status       text not null check (status in ('applied', 'refused')),
    directory    text not null,                 -- shares, crypto, curated: what was refreshed
    as_of        date not null,
    sources      jsonb not null,                -- source: rows, requests, or why it was refused
    counts       jsonb not null,                -- changes by kind
    symbols      integer not null,
    forced       boolean not null default false,
    run_id       text,                          -- of Dagster
    finished_at  timestamptz not null default now()
);

create table stocks.catalog_changes (
    change_id       bigint generated always as identity primary key,
    catalog_run_id  bigint not null references stocks.catalog_runs,
    kind            text not null,              -- listed, delisted, renamed, reused, ...
    asset_id        integer references stocks.assets,
    ticker          text collate "C" not null,
    former_ticker   text collate "C",
    on_date         date not null,
    earliest        date,
    name            text,
    former_name     text,
    exchange        text,
    former_exchange text,
    evidence        text not null,
    score           double precision not null,  -- 0 to 1: how sure
    applied         boolean not null            -- false: doubtful, for people to look at
);
create index catalog_changes_by_asset on stocks.catalog_changes (asset_id);
create index catalog_changes_by_run on stocks.catalog_changes (catalog_run_id);
