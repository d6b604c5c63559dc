"""reckoning: what people were promised and heard, against what PostgreSQL holds.

Every check gives lines that name who, which id and what was expected; no lines: all is as promised.
"""

import bisect
import collections

from people import Plain, Resuming

SHOWN = 5  # of what is wrong in one way
AFTERWARDS = 20  # seconds after a connection's end within which a gateway may still send to it

# What Reckoning takes.
ROOMS_QUERY = "SELECT id, room, sender, text FROM history ORDER BY id"
DIRECTS_QUERY = """SELECT d.id, d.recipient, d.sender, d.text, d.is_read,
                          coalesce(m.recipient_holder = 'a:' || u.account, false)
                   FROM directs d JOIN messages m USING (id) JOIN users u ON u.id = m.recipient_id ORDER BY d.id"""


class Row:
    def __init__(self, line):
        number, self.room, self.sender, self.text = line.split("|")
        self.id = int(number)


class Direct(Row):
    room = "direct"

    def __init__(self, line):
        number, self.to, self.sender, self.text, read, right = line.split("|")
        self.id, self.is_read, self.is_right = int(number), read == "t", right == "t"


def some(items):
    items = list(items)
    more = f" and {len(items) - SHOWN} more" if len(items) > SHOWN else ""
    return ", ".join(str(item)[:120] for item in items[:SHOWN]) + more


def is_in(gaps, number):
    return any(after < number <= until for after, until in gaps)


