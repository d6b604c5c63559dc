"""Data is destroyed, put back, or given another time: what that may lose is told, and everything else goes on."""

import glob
import os
import re
import shutil
import signal
import struct
import subprocess
import time

import pytest

from hubbub import PATIENCE, ROOT, wait_for
from test_bad_days import all_talk, come, forget, only_a_restart_is_audited, refused, say, wait_readiness


def findings(hubbub):
    """What the audit has found: a set of words."""
    return set(hubbub.sql("SELECT finding FROM audit").split("\n")) - {""}


def history(hubbub, room="lobby"):
    return hubbub.sql(f"SELECT text FROM history WHERE room = '{room}' ORDER BY id").split("\n")


def heard(person):
    return [one["data"] for one in person.received if one["type"] == "message"]


def words(word, count):
    return [f"{word} {n}" for n in range(count)]


def say_all(person, texts, listeners):
    """Returns the id of the last."""
    for text in texts:
        say(person, text, listeners)
    return person.has(type="ack", ref=texts[-1])[0]["id"]


def wait_stored(hubbub, text):
    hubbub.wait_sql(f"SELECT count(*) FROM history WHERE text = '{text}'", "1")


@pytest.mark.alongside(12)
def test_what_a_wipe_of_redis_lost_is_told_to_everybody_and_by_the_audit(make_hubbub):
    hubbub = make_hubbub()
    people = come(hubbub, 4)
    last = say_all(people[0], words("stored", 5), people)
    wait_stored(hubbub, "stored 4")
    hubbub.store.kill(signal.SIGKILL)
    say_all(people[0], words("not stored", 5), people)
    assert hubbub.redis.call("FLUSHALL") == "+OK"
    hubbub.store.start()
    forget(people)
    all_talk(people, "after")
    for person in people:  # what was said in between cannot be had any more, and might be more than they heard
        assert len(person.expect(type="gap", room="lobby")["until"]) > 0
        assert len(heard(person)) == len(set(heard(person))) == 3
    late = hubbub.json("late", 2, since=last)
    late.expect(type="gap", room="lobby")
    assert [late.expect(type="message")["data"] for _ in people] == words("after", 4)
    wait_stored(hubbub, "after 3")
    assert not [text for text in history(hubbub) if text.startswith("not stored")]
    only_a_restart_is_audited(hubbub)


def log_file(hubbub):
    """Redis' append-only file, the part that grows."""
    found, = glob.glob(hubbub.redis.directory + "/appendonlydir/*.incr.aof")
    return found


def cut_tail(hubbub, size):
    """Kills Redis and cuts its file off, in the middle of whatever came behind that size."""
    hubbub.redis.kill(signal.SIGKILL)
    assert os.path.getsize(log_file(hubbub)) > size + 20
    os.truncate(log_file(hubbub), size + 20)
    hubbub.redis.start()


@pytest.mark.alongside(12)
def test_a_log_whose_tail_was_cut_off_goes_on_and_the_audit_tells_of_the_fork(make_hubbub):
    hubbub = make_hubbub()
    people = come(hubbub, 4)
    say_all(people[0], words("kept", 5), people)
    size = os.path.getsize(log_file(hubbub))
    say_all(people[0], words("cut off", 5), people)
    wait_stored(hubbub, "cut off 4")
    cut_tail(hubbub, size)
    all_talk(people, "after")
    wait_stored(hubbub, "after 3")
    assert history(hubbub)[4:] == words("kept", 5) + words("cut off", 5) + words("after", 4)
    for person in people[1:]:
        assert len(heard(person)) == len(set(heard(person))) == 13
        assert not person.has(type="gap")
    assert findings(hubbub) == {"fork"}


@pytest.mark.alongside(12)
def test_a_log_whose_tail_was_cut_off_before_it_was_stored_is_told_by_the_gateways(make_hubbub):
    hubbub = make_hubbub()
    people = come(hubbub, 4)
    say_all(people[0], words("kept", 5), people)
    wait_stored(hubbub, "kept 4")
    hubbub.store.kill(signal.SIGKILL)
    size = os.path.getsize(log_file(hubbub))
    say_all(people[0], words("cut off", 5), people)
    cut_tail(hubbub, size)
    hubbub.store.start()
    all_talk(people, "after")
    wait_stored(hubbub, "after 3")
    assert history(hubbub)[4:] == words("kept", 5) + words("after", 4)
    for person in people[1:]:
        assert len(heard(person)) == len(set(heard(person))) == 13
    # Whichever gateway is back first: what it publishes then hides it from the others.
    wait_for(lambda: any("event=tail_forgotten lane=" in gateway.all_logs() for gateway in hubbub.gateways), PATIENCE,
             "a gateway says that Redis has forgotten something")


