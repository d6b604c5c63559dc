"""people: forty who chat in all dialects, come back after every loss, and keep account of what they were promised.

Two kinds.  Those of `json` and `command` are promised everything: each chat has a ref, each return a key and a `since`.
Those of `line`, `prompt` and `gob` have neither; what they can be promised holds for one connection at a time.

Of each kind some have accounts: they register before anything happens, come back with their password, and are away now
and then.  Directs go to them alone, as nothing is kept for others; they are promised, by anybody who has refs.

What becomes of a chat with a ref:

    said --ack--> acked
      |---error unavailable--> said again, or (drawn) left at that: must never be in history, unless it was lost before
      +---connection lost----> said again, or (drawn) left at that: may be in history, at most once

Now and then somebody asks for a page of history; what it has to have is reckoned at the end.
"""

import asyncio
import collections
import json
import re
import socket
import time

import gob

TEXT = r"[a-z]+/[a-z]+-\d+/\d+\S*"
AGAIN_SECONDS = 0.4       # who was refused waits so long before asking again
PATIENCES = (4, 8, 40)    # seconds without an answer after which somebody connects anew
PING_SECONDS = 2
LEFT_AT_THAT = 0.25       # so many chats are not said again
DIRECTS = 0.1             # so many are for one person alone
PAGES = 0.04              # how often, instead of a chat, one asks for a page,
READS = 0.05              # says what was read,
AWAY = 0.008              # or goes away
AWAY_SECONDS = (2, 10)
PASSWORD = "correct-horse-7"
LONG_TEXT = 0.05          # so many are longer than a line or two
ENDINGS = ("shutting-down", "replaced", "login-timeout")  # after these a connection may close


class Chat:
    """Said in a room, or (`to`) to one person."""

    def __init__(self, room, text, repeats, to=None):
        self.room, self.text, self.repeats, self.to = room, text, repeats, to
        self.ref = text[:64]  # the texts differ in that
        self.id = None        # of its ack
        self.lost = False     # a connection was lost while it had no answer
        self.refused = False  # the last answer was an error


class Page:
    """A page of a room's history, or (`partner`) of the directs with somebody, as it was asked for and answered."""

    def __init__(self, room, partner, before, since, limit, known):
        self.room, self.partner, self.before, self.since, self.limit = room, partner, before, since, limit
        self.known = known                   # the newest id of the room that one knew of
        self.asked = int(time.time() * 1000)
        self.messages, self.more = [], None  # (id, text), oldest first

    def __str__(self):
        return (f"{self.limit} of {self.room or 'directs with ' + self.partner}" +
                (f" before {self.before}" if self.before else "") + (f" since {self.since}" if self.since else ""))


class Connection:
    """What happened on one connection, from connecting to its end."""

    def __init__(self, number):
        self.number, self.begun = number, time.time()
        self.heard = []       # (room, text), in order
        self.said = []        # texts, in order
        self.refusals = 0     # of chats
        self.directs = []     # (id or None, text), in order
        self.gaps = []        # Plain: (room, how much of it was heard before that)
        self.direct_gaps = 0
        self.ended = None     # when; None: it is open
        self.endings = []     # errors that announced its end


