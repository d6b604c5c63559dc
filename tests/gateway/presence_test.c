/* Presence on a real bus and Redis: calls that survive their link, new incarnations, lost names, lists,
 * retirement. */
#include "loop.h"

#include "../functions/support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "presence.h"
#include "settings.h"

/* What presence said. */
static struct {
    char answers[512]; /* "TOKEN RESULT COUNT [NAMES]; " each */
    char lists[512];
    char lost[256]; /* "SESSION replaced; " or "SESSION taken; " */
    char held[256]; /* "NAME=SESSION " each, of the last time */
    unsigned held_times, reclaims;
    void (*reclaim)(void);
} said;

static void add(char *text, size_t size, const char *more)
{
    snprintf(text + strlen(text), size - strlen(text), "%s", more);
}

static void on_answered(void *ctx, uint64_t token, enum presence_result result, long count,
                        const char *const *names, size_t n)
{
    static const char *const words[] = {"ok", "taken", "account", "gone", "unavailable"};
    char text[64];

    if (token == 0)
        return;
    snprintf(text, sizeof text, "%u %s %ld", (unsigned)token, words[result], count);
    add(said.answers, sizeof said.answers, text);
    for (size_t i = 0; i < n; i++) {
        add(said.answers, sizeof said.answers, " ");
        add(said.answers, sizeof said.answers, names[i]);
    }
    add(said.answers, sizeof said.answers, "; ");
}

static void on_listed(void *ctx, uint64_t token, long count, const char **names, const long *counts, size_t n)
{
    char text[128];

    snprintf(text, sizeof text, "%u %ld%s", (unsigned)token, count, names ? "" : " none");
    add(said.lists, sizeof said.lists, text);
    for (size_t i = 0; names && i < n; i++) {
        add(said.lists, sizeof said.lists, " ");
        add(said.lists, sizeof said.lists, names[i]);
    }
    add(said.lists, sizeof said.lists, "; ");
}

static char found[64]; /* what presence_find answered last: the holder, "nobody" or "not known" */

static void on_found(void *ctx, uint64_t token, bool known, const char *holder)
{
    snprintf(found, sizeof found, "%s", !known ? "not known" : holder ? holder : "nobody");
}

static void on_lost(void *ctx, const char *session, bool replaced)
{
    add(said.lost, sizeof said.lost, session);
    add(said.lost, sizeof said.lost, replaced ? " replaced; " : " taken; ");
}

static void on_reclaim(void *ctx)
{
    said.reclaims++;
    if (said.reclaim)
        said.reclaim();
}

static void on_held(void *ctx, const char *const *names, const char *const *sessions, size_t n)
{
    said.held_times++;
    said.held[0] = '\0';
    for (size_t i = 0; i < n; i++) {
        add(said.held, sizeof said.held, names[i]);
        add(said.held, sizeof said.held, "=");
        add(said.held, sizeof said.held, sessions[i]);
        add(said.held, sizeof said.held, " ");
    }
}

static const struct presence_ops ops = {on_answered, on_listed, on_found, on_lost, on_reclaim, on_held};

static int set_up(void **state)
{
    loop_one(state);
    memset(&said, 0, sizeof said);
    found[0] = '\0';
    loop.presence = presence_create(loop.bus, &loop_settings, &ops, NULL);
    loop_start();
    return 0;
}

static int tear_down(void **state)
{
    struct presence *presence = loop.presence;

    loop.presence = NULL;
    presence_destroy(presence);
    return loop_destroy(state);
}

static const struct claim alice = {.name = "alice",
                                   .shown = "Alice",
                                   .session = "g1-x-1",
                                   .room = "lobby",
                                   .record = "{\"open\":\"alice\"}",
                                   .with_names = true};

static const struct claim bob = {.name = "bob",
                                 .shown = "Bob",
                                 .session = "g1-x-2",
                                 .key = "secret",
                                 .room = "lobby",
                                 .record = "{\"open\":\"bob\"}",
                                 .with_names = true};

static const char *holder(const char *name)
{
    return text_of(command("HGET hubbub:{0}:names %s", name));
}

static bool is_answered(void)
{
    return presence_unanswered(loop.presence) == 0;
}

/* Takes the link down with what it holds, and waits until it is up again. */
static void reconnect(void)
{
    unsigned ups = loop.ups[0];

    proxy_cut(loop.proxies[0]);
    for (int way = 0; way < WAYS; way++)
        proxy_hold(loop.proxies[0], COMMANDS, way, false);
    until(loop.ups[0] > ups);
}

static void reclaim_alice(void)
{
    presence_reclaim(loop.presence, &alice, (const char *[]){"dev", "ops"}, 2);
}

