"""Gateways die and freeze, Redis goes away, is wiped, read-only, full, busy: nobody is robbed, nobody is left deaf."""

import os
import signal
import socket
import time

import pytest

from hubbub import BUILD, PATIENCE, wait_for
from services import Gateway


def answer_to_login(hubbub, name, gateway):
    """What somebody else who asks for the name is told: "welcome" or an error's code."""
    client = hubbub.connect("json", gateway)
    client.send({"type": "join", "data": name, "ref": "login"})
    answer = client.expect(ref="login")
    client.close()
    return answer.get("code", answer["type"])


def say(client, text, listeners=(), **more):
    """Says it, again if it is refused, until it is acknowledged; all listeners hear it."""
    def said():
        client.chat(text, ref=text, **more)
        answer = client.expect(ref=text)
        assert answer.get("code", "unavailable") == "unavailable", answer
        return answer["type"] == "ack"

    wait_for(said, PATIENCE, f"{text!r} is acknowledged")
    for listener in listeners:
        if listener is not client:
            listener.expect(type="message", data=text)


def all_talk(people, word):
    """Each says something that all others hear."""
    for number, person in enumerate(people):
        say(person, f"{word} {number}", people)


def refused(client, text="refuse me"):
    client.chat(text, ref=text)
    client.expect_error("unavailable", ref=text, seconds=2)


def wait_readiness(hubbub, status):
    for number in range(1, len(hubbub.gateways) + 1):
        wait_for(lambda: hubbub.http("/readyz", number)[0] == status, PATIENCE, f"/readyz of g{number} says {status}")


def nobody_was_disturbed(people):
    """Each has the connection that it had, and heard of no coming or going since forget()."""
    for person in people:
        person.sync()
        assert not person.has(type="left") and not person.has(type="joined"), person.received


def forget(people):
    for person in people:
        person.sync()
        person.kept.clear()
        person.received.clear()


def come(hubbub, count, word="person"):
    """So many people, on all gateways in turn, who have heard of each other."""
    people = [hubbub.json(f"{word}-{n}", n % len(hubbub.gateways) + 1) for n in range(count)]
    all_talk(people, "hello from")
    forget(people)
    return people


def names_are_held(hubbub, people):
    for number in range(len(people)):
        for gateway in range(1, len(hubbub.gateways) + 1):
            assert answer_to_login(hubbub, f"person-{number}", gateway) == "username-taken"


@pytest.mark.alongside(22)
def test_the_names_of_a_killed_gateway_are_free_within_15_s_and_its_people_are_told_as_gone_once(make_hubbub,
                                                                                                  record_property):
    hubbub = make_hubbub(3)
    watchers = [hubbub.json("watcher-2", 2), hubbub.json("watcher-3", 3)]
    names = [f"lost-{n}" for n in range(50)]
    for name in names:
        hubbub.json(name, 1)
    online = "SELECT count(*) FROM sessions WHERE gateway = 'g1' AND disconnected_at IS "
    hubbub.wait_sql(online + "NULL", "50")
    begun = time.monotonic()
    hubbub.gateways[0].kill(signal.SIGKILL)
    for name in names:
        wait_for(lambda: answer_to_login(hubbub, name, 2) == "welcome", begun + 15 - time.monotonic(),
                 f"{name} is free")
    seconds = time.monotonic() - begun
    record_property("counts", f"{len(names)} names of a killed gateway were free after {seconds:.1f} s")
    say(watchers[0], "the last word", watchers)
    for watcher in watchers:
        for name in names:
            left = [one for one in watcher.received if one.get("from") == name and one["type"] == "left"]
            joined = [one for one in watcher.received if one.get("from") == name and one["type"] == "joined"]
            # Each came once before the kill, and once more above to see that the name is free.
            assert len(joined) == 2 and 1 <= len(left) <= 2, (name, watcher.received)
            before = watcher.received.index(joined[1])
            assert sum(1 for one in watcher.received[:before] if one in left) == 1, name
    hubbub.wait_sql(online + "NOT NULL", "50")
    assert hubbub.sql("SELECT * FROM audit") == ""


