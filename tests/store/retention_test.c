/* Months that are too old go, and nothing else does; nobody waits for it. */

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <libpq-fe.h>

#include "harness.h"

#define FEBRUARY 1234567890123ull /* 2009 */
#define MARCH (FEBRUARY + 30ull * 24 * 3600 * 1000)
#define GONE "select to_regclass('messages_2009_02') is null"
#define STALL_MAX_MS 1000 /* 105 were measured; machines that run tests do much else */

/* Two servers in CI share their cores with much else: what is measured is printed, and the limit is generous.
 */

static PGconn *reader; /* holds what it has read until the test ends */

static int setup(void **state)
{
    harness_setup(state);
    setenv("HUBBUB_RETENTION_DAYS", "365", 1);
    return 0;
}

static int teardown(void **state)
{
    PQfinish(reader);
    reader = NULL;
    unsetenv("HUBBUB_RETENTION_DAYS");
    unsetenv("CLOCK_AHEAD");
    harness_teardown(state);
    sql("drop table if exists messages_2009_02, messages_2009_03, messages_2009_04");
    return 0;
}

/* An entry of the room lobby at that time. */
static void say_at(uint64_t ms, uint64_t prev_ms, const char *text)
{
    char id[32], prev[32], body[256];

    snprintf(id, sizeof id, "%llu-0", (unsigned long long)ms);
    snprintf(prev, sizeof prev, "%llu-0", (unsigned long long)prev_ms);
    snprintf(body, sizeof body,
             "{\"from\":\"Alice\",\"session\":\"t1-1\",\"room\":\"lobby\",\"text\":\"%s\"}", text);
    add(LOBBY_LANE, id, "r:lobby", prev, body);
}

/* A store that keeps everything takes in what was said in February and March; the lanes were opened before.
 */
static void live_in_2009(void)
{
    setenv("HUBBUB_RETENTION_DAYS", "0", 1);
    store_start(0);
    sql("insert into openings (lane, id) values (%u, 0)", LOBBY_LANE);
    say_at(FEBRUARY, 0, "february");
    say_at(FEBRUARY + 1, FEBRUARY, "february again");
    say_at(MARCH, FEBRUARY + 1, "march");
    await_sql(5, "select count(*) = 3 from history");
    setenv("HUBBUB_RETENTION_DAYS", "365", 1);
}

static void test_months_that_are_too_old_are_dropped(void **state)
{
    live_in_2009();
    store_start(1);
    await_log(1, "event=month_dropped month=2009-02");
    await_log(1, "event=month_dropped month=2009-03");
    assert_string_equal(sql(GONE), "t");
    assert_string_equal(sql("select count(*) from history"), "0");
    assert_string_equal(sql("select count(*) from audit"), "0");
    assert_int_equal(redis_number("XLEN hubbub:{6}:log"), 0);
}

static void test_what_is_younger_stays_and_the_audit_is_content(void **state)
{
    char days[16];

    live_in_2009();
    snprintf(days, sizeof days, "%s", sql("select current_date - '2009-03-15'::date"));
    setenv("HUBBUB_RETENTION_DAYS", days, 1);
    store_start(1);
    await_log(1, "event=month_dropped month=2009-02");
    await_sql(5, "select count(*) = 1 and max(text) = 'march' from history");
    assert_string_equal(sql("select count(*) from audit where finding <> 'restart'"), "0");
    assert_false(store_logged(1, "month=2009-03"));
}

static void test_without_the_setting_everything_is_kept(void **state)
{
    live_in_2009();
    store_signal(0, SIGKILL);
    setenv("HUBBUB_RETENTION_DAYS", "0", 1);
    store_start(0);
    publish("Alice", "now");
    await_sql(5, "select count(*) = 4 from history");
    assert_false(store_logged(0, "month_dropped"));
}

static void test_the_current_month_and_the_coming_ones_stay(void **state)
{
    setenv("HUBBUB_RETENTION_DAYS", "1", 1);
    store_start(0);
    publish("Alice", "now");
    await_sql(5, "select count(*) = 1 from history");
    assert_string_equal(sql("select bool_and(to_regclass(to_char(now() at time zone 'UTC' + n * interval"
                            " '1 month', '\"messages_\"YYYY_MM')) is not null) from generate_series(0, 2) n"),
                        "t");
    assert_string_equal(sql("select drop_month(id_at(now()), 0)"), "f");
    assert_string_equal(sql("select drop_month(id_at(now()), -1000)"), "f");
    assert_string_equal(sql("select drop_month(id_at(now() + interval '2 months'), 0)"), "f");
}

