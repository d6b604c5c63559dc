"""Limits that an installation sets, and how a gateway says goodbye."""

import json
import signal
import socket

import pytest

from conftest import ended, started
from hubbub import DIALECTS, PATIENCE, JsonClient, wait_for
from test_proxy import HEADER_SECONDS, V1, v2

OTHER = "127.0.0.77"


def test_who_does_not_log_in_is_closed(make_hubbub):
    hubbub = make_hubbub(1, {"HUBBUB_LOGIN_TIMEOUT": "1"})
    client = hubbub.connect("json")
    client.sync()
    client.expect_error("login-timeout")
    client.expect_closed()


def test_who_says_nothing_is_closed_where_the_listener_has_an_idle_limit_and_only_there(make_hubbub):
    hubbub = make_hubbub(1, listen_options={"line": "?idle=1"})
    patient, silent = hubbub.json("patient"), hubbub.line("silent")
    silent.expect_error("idle-timeout")
    silent.expect_closed()
    patient.sync()


def test_who_asks_too_much_is_limited_and_then_may_again(make_hubbub):
    hubbub = make_hubbub(1, {"HUBBUB_RATE": "4", "HUBBUB_BURST": "8"})
    client = hubbub.json("hasty")
    for n in range(20):
        client.chat(f"quick {n}", ref=str(n))
    answers = [client.expect(ref=str(n)) for n in range(20)]
    acks = [one for one in answers if one["type"] == "ack"]
    limited = [one for one in answers if one.get("code") == "rate-limited"]
    assert len(acks) + len(limited) == 20 and 4 <= len(acks) <= 16

    def again():
        client.chat("patiently", ref="again")
        return client.expect(ref="again")["type"] == "ack"

    wait_for(again, PATIENCE, "a chat is taken again")


def test_a_big_room_is_not_told_who_joined_and_left(make_hubbub):
    hubbub = make_hubbub(2, {"HUBBUB_NOTICE_MAX": "2"})
    first, second = hubbub.json("first", 1), hubbub.json("second", 2)
    first.expect(type="joined", **{"from": "second"})
    third = hubbub.json("third", 2)
    third.chat("I came quietly")
    first.expect(type="message", data="I came quietly")
    assert not first.has(type="joined", **{"from": "third"}) and not second.has(type="joined")


def test_a_gateway_that_is_told_to_end_says_so_answers_what_it_has_and_frees_its_names(own_hubbub):
    watcher, alice = own_hubbub.json("watcher", 2), own_hubbub.json("alice", 1)
    line = own_hubbub.line("line", 1)
    alice.chat("just before", ref="r")
    alice.expect(type="ack", ref="r")
    gateway = own_hubbub.gateways[0]
    gateway.kill(signal.SIGTERM)
    alice.expect_error("shutting-down")
    alice.expect_closed()
    line.expect_error("shutting-down")
    line.expect_closed()
    watcher.expect(type="left", **{"from": "alice"})
    watcher.expect(type="left", **{"from": "line"})
    assert gateway.process.wait(PATIENCE) == 0
    own_hubbub.json("alice", 2).chat("back at once")
    watcher.expect(type="message", data="back at once")


# How many

def taken(hubbub, *where, **how):
    """True if a new client may talk; it stays if so."""
    client = hubbub.connect(*where, **how)
    try:
        client.send({"type": "ping", "ref": "taken?"})
        client.expect(ref="taken?")
        return True
    except (AssertionError, OSError):  # it was told, and closed
        client.close()
        return False


def assert_full(client):
    """It is told that the server is full, in whatever words its dialect has, and nothing else (no greeting), and closed."""
    client.expect_closed()
    assert len(client.received) == 1 and not client.buffer
    assert any(words in str(client.received[0]) for words in ("server-full", "The server is full"))


def test_who_comes_when_the_server_is_full_is_told_so_and_may_come_when_one_has_left(make_hubbub):
    hubbub = make_hubbub(1, {"HUBBUB_MAX_CLIENTS": "3"})
    alice, silent, line = hubbub.json("alice"), hubbub.connect("json"), hubbub.line("line")
    silent.sync()
    for dialect in DIALECTS:
        assert_full(hubbub.connect(dialect, source=OTHER))
    alice.sync()
    line.sync()
    silent.close()
    wait_for(lambda: taken(hubbub, "json"), PATIENCE, "the place of one who left is free")
    assert_full(hubbub.connect("line"))


