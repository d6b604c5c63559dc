"""servers: hubbub, the floor and the peers as the benchmarks run them.

The server under test has a core for itself; load, Redis, PostgreSQL and the store share another, so that what they cost
is not taken for the server's.  Each server is started once, on a port of its own, and is idle while another is measured.
"""

import contextlib
import os
import shutil
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.realpath(os.path.join(HERE, ".."))
sys.path.append(os.path.join(ROOT, "deploy"))
from place import Failure, account, wait_for  # noqa: E402
from publish import FUNCTIONS, LANES, REVISION, stream_to_id  # noqa: E402
from services import Gateway, Postgres, Redis, Server, Store, connects  # noqa: E402

CORES = sorted(os.sched_getaffinity(0))  # that we may use; run.py needs two
SERVER_CORE, OTHER_CORE = (CORES * 2)[:2]
KEY_VERSION = "1"
CATCH_UP_SECONDS = 120
# As a status, which is one line.
NEWEST = "local last = redis.call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', 1)[1]; return {ok = last and last[1] or '0-0'}"


@contextlib.contextmanager
def on_cores(cores):
    """What is started within runs on this core (or these), as do the threads and processes that it makes."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {cores} if isinstance(cores, int) else set(cores))
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def sockets(pid):
    """How many descriptors the process has open."""
    return len(os.listdir(f"/proc/{pid}/fd"))


class Peer(Server):
    """A server that is one process with one port."""

    dialect = None
    joining = 200   # so many log in at once
    program = None  # and the package that it is in

    def __init__(self, place, port, name):
        super().__init__(place, name)
        self.port = port
        self.owner = account("nobody")
        self.directory = place.directory(name, self.owner)

    @property
    def address(self):
        return f"127.0.0.1:{self.port}"

    def find_program(self):
        found = shutil.which(self.program, path=os.environ.get("PATH", "") + ":/usr/sbin")
        if not found:
            raise Failure(f"{self.program} is not installed")
        return found

    def ready(self):
        return connects("127.0.0.1", self.port)


class Floor(Peer):
    dialect = "raw"

    def __init__(self, place, port, binary):
        super().__init__(place, port, "floor")
        self.binary = binary

    def command(self):
        return [self.place.binary(self.binary), self.address]


class Ngircd(Peer):
    """Penalties off, which are its flood limits."""

    dialect, program = "irc", "ngircd"
    joining = 8  # it listens with a backlog of 10, and what does not fit waits for TCP's retransmissions

    def __init__(self, place, port):
        super().__init__(place, port, "ngircd")

    def command(self):
        config = f"""
[Global]
Name = irc.bench.invalid
Info = benchmark
Listen = 127.0.0.1
Ports = {self.port}
MotdPhrase = hello
[Limits]
MaxConnections = 0
MaxConnectionsIP = 0
MaxJoins = 0
MaxNickLength = 30
MaxPenaltyTime = 0
PingTimeout = 3600
PongTimeout = 3600
[Options]
DNS = no
Ident = no
PAM = no
CloakUserToNick = yes
"""
        return [self.find_program(), "--nodaemon", "--config", self.place.write("ngircd.conf", config, self.owner)]


class Inspircd(Peer):
    """Without fakelag, command rates and lookups, and with queues that nobody fills."""

    dialect, program = "irc", "inspircd"
    joining = 4000  # it lets them in once a second, all who wait

    def __init__(self, place, port):
        super().__init__(place, port, "inspircd")

    def command(self):
        config = f"""
<server name="irc.bench.invalid" description="benchmark" network="bench">
<admin name="nobody" nick="nobody" email="nobody@bench.invalid">
<bind address="127.0.0.1" port="{self.port}" type="clients">
<path datadir="{self.directory}" logdir="{self.directory}" runtimedir="{self.directory}">
<pid file="{self.directory}/inspircd.pid">
<connect name="all" allow="*" timeout="60" pingfreq="1h" hardsendq="64M" softsendq="64M" recvq="1M"
         threshold="1000000" commandrate="1000000000" fakelag="no" localmax="100000" globalmax="100000"
         maxconnwarn="no" resolvehostnames="no" useident="no" maxchans="100">
<cidr ipv4clone="32" ipv6clone="128">
<performance softlimit="100000" somaxconn="4096" netbuffersize="65534" quietbursts="yes" nouserdns="yes">
<limits maxnick="30" maxchan="64" maxmodes="20" maxident="12" maxhost="64" maxquit="255" maxtopic="307"
        maxkick="255" maxreal="128" maxaway="200" maxline="512">
<options prefixquit="" defaultmodes="n" splitwhois="no" allowzerolimit="no" exemptchanops="">
<log method="file" type="* -USERINPUT -USEROUTPUT" level="default" target="{self.directory}/inspircd.log">
<whowas groupsize="0" maxgroups="0" maxkeep="1s">
"""
        # A copy: Debian's profile for AppArmor is of /usr/sbin/inspircd, and forbids it any other place for its files.
        program = shutil.copy(self.find_program(), os.path.join(self.directory, "inspircd"))
        return [program, "--nofork", "--config=" + self.place.write("inspircd.conf", config, self.owner)]


class Nats(Peer):
    dialect, program = "nats", "nats-server"

    def __init__(self, place, port):
        super().__init__(place, port, "nats")

    def environment(self):
        return {"GOMAXPROCS": "1"}  # it has one core

    def command(self):
        config = f"""
