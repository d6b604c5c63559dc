#!/usr/bin/python3
"""How fast the store stores: against binary COPY of the same rows, and against one row a commit.

    storing.py [--rows N] [--rounds N] [--burst] [--build DIRECTORY] [--json FILE]

measure() fills a Redis with chats while no store runs, lets a store of its own store them in an empty history, then
copies the rows that came out into another empty history of the same PostgreSQL.  burst() does the first of these, and
tells what was stored when.  Both begin from nothing and end what they start.  Nothing is pinned: store, Redis and
PostgreSQL share the machine's cores, as does psql with PostgreSQL while it copies.  The place must be on a disk, or
commits cost nothing.
"""

import argparse
import bisect
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = os.path.realpath(os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
sys.path.append(os.path.join(ROOT, "deploy"))
from place import Failure, Place, Ports, ignore_signals, leave_on_signals, wait_for  # noqa: E402
from publish import LANES, Publisher  # noqa: E402
from services import Postgres, Redis, Store, clean_environment  # noqa: E402

STORE_SECONDS = 600  # only what is broken takes so long
TICKS = os.sysconf("SC_CLK_TCK")
SINGLE_ROWS = 4000

# What the rows are, whatever their users' and rooms' numbers are.
DIGEST = "SELECT count(*), sum(hashtextextended(m::text, 0)) FROM messages m"


def stat(pid):
    with open(f"/proc/{pid}/stat") as file:
        return file.read().rpartition(")")[2].split()


def cpu(pid):
    """The CPU seconds of a process and of its children, those that ended included."""
    while True:
        before = stat(pid)[11:15]
        ticks = sum(map(int, before))
        for other in os.listdir("/proc"):
            try:
                fields = stat(other) if other.isdigit() else []
                ticks += sum(map(int, fields[11:13])) if fields and fields[1] == str(pid) else 0
            except OSError:
                pass  # it has ended
        if stat(pid)[13:15] == before[2:]:  # else a child may be missing, or counted twice
            return ticks / TICKS


class Meter:
    """CPU seconds of some servers since it was made."""

    def __init__(self, **servers):
        self.servers = servers
        self.before = {name: cpu(server.pid) for name, server in servers.items()}

    def read(self):
        return {name: round(cpu(server.pid) - self.before[name], 2) for name, server in self.servers.items()}


class Psql:
    """A psql that stays, because starting one costs more than what it asks."""

    def __init__(self, postgres):
        self.process = subprocess.Popen(["psql", "-XAtq", "-v", "ON_ERROR_STOP=1", "-d", postgres.url()], cwd="/",
                                        env=clean_environment({}), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        text=True, bufsize=1)

    def ask(self, sql):
        """The one row of the answer."""
        self.process.stdin.write(sql + ";\n")
        row = self.process.stdout.readline()
        if not row:
            raise Failure(f"psql ended: {sql}")
        return row.rstrip("\n")

    def close(self):
        self.process.stdin.close()
        self.process.wait()


class Servers:
    """Redis, PostgreSQL (durable, migrated, empty) and a store that does not run, in a directory of their own."""

    def __init__(self, place, build):
        self.place = Place(tempfile.mkdtemp(prefix="history-", dir=place.path))
        self.ports = Ports()
        self.redis = Redis(self.place, self.ports.take(), memory="4gb")
        self.postgres = Postgres(self.place, self.ports.take(), durable=True)
        self.store = Store(self.place, "store", os.path.join(build, "store/hubbub-store"),
                           {"HUBBUB_REDIS_URL": self.redis.url, "HUBBUB_STORE_LISTEN": "",
                            "HUBBUB_POSTGRES_URL": self.postgres.url("hubbub_store")})

    def __enter__(self):
        try:
            self.redis.start()
            self.postgres.start()
            self.postgres.migrate()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *why):
        for server in (self.store, self.postgres, self.redis):
            server.stop()
        self.ports.close()
        shutil.rmtree(self.place.path, ignore_errors=True)

    def settle(self):
        """Nothing of what was done before is to be paid by what is measured next."""
        self.postgres.query("CHECKPOINT")


