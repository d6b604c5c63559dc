"""services: how each server is started, found ready and ended; `make up` and all tests start theirs here.

A server is one process in a session of its own, so that it can be frozen or killed alone.  It ends when the
process that started it ends, however that happens.
"""

import glob
import os
import shutil
import signal
import socket
import subprocess
import urllib.error
import urllib.request

from place import STOPPING, Failure, account, die_with_parent, identity, wait_for

READY_SECONDS = 60


def clean_environment(extra):
    """Our environment without what would reach a server by accident, and with `extra`."""
    base = {key: value for key, value in os.environ.items() if not key.startswith(("HUBBUB_", "PG"))}
    return {**base, **extra}


def connects(address, port):
    try:
        with socket.create_connection((address, port), timeout=2):
            return True
    except OSError:
        return False


def inside(directory):
    """The pids of all processes that work in `directory`."""
    found = []
    for link in glob.glob("/proc/[0-9]*/cwd"):
        try:
            if os.readlink(link) == directory:
                found.append(int(link.split("/")[2]))
        except OSError:
            pass
    return found


class Server:
    """One server process.  A subclass says with what it runs and when it is ready."""

    owner = None  # the account; None: oneself
    stop_signal = signal.SIGTERM
    stop_seconds = 15

    def __init__(self, place, name):
        self.place, self.name = place, name
        self.log = os.path.join(place.logs, name + ".log")
        self.process = None
        self.killed = False  # by us, with SIGKILL, since its last start
        self.asked = False   # to end, since its last start
        self.log_start = 0

    def command(self):
        raise NotImplementedError

    def environment(self):
        return {}

    def ready(self):
        raise NotImplementedError

    def settled(self):
        """False while something of an earlier run is in the way."""
        return not inside(self.directory)

    def prepare(self):
        """What must be done before each start."""
        wait_for(self.settled, 60, f"the last process in {self.directory} is gone")

    @property
    def pid(self):
        return self.process.pid

    def alive(self):
        return self.process is not None and self.process.poll() is None

    def start(self, wait=True):
        self.prepare()
        command = self.command()
        with open(self.log, "ab") as log:
            self.log_start = log.tell()
            # A handler that raises must not come between the process and our knowing it.
            held = signal.pthread_sigmask(signal.SIG_BLOCK, STOPPING)
            try:
                self.process = subprocess.Popen(
                    command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.directory,
                    env=clean_environment(self.environment()), start_new_session=True,
                    preexec_fn=die_with_parent(self.stop_signal), **identity(self.owner))
            finally:
                signal.pthread_sigmask(signal.SIG_SETMASK, held)
        self.killed = self.asked = False
        if wait:
            self.wait_ready()
        return self

    def wait_ready(self, seconds=READY_SECONDS):
        def ready_or_ended():
            if not self.alive():
                last = self.log_tail(1).strip() or "it said nothing"
                raise Failure(f"{self.name} ended with status {self.process.returncode}: {last}")
            return self.ready()

        wait_for(ready_or_ended, seconds, f"{self.name} is ready")

    def kill(self, sig=signal.SIGKILL):
        """Sends a signal to the server alone; after SIGKILL it is gone when this returns."""
        os.kill(self.pid, sig)
        if sig == signal.SIGKILL:
            self.killed = True
            self.process.wait()

    def is_frozen(self):
        with open(f"/proc/{self.pid}/stat") as stat:
            return stat.read().rpartition(")")[2].split()[0] == "T"

    def ask_to_stop(self):
        """Tells it to end, once: a second signal may interrupt what it does then.

        Only one that is frozen gets SIGCONT, since that would also undo the stop by which LeakSanitizer, at the end of
        a program, attaches to it: both would wait for ever.
        """
        if self.alive() and not self.asked:
            self.asked = True
            self.kill(self.stop_signal)
            if self.is_frozen():
                self.kill(signal.SIGCONT)

    def stop(self):
        """Ends it cleanly, or by force if that takes too long; returns its exit status."""
        if self.process is None:
            return None
        self.ask_to_stop()
        try:
            self.process.wait(self.stop_seconds)
        except subprocess.TimeoutExpired:
            os.killpg(self.pid, signal.SIGKILL)  # its status tells that it had to be
            self.process.wait()
        return self.process.returncode

    def log_text(self):
        """What it logged since its last start."""
        with open(self.log, "rb") as log:
            log.seek(self.log_start)
            return log.read().decode(errors="replace")

    def all_logs(self):
        """What it logged in all its runs."""
        try:
            with open(self.log, "rb") as log:
                return log.read().decode(errors="replace")
        except FileNotFoundError:
            return ""

    def log_tail(self, lines):
        try:
            with open(self.log, "rb") as log:
                return b"".join(log.readlines()[-lines:]).decode(errors="replace")
        except FileNotFoundError:
            return ""


