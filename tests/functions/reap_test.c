/* reap: the names of a dead gateway are freed, in steps, and announced once. */
#include "support.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LOBBY_CHANNEL "hubbub:{6}:room:lobby"
#define REAP "g2-b 1 0-0 0 g1-a 0 1000"

/* Gives g1-a `n` names, each in `rooms` rooms. */
static void hold(unsigned n, unsigned rooms)
{
    uint64_t clock = redis_clock() + 60000;
    unsigned sent = 0;
    redisReply *reply;

    for (unsigned i = 0; i < n; i++) {
        redisAppendCommand(redis,
                           "FCALL claim_" FUNCTIONS_REVISION
                           " 1 hubbub:{0} g1-a 1 0-0 %llu user%u User%u g1-a-%u - - lobby 200 0 {}",
                           (unsigned long long)clock, i, i, i);
        sent++;
        for (unsigned room = 1; room < rooms; room++, sent++)
            redisAppendCommand(redis,
                               "FCALL enter_" FUNCTIONS_REVISION
                               " 1 hubbub:{0} g1-a 1 user%u User%u g1-a-%u room%u 200 0",
                               i, i, i, room);
    }
    for (unsigned i = 0; i < sent; i++) {
        assert_int_equal(redisGetReply(redis, (void **)&reply), REDIS_OK);
        assert_string_equal(word_of(reply), "OK");
    }
    heard();
}

static void assert_nothing_held(void)
{
    expect("0",
           command("EXISTS hubbub:{0}:names hubbub:{0}:held:g1-a hubbub:{0}:rooms hubbub:{0}:members:lobby"));
    expect("", command("KEYS hubbub:{0}:members:*"));
    expect("", command("KEYS hubbub:{0}:in:*"));
    expect("(nil)", command("HGET hubbub:{0}:gateways g1-a"));
    expect("(nil)", command("HGET hubbub:{0}:links g1-a"));
}

/* Reaps to the end; returns the calls that it took. */
static unsigned reap_all(void)
{
    unsigned calls = 1;
    redisReply *reply;

    while ((reply = fcall("reap", 0, REAP))->elements == 2 && reply->element[1]->integer > 0) {
        freeReplyObject(reply);
        calls++;
    }
    expect("LEFT 0", reply);
    return calls;
}

static size_t count_lines(const char *told, const char *part)
{
    size_t n = 0;

    for (const char *at = told; (at = strstr(at, part)); at += strlen(part))
        n++;
    return n;
}

static void test_reap_frees_the_names_and_tells_once(void **state)
{
    hold(2, 1);
    expect("LEFT 0", fcall("reap", 0, REAP));
    assert_nothing_held();
    const char *told = heard();
    assert_int_equal(count_lines(told, "\n"), 2);
    assert_non_null(strstr(told, LOBBY_CHANNEL " -g1-a-0 MS User0\n"));
    assert_non_null(strstr(told, LOBBY_CHANNEL " -g1-a-1 MS User1\n"));
}

static void test_reap_again_does_nothing_more(void **state)
{
    hold(2, 1);
    expect("LEFT 0", fcall("reap", 0, REAP));
    heard();
    char *before = dataset();
    expect("LEFT 0", fcall("reap", 0, REAP));
    char *after = dataset();
    assert_string_equal(before, after);
    assert_string_equal(heard(), "");
    free(before);
    free(after);
}

static void test_reap_of_one_that_beat_since_is_moved_and_changes_nothing(void **state)
{
    hold(2, 1);
    expect_word("OK", fcall("beat", 0, "g1-a 1"));
    heard();
    char *before = dataset();
    expect("MOVED", fcall("reap", 0, REAP));
    char *after = dataset();
    assert_string_equal(before, after);
    free(before);
    free(after);
    expect_word("OK", fcall("beat", 0, "g1-a 1"));
}

static void test_reap_writes_the_closing_records(void **state)
{
    hold(1, 1);
    expect("LEFT 0", fcall("reap", 0, REAP));
    assert_string_equal(log_of(0), "- - {}\n- - {\"close\":\"g1-a-0\"}\n");
}

static void test_reap_in_another_lane_closes_the_link_there_alone(void **state)
{
    expect_word("OK", say(3, 1, "r", "", "{}"));
    hold(1, 1);
    expect("LEFT 0", fcall("reap", 3, REAP));
    expect("FENCED", say(3, 2, "r", "", "{}"));
    expect_word("OK", say(4, 2, "r", "", "{}"));
    expect("1", command("HLEN hubbub:{0}:held:g1-a"));
}

static void test_what_the_dead_one_sent_is_kept_an_hour(void **state)
{
    redisReply *reply;

    expect_word("OK", say(3, 1, "r", "", "{}"));
    expect("LEFT 0", fcall("reap", 3, REAP));
    reply = command("TTL hubbub:{3}:sent:g1-a");
    assert_in_range(reply->integer, 3590, 3600);
    freeReplyObject(reply);
}

static void test_reap_of_one_without_names(void **state)
{
    expect("LEFT 0", fcall("reap", 0, REAP));
    assert_nothing_held();
}

