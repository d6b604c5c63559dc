"""The dialect json when the input is odd, broken or hostile: an error or a close, and nobody else notices."""

import json

import pytest

REQUEST_MAX = 16384


def refused(client, data, code="bad-request"):
    """Sends bytes that are answered with this error, after which the connection goes on."""
    client.send_bytes(data)
    client.expect_error(code)
    client.sync()


def test_objects_need_nothing_between_them(hubbub):
    alice, bob = hubbub.json("glue-alice", 1), hubbub.json("glue-bob", 2)
    alice.send_bytes(b'{"type":"chat","data":"one"}{"type":"chat","data":"two"} \r\n\t{"type":"chat","data":"}{"}')
    for text in ("one", "two", "}{"):
        bob.expect(type="message", data=text)


def test_an_object_can_come_byte_by_byte(hubbub):
    alice, bob = hubbub.json("slow-alice", 1), hubbub.json("slow-bob", 2)
    for byte in json.dumps({"type": "chat", "data": 'brackets } and "quotes" \\'}).encode():
        alice.send_bytes(bytes([byte]))
    bob.expect(type="message", data='brackets } and "quotes" \\')


@pytest.mark.parametrize("data", [
    b'{"type"}\n', b"{]}\n", b"hello\n", b'["type"]\n', b"null\n", b'{"type":"ping"\n}x\n', b"\x00\n", b"\xff\xfe\n",
    b'{"data":"no type"}', b'{"type":7}', b'{"type":"chat","data":7}', b'{"type":"chat"}', b'{"type":"join"}',
    b'{"type":"chat","data":"\xc3\x28"}', b'{"type":"chat","data":"\\u0000"}', b'{"type":"chat","data":"\\ud800"}',
    b'{"type":"ping","ref":7}', b'{"type":"ping","ref":"' + b"r" * 65 + b'"}',
    b'{"type":"ping","x":' + b"[" * 64 + b"]" * 64 + b"}",
], ids=repr)
def test_what_is_no_request_is_refused_and_the_connection_goes_on(hubbub, data):
    client = hubbub.json("broken-alice")
    refused(client, data)
    client.send({"type": "leave"})
    client.expect_closed()


def test_an_unknown_type_is_an_unknown_command(hubbub):
    client = hubbub.connect("json")
    client.send({"type": "dance", "ref": "d"})
    client.expect_error("unknown-command", ref="d")
    client.sync()


def test_unknown_keys_are_ignored(hubbub):
    alice, bob = hubbub.json("keys-alice", 1, colour="red"), hubbub.json("keys-bob", 2)
    alice.chat("with more", mood={"is": ["good"]})
    assert set(bob.expect(type="message", data="with more")) == {"type", "from", "data", "room", "id", "at"}


def test_ten_bad_requests_in_a_row_close_the_connection(hubbub):
    client = hubbub.connect("json")
    client.send_bytes(b'{"type":7}\n' * 10)
    for _ in range(10):
        client.expect_error("bad-request")
    client.expect_closed()


def test_a_good_request_makes_the_bad_ones_forgotten(hubbub):
    client = hubbub.connect("json")
    for _ in range(4):
        client.send_bytes(b'{"type":7}\n' * 9)
        for _ in range(9):
            client.expect_error("bad-request")
        client.sync()


def test_a_request_of_16_kib_is_read_and_one_byte_more_closes(hubbub):
    client = hubbub.connect("json")
    head, tail = b'{"type":"ping","ref":"big","x":"', b'"}'
    client.send_bytes(head + b"x" * (REQUEST_MAX - len(head + tail)) + tail)
    client.expect(type="pong", ref="big")
    client.send_bytes(head + b"x" * (REQUEST_MAX - len(head + tail) + 1) + tail)
    client.expect_error("too-long")
    client.expect_closed()


def test_a_hundred_thousand_brackets_are_too_long_and_hurt_nobody(hubbub):
    watcher, client = hubbub.json("brackets-watcher"), hubbub.connect("json")
    try:
        client.send_bytes(b'{"x":' + b"[" * 100000)
    except (BrokenPipeError, ConnectionResetError):
        pass  # closed before it had read all
    client.expect_closed()
    watcher.sync()


@pytest.mark.parametrize("text, shown", [
    ("x" * 4096, "x" * 4096), ("é" * 2048, "é" * 2048), ("two\r\nlines", "two\nlines"), ("a\tb", "a\tb"),
    ("\n" * 99 + "x", "\n" * 99 + "x"), ("the end\r\n\n", "the end"), (" spaces ", " spaces "), ("\U0001f4a5 名", "\U0001f4a5 名"),
], ids=lambda text: repr(text[:12]))
def test_a_good_text_arrives_as_it_is_but_for_line_ends(hubbub, text, shown):
    alice, bob = hubbub.json("text-alice", 1), hubbub.json("text-bob", 2)
    alice.chat(text)
    assert bob.expect(type="message", **{"from": "text-alice"})["data"] == shown
    for client in (alice, bob):
        client.send({"type": "leave"})
        client.expect_closed()


@pytest.mark.parametrize("text", ["", "\n\n", "\r\n", "bell\a", "\x1b[31mred", "a\x7fb", "a\x9bb", "a\u2028b", "a\u2029b",
                                  "carriage\rreturn"], ids=repr)
def test_an_empty_text_or_one_with_controls_is_refused(hubbub, text):
    client = hubbub.json("control-alice")
    client.chat(text, ref="r")
    client.expect_error("bad-request", ref="r")
    client.send({"type": "leave"})
    client.expect_closed()


def test_a_text_of_4097_bytes_is_refused(hubbub):
    client = hubbub.json("long-alice")
    client.chat("x" * 4097, ref="r")
    assert client.expect(type="error", ref="r")["code"] in ("too-long", "bad-request")
    client.sync()


def test_a_text_of_101_lines_is_refused(hubbub):
    client = hubbub.json("tall-alice")
    client.chat("x\n" * 100 + "x", ref="r")
    client.expect_error("bad-request", ref="r")
    client.sync()


def test_who_vanishes_in_mid_request_is_gone(hubbub):
    watcher, client = hubbub.json("vanish-watcher"), hubbub.json("vanish-alice", 2)
    client.send_bytes(b'{"type":"chat","data":"never fini')
    client.close()
    watcher.expect(type="left", **{"from": "vanish-alice"})


def test_connecting_and_going_away_a_thousand_times_leaks_nothing(hubbub):
    import os
    pid = hubbub.gateways[0].pid

    def descriptors():
        return len(os.listdir(f"/proc/{pid}/fd"))

    hubbub.connect("json").sync()
    before = descriptors()
    for _ in range(1000):
        hubbub.connect("json").close()
    from hubbub import wait_for
    hubbub.connect("json").sync()
    wait_for(lambda: descriptors() <= before + 1, 20, f"descriptors are {before} again")
