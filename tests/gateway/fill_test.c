/* Those who are behind, and how they are fed: from the ring, and by walks along the chain in the log. */
#include "unit.h"

#include <stdio.h>
#include <string.h>

#include "fake_store.h"
#include "room.h"
#include "world.h"

/* "FIRST FIRST+1 ... LAST " */
static const char *numbers(unsigned first, unsigned last)
{
    static char text[1 << 19];
    size_t len = 0;

    text[0] = '\0';
    for (unsigned i = first; i <= last; i++)
        len += (size_t)sprintf(text + len, "%u ", i);
    return text;
}

static void test_since_within_the_ring_needs_no_walk(void **state)
{
    event_id third;

    enter("lobby");
    third = say("lobby", 3);
    say("lobby", 3);
    fake_settle(world.bus);
    assert_string_equal(told(enter("lobby", .since = third)), "4 5 6 ");
    assert_int_equal(world.hub->counts.fills, 0);
}

static void test_since_in_the_log_is_walked_to(void **state)
{
    event_id third = say("lobby", 3);
    struct person *alice;

    say("lobby", 450);
    alice = enter("lobby", .since = third);
    assert_string_equal(told(alice), "");
    fake_settle(world.bus);
    assert_string_equal(told(alice), numbers(4, 453));
    assert_int_equal(world.hub->counts.fills, 1);
    assert_null(alice->member->room->fill);
}

static void test_since_longer_ago_than_one_walk_for_ids_goes(void **state)
{
    event_id first = say("lobby", 1);
    struct person *alice;

    say("lobby", 2999);
    alice = enter("lobby", .since = first);
    fake_settle(world.bus);
    assert_string_equal(told(alice), numbers(2, 3000));
    assert_int_equal(world.hub->counts.fills, 1);
}

static void test_since_that_was_trimmed_is_told_as_one_gap(void **state)
{
    event_id first = say("lobby", 1), tenth = say("lobby", 9);
    struct person *alice;
    char wanted[128];

    say("lobby", 1);
    fake_trim(world.bus, "lobby", tenth);
    alice = enter("lobby", .since = first, .dialect = 1);
    fake_settle(world.bus);
    snprintf(wanted, sizeof wanted, "%llu-%llu ", (unsigned long long)first, (unsigned long long)tenth);
    assert_int_equal(strncmp(told(alice), wanted, strlen(wanted)), 0);
    assert_int_equal(world.hub->counts.gaps, 1);
    assert_true(alice->member->position > tenth);
}

static void test_since_above_the_newest_counts_as_the_newest(void **state)
{
    event_id newest = say("lobby", 2);
    struct person *alice = enter("lobby", .since = newest + 1000000);

    assert_true(alice->start == newest);
    say("lobby", 1);
    fake_settle(world.bus);
    assert_string_equal(told(alice), "3 ");
}

static void test_since_between_two_ids_goes_on_behind_it(void **state)
{
    event_id first = say("lobby", 1);
    struct person *alice, *bob;

    say("lobby", 2);
    alice = enter("lobby", .since = first + 1);
    fake_settle(world.bus);
    assert_string_equal(told(alice), "2 3 ");
    say("lobby", 1);
    fake_settle(world.bus);
    bob = enter("lobby", .since = first + 1);
    fake_settle(world.bus);
    assert_string_equal(told(bob), "2 3 4 ");
    assert_string_equal(told(alice), "4 ");
}

static void test_a_missed_message_is_fetched_and_all_come_in_order(void **state)
{
    struct person *alice = enter("lobby");

    say("lobby", 3);
    fake_deliver(world.bus);
    fake_swallow(world.bus);
    fake_deliver(world.bus);
    assert_string_equal(told(alice), "1 ");
    say("lobby", 1); /* while it is fetched */
    fake_settle(world.bus);
    assert_string_equal(told(alice), "2 3 4 ");
    assert_int_equal(world.hub->counts.fills, 1);
}

