/* What gateways are told about the past, and what it costs. */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <libpq-fe.h>

#include "harness.h"
#include "name.h"
#include "pages.h"

#define T0 1700000000000ull /* 2023-11-14 */

static struct worker worker;

/* Asks, and closes the books on the request; the answer is the caller's. */
static json_t *ask(ask_fn *fn, const char *format, ...)
{
    json_t *request, *answer;
    json_error_t error;
    va_list arguments;
    char text[2048];

    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    request = json_loads(text, 0, &error);
    if (!request)
        give_up(error.text);
    answer = fn(&worker, request);
    json_decref(request);
    return answer;
}

static const char *member(const json_t *answer, const char *name)
{
    const char *value = json_string_value(json_object_get(answer, name));

    return value ? value : "";
}

static const json_t *event(const json_t *answer, size_t index)
{
    return json_array_get(json_object_get(answer, "events"), index);
}

static size_t count(const json_t *answer)
{
    if (!json_is_true(json_object_get(answer, "ok")))
        give_up(member(answer, "error"));
    return json_array_size(json_object_get(answer, "events"));
}

static bool has_more(const json_t *answer)
{
    return json_is_true(json_object_get(answer, "more"));
}

static void assert_error(json_t *answer, const char *code)
{
    assert_string_equal(member(answer, "error"), code);
    json_decref(answer);
}

/* All texts of the answer (taken), one after the other. */
static const char *texts(json_t *answer)
{
    static char all[4096];
    size_t n = count(answer);

    all[0] = '\0';
    for (size_t i = 0; i < n; i++)
        snprintf(all + strlen(all), sizeof all - strlen(all), "%s%s", i ? " " : "",
                 member(event(answer, i), "text"));
    json_decref(answer);
    return all;
}

static long long id(unsigned lane, unsigned seq)
{
    return id_of(lane, T0, seq);
}

/* The rows that all these tests have; `stored` is the cursor of the lanes. */
static int setup(void **state)
{
    harness_setup(state);
    sql("select make_month(%lld)", id(0, 0));
    sql("insert into rooms (id, name) overriding system value values (1, 'lobby'), (2, 'dev')");
    sql("insert into users (id, name, name_key) overriding system value"
        " values (1, 'Alice', 'alice'), (2, 'Bob', 'bob'), (3, 'Carol', 'carol')");
    sql("insert into messages (id, prev, room_id, sender_id, text)"
        " select %lld + n, %lld + n - 1, 1 + n %% 2, 1, 'm' || n from generate_series(1, 20) n",
        id(LOBBY_LANE, 0), id(LOBBY_LANE, 0));
    sql("update cursors set position = %lld", id(7, 100));
    worker.database = database_create(getenv("TEST_POSTGRES_STORE_URL"), "");
    return database_connect(worker.database) ? 0 : -1;
}

static int teardown(void **state)
{
    database_destroy(worker.database);
    sql("drop table if exists %s", "messages_2023_11");
    return harness_teardown(state);
}

/* Directs are sent in the recipient's lane; any lane will do here. */
static void direct(unsigned seq, int from, const char *by, int to, const char *whom, const char *text)
{
    sql("insert into messages (id, prev, recipient_id, sender_id, text, recipient_holder, sender_holder)"
        " values (%lld, %lld, %d, %d, '%s', '%s', '%s')",
        id(3, seq), id(3, seq - 1), to, from, text, whom, by);
}

#define ALL "\"after\":\"0\",\"until\":\"9223372036854775807\""

static void test_the_newest_events_come_oldest_first(void **state)
{
    json_t *page = ask(pages_events, "{\"chain\":\"r:dev\"," ALL ",\"limit\":3,\"newest\":true}");

    assert_true(has_more(page));
    assert_string_equal(texts(page), "m15 m17 m19");
}

static void test_the_oldest_events_after_an_id_are_a_page_too(void **state)
{
    json_t *page =
        ask(pages_events, "{\"chain\":\"r:dev\",\"after\":\"%lld\",\"until\":\"%lld\",\"limit\":3}",
            id(LOBBY_LANE, 5), id(LOBBY_LANE, 20));

    assert_true(has_more(page));
    assert_string_equal(texts(page), "m7 m9 m11");
}

