"""Each dialect says what tests/transcripts/ has, and the transcripts have every verb and every error code."""

import os
import re

import pytest

import transcript
from hubbub import DIALECTS, ROOT
from transcript import COMMAND, SERVER

TRANSCRIPTS = transcript.load()
SHARED = [name for name, one in TRANSCRIPTS.items() if not one.own]
OWN = [name for name, one in TRANSCRIPTS.items() if one.own]

MOVES = "JOIN and LEAVE move: one is always in a room"

# What no transcript can show, and why.  One that is shown does not belong here.
NOT_SHOWN = {
    "json": {},
    "line": {"not-in-room": MOVES},
    "prompt": {"not-in-room": MOVES,
               "login-required": "before the log-in every line is a name",
               "already-logged-in": "after the log-in no line is a name"},
    "command": {},
    "gob": {"not-in-room": MOVES},
}


def read(path):
    with open(os.path.join(ROOT, path)) as file:
        return file.read()


def documented_codes():
    found = re.search(r"\*\*Error codes\*\*[^`]*`([^`]+)`", read("docs/PROTOCOLS.md"))
    return set(found.group(1).split())


def sentences():
    """What the gateway says for an error code where nothing better is known."""
    rows = re.findall(r'\[ERROR_\w+\] = \{"([a-z-]+)",\s*"((?:[^"\\]|\\.)*)"\}', read("gateway/dialect.c"))
    return {code: sentence.replace('\\"', '"') for code, sentence in rows if code != "none"}


def documented_verbs(dialect):
    """The verbs in the lines `C: ...` of the dialect's section; of gob the numbers behind `Type:`."""
    section = re.search(rf"^## `{dialect}`.*?(?=^## |\Z)", read("docs/PROTOCOLS.md"), re.M | re.S).group(0)
    asked = "\n".join(line.split("S:")[0] for line in section.split("\n") if line.startswith("    C: "))
    slashes = set(re.findall(r'(?<![\w/"])/[a-z]+', asked))
    return {"json": lambda: set(re.findall(r'"type":"(\w+)"', asked)),
            "line": lambda: set(re.findall(r"\b[A-Z]{2,}\b", asked)),
            "prompt": lambda: slashes | {"//"},
            "command": lambda: set(re.findall(r'(?<="command":")\w+|\bMESSAGE\b', asked)),
            "gob": lambda: types_in(section) | documented_verbs("prompt")}[dialect]()


def types_in(section):
    """`Type: 0 text, 1 join, 2 leave`"""
    return set(re.findall(r"(\d) \w+", re.search(r"\bType: (.*)", section).group(1)))


def known_verbs(dialect):
    """The words in the dialect's table in the gateway; `//` is in none."""
    if dialect in ("json", "command"):
        return set(re.findall(r'\{"(\w+)",\s*(?:"\w+"|NULL),\s*VERB_', read(f"gateway/dialects/{dialect}.c")))
    if dialect == "line":
        return set(re.findall(r'\.word = "(\w+)"', read("gateway/dialects/line.c")))
    if dialect == "prompt":
        return {"//"} | {f"/{word}" for word in re.findall(r'\.word = "(\w+)"', read("gateway/dialects/slash.c"))}
    types = re.search(r"enum message_type \{(.*?)\}", read("gateway/dialects/gob.c"), re.S).group(1)
    return {f"{n}" for n, _ in enumerate(re.findall(r"\w+", types))} | known_verbs("prompt")


def slash_verb(text):
    found = re.match(r"//|/[a-z]+", text)
    return {found.group(0)} if found else set()


def verbs_in(dialect, text):
    """What a client asks for by sending this."""
    if dialect in ("json", "command"):
        return set(re.findall(r'"(?:type|command)":"(\w+)"', text))
    if dialect == "line":
        return set(text.upper().split()[:1])
    if dialect == "prompt":
        return slash_verb(text)
    found = re.match(r'\{(\d), "[^"]*", "(.*)"\}', text)
    return {found.group(1)} | slash_verb(found.group(2)) if found else set()


def codes_in(dialect, step):
    if dialect == "prompt":
        return {step.code} if step.code else set()
    form = {"json": r'"code":"([a-z-]+)"', "command": r'"code":"([a-z-]+)"', "line": r"^ERR ([a-z-]+)",
            "gob": r'"server", "error: ([a-z-]+)'}[dialect]
    return set(re.findall(form, step.text))


def shown(wanted):
    found = set()
    for one in TRANSCRIPTS.values():
        for dialect, step in one.by_dialect():
            if dialect == wanted and step.kind == COMMAND:
                found |= verbs_in(dialect, step.text)
            elif dialect == wanted and step.kind == SERVER:
                found |= codes_in(dialect, step)
    return found


@pytest.mark.parametrize("name", SHARED)
def test_transcript(hubbub, name):
    transcript.Player(TRANSCRIPTS[name], hubbub).play()


@pytest.mark.alongside(70)
@pytest.mark.parametrize("name", OWN)
def test_transcript_on_an_installation_of_its_own(make_hubbub, name):
    one = TRANSCRIPTS[name]
    transcript.Player(one, make_hubbub(2, one.settings, listen_options=one.listen)).play()


@pytest.mark.parametrize("dialect", DIALECTS)
def test_every_verb_and_every_error_code_of_a_dialect_is_in_a_transcript(dialect):
    wanted = documented_verbs(dialect) | documented_codes()
    assert len(wanted) > 25, f"docs/PROTOCOLS.md was not understood: {sorted(wanted)}"
    have, excused = shown(dialect), set(NOT_SHOWN[dialect])
    assert not wanted - have - excused, "no transcript shows " + ", ".join(sorted(wanted - have - excused))
    assert not have & excused, "shown, and yet in NOT_SHOWN: " + ", ".join(sorted(have & excused))
    assert not excused - wanted, "not documented, and yet in NOT_SHOWN: " + ", ".join(sorted(excused - wanted))


@pytest.mark.parametrize("dialect", DIALECTS)
def test_the_documented_verbs_of_a_dialect_are_those_of_the_gateway(dialect):
    assert known_verbs(dialect) == documented_verbs(dialect)


def test_the_documented_error_codes_are_those_of_the_gateway():
    assert documented_codes() == set(sentences())


def test_a_sentence_in_a_transcript_of_prompt_is_marked_with_its_own_code():
    codes = {sentence: code for code, sentence in sentences().items()}
    for one in TRANSCRIPTS.values():
        for dialect, step in one.by_dialect():
            said = step.text.split("\\n")[0]
            if dialect == "prompt" and step.kind == SERVER and said in codes:
                assert step.code == codes[said], f"{one.name}.txt:{step.line}"
