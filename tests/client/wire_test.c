/* wire: what a server tells is read as it was meant, and nothing that it tells can touch a terminal. */
#include "unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "name.h"
#include "wire.h"

static struct told *told;

static int tear_down(void **state)
{
    told_destroy(told);
    told = NULL;
    return 0;
}

static struct told *read_line(const char *line)
{
    told_destroy(told);
    told = wire_read(line, strlen(line));
    return told;
}

/* Returns how the name `json` (what stands between the quotes) is shown. */
static const char *name_of(const char *json)
{
    char line[4096];

    snprintf(line, sizeof line, "{\"type\":\"joined\",\"from\":\"%s\",\"room\":\"lobby\"}", json);
    read_line(line);
    return told && told->kind == TOLD_JOINED ? told->from : NULL;
}

static const char *text_of(const char *json)
{
    char line[4096];

    snprintf(line, sizeof line,
             "{\"type\":\"message\",\"from\":\"Ann\",\"room\":\"lobby\",\"id\":\"7\",\"data\":\"%s\"}", json);
    read_line(line);
    return told && told->kind == TOLD_MESSAGE ? told->data : NULL;
}

/* What is told ------------------------------------------------------------------------------------------- */

static void test_a_message(void **state)
{
    assert_non_null(
        read_line("{\"type\":\"message\",\"from\":\"Ann\",\"data\":\"Hi\\nyou\",\"room\":\"lobby\","
                  "\"id\":\"1845493760128950315\",\"at\":\"2025-10-09T08:53:20.007Z\"}\r"));
    assert_int_equal(told->kind, TOLD_MESSAGE);
    assert_string_equal(told->from, "Ann");
    assert_string_equal(told->data, "Hi\nyou");
    assert_string_equal(told->room, "lobby");
    assert_true(told->id == 1845493760128950315);
    assert_true(told->at_ms == 1760000000007);
    assert_null(told->to);
    assert_int_equal(told->users, -1);
}

static void test_a_welcome(void **state)
{
    assert_non_null(
        read_line("{\"type\":\"welcome\",\"from\":\"server\",\"data\":\"Welcome, Ann.\",\"name\":\"Ann\","
                  "\"room\":\"dev\",\"id\":\"17\",\"users\":3,\"unread\":2,\"gateway\":\"g1\"}"));
    assert_int_equal(told->kind, TOLD_WELCOME);
    assert_string_equal(told->name, "Ann");
    assert_true(told->id == 17);
    assert_int_equal(told->users, 3);
    assert_int_equal(told->unread, 2);
}

static void test_lists(void **state)
{
    read_line("{\"type\":\"who\",\"room\":\"lobby\",\"users\":[\"Ann\",7,\"Bob\",null],\"count\":2}");
    assert_int_equal(told->kind, TOLD_WHO);
    assert_int_equal(told->n_people, 2);
    assert_string_equal(told->people[1], "Bob");
    assert_int_equal(told->count, 2);

    read_line("{\"type\":\"rooms\",\"rooms\":[{\"room\":\"lobby\",\"users\":2},{},7,{\"room\":\"dev\"}],"
              "\"count\":2}");
    assert_int_equal(told->kind, TOLD_ROOMS);
    assert_int_equal(told->n_rooms, 2);
    assert_string_equal(told->rooms[0].room, "lobby");
    assert_int_equal(told->rooms[0].users, 2);
    assert_int_equal(told->rooms[1].users, -1);
}

static void test_history(void **state)
{
    read_line("{\"type\":\"history\",\"room\":\"lobby\",\"more\":true,\"messages\":["
              "{\"type\":\"message\",\"from\":\"Ann\",\"data\":\"a\",\"room\":\"lobby\",\"id\":\"1\"},"
              "{\"type\":\"message\",\"from\":\"Ann\",\"data\":\"no id\",\"room\":\"lobby\"},[],"
              "{\"type\":\"pong\"},"
              "{\"type\":\"direct\",\"from\":\"Ann\",\"to\":\"Bob\",\"data\":\"b\",\"id\":\"2\"}]}");
    assert_int_equal(told->kind, TOLD_HISTORY);
    assert_true(told->more);
    assert_int_equal(told->n_messages, 2);
    assert_string_equal(told->messages[0].data, "a");
    assert_int_equal(told->messages[1].kind, TOLD_DIRECT);
    assert_true(told->messages[1].id == 2);
}

