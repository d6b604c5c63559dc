"""transcript: reads the files of tests/transcripts/ (README.md there has the format) and plays them on real gateways.

What a dialect's server says is cut into messages and compared with the text of a line; nothing else of a dialect is
known here.
"""

import collections
import itertools
import json
import os
import re
import signal
import socket
import subprocess

import gob
from hubbub import PATIENCE, ROOT, Failure, wait_for

DIRECTORY = os.path.join(ROOT, "tests/transcripts")
SLOW_SECONDS = 100  # a slow consumer is given 60
KINDS = {"id": r"\d+", "time": r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", "count": r"\d+", "any": r"[^\n]*"}
PLACEHOLDER = re.compile(r"<(id|time|count|any)(?::(\w+))?>|<(names|repeat):([^<>]+)>")
HEADER = re.compile(r"# (settings|listen): (.*)")
OPEN = re.compile(r"(\w+): (\w+)((?:, [a-z ]+)*) on gateway ([12])")
STATE = re.compile(r"(\w+): (is closed|closes|ends its input)")
SAYS = re.compile(r"(\w+) ([CS])(?: ([a-z-]+))?([:|~>]) ?(.*)")
OPTIONS = {"fresh", "reads little"}

# Takes a name in lobby out of presence, as if another session had it.
LOSE = """
local P, name = 'hubbub:{0}', ARGV[1]
local incarnation = string.match(redis.call('HGET', P .. ':names', name), '^%S+')
redis.call('HDEL', P .. ':names', name)
redis.call('HDEL', P .. ':held:' .. incarnation, name)
redis.call('HDEL', P .. ':members:lobby', name)
redis.call('ZINCRBY', P .. ':rooms', -1, 'lobby')
return redis.call('DEL', P .. ':in:' .. name)
"""

Step = collections.namedtuple("Step", "line kind client mark code text")
CLIENT, COMMAND, STATES, SERVER = "client", "command", "state", "server"


class Wrong(AssertionError):
    pass


class Transcript:
    """One file: what the installation is set to, and the steps."""

    def __init__(self, path):
        self.name = os.path.splitext(os.path.basename(path))[0]
        self.settings, self.listen, self.steps, self.clients = {}, {}, [], {}
        self.own = False  # needs an installation that it may disturb
        with open(path) as file:
            for number, line in enumerate(file, 1):
                self.read(number, line.rstrip("\n"))

    def read(self, number, line):
        header, opens, state, says = (form.fullmatch(line) for form in (HEADER, OPEN, STATE, SAYS))
        if header:
            self.own = True
            name, value = re.split(r"[= ]", header.group(2), maxsplit=1)
            (self.settings if header.group(1) == "settings" else self.listen)[name] = value
        elif not line or line.startswith("#"):
            return
        elif opens:
            options = set(filter(None, opens.group(3).split(", ")))
            if not options <= OPTIONS:
                raise Wrong(f"{self.name}.txt:{number}: only {OPTIONS} are known")
            self.clients[opens.group(1)] = opens.group(2)
            self.steps.append(Step(number, CLIENT, opens.group(1), int(opens.group(4)), options, opens.group(2)))
        elif state:
            self.steps.append(Step(number, STATES, state.group(1), None, None, state.group(2)))
        elif says:
            kind = COMMAND if says.group(2) == "C" else SERVER
            self.steps.append(Step(number, kind, says.group(1), says.group(4), says.group(3), says.group(5)))
        elif line.startswith("! "):
            self.own = True
            self.steps.append(Step(number, "!", None, None, None, line[2:]))
        else:
            raise Wrong(f"{self.name}.txt:{number}: what is {line!r}?")

    def by_dialect(self):
        """(dialect, step) of each step of a client that is C or S."""
        now = {}
        for step in self.steps:
            if step.kind == CLIENT:
                now[step.client] = step.text
            elif step.kind in (COMMAND, SERVER):
                yield now[step.client], step


def unescape(text):
    """The bytes of a text with \\n, \\r, \\0, \\\\ and \\xff in it."""
    known = {"n": b"\n", "r": b"\r", "0": b"\0", "\\": b"\\"}

    def one(found):
        return bytes([int(found[1:], 16)]) if found[0:1] == "x" else known[found]

    parts = re.split(r"\\(x[0-9a-f]{2}|.)", text)
    return b"".join(one(part) if n % 2 else part.encode() for n, part in enumerate(parts))


class Bound:
    """What placeholders stood for so far."""

    def __init__(self):
        self.values = {}

    def fill(self, text):
        """The text that is sent."""
        def one(found):
            if found.group(3) == "repeat":
                what, _, times = found.group(4).rpartition("*")
                return what * int(times)
            key = (found.group(1), found.group(2))
            if key not in self.values:
                raise Wrong(f"{found.group(0)} was not heard yet")
            return self.values[key]

        return PLACEHOLDER.sub(one, text)

    def match(self, expected, text):
        """True if the text is as expected; then what new placeholders stand for is known."""
        pattern, at, new = "", 0, []
        for found in PLACEHOLDER.finditer(expected):
            pattern += re.escape(expected[at:found.start()])
            at = found.end()
            key = (found.group(1), found.group(2))
            if found.group(3) == "names":
                orders = itertools.permutations(found.group(4).split(", "))
                pattern += "(?:" + "|".join(re.escape(", ".join(order)) for order in orders) + ")"
            elif found.group(3):
                pattern += re.escape(self.fill(found.group(0)))
            elif key in self.values:
                pattern += re.escape(self.values[key])
            else:
                pattern += f"({KINDS[found.group(1)]})"
                new.append(key)
        got = re.fullmatch(pattern + re.escape(expected[at:]), text)
        if got:
            self.values.update((key, value) for key, value in zip(new, got.groups()) if key[1])
        return bool(got)

    def match_value(self, expected, value, key=None):
        """The same for JSON; people and rooms come in any order."""
        if isinstance(expected, dict) and isinstance(value, dict):
            return set(expected) == set(value) and all(self.match_value(expected[k], value[k], k) for k in expected)
        if isinstance(expected, list) and isinstance(value, list):
            if key in ("users", "rooms"):
                expected, value = (sorted(one, key=json.dumps) for one in (expected, value))
            return len(expected) == len(value) and all(map(self.match_value, expected, value))
        if isinstance(expected, str) and expected.startswith("\1"):
            return type(value) is int and self.match(expected[1:], str(value))
        if isinstance(expected, str) and isinstance(value, str):
            return self.match(expected, value)
        return type(expected) is type(value) and expected == value


def json_with_placeholders(text):
    """The value of a JSON text in which numbers may be <count:n>: those become strings that begin with \\1."""
    parts = re.split(r'("(?:[^"\\]|\\.)*")', text)
    parts[::2] = [PLACEHOLDER.sub(lambda found: json.dumps("\1" + found.group(0)), part) for part in parts[::2]]
    return json.loads("".join(parts))


def no_doubles(pairs):
    if len(pairs) != len(dict(pairs)):
        raise Wrong(f"a key comes twice in {pairs}")
    return dict(pairs)


class Side:
    """One client.  A subclass knows how messages are cut and compared."""

    def __init__(self, port, options):
        self.socket = socket.socket()
        if "reads little" in options:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self.socket.settimeout(PATIENCE)
        self.socket.connect(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buffer, self.eof, self.fresh, self.ended = b"", False, "fresh" in options, False

    def more(self):
        """Waits for more bytes, or the end."""
        try:
            data = self.socket.recv(65536)
        except (TimeoutError, socket.timeout):
            raise Wrong(f"nothing came for {PATIENCE} s; unused: {self.buffer[-200:]!r}") from None
        except ConnectionResetError:
            data = b""
        self.buffer += data
        self.eof = not data
        return not self.eof

    def cut(self):
        """Takes one message from the buffer; None: it is not all there."""
        line, newline, rest = self.buffer.partition(b"\n")
        if not newline:
            return None
        self.buffer = rest
        return line.decode()

    def message(self):
        """The next message; None: there is none before the end."""
        while (found := self.cut()) is None:
            if self.eof or not self.more():
                if self.buffer:
                    raise Wrong(f"it closed behind {self.buffer[-200:]!r}")
                return None
        return found

    def bytes(self, count):
        while len(self.buffer) < count and not self.eof and self.more():
            pass
        taken, self.buffer = self.buffer[:count], self.buffer[count:]
        return taken

    def encode(self, text):
        return text.encode() + b"\n"

    def same(self, bound, expected, message):
        return bound.match(expected, message)

    def send(self, data):
        self.socket.settimeout(PATIENCE)
        self.socket.sendall(data)

    @staticmethod
    def tells_of_leaving(message):
        return False


class LineSide(Side):
    @staticmethod
    def tells_of_leaving(message):
        return re.fullmatch(r"INFO \S+ disconnected", message)


class PromptSide(Side):
    @staticmethod
    def tells_of_leaving(message):
        return re.fullmatch(r"\S+ left the chat\.", message)


class JsonSide(Side):
    leaving = ("type", "left")

    def same(self, bound, expected, message):
        got = json.loads(message, object_pairs_hook=no_doubles)
        return bound.match_value(json_with_placeholders(expected), got)

    def tells_of_leaving(self, message):
        return json.loads(message).get(self.leaving[0]) == self.leaving[1]


class CommandSide(JsonSide):
    leaving = ("command", "USER_LEFT")


class GobSide(Side):
    def __init__(self, port, options):
        super().__init__(port, options)
        self.encoder, self.decoder = gob.Encoder(self.fresh), gob.Decoder(self.fresh)

    def cut(self):
        found = self.decoder.decode(self.buffer)
        if not found:
            return None
        self.buffer = self.buffer[found[1]:]
        return list(found[0])

    @staticmethod
    def parse(text):
        if not re.fullmatch(r"\{.*\}", text):
            raise Wrong('gob is written as {0, "alice", "hello"}')
        return json.loads(f"[{text[1:-1]}]")

    def encode(self, text):
        return self.encoder.encode(*self.parse(text))

    def same(self, bound, expected, message):
        return bound.match_value(self.parse(expected), message)

    @staticmethod
    def tells_of_leaving(message):
        return message[0] == 2 and message[2] == ""


SIDES = {"json": JsonSide, "line": LineSide, "prompt": PromptSide, "command": CommandSide, "gob": GobSide}


class Player:
    """Plays one transcript on one installation."""

    def __init__(self, transcript, hubbub):
        self.transcript, self.hubbub = transcript, hubbub
        self.bound, self.sides, self.opened = Bound(), {}, []

    def play(self):
        try:
            for step in self.transcript.steps:
                try:
                    self.step(step)
                except (AssertionError, ValueError, OSError, Failure, gob.Broken) as problem:
                    raise Wrong(f"tests/transcripts/{self.transcript.name}.txt:{step.line}: {problem}") from problem
            self.end()
        finally:
            for side in self.opened:
                side.socket.close()

    def step(self, step):
        if step.kind == CLIENT:
            side = SIDES[step.text](self.hubbub.port(step.text, step.mark), step.code)
            self.sides[step.client] = side
            self.opened.append(side)
        elif step.kind == COMMAND:
            text = self.bound.fill(step.text)
            side = self.sides[step.client]
            side.send(unescape(text) if step.mark == "|" else side.encode(text))
        elif step.kind == SERVER:
            self.expect(step)
        elif step.kind == STATES:
            self.state(self.sides[step.client], step.text)
        else:
            self.outside(step.text)

    def expect(self, step):
        side = self.sides[step.client]
        if step.mark == "|":
            expected = unescape(step.text)
            got = side.bytes(len(expected))
            if got != expected:
                raise Wrong(f"{step.client} heard the bytes {got!r}")
        elif step.mark == "~":
            self.expect_any(side, step)
        else:
            while True:
                got = side.message()
                if got is None:
                    raise Wrong(f"{step.client} was closed instead")
                if side.same(self.bound, step.text, got):
                    break
                if step.mark == ":":
                    raise Wrong(f"{step.client} heard {got}")

    def expect_any(self, side, step):
        """One of a run of ~ lines, which may come in any order: all of them are taken at the first."""
        run = self.run_around(step)
        if step is not run[0]:
            return
        while run:
            got = side.message()
            same = [one for one in run if got is not None and side.same(self.bound, one.text, got)]
            if not same:
                raise Wrong(f"{step.client} heard {got}, not one of {[one.text for one in run]}")
            run.remove(same[0])

    def run_around(self, step):
        steps = self.transcript.steps
        alike = [(one.kind, one.client, one.mark) == (step.kind, step.client, step.mark) for one in steps]
        first = last = steps.index(step)
        while first > 0 and alike[first - 1]:
            first -= 1
        while last + 1 < len(steps) and alike[last + 1]:
            last += 1
        return steps[first:last + 1]

    def state(self, side, what):
        if what == "closes":
            side.socket.close()
            side.ended = True
        elif what == "ends its input":
            side.socket.shutdown(socket.SHUT_WR)
        else:
            got = side.message()
            if got is not None:
                raise Wrong(f"still open, and says {got}")
            side.ended = True

    def outside(self, what):
        """The lines that begin with an exclamation mark."""
        words = what.split(" ")
        if words[0] == "select":
            query, answer = self.bound.fill(what).rsplit(": ", 1)
            self.hubbub.wait_sql(query, answer)
        elif words[0] == "passwd":
            self.passwd(words[1], words[2])
        elif what == "kill store":
            self.hubbub.store.kill()
        elif words[0] == "lose":
            self.redis("EVAL", LOSE, "0", words[1])
            self.redis("CLIENT", "KILL", "TYPE", "pubsub")
        elif what == "stop redis":
            self.hubbub.redis.kill()
            self.wait_ready(503)
        elif what == "start redis":
            self.hubbub.redis.start()
            self.wait_ready(200)
        elif words[:2] == ["stop", "gateway"]:
            self.hubbub.gateways[int(words[2]) - 1].kill(signal.SIGTERM)
        elif words[0] == "gateway" and words[2] == "logs":
            gateway, text = self.hubbub.gateways[int(words[1]) - 1], what.split(" ", 3)[3]
            wait_for(lambda: text in gateway.log_text(), SLOW_SECONDS, f"{gateway.name} logs {text}")
        elif words[1] == "floods":
            for n in range(int(words[2])):
                self.sides[words[0]].send(json.dumps({"type": "chat", "data": f"{n} " + "x" * 4000}).encode())
        else:
            raise Wrong(f"what is {what!r}?")

    def redis(self, *words):
        answer = self.hubbub.redis.call(*words)
        if answer.startswith("-"):
            raise Wrong(f"Redis said {answer}")

    def passwd(self, name, password):
        store = self.hubbub.store
        done = subprocess.run(store.command() + ["passwd", name], env=store.settings, input=password + "\n",
                              capture_output=True, text=True, timeout=PATIENCE)
        if done.returncode:
            raise Wrong(f"hubbub-store passwd said {done.stderr}")

    def wait_ready(self, status):
        wait_for(lambda: all(self.hubbub.http("/readyz", n)[0] == status
                             for n in range(1, len(self.hubbub.gateways) + 1)), PATIENCE, f"/readyz says {status}")

    def end(self):
        """Everybody leaves; nobody was told anything that is not in the transcript but that others leave."""
        left = [(name, side) for name, side in self.sides.items() if not side.ended]
        for _, side in left:
            try:
                side.socket.shutdown(socket.SHUT_WR)
            except OSError:
                pass
        for name, side in left:
            while (got := side.message()) is not None:
                if not side.tells_of_leaving(got):
                    raise Wrong(f"tests/transcripts/{self.transcript.name}.txt: at the end {name} still heard {got}")
        if not self.transcript.own:
            wait_for(lambda: self.hubbub.redis.call("HLEN", "hubbub:{0}:names") == ":0", PATIENCE, "all names are free")


def load():
    """All transcripts, by name."""
    paths = sorted(os.path.join(DIRECTORY, name) for name in os.listdir(DIRECTORY) if name.endswith(".txt"))
    return {one.name: one for one in map(Transcript, paths)}
