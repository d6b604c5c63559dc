/* publish: ids, chains, refs, and what a link is told of them. */
#include "support.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ELEVEN_MINUTES 660000

static redisReply *publish_seen(const char *seen)
{
    return fcall("publish", 2, "g1-a 1 1 %s %s r:r %s {}", seen, text("%" PRIu64, redis_clock()), "");
}

static uint64_t ms_of(const char *id)
{
    return strtoull(id, NULL, 10);
}

static void test_the_id_is_the_clock(void **state)
{
    uint64_t before = redis_clock();
    const char *id = element_of(publish_seen("0-0"), 1);

    assert_in_range(ms_of(id), before, redis_clock());
    assert_string_equal(strchr(id, '-'), "-0");
}

static void test_the_first_of_a_chain_follows_the_floor(void **state)
{
    assert_string_equal(element_of(say(2, 1, "r", "", "{}"), 2), FLOOR);
}

static void test_the_next_of_a_chain_follows_the_last(void **state)
{
    const char *first = element_of(say(2, 1, "r", "", "{}"), 1);

    freeReplyObject(say(2, 2, "other", "", "{}"));
    assert_string_equal(element_of(say(2, 3, "r", "", "{}"), 2), first);
}

static void test_the_entry_has_chain_prev_and_body(void **state)
{
    freeReplyObject(say(2, 1, "r", "", "{\"text\":\"a b\"}"));
    assert_string_equal(log_of(2), "r:r " FLOOR " {\"text\":\"a b\"}\n");
}

static void test_the_live_form_is_id_prev_body(void **state)
{
    const char *id = element_of(say(2, 1, "r", "", "{\"text\":\"a b\"}"), 1);

    assert_string_equal(heard(), text("hubbub:{2}:room:r %s " FLOOR " {\"text\":\"a b\"}\n", id));
}

static void test_a_direct_goes_to_the_channel_of_its_recipient(void **state)
{
    const char *id = element_of(
        fcall("publish", 2, "g1-a 1 1 0-0 %s u:alice %s {}", text("%" PRIu64, redis_clock()), ""), 1);

    assert_string_equal(heard(), text("hubbub:{2}:user:alice %s " FLOOR " {}\n", id));
}

static void test_top_and_last_are_the_id(void **state)
{
    const char *id = element_of(say(2, 1, "r", "", "{}"), 1);

    expect(id, command("GET hubbub:{2}:top"));
    expect(id, command("HGET hubbub:{2}:last r:r"));
}

static void test_an_id_follows_top_when_the_clock_stepped_back(void **state)
{
    uint64_t future = redis_clock() + 5000;

    expect("OK", command("SET hubbub:{2}:top %s", text("%" PRIu64 "-7", future)));
    assert_string_equal(element_of(publish_seen("0-0"), 1), text("%" PRIu64 "-8", future));
    assert_string_equal(element_of(publish_seen("0-0"), 1), text("%" PRIu64 "-9", future));
}

static void test_an_id_follows_what_the_gateway_has_seen(void **state)
{
    uint64_t future = redis_clock() + 5000;

    assert_string_equal(element_of(publish_seen(text("%" PRIu64 "-41", future)), 1),
                        text("%" PRIu64 "-42", future));
}

static void test_a_full_millisecond_moves_on(void **state)
{
    uint64_t future = redis_clock() + 5000;

    expect("OK", command("SET hubbub:{2}:top %s", text("%" PRIu64 "-16382", future)));
    assert_string_equal(element_of(publish_seen("0-0"), 1), text("%" PRIu64 "-16383", future));
    assert_string_equal(element_of(publish_seen("0-0"), 1), text("%" PRIu64 "-0", future + 1));
}

static void test_no_id_is_taken_from_a_clock_far_ahead(void **state)
{
    char *before = dataset();

    expect("CLOCK", fcall("publish", 2, "g1-a 1 1 0-0 %s r:r ref {}",
                          text("%" PRIu64, redis_clock() - ELEVEN_MINUTES)));
    char *after = dataset();
    assert_string_equal(before, after);
    assert_string_equal(heard(), "");
    free(before);
    free(after);
}

static void test_a_clock_nine_minutes_ahead_will_do(void **state)
{
    expect_word("OK",
                fcall("publish", 2, "g1-a 1 1 0-0 %s r:r ref {}", text("%" PRIu64, redis_clock() - 540000)));
}

static void test_a_clock_far_behind_will_do(void **state)
{
    expect_word("OK", fcall("publish", 2, "g1-a 1 1 0-0 %s r:r ref {}",
                            text("%" PRIu64, redis_clock() + ELEVEN_MINUTES)));
}

static void test_a_known_ref_is_answered_again_and_nothing_is_said(void **state)
{
    const char *id = element_of(say(2, 1, "r", "d1", "{}"), 1);

    heard();
    expect(text("AGAIN %s", id), say(2, 2, "r", "d1", "{}"));
    assert_string_equal(heard(), "");
    expect("1", command("XLEN hubbub:{2}:log"));
    expect(id, command("GET hubbub:{2}:top"));
}

