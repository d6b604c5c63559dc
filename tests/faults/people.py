"""people: forty who chat in all dialects, come back after every loss, and keep account of what they were promised.

Two kinds.  Those of `json` and `command` are promised everything: each chat has a ref, each return a key and a `since`.
Those of `line`, `prompt` and `gob` have neither; what they can be promised holds for one connection at a time.

What becomes of a chat with a ref:

    said --ack--> acked
      |---error unavailable--> said again, or (drawn) left at that: must never be in history, unless it was lost before
      +---connection lost----> said again, or (drawn) left at that: may be in history, at most once

All of this is said in rooms.  What is said to one person would be a Chat with a recipient, heard in a chain of its own.
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
LONG_TEXT = 0.05          # so many are longer than a line or two
ENDINGS = ("shutting-down", "replaced", "login-timeout")  # after these a connection may close


class Chat:
    def __init__(self, room, text, repeats):
        self.room, self.text, self.repeats = room, text, repeats
        self.ref = text[:64]  # the texts differ in that
        self.id = None        # of its ack
        self.lost = False     # a connection was lost while it had no answer
        self.refused = False  # the last answer was an error


class Connection:
    """What happened on one connection, from connecting to its end."""

    def __init__(self, number):
        self.number, self.begun = number, time.time()
        self.heard = []       # (room, text), in order
        self.said = []        # texts, in order
        self.refusals = 0     # of chats
        self.ended = None     # when; None: it is open
        self.endings = []     # errors that announced its end


class Person:
    """Lives in the loop; `ports` leads to haproxy.  What must not come is in `odd`."""

    def __init__(self, name, rooms, port, rate, rng):
        self.name, self.rooms, self.port, self.rate, self.rng = name, rooms, port, rate, rng
        self.patience = rng.choice(PATIENCES)
        self.key = "key of " + name
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

    def note_odd(self, what):
        self.odd.append(f"{time.strftime('%T')} connection {len(self.connections)}: {what}")

    async def live(self):
        speaking = asyncio.create_task(self.speak())
        try:
            while not self.leaving:
                await self.stay()
                await asyncio.sleep(self.rng.uniform(0.02, 0.3))
        finally:
            speaking.cancel()

    async def stay(self):
        """One connection, from its beginning to its end."""
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", self.port, limit=1 << 20)
            writer.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.connections.append(Connection(len(self.connections) + 1))
            self.writer = writer
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
            elif time.monotonic() >= self.try_at:
                self.turn()

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
        self.first, self.since = {}, {}
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

    def turn(self):
        missing = [room for room in self.rooms if room not in self.entered]
        if missing:
            if not self.asking:
                self.asking = missing[0]
                self.ask_for(missing[0], not self.entered)
            return
        if self.again:
            chat = self.again.popleft()
        elif not self.silent:
            room = self.rng.choice(self.rooms)
            chat = Chat(room, self.new_text(room), self.rng.random() >= LEFT_AT_THAT)
            self.chats[chat.text] = chat
        else:
            return
        self.waiting[chat.ref] = chat
        self.say(chat)

    def placed(self, room, given):
        given = int(given)
        if room in self.since and given != self.since[room]:
            self.note_odd(f"came back to {room} with since {self.since[room]} and stands at {given}")
        self.first.setdefault(room, given)
        self.since[room] = given
        self.entered.add(room)
        self.asking = None
        self.in_place = self.entered == set(self.rooms)
        self.answered()

    def answered(self):
        self.waiting_since = time.monotonic() if self.waiting else None

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
            more.update(data=self.name, key=self.key, echo=True)
        self.send({"type": "join", "room": room, "ref": "enter", **more})

    def say(self, chat):
        self.send({"type": "chat", "data": chat.text, "room": chat.room, "ref": chat.ref})

    def say_goodbye(self):
        self.send({"type": "leave"})

    def take(self, one):
        kind = one["type"]
        if kind in ("welcome", "entered"):
            self.placed(one["room"], one["id"])
        elif kind == "message":
            self.hear(one["room"], one["id"], one["data"])
        elif kind == "ack":
            self.take_ack(one["ref"], one["id"])
        elif kind == "error":
            self.take_error(one.get("ref"), one["code"])
        elif kind not in ("joined", "left", "exited"):
            self.note_odd(one)


class Command(Resuming):
    dialect = "command"

    def ask_for(self, room, log_in):
        more = {"since": str(self.since[room])} if room in self.since else {}
        if log_in:
            more.update(username=self.name, key=self.key)
        self.send({"command": "CONNECT" if log_in else "JOIN", "room": room, "ref": "enter", **more})

    def say(self, chat):
        self.send({"command": "MSG", "text": chat.text, "room": chat.room, "ref": chat.ref})

    def say_goodbye(self):
        self.send({"command": "DISCONNECT"})

    def take(self, one):
        kind, of = one["command"], one.get("of")
        if kind == "ACK" and of in ("CONNECT", "JOIN"):
            self.placed(one["room"], one["id"])
        elif kind == "MESSAGE":
            self.hear(one["room"], one["id"], one["text"])
        elif kind == "ACK" and of == "MSG":
            self.take_ack(one["ref"], one["id"])
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
        if self.room != self.rooms[0]:
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
        self.room = self.rooms[0] if self.asking == "lobby" else "lobby"
        self.asking = self.waiting_since = None
        self.in_place = self.room == self.rooms[0]

    def hear(self, sender, text):
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


class Line(Plain):
    dialect = "line"
    message = re.compile(rf"MSG (\S+) ({TEXT})")
    notice = re.compile(r"INFO \S+ (dis)?connected")

    def clear(self):
        self.data = b""

    def send(self, line):
        self.writer.write(line.encode() + b"\n")

    def decode(self, data):
        *lines, self.data = (self.data + data).split(b"\n")
        return [line.decode() for line in lines]

    def log_in(self):
        self.send("LOGIN " + self.name)

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
        elif line == "OK" and self.asking:
            self.placed()
        elif line.startswith("ERR "):
            self.take_error(line.split()[1])
        elif line == "PONG":
            self.waiting_since = None
        elif not self.notice.fullmatch(line):
            self.note_odd(line)


SENTENCES = {"That is not possible just now: try again in a moment.": "unavailable",
             "You did not log in in time.": "login-timeout",
             "You have logged in from somewhere else.": "replaced",
             "The server is shutting down: please connect again.": "shutting-down"}


class Slash(Plain):
    """What prompt and gob have in common: the commands, and the sentences that answer them."""

    def move(self, room):
        self.send("/join " + room)

    def say(self, text):
        self.send(text)

    def ping(self):
        self.send("/help")

    def take_sentence(self, text):
        if re.match(r"Welcome, \S+!|You are in \S+ now\.", text) and self.asking:
            self.placed()
        elif text.startswith("What you type is said to everybody"):
            self.waiting_since = None
        elif text != "Goodbye!":
            self.note_odd(text)


class Prompt(Slash):
    dialect = "prompt"
    asks = "Enter your name: "
    message = re.compile(rf"(\S+): ({TEXT})")
    notice = re.compile(r"\S+ (joined|left) the chat\.|  [/ ].*")

    def clear(self):
        self.data = b""

    def send(self, line):
        self.writer.write(line.encode() + b"\n")

    def decode(self, data):
        *lines, self.data = (self.data + data).split(b"\n")
        return [line.decode() for line in lines]

    def log_in(self):
        self.send(self.name)

    def say_goodbye(self):
        self.send("/quit")

    def take(self, line):
        while line.startswith(self.asks):
            line = line[len(self.asks):]
        if (found := self.message.fullmatch(line)):
            self.hear(*found.groups())
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
        self.send("", 1, self.name)

    def say_goodbye(self):
        self.send("", 2)

    def take(self, one):
        kind, sender, content = one
        if kind == 0 and sender != "server":
            self.hear(sender, content)
        elif kind == 0 and content.startswith("error: "):
            self.take_error(content[len("error: "):])
        elif kind == 0:
            self.take_sentence(content)


CROWD = [Json] * 14 + [Command] * 11 + [Line] * 5 + [Prompt] * 5 + [Gob] * 5
