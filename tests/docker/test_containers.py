"""docker-compose.yml from outside: what people do with it, and what it must survive.  In this order: the project is one."""

import json
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
from project import FILES, NAME, PATIENCE, ROOT, SERVICES, answers, readme_queries
from traffic import Traffic

IMAGE_BYTES = 120_000_000
KILL_LOAD = {"people": 4, "rate": 200}
CARELESS = {"people": 2, "rate": 60, "repeat": False, "room": "careless", "burst": 15}  # never say a chat again


def test_the_compose_file_and_its_settings_give_no_warning(project):
    done = subprocess.run(["docker", "compose", "--profile", "test", "--profile", "client", "config", "-q"], cwd=ROOT, capture_output=True,
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


def test_accounts_and_directs_for_the_absent_work_through_the_balancer(project):
    client = project.json("Owner")
    client.send({"type": "register", "password": "a long password"})
    client.expect(type="registered")
    client.send({"type": "leave"})
    client.expect_closed()
    sender = project.json("Sender")
    sender.send({"type": "direct", "to": "Owner", "data": "psst", "ref": "r"})
    sender.expect(type="ack", ref="r")
    project.wait_sql("select count(*) from directs where recipient = 'Owner'", "1")
    client = project.json("Owner", password="a long password")
    client.expect(type="direct", data="psst")
    project.compose("exec", "-T", "store", "hubbub-store", "passwd", "Owner", input=b"another password\n", stdin=None)
    assert project.json("Owner", password="another password").welcome["name"] == "Owner"
    client.expect_error("replaced")
    project.compose("exec", "-T", "store", "hubbub-store", "forget", "Owner")
    assert project.json("owner").welcome["unread"] == 0
    sender.close()


CLIENTS = {"in-a-gateway": ("exec", "gateway", "hubbub"), "before-the-balancer": ("run", "--rm", "client")}


@pytest.mark.parametrize("where", CLIENTS)
def test_the_client_talks_on_a_terminal(project, where):
    watcher = project.json("watches-" + where)
    console = project.console(*CLIENTS[where], "-u", where)
    try:
        watcher.expect(type="joined", **{"from": where})
        watcher.chat("legible-für-alle")
        console.wait("legible-für-alle")
        console.type("certainly\r")
        watcher.expect(type="message", data="certainly", **{"from": where})
        console.type("/quit\r")
        assert console.ended() == 0
        watcher.expect(type="left", **{"from": where})
    finally:
        console.close()
        watcher.close()


@pytest.mark.parametrize("where", CLIENTS)
def test_the_client_says_what_is_piped_into_it(project, where):
    command, *service = CLIENTS[where]
    said = project.compose(command, "-T", *service, "-u", where, input=b"one\ntwo\n", stdin=None)
    assert said == ""
    project.wait_sql(f"select string_agg(text, ' ' order by id) from history where sender = '{where}' and text <> 'certainly'",
                     "one two")


def test_who_runs_the_client_is_called_as_outside(project):
    watcher = project.json("watches-somebody")
    project.environment["LOGNAME"] = "somebody"
    project.compose("run", "--rm", "-T", "client", input=b"here\n", stdin=None)
    watcher.expect(type="message", data="here", **{"from": "somebody"})
    watcher.close()


def test_the_port_for_the_client_in_a_gateway_is_for_that_alone(project):
    haproxy = project.containers("haproxy")[0]
    said = run(["docker", "exec", haproxy.id, "bash", "-c", "exec 2>/dev/null 3<>/dev/tcp/gateway/7000 && echo yes; true"])
    assert said == ""


def test_the_queries_of_the_readme_have_answers_for_the_reader(project):
    alice = project.json("Alice")
    alice.chat("Good morning.", ref="r")
    number = alice.expect(type="ack")["id"]
    project.wait_sql(f"select count(*) from history where id = {number}", "1")
    queries = readme_queries()
    assert len(queries) >= 5
    for query in queries:
        said = project.compose("exec", "-T", "postgres", "psql", "-XAtq", "-v", "ON_ERROR_STOP=1", "-c", query)
        assert said, query
    alice.close()


def test_the_reader_may_not_write_and_needs_a_password_from_outside(project):
    with pytest.raises(Exception, match="permission denied"):
        project.sql("delete from messages", role="hubbub_reader")
    with pytest.raises(Exception, match="(?i)password"):
        run(["docker", "run", "--rm", f"--network={NAME}_data", "--entrypoint=psql", "postgres:17", "-w", "-h", "postgres",
             "-U", "postgres", "-c", "select 1"])


def test_redis_keeps_what_it_has_answered_and_asks_for_the_password(project):
    redis = project.containers("redis")[0].id
    wanted = {"appendonly": "yes", "appendfsync": "always", "save": "", "maxmemory-policy": "noeviction",
              "client-output-buffer-limit": "normal 0 0 0 slave 268435456 67108864 60 pubsub 268435456 67108864 60"}
    for name, value in wanted.items():
        assert run(["docker", "exec", redis, "redis-cli", "config", "get", name]).split("\n")[1:] == [value][:len(value)], name
    assert "NOAUTH" in run(["docker", "exec", "-e", "REDISCLI_AUTH=", redis, "redis-cli", "get", "x"])


def test_health_orders_the_start_and_everything_is_started_again(project):
    services = json.loads(project.compose("config", "--format", "json"))["services"]
    order = {name: {other: one["condition"] for other, one in service.get("depends_on", {}).items()}
             for name, service in services.items()}
    healthy = "service_healthy"
    assert order == {"redis": {}, "postgres": {}, "migrate": {"postgres": healthy},
                     "store": {"redis": healthy, "postgres": healthy, "migrate": "service_completed_successfully"},
                     "gateway": {"redis": healthy, "store": healthy}, "haproxy": {"gateway": healthy}}
    for one in project.containers():
        assert one.health == "healthy" and one.known["HostConfig"]["RestartPolicy"]["Name"] == "unless-stopped", one.name


def test_only_the_store_reaches_postgresql(project):
    for name, reaches in (("gateway", False), ("haproxy", False), ("redis", False), ("store", True)):
        one = project.containers(name)[0]
        said = run(["docker", "exec", one.id, "bash", "-c", "exec 2>/dev/null 3<>/dev/tcp/postgres/5432 && echo yes; true"])
        assert said == ("yes" if reaches else ""), name


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
    for one in project.containers(*SERVICES, "migrate"):
        host = one.known["HostConfig"]
        assert host["ReadonlyRootfs"] and host["CapDrop"] == ["ALL"] and not host["Privileged"], one.name
        assert "no-new-privileges:true" in host["SecurityOpt"], one.name
        assert host["LogConfig"]["Config"] == {"max-size": "10m", "max-file": "3"}, one.name
        if one.service == "migrate":  # it has ended
            assert (one.known["Config"]["User"], one.known["State"]["ExitCode"]) == ("postgres", 0)
            continue
        if one.service in ("gateway", "haproxy"):
            limits = run(["docker", "exec", one.id, "bash", "-c", "ulimit -Hn"])
            assert limits == project.environment.get("MAX_FILES", str(FILES)), one.name
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
        labels = json.loads(run(["docker", "image", "inspect", "-f", "{{json .Config.Labels}}", image]))
        tell(f"hubbub-{name}: {size / 1e6:.1f} MB")
        assert labels["org.opencontainers.image.title"] == f"hubbub-{name}"
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


def test_who_runs_the_client_leaves_what_runs_as_it_is(project):
    before = {(one.name, one.pid) for one in project.containers()}
    project.compose("run", "--rm", "-T", "client", input=b"still three?\n", stdin=None)
    assert {(one.name, one.pid) for one in project.containers()} == before and ("gateway-3" in dict(before))


def test_who_comes_goes_where_it_is_ready_and_fewest_are(project):
    """A gateway that has lost Redis still listens, but /readyz says no."""
    project.wait_healthy()
    project.up("--scale", "gateway=2")
    lame = project.containers("gateway")[1]
    clients = []
    try:
        run(["docker", "network", "disconnect", f"{NAME}_back", lame.id])
        project.wait_health(lame.name, "unhealthy")
        clients = [project.json(f"choosy-{n}") for n in range(6)]
        assert lame.id[:12] not in {client.welcome["gateway"] for client in clients}
        run(["docker", "network", "connect", f"{NAME}_back", lame.id])
        project.wait_health(lame.name, "healthy")
        while True:  # haproxy's check comes within a second
            clients.append(project.json(f"choosy-{len(clients)}"))
            if clients[-1].welcome["gateway"] == lame.id[:12]:
                break
            assert len(clients) < 300
            time.sleep(0.05)
        others = len(clients) - 1
        while len(clients) < 2 * others:  # those who are on it are fewer until here
            clients.append(project.json(f"choosy-{len(clients)}"))
            assert clients[-1].welcome["gateway"] == lame.id[:12]
    finally:
        for client in clients:
            client.close()


def test_scaled_back_to_one_nobody_reconnects_more_than_once(project, tell):
    project.up("--scale", "gateway=3")
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
    assert sum(talker.lost_answers for talker in traffic.talkers + careless.talkers) > 0  # something was in flight
    assert project.sql("select * from audit") == ""
    project.wait_healthy()
    assert all(one.known["RestartCount"] == 1 for one in project.containers())


def test_while_postgresql_is_frozen_the_store_is_unhealthy_and_chat_goes_on(project):
    postgres, store = project.containers("postgres")[0], project.containers("store")[0]
    run(["docker", "pause", postgres.id])
    try:
        project.wait_health(store.name, "unhealthy")
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


def make_certificate(project):
    """Puts a new certificate where haproxy finds it; returns it."""
    pem = run(["docker", "run", "--rm", "--user=0", "--entrypoint=openssl", f"{NAME}-gateway", "req", "-x509", "-newkey",
               "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-subj", "/CN=localhost",
               "-addext", "subjectAltName=DNS:localhost", "-keyout", "/dev/stdout", "-out", "/dev/stdout"])
    path = os.path.join(project.tls, "localhost.pem")
    with open(path, "w") as file:
        file.write(pem + "\n")
    os.chmod(path, 0o644)
    return pem[pem.index("-----BEGIN CERT"):]


def join_in_private(project, certificate, name):
    """Logs in over TLS, trusting this certificate alone; returns the connection, or None if it is another one."""
    context = ssl.create_default_context(cadata=certificate)
    plain = socket.create_connection(("127.0.0.1", project.ports["tls"]), timeout=PATIENCE)
    try:
        link = context.wrap_socket(plain, server_hostname="localhost")
    except ssl.SSLCertVerificationError:
        plain.close()
        return None
    link.sendall(b'{"type":"join","data":"%s"}' % name.encode())
    assert b'"welcome"' in link.recv(4096)
    return link


def test_a_certificate_makes_haproxy_offer_json_over_tls_and_can_be_renewed(project):
    first = make_certificate(project)
    project.compose("restart", "haproxy")
    project.wait_healthy()
    early = join_in_private(project, first, "in-private")
    second = make_certificate(project)
    project.compose("exec", "-T", "haproxy", "sh", "-c", "kill -USR2 1")
    deadline = time.monotonic() + PATIENCE
    while not (late := join_in_private(project, second, "with-the-new-one")):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    early.sendall(b'{"type":"ping"}')
    said = b""
    while b'"pong"' not in said:
        said += (piece := early.recv(4096))
        assert piece
    early.close(), late.close()
    haproxy = project.containers("haproxy")[0]
    project.kill(haproxy)
    project.wait_restarted(haproxy)
    project.wait_healthy()


def test_a_bad_certificate_costs_tls_and_not_the_chat(project):
    with open(os.path.join(project.tls, "localhost.pem"), "w") as file:
        file.write("-----BEGIN CERTIFICATE-----\nno\n")
    project.compose("restart", "haproxy")
    project.wait_healthy()
    project.json("in-public").close()
    assert not answers(project.ports["tls"])
    assert "goes on without TLS" in project.compose("logs", "--no-color", "haproxy", stderr=subprocess.STDOUT)


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
    """On the plain build; without an argument `docker compose run tests` has the sanitized one, too."""
    said = project.compose("--profile", "test", "run", "--build", "--rm", "-T", "tests", "/usr/bin/python3", "tests/run.py",
                           "--werror", "--plain", seconds=1800)
    tell(said.split("\n")[-1])


def test_a_change_of_one_c_file_builds_again_without_installing_packages(project, tell, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(ROOT, copy, ignore=shutil.ignore_patterns("build", "build-*", ".git", ".local", "__pycache__"))
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
