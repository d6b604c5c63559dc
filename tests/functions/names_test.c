/* claim, enter, leave, release: one holder a name, and who is in which room. */
#include "support.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "name.h"

#define ELEVEN_MINUTES 660000
#define LOBBY_CHANNEL "hubbub:{6}:room:lobby"
#define DEV_CHANNEL "hubbub:{5}:room:dev"

static void assert_unchanged(char *before)
{
    char *after = dataset();

    assert_string_equal(before, after);
    free(before);
    free(after);
}

static redisReply *forget(const char *name, uint64_t clock)
{
    return fcall("forget", 0, "%s %s 200", name, text("%" PRIu64, clock));
}

static void test_claim_gives_the_name(void **state)
{
    expect("OK 1 [Alice]", claim(.shown = "Alice"));
    expect("g1-a g1-a-1 -", command("HGET hubbub:{0}:names alice"));
    expect("g1-a-1", command("HGET hubbub:{0}:held:g1-a alice"));
    expect("lobby", command("SMEMBERS hubbub:{0}:in:alice"));
    expect("alice g1-a-1 Alice", command("HGETALL hubbub:{0}:members:lobby"));
    expect("lobby 1", command("ZRANGE hubbub:{0}:rooms 0 -1 WITHSCORES"));
}

static void test_claim_writes_the_opening_record(void **state)
{
    expect_word("OK", claim());
    assert_string_equal(log_of(0), "- - {\"open\":\"g1-a-1\"}\n");
    expect("", command("HGETALL hubbub:{0}:last")); /* a record belongs to no chain */
}

static void test_claim_tells_joined(void **state)
{
    expect_word("OK", claim(.shown = "Alice"));
    assert_string_equal(heard(), LOBBY_CHANNEL " +g1-a-1 MS Alice\n");
}

static void test_a_notice_says_when(void **state)
{
    redisContext *ear = another_connection();
    uint64_t before = redis_clock(), ms;
    redisReply *message;

    freeReplyObject(redisCommand(ear, "SUBSCRIBE " LOBBY_CHANNEL));
    expect_word("OK", claim());
    assert_int_equal(redisGetReply(ear, (void **)&message), REDIS_OK);
    assert_int_equal(sscanf(message->element[2]->str, "+g1-a-1 %" SCNu64 " alice", &ms), 1);
    assert_in_range(ms, before, redis_clock());
    freeReplyObject(message);
    redisFree(ear);
}

static void test_claim_by_the_holder_changes_nothing(void **state)
{
    expect_word("OK", claim(.key = "k"));
    heard();
    char *before = dataset();
    expect("OK 1 [alice]", claim(.key = "k"));
    assert_unchanged(before);
    assert_string_equal(heard(), "");
}

static void test_claim_of_a_held_name_is_taken(void **state)
{
    expect_word("OK", claim(.key = "k"));
    char *before = dataset();
    expect("TAKEN", claim(.session = "g1-a-2", .key = "other"));
    expect("TAKEN", claim(.session = "g1-a-2"));
    expect("TAKEN", claim(.incarnation = "g2-b", .session = "g2-b-1"));
    assert_unchanged(before);
}

static void test_no_key_is_no_key_to_take_over_with(void **state)
{
    expect_word("OK", claim());
    expect("TAKEN", claim(.session = "g1-a-2", .key = "-"));
}

static void test_a_name_that_is_a_lua_pattern_or_has_odd_bytes_is_one_name(void **state)
{
    static const char *const names[] = {"a.b", "a-b", "%w", "à", "å", "한글", "-", "."};

    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        expect_word("OK", claim(.name = names[i], .session = text("g1-a-%zu", i)));
        expect("TAKEN", claim(.name = names[i], .session = "g2-b-9"));
    }
    expect("8", command("HLEN hubbub:{0}:names"));
}

static void test_an_accounts_name_needs_its_password(void **state)
{
    expect("1", command("HSET hubbub:{0}:accounts alice 7"));
    char *before = dataset();
    expect("ACCOUNT", claim());
    expect("ACCOUNT", claim(.key = "k"));
    assert_unchanged(before);
    expect_word("OK", claim(.account = "7"));
}

