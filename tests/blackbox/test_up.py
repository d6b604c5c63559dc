"""`make up`: deploy/up.py runs everything, keeps it running, and ends it without a trace but the data."""

import os
import random
import signal
import socket
import subprocess
import sys

import pytest

from hubbub import BUILD, PATIENCE, ROOT, JsonClient, temporary_place, wait_for

from local import Local
from place import taken
from services import inside

PARTS = ["redis", "postgres", "store", "gateway-1", "gateway-2", "haproxy"]


class Up:
    """One installation by deploy/up.py, on shifted ports and in a directory of its own."""

    def __init__(self):
        self.place = temporary_place()
        self.local = Local(os.path.join(self.place.path, "local"), self.free_shift())
        self.output = os.path.join(self.place.path, "output")
        self.process = None

    def free_shift(self):
        """So much above the usual ports, there is room for all of them; a name that is bound keeps others off."""
        shifts = list(range(100, 1800, 10))
        random.shuffle(shifts)
        for shift in shifts:
            if any(taken(*where) for where in Local(None, shift).all_ports(2)):
                continue
            self.claim = socket.socket(socket.AF_UNIX)
            try:
                self.claim.bind(f"\0hubbub-test-shift-{shift}")
                return shift
            except OSError:
                self.claim.close()
        raise AssertionError("no free ports")

    def run(self, output, environment=None):
        return subprocess.Popen(
            [sys.executable, "-u", os.path.join(ROOT, "deploy/up.py"), "--build", BUILD, "--local",
             self.local.directory, "--shift", str(self.local.shift)], stdin=subprocess.DEVNULL, stdout=output,
            stderr=subprocess.STDOUT, env={**os.environ, **(environment or {})}, text=True)

    def start(self, **environment):
        with open(self.output, "w") as output:
            self.process = self.run(output, environment)
        self.wait_said("hubbub is ready")

    def said(self):
        with open(self.output) as output:
            return output.read()

    def wait_said(self, text, seconds=60):
        def found():
            assert self.process.poll() is None, "up.py ended:\n" + self.said()
            return text in self.said()

        wait_for(found, seconds, f"{text!r} is said")

    def refusal(self, **environment):
        """Starts one more; returns what it says before it fails."""
        with self.run(subprocess.PIPE, environment) as other:
            said = other.communicate(timeout=60)[0]
        assert other.returncode == 1
        return said

    def pid(self, part):
        with open(os.path.join(self.local.run, part + ".pid")) as file:
            return int(file.read())

    def processes(self):
        """All that works in the data directory."""
        return [pid for part in PARTS for pid in inside(os.path.join(os.path.realpath(self.local.data), part))]

    def end(self, sig=signal.SIGTERM):
        if self.process and self.process.poll() is None:
            self.process.send_signal(sig)
        return self.process.wait(PATIENCE * 4)

    def sql(self, query, role="hubbub_reader", password="reader"):
        """As `make psql` asks."""
        return subprocess.run(
            ["psql", "-XAtq", "-d", f"postgresql://{role}@127.0.0.1:{self.local.postgres_port}/hubbub", "-c", query],
            env={**os.environ, "PGPASSWORD": self.local.passwords()[password]}, capture_output=True, text=True,
            check=True).stdout.strip()

    def owner_sql(self, query):
        """As somebody who sees more than the views."""
        return self.sql(query, "postgres", "postgres")

    def chat(self, name, port, text):
        """Says something through this port; returns its id, or None if that does not work now."""
        client = JsonClient(port)
        try:
            client.send({"type": "join", "data": name, "ref": "login"})
            if client.expect(ref="login")["type"] == "welcome":
                client.chat(text, ref="chat")
                return client.expect(ref="chat").get("id")
        except (AssertionError, OSError):
            pass  # a part of it was killed, and clients of it may lose their connection
        finally:
            client.close()
        return None


@pytest.fixture(scope="module")
def up():
    made = Up()
    try:
        made.start()
        yield made
    finally:
        made.end()
        wait_for(lambda: not made.processes(), PATIENCE, "everything has ended")
        made.claim.close()
        made.place.remove()


def test_people_on_all_ports_hear_each_other(up):
    ports = [up.local.dialects["json"], up.local.peoples_ports(1)["json"], up.local.peoples_ports(2)["json"]]
    clients = [JsonClient(port) for port in ports]
    for n, client in enumerate(clients):
        client.send({"type": "join", "data": f"port-{n}"})
        client.expect(type="welcome")
    for n, client in enumerate(clients):
        client.chat(f"from {n}", ref="r")
        client.expect(type="ack")
        for other in clients:
            if other is not client:
                other.expect(type="message", data=f"from {n}")
    for client in clients:
        client.close()


def test_every_dialect_answers_on_its_ports_and_takes_no_header_from_people(up):
    """Through haproxy it is the second header, so people cannot lie about where they are."""
    assert set(up.local.dialects) == {"json", "line", "command", "gob", "prompt"}
    for ports in (up.local.dialects, up.local.peoples_ports(1), up.local.peoples_ports(2)):
        for name, port in ports.items():
            with socket.create_connection(("127.0.0.1", port), PATIENCE) as liar, liar.makefile("rb") as answers:
                liar.sendall(b"PROXY TCP4 192.0.2.1 198.51.100.2 55555 7000\r\n")
                answer = answers.read()  # until it is closed
            assert b"PROXY" in answer or b"bad-request" in answer, (name, port, answer)
            assert f"{port} ({name})" in up.said()


