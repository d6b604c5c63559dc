"""Directs: to one user, wherever that user is, and to nobody else."""

import signal
import threading
import time

import pytest

from hubbub import PATIENCE, wait_for
from relay import Relay, through

REAP_SECONDS = 40  # a gateway that is silent for 15 s is taken for dead


def direct(client, to, text, ref):
    """Sends one; returns the id under which it was accepted."""
    client.send({"type": "direct", "to": to, "data": text, "ref": ref})
    return client.expect(type="ack", ref=ref)["id"]


def answer_to(client, ref):
    """Whichever it is."""
    return client.take(lambda one: one.get("ref") == ref, f"an answer to {ref}", PATIENCE)


def direct_when_possible(client, to, text, ref):
    """Sends one as often as it takes; returns the id under which it was accepted."""
    def acknowledged():
        client.send({"type": "direct", "to": to, "data": text, "ref": ref})
        answer = answer_to(client, ref)
        assert answer["type"] == "ack" or answer["code"] in ("unavailable", "no-such-user"), answer
        return answer.get("id")

    return wait_for(acknowledged, 30, "the direct is acknowledged")


def log_out(client):
    client.send({"type": "leave"})
    client.expect(type="exited")
    client.expect_closed()


def test_a_direct_reaches_its_user_on_any_gateway_and_nobody_else(hubbub):
    alice, carol = hubbub.json("to-alice", 1), hubbub.json("to-carol", 2)
    for gateway in (1, 2):
        bob = hubbub.json("to-bob", gateway)
        number = direct(alice, "To-BOB", f"psst {gateway}", f"r{gateway}")
        got = bob.expect(type="direct")
        assert (got["from"], got["to"], got["data"], got["id"]) == ("to-alice", "To-BOB", f"psst {gateway}", number)
        assert got["at"].endswith("Z")
        log_out(bob)
    carol.sync(), alice.sync()
    assert not [one for one in carol.received + alice.received if "psst" in str(one.get("data"))]


def test_directs_are_stored_and_shown_in_their_own_view(hubbub):
    alice, bob = hubbub.json("row-alice", 1), hubbub.json("row-bob", 2)
    number = direct(alice, "row-bob", "one\ntwo", "r")
    bob.expect(type="direct", id=number)
    hubbub.wait_sql(f"select sender, recipient, text, is_read from directs where id = {number}",
                    "row-alice|row-bob|one\ntwo|f")
    assert hubbub.sql(f"select count(*) from history where id = {number}") == "0"
    assert hubbub.sql("select * from audit") == ""


def test_line_sends_and_gets_directs(hubbub):
    naman, alice = hubbub.line("dm-naman", 1), hubbub.json("dm-alice", 2)
    naman.send("DM dm-alice  two  words ")
    assert alice.expect(type="direct", **{"from": "dm-naman"})["data"] == " two  words "
    direct(alice, "dm-naman", "one\nDM dm-forged two", "r")
    naman.expect("DM dm-alice one")
    naman.expect("DM dm-alice DM dm-forged two")
    naman.send("DM dm-nobody hello")
    naman.expect_error("no-such-user")
    naman.send("DM dm-alice")
    naman.expect_error("bad-request")
    naman.sync()
    assert not [line for line in naman.received if line.startswith("OK") and line != "OK"]


def test_a_user_who_is_not_there_is_no_such_user(hubbub):
    alice = hubbub.json("none-alice")
    for to in ("none-bob", "no name", "", "server", "x" * 33, "a\nb"):
        alice.send({"type": "direct", "to": to, "data": "hello", "ref": to[:64]})
        alice.expect_error("no-such-user", ref=to[:64])
    for request in ({"type": "direct", "data": "x"}, {"type": "direct", "to": "none-alice"},
                    {"type": "direct", "to": 1, "data": "x"}, {"type": "direct", "to": "none-alice", "data": "\x07"},
                    {"type": "direct", "to": "none-alice", "data": ""}):
        alice.send(request)
        alice.expect_error("bad-request")
    alice.sync()


