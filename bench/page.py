#!/usr/bin/python3
"""page: docs/BENCHMARKS.md and its plots from results: page.py [RESULTS].

What people wrote is in bench/page.md; each {{word}} in it is a block that is made here from the numbers, or the
instructions of that case as tests/instructions has recorded them.  Nothing here knows a result: whether a figure is
reached is computed, and what was not measured, or not as much as was meant to be, is said to be missing.
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
MEMBERS = (10, 100, 1000, 5000)
PEER_MEMBERS = {"ngircd": (100, 1000), "inspircd": (100, 1000, 5000), "nats": (100, 1000, 5000)}
CROWD_ROOMS, CROWD_PEERS = 1000, ("inspircd", "nats")
IDLE_CLIENTS = 10000
GATEWAYS = 3
MEMORY_STEPS = 5
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
DOUBLED_MAX = 2.07     # what twice as many may cost: 2 is linear, the rest is noise
FLAT_MAX = 1.07        # the same of what is not to cost more at all
GATEWAYS_MAX = 1.1     # CPU per chat with three gateways over that with one


class Sample:
    """One number per round."""

    def __init__(self, by_round):
        self.by_round = by_round

    def __len__(self):
        return len(self.by_round)

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


class Results:
    def __init__(self, results):
        self.all = results
        self.records = [record for record in results["records"] if record.get("chats", 1)]  # without, it measured nothing
        self.machine = results["machine"]
        self.planned = results["planned"]

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
                      self.pick("fan-out", system=system, window=window, round=number)]
            if len(points) >= 3 and all(y > 0 for _, y in points):
                slopes[number], starts[number] = fit(points)
        return Sample(slopes), Sample(starts)

    def sizes(self, *systems):
        """How many sizes of rooms the least complete of their fits has."""
        found = {}
        for record in self.pick("fan-out"):
            if record["system"] in systems:
                found.setdefault((record["system"], record["window"], record["round"]), set()).add(record["members"])
        return min(map(len, found.values()), default=0)

    def per_chat(self, scenario, key, **where):
        """A cost of others than the server under test, of all such runs of a round together; only hubbub has others."""
        found = {}
        for record in self.pick(scenario, **where):
            if key in record:
                found.setdefault(record["round"], []).append(record)
        return Sample({number: sum(record[key] for record in records) / sum(record["chats"] for record in records)
                       for number, records in found.items()})


def cpu_per_delivery(record):
    return record["cpu_us"] / record["deliveries"]


def cpu_per_chat(record):
    return record["cpu_us"] / record["chats"]


def table(heads, rows):
    lines = ["| " + " | ".join(heads) + " |", "|" + "---|" * len(heads)]
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in rows])


# Targets --------------------------------------------------------------------------------------------------------------

class Target:
    """A figure to reach.  It is judged as it is shown, rounded.  `lacking` says what it does not rest on and should: then
    it can be missed, but not reached."""

    def __init__(self, what, wanted, sample, reached, lacking, digits=2, unit="", note=""):
        self.what, self.wanted = what, wanted
        self.shown = self.verdict = "not measured"
        self.once = len(sample) == 1
        if sample:
            self.shown = "; ".join([sample.show(digits, unit) + note] + [f"only {one}" for one in lacking])
            good, at_low, at_high = (reached(round(value, digits)) for value in (sample.median, sample.low, sample.high))
            self.verdict = "**not reached**" if not good else "not measured in full" if lacking else "reached"
            if at_low != at_high and self.verdict != "not measured in full":
                self.verdict += ", within the noise"


def at_least(what, wanted, limit, sample, lacking):
    return Target(what, wanted, sample, lambda value: value >= limit, lacking)


def at_most(what, wanted, limit, sample, lacking, digits=2, unit="", note=""):
    return Target(what, wanted, sample, lambda value: value <= limit, lacking, digits, unit, note)


def short_of(found, wanted, what):
    """What is lacking, as a list of one or none."""
    return [f"{found:,} of {wanted:,} {what}"] if found < wanted else []


def lacks(results, scenario, samples, what="figures"):
    """What is lacking of samples of which all are needed: some of them, or some of their rounds."""
    found = [sample for sample in samples if sample]
    if not found:
        return []  # then it was not measured, and perhaps not meant to be
    return short_of(len(found), len(samples), what) + short_of(min(map(len, found)), results.planned[scenario], "rounds")


def worst(samples):
    """Of samples by name, the name and the sample with the greatest median."""
    found = {name: sample for name, sample in samples.items() if sample}
    name = max(found, key=lambda name: found[name].median, default=None)
    return name, found.get(name, Sample({}))


def fan_out_targets(results):
    for system in HUBBUB:
        slopes, starts = {}, {}
        for window in WINDOWS:
            slope, starts[window] = results.fitted(system, window, "cpu_us")
            slopes[window] = slope / results.fitted("floor", window, "cpu_us")[0]
        window, sample = worst(slopes)
        yield at_most(f"fan-out, {system}: CPU per delivery (slope), over the floor's", f"<= {SLOPE_MAX} at every window",
                      SLOPE_MAX, sample, lacks(results, "fan-out", slopes.values(), "windows") +
                      short_of(results.sizes(system, "floor"), len(MEMBERS), "sizes of rooms"), note=f" at window {window}")
        window, sample = worst(starts)
        floor = results.fitted("floor", window, "cpu_us")[1]
        yield at_most(f"fan-out, {system}: fixed part per chat", f"<= {FIXED_MAX_US} µs", FIXED_MAX_US, sample,
                      lacks(results, "fan-out", starts.values(), "windows") +
                      short_of(results.sizes(system), len(MEMBERS), "sizes of rooms"), 1, " µs",
                      f" at window {window}, where the floor's own is {floor.short(1)} µs")
    for system in HUBBUB:
        ratios = peer_ratios(results, system, cpu_per_delivery)
        name, sample = worst(ratios)
        yield Target(f"fan-out, {system}: CPU per delivery in rooms of 100 and more, over each peer's", "< 1 at every window",
                     sample, lambda value: value < 1, lacks(results, "fan-out", ratios.values(), "comparisons"),
                     note=f" over {peer_named(*name)}" if name else "")
    yield from crowd_targets(results)


def crowd_targets(results):
    for system in HUBBUB:
        own = results.sample("crowd", cpu_per_chat, system=system)
        ratios = {peer: own / results.sample("crowd", cpu_per_chat, system=peer) for peer in ("floor",) + CROWD_PEERS}
        fewest = min(results.values("crowd", "rooms"), default=0)
        few = short_of(fewest, CROWD_ROOMS, "rooms")
        yield at_most(f"fan-out, {system}, {CROWD_ROOMS:,} rooms of 50: CPU per chat, over the floor's", f"<= {SLOPE_MAX}",
                      SLOPE_MAX, ratios["floor"], lacks(results, "crowd", [ratios.pop("floor")]) + few)
        peer, sample = worst(ratios)
        yield Target(f"fan-out, {system}, {CROWD_ROOMS:,} rooms of 50: CPU per chat, over each peer's", "< 1", sample,
                     lambda value: value < 1, lacks(results, "crowd", ratios.values(), "peers") + few, note=f" over {peer}'s")


def peer_ratios(results, system, cost):
    """Hubbub's cost per delivery over each peer's CPU per delivery, by peer, members and window."""
    found = {}
    for peer, sizes in PEER_MEMBERS.items():
        for members in sizes:
            for window in WINDOWS:
                where = {"members": members, "window": window}
                found[peer, members, window] = results.sample("fan-out", cost, system=system, **where) / \
                    results.sample("fan-out", cpu_per_delivery, system=peer, **where)
    return found


def peer_named(peer, members, window):
    return f"{peer}'s ({members:,} members, window {window})"


def other_targets(results):
    def single(scenario, sample, more=()):
        return lacks(results, scenario, [sample]) + list(more)

    for system in HUBBUB:
        for window, limit in WRITES_MAX.items():
            sample = results.fitted(system, window, "writes")[0]
            yield at_most(f"writes per delivery, {system}, window {window} (slope; one write more per chat goes to Redis)",
                          f"<= {limit}", limit, sample,
                          single("fan-out", sample, short_of(results.sizes(system), len(MEMBERS), "sizes of rooms")))
    for system in HUBBUB:
        sample = percentile(results, system, "p99") / percentile(results, "ngircd", "p99")
        yield at_most(f"latency, {system}: p99 at 1,000 chats/s to 100 clients, over ngircd's", f"<= {LATENCY_MAX}",
                      LATENCY_MAX, sample, single("latency", sample))
    sample = rate(results, "accepting", "hubbub json") / rate(results, "accepting", "publish alone")
    yield at_least("accepting: acknowledged chats/s, over those of the publish function alone", f">= {ACCEPTING_MIN}",
                   ACCEPTING_MIN, sample, single("accepting", sample))
    sample = results.sample("turns", lambda record: record["most_in_a_turn"])
    yield at_most("accepting: writes on a connection to Redis in one turn of the gateway's loop, at most", "<= 1", 1, sample,
                  single("turns", sample), 0)
    for other, limit, what in (("copy", COPY_MIN, "binary COPY"), ("single", SINGLE_MIN, "one row a commit")):
        sample = results.sample("history", lambda record: record["store_rows_s"] / record[other + "_rows_s"])
        yield at_least(f"history: rows/s stored, over {what}", f">= {limit}", limit, sample, single("history", sample))
    for system in HUBBUB:
        sample = results.sample("memory", lambda record: record["kib_each"], system=system)
        fewest = min(results.values("memory", "clients", system=system), default=0)
        yield at_most(f"memory per idle connection, {system}", f"<= {MEMORY_MAX_KIB} KiB", MEMORY_MAX_KIB, sample,
                      single("memory", sample, short_of(fewest, IDLE_CLIENTS, "connections")), unit=" KiB")
    yield growth_of_memory_target(results)
    for what in ("one room", "rooms of 50"):
        sample = results.sample("storm", lambda record: record["join_seconds"], what=what, clients=10000)
        yield at_most(f"log-in storm: 10,000 joins, {what}", f"<= {STORM_MAX_S} s", STORM_MAX_S, sample,
                      single("storm", sample), unit=" s")
    sample = bytes_per_join(results, 10000) / bytes_per_join(results, 2500)
    yield at_most("log-in storm: bytes per join in one room, with 10,000 over with 2,500", f"<= {BYTES_MAX} (linear)",
                  BYTES_MAX, sample, single("storm", sample))
    sample = with_gateways(results, GATEWAYS, cpu_per_chat) / with_gateways(results, 1, cpu_per_chat)
    yield at_most(f"growth with gateways: CPU per chat of all, with {GATEWAYS} over with one", f"<= {GATEWAYS_MAX}",
                  GATEWAYS_MAX, sample, single("gateways", sample))
    for what, key, scenario, where, values, limit, wanted in GROWTHS:
        found, floors = (steps(results, system, key, scenario, where, values) for system in ("hubbub json", "floor"))
        name, sample = worst(found)
        floor = floors.get(name)
        yield at_most(f"growth with {what}: by what each doubling multiplies the cost per chat, in the worst step",
                      f"<= {wanted} (up to {limit} is noise)", limit, sample,
                      lacks(results, scenario, found.values(), "steps"),
                      note=f" {name}" + (f", where the floor's own is {floor.short()}" if floor else ""))


# What is varied, which values it has, and what it may cost.  With rooms, the chats under way grow as well, one in each:
# what is gained by handling several in a turn hides what more rooms cost, so a step is judged and not the whole.
GROWTHS = (("members (window 1)", "members", "fan-out", {"window": 1}, MEMBERS, DOUBLED_MAX, "2, linear"),
           ("rooms", "rooms", "rooms", {}, (1, 10, 100, 1000), FLAT_MAX, "1, flat"),
           ("lanes", "lanes", "lanes", {}, (1, 2, 4, 8), FLAT_MAX, "1, flat"))


def steps(results, system, key, scenario, where, values):
    """By what each doubling of the varied multiplies the cost per chat, between each value and the next."""
    found = {}
    for low, high in zip(values, values[1:]):
        before, after = (results.sample(scenario, cpu_per_chat, system=system, **{key: value}, **where)
                         for value in (low, high))
        found[f"from {low:,} to {high:,}"] = Sample({number: ratio ** (1 / math.log2(high / low))
                                                     for number, ratio in (after / before).by_round.items()})
    return found


def with_gateways(results, gateways, number):
    return results.sample("gateways", number, gateways=gateways)


def percentile(results, system, name, senders=1):
    return results.sample("latency", lambda record: record["latency_us"][name], system=system, senders=senders)


def rate(results, scenario, system):
    return results.sample(scenario, lambda record: record["rate_s"], system=system)


def bytes_per_join(results, clients):
    return results.sample("storm", lambda record: record["bytes"] / record["clients"], what="one room", clients=clients)


def growth_of_memory_target(results):
    by_round = {}
    for record in sorted(results.pick("growth of memory"), key=lambda record: record["chats"]):
        by_round.setdefault(record["round"], []).append(record["resident"])
    sample = Sample({number: resident[-1] / resident[0] for number, resident in by_round.items()})
    fewest = min(map(len, by_round.values()), default=0)
    shown = "; ".join(", ".join(f"{kib / 1024:.1f}" for kib in resident) + " MiB" for resident in by_round.values())
    return at_most("memory after 0.2 to 1.0 million chats, last over first", f"<= {GROWTH_MAX}", GROWTH_MAX, sample,
                   lacks(results, "growth of memory", [sample]) + short_of(fewest, MEMORY_STEPS, "steps"), note=f" ({shown})")


def targets(results):
    return list(fan_out_targets(results)) + list(other_targets(results))


# Blocks of the page ---------------------------------------------------------------------------------------------------

def fewer_rounds(results, scenario, named=lambda record: record["system"]):
    """A paragraph that names what has fewer rounds than the rest of the page; nothing if all have as many."""
    found = {}
    for record in results.pick(scenario):
        found.setdefault(named(record), set()).add(record["round"])
    fewer = [f"{name} {len(rounds)}" for name, rounds in found.items() if len(rounds) < results.all["rounds"]]
    return f"\n\nRounds, where not {results.all['rounds']}: {', '.join(fewer)}." if fewer else ""


def user_and_system(results, scenario, **where):
    """Their shares of the CPU, in all rounds together: the kernel counts the sum to the nanosecond, but only at each of its
    ticks, 100 or so a second, looks which of the two it is."""
    user, kernel = (sum(record[key] for record in results.pick(scenario, **where)) for key in ("cpu_user_us", "cpu_system_us"))
    return f"{100 * user / (user + kernel):.0f} + {100 * kernel / (user + kernel):.0f}%" if user + kernel else "-"


def others_cpu(results, scenario, **where):
    """Cells: what Redis and the store use per chat."""
    return [results.per_chat(scenario, key, **where).show(1, " µs") for key in ("redis_cpu_us", "store_cpu_us")]


def block_machine(results):
    machine = results.machine
    versions = ", ".join(f"{name} {version}" for name, version in machine["versions"].items())
    return (f"{machine['date']}, hubbub {machine['commit'] or 'of no commit'}: {machine['cpu']}, {machine['cores']} cores, "
            f"{machine['memory_kib'] / 1048576:.0f} GiB of memory, {machine['system']}, Linux {machine['kernel']}; data on "
            f"{machine['file_system']}, where a short write and its fdatasync take {machine['fsync_us']['p50']:.0f} µs "
            f"(p99 {machine['fsync_us']['p99']:.0f} µs). At most {machine['descriptors']:,} descriptors a process. "
            f"Packages: {versions}. {results.all['rounds']} rounds, where no other number is given, in "
            f"{results.all['seconds'] / 60:.0f} minutes.")


def block_targets(results):
    found = targets(results)
    once = results.all["rounds"] > 1 and any(one.once for one in found)
    return table(["figure", "to reach", "measured: median (least to most)", "verdict"],
                 [[one.what, one.wanted, one.shown, one.verdict] for one in found]) + \
        ("\n\nWhere there is no least and most, there was one round." if once else "")


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
                small, large = (user_and_system(results, "fan-out", system=system, window=window, members=members)
                                for members in (MEMBERS[0], MEMBERS[-1]))
                rows.append([system, str(window), ratio.show(), slope.show(3, " µs"), large, start.show(1, " µs"), small,
                             *others_cpu(results, "fan-out", system=system, window=window),
                             results.fitted(system, window, "writes")[0].show(3)])
    return table(["system", "window", "slope / floor's", "slope: CPU per delivery",
                  f"user + system, {MEMBERS[-1]:,} members", "fixed part: CPU per chat", f"user + system, {MEMBERS[0]} members",
                  "Redis, CPU per chat", "store, CPU per chat", "writes per delivery"], rows) + \
        fewer_rounds(results, "fan-out", lambda record: f"{record['system']} with {record['members']:,} members")


def block_fan_out(results):
    tables = []
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
        tables.append(f"Window {window}:\n\n" + table(["system"] + [f"{members:,} members" for members in sizes], rows))
    return "\n\n".join(tables)


def with_redis(record):
    return (record["cpu_us"] + record["redis_cpu_us"]) / record["deliveries"]


def block_peers(results):
    """Where a peer is better than hubbub, and else that none is; and what becomes of that with Redis' CPU."""
    alone, together = ({system: peer_ratios(results, system, cost) for system in HUBBUB}
                       for cost in (cpu_per_delivery, with_redis))
    better = [f"- {system}: {sample.show()} of {peer_named(*name)}" for system in HUBBUB
              for name, sample in alone[system].items() if sample and sample.median >= 1]
    if better:
        text = "Not cheaper per delivery than a peer, Redis not counted:\n\n" + "\n".join(better)
    elif not all(sample for system in HUBBUB for sample in alone[system].values()):
        text = "Not all of these were measured."
    else:
        text = "Per delivery hubbub's gateway was cheaper than each peer, in each of these rooms and at each window."
    return f"{text}\n\n{redis_added(alone, together)}"