def test_the_address_of_a_person_behind_haproxy_is_the_persons(up):
    for name, port in (("through-haproxy", up.local.dialects["json"]), ("directly", up.local.peoples_ports(1)["json"])):
        client = JsonClient(port, "127.0.0.77")
        client.send({"type": "join", "data": name})
        client.expect(type="welcome")
        wait_for(lambda: up.owner_sql(f"SELECT host(ip_address) FROM sessions JOIN users ON users.id = user_id "
                                      f"WHERE name = '{name}'") == "127.0.0.77", PATIENCE, "the address is stored")
        client.close()


def test_the_ports_between_haproxy_and_the_gateways_are_for_haproxy_alone(up):
    stranger = socket.create_connection((up.local.gateway_address(1), up.local.dialects["json"] + 1), PATIENCE)
    stranger.sendall(b'{"type":"join","data":"stranger"}')
    try:
        assert stranger.recv(100) == b""
    except ConnectionResetError:
        pass
    stranger.close()


def test_each_pid_file_holds_the_pid_of_the_server_itself(up):
    programs = dict(zip(PARTS, ["redis-server", "postgres", "hubbub-store", "hubbub-gateway", "hubbub-gateway", "haproxy"]))
    for part in PARTS:
        with open(f"/proc/{up.pid(part)}/cmdline") as file:
            assert programs[part] in file.read().split("\0")[0].split(" ")[0]


def test_no_server_runs_as_root(up):
    for pid in up.processes():
        assert os.stat(f"/proc/{pid}").st_uid != 0


def test_the_second_start_says_one_line_and_leaves_the_first_alone(up):
    pids = [up.pid(part) for part in PARTS]
    said = up.refusal()
    assert said.count("\n") == 1 and "runs here already" in said
    assert [up.pid(part) for part in PARTS] == pids


@pytest.mark.parametrize("part", PARTS)
def test_a_part_that_is_killed_is_started_again_with_a_line_and_chat_works(up, part):
    before = up.pid(part)
    os.kill(before, signal.SIGKILL)
    wait_for(lambda: up.said().count(f"hubbub: {part} was ended by SIGKILL"), PATIENCE, "its end is told")
    wait_for(lambda: up.said().count(f"hubbub: {part} is back"), 60, "it is back")
    assert up.pid(part) != before

    number = wait_for(lambda: up.chat(f"after-{part}", up.local.dialects["json"], f"{part} is back"), 60,
                      f"somebody can chat after {part} was killed")
    wait_for(lambda: up.sql(f"SELECT count(*) FROM history WHERE id = {number}") == "1", PATIENCE, "it is stored")


def test_the_owner_sets_a_password_and_takes_it_back(up):
    def account(*words, stdin=""):
        return subprocess.run([sys.executable, os.path.join(ROOT, "deploy/account.py"), "--build", BUILD, "--local",
                               up.local.directory, "--shift", str(up.local.shift), *words], input=stdin,
                              capture_output=True, text=True, timeout=60)

    def answer(**login):
        client = JsonClient(up.local.dialects["json"])
        client.send({"type": "join", "data": "Owner", **login})
        got = client.take(lambda one: one["type"] in ("welcome", "error"), "an answer", PATIENCE)
        client.close()
        return got.get("code", got["type"])

    set_ = account("passwd", "Owner", stdin="a long password\n")
    assert set_.returncode == 0, set_
    assert answer() == "password-required" and answer(password="a long password") == "welcome"
    assert account("forget", "Owner").returncode == 0
    wait_for(lambda: answer() == "welcome", PATIENCE, "a guest may have the name")
    nobody = account("passwd", "")
    assert nobody.returncode == 1 and "NAME=" in nobody.stderr


def test_the_end_leaves_nothing_but_the_data(up):
    number = up.chat("before-end", up.local.peoples_ports(1)["json"], "kept")
    wait_for(lambda: up.sql(f"SELECT count(*) FROM history WHERE id = {number}") == "1", PATIENCE, "it is stored")
    assert up.end(signal.SIGINT) == 0
    assert not up.processes() and not [name for name in os.listdir(up.local.run) if name.endswith(".pid")]
    up.start()
    assert up.sql(f"SELECT text FROM history WHERE id = {number}") == "kept"
    assert up.sql("SELECT * FROM audit") == ""


def test_everything_ends_when_the_supervisor_is_killed_and_can_be_started_again(up):
    up.end(signal.SIGKILL)
    up.start()
    assert up.chat("after-sigkill", up.local.dialects["json"], "again")


def test_settings_reach_the_servers_and_those_of_make_up_are_refused(up):
    up.end()
    said = up.refusal(HUBBUB_LISTEN="json://127.0.0.1:1")
    assert said.count("\n") == 1 and "HUBBUB_LISTEN" in said
    up.start(HUBBUB_NOTICE_MAX="123")
    for part in ("store", "gateway-1", "gateway-2"):
        with open(f"/proc/{up.pid(part)}/environ") as file:
            assert "HUBBUB_NOTICE_MAX=123" in file.read().split("\0")


def test_a_wrong_setting_or_a_taken_port_is_told_in_one_line(up):
    up.end()
    for value in ({"HUBBUB_RATE": "much"}, {"HUBBUB_RAT": "1"}):
        said = up.refusal(**value)
        assert said.count("\n") == 1 and list(value)[0] in said and "HUBBUB_RATE" in said
    with socket.create_server(("127.0.0.1", up.local.dialects["line"])):
        said = up.refusal()
        assert said.count("\n") == 1 and str(up.local.dialects["line"]) in said
    assert not up.processes()
    up.start()