def trim(hubbub, lane, stream_id):
    """As a store does it with what is old."""
    with open(os.path.join(ROOT, "common/functions.lua")) as file:
        revision = re.search(r"name=hubbub_(\d+)", file.read()).group(1)
    assert hubbub.redis.call("FCALL", f"trim_{revision}", 1, f"hubbub:{{{lane}}}", stream_id).startswith("*")


def stop_postgres(hubbub):
    assert hubbub.postgres.stop() == 0


def back_up(hubbub):
    """Copies the files of a PostgreSQL that is stopped meanwhile; returns where they are."""
    stop_postgres(hubbub)
    copy = hubbub.postgres.directory + ".backup"
    subprocess.run(["cp", "-a", hubbub.postgres.directory, copy], check=True)
    hubbub.postgres.start()
    return copy


def restore(hubbub, copy):
    stop_postgres(hubbub)
    shutil.rmtree(hubbub.postgres.directory)
    os.rename(copy, hubbub.postgres.directory)
    hubbub.postgres.start()


@pytest.mark.alongside(15)
def test_a_postgresql_restored_from_a_backup_gets_from_the_log_what_was_said_since(make_hubbub):
    hubbub = make_hubbub(stores=2)
    people = come(hubbub, 4)
    say_all(people[0], words("before", 5), people)
    wait_stored(hubbub, "before 4")
    copy = back_up(hubbub)
    say_all(people[0], words("since", 5), people)
    newcomer = hubbub.json("newcomer", 2, room="new-room")
    say(newcomer, "in a room that the backup does not know")
    wait_stored(hubbub, "since 4")
    wait_stored(hubbub, "in a room that the backup does not know")
    restore(hubbub, copy)
    all_talk(people, "after")
    wait_stored(hubbub, "after 3")
    wait_stored(hubbub, "in a room that the backup does not know")
    assert history(hubbub)[4:] == words("before", 5) + words("since", 5) + words("after", 4)
    hubbub.wait_sql("SELECT count(*) FROM online", "5")
    assert findings(hubbub) == set()


@pytest.mark.alongside(15)
def test_what_a_restored_postgresql_lacks_and_the_log_no_longer_has_is_told_by_the_audit(make_hubbub):
    hubbub = make_hubbub()
    people = come(hubbub, 4)
    say_all(people[0], words("before", 5), people)
    wait_stored(hubbub, "before 4")
    copy = back_up(hubbub)
    say_all(people[0], words("trimmed", 5), people)
    wait_stored(hubbub, "trimmed 4")
    last = hubbub.sql("SELECT (max(id) >> 20) || '-' || (max(id) & 16383) FROM messages")
    lane = hubbub.sql("SELECT (max(id) >> 14) & 63 FROM messages")
    trim(hubbub, lane, last)
    say_all(people[1], words("since", 5), people)
    restore(hubbub, copy)
    all_talk(people, "after")
    wait_stored(hubbub, "after 3")
    assert history(hubbub)[4:] == words("before", 5) + words("since", 5) + words("after", 4)
    assert findings(hubbub) == {"missing", "quarantine"}


HOUR = 3600


class Clock:
    """Redis' clock, which may be off and may step while Redis runs."""

    def __init__(self, hubbub):
        """Starts Redis again, with a clock that is right so far."""
        self.redis = hubbub.redis
        library, self.path = hubbub.place.path + "/clock.so", hubbub.place.write("clock", "\0" * 8, hubbub.redis.owner)
        source = os.path.join(ROOT, "tests/blackbox/clock.c")
        subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-o", library, source], check=True)
        self.redis.environment = lambda: {"LD_PRELOAD": library, "CLOCK_FILE": self.path}
        self.redis.kill(signal.SIGKILL)
        self.redis.start()
        self.step(0)
        wait_readiness(hubbub, 200)

    def step(self, seconds):
        with open(self.path, "r+b") as file:
            file.write(struct.pack("=q", seconds * 1000000))

        def is_off():
            told = self.redis.call("EVAL", "return {ok = redis.call('TIME')[1]}", 0)
            return abs(int(told[1:]) - time.time() - seconds) < 5

        wait_for(is_off, PATIENCE, f"Redis' clock is {seconds} s off")


