/* event: bodies and live forms, there and back, and what is none of ours. */
#include "unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "event.h"

#define GOOD "{\"from\":\"Alice\",\"session\":\"g1-a-1\",\"room\":\"lobby\",\"text\":\"hi\"}"

static struct event *from_body(const char *body)
{
    return event_from_body(id_make(5, 1, 0), id_make(4, 1, 0), body, strlen(body));
}

static void assert_refused(const char *body)
{
    struct event *event = from_body(body);

    if (event)
        fail_msg("taken: %.200s", body);
}

static void test_a_message_goes_round(void **state)
{
    static const char text[] = "zażółć \"quotes\" \\ \t two\nlines 😀";
    char *body = event_body("Alice", "g1-a-1", "lobby", text);
    struct event *event = from_body(body);

    assert_non_null(event);
    assert_int_equal(event->id, id_make(5, 1, 0));
    assert_int_equal(event->prev, id_make(4, 1, 0));
    assert_string_equal(event->from, "Alice");
    assert_string_equal(event->session, "g1-a-1");
    assert_string_equal(event->place, "lobby");
    assert_string_equal(event->text, text);
    assert_false(event->direct);
    event_drop(event);
    free(body);
}

static void test_a_direct_goes_round(void **state)
{
    char *body = event_direct_body("Alice", "g1-a-1", "a:12", "Bob", "g2-b-7", "psst");
    struct event *event = from_body(body);

    assert_non_null(event);
    assert_string_equal(event->place, "Bob");
    assert_string_equal(event->whom, "g2-b-7");
    assert_string_equal(event->by, "a:12");
    assert_true(event->direct);
    event_drop(event);
    free(body);
}

static void test_a_body_is_one_line_of_json(void **state)
{
    char *body = event_body("Alice", "g1-a-1", "lobby", "two\nlines");

    assert_string_equal(
        body, "{\"from\":\"Alice\",\"session\":\"g1-a-1\",\"room\":\"lobby\",\"text\":\"two\\nlines\"}");
    free(body);
}

static void test_a_text_of_4096_bytes_goes_round(void **state)
{
    char text[TEXT_MAX_BYTES + 1], *body;
    struct event *event;

    memset(text, '"', TEXT_MAX_BYTES);
    text[TEXT_MAX_BYTES] = '\0';
    body = event_body("Alice", "g1-a-1", "lobby", text);
    event = from_body(body);
    assert_non_null(event);
    assert_string_equal(event->text, text);
    assert_true(event->size >= TEXT_MAX_BYTES);
    event_drop(event);
    free(body);
}

static void test_a_live_form_is_id_prev_body(void **state)
{
    static const char live[] = "1760000000123-4 1760000000000-0 " GOOD;
    struct event *event = event_from_live(3, live, strlen(live));

    assert_non_null(event);
    assert_int_equal(event->id, id_make(1760000000123, 3, 4));
    assert_int_equal(event->prev, id_make(1760000000000, 3, 0));
    assert_string_equal(event->text, "hi");
    event_drop(event);
}

static void test_what_is_no_live_form_is_refused(void **state)
{
    static const char *const bad[] = {"",
                                      " ",
                                      "1-1",
                                      "1-1 ",
                                      "1-1 1-0",
                                      "1-1 1-0 ",
                                      "1-1  " GOOD,
                                      "1 1-0 " GOOD,
                                      "1-1 1 " GOOD,
                                      "x 1-0 " GOOD,
                                      "+g1-a-1 1760000000123 Alice",
                                      "1-1 1-0 {}",
                                      "1-99999 1-0 " GOOD};

    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_null(event_from_live(3, bad[i], strlen(bad[i])));
}

static void test_a_live_form_ends_at_its_length(void **state)
{
    static const char live[] = "2-0 1-0 " GOOD;

    for (size_t len = 0; len < sizeof live - 1; len++) {
        char *exact = malloc(len + 1); /* nothing behind it may be read */

        memcpy(exact, live, len);
        exact[len] = 'x';
        assert_null(event_from_live(3, exact, len));
        free(exact);
    }
}

