#!/usr/bin/python3
"""Builds hubbub twice, plainly and with sanitizers, runs every suite on both, and says in one block how it went.

    run.py [--build DIRECTORY] [--werror] [--plain]

The builds are DIRECTORY and DIRECTORY-asan (not with --plain); each suite's output is in DIRECTORY/test-logs/SUITE.log.  What a black-box
test notes with record_property("counts", ...) is shown too.  The last line is "N passed, N failed"; the exit status is
0 only if everything was built and nothing failed.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import threading
import time
import xml.etree.ElementTree

ROOT = os.path.realpath(os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
SUITES = ["unit", "functions", "store", "blackbox"]
SHOWN_LINES = 80
SUITE_SECONDS = 900  # nothing takes so long that does not hang
SANITIZERS = ["-Db_sanitize=address,undefined", "-Db_lundef=false"]
PASSED = re.compile(r"^\[  PASSED  \] (\d+) test", re.M)
FAILED = re.compile(r"^\[  FAILED  \] (\d+) test", re.M)
VERDICT = re.compile(r"\[ +(ERROR|LINE|FAILED) +\]")


class Suite:
    def __init__(self, name):
        self.name = name
        self.passed = self.failed = 0
        self.seconds = 0.0
        self.output = []
        self.broken = []  # what to show of it: the programs that failed, with what they said
        self.notes = []  # what its tests measured
        self.log = None


class Variant:
    """One build and what came out of its suites."""

    def __init__(self, title, directory, options):
        self.title, self.directory, self.options = title, directory, options
        self.suites = {}
        self.problem = None  # why there may be no results

    def suite(self, name):
        return self.suites.setdefault(name, Suite(name))


def quiet(command, log, **how):
    """Runs a command with its output in a file; true if it succeeded."""
    os.makedirs(os.path.dirname(log), exist_ok=True)
    with open(log, "wb") as out:
        try:
            return subprocess.run(command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=out, stderr=out,
                                  timeout=SUITE_SECONDS, **how).returncode == 0
        except subprocess.TimeoutExpired:
            out.write(f"\nended: it took longer than {SUITE_SECONDS} s\n".encode())
            return False


def tail(path, lines=SHOWN_LINES):
    with open(path, "rb") as file:
        return b"".join(file.readlines()[-lines:]).decode(errors="replace")


def environment(variant):
    clean = {key: value for key, value in os.environ.items() if not key.startswith(("HUBBUB_", "PG", "MESON_"))}
    return {**clean, "BUILD_DIR": variant.directory, "PYTHONDONTWRITEBYTECODE": "1",
            "ASAN_OPTIONS": "detect_leaks=1:halt_on_error=1", "LC_ALL": "C.UTF-8",
            "UBSAN_OPTIONS": "print_stacktrace=1:halt_on_error=1"}


def build(variant, werror):
    log = os.path.join(variant.directory, "test-logs", "build.log")
    options = variant.options + [f"-Dwerror={'true' if werror else 'false'}"]
    set_up = os.path.exists(os.path.join(variant.directory, "build.ninja"))
    setup = ["meson", "configure" if set_up else "setup", variant.directory] + options
    for command in (setup, ["ninja", "-C", variant.directory]):
        if not quiet(command, log):
            variant.problem = f"{' '.join(command[:2])} failed, see {os.path.relpath(log, ROOT)}"
            print(tail(log), flush=True)
            return


def count_meson_test(variant, test):
    """One line of meson's log: a program with one or more groups of cmocka tests."""
    found = re.match(r"(?:[^ :]+:)?(\S+) / ", test["name"])
    suite = variant.suite(found.group(1) if found else "other")
    output = test.get("stdout", "") + test.get("stderr", "")
    passed, failed = (sum(map(int, found.findall(output))) for found in (PASSED, FAILED))
    good = test["result"] in ("OK", "EXPECTEDFAIL")
    if good and not passed:
        passed = 1
    if not good and not failed:
        failed = 1
    suite.passed += passed
    suite.failed += failed
    suite.seconds += test["duration"]
    suite.output.append(f"==== {test['name']}: {test['result']}, {test['duration']:.1f} s\n{output}\n")
    if not good:
        lines = output.splitlines()
        verdicts = [line for line in lines if VERDICT.match(line)]
        suite.broken.append("\n".join([f"{test['name']}: {test['result']} after {test['duration']:.1f} s",
                                       *lines[-SHOWN_LINES:], *verdicts]))


