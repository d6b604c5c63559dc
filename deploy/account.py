#!/usr/bin/python3
"""The accounts of the hubbub that `make up` runs, for its owner: account.py --build DIRECTORY passwd|forget NAME.

passwd sets the password, from the terminal or a line of the standard input; forget makes it a guest's name again.
"""

import argparse
import os
import sys

from local import Local
from place import Failure
from services import clean_environment, connects


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--build", required=True)
    parser.add_argument("--local", help="the directory of its data, if not .local")
    parser.add_argument("--shift", type=int, default=0, help="added to every port")
    parser.add_argument("command", choices=["passwd", "forget"])
    parser.add_argument("name")
    asked = parser.parse_args()
    local, program = Local(asked.local, asked.shift), os.path.join(asked.build, "store", "hubbub-store")
    try:
        secret = local.passwords()
        if not asked.name:
            raise Failure(f"whose? make {asked.command} NAME=...")
        if not connects("127.0.0.1", local.postgres_port) or not connects("127.0.0.1", local.redis_port):
            raise Failure("it does not run here now: make up")
        os.execve(program, [program, asked.command, asked.name], clean_environment({
            **{key: value for key, value in os.environ.items() if key.startswith("HUBBUB_PASSWORD_")},
            "HUBBUB_REDIS_URL": f"redis://127.0.0.1:{local.redis_port}", "HUBBUB_REDIS_PASSWORD": secret["redis"],
            "HUBBUB_POSTGRES_URL": f"postgresql://hubbub_store@127.0.0.1:{local.postgres_port}/hubbub",
            "HUBBUB_POSTGRES_PASSWORD": secret["store"]}))
    except (Failure, FileNotFoundError) as failure:
        print(f"hubbub: {failure}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