static void test_what_is_not_json_is_refused(void **state)
{
    static const char *const bad[] = {
        "", " ", "null", "1", "\"x\"", "[]", "{}", "{", "}", "{\"from\":\"Alice\"", "nul", "\xff"};

    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_refused(bad[i]);
    assert_refused(GOOD GOOD);
    assert_refused(GOOD "x");
}

static void test_a_missing_or_wrong_field_is_refused(void **state)
{
    assert_refused("{\"session\":\"s\",\"room\":\"r\",\"text\":\"t\"}");
    assert_refused("{\"from\":\"f\",\"room\":\"r\",\"text\":\"t\"}");
    assert_refused("{\"from\":\"f\",\"session\":\"s\",\"text\":\"t\"}");
    assert_refused("{\"from\":\"f\",\"session\":\"s\",\"room\":\"r\"}");
    assert_refused("{\"from\":1,\"session\":\"s\",\"room\":\"r\",\"text\":\"t\"}");
    assert_refused("{\"from\":null,\"session\":\"s\",\"room\":\"r\",\"text\":\"t\"}");
    assert_refused("{\"from\":\"f\",\"session\":\"s\",\"room\":[],\"text\":\"t\"}");
    assert_refused("{\"from\":\"f\",\"session\":\"s\",\"room\":\"r\",\"text\":{}}");
}

static void test_room_and_recipient_at_once_are_refused(void **state)
{
    assert_refused("{\"from\":\"f\",\"session\":\"s\",\"room\":\"r\",\"to\":\"b\",\"text\":\"t\"}");
}

static void test_a_direct_that_does_not_say_for_whom_and_by_whom_is_refused(void **state)
{
    assert_refused("{\"from\":\"f\",\"session\":\"s\",\"to\":\"b\",\"text\":\"t\"}");
    assert_refused("{\"from\":\"f\",\"session\":\"s\",\"to\":\"b\",\"for\":\"w\",\"text\":\"t\"}");
    assert_refused("{\"from\":\"f\",\"session\":\"s\",\"to\":\"b\",\"by\":\"s\",\"text\":\"t\"}");
    assert_refused(
        "{\"from\":\"f\",\"session\":\"s\",\"to\":\"b\",\"for\":\"w\",\"by\":\"s 2\",\"text\":\"t\"}");
}

static void test_names_that_are_not_one_word_are_refused(void **state)
{
    assert_refused("{\"from\":\"a b\",\"session\":\"s\",\"room\":\"r\",\"text\":\"t\"}");
    assert_refused("{\"from\":\"\",\"session\":\"s\",\"room\":\"r\",\"text\":\"t\"}");
    assert_refused("{\"from\":\"f\",\"session\":\"s\\n\",\"room\":\"r\",\"text\":\"t\"}");
    assert_refused("{\"from\":\"f\",\"session\":\"s\",\"to\":\"\\u001b\",\"text\":\"t\"}");
}

static void test_a_text_that_may_not_be_said_is_refused(void **state)
{
    assert_refused("{\"from\":\"f\",\"session\":\"s\",\"room\":\"r\",\"text\":\"\"}");
    assert_refused("{\"from\":\"f\",\"session\":\"s\",\"room\":\"r\",\"text\":\"\\u001b[31m\"}");
    assert_refused("{\"from\":\"f\",\"session\":\"s\",\"room\":\"r\",\"text\":\"\\u2028\"}");
    assert_refused("{\"from\":\"f\",\"session\":\"s\",\"room\":\"r\",\"text\":\"\\ud800\"}");
    assert_refused("{\"from\":\"f\",\"session\":\"s\",\"room\":\"r\",\"text\":\"\xff\"}");
}