class Person:
    """Lives in the loop; `port` leads to haproxy.  What must not come is in `odd`."""

    def __init__(self, name, rooms, port, rate, rng, password=None):
        self.name, self.rooms, self.port, self.rate, self.rng = name, rooms, port, rate, rng
        self.patience = rng.choice(PATIENCES)
        self.password = password            # of an account
        self.registered = password is None  # or has not to be
        self.addressees = []                # names of accounts
        self.away = 0                       # seconds until one comes back
        self.going = False                  # has said goodbye
        self.staying = False                # goes away no more
        self.writer = None          # while connected
        self.in_place = False       # logged in, and in all of its rooms
        self.said = 0
        self.silent = True
        self.leaving = False
        self.connections = []
        self.odd = []
        self.waiting_since = None   # when the oldest request without an answer was sent
        self.try_at = 0             # when what was refused may be asked again

    @property
    def here(self):
        return self.connections[-1]

    @property
    def handed(self):
        """The texts of the directs that came, on whatever connection."""
        return {text for there in self.connections for _, text in there.directs}

    def note_odd(self, what):
        self.odd.append(f"{time.strftime('%T')} connection {len(self.connections)}: {what}")

    async def live(self):
        speaking = asyncio.create_task(self.speak())
        try:
            while not self.leaving:
                await self.stay()
                away, self.away = self.away, 0
                await asyncio.sleep(away or self.rng.uniform(0.02, 0.3))
        finally:
            speaking.cancel()

    async def stay(self):
        """One connection, from its beginning to its end."""
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", self.port, limit=1 << 20)
            writer.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.connections.append(Connection(len(self.connections) + 1))
            self.writer, self.going = writer, False
            self.begin()
            while (data := await reader.read(65536)):
                for one in self.decode(data):
                    self.take(one)
        except OSError:
            pass
        if self.writer:
            self.writer.transport.abort()
            self.here.ended = time.time()
        self.writer, self.in_place, self.waiting_since = None, False, None
        self.lost()

    async def speak(self):
        while True:
            await asyncio.sleep(self.rng.uniform(0.3, 1.7) / self.rate)
            if not self.writer or self.leaving:
                continue
            if self.waiting_since and time.monotonic() - self.waiting_since > self.patience:
                self.writer.transport.abort()
            elif self.going or time.monotonic() < self.try_at:
                continue
            elif self.may_go() and self.rng.random() < AWAY:
                self.go()
            else:
                self.turn()

    def may_go(self):
        return self.password and self.in_place and not self.silent and not self.staying

    def go(self):
        """Is away for some time, with a goodbye or without."""
        self.away = self.rng.uniform(*AWAY_SECONDS)
        if self.rng.random() < 0.5:
            self.writer.transport.abort()
        else:
            self.going = True
            self.asked()
            self.say_goodbye()

    def come_again(self):
        """Ends the connection, and so begins a new one."""
        self.in_place = False
        if self.writer:
            self.writer.transport.abort()

    def take_direct(self, sender, text, number=None):
        """What is said to one person names who said it, and to whom."""
        place, said_by, _, recipient, *_ = text.split("/") + [""] * 3
        if (place, said_by, recipient) != ("direct", sender, self.name):
            self.note_odd(f"{text} was handed over as a direct of {sender}")
        self.here.directs.append((number, text))

    def asked(self):
        self.waiting_since = self.waiting_since or time.monotonic()

    def new_text(self, room):
        self.said += 1
        filler = "-" + "x" * self.rng.randrange(1, 1500) if self.rng.random() < LONG_TEXT else ""
        return f"{room}/{self.name}/{self.said:05}{filler}"

    def leave(self):
        self.leaving = True
        if self.writer:
            self.say_goodbye()

    def expect_end(self, code):
        """An error that closes the connection came; true if that may be."""
        if code in ENDINGS:
            self.here.endings.append(code)
        return code in ENDINGS


