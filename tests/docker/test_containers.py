"""docker-compose.yml from outside: what people do with it, and what it must survive.  In this order: the project is one."""

import os
import re
import shutil
import socket
import ssl
import subprocess
import time

import pytest

from engine import run
from people import Person
from project import NAME, PATIENCE, ROOT, answers, readme_queries
from traffic import Traffic

IMAGE_BYTES = 120_000_000
KILL_LOAD = {"people": 4, "rate": 200}
CARELESS = {"people": 2, "rate": 60, "repeat": False, "room": "careless", "burst": 15}  # never say a chat again


def test_the_compose_file_and_its_settings_give_no_warning(project):
    done = subprocess.run(["docker", "compose", "--profile", "test", "config", "-q"], cwd=ROOT, capture_output=True,
                          text=True)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_it_comes_up_healthy_with_two_gateways(project, tell):
    started = time.monotonic()
    project.up("--wait")
    tell(f"up and healthy in {time.monotonic() - started:.0f} s")
    assert [one.name for one in project.containers()] == ["gateway-1", "gateway-2", "haproxy-1", "postgres-1", "redis-1",
                                                          "store-1"]
    assert project.healthy()


def test_chat_through_the_balancer_lands_on_both_gateways_and_crosses_them(project):
    clients = [project.json(f"cross-{n}") for n in range(4)]
    assert len({client.welcome["gateway"] for client in clients}) == 2
    line = project.line("on-line")
    for n, client in enumerate(clients):
        client.chat(f"from {n}", ref="r")
        client.expect(type="ack")
        for other in clients:
            if other is not client:
                other.expect(type="message", data=f"from {n}")
        line.expect(f"MSG cross-{n} from {n}")
    for client in clients + [line]:
        client.close()


def test_every_chat_is_in_history_once(project, tell):
    traffic = Traffic(project, people=4, rate=200, room="once")
    traffic.wait_flowing(chats=150)
    traffic.end()
    tell(traffic.reckon())


def test_the_queries_of_the_readme_work_as_the_reader(project):
    queries = readme_queries()
    assert len(queries) >= 4
    for query in queries:
        project.compose("exec", "-T", "postgres", "psql", "-XAtq", "-v", "ON_ERROR_STOP=1", "-c", query)


def test_the_reader_may_not_write_and_needs_a_password_from_outside(project):
    with pytest.raises(Exception, match="permission denied"):
        project.sql("delete from messages", role="hubbub_reader")
    with pytest.raises(Exception, match="(?i)password"):
        run(["docker", "run", "--rm", f"--network={NAME}_back", "--entrypoint=psql", "postgres:17", "-w", "-h", "postgres",
             "-U", "postgres", "-c", "select 1"])


def test_nothing_listens_on_the_host_but_haproxy_and_postgresql_on_loopback(project):
    published = {(service.service, binding["HostIp"], int(binding["HostPort"]))
                 for service in project.containers()
                 for bindings in service.known["NetworkSettings"]["Ports"].values() for binding in bindings or []}
    everywhere = {("haproxy", address, project.ports[name]) for name in project.ports if name != "postgres"
                  for address in ("0.0.0.0", "::")}
    postgres = ("postgres", "127.0.0.1", project.ports["postgres"])
    assert published - everywhere == {postgres}
    assert {one[2] for one in published if one[0] == "haproxy"} == {one[2] for one in everywhere}
    assert not any(one.known["HostConfig"]["NetworkMode"] == "host" for one in project.containers())
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(("192.0.2.1", 9))  # sends nothing; tells the address that others reach this machine by
        address = probe.getsockname()[0]
    assert answers(project.ports["postgres"]) and not answers(project.ports["postgres"], address)
    assert not answers(project.ports["tls"])
    for name in ("json", "line", "command", "gob", "prompt"):
        assert answers(project.ports[name]), name


def test_the_address_of_a_session_is_the_persons_and_not_haproxys(project):
    script = ("exec 3<>/dev/tcp/haproxy/7000 && printf '{\"type\":\"join\",\"data\":\"neighbour\"}' >&3 && read -r said <&3 && "
              "while read -r address name; do [[ $name == $HOSTNAME ]] && echo $address; done </etc/hosts; true")
    address = run(["docker", "run", "--rm", f"--network={NAME}_front", "--entrypoint=bash", f"{NAME}-gateway", "-c",
                   script]).strip()
    assert address
    project.wait_sql("select host(ip_address) from sessions join users on users.id = user_id where name = 'neighbour'",
                     address)


