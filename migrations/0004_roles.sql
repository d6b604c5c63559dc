-- Who may do what.  migrate.sh makes the roles before it applies the first file.

grant select on migrations to hubbub_store;
grant select, insert, update (name, last_login_at) on users to hubbub_store;
grant select, insert on rooms, messages, openings, quarantine to hubbub_store;
grant select, insert, update on sessions to hubbub_store;
grant select, update (position) on cursors to hubbub_store;
grant execute on function make_month(bigint) to hubbub_store;

grant select on history, directs, online, audit to hubbub_reader;