static void test_what_was_said_while_the_link_was_down_is_fetched(void **state)
{
    struct person *alice = enter("lobby");

    fake_cut(world.bus);
    say("lobby", 3);
    fake_heal(world.bus);
    say("lobby", 1);
    fake_settle(world.bus);
    assert_string_equal(told(alice), "1 2 3 4 ");
}

static void test_a_link_that_was_down_while_nothing_was_said_costs_no_walk(void **state)
{
    struct person *alice = enter("lobby");

    say("lobby", 2);
    fake_settle(world.bus);
    fake_cut(world.bus);
    fake_heal(world.bus);
    fake_settle(world.bus);
    assert_string_equal(told(alice), "1 2 ");
    assert_int_equal(world.hub->counts.fills, 0);
}

static void test_a_message_that_closes_the_hole_itself_costs_no_walk(void **state)
{
    struct person *alice = enter("lobby");

    fake_cut(world.bus);
    fake_heal(world.bus);
    while (fake_execute_subscription(world.bus))
        continue;
    fake_deliver(world.bus); /* the confirmation */
    say("lobby", 1);
    fake_execute_read(world.bus); /* knows of 1 */
    fake_deliver(world.bus);      /* and 1 itself is here */
    fake_answer(world.bus);
    assert_string_equal(told(alice), "1 ");
    assert_int_equal(world.hub->counts.fills, 0);
}

static void test_a_wiped_redis_is_told_as_a_gap_and_goes_on(void **state)
{
    struct person *alice = enter("lobby");

    say("lobby", 2);
    fake_settle(world.bus);
    fake_cut(world.bus);
    fake_wipe(world.bus);
    fake_heal(world.bus);
    fake_settle(world.bus);
    say("lobby", 1);
    fake_settle(world.bus);
    assert_string_equal(told(alice), "1 2 gap 3 ");
}

static void test_a_walk_that_was_lost_with_the_link_is_done_again(void **state)
{
    event_id first = say("lobby", 1);
    struct person *alice;

    say("lobby", 5);
    alice = enter("lobby", .since = first);
    assert_int_equal(fake_walks(world.bus), 1);
    fake_cut(world.bus);
    assert_int_equal(world.hub->walks, 0);
    fake_heal(world.bus);
    fake_settle(world.bus);
    assert_string_equal(told(alice), numbers(2, 6));
}

static void test_a_walk_that_was_refused_is_done_again(void **state)
{
    event_id first = say("lobby", 1);
    struct person *alice;

    say("lobby", 5);
    alice = enter("lobby", .since = first);
    assert_true(fake_refuse(world.bus));
    assert_int_equal(world.hub->walks, 0);
    pass(11);
    assert_string_equal(told(alice), numbers(2, 6));
}

static void test_more_than_can_be_held_back_is_fetched(void **state)
{
    struct person *alice = enter("lobby");

    say("lobby", 1);
    fake_swallow(world.bus);
    say("lobby", HELD_EVENTS + 500);
    while (fake_deliver(world.bus))
        continue;
    assert_string_equal(told(alice), "");
    fake_settle(world.bus);
    assert_string_equal(told(alice), numbers(1, HELD_EVENTS + 501));
}

static void test_more_than_can_be_held_back_while_the_newest_id_is_read_is_fetched(void **state)
{
    struct person *alice = enter("lobby");

    fake_cut(world.bus);
    fake_heal(world.bus);
    while (fake_execute_subscription(world.bus))
        continue;
    fake_deliver(world.bus); /* the confirmation */
    fake_execute_read(world.bus);
    say("lobby", HELD_EVENTS + 500);
    while (fake_deliver(world.bus))
        continue;
    fake_settle(world.bus);
    assert_string_equal(told(alice), numbers(1, HELD_EVENTS + 500));
}

