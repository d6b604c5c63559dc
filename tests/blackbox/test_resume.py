"""`since`: who comes back sees what was missed, once and in order, and then what is new."""

import pytest

from links import Link, Loop, channel


def texts(client, count, **fields):
    return [client.expect(type="message", **fields)["data"] for _ in range(count)]


def say(client, *words, **more):
    """Says them all; returns their ids."""
    ids = []
    for word in words:
        client.chat(word, ref=word, **more)
        ids.append(client.expect(type="ack", ref=word)["id"])
    return ids


def test_who_comes_back_with_the_last_id_misses_nothing(hubbub):
    room = "resume-room"
    alice, bob = hubbub.json("resume-alice", 1, room=room), hubbub.json("resume-bob", 2, room=room)
    seen = say(alice, "one")[0]
    assert bob.expect(type="message")["id"] == seen
    bob.close()
    alice.expect(type="left", **{"from": "resume-bob"})
    say(alice, "two", "three", "four")
    for gateway in (1, 2):
        back = hubbub.json("resume-bob", gateway, room=room, since=seen)
        assert back.welcome["id"] == seen
        assert texts(back, 3) == ["two", "three", "four"]
        say(alice, "live")
        assert texts(back, 1) == ["live"] and len(back.has(type="message")) == 4
        back.send({"type": "leave"})
        back.expect_closed()
        seen_again = alice.has(type="ack", ref="one")[0]["id"]
        assert seen_again == seen
        if gateway == 1:
            # The second time what was live is missed too.
            third = hubbub.json("resume-carol", 2, room=room, since=seen)
            assert texts(third, 4) == ["two", "three", "four", "live"]
            third.send({"type": "leave"})
            third.expect_closed()
            break


def test_since_gives_back_the_own_chats_of_an_earlier_session(hubbub):
    room = "own-resume-room"
    alice = hubbub.json("own-resume-alice", 1, room=room)
    start = alice.welcome["id"]
    say(alice, "mine")
    alice.send({"type": "leave"})
    alice.expect_closed()
    again = hubbub.json("own-resume-alice", 2, room=room, since=start)
    assert texts(again, 1) == ["mine"]


def test_without_since_nothing_old_is_told(hubbub):
    room = "no-resume-room"
    alice = hubbub.json("no-resume-alice", 1, room=room)
    last = say(alice, "old", "older")[-1]
    bob = hubbub.json("no-resume-bob", 2, room=room)
    assert bob.welcome["id"] == last
    say(alice, "new")
    assert texts(bob, 1) == ["new"] and len(bob.has(type="message")) == 1


def test_a_room_entered_later_can_be_resumed_too(hubbub):
    alice, bob = hubbub.json("later-alice", 1), hubbub.json("later-bob", 2)
    alice.send({"type": "join", "room": "later-room"})
    start = alice.expect(type="entered")["id"]
    say(alice, "un", "deux", room="later-room")
    bob.send({"type": "join", "room": "later-room", "since": start})
    assert bob.expect(type="entered")["id"] == start
    assert texts(bob, 2, room="later-room") == ["un", "deux"]


def test_more_than_the_ring_holds_comes_from_the_log(hubbub):
    room, count = "deep-room", 700
    alice = hubbub.json("deep-alice", 1, room=room)
    start = alice.welcome["id"]
    for n in range(count):
        alice.chat(f"deep {n}", ref=str(n))
    for n in range(count):
        alice.expect(type="ack", ref=str(n))
    for gateway in (1, 2):
        bob = hubbub.json(f"deep-bob-{gateway}", gateway, room=room, since=start)
        assert texts(bob, count) == [f"deep {n}" for n in range(count)]


def test_a_since_above_the_newest_counts_as_the_newest(hubbub):
    room = "future-room"
    alice = hubbub.json("future-alice", 1, room=room)
    last = say(alice, "newest")[0]
    lane_bits = int(last) & (7 << 14)
    future = str(((int(last) >> 20) + 3600000 << 20) | lane_bits)
    bob = hubbub.json("future-bob", 2, room=room, since=future)
    assert bob.welcome["id"] == last
    say(alice, "next")
    assert texts(bob, 1) == ["next"]


