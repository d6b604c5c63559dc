#!/usr/bin/python3
"""Nothing is lost and nothing doubled, whatever dies: run.py [--build DIRECTORY] [--minutes N] [--seed N].

Forty people chat in four rooms, in all dialects, over three gateways behind haproxy, while a schedule drawn from the
seed kills, ends and freezes each part, cuts and stalls the links between them and swallows messages.  Then all is put
right, and what everybody was promised and heard is compared with PostgreSQL.  Says what it did, a line each, and at
last the counts.  If something is wrong: the seed, who, what was expected, and where the logs are; the status is 1.
"""

import argparse
import asyncio
import datetime
import json
import os
import random
import re
import secrets
import shutil
import signal
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, "../blackbox"), os.path.join(HERE, "../../deploy")]
sys.dont_write_bytecode = True

ROOMS = ["lobby", "kitchen", "garden", "balcony"]  # each in a lane of its own
SETTLE_SECONDS = 90   # until everybody is back and every chat is answered
RATE = 100            # chats a second, of all together
COUNTED = {"fill": "fills", "room_deaf": "rooms found deaf", "redis_lost": "links lost",
           "gateway_reaped": "gateways reaped", "handover_failed": "handovers given up",
           "page_asked": "pages of the stores"}  # lines of the gateways' logs


def arguments():
    parser = argparse.ArgumentParser()
    parser.add_argument("--build", default="build")
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--seed", type=int)
    parser.add_argument("--rate", type=float, default=RATE)
    return parser.parse_args()


def logged_at(line):
    """When a line of a log was written."""
    at = re.search(r"time=(\S+)Z", line).group(1)
    return datetime.datetime.fromisoformat(at + "+00:00").timestamp()


def say(text):
    print(text, flush=True)


