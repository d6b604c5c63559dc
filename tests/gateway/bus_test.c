/* The bus on a real Redis: links and their numbers, the fate of every publish, fences, and servers that come
 * and go. */
#include "loop.h"

#include "../functions/support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "name.h"

#define LOBBY_LANE lane_of("lobby")

static const char *link_number(unsigned lane)
{
    return text_of(command("HGET hubbub:{%u}:links %s", lane, bus_incarnation(loop.bus)));
}

/* Publishes `n` chats with the tokens from `first` on. */
static void publish_many(unsigned first, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        assert_true(publish("lobby", first + i));
}

static void expect_fates(unsigned first, unsigned n, enum bus_result result)
{
    for (unsigned i = first; i < first + n; i++) {
        assert_int_equal(loop.fates[i].answers, 1);
        assert_int_equal(loop.fates[i].result, result);
        if (result == BUS_OK)
            assert_true(loop.fates[i].id > (i == first ? 0 : loop.fates[i - 1].id));
    }
}

static void test_lanes_come_up_and_publishes_get_ids_in_order(void **state)
{
    loop_start();
    assert_string_equal(link_number(0), "1");
    publish_many(0, 100);
    until(loop.answered == 100);
    expect_fates(0, 100, BUS_OK);
    assert_int_equal(log_length(LOBBY_LANE), 100);
    assert_true(bus_seen(loop.bus, LOBBY_LANE) == loop.fates[99].id);
}

static void test_lanes_that_are_closed_come_up_once_they_are_opened(void **state)
{
    long called = functions_called();

    for (unsigned lane = 0; lane < LANES; lane++)
        freeReplyObject(command("DEL hubbub:{%u}:open", lane));
    bus_start(loop.bus);
    until(functions_called() >= called + 2 * (long)LANES); /* it has tried them all twice */
    assert_false(bus_lane_is_up(loop.bus, 0));
    assert_false(publish("lobby", 0));
    for (unsigned lane = 0; lane < LANES; lane++)
        expect("OK", fcall("open", lane, FLOOR " " KEY_VERSION));
    until(bus_is_up(loop.bus));
    assert_int_equal(proxy_connections(loop.proxies[0]), 2); /* on the same link */
    assert_int_equal(loop.reincarnated, 0);
}

static void test_a_new_connection_takes_the_next_link_number(void **state)
{
    loop_start();
    for (unsigned i = 2; i < 5; i++) {
        char number[8];

        snprintf(number, sizeof number, "%u", i);
        proxy_cut(loop.proxies[0]);
        until(loop.downs[7] == i - 1);
        until(bus_is_up(loop.bus));
        assert_string_equal(link_number(0), number);
        assert_string_equal(link_number(7), number);
    }
    assert_int_equal(loop.reincarnated, 0);
}

static void test_what_was_in_flight_is_settled_by_the_next_link(void **state)
{
    loop_start();
    proxy_hold(loop.proxies[0], COMMANDS, FROM_REDIS, true);
    publish_many(0, 50); /* these arrive, unanswered */
    until(log_length(LOBBY_LANE) == 50);
    proxy_hold(loop.proxies[0], COMMANDS, TO_REDIS, true);
    publish_many(50, 30); /* these do not */
    for (int i = 0; i < 20; i++)
        loop_once();
    assert_int_equal(loop.answered, 0);
    proxy_cut(loop.proxies[0]);
    until(loop.downs[LOBBY_LANE] == 1);
    assert_int_equal(loop.answered, 0); /* nobody knows yet */
    assert_false(publish("lobby", 100));
    proxy_hold(loop.proxies[0], COMMANDS, FROM_REDIS, false);
    proxy_hold(loop.proxies[0], COMMANDS, TO_REDIS, false);
    until(bus_is_up(loop.bus));
    assert_int_equal(loop.answered, 80);
    expect_fates(0, 50, BUS_OK);
    expect_fates(50, 30, BUS_UNAVAILABLE);
    assert_int_equal(log_length(LOBBY_LANE), 50);
}