def test_everything_runs_without_root_on_roots_that_cannot_be_written(project):
    for one in project.containers():
        host = one.known["HostConfig"]
        assert host["ReadonlyRootfs"] and host["CapDrop"] == ["ALL"] and not host["Privileged"], one.name
        assert "no-new-privileges:true" in host["SecurityOpt"], one.name
        assert host["LogConfig"]["Config"] == {"max-size": "10m", "max-file": "3"}, one.name
        users = run(["docker", "top", one.id, "-eo", "uid,pid"]).split("\n")[1:]
        assert users and not [line for line in users if line.split()[0] == "0"], one.name
        inside = "grep CapEff: /proc/1/status; for at in / /etc /usr/bin /opt; do touch $at/x 2>/dev/null && echo $at; done; true"
        said = run(["docker", "exec", "-u", "0", one.id, "bash", "-c", inside]).split("\n")
        assert said == ["CapEff:\t0000000000000000"], one.name


def test_the_images_are_small_and_hold_no_tools(project, tell):
    for name in ("gateway", "store"):
        image = f"{NAME}-{name}"
        size = int(run(["docker", "image", "inspect", "-f", "{{.Size}}", image]))
        user = run(["docker", "image", "inspect", "-f", "{{.Config.User}} {{.Config.StopSignal}}", image])
        found = run(["docker", "run", "--rm", "--entrypoint=bash", image, "-c",
                     "command -v gcc cc make meson python3 psql redis-cli curl wget; true"])
        tell(f"hubbub-{name}: {size / 1e6:.1f} MB")
        assert size < IMAGE_BYTES and user == "10001:10001 SIGTERM" and found == ""


def test_a_third_gateway_gets_people_within_ten_seconds(project, tell):
    started = time.monotonic()
    project.up("--scale", "gateway=3")
    ready = time.monotonic()
    third = {one.id[:12] for one in project.containers("gateway") if one.name == "gateway-3"}
    clients = []
    try:
        while not {client.welcome["gateway"] for client in clients} & third:
            assert time.monotonic() - ready < 10
            clients.append(project.json(f"early-{len(clients)}"))
            time.sleep(0.1)
        tell(f"`up` took {ready - started:.1f} s, its first client came {time.monotonic() - ready:.1f} s later")
        assert time.monotonic() - started < 10
    finally:
        for client in clients:
            client.close()


def test_scaled_back_to_one_nobody_reconnects_more_than_once(project, tell):
    project.wait_healthy()
    people = [Person(project.ports["json"], f"sitter-{n}") for n in range(30)]
    assert all(person.here.wait(PATIENCE) for person in people)
    assert len({person.gateways[0] for person in people}) == 3
    project.up("--scale", "gateway=1")
    last = [one.id[:12] for one in project.containers("gateway")]
    deadline = time.monotonic() + PATIENCE
    while any(not person.here.is_set() or person.gateways[-1] != last[0] for person in people):
        assert time.monotonic() < deadline, [person.gateways for person in people]
        time.sleep(0.05)
    moved = [person for person in people if len(person.gateways) > 1]
    for person in people:
        person.leave()
    tell(f"{len(people)} people on 3 gateways, then on 1: {len(moved)} reconnected, the most that one did was "
         f"{max(person.attempts for person in people) - 1}, told {sorted({why for p in people for why in p.reasons})}")
    assert len(last) == 1 and 0 < len(moved) < len(people)
    odd = [(person.attempts, person.gateways, person.reasons) for person in people
           if person.attempts > 2 or person.reasons not in ([], ["shutting-down"])]
    assert not odd, odd
    project.up("--wait")


def test_nothing_is_lost_or_doubled_when_each_process_is_killed_in_turn_under_load(project, tell):
    traffic, careless = Traffic(project, **KILL_LOAD), Traffic(project, **CARELESS)
    took = []
    for container in project.containers():
        careless.wait_in_flight(5)
        started = time.monotonic()
        project.kill(container)
        project.wait_restarted(container)
        traffic.wait_flowing(60, chats=20)
        careless.wait_flowing(60, chats=20)
        took.append(f"{container.name} {time.monotonic() - started:.1f} s")
    traffic.end()
    careless.end()
    tell("killed, until chats flowed again: " + ", ".join(took))
    for one in (traffic, careless):
        tell(one.reckon())
    assert project.sql("select * from audit") == ""
    project.wait_healthy()
    assert all(one.known["RestartCount"] == 1 for one in project.containers())


