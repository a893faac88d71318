-- What people hold, the events that follow from it, and the work that the events ask for.

-- An asset is tracked by hand, or because somebody holds it. Tracking by hand is never undone
-- by a sale; idle_since begins the grace period after the last sale.
alter table stocks.tracked_assets
    add column by_hand boolean not null default true,
    add column holders integer not null default 0 check (holders >= 0),
    add column history_from date,
    add column idle_since timestamptz;

-- Append-only: a mistake is deleted and entered again. Whoever inserts, the API or another
-- system by plain SQL, the triggers below check the row and write the event in the same commit.
create table stocks.portfolio_transactions (
    transaction_id bigint generated always as identity primary key,
    user_id      text collate "C" not null check (user_id ~ '^[[:graph:]]{1,100}$'),
    asset_id     integer not null references stocks.assets,
    side         text collate "C" not null check (side in ('buy', 'sell')),
    quantity     numeric(24, 8) not null check (quantity > 0),   -- shares of that day
    price        numeric(20, 8) not null check (price >= 0),     -- a share, as traded
    currency     text collate "C" not null default 'USD' check (currency ~ '^[A-Z]{3,5}$'),
    fee          numeric(20, 8) not null default 0 check (fee >= 0),
    executed_at  timestamptz not null,
    trade_date   date not null,          -- the exchange's local date; UTC's where it is left out
    external_id  text collate "C" check (external_id <> ''),
    created_at   timestamptz not null default now(),
    unique (user_id, external_id)
);
create index portfolio_transactions_by_holding
    on stocks.portfolio_transactions (user_id, asset_id, executed_at);
create index portfolio_transactions_by_asset on stocks.portfolio_transactions (asset_id);

-- The outbox: what has not been acted on yet has no handled_at. (A cursor over ids would pass over
-- an event that commits late, and one over transaction ids waits for every transaction of the
-- server.)
create table stocks.portfolio_events (
    event_id        bigint generated always as identity primary key,
    kind            text collate "C" not null check (kind in ('entered', 'removed')),
    transaction_id  bigint not null,
    user_id         text collate "C" not null,
    asset_id        integer not null,
    trade_date      date not null,
    created_at      timestamptz not null default now(),
    handled_at      timestamptz
);
create index portfolio_events_open on stocks.portfolio_events (event_id) where handled_at is null;

-- The most that a user is short of an asset on any day, in shares of today; null: never short.
create function stocks.portfolio_shortfall(the_user text, the_asset integer)
returns table (shortfall numeric, on_date date) language sql stable as $$
    with signed as (
        select t.executed_at, t.transaction_id, t.trade_date,
               case t.side when 'buy' then t.quantity else -t.quantity end
               * coalesce(stocks.product(s.ratio), 1) as shares
        from stocks.portfolio_transactions t
        left join stocks.splits_in_force s
            on s.asset_id = t.asset_id and s.ex_date > t.trade_date
        where t.user_id = the_user and t.asset_id = the_asset
        group by t.transaction_id
    ), held as (
        select trade_date, sum(shares) over (order by executed_at, shares < 0, transaction_id) as held
        from signed
    )
    select -held, trade_date from held where held < -0.000001 order by held limit 1
$$;

create function stocks.check_portfolio_transaction() returns trigger language plpgsql as $$
begin
    if tg_op = 'UPDATE' then
        raise exception 'portfolio_transactions: a transaction is not changed; delete it and enter it again'
            using errcode = 'check_violation';
    end if;
    if new.trade_date is null then
        new.trade_date := (new.executed_at at time zone 'UTC')::date;
    end if;
    if new.executed_at > clock_timestamp() + interval '5 minutes' then
        raise exception 'executed_at: % is in the future', new.executed_at
            using errcode = 'check_violation';
    end if;
    return new;
end $$;
create trigger check_portfolio_transaction before insert or update on stocks.portfolio_transactions
    for each row execute function stocks.check_portfolio_transaction();

-- A statement is judged as a whole, so that an import may name a sale before its purchase.
create function stocks.tell_portfolio_transactions() returns trigger language plpgsql as $$
declare
    short record;
