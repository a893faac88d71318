-- How good the daily prices are: facts by cell, scores, gaps.

-- Assets and years whose cells were judged or compared since they were scored last. Rows are
-- only appended, so that nobody waits for the scoring; it deletes those it has read.
create table stocks.quality_touched (
    touch_id  bigint generated always as identity primary key,
    asset_id  integer not null,
    year      smallint not null
);
insert into stocks.quality_touched (asset_id, year)
select distinct asset_id, year from stocks.coverage_bits where interval = '1d';

-- Facts of a year's cells, a byte a day of the year (bits: domain/quality.py). source is '' for
-- the cell itself, else whose quotes the facts are about.
create table stocks.quality_facts (
    asset_id       integer not null,
    year           smallint not null,
    source         text collate "C" not null default '',
    facts          bytea not null check (octet_length(facts) = 366),
    first_fetched  date not null,               -- of the year's quotes
    primary key (asset_id, year, source)
);

-- Sessions in which a rule found fault with an asset's price, or with a quote put aside.
create table stocks.quality_findings (
    asset_id  integer not null,
    year      smallint not null,
    rule      text collate "C" not null,
    sessions  smallint not null,
    primary key (asset_id, year, rule)
);

-- Scores from 0 to 100, null where nothing can be said. What a row is about depends on kind:
-- scope (scope), ticker (asset_id), source (source), day (scope, session), partition (scope,
-- session, and shard or asset_id).
create table stocks.quality_scores (
    kind          text collate "C" not null
                  check (kind in ('scope', 'ticker', 'source', 'day', 'partition')),
    scope         text collate "C" not null default '',
    session       date not null default '0001-01-01',
    shard         smallint not null default -1,
    asset_id      integer not null default 0,
    source        text collate "C" not null default '',
    completeness  real,
    accuracy      real,
    consistency   real,
    timeliness    real,
    overall       real,
    expected      integer not null,             -- cells
    stored        integer not null,
    priced        integer not null,
    doubted       integer not null,             -- priced, with a warning
    aside         integer not null,             -- stored, and every quote failed a rule
    compared      integer not null,             -- cells that several sources were heard on
    apart         integer not null,             -- of these, those in which they differ
    timed         integer not null,             -- cells that fell due while the asset was followed
    prompt        integer not null,             -- of these, those that came within a day
    last_session  date,                         -- the newest with a price
    scored_at     timestamptz not null,
    primary key (kind, scope, session, shard, asset_id, source)
);
create index quality_scores_by_asset on stocks.quality_scores (asset_id, session)
    where kind in ('ticker', 'partition');

-- How scores went: a row a day on which one of them changed.
create table stocks.quality_trend (
    kind          text collate "C" not null,
    scope         text collate "C" not null default '',
    asset_id      integer not null default 0,
    source        text collate "C" not null default '',
    day           date not null,                -- by the market's clock
    completeness  real,
    accuracy      real,
    consistency   real,
    timeliness    real,
    overall       real,
    primary key (kind, scope, asset_id, source, day)
);

-- Sessions without a price between the first that was asked for and the last completed one.
create table stocks.gaps (
    asset_id       integer not null,
    first_session  date not null,
    last_session   date not null,
    sessions       integer not null,
    state          text collate "C" not null,   -- missing, waiting, failed, no_data, ...
    reason         text not null,               -- halt, not listed, the vendor has none, ...
    sources        text[] not null default '{}',-- that said there is no bar
    found_at       timestamptz not null,
    primary key (asset_id, first_session)
);