def redis_added(alone, together):
    found = [sample.median for ratios in together.values() for sample in ratios.values() if sample]
    if not found:
        return "With Redis' CPU added, none was measured."
    sizes = sorted({members for sizes in PEER_MEMBERS.values() for members in sizes})
    rows = [[f"{system} / {peer}", str(window)] +
            [f"{alone[system][key].short()}; {together[system][key].short()}" if together[system].get(key) else "-"
             for key in ((peer, members, window) for members in sizes)]
            for system in HUBBUB for peer in PEER_MEMBERS for window in WINDOWS]
    return (f"The peers have no Redis. With the CPU that it used for the same chats added to the gateway's, hubbub was cheaper "
            f"in {sum(value < 1 for value in found)} of {len(found)} comparisons. CPU per delivery over the peer's: of the "
            "gateway alone; with Redis:\n\n" +
            table(["", "window"] + [f"{members:,} members" for members in sizes], rows))


def block_crowd(results):
    rows = []
    for system in results.systems("crowd"):
        own = results.sample("crowd", cpu_per_chat, system=system)
        rooms = results.values("crowd", "rooms", system=system)
        rows.append([system, f"{rooms[-1]:,}", (own / results.sample("crowd", cpu_per_chat, system="floor")).show(),
                     own.show(1, " µs"), results.sample("crowd", cpu_per_delivery, system=system).show(3, " µs"),
                     *others_cpu(results, "crowd", system=system)])
    return table(["system", "rooms of 50", "CPU per chat / floor's", "CPU per chat", "CPU per delivery", "Redis, CPU per chat",
                  "store, CPU per chat"], rows) + fewer_rounds(results, "crowd")