def test_a_since_of_another_lane_or_no_id_at_all_is_refused(hubbub):
    alice = hubbub.json("lane-alice", 1, room="lane-room")
    last = int(say(alice, "something")[0])
    client = hubbub.connect("json", 2)
    for since in (str(last ^ (1 << 14)), "yesterday", "-1", "", "99999999999999999999"):
        client.send({"type": "join", "data": "lane-bob", "room": "lane-room", "since": since})
        client.expect_error("bad-request")
    client.sync()


@pytest.fixture
def lagging(make_hubbub):
    """An installation whose second gateway is behind a link to Redis, and the link and its loop."""
    hubbub = make_hubbub(settings={"HUBBUB_DRAIN": "3"})
    loop, gateway = Loop(), hubbub.gateways[1]
    link = Link("g2-redis", hubbub.taken.take(), hubbub.redis.port, redis=True)
    loop.run(link.start())
    gateway.stop()
    gateway.settings["HUBBUB_REDIS_URL"] = f"redis://127.0.0.1:{link.port}"
    gateway.start()
    yield hubbub, link, loop
    gateway.stop()
    loop.run(link.stop())
    loop.stop()


def swallow(link, loop, speaker, listener):
    """From now on the second gateway does not hear the lobby."""
    say(speaker, "heard everywhere")
    listener.expect(type="message", data="heard everywhere")
    loop.call(link.swallow, channel("lobby"))


def test_who_comes_to_a_gateway_that_lags_hears_nothing_again(lagging):
    hubbub, link, loop = lagging
    alice, carol, bob = hubbub.json("alice", 1), hubbub.json("carol", 1, key="c"), hubbub.json("bob", 2)
    swallow(link, loop, alice, bob)
    say(alice, "heard on one gateway")
    seen = carol.expect(type="message", data="heard on one gateway")["id"]
    back = hubbub.json("carol", 2, key="c", since=seen)
    assert link.swallowed and back.welcome["id"] == seen
    assert texts(bob, 1) == ["heard on one gateway"]  # now its gateway knows that it lacks something
    loop.call(link.flow)
    say(alice, "heard again everywhere")
    assert texts(back, 1) == texts(bob, 1) == ["heard again everywhere"]
    assert len(back.has(type="message")) == 1
    assert not back.has(type="gap") and not bob.has(type="gap")


def test_a_gateway_that_lags_and_ends_gives_nobody_an_ack_to_come_back_with_too_late(lagging):
    hubbub, link, loop = lagging
    alice, bob = hubbub.json("alice", 1), hubbub.json("bob", 2, key="b")
    swallow(link, loop, alice, bob)
    seen = bob.has(type="message")[0]["id"]
    say(alice, "before")
    bob.chat("mine", ref="r")
    alice.expect(type="message", data="mine")
    hubbub.gateways[1].stop()
    bob.expect_error("shutting-down")
    bob.expect_closed()
    newest = ([one["id"] for one in bob.received if one["type"] in ("message", "ack")] or [seen])[-1]
    back = hubbub.json("bob", 1, key="b", since=newest)
    back.chat("mine", ref="r")
    back.expect(type="ack", ref="r")
    assert [one["data"] for client in (bob, back) for one in client.has(type="message")] == [
        "heard everywhere", "before", "mine"]


def test_who_leaves_a_room_is_told_first_what_is_before_the_own_chats(lagging):
    hubbub, link, loop = lagging
    alice, bob = hubbub.json("alice", 1), hubbub.json("bob", 2)
    swallow(link, loop, alice, bob)
    say(alice, "before")
    bob.chat("mine", ref="r")
    bob.send({"type": "leave", "room": "lobby"})
    bob.expect(type="exited")  # once its gateway has found out that it hears nothing
    assert [one.get("data", one.get("ref")) for one in bob.received if one["type"] in ("message", "ack")] == [
        "heard everywhere", "before", "r"]
