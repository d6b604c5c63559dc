"""A thousand in one room: everybody hears everything, in one order."""

import asyncio
import json
import time

import pytest

from hubbub import PATIENCE

PEOPLE, CHATS, AT_ONCE = 1000, 100, 50


class Person:
    """Someone who is in the room; `heard` are the ids of the messages."""

    def __init__(self, number):
        self.number, self.heard, self.acked = number, [], []

    async def join(self, port, turn):
        async with turn:
            self.reader, self.writer = await asyncio.open_connection("127.0.0.1", port)
            self.send(type="join", data=f"crowd-{self.number}", room="crowd")
            while (await self.read())["type"] != "welcome":
                pass

    def send(self, **request):
        self.writer.write(json.dumps(request).encode() + b"\n")

    async def read(self):
        one = json.loads(await self.reader.readline())
        if one["type"] == "message":
            self.heard.append(one["id"])
        elif one["type"] == "ack":
            self.acked.append(one["id"])
        else:
            assert one["type"] in ("welcome", "joined"), one
        return one

    async def listen(self, messages):
        while len(self.heard) < messages:
            await self.read()


async def gather(ports):
    """All come in; the first hundred say something each; returns the people and how long that took."""
    people = [Person(number) for number in range(PEOPLE)]
    turn = asyncio.Semaphore(AT_ONCE)
    await asyncio.gather(*(person.join(ports[person.number % len(ports)], turn) for person in people))
    begun = time.monotonic()
    for person in people[:CHATS]:
        person.send(type="chat", data=f"I am {person.number}", room="crowd", ref="r")
    await asyncio.wait_for(asyncio.gather(*(person.listen(CHATS - (person.number < CHATS)) for person in people)),
                           PATIENCE * 3)
    seconds = time.monotonic() - begun
    for person in people:
        person.writer.close()
    return people, seconds


@pytest.mark.alongside(15)
def test_a_thousand_on_two_gateways_hear_a_hundred_chats_in_one_order(make_hubbub, record_property):
    hubbub = make_hubbub()
    people, seconds = asyncio.run(gather([hubbub.port("json", 1), hubbub.port("json", 2)]))
    order = people[-1].heard
    assert order == sorted(order, key=int) and len(set(order)) == CHATS
    own = {number for person in people for number in person.acked}
    assert own <= set(order)
    deliveries = 0
    for person in people:
        deliveries += len(person.heard)
        if person.number >= CHATS:
            assert person.heard == order
        else:  # all but the own, which is told by its ack alone
            missing = [number for number in order if number not in person.heard]
            assert len(missing) == 1 and person.heard == [number for number in order if number != missing[0]]
            assert person.acked in ([], missing)
    assert deliveries == CHATS * (PEOPLE - 1)
    record_property("counts",
                    f"{deliveries} deliveries of {CHATS} chats to {PEOPLE} people in {seconds:.1f} s, one order")
    hubbub.wait_sql("SELECT count(*) FROM history WHERE room = 'crowd'", str(CHATS))
    assert hubbub.sql("SELECT id FROM history WHERE room = 'crowd' ORDER BY id").split("\n") == order
