/* The port on which gateways ask: its lines, its limits, and what is answered when something is away. */

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include <libpq-fe.h>

#include "asker.h"

#define EVENTS "\"ask\":\"events\",\"chain\":\"r:lobby\",\"after\":\"0\",\"until\":\"9\",\"limit\":1"
#define LOG_IN \
    "\"ask\":\"log-in\",\"name\":\"alice\",\"password\":\"correct horse\",\"address\":\"192.0.2.1\""

#define READ "\"ask\":\"read\",\"name\":\"bob\",\"account\":\"8\",\"until\":\"%s\""
#define NEVER "9223372036854775807"

static struct asker asker, other, third;

static bool has(const char *line, const char *part)
{
    return strstr(line, part) != NULL;
}

static void expect(const char *line, const char *part)
{
    if (!has(line, part)) {
        fprintf(stderr, "not in %s: %s\n", line, part);
        give_up("another answer");
    }
}

/* Stops or continues every PostgreSQL process that serves a store. */
static void signal_backends(int number)
{
    char pids[1024], *at = pids;

    snprintf(pids, sizeof pids, "%s",
             sql("select coalesce(string_agg(pid::text, ' '), '') from pg_stat_activity"
                 " where application_name = 'hubbub-store'"));
    while (*at)
        kill((pid_t)strtol(at, &at, 10), number);
}

static void test_who_knows_the_secret_is_answered(void **state)
{
    setenv("HUBBUB_STORE_SECRET", "open sesame", 1);
    asker_start_store(0);
    unsetenv("HUBBUB_STORE_SECRET");
    asker_connect(&asker, 0);
    assert_string_equal(asker_ask(&asker, "{\"hello\":\"g1\",\"secret\":\"open sesame\"}"),
                        "{\"hello\":\"store\"}");
    expect(asker_ask(&asker, "{\"id\":1," EVENTS "}"), "\"ok\":true");
    asker_close(&asker);
}

static void test_who_does_not_is_closed(void **state)
{
    static const char *const hellos[] = {"{\"hello\":\"g1\",\"secret\":\"open sesam\"}", "{\"hello\":\"g1\"}",
                                         "{\"hello\":\"g1\",\"secret\":7}"};

    setenv("HUBBUB_STORE_SECRET", "open sesame", 1);
    asker_start_store(0);
    unsetenv("HUBBUB_STORE_SECRET");
    for (size_t i = 0; i < sizeof hellos / sizeof hellos[0]; i++) {
        asker_connect(&asker, 0);
        assert_string_equal(asker_ask(&asker, "%s", hellos[i]), "{\"error\":\"bad-secret\"}");
        asker_await_end(&asker);
    }
    assert_true(store_logged(0, "gateway=g1 reason=bad-secret"));
    asker_connect(&asker, 0);
    asker_ask(&asker, "{\"hello\":\"\\u001b[2Jx reason=none 1234567890123456789\"}");
    asker_await_end(&asker);
    assert_true(store_logged(0, "gateway=\"\\x1b[2Jx reason=none 12345678901234\" reason=bad-secret"));
    assert_false(store_logged(0, "sesam"));
}

static void test_who_says_no_hello_is_closed(void **state)
{
    int64_t began;

    asker_start_store(0);
    began = clock_now();
    asker_connect(&asker, 0);
    asker_await_end(&asker);
    assert_in_range(clock_now() - began, 4000, 7000);
}

static void test_a_request_before_the_hello_is_refused(void **state)
{
    asker_start_store(0);
    asker_connect(&asker, 0);
    assert_string_equal(asker_ask(&asker, "{\"id\":1," EVENTS "}"), "{\"error\":\"bad-request\"}");
    asker_await_end(&asker);
}

static void test_what_is_no_json_closes(void **state)
{
    static const char *const garbage[] = {"hello?", "", "{\"id\":1", "\x01\x02\xff", "{\"id\":1}}"};

    asker_start_store(0);
    for (size_t i = 0; i < sizeof garbage / sizeof garbage[0]; i++) {
        asker_open(&asker, 0);
        assert_string_equal(asker_ask(&asker, "%s", garbage[i]), "{\"error\":\"bad-request\"}");
        asker_await_end(&asker);
    }
}

static void test_json_that_nests_without_end_closes(void **state)
{
    char deep[60000];

    asker_start_store(0);
    asker_open(&asker, 0);
    memset(deep, '[', sizeof deep - 1);
    deep[sizeof deep - 1] = '\0';
    assert_string_equal(asker_ask(&asker, "%s", deep), "{\"error\":\"bad-request\"}");
    asker_await_end(&asker);
}

