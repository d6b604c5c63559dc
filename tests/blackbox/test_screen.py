"""The client's screen under a pseudo-terminal, with a conversation that is always the same (tests/client/screen_demo.c)."""

import os
import signal
import subprocess

import pytest

from hubbub import BUILD, PATIENCE, wait_for
from terminal import ENTER, LEFT, PAGE_DOWN, PAGE_UP, UP, Terminal, control, pasted

DEMO = os.path.join(BUILD, "tests/client/screen-demo")
STATUS = "[lobby] 3 people  connected"


@pytest.fixture
def show():
    """Called with the arguments of Terminal; returns it when the demo is on it."""
    made = []

    def make(**options):
        made.append(Terminal([DEMO], **options))
        made[-1].until(lambda: made[-1].lines()[-1] == ">", "the prompt")
        return made[-1]

    yield make
    for terminal in made:
        terminal.close()


def test_the_conversation_is_above_the_status_and_the_prompt(show):
    terminal = show()
    lines = terminal.lines()
    assert lines[-2].startswith(STATUS) and lines[-2].endswith("dev:3")
    assert lines[-3] == "12:00 Bob: hello ann"
    assert lines[-5] == "12:00 Bob: wide 漢字, marks rémi, one that is long enough to be broken between"
    assert lines[-4] == "      words"
    assert lines[-6] == "12:00 2 joined (Dan, Eve)"
    assert lines[-7] == "12:00 Bob: message 39"
    terminal.until(lambda: (terminal.display.cursor.y, terminal.display.cursor.x) == (23, 2), "the cursor")


def test_names_have_colours_and_a_mention_is_highlighted(show):
    terminal = show()
    name = terminal.display.buffer[21][terminal.column(21, "Bob")]
    text = terminal.display.buffer[21][terminal.column(21, "hello")]
    assert name.fg != "default" and name.bold
    assert text.reverse
    assert terminal.display.buffer[22][0].reverse


def test_no_color_is_honoured(show):
    terminal = show(NO_COLOR="1")
    cells = [cell for row in range(24) for cell in terminal.display.buffer[row].values()]
    assert {cell.fg for cell in cells} == {"default"} and {cell.bg for cell in cells} == {"default"}
    assert terminal.display.buffer[21][terminal.column(21, "hello")].reverse


def test_what_is_typed_is_said(show):
    terminal = show()
    terminal.press("hello Bob")
    terminal.until_line(-1, "> hello Bob")
    terminal.press(ENTER)
    terminal.until_line(-3, "12:00 Ann: hello Bob")
    terminal.until_line(-1, ">")


def test_the_line_is_edited_as_elsewhere(show):
    terminal = show()
    terminal.press(b"three two" + control("w") + control("a") + b"one " + control("e") + LEFT + b"-" + control("d") + b"!")
    terminal.until_line(-1, "> one three-!")
    terminal.press(b"\033b\033b" + control("k") + control("y") + control("y"))
    terminal.until_line(-1, "> one three-!one three-!")
    terminal.press(b"\033[1;5D\033[1;5D\033f" + control("u"))
    terminal.until_line(-1, ">  three-!")
    terminal.press(control("c"))
    terminal.until_line(-1, ">")
    assert terminal.process.poll() is None


def test_older_lines_come_back(show):
    terminal = show()
    terminal.press(b"one" + ENTER + b"two" + ENTER + b"thr" + UP)
    terminal.until_line(-1, "> two")
    terminal.press(UP)
    terminal.until_line(-1, "> one")
    terminal.press(b"\033OB\033OB")
    terminal.until_line(-1, "> thr")


def test_names_are_completed(show):
    terminal = show()
    terminal.press("b\t")
    terminal.until_shown("12:00 Barbara Bob")
    terminal.press("o\t")
    terminal.until_line(-1, "> Bob:")


def test_wide_characters_and_marks_are_typed_and_removed(show):
    terminal = show()
    terminal.press("漢字re\u0301x")
    terminal.until_line(-1, "> 漢字réx")
    terminal.until(lambda: terminal.display.cursor.x == 2 + 4 + 3, "the cursor")
    terminal.press(b"\x7f\x7f\x7f\x7f")
    terminal.until_line(-1, "> 漢")
    terminal.until(lambda: terminal.display.cursor.x == 4, "the cursor")


def test_a_character_whose_bytes_come_apart_is_one(show):
    terminal = show()
    for byte in "漢".encode():
        terminal.press(bytes([byte]))
        terminal.until(lambda: terminal.unread() == 0, "the end of the input")
    terminal.until_line(-1, "> 漢")


def test_keys_that_nobody_knows_do_nothing(show):
    terminal = show()
    terminal.press(b"a\033[99;7~b\033[1;2Zc\033Oqd\033xe")
    terminal.until_line(-1, "> abcde")


