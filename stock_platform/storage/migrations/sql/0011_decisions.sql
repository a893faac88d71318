-- What people decided about rows in quarantine: an accepted row is the validated price, a rejected
-- one stays out, as long as the source says what it said when it was judged.
create table stocks.quarantine_decisions (
    decision_id    bigint generated always as identity primary key,
    quarantine_id  text collate "C" not null,
    verdict        text not null check (verdict in ('accept', 'reject')),
    reason         text not null check (reason <> ''),
    decided_by     text not null,
    decided_at     timestamptz not null,
    stage          text not null,
    asset_id       integer,
    ticker         text,
    interval       text collate "C",
    source         text collate "C" not null,
    ts             timestamptz,
    session        date,
    row            jsonb not null,              -- as it came
    reasons        text[] not null,             -- rules that it failed
    open           numeric(20, 8),              -- the raw quote that was judged
    high           numeric(20, 8),
    low            numeric(20, 8),
    close          numeric(20, 8),
    volume         numeric(24, 8),
    basis          text,
    voided_at      timestamptz,
    voided_why     text
);
create unique index quarantine_decisions_standing on stocks.quarantine_decisions (quarantine_id)
    where voided_at is null;
create index quarantine_decisions_by_asset on stocks.quarantine_decisions (asset_id, session);
