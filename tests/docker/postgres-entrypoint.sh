#!/bin/bash
#
# For the stand-in of postgres:17: makes the cluster and its database at the first start, as POSTGRES_* say.
#
set -eu

make_cluster() {
    local user=${POSTGRES_USER:-postgres} database=${POSTGRES_DB:-${POSTGRES_USER:-postgres}}
    local password=${POSTGRES_PASSWORD:-}

    [ -z "${POSTGRES_PASSWORD_FILE:-}" ] || password=$(<"$POSTGRES_PASSWORD_FILE")
    if [ -z "$password" ]; then
        echo "POSTGRES_PASSWORD is missing" >&2
        exit 1
    fi
    chmod 700 "$PGDATA" || true
    # shellcheck disable=SC2086 # several arguments
    initdb -D "$PGDATA" -U "$user" --pwfile=<(echo "$password") --auth-local=trust --auth-host=trust \
        ${POSTGRES_INITDB_ARGS:-}
    echo "host all all all scram-sha-256" >>"$PGDATA/pg_hba.conf"
    pg_ctl -D "$PGDATA" -w -o "-c listen_addresses=''" start
    [ "$database" = postgres ] ||
        psql -X -v ON_ERROR_STOP=1 -U "$user" -d postgres -v name="$database" <<<'create database :"name";'
    pg_ctl -D "$PGDATA" -m fast -w stop
}

if [ "${1:-}" = postgres ]; then
    [ -s "$PGDATA/PG_VERSION" ] || make_cluster
    set -- "$@" -c listen_addresses='*'
fi
exec "$@"
