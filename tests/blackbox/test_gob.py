"""The dialect gob, with a real Go client (go/client.go) of either habit: one Encoder and one Decoder for a connection,
or new ones for every message."""

import json
import os
import queue
import subprocess
import threading
import time

import pytest

import documented
from hubbub import HERE, PATIENCE

TEXT, JOIN, LEAVE = 0, 1, 2
HABITS = ("long-lived", "fresh")
MANY = 1000


@pytest.fixture(scope="module", autouse=True)
def program(tmp_path_factory):
    """The client; where there is no Go to build it, no test of these runs."""
    documented.needs_go()
    return documented.go_program(os.path.join(HERE, "go", "client.go"), str(tmp_path_factory.mktemp("go")))


class GoClient:
    """The running program; every wait has a deadline."""

    def __init__(self, program, port, *options):
        self.process = subprocess.Popen([program, *options, f"127.0.0.1:{port}"], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.came = queue.Queue()
        self.received = []
        self.reader = threading.Thread(target=self.read, daemon=True)
        self.reader.start()

    def read(self):
        for line in self.process.stdout:
            one = json.loads(line)
            self.came.put((one["Type"], one["Sender"], one["Content"]))
        self.came.put(None)

    def send(self, kind, sender, content):
        self.process.stdin.write(json.dumps({"Type": kind, "Sender": sender, "Content": content}) + "\n")
        self.process.stdin.flush()

    def next(self, seconds=PATIENCE):
        one = self.came.get(timeout=seconds)
        if one is None:
            raise AssertionError(f"the client has ended: {self.process.stderr.read()!r}; it got {self.received[-5:]}")
        self.received.append(one)
        return one

    def expect(self, kind, sender, content):
        """Skips what was not waited for."""
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                one = self.next(max(0.01, deadline - time.monotonic()))
            except queue.Empty:
                raise AssertionError(f"{(kind, sender, content)} did not come, but {self.received[-5:]}") from None
            if one == (kind, sender, content):
                return

    def expect_end(self):
        """Waits until the server has closed, and the client has taken that for a good end."""
        while self.came.get(timeout=PATIENCE) is not None:
            pass
        assert self.process.wait(PATIENCE) == 0, self.process.stderr.read()

    def close(self):
        self.process.kill()
        self.process.wait()
        self.reader.join(PATIENCE)
        for pipe in (self.process.stdin, self.process.stdout, self.process.stderr):
            try:
                pipe.close()
            except BrokenPipeError:
                pass


@pytest.fixture
def go(hubbub, program):
    """Called with a name it logs in, and returns the client when it was welcomed."""
    clients = []

    def log_in(name, habit="long-lived", *options, gateway=1):
        clients.append(GoClient(program, hubbub.port("gob", gateway),
                                *(["-fresh"] if habit == "fresh" else []), *options))
        clients[-1].send(JOIN, name, "")
        kind, sender, content = clients[-1].next()
        assert (kind, sender) == (TEXT, "server")
        assert content.startswith(f"Welcome, {name}!")
        return clients[-1]

    yield log_in
    for client in clients:
        client.close()


@pytest.mark.parametrize("habit", HABITS)
def test_a_go_client_hears_and_is_heard(hubbub, go, habit):
    alice, other = go(f"go-{habit}", habit), hubbub.json(f"peer-{habit}", 2)
    alice.expect(JOIN, f"peer-{habit}", "")
    for n in range(5):
        alice.send(TEXT, "somebody else", f"from go {n}")
        other.expect(type="message", data=f"from go {n}", **{"from": f"go-{habit}"})
        other.chat(f"to go {n}")
        alice.expect(TEXT, f"peer-{habit}", f"to go {n}")
    other.send({"type": "direct", "to": f"go-{habit}", "data": "psst"})
    alice.expect(TEXT, f"[direct] peer-{habit}", "psst")
    other.close()
    alice.expect(LEAVE, f"peer-{habit}", "")


@pytest.mark.parametrize("habit", HABITS)
def test_commands_are_answered_in_sentences_from_the_server(hubbub, go, habit):
    client, name = go(f"cmd-{habit}", habit), f"cmd-{habit}"
    client.send(TEXT, "", f"/join room-{habit}")
    assert client.next()[:2] == (TEXT, "server")
    client.send(TEXT, "", "/who")
    client.expect(TEXT, "server", f"1 person is in room-{habit}: {name}.")
    client.send(TEXT, "", "/fly")
    client.expect(TEXT, "server", "error: unknown-command")
    client.send(7, "", "x")
    client.expect(TEXT, "server", "error: bad-request")


@pytest.mark.parametrize("habit", HABITS)
def test_leaving_closes_and_others_are_told(hubbub, go, habit):
    other, client = hubbub.json(f"watch-{habit}", 2), go(f"quit-{habit}", habit)
    client.send(LEAVE, "", "")
    client.expect_end()
    other.expect(type="left", **{"from": f"quit-{habit}"})


def test_a_name_that_is_taken_is_an_error_and_the_next_one_logs_in(hubbub, go, program):
    hubbub.json("go-taken", 2)
    client = GoClient(program, hubbub.port("gob"))
    try:
        client.send(JOIN, "go-taken", "")
        client.expect(TEXT, "server", "error: username-taken")
        client.send(TEXT, "", "too early")
        client.expect(TEXT, "server", "error: login-required")
        client.send(JOIN, "go-free", "")
        assert client.next()[2].startswith("Welcome, go-free!")
    finally:
        client.close()


def test_a_client_with_an_unsigned_type_hears_all_types(hubbub, go):
    client = go("go-unsigned", "long-lived", "-unsigned")
    other = hubbub.json("unsigned-peer", 2)
    client.expect(JOIN, "unsigned-peer", "")
    other.chat("hello")
    client.expect(TEXT, "unsigned-peer", "hello")
    other.close()
    client.expect(LEAVE, "unsigned-peer", "")


@pytest.mark.parametrize("known", (True, False))
def test_many_messages_in_a_row_reach_a_long_lived_decoder_in_order(hubbub, go, known):
    """Which returns an error if a type is defined twice."""
    name = f"go-many-{known}".lower()
    client, other = go(name), hubbub.json(f"{name}-peer", 2)
    client.expect(JOIN, f"{name}-peer", "")
    if known:
        client.send(TEXT, "", "/help")
        assert client.next()[:2] == (TEXT, "server")
    for n in range(MANY):
        other.chat(f"message {n}")
    for n in range(MANY):
        one = client.next()
        assert one == (TEXT, f"{name}-peer", f"message {n}")


def test_two_go_clients_of_different_habits_talk_through_different_gateways(hubbub, go):
    alice, bob = go("go-alice", "long-lived", gateway=1), go("go-bob", "fresh", gateway=2)
    alice.expect(JOIN, "go-bob", "")
    for n in range(20):
        alice.send(TEXT, "", f"ping {n}")
        bob.expect(TEXT, "go-alice", f"ping {n}")
        bob.send(TEXT, "", f"pong {n}")
        alice.expect(TEXT, "go-bob", f"pong {n}")