static void test_who_was_verified_for_an_account_that_was_forgotten_since_is_refused(void **state)
{
    expect("1", command("HSET hubbub:{0}:accounts alice 8"));
    char *before = dataset();
    expect("ACCOUNT", claim(.account = "7"));
    expect("ACCOUNT", claim(.name = "bob", .account = "7"));
    assert_unchanged(before);
}

static void test_find_tells_whom_a_name_belongs_to(void **state)
{
    expect("NOBODY", fcall("find", 0, "alice"));
    expect_word("OK", claim());
    expect("HELD g1-a-1 -", fcall("find", 0, "alice"));
    expect_word("OK", claim(.name = "bob", .session = "g1-a-2", .key = "k"));
    expect("HELD g1-a-2 k", fcall("find", 0, "bob"));
    expect("2", command("HSET hubbub:{0}:accounts bob 7 carol 9"));
    expect("ACCOUNT 7", fcall("find", 0, "bob"));
    expect("ACCOUNT 9", fcall("find", 0, "carol"));
}

static void test_register_makes_an_account_of_the_name_that_the_session_holds(void **state)
{
    expect_word("OK", claim());
    expect("OK", fcall("register", 0, "alice g1-a-1 7"));
    expect("OK", fcall("register", 0, "alice g1-a-1 7"));
    expect("alice 7", command("HGETALL hubbub:{0}:accounts"));
    expect("ACCOUNT", claim(.session = "g1-a-2"));
    expect_word("OK", claim(.room = "dev")); /* its session goes on as it was */
}

static void test_register_by_a_session_that_does_not_hold_the_name_is_gone(void **state)
{
    expect_word("OK", claim());
    char *before = dataset();
    expect("GONE", fcall("register", 0, "alice g1-a-2 7"));
    expect("GONE", fcall("register", 0, "bob g1-a-1 7"));
    assert_unchanged(before);
}

static void test_the_store_may_make_an_account_of_a_name_that_nobody_holds(void **state)
{
    expect("OK", fcall("register", 0, "alice - 7"));
    expect("ACCOUNT", claim());
}

static void test_forget_gives_the_name_back_to_guests(void **state)
{
    expect("OK", fcall("register", 0, "alice - 7"));
    expect("OK", forget("alice", redis_clock()));
    expect("OK", forget("alice", redis_clock()));
    expect("ACCOUNT", claim(.account = "7"));
    expect_word("OK", claim());
}

static void test_forget_undoes_whoever_is_logged_in(void **state)
{
    expect("OK", fcall("register", 0, "alice - 7"));
    expect_word("OK", claim(.account = "7", .shown = "Alice"));
    expect_word("OK", enter(.shown = "Alice", .room = "dev"));
    heard();
    expect("OK", forget("alice", redis_clock()));
    expect("", command("KEYS hubbub:{0}:names"));
    expect("", command("KEYS hubbub:{0}:held:*"));
    expect("", command("KEYS hubbub:{0}:in:*"));
    expect("", command("KEYS hubbub:{0}:members:*"));
    expect("", command("KEYS hubbub:{0}:rooms"));
    assert_string_equal(log_of(0), "- - {\"open\":\"g1-a-1\"}\n- - {\"close\":\"g1-a-1\"}\n");
    const char *said = heard();
    assert_non_null(strstr(said, LOBBY_CHANNEL " -g1-a-1 MS Alice\n"));
    assert_non_null(strstr(said, DEV_CHANNEL " -g1-a-1 MS Alice\n"));
    assert_non_null(strstr(said, "hubbub:gateway:g1-a replaced g1-a-1\n"));
    expect("NOBODY", fcall("find", 0, "alice"));
    expect_word("OK", claim(.incarnation = "g2-b", .session = "g2-b-1"));
    expect("GONE", release()); /* the old session's, which its gateway sends when it closes it */
}

static void test_forget_leaves_a_guest_alone(void **state)
{
    expect_word("OK", claim());
    heard();
    char *before = dataset();
    expect("OK", forget("alice", redis_clock()));
    assert_unchanged(before);
    assert_string_equal(heard(), "");
}

static void test_forget_takes_no_id_from_a_clock_far_ahead(void **state)
{
    expect("OK", fcall("register", 0, "alice - 7"));
    expect_word("OK", claim(.account = "7"));
    const char *top = text_of(command("GET hubbub:{0}:top"));
    expect("OK", forget("alice", redis_clock() - ELEVEN_MINUTES));
    assert_in_range(strtoull(text_of(command("GET hubbub:{0}:top")), NULL, 10), strtoull(top, NULL, 10),
                    strtoull(top, NULL, 10) + 1);
    expect("NOBODY", fcall("find", 0, "alice"));
}

