-- Corporate actions: what each source told and when, what stands of it, and what contradicts it;
-- and the history of prices and actions, so that both can be read as they were known.

drop view stocks.prices_adjusted;
drop view stocks.dividend_factors;
drop view stocks.prices_split_adjusted;
drop view stocks.dividends_in_force;
drop view stocks.splits_in_force;

-- One row an asset and ex-date, derived from what was told in the transaction that wrote it.
-- source is the one whose words stand, sources all that agree with it; it was told at fetched_at,
-- and is what we know since recorded_at.
create table stocks.splits_in_force (
    asset_id     integer not null references stocks.assets,
    ex_date      date not null,
    ratio        numeric(20, 10) not null,
    source       text collate "C" not null,
    sources      text[] not null,
    fetched_at   timestamptz not null,
    recorded_at  timestamptz not null,
    primary key (asset_id, ex_date)
);
create table stocks.dividends_in_force (
    asset_id     integer not null references stocks.assets,
    ex_date      date not null,
    amount       numeric(20, 8) not null,
    currency     text,
    source       text collate "C" not null,
    sources      text[] not null,
    fetched_at   timestamptz not null,
    recorded_at  timestamptz not null,
    primary key (asset_id, ex_date)
);

-- Who said otherwise.
create table stocks.action_conflicts (
    asset_id       integer not null references stocks.assets,
    kind           text not null,               -- split, dividend
    ex_date        date not null,               -- of the action in force
    value          numeric(20, 10) not null,    -- its ratio, or its cash a share
    source         text collate "C" not null,
    told_ex_date   date not null,
    told_value     numeric(20, 10) not null,
    told_currency  text,
    what           text not null,               -- which of them differ: date, value, currency
    primary key (asset_id, kind, source, told_ex_date)
);

-- Over which days a source has told every action of the whole market, and when it said so last.
create table stocks.action_answers (
    source       text collate "C" not null,
    kind         text not null,
    first_day    date not null,
    last_day     date not null,
    answered_at  timestamptz not null,
    primary key (source, kind)
);

-- Until an asset's actions are told again: one an ex-date, the one told last.
insert into stocks.splits_in_force
    (asset_id, ex_date, ratio, source, sources, fetched_at, recorded_at)
select distinct on (asset_id, ex_date)
    asset_id, ex_date, ratio, source, array[source], fetched_at, fetched_at
from stocks.splits order by asset_id, ex_date, fetched_at desc, source;
insert into stocks.dividends_in_force
    (asset_id, ex_date, amount, currency, source, sources, fetched_at, recorded_at)
select distinct on (asset_id, ex_date)
    asset_id, ex_date, amount, currency, source, array[source], fetched_at, fetched_at
from stocks.dividends order by asset_id, ex_date, fetched_at desc, source;

-- Former rows, when their value changes or goes; loading the same again, or more, writes nothing
-- here. A source said so from fetched_at until known_to; what is in force, and prices, were known
-- from recorded_at or validated_at until known_to.
create table stocks.splits_history (like stocks.splits, known_to timestamptz not null);
create table stocks.dividends_history (like stocks.dividends, known_to timestamptz not null);
create table stocks.splits_in_force_history (like stocks.splits_in_force, known_to timestamptz not null);
create table stocks.dividends_in_force_history (like stocks.dividends_in_force, known_to timestamptz not null);
create table stocks.prices_history (like stocks.validated_prices, known_to timestamptz not null);
create index on stocks.splits_history (asset_id);
create index on stocks.dividends_history (asset_id);
create index on stocks.splits_in_force_history (asset_id);
create index on stocks.dividends_in_force_history (asset_id);
create index on stocks.prices_history (asset_id, interval, ts);

-- Prices divided, and volumes multiplied, by every later split.
create view stocks.prices_split_adjusted as
select p.asset_id, p.interval, p.ts, p.session,
       p.open / f.ratio as open, p.high / f.ratio as high, p.low / f.ratio as low,
       p.close / f.ratio as close, p.volume * f.ratio as volume, p.vwap / f.ratio as vwap,
       p.source, p.flags, p.validated_at
from stocks.prices p
cross join lateral (
    select coalesce(stocks.product(s.ratio), 1) as ratio
    from stocks.splits_in_force s where s.asset_id = p.asset_id and s.ex_date > p.session
) f;

-- A dividend's factor: 1 - cash / close before the ex-date, both as traded that day (CRSP). Cash
-- after a split on the same day is per share after it. The close is at most ten days old (the
-- longest closure since 1933 was of six), and cash of another currency has no factor.
create view stocks.dividend_factors as
select d.asset_id, d.ex_date, 1 - d.amount * coalesce(s.ratio, 1) / b.close as factor
from stocks.dividends_in_force d
join stocks.assets a on a.asset_id = d.asset_id and coalesce(d.currency = a.currency, true)
left join stocks.splits_in_force s on s.asset_id = d.asset_id and s.ex_date = d.ex_date
cross join lateral (
    select p.close from stocks.validated_prices p
    where p.asset_id = d.asset_id and p.interval = '1d'
      and p.session < d.ex_date and p.session >= d.ex_date - 10
      and p.ts >= d.ex_date - 12 and p.ts < d.ex_date + 2
    order by p.ts desc limit 1
) b
where d.amount * coalesce(s.ratio, 1) < b.close;

