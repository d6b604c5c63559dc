"""bench-load and bench-floor: what the load generator counts is what happened, and it notices what should not have."""

import contextlib
import json
import os
import re
import select
import signal
import socket
import subprocess
import sys
import threading
import time

import pytest

from hubbub import BUILD, PATIENCE, Ports, wait_for

from place import die_with_parent
from services import connects

ROOT = os.path.realpath(os.path.join(os.path.dirname(os.path.abspath(__file__)), "../.."))
sys.path.append(os.path.join(ROOT, "bench"))
import scenarios  # noqa: E402

pytestmark = pytest.mark.skipif(not os.path.exists(f"{BUILD}/bench/bench-load"), reason="built without bench")


def load(dialect, port, *options, status=0):
    """Runs bench-load, and returns what it tells; fails if it ends with another status."""
    done = subprocess.run([f"{BUILD}/bench/bench-load", "--dialect", dialect, "--connect", f"127.0.0.1:{port}", *options],
                          capture_output=True, text=True, timeout=3 * PATIENCE)
    assert done.returncode == status, done.stderr
    if status == 2:
        assert done.stdout == "" and done.stderr.count("\n") == 1
        return done.stderr
    return json.loads(done.stdout)


def check(told, rooms, members):
    """All chats reached everybody, once."""
    assert told["clients"] == rooms * members and told["runs"]
    for run in told["runs"]:
        assert run["missing"] == run["strange"] == 0
        assert run["chats"] > 0 and run["deliveries"] == run["chats"] * (members - 1)
        latency = run["latency_us"]
        assert 0 < latency["p50"] <= latency["p90"] <= latency["p99"] <= latency["p999"] <= latency["max"]


@contextlib.contextmanager
def running_floor():
    """A floor's port and its process, with what it complains of as process.stderr."""
    ports = Ports()
    port = ports.take()
    with subprocess.Popen([f"{BUILD}/bench/bench-floor", f"127.0.0.1:{port}"], stderr=subprocess.PIPE, text=True,
                          preexec_fn=die_with_parent(signal.SIGKILL)) as process:
        try:
            wait_for(lambda: connects("127.0.0.1", port), PATIENCE, "the floor listens")
            yield port, process
        finally:
            process.kill()
    ports.close()


@pytest.fixture(scope="module")
def floor():
    """The floor's port and pid."""
    with running_floor() as (port, process):
        yield port, process.pid
        assert process.poll() is None


class Bad:
    """A floor in a few lines that does something wrong with one chat: `mend(text)` returns what is sent instead."""

    def __init__(self, mend):
        self.mend = mend
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.thread = threading.Thread(target=self.run)

    def run(self):
        members = []
        while True:
            for ready in select.select([self.listener, *members], [], [])[0]:
                if ready is self.listener:
                    try:
                        members.append(self.listener.accept()[0])
                    except OSError:  # shut down
                        return
                    continue
                try:
                    text = ready.recv(65536)
                except ConnectionResetError:
                    text = b""
                if not text:
                    members.remove(ready)
                    ready.close()
                elif not text.startswith(b"~"):
                    ready.sendall(b"joined\n")
                else:
                    text = self.mend(text)
                    for member in members:
                        if member is not ready:
                            member.sendall(text)


@contextlib.contextmanager
def bad(mend):
    server = Bad(mend)
    server.thread.start()
    try:
        yield server.port
    finally:
        server.listener.shutdown(socket.SHUT_RDWR)
        server.thread.join()
        server.listener.close()


def once(wrong, after=20):
    """A mend that does `wrong` to one chat."""
    seen = []

    def mend(text):
        seen.append(text)
        return wrong(text) if len(seen) == after else text

    return mend