/* Whoever asks: it is not enough that the month is over. */
static void test_a_month_that_is_not_as_old_as_was_said_stays(void **state)
{
    long days = atol(sql("select (now() at time zone 'UTC')::date - '2009-03-01'::date"));

    sql("select make_month(%lld)", (long long)id_of(LOBBY_LANE, FEBRUARY, 0));
    assert_string_equal(
        sql("select drop_month(%lld, %ld)", (long long)id_of(LOBBY_LANE, FEBRUARY, 0), days + 1), "f");
    assert_string_equal(
        sql("select drop_month(%lld, null) is null", (long long)id_of(LOBBY_LANE, FEBRUARY, 0)), "t");
    assert_string_equal(sql(GONE), "f");
    assert_string_equal(sql("select drop_month(%lld, %ld)", (long long)id_of(LOBBY_LANE, FEBRUARY, 0), days),
                        "t");
    assert_string_equal(sql(GONE), "t");
}

/* A store whose clock is so many seconds ahead of PostgreSQL's. */
static void start_with_clock(int n, long ahead)
{
    const char *usual = store_path;
    char text[32];

    snprintf(text, sizeof text, "%ld", ahead);
    setenv("CLOCK_AHEAD", text, 1);
    store_path = getenv("STORE_WITH_CLOCK");
    if (!store_path)
        give_up("STORE_WITH_CLOCK");
    store_start(n);
    store_path = usual;
}

/* A month that was over two months ago, at least, and must stay; the months that are there. */
static void live_lately(void)
{
    sql("select make_month(id_at(now() - interval '3 months'))");
    sql("insert into rooms (name) values ('lately')");
    sql("insert into messages (id, prev, room_id, sender_id, text) select id_at(now() - interval '3 months'),"
        " 1, (select max(id) from rooms), (select max(id) from users), 'young'");
    sql("create table months as select inhrelid::regclass::text as month from pg_inherits"
        " where inhparent = 'messages'::regclass");
}

/* The two of 2009 are gone; nothing else is, and nothing came, whatever the store's clock says. */
static void assert_only_2009_went(int n)
{
    int64_t until;
    char text[32];

    await_log(n, "event=month_dropped month=2009-02");
    await_log(n, "event=month_dropped month=2009-03");
    until = clock_now() + 3000; /* what is wrongly due goes within two looks at the log, a second each */
    for (int i = 0; clock_now() < until; i++) {
        snprintf(text, sizeof text, "%d", i);
        publish("Alice", text);
        await_sql(10, "select exists (select from history where text = '%s')", text);
    }
    assert_string_equal(sql("select count(*) from history where text = 'young'"), "1");
    assert_string_equal(
        sql("with now_there as (select inhrelid::regclass::text as month from pg_inherits"
            " where inhparent = 'messages'::regclass) select coalesce(string_agg(month, ' '), '')"
            " from (select month from months except select month from now_there union all"
            " (select month from now_there except select month from months)) m"
            " where month not like 'messages_2009%%'"),
        "");
}

static void assert_warned_once(int n, const char *what)
{
    assert_true(store_logged(n, what));
    assert_int_equal(store_count(n, "event=clock_differs"), 1);
}

static void forget_lately(void)
{
    sql("do $$ begin execute (select 'drop table months, ' || quote_ident(to_char((now() - interval '3 "
        "months')"
        " at time zone 'UTC', '\"messages_\"YYYY_MM'))); end $$");
}

static void test_a_store_whose_clock_is_ahead_drops_nothing_young(void **state)
{
    live_in_2009();
    store_signal(0, SIGKILL);
    live_lately();
    start_with_clock(1, 3L * 365 * 24 * 3600);
    assert_only_2009_went(1);
    assert_warned_once(1, "store_ahead_s=94");
    forget_lately();
}

static void test_a_store_whose_clock_is_behind_drops_and_makes_the_right_months(void **state)
{
    live_in_2009();
    store_signal(0, SIGKILL);
    live_lately();
    start_with_clock(1, -40L * 365 * 24 * 3600);
    assert_only_2009_went(1);
    assert_warned_once(1, "store_ahead_s=-126");
    forget_lately();
}

static void test_a_clock_that_is_a_little_off_is_not_worth_a_warning(void **state)
{
    live_in_2009();
    start_with_clock(1, 3000);
    await_log(1, "event=month_dropped month=2009-03");
    assert_false(store_logged(1, "clock_differs"));
}

static void test_a_month_does_not_come_back_from_the_log(void **state)
{
    live_in_2009();
    store_signal(0, SIGKILL);
    store_start(0);
    await_log(0, "event=month_dropped month=2009-03");
    store_signal(0, SIGKILL);
    store_start(0);
    publish("Alice", "now");
    await_sql(5, "select count(*) = 1 from history");
    assert_string_equal(sql(GONE), "t");
    assert_string_equal(sql("select count(*) from quarantine"), "0");
}

