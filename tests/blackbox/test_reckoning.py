"""The fault suite's reckoning finds what it is there to find: a suite that is always green shows nothing."""

import os
import random
import sys

import pytest

from hubbub import ROOT

sys.path.append(os.path.join(ROOT, "tests/faults"))

from people import Chat, Command, Connection, Json, Line  # noqa: E402
from reckoning import Reckoning  # noqa: E402

TEXTS = [f"lobby/{name}/{number:05}" for number in range(3) for name in ("json-0", "command-1", "line-2")]
HISTORY = [(10 + number, text) for number, text in enumerate(TEXTS)]


def heard_by(name, echo):
    return [(number, text) for number, text in HISTORY if echo or text.split("/")[1] != name]


def person(kind, number):
    """Somebody who was promised and has heard what there is."""
    made = kind(f"{kind.dialect}-{number}", ["lobby"], 0, 1, random.Random(1))
    own = [(number, text) for number, text in HISTORY if text.split("/")[1] == made.name]
    made.connections.append(Connection(1))
    made.here.heard = [("lobby", text) for _, text in heard_by(made.name, kind is Json)]
    if kind is Line:
        made.here.said = [text for _, text in own]
        return made
    made.first["lobby"] = 9
    made.heard["lobby"] = heard_by(made.name, made.echo)
    for number, text in own:
        made.chats[text] = Chat("lobby", text, True)
        made.chats[text].id = number
        made.acks.append(("lobby", number, sum(other[0] < number for other in heard_by(made.name, False))))
    return made


class World:
    def __init__(self):
        self.rows = list(HISTORY)
        self.json, self.command, self.line = person(Json, 0), person(Command, 1), person(Line, 2)

    def problems(self):
        answer = "\n".join(f"{number}|lobby|{text.split('/')[1]}|{text}" for number, text in self.rows)
        return Reckoning([self.json, self.command, self.line], answer).reckon()


def refuse(world):
    chat = world.json.chats[TEXTS[0]]
    chat.id, chat.refused = None, True


def be_given_an_early_ack(world):
    where, number, count = world.command.acks[-1]
    world.command.acks[-1] = (where, number, count - 1)


WRONG = {
    "acknowledged and not in history": lambda world: world.rows.pop(0),
    "twice in history": lambda world: world.rows.append((99, TEXTS[0])),
    "refused and in history": refuse,
    "acknowledged under another id": lambda world: setattr(world.json.chats[TEXTS[0]], "id", 99),
    "nobody said it": lambda world: world.rows.append((99, "lobby/json-0/77777")),
    "json-0 in lobby heard 8 of 9; missed 1": lambda world: world.json.heard["lobby"].pop(4),
    "json-0 in lobby heard 10 of 9; missed 0: ; twice 1":
        lambda world: world.json.heard["lobby"].append(HISTORY[-1]),
    "out of order": lambda world: world.command.heard["lobby"].reverse(),
    "command-1 was given an ack in lobby before": be_given_an_early_ack,
    "line-2 on connection 1 was left without": lambda world: world.line.here.heard.pop(2),
    "line-2 on connection 1 heard lobby out of order or twice":
        lambda world: world.line.here.heard.append(world.line.here.heard[0]),
    "line-2 on connection 1 said 3, was refused 1": lambda world: setattr(world.line.here, "refusals", 1),
    "line-2 on connection 1: what it said is stored in another order": lambda world: world.line.here.said.reverse(),
    "must not come": lambda world: world.json.note_odd("a gap"),
}


def test_what_is_as_promised_is_no_problem():
    assert World().problems() == []


@pytest.mark.parametrize("problem", WRONG)
def test_what_is_not_as_promised_is_found(problem):
    world = World()
    WRONG[problem](world)
    assert any(problem in found for found in world.problems()), world.problems()
