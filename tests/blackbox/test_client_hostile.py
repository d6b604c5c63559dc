"""The client against servers that mean harm, and on days when all goes wrong: what it costs, and what it leaves behind."""

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import threading

import pytest

from client import CLIENT, address, environment, run, start
from hubbub import PATIENCE, wait_for
from terminal import ENTER, PAGE_UP, control
from test_client_screen import EVIL, ID, PASSWORD, line, message, sit_down, welcome  # noqa: F401

SANITIZED = b"__asan_init" in open(CLIENT, "rb").read()
MEGABYTE = 1024 * 1024


class Server:
    """Calls `serve` with each connection and its number, from 1, after the log-in; and keeps what the client says."""

    def __init__(self, serve):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.serve = serve
        self.connections, self.threads, self.failures = [], [], []
        self.ending = False
        self.accepting = threading.Thread(target=self.accept, daemon=True)

    def __enter__(self):
        self.accepting.start()
        return self

    def __exit__(self, *_):
        self.ending = True
        self.listener.shutdown(socket.SHUT_RDWR)
        for one in list(self.connections):
            one.end()
        for thread in [self.accepting] + self.threads:
            thread.join(PATIENCE)
        self.listener.close()
        assert not self.failures

    def accept(self):
        while not self.ending:
            try:
                one = Connection(self.listener.accept()[0])
            except OSError:
                return
            self.connections.append(one)
            self.threads.append(threading.Thread(target=self.run, args=(one, len(self.connections)), daemon=True))
            self.threads[-1].start()

    def run(self, one, number):
        try:
            one.expect("join")
            self.serve(one, number)
        except OSError:
            pass
        except AssertionError as failure:
            if not self.ending:
                self.failures.append(failure)


class Connection:
    def __init__(self, stream):
        self.stream = stream
        self.stream.settimeout(PATIENCE)
        self.lines = stream.makefile("rb")

    def send(self, *lines):
        self.stream.sendall(b"".join(lines))

    def hear(self):
        heard = self.lines.readline()
        if not heard:
            raise ConnectionError
        return json.loads(heard)

    def expect(self, kind):
        """The next request of that type; others before it are passed over."""
        while True:
            heard = self.hear()
            if heard["type"] == kind:
                return heard

    def sync(self):
        """Until the client has read all that was sent: it asks for history when it enters a room anew."""
        self.expect("history")

    def wait(self):
        """Until the client goes; returns the types of what it asked for meanwhile."""
        kinds = []
        with contextlib.suppress(OSError):
            while kinds[-1:] != ["leave"]:
                kinds.append(self.hear()["type"])
        self.end()
        return kinds

    def end(self):
        with contextlib.suppress(OSError):
            self.stream.shutdown(socket.SHUT_RDWR)


def memory(process):
    """The most that it ever had, in bytes."""
    with open(f"/proc/{process.pid}/status") as status:
        return int(re.search(r"VmHWM:\s*(\d+) kB", status.read())[1]) * 1024


def seconds_of_work(process):
    with open(f"/proc/{process.pid}/stat") as stat:
        fields = stat.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def notice(kind, who, **more):
    return line(type=kind, room="lobby", data=f"{who} {kind}.", at="2026-11-22T00:00:00.000Z", **{"from": who, **more})


def marker(number=10**6):
    return message(number, data="that is all")


def until_marked(person):
    person.until(lambda: any("that is all" in text for text in person.said()), "the end of what was sent")
    return person


def test_what_is_half_typed_is_no_part_of_a_password(sit_down):
    asked = threading.Event()

    def serve(one, _):
        asked.wait(PATIENCE)
        one.send(line(type="error", code="password-required", data="That name has a password."))
        assert one.expect("join")["password"] == PASSWORD
        one.send(welcome(), line(type="direct", to="Ann", data="psst", id=ID, **{"from": "Bob"}))
        one.expect("read")  # who has an account has directs that wait
        one.send(marker())
        one.wait()

    with Server(serve) as server:
        ann = sit_down(server.port, "-u", "Ann")
        ann.press("I wanted to say")
        ann.until_line(-1, "> I wanted to say")
        asked.set()
        ann.until_line(-1, "Password:")
        ann.type(PASSWORD)
        until_marked(ann)
        assert ann.lines()[-1] == ">"