static void test_a_line_above_64_kib_closes(void **state)
{
    static char text[70000];

    asker_start_store(0);
    memset(text, 'x', sizeof text - 1);
    asker_open(&asker, 0);
    asker_send(&asker, "{\"id\":1,\"ask\":\"%s\"}", text);
    asker_await_end(&asker);
    text[65000] = '\0';
    asker_open(&asker, 0);
    assert_string_equal(asker_ask(&asker, "{\"id\":1,\"ask\":\"%s\"}", text),
                        "{\"error\":\"bad-request\",\"id\":1}");
    asker_close(&asker);
}

static void test_what_cannot_be_understood_is_a_bad_request_and_the_connection_goes_on(void **state)
{
    static const char *const bad[] = {
        "{\"id\":3,\"ask\":\"tea\"}",
        "{\"id\":3}",
        "{\"id\":3,\"ask\":7}",
        "{\"id\":3,\"ask\":\"log-in\",\"name\":\"alice\",\"password\":\"correct horse\"}",
        "{\"id\":3,\"ask\":\"log-in\",\"name\":\"Alice\",\"password\":\"correct horse\",\"address\":\"::1\"}",
        "{\"id\":3,\"ask\":\"log-in\",\"name\":\"alice\",\"password\":\"short\",\"address\":\"::1\"}",
        "{\"id\":3,\"ask\":\"log-in\",\"name\":\"alice\",\"password\":12345678,\"address\":\"::1\"}",
        "{\"id\":3,\"ask\":\"register\",\"name\":\"alice\",\"password\":\"12345678\",\"address\":\"::1\"}",
    };

    asker_start_store(0);
    asker_open(&asker, 0);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_string_equal(asker_ask(&asker, "%s", bad[i]), "{\"error\":\"bad-request\",\"id\":3}");
    assert_string_equal(asker_ask(&asker, "{\"ask\":\"events\"}"), "{\"error\":\"bad-request\"}");
    assert_string_equal(asker_ask(&asker, "[1]"), "{\"error\":\"bad-request\"}");
    assert_string_equal(asker_ask(&asker, "{\"id\":\"1\"," EVENTS "}"), "{\"error\":\"bad-request\"}");
    expect(asker_ask(&asker, "{\"id\":4," EVENTS "}"), "\"ok\":true");
    asker_close(&asker);
}

static void test_a_33rd_request_under_way_closes_the_connection_and_no_other(void **state)
{
    asker_start_store(0);
    asker_open(&asker, 0);
    asker_open(&other, 0);
    expect(asker_ask(&asker, "{\"id\":1," EVENTS "}"), "\"ok\":true");
    signal_backends(SIGSTOP);
    for (int i = 1; i <= 32; i++)
        asker_send(&asker, "{\"id\":%d," LOG_IN "}", i);
    expect(asker_ask(&other, "{\"id\":1,\"ask\":\"tea\"}"), "bad-request");
    assert_false(store_logged(0, "too many requests"));
    asker_send(&asker, "{\"id\":33," LOG_IN "}");
    asker_await_end(&asker);
    expect(asker_ask(&other, "{\"id\":2,\"ask\":\"tea\"}"), "bad-request");
    signal_backends(SIGCONT);
    asker_close(&other);
}

static void test_a_frozen_postgresql_is_unavailable_within_5_s_and_then_answers_again(void **state)
{
    int64_t began;

    asker_start_store(0);
    asker_open(&asker, 0);
    asker_open(&other, 0);
    for (int i = 0; i < 8; i++)
        expect(asker_ask(&asker, "{\"id\":1," EVENTS "}"), "\"ok\":true");
    signal_backends(SIGSTOP);
    kill(pid_from("TEST_POSTGRES_PIDFILE"), SIGSTOP);
    began = clock_now();
    for (int i = 1; i <= 20; i++)
        asker_send(&asker, "{\"id\":%d," EVENTS "}", i);
    for (int i = 1; i <= 20; i++)
        expect(asker_line(&asker), "unavailable");
    assert_true(clock_now() - began < 5600);
    expect(asker_ask(&other, "{\"id\":2,\"ask\":\"tea\"}"), "bad-request");
    kill(pid_from("TEST_POSTGRES_PIDFILE"), SIGCONT);
    signal_backends(SIGCONT);
    began = clock_now();
    while (!has(asker_ask(&asker, "{\"id\":1," EVENTS "}"), "\"ok\":true")) {
        if (clock_now() - began > 15000)
            give_up("PostgreSQL is not found again");
        pause_briefly();
    }
    asker_close(&asker);
    asker_close(&other);
}