begin
    perform pg_advisory_xact_lock(hashtextextended('stock_platform.holding:' || h.user_id, h.asset_id))
    from (select distinct user_id, asset_id from told order by 1, 2) h;
    select h.user_id, h.asset_id, s.* into short
    from (select distinct user_id, asset_id from told where side = tg_argv[0]) h
    cross join lateral stocks.portfolio_shortfall(h.user_id, h.asset_id) s
    order by h.user_id, h.asset_id limit 1;
    if found then
        raise exception 'quantity: % more than held on %',
            trim_scale(round(short.shortfall, 8)), short.on_date
            using errcode = 'check_violation', constraint = 'sells_what_is_held',
                  detail = 'asset ' || short.asset_id;
    end if;
    insert into stocks.portfolio_events (kind, transaction_id, user_id, asset_id, trade_date)
    select tg_argv[1], transaction_id, user_id, asset_id, trade_date from told
    order by transaction_id;
    return null;
end $$;
create trigger tell_entered after insert on stocks.portfolio_transactions
    referencing new table as told
    for each statement execute function stocks.tell_portfolio_transactions('sell', 'entered');
create trigger tell_removed after delete on stocks.portfolio_transactions
    referencing old table as told
    for each statement execute function stocks.tell_portfolio_transactions('buy', 'removed');

-- Histories to fill because of an event. One open job an asset, grown where more is needed;
-- first..last are days, and an asset's sessions among them are its calendar's.
create table stocks.backfill_queue (
    job_id       bigint generated always as identity primary key,
    asset_id     integer not null references stocks.assets,
    first_day    date not null,
    last_day     date not null,
    state        text collate "C" not null default 'pending' check
                 (state in ('pending', 'in_progress', 'rate_limited', 'completed', 'failed')),
    reason       text not null default '',
    attempts     smallint not null default 0,
    retry_after  timestamptz,                 -- not before; null: at once
    run_id       text,                        -- of the Dagster run that has it, or had it last
    error        text,
    created_at   timestamptz not null default now(),
    updated_at   timestamptz not null default now(),
    finished_at  timestamptz,
    check (first_day <= last_day)
);
create unique index backfill_queue_open on stocks.backfill_queue (asset_id)
    where state in ('pending', 'rate_limited');
create index backfill_queue_due on stocks.backfill_queue (retry_after)
    where state in ('pending', 'rate_limited');
create index backfill_queue_running on stocks.backfill_queue (run_id) where state = 'in_progress';

-- The newest price of an asset, whoever told it.
create table stocks.latest_quotes (
    asset_id        integer primary key references stocks.assets,
    price           numeric(20, 8) not null check (price > 0),
    quoted_at       timestamptz not null,     -- the exchange's stamp
    session         date not null,
    previous_close  numeric(20, 8),
    volume          numeric(24, 8),
    currency        text,
    source          text collate "C" not null,
    fetched_at      timestamptz not null,
    stored_at       timestamptz not null default clock_timestamp()
);

-- A portfolio day by day, in one currency; rebuilt where its inputs changed.
create table stocks.portfolio_performance (
    user_id         text collate "C" not null,
    currency        text collate "C" not null,
    session         date not null,
    market_value    double precision not null,
    cost            double precision not null,     -- of what is held, by FIFO
    contributed     double precision not null,     -- that day: purchases with fees
    withdrawn       double precision not null,     -- that day: proceeds less fees
    dividends       double precision not null,     -- that day
    realised        double precision not null,     -- that day
    twr             double precision not null,     -- since the first day, 0.1 is 10 %
    unpriced        integer not null,              -- holdings valued at what was last paid for them
    updated_at      timestamptz not null default now(),
    primary key (user_id, currency, session)
);
create table stocks.portfolio_inputs (
    user_id     text collate "C" not null,
    currency    text collate "C" not null,
    digest      text not null,                     -- of all that the rows were made from
    built_at    timestamptz not null default now(),
    primary key (user_id, currency)
);
