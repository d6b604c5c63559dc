/* Links, the fence and beats: who may write. */
#include "support.h"

#include <stdlib.h>
#include <string.h>

static void test_open_link_answers_floor_top_and_nothing_sent(void **state)
{
    expect("OK " FLOOR " " FLOOR " []", fcall("open_link", 3, "g3-c 1"));
}

static void test_open_link_enters_the_gateway_with_count_0(void **state)
{
    freeReplyObject(fcall("open_link", 0, "g3-c 1"));
    expect("0", command("HGET hubbub:{0}:gateways g3-c"));
}

static void test_open_link_keeps_the_count_of_a_gateway_that_beats(void **state)
{
    freeReplyObject(fcall("beat", 0, "g1-a 1"));
    freeReplyObject(fcall("open_link", 0, "g1-a 2"));
    expect("1", command("HGET hubbub:{0}:gateways g1-a"));
}

static void test_open_link_is_closed_in_a_lane_that_is_not_open(void **state)
{
    expect("CLOSED", fcall("open_link", 0, "g1-a 1"));
}

static void test_open_link_is_closed_under_another_key_version(void **state)
{
    expect("OK", command("SET hubbub:{0}:open 99"));
    expect("CLOSED", fcall("open_link", 0, "g1-a 2"));
}

static void test_open_link_fences_the_earlier_link(void **state)
{
    expect_word("OK", fcall("open_link", 0, "g1-a 2"));
    expect("FENCED", fcall("beat", 0, "g1-a 1"));
    expect_word("OK", fcall("beat", 0, "g1-a 2"));
}

static void test_open_link_refuses_a_smaller_number(void **state)
{
    expect_word("OK", fcall("open_link", 0, "g1-a 10"));
    expect("FENCED " FLOOR " " FLOOR " []", fcall("open_link", 0, "g1-a 9"));
    expect_word("OK", fcall("beat", 0, "g1-a 10"));
}

static void test_open_link_may_be_sent_twice(void **state)
{
    expect_word("OK", fcall("open_link", 0, "g1-a 2"));
    expect_word("OK", fcall("open_link", 0, "g1-a 2"));
}

static void test_open_link_refuses_a_later_link_of_an_unknown_incarnation(void **state)
{
    expect("FENCED " FLOOR " " FLOOR " []", fcall("open_link", 0, "g3-c 2"));
    expect("(nil)", command("HGET hubbub:{0}:gateways g3-c"));
}

static void test_open_link_tells_what_was_sent(void **state)
{
    const char *id = element_of(say(0, 41, "r", "", "{}"), 1);

    assert_string_equal(element_of(fcall("open_link", 0, "g1-a 2"), 3), text("41 %s", id));
}

static void test_open_link_tells_top(void **state)
{
    const char *id = element_of(say(0, 1, "r", "", "{}"), 1);

    assert_string_equal(element_of(fcall("open_link", 0, "g1-a 2"), 2), id);
}

static void test_open_link_that_is_fenced_tells_what_was_sent(void **state)
{
    const char *id = element_of(say(0, 7, "r", "", "{}"), 1);

    expect_word("LEFT", fcall("reap", 0, "g2-b 1 0-0 0 g1-a 0 200"));
    expect(text("FENCED " FLOOR " %s [7 %s]", id, id), fcall("open_link", 0, "g1-a 2"));
}

static void test_beat_answers_clock_and_all_counts(void **state)
{
    uint64_t before = redis_clock();
    redisReply *reply = fcall("beat", 0, "g1-a 1");
    uint64_t clock = strtoull(reply->element[1]->str, NULL, 10);

    assert_true(before <= clock && clock <= redis_clock());
    assert_string_equal(element_of(reply, 2), "g1-a 1 g2-b 0");
}

static void test_beat_is_published_to_its_gateway(void **state)
{
    freeReplyObject(fcall("beat", 0, "g1-a 1"));
    freeReplyObject(fcall("beat", 0, "g1-a 1"));
    assert_string_equal(heard(), "hubbub:gateway:g1-a beat 1\nhubbub:gateway:g1-a beat 2\n");
}

static void test_beat_is_fenced_without_a_link(void **state)
{
    expect("FENCED", fcall("beat", 0, "g3-c 1"));
    assert_string_equal(heard(), "");
}

static void test_closed_comes_before_fenced(void **state)
{
    expect("1", command("DEL hubbub:{0}:open"));
    expect("CLOSED", fcall("beat", 0, "g3-c 9"));
    expect("CLOSED", fcall("publish", 0, "g3-c 9 1 0-0 0 r:r %s {}", ""));
    expect("CLOSED", claim(.incarnation = "g3-c"));
    expect("CLOSED", enter(.incarnation = "g3-c"));
    expect("CLOSED", leave(.incarnation = "g3-c"));
    expect("CLOSED", release(.incarnation = "g3-c"));
    expect("CLOSED", fcall("reap", 0, "g3-c 9 0-0 0 g1-a 0 200"));
    expect("CLOSED", fcall("open_link", 0, "g3-c 9"));
    expect("CLOSED", fcall("walk", 0, "r:r 2-0 1-0 1 ids"));
    expect("CLOSED", fcall("find", 0, "alice"));
}