static void test_a_range_excludes_its_after_and_includes_its_until(void **state)
{
    json_t *page =
        ask(pages_events, "{\"chain\":\"r:dev\",\"after\":\"%lld\",\"until\":\"%lld\",\"limit\":500}",
            id(LOBBY_LANE, 5), id(LOBBY_LANE, 9));

    assert_false(has_more(page));
    assert_string_equal(texts(page), "m7 m9");
}

static void test_an_event_says_who_said_what_after_which(void **state)
{
    json_t *page = ask(pages_events, "{\"chain\":\"r:dev\"," ALL ",\"limit\":1}");
    char expected[32];

    snprintf(expected, sizeof expected, "%lld", id(LOBBY_LANE, 1));
    assert_string_equal(member(event(page, 0), "id"), expected);
    snprintf(expected, sizeof expected, "%lld", id(LOBBY_LANE, 0));
    assert_string_equal(member(event(page, 0), "prev"), expected);
    assert_string_equal(member(event(page, 0), "from"), "Alice");
    assert_null(json_object_get(event(page, 0), "to"));
    json_decref(page);
}

static void test_a_page_says_what_is_stored_and_what_is_kept(void **state)
{
    json_t *page = ask(pages_events, "{\"chain\":\"r:nobody\"," ALL ",\"limit\":9}");

    assert_int_equal(count(page), 0);
    assert_false(has_more(page));
    assert_string_equal(member(page, "stored"), sql("select position from cursors where lane = 0"));
    assert_string_equal(member(page, "oldest"), sql("select id_at('2023-11-01 00:00+00')"));
    json_decref(page);
}

static void test_a_page_ends_where_its_texts_are_too_long(void **state)
{
    json_t *page;

    sql("update messages set text = repeat('x', 4096) where room_id = 1");
    page = ask(pages_events, "{\"chain\":\"r:lobby\"," ALL ",\"limit\":500,\"newest\":true}");
    assert_int_equal(count(page), 10);
    json_decref(page);
    sql("update messages set text = repeat('x', 8192) where room_id = 1");
    page = ask(pages_events, "{\"chain\":\"r:lobby\"," ALL ",\"limit\":500,\"newest\":true}");
    assert_int_equal(count(page), 8);
    assert_true(has_more(page));
    json_decref(page);
    sql("update messages set text = repeat('x', 70000) where room_id = 1");
    page = ask(pages_events, "{\"chain\":\"r:lobby\"," ALL ",\"limit\":500}");
    assert_int_equal(count(page), 1);
    assert_true(has_more(page));
    json_decref(page);
}

static void test_pages_in_either_direction_have_every_event_once(void **state)
{
    char until[32] = "9223372036854775807", after[32] = "0", seen[256] = "", *end = seen;

    for (bool more = true; more;) {
        json_t *page = ask(pages_events,
                           "{\"chain\":\"r:lobby\",\"after\":\"0\",\"until\":\"%s\",\"limit\":3,"
                           "\"newest\":true}",
                           until);

        snprintf(until, sizeof until, "%lld", atoll(member(event(page, 0), "id")) - 1);
        more = has_more(page);
        end += sprintf(end, "%s,", texts(page));
    }
    assert_string_equal(seen, "m16 m18 m20,m10 m12 m14,m4 m6 m8,m2,");
    end = seen;
    for (bool more = true; more;) {
        json_t *page = ask(pages_events,
                           "{\"chain\":\"r:lobby\",\"after\":\"%s\",\"until\":\"9223372036854775807\","
                           "\"limit\":4}",
                           after);

        strcpy(after, member(event(page, count(page) - 1), "id"));
        more = has_more(page);
        end += sprintf(end, "%s,", texts(page));
    }
    assert_string_equal(seen, "m2 m4 m6 m8,m10 m12 m14 m16,m18 m20,");
}