def run(command, **how):
    """Runs a tool to its end; what it complains of is a Failure."""
    done = subprocess.run(command, env=clean_environment({}), stderr=subprocess.PIPE, text=True, **how)
    if done.returncode != 0:
        raise Failure(f"{os.path.basename(command[0])}: {done.stderr.strip()}")


def positions(psql):
    return [int(one) for one in psql.ask("SELECT string_agg(position::text, ' ' ORDER BY lane) FROM cursors").split()]


def wait_stored(psql, tops, began):
    """Returns when every cursor has reached the id of its lane in `tops`; where they were until then, by the seconds."""
    samples = []

    def reached():
        samples.append((time.monotonic() - began, positions(psql)))
        return all(position >= top for position, top in zip(samples[-1][1], tops))

    wait_for(reached, STORE_SECONDS, "everything is stored")
    return samples


def check(servers, rows):
    """All of it is there, once, and nothing is wrong with it; returns the digest of the rows."""
    digest = servers.postgres.query(DIGEST)
    audit = servers.postgres.query("SELECT count(*) FROM audit")
    if digest.split("|")[0] != str(rows) or audit != "0":
        raise Failure(f"{rows} chats were accepted; rows and their digest are {digest}; audit has {audit} findings")
    return digest


def fill(servers, rows, seed):
    """Publishes `rows` chats while no store runs; returns the newest id of each lane."""
    servers.store.start()  # opens the lanes
    servers.store.stop()
    publisher = Publisher(servers.redis.port, seed)
    try:
        publisher.publish(rows)
        return publisher.tops()
    finally:
        publisher.close()


def store_rows(servers, rows, tops):
    """What it takes a store to store what is there, and where its cursors were meanwhile."""
    psql = Psql(servers.postgres)
    try:
        servers.settle()
        meter, began = Meter(redis=servers.redis, postgres=servers.postgres), time.monotonic()
        servers.store.start(wait=False)
        samples = wait_stored(psql, tops, began)
        seconds = time.monotonic() - began
        used = {**meter.read(), "store": round(cpu(servers.store.pid), 2)}
        with open(f"/proc/{servers.store.pid}/status") as file:
            peak = int(re.search(r"VmHWM:\s+(\d+)", file.read()).group(1))
    finally:
        psql.close()
    servers.store.stop()
    return {"rows_s": rows / seconds, "seconds": seconds, "cpu_s": used, "store_peak_kib": peak}, samples


def renew(servers):
    """Puts the history aside, as the database `stored`, and makes an empty one."""
    servers.postgres.query("ALTER DATABASE hubbub RENAME TO stored", database="postgres")
    servers.postgres.migrate()


def copy_rows(servers, rows):
    """What is in the database `stored`, in the order in which the store wrote it, by one COPY through a socket."""
    path = os.path.join(servers.place.path, "messages.copy")
    url = servers.postgres.url
    psql = ["psql", "-XAtq", "-v", "ON_ERROR_STOP=1", "-d"]
    with open(path, "wb") as file:
        run(psql + [url(database="stored"), "-c", "COPY (SELECT * FROM messages) TO STDOUT (FORMAT binary)"], stdout=file)
    servers.settle()
    meter, began = Meter(postgres=servers.postgres), time.monotonic()
    with open(path, "rb") as file:
        run(psql + [url(), "-c", "COPY messages FROM STDIN (FORMAT binary)"], stdin=file)
    seconds = time.monotonic() - began
    used = meter.read()
    os.unlink(path)
    return {"rows_s": rows / seconds, "seconds": seconds, "cpu_s": used}


