"""Thousands come back at once after their gateway died: rings and walks feed them, and pages that they share."""

import asyncio
import json
import signal
import time

import pytest

from hubbub import PATIENCE
from test_history import trim_now

AT_ONCE = 100
CHATS = 40  # in each room, while they are away


class Returner:
    def __init__(self, number, rooms):
        self.name, self.room, self.heard, self.since = f"returner-{number}", f"return-{number % rooms}", [], None

    async def join(self, port, turn):
        """Comes in, where it was, also while the name is still another session's."""
        async with turn:
            while True:
                self.reader, self.writer = await asyncio.open_connection("127.0.0.1", port, limit=1 << 20)
                self.writer.write(json.dumps({"type": "join", "data": self.name, "room": self.room, "key": self.name,
                                              **({"since": self.since} if self.since else {})}).encode())
                one = {}
                while one.get("type") not in ("welcome", "error"):
                    one = json.loads(await self.reader.readline())
                if one["type"] == "welcome":
                    self.since = one["id"]
                    return
                assert one["code"] == "unavailable", one
                self.writer.close()
                await asyncio.sleep(0.1)

    async def hear(self, messages):
        while len(self.heard) < messages:
            one = json.loads(await self.reader.readline())
            assert one["type"] in ("message", "joined", "left"), one
            if one["type"] == "message":
                self.heard.append((int(one["id"]), one["data"]))

    async def closed(self):
        while await self.reader.readline():
            pass
        self.writer.close()


async def come_and_lose(hubbub, people):
    turn = asyncio.Semaphore(AT_ONCE)
    await asyncio.gather(*(person.join(hubbub.port("json", 1), turn) for person in people))
    hubbub.gateways[0].kill(signal.SIGKILL)
    await asyncio.gather(*(person.closed() for person in people))


async def come_back(hubbub, people):
    """Through the other gateway; returns how long it took until all had heard all."""
    turn = asyncio.Semaphore(AT_ONCE)

    async def one(person):
        await person.join(hubbub.port("json", 2), turn)
        await person.hear(CHATS)

    begun = time.monotonic()
    await asyncio.wait_for(asyncio.gather(*(one(person) for person in people)), PATIENCE * 4)
    seconds = time.monotonic() - begun
    for person in people:
        person.writer.close()
    return seconds


def talk(hubbub, rooms):
    """Says the chats, in all rooms; returns the ids of each room's."""
    client = hubbub.json("return-talker", 2)
    for number in range(rooms):
        client.send({"type": "join", "room": f"return-{number}"})
        client.expect(type="entered")
    for chat in range(CHATS):
        for number in range(rooms):
            client.chat(f"{number}-{chat}", room=f"return-{number}", ref=f"{number}-{chat}")
    ids = [[int(client.expect(type="ack", ref=f"{number}-{chat}")["id"]) for chat in range(CHATS)]
           for number in range(rooms)]
    client.close()
    return ids


def check(people, ids):
    rooms = len(ids)
    for number, person in enumerate(people):
        room = number % rooms
        assert person.heard == [(id, f"{room}-{chat}") for chat, id in enumerate(ids[room])], person.name


@pytest.mark.alongside(40)
def test_five_thousand_who_come_back_need_no_store(make_hubbub, record_property):
    hubbub = make_hubbub(settings={"HUBBUB_LOG_LEVEL": "debug"})
    people = [Returner(number, 50) for number in range(5000)]
    asyncio.run(come_and_lose(hubbub, people))
    ids = talk(hubbub, 50)
    hubbub.store.kill(signal.SIGKILL)
    seconds = asyncio.run(come_back(hubbub, people))
    check(people, ids)
    walks = hubbub.gateways[1].all_logs().count("event=fill ")
    record_property("counts", f"5000 came back and heard {5000 * CHATS} chats in {seconds:.1f} s, with {walks} walks and no store")
    assert walks <= 50


@pytest.mark.alongside(40)
def test_two_thousand_who_come_back_from_before_the_log_share_the_stores_pages(make_hubbub, record_property):
    hubbub = make_hubbub()
    hubbub.sql("ALTER SYSTEM SET track_functions = 'all'")
    hubbub.sql("SELECT pg_reload_conf()")
    people = [Returner(number, 20) for number in range(2000)]
    asyncio.run(come_and_lose(hubbub, people))
    ids = talk(hubbub, 20)
    hubbub.wait_sql("SELECT count(*) FROM messages", str(20 * CHATS))
    hubbub.gateways[1].kill(signal.SIGKILL)  # and with it the rings
    hubbub.gateways[1].start()
    for number, room in enumerate(ids):
        trim_now(hubbub, f"return-{number}", room[-1])
    seconds = asyncio.run(come_back(hubbub, people))
    check(people, ids)
    calls = "SELECT coalesce(sum(calls), 0) > 0 FROM pg_stat_user_functions WHERE funcname = 'page'"
    hubbub.wait_sql(calls, "t")
    pages = int(hubbub.sql(calls.replace(" > 0", "")))
    record_property("counts", f"2000 came back and heard {2000 * CHATS} chats in {seconds:.1f} s, with {pages} pages of the store")
    assert pages <= 20 * 10
