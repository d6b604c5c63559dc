"""place: where private servers live and as whom they run.

Root does not run servers: it starts each as an unprivileged account, which must be able to reach the server's
directory and its binary.  Everybody else runs them as oneself.
"""

import ctypes
import fcntl
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time

LIBC = ctypes.CDLL(None, use_errno=True)
PR_SET_PDEATHSIG = 1
STOPPING = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


class Failure(Exception):
    """What went wrong, in one line for a person."""


def wait_for(condition, seconds, what):
    """Returns the first true value of condition(); raises Failure after so many seconds."""
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise Failure(f"{what}: not within {seconds} s")
        time.sleep(0.02)


def leave(number, frame):
    raise SystemExit(128 + number)


def leave_on_signals():
    """Who asks us to end makes us leave through every `finally`, where what was started is ended."""
    for number in STOPPING:
        signal.signal(number, leave)


def ignore_signals():
    """Nobody interrupts us from here on: we are ending."""
    for number in STOPPING:
        signal.signal(number, signal.SIG_IGN)


def account(*names):
    """The first of these accounts that exists, if we are root; None means: as oneself."""
    if os.geteuid() != 0:
        return None
    for name in names:
        try:
            return pwd.getpwnam(name)
        except KeyError:
            pass
    raise Failure(f"none of the accounts {', '.join(names)} exists, and servers do not run as root")


def identity(owner):
    """The arguments that make subprocess run something as `owner`."""
    return {} if owner is None else {"user": owner.pw_uid, "group": owner.pw_gid, "extra_groups": []}


def reachable(path, owner):
    """True if `owner` can enter the directory `path`."""
    return owner is None or subprocess.run(["test", "-x", path], cwd="/", **identity(owner)).returncode == 0


def die_with_parent(sig):
    """For a child between fork and exec: `sig` arrives when the process that started it ends in any way."""
    parent = os.getpid()

    def prepare():
        signal.pthread_sigmask(signal.SIG_SETMASK, [])
        LIBC.prctl(PR_SET_PDEATHSIG, sig, 0, 0, 0)
        if os.getppid() != parent:
            os.kill(os.getpid(), signal.SIGKILL)

    return prepare


class Place:
    """A directory with a subdirectory for each server, and one for logs."""

    def __init__(self, path, logs=None):
        self.path = os.path.realpath(path)
        self.logs = os.path.realpath(logs or os.path.join(path, "log"))
        os.makedirs(self.path, exist_ok=True)
        os.makedirs(self.logs, exist_ok=True)
        os.chmod(self.path, 0o711)

    def directory(self, name, owner):
        """The directory `name`, which belongs to `owner` and to nobody else."""
        path = os.path.join(self.path, name)
        os.makedirs(path, mode=0o700, exist_ok=True)
        if owner is not None:
            os.chown(path, owner.pw_uid, owner.pw_gid)
        return path

    def binary(self, path):
        """`path`, or a copy of it where any account can run it: a checkout may be closed to others."""
        if os.geteuid() != 0:
            return os.path.abspath(path)
        copy = os.path.join(self.path, os.path.basename(path))
        if not os.path.exists(copy) or os.stat(copy).st_mtime_ns != os.stat(path).st_mtime_ns:
            shutil.copy2(path, copy + ".new")
            os.chmod(copy + ".new", 0o755)
            os.rename(copy + ".new", copy)
        return copy

    def write(self, name, text, owner):
        """Writes a file that only `owner` (and root) can read; returns its path."""
        path = os.path.join(self.path, name)
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            if owner is not None:
                os.fchown(file.fileno(), owner.pw_uid, owner.pw_gid)
            file.write(text)
        return path

    def remove(self):
        shutil.rmtree(self.path, ignore_errors=True)


def memory():
    """[/dev/shm], if programs can run there and there is plenty of room; else nothing."""
    try:
        here = os.statvfs("/dev/shm")
    except OSError:
        return []
    return ["/dev/shm"] if here.f_bavail * here.f_frsize >= 4 << 30 and not here.f_flag & os.ST_NOEXEC else []


def temporary_place():
    """A new Place for tests, one that the unprivileged accounts can enter.

    It is in memory where that is possible: on a busy disk an fsync takes seconds, and tests would see outages that they
    did not make.
    """
    chosen = [os.environ["TMPDIR"]] if os.environ.get("TMPDIR") else memory()
    for parent in dict.fromkeys(chosen + [tempfile.gettempdir(), "/tmp", "/var/tmp"]):
        if os.path.isdir(parent) and reachable(parent, account("nobody")):
            return Place(tempfile.mkdtemp(prefix="hubbub-", dir=parent))
    raise Failure(f"the account nobody cannot enter {tempfile.gettempdir()}: set TMPDIR to where it can")


class Ports:
    """Free ports that stay ours.

    Each is held by a socket that is bound and does not listen: nobody else is given the port, while a server
    that sets SO_REUSEADDR can listen on it, and can again after it was killed.
    """

    def __init__(self):
        self.sockets = []

    def take(self):
        held = socket.socket()
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        held.bind(("127.0.0.1", 0))
        self.sockets.append(held)
        return held.getsockname()[1]

    def close(self):
        while self.sockets:
            self.sockets.pop().close()


def taken(address, port):
    """True if nobody can listen there now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port))
            probe.listen()
        except OSError:
            return True
    return False


def lock(directory, name="lock"):
    """Makes sure that only one runs here; the lock goes with the process, or when the file returned is closed."""
    os.makedirs(directory, exist_ok=True)
    file = open(os.path.join(directory, name), "a+")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.seek(0)
        raise Failure(f"it runs here already (pid {file.read().strip()})") from None
    file.truncate(0)
    file.write(f"{os.getpid()}\n")
    file.flush()
    return file
