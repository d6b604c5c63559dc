/* What comes out of the log, and what becomes of it. */

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "harness.h"

#define HI "{\"from\":\"Alice\",\"session\":\"t1-1\",\"room\":\"lobby\",\"text\":\"hi\"}"

static void test_a_single_chat_becomes_a_row(void **state)
{
    store_start(0);
    publish("Alice", "hello");
    await_sql(5,
              "select count(*) = 1 from history where room = 'lobby' and sender = 'Alice' and text = 'hello'"
              " and time > now() - interval '1 minute'");
}

static void test_a_backlog_becomes_rows_in_order(void **state)
{
    char text[32];

    store_start(0);
    store_signal(0, SIGSTOP);
    for (int i = 0; i < 7000; i++) {
        snprintf(text, sizeof text, "%d", i);
        publish("Alice", text);
    }
    store_signal(0, SIGCONT);
    await_sql(20, "select count(*) = 7000 from history");
    assert_string_equal(
        sql("select count(*) from (select text::int t, row_number() over (order by id) - 1 n from"
            " history) x where t <> n"),
        "0");
    assert_string_equal(sql("select count(*) from audit"), "0");
}

static void test_reading_again_doubles_nothing(void **state)
{
    store_start(0);
    for (int i = 0; i < 100; i++)
        publish("Alice", "again");
    await_sql(5, "select count(*) = 100 from history");
    store_signal(0, SIGKILL);
    store_start(0);
    publish("Alice", "last");
    await_sql(5, "select count(*) = 1 from history where text = 'last'");
    assert_string_equal(sql("select count(*) from history"), "101");
    assert_string_equal(sql("select count(*) from audit"), "0");
}

static void test_what_is_below_the_cursor_and_missing_is_stored_too(void **state)
{
    store_start(0);
    publish("Alice", "one");
    publish("Alice", "two");
    await_sql(5, "select count(*) = 2 from history");
    store_signal(0, SIGKILL);
    sql("delete from messages where text = 'one'");
    store_start(0);
    await_sql(5, "select count(*) = 2 from history");
}

static void test_a_direct_becomes_a_row_of_directs(void **state)
{
    store_start(0);
    add(3, "*", "u:bob", "0-0",
        "{\"from\":\"Alice\",\"session\":\"t1-1\",\"to\":\"BOB\",\"for\":\"t1-2\",\"by\":\"t1-1\",\"text\":"
        "\"psst\"}");
    await_sql(
        5, "select count(*) = 1 from directs where sender = 'Alice' and recipient = 'BOB' and text = 'psst'"
           " and not is_read");
    assert_string_equal(sql("select recipient_holder || ' ' || sender_holder from messages"), "t1-2 t1-1");
    assert_string_equal(sql("select count(*) from history"), "0");
}

static void test_one_user_is_one_row_however_he_writes_himself(void **state)
{
    store_start(0);
    publish("Alice", "a");
    publish("ALICE", "b");
    await_sql(5, "select count(*) = 2 from history");
    assert_string_equal(sql("select count(*) from users"), "1");
}

