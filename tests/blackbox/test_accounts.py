"""Accounts: names with a password, protected everywhere and whatever is away."""

import itertools
import os
import pty
import signal
import subprocess
import termios
import time

import pytest

from hubbub import BUILD, wait_for

PASSWORD = "correct horse 7"


def register(client, password=PASSWORD, **more):
    client.send({"type": "register", "password": password, "ref": "register", **more})
    return client.take(lambda one: one.get("ref") == "register", "an answer to register", 20)


def account(hubbub, name, gateway=1, password=PASSWORD):
    """An account that is logged out again."""
    client = hubbub.json(name, gateway)
    assert register(client, password) == {"type": "registered", "name": name, "ref": "register"}
    leave(client)


def leave(*clients):
    for client in clients:
        client.send({"type": "leave"})
        client.expect_closed()


ADDRESSES = (f"127.1.{n // 250}.{n % 250 + 1}" for n in itertools.count())


def refused(hubbub, code, gateway=1, source=None, **login):
    """From an address of its own, unless one is given: wrong passwords are limited per address."""
    client = hubbub.connect("json", gateway, source or next(ADDRESSES))
    client.send({"type": "join", "ref": "join", **login})
    client.expect_error(code, ref="join")
    client.close()


def log_in(hubbub, name, gateway=1, password=PASSWORD, **more):
    return hubbub.json(name, gateway, password=password, **more)


def log_in_from(hubbub, source, name):
    client = hubbub.connect("json", 1, source)
    client.send({"type": "join", "data": name, "password": PASSWORD})
    client.expect(type="welcome")
    return client


def tool(hubbub, *words, stdin=""):
    """hubbub-store with a word; (status, what it said)."""
    done = subprocess.run([os.path.join(BUILD, "store/hubbub-store"), *words], input=stdin, capture_output=True,
                          text=True, timeout=60, env={**os.environ, **hubbub.store.settings})
    return done.returncode, done.stdout + done.stderr


def test_a_name_that_was_registered_needs_its_password_on_every_gateway(hubbub):
    account(hubbub, "Ann")
    for gateway in (1, 2):
        for name in ("Ann", "ANN"):
            refused(hubbub, "password-required", gateway, data=name)
            refused(hubbub, "auth-failed", gateway, data=name, password="correct horse 8")
        client = log_in(hubbub, "Ann", gateway)
        assert client.welcome["unread"] == 0
        leave(client)
    refused(hubbub, "auth-failed", data="Nobody", password=PASSWORD)


def test_a_key_is_no_password(hubbub):
    client = hubbub.json("keyed", key="k")
    register(client)
    client.close()
    refused(hubbub, "password-required", 2, data="keyed", key="k")
    leave(log_in(hubbub, "keyed", 2))


def test_the_password_takes_the_name_over(hubbub):
    client = hubbub.json("taken", 1)
    register(client)
    other = log_in(hubbub, "taken", 2)
    client.expect_error("replaced")
    client.expect_closed()
    other.sync()
    leave(other)


def test_a_registration_may_be_repeated_and_the_password_changed(hubbub):
    client = hubbub.json("changer")
    for _ in range(2):
        assert register(client)["type"] == "registered"
    assert register(client, "another one 8")["code"] == "auth-failed"
    assert register(client, "another one 8", old="wrong one 99")["code"] == "auth-failed"
    assert register(client, "another one 8", old=PASSWORD)["type"] == "registered"
    leave(client)
    refused(hubbub, "auth-failed", data="changer", password=PASSWORD)
    leave(log_in(hubbub, "changer", password="another one 8"))


@pytest.mark.parametrize("password", ["", "seven77", "x" * 129, 5], ids=lambda value: repr(value)[:12])
def test_what_is_no_password_is_refused(hubbub, password):
    client = hubbub.json("no-password")
    assert register(client, password)["code"] == "bad-request"
    leave(client)
    leave(hubbub.json("no-password"))


@pytest.mark.parametrize("password", ["12345678", "x" * 128, "pässwörd", "with spaces in it", "\" or 1=1 --"],
                         ids=lambda value: value[:12])
def test_any_other_text_is_a_password(hubbub, password):
    name = f"any-{abs(hash(password)) % 10**8}"
    account(hubbub, name, password=password)
    refused(hubbub, "auth-failed", data=name, password=password + "x")
    leave(log_in(hubbub, name, 2, password=password))


