#!/usr/bin/python3
"""The history of the hubbub that `make up` runs, for its owner: history.py psql | audit.

psql opens it as hubbub_reader, or prints the answers to what is in $SQL.  audit prints the rows of the view `audit`
and fails if there are any.
"""

import os
import subprocess
import sys

from local import Local
from place import Failure
from services import clean_environment, connects

LOCAL = Local()
URL = f"postgresql://hubbub_reader@127.0.0.1:{LOCAL.postgres_port}/hubbub"


def psql():
    arguments = ["psql", "-X", "-v", "ON_ERROR_STOP=1", "-d", URL]
    if os.environ.get("SQL"):
        arguments += ["-Atq", "-c", os.environ["SQL"]]
    os.execvpe("psql", arguments, clean_environment({"PGPASSWORD": LOCAL.passwords()["reader"]}))


def audit():
    done = subprocess.run(["psql", "-XAtq", "-v", "ON_ERROR_STOP=1", "-d", URL, "-c", "SELECT * FROM audit"],
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True,
                          env=clean_environment({"PGPASSWORD": LOCAL.passwords()["reader"]}))
    print(done.stdout, end="")
    if done.returncode == 0:
        rows = len(done.stdout.splitlines())
        print(f"audit: {rows} rows" if rows else "audit: empty", file=sys.stderr)
        return 1 if rows else 0
    return done.returncode


def main():
    try:
        LOCAL.passwords()
        if not connects("127.0.0.1", LOCAL.postgres_port):
            raise Failure("it does not run here now: make up")
        return audit() if sys.argv[1:] == ["audit"] else psql()
    except Failure as failure:
        print(f"hubbub: {failure}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
