"""The client where all that can happen at a bad moment does: connections that break in the middle of a request,
shells that stop it while it asks for a password, terminals that take nothing any more."""

import contextlib
import os
import shutil
import signal
import subprocess
import termios
import time

import pytest

from client import CLIENT, address, environment, start
from hubbub import PATIENCE, wait_for
from relay import Relay
from terminal import Terminal, control
from test_client_hostile import Server
from test_client_screen import line, message, sit_down, welcome  # noqa: F401

# Connections.


class Breaking(Relay):
    """Its first connection ends when so many bytes have passed behind the first `word`, in one direction."""

    def __init__(self, port, towards_gateway, word, behind):
        super().__init__(type("Gateway", (), {"port": port}))
        self.towards_gateway, self.word, self.behind = towards_gateway, word, behind
        self.broken = False

    def pass_on(self, source, target, gate):
        passed = b""
        watched = source is self.sockets[0 if self.towards_gateway else 1]
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                begin, passed = len(passed), passed + data
                at = passed.find(self.word) if watched else -1
                if at >= 0 and len(passed) >= at + self.behind:
                    target.sendall(passed[begin:at + self.behind])
                    self.broken = True
                    break
                target.sendall(data)
        self.end(source)
        self.end(target)


@pytest.mark.parametrize("towards_gateway", [True, False], ids=["to the gateway", "to the client"])
def test_a_connection_that_breaks_anywhere_loses_nothing_and_doubles_nothing(hubbub, towards_gateway):
    """In a chat or in its ack: at every fifth byte of the line, its end, and what is behind it."""
    word = b'"type":"chat"' if towards_gateway else b'"type":"ack"'
    lines = [f"line {number}" for number in range(20)]
    given = "".join(one + "\n" for one in lines).encode()
    with contextlib.ExitStack() as last:
        scripts = []
        for behind in range(0, 150, 5):
            relay = last.enter_context(Breaking(hubbub.port("json"), towards_gateway, word, behind))
            room = f"breaks-{'to' if towards_gateway else 'from'}-{behind}"
            script = start(relay.port, "-u", room, "-r", room, stdin=subprocess.PIPE)
            last.callback(script.communicate)
            last.callback(script.kill)
            script.stdin.write(given)
            script.stdin.flush()
            scripts.append((room, relay, script))
        for room, relay, script in scripts:
            assert (script.communicate(timeout=PATIENCE)[1], script.returncode) == (b"", 0)
            script.communicate = lambda: None
            assert relay.broken
            hubbub.wait_sql(f"SELECT string_agg(text, ',' ORDER BY id) FROM history WHERE room = '{room}'", ",".join(lines))


# Terminals.


def ask_password(one, _):
    one.send(line(type="error", code="password-required", data="A password, please.", **{"from": "server"}))
    one.wait()


def echoes(terminal):
    return bool(termios.tcgetattr(terminal.slave)[3] & termios.ECHO)


@contextlib.contextmanager
def at_a_shell(*command, **env):
    terminal = Terminal(command, **{**environment(), "PS1": "shell: ", **env})
    try:
        terminal.until_shown("shell:")
        yield terminal
    finally:
        terminal.close()


@pytest.mark.parametrize("shell", ["bash --norc --noprofile -i", "dash -i"])
def test_a_password_is_not_shown_after_the_shell_was_there(shell):
    """One that gives itself an echo, and leaves it on, and one that leaves all as it is."""
    if not shutil.which(shell.split()[0]):
        pytest.skip("there is no such shell")
    with Server(ask_password) as server, at_a_shell(*shell.split()) as ann:
        ann.press(f"TERM=dumb {CLIENT} -u Ann {address(server.port)}\n")
        ann.until(lambda: ann.text().count("Password:") == 1 and not echoes(ann), "the question")
        ann.press(control("z"))
        ann.until_shown("topped")
        ann.press("echo 'I see' | sed s/see/saw/\n")
        ann.until_shown("I saw")
        assert "I see" in ann.text()
        ann.press("fg\n")
        ann.until(lambda: ann.text().count("Password:") == 2 and not echoes(ann), "the question again")
        ann.press("secret\n")
        ann.press(control("z"))
        ann.until(lambda: ann.text().count("topped") == 2, "the shell")
        assert "secret" not in ann.text()
        ann.press("kill %1; fg\n")  # it takes the signal when it goes on
        ann.until(lambda: ann.text().rstrip().endswith("shell:"), "the shell again")