static void test_the_holder_may_claim_again_when_its_name_became_an_account(void **state)
{
    expect_word("OK", claim());
    expect("1", command("HSET hubbub:{0}:accounts alice 7"));
    expect_word("OK", claim());
}

static void test_claim_takes_no_id_from_a_clock_far_ahead(void **state)
{
    char *before = dataset();

    expect("CLOCK", claim(.clock = redis_clock() - ELEVEN_MINUTES));
    assert_unchanged(before);
}

static void test_a_takeover_takes_no_id_from_a_clock_far_ahead(void **state)
{
    expect_word("OK", claim(.key = "k"));
    heard();
    char *before = dataset();
    expect("CLOCK", claim(.session = "g1-a-2", .key = "k", .clock = redis_clock() - ELEVEN_MINUTES));
    assert_unchanged(before);
    assert_string_equal(heard(), "");
}

static void test_claims_record_follows_what_the_gateway_has_seen(void **state)
{
    const char *seen = text("%" PRIu64 "-4", redis_clock() + 5000);

    expect_word("OK", claim(.seen = seen));
    assert_true(compare_ids(text_of(command("GET hubbub:{0}:top")), seen) > 0);
}

static void test_a_claim_under_a_new_incarnation_moves_the_name(void **state)
{
    expect_word("OK", claim(.key = "k"));
    expect_word("OK", fcall("open_link", 0, "g1-z 1"));
    heard();
    expect("OK 1 [alice]", claim(.incarnation = "g1-z", .key = "k"));
    expect("g1-z g1-a-1 k", command("HGET hubbub:{0}:names alice"));
    expect("", command("HGETALL hubbub:{0}:held:g1-a"));
    expect("alice g1-a-1", command("HGETALL hubbub:{0}:held:g1-z"));
    expect("1", command("XLEN hubbub:{0}:log")); /* the session is open already */
    assert_string_equal(heard(), "");
}

static void test_a_moved_name_is_not_reaped_with_its_old_incarnation(void **state)
{
    expect_word("OK", claim());
    expect_word("OK", fcall("open_link", 0, "g1-z 1"));
    expect_word("OK", claim(.incarnation = "g1-z"));
    expect("LEFT 0", fcall("reap", 0, "g2-b 1 0-0 0 g1-a 0 200"));
    expect("g1-z g1-a-1 -", command("HGET hubbub:{0}:names alice"));
    expect("1", command("HLEN hubbub:{0}:members:lobby"));
}

static void test_a_claim_without_a_room_gives_the_name_alone(void **state)
{
    expect("OK 0 []", claim(.room = ""));
    expect("g1-a g1-a-1 -", command("HGET hubbub:{0}:names alice"));
    expect("g1-a-1", command("HGET hubbub:{0}:held:g1-a alice"));
    expect("", command("SMEMBERS hubbub:{0}:in:alice"));
    expect("", command("KEYS hubbub:{0}:members:*"));
    expect("", command("ZRANGE hubbub:{0}:rooms 0 -1 WITHSCORES"));
    assert_string_equal(heard(), "");
    expect("OK 1 [alice]", enter(.room = "dev"));
}

static void test_a_claim_without_a_room_leaves_the_rooms_of_its_session_alone(void **state)
{
    expect_word("OK", claim());
    expect_word("OK", fcall("open_link", 0, "g1-b 1"));
    heard();
    expect("OK 0 []", claim(.incarnation = "g1-b", .room = ""));
    expect("lobby", command("SMEMBERS hubbub:{0}:in:alice"));
    assert_string_equal(heard(), "");
}

static void test_enter_puts_into_one_more_room(void **state)
{
    expect_word("OK", claim(.shown = "Alice"));
    heard();
    expect("OK 1 [Alice]", enter(.shown = "Alice", .room = "dev"));
    assert_string_equal(heard(), DEV_CHANNEL " +g1-a-1 MS Alice\n");
    expect("2", command("SCARD hubbub:{0}:in:alice"));
    expect("1", command("ZSCORE hubbub:{0}:rooms dev"));
}

