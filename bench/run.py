#!/usr/bin/python3
"""Measures hubbub, the floor and the peers, and writes docs/BENCHMARKS.md: run.py [--build DIRECTORY] [--only LIST].

Everything runs on this machine, in a private installation on a disk, and ends with this program.  All results are in
DIRECTORY/bench/results.json.  With --only (or fewer rounds than five) some scenarios are measured alone: their results
are printed, and the page stays as it is.  What is not a whole run, or not yet, is in DIRECTORY/bench/some.json.
"""

import argparse
import datetime
import json
import os
import platform
import re
import resource
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
sys.dont_write_bytecode = True
import page  # noqa: E402
from scenarios import SCENARIOS, planned  # noqa: E402
from servers import (CORES, OTHER_CORE, ROOT, SERVER_CORE, Floor, Inspircd, Installation, Nats, Ngircd,  # noqa: E402
                     Postgres, on_cores, sockets)
from place import (Failure, Place, Ports, account, die_with_parent, ignore_signals, leave_on_signals, lock,  # noqa: E402
                   reachable, wait_for)

ROUNDS = 5
WARM_UP = 0.15  # seconds before what is counted
LOAD_SECONDS = 180  # only what is broken takes so long
SETTLE_SECONDS = 60
FSYNCS = 300
TOOLS = {"gnuplot": "gnuplot-nox", "redis-benchmark": "redis-tools"}  # that a whole run needs, by package
PEER_CLASSES = {"ngircd": Ngircd, "inspircd": Inspircd, "nats": Nats}
PACKAGES = ("ngircd", "inspircd", "nats-server", "redis-server", "libevent-2.1-7", "libhiredis0.14",
            "gcc", "gnuplot-nox")


def say(text):
    print(f"bench: {text}", flush=True)


