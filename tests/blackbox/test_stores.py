"""Stores that come and go: what that means to who asks them."""

import re
import signal
import time

import pytest

from hubbub import wait_for
from links import Loop, Link
from test_absent import direct, stored
from test_accounts import account, leave, register
from test_history import page, say, trim


def log_in_line(hubbub, name, password, gateway=1):
    client = hubbub.connect("line", gateway)
    client.send(f"LOGIN {name} {password}")
    client.expect("OK")
    return client


def gone(hubbub, name):
    wait_for(lambda: not hubbub.sql(f"SELECT 1 FROM online WHERE name = '{name}'"), 20, f"{name} is gone")


def unread(hubbub, name):
    return int(hubbub.sql(f"SELECT count(*) FROM directs WHERE recipient = '{name}' AND NOT is_read"))


def test_of_two_stores_one_may_die_and_who_resumes_hears_no_gap(make_hubbub):
    hubbub = make_hubbub(stores=2)
    alice = hubbub.json("alice", room="two-stores")
    ids = say(alice, *[str(n) for n in range(20)])
    trim(hubbub, "two-stores", ids[-1])
    asked = [f"store_connected store={store.settings['HUBBUB_STORE_LISTEN']}" in hubbub.gateways[1].all_logs()
             for store in hubbub.stores]
    assert sum(asked) == 1
    hubbub.stores[asked.index(True)].kill(signal.SIGKILL)
    back = hubbub.json("bob", 2, room="two-stores", since=ids[4])
    assert [back.expect(type="message")["data"] for _ in range(15)] == [str(n) for n in range(5, 20)]
    assert not back.has(type="gap")


def test_a_store_that_is_started_again_in_time_costs_who_resumes_nothing(own_hubbub):
    alice = own_hubbub.json("alice", room="restart")
    ids = say(alice, *[str(n) for n in range(20)])
    trim(own_hubbub, "restart", ids[-1])
    own_hubbub.store.kill(signal.SIGKILL)
    back = own_hubbub.json("bob", 2, room="restart", since=ids[4])
    own_hubbub.store.start()
    assert [back.expect(type="message")["data"] for _ in range(15)] == [str(n) for n in range(5, 20)]
    assert not back.has(type="gap")


@pytest.fixture
def linked():
    """A function: makes gateway 1 of an installation reach its store by a link, which it returns."""
    loops = []

    def link(hubbub):
        loops.append(Loop())
        port = hubbub.taken.take()
        made = Link("store", port, int(hubbub.store.settings["HUBBUB_STORE_LISTEN"].rsplit(":", 1)[1]))
        loops[-1].run(made.start())
        hubbub.gateways[0].stop()
        hubbub.gateways[0].settings["HUBBUB_STORE_URL"] = f"store://127.0.0.1:{port}"
        hubbub.gateways[0].start()
        wait_for(lambda: f"store_connected store=127.0.0.1:{port}" in hubbub.gateways[0].all_logs(), 20, "it is asked")
        return made, loops[-1]

    yield link
    for loop in loops:
        loop.stop()


def test_a_link_that_breaks_while_directs_are_handed_over_loses_none(own_hubbub, linked):
    account(own_hubbub, "Plain", password="password1")
    sender = own_hubbub.json("sender", 2)
    texts = [f"w{n}" for n in range(250)]
    direct(sender, "Plain", *texts)
    stored(own_hubbub, "Plain", 250)
    link, loop = linked(own_hubbub)
    client = log_in_line(own_hubbub, "Plain", "password1")
    loop.call(link.cut)
    for text in texts:
        client.expect(f"DM sender {text}")
    assert [one for one in client.received if one.startswith("DM")] == [f"DM sender {text}" for text in texts]
    own_hubbub.wait_sql("SELECT count(*) FROM directs WHERE NOT is_read", "0")


def test_what_could_not_be_handed_over_is_told_and_stays_unread(own_hubbub):
    account(own_hubbub, "Plain", password="password1")
    sender = own_hubbub.json("sender", 2)
    direct(sender, "Plain", "w1", "w2")
    stored(own_hubbub, "Plain", 2)
    own_hubbub.sql("ALTER FUNCTION page RENAME TO page_away")  # log-ins go on, and no page comes
    client = log_in_line(own_hubbub, "Plain", "password1")
    client.expect("INFO gap of directs")
    own_hubbub.sql("ALTER FUNCTION page_away RENAME TO page")
    direct(sender, "Plain", "live")
    client.expect("DM sender live")
    stored(own_hubbub, "Plain", 3)
    client.close()
    gone(own_hubbub, "Plain")
    assert unread(own_hubbub, "Plain") == 3
    again = log_in_line(own_hubbub, "Plain", "password1", 2)
    for text in ("w1", "w2", "live"):
        again.expect(f"DM sender {text}")