static void test_who_does_not_read_is_behind_and_robbed_of_nothing(void **state)
{
    struct person *alice = enter("lobby"), *bob = enter("lobby");

    say("lobby", 1);
    fake_settle(world.bus);
    alice->ready = false;
    say("lobby", 600);
    fake_settle(world.bus);
    assert_string_equal(told(bob), numbers(1, 601));
    assert_string_equal(told(alice), "1 ");
    assert_true(alice->member->behind);
    person_resume(alice);
    fake_settle(world.bus);
    assert_string_equal(told(alice), numbers(2, 601));
    assert_false(alice->member->behind);
    say("lobby", 1);
    fake_settle(world.bus);
    assert_string_equal(told(alice), "602 ");
}

static void test_who_reads_a_little_at_a_time_gets_all(void **state)
{
    event_id first = say("lobby", 1);
    struct person *alice;
    char all[1 << 15] = "";

    say("lobby", 1000);
    alice = enter("lobby", .since = first);
    alice->budget = 7;
    for (int i = 0; i < 200; i++) {
        fake_settle(world.bus);
        strcat(all, told(alice));
        if (i % 3 == 0)
            say("lobby", 2);
        alice->budget = 7;
        person_resume(alice);
    }
    alice->budget = -1;
    person_resume(alice);
    fake_settle(world.bus);
    strcat(all, told(alice));
    assert_string_equal(all, numbers(2, 1135));
}

static void test_a_reader_that_leaves_during_its_walk_leaves_nothing_behind(void **state)
{
    event_id first = say("lobby", 1);
    struct person *alice;

    say("lobby", 5);
    alice = enter("lobby", .since = first);
    assert_int_equal(fake_walks(world.bus), 1);
    person_leave(alice);
    fake_settle(world.bus);
    assert_int_equal(world.hub->walks, 0);
}

static void test_a_room_that_goes_during_its_walk_is_survived(void **state)
{
    event_id first = say("lobby", 1);
    struct person *alice;

    say("lobby", 5);
    alice = enter("lobby", .since = first);
    person_leave(alice);
    fake_now += 31000;
    hub_tick(world.hub);
    assert_null(world.hub->rooms);
    assert_int_equal(world.hub->walks, 0);
    fake_settle(world.bus);
    assert_int_equal(world.hub->walks, 0);
}

static void test_a_thousand_who_come_back_cost_one_walk(void **state)
{
    event_id first = say("lobby", 1);
    struct person *last = NULL;

    say("lobby", 150);
    for (int i = 0; i < 1000; i++)
        last = enter("lobby", .since = first);
    fake_settle(world.bus);
    assert_string_equal(told(last), numbers(2, 151));
    assert_int_equal(world.hub->counts.fills, 1);
    assert_int_equal(world.encoded[0], 150);
}

static void test_who_is_further_back_is_fed_as_well(void **state)
{
    event_id first = say("lobby", 1), hundredth = say("lobby", 99);
    struct person *alice, *bob;

    say("lobby", 300);
    alice = enter("lobby", .since = hundredth);
    fake_execute_read(world.bus);
    fake_answer(world.bus);
    fake_execute_read(world.bus); /* the entries for alice are under way */
    bob = enter("lobby", .since = first);
    fake_settle(world.bus);
    assert_string_equal(told(alice), numbers(101, 400));
    assert_string_equal(told(bob), numbers(2, 400));
}

