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
ONCE = {"growth of memory": 1, "turns": 1, "burst": 1}


def made_up(records, failures=(), absent=None):
    machine = {"date": "2026-01-01", "commit": "abc", "cpu": "A CPU", "cores": 2, "memory_kib": 1 << 20, "kernel": "6",
               "system": "Debian", "versions": {"ngircd": "26"}, "file_system": "ext4", "descriptors": 20000,
               "fsync_us": {"p50": 100, "p99": 200}}
    return {"machine": machine, "rounds": len(ROUNDS), "seconds": 60, "records": records, "failures": list(failures),
            "absent": absent or {}, "planned": {**{record["scenario"]: len(ROUNDS) for record in records}, **ONCE}}


def run(scenario, system, number, cpu_us, chats=1000, deliveries=1000, **varied):
    """What every run of bench-load has; Redis uses 30 µs a chat and the store 10."""
    others = {"redis_cpu_us": 30 * chats, "store_cpu_us": 10 * chats} if system.startswith("hubbub") else {}
    return {"scenario": scenario, "system": system, "round": number, "chats": chats, "deliveries": deliveries,
            "cpu_us": cpu_us, "cpu_user_us": 0.25 * cpu_us, "cpu_system_us": 0.75 * cpu_us, **others, **varied}


def fan_out(system, slope, start, writes=1.0, sizes=page.MEMBERS):
    """Rounds of 1,000 chats each; the machine is slower in each round, for everybody."""
    return [run("fan-out", system, number, 1000 * number * (start + slope * (members - 1)), 1000, 1000 * (members - 1),
                rooms=1, members=members, window=window, writes=writes * 1000 * (members - 1) + 1000)
            for number in ROUNDS for members in sizes for window in page.WINDOWS]


def peer(name, slope):
    return fan_out(name, slope, 1, sizes=page.PEER_MEMBERS[name])


def crowd(rooms, **costs):
    """A chat's cost in each system."""
    return [run("crowd", system.replace("_", " "), number, 1000 * cost, rooms=rooms, members=50, window=1)
            for number in ROUNDS for system, cost in costs.items()]


def varied(scenario, key, costs):
    """hubbub json's cost of a chat, by what is varied."""
    return [run(scenario, "hubbub json", number, 1000 * cost, rate_s=1000, **{key: value})
            for number in ROUNDS for value, cost in costs.items()]


def in_rounds(*ratios):
    """p99 over ngircd's, one for each round."""
    return [{"scenario": "latency", "system": system, "round": number, "senders": 1, "latency_us": {"p99": p99}}
            for number, ratio in zip(ROUNDS, ratios) for system, p99 in (("ngircd", 1000), ("hubbub json", 1000 * ratio))]


def verdicts(results):
    """Verdict by the beginning of what it is about."""
    return {one.what: one for one in page.targets(page.Results(results))}


def verdict(results, beginning):
    found = [one for what, one in verdicts(results).items() if what.startswith(beginning)]
    assert len(found) == 1, found
    return found[0]


def test_fit_finds_slope_and_fixed_part():
    slope, start = page.fit([(members - 1, 12 + 0.5 * (members - 1)) for members in page.MEMBERS])
    assert slope == pytest.approx(0.5) and start == pytest.approx(12)


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


def test_writes_are_judged_as_they_are_shown():
    results = made_up(fan_out("hubbub json", 1, 1, 1.000025) + fan_out("hubbub line", 1, 1, 1.006))
    assert verdict(results, "writes per delivery, hubbub json, window 1 (slope").verdict == "reached"
    assert verdict(results, "writes per delivery, hubbub line, window 1 (slope").verdict == "**not reached**"


def test_the_fixed_part_is_told_beside_the_floors_own():
    results = made_up(fan_out("floor", 1, 4) + fan_out("hubbub json", 1, 20))
    assert "where the floor's own is 8.0 µs" in verdict(results, "fan-out, hubbub json: fixed part").shown


def test_a_peer_that_is_better_is_named():
    results = made_up(fan_out("floor", 1, 1) + fan_out("hubbub json", 1, 1) + fan_out("hubbub line", 1, 1) +
                      peer("ngircd", 2) + peer("nats", 0.5))
    text = page.render("{{peers}}", results)
    assert "of nats's (100 members, window 1)" in text and "of ngircd's" not in text
    assert verdict(results, "fan-out, hubbub json: CPU per delivery in rooms").verdict == "**not reached**"


def test_peers_are_compared_with_the_cpu_of_redis_too():
    results = made_up(fan_out("hubbub json", 1, 1) + fan_out("hubbub line", 1, 1) + peer("ngircd", 2) +
                      peer("inspircd", 2) + peer("nats", 1.2))
    text = page.render("{{peers}}", results)
    # In a room of 100, a chat takes 100 µs of the gateway's time and 30 of Redis' in round 1, 200 and 30 in round 2; nats'
    # 119.8 and 239.6.  Their ratio in the first is 1.09, in the second, the median, 0.96.
    assert "| hubbub json / nats | 1 | 0.83; 0.96 | 0.83; 0.85 | 0.83; 0.84 |" in text
    assert "| hubbub json / ngircd | 1 | 0.50; 0.58 | 0.50; 0.51 | - |" in text
    assert "hubbub was cheaper in 48 of 48 comparisons" in text


