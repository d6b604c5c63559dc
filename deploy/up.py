#!/usr/bin/python3
"""Runs all of hubbub on this machine: up.py [--build DIRECTORY] [--gateways N] [--local DIRECTORY] [--shift N].

Starts a private Redis and PostgreSQL, migrates, then the store, the gateways and haproxy; starts again what dies;
ends all of it on Ctrl-C or SIGTERM.  Data, logs and pids are under .local.
"""

import argparse
import ctypes
import glob
import os
import signal
import string
import sys
import time

from local import PEOPLES_GATEWAYS, ROOT, Local
from place import LIBC, PR_SET_PDEATHSIG, STOPPING, Failure, ignore_signals, lock, taken, wait_for
from services import Gateway, Haproxy, Postgres, Redis, Store, inside

OURS = ("HUBBUB_GATEWAY", "HUBBUB_LISTEN", "HUBBUB_HTTP_LISTEN", "HUBBUB_STORE_LISTEN", "HUBBUB_STORE_URL",
        "HUBBUB_STORE_SECRET", "HUBBUB_STORE_SECRET_FILE")
OUR_PREFIXES = ("HUBBUB_REDIS_", "HUBBUB_POSTGRES_")
LEFTOVER_SECONDS = 20
STEADY_SECONDS = 10
BACKOFF_MAX = 5.0


class Stop(BaseException):
    """Somebody asked us to end."""


def say(text):
    try:
        print(text, flush=True)
    except OSError:
        pass  # whoever read it is gone; the chat goes on


def stop_by_signal(number, frame):
    raise Stop


def caller_settings():
    """The HUBBUB_* of our environment, for gateways and store."""
    given = {key: value for key, value in os.environ.items() if key.startswith("HUBBUB_")}
    for key in sorted(given):
        if key in OURS or key.startswith(OUR_PREFIXES):
            raise Failure(f"{key} is in the environment, but make up sets that itself: unset it")
    return given


def end_leftovers(local, place):
    """What an earlier run left when it was killed ends by itself; what does not is made to."""
    deadline = time.monotonic() + LEFTOVER_SECONDS
    while True:
        left = [pid for path in glob.glob(place.path + "/*/") for pid in inside(path.rstrip("/"))]
        if not left:
            break
        if time.monotonic() > deadline:
            for pid in left:
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass
        time.sleep(0.1)
    for path in glob.glob(local.run + "/*.pid"):
        os.unlink(path)


def check_ports(local, gateways):
    busy = [f"{address}:{port}" for address, port in local.all_ports(gateways) if taken(address, port)]
    if busy:
        raise Failure(f"the address {', '.join(busy)} is taken: end what listens there (ss -ltnp tells what)")


def haproxy_config(local, gateways):
    text = ""
    for part in ("common.cfg", "local.cfg"):
        with open(os.path.join(ROOT, "deploy", "haproxy", part)) as file:
            text += file.read()
    values = {"http_port": local.http_port}
    for name, port in local.dialects.items():
        values[name + "_port"] = port
        values[name + "_servers"] = "\n    ".join(
            f"server g{n} {local.gateway_address(n)}:{port + 1} send-proxy-v2" for n in range(1, gateways + 1))
    return string.Template(text).substitute(values)


class Part:
    """A server and what the supervisor remembers about it."""

    def __init__(self, server, run):
        self.server = server
        self.pid_file = os.path.join(run, server.name + ".pid")
        self.started = 0.0
        self.delay = 0.0
        self.restart_at = None  # when it is to be started again; None: it runs
        self.awaited = False    # started again, not ready yet

    def start(self, wait):
        self.started = time.monotonic()
        self.server.start(wait=False)
        with open(self.pid_file + ".new", "w") as file:
            file.write(f"{self.server.pid}\n")
        os.rename(self.pid_file + ".new", self.pid_file)
        if wait:
            self.server.wait_ready()

    def supervise(self):
        """One look at it: starts it again if it died, after a while if it keeps dying."""
        now = time.monotonic()
        if self.restart_at is None and not self.server.alive():
            steady = now - self.started > STEADY_SECONDS
            self.delay = 0.0 if steady else min(BACKOFF_MAX, self.delay * 2 or 0.5)
            self.restart_at = now + self.delay
            say(f"hubbub: {self.server.name} {how_it_ended(self.server)}; starting it again")
        elif self.restart_at is not None:
            if now >= self.restart_at and self.server.settled():
                self.restart_at = None
                self.awaited = True
                self.start(wait=False)
        elif self.awaited and self.server.ready():
            self.awaited = False
            say(f"hubbub: {self.server.name} is back (pid {self.server.pid})")

    def forget(self):
        if os.path.exists(self.pid_file):
            os.unlink(self.pid_file)


def how_it_ended(server):
    status = server.process.returncode
    if status < 0:
        return f"was ended by {signal.Signals(-status).name}"
    last = server.log_tail(1).strip()
    return f"ended with status {status}" + (f" ({last[:200]})" if status else "")


