#!/bin/sh
#
# Brings a PostgreSQL database to the schema of this directory: migrate.sh [CONNECTION-URI]
#
# Connects with psql as the database's owner (a role that may make roles): with the URI, or by the usual PG* variables.
# Makes the roles hubbub_store and hubbub_reader; STORE_PASSWORD and READER_PASSWORD set their passwords.  Each
# NNNN_name.sql is applied once, in one transaction with its row in `migrations`; one lock is held for the whole run.
# It changes nothing when there is nothing to do, and refuses a file that changed after it was applied.

set -eu

directory=$(cd "$(dirname "$0")" && pwd)
uri=${1:-}

fail()
{
    echo "migrate: $*" >&2
    exit 1
}

# SQL that stops the run with one line, if `condition` holds.
refuse_if() # condition message
{
    cat <<SQL
select $1 as refused \\gset
\\if :refused
do \$\$ begin raise exception '%', \$message\$migrate: $2\$message\$; end \$\$;
\\endif
SQL
}

role() # name variable
{
    cat <<SQL
do \$\$ begin
  create role $1 login;
exception when duplicate_object or unique_violation then null;
end \$\$;
\\getenv password $2
\\if :{?password}
select :'password' <> '' as has_password \\gset
\\if :has_password
alter role $1 password :'password';
\\endif
\\endif
\\unset password
SQL
}

prologue()
{
    cat <<'SQL'
\set QUIET on
\set ON_ERROR_STOP on
\set VERBOSITY terse
set client_min_messages = warning;
set search_path = public;
select pg_advisory_lock(1752523362) \g /dev/null
SQL
    refuse_if "current_setting('server_version_num')::int < 150000" "PostgreSQL 15 or newer is needed"
    refuse_if "current_setting('server_encoding') <> 'UTF8'" "the database must be encoded in UTF8"
    role hubbub_store STORE_PASSWORD
    role hubbub_reader READER_PASSWORD
    cat <<'SQL'
alter role hubbub_store set idle_in_transaction_session_timeout = '5s';
create table if not exists migrations (
  number int primary key,
  name text not null,
  sha256 text not null,
  applied_at timestamptz not null default now()
);
SQL
}

one_file() # path number name sha256
{
    refuse_if "exists (select 1 from migrations where number = $2 and sha256 <> '$4')" \
        "$3 changed after it was applied; undo the change and write a new file"
    cat <<SQL
select not exists (select 1 from migrations where number = $2) as is_new \\gset
\\if :is_new
begin;
\\i '$1'
insert into migrations (number, name, sha256) values ($2, '$3', '$4');
commit;
\\echo applied $3
\\endif
SQL
}

script()
{
    prologue
    last=0
    for path in "$directory"/[0-9][0-9][0-9][0-9]_*.sql; do
        name=$(basename "$path")
        number=$(printf '%s' "$name" | sed 's/_.*//; s/^0*//')
        sum=$(sha256sum "$path" | cut -d ' ' -f 1)
        one_file "$path" "$number" "$name" "$sum"
        last=$number
    done
    refuse_if "exists (select 1 from migrations where number > $last)" \
        "the database has a newer schema than these files"
}

command -v psql >/dev/null || fail "psql is not installed"
[ $# -le 1 ] || fail "usage: migrate.sh [CONNECTION-URI]"
case $directory in *\'*) fail "the directory's name may not hold a quote" ;; esac

# The script is complete before psql starts, so that nothing is applied if it cannot be made.
text=$(script)
printf '%s\n' "$text" | psql -X -o /dev/null -v ON_ERROR_STOP=1 ${uri:+-d "$uri"} -f -
