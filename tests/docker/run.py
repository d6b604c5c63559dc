#!/usr/bin/python3
"""Tests hubbub in containers: run.py [PYTEST-ARGUMENT...]

Finds or starts an engine (see engine.py), runs test_containers.py, says what was counted, and ends what it started.
"""

import os
import subprocess
import sys
import tempfile
import time
import signal
import xml.etree.ElementTree

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.realpath(os.path.join(HERE, "../.."))
sys.path.insert(0, os.path.join(ROOT, "deploy"))
from place import STOPPING, Failure  # noqa: E402

from engine import Engine, say  # noqa: E402


def stop(number, frame):
    raise SystemExit(128 + number)


def show(report):
    """What the tests told; returns how many failed."""
    root = xml.etree.ElementTree.parse(report).getroot()
    for case in root.iter("testcase"):
        for note in case.iter("property"):
            if note.get("name") == "counts":
                print(f"{case.get('name')}:\n    {note.get('value')}")
    counts = root.find("testsuite").attrib
    failed = int(counts["failures"]) + int(counts["errors"])
    print(f"{int(counts['tests']) - failed} passed, {failed} failed", flush=True)
    return failed


def test(arguments):
    with tempfile.TemporaryDirectory() as directory:
        report = os.path.join(directory, "report.xml")
        # Nothing of the caller's own settings reaches the containers.
        clean = {key: value for key, value in os.environ.items()
                 if not key.startswith(("HUBBUB_", "PG", "PORT_", "COMPOSE_"))}
        status = subprocess.run(
            ["/usr/bin/python3", "-m", "pytest", "-v", "-rf", "-p", "no:cacheprovider", "-o", "junit_family=xunit1", "--durations=6", "--tb=short",
             f"--junitxml={report}", os.path.join(HERE, "test_containers.py"), *arguments], cwd=ROOT,
            env={**clean, "PYTHONDONTWRITEBYTECODE": "1"}).returncode
        return max(status, show(report)) if os.path.exists(report) else 1


def main():
    for number in STOPPING:
        signal.signal(number, stop)
    started, status, engine = time.monotonic(), 1, Engine()
    try:
        engine.prepare()
        say(f"ready to test after {time.monotonic() - started:.0f} s")
        status = test(sys.argv[1:])
    except Failure as failure:
        print(f"test-docker: {failure}", file=sys.stderr)
    finally:
        for number in STOPPING:
            signal.signal(number, signal.SIG_IGN)
        engine.end()
    say(f"{'good' if status == 0 else 'FAILED'}, in {time.monotonic() - started:.0f} s")
    return min(status, 1)


if __name__ == "__main__":
    sys.exit(main())
