"""The client after its machine has slept while a chat was under way: nobody can know whether it was said, so the
person is asked; and what else may be asked meanwhile."""

import contextlib
import itertools
import json
import os
import re
import signal
import struct
import subprocess

import pytest

from client import address, environment
from hubbub import BUILD, PATIENCE, wait_for
from relay import Relay
from terminal import Terminal, control, pasted
from test_client_screen import Person

CLIENT_WITH_CLOCK = os.path.join(BUILD, "tests/client/hubbub-with-clock")
AGAIN = "Say it again (y or n)?"
TEN_MINUTES = 600
numbers = itertools.count(1)


class Machine:
    """Where a client runs: it may sleep, and its connection goes over `relay`, to the gateway."""

    def __init__(self, hubbub, relay, directory):
        self.hubbub, self.relay, self.path = hubbub, relay, directory / "clock"
        self.path.write_bytes(struct.pack("=q", 0))
        self.slept = 0
        number = next(numbers)
        self.name, self.room = f"Ann-{number}", f"sleep-{number}"
        self.arguments = ["-u", self.name, "-r", self.room, address(relay.port)]
        self.bob = hubbub.json(f"Bob-{number}", room=self.room)

    def environment(self, **extra):
        return environment(CLOCK_FILE=str(self.path), **extra)

    def sleep(self, seconds):
        self.slept += seconds
        with open(self.path, "r+b") as file:
            file.write(struct.pack("=q", self.slept * 1000000))

    def keep_back(self, kind):
        """What goes to the gateway waits from the next request of this kind on."""
        self.relay.to_redis.shut(f'"type":"{kind}"'.encode())

    def cut(self):
        """Ends the connection; what waits is lost."""
        for one in list(self.relay.sockets):
            self.relay.end(one)

    def until_away(self):
        """Nobody has the client's name any more."""
        def is_away():
            self.bob.send({"type": "who", "room": self.room})
            return self.name not in self.bob.expect(type="who")["users"]
        wait_for(is_away, PATIENCE, f"the end of {self.name}")

    def let_through(self):
        self.relay.open()

    def said(self, *texts):
        """Bob hears these, in this order, and the history has nothing else."""
        for text in texts:
            assert self.bob.expect(type="message")["data"] == text
        self.hubbub.wait_sql("SELECT coalesce(json_agg(sender || ': ' || text ORDER BY id)::text, '[]') "
                             f"FROM history WHERE room = '{self.room}'", json.dumps([f"{self.name}: {text}" for text in texts]))


class Sleeper(Person):
    """Somebody whose machine can sleep."""

    def __init__(self, machine, **env):
        Terminal.__init__(self, [CLIENT_WITH_CLOCK, *machine.arguments], **machine.environment(**env))
        self.machine = machine

    def send_into_sleep(self, text):
        """Says something that does not reach the gateway; ten minutes later there is a connection again."""
        self.type(text)
        self.machine.relay.to_redis.wait_caught()
        self.machine.sleep(TEN_MINUTES)
        self.machine.cut()
        self.machine.let_through()

    def until_asked(self, words=AGAIN):
        self.until_line(-1, words)
        return self

    def answer(self, key):
        """After a look at the screen, as one does it, in which no key is pressed."""
        while self.read(1.1):
            pass
        self.press(key)


@pytest.fixture
def machine(hubbub, tmp_path):
    class Gateway:
        port = hubbub.port("json")

    with Relay(Gateway) as relay:
        yield Machine(hubbub, relay, tmp_path)


@pytest.fixture
def sit_down(machine):
    made = []

    def make(**env):
        made.append(Sleeper(machine, **env))
        return made[-1]

    yield make
    problems = [re.search(rb"Sanitizer|runtime error", person.written) for person in made]
    for person in made:
        person.close()
    assert not any(problems)


@pytest.fixture
def ann(machine, sit_down):
    """Whose next chat does not reach the gateway."""
    person = sit_down().until_connected()
    machine.keep_back("chat")
    return person


def test_what_may_have_been_said_is_said_again_if_one_wants_that(ann):
    ann.send_into_sleep("good night")
    ann.until_asked()
    ann.until_shown("or not:")
    ann.answer("y")
    ann.machine.said("good night")
    ann.until_line(-1, ">")
    ann.until_gone("not said yet")


