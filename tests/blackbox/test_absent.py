"""Directs to accounts that are away: kept, handed over at log-in, and read."""

import signal
import subprocess

import pytest

from hubbub import wait_for
from test_accounts import PASSWORD, account, leave, log_in, register, tool


def direct(client, to, *texts):
    for text in texts:
        client.send({"type": "direct", "to": to, "data": text, "ref": text})
    return [client.expect(type="ack", ref=text)["id"] for text in texts]


def directs(client):
    return [one["data"] for one in client.has(type="direct")]


def read(client, who, id):
    client.send({"type": "read", "with": who, "id": id, "ref": "read"})
    return client.expect(type="read", ref="read")["unread"]


def stored(hubbub, to, count):
    hubbub.wait_sql(f"SELECT count(*) FROM directs WHERE recipient = '{to}'", str(count))


@pytest.fixture
def sender(hubbub):
    client = hubbub.json("sender", 2)
    yield client
    leave(client)


def test_directs_wait_for_an_account_and_come_behind_the_welcome_in_order(hubbub, sender):
    account(hubbub, "Away")
    ids = direct(sender, "away", "one", "two", "three")
    stored(hubbub, "Away", 3)
    for attempt in (1, 2):  # until they were read
        client = log_in(hubbub, "Away", attempt)
        assert client.welcome["unread"] == 3 and client.received[0] == client.welcome
        for text, id in zip(("one", "two", "three"), ids):
            got = client.expect(type="direct", data=text)
            assert (got["from"], got["to"], got["id"]) == ("sender", "Away", id)
        client.sync()
        assert directs(client) == ["one", "two", "three"]
        leave(client)
    client = log_in(hubbub, "Away")
    live, = direct(sender, "Away", "live")
    client.expect(type="direct", data="live")
    assert directs(client) == ["one", "two", "three", "live"]
    assert read(client, "sender", live) == 0
    leave(client)
    client = log_in(hubbub, "Away", 2)
    direct(sender, "Away", "live again")
    client.expect(type="direct", data="live again")
    assert directs(client) == ["live again"] and client.welcome["unread"] == 0
    leave(client)


def test_what_was_read_does_not_come_again(hubbub, sender):
    account(hubbub, "Reader")
    ids = direct(sender, "Reader", "r1", "r2", "r3")
    stored(hubbub, "Reader", 3)
    client = log_in(hubbub, "Reader", 2)
    client.expect(type="direct", data="r3")
    assert read(client, "somebody-else", ids[2]) == 3
    assert read(client, "SENDER", ids[1]) == 1
    leave(client)
    assert hubbub.sql("SELECT string_agg(is_read::text, ' ' ORDER BY id) FROM directs WHERE recipient = 'Reader'") == (
        "true true false")
    client = log_in(hubbub, "Reader")
    assert client.welcome["unread"] == 1
    client.expect(type="direct", data="r3")
    assert directs(client) == ["r3"]
    leave(client)


def test_what_was_just_said_can_be_read_though_it_is_not_stored_yet(hubbub, sender):
    account(hubbub, "Quick")
    client = log_in(hubbub, "Quick")
    for n in range(20):
        id, = direct(sender, "Quick", f"q{n}")
        client.expect(type="direct", data=f"q{n}")
        assert read(client, "sender", id) == 0
    leave(client)


def test_hundreds_come_in_order_and_once(hubbub, sender):
    account(hubbub, "Busy")
    texts = [f"number {n:03}" for n in range(350)]
    direct(sender, "Busy", *texts)
    stored(hubbub, "Busy", 350)
    client = log_in(hubbub, "Busy", 2)
    assert client.welcome["unread"] == 350
    client.expect(type="direct", data=texts[-1])
    direct(sender, "Busy", "live")
    client.expect(type="direct", data="live")
    assert directs(client) == texts + ["live"]
    leave(client)


@pytest.mark.parametrize("dialect", ["line", "prompt", "gob"])
def test_who_cannot_say_what_was_read_has_read_what_came(hubbub, sender, dialect):
    name, password = f"Plain-{dialect}", "plain-password"
    account(hubbub, name, password=password)
    direct(sender, name, "p1", "p2")
    stored(hubbub, name, 2)
    client = hubbub.connect(dialect, 2)
    shown = {"line": "DM sender {}", "prompt": "[direct] sender: {}", "gob": (0, "[direct] sender", "{}")}[dialect]
    if dialect == "line":
        client.send(f"LOGIN {name} {password}")
    elif dialect == "prompt":
        client.send(name)
        client.send(password)
    else:
        client.send(1, name, password)

    def expect(text):
        wanted = shown.format(text) if isinstance(shown, str) else (0, "[direct] sender", text)
        client.take(lambda one: one == wanted, wanted, 20)

    expect("p1")
    expect("p2")
    direct(sender, name, "p3")
    expect("p3")
    hubbub.wait_sql(f"SELECT count(*) FROM directs WHERE recipient = '{name}' AND is_read", "3")
    client.close()
    wait_for(lambda: not hubbub.sql(f"SELECT 1 FROM online WHERE name = '{name}'"), 20, "it is gone")
    again = log_in(hubbub, name, password=password)
    assert again.welcome["unread"] == 0
    direct(sender, name, "p4")
    again.expect(type="direct", data="p4")
    assert directs(again) == ["p4"]
    leave(again)


