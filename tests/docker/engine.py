"""engine: a Docker engine, compose and the base images, wherever that is possible.

Where an engine runs and images can be pulled, there is nothing to do.  Else, step by step:

- No engine: Debian's is installed and started, with data and a socket of its own, so that the machine's own engine, if
  it has one, and what it holds are left alone.  It ends with this process; its images stay, for the next time.
- No compose of version 2: Debian 13's package holds one file that also runs on Debian 12.
- An image cannot be pulled: debian:trixie-slim is made with mmdebstrap, the others are the stand-ins beside this file.
"""

import json
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time

from place import Failure, die_with_parent, wait_for

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.realpath(os.path.join(HERE, "../.."))
STATE = "/var/lib/hubbub-docker"  # the data of the engine that we start
SOCKET = "/run/hubbub-docker.sock"
BASE = "debian:trixie-slim"
PROJECT = "hubbub-test"  # what docker-compose.yml is called here
SERVERS = {"redis": "redis:8", "postgres": "postgres:17", "haproxy": "haproxy:3.0"}
STAND_IN = "hubbub.stand-in"  # the label of what was not pulled
PULL_SECONDS = 300
# As debian:trixie-slim is made: no manuals and translations, no package lists.
SLIM = [f"--dpkgopt=path-exclude=/usr/share/{what}/*" for what in ("doc", "man", "info", "locale")]
FETCH_COMPOSE = """cd /tmp && (apt-get update && apt-get download docker-compose) >&2 &&
dpkg --fsys-tarfile docker-compose_*.deb | tar -xO ./usr/libexec/docker/cli-plugins/docker-compose"""


def say(text):
    print(f"test-docker: {text}", flush=True)


