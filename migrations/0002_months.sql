-- Ids and times, and the months of messages.

create function id_time(id bigint) returns timestamptz
language sql immutable strict parallel safe
return to_timestamp((id >> 20) / 1000.0);
comment on function id_time(bigint) is 'When the event with this id happened';

create function id_at(at timestamptz) returns bigint
language plpgsql immutable strict parallel safe as $$
begin
  return floor(extract(epoch from at) * 1000)::bigint << 20;
end
$$;
comment on function id_at(timestamptz) is
  'The first id of this millisecond: "id >= id_at(a) and id < id_at(b)" is exactly the time from a to b';

-- The expression of history.time, spelled as the view has it, so that a condition on the time finds it.
create index messages_time on messages using brin (to_timestamp((id >> 20) / 1000.0)) with (autosummarize = on);

-- Makes the month (of UTC) that `at_id` falls into; false if it is there.  ATTACH, because CREATE ... PARTITION OF
-- waits for readers and lets every insert wait behind it.  It runs as its owner: the store itself may make no tables.
create function make_month(at_id bigint) returns boolean
language plpgsql security definer
set search_path = pg_catalog, public, pg_temp
set lock_timeout = '1s' as $$
declare
  month timestamp := date_trunc('month', to_timestamp((at_id >> 20) / 1000.0) at time zone 'UTC');
  part text := 'messages_' || to_char(month, 'YYYY_MM');
begin
  if to_regclass('public.' || part) is not null then
    return false;
  end if;
  perform pg_advisory_xact_lock(1752523362, 100);
  if to_regclass('public.' || part) is not null then
    return false;
  end if;
  execute format('create table public.%I (like public.messages including all)', part);
  execute format('alter table public.messages attach partition public.%I for values from (%s) to (%s)', part,
    public.id_at(month at time zone 'UTC'), public.id_at((month + interval '1 month') at time zone 'UTC'));
  return true;
end
$$;
comment on function make_month(bigint) is 'Makes the partition of messages that this id belongs to; false if it is there';
revoke all on function make_month(bigint) from public;

create function oldest_month() returns bigint
language sql stable
begin atomic
  select min((regexp_match(pg_get_expr(c.relpartbound, c.oid), 'FROM \(''?(-?\d+)'))[1]::bigint)
  from pg_inherits i join pg_class c on c.oid = i.inhrelid
  where i.inhparent = 'public.messages'::regclass;
end;
comment on function oldest_month() is 'The first id of the oldest month that is kept';

select make_month(id_at(now() + m * interval '1 month')) from generate_series(0, 2) m;