def test_what_was_said_is_not_said_twice(machine, sit_down):
    """The answer was lost alone; the server still knows the ref, since it has not slept."""
    ann = sit_down().until_connected()
    machine.relay.to_gateway.shut(b'"type":"ack"')
    ann.type("good night")
    machine.relay.to_gateway.wait_caught()
    machine.sleep(TEN_MINUTES)
    machine.cut()
    machine.let_through()
    ann.until_asked().answer("y")
    ann.until_gone("not said yet")
    machine.said("good night")


def test_what_may_have_been_said_is_forgotten_if_one_wants_that(ann):
    ann.send_into_sleep("good night")
    ann.until_asked().answer("n")
    ann.until_shown("good night (not said: It was not said again.)")
    ann.type("good morning")
    ann.machine.said("good morning")


def test_what_was_typed_behind_it_waits_for_the_answer(ann):
    ann.type("one")
    ann.machine.relay.to_redis.wait_caught()
    ann.type("two")
    ann.send_into_sleep("three")
    ann.until_asked()
    ann.until_shown("3 not said yet")
    ann.answer("y")
    ann.machine.said("one", "two", "three")


def test_questions_queue(ann):
    """A paste is not lost, nor answered by what was meant for the other question."""
    ann.type("one")
    ann.machine.relay.to_redis.wait_caught()
    ann.press(pasted("two\nthree"))
    ann.until_asked("Say these 2 lines as one text (y or n)?")
    ann.machine.sleep(TEN_MINUTES)
    ann.machine.cut()
    ann.until_shown("reconnecting")
    ann.machine.let_through()
    ann.until_connected()
    ann.until_asked("Say these 2 lines as one text (y or n)?")
    ann.press("y")
    ann.until_asked().answer("y")
    ann.machine.said("one", "two\nthree")
    ann.until_line(-1, ">")


def test_the_second_question_is_not_answered_by_a_key_that_came_before_it(ann):
    ann.type("one")
    ann.machine.relay.to_redis.wait_caught()
    ann.press(pasted("two\nthree"))
    ann.until_asked("Say these 2 lines as one text (y or n)?")
    ann.machine.sleep(TEN_MINUTES)
    ann.machine.cut()
    ann.until_shown("reconnecting")
    ann.machine.let_through()
    ann.until_connected()
    ann.press("nn")  # the second one comes before the question is drawn, so it goes into the line
    ann.until_asked().answer("y")
    ann.machine.said("one")
    ann.until_line(-1, "> n")


def test_a_question_is_not_answered_before_it_is_seen(machine, sit_down):
    ann = sit_down().until_connected()
    ann.press(pasted("one\ntwo") + b"n")
    ann.until_asked("Say these 2 lines as one text (y or n)?")
    ann.press("y")
    machine.said("one\ntwo")
    ann.until_line(-1, "> n")


def test_who_types_on_has_not_answered(ann):
    ann.type("one")
    ann.machine.relay.to_redis.wait_caught()
    ann.machine.sleep(TEN_MINUTES)
    ann.machine.cut()
    ann.machine.let_through()
    typed = itertools.count(1)

    def asked():
        ann.press("n" if next(typed) % 2 else "y")
        return ann.lines()[-1] == AGAIN

    ann.until(asked, AGAIN)
    ann.press("ny" + "\r")
    ann.until(lambda: any(re.search(": [ny]+ny$", line) for line in ann.said()), "what was typed")
    assert ann.lines()[-1] == AGAIN
    ann.answer("y")
    assert ann.machine.bob.expect(type="message")["data"] == "one"
    assert re.fullmatch("[ny]+ny", ann.machine.bob.expect(type="message")["data"])


def test_a_question_outlives_its_connection(ann):
    ann.send_into_sleep("good night")
    ann.until_asked()
    ann.machine.keep_back("join")
    ann.machine.cut()
    ann.until_shown("authenticating")
    ann.until_asked().answer("y")
    ann.until_line(-1, ">")
    ann.machine.let_through()
    ann.machine.said("good night")


def test_it_may_become_stale_again(ann):
    ann.send_into_sleep("good night")
    ann.machine.keep_back("chat")
    ann.until_asked().answer("y")
    ann.machine.relay.to_redis.wait_caught()
    ann.machine.sleep(TEN_MINUTES)
    ann.machine.cut()
    ann.machine.let_through()
    ann.until_asked().answer("y")
    ann.machine.said("good night")
    ann.until_line(-1, ">")


