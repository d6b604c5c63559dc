"""The client in scripts: lines in, events out, and an exit status that tells the truth."""

import contextlib
import errno
import itertools
import json
import os
import signal
import socket
import subprocess
import threading
import time

import pytest

from client import CLIENT, address, environment, run, start
from hubbub import PATIENCE, wait_for
from relay import Relay

PASSWORD = "correct horse battery staple"
numbers = itertools.count(1)


def fresh(kind):
    """A name or a room that no other test has."""
    return f"{kind}-{next(numbers)}"


def texts(hubbub, room):
    return hubbub.sql(f"SELECT text FROM history WHERE room = '{room}' ORDER BY id").split("\n")


def said(hubbub, room, expected):
    hubbub.wait_sql(f"SELECT count(*) FROM history WHERE room = '{room}'", str(len(expected)))
    if expected:
        assert texts(hubbub, room) == expected


@contextlib.contextmanager
def running(port, *arguments, **options):
    process = start(port, *arguments, **options)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


class Lines:
    """What a program prints, line by line, as it comes."""

    def __init__(self, process):
        self.lines = []
        self.process = process
        self.thread = threading.Thread(target=self.read, daemon=True)
        self.thread.start()

    def read(self):
        for line in self.process.stdout:
            self.lines.append(line)

    def wait(self, count):
        wait_for(lambda: len(self.lines) >= count or self.process.poll() is not None, PATIENCE, f"{count} lines")
        return self.lines

    def end(self, seconds=PATIENCE):
        """Returns the status and what it said of errors, when it has ended by itself."""
        status = self.process.wait(seconds)
        self.thread.join(PATIENCE)
        return status, self.process.stderr.read().decode()


def listener(hubbub, room):
    """Somebody who sees who comes: a --tail is there when it is told of."""
    return hubbub.json(fresh("watcher"), room=room)


# What is said.


def test_a_line_that_is_piped_in_is_in_the_history(hubbub):
    command = f'echo "deploy done" | {CLIENT} -u ci-bot -r ops {address(hubbub.port("json"))}'
    done = subprocess.run(command, shell=True, env=environment(), capture_output=True, timeout=PATIENCE)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
    hubbub.wait_sql("SELECT room, sender, text FROM history WHERE room = 'ops'", "ops|ci-bot|deploy done")


def test_each_line_is_a_chat_and_empty_ones_are_none(hubbub):
    room = fresh("room")
    given = "one\n\n  two  \r\n \t\nüß 漢字\tend\nlast without a line end".encode()
    assert run(hubbub.port("json"), "-u", fresh("bot"), "-r", room, given=given) == (0, "")
    said(hubbub, room, ["one", "  two  ", "üß 漢字\tend", "last without a line end"])


def test_nothing_in_is_nothing_said(hubbub):
    assert run(hubbub.port("json"), "-u", fresh("bot"), given=b"") == (0, "")


def test_a_file_is_read_as_a_pipe_is(hubbub, tmp_path):
    room, file = fresh("room"), tmp_path / "lines"
    file.write_text("".join(f"line {number}\n" for number in range(300)))
    with open(file) as stdin, running(hubbub.port("json"), "-u", fresh("bot"), "-r", room, stdin=stdin) as process:
        assert process.communicate(timeout=PATIENCE) == (b"", b"") and process.returncode == 0
    said(hubbub, room, [f"line {number}" for number in range(300)])


def test_what_the_rate_limit_keeps_off_is_said_a_little_later(make_hubbub):
    hubbub = make_hubbub(gateways=1, settings={"HUBBUB_RATE": "20", "HUBBUB_BURST": "40"})
    lines = [f"line {number}" for number in range(70)]
    assert run(hubbub.port("json"), "-u", "bot", "-r", "ops", given="\n".join(lines).encode()) == (0, "")
    said(hubbub, "ops", lines)


# Why it is not.


def test_where_no_server_is_it_says_so():
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
        assert run(port, "-u", "bot", given=b"hello\n") == (1, f"hubbub: {address(port)}: Connection refused\n")


def test_an_address_of_ipv6_is_named_as_it_is_given():
    done = subprocess.run([CLIENT, "-u", "bot", "[::1]:1"], input=b"hello\n", env=environment(), capture_output=True,
                          timeout=PATIENCE)
    assert done.returncode == 1
    assert done.stderr in [f"hubbub: [::1]:1: {os.strerror(code)}\n".encode()
                           for code in (errno.ECONNREFUSED, errno.EADDRNOTAVAIL)]  # the other where IPv6 is off