static void test_a_lost_connection_to_postgresql_is_not_seen_by_who_asks_next(void **state)
{
    asker_start_store(0);
    asker_open(&asker, 0);
    for (int i = 0; i < 8; i++)
        expect(asker_ask(&asker, "{\"id\":1," EVENTS "}"), "\"ok\":true");
    assert_string_equal(
        sql("select bool_and(pg_terminate_backend(pid, 10000)) from pg_stat_activity" /* and waits */
            " where application_name = 'hubbub-store'"),
        "t");
    for (int i = 0; i < 8; i++)
        expect(asker_ask(&asker, "{\"id\":1," EVENTS "}"), "\"ok\":true");
    asker_close(&asker);
}

/* Waits until the store has taken all that was sent; how often it has said `unavailable` until then. */
static int await_taken(struct asker *sent)
{
    int count = 0;

    for (const char *line = asker_ask(sent, "{\"id\":99,\"ask\":\"tea\"}"); !has(line, "bad-request");
         line = asker_line(sent)) {
        expect(line, "unavailable");
        count++;
    }
    return count;
}

static void test_a_full_queue_is_unavailable_at_once(void **state)
{
    enum { ASKERS = 12 };
    static struct asker askers[ASKERS];
    int64_t began;
    int unavailable = 0;

    asker_start_store(0);
    asker_open(&asker, 0);
    expect(asker_ask(&asker, "{\"id\":1," LOG_IN "}"), "auth-failed"); /* one worker has a connection */
    signal_backends(SIGSTOP);
    kill(pid_from("TEST_POSTGRES_PIDFILE"), SIGSTOP);
    began = clock_now();
    for (int i = 0; i < ASKERS; i++) {
        asker_open(&askers[i], 0);
        for (int id = 1; id <= 32; id++)
            asker_send(&askers[i], "{\"id\":%d," LOG_IN "}", id);
        unavailable += await_taken(&askers[i]);
    }
    assert_in_range(unavailable, ASKERS * 32 - 64 - 2, ASKERS * 32 - 64); /* 64 wait, and 2 were begun */
    assert_true(clock_now() - began < 2500);
    expect(asker_ask(&asker, "{\"id\":2,\"ask\":\"tea\"}"), "bad-request");
    kill(pid_from("TEST_POSTGRES_PIDFILE"), SIGCONT);
    signal_backends(SIGCONT);
    for (int i = 0; i < ASKERS; i++)
        asker_close(&askers[i]);
    asker_close(&asker);
}

static void test_who_has_gone_leaves_his_places_in_the_queue(void **state)
{
    asker_start_store(0);
    asker_open(&asker, 0);
    asker_open(&other, 0);
    asker_open(&third, 0);
    expect(asker_ask(&asker, "{\"id\":1," LOG_IN "}"), "auth-failed"); /* one worker has a connection */
    signal_backends(SIGSTOP);
    kill(pid_from("TEST_POSTGRES_PIDFILE"), SIGSTOP);
    for (int id = 1; id <= 32; id++)
        asker_send(&asker, "{\"id\":%d," LOG_IN "}", id);
    assert_int_equal(await_taken(&asker), 0);
    for (int id = 1; id <= 32; id++)
        asker_send(&third, "{\"id\":%d," LOG_IN "}", id);
    assert_int_equal(await_taken(&third), 0);
    asker_close(&third);
    await_log(0, "event=gateway_gone");
    for (int id = 1; id <= 32; id++)
        asker_send(&other, "{\"id\":%d," LOG_IN "}", id);
    assert_int_equal(await_taken(&other), 0); /* 62 wait, not 94 */
    kill(pid_from("TEST_POSTGRES_PIDFILE"), SIGCONT);
    signal_backends(SIGCONT);
    asker_close(&asker);
    asker_close(&other);
}

static void test_of_those_who_say_no_hello_the_oldest_go_and_gateways_are_let_in(void **state)
{
    enum { SILENT = 300 };
    static struct asker silent[SILENT];
    char end;

    asker_start_store(0);
    asker_open(&asker, 0);
    for (int i = 0; i < SILENT; i++)
        asker_connect(&silent[i], 0);
    asker_open(&other, 0);
    expect(asker_ask(&asker, "{\"id\":1," EVENTS "}"), "\"ok\":true");
    expect(asker_ask(&other, "{\"id\":1," EVENTS "}"), "\"ok\":true");
    for (int i = 0; i < SILENT - 32; i++)
        asker_await_end(&silent[i]);
    assert_int_equal(recv(silent[SILENT - 1].fd, &end, 1, MSG_DONTWAIT), -1); /* is still there */
    for (int i = SILENT - 32; i < SILENT; i++)
        asker_close(&silent[i]);
    asker_close(&asker);
    asker_close(&other);
}

