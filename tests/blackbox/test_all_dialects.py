"""One room, a client of each dialect, two gateways: everybody hears everybody."""

import re

import pytest

import documented
from hubbub import DIALECTS, PATIENCE, wait_for

GATEWAYS = {"prompt": 1, "json": 2, "line": 1, "command": 2, "gob": 1}

# What a client prints, in each dialect.
SAYS = {"line": r"MSG (\S+) (.*)"}
LEFT = {"json": r"(\S+): \1 left\.", "line": r"INFO (\S+) disconnected", "prompt": r"(\S+) left the chat\.",
        "command": r"USER_LEFT (\S+)", "gob": r"(\S+) left"}
REFUSED = {"line": "ERR username-taken", "gob": "server: error: username-taken"}


class Person:
    """Somebody with the client that docs/PROTOCOLS.md prints for a dialect: netcat, Python, or Go."""

    def __init__(self, hubbub, dialect, command):
        self.hubbub, self.dialect, self.command = hubbub, dialect, command
        self.name = f"{dialect}-person"
        self.all = []
        self.client = self.run(self.name, GATEWAYS[dialect])

    def run(self, name, gateway):
        self.all.append(documented.Running(
            self.command + ["127.0.0.1", str(self.hubbub.port(self.dialect, gateway)), name]))
        return self.all[-1]

    def heard(self):
        """(name, text) of everything that others said, in order."""
        found = (re.fullmatch(SAYS.get(self.dialect, r"(\S+): (.*)"), line) for line in self.client.lines)
        return [one.groups() for one in found if one and one.group(2).startswith("I am ")]

    def left(self):
        """Who went, in order."""
        found = (re.fullmatch(LEFT[self.dialect], line) for line in self.client.lines)
        return [one.group(1) for one in found if one]

    def tries_the_name_of(self, other):
        for gateway in (1, 2):
            client = self.run(other.name, gateway)
            client.wait(REFUSED.get(self.dialect, f"The name {other.name} is taken."))

    def end(self):
        for one in self.all:
            one.end()


@pytest.fixture
def people(hubbub, tmp_path):
    """One of each dialect, in the lobby, one after the other."""
    commands = {dialect: documented.command(dialect, str(tmp_path)) for dialect in GATEWAYS}
    everybody = []
    try:
        for dialect, command in commands.items():
            everybody.append(Person(hubbub, dialect, command))
            hubbub.wait_sql(f"SELECT count(*) FROM online WHERE name = '{everybody[-1].name}'", "1")
        yield everybody
    finally:
        for one in everybody:
            one.end()


def test_people_of_all_dialects_meet_in_one_room(hubbub, people):
    assert sorted(GATEWAYS) == sorted(DIALECTS)
    for one, other in zip(people, people[1:] + people[:1]):
        one.tries_the_name_of(other)
    for one in people:
        one.client.say(f"I am {one.name}")
    for one in people:
        wait_for(lambda: len(one.heard()) == 4, PATIENCE, f"{one.name} hears four: {one.client.lines}")

    said = "SELECT sender, text FROM history WHERE room = 'lobby' AND text LIKE 'I am %' ORDER BY id"
    hubbub.wait_sql("SELECT count(*) FROM history WHERE room = 'lobby' AND text LIKE 'I am %'", "5")
    order = [tuple(row.split("|")) for row in hubbub.sql(said).split("\n")]
    assert sorted(order) == sorted((one.name, f"I am {one.name}") for one in people)
    for one in people:
        assert one.heard() == [row for row in order if row[0] != one.name], one.dialect

    staying = list(people)
    while staying:
        gone = staying.pop(0)
        assert gone.client.leave() == 0
        for one in staying:
            wait_for(lambda: gone.name in one.left(), PATIENCE, f"{one.name} is told that {gone.name} left")
    names = [one.name for one in people]
    for number, one in enumerate(people):
        assert one.left() == names[:number], f"{one.dialect} is told of each once"
        assert len(one.heard()) == 4
