#!/usr/bin/python3
"""page: docs/BENCHMARKS.md and its plots from results: page.py [RESULTS].

What people wrote is in bench/page.md; each {{word}} in it is a block that is made here from the numbers, or the
instructions of that case as tests/instructions has recorded them.  Nothing here knows a result: whether a figure is
reached is computed, and what was not measured is said to be missing.
"""

import json
import math
import os
import re
import statistics
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
RECORDED = os.path.join(HERE, "../tests/instructions/recorded.txt")
PICTURE = re.compile(r"!\[.*\]\(benchmarks/(.*)\.svg\)$")
HUBBUB = ("hubbub line", "hubbub json")
WINDOWS = (1, 8, 64)
PEERS = ("ngircd", "inspircd", "nats")
PEER_MEMBERS = (100, 1000)
COLOURS = {"floor": "#888888", "hubbub line": "#1b6ca8", "hubbub json": "#0b3c5d", "ngircd": "#d98c00",
           "inspircd": "#b5446e", "nats": "#3a8f4d"}

SLOPE_MAX, FIXED_MAX_US = 1.15, 15
WRITES_MAX = {1: 1.0, 64: 0.2}
LATENCY_MAX = 1.5
ACCEPTING_MIN = 0.6
COPY_MIN, SINGLE_MIN = 0.5, 15
MEMORY_MAX_KIB = 2
GROWTH_MAX = 1.02      # resident memory after the last chats over that after the first
STORM_MAX_S = 5
BYTES_MAX = 1.1        # bytes per join, of the largest room over the smallest
EXPONENT_MAX = 1.05    # 1 is linear; the rest is noise
FLAT_MAX = 0.1         # the same of what is not to grow at all


class Sample:
    """One number per round."""

    def __init__(self, by_round):
        self.by_round = by_round

    def __bool__(self):
        return bool(self.by_round)

    @property
    def median(self):
        return statistics.median(self.by_round.values())

    @property
    def low(self):
        return min(self.by_round.values())

    @property
    def high(self):
        return max(self.by_round.values())

    def __truediv__(self, other):
        """The ratios of the same rounds, for noise of the machine meets both."""
        return Sample({n: value / other.by_round[n] for n, value in self.by_round.items() if other.by_round.get(n)})

    def show(self, digits=2, unit=""):
        """Median, least and most."""
        if not self:
            return "-"
        spread = f" ({self.low:,.{digits}f} to {self.high:,.{digits}f})" if len(self.by_round) > 1 else ""
        return f"{self.median:,.{digits}f}{unit}{spread}"

    def short(self, digits=2):
        return f"{self.median:,.{digits}f}" if self else "-"


def fit(points):
    """Slope and start of the line through (x, y) that makes the squares of the relative errors least: else the largest
    rooms alone would decide, and the fixed part would drown in their noise."""
    weights = [1 / (y * y) for _, y in points]
    total = sum(weights)
    mean_x = sum(w * x for w, (x, _) in zip(weights, points)) / total
    mean_y = sum(w * y for w, (_, y) in zip(weights, points)) / total
    spread = sum(w * (x - mean_x) ** 2 for w, (x, _) in zip(weights, points))
    slope = sum(w * (x - mean_x) * (y - mean_y) for w, (x, y) in zip(weights, points)) / spread
    return slope, mean_y - slope * mean_x


def exponent(points):
    """k of y = c * x^k, by least squares of the logarithms."""
    logs = [(math.log(x), math.log(y)) for x, y in points]
    mean_x, mean_y = statistics.mean(x for x, _ in logs), statistics.mean(y for _, y in logs)
    return sum((x - mean_x) * (y - mean_y) for x, y in logs) / sum((x - mean_x) ** 2 for x, _ in logs)


