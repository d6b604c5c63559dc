/* The log's lanes: opening, trimming, holes, and what the audit says of them. */

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <libpq-fe.h>

#include "harness.h"
#include "name.h"

#define HI "{\"from\":\"Alice\",\"session\":\"t1-1\",\"room\":\"lobby\",\"text\":\"hi\"}"

/* Adds `n` entries whose ids begin at `ms`. */
static void fill(uint64_t ms, int n)
{
    static const char script[] =
        "for i = 0, tonumber(ARGV[2]) - 1 do redis.call('XADD', KEYS[1],"
        " string.format('%.0f-%d', tonumber(ARGV[1]) + math.floor(i / 10000), i % 10000 + 1),"
        " 'c', 'r:lobby', 'p', '0-0', 'e', ARGV[3]) end";
    char from[24];

    snprintf(from, sizeof from, "%llu", (unsigned long long)ms);
    freeReplyObject(redis("EVAL %s 1 hubbub:{6}:log %s %d %s", script, from, n, HI));
}

static uint64_t now_ms(void)
{
    return (uint64_t)time(NULL) * 1000;
}

static void await_length(long long wanted)
{
    int64_t until = clock_now() + 20000;

    while (redis_number("XLEN hubbub:{6}:log") != wanted) {
        if (clock_now() > until)
            give_up("the log does not get its length");
        pause_briefly();
    }
}

/* Waits until the store has looked at its lanes twice more, so that it has trimmed whatever it would. */
static void await_looks(void)
{
    for (int i = 0; i < 2; i++) {
        freeReplyObject(redis("DEL hubbub:{7}:open"));
        for (int64_t until = clock_now() + 10000; redis_number("EXISTS hubbub:{7}:open") == 0;
             pause_briefly())
            if (clock_now() > until)
                give_up("a closed lane is not opened");
    }
}

static void test_every_lane_of_a_new_redis_is_opened_once(void **state)
{
    store_start(0);
    assert_string_equal(sql("select count(*) || ' ' || count(distinct lane) from openings"), "8 8");
    for (unsigned lane = 0; lane < 8; lane++) {
        redisReply *open = redis("GET hubbub:{%u}:open", lane), *floor = redis("GET hubbub:{%u}:floor", lane);
        event_id id;

        assert_string_equal(open->str, "1");
        assert_true(id_from_stream(floor->str, floor->len, lane, &id));
        assert_string_equal(
            sql("select count(*) from openings where lane = %u and id = %lld", lane, (long long)id), "1");
        freeReplyObject(open);
        freeReplyObject(floor);
    }
    assert_string_equal(sql("select count(*) from audit"), "0");
}

static void test_two_stores_open_a_lane_once(void **state)
{
    store_launch(0);
    store_launch(1);
    await_log(0, "event=ready");
    await_log(1, "event=ready");
    assert_string_equal(sql("select count(*) from openings"), "8");
}

static void test_accounts_are_told_to_redis_when_it_is_opened(void **state)
{
    sql("insert into users (name, name_key, password_hash, account) values ('Alice', 'alice', 'x', 7),"
        " ('Bob', 'bob', null, null)");
    store_start(0);
    assert_int_equal(redis_number("HLEN hubbub:{0}:accounts"), 1);
    assert_int_equal(redis_number("HEXISTS hubbub:{0}:accounts alice"), 1);
}

static void test_a_wiped_redis_is_opened_again_and_the_audit_says_so(void **state)
{
    store_start(0);
    publish("Alice", "before");
    await_sql(5, "select count(*) = 1 from history");
    freeReplyObject(redis("FLUSHALL"));
    await_sql(5, "select count(*) = 16 from openings");
    assert_string_equal(sql("select string_agg(finding || ' ' || lane, ',') from audit"), "restart 6");
}

static void test_two_stores_open_a_wiped_redis_once(void **state)
{
    store_start(0);
    store_start(1);
    freeReplyObject(redis("FLUSHALL"));
    await_sql(5, "select count(*) = 2 from openings where lane = 6");
    await_looks();
    assert_string_equal(sql("select count(*) from openings where lane = 6"), "2");
}

