"""local: what `make up` keeps under .local, and on which ports it listens."""

import hashlib
import json
import os
import secrets

from place import Failure, Place, account, reachable

ROOT = os.path.realpath(os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
LOCAL = os.path.join(ROOT, ".local")
RUN = os.path.join(LOCAL, "run")
LOG = os.path.join(LOCAL, "log")
DATA = os.path.join(LOCAL, "data")
PASSWORDS = os.path.join(LOCAL, "passwords")

DIALECTS = {"json": 7000, "line": 4000}
REDIS_PORT = 7379
POSTGRES_PORT = 7432
HTTP_PORT = 9100


def make_place(say):
    """The Place of the data.  Servers that root starts must be able to enter it, which decides where it is."""
    for directory in (LOCAL, RUN, LOG):
        os.makedirs(directory, exist_ok=True)
    if os.geteuid() == 0:
        os.chmod(LOCAL, 0o711)
        nobody = account("nobody")
        if not reachable(LOCAL, nobody):
            if not os.path.lexists(DATA):
                elsewhere = "/var/lib/hubbub-" + hashlib.sha256(ROOT.encode()).hexdigest()[:8]
                os.makedirs(elsewhere, exist_ok=True)
                os.symlink(elsewhere, DATA)
            if not os.path.islink(DATA):
                raise Failure(f"the servers do not run as root, and others cannot enter {LOCAL}: chmod o+x its parents")
            say(f"hubbub: others cannot enter {ROOT}, so the data is in {os.path.realpath(DATA)}")
    os.makedirs(os.path.realpath(DATA), exist_ok=True)
    return Place(DATA, LOG)


def passwords(make=False):
    """The passwords of the private servers; made once, for the eyes of whoever runs them."""
    if not os.path.exists(PASSWORDS):
        if not make:
            raise Failure("hubbub was never started here: make up")
        made = {who: secrets.token_hex(16) for who in ("redis", "postgres", "store", "reader")}
        with open(os.open(PASSWORDS + ".new", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            json.dump(made, file)
        os.rename(PASSWORDS + ".new", PASSWORDS)
    try:
        with open(PASSWORDS) as file:
            return json.load(file)
    except PermissionError:
        raise Failure(f"{PASSWORDS} belongs to somebody else: be the one who ran make up") from None
