"""The dialect line, alone and together with json."""


def test_line_and_json_hear_each_other_through_different_gateways(hubbub):
    naman, alice = hubbub.line("mix-naman", 1), hubbub.json("mix-alice", 2)
    naman.expect("INFO mix-alice connected")
    naman.send("MSG hello  there ")
    assert alice.expect(type="message", **{"from": "mix-naman"})["data"] == "hello  there "
    alice.chat("hi")
    naman.expect("MSG mix-alice hi")
    alice.close()
    naman.expect("INFO mix-alice disconnected")


def test_every_line_of_a_text_has_the_full_prefix(hubbub):
    naman, alice = hubbub.line("lines-naman", 1), hubbub.json("lines-alice", 2)
    alice.chat("one\r\nMSG admin two\n\nfour")
    for line in ("one", "MSG admin two", "", "four"):
        naman.expect(f"MSG lines-alice {line}")


def test_a_msg_has_no_reply_and_does_not_come_back(hubbub):
    naman, other = hubbub.line("mute-naman", 1), hubbub.line("mute-other", 2)
    naman.send("MSG quietly")
    other.expect("MSG mute-naman quietly")
    naman.sync()
    assert not [line for line in naman.received if "quietly" in line]


def test_verbs_in_any_case_and_crlf_are_understood(hubbub):
    client, other = hubbub.connect("line"), hubbub.json("case-other", 2)
    client.send_bytes(b"login case-naman\r\nmSg hello\r\npInG\r\n")
    client.expect("OK")
    client.expect("PONG")
    assert other.expect(type="message", **{"from": "case-naman"})["data"] == "hello"


def test_who_lists_everybody_the_asker_included(hubbub):
    naman = hubbub.line("wholine-naman", 1)
    hubbub.line("wholine-bob", 2)
    naman.send("WHO")
    naman.expect("USER wholine-naman")
    naman.expect("USER wholine-bob")


def test_join_moves_to_the_room_and_leave_back_to_the_lobby(hubbub):
    naman, lobby = hubbub.line("move-naman", 1), hubbub.json("move-lobby", 2)
    dev = hubbub.json("move-dev", 2, room="move-room")
    naman.send("JOIN move-room")
    naman.expect("OK")
    dev.expect(type="joined", **{"from": "move-naman"})
    lobby.expect(type="left", **{"from": "move-naman"})
    naman.send("MSG in the room")
    dev.expect(type="message", data="in the room", room="move-room")
    naman.send("LEAVE")
    naman.expect("OK")
    naman.send("MSG in the lobby")
    lobby.expect(type="message", data="in the lobby", room="lobby")
    assert not lobby.has(type="message", data="in the room")


def test_quit_closes_and_frees_the_name(hubbub):
    for gateway in (1, 2):
        client = hubbub.line("quit-naman", gateway)
        client.send("QUIT")
        client.expect_closed()


def test_errors_name_their_code(hubbub):
    hubbub.line("error-naman", 2)
    client = hubbub.connect("line", 1)
    client.send("MSG too early")
    client.expect_error("login-required")
    client.send("LOGIN error-naman")
    client.expect_error("username-taken")
    client.send("LOGIN server")
    client.expect_error("username-invalid")
    client.send("DANCE")
    client.expect_error("unknown-command")
    client.send("LOGIN error-other")
    client.expect("OK")
    client.send("LOGIN error-third")
    client.expect_error("already-logged-in")
    client.send("MSG")
    client.expect_error("bad-request")
    client.send("MSG \x1b[31mred")
    client.expect_error("bad-request")
    client.send_bytes(b"MSG \xc3\x28\n")
    client.expect_error("bad-request")
    client.sync()


def test_a_line_that_is_too_long_is_skipped_and_the_connection_goes_on(hubbub):
    client = hubbub.line("longline-naman")
    client.send("MSG " + "x" * 20000)
    client.expect_error("too-long")
    client.sync()


def test_the_end_of_input_frees_the_name(hubbub):
    watcher, client = hubbub.line("eof-watcher", 2), hubbub.line("eof-naman", 1)
    client.send("MSG bye")
    client.end_input()
    watcher.expect("MSG eof-naman bye")
    watcher.expect("INFO eof-naman disconnected")
    client.expect_closed()
