/* Servers and stores that die, freeze, and come back. */

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "harness.h"
#include "name.h"

static void publish_numbers(int first, int n)
{
    char text[32];

    for (int i = first; i < first + n; i++) {
        snprintf(text, sizeof text, "%d", i);
        publish("Alice", text);
    }
}

/* All numbers up to n, each once, in their order, and nothing else. */
static void await_numbers(int n)
{
    await_sql(30, "select count(*) = %d from history", n);
    assert_string_equal(
        sql("select count(*) from (select text::int t, row_number() over (order by id) - 1 n from"
            " history) x where t <> n"),
        "0");
    assert_string_equal(sql("select count(*) from audit"), "0");
}

/* Which store has a lane cannot be seen from outside; the one that logs that it stands by has not. */
static int await_loser(void)
{
    for (int64_t until = clock_now() + 20000; clock_now() < until; pause_briefly())
        for (int n = 0; n < STORES; n++)
            if (store_logged(n, "event=standby lane=6"))
                return n;
    give_up("no store stands by");
}

/* Two stores, one of which is known to have lane 6. */
static int start_two(void)
{
    store_start(0);
    store_start(1);
    publish_numbers(0, 1);
    return 1 - await_loser();
}

static void test_of_two_stores_one_stands_by_and_nothing_doubles(void **state)
{
    start_two();
    publish_numbers(1, 999);
    await_numbers(1000);
}

static void test_a_store_takes_over_from_one_that_was_killed(void **state)
{
    int active = start_two();

    store_signal(active, SIGKILL);
    publish_numbers(1, 500);
    await_numbers(501);
    assert_true(store_logged(1 - active, "event=takeover lane=6"));
}

static void test_a_store_takes_over_from_one_that_froze_and_the_thawed_one_doubles_nothing(void **state)
{
    int active = start_two();

    store_signal(active, SIGSTOP);
    publish_numbers(1, 500);
    await_numbers(501);
    store_signal(active, SIGCONT);
    publish_numbers(501, 500);
    await_numbers(1001);
}

static void test_a_store_killed_under_load_loses_and_doubles_nothing(void **state)
{
    store_start(0);
    for (int i = 0; i < 5; i++) {
        publish_numbers(i * 400, 400);
        store_signal(0, SIGKILL);
        store_start(0);
    }
    await_numbers(2000);
}

static void test_postgresql_killed_under_load_loses_and_doubles_nothing(void **state)
{
    store_start(0);
    for (int i = 0; i < 3; i++) {
        pid_t old = pid_from("TEST_POSTGRES_PIDFILE");

        publish_numbers(i * 600, 300);
        kill(old, SIGKILL);
        publish_numbers(i * 600 + 300, 300);
        for (int64_t until = clock_now() + 20000; pid_from("TEST_POSTGRES_PIDFILE") == old; pause_briefly())
            if (clock_now() > until)
                give_up("PostgreSQL does not come back");
        await_sql(20, "select count(*) = %d from history", (i + 1) * 600);
    }
    await_numbers(1800);
}

static void test_a_backend_that_ends_with_a_batch_under_way_loses_and_doubles_nothing(void **state)
{
    store_start(0);
    for (int i = 0; i < 20; i++) {
        publish_numbers(i * 50, 50);
        sql("select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'hubbub-store'");
    }
    await_numbers(1000);
}

/* Adds `n` chats to each lane, chained as publish chains them. */
static void fill_lanes(int n)
{
    static const char script[] =
        "local prev = redis.call('GET', KEYS[1] .. ':floor')\n"
        "local ms = tonumber(string.match(prev, '%d+')) + 1\n"
        "for i = 0, tonumber(ARGV[2]) - 1 do\n"
        "  local id = string.format('%.0f-%.0f', ms + math.floor(i / 10000), i % 10000)\n"
        "  redis.call('XADD', KEYS[1] .. ':log', id, 'c', 'r:' .. ARGV[1], 'p', prev, 'e',\n"
        "    string.format('{\"from\":\"Alice\",\"session\":\"t1-1\",\"room\":\"%s\",\"text\":\"%d\"}', "
        "ARGV[1], i))\n"
        "  prev = id\n"
        "end\n"
        "redis.call('SET', KEYS[1] .. ':top', prev)";
    bool filled[LANES] = {false};

    for (int number = 0, left = LANES; left > 0; number++) {
        char room[16];
        unsigned lane;

        snprintf(room, sizeof room, "room%d", number);
        lane = lane_of(room);
        if (filled[lane])
            continue;
        filled[lane] = true;
        left--;
        freeReplyObject(redis("EVAL %s 1 hubbub:{%u} %s %d", script, lane, room, n));
    }
}

