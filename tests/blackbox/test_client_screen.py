"""The client as a person has it: under a pseudo-terminal, on real gateways, and on servers that mean no good."""

import itertools
import json
import re
import signal
import socket
import threading

import pytest

from client import CLIENT, address, environment
from hubbub import PATIENCE, wait_for
from person import Person
from relay import Relay
from terminal import ENTER, PAGE_UP, TERM, Terminal, control, pasted

PASSWORD = "correct horse battery staple"
numbers = itertools.count(1)


def fresh(kind):
    return f"{kind}{next(numbers)}"


@pytest.fixture
def sit_down():
    """Called with the arguments of Person; all of them must leave the terminal as it was."""
    made = []

    def make(*arguments, **options):
        made.append(Person(*arguments, **options))
        return made[-1]

    yield make
    problems = [re.search(rb"Sanitizer|runtime error", person.written) for person in made]
    for person in made:
        person.close()
    assert not any(problems)


def rows(hubbub, room):
    return hubbub.sql(f"SELECT sender, text FROM history WHERE room = '{room}' ORDER BY id").split("\n")


def test_two_people_talk(hubbub, sit_down):
    room, ann, bob = fresh("room"), fresh("Ann"), fresh("Bob")
    one = sit_down(hubbub.port("json", 1), "-u", ann, "-r", room).until_connected()
    other = sit_down(hubbub.port("json", 2), "-u", bob, "-r", room).until_connected()
    one.until_said(f"{bob} joined")
    one.type("hello there")
    other.until_said(f"{ann}: hello there")
    other.type("wide 漢字, marks re\u0301mi, smile 😀")
    one.until(lambda: any(line.startswith(f"{bob}: wide 漢字, marks r") for line in one.said()), "the answer")
    assert f"[{room}]  2 here  connected" in one.lines()[-2]
    assert one.lines()[-1] == ">" and one.said().count(f"{ann}: hello there") == 1
    other.type("/quit")
    assert other.wait() == 0 and other.is_sane()
    one.until_said(f"{bob} left")


def test_a_direct_reaches_one_alone(hubbub, sit_down):
    room, ann, bob = fresh("room"), fresh("Ann"), fresh("Bob")
    one = sit_down(hubbub.port("json", 1), "-u", ann, "-r", room).until_connected()
    other = sit_down(hubbub.port("json", 2), "-u", bob, "-r", room).until_connected()
    carol = hubbub.json(fresh("Carol"), room=room)
    one.type(f"/msg {bob} psst")
    other.until_said(f"[direct] {ann}: psst")
    assert other.bells() == 1 and one.bells() == 0
    one.until(lambda: any(line.startswith("[direct] ") and line.endswith("psst") for line in one.said()), "one's own")
    one.type(f"/msg {fresh('nobody')} psst")
    one.until_shown("not said:")
    carol.sync()
    assert not carol.has(type="direct") and not carol.has(type="message")


def test_another_size(hubbub, sit_down):
    room, ann = fresh("room"), fresh("Ann")
    one = sit_down(hubbub.port("json"), "-u", ann, "-r", room).until_connected()
    one.type("word " * 30 + "end")
    one.until_shown("end")
    one.press("half typed")
    for columns, lines in [(40, 12), (100, 30), (80, 24)]:
        one.resize(columns, lines)
        one.until(lambda: one.lines()[-1] == "> half typed" and one.lines()[-2].startswith(f"[{room}]") and
                  one.lines()[-3].endswith("end"), f"{columns} columns")


