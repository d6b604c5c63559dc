"""The dialect json: people on two gateways talk, and PostgreSQL has it."""

import re

import pytest


def test_a_chat_reaches_the_other_gateway_with_the_id_that_its_sender_was_told(hubbub):
    alice, bob = hubbub.json("chat-alice", 1), hubbub.json("chat-bob", 2)
    alice.chat("Hello World!", ref="r1")
    ack = alice.expect(type="ack", ref="r1")
    message = bob.expect(type="message", **{"from": "chat-alice"})
    assert message["data"] == "Hello World!" and message["room"] == "lobby" and message["id"] == ack["id"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", message["at"])


def test_a_chat_is_in_the_history_once(hubbub):
    alice = hubbub.json("once-alice")
    alice.chat("only once", ref="r")
    number = alice.expect(type="ack")["id"]
    hubbub.wait_sql(f"SELECT room, sender, text FROM history WHERE id = {number}", "lobby|once-alice|only once")
    assert hubbub.sql("SELECT count(*) FROM history WHERE text = 'only once'") == "1"


def test_an_empty_ref_does_not_make_one_chat_of_two(hubbub):
    alice = hubbub.json("empty-alice")
    ids = set()
    for _ in range(2):
        alice.chat("the same", ref="")
        ids.add(alice.expect(type="ack", ref="")["id"])
    assert len(ids) == 2


def test_a_chat_without_ref_has_no_ack_and_does_not_come_back(hubbub):
    alice, bob = hubbub.json("quiet-alice"), hubbub.json("quiet-bob", 2)
    alice.chat("no ref")
    bob.expect(type="message", data="no ref")
    alice.chat("with ref", ref="r")
    alice.expect(type="ack", ref="r")
    alice.sync()
    assert len(alice.has(type="ack")) == 1 and not alice.has(type="message", **{"from": "quiet-alice"})


def test_who_asks_for_an_echo_gets_the_own_chat_back(hubbub):
    alice = hubbub.json("echo-alice", echo=True)
    alice.chat("do I hear myself", ref="r")
    ack = alice.expect(type="ack")
    assert alice.expect(type="message", data="do I hear myself")["id"] == ack["id"]


def test_welcome_says_who_where_and_how_many(hubbub):
    hubbub.json("welcome-first", 1, room="welcome-room")
    second = hubbub.json("Welcome-Second", 2, room="welcome-room", ref="login")
    welcome = second.welcome
    assert welcome["data"] == "Welcome, Welcome-Second." and welcome["name"] == "Welcome-Second"
    assert welcome["room"] == "welcome-room" and welcome["users"] == 2 and welcome["gateway"] == "g2"
    assert welcome["from"] == "server" and welcome["ref"] == "login" and int(welcome["id"]) > 0


def test_the_others_are_told_who_joined_and_left(hubbub):
    alice = hubbub.json("notice-alice", 1)
    bob = hubbub.json("notice-bob", 2)
    joined = alice.expect(type="joined", **{"from": "notice-bob"})
    assert joined["data"] == "notice-bob joined." and joined["room"] == "lobby" and "id" not in joined
    bob.close()
    assert alice.expect(type="left", **{"from": "notice-bob"})["data"] == "notice-bob left."


def test_nobody_is_told_of_their_own_coming(hubbub):
    alice, bob = hubbub.json("own-alice"), hubbub.json("own-bob", 2)
    alice.expect(type="joined", **{"from": "own-bob"})
    alice.chat("after that", ref="r")
    bob.expect(type="message", data="after that")
    assert not bob.has(type="joined", **{"from": "own-bob"})


def test_who_lists_people_of_all_gateways(hubbub):
    alice = hubbub.json("who-alice", 1, room="who-room")
    hubbub.json("who-bob", 2, room="who-room")
    alice.send({"type": "who", "room": "who-room", "ref": "w"})
    answer = alice.expect(type="who", ref="w")
    assert sorted(answer["users"]) == ["who-alice", "who-bob"] and answer["count"] == 2
    assert answer["room"] == "who-room"


def test_rooms_lists_rooms_with_their_people(hubbub):
    alice = hubbub.json("rooms-alice", 1, room="rooms-one")
    hubbub.json("rooms-bob", 2, room="rooms-one")
    hubbub.json("rooms-carol", 2, room="rooms-two")
    alice.send({"type": "rooms"})
    rooms = {one["room"]: one["users"] for one in alice.expect(type="rooms")["rooms"]}
    assert rooms["rooms-one"] == 2 and rooms["rooms-two"] == 1


@pytest.mark.parametrize("again", ["taken-alice", "TAKEN-Alice", "ｔａｋｅｎ-alice"])
def test_a_name_in_use_is_taken_on_every_gateway_however_it_is_written(hubbub, again):
    holder = hubbub.json("taken-alice", 1)
    for gateway in (1, 2):
        other = hubbub.connect("json", gateway)
        other.send({"type": "join", "data": again, "ref": "r"})
        other.expect_error("username-taken", ref="r")
        other.close()
    holder.send({"type": "leave"})
    holder.expect_closed()


def test_who_was_refused_a_name_can_take_another_one(hubbub):
    hubbub.json("second-try")
    other = hubbub.connect("json", 2)
    other.send({"type": "join", "data": "second-try"})
    other.expect_error("username-taken")
    other.send({"type": "join", "data": "third-try"})
    other.expect(type="welcome", name="third-try")


@pytest.mark.parametrize("name", ["", "server", "SERVER", "ｓｅｒｖｅｒ", "a b", "x" * 33, "a\u202eb", "a/b", "a\tb", "💥"])
def test_a_bad_name_is_refused(hubbub, name):
    client = hubbub.connect("json")
    client.send({"type": "join", "data": name})
    client.expect_error("username-invalid")
    client.sync()


@pytest.mark.parametrize("name", ["x" * 32, "Zoë", "名前", "a_b-c.d", "7"])
def test_a_good_name_is_shown_as_it_was_given(hubbub, name):
    alice, bob = hubbub.json("good-name-watcher", 1), hubbub.json(name, 2)
    bob.chat("it is me")
    alice.expect(type="message", data="it is me", **{"from": name})
    for client in (alice, bob):
        client.send({"type": "leave"})
        client.expect_closed()


def test_who_has_not_logged_in_can_only_log_in(hubbub):
    client = hubbub.connect("json")
    client.chat("let me in", ref="r")
    client.expect_error("login-required", ref="r")
    client.send({"type": "join", "room": "dev"})
    client.expect_error("login-required")


def test_nobody_logs_in_twice_on_one_connection(hubbub):
    client = hubbub.json("twice")
    client.send({"type": "join", "data": "thrice"})
    client.expect_error("already-logged-in")


def test_a_session_can_be_in_many_rooms_and_hears_only_these(hubbub):
    alice, bob = hubbub.json("many-alice", 1), hubbub.json("many-bob", 2)
    bob.send({"type": "join", "room": "Many-One", "ref": "j"})
    entered = bob.expect(type="entered", ref="j")
    assert entered["room"] == "many-one" and entered["users"] == 1
    alice.send({"type": "join", "room": "many-two"})
    alice.expect(type="entered")
    alice.send({"type": "join", "room": "many-one"})
    assert alice.expect(type="entered", room="many-one")["users"] == 2
    alice.chat("for two", room="many-two")
    alice.chat("for one", room="many-one", ref="r")
    bob.expect(type="message", data="for one", room="many-one")
    alice.expect(type="ack")
    alice.chat("for all")
    bob.expect(type="message", data="for all", room="lobby")
    assert not bob.has(type="message", data="for two")


def test_a_room_that_was_not_entered_cannot_be_spoken_in(hubbub):
    alice = hubbub.json("outside-alice")
    alice.chat("hello?", room="outside-room", ref="r")
    alice.expect_error("not-in-room", ref="r")


@pytest.mark.parametrize("room", ["", "a b", "x" * 65, "a\u0000b".replace("\u0000", "\u0001")])
def test_a_bad_room_is_refused(hubbub, room):
    alice = hubbub.json("bad-room-alice")
    alice.send({"type": "join", "room": room})
    alice.expect_error("room-invalid")
    alice.send({"type": "leave"})
    alice.expect_closed()


def test_who_left_a_room_hears_it_no_more(hubbub):
    alice, bob = hubbub.json("leaver-alice", 1), hubbub.json("leaver-bob", 2)
    for client in (alice, bob):
        client.send({"type": "join", "room": "leaver-room"})
        client.expect(type="entered")
    bob.send({"type": "leave", "room": "leaver-room", "ref": "l"})
    bob.expect(type="exited", room="leaver-room", ref="l")
    alice.expect(type="left", room="leaver-room", **{"from": "leaver-bob"})
    alice.chat("gone", room="leaver-room", ref="r")
    alice.expect(type="ack")
    alice.chat("still in the lobby")
    bob.expect(type="message", data="still in the lobby")
    assert not bob.has(type="message", data="gone")
    bob.chat("me too", room="leaver-room")
    bob.expect_error("not-in-room")


def test_who_logs_out_is_answered_and_closed_when_the_name_is_free(hubbub):
    for gateway in (1, 2, 1):
        client = hubbub.json("free-again", gateway)
        client.send({"type": "leave", "ref": "bye"})
        client.expect(type="exited", ref="bye")
        client.expect_closed()


def test_what_came_before_the_end_of_input_is_answered(hubbub):
    alice, bob = hubbub.json("end-alice", 1), hubbub.json("end-bob", 2)
    alice.chat("my last words", ref="last")
    alice.end_input()
    alice.expect(type="ack", ref="last")
    alice.expect_closed()
    bob.expect(type="message", data="my last words")
    bob.expect(type="left", **{"from": "end-alice"})


def test_everybody_sees_one_order_and_the_history_has_it_too(hubbub):
    room = "order-room"
    talkers = [hubbub.json(f"order-{n}", n % 2 + 1, room=room, echo=True) for n in range(4)]
    for n in range(25):
        for number, talker in enumerate(talkers):
            talker.chat(f"{number}:{n}", ref=f"{number}:{n}")
    for number, talker in enumerate(talkers):
        for n in range(25):
            talker.expect(type="ack", ref=f"{number}:{n}")
    orders = []
    for talker in talkers:
        orders.append([talker.expect(type="message", room=room)["id"] for _ in range(100)])
    assert orders[0] == sorted(orders[0], key=int) and len(set(orders[0])) == 100
    assert all(order == orders[0] for order in orders)
    hubbub.wait_sql(f"SELECT count(*) FROM history WHERE room = '{room}'", "100")
    assert hubbub.sql(f"SELECT id FROM history WHERE room = '{room}' ORDER BY id").split("\n") == orders[0]


def test_the_same_key_takes_the_name_over_and_the_old_session_is_told(hubbub):
    watcher = hubbub.json("key-watcher", 1)
    old = hubbub.json("key-alice", 1, key="my secret")
    new = hubbub.json("key-alice", 2, key="my secret")
    old.expect_error("replaced")
    old.expect_closed()
    new.chat("still me")
    watcher.expect(type="message", data="still me", **{"from": "key-alice"})
    assert not watcher.has(type="left", **{"from": "key-alice"})


def test_another_key_does_not_take_a_name_over(hubbub):
    holder = hubbub.json("key-bob", 1, key="mine")
    other = hubbub.connect("json", 2)
    other.send({"type": "join", "data": "key-bob", "key": "yours"})
    other.expect_error("username-taken")
    holder.sync()


def test_a_chat_that_is_sent_again_through_another_gateway_is_one_chat(hubbub):
    alice = hubbub.json("retry-alice", 1, key="k")
    alice.chat("exactly once", ref="uuid-1")
    first = alice.expect(type="ack", ref="uuid-1")["id"]
    alice = hubbub.json("retry-alice", 2, key="k")
    alice.chat("exactly once", ref="uuid-1")
    assert alice.expect(type="ack", ref="uuid-1")["id"] == first
    alice.chat("afterwards", ref="uuid-2")
    last = alice.expect(type="ack", ref="uuid-2")["id"]
    hubbub.wait_sql(f"SELECT count(*) FROM history WHERE id = {last}", "1")
    assert hubbub.sql("SELECT count(*) FROM history WHERE text = 'exactly once'") == "1"


def test_online_shows_who_is_there_now(hubbub):
    client = hubbub.json("online-alice", 2)
    mine = "SELECT count(*) FROM sessions s JOIN users u ON u.id = s.user_id WHERE u.name = 'online-alice'"
    hubbub.wait_sql(f"{mine} AND disconnected_at IS NULL AND gateway = 'g2' AND dialect = 'json'", "1")
    client.close()
    hubbub.wait_sql(f"{mine} AND disconnected_at IS NOT NULL", "1")


def test_a_gateway_says_that_it_is_healthy_and_ready(hubbub):
    for gateway in (1, 2):
        assert hubbub.http("/healthz", gateway)[0] == 200
        assert hubbub.http("/readyz", gateway)[0] == 200
    assert hubbub.http("/nothing")[0] == 404


def test_the_audit_finds_nothing(hubbub):
    alice = hubbub.json("audit-alice")
    alice.chat("the last one", ref="r")
    number = alice.expect(type="ack")["id"]
    hubbub.wait_sql(f"SELECT count(*) FROM history WHERE id = {number}", "1")
    assert hubbub.sql("SELECT * FROM audit") == ""