def test_while_postgresql_is_frozen_the_store_is_unhealthy_and_chat_goes_on(project):
    postgres, store = project.containers("postgres")[0], project.containers("store")[0]
    run(["docker", "pause", postgres.id])
    try:
        deadline = time.monotonic() + 60
        while project.containers("store")[0].health != "unhealthy":
            assert time.monotonic() < deadline
            time.sleep(0.5)
        assert all(one.health == "healthy" for one in project.containers("gateway", "haproxy", "redis"))
        client = project.json("patient")
        client.chat("nobody writes this down yet", ref="r")
        number = client.expect(type="ack")["id"]
        client.close()
    finally:
        run(["docker", "unpause", postgres.id])
    project.wait_healthy()
    project.wait_sql(f"select text from history where id = {number}", "nobody writes this down yet")
    assert project.containers("store")[0].pid == store.pid


def test_a_certificate_makes_haproxy_offer_json_over_tls(project):
    pem = run(["docker", "run", "--rm", "--user=0", "--entrypoint=openssl", f"{NAME}-gateway", "req", "-x509", "-newkey",
               "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-subj", "/CN=localhost",
               "-addext", "subjectAltName=DNS:localhost", "-keyout", "/dev/stdout", "-out", "/dev/stdout"])
    path = os.path.join(project.tls, "localhost.pem")
    with open(path, "w") as file:
        file.write(pem + "\n")
    os.chmod(path, 0o644)
    project.compose("restart", "haproxy")
    project.wait_healthy()
    context = ssl.create_default_context(cadata=pem[pem.index("-----BEGIN CERT"):])
    with socket.create_connection(("127.0.0.1", project.ports["tls"]), timeout=PATIENCE) as plain:
        with context.wrap_socket(plain, server_hostname="localhost") as link:
            link.sendall(b'{"type":"join","data":"in-private"}')
            assert b'"welcome"' in link.recv(4096)
    project.json("in-public").close()


def test_down_and_up_keeps_the_history_and_down_with_v_forgets_it(project):
    client = project.json("keeper")
    client.chat("to be kept", ref="r")
    number = client.expect(type="ack")["id"]
    client.close()
    before = project.containers("gateway", "store")
    project.compose("stop", "gateway", "store")
    ended = {one.name: one.known["State"]["ExitCode"] for one in project.containers("gateway", "store")}
    assert ended == {one.name: 0 for one in before}
    project.compose("down")
    assert not project.containers()

    project.up("--wait")
    project.wait_sql(f"select text from history where id = {number}", "to be kept")
    rows = int(project.sql("select count(*) from history"))
    assert rows > 1000 and project.sql("select * from audit") == ""

    project.compose("down", "-v")
    assert run(["docker", "volume", "ls", "-q", "--filter", f"label=com.docker.compose.project={NAME}"]) == ""
    project.up("--wait")
    assert project.sql("select count(*) from history") == "0"


def test_the_code_builds_without_warnings_and_its_suites_pass_on_the_base_of_the_images(project, tell):
    """All that need not wait for crashed servers; `docker compose run tests` runs the others too."""
    said = project.compose("--profile", "test", "run", "--build", "--rm", "-T", "tests", "sh", "-c",
                           "meson setup build -Dwerror=true && ninja -C build && "
                           "meson test -C build --no-rebuild --num-processes 2 --no-suite store", seconds=900)
    tell(", ".join(line.strip() for line in re.findall(r"^(?:Ok|Fail|Timeout): +\d+", said, re.M)))


def test_a_change_of_one_c_file_builds_again_without_installing_packages(project, tell, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(ROOT, copy, ignore=shutil.ignore_patterns("build*", ".git", ".local", "__pycache__"))
    with open(copy / "gateway" / "metrics.c", "a") as file:
        file.write(f"/* changed at {time.time()} */\n")
    project.directory = str(copy)
    started = time.monotonic()
    said = project.compose("--progress", "plain", "build", "gateway", stderr=subprocess.STDOUT)
    tell(f"built again in {time.monotonic() - started:.0f} s")
    steps = dict(re.findall(r"^#(\d+) \[.*\] (?:RUN|COPY|WORKDIR) (.*)$", said, re.M))
    cached = {steps.get(number) for number in re.findall(r"^#(\d+) CACHED$", said, re.M)}
    assert any(step and step.startswith("deploy/install.sh") for step in cached)
    assert any(step and step.startswith("apt-get") for step in cached)
    assert not any(step and step.startswith("meson setup") for step in cached), said