static void test_pages_go_on_over_the_end_of_a_month(void **state)
{
    sql("select make_month(id_at('2024-01-15')), make_month(id_at('2024-02-15'))");
    sql("insert into messages (id, prev, room_id, sender_id, text)"
        " select id_at('2024-01-25 00:00+00'::timestamptz + n * interval '1 day'), 1, 1, 1, 'd' || n"
        " from generate_series(1, 14) n");
    sql("update cursors set position = id_at('2025-01-01')");
    assert_string_equal(
        texts(ask(pages_events, "{\"chain\":\"r:lobby\"," ALL ",\"limit\":15,\"newest\":true}")),
        "m20 d1 d2 d3 d4 d5 d6 d7 d8 d9 d10 d11 d12 d13 d14");
    assert_string_equal(texts(ask(pages_events, "{\"chain\":\"r:lobby\"," ALL ",\"limit\":12}")),
                        "m2 m4 m6 m8 m10 m12 m14 m16 m18 m20 d1 d2");
    sql("drop table messages_2024_01, messages_2024_02");
}

static void test_directs_say_to_whom_and_who_held_the_names(void **state)
{
    json_t *page;

    direct(1, 1, "a:7", 2, "g1-00000001-2", "psst");
    direct(2, 2, "g1-00000001-2", 1, "a:7", "what");
    page = ask(pages_events, "{\"chain\":\"u:bob\"," ALL ",\"limit\":9}");
    assert_int_equal(count(page), 1);
    assert_string_equal(member(event(page, 0), "from"), "Alice");
    assert_string_equal(member(event(page, 0), "to"), "Bob");
    assert_string_equal(member(event(page, 0), "for"), "g1-00000001-2");
    assert_string_equal(member(event(page, 0), "by"), "a:7");
    json_decref(page);
}

static void test_a_conversation_is_what_the_two_said_under_these_holders(void **state)
{
    direct(1, 1, "a:7", 2, "k2", "hi");
    direct(2, 2, "k2", 1, "a:7", "ho");
    direct(3, 1, "a:7", 3, "k3", "to-carol");
    direct(4, 3, "k3", 1, "a:7", "of-carol");
    direct(5, 1, "stranger", 2, "k2", "by-a-stranger");
    direct(6, 2, "k2", 1, "stranger", "for-a-stranger");
    direct(7, 1, "g1-1", 2, "k2", "as-guest");
    assert_string_equal(
        texts(ask(pages_conversation, "{\"name\":\"alice\",\"holders\":[\"a:7\"],\"with\":\"bob\"," ALL
                                      ",\"limit\":9,\"newest\":true}")),
        "hi ho");
    assert_string_equal(texts(ask(pages_conversation,
                                  "{\"name\":\"alice\",\"holders\":[\"a:7\",\"g1-1\"],\"with\":\"bob\"," ALL
                                  ",\"limit\":9}")),
                        "hi ho as-guest");
    assert_string_equal(
        texts(ask(pages_conversation,
                  "{\"name\":\"bob\",\"holders\":[\"k2\"],\"with\":\"alice\"," ALL ",\"limit\":9}")),
        "hi ho by-a-stranger for-a-stranger as-guest");
    assert_string_equal(
        texts(ask(pages_conversation,
                  "{\"name\":\"alice\",\"holders\":[\"a:7\"],\"with\":\"nobody\"," ALL ",\"limit\":9}")),
        "");
}

static void test_what_one_said_to_oneself_is_in_a_conversation_once(void **state)
{
    direct(1, 1, "a:7", 1, "a:7", "note");
    direct(2, 1, "g1-1", 1, "a:7", "got");
    direct(3, 1, "a:7", 1, "g1-1", "said");
    direct(4, 1, "stranger", 1, "stranger", "of-a-stranger");
    assert_string_equal(texts(ask(pages_conversation, "{\"name\":\"alice\",\"holders\":[\"a:7\",\"a:7\"],"
                                                      "\"with\":\"alice\"," ALL ",\"limit\":9}")),
                        "note got said");
    assert_string_equal(
        texts(ask(pages_conversation, "{\"name\":\"alice\",\"holders\":[\"a:7\",\"g1-1\"],"
                                      "\"with\":\"alice\"," ALL ",\"limit\":9,\"newest\":true}")),
        "note got said");
}

