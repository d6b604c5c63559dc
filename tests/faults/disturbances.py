"""disturbances: what happens to an installation, drawn from a seed, and the hand that does it.

The whole schedule is drawn before anything runs, so a seed gives the same one whatever the machine's speed.  Each
target has one disturbance at a time; those of different targets overlap as they fall.
"""

import collections
import heapq
import itertools
import os
import re
import signal
import time

from links import channel
from services import Postgres, Program, inside

MEAN_PAUSE = 2.0      # seconds between the beginnings of two disturbances
CALM_SECONDS = 6.0    # what a lane needs to come up, and some
TRIM_SECONDS = 0.7    # between two cuts at the log, while it is kept short
RECOVERY = 4.0        # a target is left alone for so long afterwards

# How often (relative to the others), what, to whom.
PARTS = ["g1", "g2", "g3"] * 3 + ["s1", "s2"] * 2 + ["redis"] * 3 + ["postgres"] * 2 + ["haproxy"]
REDIS_LINKS = ["g1-redis", "g2-redis", "g3-redis"]
LINKS = REDIS_LINKS * 3 + ["s1-redis", "s2-redis", "s1-postgres", "s2-postgres"] + [
    "people-json", "people-line", "people-command", "people-gob", "people-prompt"] + [
    f"g{gateway}-s{store}" for gateway in (1, 2, 3) for store in (1, 2)]
KINDS = {"kill": 8, "end": 5, "freeze": 6, "cut": 5, "refuse": 3, "stall": 6, "drop": 4, "swallow": 5, "trim": 4,
         "calm": 3}
PAST = re.compile(r"postgres|s\d|s\d-.*|g\d-s\d")  # what stands between a gateway and the stores' pages
STORES = ("s1", "s2")
PAST_BACK = 15.0  # seconds until a gateway has surely found its way to them again

Step = collections.namedtuple("Step", "at kind target seconds detail")


def draw_step(rng, kind, rooms):
    """(target, seconds, detail) of one disturbance."""
    if kind == "kill":
        return rng.choice(PARTS), rng.uniform(0.2, 6), None
    if kind == "end":
        return rng.choice([part for part in PARTS if part != "haproxy"]), rng.uniform(0.2, 4), None
    if kind == "freeze":
        return rng.choice(PARTS), rng.uniform(1, 15), None
    if kind == "cut":
        return rng.choice(LINKS), 0, rng.random() < 0.5
    if kind == "refuse":
        return rng.choice(LINKS), rng.uniform(0.5, 7), None
    if kind == "stall":
        return rng.choice(LINKS), rng.uniform(0.5, 12), rng.choice((("up",), ("down",), ("up", "down")))
    if kind == "drop":
        return "redis", 0, rng.choice(("pubsub", "normal"))
    if kind == "swallow":
        return rng.choice(REDIS_LINKS), rng.uniform(1, 8), rng.choice(rooms)
    if kind == "trim":
        return "log", rng.uniform(0, 12), None
    return None, CALM_SECONDS, None


def draw(rng, seconds, rooms):
    steps, free, now = [], {}, 2.0
    kinds, weights = list(KINDS), list(KINDS.values())
    while now < seconds:
        kind = rng.choices(kinds, weights)[0]
        target, lasts, detail = draw_step(rng, kind, rooms)
        if kind == "calm":
            now += lasts
            continue
        if free.get(target, 0) <= now:
            steps.append(Step(now, kind, target, min(lasts, seconds - now + 1), detail))
            free[target] = now + lasts + RECOVERY
            now += rng.expovariate(1 / MEAN_PAUSE)
        else:
            now += 0.1
    return steps