static void test_every_kind_has_what_it_always_has(void **state)
{
    static const struct {
        const char *line;
        enum told_kind kind;
    } lines[] = {
        {"{\"type\":\"joined\",\"from\":\"B\",\"room\":\"l\"}", TOLD_JOINED},
        {"{\"type\":\"left\",\"from\":\"B\",\"room\":\"l\"}", TOLD_LEFT},
        {"{\"type\":\"left\",\"from\":\"B\"}", TOLD_OTHER},
        {"{\"type\":\"ack\",\"ref\":\"r\",\"id\":\"3\"}", TOLD_ACK},
        {"{\"type\":\"ack\",\"id\":\"3\"}", TOLD_OTHER},
        {"{\"type\":\"ack\",\"ref\":\"r\",\"id\":3}", TOLD_OTHER},
        {"{\"type\":\"ack\",\"ref\":\"r\",\"id\":\"-3\"}", TOLD_OTHER},
        {"{\"type\":\"ack\",\"ref\":\"r\",\"id\":\"99999999999999999999\"}", TOLD_OTHER},
        {"{\"type\":\"entered\",\"room\":\"l\",\"users\":\"many\"}", TOLD_ENTERED},
        {"{\"type\":\"exited\"}", TOLD_EXITED},
        {"{\"type\":\"registered\",\"name\":\"A\"}", TOLD_REGISTERED},
        {"{\"type\":\"registered\",\"name\":{}}", TOLD_OTHER},
        {"{\"type\":\"read\",\"with\":\"B\",\"unread\":0}", TOLD_READ},
        {"{\"type\":\"pong\"}", TOLD_PONG},
        {"{\"type\":\"gap\",\"after\":\"1\",\"until\":\"2\"}", TOLD_GAP},
        {"{\"type\":\"error\",\"code\":\"c\",\"data\":\"d\"}", TOLD_ERROR},
        {"{\"type\":\"error\",\"code\":null,\"data\":\"d\"}", TOLD_OTHER},
        {"{\"type\":\"message\",\"from\":[],\"data\":true,\"room\":1,\"id\":{}}", TOLD_OTHER},
        {"{\"type\":\"direct\",\"from\":\"A\",\"data\":\"d\",\"id\":\"1\"}", TOLD_OTHER},
        {"{\"type\":\"history\",\"messages\":[]}", TOLD_OTHER},
        {"{\"type\":\"who\",\"room\":\"l\",\"users\":7}", TOLD_WHO},
        {"{\"type\":\"rooms\",\"rooms\":{}}", TOLD_ROOMS},
        {"{\"type\":\"history\",\"with\":\"B\",\"messages\":\"none\"}", TOLD_HISTORY},
        {"{\"type\":\"what is this\"}", TOLD_OTHER},
    };

    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        assert_non_null(read_line(lines[i].line));
        assert_int_equal(told->kind, lines[i].kind);
        assert_int_equal(told->n_people + told->n_rooms + told->n_messages, 0);
    }
}

static void test_counts_that_are_none_are_not_known(void **state)
{
    static const char *const bad[] = {"-2", "1.5", "\"3\"", "null", "true"};
    char line[256];

    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        snprintf(line, sizeof line, "{\"type\":\"entered\",\"room\":\"l\",\"users\":%s}", bad[i]);
        assert_non_null(read_line(line));
        assert_int_equal(told->users, -1);
    }
}