/* Three holders, both directions, over the end of a month: what is merged is as what was said. */
static void test_pages_of_a_conversation_have_every_event_once_and_in_order(void **state)
{
    char until[32] = "9223372036854775807", seen[512] = "", *end = seen;

    sql("select make_month(id_at('2023-12-15'))");
    sql("insert into messages (id, prev, recipient_id, sender_id, text, recipient_holder, sender_holder)"
        " select id_at('2023-11-24 00:00+00'::timestamptz + n * interval '1 day'), 1, 1 + n %% 2, 2 - n %% "
        "2, n,"
        " case n %% 2 when 0 then 'h' || n %% 4 else 'k2' end, case n %% 2 when 1 then 'h' || n %% 3 else "
        "'k2' end"
        " from generate_series(1, 14) n");
    sql("update cursors set position = id_at('2025-01-01')");
    for (bool more = true; more;) {
        json_t *page = ask(pages_conversation,
                           "{\"name\":\"alice\",\"holders\":[\"h0\",\"h1\",\"h2\"],\"with\":\"bob\","
                           "\"after\":\"0\",\"until\":\"%s\",\"limit\":4,\"newest\":true}",
                           until);

        snprintf(until, sizeof until, "%lld", atoll(member(event(page, 0), "id")) - 1);
        more = has_more(page);
        end += sprintf(end, "%s,", texts(page));
    }
    assert_string_equal(seen, "11 12 13 14,7 8 9 10,3 4 5 6,1 2,");
    assert_string_equal(
        texts(ask(pages_conversation, "{\"name\":\"alice\",\"holders\":[\"h0\",\"h1\",\"h2\"],"
                                      "\"with\":\"bob\"," ALL ",\"limit\":12}")),
        "1 2 3 4 5 6 7 8 9 10 11 12");
    sql("drop table messages_2023_12");
}

static void test_a_conversation_says_how_far_both_lanes_are_stored(void **state)
{
    json_t *page;

    sql("update cursors set position = position + lane");
    page = ask(pages_conversation,
               "{\"name\":\"alice\",\"holders\":[\"a:7\"],\"with\":\"bob\"," ALL ",\"limit\":9}");
    assert_string_equal(member(page, "stored"),
                        sql("select position from cursors where lane = %u", lane_of("alice")));
    assert_string_equal(member(page, "stored_with"),
                        sql("select position from cursors where lane = %u", lane_of("bob")));
    json_decref(page);
}

static void test_unread_are_the_directs_for_this_account_and_no_other(void **state)
{
    direct(1, 1, "a:7", 2, "k2", "for-a-guest");
    direct(2, 1, "a:7", 2, "a:8", "one");
    direct(3, 1, "a:7", 2, "a:9", "for-the-next-account");
    direct(4, 3, "k3", 2, "a:8", "two");
    assert_string_equal(texts(ask(pages_unread, "{\"name\":\"bob\",\"account\":\"8\"," ALL ",\"limit\":9}")),
                        "one two");
    sql("update messages set is_read = true where text = 'one'");
    assert_string_equal(texts(ask(pages_unread, "{\"name\":\"bob\",\"account\":\"8\"," ALL ",\"limit\":9}")),
                        "two");
    assert_string_equal(sql("select unread('a:8')"), "1");
}

static long long remaining(json_t *answer)
{
    long long n = json_integer_value(json_object_get(answer, "unread"));

    assert_true(json_is_true(json_object_get(answer, "ok")));
    json_decref(answer);
    return n;
}