static void test_a_text_of_4097_bytes_is_refused(void **state)
{
    char text[TEXT_MAX_BYTES + 2], *body;

    memset(text, 'x', TEXT_MAX_BYTES + 1);
    text[TEXT_MAX_BYTES + 1] = '\0';
    body = event_body("Alice", "g1-a-1", "lobby", text);
    assert_refused(body);
    free(body);
}

static void test_nul_is_refused_raw_and_escaped(void **state)
{
    static const char raw[] = "{\"from\":\"f\",\"session\":\"s\",\"room\":\"r\",\"text\":\"a\0b\"}";

    assert_refused("{\"from\":\"f\",\"session\":\"s\",\"room\":\"r\",\"text\":\"a\\u0000b\"}");
    assert_refused("{\"from\":\"f\\u0000g\",\"session\":\"s\",\"room\":\"r\",\"text\":\"t\"}");
    assert_null(event_from_body(2, 1, raw, sizeof raw - 1));
}

static void test_of_a_field_given_twice_one_counts(void **state)
{
    struct event *event =
        from_body("{\"from\":\"a\",\"from\":\"b\",\"session\":\"s\",\"room\":\"r\",\"text\":\"t\"}");

    assert_non_null(event);
    assert_string_equal(event->from, "b");
    event_drop(event);
}

static void test_unknown_fields_are_ignored(void **state)
{
    struct event *event =
        from_body("{\"more\":[{}],\"from\":\"a\",\"session\":\"s\",\"room\":\"r\",\"text\":\"t\"}");

    assert_non_null(event);
    event_drop(event);
}

static void test_deep_nesting_is_refused(void **state)
{
    size_t depth = 100000;
    char *body = malloc(2 * depth + 64);

    memset(body, '[', depth);
    memset(body + depth, ']', depth);
    body[2 * depth] = '\0';
    assert_refused(body);
    strcpy(body, "{\"more\":");
    memset(body + strlen(body), '[', depth);
    body[depth] = '\0';
    assert_refused(body);
    free(body);
}

static void test_the_last_reference_frees(void **state)
{
    struct event *event = from_body(GOOD);

    assert_ptr_equal(event_hold(event), event);
    event_drop(event);
    assert_string_equal(event->text, "hi");
    event_drop(event);
    event_drop(NULL);
}

static void test_what_is_not_utf8_has_no_body(void **state)
{
    assert_null(event_body("Alice", "g1-a-1", "lobby", "\xff"));
    assert_null(session_open_record("s", "\xff", "g", "d", "a"));
}

static void test_an_opening_record_says_who_and_where(void **state)
{
    char *record = session_open_record("g1-a-1", "Alice", "g1", "json", "127.0.0.1");

    assert_string_equal(record, "{\"open\":{\"session\":\"g1-a-1\",\"name\":\"Alice\",\"gateway\":\"g1\","
                                "\"dialect\":\"json\",\"address\":\"127.0.0.1\"}}");
    free(record);
}

static void assert_channel(const char *chain, const char *expected)
{
    char channel[CHANNEL_MAX_BYTES], back[CHAIN_MAX_BYTES];

    chain_channel(chain, channel);
    assert_string_equal(channel, expected);
    assert_true(channel_chain(channel, back));
    assert_string_equal(back, chain);
}

static void test_a_chain_has_a_channel_and_the_channel_leads_back(void **state)
{
    char expected[CHANNEL_MAX_BYTES];

    assert_channel("r:lobby", "hubbub:{6}:room:lobby");
    snprintf(expected, sizeof expected, "hubbub:{%u}:user:bob", lane_of("bob"));
    assert_channel("u:bob", expected);
    snprintf(expected, sizeof expected, "hubbub:{%u}:room:żółw", lane_of("żółw"));
    assert_channel("r:żółw", expected);
}