class Run:
    def __init__(self, seed, seconds, rate):
        self.seed, self.seconds = seed, seconds
        self.installation = Installation({"HUBBUB_LOG_LEVEL": "debug", "HUBBUB_PASSWORD_OPS": "1",
                                          "HUBBUB_PASSWORD_MEMORY": "8"})
        rng = random.Random(seed)
        self.steps = draw(rng, seconds, ROOMS)
        self.people = [self.person(kind, number, rate / len(CROWD), random.Random(rng.random()))
                       for number, kind in enumerate(CROWD)]
        accounts = [one.name for one in self.people if one.password]
        for one in self.people:
            one.addressees = [name for name in accounts if name != one.name]
        self.living = []
        self.hand = None
        self.reckoning = Reckoning(self.people, "")
        self.problems = []

    def person(self, kind, number, rate, rng):
        rooms = [ROOMS[number % len(ROOMS)]]
        if issubclass(kind, Resuming) and number % 3 == 0:
            rooms.append(ROOMS[(number + 1) % len(ROOMS)])
        return kind(f"{kind.dialect}-{number}", rooms, self.installation.port(kind.dialect), rate, rng,
                    PASSWORD if number % 2 else None)

    def wait(self, condition, what, seconds=SETTLE_SECONDS):
        try:
            wait_for(condition, seconds, what)
        except Failure as failure:
            self.problems.append(str(failure))
            return False
        return True

    def wait_people(self, is_good, what):
        if not self.wait(lambda: all(is_good(one) for one in self.people), what):
            self.problems.append("those for whom it is not so: " +
                                 ", ".join(one.name for one in self.people if not is_good(one)))

    def talk(self):
        loop = self.installation.thread
        self.living = [asyncio.run_coroutine_threadsafe(one.live(), loop.loop) for one in self.people]
        self.wait_people(lambda one: one.in_place, "everybody has come")
        for one in self.people:
            one.silent = False
        self.hand = Hand(self.installation, say)
        self.hand.run(self.steps)

    def settle(self):
        """Everything runs; everybody comes back, and is given an answer to everything."""
        for one in self.people:
            one.staying = True
        self.installation.flow()
        self.hand.wait_ready()
        self.hand.tell("everything runs; waiting until all is answered")
        self.wait_people(lambda one: one.in_place, "everybody is back")
        for one in self.people:
            one.silent = True
        self.wait_people(lambda one: one.is_settled(), "every chat is answered")

        self.wait(lambda: self.is_so(Reckoning.is_complete), "everything is stored, and everybody has heard it", 60)
        for one in self.people:
            if one.password:
                self.installation.thread.call(one.come_again)
        self.wait_people(lambda one: one.in_place, "everybody has logged in once more")
        self.wait(lambda: self.is_so(Reckoning.has_all_directs), "everybody has been handed all directs", 30)
        self.problems += self.reckoning.reckon()

    def is_so(self, condition):
        """Reckons with what PostgreSQL has now."""
        self.reckoning = Reckoning(self.people, self.installation.sql(ROOMS_QUERY),
                                   self.installation.sql(DIRECTS_QUERY))
        if not condition(self.reckoning):
            time.sleep(0.5)  # psql is not cheap
            return False
        return True

    def check_names(self):
        """Everybody leaves; then every name is free."""
        for one in self.people:
            self.installation.thread.call(one.leave)
        self.wait(lambda: all(one.writer is None for one in self.people), "everybody has left", 30)
        self.wait(lambda: self.installation.redis.call("HLEN", "hubbub:{0}:names") == ":0", "Redis holds no name", 30)
        self.wait(lambda: self.installation.sql("SELECT count(*) FROM online") == "0" or time.sleep(0.3),
                  "nobody is in the view online", 30)
        for one in self.people:
            try:
                back = self.installation.json(one.name, **({"password": one.password} if one.password else {}))
                back.send({"type": "leave"})
                back.expect_closed()
            except AssertionError as error:
                self.problems.append(f"the name {one.name} is stuck: {error}")

    def check_audit(self):
        rows = self.installation.sql("SELECT * FROM audit")
        if rows:
            self.problems += [f"audit: {line}" for line in rows.split("\n")[:10]]
        for number, gateway in enumerate(self.installation.gateways, 1):
            for event, may_be in (("gap", self.hand.may_lack_past), ("handover_failed", self.hand.may_lack_stores)):
                lines = [line for line in re.findall(f".* event={event} .*", gateway.all_logs())
                         if not may_be(f"g{number}", logged_at(line))]
                self.problems += [f"{gateway.name} told of what need not be missing: {line}" for line in lines[:5]]

    def end(self):
        installation = self.installation
        if self.hand:
            self.hand.let_go()
            self.problems += self.hand.problems
        for person, life in zip(self.people, self.living):
            if life.done() and life.exception():  # an error of this program
                self.problems.append(f"{person.name} broke: {life.exception()!r}")
            life.cancel()
        self.problems += installation.stop()
        for server in installation.servers:
            left = inside(server.directory)
            if left:
                self.problems.append(f"{server.name} left processes behind: {left}")

    def tell_counts(self):
        installation, done = self.installation, self.hand.counts if self.hand else {}
        logs = "".join(gateway.all_logs() for gateway in installation.gateways)
        counts = ["{} {}".format(logs.count(f"event={event} "), what) for event, what in COUNTED.items()]
        counts.append(f"{sum(link.swallowed for link in installation.links.values())} messages swallowed")
        counts += [f"lost {self.reckoning.lost}", f"doubled {self.reckoning.doubled}"]
        say(f"seed {self.seed}: {sum(done.values())} disturbances (" +
            ", ".join(f"{number} {kind}" for kind, number in sorted(done.items())) +
            f"), {self.reckoning.counts()}, {', '.join(counts)}")

    def keep(self, directory):
        """Keeps what helps to find out: the logs, and everybody's account."""
        shutil.rmtree(directory, ignore_errors=True)
        shutil.copytree(self.installation.place.logs, directory)
        accounts = [{"name": one.name, "rooms": one.rooms, "odd": one.odd,
                     "first": getattr(one, "first", None), "since": getattr(one, "since", None),
                     "heard": getattr(one, "heard", None),
                     "connections": [vars(there) for there in one.connections]} for one in self.people]
        with open(os.path.join(directory, "people.json"), "w") as file:
            json.dump(accounts, file, indent=1)
        with open(os.path.join(directory, "history.txt"), "w") as file:
            file.writelines(f"{row.id} {row.room} {row.sender} {row.text}\n"
                            for row in self.reckoning.rows + self.reckoning.directs)


def main():
    options = arguments()
    seed = secrets.randbelow(10 ** 9) if options.seed is None else options.seed
    say(f"seed {seed}, {options.minutes:g} minutes: run it again with make test-faults "
        f"MINUTES={options.minutes:g} SEED={seed}")
    run = Run(seed, options.minutes * 60, options.rate)
    try:
        run.installation.start()
        run.talk()
        run.settle()
        run.check_names()
        run.check_audit()
    except (Failure, OSError, AssertionError) as failure:
        run.problems.append(f"{type(failure).__name__}: {failure}")
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)
        run.end()
        run.tell_counts()
        if run.problems:
            kept = os.path.join(os.path.abspath(options.build), "test-logs", f"faults-{seed}")
            run.keep(kept)
            say(f"\nseed {seed} FAILED; the logs and everybody's account are in {kept}")
            for problem in run.problems[:60]:
                say(f"  {problem}")
        run.installation.remove()
    return 1 if run.problems else 0


def end_by_signal(number, frame):
    raise Failure(f"ended by {signal.Signals(number).name}")


if __name__ == "__main__":
    build = arguments().build
    os.environ["BUILD_DIR"] = os.path.abspath(build)
    from disturbances import Hand, draw  # noqa: E402
    from installation import Installation  # noqa: E402
    from people import CROWD, PASSWORD, Resuming  # noqa: E402
    from place import Failure, wait_for  # noqa: E402
    from reckoning import DIRECTS_QUERY, ROOMS_QUERY, Reckoning  # noqa: E402
    from services import inside  # noqa: E402

    for one in (signal.SIGINT, signal.SIGTERM):
        signal.signal(one, end_by_signal)
    sys.exit(main())
