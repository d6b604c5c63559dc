"""A terminal: a program on a pseudo-terminal, what it shows (by pyte), and keys for it."""

import collections
import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import termios
import time

import pyte

from hubbub import PATIENCE

TERM = "xterm-256color"
ENTER, PAGE_UP, PAGE_DOWN, UP, LEFT = b"\r", b"\033[5~", b"\033[6~", b"\033OA", b"\033OD"


def pasted(text):
    return b"\033[200~" + text.replace("\n", "\r").encode() + b"\033[201~"


def control(letter):
    return bytes([ord(letter) & 0x1f])


class Cell(collections.namedtuple("Cell", pyte.screens.Char._fields + ("dim",))):
    """What is seen at one place; of a wide character the second has no data."""


class Display(pyte.Screen):
    """With what xterm can and pyte cannot."""

    drawn = " "

    @property
    def default_char(self):
        return Cell(*super().default_char, dim=False)

    def reset(self):
        super().reset()
        self.cursor.attrs = self.default_char

    def select_graphic_rendition(self, *attributes):
        super().select_graphic_rendition(*attributes)
        if 2 in attributes and not {38, 48} & set(attributes):  # those begin a colour, in which a 2 is something else
            self.cursor.attrs = self.cursor.attrs._replace(dim=True)

    def draw(self, data):
        self.drawn = data[-1:] or self.drawn
        super().draw(data)

    def repeat(self, count=1):
        self.draw(self.drawn * (count or 1))

    def scroll(self, method, count):
        top, y = (self.margins.top if self.margins else 0), self.cursor.y
        x, self.cursor.y = self.cursor.x, top
        method(count or 1)
        self.cursor.x, self.cursor.y = x, y

    def scroll_up(self, count=1):
        self.scroll(self.delete_lines, count)

    def scroll_down(self, count=1):
        self.scroll(self.insert_lines, count)

    def tab_back(self, count=1):
        for _ in range(count or 1):
            self.cursor.x = max([stop for stop in self.tabstops if stop < self.cursor.x], default=0)


class Stream(pyte.ByteStream):
    csi = {**pyte.ByteStream.csi, "S": "scroll_up", "T": "scroll_down", "b": "repeat", "Z": "tab_back"}
    events = pyte.ByteStream.events | set(csi.values())


class Terminal:
    def __init__(self, command, columns=80, rows=24, **env):
        self.master, self.slave = pty.openpty()
        self.display = Display(columns, rows)
        self.stream = Stream(self.display)
        self.written = b""
        self.set_size(columns, rows)
        self.before = termios.tcgetattr(self.slave)
        environment = {"PATH": os.environ["PATH"], "TERM": TERM, "TZ": "UTC", **env}
        environment.update({key: os.environ[key] for key in ("ASAN_OPTIONS", "UBSAN_OPTIONS") if key in os.environ})
        self.process = subprocess.Popen(command, stdin=self.slave, stdout=self.slave, stderr=self.slave, env=environment,
                                        start_new_session=True,
                                        preexec_fn=self.prepare)

    @staticmethod
    def prepare():
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)
        for number in (signal.SIGINT, signal.SIGQUIT):  # a shell that runs the tests in the background ignores them
            signal.signal(number, signal.SIG_DFL)

    def set_size(self, columns, rows):
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def resize(self, columns, rows):
        self.display.resize(rows, columns)
        self.set_size(columns, rows)

    def press(self, keys):
        os.write(self.master, keys.encode() if isinstance(keys, str) else keys)

    def read(self, seconds):
        """Takes what was written meanwhile; false if nothing was."""
        if not select.select([self.master], [], [], seconds)[0]:
            return False
        data = os.read(self.master, 65536)
        self.written += data
        self.stream.feed(data)
        return True

    def unread(self):
        """How many bytes of what was typed the program has not read yet (in raw mode)."""
        return struct.unpack("i", fcntl.ioctl(self.slave, termios.FIONREAD, b"\0\0\0\0"))[0]

    def lines(self):
        return [line.rstrip() for line in self.display.display]

    def text(self):
        return "\n".join(self.lines())

    def is_waiting(self):
        """The program does nothing now: it waits, was stopped, or has ended."""
        try:
            with open(f"/proc/{self.process.pid}/stat") as file:
                return file.read().rpartition(")")[2].split()[0] != "R"
        except OSError:
            return True

    def read_frame(self):
        """Reads the rest of what is being drawn.  A program that draws without end is left after a second."""
        deadline = time.monotonic() + 1
        while time.monotonic() < deadline:
            if not self.read(0.001) and self.is_waiting() and not self.read(0):
                break

    def until(self, condition, what="that"):
        """Reads until the condition holds, and the frame that makes it so is whole."""
        deadline = time.monotonic() + PATIENCE
        while not condition():
            assert time.monotonic() < deadline, f"never came: {what}; the screen is\n{self.text()}"
            self.read(0.05)
        self.read_frame()

    def until_shown(self, text):
        self.until(lambda: text in self.text(), text)

    def until_gone(self, text):
        self.until(lambda: text not in self.text(), f"the end of {text}")

    def until_line(self, row, text):
        self.until(lambda: self.lines()[row] == text, f"line {row}: {text}")

    def wait(self):
        """Until the program has ended and all is read; returns its status."""
        self.until(lambda: self.process.poll() is not None, "the end of the program")
        while self.read(0):
            pass
        return self.process.returncode

    def column(self, row, text):
        return self.lines()[row].index(text)

    def is_sane(self):
        """As it was before: the modes of the line, the cursor, no pastes in brackets, not the other screen."""
        def last(on, off):
            return self.written.rfind(on) <= self.written.rfind(off)
        return (termios.tcgetattr(self.slave) == self.before and not self.display.cursor.hidden and
                last(b"\033[?2004h", b"\033[?2004l") and last(b"\033[?1049h", b"\033[?1049l"))

    def close(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        os.close(self.master)
        os.close(self.slave)