class Resuming(Person):
    """With refs, key and since: `first` is where it began in each room, `heard` all (id, text) from there on."""

    echo = False

    def __init__(self, *arguments):
        super().__init__(*arguments)
        keyless = self.password and self.rng.random() < 0.5
        self.key = None if keyless else "key of " + self.name
        self.first, self.since = {}, {}
        self.gaps = {room: [] for room in self.rooms}  # (after, until)
        self.pages = []
        self.page = None              # the one that was asked for
        self.busy = set()             # what was asked for besides chats: "history", "read", "register"
        self.heard = {room: [] for room in self.rooms}
        self.others = dict.fromkeys(self.rooms, 0)   # how many of these are of others
        self.acks = []                # (room, id, others heard until then)
        self.chats = {}
        self.waiting = {}             # ref -> Chat, on this connection
        self.again = collections.deque()
        self.entered = set()
        self.asking = None            # the room that is being entered
        self.data = b""

    def begin(self):
        self.data, self.asking = b"", None
        self.entered.clear()
        self.turn()

    def decode(self, data):
        *lines, self.data = (self.data + data).split(b"\n")
        return [json.loads(line) for line in lines]

    def send(self, request):
        self.writer.write(json.dumps(request).encode() + b"\n")
        self.asked()

    def lost(self):
        for chat in self.waiting.values():
            chat.lost = True
            if chat.repeats:
                self.again.append(chat)
        self.waiting.clear()
        self.busy.clear()

    def log_in_with(self, name):
        """The members of a log-in that say who one is."""
        more = {name: self.name}
        if self.key:
            more["key"] = self.key
        if self.password and self.registered:
            more["password"] = self.password
        return more

    def turn(self):
        missing = [room for room in self.rooms if room not in self.entered]
        if missing:
            if not self.asking:
                self.asking = missing[0]
                self.ask_for(missing[0], not self.entered)
            return
        if not self.registered:
            if not self.busy:
                self.busy.add("register")
                self.register()
            return
        if self.again:
            chat = self.again.popleft()
        elif self.silent or self.ask_something():
            return
        else:
            chat = self.new_chat()
        self.waiting[chat.ref] = chat
        self.say(chat)

    def new_chat(self):
        repeats = self.rng.random() >= LEFT_AT_THAT
        if self.addressees and self.rng.random() < DIRECTS:
            to = self.rng.choice(self.addressees)
            self.said += 1
            chat = Chat(None, f"direct/{self.name}/{self.said:05}/{to}", repeats, to)
        else:
            room = self.rng.choice(self.rooms)
            chat = Chat(room, self.new_text(room), repeats)
        self.chats[chat.text] = chat
        return chat

    def ask_something(self):
        """True if this turn goes to a page, or to saying what was read."""
        drawn = self.rng.random()
        if self.busy or drawn >= PAGES + READS:
            return False
        if drawn < PAGES:
            self.page = self.new_page()
            self.busy.add("history")
            self.ask_page(self.page)
            return True
        # After a gap, what was read is not what came up to an id.
        if not self.password or not self.here.directs or self.here.direct_gaps:
            return False
        number, text = self.rng.choice(self.here.directs)
        self.busy.add("read")
        self.tell_read(text.split("/")[1], str(number))
        return True

    def new_page(self):
        limit, how = self.rng.randint(1, 60), self.rng.choice(("before", "since", "newest"))
        if self.password and self.rng.random() < 0.3:
            ids = [number for there in self.connections for number, _ in there.directs]
            place = (None, self.rng.choice(self.addressees))
        else:
            room = self.rng.choice(self.rooms)
            ids = [number for number, _ in self.heard[room][-300:]]
            place = (room, None)
        number = self.rng.choice(ids) if ids else None
        return Page(*place, number if how == "before" else None, number if how == "since" else None, limit,
                    self.since[place[0]] if place[0] else 0)

    @staticmethod
    def page_members(page):
        """As a request has them."""
        found = {"room": page.room, "with": page.partner, "before": page.before and str(page.before),
                 "since": page.since and str(page.since), "limit": page.limit, "ref": "history"}
        return {key: value for key, value in found.items() if value is not None}

    def take_page(self, messages, more, text):
        self.page.messages, self.page.more = [(int(one["id"]), one[text]) for one in messages], more
        self.pages.append(self.page)
        self.done("history")

    def done(self, what):
        self.busy.discard(what)
        self.answered()

    def take_registered(self):
        self.registered = True
        self.done("register")
        self.look_around()

    def look_around(self):
        self.in_place = self.registered and self.entered == set(self.rooms)

    def take_direct(self, sender, text, number=None):
        number = int(number)
        if self.here.directs and number <= self.here.directs[-1][0]:
            self.note_odd(f"the direct {text} with id {number} came behind {self.here.directs[-1][0]}")
        super().take_direct(sender, text, number)

    def take_gap(self, room, after, until):
        if room is None:
            self.here.direct_gaps += 1
        elif room not in self.entered:
            self.note_odd(f"a gap in {room}, where one is not")
        else:
            self.gaps[room].append((int(after), int(until)))
            self.since[room] = max(self.since[room], int(until))

    def placed(self, room, given):
        given = int(given)
        if room in self.since and given != self.since[room]:
            self.note_odd(f"came back to {room} with since {self.since[room]} and stands at {given}")
        self.first.setdefault(room, given)
        self.since[room] = given
        self.entered.add(room)
        self.asking = None
        self.look_around()
        self.answered()

    def answered(self):
        self.waiting_since = time.monotonic() if self.waiting or self.busy else None

    def hear(self, room, number, text):
        number = int(number)
        if room not in self.entered:
            self.note_odd(f"{text} was heard in {room}, where one is not")
            return
        if number <= self.since[room] and text.split("/")[1] != self.name:
            self.note_odd(f"{text} with id {number} came behind {self.since[room]}")
        self.heard[room].append((number, text))
        self.others[room] += text.split("/")[1] != self.name
        self.since[room] = max(self.since[room], number)
        self.here.heard.append((room, text))

    def take_ack(self, ref, number):
        chat, number = self.waiting.pop(ref, None), int(number)
        if not chat:
            self.note_odd(f"an ack of {ref}, which waits for none")
            return
        if chat.id not in (None, number):
            self.note_odd(f"{ref} was acknowledged as {chat.id} and as {number}")
        chat.id, chat.refused = number, False
        if chat.room:
            self.acks.append((chat.room, number, self.others[chat.room]))
            self.since[chat.room] = max(self.since[chat.room], number)
        self.answered()

    def take_error(self, ref, code):
        if code == "unavailable" and ref in self.waiting:
            chat = self.waiting.pop(ref)
            chat.refused = True
            if chat.repeats:
                self.again.append(chat)
        elif code == "unavailable" and ref == "enter":
            self.asking = None
        elif code == "unavailable" and ref in self.busy:
            self.busy.discard(ref)
        elif not (ref is None and self.expect_end(code)):
            self.note_odd(f"error {code} about {ref}")
            return
        self.try_at = time.monotonic() + AGAIN_SECONDS
        self.answered()

    def is_settled(self):
        return self.in_place and not self.waiting and not self.again


