-- What makes verdicts among neighbours worth making again.

-- Blocks of days around which a series changes its level for longer than the blocks beside them
-- (a missing split, another unit): such an asset is judged by all of its bars.
create table stocks.open_levels (
    asset_id  integer not null,
    interval  text collate "C" not null,
    block     integer not null,                 -- days since 1970-01-01, divided by a block's
    primary key (asset_id, interval, block)
);

-- Splits and dividends that came, changed or went after prices of their asset had been judged.
create table stocks.unjudged_actions (
    action_id  bigint generated always as identity primary key,
    asset_id   integer not null,
    interval   text collate "C" not null,
    kind       text not null check (kind in ('split', 'dividend')),
    day        date not null
);
create index unjudged_actions_by_asset on stocks.unjudged_actions (asset_id, interval);
