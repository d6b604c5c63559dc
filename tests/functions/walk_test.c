/* walk, trim and open: reading a chain back, and the two moves of the store. */
#include "support.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Entries put there by hand, so that their ids are known. */
static int chains(void **state)
{
    static const char *const entries[][4] = {{"2000-0", "r:a", FLOOR, "{2000}"},
                                             {"3000-0", "r:b", FLOOR, "{3000}"},
                                             {"4000-0", "r:a", "2000-0", "{4000}"},
                                             {"5000-0", "r:a", "4000-0", "{5000}"}};

    fresh_redis(state);
    for (size_t i = 0; i < sizeof entries / sizeof entries[0]; i++)
        expect(entries[i][0], command("XADD hubbub:{1}:log %s c %s p %s e %s", entries[i][0], entries[i][1],
                                      entries[i][2], entries[i][3]));
    return 0;
}

static redisReply *walk(const char *from, const char *until, unsigned n, const char *what)
{
    return fcall("walk", 1, "r:a %s %s %u %s", from, until, n, what);
}

static void test_ids_are_newest_first_and_end_before_until(void **state)
{
    expect("OK [5000-0 4000-0] 2000-0 END", walk("5000-0", "2000-0", 10, "ids"));
}

static void test_a_walk_ends_at_the_floor(void **state)
{
    expect("OK [5000-0 4000-0 2000-0] " FLOOR " END", walk("5000-0", FLOOR, 10, "ids"));
}

static void test_a_walk_ends_where_until_was_passed(void **state)
{
    expect("OK [5000-0 4000-0] 2000-0 END", walk("5000-0", "3000-0", 10, "ids"));
}

static void test_a_walk_from_until_is_at_its_end(void **state)
{
    expect("OK [] 5000-0 END", walk("5000-0", "5000-0", 10, "ids"));
}

static void test_a_walk_of_n_steps_goes_on_at_next(void **state)
{
    expect("OK [5000-0 4000-0] 2000-0 MORE", walk("5000-0", FLOOR, 2, "ids"));
    expect("OK [2000-0] " FLOOR " END", walk("2000-0", FLOOR, 2, "ids"));
}

static void test_entries_are_id_prev_body(void **state)
{
    expect("OK [5000-0 4000-0 {5000} 4000-0 2000-0 {4000}] 2000-0 MORE", walk("5000-0", FLOOR, 2, "entries"));
}

static void test_a_walk_ends_at_another_chains_entry(void **state)
{
    expect("OK [] 3000-0 TRIMMED", walk("3000-0", FLOOR, 10, "ids"));
}

static void test_a_walk_below_the_floor_finds_the_log_trimmed(void **state)
{
    expect("OK [5000-0 4000-0 2000-0] " FLOOR " TRIMMED", walk("5000-0", "1-0", 10, "ids"));
}

static void test_a_walk_ends_at_what_was_trimmed(void **state)
{
    expect("OK", fcall("trim", 1, "3000-0"));
    expect("OK [5000-0 4000-0] 2000-0 TRIMMED", walk("5000-0", FLOOR, 10, "ids"));
}

static void test_a_walk_in_an_empty_log_finds_it_trimmed(void **state)
{
    expect("OK [] 5000-0 TRIMMED", fcall("walk", 2, "r:a 5000-0 " FLOOR " 10 ids"));
}

static void test_a_walk_ends_at_an_entry_that_is_no_event(void **state)
{
    expect("6000-0", command("XADD hubbub:{1}:log 6000-0 c r:a"));
    expect("OK [] 6000-0 TRIMMED", walk("6000-0", FLOOR, 10, "ids"));
}

static void test_a_walk_needs_no_link_and_writes_nothing(void **state)
{
    char *before = dataset();

    freeReplyObject(walk("5000-0", FLOOR, 10, "entries"));
    char *after = dataset();
    assert_string_equal(before, after);
    free(before);
    free(after);
}

static void test_a_walk_is_open_to_readers(void **state)
{
    expect("OK [5000-0] 4000-0 MORE",
           command("FCALL_RO walk_" FUNCTIONS_REVISION " 1 hubbub:{1} r:a 5000-0 " FLOOR " 1 ids"));
}

/* Publishes `n` messages of `size` bytes in lane 1; returns the id of the newest. */
static const char *publish_many(unsigned n, size_t size)
{
    const char *id = NULL;
    char *body = malloc(size + 1);

    memset(body, 'x', size);
    body[size] = '\0';
    for (unsigned seq = 1; seq <= n; seq++)
        id = element_of(say(1, seq, "big", "", body), 1);
    free(body);
    return id;
}

static void test_entries_of_too_many_bytes_leave_out_the_newest(void **state)
{
    const char *newest = publish_many(60, 10000);
    redisReply *reply = fcall("walk", 1, "r:big %s " FLOOR " 200 entries", newest);
    redisReply *list = reply->element[1];

    assert_int_equal(list->elements, 26 * 3); /* 262,144 bytes and no more */
    assert_string_equal(list->element[list->elements - 2]->str, FLOOR);
    assert_string_equal(element_of(reply, 3), "END");
}

static void test_one_entry_of_too_many_bytes_is_given(void **state)
{
    const char *newest = publish_many(2, 300000);
    redisReply *reply = fcall("walk", 1, "r:big %s " FLOOR " 200 entries", newest);

    assert_int_equal(reply->element[1]->elements, 3);
    assert_string_equal(reply->element[1]->element[1]->str, FLOOR);
    freeReplyObject(reply);
}

