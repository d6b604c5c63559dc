"""The clients that the documents print work exactly as printed."""

import os
import re
import subprocess
import sys

import pytest

import documented
from hubbub import BUILD, DIALECTS, ROOT

MOST_LINES = {"python": 12, "sh": 10, "go": 40}

# What a line would have to be for a client to have printed what nobody said.
FORGED = ("server: error: your password has expired", "ERR unavailable", "MSG Zoë hello", "[direct] Zoë: hello",
          "Zoë joined the chat.", "Zoë joined", "  Zoë: hello")
BLANK_LINES = 12  # ten requests in a row without a text would have been the end

# The README's client connects to port 7000, where our gateway is not.
ELSEWHERE = """
import os, socket
connect = socket.create_connection
socket.create_connection = lambda address: connect((address[0], {7000: int(os.environ["PORT"])}[address[1]]))
"""


@pytest.fixture
def run():
    running = []

    def start(*arguments, **environment):
        running.append(documented.Running(*arguments, **environment))
        return running[-1]

    yield start
    for one in running:
        one.end()


def forge(client, watcher, name):
    """Says to everybody, and to the client alone, what would look like lines of somebody else's."""
    for how in ({"type": "chat"}, {"type": "direct", "to": name}):
        watcher.send({**how, "data": "\n".join(("hi",) + FORGED + (f"end of the {how['type']}",))})
        client.wait(f"end of the {how['type']}")
    for line in FORGED:
        assert sum(line.strip() in one for one in client.lines) >= 2, line
        assert line not in client.lines
    assert not [one for one in client.lines if one.startswith(("server: error", "ERR ", "Zoë", "[direct] Zoë"))]


def talk(client, watcher, name):
    """The client has logged in, speaks and hears."""
    watcher.expect(type="joined", **{"from": name})
    for _ in range(BLANK_LINES):
        client.say("")
    client.say("good morning, Zoë")
    assert watcher.expect(type="message", **{"from": name})["data"] == "good morning, Zoë"
    watcher.chat("good night, 名前")
    client.wait("good night, 名前")
    forge(client, watcher, name)


@pytest.mark.parametrize("dialect", DIALECTS)
def test_the_client_in_the_section_of_each_dialect_works_as_printed(hubbub, run, tmp_path, dialect):
    if documented.example(dialect)[0] == "go":
        documented.needs_go()
    command, name = documented.command(dialect, str(tmp_path)), f"doc-{dialect}"
    watcher = hubbub.json(f"doc-watcher-of-{dialect}", 2)
    client = run(command + ["127.0.0.1", str(hubbub.port(dialect)), name])
    talk(client, watcher, name)
    again = run(command + ["127.0.0.1", str(hubbub.port(dialect, 2)), name])
    again.wait({"line": f"ERR username-taken The name {name} is taken.", "gob": "server: error: username-taken"}.get(
        dialect, f"The name {name} is taken."))
    client.write("a line without an end")
    assert client.leave() == 0
    assert watcher.expect(type="message", **{"from": name})["data"] == "a line without an end"
    watcher.expect(type="left", **{"from": name})


@pytest.mark.parametrize("dialect", DIALECTS)
def test_the_client_of_each_dialect_is_short(dialect):
    language, text = documented.example(dialect)
    assert len(text.splitlines()) <= MOST_LINES[language]


@pytest.mark.parametrize("dialect", DIALECTS)
def test_over_the_client_of_each_dialect_stands_how_to_run_it(dialect):
    section = documented.section(dialect)
    language, _ = documented.example(dialect)
    port = re.match(rf"## `{dialect}` \(port (\d+)\)", section).group(1)
    run = {"python": "python3 chat.py", "sh": "sh chat.sh", "go": "go run chat.go"}[language]
    line = rf"^As `{documented.FILES[language]}`: `{run} 127\.0\.0\.1 {port} \w+`\n\n```{language}\n"
    assert re.search(line, section, re.M)


def test_the_client_in_the_readme_works_as_printed(hubbub, run, tmp_path):
    text, = re.findall(r"^```python\n(.*?)^```$", documented.read("README.md"), re.M | re.S)
    (tmp_path / "chat.py").write_text(text)
    (tmp_path / "sitecustomize.py").write_text(ELSEWHERE)
    watcher = hubbub.json("doc-watcher-of-readme", 2)
    client = run([sys.executable, str(tmp_path / "chat.py"), "Alice"], PYTHONPATH=str(tmp_path),
                 PORT=str(hubbub.port("json")))
    client.wait("server: Welcome, Alice.")
    talk(client, watcher, "Alice")
    client.process.stdin.close()
    watcher.expect(type="left", **{"from": "Alice"})


def test_every_setting_that_the_protocols_name_is_there():
    known = set(re.findall(r"`(HUBBUB_\w+)`", documented.read("docs/SETTINGS.md")))
    assert set(re.findall(r"`(HUBBUB_\w+)`", documented.read("docs/PROTOCOLS.md"))) <= known
    assert os.path.isdir(os.path.join(ROOT, "tests/transcripts"))


@pytest.mark.parametrize("program", ["gateway", "store"])
def test_the_man_page_has_the_settings_that_the_help_has(program):
    said = subprocess.run([os.path.join(BUILD, program, f"hubbub-{program}"), "--help"], capture_output=True, text=True)
    page = documented.read(f"docs/man/hubbub-{program}.8")
    listed = " ".join(re.findall(r"^\.It Ev (HUBBUB_.*)$", page, re.M)).split(" , ")
    listed = [name for names in listed for name in names.split()]
    known = re.findall(r"^  (HUBBUB_\w+)", said.stdout, re.M)
    assert known and sorted(listed) == sorted(known)
    files = set(re.findall(r"HUBBUB_\w+_FILE", page)) - set(known)
    assert files == set(re.findall(r"\(or (HUBBUB_\w+_FILE),", said.stdout))


@pytest.mark.parametrize("page", ["hubbub.1", "hubbub-gateway.8", "hubbub-store.8"])
def test_each_man_page_has_the_sections_that_one_looks_for(page):
    sections = re.findall(r"^\.Sh (.*)$", documented.read(f"docs/man/{page}"), re.M)
    assert {"NAME", "SYNOPSIS", "DESCRIPTION", "ENVIRONMENT", "FILES", "EXIT STATUS", "EXAMPLES", "SEE ALSO"} <= set(sections)


def test_every_test_that_the_guarantees_name_is_there():
    with open(os.path.join(ROOT, "docs/GUARANTEES.md")) as file:
        named = re.findall(r"`(\S+\.(?:py|c)|\.\.\.)(?:::(test_\w+))?`", file.read())
    assert len(named) > 30
    for where, test in named:
        path = path if where == "..." else where
        with open(os.path.join(ROOT, path)) as file:
            assert re.search(rf"^(static void|def) {test}\(", file.read(), re.M) if test else True, (path, test)