static void test_a_gateway_that_says_hello_at_once_is_heard_among_many_who_say_nothing(void **state)
{
    enum { SILENT = 100 };
    static struct asker silent[SILENT];

    asker_start_store(0);
    store_signal(0, SIGSTOP); /* so that all of them come at once */
    asker_connect(&asker, 0);
    asker_send(&asker, "{\"hello\":\"g1\"}");
    for (int i = 0; i < SILENT; i++)
        asker_connect(&silent[i], 0);
    store_signal(0, SIGCONT);
    assert_string_equal(asker_line(&asker), "{\"hello\":\"store\"}");
    for (int i = 0; i < SILENT; i++)
        asker_close(&silent[i]);
    asker_close(&asker);
}

static void test_of_256_gateways_the_next_is_unavailable(void **state)
{
    enum { GATEWAYS = 256 };
    static struct asker gateways[GATEWAYS];

    asker_start_store(0);
    for (int i = 0; i < GATEWAYS; i++)
        asker_open(&gateways[i], 0);
    asker_connect(&other, 0);
    assert_string_equal(asker_ask(&other, "{\"hello\":\"g2\"}"), "{\"error\":\"unavailable\"}");
    asker_await_end(&other);
    for (int i = 0; i < GATEWAYS; i++)
        asker_close(&gateways[i]);
}

/* Asks for reads that are never due; when this returns, all of them were tried and wait. */
static void wait_for_nothing(struct asker *waiting, int count)
{
    for (int i = 1; i <= count; i++)
        asker_send(waiting, "{\"id\":%d," READ "}", i, NEVER);
    assert_int_equal(await_taken(waiting), 0);
    for (int i = 0; i < 8; i++)
        expect(asker_ask(&other, "{\"id\":1," EVENTS "}"), "\"ok\":true");
}

static void test_reads_that_wait_hold_up_no_page_and_are_unavailable_after_4_s(void **state)
{
    int64_t began, asked;

    asker_start_store(0);
    asker_open(&asker, 0);
    asker_open(&third, 0);
    asker_open(&other, 0);
    began = clock_now();
    for (int i = 1; i <= 20; i++) {
        asker_send(&asker, "{\"id\":%d," READ "}", i, NEVER);
        asker_send(&third, "{\"id\":%d," READ "}", i, NEVER);
    }
    while (clock_now() - began < 2000) {
        asked = clock_now();
        expect(asker_ask(&other, "{\"id\":1," EVENTS "}"), "\"ok\":true");
        assert_true(clock_now() - asked < 1000);
    }
    assert_true(asker_is_silent(&asker) && asker_is_silent(&third));
    for (int i = 1; i <= 20; i++) {
        expect(asker_line(&asker), "unavailable");
        assert_in_range(clock_now() - began, 3500, 4900);
        expect(asker_line(&third), "unavailable");
    }
    asker_close(&asker);
    asker_close(&third);
    asker_close(&other);
}

static void test_a_read_that_waits_is_answered_when_it_is_stored(void **state)
{
    char until[32];
    int64_t stored;

    asker_start_store(0);
    asker_open(&asker, 0);
    asker_open(&other, 0);
    snprintf(until, sizeof until, "%s", sql("select max(position) + 5 from cursors"));
    asker_send(&asker, "{\"id\":1," READ "}", until);
    wait_for_nothing(&asker, 3); /* so that the first was tried, too */
    sql("update cursors set position = %s", until);
    stored = clock_now();
    assert_string_equal(asker_line(&asker), "{\"ok\":true,\"unread\":0,\"id\":1}");
    assert_true(clock_now() - stored < 2000);
    asker_close(&asker);
    asker_close(&other);
}

static void test_of_reads_that_wait_the_65th_is_unavailable_at_once(void **state)
{
    int64_t began;

    asker_start_store(0);
    asker_open(&asker, 0);
    asker_open(&third, 0);
    asker_open(&other, 0);
    began = clock_now();
    wait_for_nothing(&asker, 32);
    wait_for_nothing(&third, 32);
    for (int i = 2; i <= 10; i++)
        expect(asker_ask(&other, "{\"id\":2," READ "}", NEVER), "unavailable");
    assert_true(clock_now() - began < 3500);
    assert_true(asker_is_silent(&asker) && asker_is_silent(&third));
    for (int i = 1; i <= 32; i++) {
        expect(asker_line(&asker), "unavailable");
        expect(asker_line(&third), "unavailable");
    }
    assert_true(clock_now() - began > 3500);
    asker_send(&other, "{\"id\":3," READ "}", NEVER); /* there is room again */
    expect(asker_ask(&other, "{\"id\":4," EVENTS "}"), "\"id\":4");
    asker_close(&asker);
    asker_close(&third);
    asker_close(&other);
}

