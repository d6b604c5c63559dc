#!/usr/bin/python3
"""Fuzzes every parser that reads what others send, with libFuzzer, AddressSanitizer and UBSan.

    run.py [--build DIRECTORY] [--seconds SECONDS] [--jobs JOBS] [TARGET...]

Each target gets that many seconds, JOBS of them at once (as many as there are processors).  What they start from is in
tests/fuzz/corpus and tests/fuzz/regressions; inputs that reach more code are kept in .fuzz/corpus, for the next time.
An input that breaks a promise is in .fuzz/findings: put it into tests/fuzz/regressions/TARGET, where every build plays
it, and mend what it has found.  The exit status is 0 only if nothing was found.
"""

import argparse
import concurrent.futures
import glob
import os
import re
import subprocess
import sys
import time

ROOT = os.path.realpath(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", ".."))
HERE = os.path.join(ROOT, "tests", "fuzz")
KEPT = os.path.join(ROOT, ".fuzz")
TARGETS = ["command", "event", "gob", "json", "line", "prompt", "proxy_header", "view", "wire"]
LONGEST = {"proxy_header": 2200}  # bytes; a little more than is ever read
COMPILE = "-fsanitize=fuzzer-no-link -fno-sanitize-recover=all"
OPTIONS = ["-Dfuzz=true", "-Db_sanitize=address,undefined", "-Db_lundef=false", f"-Dc_args={COMPILE}"]
SHOWN_LINES = 40


def build(directory):
    """Compiles the targets with clang; false if that failed."""
    log = os.path.join(directory, "fuzz-build.log")
    os.makedirs(directory, exist_ok=True)
    steps = [["ninja", "-C", directory, "fuzzers"]]
    if not os.path.exists(os.path.join(directory, "build.ninja")):
        steps.insert(0, ["meson", "setup", directory] + OPTIONS)
    for step in steps:
        with open(log, "wb") as out:
            if subprocess.run(step, cwd=ROOT, env={**os.environ, "CC": "clang"}, stdin=subprocess.DEVNULL, stdout=out,
                              stderr=out).returncode:
                print(f"{' '.join(step[:2])} failed, see {log}")
                return False
    return True


def add_fixtures(corpus):
    """What real Go programs sent, behind the header that dialect_fuzz.c explains."""
    for path in glob.glob(os.path.join(ROOT, "tests", "dialects", "gob", "*.gob")):
        with open(path, "rb") as fixture, open(os.path.join(corpus, os.path.basename(path)), "wb") as seed:
            seed.write(b"0000" + fixture.read())


def fuzz(target, directory, seconds):
    """Returns how many inputs were played, the files that were found, and the end of the output if there are any."""
    corpus = os.path.join(KEPT, "corpus", target)
    findings = os.path.join(KEPT, "findings", target)
    os.makedirs(corpus, exist_ok=True)
    os.makedirs(findings, exist_ok=True)
    if target == "gob":
        add_fixtures(corpus)
    seeds = [path for kind in ("corpus", "regressions")
             if os.path.isdir(path := os.path.join(HERE, kind, target))]
    log = os.path.join(KEPT, f"{target}.log")
    started = time.time()
    command = [os.path.join(directory, "tests", "fuzz", f"fuzz-{target}"), f"-max_total_time={seconds}",
               f"-max_len={LONGEST.get(target, 20000)}", "-timeout=10", "-rss_limit_mb=1024", "-print_final_stats=1",
               f"-artifact_prefix={findings}{os.sep}", f"-dict={os.path.join(HERE, 'dictionaries', target + '.dict')}",
               corpus] + seeds
    # Freed memory that is kept to find uses of it counts, too: a little is enough for what lives so briefly.
    environment = {**os.environ, "ASAN_OPTIONS": "detect_leaks=1:quarantine_size_mb=16"}
    with open(log, "wb") as out:
        status = subprocess.run(command, env=environment, stdin=subprocess.DEVNULL, stdout=out, stderr=out).returncode
    with open(log, errors="replace") as text:
        output = text.read()
    played = re.findall(r"^stat::number_of_executed_units:\s*(\d+)", output, re.M)
    found = [path for path in glob.glob(os.path.join(findings, "*")) if os.path.getmtime(path) >= started]
    # A run that failed without an input, before the first one, is a finding too.
    bad = status != 0 or found or not played
    return int(played[-1]) if played else 0, found, output.splitlines()[-SHOWN_LINES:] if bad else []


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--build", default=os.path.join(ROOT, "build-fuzz"))
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    parser.add_argument("targets", nargs="*", metavar="TARGET")
    options = parser.parse_args()
    targets = options.targets or TARGETS
    if options.seconds < 1 or options.jobs < 1 or not set(targets) <= set(TARGETS):
        parser.error(f"SECONDS and JOBS are at least 1, and the targets are {' '.join(TARGETS)}")
    directory = os.path.abspath(options.build)
    if not build(directory):
        return 1
    print(f"fuzzing {len(targets)} targets, {options.seconds} s each, {options.jobs} at once", flush=True)
    bad = 0
    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        runs = {pool.submit(fuzz, target, directory, options.seconds): target for target in targets}
        for run in concurrent.futures.as_completed(runs):
            played, found, output = run.result()
            print(f"{runs[run]:<14} {played:>10} executions  {'FAILED' if output else 'nothing found'}", flush=True)
            for line in output + found:
                print(f"    {line}", flush=True)
            bad += bool(output)
    print(f"{len(targets) - bad} passed, {bad} failed")
    return 1 if bad else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:  # the targets got it, too
        sys.exit(130)