# What a server can make it do.


@pytest.mark.skipif(SANITIZED, reason="a sanitizer's own memory is counted, too")
def test_people_without_end_take_no_memory_without_end(sit_down):
    """The people of a room are kept to complete their names; there are as many as the server says."""
    def serve(one, _):
        one.send(welcome())
        one.sync()
        for first in range(0, 200000, 1000):
            one.send(*[notice("joined", f"{number:032}") for number in range(first, first + 1000)])
        one.send(marker())
        one.wait()

    with Server(serve) as server:
        ann = until_marked(sit_down(server.port, "-u", "Ann"))
        assert memory(ann.process) < 24 * MEGABYTE


@pytest.mark.skipif(SANITIZED, reason="a sanitizer's own memory is counted, too")
def test_a_server_that_makes_it_ask_and_does_not_read_is_left(sit_down):
    """Each line that says where one is, is answered by a question."""
    def serve(one, number):
        one.send(welcome())
        entered = line(type="entered", room="lobby", id=ID, users=1) * 1000
        while number == 1:
            one.send(entered)
        one.send(marker())
        one.wait()

    with Server(serve) as server:
        ann = sit_down(server.port, "-u", "Ann")
        ann.until(lambda: len(server.connections) > 1, "another connection")
        until_marked(ann)
        assert "does not read" in ann.text()
        assert memory(ann.process) < 48 * MEGABYTE


def test_a_crowd_as_large_as_numbers_go_is_not_counted_on(sit_down):
    def serve(one, _):
        one.send(welcome(users=2**63 - 1), notice("joined", "Bob"), marker())
        one.wait()

    with Server(serve) as server:
        ann = until_marked(sit_down(server.port, "-u", "Ann"))
        assert "-" not in ann.lines()[-2]


def test_a_flood_of_mentions_rings_a_few_times(sit_down):
    def serve(one, _):
        one.send(welcome(), *[message(number, data="Ann!") for number in range(1, 20000)], marker())
        one.wait()

    with Server(serve) as server:
        ann = until_marked(sit_down(server.port, "-u", "Ann"))
        assert 1 <= ann.bells() < 100


@pytest.mark.parametrize("term", ["xterm-256color", "dumb"])
def test_a_flood_of_messages_is_quickly_shown(sit_down, term):
    """It is drawn now and then, not at each message."""
    def serve(one, _):
        one.send(welcome())
        one.sync()
        for first in range(1, 100000, 1000):
            one.send(*[message(number, data=f"flood {number}") for number in range(first, first + 1000)])
        one.send(marker())
        one.wait()

    with Server(serve) as server:
        ann = sit_down(server.port, "-u", "Ann", TERM=term)
        if term == "dumb":
            ann.stream.feed = lambda data: None  # measured is the program
            ann.until(lambda: b"that is all" in ann.written, "the end of what was sent")
        else:
            until_marked(ann)
            assert len(ann.written) < 4 * MEGABYTE
        assert seconds_of_work(ann.process) < (60 if SANITIZED else 6)


def test_a_long_list_of_rooms_leaves_the_conversation_where_it_is(sit_down):
    rooms = [{"room": f"room-{number}", "users": 1} for number in range(20000)]

    def serve(one, _):
        one.send(welcome(), message(1, data="what was said before"))
        one.expect("rooms")  # for completion
        one.send(line(type="rooms", ref=one.expect("rooms")["ref"], rooms=rooms, count=len(rooms)), marker())
        one.wait()

    with Server(serve) as server:
        ann = sit_down(server.port, "-u", "Ann").until_connected()
        ann.type("/rooms")
        until_marked(ann)
        ann.until_shown("more")
        for _ in range(20):
            if "what was said before" in ann.text():
                break
            ann.press(PAGE_UP)
            ann.until(lambda: ann.unread() == 0, "the end of the input")
            ann.read(0.2)
        ann.until_shown("what was said before")


