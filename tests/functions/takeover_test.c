/* claim of a held name by its key or the account's password: one step, one holder, no false notices. */
#include "support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LOBBY_CHANNEL "hubbub:{6}:room:lobby"
#define DEV_CHANNEL "hubbub:{5}:room:dev"
#define REPLACED "hubbub:gateway:g1-a replaced g1-a-1\n"

/* alice in lobby, by session g1-a-1 with key k; nothing of it is still to be heard. */
static int alice(void **state)
{
    fresh_redis(state);
    expect_word("OK", claim(.shown = "Alice", .key = "k"));
    heard();
    return 0;
}

#define BY_KEY .incarnation = "g2-b", .session = "g2-b-1", .shown = "ALICE", .key = "k"

static void test_the_same_key_takes_the_name_over(void **state)
{
    expect("OK 1 [ALICE]", claim(BY_KEY));
    expect("g2-b g2-b-1 k", command("HGET hubbub:{0}:names alice"));
    expect("", command("HGETALL hubbub:{0}:held:g1-a"));
    expect("alice g2-b-1", command("HGETALL hubbub:{0}:held:g2-b"));
    expect("alice g2-b-1 ALICE", command("HGETALL hubbub:{0}:members:lobby"));
    expect("lobby 1", command("ZRANGE hubbub:{0}:rooms 0 -1 WITHSCORES"));
}

static void test_the_verified_password_takes_the_name_over(void **state)
{
    expect("1", command("HSET hubbub:{0}:accounts alice 7"));
    expect("ACCOUNT", claim(BY_KEY));
    expect("OK 1 [alice]", claim(.incarnation = "g2-b", .session = "g2-b-1", .account = "7"));
    assert_string_equal(heard(), REPLACED);
}

static void test_the_old_holder_is_told_by_its_gateways_channel(void **state)
{
    expect_word("OK", claim(BY_KEY));
    assert_string_equal(heard(), REPLACED); /* and the room, where alice still is, hears nothing */
}

static void test_a_room_that_is_not_entered_hears_left(void **state)
{
    expect_word("OK", enter(.shown = "Alice", .room = "dev"));
    heard();
    expect_word("OK", claim(BY_KEY));
    assert_string_equal(heard(), DEV_CHANNEL " -g1-a-1 MS Alice\n" REPLACED);
    expect("lobby", command("SMEMBERS hubbub:{0}:in:alice"));
    expect("lobby 1", command("ZRANGE hubbub:{0}:rooms 0 -1 WITHSCORES"));
}

static void test_a_room_where_the_name_was_not_hears_joined(void **state)
{
    expect_word("OK", claim(BY_KEY, .room = "dev"));
    assert_string_equal(heard(),
                        LOBBY_CHANNEL " -g1-a-1 MS Alice\n" REPLACED DEV_CHANNEL " +g2-b-1 MS ALICE\n");
}

static void test_both_records_are_written_in_order(void **state)
{
    expect_word("OK", claim(BY_KEY));
    assert_string_equal(log_of(0),
                        "- - {\"open\":\"g1-a-1\"}\n- - {\"close\":\"g1-a-1\"}\n- - {\"open\":\"g2-b-1\"}\n");
}

static void test_the_old_session_is_gone(void **state)
{
    expect_word("OK", claim(BY_KEY));
    heard();
    char *before = dataset();
    expect("GONE", enter(.room = "dev"));
    expect("GONE", leave());
    expect("GONE", release());
    char *after = dataset();
    assert_string_equal(before, after);
    assert_string_equal(heard(), "");
    free(before);
    free(after);
}

static void test_a_takeover_within_one_gateway_keeps_one_name_held(void **state)
{
    expect_word("OK", claim(.session = "g1-a-2", .key = "k"));
    expect("alice g1-a-2", command("HGETALL hubbub:{0}:held:g1-a"));
    assert_string_equal(heard(), REPLACED);
}

static void test_a_takeover_sent_twice_is_one(void **state)
{
    expect_word("OK", claim(BY_KEY));
    heard();
    char *before = dataset();
    expect_word("OK", claim(BY_KEY));
    char *after = dataset();
    assert_string_equal(before, after);
    assert_string_equal(heard(), "");
    free(before);
    free(after);
}

static void test_a_new_key_counts_after_a_takeover_by_password(void **state)
{
    expect("1", command("HSET hubbub:{0}:accounts alice 7"));
    expect_word("OK", claim(.session = "g1-a-2", .key = "new", .account = "7"));
    expect("1", command("HDEL hubbub:{0}:accounts alice"));
    expect("TAKEN", claim(.session = "g1-a-3", .key = "k"));
    expect_word("OK", claim(.session = "g1-a-3", .key = "new"));
}

static void test_a_key_is_forgotten_when_the_name_is_released(void **state)
{
    expect("OK", release());
    expect_word("OK", claim(.session = "g2-b-1", .incarnation = "g2-b", .key = "mine"));
    expect("TAKEN", claim(.session = "g1-a-2", .key = "k"));
}

static void test_a_takeover_from_a_dead_gateway_leaves_nothing_to_reap(void **state)
{
    expect_word("OK", claim(BY_KEY));
    heard();
    expect("LEFT 0", fcall("reap", 0, "g2-b 1 0-0 0 g1-a 0 200"));
    assert_string_equal(heard(), "");
    expect("g2-b g2-b-1 k", command("HGET hubbub:{0}:names alice"));
}

static void test_a_takeover_from_a_session_in_100_rooms_leaves_them_all(void **state)
{
    for (unsigned i = 1; i < 100; i++)
        expect_word("OK", enter(.room = text("room%u", i)));
    expect_word("OK", claim(BY_KEY));
    expect("lobby", command("SMEMBERS hubbub:{0}:in:alice"));
    expect("1", command("ZCARD hubbub:{0}:rooms"));
    expect("hubbub:{0}:members:lobby", command("KEYS hubbub:{0}:members:*"));
}

#define takeover_test(f) cmocka_unit_test_setup(f, alice)

int main(void)
{
    const struct CMUnitTest tests[] = {
        takeover_test(test_the_same_key_takes_the_name_over),
        takeover_test(test_the_verified_password_takes_the_name_over),
        takeover_test(test_the_old_holder_is_told_by_its_gateways_channel),
        takeover_test(test_a_room_that_is_not_entered_hears_left),
        takeover_test(test_a_room_where_the_name_was_not_hears_joined),
        takeover_test(test_both_records_are_written_in_order),
        takeover_test(test_the_old_session_is_gone),
        takeover_test(test_a_takeover_within_one_gateway_keeps_one_name_held),
        takeover_test(test_a_takeover_sent_twice_is_one),
        takeover_test(test_a_new_key_counts_after_a_takeover_by_password),
        takeover_test(test_a_key_is_forgotten_when_the_name_is_released),
        takeover_test(test_a_takeover_from_a_dead_gateway_leaves_nothing_to_reap),
        takeover_test(test_a_takeover_from_a_session_in_100_rooms_leaves_them_all),
    };

    return run_functions_tests(tests);
}
