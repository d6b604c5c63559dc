"""local: what `make up` keeps under .local, and on which ports it listens."""

import hashlib
import json
import os
import pwd
import secrets

from place import Failure, Place, account, reachable

ROOT = os.path.realpath(os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
DIALECTS = {"json": 7000, "line": 4000, "command": 5555, "gob": 8080, "prompt": 9999}
# Of the servers, of the roles in PostgreSQL, and what gateways say to the store.
PASSWORDS = ("redis", "postgres", "store", "reader", "requests")
PEOPLES_GATEWAYS = 2  # so many gateways have ports of their own for people


class Local:
    """One installation on this machine.  `shift` is added to every port, so that a test can have one of its own."""

    def __init__(self, directory=None, shift=0):
        self.directory = os.path.realpath(directory or os.path.join(ROOT, ".local"))
        self.run = os.path.join(self.directory, "run")
        self.log = os.path.join(self.directory, "log")
        self.data = os.path.join(self.directory, "data")
        self.password_file = os.path.join(self.directory, "passwords")
        self.shift = shift
        self.dialects = {name: port + shift for name, port in DIALECTS.items()}  # haproxy's ports
        self.redis_port, self.postgres_port, self.http_port = 7379 + shift, 7432 + shift, 9100 + shift
        self.store_port = 7400 + shift

    @staticmethod
    def gateway_address(n):
        """Where gateway n takes haproxy's connections, with PROXY headers: one port above haproxy's own."""
        return f"127.1.0.{n}"

    def peoples_ports(self, n):
        """The ports of gateway n that need no haproxy."""
        return {name: n * 10000 + port for name, port in self.dialects.items()} if n <= PEOPLES_GATEWAYS else {}

    def all_ports(self, gateways):
        """Every (address, port) that `gateways` gateways and the rest need."""
        ports = [("0.0.0.0", port) for port in self.dialects.values()]
        ports += [("127.0.0.1", port) for port in (self.redis_port, self.postgres_port, self.store_port)]
        for n in range(1, gateways + 1):
            own = [self.http_port] + [port + 1 for port in self.dialects.values()]
            ports += [(self.gateway_address(n), port) for port in own]
            ports += [("0.0.0.0", port) for port in self.peoples_ports(n).values()]
        return ports

    def listen_setting(self, n):
        where = [f"{name}://{self.gateway_address(n)}:{port + 1}?proxy=1" for name, port in self.dialects.items()]
        where += [f"{name}://0.0.0.0:{port}" for name, port in self.peoples_ports(n).items()]
        return ",".join(where)

    def make_place(self, say):
        """The Place of the data.  Servers that root starts must be able to enter it, which decides where it is."""
        self.check_owner()
        for directory in (self.directory, self.run, self.log):
            os.makedirs(directory, exist_ok=True)
        if os.geteuid() == 0:
            os.chmod(self.directory, 0o711)
            if not reachable(self.directory, account("nobody")):
                self.move_data(say)
        os.makedirs(os.path.realpath(self.data), exist_ok=True)
        return Place(self.data, self.log)

    def check_owner(self):
        """Root must not take over what is somebody else's, who could not start it any more."""
        if os.path.exists(self.directory) and os.stat(self.directory).st_uid != os.geteuid():
            owner = pwd.getpwuid(os.stat(self.directory).st_uid).pw_name
            raise Failure(f"{self.directory} belongs to {owner}: run make up as {owner}, or remove it to begin anew")

    def move_data(self, say):
        if not os.path.lexists(self.data):
            elsewhere = "/var/lib/hubbub-" + hashlib.sha256(self.directory.encode()).hexdigest()[:8]
            if os.path.exists(elsewhere):
                raise Failure(f"{elsewhere} holds the data of an earlier make up here: remove it too to begin anew")
            os.makedirs(elsewhere)
            os.symlink(elsewhere, self.data)
        if not os.path.islink(self.data):
            raise Failure(f"servers do not run as root, and nobody else can enter {self.directory}: "
                          "chmod o+x the directories above it")
        say(f"hubbub: only root can enter {self.directory}, so the data is in {os.path.realpath(self.data)}")

    def passwords(self, make=False):
        """The passwords of the private servers; made once, for the eyes of whoever runs them."""
        if not os.path.exists(self.password_file):
            if not make:
                raise Failure("it was never started here: make up (in containers: docker compose exec postgres psql)")
            self.keep_passwords({})
        try:
            with open(self.password_file) as file:
                kept = json.load(file)
        except PermissionError:
            raise Failure(f"{self.password_file} belongs to somebody else: be the one who ran make up") from None
        return self.keep_passwords(kept) if make else kept

    def keep_passwords(self, kept):
        """Makes those that are missing: all of them, or what this version has and the last one had not."""
        made = {who: kept.get(who) or secrets.token_hex(16) for who in PASSWORDS}
        if made != kept:
            with open(os.open(self.password_file + ".new", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
                json.dump(made, file)
            os.rename(self.password_file + ".new", self.password_file)
        return made