static void test_times_that_are_none_are_0(void **state)
{
    static const char *const bad[] = {"",
                                      "now",
                                      "2025-10-09T08:53:20Z",
                                      "2025-10-09T08:53:20.07Z",
                                      "2025-10-09T08:53:20.007",
                                      "2025-10-09T08:53:20.007+01:00",
                                      "9999999999-10-09T08:53:20.007Z"};
    char line[256];

    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        snprintf(line, sizeof line, "{\"type\":\"pong\",\"at\":\"%s\"}", bad[i]);
        assert_non_null(read_line(line));
        assert_true(told->at_ms == 0);
    }
}

/* Hostile servers ---------------------------------------------------------------------------------------- */

static void test_what_no_hubbub_says(void **state)
{
    static const char *const bad[] = {"",
                                      " ",
                                      "OK",
                                      "{",
                                      "[]",
                                      "7",
                                      "\"pong\"",
                                      "{\"type\":7}",
                                      "{\"Type\":\"pong\"}",
                                      "{\"type\":\"pong\"} x",
                                      "{\"type\":\"\xff\"}",
                                      "{\"type\":\"a\\u0000b\"}",
                                      "{\"type\":\"pong\",\"n\":1e999}",
                                      "{\"type\":\"pong\",\"n\":9999999999999999999}",
                                      "{\"type\":\"\\ud800\"}",
                                      "HTTP/1.1 400 Bad Request"};

    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_null(read_line(bad[i]));
    assert_null(wire_read("{\"type\":\"pong\"}\0", 16));
    assert_null(wire_read("", 0));
}

static void test_deep_nesting_is_refused(void **state)
{
    size_t n = 500000;
    char *line = malloc(2 * n + 64);
    char *at = stpcpy(line, "{\"type\":\"pong\",\"x\":");

    memset(at, '[', n);
    memset(at + n, ']', n);
    strcpy(at + 2 * n, "}");
    assert_null(read_line(line));
    free(line);
}

static void test_controls_are_taken_out(void **state)
{
    assert_string_equal(name_of("A\\u001b[2Jnn"), "A\uFFFD[2Jnn");
    assert_string_equal(name_of("A\\nnn\\t"), "A\uFFFDnn\uFFFD");
    assert_string_equal(name_of("\\u0007\\u007f\\b\\r"), "\uFFFD\uFFFD\uFFFD\uFFFD");
    assert_string_equal(name_of("\\u009b31m\\u0090q\\u0085"), "\uFFFD31m\uFFFDq\uFFFD");
    assert_string_equal(text_of("one\\n\\ttwo\\r\\u001b]0;title\\u0007"),
                        "one\n\ttwo\uFFFD\uFFFD]0;title\uFFFD");
    assert_string_equal(text_of("a\\u2028b\\u2029c"), "a\uFFFDb\uFFFDc");
}

static void test_what_turns_the_direction_is_taken_out(void **state)
{
    assert_string_equal(text_of("a\\u202eb\\u202ac\\u2066d\\u2069e"), "a\uFFFDb\uFFFDc\uFFFDd\uFFFDe");
    assert_string_equal(name_of("\\u202eynnA"), "\uFFFDynnA");
}

static void test_what_is_written_stays(void **state)
{
    assert_string_equal(text_of("Zo\u00eb \\ud83d\\ude00 e\u0301 \u05e9\u05dc\u05d5\u05dd \u4f60\u597d"),
                        "Zo\u00eb \U0001F600 e\u0301 \u05e9\u05dc\u05d5\u05dd \u4f60\u597d");
    assert_string_equal(text_of("\\ud83d\\udc69\\u200d\\ud83d\\ude80"), "\U0001F469\u200D\U0001F680");
}

static void test_a_megabyte_in_a_name_is_cut(void **state)
{
    char *line = malloc(WIRE_LINE_MAX + 256);
    char *at = stpcpy(line, "{\"type\":\"message\",\"room\":\"l\",\"id\":\"1\",\"data\":\"x\",\"from\":\"");

    for (int i = 0; i < WIRE_LINE_MAX / 3; i++)
        at = stpcpy(at, "\u4f60");
    strcpy(at, "\"}");
    assert_non_null(read_line(line));
    assert_true(strlen(told->from) < NAME_MAX_BYTES);
    assert_true(text_is_utf8(told->from, strlen(told->from)));
    free(line);
}