def test_costs_are_told_by_user_and_system_and_with_those_of_redis_and_store():
    text = page.render("{{fits}}", made_up(fan_out("floor", 1, 4) + fan_out("hubbub json", 1, 8)))
    rows = [line for line in text.splitlines() if " | 8 | " in line]
    assert [row.count("| - |") for row in rows] == [1, 0]
    assert "| 2.000 µs (1.000 to 3.000) | 25 + 75% | 16.0 µs (8.0 to 24.0) | 25 + 75% |" in rows[1]
    assert "| 30.0 µs (30.0 to 30.0) | 10.0 µs (10.0 to 10.0) |" in rows[1]
    records = [run("pair", system, number, 40000, sleeps=2000, writes=1000) for number in ROUNDS
               for system in ("floor", "hubbub line")]
    assert "| 25 + 75% | 30.0 µs (30.0 to 30.0) | 10.0 µs (10.0 to 10.0) |" in page.render("{{pair}}", made_up(records))


def test_what_is_good_as_far_as_it_was_measured_is_not_reached():
    floor, own = fan_out("floor", 1, 1), fan_out("hubbub json", 1, 1)
    slope = "fan-out, hubbub json: CPU per delivery (slope)"
    assert verdict(made_up(floor + own), slope).verdict == "reached"
    for some, lacking in (([record for record in own if record["window"] != 64], "only 2 of 3 windows"),
                          ([record for record in own if record["members"] != 5000], "only 3 of 4 sizes of rooms"),
                          ([record for record in own if record["round"] == 1], "only 1 of 3 rounds"),
                          ([record for record in own if record["round"] == 1 or record["window"] != 1], "only 1 of 3 rounds")):
        found = verdict(made_up(floor + some), slope)
        assert found.verdict == "not measured in full"
        assert found.shown.startswith("1.00") and found.shown.endswith(lacking)
    found = verdict(made_up(own + peer("ngircd", 2)), "fan-out, hubbub json: CPU per delivery in rooms")
    assert found.verdict == "not measured in full" and found.shown.endswith("only 6 of 24 comparisons")


def test_a_run_without_chats_measures_nothing():
    own = fan_out("hubbub json", 1, 1)
    own[-1].update(chats=0, deliveries=0)
    results = made_up(fan_out("floor", 1, 1) + own)
    assert verdict(results, "fan-out, hubbub json: CPU per delivery (slope)").verdict == "not measured in full"
    page.render("{{fits}}{{fan-out}}{{peers}}{{growth}}", results)


def test_what_is_bad_as_far_as_it_was_measured_is_not_reached():
    results = made_up(fan_out("floor", 1, 1) + fan_out("hubbub json", 1.5, 1, sizes=(10, 100, 1000)))
    assert verdict(results, "fan-out, hubbub json: CPU per delivery (slope)").verdict == "**not reached**"


def test_what_was_not_measured_is_not_reached():
    results = made_up([])
    assert {one.verdict for one in verdicts(results).values()} == {"not measured"}
    with open(os.path.join(ROOT, "bench/page.md")) as template:
        text = page.render(template.read(), results)
    assert "{{" not in text and "benchmarks/" not in text.replace("docs/benchmarks/", "")
    assert page.summary(results) == ""


def test_a_limit_between_the_least_and_the_most_is_within_the_noise():
    about = "latency, hubbub json"
    assert verdict(made_up(in_rounds(1.2, 1.3, 1.5)), about).verdict == "reached"
    assert verdict(made_up(in_rounds(1.2, 1.3, 1.6)), about).verdict == "reached, within the noise"
    assert verdict(made_up(in_rounds(1.4, 1.6, 1.7)), about).verdict == "**not reached**, within the noise"
    assert verdict(made_up(in_rounds(1.6, 1.7, 1.8)), about).verdict == "**not reached**"
    assert verdict(made_up(in_rounds(1.2, 1.6)), about).verdict == "not measured in full"


def test_a_crowd_is_judged_whole_and_by_the_number_of_its_rooms():
    begins = "fan-out, hubbub json, 1,000 rooms of 50: CPU per chat, over "
    results = made_up(crowd(1000, floor=100, hubbub_line=90, hubbub_json=114, inspircd=115, nats=120))
    assert verdict(results, begins + "the floor's").verdict == "reached"
    assert verdict(results, begins + "each peer's").shown == "0.99 (0.99 to 0.99) over inspircd's"
    results = made_up(crowd(1000, floor=100, hubbub_line=90, hubbub_json=116, inspircd=115, nats=120))
    assert verdict(results, begins + "the floor's").verdict == "**not reached**"
    assert verdict(results, begins + "each peer's").verdict == "**not reached**"
    results = made_up(crowd(396, floor=100, hubbub_json=114, nats=120))
    for ends, lacking in (("the floor's", "only 396 of 1,000 rooms"),
                          ("each peer's", "only 1 of 2 peers; only 396 of 1,000 rooms")):
        found = verdict(results, begins + ends)
        assert found.verdict == "not measured in full" and found.shown.endswith(lacking)


