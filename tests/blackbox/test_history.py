"""`history`: the past for clients, joined from the log and the store; and resuming from what only the store has."""

import os
import re
import signal
import time
import uuid

import pytest

from hubbub import ROOT, wait_for

with open(os.path.join(ROOT, "common/functions.lua")) as lua:
    REVISION = re.search(r"name=hubbub_(\d+)", lua.readline()).group(1)


def say(client, *words, **more):
    """Says them all; returns their ids."""
    for word in words:
        client.chat(word, ref=word, **more)
    return [client.expect(type="ack", ref=word)["id"] for word in words]


def direct(client, to, text):
    """Returns its id.  Directs to two people are in two lanes, and have an order only from one millisecond to another."""
    ref = str(uuid.uuid4())
    client.send({"type": "direct", "to": to, "data": text, "ref": ref})
    id = client.expect(type="ack", ref=ref)["id"]
    wait_for(lambda: time.time() * 1000 > (int(id) >> 20) + 1, 5, "the millisecond is over")
    return id


def page(client, **request):
    """The texts of a page, and whether there is more."""
    client.send({"type": "history", **request})
    answer = client.expect(type="history")
    return [one["data"] for one in answer["messages"]], answer["more"]


def numbers(first, last):
    return [str(number) for number in range(first, last + 1)]


def lane_of(room):
    crc = 0
    for byte in room.encode():
        crc ^= byte << 8
        for _ in range(8):
            crc = (crc << 1 ^ (0x1021 if crc & 0x8000 else 0)) & 0xffff
    return crc % 8


def trim(hubbub, room, id):
    """Takes what is stored, up to this id, out of the log, as the store does when there is enough."""
    hubbub.wait_sql(f"SELECT count(*) FROM messages WHERE id = {id}", "1")
    number = int(id)
    hubbub.redis.call("FCALL", f"trim_{REVISION}", 1, f"hubbub:{{{lane_of(room)}}}", f"{number >> 20}-{number & 16383}")


def leave(*clients):
    for client in clients:
        client.send({"type": "leave"})
        client.expect_closed()


@pytest.fixture(params=["in the log", "in both", "in the store"])
def past(hubbub, request):
    """A room with 300 messages, and who said them: (client, ids)."""
    room = "past-" + request.param.replace(" ", "-")
    client = hubbub.json("past-alice", 1, room=room)
    ids = say(client, *numbers(1, 300))
    if request.param != "in the log":
        trim(hubbub, room, ids[149] if request.param == "in both" else ids[299])
    yield client, ids
    leave(client)


def test_the_newest_are_given_oldest_first(past):
    client, ids = past
    assert page(client) == (numbers(281, 300), True)
    assert page(client, limit=1) == (["300"], True)
    assert page(client, limit=300) == (numbers(1, 300), False)
    assert page(client, limit=500) == (numbers(1, 300), False)
    assert page(client, limit=100000) == (numbers(1, 300), False)