def test_keys_that_are_thrown_away_do_not_hold_it_up(sit_down):
    """As Ctrl-Z and Ctrl-C do it; here between poll() and read(), if one waits as long as that takes."""
    def serve(one, _):
        one.send(welcome())
        one.wait()

    with Server(serve) as server:
        ann = sit_down(server.port, "-u", "Ann", TERM="dumb")
        ann.until_shown("You are Ann")
        for number in range(1, 1001):
            ann.press("\n")
            begun = time.perf_counter_ns()
            while time.perf_counter_ns() < begun + number % 100 * 1000:
                pass
            termios.tcflush(ann.slave, termios.TCIFLUSH)
            server.connections[0].send(message(number, data=f"this is {number}."))
            ann.until(lambda: f"this is {number}." in ann.lines()[ann.display.cursor.y - 1], f"{number}")


def test_a_terminal_without_echo_is_left_so(sit_down):
    """Such as the shell of an editor, which shows by itself what is typed."""
    def serve(one, _):
        one.send(welcome(), message(1, data="hello"))
        one.wait()

    with Server(serve) as server, at_a_shell("sh", "-i", TERM="dumb") as ann:
        ann.press(f"stty -echo; {CLIENT} -u Ann {address(server.port)}; echo ended\n")
        ann.until_shown("hello")
        assert not echoes(ann)
        ann.press("/quit\n")
        ann.until(lambda: any(text == "ended" for text in ann.lines()), "the end")
        assert not echoes(ann)


def test_who_goes_on_after_a_stop_has_the_screen_back(sit_down):
    """Stopped in a way that does not tell it; somebody else had the terminal meanwhile."""
    def serve(one, _):
        one.send(welcome(), message(1, data="hello"))
        one.wait()

    with Server(serve) as server:
        ann = sit_down(server.port, "-u", "Ann").until_connected()
        ann.until_said("Bob: hello")
        ann.press("half")
        ann.until_line(-1, "> half")
        modes = termios.tcgetattr(ann.slave)
        ann.process.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, ann.process.pid, os.WSTOPPED)
        while ann.read(0):
            pass
        termios.tcsetattr(ann.slave, termios.TCSANOW, ann.before)
        os.write(ann.slave, b"\x1b[?2004l\x1b[?1049l\x1b[Hsomething else\x1b[J")
        ann.until_shown("something else")
        ann.process.send_signal(signal.SIGCONT)
        ann.until_gone("something else")
        ann.press(" typed")
        ann.until_line(-1, "> half typed")
        assert "Bob: hello" in ann.said() and termios.tcgetattr(ann.slave) == modes
        assert ann.written.rfind(b"\x1b[?2004h") > ann.written.rfind(b"\x1b[?2004l")
        ann.press(control("u") + b"/quit\r")
        assert ann.wait() == 0 and ann.is_sane()


@pytest.mark.parametrize("term", ["xterm-256color", "dumb"])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_terminal_that_takes_nothing_does_not_keep_it(sit_down, term, number):
    """As after Ctrl-S."""
    def serve(one, _):
        one.send(welcome())
        one.send(*[message(number, data="word " * 20) for number in range(1, 200)])
        one.wait()

    with Server(serve) as server:
        ann = sit_down(server.port, "-u", "Ann", TERM=term)
        ann.until_shown("word word")
        termios.tcflow(ann.slave, termios.TCOOFF)
        ann.process.send_signal(number)
        wait_for(lambda: ann.process.poll() is not None, PATIENCE, "the end of the client")
        assert ann.process.returncode in (0, -number)
        termios.tcflow(ann.slave, termios.TCOON)
        ann.wait()
        assert ann.is_sane()
