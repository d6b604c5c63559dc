-- The tables.  An id is (ms << 20) | (lane << 14) | seq: it grows with time, is unique for ever, and says when.
--
-- No foreign keys lead out of messages: each would cost a lock and a look-up per row, and the store, the only one that
-- inserts, may not delete users or rooms.

create table users (
  id bigint generated always as identity primary key,
  name text not null,
  name_key text collate "C" not null unique,
  password_hash text,
  created_at timestamptz not null default now(),
  registered_at timestamptz,
  last_login_at timestamptz
);
comment on table users is 'Everyone who ever logged in, or was written to';
comment on column users.name is 'As shown: the way it was written at the newest log-in';
comment on column users.name_key is 'Folded (NFKC case folding): names are compared in this form';
comment on column users.password_hash is 'Null: a guest, whose name is free for anyone while he is away';

create table rooms (
  id bigint generated always as identity primary key,
  name text collate "C" not null unique,
  created_at timestamptz not null default now()
);
comment on table rooms is 'Every room in which something was said; names are folded';

create table messages (
  id bigint not null primary key,
  prev bigint not null,
  room_id bigint,
  recipient_id bigint,
  sender_id bigint not null,
  text text not null,
  is_read boolean not null default false,
  constraint room_or_recipient check (num_nonnulls(room_id, recipient_id) = 1)
) partition by range (id);
comment on table messages is 'Every event, a month a partition; read it through the views history and directs';
comment on column messages.id is 'When, and in which lane: see id_time(id) and id_at(time)';
comment on column messages.prev is 'The id of the event before it in its chain: the same room, or directs to the same recipient';
comment on column messages.room_id is 'The room (a message), or null (a direct)';
comment on column messages.recipient_id is 'Whom it was written to (a direct), or null (a message)';
comment on column messages.is_read is 'Directs only: the recipient has read it';

-- A room's page is (room_id, id); a recipient's chain (recipient_id, id); a pair's conversation reads both directions
-- from one index; (sender_id, id) is what a person said.
create index messages_room on messages (room_id, id) where room_id is not null;
create index messages_recipient on messages (recipient_id, id) where recipient_id is not null;
create index messages_pair on messages (least(sender_id, recipient_id), greatest(sender_id, recipient_id), id)
  where recipient_id is not null;
create index messages_sender on messages (sender_id, id);

create table sessions (
  session text collate "C" primary key,
  opened_id bigint not null,
  user_id bigint not null references users,
  gateway text not null,
  dialect text not null,
  ip_address inet,
  connected_at timestamptz not null,
  disconnected_at timestamptz
);
comment on table sessions is 'Every logged-in connection that there was';
comment on column sessions.opened_id is 'The id of the newest record in the log that opened it';
comment on column sessions.disconnected_at is 'Null: it is logged in';
create index sessions_user on sessions (user_id, connected_at);
create index sessions_open on sessions (user_id) where disconnected_at is null;

create table cursors (
  lane smallint primary key check (lane between 0 and 7),
  position bigint not null default 0
);
comment on table cursors is 'How far each lane of the log has been stored';
comment on column cursors.position is 'The id up to which everything in the lane is in messages or sessions';
insert into cursors (lane) select generate_series(0, 7);

create table openings (
  lane smallint not null,
  id bigint not null,
  at timestamptz not null default now(),
  primary key (lane, id)
);
comment on table openings is 'When a lane of the log began, new or after Redis'' data was destroyed';
comment on column openings.id is 'The lane''s floor: every id in it from then on is larger';

create table quarantine (
  lane smallint not null,
  position bigint not null,
  entry text not null,
  error text not null,
  at timestamptz not null default now()
);
comment on table quarantine is 'Entries of the log that could not be stored, and holes in it';
comment on column quarantine.position is 'The id of the entry; of a hole, the id after which it begins';
comment on column quarantine.entry is 'Its fields and values, what is not UTF-8 as \xHH';
create unique index quarantine_once on quarantine (lane, position, md5(entry));