static void test_commands_of_an_abandoned_link_change_nothing(void **state)
{
    long called;

    loop_start();
    proxy_hold(loop.proxies[0], COMMANDS, TO_REDIS, true);
    publish_many(0, 10);
    for (int i = 0; i < 20; i++)
        loop_once();
    proxy_abandon(loop.proxies[0]);
    proxy_hold(loop.proxies[0], COMMANDS, TO_REDIS, false);
    until(loop.downs[LOBBY_LANE] == 1);
    until(bus_is_up(loop.bus));
    expect_fates(0, 10, BUS_UNAVAILABLE);
    called = functions_called();
    proxy_haunt(loop.proxies[0]); /* now the old commands reach Redis */
    publish_many(10, 5);
    until(loop.answered == 15 && functions_called() >= called + 15);
    expect_fates(10, 5, BUS_OK);
    assert_int_equal(log_length(LOBBY_LANE), 5);
}

static void test_the_oldest_of_a_full_lane_are_settled_too(void **state)
{
    loop_start();
    proxy_hold(loop.proxies[0], COMMANDS, FROM_REDIS, true);
    publish_many(0, PUBLISHES_MAX);
    assert_true(bus_lane_is_full(loop.bus, LOBBY_LANE));
    until(log_length(LOBBY_LANE) == PUBLISHES_MAX);
    proxy_cut(loop.proxies[0]);
    proxy_hold(loop.proxies[0], COMMANDS, FROM_REDIS, false);
    until(loop.downs[LOBBY_LANE] == 1);
    until(bus_is_up(loop.bus));
    assert_int_equal(loop.answered, PUBLISHES_MAX);
    expect_fates(0, PUBLISHES_MAX, BUS_OK);
    assert_int_equal(loop.roomy, 1);
    publish_many(PUBLISHES_MAX, 10);
    until(loop.answered == PUBLISHES_MAX + 10);
    expect_fates(PUBLISHES_MAX, 10, BUS_OK);
}

static void test_a_reaped_gateway_takes_a_new_incarnation(void **state)
{
    char old[INCARNATION_MAX_BYTES];

    loop_start();
    strcpy(old, bus_incarnation(loop.bus));
    for (unsigned lane = 0; lane < LANES; lane++)
        freeReplyObject(command("HDEL hubbub:{%u}:links %s", lane, old));
    publish_many(0, 3);
    until(loop.answered == 3);
    expect_fates(0, 3, BUS_UNAVAILABLE);
    until(loop.reincarnated == 1);
    until(bus_is_up(loop.bus));
    assert_string_not_equal(bus_incarnation(loop.bus), old);
    assert_int_equal(log_length(LOBBY_LANE), 0);
    publish_many(3, 3);
    until(loop.answered == 6);
    expect_fates(3, 3, BUS_OK);
    assert_string_equal(link_number(0), "1");
}

static void test_what_arrived_before_the_reaping_is_known_to_have_arrived(void **state)
{
    loop_start();
    proxy_hold(loop.proxies[0], COMMANDS, FROM_REDIS, true);
    publish_many(0, 20);
    until(log_length(LOBBY_LANE) == 20);
    for (unsigned lane = 0; lane < LANES; lane++)
        freeReplyObject(command("HDEL hubbub:{%u}:links %s", lane, bus_incarnation(loop.bus)));
    proxy_cut(loop.proxies[0]);
    proxy_hold(loop.proxies[0], COMMANDS, FROM_REDIS, false);
    until(loop.reincarnated == 1);
    until(bus_is_up(loop.bus));
    expect_fates(0, 20, BUS_OK);
}