static void test_enter_twice_is_entering_once(void **state)
{
    expect_word("OK", claim());
    expect_word("OK", enter(.room = "dev"));
    heard();
    char *before = dataset();
    expect("OK 1 [alice]", enter(.room = "dev"));
    assert_unchanged(before);
    assert_string_equal(heard(), "");
}

static void test_who_does_not_hold_the_name_neither_enters_nor_leaves(void **state)
{
    expect_word("OK", claim());
    char *before = dataset();
    expect("GONE", enter(.session = "g1-a-2", .room = "dev"));
    expect("GONE", enter(.name = "bob", .room = "dev"));
    expect("GONE", leave(.session = "g1-a-2"));
    expect("GONE", leave(.name = "bob"));
    expect("GONE", release(.session = "g1-a-2"));
    expect("GONE", release(.name = "bob"));
    assert_unchanged(before);
}

static void test_leave_takes_out_of_the_room(void **state)
{
    expect_word("OK", claim(.shown = "Alice"));
    heard();
    expect("OK", leave());
    assert_string_equal(heard(), LOBBY_CHANNEL " -g1-a-1 MS Alice\n");
    expect("0", command("EXISTS hubbub:{0}:members:lobby hubbub:{0}:in:alice hubbub:{0}:rooms"));
    expect("g1-a g1-a-1 -", command("HGET hubbub:{0}:names alice"));
}

static void test_leave_twice_is_leaving_once(void **state)
{
    expect_word("OK", claim());
    expect_word("OK", leave());
    heard();
    char *before = dataset();
    expect("OK", leave());
    assert_unchanged(before);
    assert_string_equal(heard(), "");
}

static void test_release_undoes_all_and_writes_the_closing_record(void **state)
{
    expect_word("OK", claim(.shown = "Alice"));
    expect_word("OK", enter(.shown = "Alice", .room = "dev"));
    heard();
    expect("OK", release());
    expect(
        "0",
        command("EXISTS hubbub:{0}:names hubbub:{0}:held:g1-a hubbub:{0}:in:alice hubbub:{0}:members:lobby "
                "hubbub:{0}:members:dev hubbub:{0}:rooms"));
    assert_string_equal(log_of(0), "- - {\"open\":\"g1-a-1\"}\n- - {\"close\":\"g1-a-1\"}\n");
    const char *told = heard();
    assert_non_null(strstr(told, LOBBY_CHANNEL " -g1-a-1 MS Alice\n"));
    assert_non_null(strstr(told, DEV_CHANNEL " -g1-a-1 MS Alice\n"));
    assert_int_equal(strlen(told), strlen(LOBBY_CHANNEL DEV_CHANNEL) + 2 * strlen(" -g1-a-1 MS Alice\n"));
}

static void test_release_twice_is_gone(void **state)
{
    expect_word("OK", claim());
    expect("OK", release());
    heard();
    char *before = dataset();
    expect("GONE", release());
    assert_unchanged(before);
    assert_string_equal(heard(), "");
}

static void test_release_takes_the_id_after_the_last_when_the_clock_is_far_ahead(void **state)
{
    expect_word("OK", claim());
    const char *top = text_of(command("GET hubbub:{0}:top"));
    expect("OK", release(.clock = redis_clock() - ELEVEN_MINUTES));
    const char *id = text_of(command("GET hubbub:{0}:top"));
    assert_string_equal(text("%.*s-1", (int)strcspn(top, "-"), top), id);
}

static void test_a_name_is_free_again_after_release(void **state)
{
    expect_word("OK", claim());
    expect("OK", release());
    expect_word("OK", claim(.incarnation = "g2-b", .session = "g2-b-1"));
}

static void test_big_rooms_are_not_told_but_counted(void **state)
{
    expect_word("OK", claim(.notice_max = "1"));
    heard();
    expect_word("OK", claim(.name = "bob", .session = "g1-a-2", .notice_max = "1"));
    expect_word("2", command("ZSCORE hubbub:{0}:rooms lobby"));
    expect_word("OK", leave(.notice_max = "1"));
    assert_string_equal(heard(), "");
    expect_word("1", command("ZSCORE hubbub:{0}:rooms lobby"));
    expect_word("OK", leave(.name = "bob", .session = "g1-a-2", .notice_max = "1"));
    assert_string_equal(heard(), LOBBY_CHANNEL " -g1-a-2 MS bob\n");
}

