/* What the session records of lane 0 become. */

#include <signal.h>
#include <stdio.h>

#include "harness.h"

static void opened(const char *id, const char *session, const char *name)
{
    char body[512];

    snprintf(body, sizeof body,
             "{\"open\":{\"session\":\"%s\",\"name\":\"%s\",\"gateway\":\"g1\",\"dialect\":\"line\","
             "\"address\":\"192.0.2.7\"}}",
             session, name);
    add(0, id, "-", "-", body);
}

static void closed(const char *id, const char *session)
{
    char body[128];

    snprintf(body, sizeof body, "{\"close\":\"%s\"}", session);
    add(0, id, "-", "-", body);
}

/* Ends the store and starts another one, which reads everything again and then a chat more. */
static void read_again(void)
{
    store_signal(0, SIGKILL);
    store_start(0);
    publish("Marker", "marker");
    opened("1700000009999-0", "marker", "Marker");
    await_sql(5, "select exists (select 1 from sessions where session = 'marker')");
}

static void test_an_opening_becomes_a_row_of_online(void **state)
{
    store_start(0);
    opened("1700000000000-0", "g1-1", "Alice");
    await_sql(5,
              "select count(*) = 1 from online where name = 'Alice' and gateway = 'g1' and dialect = 'line'"
              " and address = '192.0.2.7' and since = '2023-11-14 22:13:20+00' and session = 'g1-1'");
}

static void test_an_address_that_is_none_is_left_out(void **state)
{
    store_start(0);
    add(0, "*", "-", "-",
        "{\"open\":{\"session\":\"g1-1\",\"name\":\"Alice\",\"gateway\":\"g1\",\"dialect\":\"line\","
        "\"address\":\"\"}}");
    add(0, "*", "-", "-",
        "{\"open\":{\"session\":\"g1-2\",\"name\":\"Bob\",\"gateway\":\"g1\",\"dialect\":\"line\","
        "\"address\":\"somewhere\"}}");
    await_sql(5, "select count(*) = 2 from online where address is null");
}

static void test_a_closing_gives_the_session_its_end(void **state)
{
    store_start(0);
    opened("1700000000000-0", "g1-1", "Alice");
    closed("1700000005000-0", "g1-1");
    await_sql(5, "select count(*) = 1 from sessions where disconnected_at = '2023-11-14 22:13:25+00'");
    assert_string_equal(sql("select count(*) from online"), "0");
}

static void test_a_second_opening_means_the_session_lives_on(void **state)
{
    store_start(0);
    opened("1700000000000-0", "g1-1", "Alice");
    closed("1700000005000-0", "g1-1");
    await_sql(5, "select count(*) = 1 from sessions where disconnected_at is not null");
    opened("1700000006000-0", "g1-1", "Alice");
    await_sql(5, "select count(*) = 1 from online where since = '2023-11-14 22:13:20+00'");
}

static void test_openings_and_closings_in_one_batch_come_out_the_same(void **state)
{
    store_start(0);
    store_signal(0, SIGSTOP);
    opened("1700000000000-0", "back", "Alice");
    closed("1700000001000-0", "back");
    opened("1700000002000-0", "back", "Alice");
    opened("1700000003000-0", "gone", "Bob");
    opened("1700000004000-0", "gone", "Bob");
    closed("1700000005000-0", "gone");
    closed("1700000006000-0", "stranger");
    store_signal(0, SIGCONT);
    await_sql(5, "select count(*) = 2 from sessions");
    assert_string_equal(sql("select string_agg(session, ' ') from online"), "back");
    assert_string_equal(
        sql("select disconnected_at = '2023-11-14 22:13:25+00' from sessions where session = 'gone'"), "t");
}

static void test_reading_records_again_changes_nothing(void **state)
{
    store_start(0);
    opened("1700000000000-0", "back", "Alice");
    closed("1700000001000-0", "back");
    opened("1700000002000-0", "back", "Alice");
    opened("1700000003000-0", "gone", "Bob");
    closed("1700000005000-0", "gone");
    await_sql(5, "select count(*) = 1 from sessions where session = 'gone' and disconnected_at is not null");
    sql("create table before as select * from sessions");
    read_again();
    const char *differences =
        sql("select count(*) from (select * from sessions where session <> 'marker' except"
            " select * from before) x");
    assert_string_equal(differences, "0");
    sql("drop table before");
}

static void test_the_newest_log_in_says_how_a_name_is_shown(void **state)
{
    store_start(0);
    add(3, "*", "u:bob", "0-0",
        "{\"from\":\"Alice\",\"session\":\"t1-1\",\"to\":\"bob\",\"for\":\"t1-2\",\"by\":\"t1-1\",\"text\":"
        "\"psst\"}");
    await_sql(5, "select count(*) = 1 from directs where recipient = 'bob'");
    opened("1700000000000-0", "g1-1", "Bob");
    await_sql(5, "select count(*) = 1 from directs where recipient = 'Bob'");
}

static void test_an_opened_lane_0_closes_the_sessions_before_it(void **state)
{
    store_start(0);
    opened("1700000000000-0", "g1-1", "Alice");
    await_sql(5, "select count(*) = 1 from online");
    freeReplyObject(redis("FLUSHALL"));
    await_sql(5, "select count(*) = 0 from online");
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        STORE_TEST(test_an_opening_becomes_a_row_of_online),
        STORE_TEST(test_an_address_that_is_none_is_left_out),
        STORE_TEST(test_a_closing_gives_the_session_its_end),
        STORE_TEST(test_a_second_opening_means_the_session_lives_on),
        STORE_TEST(test_openings_and_closings_in_one_batch_come_out_the_same),
        STORE_TEST(test_reading_records_again_changes_nothing),
        STORE_TEST(test_the_newest_log_in_says_how_a_name_is_shown),
        STORE_TEST(test_an_opened_lane_0_closes_the_sessions_before_it),
    };

    harness_arguments(argc, argv);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
