-- The views: what a person reads.

create view history as
  select to_timestamp((m.id >> 20) / 1000.0) as time, r.name as room, u.name as sender, m.text, m.id
  from messages m
  join rooms r on r.id = m.room_id
  join users u on u.id = m.sender_id;
comment on view history is 'Everything said in rooms, once each: select * from history order by id desc limit 20';
comment on column history.time is 'When it was said';
comment on column history.room is 'In which room (folded: lower case)';
comment on column history.sender is 'Who said it';
comment on column history.text is 'What was said; may have several lines';
comment on column history.id is 'Its id, which gives the order; id_at(time) turns a time into one, exactly and fast';

create view directs as
  select to_timestamp((m.id >> 20) / 1000.0) as time, s.name as sender, r.name as recipient, m.text, m.is_read, m.id
  from messages m
  join users s on s.id = m.sender_id
  join users r on r.id = m.recipient_id;
comment on view directs is 'Everything said to one person alone';
comment on column directs.time is 'When it was said';
comment on column directs.sender is 'Who said it';
comment on column directs.recipient is 'To whom';
comment on column directs.text is 'What was said; may have several lines';
comment on column directs.is_read is 'Whether the recipient has read it';
comment on column directs.id is 'Its id, which gives the order; id_at(time) turns a time into one, exactly and fast';

create view online as
  select u.name, s.gateway, s.dialect, s.ip_address as address, s.connected_at as since, s.session
  from sessions s
  join users u on u.id = s.user_id
  where s.disconnected_at is null;
comment on view online is 'Who is logged in now';
comment on column online.name is 'Who, as shown';
comment on column online.gateway is 'Through which gateway';
comment on column online.dialect is 'In which dialect (the wire protocol)';
comment on column online.address is 'From where; null if the gateway did not know';
comment on column online.since is 'Since when';
comment on column online.session is 'The session''s id, as the gateways'' logs have it';

create view audit as
with links as (
  select id, prev, room_id, null::bigint as recipient_id, lag(id) over (partition by room_id order by id) as before
  from messages where room_id is not null
  union all
  select id, prev, null, recipient_id, lag(id) over (partition by recipient_id order by id)
  from messages where recipient_id is not null
), broken as (
  select case when prev < before then 'fork' else 'missing' end as finding, l.*,
    exists (select 1 from openings o where o.lane = (l.id >> 14) & 63 and o.id = l.prev) as is_opening
  from links l
  where (before is not null and prev <> before) or before is null
)
select finding, ((id >> 14) & 63)::smallint as lane,
  coalesce((select 'room ' || name from rooms where rooms.id = b.room_id),
    (select 'directs to ' || name from users where users.id = b.recipient_id)) as chain,
  id, to_timestamp((id >> 20) / 1000.0) as time,
  'the event before it should be ' || prev || ' and is ' || coalesce(before::text, 'not there')
    || case when is_opening then ' (the lane was opened at ' || prev || ')' else '' end as detail
from broken b
where before is not null or not (is_opening or prev < coalesce(oldest_month(), 0))
union all
select 'restart', o.lane, null, o.id, o.at, 'Redis'' data was destroyed: the lane was opened anew, and had rows before'
from openings o
where exists (select 1 from messages m where m.id < o.id and (m.id >> 14) & 63 = o.lane)
  or (o.lane = 0 and exists (select 1 from sessions s where s.opened_id < o.id))
union all
select 'quarantine', q.lane, null, q.position, q.at, q.error || case when q.entry = '' then '' else ': ' || left(q.entry, 200) end
from quarantine q;
comment on view audit is 'What contradicts "nothing is lost, nothing doubled": empty unless somebody destroyed data';
comment on column audit.finding is
  'missing: an event names one before it that is not here; fork: it passes over one that is; restart: Redis lost its data; quarantine: an entry of the log could not be stored';
comment on column audit.lane is 'The lane of the log';
comment on column audit.chain is 'The room, or whom the directs went to';
comment on column audit.id is 'The event, opening or entry';
comment on column audit.time is 'When it happened; of a restart or quarantine, when it was seen';
comment on column audit.detail is 'What was found';