class Json(Resuming):
    dialect, echo = "json", True

    def ask_for(self, room, log_in):
        more = {"since": str(self.since[room])} if room in self.since else {}
        if log_in:
            more.update(self.log_in_with("data"), echo=True)
        self.send({"type": "join", "room": room, "ref": "enter", **more})

    def register(self):
        self.send({"type": "register", "password": self.password, "ref": "register"})

    def say(self, chat):
        place = {"type": "direct", "to": chat.to} if chat.to else {"type": "chat", "room": chat.room}
        self.send({"data": chat.text, "ref": chat.ref, **place})

    def ask_page(self, page):
        self.send({"type": "history", **self.page_members(page)})

    def tell_read(self, partner, number):
        self.send({"type": "read", "with": partner, "id": number, "ref": "read"})

    def say_goodbye(self):
        self.send({"type": "leave"})

    def take(self, one):
        kind = one["type"]
        if kind in ("welcome", "entered"):
            self.placed(one["room"], one["id"])
        elif kind == "message":
            self.hear(one["room"], one["id"], one["data"])
        elif kind == "direct":
            self.take_direct(one["from"], one["data"], one["id"])
        elif kind == "ack":
            self.take_ack(one["ref"], one["id"])
        elif kind == "history":
            self.take_page(one["messages"], one["more"], "data")
        elif kind == "registered":
            self.take_registered()
        elif kind == "read":
            self.done("read")
        elif kind == "gap":
            self.take_gap(one.get("room"), one["after"], one["until"])
        elif kind == "error":
            self.take_error(one.get("ref"), one["code"])
        elif kind not in ("joined", "left", "exited"):
            self.note_odd(one)