def test_a_help_that_cannot_be_printed_says_so():
    with open("/dev/full", "wb") as full:
        done = subprocess.run([CLIENT, "--help"], stdout=full, stderr=subprocess.PIPE, env=environment())
    assert (done.returncode, done.stderr) == (1, b"hubbub: standard output cannot be written: No space left on device\n")


def test_a_server_that_is_something_else_is_told_so(hubbub):
    status, why = run(hubbub.port("prompt"), "-u", "bot", given=b"hello\n", seconds=40)
    assert status == 1 and why.count("\n") == 1


def test_a_name_that_is_taken(hubbub):
    room, name = fresh("room"), fresh("bot")
    hubbub.json(name)
    assert run(hubbub.port("json"), "-u", name, "-r", room, given=b"hello\n") == \
        (1, f"hubbub: The name {name} is taken.\n")
    said(hubbub, room, [])


@pytest.fixture(scope="module")
def account(hubbub):
    """A name with a password, whose owner is away."""
    owner = hubbub.json("robot")
    owner.send({"type": "register", "password": PASSWORD})
    owner.expect(type="registered")
    owner.send({"type": "exit"})
    owner.close()
    return "robot"


def secret_file(directory, content=PASSWORD + "\n", mode=0o600):
    path = directory / "password"
    path.write_text(content)
    path.chmod(mode)
    return str(path)


def test_a_password_comes_from_a_file(hubbub, account, tmp_path):
    room = fresh("room")
    assert run(hubbub.port("json"), "-u", account, "-r", room, given=b"by password\n",
               HUBBUB_PASSWORD_FILE=secret_file(tmp_path)) == (0, "")
    said(hubbub, room, ["by password"])


def test_a_password_that_is_missing_or_wrong(hubbub, account, tmp_path):
    room = fresh("room")
    status, why = run(hubbub.port("json"), "-u", account, "-r", room, given=b"hello\n")
    assert status == 1 and why.count("\n") == 1 and "password" in why
    status, why = run(hubbub.port("json"), "-u", account, "-r", room, given=b"hello\n",
                      HUBBUB_PASSWORD_FILE=secret_file(tmp_path, "something else\n"))
    assert status == 1 and why.count("\n") == 1 and "password" in why
    said(hubbub, room, [])


def test_a_password_that_others_may_read_is_not_used(hubbub, account, tmp_path):
    status, why = run(hubbub.port("json"), "-u", account, given=b"hello\n",
                      HUBBUB_PASSWORD_FILE=secret_file(tmp_path, mode=0o644))
    assert status == 2 and why.count("\n") == 1 and "chmod 600" in why


BAD_LINES = {
    "too long": b"x" * 4097,
    "longer than a buffer": b"x" * 200000,
    "not UTF-8": b"caf\xe9",
    "NUL": b"a\0b",
    "an escape": b"a\033]0;b",
    "C1": "a\u009bb".encode(),
}


@pytest.mark.parametrize("line", BAD_LINES.values(), ids=BAD_LINES.keys())
def test_a_line_that_cannot_be_said_ends_it_behind_those_before(hubbub, line):
    room = fresh("room")
    status, why = run(hubbub.port("json"), "-u", fresh("bot"), "-r", room, given=b"good\n" + line + b"\nlater\n")
    assert status == 1 and why.startswith("hubbub: line 2 cannot be said: ") and why.count("\n") == 1
    assert why.rstrip("\n").isprintable()
    said(hubbub, room, ["good"])


def test_an_input_that_cannot_be_read(hubbub):
    directory = os.open("/", os.O_RDONLY)
    try:
        with running(hubbub.port("json"), "-u", fresh("bot"), stdin=directory) as process:
            assert process.communicate(timeout=PATIENCE) == (b"", b"hubbub: standard input cannot be read: Is a directory\n")
            assert process.returncode == 1
    finally:
        os.close(directory)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_who_interrupts_is_told_what_was_said(hubbub, number):
    room = fresh("room")
    with running(hubbub.port("json"), "-u", fresh("bot"), "-r", room, stdin=subprocess.PIPE) as process:
        process.stdin.write(b"one\ntwo\n")
        process.stdin.flush()
        said(hubbub, room, ["one", "two"])
        process.send_signal(number)
        said_out, why = process.communicate(timeout=PATIENCE)
    assert (process.returncode, said_out, why) == (128 + number, b"", b"hubbub: interrupted; the lines up to 2 were said\n")


