-- Calls that are no longer in fetch_log, summed up as they went, so that totals never fall.
-- seconds are of those not cached.
create table stocks.pruned_calls (
    source      text collate "C" not null,
    status      text collate "C" not null,
    calls       bigint not null,
    requests    bigint not null,
    cached      bigint not null,
    rows        bigint not null,
    seconds     double precision not null,
    updated_at  timestamptz not null default now(),
    primary key (source, status)
);