@pytest.mark.alongside(20)
def test_a_clock_that_steps_back_makes_no_id_smaller_and_loses_nothing(make_hubbub):
    hubbub = make_hubbub()
    clock = Clock(hubbub)
    people = come(hubbub, 4)
    say_all(people[0], words("before", 5), people)
    clock.step(-HOUR)
    all_talk(people, "in the past")
    hubbub.redis.kill(signal.SIGKILL)
    hubbub.redis.start()
    all_talk(people, "started in the past")
    clock.step(0)
    all_talk(people, "in the present")
    wait_stored(hubbub, "in the present 3")
    assert history(hubbub)[4:] == (words("before", 5) + words("in the past", 4) + words("started in the past", 4) +
                                   words("in the present", 4))
    for person in people:
        assert not person.has(type="gap") and not person.has(type="left")
        ids = [int(one["id"]) for one in person.has(type="message")]
        assert ids == sorted(set(ids))
    assert findings(hubbub) == set()


@pytest.mark.alongside(20)
def test_a_clock_that_steps_far_ahead_refuses_until_it_is_right_again(make_hubbub):
    hubbub = make_hubbub()
    clock = Clock(hubbub)
    people = come(hubbub, 4)
    say_all(people[0], words("before", 5), people)
    clock.step(HOUR)
    for person in people:
        refused(person)
    clock.step(300)  # this far it is believed
    all_talk(people, "a little ahead")
    clock.step(0)
    all_talk(people, "after")
    wait_stored(hubbub, "after 3")
    assert history(hubbub)[4:] == words("before", 5) + words("a little ahead", 4) + words("after", 4)
    for person in people:
        assert not person.has(type="gap") and not person.has(type="left")
    assert findings(hubbub) == set()


def limited(command, size):
    """The command so that none of its files grows beyond `size` bytes: the same to it as a full disk."""
    limit = 'ulimit -S -f "$1" && shift && exec env --ignore-signal=XFSZ "$@"'
    return ["sh", "-c", limit, "sh", str(size // 512)] + command


@pytest.mark.alongside(15)
def test_a_redis_whose_disk_is_full_ends_rather_than_forget_what_it_has_answered(make_hubbub):
    hubbub = make_hubbub()
    people = come(hubbub, 4)
    plain = hubbub.redis.command()
    hubbub.redis.kill(signal.SIGKILL)
    hubbub.redis.command = lambda: limited(plain, os.path.getsize(log_file(hubbub)) + 20000)
    hubbub.redis.start()
    all_talk(people, "before")
    accepted, said = [], 0
    while hubbub.redis.alive():
        people[0].chat(f"full {said}", ref=f"full {said}")
        said += 1
        while not people[0].has(ref=f"full {said - 1}") and hubbub.redis.alive():
            people[0].receive(0.02)
        accepted += [one["ref"] for one in people[0].has(type="ack", ref=f"full {said - 1}")]
    assert accepted and hubbub.redis.process.returncode == 1
    hubbub.redis.command = lambda: plain  # there is room again
    hubbub.redis.start()
    if len(accepted) < said:
        people[0].expect_error("unavailable", ref=f"full {said - 1}")  # there was no room for this one
    all_talk(people, "after")
    wait_stored(hubbub, "after 3")
    stored = history(hubbub)
    assert [text for text in stored if text.startswith("full")] == accepted
    for person in people[1:]:
        assert [text for text in heard(person) if text.startswith("full")] == accepted
    assert findings(hubbub) == set()


@pytest.mark.alongside(5)
def test_a_store_warns_in_one_line_of_a_redis_that_may_lose_chats(make_hubbub):
    hubbub = make_hubbub()
    assert "event=redis_settings" not in hubbub.store.all_logs()
    for setting, value in (("appendfsync", "everysec"), ("maxmemory-policy", "allkeys-lru")):
        assert hubbub.redis.call("CONFIG", "SET", setting, value) == "+OK"
    hubbub.store.stop()
    hubbub.store.start()
    wait_for(lambda: "event=redis_settings" in hubbub.store.log_text(), PATIENCE, "the store warns")
    line, = [line for line in hubbub.store.log_text().split("\n") if "event=redis_settings" in line]
    assert "level=warn" in line and "appendfsync" in line and "maxmemory-policy" in line