def test_a_sequence_without_an_end_swallows_nothing_behind_ctrl_c(show):
    terminal = show()
    terminal.press(b"a\033[99;" + control("c") + b"b")
    terminal.until_line(-1, "> b")


def test_a_line_longer_than_the_screen_moves_along(show):
    terminal = show(columns=40)
    terminal.press("0123456789" * 5)
    terminal.until(lambda: terminal.lines()[-1].endswith("456789"), "the end of the line")
    assert len(terminal.lines()[-1]) < 40
    terminal.press(control("a"))
    terminal.until_line(-1, "> " + ("0123456789" * 5)[:38])
    terminal.until(lambda: terminal.display.cursor.x == 2, "the cursor")


def test_what_arrives_does_not_tear_the_line(show):
    terminal = show()
    terminal.press("half a line")
    terminal.until_line(-1, "> half a line")
    terminal.process.send_signal(signal.SIGUSR1)
    terminal.until_line(-3, "12:00 Bob: something arrived, Ann")
    assert terminal.lines()[-1] == "> half a line"
    terminal.until(lambda: (terminal.display.cursor.y, terminal.display.cursor.x) == (23, 13), "the cursor")


def test_scrolling_stays_where_it_is_when_something_arrives(show):
    terminal = show()
    terminal.press(PAGE_UP)
    terminal.until_shown("PageDown: newer")
    seen = terminal.lines()[:-2]
    bells = terminal.written.count(b"\a")
    terminal.process.send_signal(signal.SIGUSR1)
    terminal.until(lambda: terminal.written.count(b"\a") > bells, "the bell of a mention")
    terminal.press("x")
    terminal.until_line(-1, "> x")
    assert terminal.lines()[:-2] == seen
    terminal.press(PAGE_DOWN + PAGE_DOWN)
    terminal.until_gone("PageDown: newer")
    terminal.until_line(-3, "12:00 Bob: something arrived, Ann")


def test_at_the_top_older_ones_are_fetched(show):
    terminal = show()
    terminal.press(PAGE_UP)
    terminal.until(lambda: "message 18" in terminal.text(), "older lines")
    terminal.press(PAGE_UP)
    terminal.until_line(0, "- Sat 21 Nov 2026 -")
    terminal.until_line(1, "12:00 Barbara: message 0")
    terminal.press(PAGE_UP + PAGE_UP)
    terminal.until_shown("older 0")
    terminal.press(ENTER)
    terminal.until_line(-3, "12:00 Bob: hello ann")


def test_a_pasted_line_is_inserted(show):
    terminal = show()
    terminal.press(b"say " + pasted("this now\n"))
    terminal.until_line(-1, "> say this now")


def test_pasted_lines_are_asked_about(show):
    terminal = show()
    terminal.press(pasted("first\n  second\n\nlast\n"))
    terminal.until_line(-1, "Say these 4 lines? (y/n)")
    terminal.press("x")
    terminal.press("y")
    said = ["12:00 Ann: first", "        second", "", "      last"]
    terminal.until(lambda: terminal.lines()[-6:-2] == said, "the lines")
    terminal.press(pasted("no\nno"))
    terminal.until_line(-1, "Say these 2 lines? (y/n)")
    terminal.press("n")
    terminal.until_line(-1, ">")
    assert terminal.lines()[-6:-2] == said


def test_a_paste_without_an_end_is_ended_by_ctrl_c(show):
    terminal = show()
    terminal.press(b"\033[200~abc")
    terminal.until(lambda: terminal.unread() == 0, "the end of the input")
    terminal.press(control("c"))
    terminal.until_line(-1, "> abc")
    terminal.press("d")
    terminal.until_line(-1, "> abcd")


def test_escapes_in_a_paste_reach_no_terminal(show):
    terminal = show()
    terminal.press(pasted("a\033]0;title\007b"))
    terminal.until_line(-1, "> a]0;titleb")
    terminal.press(control("u") + pasted("c\n\033]0;title\007d"))
    terminal.until_shown("Say these 2 lines?")
    terminal.press("y")
    terminal.until_shown("12:00 Ann: c")
    assert b"\033]0;title" not in terminal.written


def test_what_was_typed_before_a_question_was_seen_is_no_answer(show):
    terminal = show()
    terminal.press(pasted("c\nd") + b"ny")
    terminal.until_shown("Say these 2 lines?")
    terminal.press("n")
    terminal.until_line(-1, "> ny")
    assert "Ann: c" not in terminal.text()


def test_a_large_paste_is_read_whole(show):
    terminal = show()
    paste, done = pasted("x" * 100 + "\n" + "漢字" * 2000).replace(b"\r", b"\r", 1), 0
    while done < len(paste):
        done += os.write(terminal.master, paste[done:done + 1000])
        terminal.until(lambda: terminal.unread() == 0, "the end of the input")
    terminal.until_line(-1, "Say these 2 lines? (y/n)")
    terminal.press("y")
    terminal.until(lambda: "?" not in terminal.text() and terminal.lines()[-3].startswith("      漢字"), "the text")