static void test_the_store_ends_within_2_s_with_reads_that_wait(void **state)
{
    int64_t asked;

    asker_start_store(0);
    asker_open(&asker, 0);
    asker_open(&other, 0);
    wait_for_nothing(&asker, 32);
    asked = clock_now();
    store_signal(0, SIGTERM);
    assert_int_equal(store_wait(0), 0);
    assert_true(clock_now() - asked < 2000);
    asker_await_end(&asker);
    asker_close(&other);
}

static void test_the_store_ends_within_2_s_with_requests_under_way(void **state)
{
    int64_t asked;

    asker_start_store(0);
    asker_open(&asker, 0);
    for (int i = 0; i < 8; i++)
        expect(asker_ask(&asker, "{\"id\":1," EVENTS "}"), "\"ok\":true");
    expect(asker_ask(&asker, "{\"id\":1," LOG_IN "}"), "auth-failed");
    signal_backends(SIGSTOP);
    for (int i = 0; i < 16; i++) {
        asker_send(&asker, "{\"id\":%d," EVENTS "}", i);
        asker_send(&asker, "{\"id\":%d," LOG_IN "}", 100 + i);
    }
    asked = clock_now();
    store_signal(0, SIGTERM);
    assert_int_equal(store_wait(0), 0);
    assert_true(clock_now() - asked < 2000);
    asker_await_end(&asker);
    signal_backends(SIGCONT);
}

static void test_who_goes_with_a_request_under_way_takes_nobody_along(void **state)
{
    asker_start_store(0);
    asker_open(&asker, 0);
    asker_open(&other, 0);
    for (int i = 0; i < 200; i++)
        expect(asker_ask(&other, "{\"id\":%d,\"ask\":\"tea\"}", i), "bad-request");
    asker_close(&other);
    asker_send(&asker, "{\"id\":1," EVENTS "}"); /* and goes, with a request under way */
    asker_close(&asker);
    asker_open(&other, 0);
    expect(asker_ask(&other, "{\"id\":1," EVENTS "}"), "\"ok\":true");
    asker_close(&other);
}

static void test_a_port_that_is_taken_stops_the_start(void **state)
{
    asker_start_store(0);
    store_listen_as(1, 0);
    store_launch(1);
    assert_int_equal(store_wait(1), 1);
    assert_true(store_logged(1, "event=cannot_listen"));
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        STORE_TEST(test_who_knows_the_secret_is_answered),
        STORE_TEST(test_who_does_not_is_closed),
        STORE_TEST(test_who_says_no_hello_is_closed),
        STORE_TEST(test_a_request_before_the_hello_is_refused),
        STORE_TEST(test_what_is_no_json_closes),
        STORE_TEST(test_json_that_nests_without_end_closes),
        STORE_TEST(test_a_line_above_64_kib_closes),
        STORE_TEST(test_what_cannot_be_understood_is_a_bad_request_and_the_connection_goes_on),
        STORE_TEST(test_a_33rd_request_under_way_closes_the_connection_and_no_other),
        STORE_TEST(test_a_frozen_postgresql_is_unavailable_within_5_s_and_then_answers_again),
        STORE_TEST(test_a_lost_connection_to_postgresql_is_not_seen_by_who_asks_next),
        STORE_TEST(test_a_full_queue_is_unavailable_at_once),
        STORE_TEST(test_who_has_gone_leaves_his_places_in_the_queue),
        STORE_TEST(test_of_those_who_say_no_hello_the_oldest_go_and_gateways_are_let_in),
        STORE_TEST(test_a_gateway_that_says_hello_at_once_is_heard_among_many_who_say_nothing),
        STORE_TEST(test_of_256_gateways_the_next_is_unavailable),
        STORE_TEST(test_reads_that_wait_hold_up_no_page_and_are_unavailable_after_4_s),
        STORE_TEST(test_a_read_that_waits_is_answered_when_it_is_stored),
        STORE_TEST(test_of_reads_that_wait_the_65th_is_unavailable_at_once),
        STORE_TEST(test_the_store_ends_within_2_s_with_reads_that_wait),
        STORE_TEST(test_the_store_ends_within_2_s_with_requests_under_way),
        STORE_TEST(test_who_goes_with_a_request_under_way_takes_nobody_along),
        STORE_TEST(test_a_port_that_is_taken_stops_the_start),
    };

    harness_arguments(argc, argv);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