def test_a_long_list_of_people_is_cut_between_characters(sit_down):
    """Line by line, where nothing stands between the program and the terminal."""
    people = ["\u6f22" * 30 + str(number) for number in range(1000)]

    def serve(one, _):
        one.send(welcome())
        while True:
            one.send(line(type="who", ref=one.expect("who")["ref"], room="lobby", users=people, count=1000), marker())

    with Server(serve) as server:
        ann = sit_down(server.port, "-u", "Ann", TERM="dumb")
        ann.until(lambda: b"that is all" in ann.written, "connected")
        ann.press("/who\n")
        ann.until(lambda: b"* lobby, 1000" in ann.written and ann.written.endswith(b"\n"), "the people")
        ann.written.decode()


def test_a_long_reason_is_cut_between_characters(sit_down):
    def serve(one, _):
        one.send(welcome(), marker(1))
        one.send(line(type="error", ref=one.expect("chat")["ref"], code="bad-request", data="xx" + "\u6f22" * 2729))
        one.wait()

    with Server(serve) as server:
        ann = sit_down(server.port, "-u", "Ann", TERM="dumb")
        ann.until(lambda: b"that is all" in ann.written, "connected")
        ann.press("hello\n")
        ann.until(lambda: b"* Not said: xx" in ann.written and ann.written.endswith(b"\n"), "the reason")
        ann.written.decode()


def test_the_same_reason_is_told_once(sit_down):
    def serve(one, number):
        if number < 4:
            one.end()
            return
        one.send(welcome(), marker())
        one.wait()

    with Server(serve) as server:
        ann = until_marked(sit_down(server.port, "-u", "Ann"))
        assert ann.text().count("closed the connection") == 1
        assert ann.text().count("Connected again") == 1


def test_who_has_gone_meanwhile_is_not_completed(sit_down):
    def serve(one, number):
        one.send(welcome())
        one.send(line(type="who", ref=one.expect("who")["ref"], room="lobby", count=2,
                      users=["Ann", "Bob" if number == 1 else "Carol"]), marker(number))
        one.wait()

    with Server(serve) as server:
        ann = until_marked(sit_down(server.port, "-u", "Ann"))
        ann.press("Bo\t")
        ann.until_line(-1, "> Bob:")
        ann.press(control("u"))
        server.connections[0].end()
        ann.until(lambda: sum("that is all" in text for text in ann.said()) == 2, "another connection")
        ann.press("Bo\tb Ca\t")
        ann.until_line(-1, "> Bob Carol")


def test_a_page_whose_answer_was_lost_is_asked_for_again(sit_down):
    def page(text, number, asked):
        return line(type="history", ref=asked["ref"], room="lobby", more=True, messages=[
            {"type": "message", "from": "Bob", "room": "lobby", "data": text, "id": str(number)}])

    def serve(one, number):
        one.send(welcome())
        if number == 1:
            one.send(page("newer", 2, one.expect("history")), marker())
            one.expect("history")
            one.end()
        one.send(marker(10**6 + 1))
        one.send(page("older", 1, one.expect("history")))
        one.wait()

    with Server(serve) as server:
        ann = until_marked(sit_down(server.port, "-u", "Ann"))
        ann.press(PAGE_UP)
        ann.until(lambda: sum("that is all" in text for text in ann.said()) == 2, "another connection")
        ann.press(PAGE_UP)
        ann.until_said("Bob: older")