static void reclaim_alice_without_a_room(void)
{
    struct claim claim = alice;

    claim.room = "";
    presence_reclaim(loop.presence, &claim, NULL, 0);
}

/* As another gateway would reap it. */
static void reap_us(void)
{
    for (unsigned lane = 0; lane < LANES; lane++)
        freeReplyObject(command("HDEL hubbub:{%u}:links %s", lane, bus_incarnation(loop.bus)));
}

static void test_calls_are_answered_in_order(void **state)
{
    presence_claim(loop.presence, &alice, 1);
    presence_enter(loop.presence, "alice", "Alice", "g1-x-1", "dev", true, 2);
    presence_leave(loop.presence, "alice", "Alice", "g1-x-1", "lobby", 3);
    presence_claim(loop.presence,
                   &(struct claim){
                       .name = "alice", .shown = "Eve", .session = "g1-x-9", .room = "lobby", .record = "{}"},
                   4);
    presence_release(loop.presence, "alice", "g1-x-1", 5);
    presence_enter(loop.presence, "alice", "Alice", "g1-x-1", "dev", true, 6);
    until(is_answered());
    assert_string_equal(said.answers, "1 ok 1 Alice; 2 ok 1 Alice; 3 ok 0; 4 taken 0; 5 ok 0; 6 gone 0; ");
}

static void test_a_claim_whose_answer_was_lost_is_made_again_and_counts_once(void **state)
{
    proxy_hold(loop.proxies[0], COMMANDS, FROM_REDIS, true);
    presence_claim(loop.presence, &alice, 1);
    until(strncmp(holder("alice"), "g1-", 3) == 0);
    reconnect();
    until(is_answered());
    assert_string_equal(said.answers, "1 ok 1 Alice; ");
    assert_string_equal(log_of(0), "- - {\"open\":\"alice\"}\n");
}

static void test_a_claim_whose_client_has_gone_is_followed_by_its_release(void **state)
{
    proxy_hold(loop.proxies[0], COMMANDS, TO_REDIS, true);
    presence_claim(loop.presence, &alice, 1);
    presence_release(loop.presence, "alice", "g1-x-1", 0);
    reconnect();
    presence_claim(loop.presence, &alice, 2);
    until(is_answered());
    assert_string_equal(log_of(0),
                        "- - {\"open\":\"alice\"}\n- - {\"close\":\"g1-x-1\"}\n- - {\"open\":\"alice\"}\n");
}

static void test_what_is_asked_while_the_link_is_down_is_done_once_it_is_up(void **state)
{
    proxy_cut(loop.proxies[0]);
    until(loop.downs[0] == 1);
    presence_claim(loop.presence, &alice, 1);
    presence_enter(loop.presence, "alice", "Alice", "g1-x-1", "dev", true, 2);
    assert_int_equal(presence_unanswered(loop.presence), 2);
    until(is_answered());
    assert_string_equal(said.answers, "1 ok 1 Alice; 2 ok 1 Alice; ");
}

static void test_a_new_incarnation_claims_the_names_and_rooms_again(void **state)
{
    char wanted[128];

    presence_claim(loop.presence, &alice, 1);
    until(is_answered());
    said.reclaim = reclaim_alice;
    freeReplyObject(command("DEL hubbub:{0}:names hubbub:{0}:in:alice hubbub:{0}:members:lobby"));
    reap_us();
    until(said.reclaims == 1);
    until(is_answered());
    snprintf(wanted, sizeof wanted, "%s g1-x-1 -", bus_incarnation(loop.bus));
    assert_string_equal(holder("alice"), wanted);
    expect("dev lobby ops", command("SORT hubbub:{0}:in:alice ALPHA"));
    assert_string_equal(said.answers, "1 ok 1 Alice; ");
    assert_string_equal(said.lost, "");
    until(said.held_times >= 2);
    assert_string_equal(said.held, "alice=g1-x-1 ");
}

static void test_a_name_in_no_room_is_claimed_again_too(void **state)
{
    char wanted[128];

    said.reclaim = reclaim_alice_without_a_room;
    reap_us();
    until(said.reclaims == 1);
    until(is_answered());
    snprintf(wanted, sizeof wanted, "%s g1-x-1 -", bus_incarnation(loop.bus));
    assert_string_equal(holder("alice"), wanted);
    expect("", command("SMEMBERS hubbub:{0}:in:alice"));
}

static void test_a_name_that_a_stranger_has_by_then_is_lost(void **state)
{
    presence_claim(loop.presence, &alice, 1);
    until(is_answered());
    said.reclaim = reclaim_alice;
    freeReplyObject(command("DEL hubbub:{0}:names"));
    expect_word("OK", claim(.incarnation = "g2-b", .session = "g2-b-7"));
    reap_us();
    until(said.reclaims == 1);
    until(is_answered());
    assert_string_equal(said.lost, "g1-x-1 taken; ");
    assert_string_equal(holder("alice"), "g2-b g2-b-7 -");
}