class Command(Resuming):
    dialect = "command"

    def ask_for(self, room, log_in):
        more = {"since": str(self.since[room])} if room in self.since else {}
        if log_in:
            more.update(self.log_in_with("username"))
        self.send({"command": "CONNECT" if log_in else "JOIN", "room": room, "ref": "enter", **more})

    def register(self):
        self.send({"command": "REGISTER", "password": self.password, "ref": "register"})

    def say(self, chat):
        self.send({"command": "MSG", "text": chat.text, "ref": chat.ref,
                   **({"to": chat.to} if chat.to else {"room": chat.room})})

    def ask_page(self, page):
        self.send({"command": "HISTORY", **self.page_members(page)})

    def tell_read(self, partner, number):
        self.send({"command": "READ", "with": partner, "id": number, "ref": "read"})

    def say_goodbye(self):
        self.send({"command": "DISCONNECT"})

    def take(self, one):
        kind, of = one["command"], one.get("of")
        if kind == "ACK" and of in ("CONNECT", "JOIN"):
            self.placed(one["room"], one["id"])
        elif kind == "MESSAGE" and "to" in one:
            self.take_direct(one["from"], one["text"], one["id"])
        elif kind == "MESSAGE":
            self.hear(one["room"], one["id"], one["text"])
        elif kind == "ACK" and of == "MSG":
            self.take_ack(one["ref"], one["id"])
        elif kind == "ACK" and of == "HISTORY":
            self.take_page(one["messages"], one["more"], "text")
        elif kind == "ACK" and of == "REGISTER":
            self.take_registered()
        elif kind == "ACK" and of == "READ":
            self.done("read")
        elif kind == "GAP":
            self.take_gap(one.get("room"), one["after"], one["until"])
        elif kind == "ERROR":
            self.take_error(one.get("ref"), one["code"])
        elif kind not in ("USER_JOINED", "USER_LEFT") and of != "DISCONNECT":
            self.note_odd(one)


class Plain(Person):
    """Without refs and since: logs in to the lobby, moves to its room, talks; asks now and then for a sign of life."""

    def begin(self):
        self.room = None      # where it is, as far as it knows
        self.asking = None    # the log-in or the move that has no answer
        self.pinged = 0
        self.clear()
        self.turn()

    def lost(self):
        pass

    def turn(self):
        if self.asking:
            return
        now = time.monotonic()
        if self.room and not self.registered:
            self.asking = "register"
            self.register()
            self.asked()
        elif self.room != self.rooms[0]:
            self.asking = self.room or "log-in"
            self.move(self.rooms[0]) if self.room else self.log_in()
            self.asked()
        elif not self.silent and self.rng.random() < 0.8:
            text = self.new_text(self.room)
            self.here.said.append(text)
            self.say(text)
        elif not self.waiting_since and now - self.pinged > PING_SECONDS:
            self.pinged = now
            self.ping()
            self.asked()

    def placed(self):
        if self.asking == "register":
            self.registered = True
        else:
            self.room = self.rooms[0] if self.asking == "lobby" else "lobby"
        self.asking = self.waiting_since = None
        self.in_place = self.registered and self.room == self.rooms[0]

    def take_gap(self, room):
        """`room` is None: some directs are not here."""
        if room:
            self.here.gaps.append((room, sum(where == room for where, _ in self.here.heard)))
        else:
            self.here.direct_gaps += 1

    def hear(self, sender, text):
        if text.startswith("direct/"):
            self.note_odd(f"{text} came as if it was said in a room")
        room, said_by = text.split("/")[:2]
        if sender != said_by:
            self.note_odd(f"{text} came as said by {sender}")
        if room not in (self.room, self.rooms[0] if self.asking == "lobby" else self.room):
            self.note_odd(f"{text} was heard in {self.room}")
        self.here.heard.append((room, text))

    def take_error(self, code):
        if self.asking and code in ("unavailable", "username-taken"):
            if self.asking != "log-in" and code == "username-taken":
                self.here.endings.append(code)
            self.asking = self.waiting_since = None
            self.try_at = time.monotonic() + AGAIN_SECONDS
        elif code == "unavailable":
            self.here.refusals += 1
        elif code == "username-taken":  # somebody has it since we were taken for dead; so must be ourselves
            self.here.endings.append(code)
        elif not self.expect_end(code):
            self.note_odd(f"error {code}")

    def is_settled(self):
        return self.in_place and not self.waiting_since


class Lines:
    """What goes over the wire is lines."""

    def clear(self):
        self.data = b""

    def send(self, line):
        self.writer.write(line.encode() + b"\n")

    def decode(self, data):
        *lines, self.data = (self.data + data).split(b"\n")
        return [line.decode() for line in lines]