def test_all_chats_are_counted_at_each_window(floor):
    port, pid = floor
    told = load("raw", port, "--members", "20", "--windows", "1,8,64", "--seconds", "0.3", "--warm-up", "0.1", "--watch",
                f"floor={pid}")
    check(told, 1, 20)
    assert [run["window"] for run in told["runs"]] == [1, 8, 64]
    for run in told["runs"]:
        used = run["cpu"]["floor"]
        assert used["user"] + used["system"] > 0 and run["cpu"]["load"]["system"] > 0
        assert used["sleeps"] > 0
        assert used["writes"] * run["window"] >= run["deliveries"] and used["writes"] <= run["deliveries"]
    assert told["runs"][0]["cpu"]["floor"]["writes"] == told["runs"][0]["deliveries"]
    assert 0 < told["memory"]["floor"]["before"] <= told["memory"]["floor"]["joined"]


def test_a_number_of_chats_is_kept_exactly(floor):
    told = load("raw", floor[0], "--members", "5", "--windows", "1,7", "--chats", "1000", "--warm-up", "0")
    check(told, 1, 5)
    assert [run["chats"] for run in told["runs"]] == [1000, 1000]


def test_many_rooms_and_senders_with_long_texts(floor):
    told = load("raw", floor[0], "--rooms", "10", "--members", "7", "--senders", "3", "--windows", "4", "--bytes", "3000",
                "--seconds", "0.3", "--warm-up", "0")
    check(told, 10, 7)


def test_the_shortest_text(floor):
    told = load("raw", floor[0], "--members", "3", "--windows", "16", "--bytes", "9", "--chats", "5000", "--warm-up", "0")
    check(told, 1, 3)


def test_a_rate_is_kept(floor):
    told = load("raw", floor[0], "--members", "10", "--rate", "500", "--seconds", "1", "--warm-up", "0")
    check(told, 1, 10)
    assert told["runs"][0]["window"] is None and told["runs"][0]["rate"] == 500
    assert told["runs"][0]["chats"] in (499, 500, 501)


def enter(port, room):
    """A client of the floor in that room."""
    client = socket.create_connection(("127.0.0.1", port), PATIENCE)
    client.sendall(f"{room}\n".encode())
    assert client.recv(100) == b"joined\n"
    return client


def test_the_floor_frees_rooms_that_are_empty(floor):
    """It has room for 4,096: more in turn are no trouble, and those that stay are kept apart."""
    with enter(floor[0], "first") as first, enter(floor[0], "second") as second:
        for number in range(4200):
            enter(floor[0], f"room-{number}").close()
        with enter(floor[0], "first") as other, enter(floor[0], "third") as third, enter(floor[0], "third") as fourth, \
                enter(floor[0], "fourth") as alone:
            first.sendall(b"of the first\n")
            third.sendall(b"of the third\n")
            assert other.recv(100) == b"of the first\n" and fourth.recv(100) == b"of the third\n"
            for silent in (first, second, third, alone):
                silent.setblocking(False)
                with pytest.raises(BlockingIOError):
                    silent.recv(100)


def test_the_floor_ends_when_there_are_too_many_rooms():
    with running_floor() as (port, process):
        load("raw", port, "--rooms", "4097", "--members", "1", "--seconds", "0", status=2)
        assert process.wait(PATIENCE) == 1
        assert process.stderr.read() == "bench-floor: there are 4096 rooms already\n"


@pytest.mark.parametrize("dialect", ("line", "json"))
def test_the_longer_texts_of_the_floor_are_as_long_as_what_hubbub_sends(hubbub, dialect):
    """But for the number of the load in its names, which is of one digit or several."""
    log_in = {"line": "LOGIN {0}\nJOIN {1}\n", "json": '{{"type":"join","data":"{0}","room":"{1}"}}\n'}[dialect]
    chat = {"line": "MSG {0}\n", "json": '{{"type":"chat","data":"{0}"}}\n'}[dialect]
    text, told = "~00000000".ljust(scenarios.BYTES, "."), b""
    with socket.create_connection(("127.0.0.1", hubbub.port(dialect)), PATIENCE) as receiver, \
            socket.create_connection(("127.0.0.1", hubbub.port(dialect)), PATIENCE) as sender:
        for number, client in enumerate((receiver, sender), 1):
            client.sendall(log_in.format(f"b12-0-{number}", "b12-room-0").encode())
        while b"b12-0-2" not in told:  # has come
            told += receiver.recv(4096)
        sender.sendall(chat.format(text).encode())
        while not (found := re.search(rb"^.*~0.*$(?=\n)", told, re.M)):
            told += receiver.recv(4096)
    assert abs(len(found[0]) - scenarios.LONGER_FLOORS[f"floor, {dialect}'s bytes"]) <= 4


