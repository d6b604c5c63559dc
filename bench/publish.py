"""publish: chats as gateways accept them, through the function `publish`, as fast as one connection takes them."""

import json
import os
import random
import re
import socket
import time

ROOT = os.path.realpath(os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
LANES = 8
USERS = 2000
ROOMS = 200
TEXTS = 5000
DIRECTS = 0.02  # of all chats
CHUNK = 500     # commands in one write
WINDOW = 2000   # commands without an answer
WORDS = ("the a to of and is it in that we you for on was with as but have not this be are so what deploy build test "
         "tomorrow morning really maybe thanks great yes no ok lunch coffee server again broken fixed review merge branch "
         "release meeting grüße naïve 日本 – \"quoted\" back\\slash http://example.org/a/b?c=d :-)").split()

# The revision of the Redis functions stands in their names.
FUNCTIONS = os.path.join(ROOT, "common/functions.lua")
with open(FUNCTIONS) as lua:
    REVISION = re.search(r"name=hubbub_(\d+)", lua.readline()).group(1)


def lane_of(name):
    """As lane_of() of common/name.c has it."""
    crc = 0
    for byte in name.encode():
        crc ^= byte << 8
        for _ in range(8):
            crc = (crc << 1 ^ (0x1021 if crc & 0x8000 else 0)) & 0xffff
    return crc % LANES


def stream_to_id(lane, text):
    """The 63-bit form of an id that Redis has given in that lane."""
    ms, seq = map(int, text.split("-"))
    return ms << 20 | lane << 14 | seq


def bulk(value):
    value = value if isinstance(value, bytes) else str(value).encode()
    return b"$%d\r\n%s\r\n" % (len(value), value)


def encode(*words):
    return b"*%d\r\n" % len(words) + b"".join(map(bulk, words))


def quoted(text):
    return json.dumps(text, ensure_ascii=False).encode()


def some_text(dice):
    """Most texts are short, some are long: 64 bytes on average, nearly."""
    wanted, text = min(500, int(dice.expovariate(1 / 58)) + 4), ""
    while len(text) < wanted:
        text += (" " if text else "") + dice.choice(WORDS)
    return text


class Publisher:
    """A gateway with the link 1 in every lane; `seed` decides all that is said."""

    def __init__(self, port, seed, incarnation="bench-5f3a90c2"):
        self.dice = random.Random(seed)
        self.incarnation, self.seqs = incarnation, [0] * LANES
        self.socket = socket.create_connection(("127.0.0.1", port), 10)
        self.socket.settimeout(120)
        self.rest, self.waiting = b"", 0
        users = [f"{self.dice.choice(('Anna', 'bob', 'Chloë', 'dave', 'Eve'))}{n}" for n in range(USERS)]
        sessions = [f"{incarnation}-{n}" for n in range(USERS)]
        self.senders = [(b'{"from":%s,"session":"%s"' % (quoted(user), session.encode()), session.encode())
                        for user, session in zip(users, sessions)]
        self.rooms = [self.target("room", f"room-{n}") for n in range(ROOMS)]
        # The larger n, the quieter the room: it has 1/n of the chats of the first, about.
        self.shares = [1 / (n + 3) for n in range(ROOMS)]
        self.inboxes = [self.target("user", user.lower()) + (quoted(user), session.encode())
                        for user, session in zip(users, sessions)]
        self.texts = [quoted(some_text(self.dice)) for _ in range(TEXTS)]
        for lane in range(LANES):
            answer = self.call("FCALL", f"open_link_{REVISION}", 1, f"hubbub:{{{lane}}}", incarnation, 1)
            if not answer.startswith(b"*4\r\n$2\r\nOK"):
                raise OSError(f"open_link: {answer!r}")

    def target(self, kind, name):
        """Lane, chain and name of a room or a user."""
        return (lane_of(name), bulk(f"{kind[0]}:{name}"), quoted(name))

    def call(self, *words):
        """Sends a command alone; what came first of its answer, which is short."""
        self.socket.sendall(encode(*words))
        return self.socket.recv(65536)

    def commands(self, n):
        """The bytes of n publishes."""
        dice, heads = self.dice, [b"*12\r\n" + bulk("FCALL") + bulk(f"publish_{REVISION}") + bulk(1) +
                                  bulk(f"hubbub:{{{lane}}}") + bulk(self.incarnation) + bulk(1) for lane in range(LANES)]
        tail = bulk("0-0") + bulk(int(time.time() * 1000))
        out = []
        for room, text, (head, session) in zip(dice.choices(self.rooms, self.shares, k=n),
                                               dice.choices(self.texts, k=n), dice.choices(self.senders, k=n)):
            if dice.random() < DIRECTS:
                lane, chain, _, to, whom = dice.choice(self.inboxes)
                body = head + b',"by":"%s","to":%s,"for":"%s","text":%s}' % (session, to, whom, text)
            else:
                lane, chain, name = room
                body = head + b',"room":%s,"text":%s}' % (name, text)
            self.seqs[lane] = seq = self.seqs[lane] + 1
            out.append(b"%s$%d\r\n%d\r\n%s%s$0\r\n\r\n$%d\r\n%s\r\n" %
                       (heads[lane], len(str(seq)), seq, tail, chain, len(body), body))
        return b"".join(out)

    def take_answers(self):
        """Reads what is there; each answer is OK, an id and the one before it."""
        data = self.rest + self.socket.recv(1 << 18)
        whole = data.rfind(b"*3\r\n")  # what is before it is whole answers
        if data.find(b"\r\n-") >= 0 or data.startswith(b"-"):
            raise OSError(f"publish: {data[:200]!r}")
        answers = data.count(b"*3\r\n$2\r\nOK\r\n", 0, whole)
        last = data[whole:].split(b"\r\n")
        if len(last) == 8:  # *3 $2 OK $n id $n prev ""
            answers, whole = answers + 1, len(data)
        self.rest = data[whole:]
        self.waiting -= answers

    def publish(self, n):
        """Says n things; returns when all of them are accepted."""
        while n > 0 or self.waiting > 0:
            if n > 0 and self.waiting <= WINDOW - CHUNK:
                several = min(n, CHUNK)
                self.socket.sendall(self.commands(several))
                n, self.waiting = n - several, self.waiting + several
            else:
                self.take_answers()

    def tops(self):
        """The newest id of each lane, in its 63-bit form; 0 where nothing was said."""
        found = [0] * LANES
        for lane in (lane for lane in range(LANES) if self.seqs[lane]):
            found[lane] = stream_to_id(lane, self.call("GET", f"hubbub:{{{lane}}}:top").split(b"\r\n")[1].decode())
        return found

    def close(self):
        self.socket.close()