def test_every_dialect_logs_in_with_a_password(hubbub):
    account(hubbub, "Poly")
    line = hubbub.connect("line")
    line.send("LOGIN Poly")
    line.expect_error("password-required")
    line.send("LOGIN Poly correct")
    line.expect_error("auth-failed")
    line.close()
    account(hubbub, "Line", password="one-word")
    line = hubbub.connect("line", 2)
    line.send("LOGIN Line one-word")
    line.expect("OK")
    line.send("QUIT")
    line.expect_closed()
    prompt = hubbub.connect("prompt", 2)
    prompt.send("Poly")
    wait_for(lambda: (prompt.receive(0.1), prompt.buffer.endswith(b"Password: "))[1], 20, "the password is asked for")
    prompt.send(PASSWORD)
    prompt.take(lambda one: "Welcome, Poly!" in one, "a welcome", 20)
    prompt.send("/quit")
    prompt.expect_closed()
    command = hubbub.connect("command")
    command.send({"command": "CONNECT", "username": "Poly", "password": PASSWORD})
    assert command.expect(command="ACK")["unread"] == 0
    command.send({"command": "DISCONNECT"})
    command.expect_closed()
    gob = hubbub.connect("gob", 2)
    gob.send(1, "Poly", "")
    gob.expect_error("password-required")
    gob.send(1, "Poly", PASSWORD)
    gob.take(lambda one: one[2].startswith("Welcome, Poly!"), "a welcome", 20)
    gob.send(2)
    gob.expect_closed()


def test_names_of_accounts_are_protected_while_the_store_is_away(own_hubbub):
    account(own_hubbub, "Ann")
    own_hubbub.store.kill(signal.SIGKILL)
    wait_for(lambda: "event=store_lost" in own_hubbub.gateways[0].all_logs(), 20, "the gateway notices")
    begun = time.monotonic()
    refused(own_hubbub, "password-required", data="Ann")
    refused(own_hubbub, "unavailable", data="Ann", password=PASSWORD)
    guest = own_hubbub.json("guest")
    assert register(guest)["code"] == "unavailable"
    guest.chat("still here", ref="r")
    guest.expect(type="ack", ref="r")
    assert time.monotonic() - begun < 4  # at once, not after a deadline
    own_hubbub.store.start()
    wait_for(lambda: own_hubbub.gateways[0].all_logs().count("event=store_connected") == 2, 20, "it is back")
    log_in(own_hubbub, "Ann")


def test_names_of_accounts_are_protected_after_redis_lost_everything(own_hubbub):
    account(own_hubbub, "Ann")
    guest = own_hubbub.json("guest")
    own_hubbub.redis.call("FLUSHALL")

    def chats():
        guest.chat("?", ref="again")
        return guest.take(lambda one: one.get("ref") == "again", "an answer", 20)["type"] == "ack"

    def answer(gateway, **login):
        client = own_hubbub.connect("json", gateway)
        client.send({"type": "join", "data": "Ann", **login})
        got = client.take(lambda one: one["type"] in ("welcome", "error"), "an answer", 20)
        client.close()
        assert got.get("code") in (None, "unavailable", "password-required"), got
        return got

    wait_for(chats, 20, "chats go again")
    for gateway in (1, 2):
        wait_for(lambda: answer(gateway).get("code") == "password-required", 20, "the name is asked for")
    wait_for(lambda: answer(2, password=PASSWORD)["type"] == "welcome", 20, "its password is right")


def test_a_frozen_store_is_unavailable_within_seconds_and_holds_up_nobody(own_hubbub):
    account(own_hubbub, "Ann")
    guest = own_hubbub.json("guest")
    own_hubbub.store.kill(signal.SIGSTOP)
    client = own_hubbub.connect("json")
    client.send({"type": "join", "data": "Ann", "password": PASSWORD})
    guest.chat("on it goes", ref="r")
    guest.expect(seconds=3, type="ack", ref="r")
    client.expect_error("unavailable")
    own_hubbub.store.kill(signal.SIGCONT)


def test_guests_can_be_forbidden(make_hubbub):
    hubbub = make_hubbub(settings={"HUBBUB_GUESTS": "deny"})
    refused(hubbub, "password-required", data="guest")
    status, said = tool(hubbub, "passwd", "Ann", stdin=PASSWORD + "\n")
    assert status == 0, said
    leave(log_in(hubbub, "Ann"))
    prompt = hubbub.connect("prompt")
    prompt.send("Ann")
    prompt.send(PASSWORD)
    prompt.take(lambda one: "Welcome, Ann!" in one, "a welcome", 20)


def test_a_forgotten_password_is_set_anew_and_an_account_is_forgotten(hubbub):
    account(hubbub, "Forgetful")
    status, said = tool(hubbub, "passwd", "forgetful", stdin="a new one 99\n")
    assert status == 0, said
    refused(hubbub, "auth-failed", data="Forgetful", password=PASSWORD)
    leave(log_in(hubbub, "Forgetful", password="a new one 99"))
    status, said = tool(hubbub, "forget", "FORGETFUL")
    assert status == 0, said
    refused(hubbub, "auth-failed", data="Forgetful", password="a new one 99")
    leave(hubbub.json("Forgetful", 2))
    for words in (["forget", "Forgetful"], ["forget", "never was"], ["passwd"], ["dance"]):
        status, said = tool(hubbub, *words, stdin="x\n")
        assert status != 0 and said.count("\n") >= 1, (words, status, said)


