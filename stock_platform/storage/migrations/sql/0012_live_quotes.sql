-- Quotes of tracked assets while their exchanges are open.

-- Minutes between two questions: null is the setting's, 0 is never.
alter table stocks.tracked_assets
    add column live_every smallint check (live_every between 0 and 1440),
    add column quote_asked_at timestamptz;

-- Every quote as a source told it; reasons say why one was not believed.
create table stocks.live_quotes (
    asset_id        integer not null references stocks.assets,
    quoted_at       timestamptz not null,     -- the exchange's stamp
    source          text collate "C" not null,
    session         date not null,
    price           numeric(20, 8) not null,
    open            numeric(20, 8),           -- of the session, like high, low and volume
    high            numeric(20, 8),
    low             numeric(20, 8),
    previous_close  numeric(20, 8),
    volume          numeric(24, 8),
    currency        text,
    reasons         text[] not null default '{}',
    fetched_at      timestamptz not null,
    stored_at       timestamptz not null,
    primary key (asset_id, quoted_at, source)
);

-- How old news was when it was stored: quotes that became the latest, by seconds from the
-- exchange's stamp to then. upper is a bucket's end, not cumulative.
create table stocks.quote_ages (
    source      text collate "C" not null,
    upper       double precision not null,
    quotes      bigint not null,
    seconds     double precision not null,
    updated_at  timestamptz not null default now(),
    primary key (source, upper)
);