class Hand:
    """Does the steps of a schedule to an installation, and puts everything right again.

    `problems` collects what no disturbance explains: a part that ended by itself, or did not end when told to.
    """

    def __init__(self, installation, say):
        self.installation, self.say = installation, say
        self.begun = time.monotonic()
        self.later = []   # heap of (when, number, function)
        self.number = itertools.count()
        self.down = set()  # parts that are missing now, on purpose
        self.frozen = set()
        self.problems = []
        self.counts = collections.Counter()
        self.first_trim = None   # when the log first began late
        self.storeless = []      # (gateway, store, from, until): when it may not have answered; None: any

    @property
    def now(self):
        return time.monotonic() - self.begun

    def tell(self, text):
        self.say(f"{self.now:7.1f} s  {text}")

    def after(self, seconds, function):
        heapq.heappush(self.later, (self.now + seconds, next(self.number), function))

    def run(self, steps):
        """Until the last step is done and what it did is over."""
        for step in steps:
            heapq.heappush(self.later, (step.at, next(self.number), lambda step=step: self.do(step)))
        while self.later:
            self.look()
            if self.later[0][0] <= self.now:
                heapq.heappop(self.later)[2]()
            else:
                time.sleep(0.03)

    def look(self):
        """Finds parts that ended by themselves, and starts them again."""
        for name, part in self.installation.parts.items():
            if name not in self.down and not part.alive():
                self.problems.append(f"{self.now:.1f} s: {name} ended by itself, with status {part.process.returncode}")
                self.tell(self.problems[-1])
                self.down.add(name)
                self.begin_again(name)

    def do(self, step):
        if step.target in self.down | self.frozen:
            self.tell(f"{step.kind} {step.target}: left out, it is not back yet")
            return
        if getattr(self, step.kind)(step) is False:
            return
        self.counts[step.kind] += 1
        if PAST.fullmatch(step.target):
            self.note_storeless(step.target, step.seconds)

    def note_storeless(self, target, seconds=0):
        gateway, store = re.search(r"g\d", target), re.search(r"s\d", target)
        self.storeless.append((gateway and gateway.group(0), store and store.group(0), time.time() - 1,
                               time.time() + seconds + PAST_BACK))

    def may_lack_stores(self, gateway, at):
        """True if no store may have answered this gateway then."""
        return all(any(who in (None, gateway) and which in (None, store) and begin <= at <= end
                       for who, which, begin, end in self.storeless) for store in STORES)

    def may_lack_past(self, gateway, at):
        """True if a gap that it told of then may be: the log began late, too."""
        return self.first_trim is not None and self.first_trim <= at and self.may_lack_stores(gateway, at)

    # Parts

    def kill(self, step):
        self.tell(f"kill {step.target}, for {step.seconds:.1f} s")
        self.down.add(step.target)
        self.installation.parts[step.target].kill(signal.SIGKILL)
        self.after(step.seconds, lambda: self.begin_again(step.target))

    def end(self, step):
        part = self.installation.parts[step.target]
        self.tell(f"end {step.target}, and start it {step.seconds:.1f} s later")
        self.down.add(step.target)
        part.ask_to_stop()
        self.after(0, lambda: self.wait_for_end(step, part, self.now + part.stop_seconds))

    def wait_for_end(self, step, part, deadline):
        if part.alive() and self.now < deadline:
            self.after(0.1, lambda: self.wait_for_end(step, part, deadline))
            return
        status = part.stop()  # by force, if it is still there
        if isinstance(part, Program) and status != 0:
            self.problems.append(f"{self.now:.1f} s: {step.target}, told to end, did so with status {status}")
            self.tell(self.problems[-1])
        self.after(step.seconds, lambda: self.begin_again(step.target))

    def begin_again(self, name):
        part = self.installation.parts[name]
        if not part.settled():  # the children of a killed PostgreSQL
            self.after(0.1, lambda: self.begin_again(name))
            return
        part.start(wait=False)
        self.down.discard(name)
        if PAST.fullmatch(name):
            self.note_storeless(name)
        self.tell(f"  {name} is started")

    def processes(self, name):
        """Of PostgreSQL all: it is many."""
        part = self.installation.parts[name]
        return inside(part.directory) if isinstance(part, Postgres) else [part.pid]

    def signal_all(self, name, number):
        for pid in self.processes(name):
            try:
                os.kill(pid, number)
            except ProcessLookupError:
                pass

    def freeze(self, step):
        self.tell(f"freeze {step.target}, for {step.seconds:.1f} s")
        self.frozen.add(step.target)
        self.signal_all(step.target, signal.SIGSTOP)
        self.after(step.seconds, lambda: self.thaw(step.target))

    def thaw(self, name):
        self.signal_all(name, signal.SIGCONT)
        self.frozen.discard(name)
        self.tell(f"  {name} goes on")

    # Links

    def on_link(self, name, method, *arguments):
        self.installation.thread.call(getattr(self.installation.links[name], method), *arguments)

    def mend_later(self, step):
        def mend():
            self.on_link(step.target, "flow")
            self.tell(f"  {step.target} flows")

        self.after(step.seconds, mend)

    def cut(self, step):
        self.tell(f"cut {step.target}" + (", with resets" if step.detail else ""))
        self.on_link(step.target, "cut", step.detail)

    def refuse(self, step):
        self.tell(f"cut {step.target} and refuse new connections, for {step.seconds:.1f} s")
        self.on_link(step.target, "refuse")
        self.mend_later(step)

    def stall(self, step):
        self.tell(f"stall {step.target} ({' and '.join(step.detail)}), for {step.seconds:.1f} s")
        self.on_link(step.target, "stall", step.detail)
        self.mend_later(step)

    def swallow(self, step):
        self.tell(f"swallow {step.detail}'s messages on {step.target}, for {step.seconds:.1f} s")
        self.on_link(step.target, "swallow", channel(step.detail))
        self.mend_later(step)

    def trim(self, step):
        self.tell(f"trim the log up to what is stored, for {step.seconds:.1f} s")
        self.first_trim = self.first_trim or time.time()
        self.trim_until(self.now + step.seconds)
        return True

    def trim_until(self, deadline):
        gone = {"postgres", "redis"} & (self.down | self.frozen)
        why = f"{' and '.join(gone)} not there" if gone else self.installation.trim()
        if why:
            self.tell(f"  the log is not trimmed: {why}")
        elif self.now < deadline:
            self.after(TRIM_SECONDS, lambda: self.trim_until(deadline))

    def drop(self, step):
        try:
            answer = self.installation.redis.call("CLIENT", "KILL", "TYPE", step.detail)
        except OSError as error:
            answer = str(error)
        self.tell(f"drop Redis' clients of type {step.detail}: {answer}")

    # At the end

    def let_go(self):
        """Nothing is frozen any more."""
        for name in list(self.frozen):
            self.thaw(name)

    def wait_ready(self, seconds=60):
        """Everything runs: every part, and each gateway says so."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            self.look()
            while self.later and self.later[0][0] <= self.now:
                heapq.heappop(self.later)[2]()
            waiting = [name for name, part in self.installation.parts.items()
                       if name in self.down or not part.ready()]
            if not waiting:
                return
            time.sleep(0.1)
        self.problems.append(f"{', '.join(waiting)} not ready {seconds} s after the last disturbance")
        self.tell(self.problems[-1])

    @property
    def kills(self):
        return self.counts["kill"]