def test_who_leaves_a_room_that_is_still_waiting_to_be_entered_again(sit_down):
    def serve(one, number):
        one.send(welcome())
        if number == 1:
            for _ in range(2):
                one.send(line(type="entered", room=one.expect("join")["room"], id=ID, users=1))
            one.expect("chat")  # all is shown
            return one.end()
        assert one.expect("join")["room"] == "second"  # and third has to wait
        one.send(message(1, data="here again"))
        one.wait()

    with Server(serve) as server:
        ann = sit_down(server.port, "-u", "Ann").until_connected()
        for room in ("second", "third"):
            ann.type(f"/join {room}")
            ann.until(lambda: ann.lines()[-2].startswith(f"[{room}]"), room)
        ann.type("go")
        ann.until(lambda: len(server.connections) == 2, "another connection")
        ann.until(lambda: "lobby:1" in ann.lines()[-2], "the lobby")
        ann.type("/leave")
        ann.until_shown("You have left third.")


# In scripts.


@pytest.mark.parametrize("refused", ["log-in", "chat"])
def test_why_a_line_was_not_said_is_one_line(refused):
    why = "The line\nroot@host:~# rm -rf /\ttab"

    def serve(one, _):
        if refused == "log-in":
            one.send(line(type="error", code="password-required", data=why, **{"from": "server"}))
        else:
            one.send(welcome())
            one.send(line(type="error", code="not-in-room", ref=one.expect("chat")["ref"], data=why, **{"from": "server"}))
        one.wait()

    with Server(serve) as server:
        status, errors = run(server.port, "-u", "bot", given=b"hello\n")
    assert status == 1 and errors.startswith("hubbub: ") and errors.count("\n") == 1
    assert errors.rstrip("\n").isprintable()


TELLING = [
    message(1, data=EVIL), message(2, **{"from": EVIL}), notice("joined", EVIL), notice("left", EVIL),
    line(type="direct", to=EVIL, data=EVIL, id=str(int(ID) + 3), **{"from": EVIL}),
    line(type="gap", room="lobby", data=EVIL, after=ID, until=ID, **{"from": "server"}),
    message(4, data="x" * 500000), message(5, data="a" + "\u0301" * 10000), message(6, data="\u200b" * 10000),
    message(7, data="\x7f\x85\u2028\u2029\u2066\u202e\ufeff"), message(8, at="0000-01-01T00:00:00.000Z"),
    message(9, at="0001-01-01T00:00:00.001Z", room="lobby"), message(10, data="a\tb\nc"),
]


@pytest.mark.parametrize("way", [[], ["--json"]], ids=["lines", "json"])
def test_what_a_tail_prints_is_harmless(way):
    def serve(one, _):
        one.send(welcome(), *TELLING, marker(), line(type="error", code="replaced", data="Over.", **{"from": "server"}))
        one.wait()

    with Server(serve) as server:
        process = start(server.port, "--tail", *way, "-u", "tail")
        out, errors = process.communicate(timeout=PATIENCE)
    assert (process.returncode, errors) == (1, b"hubbub: Over.\n")
    printed = out.decode().split("\n")
    assert printed.pop() == ""
    for one in printed:
        assert not [c for c in one if (ord(c) < 0x20 and c != "\t") or 0x7f <= ord(c) < 0xa0 or
                    ord(c) in (0x2028, 0x2029, *range(0x202a, 0x202f), *range(0x2066, 0x206a))]
    if way:
        assert [json.loads(one)["type"] for one in printed] == [json.loads(one)["type"] for one in TELLING] + ["message"]
        assert all(one.isascii() for one in printed)
    else:
        assert all(re.match(r"([0-9T:.-]+Z|-) (lobby (\S*: |\* )|> )", one) for one in printed), printed


