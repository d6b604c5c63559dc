"""scenarios: what is measured, each a function of the bench that notes records.

A round measures every system in turn, so that a noisy moment of the machine meets all of them; page.py takes medians
over the rounds.  The order is another in each round, so that no system always comes behind the same one.  A record is a
flat dict: scenario, round, system, what was varied, and what came out.
"""

import collections
import contextlib
import os
import re
import time

import storing
from publish import LANES, REVISION
from servers import OTHER_CORE, on_cores
from place import Failure, wait_for  # servers has put deploy/ into the path

WINDOWS = (1, 8, 64)
FAN_OUT = ("floor", "hubbub line", "hubbub json")
PEERS = ("ngircd", "inspircd", "nats")
# With texts as long as what hubbub sends for a text of 64 bytes: how much of its cost are these bytes?  (test_bench.py
# compares these lengths with what comes.)
BYTES = 64
LONGER_FLOORS = {"floor, line's bytes": 76, "floor, json's bytes": 184}
MEMBERS = (10, 100, 1000, 5000)
# Not ngircd among 5,000: it lets so many into a room but slowly (2,000 took it 40 s).
PEERS_AT = {100: PEERS, 1000: PEERS, 5000: ("inspircd", "nats")}
FSYNC_EVERY_SECOND = "hubbub line, fsync every second"
BRIEFLY = {"seconds": 0.35, "poll": True}  # there is much to measure in the 20 minutes that `make bench` may take
LATENCY_SECONDS = {1: 4, 10: 1.5}  # by how many speak; a figure is to be reached with one
CROWD_ROOM = 50           # members of each of the many rooms
CROWD_ROOMS = 1000
CROWD = FAN_OUT + ("inspircd", "nats")  # ngircd takes too long to let them in
IDLE_CLIENTS = 10000
FEWER_IDLE_CLIENTS = {"ngircd": 2500}  # 10,000 take over a minute to get in
PUBLISH_CONNECTIONS, PUBLISH_PIPELINE = 50, 64
HISTORY_ROWS, BURST_ROWS = 300_000, 1_000_000
# What records name as their scenario; those of one round do not vary, or take long and have no figure to reach.
NOTED = ("fan-out", "senders", "pair", "crowd", "latency", "accepting", "storm", "memory", "gateways", "rooms", "lanes",
         "history")
NOTED_ONCE = ("turns", "growth of memory", "burst")


def costs(record, run):
    """The cost of a run of bench-load for the server under test, as numbers of its own."""
    cpu = run["cpu"]["server"]
    if record["system"].startswith("hubbub"):
        record["store_cpu_us"] = 0  # unless there is one
    record.update(window=run["window"], rate=run["rate"], seconds=run["seconds"], chats=run["chats"],
                  deliveries=run["deliveries"], acks=run["acks"], writes=cpu["writes"],
                  sleeps=cpu["sleeps"], cpu_us=cpu["user"] + cpu["system"], cpu_user_us=cpu["user"],
                  cpu_system_us=cpu["system"], latency_us=run["latency_us"])
    for name, used in run["cpu"].items():
        if name != "server":
            record[name + "_cpu_us"] = used["user"] + used["system"]
    return record


@contextlib.contextmanager
def serving(bench, system):
    """The server that is measured as `system`, which may be a variant of it.  With FSYNC_EVERY_SECOND, Redis does not wait
    for the disk meanwhile: how much of hubbub's time is the disk's?"""
    if system in LONGER_FLOORS:
        yield "floor"
    elif system == FSYNC_EVERY_SECOND:
        bench.hubbub.call("CONFIG", "SET", "appendfsync", "everysec")
        try:
            yield "hubbub line"
        finally:
            bench.hubbub.call("CONFIG", "SET", "appendfsync", "always")
    else:
        yield system


def measure(bench, scenario, system, varied, **options):
    """One call of bench-load; notes a record for each of its runs."""
    with serving(bench, system) as server:
        result = bench.load(server, **options)
    for run in result["runs"] if result else []:
        bench.note(costs({"scenario": scenario, "system": system, "rooms": result["rooms"],
                          "members": result["members"], **varied}, run))
    return result