/* Each of these stands in the log before a good chat of the same lane. */
static void test_no_entry_stops_the_lane(void **state)
{
    static const char *const bodies[] = {
        "",
        "{",
        "[]",
        "null",
        "{\"from\":\"A\",\"session\":\"s\",\"room\":\"lobby\"}",
        "{\"from\":1,\"session\":\"s\",\"room\":\"lobby\",\"text\":\"x\"}",
        "{\"from\":\"A\",\"session\":\"s\",\"room\":\"lobby\",\"text\":\"a\\u0000b\"}",
        "{\"from\":\"A\\u0000\",\"session\":\"s\",\"room\":\"lobby\",\"text\":\"x\"}",
        "{\"from\":\"A\",\"session\":\"s\",\"room\":\"lobby\",\"text\":\"\xff\xfe\"}",
        "{\"from\":\"A\",\"session\":\"s\",\"room\":\"lobby\",\"text\":\"\\ud800\"}",
        "{\"from\":\"no name\",\"session\":\"s\",\"room\":\"lobby\",\"text\":\"x\"}",
        "{\"from\":\"A\",\"session\":\"s\",\"room\":\"dev\",\"text\":\"x\"}",
        "{\"from\":\"A\",\"session\":\"s\",\"to\":\"lobby\",\"text\":\"x\"}",
        "{\"from\":\"A\",\"session\":\"s\",\"room\":\"LOBBY\",\"text\":\"x\"}",
    };
    char *long_body = malloc(300001);
    size_t n = sizeof bodies / sizeof *bodies;

    memset(long_body, '[', 300000);
    long_body[300000] = '\0';
    store_start(0);
    for (size_t i = 0; i < n; i++)
        add(LOBBY_LANE, "*", "r:lobby", "0-0", bodies[i]);
    add(LOBBY_LANE, "*", "r:lobby", "0-0", long_body);
    add(LOBBY_LANE, "*", "r:lobby", "soon", HI);
    add(LOBBY_LANE, "*", "r:lobby", "9999999999999-0", HI);
    add(LOBBY_LANE, "*", "r:dev", "0-0", HI);
    add(LOBBY_LANE, "*", "u:lobby", "0-0", HI);
    add(LOBBY_LANE, "*", "", "0-0", HI);
    add(LOBBY_LANE, "*", "-", "-", "{\"close\":\"t1-1\"}");
    add(5, "*", "r:lobby", "0-0", HI);
    freeReplyObject(redis("XADD hubbub:{6}:log * x y"));
    freeReplyObject(redis("XADD hubbub:{6}:log * c %b p 0-0 e x", "r:lob\0by", (size_t)8));
    freeReplyObject(redis("XADD hubbub:{6}:log * %b %b", "\0\xff", (size_t)2, "\xc3\0", (size_t)2));
    add(LOBBY_LANE, "*", "r:lobby", "0-0", HI);
    free(long_body);
    await_sql(10, "select count(*) = 1 from history");
    assert_int_equal(atoi(sql("select count(*) from quarantine")), (int)n + 11);
    assert_string_equal(sql("select count(*) from audit where finding <> 'quarantine'"), "0");
}

static void test_an_entry_without_an_id_of_ours_is_set_aside(void **state)
{
    store_start(0);
    add(LOBBY_LANE, "1700000000000-99999", "r:lobby", "0-0", HI);
    publish("Alice", "after");
    await_sql(5, "select count(*) = 1 from history");
    assert_string_equal(sql("select count(*) from quarantine where entry like '1700000000000-99999 %%'"),
                        "1");
}

static void test_quarantine_does_not_repeat_when_read_again(void **state)
{
    store_start(0);
    freeReplyObject(redis("XADD hubbub:{6}:log * x y"));
    await_sql(5, "select count(*) = 1 from quarantine");
    store_signal(0, SIGKILL);
    store_start(0);
    publish("Alice", "after");
    await_sql(5, "select count(*) = 1 from history");
    assert_string_equal(sql("select count(*) from quarantine"), "1");
    assert_string_equal(sql("select finding from audit"), "quarantine");
}

static void test_what_postgresql_refuses_is_set_aside_alone(void **state)
{
    sql("alter table messages add constraint polite check (text <> 'rude')");
    store_start(0);
    store_signal(0, SIGSTOP);
    for (int i = 0; i < 50; i++)
        publish("Alice", i == 20 || i == 21 ? "rude" : "kind");
    store_signal(0, SIGCONT);
    await_sql(10, "select count(*) = 48 from history");
    publish("Alice", "later");
    await_sql(10, "select count(*) = 49 from history");
    sql("alter table messages drop constraint polite");
    assert_string_equal(sql("select count(*) from quarantine where error like '%%polite%%'"), "2");
    assert_string_equal(sql("select string_agg(finding, ' ' order by finding) from audit"),
                        "missing quarantine quarantine");
}

static void test_another_text_under_the_same_id_is_set_aside(void **state)
{
    store_start(0);
    add(LOBBY_LANE, "1700000000000-1", "r:lobby", "0-0", HI);
    await_sql(5, "select count(*) = 1 from history");
    store_signal(0, SIGKILL);
    sql("update messages set text = 'other'");
    store_start(0);
    await_sql(
        5,
        "select count(*) = 1 from quarantine where position = %lld and error = 'another event has this id'",
        (long long)id_of(LOBBY_LANE, 1700000000000, 1));
    assert_string_equal(sql("select text from history"), "other");
}

static void test_what_is_there_above_the_cursor_is_compared_too(void **state)
{
    store_start(0);
    add(LOBBY_LANE, "1700000000000-1", "r:lobby", "0-0", HI);
    await_sql(5, "select count(*) = 1 from history");
    sql("insert into messages (id, prev, room_id, sender_id, text) select id + n, id, room_id, sender_id,"
        " case n when 1 then 'other' else text end from messages, generate_series(1, 2) n");
    add(LOBBY_LANE, "1700000000000-2", "r:lobby", "1700000000000-1", HI);
    add(LOBBY_LANE, "1700000000000-3", "r:lobby", "1700000000000-1", HI);
    add(LOBBY_LANE, "1700000000000-4", "r:lobby", "1700000000000-3", HI);
    await_sql(5, "select count(*) = 4 from history");
    assert_string_equal(
        sql("select string_agg(text, ' ') from quarantine left join history on id = position"), "other");
    assert_string_equal(sql("select string_agg(text, ' ' order by id) from history"), "hi other hi hi");
}