def test_what_was_heard_while_the_store_was_away_is_marked_when_it_is_back(own_hubbub):
    account(own_hubbub, "Plain", password="password1")
    sender = own_hubbub.json("sender", 2)
    client = log_in_line(own_hubbub, "Plain", "password1")
    own_hubbub.store.kill(signal.SIGKILL)
    direct(sender, "Plain", "meanwhile")
    client.expect("DM sender meanwhile")
    own_hubbub.store.start()
    own_hubbub.wait_sql("SELECT count(*) FROM directs WHERE recipient = 'Plain' AND is_read", "1")


@pytest.mark.parametrize("dialect", ["line", "prompt", "gob"])
def test_who_registers_has_read_what_came_since(hubbub, dialect):
    name, sender = f"Fresh-{dialect}", hubbub.json(f"fresh-sender-{dialect}", 2)
    client = hubbub.connect(dialect)
    if dialect == "gob":
        client.send(1, name)
        client.send(0, "", "/register password1")
    else:
        client.send(f"LOGIN {name}" if dialect == "line" else name)
        client.send("REGISTER password1" if dialect == "line" else "/register password1")
    wait_for(lambda: re.search(f"event=password_set session=\\S+ name={name}", hubbub.gateways[0].all_logs()), 20,
             "it is an account")
    direct(sender, name, "d1", "d2")
    hubbub.wait_sql(f"SELECT count(*) FROM directs WHERE recipient = '{name}' AND is_read", "2")
    client.close()
    leave(sender)


def test_what_never_left_the_gateway_was_not_read(own_hubbub):
    account(own_hubbub, "Slow", password="password1")
    sender = own_hubbub.json("sender", 2)
    for n in range(3500):
        sender.send({"type": "direct", "to": "Slow", "data": f"{n:04} " + "x" * 1800, "ref": str(n)})
    sender.expect(type="ack", ref="3499")
    stored(own_hubbub, "Slow", 3500)
    client = own_hubbub.connect("line")
    client.send_bytes(b"LOGIN Slow password1\n")
    own_hubbub.wait_sql("SELECT count(*) > 0 FROM directs WHERE is_read", "t")
    steady = -1
    while steady != (now := unread(own_hubbub, "Slow")):
        steady = now
        time.sleep(1)  # until nothing more is marked: the kernel is full
    own_hubbub.gateways[0].kill(signal.SIGKILL)
    client.expect_closed()
    heard = sum(one.startswith("DM sender ") for one in client.received)
    assert 3500 - unread(own_hubbub, "Slow") <= heard < 3500


def test_none_from_before_the_registration_also_without_a_store(own_hubbub):
    sender, late = own_hubbub.json("sender", 2), own_hubbub.json("Late")
    direct(sender, "Late", "before")
    late.expect(type="direct", data="before")
    register(late)
    assert page(late, **{"with": "sender"}) == ([], False)
    own_hubbub.store.kill(signal.SIGKILL)
    wait_for(lambda: "event=store_lost" in own_hubbub.gateways[0].all_logs(), 20, "it is gone")
    assert page(late, **{"with": "sender"}) == ([], False)


def test_a_crowd_that_logs_in_does_not_hold_up_the_past(own_hubbub):
    account(own_hubbub, "Ann")
    alice = own_hubbub.json("alice", room="crowded")
    ids = say(alice, *[str(n) for n in range(20)])
    trim(own_hubbub, "crowded", ids[-1])
    crowd = [own_hubbub.connect("json", 1, f"127.2.0.{n + 1}") for n in range(200)]
    for client in crowd:
        client.send({"type": "join", "data": "Ann", "password": "a wrong one 1"})
    back = own_hubbub.json("bob", room="crowded", since=ids[4])
    assert [back.expect(seconds=3, type="message")["data"] for _ in range(15)] == [str(n) for n in range(5, 20)]
    answered = sum(len(client.received) > 0 for client in crowd if client.receive(0.001) or True)
    assert answered < 200  # the crowd is still being served