static void test_chats_after_a_wipe_are_stored(void **state)
{
    redisReply *reply;

    store_start(0);
    publish("Alice", "before");
    await_sql(5, "select count(*) = 1 from history");
    freeReplyObject(redis("FLUSHALL"));
    await_sql(5, "select count(*) = 16 from openings");
    for (int64_t until = clock_now() + 5000; redis_number("EXISTS hubbub:{6}:open") == 0; pause_briefly())
        if (clock_now() > until)
            give_up("the lane is not opened");
    reply = redis("GET hubbub:{6}:floor");
    add(LOBBY_LANE, "*", "r:lobby", reply->str, HI);
    freeReplyObject(reply);
    await_sql(5, "select count(*) = 2 from history");
}

static void test_the_floor_is_not_below_the_cursor(void **state)
{
    redisReply *floor;

    sql("update cursors set position = %lld where lane = 6", (long long)id_of(6, now_ms() + 100000, 5));
    store_start(0);
    floor = redis("GET hubbub:{6}:floor");
    assert_string_equal(strchr(floor->str, '-'), "-5");
    freeReplyObject(floor);
}

static void test_a_lane_of_another_key_version_is_left_alone(void **state)
{
    store_start(0);
    freeReplyObject(redis("SET hubbub:{6}:open 99"));
    await_log(0, "event=foreign_keys");
    add(LOBBY_LANE, "*", "r:lobby", "0-0", HI);
    await_looks();
    assert_string_equal(sql("select count(*) from history"), "0");
    assert_string_equal(sql("select count(*) from openings where lane = 6"), "1");
}

static void test_old_entries_are_trimmed_to_ten_thousand(void **state)
{
    fill(now_ms() - 3600000, 12000);
    store_start(0);
    await_length(10000);
    assert_string_equal(sql("select count(*) from history"), "12000");
}

static void test_young_entries_are_kept_beyond_ten_thousand(void **state)
{
    fill(now_ms() - 5000, 12000);
    store_start(0);
    await_sql(10, "select count(*) = 12000 from history");
    await_looks();
    assert_int_equal(redis_number("XLEN hubbub:{6}:log"), 12000);
}

static void test_more_than_a_hundred_thousand_young_entries_are_trimmed(void **state)
{
    fill(now_ms() - 1000, 101234);
    store_start(0);
    await_length(100000);
    await_sql(10, "select count(*) = 101234 from history");
}

static void test_a_full_redis_is_read_and_trimmed(void **state)
{
    store_start(0);
    store_signal(0, SIGKILL);
    fill(now_ms() - 3600000, 20000);
    freeReplyObject(redis("CONFIG SET maxmemory 1mb"));
    store_start(0);
    await_length(10000);
    freeReplyObject(redis("CONFIG SET maxmemory 0"));
    assert_string_equal(sql("select count(*) from history"), "20000");
}

/* Adds a chat in a room of this lane. */
static void add_in(unsigned lane)
{
    char room[8], chain[10], body[128];

    for (int i = 0; snprintf(room, sizeof room, "r%d", i) > 0 && lane_of(room) != lane; i++)
        ;
    snprintf(chain, sizeof chain, "r:%s", room);
    snprintf(body, sizeof body, "{\"from\":\"Alice\",\"session\":\"t1-1\",\"room\":\"%s\",\"text\":\"hi\"}",
             room);
    add(lane, "*", chain, "0-0", body);
}

static void test_the_lanes_of_several_servers_are_all_read(void **state)
{
    redis_addresses_used = 3;
    store_start(0);
    redis_addresses_used = 1;
    for (unsigned lane = 0; lane < LANES; lane++)
        add_in(lane);
    await_sql(5, "select count(*) = 8 and count(distinct room) = 8 from history");
}

/* An XREAD may take a second and is overdue 4 s later: a batch of one server's that takes longer than both is
 * not the other server's fault. */
static void test_a_batch_that_takes_long_loses_no_other_server(void **state)
{
    PGconn *blocker = PQconnectdb(getenv("TEST_POSTGRES_URL"));
    int64_t until;

    redis_addresses_used = 2;
    store_start(0);
    redis_addresses_used = 1;
    PQclear(PQexec(blocker, "begin; select 1 from cursors where lane = 0 for update"));
    add_in(0);
    await_sql(5, "select count(*) > 0 from pg_locks where not granted");
    until = clock_now() + 5500;
    add_in(1);
    while (clock_now() < until)
        pause_briefly();
    PQfinish(blocker);
    await_sql(5, "select count(*) = 2 from history");
    assert_int_equal(store_count(0, "event=redis_lost"), 0);
}