def test_what_is_typed_while_the_gateway_is_gone_is_said_once(own_hubbub, sit_down):
    """And what others said meanwhile is heard once."""
    bob = own_hubbub.json("Bob", gateway=2, room="ops")
    ann = sit_down(own_hubbub.port("json", 1), "-u", "Ann", "-r", "ops").until_connected()
    ann.type("before")
    ann.until_said("Ann: before")
    bob.expect(type="message", data="before")
    own_hubbub.gateways[0].kill()
    ann.until_shown("reconnecting")
    for text in ("one", "two", "three"):
        ann.type(text)
    ann.until(lambda: re.search("[34] not said yet", ann.lines()[-2]), "what waits")  # 4: the first ack was lost, too
    bob.chat("while you were away")
    bob.sync()
    own_hubbub.gateways[0].start()
    ann.until_connected()
    ann.until_said("Bob: while you were away")
    ann.until_gone("not said yet")
    for text in ("one", "two", "three"):
        bob.expect(type="message", data=text)
    own_hubbub.wait_sql("SELECT count(*) FROM history WHERE room = 'ops'", "5")
    assert rows(own_hubbub, "ops") == ["Ann|before", "Bob|while you were away", "Ann|one", "Ann|two", "Ann|three"]
    seen = [line for line in ann.said() if re.match("(Ann|Bob): ", line)]
    assert sorted(seen) == ["Ann: before", "Ann: one", "Ann: three", "Ann: two", "Bob: while you were away"]


def test_the_state_is_seen_on_the_smallest_screens(own_hubbub, sit_down):
    bob = own_hubbub.json("Bob", gateway=2)
    ann = sit_down(own_hubbub.port("json", 1), "-u", "Ann", "-r", "ops").until_connected()
    ann.until_shown("You are Ann, in ops.")
    ann.type("/join lobby")
    ann.until_shown("[lobby]")
    bob.expect(type="joined")
    ann.press(control("n"))
    ann.until_shown("[ops]")
    bob.chat("one")
    ann.until_line(-2, "[ops]  1 here  connected" + " " * 49 + "lobby:1")
    ann.resize(20, 5)
    ann.until_line(-2, "[ops]        lobby:1")
    own_hubbub.gateways[0].kill()
    ann.until_shown("reconnecting [ops]")
    ann.resize(50, 5)
    ann.until_line(-2, "[ops]  reconnecting" + " " * 24 + "lobby:1")


def test_a_chat_whose_answer_was_lost_is_seen_and_said_once(hubbub, sit_down):
    room, ann, name = fresh("room"), fresh("Ann"), fresh("Bob")
    bob = hubbub.json(name, room=room)

    class Gateway:
        port = hubbub.port("json")

    with Relay(Gateway) as relay:
        one = sit_down(relay.port, "-u", ann, "-r", room).until_connected()
        relay.to_gateway.shut(b'"type":"ack"')
        one.type("only once")
        relay.to_gateway.wait_caught()
        bob.expect(type="message", data="only once")
        for end in list(relay.sockets):
            relay.end(end)
        relay.open()
        one.until_shown("econnecting")
        one.until_connected()
        one.until_gone("not said yet")
        one.type("after it")
        bob.expect(type="message", data="after it")
        one.until_said(f"{ann}: after it")
        assert [line for line in one.said() if "once" in line] == [f"{ann}: only once"]
    hubbub.wait_sql(f"SELECT count(*) FROM history WHERE room = '{room}'", "2")
    assert rows(hubbub, room) == [f"{ann}|only once", f"{ann}|after it"]


def test_a_server_that_is_not_there_is_waited_for(own_hubbub, sit_down):
    assert own_hubbub.gateways[0].stop() == 0
    ann = sit_down(own_hubbub.port("json"), "-u", "Ann")
    ann.until_shown("Connection refused")
    ann.until_shown("reconnecting")
    own_hubbub.gateways[0].start()
    ann.until_connected()
    assert ".." not in ann.text()


def test_who_quits_with_something_unsaid_is_told(own_hubbub, sit_down):
    ann = sit_down(own_hubbub.port("json"), "-u", "Ann").until_connected()
    own_hubbub.gateways[0].kill()
    ann.until_shown("reconnecting")
    ann.type("not yet")
    ann.until_shown("1 not said yet")
    ann.press(control("c"))
    ann.until_shown("again")
    assert ann.process.poll() is None
    ann.press(control("c"))
    assert ann.wait() == 1 and ann.is_sane()
    assert "hubbub: of what you typed last 1 text was not said, or not answered" in ann.text()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_who_is_ended_with_something_unsaid_ends(own_hubbub, sit_down, number):
    ann = sit_down(own_hubbub.port("json"), "-u", "Ann").until_connected()
    own_hubbub.gateways[0].kill()
    ann.until_shown("reconnecting")
    ann.type("not yet")
    ann.until_shown("1 not said yet")
    ann.process.send_signal(number)
    assert ann.wait() == 1 and ann.is_sane()