def single_rows(servers, rows):
    """One row a commit, by one client with a prepared statement; the rows are of an ordinary size."""
    script = servers.place.write("single.sql", "\\set id :id + 16384\n"
                                 "INSERT INTO messages (id, prev, room_id, sender_id, text) VALUES (:id::bigint, :id::bigint"
                                 " - 16384, 1, 1, 'one row of about the length that chats have, here and elsewhere');\n", None)
    first = servers.postgres.query("SELECT id_at(now())")
    servers.settle()
    meter, began = Meter(postgres=servers.postgres), time.monotonic()
    run([os.path.join(servers.postgres.programs, "pgbench"), "-n", "-M", "prepared", "-c", "1", "-t", str(rows),
         "-D", f"id={first}", "-f", script, servers.postgres.url()], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    seconds = time.monotonic() - began
    return {"rows_s": rows / seconds, "seconds": seconds, "cpu_s": meter.read()}


def measure(place, build=os.path.join(ROOT, "build"), rows=1_000_000, seed=1):
    """Stores, copies and inserts; rows a second of each, and what each cost.

    The store's seconds begin with its start and end when PostgreSQL shows the last cursor at the end of its lane.
    """
    with Servers(place, build) as servers:
        tops = fill(servers, rows, seed)
        stored, _ = store_rows(servers, rows, tops)
        digest = check(servers, rows)
        renew(servers)
        single = single_rows(servers, SINGLE_ROWS)
        servers.postgres.query("TRUNCATE messages")
        copied = copy_rows(servers, rows)
        if servers.postgres.query(DIGEST) != digest:
            raise Failure("the rows that were copied are not those that were stored")
    return {"rows": rows, "store_rows_s": stored["rows_s"], "copy_rows_s": copied["rows_s"],
            "single_rows_s": single["rows_s"], "store": stored, "copy": copied, "single": single}


def burst(place, build=os.path.join(ROOT, "build"), rows=1_000_000, seed=1):
    """How long a store takes that comes to `rows` chats which nobody has stored: the lag that a burst leaves.

    The burst is in Redis before the store starts, so how fast the chats could be made does not matter.  series: [seconds
    since the start of the store, chats stored until then], exact by the ids.
    """
    with Servers(place, build) as servers:
        stored, samples = store_rows(servers, rows, fill(servers, rows, seed))
        check(servers, rows)
        series = curve(servers, samples)
    return {"rows": rows, "lag_s": stored["seconds"], "store": stored, "series": series}


def curve(servers, samples):
    """Of each sample (seconds, cursors): seconds, and how many ids the cursors had passed."""
    lanes, found = [[] for _ in range(LANES)], []
    for line in servers.postgres.query("SELECT (id >> 14) & 63, id FROM messages ORDER BY id").split("\n"):
        lane, number = line.split("|")
        lanes[int(lane)].append(int(number))
    for seconds, cursors in samples:
        found.append((round(seconds, 3), sum(bisect.bisect_right(ids, cursor) for ids, cursor in zip(lanes, cursors))))
    return found


def show(name, one, rows):
    used = ", ".join(f"{who} {seconds} s ({seconds / rows * 1e6:.1f} µs a row)" for who, seconds in one["cpu_s"].items())
    print(f"  {name:<7}{one['rows_s']:>9.0f} rows/s, CPU: {used}", flush=True)


def main():
    leave_on_signals()
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--burst", action="store_true", help="also the lag after a burst")
    parser.add_argument("--build", default=os.path.join(ROOT, "build"))
    parser.add_argument("--json", help="where all of the results go")
    options = parser.parse_args()
    path = tempfile.mkdtemp(prefix="hubbub-bench-", dir="/var/tmp")
    place, results = Place(path), {"rounds": []}
    try:
        for number in range(1, options.rounds + 1):
            one = measure(place, os.path.abspath(options.build), options.rows, number)
            results["rounds"].append(one)
            print(f"round {number}, {options.rows} rows:")
            for name, rows in (("store", options.rows), ("copy", options.rows), ("single", SINGLE_ROWS)):
                show(name, one[name], rows)
        for other in ("copy", "single"):
            ratios = [one["store_rows_s"] / one[other + "_rows_s"] for one in results["rounds"]]
            print(f"store / {other}: {statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})")
        if options.burst:
            results["burst"] = one = burst(place, os.path.abspath(options.build), options.rows)
            print(f"burst: {one['rows']} chats are stored after {one['lag_s']:.2f} s; CPU: {one['store']['cpu_s']}")
        if options.json:
            with open(options.json, "w") as file:
                json.dump(results, file)
    except (Failure, OSError) as failure:
        sys.exit(f"storing: {failure}")
    finally:
        ignore_signals()
        place.remove()


if __name__ == "__main__":
    main()