def run(command, seconds=900, **how):
    """The output of a command; raises Failure with what it said if it fails."""
    how = {"cwd": ROOT, "stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **how}
    try:
        done = subprocess.run(command, timeout=seconds, **how)
    except subprocess.TimeoutExpired:
        raise Failure(f"{' '.join(command[:4])}: not done within {seconds} s") from None
    except FileNotFoundError:
        raise Failure(f"{command[0]} is not installed") from None
    if done.returncode != 0:
        said = ((done.stdout or b"") + (done.stderr or b"")).decode(errors="replace")
        raise Failure(f"{' '.join(command[:4])}: status {done.returncode}\n{said[-20000:]}")
    return (done.stdout or b"").decode(errors="replace").strip()


def works(command, seconds=60):
    try:
        run(command, seconds)
    except Failure:
        return False
    return True


def remove_project(name):
    """Removes what Docker holds of a compose project: containers, networks, volumes; images stay."""
    mine = f"label=com.docker.compose.project={name}"
    for listing, removal in ((["docker", "ps", "-aq"], ["docker", "rm", "-fv"]),
                             (["docker", "network", "ls", "-q"], ["docker", "network", "rm"]),
                             (["docker", "volume", "ls", "-q"], ["docker", "volume", "rm", "-f"])):
        found = run(listing + ["--filter", mine]).split()
        if found:
            run(removal + found)


class Footprint:
    """What a dockerd leaves behind in the machine's network: made before it starts, removed after it has ended."""

    TABLES = ("filter", "nat")
    FORWARD = "/proc/sys/net/ipv4/ip_forward"

    def __init__(self):
        self.rules = {table: self.list_rules(table) for table in self.TABLES}
        self.had_bridge = os.path.exists("/sys/class/net/docker0")
        with open(self.FORWARD) as file:
            self.forward = file.read()

    def list_rules(self, table):
        try:
            return run(["iptables", "-t", table, "-S"]).split("\n")
        except Failure:
            return []

    def remove(self):
        for table in self.TABLES:
            # Of what is new, Docker's own alone: others may have made rules meanwhile.
            new = [rule.split() for rule in self.list_rules(table)
                   if rule not in self.rules[table] and re.search(r"DOCKER|docker0| br-", rule)]
            old = [rule.split() for rule in self.rules[table] if rule.startswith("-P")]
            for undo in ([["-D"] + rule[1:] for rule in new if rule[0] == "-A"]
                         + [["-X"] + rule[1:] for rule in new if rule[0] == "-N"] + old):
                works(["iptables", "-w", "-t", table, *undo])
        if not self.had_bridge:
            works(["ip", "link", "delete", "docker0"])
            with open(self.FORWARD, "w") as file:
                file.write(self.forward)
        shutil.rmtree("/run/hubbub-docker", ignore_errors=True)


class Engine:
    """After prepare(), `docker` and `docker compose` work in our environment; end() ends what prepare() started."""

    def __init__(self):
        self.process = None
        self.log = None
        self.footprint = None
        self.made = []  # images that we gave names which are not theirs

    def prepare(self):
        self.find_engine()
        images = [BASE] + list(SERVERS.values())
        complete = all(self.has(image) or self.can_pull(image) for image in images)
        if not complete and not self.has(BASE):
            self.make_base()
        self.find_compose()
        if not complete:
            self.make_stand_ins([name for name, image in SERVERS.items() if not self.has(image)])
        say(f"engine {run(['docker', 'version', '-f', '{{.Server.Version}}'])}, "
            f"compose {run(['docker', 'compose', 'version', '--short'])}, "
            + (f"Debian's stand in for {', '.join(self.made)}, which cannot be pulled" if self.made else "official images"))

    # The engine

    def find_engine(self):
        if shutil.which("docker") and works(["docker", "info"]):
            return
        if os.geteuid() != 0:
            raise Failure("no Docker engine answers: start one, or be root, who can have one started here")
        say("no engine runs: installing and starting one")
        run(["deploy/install.sh", "engine"])
        os.makedirs(STATE, exist_ok=True)
        os.environ["DOCKER_HOST"] = "unix://" + SOCKET
        os.environ.pop("DOCKER_CONTEXT", None)
        if works(["docker", "info"]):
            raise Failure(f"somebody else tests here now: an engine answers on {SOCKET}")
        self.log = os.path.join(STATE, "dockerd.log")
        self.footprint = Footprint()
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(
                ["dockerd", "--data-root", STATE + "/data", "--exec-root", "/run/hubbub-docker", "--host",
                 os.environ["DOCKER_HOST"], "--pidfile", "/run/hubbub-docker.pid"], stdin=subprocess.DEVNULL,
                stdout=log, stderr=log, start_new_session=True, preexec_fn=die_with_parent(signal.SIGTERM))
        wait_for(self.answers, 60, "the engine answers")

    def answers(self):
        if self.process.poll() is not None:
            with open(self.log) as log:
                raise Failure("dockerd ended: " + "".join(log.readlines()[-5:]))
        time.sleep(0.2)
        return works(["docker", "info"])

    def end(self):
        if self.process is None:
            if self.made:  # on an engine of somebody else nothing may go by a wrong name
                works(["docker", "image", "rm", "-f", *self.made])
            return
        self.process.terminate()
        try:
            self.process.wait(60)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        self.footprint.remove()

    # Compose

    def find_compose(self):
        if works(["docker", "compose", "version"]):
            found = re.match(r"v?(\d+)\.(\d+)", run(["docker", "compose", "version", "--short"]))
            if found and (int(found[1]), int(found[2])) >= (2, 20):
                return
        directory = STATE if self.process else os.path.join(ROOT, "build-docker")
        plugin = os.path.join(directory, "config/cli-plugins/docker-compose")
        os.environ["DOCKER_CONFIG"] = os.path.join(directory, "config")
        if not os.path.exists(plugin):
            say("no compose of version 2: taking Debian's")
            os.makedirs(os.path.dirname(plugin), exist_ok=True)
            with open(plugin + ".new", "wb") as file:
                run(["docker", "run", "--rm", BASE, "sh", "-c", FETCH_COMPOSE], stdout=file)
            os.chmod(plugin + ".new", 0o755)
            os.rename(plugin + ".new", plugin)
        run(["docker", "compose", "version"])

    # The images

    def is_stand_in(self, image):
        try:
            found = json.loads(run(["docker", "image", "inspect", image]))
        except Failure:
            return False
        return STAND_IN in (found[0]["Config"]["Labels"] or {})

    def has(self, image):
        """True if the image is there and is what it is called."""
        return works(["docker", "image", "inspect", image]) and not self.is_stand_in(image)

    def can_pull(self, image):
        return works(["docker", "pull", image], PULL_SECONDS)

    def make_base(self):
        self.made.append(BASE)
        if self.is_stand_in(BASE):
            return  # of an earlier run
        say(f"{BASE} cannot be pulled: making it with mmdebstrap")
        if not shutil.which("mmdebstrap"):
            run(["deploy/install.sh", "engine"])
        with tempfile.TemporaryDirectory() as directory:
            tar = os.path.join(directory, "base.tar")
            run(["mmdebstrap", "--variant=minbase"] + SLIM + ["trixie", tar])
            run(["docker", "import", "--change", f"LABEL {STAND_IN}=1", "--change", "CMD bash", tar, BASE])

    def make_stand_ins(self, names):
        """Builds them in any case: what has not changed comes from the engine's cache."""
        say(f"building stand-ins for the images of {', '.join(names)}")
        self.made += [SERVERS[name] for name in names]
        run(["docker", "compose", "-p", "hubbub-stand-ins", "-f", os.path.join(HERE, "stand-ins.yml"), "build", *names])