def test_the_worst_step_of_growth_is_judged():
    # From end to end it does not grow.
    results = made_up(varied("rooms", "rooms", {1: 140, 10: 90, 100: 80, 1000: 115}))
    found = verdict(results, "growth with rooms")
    assert found.verdict == "**not reached**" and found.shown == "1.12 (1.12 to 1.12) from 100 to 1,000"
    results = made_up(varied("lanes", "lanes", {1: 50, 2: 51, 4: 52, 8: 53}))
    assert verdict(results, "growth with lanes").verdict == "reached"
    results = made_up(varied("lanes", "lanes", {1: 50, 2: 51, 4: 52}))
    assert verdict(results, "growth with lanes").verdict == "not measured in full"
    results = made_up(fan_out("floor", 1, 1) + fan_out("hubbub json", 1, -4))
    found = verdict(results, "growth with members")
    assert found.verdict == "**not reached**" and found.shown.endswith(" from 10 to 100, where the floor's own is 2.00")
    results = made_up(fan_out("hubbub json", 1, 1))
    assert verdict(results, "growth with members").verdict == "reached"


def test_what_more_gateways_cost_is_judged():
    for cost, expected in ((109, "reached"), (112, "**not reached**")):
        results = made_up(varied("gateways", "gateways", {1: 100, 2: 90, 3: cost}))
        assert verdict(results, "growth with gateways").verdict == expected


def test_idle_connections_must_be_as_many_as_were_asked_for():
    def memory(clients):
        return made_up([{"scenario": "memory", "system": "hubbub json", "round": number, "clients": clients, "joined": 20000,
                         "kib_each": 1.7} for number in ROUNDS])

    assert verdict(memory(10000), "memory per idle connection, hubbub json").verdict == "reached"
    assert verdict(memory(9000), "memory per idle connection, hubbub json").verdict == "not measured in full"


def test_what_has_fewer_rounds_says_how_many():
    records = [{"scenario": "memory", "system": system, "round": number, "clients": 10000, "joined": 20000, "kib_each": 1.7}
               for system, rounds in (("hubbub json", ROUNDS), ("nats", ROUNDS[:1])) for number in rounds]
    assert "Rounds, where not 3: nats 1." in page.render("{{memory}}", made_up(records))
    assert "Rounds" not in page.render("{{memory}}", made_up(records[:3]))
    steps = [{"scenario": "growth of memory", "system": "hubbub json", "round": 1, "chats": 1, "resident": 5000}]
    assert "there was one round" in page.render("{{targets}}", made_up(steps))
    assert "there was one round" not in page.render("{{targets}}", made_up(records[:3]))


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
    assert verdict(steps(5000, 5010), "memory after").verdict == "not measured in full"


def test_the_page_asks_for_what_is_measured():
    assert (page.MEMBERS, page.WINDOWS, page.CROWD_ROOMS, page.IDLE_CLIENTS, page.GATEWAYS) == \
        (scenarios.MEMBERS, scenarios.WINDOWS, scenarios.CROWD_ROOMS, scenarios.IDLE_CLIENTS, max(scenarios.GATEWAYS))


def test_every_block_has_its_place_in_the_template():
    with open(os.path.join(ROOT, "bench/page.md")) as template:
        assert sorted(set(re.findall(r"{{(.*?)}}", template.read())) - set(page.instructions())) == sorted(page.BLOCKS)


def test_turns_are_counted_from_what_strace_tells():
    said = ["10 epoll_wait(5, [], 32, 0) = 1\n",
            '10 writev(7<TCP:[127.0.0.1:40000->127.0.0.1:6379]>, [...], 2) = 100\n',
            '10 writev(9<TCP:[127.0.0.1:7000->127.0.0.1:40001]>, [...], 1) = 50\n',
            '10 writev(8<TCP:[127.0.0.1:40002->127.0.0.1:6379]>, [...], 1) = 60\n',  # the other connection
            "10 epoll_wait(5,  <unfinished ...>\n", "10 <... epoll_wait resumed>[], 32, 0) = 1\n",
            '10 writev(7<TCP:[127.0.0.1:40000->127.0.0.1:6379]>, [...], 2) = 100\n',
            '10 writev(7<TCP:[127.0.0.1:40000->127.0.0.1:6379]>, [...], 2) = 100\n']
    assert scenarios.count_turns(said, 6379) == {"turns": 2, "redis_writes": 4, "most_in_a_turn": 2}


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