static void test_a_backlog_is_stored_whole_though_backends_and_stores_end(void **state)
{
    enum { EACH = 6000, ALL = EACH * LANES };

    store_start(0);
    store_signal(0, SIGKILL);
    fill_lanes(EACH);
    store_launch(0);
    for (int seen = 5000; seen < ALL; seen += 5000) {
        await_sql(30, "select count(*) >= %d from messages", seen);
        if (seen % 15000 == 0) {
            store_signal(0, SIGKILL);
            store_launch(0);
        } else {
            sql("select pg_terminate_backend(pid) from pg_stat_activity where application_name = "
                "'hubbub-store'");
        }
    }
    await_sql(30, "select count(*) >= %d from messages", ALL);
    assert_string_equal(sql("select count(*) || ' ' || count(distinct (room, text)) from history"),
                        "48000 48000");
    assert_string_equal(sql("select count(*) from audit"), "0");
}

static void test_a_frozen_postgresql_is_left_and_found_again(void **state)
{
    pid_t backend;

    store_start(0);
    publish_numbers(0, 1);
    await_numbers(1);
    backend = (pid_t)atoi(sql("select pid from pg_stat_activity where application_name = 'hubbub-store'"));
    kill(backend, SIGSTOP);
    publish_numbers(1, 100);
    await_sql(30, "select count(*) = 101 from history");
    kill(backend, SIGCONT);
    publish_numbers(101, 100);
    await_numbers(201);
}

static void test_a_store_ends_promptly_while_postgresql_is_frozen(void **state)
{
    pid_t backend;
    int64_t asked;

    store_start(0);
    backend = (pid_t)atoi(sql("select pid from pg_stat_activity where application_name = 'hubbub-store'"));
    kill(backend, SIGSTOP);
    publish_numbers(0, 1);
    asked = clock_now();
    store_signal(0, SIGTERM);
    assert_int_equal(store_wait(0), 0);
    kill(backend, SIGCONT);
    assert_true(clock_now() - asked < 3000);
}

static void test_redis_killed_is_found_again(void **state)
{
    pid_t old = pid_from("TEST_REDIS_PIDFILE");

    store_start(0);
    publish_numbers(0, 300);
    kill(old, SIGKILL);
    redis_reconnect();
    publish_numbers(300, 300);
    await_numbers(600);
}

static void test_a_frozen_redis_is_left_and_found_again(void **state)
{
    pid_t redis_pid = pid_from("TEST_REDIS_PIDFILE");

    store_start(0);
    publish_numbers(0, 1);
    await_numbers(1);
    kill(redis_pid, SIGSTOP);
    await_log(0, "event=redis_lost");
    kill(redis_pid, SIGCONT);
    publish_numbers(1, 100);
    await_numbers(101);
}

static void test_a_store_ends_promptly_while_redis_is_frozen(void **state)
{
    pid_t redis_pid = pid_from("TEST_REDIS_PIDFILE");
    int64_t asked;

    store_start(0);
    kill(redis_pid, SIGSTOP);
    asked = clock_now();
    store_signal(0, SIGTERM);
    assert_int_equal(store_wait(0), 0);
    kill(redis_pid, SIGCONT);
    assert_true(clock_now() - asked < 3000);
}

static void test_a_store_that_froze_while_opening_does_not_hold_the_others_up(void **state)
{
    store_launch(0);
    store_signal(0, SIGSTOP);
    store_start(1);
    publish_numbers(0, 10);
    store_signal(0, SIGCONT);
    await_log(0, "event=ready");
    publish_numbers(10, 10);
    await_numbers(20);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        STORE_TEST(test_of_two_stores_one_stands_by_and_nothing_doubles),
        STORE_TEST(test_a_store_takes_over_from_one_that_was_killed),
        STORE_TEST(test_a_store_takes_over_from_one_that_froze_and_the_thawed_one_doubles_nothing),
        STORE_TEST(test_a_store_killed_under_load_loses_and_doubles_nothing),
        STORE_TEST(test_postgresql_killed_under_load_loses_and_doubles_nothing),
        STORE_TEST(test_a_backend_that_ends_with_a_batch_under_way_loses_and_doubles_nothing),
        STORE_TEST(test_a_backlog_is_stored_whole_though_backends_and_stores_end),
        STORE_TEST(test_a_frozen_postgresql_is_left_and_found_again),
        STORE_TEST(test_a_store_ends_promptly_while_postgresql_is_frozen),
        STORE_TEST(test_redis_killed_is_found_again),
        STORE_TEST(test_a_frozen_redis_is_left_and_found_again),
        STORE_TEST(test_a_store_ends_promptly_while_redis_is_frozen),
        STORE_TEST(test_a_store_that_froze_while_opening_does_not_hold_the_others_up),
    };

    harness_arguments(argc, argv);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
