"""person: somebody who has the client on a terminal."""

import re

from client import CLIENT, address, environment
from terminal import ENTER, Terminal

CONNECTED = re.compile(r"(?<!dis)connected\b")


class Person(Terminal):
    """The client with a terminal."""

    def __init__(self, port, *arguments, columns=80, rows=24, **env):
        super().__init__([CLIENT, *arguments, address(port)], columns, rows, **{**environment(), **env})

    def is_connected(self):
        return bool(CONNECTED.search(self.lines()[-2]))

    def until_connected(self):
        self.until(self.is_connected, "connected")
        return self

    def type(self, line):
        self.press(line.encode() + ENTER)

    def said(self):
        """The conversation as it is seen, without the times."""
        return [re.sub(r"^\d\d:\d\d ", "", line) for line in self.lines()[:-2]]

    def until_said(self, line):
        self.until(lambda: line in self.said(), line)

    def bells(self):
        return self.written.count(b"\a")