def test_a_direct_to_oneself_arrives(hubbub):
    alice = hubbub.json("self-alice")
    number = direct(alice, "self-alice", "note", "r")
    assert alice.expect(type="direct")["id"] == number


def test_a_retry_is_one_direct_also_when_the_recipient_has_left(hubbub):
    alice, bob = hubbub.json("again-alice", 1), hubbub.json("again-bob", 2)
    number = direct(alice, "again-bob", "once", "r")
    assert direct(alice, "again-bob", "once", "r") == number
    bob.expect(type="direct", id=number)
    log_out(bob)
    assert direct(alice, "AGAIN-bob", "once", "r") == number
    alice.send({"type": "direct", "to": "again-bob", "data": "another", "ref": "r"})
    alice.expect_error("no-such-user", ref="r")
    assert len(bob.has(type="direct")) == 1


def test_a_name_that_changes_hands_takes_no_mail_along(hubbub):
    """What was acknowledged before the second Bob asked for the name is not for him; he gets all that comes after."""
    alice = hubbub.json("hands-alice", 1)
    for turn, gateway in enumerate((1, 2, 1)):
        bob = hubbub.json("hands-bob", gateway)
        for n in range(20):
            alice.send({"type": "direct", "to": "hands-bob", "data": f"first {n}", "ref": f"{turn}-{n}"})
        alice.expect(type="ack", ref=f"{turn}-9")
        log_out(bob)
        for n in set(range(20)) - {9}:
            answer_to(alice, f"{turn}-{n}")
        before = {one["id"] for one in alice.has(type="ack")}
        second = hubbub.json("hands-bob", 1)
        number = direct(alice, "hands-bob", "second", f"second-{turn}")
        second.expect(type="direct", id=number)
        assert len(before) >= 10 and not before & {one["id"] for one in second.has(type="direct")}
        log_out(second)


@pytest.fixture
def relay(own_hubbub):
    """Is between the second gateway and Redis."""
    with Relay(own_hubbub.redis) as made:
        through(made, own_hubbub.gateways[1])
        yield made
        made.open()
        for client in own_hubbub.clients:
            client.close()
        own_hubbub.gateways[1].stop()  # which takes long without Redis; its status is looked at later


def ask_for(hubbub, name, gateway):
    """Somebody who asks for the name, and has no answer yet."""
    client = hubbub.connect("json", gateway)
    client.send({"type": "join", "data": name})
    return client


def join_when_free(client, name):
    def welcome():
        client.send({"type": "join", "data": name, "ref": "join"})
        answer = answer_to(client, "join")
        assert answer["type"] == "welcome" or answer["code"] == "username-taken", answer
        return answer["type"] == "welcome"

    wait_for(welcome, REAP_SECONDS, "the name is free")


def assert_gets_only(client, name, writer, text):
    """A direct that is written now comes, and behind whatever came before: there was none."""
    number = direct(writer, name, text, text)
    client.expect(type="direct", id=number)
    assert client.has(type="direct") == client.has(id=number)


def test_who_asked_for_a_name_gets_nothing_that_its_holder_got_meanwhile(own_hubbub, relay):
    """The second zed's claim is on its way to Redis while carol writes to the first, who is gone when it arrives."""
    first, carol = own_hubbub.json("zed", 1), own_hubbub.json("carol", 1)
    relay.to_redis.shut(b"claim_")
    second = ask_for(own_hubbub, "zed", 2)
    relay.to_redis.wait_caught()
    number = direct(carol, "zed", "for the first", "r")
    first.expect(type="direct", id=number)
    log_out(first)
    relay.to_redis.open()
    second.expect(type="welcome")
    assert_gets_only(second, "zed", carol, "for the second")


