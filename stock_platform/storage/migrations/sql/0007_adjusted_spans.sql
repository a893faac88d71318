-- Adjusted prices by spans: between two ex-dates the product of all later factors is one number.
-- Reckoned once an asset instead of once a row, which took seconds a ticker for every dividend paid.

create or replace view stocks.prices_split_adjusted as
select p.asset_id, p.interval, p.ts, p.session,
       p.open / coalesce(f.ratio, 1) as open, p.high / coalesce(f.ratio, 1) as high,
       p.low / coalesce(f.ratio, 1) as low, p.close / coalesce(f.ratio, 1) as close,
       p.volume * coalesce(f.ratio, 1) as volume, p.vwap / coalesce(f.ratio, 1) as vwap,
       p.source, p.flags, p.validated_at
from stocks.prices p
left join (
    select asset_id, ex_date,
           coalesce(lag(ex_date) over (partition by asset_id order by ex_date), '-infinity') as since,
           stocks.product(ratio) over (partition by asset_id order by ex_date desc) as ratio
    from stocks.splits_in_force
) f on f.asset_id = p.asset_id and p.session >= f.since and p.session < f.ex_date;

create or replace view stocks.prices_adjusted as
select p.asset_id, p.interval, p.ts, p.session,
       p.open * coalesce(f.factor, 1) as open, p.high * coalesce(f.factor, 1) as high,
       p.low * coalesce(f.factor, 1) as low, p.close * coalesce(f.factor, 1) as close,
       p.volume, p.vwap * coalesce(f.factor, 1) as vwap, p.source, p.flags, p.validated_at
from stocks.prices_split_adjusted p
left join (
    select asset_id, ex_date,
           coalesce(lag(ex_date) over (partition by asset_id order by ex_date), '-infinity') as since,
           stocks.product(factor) over (partition by asset_id order by ex_date desc) as factor
    from stocks.dividend_factors
) f on f.asset_id = p.asset_id and p.session >= f.since and p.session < f.ex_date;

create or replace function stocks.prices_split_adjusted_as_of(as_of timestamptz)
returns table (asset_id integer, "interval" text, ts timestamptz, session date, open numeric,
               high numeric, low numeric, close numeric, volume numeric, vwap numeric,
               source text, flags text[], validated_at timestamptz)
language sql stable as $$
select p.asset_id, p.interval, p.ts, p.session,
       p.open / coalesce(f.ratio, 1) as open, p.high / coalesce(f.ratio, 1) as high,
       p.low / coalesce(f.ratio, 1) as low, p.close / coalesce(f.ratio, 1) as close,
       p.volume * coalesce(f.ratio, 1) as volume, p.vwap / coalesce(f.ratio, 1) as vwap,
       p.source, p.flags, p.validated_at
from stocks.prices_as_of($1) p
left join (
    select a.asset_id, a.ex_date,
           coalesce(lag(a.ex_date) over (partition by a.asset_id order by a.ex_date), '-infinity') as since,
           stocks.product(a.ratio) over (partition by a.asset_id order by a.ex_date desc) as ratio
    from stocks.splits_as_of($1) a
) f on f.asset_id = p.asset_id and p.session >= f.since and p.session < f.ex_date
$$;

create or replace function stocks.prices_adjusted_as_of(as_of timestamptz)
returns table (asset_id integer, "interval" text, ts timestamptz, session date, open numeric,
               high numeric, low numeric, close numeric, volume numeric, vwap numeric,
               source text, flags text[], validated_at timestamptz)
language sql stable as $$
select p.asset_id, p.interval, p.ts, p.session,
       p.open * coalesce(f.factor, 1) as open, p.high * coalesce(f.factor, 1) as high,
       p.low * coalesce(f.factor, 1) as low, p.close * coalesce(f.factor, 1) as close,
       p.volume, p.vwap * coalesce(f.factor, 1) as vwap, p.source, p.flags, p.validated_at
from stocks.prices_split_adjusted_as_of($1) p
left join (
    select a.asset_id, a.ex_date,
           coalesce(lag(a.ex_date) over (partition by a.asset_id order by a.ex_date), '-infinity') as since,
           stocks.product(a.factor) over (partition by a.asset_id order by a.ex_date desc) as factor
    from stocks.dividend_factors_as_of($1) a
) f on f.asset_id = p.asset_id and p.session >= f.since and p.session < f.ex_date
$$;
