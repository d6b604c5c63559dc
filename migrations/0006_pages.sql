-- Pages of the past for gateways, and what the retention does.

-- What accounts have not read yet.  What is held for guests is never marked as read, and is not in it.
create index messages_unread on messages (recipient_holder, id)
  where not is_read and starts_with(recipient_holder, 'a:');

-- What was said between two names, for each whom they were held for: what was said under these names before costs
-- nothing.  It ends with id + 0, and not with id, so that no other index gives that order: see page().
create index messages_received on messages (recipient_holder, recipient_id, sender_id, (id + 0))
  where recipient_holder is not null;
create index messages_sent on messages (sender_holder, sender_id, recipient_id, (id + 0))
  where sender_holder is not null;
drop index messages_pair;

-- The directs that are not read yet of whom the name is held for (an account, 'a:N').
create function unread(holder text) returns bigint
language sql stable parallel safe
begin atomic
  select count(*) from messages
  where recipient_holder = holder and not is_read and starts_with(recipient_holder, 'a:');
end;
comment on function unread(text) is 'How many directs to this account ("a:N") are not read';

-- A page of one chain or conversation: rows with after < id <= until, the newest first or the oldest first, until
-- there are `most` of them, or one more than fill `bytes` with their texts.  It has the snapshot of the statement that
-- calls it.
--
-- A page must cost the same however deep it is, however rare the room, whatever others said under these names and
-- however old the statistics, so nothing here is left to estimates.  Months are read one after the other, as far as it
-- takes: each statement is planned for its own one.  The key's index alone gives (key, id) in order, and sorting is off;
-- "= any" keeps the planner from seeing that the key is constant, for then the primary key would give that order too,
-- reading all other rooms on the way.  A pair is merged, in the order of id + 0, from what each holder got and what each
-- said; what one said to oneself is among what one got.
create function page(kind text, key bigint, other bigint, holders text[], after bigint, until bigint, newest boolean,
  most bigint, bytes bigint) returns setof messages
language plpgsql stable rows 50
set enable_sort = off set jit = off as $$
declare
  -- Which rows, and by which columns of an index they are in order.
  which text := case kind
    when 'room' then 'room_id is not null and room_id = any (array[$1])'
    when 'recipient' then 'recipient_id is not null and recipient_id = any (array[$1])'
    when 'unread' then 'not is_read and starts_with(recipient_holder, ''a:'') and recipient_holder = any ($3)'
  end;
  sorted text := format(case kind
    when 'room' then 'room_id %1$s, id %1$s'
    when 'recipient' then 'recipient_id %1$s, id %1$s'
    when 'pair' then 'place %1$s'
    when 'unread' then 'recipient_holder %1$s, id %1$s'
  end, case when newest then 'desc' end);
  statement text;
  first_id bigint := greatest(after + 1, oldest_month());
  last_id bigint := least(until, (select max(position) from cursors)); -- nothing is stored beyond it
  month timestamp := date_trunc('month', id_time(case when newest then last_id else first_id end) at time zone 'UTC');
  low bigint;
  high bigint;
  event messages;
begin
  if kind <> 'unread' and (key is null or kind = 'pair' and (other is null or cardinality(holders) = 0)) then
    return;
  end if;
  if kind = 'pair' then
    holders := array(select distinct unnest(holders));
    select 'select * from (' || string_agg(format(
        '(select *, id + 0 as place from public.messages where recipient_holder = $3[%1$s] and recipient_id = $1'
        ' and sender_id = $2 and id between $4 + 1 and $5 and id + 0 between $4 + 1 and $5 order by %2$s limit $6)'
        ' union all '
        '(select *, id + 0 as place from public.messages where sender_holder = $3[%1$s] and sender_id = $1'
        ' and recipient_id = $2 and id between $4 + 1 and $5 and id + 0 between $4 + 1 and $5'
        ' and ($1 <> $2 or (recipient_holder = any ($3)) is not true) order by %2$s limit $6)', n, sorted),
        ' union all ') || ') pair order by ' || sorted || ' limit $6'
      into statement from generate_subscripts(holders, 1) n;
  else
    statement := format('select * from public.messages where %s and id > $4 and id <= $5 order by %s limit $6',
      which, sorted);
  end if;
  loop
    low := id_at(month at time zone 'UTC');
    high := id_at((month + interval '1 month') at time zone 'UTC') - 1;
    exit when high < first_id or low > last_id;
    for event in execute statement using key, other, holders, greatest(low, first_id) - 1, least(high, last_id), most loop
      return next event;
      most := most - 1;
      if most = 0 or bytes < 0 then
        return;
      end if;
      bytes := bytes - octet_length(event.text);
    end loop;
    month := month + case when newest then interval '-1 month' else interval '1 month' end;
  end loop;
end
$$;
comment on function page(text, bigint, bigint, text[], bigint, bigint, boolean, bigint, bigint) is
  'The newest or oldest rows of a room, a recipient, a pair or an account''s unread directs within a range of ids';

-- PostgreSQL's clock alone decides what is old: a store's may be wrong, and what was dropped does not come back.
create function is_due(at_id bigint, days bigint) returns boolean
language sql stable strict
return (date_trunc('month', id_time(at_id) at time zone 'UTC') + interval '1 month') at time zone 'UTC'
  <= now() - greatest(days, 0) * interval '24 hours';
comment on function is_due(bigint, bigint) is
  'Whether all of the month (of UTC) that this id belongs to is older than so many days';

-- Drops the month (of UTC) of `at_id`; false if it is not there, or not all of it older than so many days.  Who reads it,
-- or reads messages at all, makes this wait, and makes whoever comes then wait behind it: so it waits for no longer than
-- a blink, fails (55P03), and is called again.  A statement that holds the month alone is met first: nobody waits behind
-- that.
create function drop_month(at_id bigint, days bigint) returns boolean
language plpgsql strict security definer
set search_path = pg_catalog, public, pg_temp
set lock_timeout = '100ms' as $$
declare
  month timestamp := date_trunc('month', to_timestamp((at_id >> 20) / 1000.0) at time zone 'UTC');
  part text := 'messages_' || to_char(month, 'YYYY_MM');
begin
  if not public.is_due(at_id, days) then
    return false;
  end if;
  perform pg_advisory_xact_lock(1752523362, 100);
  if to_regclass('public.' || part) is null then
    return false;
  end if;
  execute format('lock table public.%I in access exclusive mode', part);
  execute format('alter table public.messages detach partition public.%I', part);
  execute format('drop table public.%I', part);
  return true;
end
$$;
comment on function drop_month(bigint, bigint) is
  'Drops the partition of messages that this id belongs to; false if it is not there, or not older than so many days';
revoke all on function drop_month(bigint, bigint) from public;

grant update (is_read) on messages to hubbub_store;
grant execute on function drop_month(bigint, bigint) to hubbub_store;