@contextlib.contextmanager
def tail_that_nobody_reads(way=()):
    """A --tail whose reader has stalled: all that a pipe holds is in it, and the tail waits."""
    def serve(one, _):
        one.send(welcome())
        with contextlib.suppress(socket.timeout):
            number = 0
            one.stream.settimeout(2)
            while True:
                number += 1
                one.send(message(number, data="x" * 8191))  # a line is more than one piece of a pipe
        stalled.set()
        one.stream.settimeout(None)
        one.wait()

    stalled = threading.Event()
    with Server(serve) as server:
        process = start(server.port, "--tail", *way, "-u", "tail")
        try:
            assert stalled.wait(PATIENCE)
            yield process
        finally:
            process.kill()
            process.communicate()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_tail_that_nobody_reads_can_be_interrupted(number):
    with tail_that_nobody_reads() as process:
        process.send_signal(number)
        assert process.wait(PATIENCE) == 0


@pytest.mark.skipif(SANITIZED, reason="a sanitizer's own memory is counted, too")
def test_a_tail_that_nobody_reads_does_not_read_either():
    with tail_that_nobody_reads(["--json"]) as process:
        assert memory(process) < 24 * MEGABYTE
        assert seconds_of_work(process) < 5


# Terminals.


@pytest.mark.skipif(SANITIZED, reason="a sanitizer's own memory is counted, too")
@pytest.mark.parametrize("first", [False, True], ids=["later", "at the start"])
def test_a_size_that_no_terminal_has_is_not_believed(sit_down, first):
    def serve(one, _):
        one.send(welcome(), message(1, data="hello"))
        one.wait()

    with Server(serve) as server:
        ann = sit_down(server.port, "-u", "Ann", **({"columns": 10000, "rows": 10000} if first else {}))
        if not first:
            ann.until_connected()
            ann.set_size(10000, 10000)
        ann.press("typed")
        ann.until(lambda: b"typed" in ann.written, "what is typed")
        assert memory(ann.process) < 200 * MEGABYTE
        ann.resize(80, 24)
        ann.until_line(-1, "> typed")
        ann.press(control("u") + b"/quit" + ENTER)
        assert ann.wait() == 0 and ann.is_sane()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT])
def test_a_password_that_is_asked_for_line_by_line_leaves_the_echo_on(sit_down, number):
    def serve(one, _):
        one.send(line(type="error", code="password-required", data="A password, please.", **{"from": "server"}))
        one.wait()

    with Server(serve) as server:
        ann = sit_down(server.port, "-u", "Ann", TERM="dumb")
        ann.until(lambda: "Password:" in ann.text(), "the question")
        assert not ann.is_sane()
        if number in (signal.SIGINT, signal.SIGQUIT):
            ann.press(control("c") if number == signal.SIGINT else b"\x1c")
        else:
            ann.process.send_signal(number)
        ann.wait()
        assert ann.is_sane()


# People who are unlucky.


def test_who_comes_back_to_many_directs_has_read_them(make_hubbub, sit_down, tmp_path):
    """To mark one as read costs as much of the rate as four chats."""
    hubbub = make_hubbub(gateways=1, settings={"HUBBUB_RATE": "20", "HUBBUB_BURST": "40"})
    password = tmp_path / "password"
    password.write_text(PASSWORD + "\n")
    password.chmod(0o600)
    ann = hubbub.json("Ann")
    ann.send({"type": "register", "password": PASSWORD})
    ann.expect(type="registered")
    ann.send({"type": "leave"})
    ann.expect_closed()
    for name in ("Bob", "Carol"):
        friend = hubbub.json(name)
        for number in range(30):
            friend.send({"type": "direct", "to": "Ann", "data": f"{name} {number}", "ref": str(number)})
            friend.expect(type="ack")
        friend.close()
    back = sit_down(hubbub.port("json"), "-u", "Ann", rows=80, HUBBUB_PASSWORD_FILE=str(password))
    for name in ("Bob", "Carol"):
        back.until_shown(f"{name} 29")
    back.type("/quit")
    assert back.wait() == 0
    assert b"Too much at once" not in back.written
    again = hubbub.json("Ann", password=PASSWORD)
    again.sync()
    assert not again.has(type="direct")


