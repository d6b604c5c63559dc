#!lua name=hubbub_4
--
-- functions: what must happen in Redis in one step.  docs/FUNCTIONS.md lists keys, arguments and answers.
--
-- Every change of this file raises the number in its first line and in REVISION (a test keeps the file's hash).
-- Each function is called with one key, "hubbub:{L}", the prefix of all keys of lane L.  It checks everything before
-- its first write, because one that fails half way keeps what it wrote.  An id is always "ms-seq": a Lua number holds
-- either part, but not both in one.
--
-- The answer is an array whose first element is a word.
--

local REVISION = '4'
local KEY_VERSION = '1'
local SEQ_MAX = 16383
local SENT_SLOTS = 4096
local SENT_SECONDS = 3600     -- what a dead incarnation sent is kept so long
local REF_SECONDS = 600
local CLOCK_AHEAD_MS = 600000
local NAMES_MAX = 50
local REAP_MEMBERSHIPS = 100
local WALK_BYTES = 262144
local WALK_IDS = 1000         -- the most steps of one call, so that none holds Redis up
local WALK_ENTRIES = 200

local function answer(word, ...)
  return { word, ... }
end

-- Ids ---------------------------------------------------------------------------------------------------------------

local function split(id)
  local ms, seq = string.match(id, '^(%d+)-(%d+)$')
  return tonumber(ms), tonumber(seq)
end

local function join(ms, seq)
  return string.format('%.0f-%.0f', ms, seq)
end

-- True if id a comes after id b.
local function after(a, b)
  local a_ms, a_seq = split(a)
  local b_ms, b_seq = split(b)
  if a_ms ~= b_ms then
    return a_ms > b_ms
  end
  return a_seq > b_seq
end

local function later(a, b)
  if after(b, a) then
    return b
  end
  return a
end

-- The id that follows; a full millisecond moves on to the next.
local function successor(id)
  local ms, seq = split(id)
  if seq >= SEQ_MAX then
    return join(ms + 1, 0)
  end
  return join(ms, seq + 1)
end

local function now_ms()
  local time = redis.call('TIME')
  return tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
end

local function clock_is_ahead(now, clock)
  return now > tonumber(clock) + CLOCK_AHEAD_MS
end

-- A new id: larger than the lane's top and than what the caller has seen, and not before the clock.
local function next_id(P, seen, now)
  local id = successor(later(redis.call('GET', P .. ':top') or '0-0', seen))
  if now then
    id = later(id, join(now, 0))
  end
  return id
end

-- Lanes, links ------------------------------------------------------------------------------------------------------

local function is_closed(P)
  return redis.call('GET', P .. ':open') ~= KEY_VERSION
end

-- Nil if the caller may write; else the answer to give.
local function refusal(P, incarnation, link)
  if is_closed(P) then
    return answer('CLOSED')
  end
  if redis.call('HGET', P .. ':links', incarnation) ~= link then
    return answer('FENCED')
  end
  return nil
end

-- The lane of a folded name: CRC-16/XMODEM mod 8, as lane_of() in name.c has it.
local crc_table

local function make_crc_table() -- at the first call: Redis has no `bit` yet while it loads the library
  crc_table = {}
  for byte = 0, 255 do
    local crc = bit.lshift(byte, 8)
    for _ = 1, 8 do
      crc = bit.bxor(bit.lshift(crc, 1), bit.band(crc, 0x8000) ~= 0 and 0x1021 or 0)
    end
    crc_table[byte] = bit.band(crc, 0xffff)
  end
end

local function lane_of(name)
  local crc = 0
  if not crc_table then
    make_crc_table()
  end
  for i = 1, #name do
    local byte = bit.bxor(bit.rshift(crc, 8), string.byte(name, i))
    crc = bit.bxor(bit.band(bit.lshift(crc, 8), 0xffff), crc_table[byte])
  end
  return crc % 8
end

local function room_channel(room)
  return string.format('hubbub:{%d}:room:%s', lane_of(room), room)
end

-- open_link(incarnation, link): makes `link` the only one that may write for `incarnation`.
-- OK | FENCED, each with floor, top and what was sent: "seq id", ... | CLOSED
local function open_link(keys, args)
  local P, incarnation, link = keys[1], args[1], args[2]
  if is_closed(P) then
    return answer('CLOSED')
  end
  local current = redis.call('HGET', P .. ':links', incarnation)
  local word = 'OK'
  if (current and tonumber(current) > tonumber(link)) or (not current and tonumber(link) > 1) then
    word = 'FENCED'
  end
  local result = answer(word, redis.call('GET', P .. ':floor') or '0-0', redis.call('GET', P .. ':top') or '0-0',
    redis.call('HVALS', P .. ':sent:' .. incarnation))
  if word == 'OK' then
    redis.call('HSET', P .. ':links', incarnation, link)
    redis.call('HSETNX', P .. ':gateways', incarnation, '0')
  end
  return result
end

-- beat(incarnation, link): raises one's own count, and proves that this Redis writes and publishes.
-- OK, clock, all counts: incarnation, count, ...
local function beat(keys, args)
  local P, incarnation, link = keys[1], args[1], args[2]
  local refused = refusal(P, incarnation, link)
  if refused then
    return refused
  end
  local count = redis.call('HINCRBY', P .. ':gateways', incarnation, 1)
  redis.call('PUBLISH', 'hubbub:gateway:' .. incarnation, 'beat ' .. count)
  return answer('OK', string.format('%.0f', now_ms()), redis.call('HGETALL', P .. ':gateways'))
end

-- The log -----------------------------------------------------------------------------------------------------------

-- The channel of a chain ("r:ROOM" or "u:USER") of the lane, as chain_channel() in event.c has it.
local function chain_channel(P, chain)
  return P .. (string.sub(chain, 1, 1) == 'r' and ':room:' or ':user:') .. string.sub(chain, 3)
end

-- publish(incarnation, link, seq, seen, clock, chain, ref digest or "", body)
-- OK, id, prev | AGAIN, id | CLOCK | CLOSED | FENCED
local function publish(keys, args)
  local P, incarnation, link, seq = keys[1], args[1], args[2], args[3]
  local seen, clock, chain, ref, body = args[4], args[5], args[6], args[7], args[8]
  local refused = refusal(P, incarnation, link)
  if refused then
    return refused
  end
  local slot = string.format('%.0f', tonumber(seq) % SENT_SLOTS) -- here, where it may still fail
  if ref ~= '' then
    local known = redis.call('GET', P .. ':ref:' .. ref)
    if known then
      redis.call('HSET', P .. ':sent:' .. incarnation, slot, seq .. ' ' .. known) -- this answer may get lost, too
      return answer('AGAIN', known)
    end
  end
  local now = now_ms()
  if clock_is_ahead(now, clock) then
    return answer('CLOCK')
  end
  local id = next_id(P, seen, now)
  local prev = redis.call('HGET', P .. ':last', chain) or redis.call('GET', P .. ':floor') or '0-0'
  redis.call('XADD', P .. ':log', id, 'c', chain, 'p', prev, 'e', body)
  redis.call('HSET', P .. ':last', chain, id)
  redis.call('SET', P .. ':top', id)
  redis.call('HSET', P .. ':sent:' .. incarnation, slot, seq .. ' ' .. id)
  if ref ~= '' then
    redis.call('SET', P .. ':ref:' .. ref, id, 'EX', REF_SECONDS)
  end
  redis.call('PUBLISH', chain_channel(P, chain), id .. ' ' .. prev .. ' ' .. body)
  return answer('OK', id, prev)
end

-- walk(chain, from, until, n, "ids" or "entries"): goes back along `chain` from id `from` (which is included) towards
-- `until` (which is not), at most n steps.  Entries are newest first, as id, prev, body; if they are too many bytes,
-- the newest are left out.
-- list, next, END (until was reached) | MORE (go on at next) | TRIMMED (next is not in this log, nor what is before it)
local function walk(keys, args)
  local P, chain, at, until_id, with_entries = keys[1], args[1], args[2], args[3], args[5] == 'entries'
  local n = math.min(tonumber(args[4]), with_entries and WALK_ENTRIES or WALK_IDS)
  if is_closed(P) then
    return answer('CLOSED')
  end
  local found, word = {}, 'MORE'
  while true do
    if not after(at, until_id) then
      word = 'END'
      break
    end
    if #found >= n then
      break
    end
    local entry = redis.call('XRANGE', P .. ':log', at, at)[1]
    if not entry or entry[2][2] ~= chain or not entry[2][6] then
      word = 'TRIMMED'
      break
    end
    found[#found + 1] = { at, entry[2][4], entry[2][6] }
    at = entry[2][4]
  end
  local list, first = {}, 1
  if with_entries then
    local bytes = 0
    for i = #found, 1, -1 do
      bytes = bytes + #found[i][3]
      if bytes > WALK_BYTES and i < #found then
        first = i + 1
        break
      end
    end
  end
  for i = first, #found do
    list[#list + 1] = found[i][1]
    if with_entries then
      list[#list + 1] = found[i][2]
      list[#list + 1] = found[i][3]
    end
  end
  return answer('OK', list, at, word)
end

-- trim(id): takes entries up to `id` out of the log.  The store's; only moves forward.
local function trim(keys, args)
  local P, id = keys[1], args[1]
  redis.call('XTRIM', P .. ':log', 'MINID', '=', successor(id))
  redis.call('SET', P .. ':trimmed', later(redis.call('GET', P .. ':trimmed') or '0-0', id))
  return answer('OK')
end

-- open(floor, key version): opens the lane.  The store's; only moves forward.
local function open(keys, args)
  local P, floor, version = keys[1], args[1], args[2]
  redis.call('SET', P .. ':floor', later(redis.call('GET', P .. ':floor') or '0-0', floor))
  redis.call('SET', P .. ':top', later(redis.call('GET', P .. ':top') or '0-0', floor))
  redis.call('SET', P .. ':open', version)
  return answer('OK')
end

-- Presence: names, rooms, and who is in them.  All of it lives with lane 0. -------------------------------------------

-- The holder of `name`: incarnation, session, key digest; nil if nobody is.
local function holder_of(P, name)
  local value = redis.call('HGET', P .. ':names', name)
  if not value then
    return nil
  end
  return string.match(value, '^(%S+) (%S+) (%S+)$')
end

local function holds(P, name, session)
  local _, holder_session = holder_of(P, name)
  return holder_session == session
end

local function tell(room, sign, session, shown, members, notice_max)
  if members <= tonumber(notice_max) then
    redis.call('PUBLISH', room_channel(room), string.format('%s%s %.0f %s', sign, session, now_ms(), shown))
  end
end

local function count_members(P, room)
  local members = redis.call('HLEN', P .. ':members:' .. room)
  if members > 0 then
    redis.call('ZADD', P .. ':rooms', members, room)
  else
    redis.call('ZREM', P .. ':rooms', room)
  end
  return members
end

-- The members of `room`: their count and up to `names_max` (50 at most) names as shown.  Names cost more than all else
-- here, so nobody asks for them who does not tell them.
local function people(P, room, names_max)
  local shown, most = {}, math.min(tonumber(names_max), NAMES_MAX)
  if most > 0 then
    local found = redis.call('HRANDFIELD', P .. ':members:' .. room, most, 'WITHVALUES')
    for i = 2, #found, 2 do
      shown[#shown + 1] = string.match(found[i], '^%S+ (.*)$')
    end
  end
  return answer('OK', redis.call('HLEN', P .. ':members:' .. room), shown)
end

-- Puts `session` into `room`, once; is silent if `quiet`.
local function put_in(P, name, shown, session, room, notice_max, quiet)
  local before = redis.call('HGET', P .. ':members:' .. room, name)
  if before and string.match(before, '^%S+') == session then
    return
  end
  redis.call('HSET', P .. ':members:' .. room, name, session .. ' ' .. shown)
  redis.call('SADD', P .. ':in:' .. name, room)
  local members = count_members(P, room)
  if not quiet then
    tell(room, '+', session, shown, members, notice_max)
  end
end

-- Takes `name` out of `room`; is silent if `quiet`.
local function take_out(P, name, session, room, notice_max, quiet)
  local value = redis.call('HGET', P .. ':members:' .. room, name)
  redis.call('SREM', P .. ':in:' .. name, room)
  if not value then
    return
  end
  local before = redis.call('HLEN', P .. ':members:' .. room)
  redis.call('HDEL', P .. ':members:' .. room, name)
  count_members(P, room)
  if not quiet then
    tell(room, '-', session, string.match(value, '^%S+ (.*)$'), before, notice_max)
  end
end

local function write_record(P, seen, now, record)
  local id = next_id(P, seen, now)
  redis.call('XADD', P .. ':log', id, 'c', '-', 'p', '-', 'e', record)
  redis.call('SET', P .. ':top', id)
end

-- Undoes all that `session` holds under `name`, and writes down that it ended.  Rooms in `entering` are left quietly.
-- Returns how many rooms it was in.
local function undo(P, name, incarnation, session, seen, now, notice_max, entering)
  local rooms = redis.call('SMEMBERS', P .. ':in:' .. name)
  for _, room in ipairs(rooms) do
    take_out(P, name, session, room, notice_max, room == entering)
  end
  redis.call('HDEL', P .. ':names', name)
  redis.call('HDEL', P .. ':held:' .. incarnation, name)
  write_record(P, seen, now, string.format('{"close":"%s"}', session))
  return #rooms
end

-- Where Redis' clock cannot be trusted, an ending takes the id after the last one: it must not fail, and an id from
-- the future cannot be taken back.
local function ending_clock(clock)
  local now = now_ms()
  if clock_is_ahead(now, clock) then
    return nil
  end
  return now
end

-- claim(incarnation, link, seen, clock, name, shown, session, key digest or "-", number of the account whose password
--       was verified or "-", room or "", notice max, names max, record)
-- OK, count, names | TAKEN | ACCOUNT | CLOCK | CLOSED | FENCED
local function claim(keys, args)
  local P, incarnation, link, seen, clock = keys[1], args[1], args[2], args[3], args[4]
  local name, shown, session, key, account = args[5], args[6], args[7], args[8], args[9]
  local room, notice_max, names_max, record = args[10], args[11], args[12], args[13]
  local refused = refusal(P, incarnation, link)
  if refused then
    return refused
  end
  local old_incarnation, old_session, old_key = holder_of(P, name)
  local own = old_session == session
  if not own then
    if account ~= (redis.call('HGET', P .. ':accounts', name) or '-') then
      return answer('ACCOUNT')
    end
    if old_session and account == '-' and (key == '-' or key ~= old_key) then
      return answer('TAKEN')
    end
  end
  local now = now_ms()
  if clock_is_ahead(now, clock) then
    return answer('CLOCK')
  end
  -- Who takes a name over in a room where it already is changes nothing that the room can see.
  local was_there = old_session and redis.call('SISMEMBER', P .. ':in:' .. name, room) == 1
  if old_session and not own then
    undo(P, name, old_incarnation, old_session, seen, now, notice_max, room)
    redis.call('PUBLISH', 'hubbub:gateway:' .. old_incarnation, 'replaced ' .. old_session)
  end
  if own and old_incarnation ~= incarnation then
    redis.call('HDEL', P .. ':held:' .. old_incarnation, name)
  end
  redis.call('HSET', P .. ':names', name, incarnation .. ' ' .. session .. ' ' .. key)
  redis.call('HSET', P .. ':held:' .. incarnation, name, session)
  if not own then
    write_record(P, seen, now, record)
  end
  if room == '' then -- who has left every room keeps the name
    return answer('OK', 0, {})
  end
  put_in(P, name, shown, session, room, notice_max, was_there)
  return people(P, room, names_max)
end

-- enter(incarnation, link, name, shown, session, room, notice max, names max):  OK, count, names | GONE | CLOSED | FENCED
local function enter(keys, args)
  local P, name, shown, session, room, notice_max = keys[1], args[3], args[4], args[5], args[6], args[7]
  local refused = refusal(P, args[1], args[2])
  if refused then
    return refused
  end
  if not holds(P, name, session) then
    return answer('GONE')
  end
  put_in(P, name, shown, session, room, notice_max, false)
  return people(P, room, args[8])
end

-- leave(incarnation, link, name, shown, session, room, notice max):  OK | GONE | CLOSED | FENCED
local function leave(keys, args)
  local P, name, session, room, notice_max = keys[1], args[3], args[5], args[6], args[7]
  local refused = refusal(P, args[1], args[2])
  if refused then
    return refused
  end
  if not holds(P, name, session) then
    return answer('GONE')
  end
  take_out(P, name, session, room, notice_max, false)
  return answer('OK')
end

-- release(incarnation, link, seen, clock, name, session, notice max):  OK | GONE | CLOSED | FENCED
local function release(keys, args)
  local P, incarnation, link, seen, clock, name, session = keys[1], args[1], args[2], args[3], args[4], args[5], args[6]
  local refused = refusal(P, incarnation, link)
  if refused then
    return refused
  end
  local holder, holder_session = holder_of(P, name)
  if holder_session ~= session then
    return answer('GONE')
  end
  undo(P, name, holder, session, seen, ending_clock(clock), args[7], nil)
  return answer('OK')
end

-- reap(incarnation, link, seen, clock, dead incarnation, its count as last seen, notice max): closes the dead one's link
-- in this lane; in lane 0 also frees its names, in steps.
-- LEFT, n (names that remain; call again) | MOVED (it lives) | CLOSED | FENCED
local function reap(keys, args)
  local P, incarnation, link, seen, clock = keys[1], args[1], args[2], args[3], args[4]
  local dead, count, notice_max = args[5], args[6], args[7]
  local refused = refusal(P, incarnation, link)
  if refused then
    return refused
  end
  local is_presence = P == 'hubbub:{0}'
  local current = redis.call('HGET', P .. ':gateways', dead)
  if is_presence and current and current ~= count then
    return answer('MOVED')
  end
  redis.call('HDEL', P .. ':links', dead)
  redis.call('EXPIRE', P .. ':sent:' .. dead, SENT_SECONDS)
  local left = 0
  if is_presence then
    local now, undone = ending_clock(clock), 0
    while undone < REAP_MEMBERSHIPS do
      local name = redis.call('HRANDFIELD', P .. ':held:' .. dead)
      if not name then
        break
      end
      local session = redis.call('HGET', P .. ':held:' .. dead, name)
      local holder, holder_session = holder_of(P, name)
      local rooms = 0
      if holder == dead and holder_session == session then
        rooms = undo(P, name, dead, session, seen, now, notice_max, nil)
      else
        redis.call('HDEL', P .. ':held:' .. dead, name)
      end
      undone = undone + math.max(1, rooms)
    end
    left = redis.call('HLEN', P .. ':held:' .. dead)
  end
  if left == 0 then
    redis.call('HDEL', P .. ':gateways', dead)
  end
  return answer('LEFT', left)
end

-- Accounts: which names need a password ------------------------------------------------------------------------------

-- find(name): ACCOUNT, number | HELD, session, key digest or "-" | NOBODY | CLOSED
local function find(keys, args)
  local P, name = keys[1], args[1]
  if is_closed(P) then
    return answer('CLOSED')
  end
  local account = redis.call('HGET', P .. ':accounts', name)
  if account then
    return answer('ACCOUNT', account)
  end
  local _, session, key = holder_of(P, name)
  if session then
    return answer('HELD', session, key)
  end
  return answer('NOBODY')
end

-- register(name, session or "-", number): makes the name an account, if `session` holds it.  The store's.
-- OK | GONE
local function register_account(keys, args)
  local P, name, session, account = keys[1], args[1], args[2], args[3]
  if session ~= '-' and not holds(P, name, session) then
    return answer('GONE')
  end
  redis.call('HSET', P .. ':accounts', name, account)
  return answer('OK')
end

-- forget(name, clock, notice max): makes an account's name a guest's, and undoes whoever is logged in.  The store's.
local function forget(keys, args)
  local P, name, clock, notice_max = keys[1], args[1], args[2], args[3]
  if redis.call('HDEL', P .. ':accounts', name) == 0 then
    return answer('OK')
  end
  local incarnation, session = holder_of(P, name)
  if session then
    undo(P, name, incarnation, session, '0-0', ending_clock(clock), notice_max, nil)
    redis.call('PUBLISH', 'hubbub:gateway:' .. incarnation, 'replaced ' .. session)
  end
  return answer('OK')
end

-- Arguments are checked before their function begins: a bad one must not be found out after the first write.  Only
-- `publish` does without, for speed: what can fail there comes before its first write as it is.

local function word(given) -- the parts of a value are told by spaces
  return given ~= '' and not string.find(given, '%s')
end

local function word_or_nothing(given)
  return given == '' or word(given)
end

local function number(given) -- 15 digits are exact in Lua
  return #given <= 15 and string.find(given, '^%d+$')
end

local function id(given)
  return #given <= 31 and string.find(given, '^%d+%-%d+$')
end

local function number_or_none(given)
  return given == '-' or number(given)
end

local any = false -- what can be anything

local function register(name, callback, flags)
  redis.register_function({ function_name = name .. '_' .. REVISION, callback = callback, flags = flags })
end

local function register_checked(name, shape, callback, flags)
  local function checked(keys, args)
    if #keys ~= 1 or #args ~= #shape then
      return redis.error_reply(string.format('ERR %s takes 1 key and %d arguments', name, #shape))
    end
    for i = 1, #shape do
      if shape[i] and not shape[i](args[i]) then
        return redis.error_reply(string.format('ERR %s: argument %d is bad', name, i))
      end
    end
    return callback(keys, args)
  end
  register(name, checked, flags)
end

register_checked('open_link', { word, number }, open_link, { 'allow-oom' })
register_checked('beat', { word, number }, beat, { 'allow-oom' })
register('publish', publish, {})
register_checked('walk', { word, id, id, number, word }, walk, { 'no-writes' })
register_checked('trim', { id }, trim, { 'allow-oom' })
register_checked('open', { id, word }, open, { 'allow-oom' })
register_checked('claim',
  { word, number, id, number, word, any, word, word, number_or_none, word_or_nothing, number, number, any }, claim, {})
register_checked('enter', { word, number, word, any, word, word, number, number }, enter, {})
register_checked('leave', { word, number, word, any, word, word, number }, leave, { 'allow-oom' })
register_checked('release', { word, number, id, number, word, word, number }, release, { 'allow-oom' })
register_checked('reap', { word, number, id, number, word, number, number }, reap, { 'allow-oom' })
register_checked('find', { word }, find, { 'no-writes' })
register_checked('register', { word, word, number }, register_account, {})
register_checked('forget', { word, number, number }, forget, { 'allow-oom' })
