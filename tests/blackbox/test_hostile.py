"""Clients that are broken or mean: they get an error or are closed, nothing is leaked, and nobody else notices."""

import json
import os
import socket
import struct
import threading
import time

import pytest

from hubbub import BUILD, PATIENCE, wait_for

REQUEST_MAX = 16384
MIB = 1024 * 1024


def is_sanitized():
    with open(os.path.join(BUILD, "gateway/hubbub-gateway"), "rb") as binary:
        return b"libasan" in binary.read()


def descriptors(gateway):
    return len(os.listdir(f"/proc/{gateway.pid}/fd"))


def resident(gateway):
    """Bytes of memory."""
    with open(f"/proc/{gateway.pid}/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def processor_seconds(gateway):
    with open(f"/proc/{gateway.pid}/stat") as file:
        fields = file.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def vanish(client):
    """Resets the connection instead of closing it."""
    client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.close()


def object_of(size):
    head, tail = b'{"type":"ping","ref":"big","x":"', b'"}'
    return head + b"x" * (size - len(head + tail)) + tail


def send_until_closed(client, data, most):
    """Sends `data` again and again, `most` bytes in all; true if the other side had enough before that."""
    sent = 0
    try:
        while sent < most:
            client.send_bytes(data)
            sent += len(data)
    except (BrokenPipeError, ConnectionResetError):
        return True
    return False


@pytest.mark.parametrize("start", [b'{"type":"chat","data":"', b"[", b"{" * 10, b" " * 10, b"hello"], ids=repr)
def test_a_request_that_never_ends_is_too_long_and_takes_no_memory(hubbub, start):
    watcher, client = hubbub.json("endless-watcher"), hubbub.connect("json")
    before = resident(hubbub.gateways[0])
    client.send_bytes(start)
    send_until_closed(client, b"x" * 65536, 16 * MIB)
    client.close()
    watcher.sync()
    assert resident(hubbub.gateways[0]) - before < 4 * MIB or is_sanitized()
    watcher.send({"type": "leave"})
    watcher.expect_closed()


def test_a_line_that_never_ends_takes_no_memory(hubbub):
    watcher, client = hubbub.line("endless-line-watcher"), hubbub.connect("line")
    before = resident(hubbub.gateways[0])
    client.send_bytes(b"LOGIN ")
    send_until_closed(client, b"x" * 65536, 16 * MIB)
    client.close()
    watcher.sync()
    assert resident(hubbub.gateways[0]) - before < 4 * MIB or is_sanitized()


def test_the_largest_object_can_come_byte_by_byte_without_being_scanned_again_and_again(hubbub):
    client, data = hubbub.connect("json"), object_of(REQUEST_MAX)
    client.sync()
    before = processor_seconds(hubbub.gateways[0])
    for n in range(len(data)):
        client.send_bytes(data[n:n + 1])
    client.expect(type="pong", ref="big")
    # 16,384 reads; to scan all anew at each would be 134 million steps of an automaton more.
    spent = processor_seconds(hubbub.gateways[0]) - before
    assert spent < (6 if is_sanitized() else 0.6), f"{spent} s of processor time"


@pytest.mark.parametrize("name", [
    "Server", "\u017ferver", "ｓｅｒｖｅｒ", "𝓼𝓮𝓻𝓿𝓮𝓻", "ˢᵉʳᵛᵉʳ", "ⓢⓔⓡⓥⓔⓡ", "server\u200b", "ser\u00adver", "server ", "\u202eserver",
    "\x1b[31mred", "a\x00b", "x" * 33, "é" * 33,
], ids=ascii)
def test_a_name_that_looks_like_the_servers_or_harms_a_terminal_is_refused(hubbub, name):
    client = hubbub.connect("json")
    client.send({"type": "join", "data": name, "ref": "r"})
    answer = client.expect(ref="r") if "\x00" not in name else client.expect(type="error")
    assert answer["type"] == "error" and answer["code"] in ("username-invalid", "bad-request")
    client.sync()


def test_escapes_of_a_terminal_are_refused_in_texts_and_rooms(hubbub):
    client = hubbub.json("escape-alice")
    for request in ({"type": "chat", "data": "\x1b]0;title\x07"}, {"type": "chat", "data": "\x9b31m"},
                    {"type": "join", "room": "\x1b[2J"}, {"type": "chat", "data": "x", "room": "\x1b[2J"}):
        client.send({**request, "ref": "r"})
        assert client.expect(type="error", ref="r")["code"] in ("bad-request", "room-invalid", "not-in-room")


def test_no_escape_that_a_client_sent_reaches_the_log_raw(hubbub):
    client = hubbub.connect("line")
    client.send_bytes(b"LOGIN \x1b[31m\n\x1b]0;x\x07\nLOGIN log-alice\nMSG \x1b[2J\nJOIN \x1b[2J\nQUIT\n")
    client.expect_closed()
    text = hubbub.gateways[0].all_logs()
    assert not [one for one in text if ord(one) < 32 and one != "\n"]


@pytest.mark.parametrize("data", [b"", b"{", b'{"type":"chat","da', b'{"type":"chat","data":"x"}' * 50,
                                  b'{"type":"who"}{"type":"rooms"}{"type":"join","room":"r"}'], ids=repr)
def test_who_vanishes_by_a_reset_is_gone(hubbub, data):
    watcher, client = hubbub.json("reset-watcher"), hubbub.json("reset-alice", 2)
    watcher.expect(type="joined", **{"from": "reset-alice"})
    client.send_bytes(data)
    vanish(client)
    watcher.expect(type="left", **{"from": "reset-alice"})
    watcher.send({"type": "leave"})
    watcher.expect_closed()


def test_many_who_vanish_at_every_point_of_a_log_in_leave_no_name_and_no_descriptor_behind(hubbub):
    gateway = hubbub.gateways[0]
    watcher = hubbub.json("vanish-watcher")
    before = descriptors(gateway)
    login = b'{"type":"join","data":"vanish-%d","room":"vanish"}{"type":"chat","data":"x","ref":"r"}'
    for n in range(300):
        client = hubbub.connect("json")
        client.send_bytes((login % n)[:n % (len(login) + 10)] if n % 3 else login % n)
        if n % 2:
            client.receive(0.001 * (n % 7))
        (vanish if n % 4 < 2 else type(client).close)(client)
    wait_for(lambda: descriptors(gateway) <= before, PATIENCE, "all descriptors are closed")

    def nobody():
        watcher.send({"type": "who", "room": "vanish"})
        return watcher.expect(type="who")["count"] == 0

    wait_for(nobody, PATIENCE, "nobody is in the room any more")
    hubbub.wait_sql("SELECT count(*) FROM online WHERE name LIKE 'vanish-%' AND name <> 'vanish-watcher'", "0")


@pytest.mark.alongside(12)
def test_two_thousand_connects_a_second_disturb_nobody_and_leak_nothing(make_hubbub, record_property):
    hubbub = make_hubbub()
    gateway, port = hubbub.gateways[0], hubbub.port("json")
    alice, bob = hubbub.json("alice"), hubbub.json("bob", 2)
    before, memory, seconds = descriptors(gateway), resident(gateway), 4
    counts = [0] * 4

    def storm(mine):
        begun = time.monotonic()
        while time.monotonic() - begun < seconds:
            if counts[mine] > (time.monotonic() - begun) * 2000 / len(counts):
                time.sleep(0.001)
                continue
            with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as link:
                if counts[mine] % 2:
                    link.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            counts[mine] += 1

    threads = [threading.Thread(target=storm, args=(n,)) for n in range(len(counts))]
    for thread in threads:
        thread.start()
    slowest = said = 0
    while any(thread.is_alive() for thread in threads):
        begun = time.monotonic()
        said += 1
        alice.chat("through the storm", ref=str(said))
        alice.expect(type="ack", ref=str(said))
        bob.expect(type="message")
        slowest = max(slowest, time.monotonic() - begun)
    wait_for(lambda: descriptors(gateway) <= before, PATIENCE, "all descriptors are closed")
    record_property("counts", f"{sum(counts) / seconds:.0f} connects a second for {seconds} s; the slowest chat of "
                              f"{said} took {slowest * 1000:.0f} ms")
    assert slowest < 10
    assert resident(gateway) - memory < 16 * MIB or is_sanitized()


@pytest.mark.alongside(80)
def test_who_never_reads_is_closed_after_60_s_and_costs_little_until_then(make_hubbub, record_property):
    hubbub = make_hubbub(1)
    gateway = hubbub.gateways[0]
    alice, bob = hubbub.json("alice"), hubbub.json("bob")
    deaf = hubbub.connect("json")
    deaf.send({"type": "join", "data": "deaf"})
    alice.expect(type="joined", **{"from": "deaf"})
    before, said = resident(gateway), 0
    begun = time.monotonic()

    def talk():
        nonlocal said
        for n in range(100):
            alice.chat("x" * 4000, ref=str(said + n))
        for n in range(100):
            alice.expect(type="ack", ref=str(said + n))
            bob.expect(type="message")
        alice.received.clear()
        bob.received.clear()
        said += 100

    while said < 5000:
        talk()
    # 20 MB were said: what the kernel did not take and is more than 1 MiB is not kept for the one who does not read.
    grown = resident(gateway) - before
    assert grown < 8 * MIB or is_sanitized(), f"{grown} bytes for {said} chats"

    def is_gone():
        alice.receive(0.5)
        return alice.has(type="left", **{"from": "deaf"})

    wait_for(is_gone, 75, "who does not read is closed")
    seconds = time.monotonic() - begun
    assert "reason=slow-consumer" in gateway.log_text()
    record_property("counts", f"who never reads: {grown // 1024} KiB for {said} chats of 4,000 bytes, "
                              f"closed after {seconds:.0f} s")
    talk()


def test_who_reads_late_misses_nothing(hubbub):
    """Longer behind than the socket and the gateway's buffer for it hold, then at the head again, once and in order."""
    room, chats = "late", 1500
    alice, late = hubbub.json("late-alice", 1, room=room), hubbub.json("late-bob", 2, room=room)
    for n in range(chats):
        alice.chat(f"{n} " + "x" * 3990, ref=str(n), room=room)
        if n % 100 == 99:
            alice.expect(type="ack", ref=str(n))
    for n in range(chats):
        assert late.expect(type="message")["data"].split(" ")[0] == str(n)
    alice.chat("live again", room=room)
    late.expect(type="message", data="live again")
    assert len(late.has(type="message")) == chats + 1


def test_a_flood_of_requests_by_one_does_not_keep_others_waiting(hubbub):
    """A client that sends faster than it can be answered has its turns, and others have theirs."""
    flooder, alice, bob = hubbub.connect("json"), hubbub.json("flood-alice"), hubbub.json("flood-bob", 2)
    stop = threading.Event()

    def flood():
        flooder.socket.settimeout(0.2)
        while not stop.is_set():
            try:
                flooder.socket.sendall(b'{"type":"ping"}' * 1000)
                flooder.socket.recv(1 << 20)
            except (TimeoutError, socket.timeout):
                pass

    thread = threading.Thread(target=flood)
    thread.start()
    try:
        slowest = 0
        for n in range(100):
            begun = time.monotonic()
            alice.chat("in between", ref=str(n))
            alice.expect(type="ack", ref=str(n))
            bob.expect(type="message")
            slowest = max(slowest, time.monotonic() - begun)
    finally:
        stop.set()
        thread.join()
    flooder.close()
    assert slowest < 10, f"a chat took {slowest} s"
