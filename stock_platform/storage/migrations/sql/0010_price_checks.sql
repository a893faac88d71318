-- What comparing prices of several sources found.

-- The latest opinion on every quote of a cell that was sampled or disputed, or in which sources
-- differed. A quote that was fetched after checked_at has not been compared.
create table stocks.price_checks (
    asset_id    integer not null references stocks.assets,
    interval    text collate "C" not null,
    session     date not null,
    source      text collate "C" not null,
    opinion     text not null check (opinion in ('agreed', 'outvoted', 'undecided', 'absent')),
    why         text not null check (why in ('sampled', 'disputed', 'beside')),
    voices      smallint not null,              -- that have the cell; sources of one host are one
    allies      smallint not null,              -- that agree with this quote, its own included
    field       text,                           -- in which it differs the most
    value       double precision,               -- of that field, as traded
    expected    double precision,               -- the others' median
    checked_on  date not null,                  -- market day
    checked_at  timestamptz not null,           -- by the market's clock
    primary key (asset_id, interval, session, source)
);
create index price_checks_against on stocks.price_checks (source, checked_on)
    where opinion in ('outvoted', 'undecided');

-- How many quotes were compared on a day, and how the sources fared; those beside the cells
-- that were asked for are counted here alone where all agree.
create table stocks.source_checks (
    day        date not null,
    source     text collate "C" not null,
    why        text collate "C" not null,
    agreed     integer not null default 0,
    outvoted   integer not null default 0,
    undecided  integer not null default 0,
    absent     integer not null default 0,
    primary key (day, source, why)
);