def test_what_a_client_sends_at_once_is_not_lost_on_it_when_the_server_is_full(make_hubbub):
    hubbub = make_hubbub(1, {"HUBBUB_MAX_CLIENTS": "1"})
    hubbub.json("first")
    for _ in range(20):
        client = hubbub.connect("json")
        client.send({"type": "join", "data": "second"})
        assert_full(client)


def test_an_address_has_so_many_connections_and_others_are_not_touched(make_hubbub):
    hubbub = make_hubbub(2, {"HUBBUB_MAX_PER_ADDRESS": "2"})
    hubbub.json("one")
    hubbub.line("two")
    for dialect in DIALECTS:
        assert_full(hubbub.connect(dialect))
    assert taken(hubbub, "json", source=OTHER) and taken(hubbub, "json", source=OTHER)
    assert_full(hubbub.connect("json", source=OTHER))
    assert taken(hubbub, "json", gateway=2)  # each gateway counts its own


def leave_by_closing(client):
    client.close()


def leave_by_resetting(client):
    client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    client.close()


def leave_by_asking(client):
    client.send({"type": "leave"})
    client.expect_closed()


def leave_by_mistakes(client):
    client.send_bytes(b"{]}\n" * 10)
    client.expect_closed()


def leave_by_a_fatal_one(client):
    client.send_bytes(b'{"x":"' + b"x" * 20000)
    client.expect_closed()


def leave_by_silence(client):
    client.expect_error("idle-timeout")


@pytest.mark.parametrize("leave", [leave_by_closing, leave_by_resetting, leave_by_asking, leave_by_mistakes,
                                   leave_by_a_fatal_one, leave_by_silence], ids=lambda leave: leave.__name__)
def test_whatever_way_somebody_leaves_the_place_is_free_again(make_full, leave):
    client = make_full()
    leave(client)
    wait_for(lambda: taken(make_full.hubbub, "json", gateway=1, source=OTHER), PATIENCE, "the place is free")


@pytest.fixture(scope="module")
def one_place():
    made = started(1, {"HUBBUB_MAX_PER_ADDRESS": "1"}, listen_options={"json": "?idle=3"})
    yield made
    ended(made)


@pytest.fixture
def make_full(one_place):
    """Called, it gives the one client that OTHER may have."""
    def make():
        client = one_place.connect("json", source=OTHER)
        client.send({"type": "join", "data": "only-one"})
        client.expect(type="welcome")
        assert_full(one_place.connect("json", source=OTHER))
        return client

    make.hubbub = one_place
    yield make
    for client in one_place.clients:
        client.close()
    wait_for(lambda: taken(one_place, "json", source=OTHER), PATIENCE, "the place is free for the next test")
    one_place.clients[-1].close()


def test_who_is_replaced_leaves_the_place(make_hubbub):
    hubbub = make_hubbub(2, {"HUBBUB_MAX_PER_ADDRESS": "1"})
    hubbub.json("mover", 1, key="k")
    hubbub.json("mover", 2, key="k")
    wait_for(lambda: taken(hubbub, "json", gateway=1), PATIENCE, "the old place is free")


def test_an_address_that_a_proxy_tells_counts_and_the_proxys_own_does_not(make_hubbub):
    hubbub = make_hubbub(1, {"HUBBUB_MAX_PER_ADDRESS": "1"}, listen_options={"json": "?proxy=1"})

    def person(header):
        client = hubbub.connect("json")
        client.send_bytes(header)
        return client

    first = person(V1)
    first.sync()
    assert_full(person(v2("192.0.2.1")))
    assert_full(person(v2("::ffff:192.0.2.1")))
    for n in range(2, 6):
        person(v2(f"192.0.2.{n}")).sync()
    first.close()

    def again():
        client = person(V1)
        client.send({"type": "ping"})
        client.receive(PATIENCE)
        return client.has(type="pong")

    wait_for(again, PATIENCE, "the person may come back")