static void test_eight_walks_at_most_and_the_line_goes_on(void **state)
{
    struct person *people[30];
    char name[32];

    for (int i = 0; i < 30; i++) {
        event_id first;

        snprintf(name, sizeof name, "room%d", i);
        person_leave(enter(name)); /* so that it is live; its ring is empty */
        fake_deafen(world.bus, name);
        first = say(name, 1);
        say(name, 3);
        (void)first;
    }
    fake_cut(world.bus);
    fake_heal(world.bus);
    while (fake_execute_subscription(world.bus) || fake_deliver(world.bus))
        continue;
    for (int i = 0; i < 30; i++) {
        snprintf(name, sizeof name, "room%d", i);
        people[i] = person_try(name, (struct how){.since = 1});
    }
    (void)people;
    do {
        assert_true(fake_walks(world.bus) <= WALKS_MAX);
        assert_int_equal(world.hub->walks, fake_walks(world.bus));
    } while (fake_execute_read(world.bus) || fake_answer(world.bus));
    assert_null(world.hub->line);
    for (int i = 0; i < 30; i++) {
        snprintf(name, sizeof name, "room%d", i);
        assert_string_equal(told(enter(name, .since = fake_floor(world.bus, name))), "1 2 3 4 ");
    }
}

static void test_a_garbled_chat_in_the_log_blocks_nobody(void **state)
{
    event_id first = say("lobby", 1);
    struct person *alice;

    fake_say_garbage(world.bus, "lobby");
    say("lobby", 2);
    alice = enter("lobby", .since = first);
    fake_settle(world.bus);
    assert_string_equal(told(alice), "gap 3 4 ");
    assert_int_equal(world.hub->counts.gaps, 1);
}

static void test_a_garbled_chat_that_comes_live_blocks_nobody(void **state)
{
    struct person *alice = enter("lobby");

    say("lobby", 1);
    fake_say_garbage(world.bus, "lobby");
    say("lobby", 1);
    fake_settle(world.bus);
    assert_string_equal(told(alice), "1 gap 3 ");
    say("lobby", 1);
    fake_settle(world.bus);
    assert_string_equal(told(alice), "4 ");
}

static void test_a_garbled_chat_costs_who_is_further_back_nothing_else(void **state)
{
    event_id first = say("lobby", 1);
    struct person *alice, *bob;
    event_id tenth = say("lobby", 9);

    fake_say_garbage(world.bus, "lobby");
    say("lobby", 1);
    alice = enter("lobby", .since = tenth);
    fake_execute_read(world.bus);
    fake_answer(world.bus);
    fake_execute_read(world.bus);
    bob = enter("lobby", .since = first); /* while the entries for alice are under way */
    fake_settle(world.bus);
    assert_string_equal(told(alice), "gap 12 ");
    assert_string_equal(told(bob), "2 3 4 5 6 7 8 9 10 gap 12 ");
}

static void test_entries_that_are_trimmed_between_ids_and_entries_are_a_gap(void **state)
{
    event_id first = say("lobby", 1), third = say("lobby", 2);
    struct person *alice;

    say("lobby", 2);
    alice = enter("lobby", .since = first);
    fake_execute_read(world.bus);
    fake_answer(world.bus); /* the ids of 2 to 5 are known */
    fake_trim(world.bus, "lobby", third);
    fake_settle(world.bus);
    assert_string_equal(told(alice), "gap 4 5 ");
}

/* The store as the third source -------------------------------------------------------------------------- */

static struct storelink *store;

static int create_with_store(void **state)
{
    int status = world_create(state);

    store = fake_store_create(world.bus);
    world.hub->storelink = store;
    return status;
}

static int destroy_with_store(void **state)
{
    int status = world_destroy(state);

    fake_store_destroy(store);
    return status;
}

#define store_test(f) cmocka_unit_test_setup_teardown(f, create_with_store, destroy_with_store)

/* Everything happens, pages of the store too. */
static void settle(void)
{
    do {
        fake_settle(world.bus);
    } while (fake_store_answer(store));
}

static void test_what_the_log_lacks_comes_from_the_store(void **state)
{
    event_id first = say("lobby", 1), tenth = say("lobby", 9);
    struct person *alice;

    say("lobby", 5);
    fake_trim(world.bus, "lobby", tenth);
    alice = enter("lobby", .since = first);
    settle();
    assert_string_equal(told(alice), numbers(2, 15));
    assert_int_equal(world.hub->counts.gaps, 0);
    assert_int_equal(fake_store_asked(store), 1);
}

