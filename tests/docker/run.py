#!/usr/bin/python3
"""Tests hubbub in containers: run.py [PYTEST-ARGUMENT...]

Finds or starts an engine (see engine.py), runs test_containers.py, says what was counted, and ends what it started.
"""

import os
import re
import signal
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.realpath(os.path.join(HERE, "../.."))
sys.path.insert(0, os.path.join(ROOT, "deploy"))
from place import Failure, die_with_parent, ignore_signals, leave_on_signals, lock  # noqa: E402

from engine import PROJECT, Engine, remove_project, say  # noqa: E402


def run_in_session(command, **how):
    """The exit status of a command; if we are to end, all that it started ends first."""
    child = subprocess.Popen(command, start_new_session=True, preexec_fn=die_with_parent(signal.SIGKILL), **how)
    try:
        return child.wait()
    finally:
        if child.poll() is None:
            os.killpg(child.pid, signal.SIGKILL)
            child.wait()


def show(report):
    """What the tests told; returns how many failed."""
    root = xml.etree.ElementTree.parse(report).getroot()
    for case in root.iter("testcase"):
        for note in case.iter("property"):
            if note.get("name") == "counts":
                print(f"{case.get('name')}:\n    {note.get('value')}")
    counts = root.find("testsuite").attrib
    failed = int(counts["failures"]) + int(counts["errors"])
    print(f"{int(counts['tests']) - failed - int(counts['skipped'])} passed, {failed} failed", flush=True)
    return failed


def test(arguments):
    with tempfile.TemporaryDirectory() as directory:
        report = os.path.join(directory, "report.xml")
        # Nothing of the caller's environment that docker-compose.yml would fill in.
        with open(os.path.join(ROOT, ".env")) as file:
            known = re.findall(r"^(\w+)=", file.read(), re.M)
        clean = {key: value for key, value in os.environ.items()
                 if key not in known and not key.startswith(("HUBBUB_", "PG", "PORT_", "COMPOSE_"))}
        status = run_in_session(
            ["/usr/bin/python3", "-m", "pytest", "-v", "-rf", "-p", "no:cacheprovider", "--durations=6", "--tb=short",
             "-o", "junit_family=xunit1", f"--junitxml={report}", os.path.join(HERE, "test_containers.py"), *arguments], cwd=ROOT,
            env={**clean, "PYTHONDONTWRITEBYTECODE": "1"})
        return 1 if status or not os.path.exists(report) or show(report) else 0


def main():
    leave_on_signals()
    started, status, engine, ready, held = time.monotonic(), 1, Engine(), False, None
    try:
        held = lock(tempfile.gettempdir(), f"{PROJECT}-{os.geteuid()}.lock")  # the project's name is one
        engine.prepare()
        ready = True
        say(f"ready to test after {time.monotonic() - started:.0f} s")
        status = test(sys.argv[1:])
    except Failure as failure:
        print(f"test-docker: {failure}", file=sys.stderr)
    finally:
        ignore_signals()
        try:
            if ready:
                remove_project(PROJECT)  # if the tests were ended before they could
        except Failure as failure:
            print(f"test-docker: {failure}", file=sys.stderr)
        engine.end()
        if held:
            held.close()
    say(f"{'good' if status == 0 else 'FAILED'}, in {time.monotonic() - started:.0f} s")
    return min(status, 1)


if __name__ == "__main__":
    sys.exit(main())
