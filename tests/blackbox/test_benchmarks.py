"""bench/page.py: from made-up results the page says what was reached, what was not, and what is missing."""

import os
import re
import shutil
import sys

import pytest

ROOT = os.path.realpath(os.path.join(os.path.dirname(os.path.abspath(__file__)), "../.."))
sys.path.append(os.path.join(ROOT, "bench"))
import page  # noqa: E402
import scenarios  # noqa: E402

ROUNDS = (1, 2, 3)


def made_up(records, failures=(), absent=None):
    machine = {"date": "2026-01-01", "commit": "abc", "cpu": "A CPU", "cores": 2, "memory_kib": 1 << 20, "kernel": "6",
               "system": "Debian", "versions": {"ngircd": "26"}, "file_system": "ext4", "descriptors": 20000,
               "fsync_us": {"p50": 100, "p99": 200}}
    return {"machine": machine, "rounds": len(ROUNDS), "seconds": 60, "records": records, "failures": list(failures),
            "absent": absent or {}}


def fan_out(system, slope, start, writes=1.0, sizes=(10, 100, 1000, 5000)):
    """Rounds of 1,000 chats each; the machine is slower in each round, for everybody."""
    return [{"scenario": "fan-out", "system": system, "round": number, "rooms": 1, "members": members, "window": window,
             "chats": 1000, "deliveries": 1000 * (members - 1), "writes": writes * 1000 * (members - 1) + 1000,
             "cpu_us": 1000 * number * (start + slope * (members - 1))}
            for number in ROUNDS for members in sizes for window in page.WINDOWS]


def verdicts(results):
    """Verdict by the beginning of what it is about."""
    return {one.what: one for one in page.targets(page.Results(results))}


def verdict(results, beginning):
    found = [one for what, one in verdicts(results).items() if what.startswith(beginning)]
    assert len(found) == 1, found
    return found[0]


def test_fit_finds_slope_and_fixed_part():
    slope, start = page.fit([(members - 1, 12 + 0.5 * (members - 1)) for members in (10, 100, 1000, 5000)])
    assert slope == pytest.approx(0.5) and start == pytest.approx(12)


def test_exponent_of_a_line_is_one():
    assert page.exponent([(x, 3 * x) for x in (1, 10, 100)]) == pytest.approx(1)
    assert page.exponent([(x, 3 * x * x) for x in (1, 10, 100)]) == pytest.approx(2)


def test_ratios_are_those_within_a_round():
    # The machine is three times as slow in the last round; the ratio is not.
    results = made_up(fan_out("floor", 1, 1) + fan_out("hubbub json", 1.1, 1))
    sample = page.Results(results).fitted("hubbub json", 1, "cpu_us")[0] / \
        page.Results(results).fitted("floor", 1, "cpu_us")[0]
    assert sample.low == pytest.approx(1.1) and sample.high == pytest.approx(1.1)


def test_reached_and_not_reached_come_from_the_numbers():
    results = made_up(fan_out("floor", 1, 1) + fan_out("hubbub json", 1.1, 5) + fan_out("hubbub line", 1.3, 50, 1.4))
    assert verdict(results, "fan-out, hubbub json: CPU per delivery (slope)").verdict == "reached"
    assert verdict(results, "fan-out, hubbub json: fixed part").verdict == "reached"
    assert verdict(results, "fan-out, hubbub line: CPU per delivery (slope)").verdict == "**not reached**"
    assert verdict(results, "fan-out, hubbub line: fixed part").verdict == "**not reached**"
    # One write per chat goes to Redis, and is no delivery's.
    assert verdict(results, "writes per delivery, hubbub json, window 1").verdict == "reached"
    assert verdict(results, "writes per delivery, hubbub line, window 1").verdict == "**not reached**"


def test_a_peer_that_is_better_is_named():
    results = made_up(fan_out("floor", 1, 1) + fan_out("hubbub json", 1, 1) + fan_out("hubbub line", 1, 1) +
                      fan_out("ngircd", 2, 1, sizes=(100, 1000)) + fan_out("nats", 0.5, 1, sizes=(100, 1000)))
    text = page.render("{{peers}}", results)
    assert "of nats's (100 members, window 1)" in text and "ngircd" not in text
    assert verdict(results, "fan-out, hubbub json: CPU per delivery in rooms").verdict == "**not reached**"


def test_what_is_good_as_far_as_it_was_measured_is_not_reached():
    floor, own = fan_out("floor", 1, 1), fan_out("hubbub json", 1, 1)
    results = made_up(floor + own + fan_out("ngircd", 2, 1, sizes=(100, 1000)))
    assert verdict(results, "fan-out, hubbub json: CPU per delivery in rooms").verdict == "not measured"
    assert verdict(results, "fan-out, hubbub json: CPU per delivery (slope)").verdict == "reached"
    results = made_up(floor + [record for record in own if record["window"] != 64])
    assert verdict(results, "fan-out, hubbub json: CPU per delivery (slope)").verdict == "not measured"