def block_latency(results):
    rows = []
    for senders in results.values("latency", "senders"):
        for system in results.systems("latency", senders=senders):
            own, other = (percentile(results, name, "p99", senders) for name in (system, "ngircd"))
            rows.append([system, str(senders), (own / other).show()] +
                        [percentile(results, system, name, senders).show(0) for name in ("p50", "p99", "p999")])
    return table(["system", "who speak", "p99 / ngircd's", "p50, µs", "p99, µs", "p99.9, µs"], rows) + \
        fewer_rounds(results, "latency")


def block_senders(results):
    """What it changes that several speak."""
    rows = []
    for system in results.systems("senders"):
        one = results.sample("fan-out", cpu_per_delivery, system=system, members=100, window=64)
        ten = results.sample("senders", cpu_per_delivery, system=system)
        floor = results.sample("senders", cpu_per_delivery, system="floor")
        rows.append([system, (ten / floor).show(), ten.show(3, " µs"), one.show(3, " µs")])
    return table(["system", "ten who speak / floor's", "ten who speak", "one who speaks"], rows) + \
        fewer_rounds(results, "senders")


def block_pair(results):
    rows = []
    for system in results.systems("pair"):
        own, sleeps, writes = (results.sample("pair", lambda record: record[key] / record["chats"], system=system)
                               for key in ("cpu_us", "sleeps", "writes"))
        rows.append([system, (own / results.sample("pair", cpu_per_chat, system="floor")).show(), own.show(1, " µs"),
                     user_and_system(results, "pair", system=system), *others_cpu(results, "pair", system=system),
                     sleeps.show(), writes.show()])
    return table(["system", "CPU per chat / floor's", "CPU per chat", "user + system", "Redis, CPU per chat",
                  "store, CPU per chat", "sleeps per chat", "writes per chat"], rows) + fewer_rounds(results, "pair")