static void test_reading_marks_what_was_read_and_tells_what_remains(void **state)
{
    for (unsigned seq = 1; seq <= 5; seq++)
        direct(seq, seq == 3 ? 2 : 1, "a:7", 2, seq == 2 ? "a:9" : "a:8", "x");
    assert_int_equal(
        remaining(ask(pages_read,
                      "{\"name\":\"bob\",\"account\":\"8\",\"from\":\"alice\",\"until\":\"%lld\"}",
                      id(3, 4))),
        2);
    assert_string_equal(
        sql("select string_agg((id & 16383)::text, ' ' order by id) from messages where is_read"), "1 4");
    assert_int_equal(
        remaining(ask(pages_read,
                      "{\"name\":\"bob\",\"account\":\"8\",\"from\":\"nobody\",\"until\":\"%lld\"}",
                      id(3, 5))),
        2);
    assert_int_equal(
        remaining(ask(pages_read, "{\"name\":\"bob\",\"account\":\"8\",\"until\":\"%lld\"}", id(3, 5))), 0);
    assert_string_equal(
        sql("select string_agg((id & 16383)::text, ' ' order by id) from messages where is_read"), "1 3 4 5");
}

static void test_reading_marks_thousands(void **state)
{
    sql("insert into messages (id, prev, recipient_id, sender_id, text, recipient_holder, sender_holder)"
        " select %lld + n, 1, 2, 1, 'x', 'a:8', 'a:7' from generate_series(1, 3500) n",
        id(3, 0));
    sql("update cursors set position = %lld", id(3, 4000));
    assert_int_equal(
        remaining(ask(pages_read, "{\"name\":\"bob\",\"account\":\"8\",\"until\":\"%lld\"}", id(3, 3400))),
        100);
}

static void test_reading_is_asked_again_until_it_is_stored(void **state)
{
    direct(1, 1, "a:7", 2, "a:8", "x");
    assert_ptr_equal(ask(pages_read, "{\"name\":\"bob\",\"account\":\"8\",\"until\":\"%lld\"}", id(7, 150)),
                     ASK_AGAIN);
    assert_string_equal(sql("select bool_or(is_read) from messages"), "f");
    sql("update cursors set position = %lld", id(7, 200));
    assert_int_equal(
        remaining(ask(pages_read, "{\"name\":\"bob\",\"account\":\"8\",\"until\":\"%lld\"}", id(7, 150))), 0);
}

static void test_what_cannot_be_understood_is_a_bad_request(void **state)
{
    static const struct {
        ask_fn *fn;
        const char *request;
    } bad[] = {
        {pages_events, "{}"},
        {pages_events, "{\"chain\":\"r:dev\",\"limit\":1}"},
        {pages_events, "{\"chain\":\"r:dev\"," ALL "}"},
        {pages_events, "{\"chain\":\"r:dev\"," ALL ",\"limit\":0}"},
        {pages_events, "{\"chain\":\"r:dev\"," ALL ",\"limit\":501}"},
        {pages_events, "{\"chain\":\"r:dev\"," ALL ",\"limit\":\"5\"}"},
        {pages_events, "{\"chain\":\"r:dev\"," ALL ",\"limit\":5,\"newest\":1}"},
        {pages_events, "{\"chain\":\"r:dev\",\"after\":0,\"until\":\"5\",\"limit\":5}"},
        {pages_events, "{\"chain\":\"r:dev\",\"after\":\"-1\",\"until\":\"5\",\"limit\":5}"},
        {pages_events, "{\"chain\":\"r:dev\",\"after\":\"0\",\"until\":\"9223372036854775808\",\"limit\":5}"},
        {pages_events, "{\"chain\":\"dev\"," ALL ",\"limit\":5}"},
        {pages_events, "{\"chain\":\"r:DEV\"," ALL ",\"limit\":5}"},
        {pages_events, "{\"chain\":\"x:dev\"," ALL ",\"limit\":5}"},
        {pages_conversation, "{\"name\":\"bob\",\"with\":\"alice\"," ALL ",\"limit\":5}"},
        {pages_conversation, "{\"name\":\"bob\",\"holders\":[],\"with\":\"alice\"," ALL ",\"limit\":5}"},
        {pages_conversation, "{\"name\":\"bob\",\"holders\":[1],\"with\":\"alice\"," ALL ",\"limit\":5}"},
        {pages_conversation,
         "{\"name\":\"bob\",\"holders\":[\"a\",\"b\",\"c\",\"d\"],\"with\":\"alice\"," ALL ",\"limit\":5}"},
        {pages_conversation, "{\"name\":\"Bob\",\"holders\":[\"a\"],\"with\":\"alice\"," ALL ",\"limit\":5}"},
        {pages_unread, "{\"name\":\"bob\"," ALL ",\"limit\":5}"},
        {pages_unread, "{\"name\":\"bob\",\"account\":8," ALL ",\"limit\":5}"},
        {pages_unread, "{\"name\":\"bob\",\"account\":\"x\"," ALL ",\"limit\":5}"},
        {pages_read, "{\"name\":\"bob\",\"account\":\"8\"}"},
        {pages_read, "{\"name\":\"bob\",\"account\":\"8\",\"until\":\"1\",\"from\":2}"},
    };

    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_error(ask(bad[i].fn, "%s", bad[i].request), "bad-request");
}