def test_what_a_gateway_hears_late_is_not_for_who_has_the_name_by_then(own_hubbub, relay):
    """What Redis says to the second gateway is on its way while a name changes hands.  The gateway knows the holder's
    inbox, since somebody asked for his name in vain; he asks again before the change, and another person after it."""
    bob, carol = own_hubbub.json("bob", 1), own_hubbub.json("carol", 1)
    suitor = ask_for(own_hubbub, "bob", 2)
    suitor.expect_error("username-taken")
    relay.to_gateway.shut(b"TAKEN")
    suitor.send({"type": "join", "data": "bob", "ref": "again"})
    relay.to_gateway.wait_caught()
    relay.to_gateway.shut()
    number = direct(carol, "bob", "for the first", "r")
    bob.expect(type="direct", id=number)
    log_out(bob)
    relay.to_redis.shut(b"u:bob")
    second = ask_for(own_hubbub, "bob", 2)
    relay.to_redis.wait_caught()  # it asks which of bob's directs is the newest
    relay.to_redis.open()
    relay.to_gateway.open()
    suitor.expect_error("username-taken", ref="again")
    second.expect(type="welcome")
    assert_gets_only(second, "bob", carol, "for the second")
    assert not suitor.has(type="direct")


@pytest.mark.alongside(25)
def test_who_was_taken_for_dead_gets_nothing_that_the_next_holder_of_the_name_got(make_hubbub):
    hubbub = make_hubbub(2)
    first, carol, second = hubbub.json("zed", 1), hubbub.json("carol", 2), hubbub.connect("json", 2)
    hubbub.gateways[0].kill(signal.SIGSTOP)
    join_when_free(second, "zed")
    number = direct(carol, "zed", "for the second", "r")
    second.expect(type="direct", id=number)
    log_out(second)
    hubbub.gateways[0].kill(signal.SIGCONT)
    number = direct_when_possible(carol, "zed", "for the first", "s")
    first.expect(type="direct", id=number)
    assert first.has(type="direct") == first.has(id=number)


def test_mail_for_who_just_came_is_not_lost(hubbub):
    """A greeter writes to everybody the moment they are told to have joined."""
    greeter, stop = hubbub.json("greeter", 1, room="greeted"), threading.Event()

    def greet():
        while not stop.is_set():
            greeter.receive(0.05)
            while greeter.kept:
                one = greeter.kept.pop(0)
                if one["type"] == "joined":
                    greeter.send({"type": "direct", "to": one["from"], "data": "welcome here"})

    thread = threading.Thread(target=greet)
    thread.start()
    try:
        for n in range(40):
            guest = hubbub.json(f"greeted-{n}", 1 + n % 2, room="greeted")
            guest.expect(type="direct", data="welcome here")
            guest.close()
    finally:
        stop.set()
        thread.join()


def test_directs_come_in_order_and_once_though_subscriptions_are_killed(own_hubbub):
    alice, bob = own_hubbub.json("sub-alice", 1), own_hubbub.json("sub-bob", 2)
    sent = []
    for n in range(300):
        if n % 60 == 30:
            own_hubbub.redis.call("CLIENT", "KILL", "TYPE", "pubsub")
        alice.send({"type": "direct", "to": "sub-bob", "data": f"{n}", "ref": f"{n}"})
        answer = answer_to(alice, f"{n}")
        if answer["type"] == "ack":
            sent.append(f"{n}")
        else:
            assert answer["code"] == "unavailable"
            time.sleep(0.1)
    assert len(sent) > 100
    assert [bob.expect(type="direct")["data"] for _ in sent] == sent
    bob.sync()
    assert len(bob.has(type="direct")) == len(sent)


def test_a_direct_is_unavailable_while_redis_is_away(own_hubbub):
    alice, bob = own_hubbub.json("away-alice", 1), own_hubbub.json("away-bob", 2)
    own_hubbub.redis.kill()
    alice.send({"type": "direct", "to": "away-bob", "data": "x", "ref": "r"})
    alice.expect_error("unavailable", ref="r")
    own_hubbub.redis.start()
    number = direct_when_possible(alice, "away-bob", "x", "r")
    assert bob.expect(type="direct")["id"] == number


def test_who_leaves_right_after_a_direct_has_sent_it(hubbub):
    bob = hubbub.json("parting-bob", 2)
    for n in range(10):
        naman = hubbub.line(f"parting-{n}", 1)
        naman.send(f"DM parting-bob bye {n}")
        naman.send("QUIT")
        naman.expect_closed()
        bob.expect(type="direct", data=f"bye {n}")