static void test_nothing_changes_in_a_closed_lane(void **state)
{
    expect_word("OK", claim());
    expect("1", command("DEL hubbub:{0}:open"));
    char *before = dataset();

    freeReplyObject(fcall("open_link", 0, "g1-a 2"));
    freeReplyObject(fcall("beat", 0, "g1-a 1"));
    freeReplyObject(say(0, 1, "r", "ref", "{}"));
    freeReplyObject(claim(.name = "bob", .session = "g1-a-2"));
    freeReplyObject(enter(.room = "dev"));
    freeReplyObject(leave());
    freeReplyObject(release());
    freeReplyObject(fcall("reap", 0, "g1-a 1 0-0 0 g2-b 0 200"));
    char *after = dataset();
    assert_string_equal(before, after);
    free(before);
    free(after);
}

static void test_nothing_changes_behind_the_fence(void **state)
{
    expect_word("OK", claim());
    heard();
    char *before = dataset();

    expect_word("FENCED", fcall("open_link", 0, "g1-a 0"));
    expect_word("FENCED", fcall("open_link", 0, "g3-c 2"));
    expect("FENCED", fcall("beat", 0, "g1-a 2"));
    expect("FENCED", fcall("publish", 0, "g1-a 2 1 0-0 0 r:r ref {}"));
    expect("FENCED", claim(.link = "2", .name = "bob", .session = "g1-a-2"));
    expect("FENCED", enter(.link = "2", .room = "dev"));
    expect("FENCED", leave(.link = "2"));
    expect("FENCED", release(.link = "2"));
    expect("FENCED", fcall("reap", 0, "g1-a 2 0-0 0 g2-b 0 200"));
    char *after = dataset();
    assert_string_equal(before, after);
    assert_string_equal(heard(), "");
    free(before);
    free(after);
}

static void test_a_wiped_redis_is_closed_and_then_fences(void **state)
{
    expect_word("OK", say(0, 1, "r", "", "{}"));
    expect("OK", command("FLUSHALL"));
    expect("CLOSED", say(0, 2, "r", "", "{}"));
    expect("CLOSED", fcall("open_link", 0, "g1-a 2"));
    expect("OK", fcall("open", 0, "5000-0 " KEY_VERSION));
    expect("FENCED", say(0, 2, "r", "", "{}"));
    expect("FENCED 5000-0 5000-0 []", fcall("open_link", 0, "g1-a 2"));
    expect("OK 5000-0 5000-0 []", fcall("open_link", 0, "g1-b 1"));
}

static void test_a_reaped_gateway_that_comes_back_is_fenced(void **state)
{
    expect_word("OK", claim());
    for (unsigned lane = 1; lane < LANES; lane++)
        expect("LEFT 0", fcall("reap", lane, "g2-b 1 0-0 0 g1-a 0 200"));
    expect("LEFT 0", fcall("reap", 0, "g2-b 1 0-0 0 g1-a 0 200"));
    for (unsigned lane = 0; lane < LANES; lane++) {
        expect("FENCED", fcall("beat", lane, "g1-a 1"));
        expect("FENCED", say(lane, 1, "r", "", "{}"));
        expect_word("FENCED", fcall("open_link", lane, "g1-a 2"));
    }
    expect("FENCED", claim());
    expect("FENCED", enter());
    expect("FENCED", leave());
    expect("FENCED", release());
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        functions_test(test_open_link_answers_floor_top_and_nothing_sent),
        functions_test(test_open_link_enters_the_gateway_with_count_0),
        functions_test(test_open_link_keeps_the_count_of_a_gateway_that_beats),
        cmocka_unit_test_setup(test_open_link_is_closed_in_a_lane_that_is_not_open, empty_redis),
        functions_test(test_open_link_is_closed_under_another_key_version),
        functions_test(test_open_link_fences_the_earlier_link),
        functions_test(test_open_link_refuses_a_smaller_number),
        functions_test(test_open_link_may_be_sent_twice),
        functions_test(test_open_link_refuses_a_later_link_of_an_unknown_incarnation),
        functions_test(test_open_link_tells_what_was_sent),
        functions_test(test_open_link_tells_top),
        functions_test(test_open_link_that_is_fenced_tells_what_was_sent),
        functions_test(test_beat_answers_clock_and_all_counts),
        functions_test(test_beat_is_published_to_its_gateway),
        functions_test(test_beat_is_fenced_without_a_link),
        functions_test(test_closed_comes_before_fenced),
        functions_test(test_nothing_changes_in_a_closed_lane),
        functions_test(test_nothing_changes_behind_the_fence),
        functions_test(test_a_wiped_redis_is_closed_and_then_fences),
        functions_test(test_a_reaped_gateway_that_comes_back_is_fenced),
    };

    return run_functions_tests(tests);
}