static void test_a_lost_database_is_unavailable(void **state)
{
    sql("select pg_terminate_backend(pid) from pg_stat_activity where usename = 'hubbub_store'");
    assert_error(ask(pages_events, "{\"chain\":\"r:dev\"," ALL ",\"limit\":5}"), "unavailable");
    assert_false(database_is_up(worker.database));
}

/* Rows and cursor move together; an answer that mixed two moments would have one without the other. */
static void test_an_answer_is_of_one_moment(void **state)
{
    PGconn *other = PQconnectdb(getenv("TEST_POSTGRES_URL"));
    char text[1024], newest[32];
    int looks = 0;

    snprintf(text, sizeof text,
             "do $$ begin for n in 101..3000 loop"
             " with moved as (update cursors set position = %lld + n where lane = 6 returning 1)"
             " insert into messages (id, prev, room_id, sender_id, text) select %lld + n, 1, 1, 1, 'n' from "
             "moved;"
             " commit; end loop; end $$",
             id(LOBBY_LANE, 0), id(LOBBY_LANE, 0));
    assert_int_equal(PQsendQuery(other, text), 1);
    await_sql(10, "select position > %lld from cursors where lane = 6", id(LOBBY_LANE, 100));
    while (PQconsumeInput(other) && PQisBusy(other)) {
        json_t *page = ask(pages_events, "{\"chain\":\"r:lobby\"," ALL ",\"limit\":1,\"newest\":true}");

        snprintf(newest, sizeof newest, "%s", member(event(page, 0), "id"));
        if (atoll(newest) > id(LOBBY_LANE, 100))
            assert_string_equal(newest, member(page, "stored"));
        json_decref(page);
        looks++;
    }
    assert_true(looks > 10);
    PQfinish(other);
}

/* Plans -------------------------------------------------------------------------------------------------- */

/* The plans by which rows were found since, as auto_explain tells them. */
static char plans[1 << 18];

static void on_notice(void *ctx, const char *message)
{
    if (strstr(message, "from public.messages where"))
        snprintf(plans + strlen(plans), sizeof plans - strlen(plans), "%s", message);
}

/* The buffers that one page touches, when the catalog is known to the connection. */
static long cost_of(PGconn *planner, const char *arguments)
{
    char text[512];
    const char *at;
    long buffers = -1;

    for (int i = 0; i < 2; i++) {
        PGresult *result;

        plans[0] = '\0';
        snprintf(text, sizeof text, "explain (analyze, buffers, format json) select * from page(%s)",
                 arguments);
        result = PQexec(planner, text);
        if (PQresultStatus(result) != PGRES_TUPLES_OK)
            give_up(PQerrorMessage(planner));
        at = strstr(PQgetvalue(result, 0, 0), "\"Shared Hit Blocks\": ");
        buffers = strtol(at + strlen("\"Shared Hit Blocks\": "), NULL, 10);
        at = strstr(at, "\"Shared Read Blocks\": ");
        buffers += strtol(at + strlen("\"Shared Read Blocks\": "), NULL, 10);
        PQclear(result);
    }
    return buffers;
}