create view stocks.prices_adjusted as
select p.asset_id, p.interval, p.ts, p.session,
       p.open * f.factor as open, p.high * f.factor as high, p.low * f.factor as low,
       p.close * f.factor as close, p.volume, p.vwap * f.factor as vwap,
       p.source, p.flags, p.validated_at
from stocks.prices_split_adjusted p
cross join lateral (
    select coalesce(stocks.product(d.factor), 1) as factor
    from stocks.dividend_factors d where d.asset_id = p.asset_id and d.ex_date > p.session
) f;

-- The same as it was known at a moment: functions that are views with a parameter, so that a
-- condition on their rows reaches the tables.
create function stocks.splits_as_of(as_of timestamptz)
returns table (asset_id integer, ex_date date, ratio numeric, source text, sources text[],
               fetched_at timestamptz, recorded_at timestamptz)
language sql stable as $$
    select s.asset_id, s.ex_date, s.ratio, s.source, s.sources, s.fetched_at, s.recorded_at
    from stocks.splits_in_force s where s.recorded_at <= $1
    union all
    select s.asset_id, s.ex_date, s.ratio, s.source, s.sources, s.fetched_at, s.recorded_at
    from stocks.splits_in_force_history s where s.recorded_at <= $1 and s.known_to > $1
$$;

create function stocks.dividends_as_of(as_of timestamptz)
returns table (asset_id integer, ex_date date, amount numeric, currency text, source text,
               sources text[], fetched_at timestamptz, recorded_at timestamptz)
language sql stable as $$
    select d.asset_id, d.ex_date, d.amount, d.currency, d.source, d.sources, d.fetched_at,
           d.recorded_at
    from stocks.dividends_in_force d where d.recorded_at <= $1
    union all
    select d.asset_id, d.ex_date, d.amount, d.currency, d.source, d.sources, d.fetched_at,
           d.recorded_at
    from stocks.dividends_in_force_history d where d.recorded_at <= $1 and d.known_to > $1
$$;

create function stocks.prices_as_of(as_of timestamptz)
returns table (asset_id integer, "interval" text, ts timestamptz, session date, open numeric,
               high numeric, low numeric, close numeric, volume numeric, vwap numeric,
               source text, flags text[], validated_at timestamptz)
language sql stable as $$
    select p.asset_id, p.interval, p.ts, p.session, p.open, p.high, p.low, p.close, p.volume,
           p.vwap, p.source, p.flags, p.validated_at
    from stocks.prices p where p.validated_at <= $1
    union all
    select p.asset_id, p.interval, p.ts, p.session, p.open, p.high, p.low, p.close, p.volume,
           p.vwap, p.source, p.flags, p.validated_at
    from stocks.prices_history p where p.validated_at <= $1 and p.known_to > $1
$$;

create function stocks.prices_split_adjusted_as_of(as_of timestamptz)
returns table (asset_id integer, "interval" text, ts timestamptz, session date, open numeric,
               high numeric, low numeric, close numeric, volume numeric, vwap numeric,
               source text, flags text[], validated_at timestamptz)
language sql stable as $$
    select p.asset_id, p.interval, p.ts, p.session,
           p.open / f.ratio, p.high / f.ratio, p.low / f.ratio, p.close / f.ratio,
           p.volume * f.ratio, p.vwap / f.ratio, p.source, p.flags, p.validated_at
    from stocks.prices_as_of($1) p
    cross join lateral (
        select coalesce(stocks.product(s.ratio), 1) as ratio
        from stocks.splits_as_of($1) s where s.asset_id = p.asset_id and s.ex_date > p.session
    ) f
$$;

create function stocks.dividend_factors_as_of(as_of timestamptz)
returns table (asset_id integer, ex_date date, factor numeric)
language sql stable as $$
    select d.asset_id, d.ex_date, 1 - d.amount * coalesce(s.ratio, 1) / b.close
    from stocks.dividends_as_of($1) d
    join stocks.assets a on a.asset_id = d.asset_id and coalesce(d.currency = a.currency, true)
    left join stocks.splits_as_of($1) s on s.asset_id = d.asset_id and s.ex_date = d.ex_date
    cross join lateral (
        select p.close from stocks.prices_as_of($1) p
        where p.asset_id = d.asset_id and p.interval = '1d'
          and p.session < d.ex_date and p.session >= d.ex_date - 10
          and p.ts >= d.ex_date - 12 and p.ts < d.ex_date + 2
        order by p.ts desc limit 1
    ) b
    where d.amount * coalesce(s.ratio, 1) < b.close
$$;

create function stocks.prices_adjusted_as_of(as_of timestamptz)
returns table (asset_id integer, "interval" text, ts timestamptz, session date, open numeric,
               high numeric, low numeric, close numeric, volume numeric, vwap numeric,
               source text, flags text[], validated_at timestamptz)
language sql stable as $$
    select p.asset_id, p.interval, p.ts, p.session,
           p.open * f.factor, p.high * f.factor, p.low * f.factor, p.close * f.factor,
           p.volume, p.vwap * f.factor, p.source, p.flags, p.validated_at
    from stocks.prices_split_adjusted_as_of($1) p
    cross join lateral (
        select coalesce(stocks.product(d.factor), 1) as factor
        from stocks.dividend_factors_as_of($1) d
        where d.asset_id = p.asset_id and d.ex_date > p.session
    ) f
$$;
