-- The health of sources, what they turned out not to be entitled to, and economic series.

create table stocks.source_health (
    source           text collate "C" primary key,
    good             double precision not null default 0,   -- decayed counts of calls, as of at
    bad              double precision not null default 0,
    seconds          double precision not null default 0,   -- decayed sum of latencies
    at               timestamptz,
    failures_in_row  integer not null default 0,
    opened           integer not null default 0,            -- circuit: times opened in a row
    open_until       timestamptz,
    last_error       text,
    last_error_at    timestamptz,
    last_success_at  timestamptz,
    accuracy         double precision                       -- share of bars that agreed with others
);

-- Endpoints that a vendor refused for the plan of the key in use; asked again when expired.
create table stocks.source_entitlements (
    source      text collate "C" not null,
    endpoint    text collate "C" not null,
    reason      text not null,
    learned_at  timestamptz not null,
    expires_at  timestamptz not null,
    primary key (source, endpoint)
);

-- Assets that a vendor said it does not know; asked again when expired.
create table stocks.source_unknown (
    source      text collate "C" not null,
    asset_id    integer not null references stocks.assets,
    learned_at  timestamptz not null,
    expires_at  timestamptz not null,
    primary key (source, asset_id)
);

create table stocks.series (
    series_id            text collate "C" not null,
    source               text collate "C" not null,
    title                text,
    units                text,
    frequency            text,
    seasonal_adjustment  text,
    notes                text,
    updated_at           timestamptz,                       -- by the vendor
    fetched_at           timestamptz not null,
    primary key (series_id, source)
);

-- Values as they were published: a revision is a row of its own, first seen on known_from.
create table stocks.series_values (
    series_id   text collate "C" not null,
    source      text collate "C" not null,
    date        date not null,
    known_from  date not null,
    value       double precision,                           -- null: published as missing
    fetched_at  timestamptz not null,
    primary key (series_id, source, date, known_from)
);

-- Each date's newest value.
create view stocks.series_latest as
select distinct on (series_id, source, date) series_id, source, date, value, known_from, fetched_at
from stocks.series_values order by series_id, source, date, known_from desc;