class Results:
    def __init__(self, results):
        self.all = results
        self.records = results["records"]
        self.machine = results["machine"]

    def pick(self, scenario, **where):
        return [record for record in self.records if record["scenario"] == scenario and
                all(record.get(key) == value for key, value in where.items())]

    def values(self, scenario, key, **where):
        """What was varied, in order."""
        return sorted({record[key] for record in self.pick(scenario, **where)})

    def systems(self, scenario, **where):
        found = {record["system"]: None for record in self.pick(scenario, **where)}
        return [system for system in COLOURS if system in found] + [s for s in found if s not in COLOURS]

    def sample(self, scenario, number, **where):
        """number(record) of each round."""
        return Sample({record["round"]: number(record) for record in self.pick(scenario, **where)})

    def fitted(self, system, window, what):
        """Samples of the slope (per delivery) and the fixed part (per chat) of a cost."""
        slopes, starts = {}, {}
        for number in range(1, self.all["rounds"] + 1):
            points = [(record["members"] - 1, record[what] / record["chats"]) for record in
                      self.pick("fan-out", system=system, window=window, round=number) if record["chats"]]
            if len(points) >= 3 and all(y > 0 for _, y in points):
                slopes[number], starts[number] = fit(points)
        return Sample(slopes), Sample(starts)


def cpu_per_delivery(record):
    return record["cpu_us"] / record["deliveries"]


def cpu_per_chat(record):
    return record["cpu_us"] / record["chats"]


def table(heads, rows):
    lines = ["| " + " | ".join(heads) + " |", "|" + "---|" * len(heads)]
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in rows])


# Targets --------------------------------------------------------------------------------------------------------------

class Target:
    """A figure to reach; `value` is None where it was not measured."""

    def __init__(self, what, wanted, shown, value, reached):
        self.what, self.wanted = what, wanted
        self.shown = shown if value is not None else "not measured"
        self.reached = None if value is None else bool(reached(value))

    @property
    def verdict(self):
        return {None: "not measured", True: "reached", False: "**not reached**"}[self.reached]


def at_most(what, wanted, limit, sample, digits=2, unit="", note=""):
    shown = f"{sample.show(digits, unit)}{note}" if sample else ""
    return Target(what, wanted, shown, sample.median if sample else None, lambda value: value <= limit)


def at_least(what, wanted, limit, sample, digits=2, unit=""):
    return Target(what, wanted, sample.show(digits, unit), sample.median if sample else None, lambda value: value >= limit)


def worst(samples, limit):
    """Of samples by name, the name and the sample with the greatest median.  None if that is within the limit while
    another is missing: it might be worse."""
    found = {name: sample for name, sample in samples.items() if sample}
    name = max(found, key=lambda name: found[name].median, default="")
    if not found or (len(found) < len(samples) and found[name].median <= limit):
        return "", Sample({})
    return name, found[name]


def at_window(named):
    return f" at window {named}" if named else ""


def fan_out_targets(results):
    for system in HUBBUB:
        slopes, starts = {}, {}
        for window in WINDOWS:
            slope, starts[window] = results.fitted(system, window, "cpu_us")
            slopes[window] = slope / results.fitted("floor", window, "cpu_us")[0]
        window, sample = worst(slopes, SLOPE_MAX)
        yield at_most(f"fan-out, {system}: CPU per delivery (slope), over the floor's", f"<= {SLOPE_MAX} at every window",
                      SLOPE_MAX, sample, note=at_window(window))
        window, sample = worst(starts, FIXED_MAX_US)
        yield at_most(f"fan-out, {system}: fixed part per chat", f"<= {FIXED_MAX_US} µs", FIXED_MAX_US, sample, 1, " µs",
                      at_window(window))
    for system in HUBBUB:
        ratios = peer_ratios(results, system)
        name, sample = worst(ratios, 1)
        rooms = " and ".join(f"{members:,}" for members in PEER_MEMBERS)
        yield Target(f"fan-out, {system}: CPU per delivery in rooms of {rooms}, over each peer's", "< 1 at every window",
                     f"{sample.show()} over {name}" if sample else "", sample.median if sample else None,
                     lambda value: value < 1)
    own = results.sample("crowd", lambda record: cpu_per_chat(record) - FIXED_MAX_US, system="hubbub json")
    rooms = results.values("crowd", "rooms")
    yield at_most(f"fan-out, hubbub json, {rooms[-1] if rooms else 'many'} rooms of 50: CPU per chat without the fixed "
                  f"part's {FIXED_MAX_US} µs, over the floor's", f"<= {SLOPE_MAX}", SLOPE_MAX,
                  own / results.sample("crowd", cpu_per_chat, system="floor"))