def test_connections_that_wait_for_a_header_count_in_all_and_time_out(make_hubbub):
    hubbub = make_hubbub(1, {"HUBBUB_MAX_CLIENTS": "3"}, listen_options={"json": "?proxy=1"})
    waiting = [hubbub.connect("json") for _ in range(3)]
    waiting[0].send_bytes(V1)
    waiting[0].sync()  # one more place is not needed for who is in already
    assert_full(hubbub.connect("json"))
    assert_full(hubbub.connect("line"))
    for client in waiting[1:]:
        client.expect_closed(HEADER_SECONDS + 5)
    line = hubbub.connect("line")
    line.sync()
    waiting[0].sync()


def test_an_ipv4_address_is_the_same_through_a_listener_of_ipv6(make_hubbub):
    hubbub = make_hubbub(1, {"HUBBUB_MAX_PER_ADDRESS": "1"})
    gateway, port = hubbub.gateways[0], hubbub.taken.take()
    gateway.stop()
    gateway.settings["HUBBUB_LISTEN"] += f",json://[::]:{port}"
    gateway.start()
    client = JsonClient(port, OTHER)
    client.send({"type": "join", "data": "mapped"})
    client.expect(type="welcome")
    assert_full(hubbub.connect("json", source=OTHER))
    hubbub.wait_sql("SELECT host(ip_address) FROM sessions", OTHER)
    client.close()


def test_a_flood_of_refusals_fills_neither_the_log_nor_the_descriptors(make_hubbub):
    hubbub = make_hubbub(1, {"HUBBUB_MAX_CLIENTS": "2"})
    alice, bob = hubbub.json("alice"), hubbub.json("bob")
    flood = 1500
    links = [socket.create_connection(("127.0.0.1", hubbub.port("json")), PATIENCE) for _ in range(flood)]
    alice.chat("heard in the flood")
    bob.expect(type="message", data="heard in the flood")
    for link in links:
        link.close()
    log = hubbub.gateways[0].log_text()
    assert 1 <= log.count("event=client_refused") <= 30
    assert "limit=HUBBUB_MAX_CLIENTS" in log and log.count("\n") < 100


@pytest.mark.parametrize("mistake", [
    b'{"type":"chat"}', b'{"type":"dance"}', b'{"type":"join","data":"no name"}',
    b'{"type":"join","data":"fine","room":"no room"}', b"no request\n",
], ids=repr)
def test_ten_mistakes_in_a_row_of_any_kind_close_and_nine_do_not(hubbub, mistake):
    client = hubbub.connect("json")
    client.send_bytes(mistake * 9)
    client.sync()
    client.send_bytes(mistake * 9)
    client.sync()
    client.send_bytes(mistake * 10)
    client.expect_closed()
    assert len(client.has(type="error")) == 28


def test_ten_mistakes_that_are_found_only_late_close(hubbub):
    """That a `since` is of another lane is seen when the room was looked up, and these rooms are new."""
    client = hubbub.json("late-mistaken")
    elsewhere = int(client.welcome["id"]) | 63 << 14  # the lane of no room
    joins = [{"type": "join", "room": f"late-{n}", "since": f"{elsewhere}", "ref": f"{n}"} for n in range(26)]
    client.send_bytes("\n".join(map(json.dumps, joins)).encode())
    client.expect_closed()
    refused = [(one["code"], one["ref"]) for one in client.has(type="error")]
    assert refused == [("bad-request", f"{n}") for n in range(10)]


def test_ten_mistakes_close_in_the_dialect_line_too(hubbub):
    client = hubbub.connect("line")
    client.send_bytes(b"DANCE\n" * 3 + b"LOGIN\n" * 3 + b"LOGIN server\n" * 3)
    client.sync()
    client.send_bytes(b"DANCE\n" * 3 + b"LOGIN\n" * 3 + b"LOGIN server\n" * 3 + b"x" * 17000 + b"\nPING\n")
    client.expect_error("too-long")
    client.expect_closed()
    assert client.received.count("PONG") == 1


def test_what_is_not_a_mistake_never_closes(hubbub):
    client = hubbub.connect("json")
    hubbub.json("taken-name")
    for _ in range(12):
        client.send({"type": "chat", "data": "too early"})
        client.expect_error("login-required")
    for _ in range(12):
        client.send({"type": "join", "data": "taken-name"})
        client.expect_error("username-taken")
    client.sync()