static void test_an_answer_names_fifty_at_most_and_counts_all(void **state)
{
    redisReply *reply = NULL;

    for (unsigned i = 1; i <= 60; i++) {
        if (reply)
            freeReplyObject(reply);
        reply = claim(.name = text("user%u", i), .session = text("g1-a-%u", i));
    }
    assert_int_equal(reply->element[1]->integer, 60);
    assert_int_equal(reply->element[2]->elements, 50);
    freeReplyObject(reply);
    expect("OK 60 []", claim(.name = "user1", .session = "g1-a-1", .names_max = "0"));
    reply = enter(.name = "user1", .session = "g1-a-1", .room = "lobby", .names_max = "100");
    assert_int_equal(reply->element[2]->elements, 50);
    freeReplyObject(reply);
    expect("60", command("ZSCORE hubbub:{0}:rooms lobby"));
}

/* The channel's lane is worked out in Lua: it must be the one that C has. */
static void test_notices_go_to_the_rooms_channel_in_its_lane(void **state)
{
    expect_word("OK", claim());
    heard();
    for (unsigned i = 0; i < 500; i++) {
        const char *room = text(i % 2 ? "raum-%u" : "방%u", i);

        expect_word("OK", enter(.room = room));
        assert_string_equal(heard(), text("hubbub:{%u}:room:%s +g1-a-1 MS alice\n", lane_of(room), room));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        functions_test(test_claim_gives_the_name),
        functions_test(test_claim_writes_the_opening_record),
        functions_test(test_claim_tells_joined),
        functions_test(test_a_notice_says_when),
        functions_test(test_claim_by_the_holder_changes_nothing),
        functions_test(test_claim_of_a_held_name_is_taken),
        functions_test(test_no_key_is_no_key_to_take_over_with),
        functions_test(test_a_name_that_is_a_lua_pattern_or_has_odd_bytes_is_one_name),
        functions_test(test_an_accounts_name_needs_its_password),
        functions_test(test_who_was_verified_for_an_account_that_was_forgotten_since_is_refused),
        functions_test(test_find_tells_whom_a_name_belongs_to),
        functions_test(test_register_makes_an_account_of_the_name_that_the_session_holds),
        functions_test(test_register_by_a_session_that_does_not_hold_the_name_is_gone),
        functions_test(test_the_store_may_make_an_account_of_a_name_that_nobody_holds),
        functions_test(test_forget_gives_the_name_back_to_guests),
        functions_test(test_forget_undoes_whoever_is_logged_in),
        functions_test(test_forget_leaves_a_guest_alone),
        functions_test(test_forget_takes_no_id_from_a_clock_far_ahead),
        functions_test(test_the_holder_may_claim_again_when_its_name_became_an_account),
        functions_test(test_claim_takes_no_id_from_a_clock_far_ahead),
        functions_test(test_a_takeover_takes_no_id_from_a_clock_far_ahead),
        functions_test(test_claims_record_follows_what_the_gateway_has_seen),
        functions_test(test_a_claim_under_a_new_incarnation_moves_the_name),
        functions_test(test_a_moved_name_is_not_reaped_with_its_old_incarnation),
        functions_test(test_a_claim_without_a_room_gives_the_name_alone),
        functions_test(test_a_claim_without_a_room_leaves_the_rooms_of_its_session_alone),
        functions_test(test_enter_puts_into_one_more_room),
        functions_test(test_enter_twice_is_entering_once),
        functions_test(test_who_does_not_hold_the_name_neither_enters_nor_leaves),
        functions_test(test_leave_takes_out_of_the_room),
        functions_test(test_leave_twice_is_leaving_once),
        functions_test(test_release_undoes_all_and_writes_the_closing_record),
        functions_test(test_release_twice_is_gone),
        functions_test(test_release_takes_the_id_after_the_last_when_the_clock_is_far_ahead),
        functions_test(test_a_name_is_free_again_after_release),
        functions_test(test_big_rooms_are_not_told_but_counted),
        functions_test(test_an_answer_names_fifty_at_most_and_counts_all),
        functions_test(test_notices_go_to_the_rooms_channel_in_its_lane),
    };

    return run_functions_tests(tests);
}
