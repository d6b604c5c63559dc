"""links: TCP proxies between the parts, which cut, stall and refuse, and swallow what is published in one channel.

All of them live in one asyncio loop, a Loop's; everything that a link does runs in it.
"""

import asyncio
import binascii
import socket
import struct
import threading

WAYS = ("up", "down")  # towards whom the link leads, and back from there
CHUNK = 65536
LANES = 8


def channel(room):
    """In which Redis publishes what is said in a room."""
    return f"hubbub:{{{binascii.crc_hqx(room.encode(), 0) % LANES}}}:room:{room}"


def end_of_reply(data, at):
    """Where the RESP value that begins at `at` ends; None if it is not all there."""
    line = data.find(b"\r\n", at)
    if line < 0:
        return None
    kind, after = data[at:at + 1], line + 2
    if kind in b"$=!":
        size = int(data[at + 1:line])
        end = after if size < 0 else after + size + 2
        return end if end <= len(data) else None
    if kind in b"*>~%":
        for _ in range(max(0, int(data[at + 1:line])) * (2 if kind == b"%" else 1)):
            after = end_of_reply(data, after)
            if after is None:
                return None
    return after


def bulk(text):
    return b"$%d\r\n%s\r\n" % (len(text), text)


def is_message(reply, channel):
    """True for what Redis sends to a subscriber of `channel`."""
    return reply[1:].startswith(b"3\r\n" + bulk(b"message") + bulk(channel)) and reply[:1] in b"*>"


class Replies:
    """Cuts what comes from a Redis into whole replies, and leaves out those that the link swallows."""

    def __init__(self, link):
        self.link, self.data = link, b""

    def sift(self, data):
        self.data += data
        out, begin = [], 0
        while begin < len(self.data):
            end = end_of_reply(self.data, begin)
            if end is None:
                break
            if self.link.swallowed_channel and is_message(self.data[begin:end], self.link.swallowed_channel):
                self.link.swallowed += 1
            else:
                out.append(self.data[begin:end])
            begin = end
        self.data = self.data[begin:]
        return b"".join(out)


class Link:
    """Listens on `port` and leads to `target`, a port of this machine.  `redis`: replies come back whole."""

    def __init__(self, name, port, target, redis=False):
        self.name, self.port, self.target, self.redis = name, port, target, redis
        self.gates = {way: asyncio.Event() for way in WAYS}
        self.refusing = False
        self.swallowed_channel = None
        self.swallowed = 0
        self.connections = set()
        self.server = None
        for gate in self.gates.values():
            gate.set()

    async def start(self):
        self.server = await asyncio.start_server(self.serve, "127.0.0.1", self.port, limit=CHUNK, reuse_address=True)

    async def serve(self, reader, writer):
        task = asyncio.current_task()
        if self.refusing:
            writer.transport.abort()
            return
        sockets = [writer]
        self.connections.add((task, tuple(sockets)))
        held = next(one for one in self.connections if one[0] is task)
        try:
            there, back = await asyncio.open_connection("127.0.0.1", self.target, limit=CHUNK)
            sockets.append(back)
            self.connections.discard(held)
            held = (task, tuple(sockets))
            self.connections.add(held)
            await asyncio.gather(self.pump(reader, back, "up"), self.pump(there, writer, "down"))
        except (OSError, asyncio.CancelledError):
            pass
        finally:
            self.connections.discard(held)
            for one in sockets:
                one.transport.abort()

    async def pump(self, reader, writer, way):
        replies = Replies(self) if self.redis and way == "down" else None
        while (data := await reader.read(CHUNK)):
            await self.gates[way].wait()
            data = replies.sift(data) if replies else data
            if data:
                writer.write(data)
                await writer.drain()
        await self.gates[way].wait()
        writer.write_eof()

    def cut(self, rudely=False):
        """Ends every connection; rudely: with a reset."""
        for task, sockets in list(self.connections):
            for writer in sockets:
                own = writer.get_extra_info("socket")
                if rudely and own is not None:
                    own.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                writer.transport.abort()
            task.cancel()

    def refuse(self):
        self.refusing = True
        self.cut()

    def stall(self, ways):
        for way in ways:
            self.gates[way].clear()

    def flow(self):
        """As it should be: whatever was done to it is over."""
        self.refusing = False
        self.swallowed_channel = None
        for gate in self.gates.values():
            gate.set()

    def swallow(self, channel):
        self.swallowed_channel = channel.encode()

    async def stop(self):
        self.server.close()
        self.cut()


class Loop:
    """An asyncio loop in a thread of its own."""

    def __init__(self):
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self.thread.start()

    def run(self, coroutine, seconds=60):
        """Waits for the coroutine, which runs there; returns what it does."""
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(seconds)

    def call(self, function, *arguments):
        async def do():
            return function(*arguments)

        return self.run(do())

    def stop(self):
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join()