/* Nothing in the log was stored yet when the store starts: it is stored first, and then it goes. */
static void test_what_is_not_stored_yet_is_not_trimmed_away(void **state)
{
    live_in_2009();
    store_signal(0, SIGKILL);
    sql("update cursors set position = %lld where lane = %u", (long long)id_of(LOBBY_LANE, FEBRUARY, 0),
        LOBBY_LANE);
    sql("delete from messages where text <> 'february'");
    sql("create table seen as select text from messages limit 0");
    sql("grant insert on seen to hubbub_store");
    sql("create function see() returns trigger language plpgsql as"
        " 'begin insert into seen values (new.text); return new; end'");
    sql("create trigger see after insert on messages for each row execute function see()");
    store_start(0);
    await_log(0, "event=month_dropped month=2009-03");
    assert_string_equal(sql("select string_agg(text, ', ' order by text) from seen"),
                        "february again, march");
    assert_string_equal(sql("select count(*) from quarantine"), "0");
    sql("drop trigger see on messages");
    sql("drop function see");
    sql("drop table seen");
}

/* It may have seen the month itself, and is told nothing. */
static void test_a_second_store_notices_that_a_month_has_gone(void **state)
{
    live_in_2009();
    store_start(1);
    await_log(1, "event=month_dropped month=2009-03");
    freeReplyObject(redis("CLIENT KILL TYPE normal SKIPME yes"));
    publish("Alice", "one");
    await_sql(5, "select count(*) = 1 from history");
    store_signal(1, SIGKILL);
    publish("Alice", "two");
    await_sql(10, "select count(*) = 2 from history");
    assert_string_equal(sql(GONE), "t");
    assert_string_equal(sql("select count(*) from audit"), "0");
}

/* Says things as long as the reader holds the lock; the longest that one took to be stored, in milliseconds.
 */
static int64_t longest_stall(int64_t until)
{
    int64_t longest = 0;
    char text[32];

    for (int i = 0; clock_now() < until; i++) {
        int64_t since = clock_now();

        snprintf(text, sizeof text, "%d", i);
        publish("Alice", text);
        await_sql(10,
                  "select exists (select from messages where id >= id_at(now() - interval '1 hour') and"
                  " text = '%s')",
                  text);
        if (clock_now() - since > longest)
            longest = clock_now() - since;
    }
    return longest;
}

/* A transaction that has read by `query` stays open for some seconds. */
static void assert_nobody_waits_for(const char *query)
{
    int64_t longest;

    live_in_2009();
    reader = PQconnectdb(getenv("TEST_POSTGRES_URL"));
    PQclear(PQexec(reader, "begin"));
    PQclear(PQexec(reader, query));
    store_signal(0, SIGKILL);
    store_start(0);
    await_log(0, "event=month_not_dropped");
    longest = longest_stall(clock_now() + 4000);
    print_message("the longest stall behind %s: %lld ms\n", query, (long long)longest);
    assert_true(longest < STALL_MAX_MS);
    assert_string_equal(sql(GONE), "f");
    PQclear(PQexec(reader, "commit"));
    await_log(0, "event=month_dropped month=2009-02");
}

static void test_chats_are_stored_while_somebody_reads_the_month(void **state)
{
    assert_nobody_waits_for("select * from messages_2009_02");
}

static void test_chats_are_stored_while_somebody_reads_everything(void **state)
{
    assert_nobody_waits_for("select * from history");
}

int main(int argc, char **argv)
{
#define RETENTION_TEST(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
    const struct CMUnitTest tests[] = {
        RETENTION_TEST(test_months_that_are_too_old_are_dropped),
        RETENTION_TEST(test_what_is_younger_stays_and_the_audit_is_content),
        RETENTION_TEST(test_without_the_setting_everything_is_kept),
        RETENTION_TEST(test_the_current_month_and_the_coming_ones_stay),
        RETENTION_TEST(test_a_month_that_is_not_as_old_as_was_said_stays),
        RETENTION_TEST(test_a_store_whose_clock_is_ahead_drops_nothing_young),
        RETENTION_TEST(test_a_store_whose_clock_is_behind_drops_and_makes_the_right_months),
        RETENTION_TEST(test_a_clock_that_is_a_little_off_is_not_worth_a_warning),
        RETENTION_TEST(test_a_month_does_not_come_back_from_the_log),
        RETENTION_TEST(test_what_is_not_stored_yet_is_not_trimmed_away),
        RETENTION_TEST(test_a_second_store_notices_that_a_month_has_gone),
        RETENTION_TEST(test_chats_are_stored_while_somebody_reads_the_month),
        RETENTION_TEST(test_chats_are_stored_while_somebody_reads_everything),
    };

    harness_arguments(argc, argv);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