def peer_ratios(results, system):
    """CPU per delivery over each peer's, by a name of peer, room and window."""
    found = {}
    for peer in PEERS:
        for members in PEER_MEMBERS:
            for window in WINDOWS:
                where = {"members": members, "window": window}
                found[f"{peer}'s ({members:,} members, window {window})"] = \
                    results.sample("fan-out", cpu_per_delivery, system=system, **where) / \
                    results.sample("fan-out", cpu_per_delivery, system=peer, **where)
    return found


def other_targets(results):
    for system in HUBBUB:
        for window, limit in WRITES_MAX.items():
            yield at_most(f"writes per delivery, {system}, window {window}", f"<= {limit}", limit,
                          results.fitted(system, window, "writes")[0])
    for system in HUBBUB:
        yield at_most(f"latency, {system}: p99 at 1,000 chats/s to 100 clients, over ngircd's", f"<= {LATENCY_MAX}", LATENCY_MAX,
                      percentile(results, system, "p99") / percentile(results, "ngircd", "p99"))
    yield at_least("accepting: acknowledged chats/s, over those of the publish function alone", f">= {ACCEPTING_MIN}",
                   ACCEPTING_MIN, rate(results, "accepting", "hubbub json") / rate(results, "accepting", "publish alone"))
    yield at_most("accepting: writes to Redis in one turn of the gateway's loop, at most", "<= 1", 1,
                  results.sample("turns", lambda record: record["most_in_a_turn"]), 0)
    for other, limit, what in (("copy", COPY_MIN, "binary COPY"), ("single", SINGLE_MIN, "one row a commit")):
        yield at_least(f"history: rows/s stored, over {what}", f">= {limit}", limit,
                       results.sample("history", lambda record: record["store_rows_s"] / record[other + "_rows_s"]))
    for system in HUBBUB:
        yield at_most(f"memory per idle connection, {system}", f"<= {MEMORY_MAX_KIB} KiB", MEMORY_MAX_KIB,
                      results.sample("memory", lambda record: record["kib_each"], system=system), 2, " KiB")
    yield growth_of_memory_target(results)
    for what in ("one room", "rooms of 50"):
        yield at_most(f"log-in storm: 10,000 joins, {what}", f"<= {STORM_MAX_S} s", STORM_MAX_S,
                      results.sample("storm", lambda record: record["join_seconds"], what=what, clients=10000), 2, " s")
    yield at_most("log-in storm: bytes per join in one room, with 10,000 over with 2,500", f"<= {BYTES_MAX} (linear)", BYTES_MAX,
                  bytes_per_join(results, 10000) / bytes_per_join(results, 2500))
    for what, key, scenario, where, limit, wanted in GROWTHS:
        yield at_most(f"growth of the cost per chat with {what}: exponent", f"{wanted} (up to {limit} is noise)", limit,
                      growth_exponent(results, key, scenario, where))


GROWTHS = (("members (window 1)", "members", "fan-out", {"window": 1}, EXPONENT_MAX, "<= 1, linear"),
           ("rooms", "rooms", "rooms", {}, FLAT_MAX, "0, flat"), ("lanes", "lanes", "lanes", {}, FLAT_MAX, "0, flat"))


def growth_exponent(results, key, scenario, where):
    found = {}
    for number in range(1, results.all["rounds"] + 1):
        points = [(record[key], cpu_per_chat(record)) for record in
                  results.pick(scenario, system="hubbub json", round=number, **where)]
        if len(points) >= 3:
            found[number] = exponent(points)
    return Sample(found)


def percentile(results, system, name, senders=1):
    return results.sample("latency", lambda record: record["latency_us"][name], system=system, senders=senders)


def rate(results, scenario, system):
    return results.sample(scenario, lambda record: record["rate_s"], system=system)


def bytes_per_join(results, clients):
    return results.sample("storm", lambda record: record["bytes"] / record["clients"], what="one room", clients=clients)


def growth_of_memory_target(results):
    steps = sorted(results.pick("growth of memory"), key=lambda record: record["chats"])
    value = steps[-1]["resident"] / steps[0]["resident"] if len(steps) > 1 else None
    shown = ", ".join(f"{step['resident'] / 1024:.1f}" for step in steps) + " MiB" if steps else ""
    return Target("memory after 0.2 to 1.0 million chats", f"last <= {GROWTH_MAX} x first", shown, value,
                  lambda value: value <= GROWTH_MAX)