def block_accepting(results):
    rows = []
    for system in ("publish alone", "hubbub json"):
        own = rate(results, "accepting", system)
        redis = results.sample("accepting", lambda record: record["redis_cpu_us"] / record["chats"], system=system)
        gateway = results.sample("accepting", lambda record: record["cpu_us"] / record["chats"] if "cpu_us" in record else 0,
                                 system=system)
        rows.append([system, (own / rate(results, "accepting", "publish alone")).show(), own.show(0), redis.show(1, " µs"),
                     gateway.show(1, " µs") if gateway and gateway.median else "-"])
    text = table(["", "rate / publish alone", "a second", "Redis' CPU each", "gateway's CPU each"], rows) + \
        fewer_rounds(results, "accepting")
    for one in results.pick("turns"):
        text += (f"\n\nIn {one['turns']:,} turns of the gateway's loop, which strace followed in round {one['round']}, it "
                 f"wrote {one['redis_writes']:,} times to Redis, and at most {one['most_in_a_turn']} on one connection in one turn.")
    return text


def block_history(results):
    if not results.pick("history"):
        return "Not measured."
    rows = []
    for name, what in (("copy", "binary COPY"), ("store", "the store"), ("single", "one row a commit")):
        own = results.sample("history", lambda record: record[name + "_rows_s"])
        rows.append([what] + [(own / results.sample("history", lambda record: record[other + "_rows_s"])).show()
                              for other in ("copy", "single")] + [own.show(0)])
    text = table(["", "/ COPY", "/ one row a commit", "rows/s"], rows) + fewer_rounds(results, "history")
    for one in results.pick("burst"):
        text += (f"\n\nA burst of {one['rows']:,} chats in round {one['round']}, all accepted and none stored when the store "
                 f"starts, is stored {one['lag_s']:.1f} s later; PostgreSQL works {one['store']['cpu_s']['postgres']:.1f} s of "
                 f"that, and the store {one['store']['cpu_s']['store']:.1f} s.")
    return text


