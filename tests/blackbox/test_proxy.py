"""PROXY headers: on a port with ?proxy=1 a connection begins with one and belongs to whom it names; elsewhere it is
refused.  `make up` uses them: see test_up.py."""

import socket
import struct
import subprocess
import time

import pytest

from conftest import ended, started

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
PERSON = "192.0.2.1"
V1 = b"PROXY TCP4 192.0.2.1 198.51.100.2 55555 7000\r\n"
HEADER_SECONDS = 5


def v2(address, command=1, extensions=b""):
    """A header of version 2 for this address, or with the command LOCAL."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    raw = socket.inet_pton(family, address)
    rest = raw + raw + struct.pack("!HH", 55555, 7000) + extensions
    return SIGNATURE + struct.pack("!BBH", 0x20 | command, 0x21 if ":" in address else 0x11, len(rest)) + rest


@pytest.fixture(scope="module")
def proxied():
    made = started(1, listen_options={"json": "?proxy=1"})
    yield made
    ended(made)


def join(client, name):
    client.send({"type": "join", "data": name})
    client.expect(type="welcome")
    return client


def address_of(hubbub, name, address):
    hubbub.wait_sql("SELECT host(ip_address) FROM sessions JOIN users ON users.id = user_id "
                    f"WHERE name = '{name}' ORDER BY opened_id DESC LIMIT 1", address)


@pytest.mark.parametrize("name,header,address", [
    ("v1-four", V1, PERSON),
    ("v1-six", b"PROXY TCP6 2001:db8::1 ::1 55555 7000\r\n", "2001:db8::1"),
    ("v1-unknown", b"PROXY UNKNOWN 192.0.2.1 198.51.100.2 55555 7000\r\n", "127.0.0.1"),
    ("v2-four", v2(PERSON), PERSON),
    ("v2-six", v2("2001:db8::2"), "2001:db8::2"),
    ("v2-wrapped", v2("::ffff:192.0.2.3"), "192.0.2.3"),
    ("v2-local", v2(PERSON, command=0), "127.0.0.1"),
    ("v2-unspecified", SIGNATURE + b"\x21\x00\x00\x00", "127.0.0.1"),
    ("v2-extended", v2(PERSON, extensions=b"\x04" + struct.pack("!H", 1900) + b"x" * 1900), PERSON),
], ids=lambda value: value if isinstance(value, str) and value.startswith("v") else "")
def test_the_session_is_the_persons_whom_the_header_names(proxied, name, header, address):
    client = proxied.connect("json")
    client.send_bytes(header)
    join(client, name)
    address_of(proxied, name, address)


def test_what_follows_the_header_in_the_same_segment_is_the_clients(proxied):
    for n, header in enumerate((V1, v2(PERSON))):
        client = proxied.connect("json")
        client.send_bytes(header + b'{"type":"join","data":"together-%d"}{"type":"ping","ref":"r"}' % n)
        client.expect(type="welcome")
        client.expect(type="pong", ref="r")


@pytest.mark.parametrize("header", [V1, v2(PERSON)], ids=["v1", "v2"])
def test_a_header_may_come_byte_by_byte(proxied, header):
    client = proxied.connect("json")
    for byte in header + b'{"type":"ping","ref":"slow"}':
        client.send_bytes(bytes([byte]))
    client.expect(type="pong", ref="slow")


@pytest.mark.parametrize("data", [
    b'{"type":"join","data":"nobody"}\n', b"\n", b"PROXY TCP4 192.0.2.1 198.51.100.2 55555 7000\n{}",
    b"PROXY TCP4 " + b"1" * 100, b"PROXY TCP9 192.0.2.1 198.51.100.2 55555 7000\r\n",
    SIGNATURE + b"\x21\x11\xff\xff", SIGNATURE + b"\x21\x11\x00\x00", SIGNATURE + b"\x31", SIGNATURE + b"\x2f",
    b"GET / HTTP/1.1\r\n\r\n", b"\0" * 3000,
], ids=repr)
def test_what_is_no_header_closes_at_once_and_is_logged_without_its_bytes(proxied, data):
    client = proxied.connect("json")
    client.send_bytes(data)
    client.expect_closed(HEADER_SECONDS - 2)
    assert not client.received
    log = proxied.gateways[0].log_text()
    assert "event=proxy_header_refused" in log and "198.51.100.2" not in log and "nobody" not in log


@pytest.mark.alongside(14)
def test_a_header_that_is_not_complete_in_five_seconds_closes_however_it_trickles(make_hubbub):
    hubbub = make_hubbub(1, listen_options={"json": "?proxy=1"})
    begun = time.monotonic()
    silent, half, huge, dripping = (hubbub.connect("json") for _ in range(4))
    half.send_bytes(V1[:-2])
    huge.send_bytes(SIGNATURE + b"\x21\x11\x07\x00" + b"x" * 100)
    for byte in V1:
        if dripping.closed or time.monotonic() - begun > HEADER_SECONDS + 3:
            break
        try:
            dripping.send_bytes(bytes([byte]))
        except OSError:
            break
        dripping.receive(0.4)
    for client in (silent, half, huge, dripping):
        client.expect_closed()
        assert not client.received
    assert HEADER_SECONDS - 0.5 < time.monotonic() - begun < HEADER_SECONDS + 4
    assert "reason=late" in hubbub.gateways[0].log_text()


def test_a_header_and_then_nothing_is_a_client_that_does_not_log_in(make_hubbub):
    hubbub = make_hubbub(1, {"HUBBUB_LOGIN_TIMEOUT": "1"}, listen_options={"json": "?proxy=1"})
    client = hubbub.connect("json")
    client.send_bytes(V1)
    client.expect_error("login-timeout")
    client.expect_closed()


def test_who_hangs_up_in_the_middle_of_the_header_leaves_nothing_behind(proxied):
    for part in range(0, len(V1), 5):
        client = proxied.connect("json")
        client.send_bytes(V1[:part])
        client.close()
    client = proxied.connect("json")
    client.send_bytes(V1[:10])
    client.end_input()
    client.expect_closed(HEADER_SECONDS - 2)


@pytest.mark.parametrize("header", [V1, v2(PERSON), b"PROXY nonsense\n"], ids=["v1", "v2", "nonsense"])
def test_a_second_header_is_refused_in_the_dialect(proxied, header):
    client = proxied.connect("json")
    client.send_bytes(v2("192.0.2.9") + header + b'{"type":"ping","ref":"r"}')
    client.expect_error("bad-request", data="This port takes no PROXY header.")
    client.expect_closed()
    assert not client.has(type="pong")


@pytest.mark.parametrize("header", [V1, v2(PERSON)], ids=["v1", "v2"])
def test_a_port_without_proxy_refuses_a_header_in_its_dialect(hubbub, header):
    json, line = hubbub.connect("json"), hubbub.connect("line")
    json.send_bytes(header + b'{"type":"join","data":"liar"}')
    json.expect_error("bad-request", data="This port takes no PROXY header.")
    line.send_bytes(header + b"LOGIN liar\n")
    line.expect("ERR bad-request This port takes no PROXY header.")
    for client in (json, line):
        client.expect_closed()
    hubbub.json("liar").close()


def test_a_header_later_in_a_connection_is_text_like_any_other(hubbub):
    client = hubbub.line("late-proxy")
    client.send("PROXY TCP4 192.0.2.1 198.51.100.2 55555 7000")
    client.expect_error("unknown-command")
    client.sync()


def test_options_of_a_listener_come_in_any_order(make_hubbub):
    hubbub = make_hubbub(1, listen_options={"json": "?proxy=1&idle=1", "line": "?idle=1&proxy=1"})
    json, line = hubbub.connect("json"), hubbub.connect("line")
    json.send_bytes(V1)
    line.send_bytes(V1 + b"LOGIN idler\n")
    line.expect("OK")
    join(json, "other")
    for client in (json, line):
        client.expect_error("idle-timeout")
        client.expect_closed()


def test_connections_that_wait_for_a_header_end_with_the_gateway(make_hubbub):
    hubbub = make_hubbub(1, listen_options={"json": "?proxy=1"})
    waiting = [hubbub.connect("json") for _ in range(20)]
    for client in waiting[::2]:
        client.send_bytes(V1[:20])
    client = hubbub.connect("json")
    client.send_bytes(V1)
    join(client, "last")
    assert hubbub.gateways[0].stop() == 0  # with the sanitizers, a leak would tell
    for one in waiting:
        one.expect_closed()
    client.expect_error("shutting-down")


@pytest.mark.parametrize("options,remedy", [
    ("?proxy=2", "?proxy=1"), ("?proxy", "?proxy=1"), ("?", "?proxy=1"), ("?proxy=1&", "?proxy=1"),
    ("?idle=1&tls=1", "?proxy=1"), ("?idle=-1&proxy=1", "86400"), ("?idle=86401", "86400"), ("?idle=1x", "86400"),
])
def test_an_option_that_is_none_stops_the_start_with_one_line(hubbub, options, remedy):
    listen = f"json://127.0.0.1:{hubbub.taken.take()}{options}"
    done = subprocess.run(
        hubbub.gateways[0].command(), capture_output=True, text=True, timeout=60,
        env={**hubbub.gateways[0].settings, "HUBBUB_LISTEN": listen,
             "HUBBUB_HTTP_LISTEN": f"127.0.0.1:{hubbub.taken.take()}"})
    assert done.returncode == 2 and done.stderr.count("\n") == 1
    assert listen in done.stderr and remedy in done.stderr


def test_an_unknown_dialect_is_answered_with_those_that_there_are(hubbub):
    done = subprocess.run(
        hubbub.gateways[0].command(), capture_output=True, text=True, timeout=60,
        env={**hubbub.gateways[0].settings, "HUBBUB_LISTEN": "morse://127.0.0.1:1",
             "HUBBUB_HTTP_LISTEN": f"127.0.0.1:{hubbub.taken.take()}"})
    assert done.returncode == 2 and "morse" in done.stderr
    assert "json://" in done.stderr and "line://" in done.stderr