static void test_a_release_does_not_overtake_a_claim_that_redis_had_no_room_for(void **state)
{
    presence_claim(loop.presence, &alice, 1);
    until(is_answered());
    said.reclaim = reclaim_alice;
    freeReplyObject(command("DEL hubbub:{0}:names"));
    expect("OK", command("CONFIG SET maxmemory 1"));
    reap_us();
    until(said.reclaims == 1 && bus_lane_is_up(loop.bus, 0));
    presence_release(loop.presence, "alice", "g1-x-1", 2); /* the client leaves meanwhile */
    assert_int_not_equal(presence_unanswered(loop.presence), 0);
    expect("OK", command("CONFIG SET maxmemory 0"));
    until(is_answered());
    assert_string_equal(holder("alice"), "(nil)");
    assert_string_equal(said.answers, "1 ok 1 Alice; 2 ok 0; ");
}

static void test_a_takeover_elsewhere_is_heard(void **state)
{
    presence_claim(loop.presence, &bob, 1);
    until(is_answered());
    expect_word("OK", claim(.incarnation = "g2-b", .name = "bob", .session = "g2-b-7", .key = "secret"));
    until(said.lost[0] != '\0');
    assert_string_equal(said.lost, "g1-x-2 replaced; ");
}

static void test_a_takeover_that_was_not_heard_shows_in_what_is_held(void **state)
{
    presence_claim(loop.presence, &alice, 1);
    presence_claim(loop.presence, &bob, 2);
    until(is_answered());
    proxy_hold(loop.proxies[0], MESSAGES, FROM_REDIS, true);
    expect_word("OK", claim(.incarnation = "g2-b", .name = "bob", .session = "g2-b-7", .key = "secret"));
    proxy_cut(loop.proxies[0]);
    proxy_hold(loop.proxies[0], MESSAGES, FROM_REDIS, false);
    until(said.held_times == 2);
    assert_string_equal(said.held, "alice=g1-x-1 ");
    assert_string_equal(said.lost, "");
}

static void test_a_full_redis_refuses_claims_and_still_lets_go(void **state)
{
    presence_claim(loop.presence, &alice, 1);
    until(is_answered());
    expect("OK", command("CONFIG SET maxmemory 1"));
    presence_claim(loop.presence, &bob, 2);
    presence_enter(loop.presence, "alice", "Alice", "g1-x-1", "dev", true, 3);
    presence_leave(loop.presence, "alice", "Alice", "g1-x-1", "lobby", 4);
    presence_release(loop.presence, "alice", "g1-x-1", 5);
    until(is_answered());
    expect("OK", command("CONFIG SET maxmemory 0"));
    assert_string_equal(said.answers, "1 ok 1 Alice; 2 unavailable 0; 3 unavailable 0; 4 ok 0; 5 ok 0; ");
}

static void test_who_and_rooms_are_listed(void **state)
{
    presence_claim(loop.presence, &bob, 1);
    presence_claim(loop.presence, &alice, 2);
    until(is_answered());
    assert_true(presence_who(loop.presence, "lobby", 3));
    assert_true(presence_who(loop.presence, "nowhere", 4));
    assert_true(presence_rooms(loop.presence, 5));
    until(strstr(said.lists, "5 "));
    assert_string_equal(said.lists, "3 2 Alice Bob; 4 0; 5 1 lobby; ");
}

static void test_a_list_that_was_lost_with_the_link_is_told_as_none(void **state)
{
    proxy_hold(loop.proxies[0], COMMANDS, TO_REDIS, true);
    assert_true(presence_who(loop.presence, "lobby", 3));
    reconnect();
    assert_string_equal(said.lists, "3 0 none; ");
    assert_false(!bus_lane_is_up(loop.bus, 0));
}

/* What presence_find says of `name`. */
static const char *find(const char *name)
{
    found[0] = '\0';
    assert_true(presence_find(loop.presence, name, 7));
    until(*found);
    return found;
}

static void test_who_holds_a_name_is_found_and_nobody_else(void **state)
{
    assert_string_equal(find("alice"), "nobody");
    presence_claim(loop.presence, &alice, 1);
    until(is_answered());
    assert_string_equal(find("alice"), "g1-x-1");
    assert_string_equal(find("bob"), "nobody");
    presence_release(loop.presence, "alice", "g1-x-1", 2);
    until(is_answered());
    assert_string_equal(find("alice"), "nobody");
}

