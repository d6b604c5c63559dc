"""relay: stands between a gateway and Redis, and keeps back what passes, in either direction."""

import socket
import threading

from hubbub import PATIENCE


class Gate:
    """One direction of all connections.  What is kept back keeps back what follows it on its connection."""

    def __init__(self):
        self.word = None  # what is kept back has this in it; None: nothing is
        self.caught, self.opened = threading.Event(), threading.Event()

    def shut(self, word=b""):
        self.caught.clear()
        self.opened.clear()
        self.word = word

    def wait_caught(self):
        assert self.caught.wait(PATIENCE), f"nothing with {self.word} came"

    def open(self):
        self.word = None
        self.opened.set()

    def hold_up(self, data):
        if self.word is not None and self.word in data:
            self.caught.set()
            self.opened.wait()


class Relay:
    """Listens on `port`; with it every connection goes to Redis through the two gates."""

    def __init__(self, redis):
        self.redis = redis
        self.to_redis, self.to_gateway = Gate(), Gate()
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.sockets, self.threads = [], []

    def __enter__(self):
        self.spawn(self.accept)
        return self

    def __exit__(self, *_):
        self.open()
        self.end(self.listener)
        self.threads[0].join(PATIENCE)
        for one in self.sockets:
            self.end(one)
        for thread in self.threads:
            thread.join(PATIENCE)
        for one in [self.listener] + self.sockets:
            one.close()

    def open(self):
        self.to_redis.open()
        self.to_gateway.open()

    def spawn(self, what, *arguments):
        self.threads.append(threading.Thread(target=what, args=arguments, daemon=True))
        self.threads[-1].start()

    @staticmethod
    def end(one):
        try:
            one.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass

    def accept(self):
        while True:
            try:
                gateway, _ = self.listener.accept()
            except OSError:
                return
            self.sockets.append(gateway)
            try:
                redis = socket.create_connection(("127.0.0.1", self.redis.port), PATIENCE)
            except OSError:
                self.end(gateway)
                continue
            redis.settimeout(None)
            self.sockets.append(redis)
            self.spawn(self.pass_on, gateway, redis, self.to_redis)
            self.spawn(self.pass_on, redis, gateway, self.to_gateway)

    def pass_on(self, source, target, gate):
        try:
            while data := source.recv(65536):
                gate.hold_up(data)
                target.sendall(data)
        except OSError:
            pass
        self.end(source)
        self.end(target)


def through(relay, gateway):
    """Starts a gateway again that reaches Redis only through the relay."""
    assert gateway.stop() == 0
    gateway.settings["HUBBUB_REDIS_URL"] = f"redis://127.0.0.1:{relay.port}"
    gateway.start()
