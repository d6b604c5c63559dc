"""documented: the clients that docs/PROTOCOLS.md and README.md print, run exactly as they are printed."""

import os
import re
import shutil
import signal
import subprocess
import sys
import threading

import pytest

from hubbub import BUILD, HERE, PATIENCE, ROOT, Failure, wait_for

FILES = {"python": "chat.py", "sh": "chat.sh", "go": "chat.go"}
GO = shutil.which("go")


def read(path):
    with open(os.path.join(ROOT, path)) as file:
        return file.read()


def section(dialect):
    return re.search(rf"^## `{dialect}`.*?(?=^## |\Z)", read("docs/PROTOCOLS.md"), re.M | re.S).group(0)


def example(dialect):
    """(language, text) of the client in the dialect's section."""
    (language, text), = re.findall(r"^```(\w+)\n(.*?)^```$", section(dialect), re.M | re.S)
    return language, text


def has_go():
    """In CI, which installs Go, it must be there: what is always skipped tests nothing."""
    if not GO and os.environ.get("CI"):
        pytest.fail("CI is set, and there is no Go here: deploy/install.sh go", pytrace=False)
    return GO is not None


def needs_go():
    """For a test that is nothing without Go."""
    if not has_go():
        pytest.skip("no Go here: deploy/install.sh go")


def go_program(source, directory):
    """Builds one without any network; returns its path."""
    program = os.path.join(directory, "program")
    done = subprocess.run([GO, "build", "-o", program, source], cwd=directory, capture_output=True, text=True,
                          timeout=300,
                          env={**os.environ, "GO111MODULE": "off", "GOPROXY": "off", "GOFLAGS": "", "HOME": directory,
                               "GOCACHE": os.path.join(os.path.abspath(BUILD), "go-cache")})
    assert done.returncode == 0, done.stderr
    return program


def command(dialect, directory):
    """What runs the dialect's client; HOST PORT NAME are to follow.  Where there is no Go, our own speaks gob."""
    language, text = example(dialect)
    source = os.path.join(directory, f"{dialect}-{FILES[language]}")
    with open(source, "w") as file:
        file.write(text)
    if language == "go":
        return [go_program(source, directory)] if has_go() else [sys.executable, os.path.join(HERE, "gob.py")]
    return [{"python": sys.executable, "sh": "sh"}[language], source]


class Running:
    """A client's process: what it printed, and a way to tell it what to say."""

    def __init__(self, arguments, **environment):
        self.process = subprocess.Popen(
            arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, bufsize=1,
            encoding="utf-8", start_new_session=True,
            env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1", "LC_ALL": "C.UTF-8", **environment})
        self.lines = []
        self.reader = threading.Thread(target=self.read)
        self.reader.start()

    def read(self):
        for line in self.process.stdout:
            self.lines.append(line.rstrip("\n"))

    def say(self, line):
        self.write(line + "\n")

    def write(self, text):
        self.process.stdin.write(text)
        self.process.stdin.flush()

    def wait(self, text):
        """Until it has printed a line with this in it."""
        try:
            wait_for(lambda: any(text in line for line in self.lines), PATIENCE, text)
        except Failure:
            raise AssertionError(f"not printed: {text!r}, but {self.lines}") from None

    def leave(self):
        """The end of its input; returns its exit status."""
        self.process.stdin.close()
        return self.wait_ended()

    def wait_ended(self):
        status = self.process.wait(PATIENCE)
        self.reader.join(PATIENCE)
        return status

    def end(self):
        """However it is; a shell's children, too."""
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.process.wait()
        self.reader.join(PATIENCE)
        self.process.stdout.close()
        try:
            self.process.stdin.close()
        except BrokenPipeError:
            pass