def test_a_password_is_not_seen(show):
    terminal = show()
    terminal.press(b"/password" + ENTER)
    terminal.until_line(-1, "Password:")
    terminal.press("geheim")
    terminal.press(UP)
    terminal.press(ENTER)
    terminal.until_line(-3, "12:00 a password of 6 bytes")
    assert b"geheim" not in terminal.written
    terminal.press(UP)
    terminal.until_line(-1, "> /password")


def test_other_rooms(show):
    terminal = show()
    terminal.press(control("n"))
    terminal.until_shown("[next]")
    terminal.press(control("p"))
    terminal.until_shown("[previous]")


@pytest.mark.parametrize("columns, rows", [(40, 10), (120, 40), (20, 5)])
def test_another_size(show, columns, rows):
    terminal = show()
    terminal.press("typed")
    terminal.until_line(-1, "> typed")
    terminal.resize(columns, rows)
    terminal.until(lambda: terminal.lines()[-1] == "> typed" and terminal.lines()[-2].startswith("[lobby]") and
                   terminal.lines()[-3].endswith("hello ann") and
                   (terminal.display.cursor.y, terminal.display.cursor.x) == (rows - 1, 7), "the screen drawn anew")


def test_any_size(show):
    """Whatever the size: it lives, and is whole again afterwards."""
    terminal = show()
    for columns, rows in [(1, 1), (2, 2), (3, 1), (19, 3), (5, 40), (300, 2), (1, 60)]:
        terminal.resize(columns, rows)
        terminal.press("x")
        terminal.until(lambda: terminal.unread() == 0, "the end of the input")
        while terminal.read(0.1):
            pass
    terminal.resize(80, 24)
    terminal.until_line(-1, "> xxxxxxx")
    terminal.until_line(-3, "12:00 Bob: hello ann")


def test_ctrl_l_draws_anew(show):
    terminal = show()
    terminal.display.reset()
    terminal.press(control("l"))
    terminal.until_line(-3, "12:00 Bob: hello ann")
    terminal.until_line(-1, ">")


@pytest.mark.parametrize("key", [control("d"), control("c"), b"/quit" + ENTER])
def test_the_terminal_is_given_back(show, key):
    terminal = show()
    assert not terminal.is_sane()
    terminal.press(key)
    assert terminal.wait() == 0
    assert terminal.is_sane()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGQUIT])
def test_who_is_killed_gives_the_terminal_back(show, number):
    terminal = show()
    terminal.process.send_signal(number)
    assert terminal.wait() == -number
    assert terminal.is_sane()


def test_a_terminal_that_goes_away_ends_it(show):
    terminal = show()
    # It ignores the hang-up's signal, as nohup lets it: the end of the input must do.
    other = Terminal(["sh", "-c", f"trap '' HUP; exec {DEMO}"])
    try:
        other.until_shown("hello ann")
        os.close(other.slave)
        os.close(other.master)
        assert other.process.wait(PATIENCE) == 0
    finally:
        other.slave, other.master = os.open("/dev/null", os.O_RDWR), os.open("/dev/null", os.O_RDWR)
        other.close()
    assert terminal.process.poll() is None


def test_it_sleeps_and_wakes_by_the_shell():
    terminal = Terminal(["bash", "--norc", "--noprofile", "-i"], PS1="ready$ ")
    try:
        terminal.until_shown("ready$")
        terminal.press(DEMO + "\r")
        terminal.until_shown("hello ann")
        terminal.press(b"typed" + control("z"))
        terminal.until_shown("Stopped")
        terminal.press("echo the shell $((40 + 2))\r")
        terminal.until_shown("the shell 42")
        terminal.resize(60, 20)
        terminal.press("fg\r")
        terminal.until_line(-1, "> typed")
        terminal.until_line(-3, "12:00 Bob: hello ann")
        terminal.press(control("u") + control("d"))
        terminal.until(lambda: terminal.lines()[terminal.display.cursor.y].endswith("ready$"), "the shell")
        terminal.press("exit\r")
        assert terminal.wait() == 0
    finally:
        terminal.close()


@pytest.mark.parametrize("term, reason", [("dumb", "cannot move its cursor"), ("no-such-terminal", "unknown"),
                                          ("", "TERM is not set")])
def test_a_terminal_that_cannot_is_left_alone(term, reason):
    terminal = Terminal([DEMO], TERM=term)
    try:
        assert terminal.wait() == 1
        assert reason in terminal.text()
        assert b"\033" not in terminal.written and terminal.is_sane()
    finally:
        terminal.close()


def test_where_there_is_no_terminal_it_says_so():
    done = subprocess.run([DEMO], stdin=subprocess.DEVNULL, capture_output=True, timeout=PATIENCE)
    assert done.returncode == 1 and done.stderr == b"screen-demo: there is no terminal\n" and done.stdout == b""