def test_joining_alone_is_told(floor):
    told = load("raw", floor[0], "--members", "300", "--seconds", "0")
    assert told["runs"] == [] and told["clients"] == 300 and told["join_seconds"] > 0


def test_a_doubled_chat_is_strange():
    with bad(once(lambda text: text + text)) as port:
        told = load("raw", port, "--members", "3", "--windows", "1", "--chats", "50", "--warm-up", "0", status=1)
    assert told["runs"][0]["strange"] == 2 and told["runs"][0]["missing"] == 0


def test_an_unknown_chat_is_strange():
    with bad(once(lambda text: text + b"~7fffff00\n")) as port:
        told = load("raw", port, "--members", "3", "--windows", "1", "--chats", "50", "--warm-up", "0", status=1)
    assert told["runs"][0]["strange"] == 2 and told["runs"][0]["missing"] == 0


@pytest.mark.alongside(11)
def test_a_lost_chat_is_missing():
    with bad(once(lambda text: b"x\n")) as port:
        told = load("raw", port, "--members", "3", "--windows", "1,2", "--chats", "50", "--warm-up", "0", status=1)
    assert len(told["runs"]) == 1, "nothing is measured after it"
    assert told["runs"][0]["missing"] == 2 and told["runs"][0]["strange"] == 0


def test_latency_counts_from_when_a_chat_was_due():
    """A server that stalls for 0.4 s of 1 s delays 40% of the chats, also those that could not be said meanwhile."""
    def stall(text):
        time.sleep(0.4)
        return text

    with bad(once(stall)) as port:
        told = load("raw", port, "--members", "3", "--rate", "200", "--seconds", "1", "--warm-up", "0")
    latency = told["runs"][0]["latency_us"]
    assert latency["max"] >= 390_000
    assert latency["p90"] >= 250_000, "a tenth of all waited for at least 0.3 s"


def test_hubbub_in_two_dialects(hubbub):
    gateway = hubbub.gateways[0].pid
    for dialect in ("json", "line"):
        told = load(dialect, hubbub.port(dialect), "--members", "20", "--windows", "1,64", "--seconds", "0.3", "--watch",
                    f"gateway={gateway}", "--name", dialect)
        check(told, 1, 20)


def test_chats_through_two_gateways(hubbub):
    told = load("json", f"{hubbub.port('json')},127.0.0.1:{hubbub.port('json', 2)}", "--rooms", "3", "--members", "10",
                "--windows", "8", "--seconds", "0.3", "--name", "two")
    check(told, 3, 10)


def test_acknowledgements(hubbub):
    for members in (1, 4):
        told = load("json", hubbub.port("json"), "--rooms", "3", "--members", str(members), "--windows", "1,64", "--seconds",
                    "0.3", "--complete", "acked", "--name", f"acked{members}x")
        for run in told["runs"]:
            assert run["missing"] == run["strange"] == 0
            assert run["acks"] == run["chats"] > 0 and run["deliveries"] == run["chats"] * (members - 1)


def test_what_goes_wrong_is_told_in_one_line(hubbub, floor):
    hubbub.json("taken0-0")
    assert "username-taken" in load("json", hubbub.port("json"), "--name", "taken", status=2)
    assert "acknowledge" in load("raw", floor[0], "--complete", "acked", status=2)
    assert "numeric" in load("raw", "7000,localhost:1", status=2)
    assert "open files" in load("raw", floor[0], "--rooms", "1000000", "--members", "1000", status=2)
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    assert "refused" in load("raw", port, status=2)
