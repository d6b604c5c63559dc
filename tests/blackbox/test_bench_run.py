"""bench/run.py: it measures for real, and goes on when one of those that it measures cannot."""

import importlib.util
import json
import os
import signal
import subprocess
import sys
import threading

import pytest

from hubbub import BUILD, PATIENCE

from place import Failure, Ports, temporary_place

ROOT = os.path.realpath(os.path.join(os.path.dirname(os.path.abspath(__file__)), "../.."))
RUN = os.path.join(ROOT, "bench/run.py")
sys.path.append(os.path.join(ROOT, "bench"))
import scenarios  # noqa: E402

pytestmark = pytest.mark.skipif(not os.path.exists(f"{BUILD}/bench/bench-load"), reason="built without bench")


def need_two_cores():
    """In CI there must be two: what is always skipped tests nothing."""
    if len(os.sched_getaffinity(0)) < 2:
        (pytest.fail if os.environ.get("CI") else pytest.skip)("bench/run.py needs two cores")


@pytest.mark.alongside(10)
def test_a_scenario_is_measured():
    need_two_cores()
    done = subprocess.run([RUN, "--build", BUILD, "--only", "pair", "--rounds", "1"], stdin=subprocess.DEVNULL,
                          capture_output=True, text=True, timeout=8 * PATIENCE)
    assert done.returncode == 0, done.stdout + done.stderr
    with open(f"{BUILD}/bench/some.json") as file:
        results = json.load(file)
    assert results["failures"] == [] and results["absent"] == {} and results["planned"]["pair"] == 1
    assert [record["system"] for record in results["records"]] == [*scenarios.FAN_OUT, scenarios.FSYNC_EVERY_SECOND]
    for record in results["records"]:
        assert record["scenario"] == "pair" and record["round"] == 1 and record["members"] == 2
        assert record["chats"] == record["deliveries"] > 0
        assert record["cpu_us"] == record["cpu_user_us"] + record["cpu_system_us"] > 0
        if record["system"] != "floor":
            assert record["redis_cpu_us"] > 0 and record["store_cpu_us"] > 0


def test_what_a_whole_run_needs_is_looked_for_first():
    done = subprocess.run([RUN, "--build", BUILD], stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          timeout=PATIENCE, env={"PATH": "/nonexistent"})
    assert done.returncode == 1 and done.stdout == ""
    assert done.stderr.count("\n") == 1 and "gnuplot" in done.stderr and "redis-benchmark" in done.stderr


def test_each_comes_first_in_its_turn():
    assert [scenarios.in_turn(("a", "b", "c"), number) for number in (1, 2, 3, 4)] == [
        ("a", "b", "c"), ("b", "c", "a"), ("c", "a", "b"), ("a", "b", "c")]


@pytest.fixture
def module():
    spec = importlib.util.spec_from_file_location("bench_run", RUN)
    made = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(made)
    return made


@pytest.fixture
def bench(module):
    place, ports = temporary_place(), Ports()
    made = module.Bench(BUILD, place, ports, 1000)
    made.scenario = "fan-out"
    yield made
    made.stop()
    ports.close()
    place.remove()


def run_on_floor(bench, seconds):
    return bench.load("floor", members=2, windows=(1,), seconds=seconds)


def test_a_server_that_has_died_is_left_out(bench):
    assert run_on_floor(bench, 0.1)["runs"][0]["chats"] > 0
    bench.servers["floor"].kill()
    assert run_on_floor(bench, 0.1) is None
    assert bench.absent["floor"].startswith("floor ended with status -9")
    assert [failure["system"] for failure in bench.failures] == ["floor"]
    assert run_on_floor(bench, 0.1) is None and len(bench.failures) == 1, "it is not asked again"


def test_a_server_that_dies_meanwhile_is_left_out(bench):
    assert run_on_floor(bench, 0.1)
    killer = threading.Timer(0.5, os.kill, (bench.servers["floor"].pid, signal.SIGKILL))
    killer.start()
    assert run_on_floor(bench, 30) is None
    killer.join()
    assert bench.absent["floor"].startswith("floor ended with status -9")


def test_a_round_that_fails_does_not_end_the_others(module, bench, monkeypatch):
    def scenario(bench, number):
        if number == 1:
            raise Failure("not this time")
        bench.note({"scenario": "made up"})

    monkeypatch.setitem(module.SCENARIOS, "made up", scenario)
    module.run_scenario(bench, "made up", 3, 0)
    assert [record["round"] for record in bench.records] == [2, 3]
    assert [(failure["round"], failure["why"]) for failure in bench.failures] == [(1, "not this time")]


def test_what_is_no_json_is_a_failure(bench):
    with pytest.raises(Failure):
        bench.parsed("{")
