-- Who holds a call in flight: the second key of an advisory lock that the process keeps while it
-- lives. Null: of an older version, or of a process that could not get a lock.
alter table stocks.quota_calls add column if not exists holder integer;