static void test_a_long_past_comes_in_pages(void **state)
{
    event_id first = say("lobby", 1), old = say("lobby", 899);
    struct person *alice;

    say("lobby", 300);
    fake_trim(world.bus, "lobby", old);
    alice = enter("lobby", .since = first);
    settle();
    assert_string_equal(told(alice), numbers(2, 1200));
    assert_int_equal(fake_store_asked(store), 5);
}

static void test_a_thousand_who_come_back_from_long_ago_share_the_pages(void **state)
{
    event_id first = say("lobby", 1), old = say("lobby", 299);
    struct person *people[1000];

    say("lobby", 300);
    fake_trim(world.bus, "lobby", old);
    for (int i = 0; i < 1000; i++)
        people[i] = enter("lobby", .since = first);
    settle();
    for (int i = 0; i < 1000; i++)
        assert_string_equal(told(people[i]), numbers(2, 600));
    assert_true(fake_store_asked(store) <= 4);
}

static void test_without_a_store_what_the_log_lacks_is_a_gap(void **state)
{
    event_id first = say("lobby", 1), tenth = say("lobby", 9);
    struct person *alice, *bob;

    say("lobby", 2);
    fake_trim(world.bus, "lobby", tenth);
    fake_store_set_up(store, false);
    alice = enter("lobby", .since = first);
    settle();
    assert_string_equal(told(alice), "gap 11 12 ");
    fake_store_set_up(store, true);
    bob = enter("lobby", .since = first);
    fake_settle(world.bus);
    assert_true(fake_store_fail(store)); /* it goes while it is asked */
    settle();
    assert_string_equal(told(bob), "gap 11 12 ");
}

static void test_what_the_store_keeps_no_more_is_a_gap_and_the_rest_follows(void **state)
{
    event_id first = say("lobby", 1), fourth = say("lobby", 3), tenth = say("lobby", 6);
    struct person *alice;
    char wanted[64];

    say("lobby", 1);
    fake_trim(world.bus, "lobby", tenth);
    fake_store_forget(store, fourth);
    alice = enter("lobby", .since = first, .dialect = 1);
    settle();
    snprintf(wanted, sizeof wanted, "%llu-%llu =", (unsigned long long)first, (unsigned long long)fourth);
    assert_int_equal(strncmp(told(alice), wanted, strlen(wanted)), 0);
    assert_int_equal(world.hub->counts.gaps, 1);
}

static void test_what_even_the_newest_of_is_kept_no_more_is_one_gap(void **state)
{
    event_id first = say("lobby", 1), tenth = say("lobby", 9);
    struct person *alice;

    fake_trim(world.bus, "lobby", tenth);
    fake_store_forget(store, tenth);
    alice = enter("lobby", .since = first);
    settle();
    assert_string_equal(told(alice), "gap ");
    assert_int_equal(alice->member->position, tenth);
}

static void test_where_redis_began_anew_something_may_be_missing(void **state)
{
    struct person *alice = enter("lobby"), *bob;
    event_id first = say("lobby", 1);

    say("lobby", 2);
    settle();
    fake_cut(world.bus);
    fake_wipe(world.bus);
    fake_heal(world.bus);
    settle();
    say("lobby", 2);
    settle();
    bob = enter("lobby", .since = first);
    settle();
    assert_string_equal(told(alice), "1 2 3 gap 4 5 ");
    assert_string_equal(told(bob), "2 3 gap 4 5 ");
}

static void test_entries_that_are_trimmed_on_the_way_come_from_the_store(void **state)
{
    event_id first = say("lobby", 1), third = say("lobby", 2);
    struct person *alice;

    say("lobby", 2);
    alice = enter("lobby", .since = first);
    fake_execute_read(world.bus);
    fake_answer(world.bus); /* the ids of 2 to 5 are known */
    fake_trim(world.bus, "lobby", third);
    settle();
    assert_string_equal(told(alice), numbers(2, 5));
}