/* Four rooms, one of them rare, and directs: 240,000 rows in three months, most of them never analysed. */
static void make_much(void)
{
    sql("select make_month(id_at('2023-12-15')), make_month(id_at('2024-01-15')), "
        "make_month(id_at('2024-02-15')), make_month(id_at('2024-03-15'))");
    sql("insert into rooms (id, name) overriding system value values (3, 'rare'), (4, 'big')");
    sql("insert into messages (id, prev, room_id, recipient_id, sender_id, text, recipient_holder, "
        "sender_holder)"
        " select id_at('2024-01-01 00:00+00'::timestamptz + n * interval '32 seconds'), 1,"
        " case when n %% 20 = 0 then null when n %% 4000 = 1 then 3 when n %% 10 = 2 then 1 else 4 end,"
        " case when n %% 20 = 0 then 1 + n / 20 %% 2 end, 3 - n / 20 %% 2, 'text ' || n,"
        " case when n %% 20 = 0 then 'a:' || 1 + n / 20 %% 2 end,"
        " case when n %% 20 = 0 then 'a:' || 3 - n / 20 %% 2 end"
        " from generate_series(0, 239999) n");
    sql("analyze messages_2024_01");
    sql("update cursors set position = id_at('2024-04-01 00:00+00') - 1");
}

/* A page of which every row is read by this index (it may be read twice, merged). */
static void assert_cheap(PGconn *planner, const char *what, const char *index)
{
    static const char *const days[] = {"2024-03-30", "2024-03-01", "2024-02-14", "2024-01-31", "2024-01-02"};

    for (size_t i = 0; i < 2 * sizeof days / sizeof *days; i++) {
        char arguments[256];
        long buffers;
        bool newest = i % 2;

        snprintf(arguments, sizeof arguments,
                 newest ? "%s, 0, id_at('%s 00:00+00'), true, 51, 65536"
                        : "%s, id_at('%s 00:00+00'), %s, false, 51, 65536",
                 what, days[i / 2], "id_at('2025-01-01')");
        buffers = cost_of(planner, arguments);
        if (buffers > 300 || !strstr(plans, index) || strstr(plans, "_pkey") || strstr(plans, "Seq Scan") ||
            strstr(plans, "_sender_id_id_idx") || strstr(plans, "\"Sort\"")) {
            fprintf(stderr, "page(%s): %ld buffers, index %s\n%s", arguments, buffers, index, plans);
            give_up("a page costs too much, or its plan is another one");
        }
    }
}

static void test_a_page_at_any_depth_reads_one_index_and_few_blocks(void **state)
{
    PGconn *planner = PQconnectdb(getenv("TEST_POSTGRES_URL"));

    make_much();
    PQsetNoticeProcessor(planner, on_notice, NULL);
    PQclear(PQexec(planner, "load 'auto_explain'; set auto_explain.log_min_duration = 0;"
                            "set auto_explain.log_nested_statements = on; set auto_explain.log_format = json;"
                            "set client_min_messages = log"));
    assert_cheap(planner, "'room', 4, null, null", "_room_id_id_idx");
    assert_cheap(planner, "'room', 1, null, null", "_room_id_id_idx");
    assert_cheap(planner, "'room', 3, null, null", "_room_id_id_idx");
    assert_cheap(planner, "'recipient', 1, null, null", "_recipient_id_id_idx");
    assert_cheap(planner, "'pair', 1, 3, '{a:1}'", "_recipient_holder_recipient_id_sender_id_");
    assert_cheap(planner, "'pair', 1, 3, '{a:1}'", "_sender_holder_sender_id_recipient_id_");
    assert_cheap(planner, "'pair', 1, 3, '{x,a:1,y}'", "_recipient_holder_recipient_id_sender_id_");
    assert_cheap(planner, "'pair', 1, 3, '{g1-1,g1-2,g1-3}'", "_sender_holder_sender_id_recipient_id_");
    assert_cheap(planner, "'pair', 1, 2, '{a:1}'", "_recipient_holder_recipient_id_sender_id_");
    assert_cheap(planner, "'unread', null, null, '{a:2}'", "_recipient_holder_id_idx");
    PQfinish(planner);
    sql("drop table messages_2023_12, messages_2024_01, messages_2024_02, messages_2024_03");
}