# Names and passwords.


def test_a_name_that_is_taken_is_asked_for_again(hubbub, sit_down):
    taken, other = fresh("Ann"), fresh("Ann")
    hubbub.json(taken)
    ann = sit_down(hubbub.port("json"), "-u", taken)
    ann.until_line(-1, "Your name:")
    ann.until_shown(f"The name {taken} is taken.")
    ann.type(taken)
    ann.until(lambda: ann.text().count(f"The name {taken} is taken.") == 2, "the second refusal")
    ann.until_line(-1, "Your name:")
    ann.type(other)
    ann.until_connected()
    ann.until_line(-1, ">")
    ann.type("hello")
    ann.until_said(f"{other}: hello")


def test_who_does_not_say_a_name_leaves(hubbub, sit_down):
    taken = fresh("Ann")
    hubbub.json(taken)
    ann = sit_down(hubbub.port("json"), "-u", taken)
    ann.until_line(-1, "Your name:")
    ann.press(control("c"))
    assert ann.wait() == 0 and ann.is_sane()


def test_without_a_name_it_asks_and_may_be_left(hubbub, sit_down):
    ann = sit_down(hubbub.port("json"), LOGNAME="no name at all")
    ann.until_line(-1, "Your name:")
    ann.press(control("c"))
    assert ann.wait() == 0 and ann.is_sane()
    name = fresh("Ann")
    again = sit_down(hubbub.port("json"), LOGNAME="no name at all")
    again.until_line(-1, "Your name:")
    again.type(name)
    again.until_connected()
    again.until_line(-1, ">")


def test_an_account_is_made_and_its_password_asked_for_unseen(hubbub, sit_down):
    name = fresh("Ann")
    ann = sit_down(hubbub.port("json"), "-u", name).until_connected()
    ann.type("/register")
    ann.until_line(-1, "New password:")
    ann.type(PASSWORD)
    ann.until_line(-1, "The same again:")
    ann.type("something else")
    ann.until_shown("These are not the same")
    ann.until_line(-1, "New password:")
    ann.type(PASSWORD)
    ann.until_line(-1, "The same again:")
    ann.type(PASSWORD)
    ann.until_shown(f"{name} is your account now")
    ann.type("/quit")
    assert ann.wait() == 0
    again = sit_down(hubbub.port("json", 2), "-u", name)
    again.until_line(-1, "Password:")
    again.type("something else")
    again.until(lambda: "something" not in again.text() and "wrong" in again.text().lower() or
                "not right" in again.text().lower(), "the refusal")
    again.until_line(-1, "Password:")
    again.type(PASSWORD)
    again.until_connected()
    again.until_line(-1, ">")
    for one in (ann, again):
        assert PASSWORD.encode() not in one.written and b"something else" not in one.written


def test_a_new_password_that_is_mistyped_is_asked_for_again_and_the_old_one_first(hubbub, sit_down):
    name = fresh("Ann")
    ann = sit_down(hubbub.port("json"), "-u", name).until_connected()
    for old in (None, PASSWORD):
        ann.type("/register")
        if old:
            ann.until_line(-1, "Old password:")
            ann.type(old)
        ann.until_line(-1, "New password:")
        ann.type("something else")
        ann.until_line(-1, "The same again:")
        ann.type("something els")
        ann.until_line(-1, "New password:")
        ann.type(PASSWORD)
        ann.until_line(-1, "The same again:")
        ann.type(PASSWORD)
        ann.until(lambda: ann.text().count(f"{name} is your account now") == (2 if old else 1), "the account")
        ann.until_line(-1, ">")
    ann.type("/register")
    ann.until_line(-1, "Old password:")
    ann.type("")
    ann.until_shown("nothing has changed")
    ann.until_line(-1, ">")
    assert b"something" not in ann.written


