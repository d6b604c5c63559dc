/* A full Redis, and arguments that no gateway sends: an error, and nothing changed. */
#include "support.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* alice in lobby, a message in lane 0, and no memory left. */
static int full(void **state)
{
    fresh_redis(state);
    expect_word("OK", claim());
    expect_word("OK", say(0, 1, "r", "", "{}"));
    expect("OK", command("CONFIG SET maxmemory 1"));
    heard();
    return 0;
}

static int drained(void **state)
{
    expect("OK", command("CONFIG SET maxmemory 2gb"));
    return 0;
}

static void assert_refused(redisReply *reply)
{
    assert_true(strncmp(text_of(reply), "!OOM ", 5) == 0);
}

static void test_what_takes_room_is_refused_and_changes_nothing(void **state)
{
    char *before = dataset();

    assert_refused(say(0, 2, "r", "ref", "{}"));
    assert_refused(claim(.name = "bob", .session = "g1-a-2"));
    assert_refused(enter(.room = "dev"));
    char *after = dataset();
    assert_string_equal(before, after);
    assert_string_equal(heard(), "");
    free(before);
    free(after);
}

static void test_links_open_and_beat(void **state)
{
    expect_word("OK", fcall("open_link", 0, "g1-a 2"));
    expect_word("OK", fcall("beat", 0, "g1-a 2"));
    assert_string_equal(heard(), "hubbub:gateway:g1-a beat 1\n");
}

static void test_names_are_left_and_released(void **state)
{
    expect("OK", leave());
    expect("OK", release());
    expect("0", command("EXISTS hubbub:{0}:names"));
}

static void test_an_account_is_forgotten_and_its_session_undone(void **state)
{
    expect("OK", command("CONFIG SET maxmemory 2gb"));
    expect("1", command("HSET hubbub:{0}:accounts alice 7"));
    expect("OK", command("CONFIG SET maxmemory 1"));
    expect("OK", fcall("forget", 0, "alice %s 200", text("%" PRIu64, redis_clock())));
    expect("0", command("EXISTS hubbub:{0}:names hubbub:{0}:accounts"));
}

static void test_the_dead_are_reaped(void **state)
{
    expect("LEFT 0", fcall("reap", 0, "g2-b 1 0-0 0 g1-a 0 200"));
    expect("0", command("EXISTS hubbub:{0}:names"));
}

static void test_the_log_is_trimmed_and_lanes_are_opened(void **state)
{
    expect("OK", fcall("trim", 0, text_of(command("GET hubbub:{0}:top"))));
    expect("0", command("XLEN hubbub:{0}:log"));
    expect("OK", fcall("open", 0, "2000-0 " KEY_VERSION));
}

static void test_the_log_is_walked(void **state)
{
    expect_word("OK", fcall("walk", 0, "r:r %s " FLOOR " 10 ids", text_of(command("GET hubbub:{0}:top"))));
}

static void test_what_was_refused_is_taken_once_there_is_room(void **state)
{
    assert_refused(say(0, 2, "r", "ref", "{}"));
    expect("OK", command("CONFIG SET maxmemory 2gb"));
    expect_word("OK", say(0, 2, "r", "ref", "{}"));
}

/* Every function with one of its arguments made bad, the others good. */
static const struct {
    const char *function;
    unsigned arguments;
    const char *good[13];
    const char *bad[13]; /* NULL: this one may be anything */
} calls[] = {
    {"open_link", 2, {"g1-a", "2"}, {"", "x"}},
    {"beat", 2, {"g1-a", "1"}, {"g1 a", "-1"}},
    {"publish", 8, {"g1-a", "1", "5", "0-0", "9999999999999", "r:r", "", "{}"}, {"none", "x", "x", "0", "x"}},
    {"walk", 5, {"r:r", "5-0", "1-0", "9", "ids"}, {"", "5", "-0", "1e3", ""}},
    {"trim", 1, {"5-0"}, {"5-"}},
    {"open", 2, {"5-0", "1"}, {"0x5-0", ""}},
    {"claim",
     13,
     {"g1-a", "1", "0-0", "9", "bob", "Bob", "g1-a-2", "-", "-", "dev", "200", "50", "{}"},
     {"", "", "0-x", "nan", "b b", NULL, "g1 2", "", "yes", "two rooms", "many", "-1", NULL}},
    {"enter",
     8,
     {"g1-a", "1", "alice", "alice", "g1-a-1", "dev", "200", "0"},
     {"", "", "", NULL, " ", "d\tv", "", "few"}},
    {"leave",
     7,
     {"g1-a", "1", "alice", "alice", "g1-a-1", "lobby", "200"},
     {"", "", "", NULL, " ", "", "1.5"}},
    {"release",
     7,
     {"g1-a", "1", "0-0", "9", "alice", "g1-a-1", "200"},
     {"", "", "00", "", "", "", "1234567890123456"}},
    {"reap", 7, {"g1-a", "1", "0-0", "9", "g2-b", "0", "200"}, {"", "", "0", "", "", "", ""}},
    {"find", 1, {"alice"}, {"a b"}},
    {"register", 3, {"alice", "g1-a-1", "7"}, {"", "", "-7"}},
    {"forget", 3, {"alice", "9", "200"}, {"", "1e3", "-1"}},
};

