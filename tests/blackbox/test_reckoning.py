"""The fault suite's reckoning finds what it is there to find: a suite that is always green shows nothing."""

import os
import random
import sys

import pytest

from hubbub import ROOT

sys.path.append(os.path.join(ROOT, "tests/faults"))

from people import Chat, Command, Connection, Json, Line, Page  # noqa: E402
from reckoning import Reckoning  # noqa: E402

TEXTS = [f"lobby/{name}/{number:05}" for number in range(3) for name in ("json-0", "command-1", "line-2")]
HISTORY = [(10 + number, text) for number, text in enumerate(TEXTS)]
DIRECTS = [(30 + number, f"direct/{sender}/{90 + number:05}/{to}") for number, (sender, to) in enumerate(
    [("json-0", "command-1"), ("command-1", "json-0"), ("json-0", "line-2")] * 3)]


def heard_by(name, echo):
    return [(number, text) for number, text in HISTORY if echo or text.split("/")[1] != name]


def page(*asked_and_answered):
    made = Page(*asked_and_answered[:5], HISTORY[-1][0])
    made.messages, made.more = list(asked_and_answered[5]), asked_and_answered[6]
    return made


def person(kind, number):
    """Somebody who was promised and has heard what there is."""
    made = kind(f"{kind.dialect}-{number}", ["lobby"], 0, 1, random.Random(1))
    own = [(number, text) for number, text in HISTORY if text.split("/")[1] == made.name]
    made.connections += [Connection(1), Connection(2)]
    for there, directs in zip(made.connections, (DIRECTS[:6], DIRECTS[3:])):  # what was not read comes again
        there.directs = [(None if kind is Line else number, text) for number, text in directs
                         if text.endswith("/" + made.name)]
    made.connections[0].ended = 1
    made.here.heard = [("lobby", text) for _, text in heard_by(made.name, kind is Json)]
    if kind is Line:
        made.here.said = [text for _, text in own]
        return made
    for number, text in DIRECTS:
        if text.split("/")[1] == made.name:
            made.chats[text] = Chat(None, text, True, text.split("/")[3])
            made.chats[text].id = number
    made.pages = [page("lobby", None, 15, None, 3, HISTORY[2:5], True),
                  page("lobby", None, None, 12, 4, HISTORY[3:7], True),
                  page("lobby", None, None, None, 20, HISTORY, False),
                  page(None, "command-1" if made.name == "json-0" else "json-0", None, None, 3,
                       [DIRECTS[4], *DIRECTS[6:8]], True)]
    made.first["lobby"] = 9
    made.heard["lobby"] = heard_by(made.name, made.echo)
    for number, text in own:
        made.chats[text] = Chat("lobby", text, True)
        made.chats[text].id = number
        made.acks.append(("lobby", number, sum(other[0] < number for other in heard_by(made.name, False))))
    return made


class World:
    def __init__(self):
        self.rows, self.directs, self.read, self.wrongly_held = list(HISTORY), list(DIRECTS), set(), set()
        self.json, self.command, self.line = person(Json, 0), person(Command, 1), person(Line, 2)

    def problems(self):
        answer = "\n".join(f"{number}|lobby|{text.split('/')[1]}|{text}" for number, text in self.rows)
        directs = "\n".join("|".join((
            str(number), text.split("/")[3], text.split("/")[1], text, "t" if number in self.read else "f",
            "f" if number in self.wrongly_held else "t")) for number, text in self.directs)
        return Reckoning([self.json, self.command, self.line], answer, directs).reckon()


def be_told_of_a_gap(world, *numbers):
    """And miss what is in it, or not all."""
    world.command.gaps["lobby"].append((12, 14))
    world.command.heard["lobby"] = [one for one in world.command.heard["lobby"] if one[0] not in numbers]


def lose_a_direct(world, one, number, read=False):
    for there in one.connections:
        there.directs = [item for item in there.directs if item[1] != dict(DIRECTS)[number]]
    if read:
        world.read.add(number)


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
    "line-2 on connection 2 was left without": lambda world: world.line.here.heard.pop(2),
    "line-2 on connection 2 heard lobby out of order or twice":
        lambda world: world.line.here.heard.append(world.line.here.heard[0]),
    "line-2 on connection 2 said 3, was refused 1": lambda world: setattr(world.line.here, "refusals", 1),
    "line-2 on connection 2: what it said is stored in another order": lambda world: world.line.here.said.reverse(),
    "json-0 was never handed 1 directs": lambda world: lose_a_direct(world, world.json, 37),
    "json-0 was never handed 1 directs: direct/command-1/00097/json-0 (37, marked as read)":
        lambda world: lose_a_direct(world, world.json, 37, read=True),
    "line-2 was never handed 1 directs": lambda world: lose_a_direct(world, world.line, 38),
    "line-2 was never handed 1 directs: direct/json-0/00092/line-2 (32, marked as read)":
        lambda world: lose_a_direct(world, world.line, 32, read=True),
    "json-0 on connection 2 was handed directs out of order": lambda world: world.json.here.directs.reverse(),
    "json-0 on connection 2 was handed directs out of order, twice":
        lambda world: world.json.here.directs.append(world.json.here.directs[-1]),
    "was handed directs that are not in history": lambda world: world.directs.pop(),
    "twice in history: direct/": lambda world: world.directs.append((99, DIRECTS[0][1])),
    "for somebody else than it was said to": lambda world: world.wrongly_held.add(31),
    "command-1 heard in lobby what it had been told is missing": be_told_of_a_gap,
    "command-1 in lobby heard 4 of 5; missed 1": lambda world: be_told_of_a_gap(world, 13, 14, 15),
    "json-0 asked for 3 of lobby before 15 and got 2 and more, without 1":
        lambda world: world.json.pages[0].messages.pop(1),
    "json-0 asked for 4 of lobby since 12 and got 3 and more, without 1":
        lambda world: world.json.pages[1].messages.pop(0),
    "json-0 asked for 20 of lobby and got 8, without 1": lambda world: world.json.pages[2].messages.pop(),
    "json-0 asked for 20 of lobby and got 9, or what is not there":
        lambda world: world.json.pages[2].messages.reverse(),
    "json-0 asked for 3 of directs with command-1 and got 2 and more, without 1":
        lambda world: world.json.pages[3].messages.pop(1),
    "must not come": lambda world: world.json.note_odd("a gap"),
}


def test_what_is_as_promised_is_no_problem():
    assert World().problems() == []


def test_what_is_told_as_a_gap_is_not_due():
    world = World()
    be_told_of_a_gap(world, 13, 14)
    assert world.problems() == []


def test_what_was_sent_before_a_connection_died_may_be_in_history_alone_where_one_cannot_say_what_was_read():
    world = World()
    for there in world.line.connections:  # connection 1 had it and died
        there.directs = [item for item in there.directs if item[1] != DIRECTS[5][1]]
    world.read.add(35)
    assert world.problems() == []


@pytest.mark.parametrize("problem", WRONG)
def test_what_is_not_as_promised_is_found(problem):
    world = World()
    WRONG[problem](world)
    assert any(problem in found for found in world.problems()), world.problems()