class Bench:
    """The servers, started when they are first needed, and what has been measured."""

    def __init__(self, build, place, ports, descriptors):
        self.build, self.place, self.ports, self.descriptors = build, place, ports, descriptors
        self.records, self.failures, self.absent = [], [], {}
        self.scenario, self.round, self.loads = None, 0, 0
        self.servers = {}        # peers and the floor by name
        self.installations = {}  # of hubbub, by what they are for
        self.children = set()    # loads that run now
        self.unsettled = set()   # installations whose store may have something to do still

    # What is measured

    @property
    def hubbub(self):
        """The whole of it, one gateway on the core of the server under test."""
        return self.installation("hubbub")

    @property
    def accepting(self):
        """Redis has a core for itself, the gateway shares the other with the load; there is no store."""
        return self.installation("accepting", redis_core=SERVER_CORE, gateway_core=OTHER_CORE, with_store=False)

    @property
    def several(self):
        """Three gateways, and no process has a core of its own."""
        both = (SERVER_CORE, OTHER_CORE)
        return self.installation("several", gateways=3, redis_core=both, gateway_core=both, other_core=both)

    def installation(self, name, **options):
        if name not in self.installations:
            made = self.installations[name] = Installation(self.place, self.ports, self.build, prefix=name[0], **options)
            made.start()
        return self.installations[name]

    def server(self, system):
        """The peer or floor of that name; None if it is not to be had on this machine."""
        if system in self.absent:
            return None
        if system not in self.servers:
            if system == "floor":
                made = Floor(self.place, self.ports.take(), os.path.join(self.build, "bench/bench-floor"))
            else:
                made = PEER_CLASSES[system](self.place, self.ports.take())
            self.servers[system] = made
            try:
                with on_cores(SERVER_CORE):
                    made.start()
            except (Failure, OSError) as failure:
                self.absent[system] = str(failure)
                say(f"{system} is left out: {failure}")
                return None
        return self.servers[system]

    def restart(self, system):
        """A new process, which holds no memory of earlier clients."""
        server = self.hubbub.gateway if system.startswith("hubbub") else self.server(system)
        if server:
            server.stop()
            try:
                with on_cores(SERVER_CORE):
                    server.start()
            except Failure as failure:
                if system.startswith("hubbub"):
                    raise
                self.lose(system, str(failure))

    def lose(self, system, why):
        """A peer that worked and works no longer: the others go on without it."""
        self.fail(self.scenario, system, why)
        self.absent[system] = why

    def settle(self):
        """What is measured next shall not pay for what was before."""
        for installation in self.installations.values():
            installation.settle()
        self.unsettled.clear()

    # Load

    def load_begin(self, system, installation=None, gateways=1, **options):
        """Starts bench-load; None if the system is absent."""
        if system.startswith("hubbub"):
            installation = installation or self.hubbub
            dialect, used, cores = system.split()[1], installation.gateways[:gateways], installation.other_core
            addresses = [gateway.address(dialect) for gateway in used]
            watched = {"server": used[0], **{f"gateway{n}": gateway for n, gateway in enumerate(used[1:], 2)},
                       "redis": installation.redis}
            if installation.store:
                watched["store"] = installation.store
            joining = 200
        else:
            server = self.server(system)
            if not server:
                return None
            dialect, addresses, watched = server.dialect, [server.address], {"server": server}
            joining, cores = server.joining, OTHER_CORE
        self.loads += 1
        command = [os.path.join(self.build, "bench/bench-load"), "--dialect", dialect, "--connect", ",".join(addresses),
                   "--joining", str(joining),
                   "--watch", ",".join(f"{name}={server.pid}" for name, server in watched.items())]
        for name, value in {"name": f"b{self.loads}-", "warm-up": WARM_UP, **options}.items():
            given = [] if value is True else [",".join(map(str, value)) if isinstance(value, tuple) else str(value)]
            command += ["--" + name, *given]
        with on_cores(cores):
            child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                     text=True, preexec_fn=die_with_parent(signal.SIGKILL))
        self.children.add(child)
        return child

    def load_end(self, child):
        """Waits for a load's end; returns what it said, and its errors."""
        try:
            told, error = child.communicate(timeout=LOAD_SECONDS)
        except subprocess.TimeoutExpired:
            child.kill()
            child.communicate()
            told, error = "", f"bench-load took longer than {LOAD_SECONDS} s"
        self.children.discard(child)
        return told, error.strip()

    def load(self, system, installation=None, gateways=1, **options):
        """Runs bench-load against a system; its result, or None after noting why there is none."""
        if system.startswith("hubbub"):
            installation = installation or self.hubbub
            used = installation.gateways
        else:
            used = [self.server(system)]
        if used == [None] or not self.alive(system, used):
            return None
        while self.unsettled:
            self.unsettled.pop().catch_up()
        if installation:
            self.unsettled.add(installation)
        before = {server: sockets(server.pid) for server in used}
        child = self.load_begin(system, installation, gateways, **options)
        told, error = self.load_end(child)
        if child.returncode != 0:
            self.fail(self.scenario, system, f"bench-load {' '.join(child.args[3:])}: {error or told[-300:]}")
        for server, count in before.items():
            wait_for(lambda: not server.alive() or sockets(server.pid) <= count, SETTLE_SECONDS,
                     f"{server.name} has let its clients go")
        if not self.alive(system, used):
            return None
        if installation:
            wait_for(installation.is_empty, SETTLE_SECONDS, "everybody has left")
        return self.parsed(told) if child.returncode == 0 else None

    def alive(self, system, used):
        """False after noting that a peer has died; of hubbub that is a Failure."""
        dead = [server for server in used if not server.alive()]
        if dead:
            why = f"{dead[0].name} ended with status {dead[0].process.returncode}: {dead[0].log_tail(1).strip()}"
            if system.startswith("hubbub"):
                raise Failure(why)
            self.lose(system, why)
        return not dead

    @staticmethod
    def parsed(told):
        try:
            return json.loads(told)
        except ValueError:
            raise Failure(f"bench-load told no JSON: {told[-300:]}") from None

    @staticmethod
    def sockets(server):
        return sockets(server.pid)

    def run(self, command):
        """Runs a tool to its end."""
        try:
            return subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, cwd="/",
                                  timeout=LOAD_SECONDS, preexec_fn=die_with_parent(signal.SIGKILL))
        except subprocess.TimeoutExpired:
            raise Failure(f"{command[0]} took longer than {LOAD_SECONDS} s") from None

    @staticmethod
    def cpu_us(pid):
        """The CPU time of all threads of a process."""
        used = 0
        for thread in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{thread}/schedstat") as file:
                used += int(file.read().split()[0]) / 1000
        return used

    # Results

    def note(self, record):
        self.records.append({"round": self.round, **record})

    def fail(self, scenario, system, why):
        say(f"{scenario}, {system}: {why}")
        self.failures.append({"scenario": scenario, "system": system, "round": self.round, "why": why})

    def skip(self, what, why):
        if what not in self.absent:
            say(f"{what} is left out: {why}")
        self.absent[what] = why

    def stop(self):
        for child in self.children:
            child.kill()
            child.wait()
        for server in self.servers.values():
            server.stop()
        for installation in self.installations.values():
            installation.stop()