static void test_who_holds_a_name_with_a_key_is_found_by_it(void **state)
{
    presence_claim(loop.presence, &bob, 1);
    until(is_answered());
    assert_string_equal(find("bob"), "secret");
}

static void test_who_is_on_another_gateway_is_found(void **state)
{
    expect_word("OK", claim(.incarnation = "g2-b", .name = "bob", .session = "g2-b-7"));
    assert_string_equal(find("bob"), "g2-b-7");
}

static void test_who_was_asked_for_when_the_link_broke_is_not_known(void **state)
{
    presence_claim(loop.presence, &alice, 1);
    until(is_answered());
    proxy_hold(loop.proxies[0], COMMANDS, TO_REDIS, true);
    assert_true(presence_find(loop.presence, "alice", 7));
    reconnect();
    assert_string_equal(found, "not known");
    assert_string_equal(find("alice"), "g1-x-1");
}

static void test_nobody_can_be_asked_for_while_the_link_is_down(void **state)
{
    proxy_cut(loop.proxies[0]);
    until(loop.downs[0] == 1);
    assert_false(presence_find(loop.presence, "alice", 7));
    assert_string_equal(found, "");
}

static void test_a_gateway_that_retires_leaves_nothing(void **state)
{
    char incarnation[INCARNATION_MAX_BYTES];

    strcpy(incarnation, bus_incarnation(loop.bus));
    until(loop.beats >= 1);
    presence_retire(loop.presence);
    assert_int_equal(presence_unanswered(loop.presence), 1);
    until(is_answered());
    for (unsigned lane = 0; lane < LANES; lane++) {
        expect("0", command("HEXISTS hubbub:{%u}:links %s", lane, incarnation));
        expect("0", command("HEXISTS hubbub:{%u}:gateways %s", lane, incarnation));
    }
}

static void test_a_retirement_ends_with_the_link(void **state)
{
    until(loop.beats >= 1);
    proxy_hold(loop.proxies[0], COMMANDS, TO_REDIS, true);
    presence_retire(loop.presence);
    proxy_cut(loop.proxies[0]);
    until(loop.downs[0] == 1);
    assert_true(is_answered());
}

static void test_a_gateway_whose_beats_stand_is_reaped_and_a_living_one_is_not(void **state)
{
    uint64_t then = now_ms();

    expect_word("OK", claim(.incarnation = "g1-a", .session = "g1-a-1"));
    expect_word("OK", claim(.incarnation = "g2-b", .session = "g2-b-1", .name = "bob"));
    while (strncmp(holder("alice"), "g1-a", 4) == 0) {
        for (uint64_t late = now_ms() + 1000; now_ms() < late;)
            loop_once();
        expect_word("OK", fcall("beat", 0, "g2-b 1"));
        assert_true(now_ms() - then < 16000);
    }
    assert_true(now_ms() - then >= 9000);
    assert_string_equal(holder("bob"), "g2-b g2-b-1 -");
    expect("0", command("HEXISTS hubbub:{3}:links g1-a"));
    expect("1", command("HEXISTS hubbub:{3}:links g2-b"));
}

#define presence_test(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        presence_test(test_calls_are_answered_in_order),
        presence_test(test_a_claim_whose_answer_was_lost_is_made_again_and_counts_once),
        presence_test(test_a_claim_whose_client_has_gone_is_followed_by_its_release),
        presence_test(test_what_is_asked_while_the_link_is_down_is_done_once_it_is_up),
        presence_test(test_a_new_incarnation_claims_the_names_and_rooms_again),
        presence_test(test_a_name_in_no_room_is_claimed_again_too),
        presence_test(test_a_name_that_a_stranger_has_by_then_is_lost),
        presence_test(test_a_release_does_not_overtake_a_claim_that_redis_had_no_room_for),
        presence_test(test_a_takeover_elsewhere_is_heard),
        presence_test(test_a_takeover_that_was_not_heard_shows_in_what_is_held),
        presence_test(test_a_full_redis_refuses_claims_and_still_lets_go),
        presence_test(test_who_and_rooms_are_listed),
        presence_test(test_a_list_that_was_lost_with_the_link_is_told_as_none),
        presence_test(test_who_holds_a_name_is_found_and_nobody_else),
        presence_test(test_who_holds_a_name_with_a_key_is_found_by_it),
        presence_test(test_who_is_on_another_gateway_is_found),
        presence_test(test_who_was_asked_for_when_the_link_broke_is_not_known),
        presence_test(test_nobody_can_be_asked_for_while_the_link_is_down),
        presence_test(test_a_gateway_that_retires_leaves_nothing),
        presence_test(test_a_retirement_ends_with_the_link),
        presence_test(test_a_gateway_whose_beats_stand_is_reaped_and_a_living_one_is_not),
    };

    return run_functions_tests(tests);
}