def test_a_guest_who_is_away_gets_no_directs_and_who_registers_none_from_before(hubbub, sender):
    guest = hubbub.json("Late")
    direct(sender, "Late", "before")
    guest.expect(type="direct", data="before")
    assert register(guest)["type"] == "registered"
    direct(sender, "Late", "after")
    guest.expect(type="direct", data="after")
    stored(hubbub, "Late", 2)
    leave(guest)
    client = log_in(hubbub, "Late")
    assert client.welcome["unread"] == 1
    client.expect(type="direct", data="after")
    client.send({"type": "history", "with": "sender"})
    assert [one["data"] for one in client.expect(type="history")["messages"]] == ["after"]
    leave(client)
    sender.send({"type": "direct", "to": "late-guest", "data": "x", "ref": "x"})
    sender.expect_error("no-such-user", ref="x")


def test_who_registers_a_forgotten_name_gets_nothing_of_its_earlier_account(hubbub, sender):
    account(hubbub, "Renamed")
    direct(sender, "Renamed", "for the first")
    stored(hubbub, "Renamed", 1)
    assert tool(hubbub, "forget", "Renamed")[0] == 0
    sender.send({"type": "direct", "to": "Renamed", "data": "x", "ref": "x"})
    sender.expect_error("no-such-user", ref="x")
    account(hubbub, "Renamed")
    client = log_in(hubbub, "Renamed")
    assert client.welcome["unread"] == 0
    direct(sender, "Renamed", "for the second")
    client.expect(type="direct", data="for the second")
    client.send({"type": "history", "with": "sender"})
    assert [one["data"] for one in client.expect(type="history")["messages"]] == ["for the second"]
    assert directs(client) == ["for the second"]
    leave(client)


def test_nothing_is_missed_or_doubled_while_the_store_is_behind(own_hubbub):
    account(own_hubbub, "Away")
    sender = own_hubbub.json("sender", 2)
    direct(sender, "Away", "s1", "s2")
    stored(own_hubbub, "Away", 2)
    lock = subprocess.Popen(["psql", "-qX", own_hubbub.postgres.url("postgres"), "-c",
                             "BEGIN; LOCK TABLE cursors IN EXCLUSIVE MODE; SELECT pg_sleep(60)"],
                            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        own_hubbub.wait_sql("SELECT count(*) FROM pg_locks WHERE relation = 'cursors'::regclass AND mode = "
                            "'ExclusiveLock'", "1")
        direct(sender, "Away", "l1", "l2")
        client = log_in(own_hubbub, "Away")
        client.expect(type="direct", data="l2")
    finally:
        lock.kill()
        lock.wait()
    direct(sender, "Away", "live")
    client.expect(type="direct", data="live")
    assert directs(client) == ["s1", "s2", "l1", "l2", "live"]


def test_a_retry_of_a_direct_to_who_is_away_is_one(hubbub, sender):
    account(hubbub, "Once")
    first = direct(sender, "Once", "again")
    assert direct(sender, "Once", "again") == first
    stored(hubbub, "Once", 1)
    client = log_in(hubbub, "Once")
    client.expect(type="direct", data="again")
    assert directs(client) == ["again"] and client.welcome["unread"] == 1
    leave(client)


def test_a_direct_to_oneself_is_one(hubbub):
    account(hubbub, "Self")
    client = log_in(hubbub, "Self")
    id, = direct(client, "self", "note")
    client.expect(type="direct", data="note")
    hubbub.wait_sql("SELECT count(*) FROM directs WHERE recipient = 'Self'", "1")
    client.send({"type": "history", "with": "Self"})
    assert [one["id"] for one in client.expect(type="history")["messages"]] == [id]
    leave(client)
    assert PASSWORD and log_in(hubbub, "Self").welcome["unread"] == 1


def test_what_could_not_be_handed_over_is_told_as_missing_and_comes_at_the_next_log_in(own_hubbub):
    account(own_hubbub, "Half", password="plain-password")
    sender = own_hubbub.json("sender", 2)
    texts = [f"{n:04} " + "x" * 4000 for n in range(3000)]  # more than the gateway and the sockets hold
    for text in texts:
        sender.send({"type": "direct", "to": "Half", "data": text, "ref": text[:4]})
    for text in texts:
        sender.expect(type="ack", ref=text[:4])
    stored(own_hubbub, "Half", len(texts))
    client = own_hubbub.connect("line")
    client.send("LOGIN Half plain-password")
    client.expect("DM sender " + texts[0])
    own_hubbub.store.kill(signal.SIGKILL)
    client.expect("INFO gap of directs", 60)
    came = {line[len("DM sender "):] for line in client.received if line.startswith("DM ")}
    assert 0 < len(came) < len(texts)
    own_hubbub.store.start()
    for gateway in own_hubbub.gateways:
        wait_for(lambda: gateway.all_logs().count("event=store_connected") == 2, 20, "the store is back")
    direct(sender, "Half", "live")
    client.expect("DM sender live")
    client.send("QUIT")
    client.expect_closed()
    again = log_in(own_hubbub, "Half", 2, "plain-password")
    again.expect(60, type="direct", data="live")
    assert came | set(directs(again)) == {*texts, "live"}
    assert directs(again) == sorted(directs(again))