static void test_a_wiped_redis_closes_the_lanes_until_it_is_opened(void **state)
{
    loop_start();
    expect("OK", command("FLUSHALL"));
    publish_many(0, 3);
    until(loop.downs[0] == 1);
    for (unsigned lane = 0; lane < LANES; lane++)
        expect("OK", fcall("open", lane, "2000-0 " KEY_VERSION));
    until(bus_is_up(loop.bus));
    assert_int_equal(loop.answered, 3);
    expect_fates(0, 3, BUS_UNAVAILABLE);
    assert_true(loop.reincarnated >= 1);
    assert_true(bus_floor(loop.bus, 0) == id_make(2000, 0, 0));
    publish_many(3, 1);
    until(loop.answered == 4);
    expect_fates(3, 1, BUS_OK);
}

static void test_a_redis_that_became_a_replica_drops_the_link_until_it_writes_again(void **state)
{
    loop_start();
    expect("OK", command("REPLICAOF 127.0.0.1 1"));
    publish_many(0, 3);
    until(loop.downs[0] == 1);
    expect("OK", command("REPLICAOF NO ONE"));
    until(bus_is_up(loop.bus));
    assert_int_equal(loop.answered, 3);
    expect_fates(0, 3, BUS_UNAVAILABLE);
    assert_int_equal(log_length(LOBBY_LANE), 0);
    assert_int_equal(loop.reincarnated, 0);
}

static void test_a_frozen_redis_takes_the_lanes_down_and_never_the_loop(void **state)
{
    uint64_t last = now_ms(), longest = 0;

    loop_start();
    for (int way = 0; way < WAYS; way++)
        for (int line = 0; line < LINES; line++)
            proxy_hold(loop.proxies[0], line, way, true);
    publish_many(0, 3);
    for (uint64_t late = now_ms() + 12000; !loop.downs[0]; last = now_ms()) {
        assert_true(now_ms() < late);
        loop_once();
        longest = now_ms() - last > longest && loop.beats ? now_ms() - last : longest;
    }
    assert_true(longest < 500);
    assert_int_equal(loop.answered, 0);
    for (int way = 0; way < WAYS; way++)
        for (int line = 0; line < LINES; line++)
            proxy_hold(loop.proxies[0], line, way, false);
    until(bus_is_up(loop.bus));
    assert_int_equal(loop.answered, 3);
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(loop.fates[i].answers, 1);
}

static void test_a_subscription_that_is_never_answered_drops_the_link(void **state)
{
    proxy_hold(loop.proxies[0], MESSAGES, FROM_REDIS, true);
    bus_start(loop.bus);
    until(proxy_connections(loop.proxies[0]) >= 4); /* it tried again */
    assert_false(bus_lane_is_up(loop.bus, 0));
    proxy_hold(loop.proxies[0], MESSAGES, FROM_REDIS, false);
    until(bus_is_up(loop.bus));
}

static void test_a_full_redis_refuses_and_keeps_the_link(void **state)
{
    loop_start();
    expect("OK", command("CONFIG SET maxmemory 1"));
    publish_many(0, 3);
    until(loop.answered == 3);
    expect("OK", command("CONFIG SET maxmemory 0"));
    expect_fates(0, 3, BUS_UNAVAILABLE);
    assert_true(bus_is_up(loop.bus));
    publish_many(3, 1);
    until(loop.answered == 4);
    expect_fates(3, 1, BUS_OK);
    assert_int_equal(proxy_connections(loop.proxies[0]), 2);
}

static void test_subscriptions_are_confirmed_and_come_back_with_the_link(void **state)
{
    loop_start();
    bus_subscribe(loop.bus, LOBBY_LANE, "hubbub:{6}:room:lobby");
    assert_false(bus_is_subscribed(loop.bus, "hubbub:{6}:room:lobby"));
    until(bus_is_subscribed(loop.bus, "hubbub:{6}:room:lobby"));
    assert_string_equal(loop.subscribed, "hubbub:{6}:room:lobby");
    freeReplyObject(command("PUBLISH hubbub:{6}:room:lobby one"));
    until(strcmp(loop.message, "hubbub:{6}:room:lobby one") == 0);
    proxy_cut(loop.proxies[0]);
    until(loop.downs[0] == 1);
    assert_false(bus_is_subscribed(loop.bus, "hubbub:{6}:room:lobby"));
    until(bus_is_subscribed(loop.bus, "hubbub:{6}:room:lobby"));
    freeReplyObject(command("PUBLISH hubbub:{6}:room:lobby two"));
    until(strcmp(loop.message, "hubbub:{6}:room:lobby two") == 0);
    bus_unsubscribe(loop.bus, "hubbub:{6}:room:lobby");
    until(strcmp(text_of(command("PUBSUB NUMSUB hubbub:{6}:room:lobby")), "hubbub:{6}:room:lobby 0") == 0);
}