def targets(results):
    return list(fan_out_targets(results)) + list(other_targets(results))


# Blocks of the page ---------------------------------------------------------------------------------------------------

def block_machine(results):
    machine = results.machine
    versions = ", ".join(f"{name} {version}" for name, version in machine["versions"].items())
    return (f"{machine['date']}, hubbub {machine['commit'] or 'of no commit'}: {machine['cpu']}, {machine['cores']} cores, "
            f"{machine['memory_kib'] / 1048576:.0f} GiB of memory, {machine['system']}, Linux {machine['kernel']}; data on "
            f"{machine['file_system']}, where a short write and its fdatasync take {machine['fsync_us']['p50']:.0f} µs "
            f"(p99 {machine['fsync_us']['p99']:.0f} µs). At most {machine['descriptors']:,} descriptors a process. "
            f"Packages: {versions}. {results.all['rounds']} rounds in {results.all['seconds'] / 60:.0f} minutes.")


def block_targets(results):
    return table(["figure", "to reach", "measured: median (least to most)", "verdict"],
                 [[one.what, one.wanted, one.shown, one.verdict] for one in targets(results)])


def block_missing(results):
    lines = [f"- {name} was left out: {why}" for name, why in results.all["absent"].items()]
    lines += [f"- {one['scenario']}, {one['system']}, round {one['round']} failed: {one['why']}"
              for one in results.all["failures"]]
    return "\n".join(lines) if lines else "Nothing was left out, and nothing failed."


def block_fits(results):
    rows = []
    for system in results.systems("fan-out"):
        for window in WINDOWS:
            slope, start = results.fitted(system, window, "cpu_us")
            if slope:
                ratio = slope / results.fitted("floor", window, "cpu_us")[0]
                rows.append([system, str(window), ratio.show(), slope.show(3, " µs"), start.show(1, " µs"),
                             results.fitted(system, window, "writes")[0].show(3)])
    return table(["system", "window", "slope / floor's", "slope: CPU per delivery", "fixed part: CPU per chat",
                  "writes per delivery"], rows)


def block_fan_out(results):
    parts = []
    for window in WINDOWS:
        sizes = results.values("fan-out", "members", window=window)
        rows = []
        for system in results.systems("fan-out", window=window):
            row = [system]
            for members in sizes:
                where = {"window": window, "members": members}
                own = results.sample("fan-out", cpu_per_delivery, system=system, **where)
                ratio = own / results.sample("fan-out", cpu_per_delivery, system="floor", **where)
                row.append(f"{ratio.show()}; {own.short(3)} µs" if own else "-")
            rows.append(row)
        parts.append(f"Window {window}:\n\n" + table(["system"] + [f"{members:,} members" for members in sizes], rows))
    return "\n\n".join(parts)


def block_peers(results):
    """Where a peer is better than hubbub, and else that none is."""
    better = [f"- {system}: {sample.show()} of {name}" for system in HUBBUB
              for name, sample in peer_ratios(results, system).items() if sample and sample.median >= 1]
    if better:
        return "Not cheaper per delivery than a peer:\n\n" + "\n".join(better)
    if not all(peer_ratios(results, HUBBUB[0]).values()):
        return "Not all of these were measured."
    return "Per delivery hubbub was cheaper than each peer, in each of these rooms and at each window."


def block_crowd(results):
    rows = []
    for system in results.systems("crowd"):
        own = results.sample("crowd", cpu_per_chat, system=system)
        rooms = results.values("crowd", "rooms", system=system)
        rows.append([system, f"{rooms[-1]:,}", (own / results.sample("crowd", cpu_per_chat, system="floor")).show(),
                     own.show(1, " µs"), results.sample("crowd", cpu_per_delivery, system=system).show(3, " µs")])
    return table(["system", "rooms of 50", "CPU per chat / floor's", "CPU per chat", "CPU per delivery"], rows)


