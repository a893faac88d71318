#!/bin/sh
# Run by the service `migrate` of compose.yaml as the owner of the database.
set -eu
psql --no-psqlrc --quiet --command="create extension if not exists pg_stat_statements" "$DATABASE_URL"
stock-platform db migrate
STOCK_PLATFORM_ROLE_PASSWORD="$APP_PASSWORD" stock-platform db roles add app --role writer --replace
STOCK_PLATFORM_ROLE_PASSWORD="$READER_PASSWORD" stock-platform db roles add reader --role reader --replace
