"""Servers are killed and frozen under load: what was acknowledged is in history once, what was refused is not."""

import signal
import time

import pytest

from traffic import Traffic

CARELESS = {"people": 2, "rate": 100, "repeat": False, "room": "careless", "burst": 25}  # never say a chat again


def reckon(hubbub, record_property, *traffics):
    for traffic in traffics:
        traffic.end()
        record_property("counts", traffic.reckon())
    assert hubbub.sql("SELECT * FROM audit") == ""


def restart(server, *traffics):
    time.sleep(1)  # so long it is missing
    server.start()
    for traffic in traffics:
        traffic.wait_flowing()


@pytest.mark.alongside(30)
def test_nothing_is_lost_or_doubled_when_each_server_is_killed_in_turn(make_hubbub, record_property):
    hubbub = make_hubbub()
    traffic, careless = Traffic(hubbub), Traffic(hubbub, **CARELESS)
    for server in [hubbub.postgres, hubbub.store, hubbub.redis, *hubbub.gateways] * 2:
        careless.wait_in_flight(5)
        server.kill(signal.SIGKILL)
        restart(server, traffic, careless)
    reckon(hubbub, record_property, careless, traffic)


@pytest.mark.alongside(12)
def test_nothing_is_lost_or_doubled_when_all_servers_are_killed_at_once(make_hubbub, record_property):
    hubbub = make_hubbub()
    traffic, careless = Traffic(hubbub), Traffic(hubbub, **CARELESS)
    careless.wait_in_flight(5)
    for server in hubbub.servers:
        server.kill(signal.SIGKILL)
    for server in hubbub.servers:
        server.start()
    traffic.wait_flowing()
    careless.wait_flowing()
    reckon(hubbub, record_property, careless, traffic)


@pytest.mark.parametrize("seconds", [5, pytest.param(20, marks=pytest.mark.alongside(35))])
@pytest.mark.alongside(15)
def test_no_chat_refused_while_redis_was_frozen_appears_later(make_hubbub, record_property, seconds):
    hubbub = make_hubbub()
    traffic, careless = Traffic(hubbub), Traffic(hubbub, repeat=False, room="careless", burst=10)
    careless.wait_in_flight(5)
    hubbub.redis.kill(signal.SIGSTOP)
    time.sleep(seconds)  # so long it is frozen
    hubbub.redis.kill(signal.SIGCONT)
    traffic.wait_flowing()
    careless.wait_flowing()
    reckon(hubbub, record_property, careless, traffic)


@pytest.mark.alongside(20)
def test_nothing_is_lost_or_doubled_when_redis_cuts_connections_off(make_hubbub, record_property):
    hubbub = make_hubbub()
    traffic, careless = Traffic(hubbub), Traffic(hubbub, **CARELESS)
    for kind in ("pubsub", "normal") * 8:
        careless.wait_in_flight(5)
        hubbub.redis.call("CLIENT", "KILL", "TYPE", kind)
        traffic.wait_flowing(chats=10)
        careless.wait_flowing(chats=10)
    reckon(hubbub, record_property, careless, traffic)
    for gateway in hubbub.gateways:
        assert gateway.all_logs().count("event=redis_lost") >= 16


@pytest.mark.alongside(25)
def test_of_two_stores_one_takes_over_when_the_other_is_frozen_or_killed(make_hubbub, record_property):
    hubbub = make_hubbub(stores=2)
    traffic = Traffic(hubbub)

    for store in hubbub.stores:
        store.kill(signal.SIGSTOP)
        traffic.wait_flowing()
        traffic.wait_stored()
        store.kill(signal.SIGCONT)
    for store in hubbub.stores:
        store.kill(signal.SIGKILL)
        traffic.wait_flowing()
        traffic.wait_stored()
        store.start()
    reckon(hubbub, record_property, traffic)
    for store in hubbub.stores:
        assert "event=takeover" in store.all_logs()