/* Else the next link would take a chat that is in the log for one that never arrived. */
static void test_a_known_ref_is_noted_as_sent_in_case_its_answer_is_lost(void **state)
{
    const char *id = element_of(say(2, 1, "r", "d1", "{}"), 1);

    freeReplyObject(say(2, 2, "r", "d1", "{}"));
    expect(text("2 %s", id), command("HGET hubbub:{2}:sent:g1-a 2"));
}

static void test_a_known_ref_is_answered_though_the_clock_is_far_ahead(void **state)
{
    const char *id = element_of(say(2, 1, "r", "d1", "{}"), 1);

    expect(text("AGAIN %s", id), fcall("publish", 2, "g1-a 1 2 0-0 1 r:r d1 {}"));
}

static void test_a_ref_is_known_to_other_gateways(void **state)
{
    const char *id = element_of(say(2, 1, "r", "d1", "{}"), 1);

    expect(text("AGAIN %s", id),
           fcall("publish", 2, "g2-b 1 1 0-0 %s r:r d1 {}", text("%" PRIu64, redis_clock())));
}

static void test_a_ref_is_kept_ten_minutes(void **state)
{
    redisReply *reply;

    freeReplyObject(say(2, 1, "r", "d1", "{}"));
    reply = command("TTL hubbub:{2}:ref:d1");
    assert_in_range(reply->integer, 590, 600);
    freeReplyObject(reply);
}

static void test_without_a_ref_none_is_kept(void **state)
{
    freeReplyObject(say(2, 1, "r", "", "{}"));
    expect("", command("KEYS *ref*"));
}

static void test_sent_keeps_the_last_4096(void **state)
{
    const char *clock = text("%" PRIu64, redis_clock() + 60000), *id;
    redisReply *reply;

    for (unsigned seq = 1; seq <= 4100; seq++)
        redisAppendCommand(redis,
                           "FCALL publish_" FUNCTIONS_REVISION " 1 hubbub:{2} g1-a 1 %u 0-0 %s r:r %s {}",
                           seq, clock, "");
    for (unsigned seq = 1; seq <= 4100; seq++) {
        assert_int_equal(redisGetReply(redis, (void **)&reply), REDIS_OK);
        id = element_of(reply, 1);
    }
    expect("4096", command("HLEN hubbub:{2}:sent:g1-a"));
    expect(text("4100 %s", id), command("HGET hubbub:{2}:sent:g1-a 4"));
    assert_int_equal(strtol(text_of(command("HGET hubbub:{2}:sent:g1-a 5")), NULL, 10), 5);
    reply = fcall("open_link", 2, "g1-a 2");
    assert_int_equal(reply->element[3]->elements, 4096);
    freeReplyObject(reply);
}

static void test_lanes_do_not_share_anything(void **state)
{
    freeReplyObject(say(2, 1, "r", "d1", "{}"));
    expect(FLOOR, command("GET hubbub:{3}:top"));
    assert_string_equal(element_of(say(3, 1, "r", "d1", "{}"), 2), FLOOR);
}

static void test_ids_of_both_gateways_grow_in_one_order(void **state)
{
    const char *last = FLOOR;

    for (unsigned seq = 1; seq <= 200; seq++) {
        const char *id = element_of(fcall("publish", 2, "%s 1 %u 0-0 %s r:r %s {}", seq % 2 ? "g1-a" : "g2-b",
                                          seq, text("%" PRIu64, redis_clock()), ""),
                                    1);
        assert_true(compare_ids(id, last) > 0);
        last = id;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        functions_test(test_the_id_is_the_clock),
        functions_test(test_the_first_of_a_chain_follows_the_floor),
        functions_test(test_the_next_of_a_chain_follows_the_last),
        functions_test(test_the_entry_has_chain_prev_and_body),
        functions_test(test_the_live_form_is_id_prev_body),
        functions_test(test_a_direct_goes_to_the_channel_of_its_recipient),
        functions_test(test_top_and_last_are_the_id),
        functions_test(test_an_id_follows_top_when_the_clock_stepped_back),
        functions_test(test_an_id_follows_what_the_gateway_has_seen),
        functions_test(test_a_full_millisecond_moves_on),
        functions_test(test_no_id_is_taken_from_a_clock_far_ahead),
        functions_test(test_a_clock_nine_minutes_ahead_will_do),
        functions_test(test_a_clock_far_behind_will_do),
        functions_test(test_a_known_ref_is_answered_again_and_nothing_is_said),
        functions_test(test_a_known_ref_is_noted_as_sent_in_case_its_answer_is_lost),
        functions_test(test_a_known_ref_is_answered_though_the_clock_is_far_ahead),
        functions_test(test_a_ref_is_known_to_other_gateways),
        functions_test(test_a_ref_is_kept_ten_minutes),
        functions_test(test_without_a_ref_none_is_kept),
        functions_test(test_sent_keeps_the_last_4096),
        functions_test(test_lanes_do_not_share_anything),
        functions_test(test_ids_of_both_gateways_grow_in_one_order),
    };

    return run_functions_tests(tests);
}