static void test_a_month_is_made_for_the_ids_that_need_it(void **state)
{
    store_start(0);
    add(LOBBY_LANE, "1234567890123-7", "r:lobby", "0-0", HI);
    await_sql(5, "select count(*) = 1 from history");
    assert_string_equal(sql("select count(*) from messages_2009_02"), "1");
    assert_string_equal(sql("select time = '2009-02-13 23:31:30.123+00' from history"), "t");
    sql("drop table messages_2009_02");
}

static void test_a_month_that_goes_away_is_made_again(void **state)
{
    store_start(0);
    add(LOBBY_LANE, "1234567890123-7", "r:lobby", "0-0", HI);
    await_sql(5, "select count(*) = 1 from history");
    assert_string_equal(sql("select count(*) from messages_2009_02"), "1");
    sql("drop table messages_2009_02");
    add(LOBBY_LANE, "1234567890124-0", "r:lobby", "0-0", HI);
    await_sql(5, "select count(*) = 1 from history");
    sql("drop table messages_2009_02");
}

static void test_a_month_that_was_dropped_does_not_come_back_from_the_log(void **state)
{
    store_start(0);
    add(LOBBY_LANE, "1234567890123-7", "r:lobby", "0-0", HI);
    publish("Alice", "now");
    await_sql(5, "select count(*) = 2 from history");
    store_signal(0, SIGKILL);
    sql("drop table messages_2009_02");
    store_start(0);
    publish("Alice", "later");
    await_sql(5, "select count(*) = 2 from history");
    assert_string_equal(sql("select to_regclass('messages_2009_02') is null"), "t");
}

static void test_a_month_dropped_while_the_store_runs_does_not_come_back(void **state)
{
    store_start(0);
    add(LOBBY_LANE, "1234567890123-7", "r:lobby", "0-0", HI);
    publish("Alice", "now");
    await_sql(5, "select count(*) = 2 from history");
    sql("drop table messages_2009_02");
    freeReplyObject(redis("CLIENT KILL TYPE normal SKIPME yes"));
    publish("Alice", "later");
    await_sql(5, "select count(*) = 2 from history");
    assert_string_equal(sql("select to_regclass('messages_2009_02') is null"), "t");
}

static void test_months_are_made_ahead(void **state)
{
    sql("drop table if exists %s", sql("select to_char(now() at time zone 'UTC' + interval '2 months',"
                                       " '\"messages_\"YYYY_MM')"));
    store_start(0);
    assert_string_equal(sql("select to_regclass(to_char(now() at time zone 'UTC' + interval '2 months',"
                            " '\"messages_\"YYYY_MM')) is not null"),
                        "t");
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        STORE_TEST(test_a_single_chat_becomes_a_row),
        STORE_TEST(test_a_backlog_becomes_rows_in_order),
        STORE_TEST(test_reading_again_doubles_nothing),
        STORE_TEST(test_what_is_below_the_cursor_and_missing_is_stored_too),
        STORE_TEST(test_a_direct_becomes_a_row_of_directs),
        STORE_TEST(test_one_user_is_one_row_however_he_writes_himself),
        STORE_TEST(test_no_entry_stops_the_lane),
        STORE_TEST(test_an_entry_without_an_id_of_ours_is_set_aside),
        STORE_TEST(test_quarantine_does_not_repeat_when_read_again),
        STORE_TEST(test_what_postgresql_refuses_is_set_aside_alone),
        STORE_TEST(test_another_text_under_the_same_id_is_set_aside),
        STORE_TEST(test_what_is_there_above_the_cursor_is_compared_too),
        STORE_TEST(test_a_month_is_made_for_the_ids_that_need_it),
        STORE_TEST(test_a_month_that_goes_away_is_made_again),
        STORE_TEST(test_a_month_that_was_dropped_does_not_come_back_from_the_log),
        STORE_TEST(test_a_month_dropped_while_the_store_runs_does_not_come_back),
        STORE_TEST(test_months_are_made_ahead),
    };

    harness_arguments(argc, argv);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