class System:
    def __init__(self, local, place, build, gateways, settings):
        self.secret = secret = local.passwords(make=True)
        redis = Redis(place, local.redis_port, secret["redis"])
        self.postgres = Postgres(place, local.postgres_port, secret["postgres"], durable=True)
        asked = f"127.0.0.1:{local.store_port}"
        settings = {**settings, "HUBBUB_REDIS_URL": redis.url, "HUBBUB_REDIS_PASSWORD": secret["redis"],
                    "HUBBUB_STORE_LISTEN": asked, "HUBBUB_STORE_URL": f"store://{asked}",
                    "HUBBUB_STORE_SECRET": secret["requests"]}
        store = Store(place, "store", os.path.join(build, "store", "hubbub-store"), {
            **settings, "HUBBUB_POSTGRES_URL": self.postgres.url("hubbub_store"),
            "HUBBUB_POSTGRES_PASSWORD": secret["store"]})
        crowd = [Gateway(place, f"gateway-{n}", os.path.join(build, "gateway", "hubbub-gateway"), {
            **settings, "HUBBUB_GATEWAY": f"g{n}", "HUBBUB_LISTEN": local.listen_setting(n),
            "HUBBUB_HTTP_LISTEN": f"{local.gateway_address(n)}:{local.http_port}"})
            for n in range(1, gateways + 1)]
        haproxy = Haproxy(place, haproxy_config(local, gateways), local.dialects.values())
        self.bases = [Part(redis, local.run), Part(self.postgres, local.run)]
        self.store, self.haproxy = Part(store, local.run), Part(haproxy, local.run)
        self.gateways = [Part(gateway, local.run) for gateway in crowd]

    def parts(self):
        return self.bases + [self.store] + self.gateways + [self.haproxy]

    def start_together(self, parts):
        for part in parts:
            part.start(wait=False)
        for part in parts:
            part.server.wait_ready()

    def start(self):
        self.start_together(self.bases)
        self.postgres.migrate(self.secret["store"], self.secret["reader"])
        self.start_together([self.store])
        self.start_together(self.gateways)
        self.start_together([self.haproxy])

    def supervise(self):
        while True:
            for part in self.parts():
                try:
                    part.supervise()
                except (Failure, OSError) as failure:
                    say(f"hubbub: {part.server.name}: {failure}")
                    part.restart_at = time.monotonic() + BACKOFF_MAX
            time.sleep(0.2)

    def stop(self):
        """In the order in which nobody misses anybody."""
        for together in (self.gateways, [self.haproxy], [self.store], [self.bases[0]], [self.bases[1]]):
            for part in together:
                part.server.ask_to_stop()
            for part in together:
                part.server.stop()
                wait_for(part.server.settled, LEFTOVER_SECONDS, f"the last process of {part.server.name} is gone")
                part.forget()


def begin_logs(place):
    """Each run begins new logs; those of the last one are kept."""
    for log in glob.glob(place.logs + "/*.log"):
        os.replace(log, log + ".1")


def ready_line(local, gateways):
    def list_ports(ports):
        return ", ".join(f"{port} ({name})" for name, port in ports.items())

    own = "; ".join(f"gateway {n} also {list_ports(local.peoples_ports(n))}"
                    for n in range(1, min(gateways, PEOPLES_GATEWAYS) + 1))
    crowd = "1 gateway" if gateways == 1 else f"{gateways} gateways"
    return (f"hubbub is ready with {crowd}: ports {list_ports(local.dialects)}; {own}. "
            "History: make psql. Ctrl-C ends it.")


def run(options):
    if not options.gateways.isdecimal() or not 1 <= int(options.gateways) <= 250:
        raise Failure(f"GATEWAYS={options.gateways}: use a number from 1 to 250")
    gateways = int(options.gateways)
    settings = caller_settings()
    local = Local(options.local, options.shift)
    held = lock(local.run)
    system = None
    try:
        place = local.make_place(say)
        end_leftovers(local, place)
        check_ports(local, gateways)
        begin_logs(place)
        system = System(local, place, os.path.abspath(options.build), gateways, settings)
        system.start()
        say(ready_line(local, gateways))
        system.supervise()
    except Stop:
        ignore_signals()
        say("hubbub is stopping")
    finally:
        ignore_signals()
        if system:
            system.stop()
        held.close()
    say(f"hubbub has stopped; its data is in {os.path.realpath(local.data)}")


def main():
    parser = argparse.ArgumentParser(description="Runs all of hubbub on this machine.")
    parser.add_argument("--build", default=os.path.join(ROOT, "build"))
    parser.add_argument("--gateways", default="2")
    parser.add_argument("--local", help="where the data, logs and pids are, if not in .local")
    parser.add_argument("--shift", type=int, default=0, help="is added to every port")
    options = parser.parse_args()
    for number in STOPPING:
        if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:  # nohup
            signal.signal(number, stop_by_signal)
    if "MAKELEVEL" in os.environ:  # a make that is killed cannot tell us
        LIBC.prctl(PR_SET_PDEATHSIG, ctypes.c_ulong(signal.SIGTERM), 0, 0, 0)
    try:
        run(options)
    except Stop:
        return 1
    except (Failure, OSError) as failure:
        print(f"hubbub: {failure}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