@pytest.mark.alongside(38)
def test_a_redis_outage_closes_nobody_and_frees_no_name(make_hubbub):
    hubbub = make_hubbub()
    people = come(hubbub, 8)
    hubbub.redis.kill(signal.SIGKILL)
    begun = time.monotonic()
    wait_readiness(hubbub, 503)
    for person in people:
        refused(person)
    for gateway in (1, 2):
        assert answer_to_login(hubbub, "newcomer", gateway) == "unavailable"
    time.sleep(25 - (time.monotonic() - begun))  # longer than the 10 s after which a silent gateway counts as dead
    hubbub.redis.start()
    wait_readiness(hubbub, 200)
    all_talk(people, "after the outage from")
    names_are_held(hubbub, people)
    nobody_was_disturbed(people)
    sessions = "SELECT count(*), count(disconnected_at) FROM sessions"
    hubbub.wait_sql(sessions, "8|0")
    assert hubbub.sql("SELECT count(*) FROM history WHERE text = 'refuse me'") == "0"
    assert hubbub.sql("SELECT * FROM audit") == ""


@pytest.mark.alongside(35)
def test_a_gateway_that_was_frozen_loses_only_the_names_that_others_took(make_hubbub):
    hubbub = make_hubbub()
    watcher = hubbub.json("watcher", 2)
    alice, bob, carol = (hubbub.json(name, 1) for name in ("alice", "bob", "carol"))
    all_talk([watcher, alice, bob, carol], "before")
    forget([watcher, alice, bob, carol])
    hubbub.gateways[0].kill(signal.SIGSTOP)
    begun = time.monotonic()
    for name in ("alice", "bob", "carol"):
        watcher.expect(type="left", seconds=15, **{"from": name})
    other = hubbub.json("alice", 2)
    say(other, "while you slept", [watcher])
    time.sleep(20 - (time.monotonic() - begun))  # so long it is frozen
    hubbub.gateways[0].kill(signal.SIGCONT)
    alice.expect_error("username-taken")
    alice.expect_closed()
    all_talk([watcher, other, bob, carol], "after")
    for one in (bob, carol):
        assert len(one.has(type="message", data="while you slept")) == 1
    for name in ("bob", "carol"):
        assert answer_to_login(hubbub, name, 2) == "username-taken"
        assert len(watcher.has(type="left", **{"from": name})) == 1
        assert len(watcher.has(type="joined", **{"from": name})) == 1
    assert not other.has(type="left", **{"from": "alice"})
    hubbub.wait_sql("SELECT name FROM online WHERE gateway = 'g1' ORDER BY name", "bob\ncarol")
    hubbub.wait_sql("SELECT name FROM online WHERE gateway = 'g2' ORDER BY name", "alice\nwatcher")
    assert hubbub.gateways[0].all_logs().count("event=incarnation") == 2
    assert hubbub.sql("SELECT * FROM audit") == ""


def only_a_restart_is_audited(hubbub):
    """Redis' data was destroyed, and the audit says that and nothing else."""
    rows = [line.split("|") for line in hubbub.sql("SELECT finding, detail FROM audit").split("\n")]
    assert "restart" in [finding for finding, _ in rows]
    for finding, detail in rows:
        assert finding == "restart" or (finding == "missing" and "(the lane was opened at" in detail), (finding, detail)


def enter_rooms(people, rooms):
    for person in people:
        for room in rooms:
            person.send({"type": "join", "room": room})
            person.expect(type="entered", room=room)


@pytest.mark.alongside(12)
def test_a_redis_that_was_wiped_is_opened_again_and_no_room_is_left_deaf(make_hubbub):
    hubbub = make_hubbub()
    people = come(hubbub, 4)
    rooms = [f"room-{n}" for n in range(12)]
    enter_rooms(people, rooms)
    for room in rooms:
        say(people[0], f"before in {room}", people, room=room)
    last = people[0].has(type="ack")[-1]["id"]
    hubbub.wait_sql(f"SELECT count(*) FROM history WHERE id = {last}", "1")
    forget(people)
    assert hubbub.redis.call("FLUSHALL") == "+OK"
    for room in rooms:
        for person in people:
            say(person, f"after from {person.welcome['name']} in {room}", people, room=room)
    all_talk(people, "after")
    names_are_held(hubbub, people)
    for person in people:
        person.send({"type": "who", "room": rooms[0]})
        assert person.expect(type="who")["count"] == len(people)
        assert not person.has(type="left")
    hubbub.wait_sql("SELECT count(*) FROM history WHERE text LIKE 'after from %'", str(len(people) * len(rooms)))
    hubbub.wait_sql("SELECT count(*) FROM online", str(len(people)))
    only_a_restart_is_audited(hubbub)


