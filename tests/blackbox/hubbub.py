"""hubbub: a private installation of the real programs, and clients that speak to it over sockets."""

import contextlib
import http.client
import json
import os
import re
import resource
import signal
import socket
import subprocess
import sys
import time

import gob

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.realpath(os.path.join(HERE, "../.."))
sys.path.insert(0, os.path.join(ROOT, "deploy"))
from place import Failure, Ports, temporary_place, wait_for  # noqa: E402,F401
from services import Gateway, Postgres, Redis, Store  # noqa: E402

BUILD = os.environ.get("BUILD_DIR", os.path.join(ROOT, "build"))
PATIENCE = 20  # seconds; only what is broken takes so long
CRASHES = re.compile(r"(ERROR: \w+Sanitizer|runtime error:|Assertion .* failed|stack smashing).*")
DIALECTS = ("json", "line", "prompt", "command", "gob")

# A crowd of clients needs more descriptors than the usual 1024.
_, most = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


class Hubbub:
    """Redis, PostgreSQL (migrated), one store and some gateways, on free ports and with data of their own.

    What is in `servers` may be killed, frozen and started again by a test that has it to itself.
    """

    def __init__(self, gateways=2, settings=None, stores=1, listen_options=None):
        self.place, self.taken = temporary_place(), Ports()
        self.settings = settings or {}
        self.listen_options = listen_options or {}  # by dialect, "?idle=1"
        self.redis = Redis(self.place, self.taken.take())
        self.postgres = Postgres(self.place, self.taken.take())
        self.stores = [Store(self.place, f"store-{n}", os.path.join(BUILD, "store/hubbub-store"), self.store_settings())
                       for n in range(1, stores + 1)]
        self.gateways = [Gateway(self.place, f"gateway-{n}", os.path.join(BUILD, "gateway/hubbub-gateway"),
                                 self.gateway_settings(n)) for n in range(1, gateways + 1)]
        self.clients = []

    @property
    def servers(self):
        return [self.redis, self.postgres] + self.stores + self.gateways

    @property
    def store(self):
        return self.stores[0]

    def store_settings(self):
        return {"HUBBUB_STORE_LISTEN": f"127.0.0.1:{self.taken.take()}", **self.settings,
                "HUBBUB_REDIS_URL": self.redis.url, "HUBBUB_POSTGRES_URL": self.postgres.url("hubbub_store")}

    def gateway_settings(self, n):
        listen = ",".join(f"{dialect}://127.0.0.1:{self.taken.take()}{self.listen_options.get(dialect, '')}"
                          for dialect in DIALECTS)
        stores = ",".join("store://" + store.settings["HUBBUB_STORE_LISTEN"] for store in self.stores)
        return {"HUBBUB_RATE": "0", "HUBBUB_STORE_URL": stores, **self.settings, "HUBBUB_GATEWAY": f"g{n}",
                "HUBBUB_LISTEN": listen, "HUBBUB_HTTP_LISTEN": f"127.0.0.1:{self.taken.take()}", "HUBBUB_REDIS_URL": self.redis.url}

    def port(self, dialect, gateway=1):
        listen = self.gateways[gateway - 1].settings["HUBBUB_LISTEN"]
        return int(re.search(dialect + r"://127\.0\.0\.1:(\d+)", listen).group(1))

    def start(self):
        for together in ([self.redis, self.postgres], self.stores, self.gateways):
            for server in together:
                server.start(wait=False)
            for server in together:
                server.wait_ready()
            if self.postgres in together:
                self.postgres.migrate()
        return self

    def stop(self):
        """Ends everything; returns what should not have been, a line each."""
        for client in self.clients:
            client.close()
        problems = []
        for together in (self.gateways, self.stores, [self.redis, self.postgres]):
            for server in together:
                server.ask_to_stop()
            for server in together:
                status = server.stop()
                if status not in (0, None) and not (status == -signal.SIGKILL and server.killed):
                    problems.append(f"{server.name} ended with status {status}")
                problems += [f"{server.name}: {found.group(0)}" for found in CRASHES.finditer(server.all_logs())]
        self.taken.close()
        return problems

    def remove(self):
        self.place.remove()

    def logs(self, lines=50):
        return "\n".join(f"--- {server.name}\n{server.log_tail(lines)}" for server in self.servers)

    def connect(self, dialect, gateway=1, source=None):
        """A client that has not logged in; `source` is its address."""
        client = CLIENTS[dialect](self.port(dialect, gateway), source)
        self.clients.append(client)
        return client

    def json(self, name, gateway=1, **login):
        """A client of the dialect json that has logged in; `welcome` is the answer."""
        client = self.connect("json", gateway)
        client.send({"type": "join", "data": name, **login})
        client.welcome = client.expect(type="welcome")
        return client

    def line(self, name, gateway=1):
        client = self.connect("line", gateway)
        client.send(f"LOGIN {name}")
        client.expect("OK")
        return client

    def http(self, path, gateway=1):
        """The status and the body that a gateway's HTTP port answers."""
        link = http.client.HTTPConnection(self.gateways[gateway - 1].settings["HUBBUB_HTTP_LISTEN"], timeout=PATIENCE)
        try:
            link.request("GET", path)
            answer = link.getresponse()
            return answer.status, answer.read().decode()
        finally:
            link.close()

    def sql(self, query):
        return self.postgres.query(query)

    def wait_sql(self, query, answer, seconds=PATIENCE):
        """Waits until the query has this answer: the store is a moment behind the chat."""
        seen = [None]

        def same():
            seen[0] = self.sql(query)
            if seen[0] != answer:
                time.sleep(0.1)  # psql is not cheap
            return seen[0] == answer

        try:
            wait_for(same, seconds, query)
        except Failure:
            raise AssertionError(f"{query}\n  answers {seen[0]!r}\n  and not {answer!r}") from None


    @contextlib.contextmanager
    def behind(self):
        """Nothing more is stored as long as this lasts: somebody has locked the cursors."""
        held = "FROM pg_stat_activity a LEFT JOIN pg_locks l USING (pid) WHERE a.application_name = 'behind'"
        lock = subprocess.Popen(["psql", "-qX", self.postgres.url("postgres"), "-c",
                                 "BEGIN; LOCK TABLE cursors IN EXCLUSIVE MODE; SELECT pg_sleep(600)"],
                                env={**os.environ, "PGAPPNAME": "behind"}, stdin=subprocess.DEVNULL,
                                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            self.wait_sql(f"SELECT count(*) {held} AND l.relation = 'cursors'::regclass AND l.granted", "1")
            yield
        finally:
            # Without psql the backend would go on sleeping, and keep its lock.
            lock.kill()
            lock.wait()
            self.sql(f"SELECT pg_terminate_backend(pid) {held}")
            self.wait_sql(f"SELECT count(*) {held}", "0")


class Client:
    """A socket and what came over it; every wait has a deadline."""

    def __init__(self, port, source=None):
        self.socket = socket.create_connection(("127.0.0.1", port), PATIENCE, (source, 0) if source else None)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buffer = b""
        self.closed = False
        self.kept = []      # came, and nobody expected it yet
        self.received = []  # everything, in order

    def decode(self, line):
        raise NotImplementedError

    def cut(self):
        """Takes the messages that are whole from the buffer."""
        *lines, self.buffer = self.buffer.split(b"\n")
        return [self.decode(line) for line in lines]

    def send_bytes(self, data):
        self.socket.settimeout(PATIENCE)
        self.socket.sendall(data)

    def receive(self, seconds):
        """Reads what is there, waiting for something as long as this; true if anything came."""
        if self.closed:
            return False
        self.socket.settimeout(max(seconds, 0.001))
        try:
            data = self.socket.recv(65536)
        except (TimeoutError, socket.timeout):
            return False
        except ConnectionResetError:
            data = b""
        if not data:
            self.closed = True
            return True
        self.buffer += data
        for one in self.cut():
            self.kept.append(one)
            self.received.append(one)
        return True

    def take(self, matches, what, seconds):
        deadline = time.monotonic() + seconds
        at = 0
        while True:
            while at < len(self.kept):
                if matches(self.kept[at]):
                    return self.kept.pop(at)
                at += 1
            left = deadline - time.monotonic()
            if self.closed or left <= 0:
                why = "the connection closed" if self.closed else f"{seconds} s passed"
                raise AssertionError(f"expected {what}, but {why}; not expected yet: {self.kept[-20:]}")
            self.receive(left)

    def expect_closed(self, seconds=PATIENCE):
        """Waits until the other side has closed."""
        deadline = time.monotonic() + seconds
        while not self.closed:
            left = deadline - time.monotonic()
            assert left > 0, f"the connection is still open after {seconds} s; it brought {self.kept[-20:]}"
            self.receive(left)

    def end_input(self):
        self.socket.shutdown(socket.SHUT_WR)

    def close(self):
        self.socket.close()
        self.closed = True


class JsonClient(Client):
    def decode(self, line):
        return json.loads(line)

    def send(self, request):
        self.send_bytes(json.dumps(request, ensure_ascii=False).encode() + b"\n")

    def chat(self, text, **more):
        self.send({"type": "chat", "data": text, **more})

    def expect(self, seconds=PATIENCE, **fields):
        """The first object not expected so far that has these fields; others are kept."""
        return self.take(lambda one: all(one.get(key) == value for key, value in fields.items()), fields, seconds)

    def expect_error(self, code, **fields):
        return self.expect(type="error", code=code, **fields)

    def sync(self):
        """Returns when everything sent so far was answered."""
        self.synced = getattr(self, "synced", 0) + 1
        self.send({"type": "ping", "ref": f"sync-{self.synced}"})
        self.expect(type="pong", ref=f"sync-{self.synced}")

    def has(self, **fields):
        """Everything received so far with these fields, expected or not."""
        return [one for one in self.received if all(one.get(key) == value for key, value in fields.items())]


class LineClient(Client):
    def decode(self, line):
        return line.decode()

    def send(self, line):
        self.send_bytes(line.encode() + b"\n")

    def expect(self, line, seconds=PATIENCE):
        """The first line not expected so far that is this one; others are kept."""
        return self.take(lambda one: one == line, repr(line), seconds)

    def expect_error(self, code, seconds=PATIENCE):
        return self.take(lambda one: one.split(" ")[:2] == ["ERR", code], f"ERR {code}", seconds)

    def sync(self):
        self.send("PING")
        self.expect("PONG")


class PromptClient(LineClient):
    """What is said without a newline, the prompt, is before the next line: `Enter your name: Welcome, ...`."""

    def sync(self):
        self.send("/rooms")
        self.take(lambda one: re.match(r"There (is|are) \d+ rooms?: ", one), "the answer to /rooms", PATIENCE)


class CommandClient(JsonClient):
    def sync(self):
        self.synced = getattr(self, "synced", 0) + 1
        self.send({"command": "PING", "ref": f"sync-{self.synced}"})
        self.expect(command="ACK", ref=f"sync-{self.synced}")


class GobClient(Client):
    """Sends and gets (type, sender, content); `fresh`: with a new encoder and decoder for each message."""

    def __init__(self, port, fresh=False):
        super().__init__(port)
        self.encoder, self.decoder = gob.Encoder(fresh), gob.Decoder(fresh)

    def cut(self):
        while (found := self.decoder.decode(self.buffer)):
            self.buffer = self.buffer[found[1]:]
            yield found[0]

    def send(self, kind, sender="", content=""):
        self.send_bytes(self.encoder.encode(kind, sender, content))

    def expect(self, kind, sender="", content="", seconds=PATIENCE):
        return self.take(lambda one: one == (kind, sender, content), (kind, sender, content), seconds)

    def expect_error(self, code):
        return self.expect(0, "server", f"error: {code}")


CLIENTS = {"json": JsonClient, "line": LineClient, "prompt": PromptClient, "command": CommandClient, "gob": GobClient}
