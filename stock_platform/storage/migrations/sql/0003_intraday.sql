-- Bars shorter than a day get tables of their own, which can be partitioned, compressed and
-- dropped by days while daily bars are by years. The checks let the planner leave out the
-- table that cannot hold what is asked for.

lock table stocks.raw_quotes, stocks.validated_prices in share row exclusive mode;

create table stocks.raw_intraday (like stocks.raw_quotes including all);
create table stocks.intraday_prices (like stocks.validated_prices including all);

insert into stocks.raw_intraday select * from stocks.raw_quotes where interval <> '1d';
delete from stocks.raw_quotes where interval <> '1d';
insert into stocks.intraday_prices select * from stocks.validated_prices where interval <> '1d';
delete from stocks.validated_prices where interval <> '1d';

alter table stocks.raw_quotes add constraint raw_quotes_daily check (interval = '1d');
alter table stocks.validated_prices add constraint validated_prices_daily check (interval = '1d');
alter table stocks.raw_intraday add constraint raw_intraday_shorter check (interval <> '1d');
alter table stocks.intraday_prices add constraint intraday_prices_shorter check (interval <> '1d');

-- Validated bars of every interval.
create view stocks.prices as
select asset_id, interval, ts, session, open, high, low, close, volume, vwap, source, flags,
       validated_at
from stocks.validated_prices
union all
select asset_id, interval, ts, session, open, high, low, close, volume, vwap, source, flags,
       validated_at
from stocks.intraday_prices;

create or replace view stocks.prices_split_adjusted as
select p.asset_id, p.interval, p.ts, p.session,
       p.open / f.ratio as open, p.high / f.ratio as high, p.low / f.ratio as low,
       p.close / f.ratio as close, p.volume * f.ratio as volume, p.vwap / f.ratio as vwap,
       p.source, p.flags, p.validated_at
from stocks.prices p
cross join lateral (
    select coalesce(stocks.product(s.ratio), 1) as ratio
    from stocks.splits_in_force s where s.asset_id = p.asset_id and s.ex_date > p.session
) f;

-- Hours and days of intraday bars, by the interval of the bars they are made of. ts is the
-- clock hour's start in UTC, or the session's first hour; prices are as traded.
create view stocks.intraday_hourly as
select asset_id, interval, session, date_bin('1 hour', ts, '2000-01-01Z') as ts,
       (array_agg(open order by ts))[1] as open, max(high) as high, min(low) as low,
       (array_agg(close order by ts desc))[1] as close, sum(volume) as volume, count(*) as bars
from stocks.intraday_prices
group by asset_id, interval, session, date_bin('1 hour', ts, '2000-01-01Z');

create view stocks.intraday_daily as
select asset_id, interval, session, min(ts) as ts,
       (array_agg(open order by ts))[1] as open, max(high) as high, min(low) as low,
       (array_agg(close order by ts desc))[1] as close, sum(volume) as volume,
       sum(bars)::bigint as bars
from stocks.intraday_hourly
group by asset_id, interval, session;