class Redis(Server):
    def __init__(self, place, port, password="", name="redis", memory="2gb"):
        super().__init__(place, name)
        self.port, self.password, self.memory = port, password, memory
        self.owner = account("redis", "nobody")
        self.directory = place.directory(name, self.owner)

    @property
    def url(self):
        return f"redis://127.0.0.1:{self.port}"

    def command(self):
        lines = ["bind 127.0.0.1", f"port {self.port}", f"dir {self.directory}", "daemonize no",
                 "appendonly yes", "appendfsync always", 'save ""', f"maxmemory {self.memory}",
                 "maxmemory-policy noeviction", "client-output-buffer-limit pubsub 256mb 64mb 60"]
        if self.password:
            lines.append(f"requirepass {self.password}")
        return ["redis-server", self.place.write(self.name + ".conf", "\n".join(lines) + "\n", self.owner)]

    def call(self, *words):
        """Sends one command over a connection of its own; returns the first line of the answer."""
        def encode(parts):
            return b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%s\r\n" % (len(p), p) for p in
                                                       (str(part).encode() for part in parts))

        with socket.create_connection(("127.0.0.1", self.port), timeout=5) as link, link.makefile("rb") as answers:
            if self.password:
                link.sendall(encode(["AUTH", self.password]))
                answers.readline()
            link.sendall(encode(words))
            return answers.readline().decode().strip()

    def ready(self):
        try:
            return self.call("PING") == "+PONG"
        except OSError:
            return False