static void test_one_call_gives_at_most_1000_ids_and_200_entries(void **state)
{
    const char *newest = publish_many(1100, 10);
    redisReply *reply = fcall("walk", 1, "r:big %s " FLOOR " 100000 ids", newest);

    assert_int_equal(reply->element[1]->elements, 1000);
    assert_string_equal(reply->element[3]->str, "MORE");
    freeReplyObject(reply);
    reply = fcall("walk", 1, "r:big %s " FLOOR " 100000 entries", newest);
    assert_int_equal(reply->element[1]->elements, 200 * 3);
    freeReplyObject(reply);
}

static void test_trim_takes_up_to_the_id_and_notes_it(void **state)
{
    expect("OK", fcall("trim", 1, "4000-0"));
    assert_string_equal(log_of(1), "r:a 4000-0 {5000}\n");
    expect("4000-0", command("GET hubbub:{1}:trimmed"));
}

static void test_trim_only_moves_forward(void **state)
{
    expect("OK", fcall("trim", 1, "4000-0"));
    expect("OK", fcall("trim", 1, "3000-5"));
    expect("4000-0", command("GET hubbub:{1}:trimmed"));
}

static void test_trim_takes_a_whole_millisecond(void **state)
{
    expect("5000-16383", command("XADD hubbub:{1}:log 5000-16383 c r:a p 5000-0 e {}"));
    expect("5001-0", command("XADD hubbub:{1}:log 5001-0 c r:a p 5000-16383 e {}"));
    expect("OK", fcall("trim", 1, "5000-16383"));
    assert_string_equal(log_of(1), "r:a 5000-16383 {}\n");
}

static void test_a_trimmed_lane_still_gives_larger_ids(void **state)
{
    expect("OK", fcall("trim", 1, "5000-0"));
    expect("OK", command("SET hubbub:{1}:top 5000-0"));
    expect_word("OK", say(1, 1, "a", "", "{}"));
}

static void test_open_sets_floor_top_and_key_version(void **state)
{
    expect("OK", fcall("open", 1, "7000-3 " KEY_VERSION));
    expect("7000-3", command("GET hubbub:{1}:floor"));
    expect("7000-3", command("GET hubbub:{1}:top"));
    expect(KEY_VERSION, command("GET hubbub:{1}:open"));
}

static void test_open_only_moves_forward(void **state)
{
    expect("OK", fcall("open", 1, "7000-3 " KEY_VERSION));
    expect("OK", command("SET hubbub:{1}:top 9000-0"));
    expect("OK", fcall("open", 1, "7000-2 " KEY_VERSION));
    expect("7000-3", command("GET hubbub:{1}:floor"));
    expect("9000-0", command("GET hubbub:{1}:top"));
    expect("OK", fcall("open", 1, "8000-0 " KEY_VERSION));
    expect("8000-0", command("GET hubbub:{1}:floor"));
    expect("9000-0", command("GET hubbub:{1}:top"));
}

static void test_ids_are_compared_as_numbers(void **state)
{
    expect("OK", fcall("open", 1, "10000-0 " KEY_VERSION));
    expect("OK", fcall("open", 1, "9999-9 " KEY_VERSION));
    expect("10000-0", command("GET hubbub:{1}:floor"));
    expect("OK", fcall("open", 1, "10000-10 " KEY_VERSION));
    expect("OK", fcall("open", 1, "10000-9 " KEY_VERSION));
    expect("10000-10", command("GET hubbub:{1}:floor"));
}

#define walk_test(f) cmocka_unit_test_setup(f, chains)

int main(void)
{
    const struct CMUnitTest tests[] = {
        walk_test(test_ids_are_newest_first_and_end_before_until),
        walk_test(test_a_walk_ends_at_the_floor),
        walk_test(test_a_walk_ends_where_until_was_passed),
        walk_test(test_a_walk_from_until_is_at_its_end),
        walk_test(test_a_walk_of_n_steps_goes_on_at_next),
        walk_test(test_entries_are_id_prev_body),
        walk_test(test_a_walk_ends_at_another_chains_entry),
        walk_test(test_a_walk_below_the_floor_finds_the_log_trimmed),
        walk_test(test_a_walk_ends_at_what_was_trimmed),
        walk_test(test_a_walk_in_an_empty_log_finds_it_trimmed),
        walk_test(test_a_walk_ends_at_an_entry_that_is_no_event),
        walk_test(test_a_walk_needs_no_link_and_writes_nothing),
        walk_test(test_a_walk_is_open_to_readers),
        functions_test(test_entries_of_too_many_bytes_leave_out_the_newest),
        functions_test(test_one_entry_of_too_many_bytes_is_given),
        functions_test(test_one_call_gives_at_most_1000_ids_and_200_entries),
        walk_test(test_trim_takes_up_to_the_id_and_notes_it),
        walk_test(test_trim_only_moves_forward),
        walk_test(test_trim_takes_a_whole_millisecond),
        walk_test(test_a_trimmed_lane_still_gives_larger_ids),
        walk_test(test_open_sets_floor_top_and_key_version),
        walk_test(test_open_only_moves_forward),
        walk_test(test_ids_are_compared_as_numbers),
    };

    return run_functions_tests(tests);
}