def test_who_is_replaced_is_told_and_may_leave_or_come_back(hubbub, sit_down):
    name = fresh("Ann")
    owner = hubbub.json(name)
    owner.send({"type": "register", "password": PASSWORD})
    owner.expect(type="registered")
    ann = sit_down(hubbub.port("json"), "-u", name)
    ann.until_line(-1, "Password:")
    ann.type(PASSWORD)
    ann.until_connected()
    taker = hubbub.json(name, gateway=2, password=PASSWORD)
    ann.until_shown("/quit ends this")
    assert ".." not in ann.text()
    ann.press(ENTER)
    ann.until_connected()
    taker.expect_error("replaced")
    hubbub.json(name, gateway=2, password=PASSWORD)
    ann.until(lambda: ann.text().count("/quit ends this") == 2, "the second time")
    ann.type("hello?")
    ann.until_shown("Enter alone connects again")
    ann.type("/help")
    ann.until_shown("/join ROOM")
    ann.type("/QUIT")
    assert ann.wait() == 0 and ann.is_sane()


# What is seen.


def test_a_mention_rings_unless_it_may_not(hubbub, sit_down):
    room, ann, quiet = fresh("room"), fresh("Ann"), fresh("Quiet")
    one = sit_down(hubbub.port("json"), "-u", ann, "-r", room).until_connected()
    other = sit_down(hubbub.port("json", 2), "--no-bell", "-u", quiet, "-r", room).until_connected()
    bob = hubbub.json(fresh("Bob"), room=room)
    bob.chat("nobody in particular")
    one.until_shown("particular")
    assert one.bells() == 0
    bob.chat(f"hello {ann.lower()} and {quiet}")
    one.until_shown("hello ann")
    other.until_shown("hello ann")
    one.until(lambda: one.bells() == 1, "the bell")
    row = next(n for n, line in enumerate(one.lines()) if "hello ann" in line)
    assert one.display.buffer[row][one.column(row, "hello")].reverse
    bob.chat("end")
    other.until_shown("end")
    assert other.bells() == 0


def test_joins_and_leaves_are_folded(hubbub, sit_down):
    room = fresh("room")
    ann = sit_down(hubbub.port("json"), "-u", fresh("Ann"), "-r", room).until_connected()
    names = [fresh("Guest") for _ in range(4)]
    guests = [hubbub.json(name, gateway=2, room=room) for name in names]
    ann.until_said(f"4 joined ({', '.join(names)})")
    ann.until_shown("5 here")
    guests[0].chat("hello")
    ann.until_said(f"{names[0]}: hello")
    for guest in guests[:2]:
        guest.close()
    ann.until(lambda: any(re.search(r"2 left \(", line) for line in ann.said()), "the leaves, folded")
    ann.until_shown("3 here")
    row = next(n for n, line in enumerate(ann.lines()) if "4 joined" in line)
    assert not ann.display.buffer[row][ann.column(row, "joined")].reverse


def test_the_past_is_there_and_older_pages_come(hubbub, sit_down):
    room, bob = fresh("room"), hubbub.json(fresh("Bob"))
    bob.send({"type": "join", "room": room})
    bob.expect(type="entered")
    for number in range(120):
        bob.chat(f"line {number:03}", room=room)
    bob.sync()
    ann = sit_down(hubbub.port("json"), "-u", fresh("Ann"), "-r", room, rows=30).until_connected()
    ann.until_shown("line 119")
    for wanted in ("line 070", "line 020", "line 000"):
        def paged():
            if wanted not in ann.text():
                ann.press(PAGE_UP)
            return wanted in ann.text()

        ann.until(paged, wanted)
    ann.type("x")
    ann.until_shown("line 119")
    shown = []
    for _ in range(12):
        shown += re.findall(r"line (\d\d\d)", ann.text())
        ann.press(PAGE_UP)
        ann.until(lambda: ann.unread() == 0)
        while ann.read(0.1):
            pass
    assert set(shown) == {f"{number:03}" for number in range(120)}


def test_history_by_a_command(hubbub, sit_down):
    room, bob = fresh("room"), hubbub.json(fresh("Bob"))
    bob.send({"type": "join", "room": room})
    bob.expect(type="entered")
    for number in range(70):
        bob.chat(f"line {number:03}", room=room)
    bob.sync()
    ann = sit_down(hubbub.port("json"), "-u", fresh("Ann"), "-r", room, rows=100).until_connected()
    ann.until_shown("line 020")
    assert "line 019" not in ann.text()
    ann.type("/history")
    ann.until_shown("line 000")
    ann.until_said("20 older messages are above: Page Up scrolls.")
    ann.type("/history")
    ann.until_shown("There is nothing older.")
    assert re.findall(r"line (\d\d\d)", ann.text()) == [f"{number:03}" for number in range(70)]