/*
 * 60,000 directs of others between these two names, and four of this holder: with the statistics of
 * yesterday, and today's, when who has just come says nothing at all.
 */
static void test_a_conversation_costs_nothing_of_what_others_said_under_these_names(void **state)
{
    static const char *const holders[] = {"{a:1}", "{g1-1}", "{g1-1,a:1,k2}"};
    PGconn *planner = PQconnectdb(getenv("TEST_POSTGRES_URL"));
    char arguments[256];

    sql("insert into messages (id, prev, recipient_id, sender_id, text, recipient_holder, sender_holder)"
        " select %lld + (n << 20), 1, 1 + n %% 2, 2 - n %% 2, n,"
        " case when n %% 20000 = 0 then 'a:1' else 'old' end, 'old' from generate_series(0, 59999::bigint) n",
        id(3, 1));
    sql("insert into messages (id, prev, recipient_id, sender_id, text, recipient_holder, sender_holder)"
        " values (%lld, 1, 2, 1, 'said', 'old', 'a:1')",
        id(3, 2));
    sql("update cursors set position = id_at('2023-12-01 00:00+00')");
    for (int analysed = 0; analysed < 2; analysed++) {
        for (size_t i = 0; i < 2 * sizeof holders / sizeof *holders; i++) {
            long buffers;

            snprintf(arguments, sizeof arguments, "'pair', 1, 2, '%s', 0, id_at('2025-01-01'), %s, 51, 65536",
                     holders[i / 2], i % 2 ? "true" : "false");
            buffers = cost_of(planner, arguments);
            if (buffers > 200)
                fprintf(stderr, "page(%s): %ld buffers\n", arguments, buffers);
            assert_true(buffers <= 200);
        }
        sql("analyze messages_2023_11");
    }
    assert_string_equal(sql("select string_agg(text, ' ' order by id) from page('pair', 1, 2, '{a:1}', 0,"
                            " id_at('2025-01-01'), true, 51, 65536)"),
                        "0 said 20000 40000");
    PQfinish(planner);
}

int main(int argc, char **argv)
{
#define PAGES_TEST(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
    const struct CMUnitTest tests[] = {
        PAGES_TEST(test_the_newest_events_come_oldest_first),
        PAGES_TEST(test_the_oldest_events_after_an_id_are_a_page_too),
        PAGES_TEST(test_a_range_excludes_its_after_and_includes_its_until),
        PAGES_TEST(test_an_event_says_who_said_what_after_which),
        PAGES_TEST(test_a_page_says_what_is_stored_and_what_is_kept),
        PAGES_TEST(test_a_page_ends_where_its_texts_are_too_long),
        PAGES_TEST(test_pages_in_either_direction_have_every_event_once),
        PAGES_TEST(test_pages_go_on_over_the_end_of_a_month),
        PAGES_TEST(test_directs_say_to_whom_and_who_held_the_names),
        PAGES_TEST(test_a_conversation_is_what_the_two_said_under_these_holders),
        PAGES_TEST(test_what_one_said_to_oneself_is_in_a_conversation_once),
        PAGES_TEST(test_pages_of_a_conversation_have_every_event_once_and_in_order),
        PAGES_TEST(test_a_conversation_says_how_far_both_lanes_are_stored),
        PAGES_TEST(test_unread_are_the_directs_for_this_account_and_no_other),
        PAGES_TEST(test_reading_marks_what_was_read_and_tells_what_remains),
        PAGES_TEST(test_reading_marks_thousands),
        PAGES_TEST(test_reading_is_asked_again_until_it_is_stored),
        PAGES_TEST(test_what_cannot_be_understood_is_a_bad_request),
        PAGES_TEST(test_a_lost_database_is_unavailable),
        PAGES_TEST(test_an_answer_is_of_one_moment),
        PAGES_TEST(test_a_page_at_any_depth_reads_one_index_and_few_blocks),
        PAGES_TEST(test_a_conversation_costs_nothing_of_what_others_said_under_these_names),
    };

    harness_arguments(argc, argv);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