static void test_reap_undoes_at_most_100_memberships_a_call(void **state)
{
    hold(250, 1);
    expect("LEFT 150", fcall("reap", 0, REAP));
    assert_int_equal(count_lines(heard(), "\n"), 100);
}

static void test_reap_in_steps_keeps_the_dead_one_known_until_the_last(void **state)
{
    hold(250, 1);
    expect("LEFT 150", fcall("reap", 0, REAP));
    expect("0", command("HGET hubbub:{0}:gateways g1-a"));
    expect("FENCED", fcall("beat", 0, "g1-a 1"));
    reap_all();
    assert_nothing_held();
}

static void test_reap_in_steps_may_be_ended_by_another_gateway(void **state)
{
    hold(250, 1);
    expect_word("OK", fcall("open_link", 0, "g3-c 1"));
    expect("LEFT 150", fcall("reap", 0, REAP));
    expect("LEFT 50", fcall("reap", 0, "g3-c 1 0-0 0 g1-a 0 1000"));
    reap_all();
    assert_nothing_held();
    assert_int_equal(count_lines(heard(), "\n"), 250);
}

static void test_reap_of_three_thousand_names(void **state)
{
    hold(3000, 1);
    expect("3000", command("ZSCORE hubbub:{0}:rooms lobby"));
    assert_int_equal(reap_all(), 30);
    assert_nothing_held();
    assert_int_equal(count_lines(log_of(0), "close"), 3000);
    assert_int_equal(count_lines(heard(), "\n"), 1000); /* only once the room had shrunk to notice max */
}

static void test_reap_of_names_in_many_rooms(void **state)
{
    hold(30, 40);
    expect("LEFT 27", fcall("reap", 0, REAP)); /* three have 120 memberships */
    reap_all();
    assert_nothing_held();
    assert_int_equal(count_lines(heard(), "\n"), 30 * 40);
}

static void test_names_that_moved_on_are_left_alone(void **state)
{
    hold(150, 1);
    expect_word("OK", fcall("open_link", 0, "g1-z 1"));
    for (unsigned i = 0; i < 150; i += 2)
        expect_word("OK",
                    claim(.incarnation = "g1-z", .name = text("user%u", i), .session = text("g1-a-%u", i)));
    heard();
    reap_all();
    expect("75", command("HLEN hubbub:{0}:names"));
    expect("75", command("HLEN hubbub:{0}:held:g1-z"));
    expect("75", command("ZSCORE hubbub:{0}:rooms lobby"));
    assert_int_equal(count_lines(heard(), "\n"), 75);
}

static void test_a_stale_entry_of_held_is_dropped_quietly(void **state)
{
    hold(1, 1);
    expect("1", command("HSET hubbub:{0}:held:g1-a bob g1-a-77"));
    expect_word("OK", claim(.incarnation = "g2-b", .name = "bob", .session = "g2-b-1"));
    heard();
    expect("LEFT 0", fcall("reap", 0, REAP));
    expect("g2-b g2-b-1 -", command("HGET hubbub:{0}:names bob"));
    assert_string_equal(heard(), LOBBY_CHANNEL " -g1-a-0 MS User0\n");
}

static void test_reap_takes_the_ids_after_the_last_when_the_clock_is_far_ahead(void **state)
{
    hold(2, 1);
    const char *top = text_of(command("GET hubbub:{0}:top"));
    unsigned seq = (unsigned)strtoul(strchr(top, '-') + 1, NULL, 10);
    expect("LEFT 0", fcall("reap", 0, REAP)); /* whose clock is 0 */
    expect(text("%.*s-%u", (int)strcspn(top, "-"), top, seq + 2), command("GET hubbub:{0}:top"));
}

static void test_reap_with_a_good_clock_says_when(void **state)
{
    hold(1, 1);
    uint64_t before = redis_clock();
    expect("LEFT 0", fcall("reap", 0, "g2-b 1 0-0 %s g1-a 0 200", text("%" PRIu64, before)));
    const char *top = text_of(command("GET hubbub:{0}:top"));
    assert_in_range(strtoull(top, NULL, 10), before, redis_clock());
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        functions_test(test_reap_frees_the_names_and_tells_once),
        functions_test(test_reap_again_does_nothing_more),
        functions_test(test_reap_of_one_that_beat_since_is_moved_and_changes_nothing),
        functions_test(test_reap_writes_the_closing_records),
        functions_test(test_reap_in_another_lane_closes_the_link_there_alone),
        functions_test(test_what_the_dead_one_sent_is_kept_an_hour),
        functions_test(test_reap_of_one_without_names),
        functions_test(test_reap_undoes_at_most_100_memberships_a_call),
        functions_test(test_reap_in_steps_keeps_the_dead_one_known_until_the_last),
        functions_test(test_reap_in_steps_may_be_ended_by_another_gateway),
        functions_test(test_reap_of_three_thousand_names),
        functions_test(test_reap_of_names_in_many_rooms),
        functions_test(test_names_that_moved_on_are_left_alone),
        functions_test(test_a_stale_entry_of_held_is_dropped_quietly),
        functions_test(test_reap_takes_the_ids_after_the_last_when_the_clock_is_far_ahead),
        functions_test(test_reap_with_a_good_clock_says_when),
    };

    return run_functions_tests(tests);
}