def block_latency(results):
    rows = []
    for senders in results.values("latency", "senders"):
        for system in results.systems("latency", senders=senders):
            own, other = (percentile(results, name, "p99", senders) for name in (system, "ngircd"))
            rows.append([system, str(senders), (own / other).show()] +
                        [percentile(results, system, name, senders).show(0) for name in ("p50", "p99", "p999")])
    return table(["system", "who speak", "p99 / ngircd's", "p50, µs", "p99, µs", "p99.9, µs"], rows)


def block_senders(results):
    """What it changes that several speak."""
    rows = []
    for system in results.systems("senders"):
        one = results.sample("fan-out", cpu_per_delivery, system=system, members=100, window=64)
        ten = results.sample("senders", cpu_per_delivery, system=system)
        floor = results.sample("senders", cpu_per_delivery, system="floor")
        rows.append([system, (ten / floor).show(), ten.show(3, " µs"), one.show(3, " µs")])
    return table(["system", "ten who speak / floor's", "ten who speak", "one who speaks"], rows)


def block_pair(results):
    rows = []
    for system in results.systems("pair"):
        own = results.sample("pair", cpu_per_chat, system=system)
        rows.append([system, (own / results.sample("pair", cpu_per_chat, system="floor")).show(), own.show(1, " µs"),
                     results.sample("pair", lambda record: record["sleeps"] / record["chats"], system=system).show(2),
                     results.sample("pair", lambda record: record["writes"] / record["chats"], system=system).show(2)])
    return table(["system", "CPU per chat / floor's", "CPU per chat", "sleeps per chat", "writes per chat"], rows)


def block_accepting(results):
    rows = []
    for system in ("publish alone", "hubbub json"):
        own = rate(results, "accepting", system)
        redis = results.sample("accepting", lambda record: record["redis_cpu_us"] / record["chats"], system=system)
        gateway = results.sample("accepting", lambda record: record["cpu_us"] / record["chats"] if "cpu_us" in record else 0,
                                 system=system)
        rows.append([system, (own / rate(results, "accepting", "publish alone")).show(), own.show(0), redis.show(1, " µs"),
                     gateway.show(1, " µs") if gateway and gateway.median else "-"])
    text = table(["", "rate / publish alone", "a second", "Redis' CPU each", "gateway's CPU each"], rows)
    for one in results.pick("turns"):
        text += (f"\n\nIn {one['turns']:,} turns of the gateway's loop, which strace followed, it wrote {one['redis_writes']:,} "
                 f"times to Redis, and at most {one['most_in_a_turn']} in one turn.")
    return text


def block_history(results):
    if not results.pick("history"):
        return "Not measured."
    rows = []
    for name, what in (("copy", "binary COPY"), ("store", "the store"), ("single", "one row a commit")):
        own = results.sample("history", lambda record: record[name + "_rows_s"])
        rows.append([what] + [(own / results.sample("history", lambda record: record[other + "_rows_s"])).show()
                              for other in ("copy", "single")] + [own.show(0)])
    text = table(["", "/ COPY", "/ one row a commit", "rows/s"], rows)
    for one in results.pick("burst"):
        text += (f"\n\nA burst of {one['rows']:,} chats, all accepted and none stored when the store starts, is stored "
                 f"{one['lag_s']:.1f} s later; PostgreSQL works {one['store']['cpu_s']['postgres']:.1f} s of that, and the store "
                 f"{one['store']['cpu_s']['store']:.1f} s.")
    return text


def block_memory(results):
    rows = []
    for system in results.systems("memory"):
        own = results.sample("memory", lambda record: record["kib_each"], system=system)
        clients = results.values("memory", "clients", system=system)
        joined = results.sample("memory", lambda record: record["joined"] / 1024, system=system)
        rows.append([system, own.show(2, " KiB"), f"{clients[-1]:,}", joined.show(1, " MiB")])
    return table(["system", "each connection", "connections", "resident in all"], rows)


def block_storm(results):
    rows = []
    for what, clients in sorted({(record["what"], record["clients"]) for record in results.pick("storm")}):
        where = {"what": what, "clients": clients}
        took = results.sample("storm", lambda record: record["join_seconds"], **where)
        wrote = results.sample("storm", lambda record: record["bytes"] / record["clients"], **where)
        rows.append([f"{clients:,}", what, took.show(2, " s"), wrote.show(0)])
    return table(["joins", "where", "until all are in", "bytes written per join"], rows)