/* Calls calls[i] with argument `bad` (none if it is out of range) made bad and the last `missing` left out.
 */
static redisReply *call(size_t i, unsigned bad, unsigned missing)
{
    char function[64];
    const char *words[17] = {"FCALL", function, "1", "hubbub:{0}"};
    unsigned n = 4;

    snprintf(function, sizeof function, "%s_" FUNCTIONS_REVISION, calls[i].function);
    for (unsigned j = 0; j < calls[i].arguments - missing; j++)
        words[n++] = j == bad ? calls[i].bad[j] : calls[i].good[j];
    return redisCommandArgv(redis, (int)n, words, NULL);
}

static void test_a_bad_argument_is_refused_before_anything_is_written(void **state)
{
    expect_word("OK", claim());
    heard();
    char *before = dataset();

    for (size_t i = 0; i < sizeof calls / sizeof calls[0]; i++) {
        for (unsigned bad = 0; bad < calls[i].arguments; bad++) {
            const char *answer;

            if (!calls[i].bad[bad])
                continue;
            answer = text_of(call(i, bad, 0));
            if (*answer != '!' && strcmp(answer, "FENCED") != 0)
                fail_msg("%s with argument %u bad: %s", calls[i].function, bad + 1, answer);
        }
    }
    char *after = dataset();
    assert_string_equal(before, after);
    assert_string_equal(heard(), "");
    free(before);
    free(after);
}

static void test_missing_arguments_are_refused_before_anything_is_written(void **state)
{
    expect_word("OK", claim());
    heard();
    char *before = dataset();

    for (size_t i = 0; i < sizeof calls / sizeof calls[0]; i++) {
        for (unsigned missing = 1; missing <= calls[i].arguments; missing++) {
            const char *answer = text_of(call(i, UINT32_MAX, missing));

            if (*answer != '!' && strcmp(answer, "FENCED") != 0)
                fail_msg("%s without %u arguments: %s", calls[i].function, missing, answer);
        }
    }
    char *after = dataset();
    assert_string_equal(before, after);
    assert_string_equal(heard(), "");
    free(before);
    free(after);
}

static void test_the_good_arguments_are_good(void **state)
{
    for (size_t i = 0; i < sizeof calls / sizeof calls[0]; i++) {
        const char *answer = text_of(call(i, UINT32_MAX, 0));

        if (*answer == '!')
            fail_msg("%s: %s", calls[i].function, answer);
    }
}

#define full_test(f) cmocka_unit_test_setup_teardown(f, full, drained)

int main(void)
{
    const struct CMUnitTest tests[] = {
        full_test(test_what_takes_room_is_refused_and_changes_nothing),
        full_test(test_links_open_and_beat),
        full_test(test_names_are_left_and_released),
        full_test(test_an_account_is_forgotten_and_its_session_undone),
        full_test(test_the_dead_are_reaped),
        full_test(test_the_log_is_trimmed_and_lanes_are_opened),
        full_test(test_the_log_is_walked),
        full_test(test_what_was_refused_is_taken_once_there_is_room),
        functions_test(test_a_bad_argument_is_refused_before_anything_is_written),
        functions_test(test_missing_arguments_are_refused_before_anything_is_written),
        functions_test(test_the_good_arguments_are_good),
    };

    return run_functions_tests(tests);
}
