"""tests/instructions/run.py: it compares what can be compared, and in CI it does not pass for want of that."""

import importlib.util
import os
import sys

import pytest

ROOT = os.path.realpath(os.path.join(os.path.dirname(os.path.abspath(__file__)), "../.."))
TOOLS = "gcc 12.2.0 -O2 sanitize=none, x86_64, glibc 2.36, libevent 2.1.12-stable, utf8proc 2.8.0"
PATCHED = "gcc 12.2.1 -O2 sanitize=none, x86_64, glibc 2.36.1, libevent 2.1.13-stable, utf8proc 2.8.1"
OTHERS = ("gcc 12.3.0 -O2 sanitize=none, x86_64, glibc 2.36, libevent 2.1.12-stable, utf8proc 2.8.0",
          "clang 12.2.0 -O2 sanitize=none, x86_64, glibc 2.36, libevent 2.1.12-stable, utf8proc 2.8.0",
          "gcc 12.2.0 -O3 sanitize=none, x86_64, glibc 2.36, libevent 2.1.12-stable, utf8proc 2.8.0",
          "gcc 12.2.0 -O2 sanitize=none, aarch64, glibc 2.36, libevent 2.1.12-stable, utf8proc 2.8.0",
          "gcc 12.2.0 -O2 sanitize=none, x86_64, glibc 2.41, libevent 2.1.12-stable, utf8proc 2.8.0")


@pytest.fixture
def guard(tmp_path, monkeypatch, capsys):
    """Runs the guard on one case of which 1000 instructions are recorded; returns its status and what it printed."""
    spec = importlib.util.spec_from_file_location("instructions", os.path.join(ROOT, "tests/instructions/run.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    record = tmp_path / "recorded.txt"
    record.write_text(f"made with: {TOOLS}\ndecode 1000  per chat\n")
    monkeypatch.setattr(module, "RECORD", str(record))

    def run(made_with, counted, ci, *options):
        monkeypatch.setattr(module, "ask", lambda command: made_with if "--made-with" in command else "decode 200 chat\n")
        monkeypatch.setattr(module, "count", lambda program, name, profile: counted * 200)
        monkeypatch.setattr(sys, "argv", ["run.py", "--build", str(tmp_path), *options])
        monkeypatch.setenv("CI", "true" if ci else "")
        return module.main(), capsys.readouterr().out

    run.module = module
    return run


@pytest.mark.parametrize("ci", (False, True))
@pytest.mark.parametrize("tools", (TOOLS, PATCHED))
def test_patch_levels_do_not_keep_it_from_comparing(guard, tools, ci):
    assert guard(tools, 1090, ci)[0] == 0
    status, said = guard(tools, 1110, ci)
    assert status == 1 and "decode costs 1110 instructions; 1000 are recorded" in said


def test_what_is_cheaper_is_to_be_recorded_and_fails_in_ci(guard):
    assert guard(TOOLS, 910, True)[0] == 0
    for ci in (False, True):
        status, said = guard(TOOLS, 890, ci)
        assert status == ci and "decode: over 10% less than recorded" in said


def test_what_hangs_or_is_not_there_is_told_in_one_line(guard, monkeypatch):
    module = guard.module
    monkeypatch.undo()
    monkeypatch.setattr(module, "CASE_SECONDS", 0.1)
    for command, why in ((["sleep", "60"], "longer than 0.1 s"), (["no-such-program"], "No such file")):
        with pytest.raises(SystemExit) as ended:
            module.ask(command)
        assert why in ended.value.code and "\n" not in ended.value.code


@pytest.mark.parametrize("tools", OTHERS)
def test_what_cannot_be_compared_fails_in_ci_alone(guard, tools):
    status, said = guard(tools, 1000, False)
    assert status == 0 and "not compared" in said
    status, said = guard(tools, 1000, True)
    assert status == 1
    assert tools in said.splitlines()[-1] and TOOLS in said.splitlines()[-1] and "make instructions RECORD=1" in said


def test_what_is_recorded_anew_is_compared_with(guard):
    assert guard(OTHERS[0], 2000, True, "--record")[0] == 0
    assert guard(OTHERS[0], 2000, True)[0] == 0
    assert guard(OTHERS[0], 2300, True)[0] == 1