def test_history_of_directs(hubbub, sit_down):
    name, other = fresh("Ann"), fresh("Bob")
    owner = hubbub.json(name)
    owner.send({"type": "register", "password": PASSWORD})
    owner.expect(type="registered")
    hubbub.json(other)
    for number in range(30):
        owner.send({"type": "direct", "to": other, "data": f"direct {number:02}", "ref": str(number)})
        owner.expect(type="ack", ref=str(number))
    ann = sit_down(hubbub.port("json"), "-u", name, rows=60)
    ann.until_line(-1, "Password:")
    ann.type(PASSWORD)
    ann.until_connected()
    ann.type(f"/history {other}")
    ann.until(lambda: re.findall(r"Ann.*: direct (\d\d)", ann.text()) == [f"{number:02}" for number in range(10, 30)],
              "the newest page")
    ann.until_shown(f"/history {other} again has what is older.")
    ann.type(f"/history {other.upper()}")
    ann.until(lambda: len(re.findall(r"direct \d\d", ann.text())) == 30, "the older ones")
    assert "direct 00" in ann.text()
    ann.type("/history Nobody.ever")
    ann.until_said("You and Nobody.ever have said nothing alone.")


def test_a_room_where_one_is_not_is_completed(hubbub, sit_down):
    room = fresh("elsewhere")
    hubbub.json(fresh("Bob"), room=room)
    ann = sit_down(hubbub.port("json"), "-u", fresh("Ann"), "-r", fresh("room")).until_connected()

    def completed():
        ann.press("\t")
        return ann.lines()[-1] == f"> /join {room}"

    ann.press(f"/join {room[:-1]}")
    ann.until(completed, "the room's name")


def test_rooms_and_completion(hubbub, sit_down):
    room, dev = fresh("plaza"), fresh("dev-")
    bob = hubbub.json(fresh("Barnaby"), room=room)
    name = bob.has(type="welcome")[0]["name"]
    ann = sit_down(hubbub.port("json"), "-u", fresh("Ann"), "-r", room).until_connected()
    ann.until_shown("2 here")
    ann.press("Bar\t")
    ann.until_line(-1, f"> {name}:")
    ann.press("hi" + "\r")
    bob.expect(type="message", data=f"{name}: hi")
    ann.press("/jo\t")
    ann.until_line(-1, "> /join")
    ann.press(dev + "\r")
    ann.until(lambda: ann.lines()[-2].startswith(f"[{dev}]"), "the other room")
    bob.chat("are you there?")
    ann.until_shown(f"{room}:1")
    ann.press("/join pla\t")
    ann.until_line(-1, f"> /join {room}")
    ann.press(ENTER)
    ann.until(lambda: ann.lines()[-2].startswith(f"[{room}]"), "the first room again")
    ann.until_said(f"{name}: are you there?")
    ann.until(lambda: f"{room}:1" not in ann.lines()[-2], "nothing unread")
    ann.press(control("n"))
    ann.until(lambda: ann.lines()[-2].startswith(f"[{dev}]"), "the next room")
    ann.type("/leave")
    ann.until(lambda: ann.lines()[-2].startswith(f"[{room}]"), "the room that is left")
    ann.type("/who")
    ann.until(lambda: any(line.startswith(f"{room}, 2:") and name in line for line in ann.said()), "who is there")
    ann.type("/rooms")
    ann.until_said(f"{room}: 2")
    ann.type("/help")
    ann.until(lambda: all(text in ann.text() for text in ("/history [NAME]", "/join ROOM", "Ctrl-C empties")), "one screen")
    ann.type("/nonsense")
    ann.until_shown("nonsense")
    ann.type("//nonsense")
    bob.expect(type="message", data="/nonsense")