static void test_a_megabyte_of_text_is_cut(void **state)
{
    char *line = malloc(WIRE_LINE_MAX + 256);
    char *at = stpcpy(line, "{\"type\":\"message\",\"room\":\"l\",\"id\":\"1\",\"from\":\"x\",\"data\":\"");

    for (int i = 0; i < WIRE_LINE_MAX / 6; i++)
        at = stpcpy(at, "\\u0001");
    strcpy(at, "\"}");
    assert_non_null(read_line(line));
    assert_true(strlen(told->data) < WIRE_TEXT_MAX);
    assert_true(text_is_utf8(told->data, strlen(told->data)));
    free(line);
}

static void test_lists_are_cleaned_too(void **state)
{
    read_line("{\"type\":\"who\",\"room\":\"\\u001bc\",\"users\":[\"\\u001bc\"]}");
    assert_string_equal(told->people[0], "\uFFFDc");
    assert_string_equal(told->room, "\uFFFDc");
    read_line("{\"type\":\"rooms\",\"rooms\":[{\"room\":\"\\u009b\"}]}");
    assert_string_equal(told->rooms[0].room, "\uFFFD");
}

static void test_clean_takes_any_bytes(void **state)
{
    char clean[8];

    wire_clean("a\xff\xc3", false, clean, sizeof clean);
    assert_string_equal(clean, "a\uFFFD\uFFFD");
    wire_clean("abcdefghij", false, clean, sizeof clean);
    assert_string_equal(clean, "abcdefg");
    wire_clean("abcdef\u00eb", false, clean, sizeof clean); /* no half of a character */
    assert_string_equal(clean, "abcdef");
    wire_clean("", false, clean, 1);
    assert_string_equal(clean, "");
}

/* What is asked ------------------------------------------------------------------------------------------ */

static void test_requests(void **state)
{
    char *line = wire_request("join",
                              (struct wire_member[]){{"data", "Zo\u00eb \"\n\x01", false},
                                                     {"room", NULL, false},
                                                     {"echo", "true", true},
                                                     {"limit", "50", true}},
                              4);

    assert_string_equal(
        line, "{\"type\":\"join\",\"data\":\"Zo\u00eb \\\"\\n\\u0001\",\"echo\":true,\"limit\":50}\n");
    free(line);
    line = wire_request("ping", NULL, 0);
    assert_string_equal(line, "{\"type\":\"ping\"}\n");
    free(line);
    assert_null(wire_request("chat", &(struct wire_member){"data", "\xff", false}, 1));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_a_message, tear_down),
        cmocka_unit_test_teardown(test_a_welcome, tear_down),
        cmocka_unit_test_teardown(test_lists, tear_down),
        cmocka_unit_test_teardown(test_history, tear_down),
        cmocka_unit_test_teardown(test_every_kind_has_what_it_always_has, tear_down),
        cmocka_unit_test_teardown(test_counts_that_are_none_are_not_known, tear_down),
        cmocka_unit_test_teardown(test_times_that_are_none_are_0, tear_down),
        cmocka_unit_test_teardown(test_what_no_hubbub_says, tear_down),
        cmocka_unit_test_teardown(test_deep_nesting_is_refused, tear_down),
        cmocka_unit_test_teardown(test_controls_are_taken_out, tear_down),
        cmocka_unit_test_teardown(test_what_turns_the_direction_is_taken_out, tear_down),
        cmocka_unit_test_teardown(test_what_is_written_stays, tear_down),
        cmocka_unit_test_teardown(test_a_megabyte_in_a_name_is_cut, tear_down),
        cmocka_unit_test_teardown(test_a_megabyte_of_text_is_cut, tear_down),
        cmocka_unit_test_teardown(test_lists_are_cleaned_too, tear_down),
        cmocka_unit_test_teardown(test_clean_takes_any_bytes, tear_down),
        cmocka_unit_test(test_requests),
    };

    return cmocka_run_group_tests_name("client-wire", tests, NULL, NULL);
}
