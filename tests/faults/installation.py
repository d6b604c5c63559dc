"""installation: three gateways behind haproxy, two stores, Redis and PostgreSQL, with a link between all that talk."""

import os
import re
import string

from hubbub import DIALECTS, ROOT, Hubbub
from links import Link, Loop
from place import Failure
from services import Haproxy

GATEWAYS, STORES = 3, 2

with open(os.path.join(ROOT, "common/functions.lua")) as lua:
    REVISION = re.search(r"name=hubbub_(\d+)", lua.readline()).group(1)


class Installation(Hubbub):
    """As `make up` runs it, but with links: people -> haproxy, gateway -> Redis and stores, store -> Redis and
    PostgreSQL."""

    def __init__(self, settings=None):
        super().__init__(GATEWAYS, settings, STORES, dict.fromkeys(DIALECTS, "?proxy=1"))
        self.thread = Loop()
        self.links = {}
        for number, gateway in enumerate(self.gateways, 1):
            gateway.settings["HUBBUB_REDIS_URL"] = f"redis://127.0.0.1:{self.link(f'g{number}-redis', self.redis.port)}"
            ports = [int(store.settings["HUBBUB_STORE_LISTEN"].rpartition(":")[2]) for store in self.stores]
            gateway.settings["HUBBUB_STORE_URL"] = ",".join(
                f"store://127.0.0.1:{self.link(f'g{number}-s{n}', port)}" for n, port in enumerate(ports, 1))
        for number, store in enumerate(self.stores, 1):
            store.settings["HUBBUB_REDIS_URL"] = f"redis://127.0.0.1:{self.link(f's{number}-redis', self.redis.port)}"
            store.settings["HUBBUB_POSTGRES_URL"] = self.postgres.url("hubbub_store").replace(
                f":{self.postgres.port}/", f":{self.link(f's{number}-postgres', self.postgres.port)}/")
        ports = {dialect: self.taken.take() for dialect in DIALECTS}
        self.haproxy = Haproxy(self.place, self.haproxy_config(ports), ports.values())
        self.peoples_ports = {dialect: self.link(f"people-{dialect}", port) for dialect, port in ports.items()}
        self.parts = {"redis": self.redis, "postgres": self.postgres, "haproxy": self.haproxy,
                      **{f"s{number}": store for number, store in enumerate(self.stores, 1)},
                      **{f"g{number}": gateway for number, gateway in enumerate(self.gateways, 1)}}

    def link(self, name, target):
        self.links[name] = Link(name, self.taken.take(), target,
                                re.fullmatch(r"g\d+-redis", name) is not None)
        return self.links[name].port

    def haproxy_config(self, ports):
        """The files that `make up` uses, with the ports of this installation."""
        text = ""
        for part in ("common.cfg", "local.cfg"):
            with open(os.path.join(ROOT, "deploy", "haproxy", part)) as file:
                text += file.read()
        values = {"http_port": 1}  # each server names its own
        for dialect, port in ports.items():
            values[dialect + "_port"] = port
            values[dialect + "_servers"] = "\n    ".join(
                f"server g{number} 127.0.0.1:{super(Installation, self).port(dialect, number)} send-proxy-v2 "
                f"port {gateway.settings['HUBBUB_HTTP_LISTEN'].rpartition(':')[2]}"
                for number, gateway in enumerate(self.gateways, 1))
        # On loopback alone: our ports are ours there, while somebody else may have the same on another address.
        return string.Template(text.replace("bind *:", "bind 127.0.0.1:")).substitute(values)

    def trim(self):
        """Takes out of the log what is stored; returns what stood in the way, if anything did."""
        try:
            stored = self.postgres.query("SELECT lane, position >> 20, position & 16383 FROM cursors "
                                         "WHERE position > 0 ORDER BY lane")
            for lane, ms, seq in (line.split("|") for line in stored.split("\n") if line):
                answer = self.redis.call("FCALL", f"trim_{REVISION}", 1, f"hubbub:{{{lane}}}", f"{ms}-{seq}")
                if not answer.startswith("*"):
                    return answer
        except (Failure, OSError) as error:
            return str(error)
        return ""

    @property
    def servers(self):
        return super().servers + [self.haproxy]

    def port(self, dialect, gateway=1):
        """Everybody comes through haproxy."""
        return self.peoples_ports[dialect]

    def start(self):
        for link in self.links.values():
            self.thread.run(link.start())
        super().start()
        self.haproxy.start()
        return self

    def stop(self):
        problems = super().stop()
        self.haproxy.stop()
        for link in self.links.values():
            self.thread.run(link.stop())
        self.thread.stop()
        return problems

    def flow(self):
        for link in self.links.values():
            self.thread.call(link.flow)