def test_nothing_is_said_where_one_is_not(hubbub, sit_down):
    room = fresh("room")
    name = fresh("Ann")
    ann = sit_down(hubbub.port("json"), "-u", name, "-r", room).until_connected()
    ann.type("/leave")
    ann.until_shown(f"You have left {room}")
    ann.type("hello?")
    ann.until_shown(f"You are not in {room}")
    ann.type(f"/join {room}")
    ann.until_shown("1 here")
    ann.type("hello!")
    wait_for(lambda: rows(hubbub, room) == [f"{name}|hello!"], PATIENCE, "what was said")


def test_rooms_are_gone_through_both_ways(hubbub, sit_down):
    rooms = [fresh("first-"), fresh("second-"), fresh("third-")]
    ann = sit_down(hubbub.port("json"), "-u", fresh("Ann"), "-r", rooms[0]).until_connected()

    def until_in(room):
        ann.until(lambda: ann.lines()[-2].startswith(f"[{room}]"), room)

    for room in rooms[1:]:
        ann.type(f"/join {room}")
        until_in(room)
    for key, room in [("p", 1), ("p", 0), ("p", 2), ("n", 0), ("n", 1)]:
        ann.press(control(key))
        until_in(rooms[room])


def test_the_rooms_are_entered_again(own_hubbub, sit_down):
    bob = own_hubbub.json("Bob", gateway=2, room="dev")
    ann = sit_down(own_hubbub.port("json"), "-u", "Ann").until_connected()
    ann.type("/join dev")
    ann.until(lambda: ann.lines()[-2].startswith("[dev]"), "the other room")
    own_hubbub.gateways[0].kill()
    ann.until_shown("reconnecting")
    bob.chat("one")
    bob.sync()
    own_hubbub.gateways[0].start()
    ann.until_connected()
    bob.chat("two")
    ann.until_said("Bob: two")
    assert [line for line in ann.said() if line.startswith("Bob:")] == ["Bob: one", "Bob: two"]


def test_several_lines_are_one_text_after_a_question(hubbub, sit_down):
    room, bob = fresh("room"), hubbub.json(fresh("Bob"))
    bob.send({"type": "join", "room": room})
    bob.expect(type="entered")
    ann = sit_down(hubbub.port("json"), "-u", fresh("Ann"), "-r", room).until_connected()
    ann.press(pasted("int main(void)\n{\n\treturn 0;\n}\n"))
    ann.until_shown("4 lines")
    ann.press("n")
    ann.until_line(-1, ">")
    ann.press(pasted("first\nsecond"))
    ann.until_shown("2 lines")
    ann.press("y")
    assert bob.expect(type="message")["data"] == "first\nsecond"


def test_no_color_has_none(hubbub, sit_down):
    room = fresh("room")
    bob = hubbub.json(fresh("Bob"), room=room)
    coloured = sit_down(hubbub.port("json"), "-u", fresh("Ann"), "-r", room).until_connected()
    plain = sit_down(hubbub.port("json"), "-u", fresh("Ann"), "-r", room, NO_COLOR="1").until_connected()
    bob.chat("hello")
    for ann in (coloured, plain):
        ann.until_shown("hello")
    colour = re.compile(rb"\033\[[0-9;]*\b(3[0-7]|38;[0-9;]*|4[0-7]|9[0-7])\b[0-9;]*m")
    assert colour.search(coloured.written) and not colour.search(plain.written)


def test_a_dumb_terminal_is_served_line_by_line(hubbub, sit_down):
    room, name = fresh("room"), fresh("Bob")
    bob = hubbub.json(name, room=room)
    ann = sit_down(hubbub.port("json"), "-u", fresh("Ann"), "-r", room, TERM="dumb")
    bob.expect(type="joined")
    ann.press("hello\n")
    bob.expect(type="message", data="hello")
    bob.chat("two\nlines")
    ann.until_shown(f"[{room}] {name}: lines")
    assert f"[{room}] {name}: two" in ann.lines()
    ann.press("/who\n")
    ann.until_shown(f"{room}, 2:")
    ann.press("/quit\n")
    assert ann.wait() == 0 and ann.is_sane()
    assert b"\033" not in ann.written


@pytest.mark.parametrize("term, why", [("dumb", "cannot move its cursor"), ("no-such-terminal", "is unknown"),
                                       ("", "TERM is not set")])