def fsync_us(directory):
    """The median and the 99th percentile of fdatasync after a short write there: what each turn of Redis waits for."""
    path, took = os.path.join(directory, "fsync"), []
    file = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o600)
    try:
        for _ in range(FSYNCS):
            os.write(file, b"x" * 300)
            began = time.perf_counter()
            os.fdatasync(file)
            took.append((time.perf_counter() - began) * 1e6)
    finally:
        os.close(file)
        os.unlink(path)
    return {"p50": statistics.median(took), "p99": sorted(took)[FSYNCS * 99 // 100]}


def file_system(path):
    """The type of the file system that `path` is on."""
    found = ("", "unknown")
    with open("/proc/mounts") as mounts:
        for _, at, kind, *_ in map(str.split, mounts):
            if (path + "/").startswith(at.rstrip("/") + "/") and len(at) >= len(found[0]):
                found = (at, kind)
    return found[1]


def first_line(command):
    try:
        said = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, cwd=ROOT)
    except OSError:
        return ""
    return said.stdout.strip().split("\n")[0] if said.returncode == 0 else ""


def machine(place, descriptors):
    with open("/proc/cpuinfo") as file:
        model = re.search(r"^model name\s*: (.*)", file.read(), re.M)
    with open("/proc/meminfo") as file:
        memory = int(re.search(r"MemTotal:\s+(\d+)", file.read()).group(1))
    with open("/etc/os-release") as file:
        system = re.search(r'^PRETTY_NAME="?([^"\n]*)', file.read(), re.M).group(1)
    versions = {name: first_line(["dpkg-query", "-W", "-f", "${Version}", name]) for name in PACKAGES}
    versions["PostgreSQL"] = first_line([Postgres.find_programs() + "/postgres", "--version"]).rpartition("PostgreSQL) ")[2]
    commit = first_line(["git", "describe", "--always", "--dirty"])
    return {"cpu": model.group(1) if model else platform.machine(), "cores": len(CORES),
            "memory_kib": memory, "kernel": platform.release(), "system": system, "commit": commit,
            "versions": {name: version for name, version in versions.items() if version},
            "file_system": file_system(place.path), "fsync_us": fsync_us(place.path), "descriptors": descriptors,
            "date": datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d %H:%M UTC")}


def disk_place(build):
    """A new Place on a disk: in memory an fsync would cost nothing."""
    for parent in (os.environ.get("TMPDIR"), os.path.join(build, "bench"), "/var/tmp", tempfile.gettempdir()):
        if parent and os.path.isdir(parent) and file_system(os.path.realpath(parent)) not in ("tmpfs", "ramfs") and \
                reachable(parent, account("nobody")):
            return Place(tempfile.mkdtemp(prefix="hubbub-bench-", dir=parent))
    raise Failure("no directory on a disk that the account nobody can enter: set TMPDIR to one")


def raise_descriptors():
    """As many descriptors as we may have; how many that is."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    for wanted in (CONNECTIONS_WANTED, most):
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, max(wanted, most)))
            return wanted
        except (ValueError, OSError):
            pass
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]


CONNECTIONS_WANTED = 60000


def run_scenario(bench, name, rounds, began):
    bench.scenario = name
    for bench.round in range(1, rounds + 1):
        start = time.monotonic()
        try:
            bench.settle()
            SCENARIOS[name](bench, bench.round)
        except (Failure, OSError) as failure:
            bench.fail(name, "-", str(failure))
        say(f"{name}: round {bench.round} of {rounds} took {time.monotonic() - start:.0f} s "
            f"({time.monotonic() - began:.0f} s in all)")


def arguments():
    parser = argparse.ArgumentParser()
    parser.add_argument("--build", default=os.path.join(ROOT, "build"))
    parser.add_argument("--only", help="scenarios, separated by commas: " + ", ".join(SCENARIOS))
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    options = parser.parse_args()
    options.build = os.path.abspath(options.build)
    options.scenarios = options.only.split(",") if options.only else list(SCENARIOS)
    for name in options.scenarios:
        if name not in SCENARIOS:
            parser.error(f"there is no scenario {name}; there are {', '.join(SCENARIOS)}")
    if options.rounds < 1:
        parser.error("--rounds: at least 1")
    return options


def write_results(results, path):
    with open(path + ".new", "w") as file:
        json.dump(results, file, indent=1)
    os.rename(path + ".new", path)


def require_tools():
    missing = [f"{tool} (in {package})" for tool, package in TOOLS.items() if not shutil.which(tool)]
    if missing:
        raise Failure(f"not installed: {', '.join(missing)}; deploy/install.sh bench")


def main():
    options = arguments()
    leave_on_signals()
    if len(CORES) < 2:
        raise Failure("two cores are needed: one for the server, one for the load")
    if not options.only:
        require_tools()
    whole = not options.only and options.rounds == ROUNDS
    directory = os.path.join(options.build, "bench")
    os.makedirs(directory, exist_ok=True)
    only_one = lock(directory, "lock")  # noqa: F841  (held as long as we run)
    descriptors = raise_descriptors()
    place, ports, began = disk_place(options.build), Ports(), time.monotonic()
    bench = Bench(options.build, place, ports, descriptors)
    try:
        results = {"machine": machine(place, descriptors), "rounds": options.rounds, "planned": planned(options.rounds)}
        path = os.path.join(directory, "some.json")
        for name in options.scenarios:
            run_scenario(bench, name, options.rounds, began)
            results.update(records=bench.records, failures=bench.failures, absent=bench.absent,
                           seconds=time.monotonic() - began)
            write_results(results, path)
        if whole:
            path = os.path.join(directory, "results.json")
            write_results(results, path)
    finally:
        ignore_signals()
        bench.stop()
        ports.close()
        shutil.rmtree(place.path, ignore_errors=True)
    print(page.summary(results))
    if whole:
        page.write(results, os.path.join(ROOT, "docs"))
        say("docs/BENCHMARKS.md is written")
    say(f"results are in {os.path.relpath(path)}; it took {time.monotonic() - began:.0f} s")
    return 1 if any(failure["system"] not in PEER_CLASSES for failure in bench.failures) else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (Failure, OSError) as problem:
        sys.exit(f"bench: {problem}")