@pytest.mark.alongside(12)
def test_a_wiped_redis_without_a_store_refuses_until_the_store_is_back(make_hubbub):
    hubbub = make_hubbub()
    people = come(hubbub, 4)
    hubbub.wait_sql("SELECT count(*) FROM history", "4")
    hubbub.store.kill(signal.SIGKILL)
    hubbub.redis.call("FLUSHALL")
    wait_readiness(hubbub, 503)
    for person in people:
        refused(person)
    assert answer_to_login(hubbub, "newcomer", 1) == "unavailable"
    hubbub.store.start()
    all_talk(people, "after")
    names_are_held(hubbub, people)
    hubbub.wait_sql("SELECT count(*) FROM history", "8")
    only_a_restart_is_audited(hubbub)


@pytest.mark.alongside(12)
def test_a_read_only_redis_refuses_and_works_again_by_itself(make_hubbub):
    hubbub = make_hubbub()
    people = come(hubbub, 4)
    hubbub.redis.call("REPLICAOF", "127.0.0.1", hubbub.taken.take())  # nobody listens there
    wait_readiness(hubbub, 503)
    for person in people:
        refused(person)
    assert answer_to_login(hubbub, "newcomer", 1) == "unavailable"
    hubbub.redis.call("REPLICAOF", "NO", "ONE")
    all_talk(people, "after")
    names_are_held(hubbub, people)
    nobody_was_disturbed(people)
    hubbub.wait_sql("SELECT count(*) FROM history", "8")
    assert hubbub.sql("SELECT * FROM audit") == ""


@pytest.mark.alongside(10)
def test_a_full_redis_refuses_what_takes_room_and_lets_people_leave(make_hubbub):
    hubbub = make_hubbub()
    people = come(hubbub, 4)
    hubbub.redis.call("CONFIG", "SET", "maxmemory", "1")
    for person in people:
        refused(person)
    for gateway in (1, 2):
        assert answer_to_login(hubbub, "newcomer", gateway) == "unavailable"
    people[0].send({"type": "leave"})
    people[0].expect(type="exited")
    people[0].expect_closed()
    for person in people[1:]:
        person.expect(type="left", **{"from": "person-0"})
    hubbub.redis.call("CONFIG", "SET", "maxmemory", "2gb")
    people[0] = hubbub.json("person-0", 2)
    all_talk(people, "after")
    hubbub.wait_sql("SELECT count(*) FROM history", "8")
    assert hubbub.sql("SELECT * FROM audit") == ""


@pytest.mark.alongside(18)
def test_a_busy_redis_refuses_and_works_again_by_itself(make_hubbub):
    hubbub = make_hubbub()
    people = come(hubbub, 4)
    hubbub.redis.call("CONFIG", "SET", "busy-reply-threshold", "500")
    with socket.create_connection(("127.0.0.1", hubbub.redis.port)) as link:
        link.sendall(b"EVAL 'while true do end' 0\r\n")
        begun = time.monotonic()
        wait_readiness(hubbub, 503)
        for person in people:
            refused(person)
        time.sleep(7 - (time.monotonic() - begun))  # so long the script runs
        assert hubbub.redis.call("SCRIPT", "KILL") == "+OK"
    all_talk(people, "after")
    names_are_held(hubbub, people)
    nobody_was_disturbed(people)
    hubbub.wait_sql("SELECT count(*) FROM history", "8")


