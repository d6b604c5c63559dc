"""completions/hubbub.bash in a real bash: asked as readline asks, and by the Tab key on a terminal."""

import os
import pty
import re
import select
import signal
import subprocess
import time

import pytest

from hubbub import BUILD, PATIENCE, ROOT

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
    pid, terminal = pty.fork()
    if pid == 0:
        os.execvpe(BARE[0], BARE + ["-i"], {**environment, "INPUTRC": "/dev/null"})
    seen = b""

    def wait(text):
        nonlocal seen
        deadline = time.monotonic() + PATIENCE
        while text not in seen:
            assert select.select([terminal], [], [], max(0, deadline - time.monotonic()))[0], seen
            seen += os.read(terminal, 4096)
        seen = seen[seen.index(text) + len(text):]

    try:
        wait(b"ready> ")
        os.write(terminal, f"source '{SCRIPT}' && HOSTFILE=$HOSTFILE && echo sour''ced\n".encode())
        wait(b"sourced")
        wait(b"ready> ")
        os.write(terminal, b"echo hubbub --no\x15hubbub --no\t")
        wait(b"hubbub --no-bell ")
        os.write(terminal, b"oth\t")
        wait(b"other.example ")
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        os.close(terminal)
