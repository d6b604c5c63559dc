"""Limits that an installation sets, and how a gateway says goodbye."""

import signal

from hubbub import PATIENCE


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

    from hubbub import wait_for
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