def in_turn(systems, number):
    """The systems, in each round another first."""
    first = (number - 1) % len(systems)
    return systems[first:] + systems[:first]


def fan_out(bench, number):
    """What a chat costs, by members of its room and by how many are under way."""
    for members in MEMBERS:
        for system in in_turn(FAN_OUT + PEERS_AT.get(members, ()) + tuple(LONGER_FLOORS), number):
            measure(bench, "fan-out", system, {}, members=members, windows=WINDOWS, bytes=LONGER_FLOORS.get(system, BYTES),
                    **BRIEFLY)
    for system in in_turn(FAN_OUT + PEERS, number):  # some servers take few requests of one client in a turn
        measure(bench, "senders", system, {}, members=100, senders=10, windows=WINDOWS[-1:], **BRIEFLY)


def pair(bench, number):
    """What a chat costs that one other hears: hardly more than to wake up for it, and as often as the server must."""
    for system in in_turn(FAN_OUT + (FSYNC_EVERY_SECOND,), number):
        measure(bench, "pair", system, {}, members=2, windows=(1,), **BRIEFLY)


def crowd(bench, number):
    """Many rooms of 50, as many as this machine lets one process have connections for."""
    rooms = min(CROWD_ROOMS, (bench.descriptors - 200) // CROWD_ROOM)
    for system in in_turn(CROWD, number):
        measure(bench, "crowd", system, {}, rooms=rooms, members=CROWD_ROOM, windows=(1,), seconds=0.6, poll=True)


def latency(bench, number):
    """1,000 chats a second, whatever the answers, in a room of 100."""
    for senders, seconds in LATENCY_SECONDS.items():
        for system in in_turn(FAN_OUT + PEERS + ((FSYNC_EVERY_SECOND,) if senders == 1 else ()), number):
            measure(bench, "latency", system, {"senders": senders}, members=100, senders=senders, rate=1000, seconds=seconds)


# Accepting: rooms of one member each; Redis has a core for itself, who drives it the other. --------------------------

def log_entries(hubbub):
    return sum(int(hubbub.call("XLEN", f"hubbub:{{{lane}}}:log")[1:]) for lane in range(LANES))


def empty_log(hubbub):
    """Takes everything out of the log, which has no store here."""
    for lane in range(LANES):
        hubbub.call("FCALL", f"trim_{REVISION}", 1, f"hubbub:{{{lane}}}", f"{int(time.time() * 1000) + 3600000}-0")


def publish_alone(bench, hubbub, number, calls):
    """redis-benchmark's rate of the publish function, every call with a ref of its own, as an acknowledged chat has."""
    lane, incarnation = 1, f"bench-{number}-{time.time_ns()}"
    ref = f"{time.time_ns():020x}"  # redis-benchmark draws the same numbers each time: they would be retries
    hubbub.call("FCALL", f"open_link_{REVISION}", 1, f"hubbub:{{{lane}}}", incarnation, 1)
    body = ('{"from":"b12-0","session":"g1-5f3a90c2-42","room":"broom-12","text":"~00000001'
            '.the.quick.brown.fox.jumps.over.the.lazy.dog.the.quick.b"}')
    command = ["redis-benchmark", "-p", str(hubbub.redis.port), "-c", str(PUBLISH_CONNECTIONS),
               "-P", str(PUBLISH_PIPELINE), "-n", str(calls), "-r", "2000000000", "--csv",
               "FCALL", f"publish_{REVISION}", "1", f"hubbub:{{{lane}}}", incarnation, "1", "__rand_int__", "0-0",
               str(int(time.time() * 1000)), "r:broom-12", ref + "__rand_int__", body]
    before = log_entries(hubbub)
    cpu = bench.cpu_us(hubbub.redis.pid)
    with on_cores(OTHER_CORE):
        done = bench.run(command)
    cpu = bench.cpu_us(hubbub.redis.pid) - cpu
    grown = log_entries(hubbub) - before
    found = re.search(r'^"FCALL.*?","?([\d.]+)"?', done.stdout, re.M)
    # A refused call is no error to redis-benchmark; a ref drawn twice is answered without an entry.
    if done.returncode != 0 or not found or grown < calls * 0.99:
        raise Failure(f"redis-benchmark: {grown} of {calls} calls reached the log: {done.stdout[-300:]}{done.stderr[-300:]}")
    return {"rate_s": float(found.group(1)), "redis_cpu_us": cpu, "chats": calls}


def accepting(bench, number):
    """Acknowledged chats a second, beside what the publish function reaches alone on the same Redis."""
    hubbub = bench.accepting
    options = {"rooms": PUBLISH_CONNECTIONS, "members": 1, "windows": (PUBLISH_PIPELINE,), "complete": "acked"}
    for system in in_turn(("publish alone", "hubbub json"), number):
        empty_log(hubbub)
        if system == "publish alone":
            bench.note({"scenario": "accepting", "system": system, **publish_alone(bench, hubbub, number, 200000)})
            continue
        result = bench.load(system, installation=hubbub, seconds=2.5, **options)
        for run in result["runs"] if result else []:
            record = costs({"scenario": "accepting", "system": system, "rooms": PUBLISH_CONNECTIONS, "members": 1}, run)
            bench.note({**record, "rate_s": run["chats"] / run["seconds"]})
    empty_log(hubbub)
    if number == 1:
        watch_turns(bench, hubbub, options)


def watch_turns(bench, hubbub, options):
    """Follows the gateway's system calls for a moment: how often does it write to Redis in one turn of its loop?"""
    output = os.path.join(hubbub.gateway.place.path, "strace.txt")
    base = bench.sockets(hubbub.gateway)
    load = bench.load_begin("hubbub json", installation=hubbub, seconds=3, **options)
    try:
        wait_for(lambda: bench.sockets(hubbub.gateway) >= base + PUBLISH_CONNECTIONS or load.poll() is not None, 20,
                 "the load has come")
        traced = bench.run(["timeout", "-s", "INT", "1", "strace", "-f", "-yy", "-s", "0", "-o", output,
                            "-e", "trace=epoll_wait,epoll_pwait,epoll_pwait2,write,writev,sendto,sendmsg",
                            "-p", str(hubbub.gateway.pid)])
    finally:
        bench.load_end(load)
    try:
        with open(output) as file:
            counted = count_turns(file, hubbub.redis.port)
    except OSError:
        counted = {"redis_writes": 0}
    if counted["redis_writes"] > 0:
        bench.note({"scenario": "turns", "system": "hubbub json", **counted})
    else:
        bench.skip("counting writes in a turn", f"strace could not follow the gateway: {traced.stderr.strip()[-200:]}")


def count_turns(lines, redis_port):
    """Turns of the loop, writes to Redis, and the most of them on one connection in one turn, from what strace tells.
    There are two connections, one for subscriptions."""
    turns = writes = most = 0
    here = collections.Counter()  # in this turn, by connection
    to_redis = re.compile(rf"(?:write|writev|sendto|sendmsg)\((\d+)<TCP:\[[^\]]*->127\.0\.0\.1:{redis_port}\]>")
    for line in lines:
        if "epoll_" in line and "resumed" not in line:
            turns += 1
            here.clear()
        elif found := to_redis.search(line):
            writes += 1
            here[found.group(1)] += 1
            most = max(most, here[found.group(1)])
    return {"turns": turns, "redis_writes": writes, "most_in_a_turn": most}


# Memory and log-ins ---------------------------------------------------------------------------------------------------

def memory(bench, number):
    """Resident memory of idle connections; each server is started anew, so that none has memory to spare.  For the peers,
    for which no figure is to be reached, one round will do."""
    for system in in_turn(("hubbub json", "hubbub line"), number) + (PEERS + ("floor",) if number == 1 else ()):
        clients = FEWER_IDLE_CLIENTS.get(system, IDLE_CLIENTS)
        bench.restart(system)
        result = bench.load(system, rooms=clients // CROWD_ROOM, members=CROWD_ROOM, seconds=0)
        if result:
            used = result["memory"]["server"]
            bench.note({"scenario": "memory", "system": system, "clients": result["clients"], "before": used["before"],
                        "joined": used["joined"], "kib_each": (used["joined"] - used["before"]) / result["clients"]})
    if number == 1:
        growth_of_memory(bench)


def growth_of_memory(bench):
    """Does a gateway keep anything of a million chats?"""
    bench.restart("hubbub json")
    for step in range(1, 6):
        # The same rooms each time: a gateway keeps a room's newest events for 30 s after the last one has left.
        result = bench.load("hubbub json", name="steady-", rooms=20, members=2, windows=(64,), chats=200000)
        if result:
            bench.note({"scenario": "growth of memory", "system": "hubbub json", "chats": step * 200000,
                        "resident": result["memory"]["server"]["end"]})


STORM = (("one room", 1, 10000), ("rooms of 50", 200, 50), ("one room", 1, 2500), ("one room", 1, 5000))


def storm(bench, number):
    """Everybody logs in at once."""
    for what, rooms, members in STORM:
        result = bench.load("hubbub json", rooms=rooms, members=members, seconds=0)
        if result:
            used = result["memory"]["server"]
            bench.note({"scenario": "storm", "system": "hubbub json", "what": what, "rooms": rooms, "members": members,
                        "clients": result["clients"], "join_seconds": result["join_seconds"],
                        "bytes": used["written_joined"] - used["written_before"]})


# Growth ---------------------------------------------------------------------------------------------------------------

GATEWAYS = (1, 2, 3)


def growth(bench, number):
    """More gateways, rooms and lanes.  (More members are in fan-out.)"""
    for gateways in GATEWAYS:
        result = bench.load("hubbub json", installation=bench.several, gateways=gateways, rooms=12, members=60,
                            windows=(8,), seconds=1)
        for run in result["runs"] if result else []:
            used = {kind: sum(run["cpu"][name][kind] for name in run["cpu"] if name == "server" or name.startswith("gateway"))
                    for kind in ("user", "system")}
            others = {name + "_cpu_us": run["cpu"][name]["user"] + run["cpu"][name]["system"] for name in ("redis", "store")}
            bench.note({"scenario": "gateways", "system": "hubbub json", "gateways": gateways, "rooms": 12, "members": 60,
                        "chats": run["chats"], "deliveries": run["deliveries"], "seconds": run["seconds"],
                        "rate_s": run["chats"] / run["seconds"], "cpu_us": used["user"] + used["system"],
                        "cpu_user_us": used["user"], "cpu_system_us": used["system"], **others})
    for rooms in (1, 10, 100, 1000):
        measure(bench, "rooms", "hubbub json", {}, rooms=rooms, members=10, windows=(1,), seconds=0.6)
    # The first eight rooms of bench-load are in eight lanes, whatever their prefix: their names differ in the last
    # three bits, and so do their CRCs.
    for lanes in (1, 2, 4, 8):
        measure(bench, "lanes", "hubbub json", {"lanes": lanes}, rooms=lanes, members=50, windows=(8,), seconds=0.6)


def history(bench, number):
    """The store against COPY and against one row a commit, and after a burst.  Nothing is pinned here."""
    bench.note({"scenario": "history", "system": "store",
                **storing.measure(bench.place, bench.build, rows=HISTORY_ROWS, seed=number)})
    if number == 1:
        bench.note({"scenario": "burst", "system": "store", **storing.burst(bench.place, bench.build, rows=BURST_ROWS)})


SCENARIOS = {"fan-out": fan_out, "pair": pair, "crowd": crowd, "latency": latency, "accepting": accepting, "storm": storm,
             "memory": memory, "growth": growth, "history": history}


def planned(rounds):
    """In how many rounds each is measured, by what its records name as their scenario."""
    return {**dict.fromkeys(NOTED, rounds), **dict.fromkeys(NOTED_ONCE, 1)}