def test_the_next_one_may_become_stale_too(ann):
    ann.send_into_sleep("one")
    ann.until_asked()
    ann.machine.relay.to_redis.shut(b'"data":"two"')
    ann.answer("n")
    ann.until_line(-1, ">")
    ann.send_into_sleep("two")
    ann.until_asked().answer("y")
    ann.machine.said("two")


def test_a_name_is_asked_for_before_the_question(machine, ann):
    ann.send_into_sleep("good night")
    ann.until_asked()
    machine.keep_back("join")
    machine.cut()
    machine.until_away()
    thief = machine.hubbub.json(machine.name, gateway=2)
    machine.let_through()
    ann.until_shown("is taken")
    machine.sleep(30)  # so long it waits for what may be left of itself
    ann.until_line(-1, "Your name:")
    machine.name += "-too"
    ann.type(machine.name)
    ann.until_connected()
    ann.until_asked().answer("y")
    machine.said("good night")
    thief.close()


def test_who_is_asked_may_leave(ann):
    ann.send_into_sleep("good night")
    ann.until_asked()
    ann.process.send_signal(signal.SIGINT)
    ann.until_shown("You leave when what you typed is said (1).")
    ann.until_asked().answer("y")
    assert ann.wait() == 0 and ann.is_sane()
    ann.machine.said("good night")


def test_who_leaves_without_an_answer_is_told(ann):
    ann.send_into_sleep("good night")
    ann.until_asked()
    ann.process.send_signal(signal.SIGTERM)
    assert ann.wait() == 1 and ann.is_sane()
    assert "1 text was not said, or not answered" in ann.text()
    ann.machine.said()


@pytest.fixture
def plain(machine, sit_down):
    """On a terminal that cannot show a screen."""
    person = sit_down(TERM="dumb")
    machine.bob.expect(type="joined")
    machine.keep_back("chat")
    return person


def test_line_by_line_only_an_answer_is_one(plain):
    plain.send_into_sleep("one")
    plain.until_shown(AGAIN)
    assert "* one" in plain.lines()
    plain.press("now two\n")
    plain.until(lambda: plain.text().count(AGAIN) == 2, "the question again")
    plain.press("y\n")
    plain.machine.said("one", "now two")
    plain.press("y\n")
    assert plain.machine.bob.expect(type="message")["data"] == "y"


def test_line_by_line_it_may_be_forgotten(plain):
    plain.send_into_sleep("one")
    plain.until_shown(AGAIN)
    plain.press("n\n")
    plain.until_shown("Not said: It was not said again.")
    plain.press("/quit\n")
    assert plain.wait() == 0
    plain.machine.said()


def test_line_by_line_nobody_is_there_any_more(plain):
    plain.send_into_sleep("one")
    plain.until_shown(AGAIN)
    plain.press(control("d"))
    assert plain.wait() == 1
    assert "1 text was not said, or not answered" in plain.text()


def test_line_by_line_nobody_is_there_to_be_asked(plain):
    plain.type("one")
    plain.machine.relay.to_redis.wait_caught()
    plain.press(control("d"))
    plain.machine.sleep(TEN_MINUTES)
    plain.machine.cut()
    plain.machine.let_through()
    assert plain.wait() == 1
    assert "1 text was not said, or not answered" in plain.text()
    plain.machine.said()


def test_a_script_fails_and_says_which_line(machine):
    machine.relay.to_redis.shut(b'"data":"two"')
    with contextlib.ExitStack() as last:
        script = subprocess.Popen([CLIENT_WITH_CLOCK, *machine.arguments], stdin=subprocess.PIPE,
                                  stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=machine.environment())
        last.callback(script.communicate)
        last.callback(script.kill)
        script.stdin.write(b"one\ntwo\nthree\n")
        script.stdin.flush()
        machine.relay.to_redis.wait_caught()
        machine.sleep(TEN_MINUTES)
        machine.cut()
        machine.let_through()
        errors = script.communicate(timeout=PATIENCE)[1].decode()
        assert (script.returncode, errors) == \
            (1, "hubbub: line 2 may have been said or not: it was not answered for 9 minutes\n")
    machine.said("one")