static void test_a_room_and_a_user_of_the_same_name_have_two_chains_in_one_lane(void **state)
{
    char room[CHAIN_MAX_BYTES], user[CHAIN_MAX_BYTES], of_room[CHANNEL_MAX_BYTES], of_user[CHANNEL_MAX_BYTES];

    chain_name('r', "alice", room);
    chain_name('u', "alice", user);
    assert_string_equal(room, "r:alice");
    assert_string_equal(user, "u:alice");
    assert_int_equal(chain_lane(room), chain_lane(user));
    assert_int_equal(chain_lane(room), lane_of("alice"));
    chain_channel(room, of_room);
    chain_channel(user, of_user);
    assert_string_not_equal(of_room, of_user);
}

/* Makes a name of `bytes` bytes, longer than any that a client may have. */
static void long_name(char *name, size_t bytes)
{
    memset(name, 'x', bytes);
    name[bytes] = '\0';
}

static void test_the_longest_name_fits_and_one_byte_more_is_refused(void **state)
{
    char name[ROOM_MAX_BYTES + 1], channel[CHANNEL_MAX_BYTES + 8], chain[CHAIN_MAX_BYTES];

    long_name(name, ROOM_MAX_BYTES - 1);
    chain_name('r', name, chain);
    chain_channel(chain, channel);
    assert_true(channel_chain(channel, chain));
    assert_string_equal(chain + 2, name);
    long_name(name, ROOM_MAX_BYTES);
    snprintf(channel, sizeof channel, "hubbub:{0}:user:%s", name);
    assert_false(channel_chain(channel, chain));
}

static void test_a_channel_that_is_no_chains_is_refused(void **state)
{
    static const char *const bad[] = {"",
                                      "}",
                                      "lobby",
                                      "r:lobby",
                                      "hubbub:{0}",
                                      "hubbub:{0}:",
                                      "hubbub:{0}:room",
                                      "hubbub:{0}:user",
                                      "hubbub:{0}:rooms:lobby",
                                      "hubbub:{0}:users:bob",
                                      "hubbub:{0}:gateway:g1-a",
                                      "hubbub:room:lobby"};
    char chain[CHAIN_MAX_BYTES];

    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        if (channel_chain(bad[i], chain))
            fail_msg("taken: %s", bad[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_message_goes_round),
        cmocka_unit_test(test_a_direct_goes_round),
        cmocka_unit_test(test_a_body_is_one_line_of_json),
        cmocka_unit_test(test_a_text_of_4096_bytes_goes_round),
        cmocka_unit_test(test_a_live_form_is_id_prev_body),
        cmocka_unit_test(test_what_is_no_live_form_is_refused),
        cmocka_unit_test(test_a_live_form_ends_at_its_length),
        cmocka_unit_test(test_what_is_not_json_is_refused),
        cmocka_unit_test(test_a_missing_or_wrong_field_is_refused),
        cmocka_unit_test(test_room_and_recipient_at_once_are_refused),
        cmocka_unit_test(test_a_direct_that_does_not_say_for_whom_and_by_whom_is_refused),
        cmocka_unit_test(test_names_that_are_not_one_word_are_refused),
        cmocka_unit_test(test_a_text_that_may_not_be_said_is_refused),
        cmocka_unit_test(test_a_text_of_4097_bytes_is_refused),
        cmocka_unit_test(test_nul_is_refused_raw_and_escaped),
        cmocka_unit_test(test_of_a_field_given_twice_one_counts),
        cmocka_unit_test(test_unknown_fields_are_ignored),
        cmocka_unit_test(test_deep_nesting_is_refused),
        cmocka_unit_test(test_the_last_reference_frees),
        cmocka_unit_test(test_what_is_not_utf8_has_no_body),
        cmocka_unit_test(test_an_opening_record_says_who_and_where),
        cmocka_unit_test(test_a_chain_has_a_channel_and_the_channel_leads_back),
        cmocka_unit_test(test_a_room_and_a_user_of_the_same_name_have_two_chains_in_one_lane),
        cmocka_unit_test(test_the_longest_name_fits_and_one_byte_more_is_refused),
        cmocka_unit_test(test_a_channel_that_is_no_chains_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