def block_growth(results):
    rows = []
    for number in results.values("gateways", "gateways"):
        own, first = (results.sample("gateways", lambda record: record["rate_s"], gateways=n) for n in (number, 1))
        used = results.sample("gateways", cpu_per_chat, gateways=number)
        rows.append([str(number), (own / first).show(), own.show(0), used.show(1, " µs")])
    parts = [table(["gateways", "chats/s / with one", "chats/s", "CPU per chat, all gateways"], rows)]
    for scenario, key in (("rooms", "rooms"), ("lanes", "lanes")):
        rows = []
        for value in results.values(scenario, key):
            own, first = (results.sample(scenario, cpu_per_chat, **{key: n})
                          for n in (value, results.values(scenario, key)[0]))
            rows.append([f"{value:,}", (own / first).show(), own.show(1, " µs")])
        parts.append(table([key, "CPU per chat / with one", "CPU per chat"], rows))
    return "\n\n".join(parts)


BLOCKS = {"machine": block_machine, "targets": block_targets, "missing": block_missing, "fits": block_fits,
          "fan-out": block_fan_out, "peers": block_peers, "pair": block_pair, "crowd": block_crowd, "latency": block_latency, "senders": block_senders,
          "accepting": block_accepting, "history": block_history, "memory": block_memory, "storm": block_storm,
          "growth": block_growth}


def instructions():
    """What each case of tests/instructions costs, as recorded."""
    with open(RECORDED) as lines:
        return {found[1]: int(found[2]) for found in (re.match(r"([a-z0-9-]+) +(\d+) ", line) for line in lines) if found}


def render(template, results):
    """The template with its blocks filled in, without the pictures of what was not measured."""
    results = Results(results)
    drawn = plots(results)
    for case, count in instructions().items():
        template = template.replace("{{" + case + "}}", f"{count:,}")
    for word, block in BLOCKS.items():
        template = template.replace("{{" + word + "}}", block(results))
    return "".join(line for line in template.splitlines(keepends=True)
                   if not (found := PICTURE.match(line)) or found.group(1) in drawn)


def summary(results):
    """The table of targets, for a terminal."""
    return "\n".join(f"{one.verdict.strip('*'):<13} {one.what}: {one.shown} (to reach: {one.wanted})"
                     for one in targets(Results(results)) if one.reached is not None)


# Plots ----------------------------------------------------------------------------------------------------------------

def line_plot(series, settings):
    """A gnuplot script: lines through (x, median, least, most) by name."""
    script, curves = [], []
    for n, (name, points) in enumerate(series.items()):
        if not points:
            continue
        script += [f"$d{n} << END"] + [" ".join(f"{value:g}" for value in point) for point in points] + ["END"]
        colour = COLOURS.get(name, "#66b2e8")
        curves.append(f'$d{n} using 1:2:3:4 with yerrorlines pt 7 ps 0.5 lw 2 lc rgb "{colour}" title "{name}"')
    return "\n".join(script + settings + ["plot " + ", ".join(curves)]) + "\n" if curves else ""


def curve(results, scenario, key, number, **where):
    points = []
    for value in results.values(scenario, key, **where):
        sample = results.sample(scenario, number, **{key: value}, **where)
        points.append((value, sample.median, sample.low, sample.high))
    return points


