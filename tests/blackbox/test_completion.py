"""completions/hubbub.bash in a real bash: asked as readline asks, and by the Tab key on a terminal."""

import os
import re
import subprocess

import pytest

from hubbub import BUILD, PATIENCE, ROOT
from terminal import Terminal

SCRIPT = os.path.join(ROOT, "completions/hubbub.bash")
OPTIONS = {"-u", "-r", "--tail", "--json", "--since", "--no-bell", "--help", "--version"}
BARE = ["bash", "--norc", "--noprofile"]

# Calls what `complete` has registered, as readline does, with the words as bash takes them apart; the last is completed.
ASK = """
source "$1" && shift
[[ $(complete -p hubbub) =~ -F\\ ([^ ]+)\\ hubbub$ ]] || exit 3
COMP_WORDS=("$@")
COMP_CWORD=$(($# - 1))
"${BASH_REMATCH[1]}" hubbub "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD - 1]}"
printf '%s\\n' "${COMPREPLY[@]}"
"""


@pytest.fixture
def environment(tmp_path):
    """Of bash: a few hosts of its own, and nothing of the person's who runs this."""
    hosts = tmp_path / "hosts"
    hosts.write_text("192.0.2.1 chat.example\n192.0.2.2 chatter.example other.example\n")
    return {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "HOSTFILE": str(hosts), "TERM": "dumb", "PS1": "ready> ",
            "LC_ALL": "C.UTF-8"}


def ask(environment, *words):
    # bash reads HOSTFILE when it is assigned to.
    done = subprocess.run(BARE + ["-c", 'HOSTFILE=$HOSTFILE\n' + ASK, "bash", SCRIPT, *words], env=environment,
                          capture_output=True, text=True, timeout=PATIENCE)
    assert (done.returncode, done.stderr) == (0, "")
    return set(done.stdout.split())


def test_each_option_is_completed(environment):
    assert ask(environment, "hubbub", "-") == OPTIONS
    assert ask(environment, "hubbub", "--") == {one for one in OPTIONS if one.startswith("--")}
    assert ask(environment, "hubbub", "--tail", "--s") == {"--since"}
    assert ask(environment, "hubbub", "--x") == set()


def test_the_help_of_the_program_has_the_same_options():
    done = subprocess.run([os.path.join(BUILD, "client/hubbub"), "--help"], capture_output=True, text=True, timeout=PATIENCE)
    assert (done.returncode, done.stderr) == (0, "")
    assert set(re.findall(r"^  (--?[\w-]+)", done.stdout, re.M)) == OPTIONS


def test_hosts_are_completed(environment):
    assert ask(environment, "hubbub", "chat") == {"chat.example", "chatter.example"}
    assert ask(environment, "hubbub", "--tail", "-r", "ops", "o") == {"other.example"}


def test_names_rooms_ids_and_ports_are_left_to_the_person(environment):
    for words in (["-u", "chat"], ["-r", "chat"], ["-r", ""], ["--since", "c"], ["--since", "=", "c"], ["--since", "="],
                  ["chat.example", ":"], ["chat.example", ":", "7"], ["chat.example", ":", ""]):
        assert ask(environment, "hubbub", *words) == set(), words


def test_the_tab_key_completes_on_a_terminal(environment):
    bash = Terminal(BARE + ["-i"], columns=200, **environment, INPUTRC="/dev/null")
    try:
        bash.until_shown("ready>")
        bash.press(f"source '{SCRIPT}' && HOSTFILE=$HOSTFILE && echo sour''ced\n")
        bash.until(lambda: bash.lines()[1:3] == ["sourced", "ready>"], "the next prompt")
        bash.press("echo hubbub --no\x15hubbub --no\t")
        bash.until_line(2, "ready> hubbub --no-bell")
        bash.press("oth\t")
        bash.until_line(2, "ready> hubbub --no-bell other.example")
    finally:
        bash.close()