@pytest.mark.parametrize("bytes_of_it", [b"\0", b"\xff\xfe\xfd", b"\x1b[31m\x1b]0;x\x07", b"a\x03\r\x03\r/quit\r",
                                         bytes(range(256)) * 40],
                         ids=["NUL", "not UTF-8", "escapes", "Ctrl-C and a command", "all"])
def test_a_paste_of_anything_is_only_text(sit_down, bytes_of_it):
    """It reaches no terminal, and nothing of it is said or obeyed before the person agrees."""
    asked = []

    def serve(one, _):
        one.send(welcome())
        asked.extend(one.wait())

    with Server(serve) as server:
        ann = sit_down(server.port, "-u", "Ann").until_connected()
        for _ in range(20):
            ann.press(b"\x1b[200~" + bytes_of_it + b"\x1b[201~")
            ann.until(lambda: ann.unread() == 0, "the end of the input")
        ann.press("n" + control("u").decode() + "typed")
        ann.until(lambda: ann.lines()[-1].endswith("typed") or "?" in ann.lines()[-1], "what is typed")
        assert b"\x1b]0;" not in ann.written
        ann.process.send_signal(signal.SIGTERM)
        assert ann.wait() == 0 and ann.is_sane()
    assert asked == ["who", "history", "rooms", "leave"]


def test_who_is_stopped_from_outside_goes_on(sit_down):
    def serve(one, _):
        one.send(welcome())
        one.sync()
        stopped.wait(PATIENCE)
        one.send(*[message(number, data=f"meanwhile {number}") for number in range(1, 5000)], marker())
        one.wait()

    stopped = threading.Event()
    with Server(serve) as server:
        ann = sit_down(server.port, "-u", "Ann").until_connected()
        ann.press("half")
        ann.process.send_signal(signal.SIGSTOP)
        stopped.set()
        ann.press(" typed")
        ann.process.send_signal(signal.SIGCONT)
        until_marked(ann)
        ann.until_line(-1, "> half typed")


def test_sizes_that_change_in_the_middle_of_a_flood(sit_down):
    def serve(one, _):
        one.send(welcome())
        one.sync()
        for number in range(1, 20000):
            one.send(message(number, data="word a\u0301 " * (number % 100)))
        one.send(marker())
        one.wait()

    with Server(serve) as server:
        ann = sit_down(server.port, "-u", "Ann").until_connected()
        ann.stream.feed = lambda data: None  # no terminal has these sizes
        for columns, rows in [(1, 1), (2, 3), (3, 2), (10000, 10000), (20, 3), (1, 60), (300, 1), (65535, 65535), (7, 7)]:
            ann.set_size(columns, rows)
            ann.press("x\x1b[")
            ann.read(0.1)
        del ann.stream.feed
        ann.resize(80, 24)
        until_marked(ann)
        ann.press(control("u") + b"typed")
        ann.until_line(-1, "> typed")


def test_who_comes_back_to_many_rooms_enters_them_within_the_rate(make_hubbub, sit_down):
    """To enter one costs as much of the rate as four chats, and so does what the client asks of it by itself."""
    hubbub = make_hubbub(gateways=2, settings={"HUBBUB_RATE": "20", "HUBBUB_BURST": "40"})
    rooms = [f"room-{number}" for number in range(12)]
    bob = hubbub.json("Bob", gateway=2, room=rooms[-1])
    ann = sit_down(hubbub.port("json"), "-u", "Ann", "-r", rooms[0]).until_connected()
    for room in rooms[1:]:
        ann.type(f"/join {room}")
        ann.until(lambda: ann.lines()[-2].startswith(f"[{room}]"), room)
    hubbub.gateways[0].kill()
    ann.until_shown("Trying again.")
    bob.chat("all there")
    hubbub.gateways[0].start()
    ann.until_said("Bob: all there")  # it is the last room that is entered
    assert b"Too much at once" not in ann.written