def test_wrong_passwords_are_limited(own_hubbub):
    account(own_hubbub, "Ann")
    account(own_hubbub, "Bob")
    codes = []
    for attempt in range(14):
        client = own_hubbub.connect("json")
        client.send({"type": "join", "data": "Ann", "password": f"wrong one {attempt}"})
        codes.append(client.expect(type="error")["code"])
        client.close()
    assert codes[:10] == ["auth-failed"] * 10 and "rate-limited" in codes[10:], codes
    refused(own_hubbub, "rate-limited", source="127.0.0.1", data="Bob", password="wrong one 99")  # the address
    refused(own_hubbub, "auth-failed", data="Ann", password="wrong one 99")  # another may guess, a little
    leave(log_in_from(own_hubbub, next(ADDRESSES), "Ann"))  # and keeps nobody out
    leave(log_in_from(own_hubbub, next(ADDRESSES), "Bob"))


def test_a_password_is_written_nowhere(own_hubbub):
    secret, other, wrong = "Sesame-Open-4711", "Sesame-Other-4711", "Sesame-Wrong-4711"
    own_hubbub.sql("ALTER SYSTEM SET log_statement = 'all'")
    own_hubbub.sql("ALTER SYSTEM SET log_min_error_statement = 'debug5'")
    own_hubbub.sql("SELECT pg_reload_conf()")
    account(own_hubbub, "Ann", password=secret)
    client = log_in(own_hubbub, "Ann", password=secret)
    assert register(client, other, old=secret)["type"] == "registered"
    leave(client)
    refused(own_hubbub, "auth-failed", data="Ann", password=wrong)
    for dialect, words in (("line", f"LOGIN Ann {wrong}"), ("prompt", f"Ann\n{wrong}")):
        client = own_hubbub.connect(dialect)
        client.send(words)
        client.take(lambda one: "assword" in one or "auth-failed" in one, "a refusal", 20)
    found = subprocess.run(["grep", "-rlaE", "Sesame-(Open|Other|Wrong)-4711", own_hubbub.place.path],
                           capture_output=True, text=True)
    assert found.stdout == "" and found.returncode == 1, found
    assert own_hubbub.sql("SELECT password_hash LIKE '$argon2id$%' FROM users WHERE name_key = 'ann'") == "t"


def test_the_times_of_accounts_and_sessions_are_kept(own_hubbub):
    account(own_hubbub, "Ann")
    client = log_in(own_hubbub, "Ann", 2)
    own_hubbub.wait_sql("SELECT count(*) FROM sessions JOIN users u ON u.id = user_id WHERE name = 'Ann'", "2")
    assert own_hubbub.sql("SELECT registered_at < last_login_at AND last_login_at > now() - interval '1 minute'"
                          " FROM users WHERE name_key = 'ann'") == "t"
    assert own_hubbub.sql("SELECT gateway, dialect, ip_address, disconnected_at IS NULL FROM sessions"
                          " ORDER BY connected_at DESC LIMIT 1") == "g2|json|127.0.0.1|t"
    own_hubbub.gateways[1].kill(signal.SIGKILL)
    client.expect_closed()
    own_hubbub.wait_sql("SELECT count(*) FROM sessions WHERE disconnected_at IS NULL", "0", 40)


def test_a_logged_in_account_that_is_forgotten_is_closed_and_its_name_is_free(hubbub):
    sender, owner = hubbub.json("forget-sender", 2), hubbub.json("Gone")
    assert register(owner)["type"] == "registered"
    sender.send({"type": "direct", "to": "Gone", "data": "for the account", "ref": "before"})
    sender.expect(type="ack", ref="before")
    owner.expect(type="direct", data="for the account")
    status, said = tool(hubbub, "forget", "gone")
    assert status == 0, said
    owner.expect_error("replaced")
    owner.expect_closed()
    guest = hubbub.json("Gone", 2)
    sender.send({"type": "direct", "to": "Gone", "data": "for the guest", "ref": "after"})
    sender.expect(type="ack", ref="after")
    guest.expect(type="direct", data="for the guest")
    guest.send({"type": "history", "with": "forget-sender", "ref": "past"})
    assert [one["data"] for one in guest.expect(type="history", ref="past")["messages"]] == ["for the guest"]
    assert [one["data"] for one in guest.has(type="direct")] == ["for the guest"]
    leave(guest, sender)


def test_who_interrupts_while_a_password_is_typed_ends_it_and_has_the_echo_back(hubbub):
    def at_the_terminal():
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # whoever runs the tests may ignore it
        os.close(os.open(os.ttyname(0), os.O_RDWR))   # its own terminal from now on

    mine, its = pty.openpty()
    typing = subprocess.Popen([os.path.join(BUILD, "store/hubbub-store"), "passwd", "typist"], stdin=its, stdout=its,
                              stderr=its, start_new_session=True, env={**os.environ, **hubbub.store.settings},
                              preexec_fn=at_the_terminal)
    try:
        wait_for(lambda: not termios.tcgetattr(its)[3] & termios.ECHO, 20, "a password may be typed")
        os.write(mine, b"half a passw\x03")
        assert typing.wait(20) == -signal.SIGINT
        assert termios.tcgetattr(its)[3] & termios.ECHO
    finally:
        typing.kill()
        typing.wait()
        os.close(mine)
        os.close(its)
    assert hubbub.sql("SELECT count(*) FROM users WHERE name_key = 'typist'") == "0"
