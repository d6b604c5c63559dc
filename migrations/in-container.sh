#!/bin/sh
#
# migrate.sh as docker-compose.yml runs it: waits for the database, and says in one line what to do where it cannot go on.
# (The official image makes the database only while it initialises a new cluster: one that was killed in the middle of that
# has none.)
#
set -eu

fail()
{
    echo "migrate: $*" >&2
    exit 1
}

tries=30
until said=$(psql -XAtqd postgres -c "select count(*) from pg_database where datname = '$PGDATABASE'" 2>&1); do
    case $said in
    *"password authentication failed"*)
        fail "PostgreSQL refuses POSTGRES_PASSWORD: it was made with another one; .env says how to change it"
        ;;
    *"no pg_hba.conf entry"*)
        fail "the very first start of PostgreSQL was interrupted: \`docker compose down -v\`, then start again"
        ;;
    esac
    tries=$((tries - 1))
    [ "$tries" -gt 0 ] || fail "PostgreSQL cannot be reached: $said"
    sleep 1
done
[ "$said" = 1 ] || createdb "$PGDATABASE"
exec sh "${0%/*}/migrate.sh"