@pytest.mark.alongside(15)
def test_a_gateway_that_is_told_to_end_answers_the_chats_in_flight_first(make_hubbub):
    hubbub = make_hubbub()
    alice, bob = hubbub.json("alice", 1), hubbub.json("bob", 2)
    gateway = hubbub.gateways[0]
    hubbub.redis.kill(signal.SIGSTOP)
    for n in range(100):
        alice.chat(f"in flight {n}", ref=str(n))
    alice.sync()
    assert not alice.has(type="ack")
    gateway.kill(signal.SIGTERM)
    begun = time.monotonic()
    wait_for(lambda: hubbub.http("/readyz")[0] == 503, PATIENCE, "the gateway is not ready any more")
    hubbub.redis.kill(signal.SIGCONT)
    alice.expect_error("shutting-down")
    alice.expect_closed()
    assert [one.get("ref") for one in alice.received if one["type"] == "ack"] == [str(n) for n in range(100)]
    assert gateway.process.wait(PATIENCE) == 0 and time.monotonic() - begun < 10
    assert answer_to_login(hubbub, "alice", 2) == "welcome"
    for n in range(100):
        bob.expect(type="message", data=f"in flight {n}")


@pytest.mark.alongside(12)
def test_a_gateway_that_is_told_to_end_while_redis_is_frozen_ends_in_time(make_hubbub):
    hubbub = make_hubbub(1, {"HUBBUB_DRAIN": "4"})
    alice, bob = hubbub.json("alice"), hubbub.json("bob")
    hubbub.redis.kill(signal.SIGSTOP)
    alice.chat("in flight", ref="r")
    alice.sync()
    begun = time.monotonic()
    hubbub.gateways[0].kill(signal.SIGTERM)
    for client in (alice, bob):
        client.expect_error("shutting-down")
        client.expect_closed()
    assert hubbub.gateways[0].process.wait(PATIENCE) == 0
    assert time.monotonic() - begun < 6
    hubbub.redis.kill(signal.SIGCONT)


class Unresolving(Gateway):
    """A gateway for which a name server never answers.  Its mounts are its own, so this needs root."""

    def command(self):
        binary, = super().command()
        script = ('mount --bind "$1" /etc/resolv.conf && '
                  'exec setpriv --reuid nobody --regid nogroup --clear-groups "$2"')
        return ["unshare", "-m", "sh", "-c", script, "sh", self.place.path + "/resolv.conf", binary]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a process another /etc/resolv.conf")
@pytest.mark.alongside(15)
def test_a_name_server_that_does_not_answer_holds_nobody_up(make_hubbub):
    hubbub = make_hubbub(1)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        address = f"127.9.{os.getpid() >> 8 & 255}.{os.getpid() & 255}"
        silent.bind((address, 53))
        with open(hubbub.place.path + "/resolv.conf", "w") as file:
            file.write(f"nameserver {address}\n")
        os.chmod(hubbub.place.path + "/resolv.conf", 0o644)
        settings = {**hubbub.gateway_settings(2), "HUBBUB_REDIS_URL": "redis://redis.example:6379"}
        gateway = Unresolving(hubbub.place, "gateway-2", os.path.join(BUILD, "gateway/hubbub-gateway"), settings)
        gateway.owner = None
        hubbub.gateways.append(gateway)
        gateway.start(wait=False)
        wait_for(lambda: "event=started" in gateway.log_text(), PATIENCE, "the gateway has started")
        silent.settimeout(PATIENCE)
        assert silent.recv(512)  # it was asked for the name
        until = time.monotonic() + 7  # longer than a name server is waited for
        while time.monotonic() < until:
            begun = time.monotonic()
            assert hubbub.http("/healthz", 2)[0] == 200
            assert hubbub.http("/readyz", 2)[0] == 503
            assert answer_to_login(hubbub, "alice", 2) == "unavailable"
            assert time.monotonic() - begun < 4  # and not for as long as a name server is waited for
            time.sleep(0.1)


@pytest.mark.alongside(6)
def test_a_gateway_that_is_told_to_end_again_and_again_ends_cleanly(make_hubbub):
    hubbub = make_hubbub(1)
    alice = hubbub.json("alice")
    process = hubbub.gateways[0].process
    until = time.monotonic() + PATIENCE
    while process.poll() is None and time.monotonic() < until:
        process.send_signal(signal.SIGTERM)
        time.sleep(0.0002)
    assert process.poll() == 0
    alice.expect_error("shutting-down")
    alice.expect_closed()