def plots(results):
    """Scripts by the name of the file."""
    scripts = {}
    for window in WINDOWS:
        scripts[f"fan-out-{window}"] = line_plot(
            {system: curve(results, "fan-out", "members", cpu_per_delivery, system=system, window=window)
             for system in results.systems("fan-out", window=window)},
            ["set logscale x", 'set xlabel "members of the room"', 'set ylabel "CPU per delivery, µs"', "set yrange [0:*]",
             f'set title "Fan-out, window {window}"'])
    percentiles = ("p50", "p90", "p99", "p999", "max")
    scripts["latency"] = line_plot(
        {system: [(n, sample.median, sample.low, sample.high) for n, sample in
                  enumerate(percentile(results, system, name) for name in percentiles)]
         for system in results.systems("latency", senders=1)},
        ["set logscale y", 'set ylabel "latency, µs"', "set xrange [-0.3:4.3]", 'set title "1,000 chats/s to 100 clients"',
         'set xtics ("p50" 0, "p90" 1, "p99" 2, "p99.9" 3, "most" 4)'])
    memory = [(system, results.sample("memory", lambda record: record["kib_each"], system=system))
              for system in results.systems("memory")]
    if memory:
        scripts["memory"] = "\n".join(
            ["$d << END"] + [f'"{name}" {sample.median:g}' for name, sample in memory] +
            ["END", "set style fill solid 0.8", "set boxwidth 0.6", "set yrange [0:*]", 'set ylabel "KiB per connection"',
             'set title "Resident memory of an idle connection"',
             'plot $d using 0:2:xtic(1) with boxes lc rgb "#1b6ca8" notitle, $d using 0:2:2 with labels offset 0,0.6 notitle'
             ]) + "\n"
    for what, key, scenario, where, _, _ in GROWTHS:
        scripts[f"growth-{key}"] = line_plot(
            {"hubbub json": curve(results, scenario, key, cpu_per_chat, system="hubbub json", **where)},
            ["set logscale xy", f'set xlabel "{key}"', 'set ylabel "CPU per chat, µs"', f'set title "Cost per chat with {what}"'])
    scripts["growth-gateways"] = line_plot(
        {"hubbub json": curve(results, "gateways", "gateways", lambda record: record["rate_s"])},
        ['set xlabel "gateways, all on two cores with Redis, store and load"', 'set ylabel "chats/s"', "set yrange [0:*]",
         "set xtics 1", "set xrange [0.8:3.2]", 'set title "Chats a second"'])
    scripts["storm"] = line_plot(
        {"hubbub json": curve(results, "storm", "clients", lambda record: record["bytes"] / 1e6, what="one room")},
        ['set xlabel "joins in one room"', 'set ylabel "MB written"', "set yrange [0:*]", "set xrange [0:*]",
         'set title "What a log-in storm makes the gateway write"'])
    for one in results.pick("burst"):
        scripts["history"] = "\n".join(
            ["$d << END"] + [f"{when:g} {one['rows'] - stored}" for when, stored in one["series"]] +
            ["END", 'set xlabel "seconds since the start of the store"', 'set ylabel "chats that wait to be stored"',
             "set yrange [0:*]", f'set title "After a burst of {one["rows"]:,} chats"',
             'plot $d using 1:2 with lines lw 2 lc rgb "#1b6ca8" notitle']) + "\n"
    return {name: script for name, script in scripts.items() if script}


def draw(results, directory):
    """Draws all plots; only then what was in the directory gives way to them."""
    os.makedirs(directory, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".new-", dir=directory) as beside:
        drawn = draw_beside(results, beside)
        for name in drawn:
            os.rename(os.path.join(beside, name), os.path.join(directory, name))
    for old in os.listdir(directory):
        if old.endswith(".svg") and old not in drawn:
            os.unlink(os.path.join(directory, old))


def draw_beside(results, directory):
    """Draws all plots into an empty directory; returns their names."""
    drawn = []
    head = "set terminal svg size 860,420 dynamic font 'sans-serif,13' background rgb 'white'\nset grid\nset key outside right\n"
    for name, script in plots(Results(results)).items():
        path = os.path.join(directory, name + ".svg")
        done = subprocess.run(["gnuplot"], input=f"{head}set output '{path}'\n{script}", text=True, capture_output=True)
        if done.returncode != 0:
            raise OSError(f"gnuplot, {name}: {done.stderr.strip()}")
        drawn.append(name + ".svg")
    return drawn


def write(results, docs):
    """Writes BENCHMARKS.md and the plots."""
    with open(os.path.join(HERE, "page.md")) as file:
        text = render(file.read(), results)
    draw(results, os.path.join(docs, "benchmarks"))
    path = os.path.join(docs, "BENCHMARKS.md")
    with open(path + ".new", "w") as file:
        file.write(text)
    os.rename(path + ".new", path)


def main():
    source = sys.argv[1] if len(sys.argv) > 1 else os.path.join(HERE, "../build/bench/results.json")
    with open(source) as file:
        results = json.load(file)
    write(results, os.path.join(HERE, "../docs"))
    print(summary(results))


if __name__ == "__main__":
    main()
