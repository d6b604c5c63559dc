"""people: who sits in a room and comes back when cut off; each keeps account of every connection."""

import json
import socket
import threading
import time


class Person:
    """Holds one session through the balancer, in a thread of its own."""

    def __init__(self, port, name):
        self.port, self.name = port, name
        self.gateways = []   # one for each log-in
        self.attempts = 0    # connections, those that were not welcomed included
        self.reasons = []    # why a gateway closed
        self.here = threading.Event()
        self.link = None
        self.leaving = False
        self.thread = threading.Thread(target=self.live, daemon=True)
        self.thread.start()

    def live(self):
        while not self.leaving:
            try:
                self.stay()
            except OSError:
                pass
            self.here.clear()
            time.sleep(0.1)

    def stay(self):
        self.attempts += 1
        with socket.create_connection(("127.0.0.1", self.port), timeout=20) as self.link:
            self.link.sendall(json.dumps({"type": "join", "data": self.name, "key": "k " + self.name}).encode())
            self.link.settimeout(None)
            for line in self.link.makefile():
                told = json.loads(line)
                if told["type"] == "welcome":
                    self.gateways.append(told["gateway"])
                    self.here.set()
                elif told["type"] == "error":
                    self.reasons.append(told["code"])

    def leave(self):
        self.leaving = True
        if self.link:
            try:
                self.link.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
        self.thread.join(10)
