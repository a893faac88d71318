-- A month of days whose volumes fit can have one that does not: some coins trade 10^15 a day.
-- More digits in front rewrite no row. A view of the user's own on the column forbids it; who has
-- one keeps the narrower column.
do $$
declare
    name text;
begin
    foreach name in array array['weekly_prices', 'monthly_prices'] loop
        begin
            execute format('alter table stocks.%I alter column volume type numeric(28, 8)', name);
        exception when feature_not_supported then
            raise notice 'stocks.%.volume stays numeric(24, 8): %', name, sqlerrm;
        end;
    end loop;
end $$;
