/* Inboxes in the hub: what is sent to a user alone, and to which holder of the name. */
#include "unit.h"

#include "room.h"
#include "world.h"

/* Holds the inbox of alice, and waits until it can be entered. */
static struct room *hold_inbox(void)
{
    bool live;
    struct room *room = hub_hold_inbox(world.hub, "alice", 1, &live);
    unsigned good = world.good;

    assert_non_null(room);
    if (!live) {
        fake_settle(world.bus);
        assert_int_equal(world.good, good + 1);
    }
    return room;
}

/* The same, and enters where a new holder of the name stands. */
static struct person *enter_inbox(void)
{
    struct room *room = hold_inbox();

    return person_go_in(room, INBOX "alice", (struct how){.since = hub_newest(room), .echo = true});
}

static void test_what_is_sent_is_heard(void **state)
{
    struct person *alice = enter_inbox();

    say(INBOX "alice", 2);
    fake_settle(world.bus);
    assert_string_equal(told(alice), "1 2 ");
}

static void test_what_was_sent_before_is_not_given_to_who_enters_at_the_newest(void **state)
{
    event_id newest = say(INBOX "alice", 3);
    struct person *alice = enter_inbox();

    assert_true(alice->start == newest);
    assert_string_equal(told(alice), "");
    say(INBOX "alice", 1);
    fake_settle(world.bus);
    assert_string_equal(told(alice), "4 ");
}

static void test_what_comes_between_ready_and_entering_is_given(void **state)
{
    struct room *room;
    struct person *alice;
    event_id since;

    say(INBOX "alice", 1);
    room = hold_inbox();
    since = hub_newest(room);
    say(INBOX "alice", 2);
    fake_deliver(world.bus); /* the first of them before it enters, the second behind */
    alice = person_go_in(room, INBOX "alice", (struct how){.since = since});
    fake_settle(world.bus);
    assert_string_equal(told(alice), "2 3 ");
}

static void test_nobody_is_ready_before_the_newest_id_is_read(void **state)
{
    bool live;
    struct room *room = hub_hold_inbox(world.hub, "alice", 1, &live);

    assert_true(fake_execute_subscription(world.bus));
    assert_int_equal(fake_reads(world.bus), 0);
    assert_true(fake_deliver(world.bus));
    assert_int_equal(fake_reads(world.bus), 1);
    assert_int_equal(world.good, 0);
    assert_true(fake_execute_read(world.bus) && fake_answer(world.bus));
    assert_int_equal(world.good, 1);
    hub_let_go(room);
}

static void test_what_the_one_before_did_not_hear_is_not_for_the_next_holder(void **state)
{
    struct person *alice = enter_inbox();

    person_leave(alice);
    say(INBOX "alice", 1);
    fake_settle(world.bus); /* the gateway has heard it */
    alice = enter_inbox();
    assert_string_equal(told(alice), "");
    say(INBOX "alice", 1);
    fake_settle(world.bus);
    assert_string_equal(told(alice), "2 ");
}

static void test_a_direct_for_another_holder_is_passed_over(void **state)
{
    struct person *alice = enter_inbox();

    alice->stranger = true;
    say(INBOX "alice", 2);
    fake_settle(world.bus);
    assert_string_equal(told(alice), "");
    alice->stranger = false;
    say(INBOX "alice", 1);
    fake_settle(world.bus);
    assert_string_equal(told(alice), "3 ");
}

/* The same where it is read from the log. */
static void test_a_direct_for_another_holder_is_not_filled(void **state)
{
    struct person *alice = enter_inbox();

    alice->stranger = true;
    say(INBOX "alice", 1);
    assert_true(fake_swallow(world.bus));
    say(INBOX "alice", 1);
    fake_settle(world.bus);
    assert_string_equal(told(alice), "");
}

static void test_two_who_hold_it_at_once_are_both_told(void **state)
{
    bool live;
    struct room *first = hub_hold_inbox(world.hub, "alice", 1, &live);
    struct room *second = hub_hold_inbox(world.hub, "alice", 2, &live);

    assert_ptr_equal(first, second);
    fake_settle(world.bus);
    assert_int_equal(world.good, 2);
    hub_let_go(first);
    hub_let_go(second);
}

static void test_a_room_and_a_user_of_the_same_name_do_not_mix(void **state)
{
    struct person *inside, *alice;

    say("alice", 3);
    alice = enter_inbox();
    inside = enter("alice");
    assert_true(alice->start == fake_floor(world.bus, INBOX "alice"));
    assert_ptr_not_equal(alice->member->room, inside->member->room);
    say("alice", 1);
    say(INBOX "alice", 2);
    fake_settle(world.bus);
    assert_string_equal(told(inside), "4 ");
    assert_string_equal(told(alice), "1 2 ");
}

static void test_a_lost_direct_is_read_from_the_chain_of_the_user(void **state)
{
    struct person *alice = enter_inbox();

    enter("alice");
    say(INBOX "alice", 1);
    assert_true(fake_swallow(world.bus));
    say(INBOX "alice", 1);
    fake_settle(world.bus);
    assert_string_equal(told(alice), "1 2 ");
}

static void test_an_inbox_that_cannot_be_had_is_told_to_who_waits(void **state)
{
    bool live;
    struct room *room = hub_hold_inbox(world.hub, "alice", 1, &live);

    fake_cut(world.bus);
    assert_int_equal(world.bad, 1);
    assert_int_equal(world.good, 0);
    hub_let_go(room);
    assert_null(hub_hold_inbox(world.hub, "alice", 1, &live));
    fake_heal(world.bus);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        world_test(test_what_is_sent_is_heard),
        world_test(test_what_was_sent_before_is_not_given_to_who_enters_at_the_newest),
        world_test(test_what_comes_between_ready_and_entering_is_given),
        world_test(test_nobody_is_ready_before_the_newest_id_is_read),
        world_test(test_what_the_one_before_did_not_hear_is_not_for_the_next_holder),
        world_test(test_a_direct_for_another_holder_is_passed_over),
        world_test(test_a_direct_for_another_holder_is_not_filled),
        world_test(test_two_who_hold_it_at_once_are_both_told),
        world_test(test_a_room_and_a_user_of_the_same_name_do_not_mix),
        world_test(test_a_lost_direct_is_read_from_the_chain_of_the_user),
        world_test(test_an_inbox_that_cannot_be_had_is_told_to_who_waits),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
