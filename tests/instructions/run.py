#!/usr/bin/python3
"""Counts the instructions of fixed work (cases.c) with callgrind, and compares them with what is recorded.

    run.py [--build DIRECTORY] [--record]

Times on a machine that others use lie; counts of the same program are the same each time.  A case that costs over 10%
more than recorded.txt says fails; one that costs over 10% less says that it should be recorded, and fails where CI is
set, so that what was gained is not lost unseen.  Counts depend on the compiler, its options, the architecture and the libraries, too.  Patch levels
may differ from those of the record (12.2.0 and 12.2.1): they hardly change a count, and 10% leave room for that.  Made
with anything else, counts are shown and not compared; where CI is set that fails, for a guard that does not look guards
nothing.  Where the instructions are is in DIRECTORY/instructions/CASE.out, for callgrind_annotate.
"""

import argparse
import os
import re
import subprocess
import sys

ROOT = os.path.realpath(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", ".."))
RECORD = os.path.join(ROOT, "tests", "instructions", "recorded.txt")
TOLERANCE = 0.10
CASE_SECONDS = 60  # nothing takes so long that does not hang
MADE_WITH = "made with: "
HEADER = """\
# Instructions for one item of each case of cases.c.  `make instructions RECORD=1` writes this file anew.
"""

# libc has a memcpy for each kind of processor: take the one that every processor has.  Nothing is bound when it is
# first called, and the environment is the same everywhere.
PLAIN_PROCESSOR = ",".join("-" + feature for feature in (
    "AVX512F", "AVX512VL", "AVX512BW", "AVX2", "AVX", "AVX_Fast_Unaligned_Load", "BMI1", "BMI2", "ERMS", "FSRM", "LZCNT",
    "MOVBE", "POPCNT", "RTM", "SSE4_1", "SSE4_2", "SSSE3"))
ENVIRONMENT = {"PATH": "/usr/bin:/bin", "LC_ALL": "C", "LD_BIND_NOW": "1",
               "GLIBC_TUNABLES": f"glibc.cpu.hwcaps={PLAIN_PROCESSOR}"}


def ask(command):
    """What a command says; SystemExit if it fails."""
    try:
        done = subprocess.run(command, env=ENVIRONMENT, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, timeout=CASE_SECONDS, encoding="utf-8", errors="replace")
    except subprocess.TimeoutExpired:
        sys.exit(f"instructions: {' '.join(command)} took longer than {CASE_SECONDS} s")
    except OSError as problem:
        sys.exit(f"instructions: {problem}")
    if done.returncode:
        sys.exit(f"instructions: {' '.join(command)} failed:\n{done.stdout}")
    return done.stdout


def count(program, name, profile):
    """The instructions of all items of a case."""
    said = ask(["valgrind", "--tool=callgrind", f"--callgrind-out-file={profile}", "--toggle-collect=counted", program,
                name])
    collected = re.search(r"Collected : (\d+)", said)
    if not collected or int(collected.group(1)) == 0:
        sys.exit(f"instructions: {name}: callgrind has counted nothing:\n{said}")
    return int(collected.group(1))


def read_record():
    """What was recorded: what it was made with, and the instructions of each case."""
    made_with, recorded = "", {}
    with open(RECORD, encoding="utf-8") as lines:
        for line in lines:
            if line.startswith(MADE_WITH):
                made_with = line[len(MADE_WITH):].strip()
            elif line.strip() and not line.startswith("#"):
                name, instructions = line.split()[:2]
                recorded[name] = int(instructions)
    return made_with, recorded


def write_record(made_with, cases, counts):
    with open(RECORD, "w", encoding="utf-8") as out:
        out.write(f"{HEADER}{MADE_WITH}{made_with}\n")
        for name, _, item in cases:
            out.write(f"{name:<18} {counts[name]:>7}  per {item}\n")


def without_patch_levels(made_with):
    """Each version by its first two numbers."""
    return re.sub(r"\b(\d+\.\d+)\.[\w.+-]*", r"\1", made_with)


def compare(cases, counts, recorded, build):
    """Shows each case beside its record; false if one costs too much, or too little to leave that unrecorded in CI, or if
    the two do not fit each other."""
    dearer, cheaper, unknown = [], [], sorted(set(counts) ^ set(recorded))
    for name, _, item in cases:
        change = counts[name] / recorded[name] - 1 if name in recorded else 0
        verdict = "  TOO MUCH" if change > TOLERANCE else "  record it" if change < -TOLERANCE else ""
        print(f"{name:<18} {counts[name]:>7}, recorded {recorded.get(name, '-'):>7} {change:>+7.1%}  per {item}{verdict}")
        if change > TOLERANCE:
            dearer.append(name)
        elif change < -TOLERANCE:
            cheaper.append(name)
    for name in dearer:
        print(f"instructions: {name} costs {counts[name]} instructions; {recorded[name]} are recorded, and 10% more are "
              f"allowed. Where they are: callgrind_annotate {os.path.join(build, 'instructions', name + '.out')}")
    for name in unknown:
        print(f"instructions: {name} is {'recorded, and no case' if name in recorded else 'not recorded yet'}")
    if dearer or unknown:
        print("instructions: if that is meant: make instructions RECORD=1, and commit tests/instructions/recorded.txt")
    elif cheaper:
        print(f"instructions: {', '.join(cheaper)}: over 10% less than recorded; keep it so: make instructions RECORD=1, "
              "and commit tests/instructions/recorded.txt")
    return not dearer and not unknown and not (cheaper and os.environ.get("CI"))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--build", default=os.path.join(ROOT, "build"))
    parser.add_argument("--record", action="store_true")
    options = parser.parse_args()
    build = os.path.abspath(options.build)
    program = os.path.join(build, "tests", "instructions", "instructions")
    os.makedirs(os.path.join(build, "instructions"), exist_ok=True)
    made_with = ask([program, "--made-with"]).strip()
    cases = [line.split(" ", 2) for line in ask([program]).splitlines()]
    counts = {}
    for name, items, _ in cases:
        counts[name] = round(count(program, name, os.path.join(build, "instructions", name + ".out")) / int(items))
    if options.record:
        write_record(made_with, cases, counts)
        print(f"instructions: {len(cases)} cases recorded in {os.path.relpath(RECORD)}")
        return 0
    recorded_with, recorded = read_record()
    if made_with != recorded_with:
        print(f"made with:  {made_with}\nthe record: {recorded_with}")
    if without_patch_levels(made_with) == without_patch_levels(recorded_with):
        good = compare(cases, counts, recorded, os.path.relpath(build))
        if good:
            print(f"instructions: {len(cases)} cases, none costs over 10% more than recorded")
        return 0 if good else 1
    for name, _, item in cases:
        print(f"{name:<18} {counts[name]:>7}  per {item}")
    print(f"instructions: not compared with the record of other tools ({recorded_with}; here {made_with}); if CI has these "
          "now: make instructions RECORD=1 with them, and commit tests/instructions/recorded.txt")
    return 1 if os.environ.get("CI") else 0


if __name__ == "__main__":
    sys.exit(main())