class Reckoning:
    """`answer` and `directs` are what PostgreSQL says to ROOMS_QUERY and DIRECTS_QUERY."""

    def __init__(self, people, answer, directs=""):
        self.people = people
        self.rows = [Row(line) for line in answer.split("\n") if line]
        self.directs = [Direct(line) for line in directs.split("\n") if line]
        self.by_text = {row.text: row for row in self.rows + self.directs}
        self.directs_to = collections.defaultdict(list)
        for row in self.directs:
            self.directs_to[row.to].append(row)
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
        for one in self.people:
            self.check_directs(one)
        for one in self.resuming:
            for page in one.pages:
                self.check_page(one, page)
        return self.problems

    def check_history(self):
        """Acknowledged: once, with that id.  Refused: never.  Everything: from somebody who said it there."""
        rows = self.rows + self.directs
        times = collections.Counter(row.text for row in rows)
        doubled = [text for text, count in times.items() if count > 1]
        lost = [f"{text} ({chat.id})" for text, chat in self.chats.items() if chat.id and text not in times]
        refused = [f"{text} ({self.by_text[text].id})" for text, chat in self.chats.items()
                   if chat.refused and not chat.lost and not chat.id and text in times]
        other_id = [f"{text}: {chat.id}, stored as {self.by_text[text].id}" for text, chat in self.chats.items()
                    if chat.id and text in times and self.by_text[text].id != chat.id]
        said = set(self.chats) | {text for one in self.plain for there in one.connections for text in there.said}
        strange = [row.text for row in rows
                   if row.text not in said or [row.room, row.sender] != row.text.split("/")[:2]]
        misled = [f"{row.text} to {row.to}" for row in self.directs
                  if not row.is_right or row.to != row.text.split("/")[3]]
        self.lost += len(lost)
        self.doubled += len(doubled)
        for what, found in (("acknowledged and not in history", lost), ("twice in history", doubled),
                            ("refused and in history", refused), ("acknowledged under another id", other_id),
                            ("in history, but nobody said it there", strange),
                            ("for somebody else than it was said to", misled)):
            if found:
                self.wrong(f"{what}: {some(found)}")

    def check_resuming(self, one, room):
        """From its first position on it heard everything once, in order; without echo, everything of others."""
        if room not in one.first:
            self.wrong(f"{one.name} never came to {room}")
            return
        gaps = one.gaps[room]
        due = [(row.id, row.text) for row in self.by_room[room]
               if row.id > one.first[room] and not is_in(gaps, row.id)]
        heard = one.heard[room]
        both = [f"{text} ({number})" for number, text in heard if is_in(gaps, number)]
        if both:
            self.wrong(f"{one.name} heard in {room} what it had been told is missing: {some(both)}")
        if not one.echo:
            due = [item for item in due if item[1].split("/")[1] != one.name]
            heard = [item for item in heard if item[1].split("/")[1] != one.name]
            own = [number for number, text in one.heard[room] if text.split("/")[1] == one.name]
            if len(set(own)) != len(own) or own != sorted(own):
                self.wrong(f"{one.name} heard its own chats in {room} twice or out of order")
        self.compare(f"{one.name} in {room}", heard, due)
        others = [number for number, text in due if text.split("/")[1] != one.name]
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
            gaps = {count for where, count in connection.gaps if where == room}
            missed = [f"{row.text} ({row.id})" for row in self.by_room[room]
                      if min(ids) < row.id < max(ids) and row.sender != one.name and row.text not in others
                      and bisect.bisect_left(ids, row.id) not in gaps]
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

    def check_directs(self, one):
        """On each connection once and in order; and each of them on some connection."""
        for there in one.connections:
            texts = [text for _, text in there.directs]
            unknown = [text for text in texts if text not in self.by_text]
            ids = [self.by_text[text].id for text in texts if text in self.by_text]
            told = [number for number, _ in there.directs if number is not None]
            who = f"{one.name} on connection {there.number}"
            if unknown:
                self.wrong(f"{who} was handed directs that are not in history: {some(unknown)}")
            if any(later <= earlier for earlier, later in zip(ids, ids[1:])) or (told and not unknown and told != ids):
                self.doubled += len(ids) - len(set(ids))
                self.wrong(f"{who} was handed directs out of order, twice or under other ids: {some(texts)}")
        missed = [f"{row.text} ({row.id}{', marked as read' if row.is_read else ''})" for row in self.never_handed(one)]
        if missed:
            self.lost += len(missed)
            self.wrong(f"{one.name} was never handed {len(missed)} directs: {some(missed)}")

    def never_handed(self, one):
        """The directs that are due.  Whoever has no verb for it has read what was sent to him: what was sent last
        before a connection died, or what was told as missing, is in history alone."""
        handed = one.handed
        missing = [row for row in self.directs_to[one.name] if row.text not in handed]
        return [row for row in missing if isinstance(one, Resuming) or not row.is_read or
                not any(self.may_have_died_with(row, there) for there in one.connections)]

    def may_have_died_with(self, row, there):
        if there.direct_gaps:
            return True
        last = max((self.by_text[text].id for _, text in there.directs if text in self.by_text), default=0)
        return last < row.id and there.ended is not None and (row.id >> 20) / 1000 < there.ended + AFTERWARDS

    def check_page(self, one, page):
        """What it has is what PostgreSQL has there, without a hole, as far as it goes."""
        if page.room:
            rows = self.by_room[page.room]
        else:
            rows = [row for row in self.directs if (row.sender, row.to) in
                    ((one.name, page.partner), (page.partner, one.name))]
        rows = [row for row in rows if page.since is None or row.id > page.since]
        rows = [row for row in rows if page.before is None or row.id < page.before]
        texts = {row.id: row.text for row in rows}
        ids = [number for number, _ in page.messages]
        wrong = [f"{text} ({number})" for number, text in page.messages if texts.get(number) != text]
        if wrong or len(ids) > page.limit or ids != sorted(set(ids)):
            self.wrong(f"{one.name} asked for {page} and got {len(ids)}, or what is not there: {some(wrong)}")
            return
        sure = [row for row in rows if row.id >> 20 < page.asked - 1]  # what came meanwhile may be there, or not
        if page.since is not None:
            end = ids[-1] if page.more and ids else page.known
            missed = [row for row in sure if row.id <= end and row.id not in ids]
        else:
            end = ids[0] if page.more and ids else 0
            missed = [row for row in sure if row.id >= end and row.id not in ids
                      and (row.id <= page.known or page.before or not page.room)]
        if missed or (page.more and not ids):
            self.lost += len(missed)
            self.wrong(f"{one.name} asked for {page} and got {len(ids)}{' and more' if page.more else ''}, without "
                       f"{len(missed)}: {some(f'{row.text} ({row.id})' for row in missed)}")

    def has_all_directs(self):
        return not any(self.never_handed(one) for one in self.people)

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
        handed = sum(len(there.directs) for one in self.people for there in one.connections)
        gaps = sum(len(told) for one in self.resuming for told in one.gaps.values()) + sum(
            len(there.gaps) for one in self.plain for there in one.connections) + sum(
            there.direct_gaps for one in self.people for there in one.connections)
        return (f"{sum(one.said for one in self.people)} chats said, {acks} acknowledged, {len(self.rows)} stored, "
                f"{deliveries} deliveries, {len(self.directs)} directs stored, {handed} handed over, "
                f"{sum(len(one.pages) for one in self.resuming)} pages, {gaps} gaps told, "
                f"{sum(len(one.connections) for one in self.people)} connections")
