"""client: the program `hubbub`, with nothing around it that the test has not put there."""

import os
import subprocess

from hubbub import BUILD, PATIENCE

CLIENT = os.path.join(BUILD, "client/hubbub")
NOWHERE = "/nonexistent"


def environment(**extra):
    kept = {key: os.environ[key] for key in ("PATH", "ASAN_OPTIONS", "UBSAN_OPTIONS") if key in os.environ}
    return {**kept, "HOME": NOWHERE, "LC_ALL": "C.UTF-8", "TZ": "UTC", **extra}


def address(port):
    return f"127.0.0.1:{port}"


def start(port, *arguments, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, **extra):
    return subprocess.Popen([CLIENT, *arguments, address(port)], stdin=stdin, stdout=stdout, stderr=subprocess.PIPE,
                            env=environment(**extra))


def run(port, *arguments, given=b"", seconds=PATIENCE, **extra):
    """Runs it with `given` on its standard input; returns its status, and what it said of errors.  It prints nothing."""
    process = start(port, *arguments, stdin=subprocess.PIPE, **extra)
    try:
        said, errors = process.communicate(given, timeout=seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        raise AssertionError(f"after {seconds} s it still runs; it said {process.communicate()}") from None
    assert said == b""
    return process.returncode, errors.decode()