def test_a_message_of_the_past_is_as_it_was_live(past, hubbub):
    client, ids = past
    client.send({"type": "history", "limit": 1, "ref": "r"})
    room = client.welcome["room"]
    answer = client.expect(type="history", ref="r")
    at = hubbub.sql(f"SELECT to_char(id_time({ids[-1]}) at time zone 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"')")
    assert answer == {"type": "history", "room": room, "more": True, "ref": "r", "messages": [
        {"type": "message", "from": "past-alice", "data": "300", "room": room, "id": ids[-1], "at": at}]}


def test_pages_before_an_id_lead_back_to_the_beginning(past):
    client, ids = past
    seen, before = [], ids[-1]
    more = True
    while more:
        texts, more = page(client, before=before, limit=64)
        seen = texts + seen
        before = ids[int(texts[0]) - 1]
    assert seen == numbers(1, 299)
    assert page(client, before=ids[0]) == ([], False)


def test_pages_since_an_id_lead_to_the_newest(past):
    client, ids = past
    seen, since, more = [], "0", True
    while more:
        texts, more = page(client, since=since, limit=64)
        seen += texts
        since = ids[int(texts[-1]) - 1]
    assert seen == numbers(1, 300)
    assert page(client, since=ids[-1]) == ([], False)


def test_who_resumes_gets_all_of_it_without_a_gap(past, hubbub):
    client, ids = past
    back = hubbub.json("past-bob", 2, room=client.welcome["room"], since=ids[9])
    for number in range(11, 301):
        assert back.expect(type="message")["data"] == str(number)
    say(client, "live")
    assert back.expect(type="message")["data"] == "live"
    assert len(back.has(type="message")) == 291 and not back.has(type="gap")
    leave(back)


def test_a_page_holds_at_most_64_kib(hubbub):
    client = hubbub.json("large-alice", room="large-room")
    texts = [f"{number:04}" + "x" * 4000 for number in range(40)]
    for text in texts:
        client.chat(text, ref=text[:4])
    ids = [client.expect(type="ack", ref=text[:4])["id"] for text in texts]
    for stored in (False, True):
        if stored:
            trim(hubbub, "large-room", ids[-1])
        assert page(client, limit=40) == (texts[24:], True)
        assert page(client, limit=40, since="0") == (texts[:16], True)
        assert page(client, limit=40, before=ids[24]) == (texts[8:24], True)
    leave(client)


def test_what_was_said_a_moment_ago_is_there_though_the_store_is_behind(own_hubbub):
    alice = own_hubbub.json("alice", room="moment")
    bob = own_hubbub.json("bob", 2, room="moment")
    old = say(alice, "one", "two")
    direct(alice, "bob", "d1")
    trim(own_hubbub, "moment", old[-1])
    own_hubbub.wait_sql("SELECT count(*) FROM directs", "1")
    with own_hubbub.behind():
        new = say(alice, "three", "four")
        alice.send({"type": "join", "room": "fresh"})
        alice.expect(type="entered")
        first, = say(alice, "first ever", room="fresh")
        assert page(alice, room="fresh", before=first) == ([], False)
        direct(bob, "alice", "d2")
        assert own_hubbub.sql("SELECT count(*) FROM messages") == "3"
        for client in (alice, bob):
            assert page(client) == (["one", "two", "three", "four"], False)
            assert page(client, since=old[0]) == (["two", "three", "four"], False)
            assert page(client, since=old[0], limit=2) == (["two", "three"], True)
            assert page(client, before=new[0]) == (["one", "two"], False)
            assert page(client, before=new[1]) == (["one", "two", "three"], False)
            assert page(client, before=str(int(new[0]) + 1)) == (["one", "two", "three"], False)
            other = "bob" if client is alice else "alice"
            assert page(client, **{"with": other}) == (["d1", "d2"], False)
            assert page(client, **{"with": other, "limit": 1}) == (["d2"], True)
    own_hubbub.wait_sql("SELECT count(*) FROM messages", "7")
    for client in (alice, bob):
        assert page(client) == (["one", "two", "three", "four"], False)
        other = "bob" if client is alice else "alice"
        assert page(client, **{"with": other}) == (["d1", "d2"], False)


def test_recent_history_needs_no_store_and_old_history_says_so(own_hubbub):
    alice = own_hubbub.json("alice", room="alone")
    bob = own_hubbub.json("bob", room="alone")
    ids = say(alice, *numbers(1, 60))
    direct(alice, "bob", "psst")
    own_hubbub.wait_sql(f"SELECT count(*) FROM messages WHERE id = {ids[-1]}", "1")
    own_hubbub.store.kill(signal.SIGKILL)
    wait_for(lambda: "event=store_lost" in own_hubbub.gateways[0].all_logs(), 20, "the gateway notices")
    assert page(alice) == (numbers(41, 60), True)
    assert page(alice, before=ids[40]) == (numbers(21, 40), True)
    assert page(alice, since=ids[20]) == (numbers(22, 41), True)
    assert page(bob, **{"with": "alice"}) == (["psst"], False)
    trim_now(own_hubbub, "alone", ids[29])
    assert page(alice, limit=100) == (numbers(31, 60), True)
    for request in ({"before": ids[30]}, {"since": ids[0]}):
        alice.send({"type": "history", "ref": "old", **request})
        alice.expect_error("unavailable", ref="old")
    alice.sync()
    own_hubbub.store.start()
    wait_for(lambda: own_hubbub.gateways[0].all_logs().count("event=store_connected") == 2, 20, "it is back")
    assert page(alice, before=ids[30]) == (numbers(11, 30), True)
    assert page(alice, since=ids[0], limit=500) == (numbers(2, 60), False)


def trim_now(hubbub, room, id):
    number = int(id)
    hubbub.redis.call("FCALL", f"trim_{REVISION}", 1, f"hubbub:{{{lane_of(room)}}}", f"{number >> 20}-{number & 16383}")


def test_who_resumes_while_the_store_is_away_is_told_of_the_gap(own_hubbub):
    alice = own_hubbub.json("alice", room="gap-room")
    ids = say(alice, *numbers(1, 20))
    trim(own_hubbub, "gap-room", ids[9])
    own_hubbub.store.kill(signal.SIGKILL)
    bob = own_hubbub.json("bob", 2, room="gap-room", since=ids[4])
    gap = bob.expect(type="gap")
    assert (gap["after"], gap["until"]) == (ids[4], ids[9])
    assert [bob.expect(type="message")["data"] for _ in range(10)] == numbers(11, 20)


def test_directs_with_somebody_are_those_between_the_two(hubbub):
    alice, bob, carol = (hubbub.json(f"with-{name}", gateway) for name, gateway in
                         (("alice", 1), ("bob", 2), ("carol", 1)))
    talk = [(alice, "with-bob", "a1"), (bob, "with-alice", "b1"), (carol, "with-alice", "c1"),
            (alice, "with-carol", "a2"), (bob, "with-alice", "b2")]
    for sender, to, text in talk:
        direct(sender, to, text)
    assert page(alice, **{"with": "WITH-bob"}) == (["a1", "b1", "b2"], False)
    assert page(bob, **{"with": "with-alice"}) == (["a1", "b1", "b2"], False)
    assert page(alice, **{"with": "with-carol"}) == (["c1", "a2"], False)
    assert page(bob, **{"with": "with-carol"}) == ([], False)
    assert page(carol, **{"with": "with-nobody"}) == ([], False)
    assert page(alice, **{"with": "with-bob", "limit": 2}) == (["b1", "b2"], True)
    assert page(alice, **{"with": "with-bob", "limit": 2, "since": "0"}) == (["a1", "b1"], True)
    alice.send({"type": "history", "with": "no one", "ref": "r"})
    alice.expect_error("no-such-user", ref="r")
    leave(alice, bob, carol)


def test_a_guest_sees_nothing_of_who_had_the_name_before(hubbub):
    carol = hubbub.json("heir-carol", 1)
    for attempt in range(2):
        zed = hubbub.json("heir-zed", 2)
        assert page(zed, **{"with": "heir-carol"}) == ([], False)
        direct(carol, "heir-zed", "secret")
        direct(zed, "heir-carol", "mine")
        assert page(zed, **{"with": "heir-carol"}) == (["secret", "mine"], False)
        hubbub.wait_sql("SELECT count(*) FROM directs WHERE recipient = 'heir-zed'", str(attempt + 1))
        assert page(zed, **{"with": "heir-carol"}) == (["secret", "mine"], False)
        leave(zed)
    leave(carol)


@pytest.mark.parametrize("request_, code", [
    ({"room": "elsewhere"}, "not-in-room"), ({"room": "b/d"}, "room-invalid"), ({"before": "x"}, "bad-request"),
    ({"since": "-1"}, "bad-request"), ({"before": "1", "since": "1"}, "bad-request"), ({"limit": 0}, "bad-request"),
    ({"limit": -5}, "bad-request"), ({"limit": "5"}, "bad-request"), ({"limit": 1.5}, "bad-request"),
    ({"before": "9223372036854775807"}, "bad-request"), ({"with": 5}, "bad-request"), ({"before": 5}, "bad-request"),
], ids=str)
def test_a_history_that_cannot_be_is_refused(hubbub, request_, code):
    client = hubbub.json("refused-alice", room="refused-room")
    client.send({"type": "history", "ref": "r", **request_})
    client.expect_error(code, ref="r")
    assert page(client) == ([], False)
    leave(client)


def test_before_an_id_that_nothing_has_is_what_lies_below(hubbub):
    alice = hubbub.json("between-alice", room="between-room")
    ids = say(alice, "one", "two", "three")
    for stored in (False, True):
        if stored:
            trim(hubbub, "between-room", ids[-1])
        assert page(alice, before=str(int(ids[2]) + 1000)) == (["one", "two", "three"], False)
        assert page(alice, before=str(int(ids[1]) + 1)) == (["one", "two"], False)
        assert page(alice, before=ids[0]) == ([], False)
        assert page(alice, before="1") == ([], False)
    leave(alice)
