"""traffic: people who talk steadily, come back when they are cut off, and keep account of every chat.

They run in a thread of their own, so that the test can kill what it likes meanwhile.  Each says numbered chats with
refs and hears the room with echo, so what each has heard must be what the room's history holds, once and in its order.

What becomes of a chat:

    said --ack--> acked
      |---error unavailable--> said again with the same ref, or (who does not repeat) refused: must not be in history
      +---connection lost----> said again with the same ref, or (who does not repeat) swallowed: at most once in history
"""

import asyncio
import collections
import json
import threading
import time

from hubbub import PATIENCE, wait_for

AGAIN_SECONDS = 0.25  # who was refused waits so long before asking again
TICK = 0.02


class Talker:
    def __init__(self, name, ports, room, rate, repeats, burst):
        self.name, self.ports, self.room, self.rate, self.repeats = name, ports, room, rate, repeats
        self.burst = burst       # says so many at once
        self.writer = None       # while logged in
        self.since = None        # where the next session goes on
        self.said = 0
        self.silent = asyncio.Event()  # set: says nothing new
        self.leaving = False
        self.waiting = set()     # texts without an answer on this connection
        self.again = collections.deque()  # (when, text)
        self.acked, self.refused, self.swallowed = {}, set(), set()
        self.heard = []          # (id, text)
        self.lost_answers = self.refusals = self.log_ins = 0
        self.odd = []            # what should not have come

    async def live(self):
        speaking = asyncio.create_task(self.speak())
        while not self.leaving:
            try:
                await self.stay(self.ports[self.log_ins % len(self.ports)])
            except OSError:
                pass
            self.cut_off()
            self.log_ins += 1  # or tries: the next one goes to another gateway
            await asyncio.sleep(0.05)
        speaking.cancel()

    async def stay(self, port):
        """One connection, from log-in to its end."""
        reader, writer = await asyncio.wait_for(asyncio.open_connection("127.0.0.1", port, limit=1 << 20), PATIENCE)
        try:
            while not self.leaving:
                self.send(writer, {"type": "join", "data": self.name, "key": "key of " + self.name, "echo": True,
                                   "room": self.room, **({"since": self.since} if self.since else {})})
                answer = await self.read(reader)
                if not answer or answer["type"] == "welcome":
                    break
                if answer["type"] != "error" or answer["code"] != "unavailable":
                    self.odd.append(answer)
                await asyncio.sleep(AGAIN_SECONDS)
            if answer and answer["type"] == "welcome":
                if self.since and answer["id"] != self.since:
                    self.odd.append(answer)
                self.since = answer["id"]
                self.writer = writer
            while answer:
                answer = await self.read(reader)
                if answer:
                    self.take(answer)
        finally:
            writer.close()

    async def read(self, reader):
        """The next object; None at the end."""
        line = await reader.readline()
        return json.loads(line) if line.endswith(b"\n") else None

    def send(self, writer, request):
        writer.write(json.dumps(request).encode() + b"\n")

    def take(self, one):
        text = one.get("ref")
        if one["type"] == "message":
            self.heard.append((int(one["id"]), one["data"]))
            self.since = one["id"]
        elif one["type"] == "ack":
            self.waiting.discard(text)
            if self.acked.setdefault(text, one["id"]) != one["id"]:
                self.odd.append({"two ids of one chat": self.acked[text], **one})
        elif one["type"] == "error" and one["code"] == "unavailable" and text in self.waiting:
            self.waiting.discard(text)
            self.refusals += 1
            if self.repeats:
                self.again.append((time.monotonic() + AGAIN_SECONDS, text))
            else:
                self.refused.add(text)
        elif one["type"] not in ("joined", "left"):
            self.odd.append(one)

    def cut_off(self):
        self.writer = None
        self.lost_answers += len(self.waiting)
        if self.repeats:
            self.again.extendleft((0, text) for text in sorted(self.waiting, reverse=True))
        else:
            self.swallowed |= self.waiting
        self.waiting.clear()

    def next_text(self):
        if self.again and self.again[0][0] <= time.monotonic():
            return self.again.popleft()[1]
        if self.silent.is_set():
            return None
        self.said += 1
        return f"{self.name}-{self.said:06}"

    async def speak(self):
        """`rate` a second, those that are said again included; nothing is made up for while there is no connection."""
        due = time.monotonic()
        while True:
            await asyncio.sleep(TICK)
            now = time.monotonic()
            while due < now:
                due = max(due + self.burst / self.rate, now - 1)
                for _ in range(self.burst):
                    text = self.next_text() if self.writer else None
                    if text:
                        self.waiting.add(text)
                        self.send(self.writer, {"type": "chat", "data": text, "ref": text})

    def is_settled(self):
        return bool(self.writer) and not self.waiting and not self.again


