#!/usr/bin/python3
"""Runs a command beside private servers: with_servers.py [--redis] [--postgres] -- COMMAND...

The servers are on free ports and in a directory of their own, and end with the command.  It finds them by

    TEST_REDIS_PORT TEST_REDIS_PID                   (no password)
    TEST_POSTGRES_URL                                (superuser, database hubbub, migrated)
    TEST_POSTGRES_STORE_URL TEST_POSTGRES_READER_URL TEST_POSTGRES_PID

A server that ends while the command runs (a test killed it) is started again on its port with its data;
TEST_REDIS_PIDFILE and TEST_POSTGRES_PIDFILE hold the pid of the one that runs and is ready now.
"""

import argparse
import os
import signal
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../deploy"))
from place import Failure, Ports, die_with_parent, ignore_signals, leave_on_signals, temporary_place  # noqa: E402
from services import Postgres, Redis  # noqa: E402

LOG_LINES = 60


def note_pid(place, server):
    """Writes the pid where the command may look for it at any time: never half of it."""
    path = os.path.join(place.path, server.name + ".pid")
    with open(path + ".new", "w") as file:
        file.write(f"{server.pid}\n")
    os.rename(path + ".new", path)
    return path


def start(options, place, ports, servers):
    """Starts what is asked for; returns the variables that tell the command."""
    told = {}
    if options.redis:
        redis = Redis(place, ports.take())
        servers.append(redis)
        redis.start()
        told.update(TEST_REDIS_PORT=str(redis.port), TEST_REDIS_PID=str(redis.pid),
                    TEST_REDIS_PIDFILE=note_pid(place, redis))
    if options.postgres:
        postgres = Postgres(place, ports.take())
        servers.append(postgres)
        postgres.start()
        postgres.migrate()
        told.update(TEST_POSTGRES_URL=postgres.url(), TEST_POSTGRES_STORE_URL=postgres.url("hubbub_store"),
                    TEST_POSTGRES_READER_URL=postgres.url("hubbub_reader"), TEST_POSTGRES_PID=str(postgres.pid),
                    TEST_POSTGRES_PIDFILE=note_pid(place, postgres))
    return told


def run(command, told, place, servers):
    child = subprocess.Popen(command, env={**os.environ, **told}, preexec_fn=die_with_parent(signal.SIGKILL))
    try:
        while child.poll() is None:
            for server in servers:
                if not server.alive():
                    server.start()
                    note_pid(place, server)
            time.sleep(0.03)
    finally:
        if child.poll() is None:
            child.terminate()
            try:
                child.wait(5)
            except subprocess.TimeoutExpired:
                child.kill()
    return child.returncode if child.returncode >= 0 else 128 - child.returncode


def show_logs(servers):
    for server in servers:
        print(f"--- the last lines of {server.name}'s log:\n{server.log_tail(LOG_LINES)}", file=sys.stderr)


def main():
    parser = argparse.ArgumentParser(description="Runs a command beside private servers.")
    parser.add_argument("--redis", action="store_true")
    parser.add_argument("--postgres", action="store_true")
    parser.add_argument("command", nargs=argparse.REMAINDER)
    options = parser.parse_args()
    command = options.command[1:] if options.command[:1] == ["--"] else options.command
    if not command:
        parser.error("which command?")

    leave_on_signals()
    ports, servers, place, status = Ports(), [], None, 1
    try:
        place = temporary_place()
        status = run(command, start(options, place, ports, servers), place, servers)
    except (Failure, OSError) as failure:
        print(f"with_servers: {failure}", file=sys.stderr)
    finally:
        ignore_signals()
        if status != 0:
            show_logs(servers)
        for server in reversed(servers):
            server.stop()
        ports.close()
        if place:
            place.remove()
    return status


if __name__ == "__main__":
    sys.exit(main())