listen: "{self.address}"
max_connections: 100000
max_pending: 268435456
write_deadline: "60s"
ping_interval: "1h"
"""
        return [self.find_program(), "-c", self.place.write("nats.conf", config, self.owner)]


class OwnGateway(Gateway):
    """A gateway whose clients come to it directly, with rate limits off."""

    def __init__(self, place, name, binary, settings, ports):
        self.http_port, self.ports = ports.take(), {"json": ports.take(), "line": ports.take()}
        listen = ",".join(f"{dialect}://127.0.0.1:{port}?idle=0" if dialect == "line" else f"{dialect}://127.0.0.1:{port}"
                          for dialect, port in self.ports.items())
        super().__init__(place, name, binary, {
            "HUBBUB_GATEWAY": name, "HUBBUB_LISTEN": listen, "HUBBUB_HTTP_LISTEN": f"127.0.0.1:{self.http_port}",
            "HUBBUB_RATE": "0", "HUBBUB_LOG_LEVEL": "warn", "HUBBUB_LOGIN_TIMEOUT": "600", **settings})

    def address(self, dialect):
        return f"127.0.0.1:{self.ports[dialect]}"


class Installation:
    """The whole of hubbub: a durable Redis and PostgreSQL, a store and some gateways, the first of which is under test
    unless a scenario says otherwise."""

    def __init__(self, place, ports, build, gateways=1, prefix="", redis_core=OTHER_CORE, gateway_core=SERVER_CORE,
                 other_core=OTHER_CORE, with_store=True):
        self.redis_core, self.gateway_core, self.other_core = redis_core, gateway_core, other_core
        self.redis = Redis(place, ports.take(), name=prefix + "redis", memory="8gb")
        settings = {"HUBBUB_REDIS_URL": self.redis.url, "HUBBUB_STORE_URL": ""}
        self.postgres = self.store = None
        if with_store:
            self.postgres = Postgres(place, ports.take(), durable=True, name=prefix + "postgres")
            listen = f"127.0.0.1:{ports.take()}"
            settings["HUBBUB_STORE_URL"] = f"store://{listen}"
            self.store = Store(place, prefix + "store", os.path.join(build, "store/hubbub-store"), {
                "HUBBUB_STORE_LISTEN": listen, "HUBBUB_REDIS_URL": self.redis.url,
                "HUBBUB_POSTGRES_URL": self.postgres.url("hubbub_store")})
        self.gateways = [OwnGateway(place, f"{prefix}g{n}", os.path.join(build, "gateway/hubbub-gateway"), settings,
                                    ports) for n in range(1, gateways + 1)]

    @property
    def gateway(self):
        return self.gateways[0]

    @property
    def servers(self):
        return [server for server in [self.redis, self.postgres, self.store] + self.gateways if server]

    def start(self):
        with on_cores(self.redis_core):
            self.redis.start()
        if self.store:
            with on_cores(self.other_core):
                self.postgres.start()
                self.postgres.migrate()
                self.store.start()
        else:
            self.open_lanes()
        with on_cores(self.gateway_core):
            for gateway in self.gateways:
                gateway.start()
        return self

    def open_lanes(self):
        """Does what a store does first: loads the functions and opens every lane, at the present."""
        with open(FUNCTIONS) as lua:
            self.call("FUNCTION", "LOAD", lua.read())
        for lane in range(LANES):
            self.call("FCALL", f"open_{REVISION}", 1, f"hubbub:{{{lane}}}", f"{int(time.time() * 1000)}-0", KEY_VERSION)

    def call(self, *words):
        """One command to Redis; an error is a Failure."""
        answer = self.redis.call(*words)
        if answer.startswith("-"):
            raise Failure(f"redis: {words[0]} {words[1]}: {answer}")
        return answer

    def is_empty(self):
        """True when everybody who was here has left, also for Redis."""
        return self.call("HLEN", "hubbub:{0}:names") == ":0"

    def newest(self, lane):
        """The id of the last entry of a lane's log; 0 if there is none."""
        last = self.call("EVAL", NEWEST, 1, f"hubbub:{{{lane}}}:log")[1:]
        return stream_to_id(lane, last) if last != "0-0" else 0

    def catch_up(self):
        """Waits until PostgreSQL has all that Redis has: else the store would still work while another is measured."""
        if not self.store:
            return
        newest = [self.newest(lane) for lane in range(LANES)]

        def stored():
            positions = self.postgres.query("SELECT position FROM cursors ORDER BY lane").split()
            return all(int(position) >= last for position, last in zip(positions, newest))

        wait_for(stored, CATCH_UP_SECONDS, "the store has caught up")

    def settle(self):
        """Nothing of what was done before is to be paid by what is measured next."""
        self.catch_up()
        if self.store:
            self.postgres.query("CHECKPOINT")

    def stop(self):
        for server in reversed(self.servers):
            server.stop()