static void test_who_reads_a_little_at_a_time_gets_all_of_the_pages(void **state)
{
    event_id first = say("lobby", 1), old = say("lobby", 499);
    struct person *alice;
    char all[1 << 15] = "";

    say("lobby", 300);
    fake_trim(world.bus, "lobby", old);
    alice = enter("lobby", .since = first);
    for (int i = 0; i < 150; i++) {
        alice->budget = 7;
        person_resume(alice);
        settle();
        strcat(all, told(alice));
    }
    assert_string_equal(all, numbers(2, 800));
}

static void test_who_leaves_while_the_store_is_asked_leaves_nothing_behind(void **state)
{
    event_id first = say("lobby", 1), tenth = say("lobby", 9);

    fake_trim(world.bus, "lobby", tenth);
    person_leave(enter("lobby", .since = first));
    settle();
    assert_int_equal(world.hub->walks, 0);
    enter("lobby", .since = first);
    fake_settle(world.bus);
    person_leave(world.people);
    pass(40);
    settle();
    assert_int_equal(world.hub->walks, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        world_test(test_since_within_the_ring_needs_no_walk),
        world_test(test_since_in_the_log_is_walked_to),
        world_test(test_since_longer_ago_than_one_walk_for_ids_goes),
        world_test(test_since_that_was_trimmed_is_told_as_one_gap),
        world_test(test_since_above_the_newest_counts_as_the_newest),
        world_test(test_since_between_two_ids_goes_on_behind_it),
        world_test(test_a_missed_message_is_fetched_and_all_come_in_order),
        world_test(test_what_was_said_while_the_link_was_down_is_fetched),
        world_test(test_a_link_that_was_down_while_nothing_was_said_costs_no_walk),
        world_test(test_a_message_that_closes_the_hole_itself_costs_no_walk),
        world_test(test_a_wiped_redis_is_told_as_a_gap_and_goes_on),
        world_test(test_a_walk_that_was_lost_with_the_link_is_done_again),
        world_test(test_a_walk_that_was_refused_is_done_again),
        world_test(test_more_than_can_be_held_back_is_fetched),
        world_test(test_more_than_can_be_held_back_while_the_newest_id_is_read_is_fetched),
        world_test(test_who_does_not_read_is_behind_and_robbed_of_nothing),
        world_test(test_who_reads_a_little_at_a_time_gets_all),
        world_test(test_a_reader_that_leaves_during_its_walk_leaves_nothing_behind),
        world_test(test_a_room_that_goes_during_its_walk_is_survived),
        world_test(test_a_thousand_who_come_back_cost_one_walk),
        world_test(test_who_is_further_back_is_fed_as_well),
        world_test(test_eight_walks_at_most_and_the_line_goes_on),
        world_test(test_a_garbled_chat_in_the_log_blocks_nobody),
        world_test(test_a_garbled_chat_that_comes_live_blocks_nobody),
        world_test(test_a_garbled_chat_costs_who_is_further_back_nothing_else),
        world_test(test_entries_that_are_trimmed_between_ids_and_entries_are_a_gap),
        store_test(test_what_the_log_lacks_comes_from_the_store),
        store_test(test_a_long_past_comes_in_pages),
        store_test(test_a_thousand_who_come_back_from_long_ago_share_the_pages),
        store_test(test_without_a_store_what_the_log_lacks_is_a_gap),
        store_test(test_what_the_store_keeps_no_more_is_a_gap_and_the_rest_follows),
        store_test(test_what_even_the_newest_of_is_kept_no_more_is_one_gap),
        store_test(test_where_redis_began_anew_something_may_be_missing),
        store_test(test_entries_that_are_trimmed_on_the_way_come_from_the_store),
        store_test(test_who_reads_a_little_at_a_time_gets_all_of_the_pages),
        store_test(test_who_leaves_while_the_store_is_asked_leaves_nothing_behind),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