def test_a_server_that_ends_for_good_meanwhile_is_waited_for(own_hubbub):
    """Interrupted while it waits: what was not answered is not counted as said."""
    room = fresh("room")
    with running(own_hubbub.port("json"), "-u", "bot", "-r", room, stdin=subprocess.PIPE) as process:
        process.stdin.write(b"one\n")
        process.stdin.flush()
        said(own_hubbub, room, ["one"])
        own_hubbub.gateways[0].kill()
        process.stdin.write(b"two\n")
        process.stdin.close()
        process.stdin = None
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(2)
        process.send_signal(signal.SIGINT)
        assert process.communicate(timeout=PATIENCE)[1] == b"hubbub: interrupted; the lines up to 1 were said\n"
        assert process.returncode == 130
    own_hubbub.gateways[0].start()
    said(own_hubbub, room, ["one"])


# What is heard.


def test_tail_prints_what_happens(hubbub):
    room, name = fresh("room"), fresh("tail")
    ann = listener(hubbub, room)
    with running(hubbub.port("json", 2), "--tail", "-u", name, "-r", room) as process:
        lines = Lines(process)
        ann.expect(type="joined", **{"from": name})
        ann.chat("hello")
        ann.chat("two\nlines of it")
        ann.send({"type": "direct", "to": name, "data": "psst"})
        lines.wait(4)
        process.send_signal(signal.SIGINT)
        assert lines.end() == (0, "")
    rest = [line.decode().rstrip("\n").split(" ", 1)[1] for line in lines.lines]
    who = rest[0].split(" ")[1].rstrip(":")
    assert rest == [f"{room} {who}: hello", f"{room} {who}: two", f"{room} {who}: lines of it", f"> {who}: psst"]
    assert all(line.decode().split(" ")[0].endswith("Z") for line in lines.lines)


def test_tail_prints_json_in_ascii(hubbub):
    room, name = fresh("room"), fresh("tail")
    ann = listener(hubbub, room)
    with running(hubbub.port("json", 2), "--tail", "--json", "-u", name, "-r", room) as process:
        lines = Lines(process)
        ann.expect(type="joined", **{"from": name})
        ann.chat('é 漢字 😀 "quoted"\nand more', ref="r")
        ack = ann.expect(type="ack", ref="r")
        ann.send({"type": "direct", "to": name, "data": "psst"})
        lines.wait(2)  # a direct and the room have no order
        bob = hubbub.json(fresh("bob"), room=room)
        ann.expect(type="joined")
        bob.close()
        lines.wait(4)
        process.send_signal(signal.SIGTERM)
        assert lines.end() == (0, "")
    assert all(byte < 0x80 for line in lines.lines for byte in line)
    events = [json.loads(line) for line in lines.lines]
    assert [event["type"] for event in events] == ["message", "direct", "joined", "left"]
    message = events[0]
    assert message["data"] == 'é 漢字 😀 "quoted"\nand more' and message["room"] == room and message["id"] == ack["id"]
    assert message["at"].endswith("Z") and events[1]["to"] == name and events[1]["data"] == "psst"
    assert "id" not in events[2]


def test_since_goes_on_without_a_gap(hubbub):
    room = fresh("room")
    ann = listener(hubbub, room)
    for number in range(600):  # more than a gateway remembers
        ann.chat(f"line {number}", ref=str(number))
    first = ann.expect(type="ack", ref="0")["id"]
    ann.expect(type="ack", ref="599")
    name = fresh("tail")
    with running(hubbub.port("json", 2), "--tail", "--json", "-u", name, "-r", room, "--since", first) as process:
        lines = Lines(process)
        ann.expect(type="joined", **{"from": name})
        ann.chat("live")
        lines.wait(600)
        process.send_signal(signal.SIGINT)
        assert lines.end() == (0, "")
    assert [json.loads(line)["data"] for line in lines.lines] == [f"line {n}" for n in range(1, 600)] + ["live"]


def test_a_since_that_is_no_id_of_the_room(hubbub):
    status, why = run(hubbub.port("json"), "--tail", "-u", fresh("tail"), "--since", "1")
    assert status == 1 and why.count("\n") == 1 and why.startswith("hubbub: ")


def test_a_full_disk_ends_the_tail(hubbub):
    room, name = fresh("room"), fresh("tail")
    ann = listener(hubbub, room)
    with open("/dev/full", "wb") as full, \
            running(hubbub.port("json"), "--tail", "-u", name, "-r", room, stdout=full) as process:
        ann.expect(type="joined", **{"from": name})
        ann.chat("hello")
        assert process.wait(PATIENCE) == 1
        assert process.stderr.read() == b"hubbub: standard output cannot be written: No space left on device\n"
    ann.expect(type="left", **{"from": name})


