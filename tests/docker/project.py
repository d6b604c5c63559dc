"""project: hubbub as docker-compose.yml describes it, under another name and on other ports, seen from outside."""

import json
import os
import re
import socket
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.realpath(os.path.join(HERE, "../.."))
sys.path[:0] = [os.path.join(ROOT, "tests/blackbox"), os.path.join(ROOT, "deploy")]
from hubbub import JsonClient, LineClient  # noqa: E402
from place import Failure, taken, wait_for  # noqa: E402

from console import Console  # noqa: E402
from engine import PROJECT as NAME, remove_project, run, say, works  # noqa: E402

PATIENCE = 30
DIALECTS = {"json": 7000, "line": 4000, "command": 5555, "gob": 8080, "prompt": 9999, "tls": 7443, "postgres": 5432}
SERVICES = ("redis", "postgres", "store", "gateway", "haproxy")
FILES = 20000  # what docker-compose.yml asks for


def free_ports():
    """Ports of the host that are free, in a row, below those that the kernel gives away."""
    for base in range(15000, 20000, 10):
        ports = {name: base + n for n, name in enumerate(DIALECTS)}
        if not any(taken("0.0.0.0", port) for port in ports.values()):
            return ports
    raise Failure("no free ports from 15000 to 20000")


class Container:
    """What Docker knows of one container now."""

    def __init__(self, known):
        self.known = known
        self.id, self.pid = known["Id"], known["State"]["Pid"]
        labels = known["Config"]["Labels"]
        self.service = labels["com.docker.compose.service"]
        self.name = f"{self.service}-{labels['com.docker.compose.container-number']}"
        self.health = known["State"].get("Health", {}).get("Status")

    def is_here(self):
        """True if the engine's pids are ours, too, and not those of another machine."""
        try:
            with open(f"/proc/{self.pid}/cgroup") as file:
                return self.id in file.read()
        except OSError:
            return False


class Project:
    def __init__(self, directory):
        """`directory` is for the certificate of haproxy."""
        self.ports = free_ports()
        self.tls = directory
        self.gateways = ["through the balancer"]  # for Traffic: one address for all
        self.environment = {**os.environ, "TEST_TLS": directory, "HUBBUB_RATE": "0",
                            **{f"PORT_{name.upper()}": str(port) for name, port in self.ports.items()}}
        self.directory = ROOT

    def compose_command(self, *arguments):
        return ["docker", "compose", "-p", NAME, "-f", "docker-compose.yml", "-f", os.path.join(HERE, "test.yml"), *arguments]

    def compose(self, *arguments, seconds=600, **how):
        return run(self.compose_command(*arguments), seconds, env=self.environment, cwd=self.directory, **how)

    def console(self, *arguments):
        """The same, at a terminal."""
        return Console(self.compose_command(*arguments), env=self.environment, cwd=self.directory)

    def build(self):
        self.compose("build", seconds=1200)
        if not works(["docker", "run", "--rm", f"--ulimit=nofile={FILES}", "--entrypoint=true", f"{NAME}-gateway"]):
            limit = run(["docker", "run", "--rm", "--entrypoint=bash", f"{NAME}-gateway", "-c", "ulimit -Hn"])
            self.environment["MAX_FILES"] = limit
            say(f"the engine does not allow {FILES} open files: testing with MAX_FILES={limit}")

    def up(self, *arguments):
        self.compose("up", "-d", *arguments)

    def remove(self):
        remove_project(NAME)

    def containers(self, *services):
        ids = run(["docker", "ps", "-aq", "--filter", f"label=com.docker.compose.project={NAME}"]).split()
        known = json.loads(run(["docker", "inspect", *ids])) if ids else []
        found = [Container(one) for one in known]
        return sorted((one for one in found if one.service in (services or SERVICES)), key=lambda one: one.name)

    def healthy(self):
        return all(one.health == "healthy" for one in self.containers())

    def wait_healthy(self, seconds=60):
        def all_well():
            time.sleep(0.2)
            return self.healthy()

        wait_for(all_well, seconds, "every container is healthy")

    def wait_health(self, name, health, seconds=60):
        def so():
            time.sleep(0.2)
            return any(one.name == name and one.health == health for one in self.containers())

        wait_for(so, seconds, f"{name} is {health}")

    def kill(self, container):
        """SIGKILL from the host to the process itself: after a `docker kill` it would not be started again."""
        if os.geteuid() == 0 and container.is_here():
            os.kill(container.pid, 9)
        else:
            run(["docker", "run", "--rm", "--user=0", "--pid=host", "--entrypoint=bash",
                 f"{NAME}-gateway", "-c", f"kill -9 {container.pid}"])

    def wait_restarted(self, killed, seconds=60):
        def again():
            time.sleep(0.1)
            now = json.loads(run(["docker", "inspect", killed.id]))[0]["State"]
            return now["Running"] and now["Pid"] not in (0, killed.pid)

        wait_for(again, seconds, f"{killed.name} runs again")

    def logs(self, lines=60):
        return self.compose("--ansi", "never", "logs", "--no-color", "--tail", str(lines), stderr=subprocess.STDOUT)

    # What the tests of `make test` ask of an installation

    def port(self, dialect, gateway=1):
        return self.ports[dialect]

    def json(self, name, **login):
        client = JsonClient(self.ports["json"])
        client.send({"type": "join", "data": name, **login})
        client.welcome = client.expect(type="welcome")
        return client

    def line(self, name):
        client = LineClient(self.ports["line"])
        client.send(f"LOGIN {name}")
        client.expect("OK")
        return client

    def sql(self, query, role="postgres"):
        """As the superuser, who sees more than the views."""
        return self.compose("exec", "-T", "postgres", "psql", "-XAtq", "-U", role, "-v", "ON_ERROR_STOP=1", "-c", query)

    def wait_sql(self, query, answer, seconds=PATIENCE):
        deadline = time.monotonic() + seconds
        while (seen := self.sql(query)) != answer:
            assert time.monotonic() < deadline, f"{query}\n  answers {seen!r}\n  and not {answer!r}"
            time.sleep(0.2)


def readme_queries():
    """The SQL in the README that is for `docker compose exec postgres psql`."""
    with open(os.path.join(ROOT, "README.md")) as file:
        return [query.strip() for block in re.findall(r"```sql\n(.*?)```", file.read(), re.S)
                for query in block.split(";") if query.strip()]


def answers(port, address="127.0.0.1"):
    """True if a connection to the port is taken and kept for a moment."""
    try:
        with socket.create_connection((address, port), timeout=2) as link:
            link.settimeout(0.5)
            return link.recv(1) != b""
    except (TimeoutError, socket.timeout):
        return True
    except OSError:
        return False