class Line(Lines, Plain):
    dialect = "line"
    message = re.compile(rf"MSG (\S+) ({TEXT})")
    direct = re.compile(rf"DM (\S+) ({TEXT})")
    notice = re.compile(r"INFO \S+ (dis)?connected")
    gap = re.compile(r"INFO gap (?:of directs|(\S+))")

    def log_in(self):
        self.send(f"LOGIN {self.name} {self.password}" if self.password and self.registered else f"LOGIN {self.name}")

    def register(self):
        self.send("REGISTER " + self.password)

    def move(self, room):
        self.send("JOIN " + room)

    def say(self, text):
        self.send("MSG " + text)

    def ping(self):
        self.send("PING")

    def say_goodbye(self):
        self.send("QUIT")

    def take(self, line):
        if (found := self.message.fullmatch(line)):
            self.hear(*found.groups())
        elif (found := self.direct.fullmatch(line)):
            self.take_direct(*found.groups())
        elif (found := self.gap.fullmatch(line)):
            self.take_gap(found.group(1))
        elif line == "OK" and self.asking:
            self.placed()
        elif line.startswith("ERR "):
            self.take_error(line.split()[1])
        elif line == "PONG":
            self.waiting_since = None
        elif not self.notice.fullmatch(line):
            self.note_odd(line)


SENTENCES = {"That is not possible just now: try again in a moment.": "unavailable",
             "Passwords cannot be checked now: try again.": "unavailable",
             "Nobody can register now: try again.": "unavailable",
             "You did not log in in time.": "login-timeout",
             "You have logged in from somewhere else.": "replaced",
             "The server is shutting down: please connect again.": "shutting-down"}


class Slash(Plain):
    """What prompt and gob have in common: the commands, and the sentences that answer them."""

    gap = re.compile(r"Some of what was said (?:to you alone|in (\S+)) is missing here\.")

    def register(self):
        self.send("/register " + self.password)

    def move(self, room):
        self.send("/join " + room)

    def say(self, text):
        self.send(text)

    def ping(self):
        self.send("/help")

    def take_sentence(self, text):
        if re.match(r"Welcome, \S+!|You are in \S+ now\.|The name \S+ is yours", text) and self.asking:
            self.placed()
        elif (found := self.gap.fullmatch(text)):
            self.take_gap(found.group(1))
        elif text.startswith("What you type is said to everybody"):
            self.waiting_since = None
        elif text != "Goodbye!":
            self.note_odd(text)


class Prompt(Lines, Slash):
    dialect = "prompt"
    asks = re.compile("(Enter your name: |Password: )*")
    message = re.compile(rf"(\S+): ({TEXT})")
    direct = re.compile(rf"\[direct\] (\S+): ({TEXT})")
    notice = re.compile(r"\S+ (joined|left) the chat\.|  [/ ].*")

    def log_in(self):
        self.send(self.name)

    def say_goodbye(self):
        self.send("/quit")

    def take(self, line):
        line = line[self.asks.match(line).end():]
        if (found := self.message.fullmatch(line)):
            self.hear(*found.groups())
        elif (found := self.direct.fullmatch(line)):
            self.take_direct(*found.groups())
        elif line == "That name belongs to an account: give its password." and self.asking == "log-in":
            self.send(self.password)
        elif re.fullmatch(r"(The|That) name .*is taken\.", line):
            self.take_error("username-taken")
        elif line in SENTENCES:
            self.take_error(SENTENCES[line])
        elif line and not self.notice.fullmatch(line):
            self.take_sentence(line)


class Gob(Slash):
    dialect = "gob"

    def clear(self):
        self.data, self.encoder, self.decoder = b"", gob.Encoder(), gob.Decoder()

    def send(self, content, kind=0, sender=""):
        self.writer.write(self.encoder.encode(kind, sender, content))

    def decode(self, data):
        self.data += data
        while (found := self.decoder.decode(self.data)):
            self.data = self.data[found[1]:]
            yield found[0]

    def log_in(self):
        self.send(self.password if self.password and self.registered else "", 1, self.name)

    def say_goodbye(self):
        self.send("", 2)

    def take(self, one):
        kind, sender, content = one
        if kind == 0 and sender.startswith("[direct] "):
            self.take_direct(sender[len("[direct] "):], content)
        elif kind == 0 and sender != "server":
            self.hear(sender, content)
        elif kind == 0 and content.startswith("error: "):
            self.take_error(content[len("error: "):])
        elif kind == 0:
            self.take_sentence(content)


CROWD = [Json] * 14 + [Command] * 11 + [Line] * 5 + [Prompt] * 5 + [Gob] * 5