def test_who_is_served_line_by_line_is_told_why(hubbub, sit_down, term, why):
    ann = sit_down(hubbub.port("json"), "-u", fresh("Ann"), TERM=term)
    ann.until(lambda: ann.lines()[0].startswith("hubbub: line by line: ") and why in ann.lines()[0], why)
    ann.press("/quit\n")
    assert ann.wait() == 0


def test_a_dumb_terminal_shows_no_password(hubbub, sit_down):
    name = fresh("Ann")
    owner = hubbub.json(name)
    owner.send({"type": "register", "password": PASSWORD})
    owner.expect(type="registered")
    ann = sit_down(hubbub.port("json"), "-u", name, TERM="dumb")
    ann.until_shown("Password:")
    ann.press(PASSWORD + "\n")
    owner.expect_error("replaced")
    bob = hubbub.json(fresh("Bob"))
    bob.chat("now")
    ann.until_shown("now")
    ann.process.send_signal(signal.SIGTERM)
    ann.wait()
    assert PASSWORD not in ann.text() and ann.is_sane()


# The terminal.


@pytest.mark.parametrize("how", ["control c", "control d", "quit", signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_the_terminal_is_given_back(hubbub, sit_down, how):
    ann = sit_down(hubbub.port("json"), "-u", fresh("Ann")).until_connected()
    assert not ann.is_sane()
    if isinstance(how, str):
        ann.press({"control c": control("c"), "control d": control("d"), "quit": b"/quit\r"}[how])
    else:
        ann.process.send_signal(how)
    assert ann.wait() == 0 and ann.is_sane()


def test_an_output_that_is_full_ends_it(hubbub, sit_down):
    """Standard input is a terminal, standard output is not."""
    room = fresh("room")
    bob = hubbub.json(fresh("Bob"), room=room)
    command = f"exec {CLIENT} -u {fresh('Ann')} -r {room} {address(hubbub.port('json'))} > /dev/full"
    ann = Terminal(["sh", "-c", command], **environment())
    try:
        bob.expect(type="joined")
        bob.chat("hello")
        assert ann.wait() == 1
        assert "standard output cannot be written: No space left on device" in ann.text() and ann.is_sane()
    finally:
        ann.close()


# Servers that mean no good.


class Hostile:
    """Answers the first line of each connection with `lines`, and then keeps quiet."""

    def __init__(self, lines):
        self.lines = lines
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.connections = []
        self.thread = threading.Thread(target=self.serve, daemon=True)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.thread.join(PATIENCE)
        for one in [self.listener] + self.connections:
            one.close()

    def serve(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            self.connections.append(connection)
            try:
                connection.settimeout(PATIENCE)
                if connection.recv(65536):
                    connection.sendall(self.lines)
            except OSError:
                pass


EVIL = "\033]0;OWNED\007\033[31mRED\033[2J\x9b31m\x9d0;OWNED\x9c\r\b\x0e\x7f\u202eabc\u2028line"
ID = str((1795000000000 << 20) + 5)


def line(**fields):
    return json.dumps(fields).encode() + b"\n"


def welcome(**more):
    return line(type="welcome", **{"from": "server", "data": "hi", "name": "Ann", "room": "lobby", "id": ID,
                                   "users": 1, "unread": 0, **more})


def message(number, **more):
    return line(type="message", **{"from": "Bob", "data": "text", "room": "lobby", "id": str(int(ID) + number),
                                   "at": "2026-11-22T00:00:00.000Z", **more})


HOSTILE = {
    "escapes in a text": welcome() + message(1, data=EVIL),
    "escapes in a name": welcome() + message(1, **{"from": EVIL}) + line(type="joined", room="lobby", **{"from": EVIL}),
    "escapes in one's own name": welcome(name=EVIL),
    "escapes in the room": welcome(room=EVIL) + message(1, room=EVIL),
    "escapes in a direct": welcome() + line(type="direct", to=EVIL, data=EVIL, id=str(int(ID) + 1), **{"from": EVIL}),
    "escapes in lists": welcome() + line(type="who", room="lobby", users=[EVIL, EVIL], count=2) +
    line(type="rooms", rooms=[{"room": EVIL, "users": 1}], count=1) +
    line(type="history", room="lobby", messages=[json.loads(message(-1, data=EVIL, **{"from": EVIL}))], more=True),
    "escapes in an error": welcome() + line(type="error", code=EVIL, data=EVIL, **{"from": EVIL}),
    "escapes in a refusal": line(type="error", code="username-taken", data=EVIL),
    "escapes in a gap": welcome() + line(type="gap", room="lobby", data=EVIL, after=ID, until=ID, **{"from": "server"}),
    "raw escapes in a string": welcome() + b'{"type":"message","from":"B","room":"lobby","id":"' + ID.encode() +
    b'","data":"\033]0;OWNED\007"}\n',
    "a megabyte of a name": welcome() + message(1, **{"from": "x" * 1000000}) + message(2),
    "a megabyte of a text": welcome() + message(1, data="y" * 1000000) + message(2),
    "many marks on a letter": welcome() + message(1, data="a" + "\u0301" * 2000) + message(2),
    "a line without an end": welcome() + b'{"type":"message","data":"' + b"x" * 3000000,
    "no JSON": welcome() + b"\033]0;OWNED\007 what is that\n",
    "no JSON at once": b"HTTP/1.1 400 Bad Request\r\n\r\n\033]0;OWNED\007\n",
    "not UTF-8": welcome() + b'{"type":"message","data":"\xff\xfe\x9b31m"}\n',
    "NUL": welcome() + message(1, data="a\0b"),
    "nested deeply": welcome() + b"[" * 500000 + b"\n",
    "other kinds of values": welcome(users=-5, unread=[1], id=7) + line(type="who", room="lobby", users="x", count="y") +
    line(type="message", data=7, room={}, id=[], **{"from": None}) + line(type=5) + message(2),
    "numbers that are huge": welcome(users=2**62, unread=2**62) + message(1, id=str(2**63 - 1)) + message(2, id="9" * 100),
    "a time that is none": welcome() + message(1, at="9999-99-99T99:99:99.999Z") + message(2, at=EVIL),
    "an ack of nothing": welcome() + line(type="ack", ref=EVIL, id=ID) + line(type="exited", room=EVIL) + message(2),
    "a flood": welcome() + b"".join(message(n, data=f"flood {n}") for n in range(1, 20000)),
    "it closes at once": b"",
}

# What ncurses says on this terminal, and the switch of pastes.
FINE = re.compile(r"\033\[[0-9;]*[ABCDGHJKLMPSTXZ@bdfhlmr]|\033\[2[23];0;0t|\033\[\?[0-9;]*[hl]|\033[()][AB0]|\033[=>78MDEHc]|\033g|[\r\n\b\t\a\x0e\x0f]")


@pytest.mark.parametrize("sent", HOSTILE.values(), ids=HOSTILE.keys())
@pytest.mark.parametrize("term", [TERM, "dumb"])
def test_a_hostile_server_does_not_reach_the_terminal(sit_down, sent, term):
    """What it sends is shown without its teeth, or it is left, with a reason; the person can go on, and leave."""
    with Hostile(sent) as server:
        ann = sit_down(server.port, "-u", "Ann", TERM=term)
        wait_for(lambda: server.connections, PATIENCE, "it has connected")
        if term != "dumb":
            ann.until(lambda: re.search(r"(re|dis|\b)connect(ed|ing)|authenticating", ann.lines()[-2]), "the status")
        while ann.read(0.5):  # until it is quiet
            pass
        ann.press("hello")
        if term != "dumb":
            ann.until(lambda: ann.lines()[-1].endswith("hello") or "?" in ann.lines()[-1], "what is typed")
            ann.press(control("u"))
        ann.process.send_signal(signal.SIGTERM)
        assert ann.wait() == 0 and ann.is_sane()
    written = ann.written.decode()
    left = FINE.sub("", written)
    assert not [c for c in left if ord(c) < 0x20 or 0x7f <= ord(c) < 0xa0 or ord(c) in (0x2028, 0x2029, 0x202e)]
    assert not re.search(r"\033\]|\033\[31mRED|\033\[2JX", written)
    if term == "dumb":
        assert "\033" not in written