static void test_of_two_servers_one_goes_down_alone(void **state)
{
    loop_start();
    proxy_cut(loop.proxies[1]);
    until(loop.downs[7] == 1);
    for (unsigned lane = 0; lane < LANES; lane++) {
        assert_int_equal(loop.downs[lane], lane % 2);
        assert_int_equal(bus_lane_is_up(loop.bus, lane), lane % 2 == 0);
    }
    until(bus_is_up(loop.bus));
    assert_string_equal(link_number(0), "1");
    assert_string_equal(link_number(1), "2");
}

static void test_a_server_that_forgot_us_gives_both_a_new_incarnation_and_loses_no_fate(void **state)
{
    char old[INCARNATION_MAX_BYTES];

    loop_start();
    assert_int_equal(LOBBY_LANE % 2, 0);
    proxy_hold(loop.proxies[0], COMMANDS, FROM_REDIS, true);
    publish_many(0, 10); /* arrive at server 0, unanswered */
    until(log_length(LOBBY_LANE) == 10);
    strcpy(old, bus_incarnation(loop.bus));
    for (unsigned lane = 1; lane < LANES; lane += 2)
        freeReplyObject(command("HDEL hubbub:{%u}:links %s", lane, old));
    until(loop.reincarnated == 1); /* server 1 says so at its next beat */
    proxy_hold(loop.proxies[0], COMMANDS, FROM_REDIS, false);
    until(bus_is_up(loop.bus));
    assert_int_equal(loop.reincarnated, 1);
    expect_fates(0, 10, BUS_OK);
    for (unsigned lane = 0; lane < LANES; lane++)
        assert_string_equal(link_number(lane), "1");
    assert_string_not_equal(bus_incarnation(loop.bus), old);
}

#define one(f) cmocka_unit_test_setup_teardown(f, loop_one, loop_destroy)
#define two(f) cmocka_unit_test_setup_teardown(f, loop_two, loop_destroy)

int main(void)
{
    const struct CMUnitTest tests[] = {
        one(test_lanes_come_up_and_publishes_get_ids_in_order),
        one(test_lanes_that_are_closed_come_up_once_they_are_opened),
        one(test_a_new_connection_takes_the_next_link_number),
        one(test_what_was_in_flight_is_settled_by_the_next_link),
        one(test_commands_of_an_abandoned_link_change_nothing),
        one(test_the_oldest_of_a_full_lane_are_settled_too),
        one(test_a_reaped_gateway_takes_a_new_incarnation),
        one(test_what_arrived_before_the_reaping_is_known_to_have_arrived),
        one(test_a_wiped_redis_closes_the_lanes_until_it_is_opened),
        one(test_a_redis_that_became_a_replica_drops_the_link_until_it_writes_again),
        one(test_a_frozen_redis_takes_the_lanes_down_and_never_the_loop),
        one(test_a_subscription_that_is_never_answered_drops_the_link),
        one(test_a_full_redis_refuses_and_keeps_the_link),
        one(test_subscriptions_are_confirmed_and_come_back_with_the_link),
        two(test_of_two_servers_one_goes_down_alone),
        two(test_a_server_that_forgot_us_gives_both_a_new_incarnation_and_loses_no_fate),
    };

    return run_functions_tests(tests);
}