def run_meson(variant):
    log = os.path.join(variant.directory, "test-logs", "meson.log")
    listing = os.path.join(variant.directory, "meson-logs", "testlog.json")
    if os.path.exists(listing):
        os.unlink(listing)
    good = quiet(["meson", "test", "-C", variant.directory, "--no-rebuild", "--num-processes", "2"], log,
                 env=environment(variant))
    if os.path.exists(listing):
        with open(listing) as lines:
            for line in lines:
                count_meson_test(variant, json.loads(line))
    if not good and not any(suite.failed for suite in variant.suites.values()):
        variant.problem = f"meson test failed, see {os.path.relpath(log, ROOT)}"
    for suite in variant.suites.values():
        suite.log = os.path.join(variant.directory, "test-logs", suite.name + ".log")
        with open(suite.log, "w") as out:
            out.writelines(suite.output)


def run_blackbox(variant):
    suite = variant.suite("blackbox")
    suite.log = os.path.join(variant.directory, "test-logs", "blackbox.log")
    report = os.path.join(variant.directory, "test-logs", "blackbox.xml")
    if os.path.exists(report):
        os.unlink(report)
    started = time.monotonic()
    good = quiet(["/usr/bin/python3", "-m", "pytest", "-q", "-rfE", "-p", "no:cacheprovider", "-o", "junit_family=xunit1",
                  f"--junitxml={report}", "tests/blackbox"], suite.log, env=environment(variant))
    suite.seconds = time.monotonic() - started
    if os.path.exists(report):
        root = xml.etree.ElementTree.parse(report).getroot()
        counts = root.find("testsuite").attrib
        suite.notes = [f"{case.get('name')}: {note.get('value')}" for case in root.iter("testcase")
                       for note in case.iter("property") if note.get("name") == "counts"]
        suite.failed = int(counts["failures"]) + int(counts["errors"])
        if int(counts["skipped"]):
            suite.notes.append(f"{counts['skipped']} skipped")
        suite.passed = max(0, int(counts["tests"]) - suite.failed - int(counts["skipped"]))
    if not good and not suite.failed:
        suite.failed = 1


def run(variant):
    if not variant.problem:
        run_meson(variant)
        run_blackbox(variant)


def show_failures(variants):
    for variant in variants:
        for suite in variant.suites.values():
            if suite.failed:
                said = "\n\n".join(suite.broken) or tail(suite.log)
                print(f"\n==== {suite.name} ({variant.title}) failed; from {os.path.relpath(suite.log, ROOT)}:\n{said}")


def summarize(variants, seconds):
    """Prints the block of counts; true if all is well."""
    passed = failed = 0
    print(f"\n{'suite':<10} {'build':<11} {'passed':>6} {'failed':>6} {'seconds':>8}  output")
    for variant in variants:
        order = sorted(variant.suites.values(), key=lambda suite: SUITES.index(suite.name) if suite.name in SUITES else 99)
        for suite in order:
            print(f"{suite.name:<10} {variant.title:<11} {suite.passed:>6} {suite.failed:>6} {suite.seconds:>8.1f}  "
                  f"{os.path.relpath(suite.log, ROOT)}")
            for note in suite.notes + [said.split("\n", 1)[0] for said in suite.broken]:
                print(f"{'':<10} {note}")
            passed += suite.passed
            failed += suite.failed
        if variant.problem:
            print(f"{'-':<10} {variant.title:<11} {'-':>6} {1:>6} {'-':>8}  {variant.problem}")
            failed += 1
    print(f"in {seconds:.0f} s\n{passed} passed, {failed} failed", flush=True)
    return failed == 0 and passed > 0


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--build", default=os.path.join(ROOT, "build"))
    parser.add_argument("--werror", action="store_true")
    parser.add_argument("--plain", action="store_true")
    options = parser.parse_args()
    directory = os.path.abspath(options.build)
    variants = [Variant("plain", directory, [])]
    if not options.plain:
        variants.append(Variant("sanitized", directory + "-asan", SANITIZERS))
    started = time.monotonic()
    for variant in variants:
        print(f"building {os.path.relpath(variant.directory, ROOT)}", flush=True)
        build(variant, options.werror)
    print("running the suites; this takes some minutes", flush=True)
    threads = [threading.Thread(target=run, args=(variant,)) for variant in variants]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    show_failures(variants)
    return 0 if summarize(variants, time.monotonic() - started) else 1


if __name__ == "__main__":
    sys.exit(main())
