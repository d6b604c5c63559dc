"""reckoning: what people were promised and heard, against what PostgreSQL holds.

Every check gives lines that name who, which id and what was expected; no lines: all is as promised.
"""

import bisect
import collections

from people import Plain, Resuming

SHOWN = 5  # of what is wrong in one way


class Row:
    def __init__(self, line):
        number, self.room, self.sender, self.text = line.split("|")
        self.id = int(number)


def some(items):
    items = list(items)
    more = f" and {len(items) - SHOWN} more" if len(items) > SHOWN else ""
    return ", ".join(str(item)[:120] for item in items[:SHOWN]) + more


class Reckoning:
    def __init__(self, people, answer):
        self.people = people
        self.rows = [Row(line) for line in answer.split("\n") if line]
        self.by_text = {row.text: row for row in self.rows}
        self.by_room = collections.defaultdict(list)
        for row in self.rows:
            self.by_room[row.room].append(row)
        self.resuming = [one for one in people if isinstance(one, Resuming)]
        self.plain = [one for one in people if isinstance(one, Plain)]
        self.chats = {text: chat for one in self.resuming for text, chat in one.chats.items()}
        self.problems = []
        self.lost = self.doubled = 0

    def wrong(self, text):
        self.problems.append(text)

    def reckon(self):
        self.check_history()
        for one in self.people:
            for what in one.odd[:SHOWN]:
                self.wrong(f"{one.name} was told what must not come: {what}")
        for one in self.resuming:
            for room in one.rooms:
                self.check_resuming(one, room)
        for one in self.plain:
            for connection in one.connections:
                self.check_connection(one, connection)
        return self.problems

    def check_history(self):
        """Acknowledged: once, with that id.  Refused: never.  Everything: from somebody who said it there."""
        times = collections.Counter(row.text for row in self.rows)
        doubled = [text for text, count in times.items() if count > 1]
        lost = [f"{text} ({chat.id})" for text, chat in self.chats.items() if chat.id and text not in times]
        refused = [f"{text} ({self.by_text[text].id})" for text, chat in self.chats.items()
                   if chat.refused and not chat.lost and not chat.id and text in times]
        other_id = [f"{text}: {chat.id}, stored as {self.by_text[text].id}" for text, chat in self.chats.items()
                    if chat.id and text in times and self.by_text[text].id != chat.id]
        said = set(self.chats) | {text for one in self.plain for there in one.connections for text in there.said}
        strange = [row.text for row in self.rows
                   if row.text not in said or [row.room, row.sender] != row.text.split("/")[:2]]
        self.lost += len(lost)
        self.doubled += len(doubled)
        for what, found in (("acknowledged and not in history", lost), ("twice in history", doubled),
                            ("refused and in history", refused), ("acknowledged under another id", other_id),
                            ("in history, but nobody said it there", strange)):
            if found:
                self.wrong(f"{what}: {some(found)}")

    def check_resuming(self, one, room):
        """From its first position on it heard everything once, in order; without echo, everything of others."""
        if room not in one.first:
            self.wrong(f"{one.name} never came to {room}")
            return
        due = [(row.id, row.text) for row in self.by_room[room] if row.id > one.first[room]]
        heard = one.heard[room]
        if not one.echo:
            due = [item for item in due if item[1].split("/")[1] != one.name]
            heard = [item for item in heard if item[1].split("/")[1] != one.name]
            own = [number for number, text in one.heard[room] if text.split("/")[1] == one.name]
            if len(set(own)) != len(own) or own != sorted(own):
                self.wrong(f"{one.name} heard its own chats in {room} twice or out of order")
        self.compare(f"{one.name} in {room}", heard, due)
        others = [row.id for row in self.by_room[room] if row.sender != one.name and row.id > one.first[room]]
        early = [number for where, number, count in one.acks
                 if where == room and bisect.bisect_left(others, number) > count]
        if early:
            self.wrong(f"{one.name} was given an ack in {room} before what is before it: {some(early)}")

    def compare(self, who, heard, due):
        if heard == due:
            return
        times = collections.Counter(heard)
        missed = [item for item in due if item not in times]
        twice = [item for item, count in times.items() if count > 1]
        extra = [item for item in times if item not in set(due)]
        self.lost += len(missed)
        self.doubled += len(twice)
        self.wrong(f"{who} heard {len(heard)} of {len(due)}; missed {len(missed)}: {some(missed)}; "
                   f"twice {len(twice)}: {some(twice)}; not in history {len(extra)}: {some(extra)}; "
                   f"{'in' if heard == sorted(heard) else 'out of'} order")

    def check_connection(self, one, connection):
        """Without ids: one stretch of each room's history, in order and without a hole; refusals as many as missing."""
        who = f"{one.name} on connection {connection.number}"
        for room in {room for room, _ in connection.heard}:
            texts = [text for where, text in connection.heard if where == room]
            unknown = [text for text in texts if text not in self.by_text]
            if unknown:
                self.wrong(f"{who} heard what is not in history: {some(unknown)}")
                continue
            ids = [self.by_text[text].id for text in texts]
            if any(later <= earlier for earlier, later in zip(ids, ids[1:])):
                self.doubled += len(ids) - len(set(ids))
                self.wrong(f"{who} heard {room} out of order or twice: {some(texts)}")
            others = {text for text in texts if text.split("/")[1] != one.name}
            missed = [f"{row.text} ({row.id})" for row in self.by_room[room]
                      if min(ids) < row.id < max(ids) and row.sender != one.name and row.text not in others]
            if missed:
                self.lost += len(missed)
                self.wrong(f"{who} was left without a part of {room}: {some(missed)}")
        stored = [self.by_text[text].id for text in connection.said if text in self.by_text]
        if stored != sorted(stored):
            self.wrong(f"{who}: what it said is stored in another order")
        most = len(connection.said) - connection.refusals
        if len(stored) > most or (connection.ended is None and len(stored) < most):
            self.wrong(f"{who} said {len(connection.said)}, was refused {connection.refusals} of them, "
                       f"and {len(stored)} are in history")

    def is_complete(self):
        """True if nothing more can come: what was promised is stored, and everybody has heard the newest."""
        return (all(chat.id is None or text in self.by_text for text, chat in self.chats.items()) and
                all(self.has_heard_all(one, room) for one in self.resuming for room in one.rooms) and
                all(sum(text in self.by_text for text in there.said) == len(there.said) - there.refusals
                    for one in self.plain for there in one.connections if there.ended is None))

    def has_heard_all(self, one, room):
        others = [row.id for row in self.by_room[room] if one.echo or row.sender != one.name]
        return not others or others[-1] <= one.since.get(room, 0)

    def counts(self):
        deliveries = sum(len(there.heard) for one in self.people for there in one.connections)
        acks = sum(chat.id is not None for chat in self.chats.values())
        return (f"{sum(one.said for one in self.people)} chats said, {acks} acknowledged, {len(self.rows)} stored, "
                f"{deliveries} deliveries, {sum(len(one.connections) for one in self.people)} connections")
