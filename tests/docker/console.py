"""console: a program with a terminal of its own, at which somebody types and reads."""

import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import termios
import time

PATIENCE = 60  # a container may have to start


class Console:
    def __init__(self, command, **how):
        self.end, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
        self.process = subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True, **how)
        os.close(theirs)
        self.seen = b""

    def read(self, seconds):
        """What it shows next; b"" at its end."""
        assert select.select([self.end], [], [], max(0, seconds))[0], self.seen
        try:
            return os.read(self.end, 65536)
        except OSError:  # EIO: nobody has the other end open any more
            return b""

    def wait(self, word):
        """Until that is shown.  A word alone: between words the cursor may be moved."""
        deadline = time.monotonic() + PATIENCE
        while word.encode() not in self.seen:
            piece = self.read(deadline - time.monotonic())
            assert piece, self.seen
            self.seen += piece

    def type(self, text):
        os.write(self.end, text.encode())

    def ended(self):
        """Its exit status, once it has ended by itself."""
        deadline = time.monotonic() + PATIENCE
        while piece := self.read(deadline - time.monotonic()):
            self.seen += piece
        return self.process.wait(PATIENCE)

    def close(self):
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        os.close(self.end)
