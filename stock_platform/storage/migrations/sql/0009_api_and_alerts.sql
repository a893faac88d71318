-- Who may use the HTTP API, and what the operator was told.

-- Of a token the SHA-256 is kept, and no salt is needed: a token is 256 random bits, which nobody
-- guesses or has in a table, unlike a password. Read rights on this table let nobody in.
create table stocks.api_tokens (
    token_id     bigint generated always as identity primary key,
    name         text collate "C" not null check (name ~ '^[[:graph:]]{1,60}$'),
    digest       bytea not null unique check (octet_length(digest) = 32),
    rights       text collate "C" not null check (rights in ('read', 'trade', 'admin')),
    user_id      text collate "C",              -- whose portfolio alone; null: anybody's
    created_at   timestamptz not null default now(),
    expires_at   timestamptz,
    revoked_at   timestamptz
);
create unique index api_tokens_name on stocks.api_tokens (name) where revoked_at is null;

-- One open alert a kind and subject; told_at is null until somebody was told.
create table stocks.alerts (
    alert_id     bigint generated always as identity primary key,
    kind         text collate "C" not null,
    subject      text collate "C" not null,
    message      text not null,
    opened_at    timestamptz not null,
    seen_at      timestamptz not null,          -- when it was last found so
    told_at      timestamptz,
    times_told   integer not null default 0,
    resolved_at  timestamptz,
    recovery_told_at timestamptz                -- null with resolved_at: somebody is to be told
);
create unique index alerts_open on stocks.alerts (kind, subject) where resolved_at is null;
create index alerts_resolved on stocks.alerts (resolved_at);