def test_a_reader_who_has_seen_enough_ends_the_tail(hubbub):
    """`hubbub --tail | head -1`: it ends when its reader does, not when the next line comes."""
    room, name = fresh("room"), fresh("tail")
    ann = listener(hubbub, room)
    with running(hubbub.port("json"), "--tail", "-u", name, "-r", room) as process:
        ann.expect(type="joined", **{"from": name})
        ann.chat("hello")
        assert process.stdout.readline().endswith(b": hello\n")
        process.stdout.close()
        assert process.wait(PATIENCE) == 0
        assert process.stderr.read() == b""
        process.stdout = None
    ann.expect(type="left", **{"from": name})


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_without_its_standard_files_it_ends_and_touches_no_other(hubbub, closed):
    room, name = fresh("room"), fresh("tail")
    ann = listener(hubbub, room)
    command = f"exec {CLIENT} --tail -u {name} -r {room} {address(hubbub.port('json'))} {closed}"
    process = subprocess.Popen(["sh", "-c", command], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                               stderr=subprocess.PIPE, env=environment())
    try:
        ann.expect(type="joined", **{"from": name})
        ann.chat("hello")
        ann.sync()
        if ">&-" in closed.replace("2>&-", ""):
            assert process.wait(PATIENCE) == 1
        else:
            process.send_signal(signal.SIGINT)
            assert process.wait(PATIENCE) == 0
    finally:
        process.kill()
        errors = process.communicate()[1]
    assert errors in (b"", b"hubbub: standard output cannot be written: Bad file descriptor\n")
    assert ann.has(type="message") == []


# On bad days.


class Front:
    """Where a connection goes to: a gateway that runs, if there is one, each time the other one."""

    def __init__(self, hubbub):
        self.hubbub, self.last = hubbub, 0

    @property
    def port(self):
        for _ in self.hubbub.gateways:
            self.last = self.last % len(self.hubbub.gateways) + 1
            if self.hubbub.gateways[self.last - 1].alive():
                break
        return self.hubbub.port("json", self.last)


@pytest.mark.alongside(90)
def test_ten_thousand_lines_are_ten_thousand_rows_while_gateways_are_restarted(make_hubbub, record_property):
    """Killed or told to end, in turn, and always the one that has the client; somebody listens the same way."""
    hubbub = make_hubbub()
    lines = [f"line {number:05} {'.' * 90}" for number in range(10000)]
    front, other = Front(hubbub), Front(hubbub)
    restarts = 0
    begun = time.monotonic()
    with Relay(front) as relay, Relay(other) as behind, \
            running(behind.port, "--tail", "--json", "-u", "tail", "-r", "ops") as tail, \
            running(relay.port, "-u", "ci-bot", "-r", "ops", stdin=subprocess.PIPE) as bot:
        heard = Lines(tail)
        watcher = hubbub.json("watcher", room="ops")
        wait_for(lambda: (watcher.send({"type": "who", "room": "ops"}) or
                          set(watcher.expect(type="who")["users"]) >= {"tail"}), PATIENCE, "the tail is there")
        for start_at in range(0, 10000, 1000):
            # The pipe and the client hold about 1,300 of these lines: what was taken before is said or under way.
            bot.stdin.write("".join(line + "\n" for line in lines[start_at:start_at + 1000]).encode())
            bot.stdin.flush()
            if start_at % 2000 == 1000 or start_at == 6000:
                gateway = hubbub.gateways[front.last - 1]
                if restarts % 2:
                    assert gateway.stop() == 0
                else:
                    gateway.kill()
                gateway.start()
                restarts += 1
        bot.stdin.close()
        bot.stdin = None
        status, errors = bot.wait(300), bot.stderr.read()
        assert (status, errors) == (0, b"")
        hubbub.wait_sql("SELECT count(*) FROM history WHERE room = 'ops'", "10000")
        assert texts(hubbub, "ops") == lines
        wait_for(lambda: any(lines[-1].encode() in line for line in heard.lines[-10:]) or tail.poll() is not None,
                 60, "the tail has heard the last line")
        tail.send_signal(signal.SIGINT)
        assert heard.end() == (0, "")
    events = [json.loads(line) for line in heard.lines]
    messages = [event["data"] for event in events if event["type"] == "message"]
    assert messages == lines and not [event for event in events if event["type"] == "gap"]
    record_property("counts", f"10000 lines, 10000 rows in order, heard by a tail; {restarts} gateways restarted in "
                              f"{time.monotonic() - begun:.0f} s")