def block_memory(results):
    rows = []
    for system in results.systems("memory"):
        own = results.sample("memory", lambda record: record["kib_each"], system=system)
        clients = results.values("memory", "clients", system=system)
        joined = results.sample("memory", lambda record: record["joined"] / 1024, system=system)
        rows.append([system, own.show(2, " KiB"), f"{clients[-1]:,}", joined.show(1, " MiB")])
    return table(["system", "each connection", "connections", "resident in all"], rows) + fewer_rounds(results, "memory")


def block_storm(results):
    rows = []
    for what, clients in sorted({(record["what"], record["clients"]) for record in results.pick("storm")}):
        where = {"what": what, "clients": clients}
        took = results.sample("storm", lambda record: record["join_seconds"], **where)
        wrote = results.sample("storm", lambda record: record["bytes"] / record["clients"], **where)
        rows.append([f"{clients:,}", what, took.show(2, " s"), wrote.show(0)])
    return table(["joins", "where", "until all are in", "bytes written per join"], rows) + \
        fewer_rounds(results, "storm", lambda record: f"{record['clients']:,} in {record['what']}")


def block_growth(results):
    rows = []
    for number in results.values("gateways", "gateways"):
        (own, first), (used, first_used) = ((with_gateways(results, number, what), with_gateways(results, 1, what))
                                            for what in (lambda record: record["rate_s"], cpu_per_chat))
        rows.append([str(number), (own / first).show(), own.show(0), (used / first_used).show(), used.show(1, " µs")])
    text = table(["gateways", "chats/s / with one", "chats/s", "CPU per chat / with one", "CPU per chat, all gateways"],
                 rows) + fewer_rounds(results, "gateways", lambda record: str(record["gateways"]))
    for what, key, scenario, where, values, _, _ in GROWTHS:
        doubled = [sample.show() for sample in steps(results, "hubbub json", key, scenario, where, values).values()]
        costs = [results.sample(scenario, cpu_per_chat, system="hubbub json", **{key: value}, **where) for value in values]
        rows = [[f"{value:,}", (own / costs[0]).show(), own.show(1, " µs"), step]
                for value, own, step in zip(values, costs, ["-", *doubled])]
        text += "\n\n" + table([what, f"CPU per chat / with {values[0]}", "CPU per chat",
                               "multiplied by each doubling since the row above"], rows)
        if scenario != "fan-out":  # whose rounds are told there
            text += fewer_rounds(results, scenario, lambda record: f"{record[key]:,}")
    return text


BLOCKS = {"machine": block_machine, "targets": block_targets, "missing": block_missing, "fits": block_fits,
          "fan-out": block_fan_out, "peers": block_peers, "pair": block_pair, "crowd": block_crowd,
          "latency": block_latency, "senders": block_senders, "accepting": block_accepting, "history": block_history,
          "memory": block_memory, "storm": block_storm, "growth": block_growth}


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
    return "\n".join(f"{one.verdict.replace('*', ''):<29} {one.what}: {one.shown} (to reach: {one.wanted})"
                     for one in targets(Results(results)) if one.verdict != "not measured")


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
    for what, key, scenario, where, *_ in GROWTHS:
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
    try:
        main()
    except (OSError, ValueError) as problem:
        sys.exit(f"page: {problem}")