static void test_trimmed_entries_are_no_hole_for_the_next_store(void **state)
{
    fill(now_ms() - 3600000, 12000);
    store_start(0);
    await_length(10000);
    store_signal(0, SIGKILL);
    store_start(0);
    assert_string_equal(sql("select count(*) from quarantine"), "0");
}

static void test_entries_trimmed_before_they_were_stored_are_a_hole(void **state)
{
    store_start(0);
    publish("Alice", "first");
    await_sql(5, "select count(*) = 1 from history");
    store_signal(0, SIGKILL);
    freeReplyObject(redis("SET hubbub:{6}:trimmed 4000000000000-0"));
    store_start(0);
    assert_true(store_logged(0, "event=hole"));
    assert_string_equal(sql("select count(*) from quarantine where lane = 6 and error like 'a hole%%'"), "1");
    assert_string_equal(sql("select finding from audit"), "quarantine");
}

static void test_a_lost_event_is_missing_in_the_audit(void **state)
{
    store_start(0);
    for (int i = 0; i < 5; i++)
        publish("Alice", i == 2 ? "lost" : "kept");
    await_sql(5, "select count(*) = 5 from history");
    assert_string_equal(sql("select count(*) from audit"), "0");
    sql("delete from messages where text = 'lost'");
    assert_string_equal(sql("select finding || ' ' || chain from audit"), "missing room lobby");
}

static void test_a_lost_beginning_is_missing_in_the_audit(void **state)
{
    store_start(0);
    publish("Alice", "lost");
    publish("Alice", "kept");
    await_sql(5, "select count(*) = 2 from history");
    sql("delete from messages where text = 'lost'");
    assert_string_equal(sql("select finding || ' ' || chain from audit"), "missing room lobby");
}

static void test_a_forgotten_tail_is_a_fork_in_the_audit(void **state)
{
    redisReply *last;

    store_start(0);
    publish("Alice", "one");
    publish("Alice", "two");
    last = redis("HGET hubbub:{6}:last r:lobby");
    publish("Alice", "three");
    freeReplyObject(redis("HSET hubbub:{6}:last r:lobby %s", last->str));
    publish("Alice", "four");
    await_sql(5, "select count(*) = 4 from history");
    assert_string_equal(sql("select finding || ' ' || chain from audit"), "fork room lobby");
    freeReplyObject(last);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        STORE_TEST(test_every_lane_of_a_new_redis_is_opened_once),
        STORE_TEST(test_two_stores_open_a_lane_once),
        STORE_TEST(test_accounts_are_told_to_redis_when_it_is_opened),
        STORE_TEST(test_a_wiped_redis_is_opened_again_and_the_audit_says_so),
        STORE_TEST(test_two_stores_open_a_wiped_redis_once),
        STORE_TEST(test_chats_after_a_wipe_are_stored),
        STORE_TEST(test_the_floor_is_not_below_the_cursor),
        STORE_TEST(test_a_lane_of_another_key_version_is_left_alone),
        STORE_TEST(test_old_entries_are_trimmed_to_ten_thousand),
        STORE_TEST(test_young_entries_are_kept_beyond_ten_thousand),
        STORE_TEST(test_more_than_a_hundred_thousand_young_entries_are_trimmed),
        STORE_TEST(test_a_full_redis_is_read_and_trimmed),
        STORE_TEST(test_the_lanes_of_several_servers_are_all_read),
        STORE_TEST(test_a_batch_that_takes_long_loses_no_other_server),
        STORE_TEST(test_trimmed_entries_are_no_hole_for_the_next_store),
        STORE_TEST(test_entries_trimmed_before_they_were_stored_are_a_hole),
        STORE_TEST(test_a_lost_event_is_missing_in_the_audit),
        STORE_TEST(test_a_lost_beginning_is_missing_in_the_audit),
        STORE_TEST(test_a_forgotten_tail_is_a_fork_in_the_audit),
    };

    harness_arguments(argc, argv);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