def test_what_was_not_measured_is_not_reached():
    results = made_up([])
    assert {one.reached for one in verdicts(results).values()} == {None}
    with open(os.path.join(ROOT, "bench/page.md")) as template:
        text = page.render(template.read(), results)
    assert "{{" not in text and "benchmarks/" not in text.replace("docs/benchmarks/", "")
    assert page.summary(results) == ""


def test_what_failed_or_is_absent_is_told():
    results = made_up([], [{"scenario": "latency", "system": "nats", "round": 2, "why": "it closed"}],
                      {"ngircd": "ngircd is not installed"})
    text = page.render("{{missing}}", results)
    assert "ngircd was left out: ngircd is not installed" in text
    assert "latency, nats, round 2 failed: it closed" in text


def test_growing_memory_is_seen():
    def steps(*resident):
        return made_up([{"scenario": "growth of memory", "system": "hubbub json", "round": 1, "chats": 200000 * n,
                         "resident": kib} for n, kib in enumerate(resident, 1)])

    assert verdict(steps(5000, 5010, 5000, 5020, 5010), "memory after").verdict == "reached"
    assert verdict(steps(5000, 5500, 6000, 6500, 7000), "memory after").verdict == "**not reached**"


def test_every_block_has_its_place_in_the_template():
    with open(os.path.join(ROOT, "bench/page.md")) as template:
        assert sorted(set(re.findall(r"{{(.*?)}}", template.read())) - set(page.instructions())) == sorted(page.BLOCKS)


def test_turns_are_counted_from_what_strace_tells():
    said = ["10 epoll_wait(5, [], 32, 0) = 1\n",
            '10 writev(7<TCP:[127.0.0.1:40000->127.0.0.1:6379]>, [...], 2) = 100\n',
            '10 writev(9<TCP:[127.0.0.1:7000->127.0.0.1:40001]>, [...], 1) = 50\n',
            "10 epoll_wait(5,  <unfinished ...>\n", "10 <... epoll_wait resumed>[], 32, 0) = 1\n",
            '10 writev(7<TCP:[127.0.0.1:40000->127.0.0.1:6379]>, [...], 2) = 100\n',
            '10 writev(7<TCP:[127.0.0.1:40000->127.0.0.1:6379]>, [...], 2) = 100\n']
    assert scenarios.count_turns(said, 6379) == {"turns": 2, "redis_writes": 3, "most_in_a_turn": 2}


def needs_gnuplot():
    """In CI, which installs it, it must be there: what is always skipped tests nothing."""
    if not shutil.which("gnuplot"):
        (pytest.fail if os.environ.get("CI") else pytest.skip)("no gnuplot here: deploy/install.sh bench")


def a_burst(rows):
    return {"scenario": "burst", "system": "store", "round": 1, "rows": rows, "lag_s": 2.04,
            "store": {"cpu_s": {"postgres": 1.5, "store": 0.5}}, "series": [(0.0, 0), (1.0, rows // 2), (2.04, rows)]}


def test_the_lag_after_a_burst_is_told():
    history = [{"scenario": "history", "system": "store", "round": number, "store_rows_s": 90000, "copy_rows_s": 150000,
                "single_rows_s": 4000} for number in ROUNDS]
    text = page.render("{{history}}\n\n![a burst](benchmarks/history.svg)\n", made_up(history + [a_burst(1000000)]))
    assert "1,000,000 chats" in text and "2.0 s later" in text and "benchmarks/history.svg" in text


def test_old_plots_stay_until_there_are_new_ones(tmp_path, monkeypatch):
    (tmp_path / "old.svg").write_text("of the last run")
    monkeypatch.setenv("PATH", str(tmp_path))  # where there is no gnuplot
    with pytest.raises(OSError):
        page.draw(made_up(fan_out("floor", 1, 1)), str(tmp_path))
    assert os.listdir(tmp_path) == ["old.svg"]


def test_plots_are_drawn(tmp_path):
    needs_gnuplot()
    results = made_up(fan_out("floor", 1, 1) + fan_out("hubbub json", 1.1, 5) + [a_burst(1000)])
    (tmp_path / "old.svg").write_text("of the last run")
    page.draw(results, str(tmp_path))
    assert sorted(os.listdir(tmp_path)) == ["fan-out-1.svg", "fan-out-64.svg", "fan-out-8.svg", "growth-members.svg",
                                             "history.svg"]
    assert all("</svg>" in (tmp_path / name).read_text() for name in os.listdir(tmp_path))