class Postgres(Server):
    """A cluster of its own with the superuser postgres and the database hubbub, on 127.0.0.1 only."""

    stop_signal = signal.SIGINT  # "fast": breaks the connections, loses nothing

    def __init__(self, place, port, password="", durable=False, name="postgres"):
        super().__init__(place, name)
        self.port, self.password, self.durable = port, password, durable
        self.owner = account("postgres")
        self.directory = place.directory(name, self.owner)
        self.programs = self.find_programs()

    @staticmethod
    def find_programs():
        found = glob.glob("/usr/lib/postgresql/*/bin/postgres")
        if not found:
            raise Failure("PostgreSQL's server is not installed: apt-get install postgresql")
        return os.path.dirname(max(found, key=lambda path: float(path.split("/")[4])))

    def url(self, role="postgres", database="hubbub"):
        """A connection URI, without a password: that goes into PGPASSWORD."""
        return f"postgresql://{role}@127.0.0.1:{self.port}/{database}"

    def environment(self):
        return {"TZ": "UTC", "LC_ALL": "C.UTF-8"}

    def command(self):
        options = {"listen_addresses": "127.0.0.1", "port": self.port, "unix_socket_directories": "",
                   "logging_collector": "off", "timezone": "UTC"}
        if not self.durable:
            options.update(fsync="off", full_page_writes="off", shared_buffers="32MB",
                           autovacuum_naptime="1h")
        return [self.programs + "/postgres", "-D", self.directory] + [
            f"--{key}={value}" for key, value in options.items()]

    def prepare(self):
        if not os.path.exists(self.directory + "/PG_VERSION"):
            self.initialise()
        with open(self.directory + "/PG_VERSION") as file:
            version = file.read().strip()
        if version != self.programs.split("/")[4]:
            raise Failure(f"{self.directory} was made by PostgreSQL {version}, but {self.programs} is installed: "
                          "pg_upgrade it, or move it away to start with an empty history")
        super().prepare()  # the children of a killed postmaster hold its shared memory; they go by themselves
        # Nobody works here now, so the pid in it can only mislead: another process may have that number.
        if os.path.exists(self.directory + "/postmaster.pid"):
            os.unlink(self.directory + "/postmaster.pid")

    def initialise(self):
        """Makes the cluster beside its place, then moves it there: half a cluster is never taken for one."""
        beside = self.place.path + "/" + self.name + ".new"
        shutil.rmtree(beside, ignore_errors=True)
        self.place.directory(self.name + ".new", self.owner)
        secret = self.place.write("superuser", self.password + "\n", self.owner)
        arguments = ["-D", beside, "-U", "postgres", "-E", "UTF8", "--locale=C.UTF-8"]
        arguments += ["--auth=scram-sha-256", f"--pwfile={secret}"] if self.password else ["--auth=trust"]
        arguments += [] if self.durable else ["--no-sync"]
        made = subprocess.run([self.programs + "/initdb"] + arguments, cwd=beside,
                              env=clean_environment(self.environment()), stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **identity(self.owner))
        os.unlink(secret)
        if made.returncode != 0:
            raise Failure(f"initdb failed: {made.stdout.strip()}")
        os.rename(beside, self.directory)

    def ready(self):
        """The postmaster writes its state into the eighth line of its pid file."""
        try:
            with open(self.directory + "/postmaster.pid") as file:
                lines = file.read().split("\n")
        except OSError:
            return False
        return len(lines) > 7 and lines[0] == str(self.pid) and lines[7].strip() == "ready"

    def query(self, sql, role="postgres", database="hubbub"):
        """The answer of psql, unaligned and without headings."""
        done = subprocess.run(
            ["psql", "-XAtq", "-v", "ON_ERROR_STOP=1", "-d", self.url(role, database), "-c", sql], cwd="/",
            env=clean_environment({"PGPASSWORD": self.password, "PGCONNECT_TIMEOUT": "10"}),
            stdin=subprocess.DEVNULL, capture_output=True, text=True)
        if done.returncode != 0:
            raise Failure(f"psql: {done.stderr.strip()}")
        return done.stdout.rstrip("\n")

    def migrate(self, store_password="", reader_password=""):
        """Makes the database and brings its schema up to date."""
        if not self.query("SELECT 1 FROM pg_database WHERE datname = 'hubbub'", database="postgres"):
            self.query("CREATE DATABASE hubbub", database="postgres")
        script = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../migrations/migrate.sh")
        secrets = {"PGPASSWORD": self.password, "STORE_PASSWORD": store_password, "READER_PASSWORD": reader_password}
        done = subprocess.run([script, self.url()], env=clean_environment({k: v for k, v in secrets.items() if v}),
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        if done.returncode != 0:
            raise Failure("migrations/migrate.sh failed: " + done.stdout.strip())


class Program(Server):
    """One of hubbub's own; `settings` are HUBBUB_* variables."""

    def __init__(self, place, name, binary, settings):
        super().__init__(place, name)
        self.binary, self.settings = binary, settings
        self.owner = account("nobody")
        self.directory = place.directory(name, self.owner)

    def command(self):
        return [self.place.binary(self.binary)]

    def environment(self):
        return self.settings


class Store(Program):
    def ready(self):
        return "event=ready" in self.log_text()


class Gateway(Program):
    stop_seconds = 20  # HUBBUB_DRAIN, and some

    def ready(self):
        try:
            url = f"http://{self.settings['HUBBUB_HTTP_LISTEN']}/readyz"
            opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
            with opener.open(url, timeout=2) as answer:
                return answer.status == 200
        except (urllib.error.URLError, OSError):
            return False


class Haproxy(Server):
    """`config` is the text of its configuration, `ports` where it must listen."""

    def __init__(self, place, config, ports, name="haproxy"):
        super().__init__(place, name)
        self.config, self.ports = config, ports
        self.owner = account("haproxy", "nobody")
        self.directory = place.directory(name, self.owner)

    def command(self):
        return ["/usr/sbin/haproxy", "-db", "-f", self.place.write("haproxy.cfg", self.config, self.owner)]

    def ready(self):
        return all(connects("127.0.0.1", port) for port in self.ports)