class Traffic:
    """Some talkers in one room.  `rate` is of all together; `repeat` says whether they say a chat again."""

    def __init__(self, hubbub, people=4, rate=500, repeat=True, room="traffic", burst=1):
        ports = [hubbub.port("json", number + 1) for number in range(len(hubbub.gateways))]
        self.hubbub, self.room = hubbub, room
        self.loop = asyncio.new_event_loop()
        self.talkers = [Talker(f"{room}-{n}", ports[n % len(ports):] + ports[:n % len(ports)], room, rate / people,
                               repeat, burst) for n in range(people)]
        for talker in self.talkers:
            talker.silent.set()
        self.thread = threading.Thread(target=self.loop.run_until_complete, args=(self.live(),), daemon=True)
        self.thread.start()
        wait_for(lambda: all(talker.writer for talker in self.talkers), PATIENCE, "everybody has logged in")
        self.begun = time.monotonic()
        self.seconds = 0
        for talker in self.talkers:
            talker.silent.clear()

    async def live(self):
        await asyncio.gather(*(talker.live() for talker in self.talkers))

    def wait_in_flight(self, chats):
        """Returns while so many chats are without an answer: a good moment to kill something."""
        deadline = time.monotonic() + PATIENCE
        while sum(len(talker.waiting) for talker in self.talkers) < chats:
            assert time.monotonic() < deadline, f"never {chats} chats in flight"
            time.sleep(0.0005)

    def wait_stored(self):
        """Waits until what anybody has heard so far is in the history: a lane is stored in its order."""
        heard = [talker.heard[-1][0] for talker in self.talkers if talker.heard]
        if heard:
            self.hubbub.wait_sql(f"SELECT count(*) FROM messages WHERE id = {max(heard)}", "1")

    def wait_flowing(self, seconds=30, chats=40):
        """Waits until everybody has so many more chats acknowledged: things work again."""
        until = [len(talker.acked) + chats for talker in self.talkers]
        wait_for(lambda: all(len(talker.acked) >= goal for talker, goal in zip(self.talkers, until)), seconds,
                 "chats are acknowledged to everybody again")

    def end(self, seconds=30):
        """Says nothing new, waits for the fate of every chat and until all have heard the last one; logs off."""
        self.seconds = time.monotonic() - self.begun
        for talker in self.talkers:
            talker.silent.set()
        wait_for(lambda: all(talker.is_settled() for talker in self.talkers), seconds, "every chat is answered")
        wait_for(lambda: len({talker.since for talker in self.talkers}) == 1, seconds, "all have heard the last chat")

        def leave():
            for talker in self.talkers:
                talker.leaving = True
                talker.writer.close()

        self.loop.call_soon_threadsafe(leave)
        self.thread.join(PATIENCE)
        assert not self.thread.is_alive()

    def reckon(self):
        """After end(): compares what was promised with what PostgreSQL holds.  Returns the counts, for people."""
        self.wait_stored()
        answer = self.hubbub.sql(f"SELECT id, text FROM history WHERE room = '{self.room}' ORDER BY id")
        rows = [(int(number), text) for number, text in (line.split("|") for line in answer.split("\n") if line)]
        texts = collections.Counter(text for _, text in rows)
        acked = {text: int(number) for talker in self.talkers for text, number in talker.acked.items()}
        refused = {text for talker in self.talkers for text in talker.refused}
        swallowed = {text for talker in self.talkers for text in talker.swallowed}
        lost = sorted(acked.keys() - texts.keys())
        doubled = sorted(text for text, count in texts.items() if count > 1)
        counts = (f"{sum(talker.said for talker in self.talkers)} sent, {len(acked)} acknowledged, {len(rows)} rows, "
                  f"{sum(talker.lost_answers for talker in self.talkers)} answers swallowed, "
                  f"{sum(talker.refusals for talker in self.talkers)} unavailable, "
                  f"{len(lost)} lost, {len(doubled)} doubled, {len(acked) / self.seconds:.0f} a second")
        print(counts)
        assert not lost and not doubled, f"{counts}: lost {lost[:5]}, doubled {doubled[:5]}"
        assert not refused & texts.keys(), f"{counts}: refused and yet there: {sorted(refused & texts.keys())[:5]}"
        strange = texts.keys() - acked.keys() - swallowed
        assert not strange, f"{counts}: there, and nobody knows why: {sorted(strange)[:5]}"
        assert acked == {text: number for number, text in rows if text in acked}, f"{counts}: an ack gave another id"
        for talker in self.talkers:
            assert not talker.odd, f"{talker.name} was told {talker.odd[:5]}"
            assert talker.heard == rows, f"{talker.name} heard not what history holds: {difference(talker.heard, rows)}"
        return counts


def difference(heard, rows):
    counts = collections.Counter(heard)
    return (f"{len(heard)} for {len(rows)}, {len(set(rows) - set(heard))} missed, "
            f"{sum(1 for count in counts.values() if count > 1)} twice, "
            f"{'in' if heard == sorted(heard) else 'out of'} order, {len(set(heard) - set(rows))} not in history")
