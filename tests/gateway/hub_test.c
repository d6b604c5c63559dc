/* The hub: who enters where and hears what, live.  What has to be read from the log is in fill_test.c. */
#include "unit.h"

#include <stdio.h>
#include <string.h>

#include "room.h"
#include "world.h"

static void test_the_first_who_enters_stands_at_the_newest_and_hears_what_follows(void **state)
{
    event_id newest = say("lobby", 3);
    struct person *alice = enter("lobby");

    assert_true(alice->start == newest);
    say("lobby", 2);
    fake_settle(world.bus);
    assert_string_equal(told(alice), "4 5 ");
}

static void test_who_enters_a_room_without_a_past_stands_at_the_floor(void **state)
{
    struct person *alice = enter("lobby");

    assert_true(alice->start == fake_floor(world.bus, "lobby"));
    say("lobby", 1);
    fake_settle(world.bus);
    assert_string_equal(told(alice), "1 ");
}

static void test_nobody_enters_before_the_subscription_is_confirmed_and_the_newest_id_read(void **state)
{
    bool live = true;
    struct room *room = hub_hold(world.hub, "lobby", 1, &live);

    assert_false(live);
    assert_true(fake_execute_subscription(world.bus));
    assert_int_equal(fake_reads(world.bus), 0);
    assert_true(fake_deliver(world.bus));
    assert_int_equal(fake_reads(world.bus), 1);
    assert_true(fake_execute_read(world.bus));
    assert_int_equal(world.good, 0);
    assert_true(fake_answer(world.bus));
    assert_int_equal(world.good, 1);
    hub_let_go(room);
}

static void test_what_is_said_while_the_newest_id_is_read_comes_once(void **state)
{
    bool live = false;
    struct room *room = hub_hold(world.hub, "lobby", 1, &live);
    struct person *alice;
    event_id first;

    fake_execute_subscription(world.bus);
    fake_deliver(world.bus);
    first = say("lobby", 1); /* is in the answer, and on the wire */
    fake_execute_read(world.bus);
    say("lobby", 1); /* is on the wire alone */
    fake_deliver(world.bus);
    fake_answer(world.bus);
    alice = enter("lobby");
    hub_let_go(room);
    assert_true(alice->start == first);
    fake_settle(world.bus);
    assert_string_equal(told(alice), "2 ");
}

static void test_a_room_that_cannot_be_had_is_told_to_who_waits(void **state)
{
    bool live = false;
    struct room *room = hub_hold(world.hub, "lobby", 1, &live);

    fake_cut(world.bus);
    assert_int_equal(world.bad, 1);
    assert_int_equal(world.good, 0);
    hub_let_go(room);
    assert_null(hub_hold(world.hub, "lobby", 1, &live));
    fake_heal(world.bus);
}

static void test_a_refused_reading_of_the_newest_id_is_done_again(void **state)
{
    bool live = false;
    struct room *room = hub_hold(world.hub, "lobby", 1, &live);

    fake_execute_subscription(world.bus);
    fake_deliver(world.bus);
    assert_true(fake_refuse(world.bus));
    assert_int_equal(world.good + world.bad, 0);
    pass(11);
    assert_int_equal(world.good, 1);
    hub_let_go(room);
}

static void test_a_chat_is_not_sent_back_to_who_said_it(void **state)
{
    struct person *alice = enter("lobby", .serial = 7), *bob = enter("lobby", .serial = 8);

    fake_say(world.bus, "lobby", 7);
    fake_settle(world.bus);
    assert_string_equal(told(alice), "");
    assert_string_equal(told(bob), "1 ");
    assert_true(alice->member->position == bob->member->position);
}

static void test_a_chat_is_sent_back_to_who_wants_that(void **state)
{
    struct person *alice = enter("lobby", .serial = 7, .echo = true);

    fake_say(world.bus, "lobby", 7);
    fake_settle(world.bus);
    assert_string_equal(told(alice), "1 ");
}

static void test_an_event_is_encoded_once_for_each_dialect(void **state)
{
    for (int i = 0; i < 20; i++)
        enter("lobby", .dialect = i % 2);
    say("lobby", 1);
    fake_settle(world.bus);
    assert_int_equal(world.encoded[0], 1);
    assert_int_equal(world.encoded[1], 1);
}

static void test_what_comes_in_one_turn_goes_out_together(void **state)
{
    struct person *alice = enter("lobby", .serial = 7), *bob = enter("lobby", .serial = 8), *carol;

    fake_long_turns = true;
    say("lobby", 2);
    fake_say(world.bus, "lobby", 7);
    say("lobby", 1);
    while (fake_deliver(world.bus))
        continue;
    carol = person_try("lobby", (struct how){.serial = 9}); /* enters behind the four */
    say("lobby", 1);
    fake_deliver(world.bus);
    assert_string_equal(told(bob), "");
    hub_end_turn(world.hub);
    fake_long_turns = false;
    assert_string_equal(told(alice), "1 2 4 5 ");
    assert_string_equal(told(bob), "1 2 3 4 5 ");
    assert_string_equal(told(carol), "5 ");
    assert_int_equal(world.encoded[0], 5);
    assert_int_equal(bob->sends, 1);
    assert_int_equal(alice->sends, 2);
}

static void test_who_stops_reading_in_a_turn_gets_it_all_later(void **state)
{
    struct person *alice = enter("lobby");

    fake_long_turns = true;
    say("lobby", BATCH_EVENTS + 3); /* more than go out together */
    while (fake_deliver(world.bus))
        continue;
    told(alice); /* the first batch */
    assert_true(alice->member->position < hub_newest(alice->member->room));
    alice->ready = false;
    hub_end_turn(world.hub);
    fake_long_turns = false;
    assert_string_equal(told(alice), "");
    person_resume(alice);
    assert_string_equal(told(alice), "129 130 131 ");
}

static void test_texts_of_many_lines_go_out_before_they_are_much(void **state)
{
    struct person *alice = enter("lobby");
    char name[101], text[512] = "a", live[800], ids[2][ID_TEXT_MAX];
    event_id prev = alice->start;

    memset(name, 'n', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    for (int i = 1; i < 100; i++)
        strcat(text, "\\na");
    fake_long_turns = true;
    for (unsigned n = 1; n <= 40; n++) {
        event_id id = prev + ((event_id)1 << 20);

        snprintf(live, sizeof live,
                 "%s %s {\"from\":\"%s\",\"session\":\"g-1\",\"room\":\"lobby\",\"text\":\"%s\"}",
                 id_to_stream(id, ids[0]), id_to_stream(prev, ids[1]), name, text);
        hub_message(world.hub, "hubbub:{0}:room:lobby", live, strlen(live));
        prev = id;
    }
    fake_long_turns = false;
    assert_true(alice->sends >= 40 * 100 * 100 / BATCH_BYTES - 1); /* the name alone, before each line */
    hub_end_turn(world.hub);
}

static void test_who_leaves_with_an_ack_is_handed_no_more(void **state)
{
    struct person *alice = enter("lobby", .serial = 7), *bob = enter("lobby");

    alice->member->waiting = 1;
    alice->leaves = true;
    fake_long_turns = true;
    say("lobby", 1);
    fake_say(world.bus, "lobby", 7);
    say("lobby", 1);
    while (fake_deliver(world.bus))
        continue;
    hub_end_turn(world.hub);
    fake_long_turns = false;
    assert_string_equal(told(bob), "1 2 3 ");
    assert_ptr_equal(world.people, bob);
    assert_null(bob->next);
}

static void test_who_leaves_before_a_notice_is_not_told(void **state)
{
    struct person *alice = enter("lobby", .serial = 7), *bob = enter("lobby");

    alice->member->waiting = 1;
    alice->leaves = true;
    fake_long_turns = true;
    fake_say(world.bus, "lobby", 7);
    fake_notice(world.bus, "lobby", 8);
    while (fake_deliver(world.bus))
        continue;
    assert_string_equal(told(bob), "1 + ");
    assert_ptr_equal(world.people, bob);
    hub_end_turn(world.hub);
    fake_long_turns = false;
}

static void test_a_notice_comes_behind_what_was_said_before_it(void **state)
{
    struct person *alice = enter("lobby", .serial = 7);

    fake_long_turns = true;
    say("lobby", 1);
    fake_notice(world.bus, "lobby", 8);
    say("lobby", 1);
    while (fake_deliver(world.bus))
        continue;
    hub_end_turn(world.hub);
    fake_long_turns = false;
    assert_string_equal(told(alice), "1 + 2 ");
}

static void test_who_leaves_before_the_turn_ends_takes_nothing_along(void **state)
{
    struct person *alice = enter("lobby");

    fake_long_turns = true;
    say("lobby", 1);
    fake_deliver(world.bus);
    person_leave(alice);
    fake_now += 31000;
    hub_tick(world.hub); /* the room goes, too */
    hub_end_turn(world.hub);
    fake_long_turns = false;
}

static void test_what_was_heard_already_is_not_heard_again(void **state)
{
    struct person *alice = enter("lobby");
    char live[256], id_text[ID_TEXT_MAX], prev_text[ID_TEXT_MAX];
    event_id id = say("lobby", 1);

    fake_settle(world.bus);
    assert_string_equal(told(alice), "1 ");
    snprintf(live, sizeof live,
             "%s %s {\"from\":\"x\",\"session\":\"g-1\",\"room\":\"lobby\",\"text\":\"twice\"}",
             id_to_stream(id, id_text), id_to_stream(alice->start, prev_text));
    hub_message(world.hub, "hubbub:{0}:room:lobby", live, strlen(live));
    hub_end_turn(world.hub);
    assert_string_equal(told(alice), "");
}

static void test_an_event_whose_forerunner_redis_forgot_is_delivered(void **state)
{
    struct person *alice = enter("lobby");
    char live[256], id_text[ID_TEXT_MAX], prev_text[ID_TEXT_MAX];
    event_id id = say("lobby", 2);

    fake_settle(world.bus);
    told(alice);
    snprintf(live, sizeof live,
             "%s %s {\"from\":\"x\",\"session\":\"g-1\",\"room\":\"lobby\",\"text\":\"back\"}",
             id_to_stream(id + 5, id_text), id_to_stream(alice->start, prev_text));
    hub_message(world.hub, "hubbub:{0}:room:lobby", live, strlen(live));
    hub_end_turn(world.hub);
    assert_string_equal(told(alice), "back ");
}

static void test_reached_is_told_of_each_move_while_chats_wait(void **state)
{
    struct person *alice = enter("lobby", .serial = 7);

    say("lobby", 1);
    fake_settle(world.bus);
    assert_int_equal(alice->reached, 0);
    alice->member->waiting = 1;
    fake_say(world.bus, "lobby", 7);
    fake_settle(world.bus);
    assert_int_equal(alice->reached, 1); /* its own chat moves it, although it does not hear it */
    alice->member->waiting = 0;
}

static void test_reached_waits_for_what_is_missing_before(void **state)
{
    struct person *alice = enter("lobby", .serial = 7);
    event_id mine;

    alice->member->waiting = 1;
    say("lobby", 1);
    fake_swallow(world.bus);
    mine = fake_say(world.bus, "lobby", 7);
    fake_deliver(world.bus);
    assert_int_equal(alice->reached, 0);
    fake_settle(world.bus);
    assert_string_equal(told(alice), "1 ");
    assert_int_equal(alice->reached, 1); /* both came in one turn */
    assert_true(alice->member->position == mine);
    alice->member->waiting = 0;
}

static void test_a_notice_is_told_to_all_but_its_subject(void **state)
{
    struct person *alice = enter("lobby", .serial = 7), *bob = enter("lobby", .serial = 8);

    fake_notice(world.bus, "lobby", 7);
    fake_settle(world.bus);
    assert_string_equal(told(alice), "");
    assert_string_equal(told(bob), "+ ");
}

static void test_a_notice_is_not_kept_for_who_does_not_read(void **state)
{
    struct person *alice = enter("lobby");

    alice->ready = false;
    fake_notice(world.bus, "lobby", 7);
    say("lobby", 1);
    fake_settle(world.bus);
    person_resume(alice);
    assert_string_equal(told(alice), "1 ");
}

static void test_malformed_messages_are_survived(void **state)
{
    static const char *const messages[] = {
        "",    "+",       "-",        "+x",         "+x 1",  "+ 1 ", "1",
        "1-1", "1-1 1-0", "1-1 1-0 ", "1-1 1-0 {}", "x y z", " ",    "99999999999999999999-0 0-0 {}"};
    struct person *alice = enter("lobby");

    for (size_t i = 0; i < sizeof messages / sizeof messages[0]; i++)
        hub_message(world.hub, "hubbub:{0}:room:lobby", messages[i], strlen(messages[i]));
    hub_message(world.hub, "hubbub:{0}:room:nobody", "1-1 1-0 {}", 10);
    hub_message(world.hub, "elsewhere", "1-1 1-0 {}", 10);
    told(alice);
    say("lobby", 1);
    fake_settle(world.bus);
    assert_string_equal(told(alice), "1 ");
}

static void test_a_room_is_kept_for_30_seconds_after_the_last_has_left(void **state)
{
    struct person *alice = enter("lobby");

    person_leave(alice);
    pass(29);
    assert_true(fake_is_wanted(world.bus, "lobby"));
    pass(2);
    assert_false(fake_is_wanted(world.bus, "lobby"));
    assert_null(world.hub->rooms);
}

static void test_who_comes_back_in_time_finds_the_room_and_its_ring(void **state)
{
    struct person *alice = enter("lobby");
    event_id start = alice->start;

    person_leave(alice);
    pass(20);
    say("lobby", 3);
    pass(9);
    alice = enter("lobby", .since = start);
    assert_string_equal(told(alice), "1 2 3 ");
    assert_int_equal(world.hub->counts.fills, 0);
    pass(60);
    assert_true(fake_is_wanted(world.bus, "lobby"));
}

static void test_rooms_of_the_same_lane_do_not_hear_each_other(void **state)
{
    struct person *alice = enter("lobby"), *bob = enter("dev");

    say("lobby", 1);
    say("dev", 2);
    fake_settle(world.bus);
    assert_string_equal(told(alice), "1 ");
    assert_string_equal(told(bob), "1 2 ");
}

static void test_a_room_that_redis_forgot_to_serve_is_found_and_filled(void **state)
{
    struct person *alice = enter("lobby");

    fake_deafen(world.bus, "lobby");
    say("lobby", 3);
    pass(13);
    assert_string_equal(told(alice), "1 2 3 ");
    assert_int_equal(world.hub->counts.deaf, 1);
    say("lobby", 1);
    fake_settle(world.bus);
    assert_string_equal(told(alice), "4 ");
    pass(30);
    assert_int_equal(world.hub->counts.deaf, 1);
}

static void test_a_room_whose_message_is_on_its_way_is_not_deaf(void **state)
{
    enter("lobby");
    fake_now += 10000;
    hub_tick(world.hub);
    say("lobby", 1);
    fake_execute_read(world.bus);
    fake_now += 990;
    fake_answer(world.bus); /* the check's answer comes before the message ... */
    fake_now += 10;
    hub_tick(world.hub); /* ... and the next tick 10 ms later */
    assert_int_equal(world.hub->counts.deaf, 0);
    fake_settle(world.bus);
    pass(2);
    assert_int_equal(world.hub->counts.deaf, 0);
}

static void test_five_hundred_rooms_are_read_with_one_command(void **state)
{
    char name[32];
    size_t in_lane = 0;
    unsigned lane = lane_of("room0");

    for (int i = 0; i < 40; i++) {
        snprintf(name, sizeof name, "room%d", i);
        enter(name);
        in_lane += lane_of(name) == lane;
    }
    assert_true(in_lane > 1);
    fake_cut(world.bus);
    fake_heal(world.bus);
    fake_now += 10000;
    while (fake_execute_subscription(world.bus))
        continue;
    fake_settle(world.bus);
    hub_tick(world.hub);
    assert_int_equal(fake_reads(world.bus), LANES);
    fake_settle(world.bus);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        world_test(test_the_first_who_enters_stands_at_the_newest_and_hears_what_follows),
        world_test(test_who_enters_a_room_without_a_past_stands_at_the_floor),
        world_test(test_nobody_enters_before_the_subscription_is_confirmed_and_the_newest_id_read),
        world_test(test_what_is_said_while_the_newest_id_is_read_comes_once),
        world_test(test_a_room_that_cannot_be_had_is_told_to_who_waits),
        world_test(test_a_refused_reading_of_the_newest_id_is_done_again),
        world_test(test_a_chat_is_not_sent_back_to_who_said_it),
        world_test(test_a_chat_is_sent_back_to_who_wants_that),
        world_test(test_an_event_is_encoded_once_for_each_dialect),
        world_test(test_what_comes_in_one_turn_goes_out_together),
        world_test(test_who_stops_reading_in_a_turn_gets_it_all_later),
        world_test(test_texts_of_many_lines_go_out_before_they_are_much),
        world_test(test_who_leaves_with_an_ack_is_handed_no_more),
        world_test(test_who_leaves_before_a_notice_is_not_told),
        world_test(test_a_notice_comes_behind_what_was_said_before_it),
        world_test(test_who_leaves_before_the_turn_ends_takes_nothing_along),
        world_test(test_what_was_heard_already_is_not_heard_again),
        world_test(test_an_event_whose_forerunner_redis_forgot_is_delivered),
        world_test(test_reached_is_told_of_each_move_while_chats_wait),
        world_test(test_reached_waits_for_what_is_missing_before),
        world_test(test_a_notice_is_told_to_all_but_its_subject),
        world_test(test_a_notice_is_not_kept_for_who_does_not_read),
        world_test(test_malformed_messages_are_survived),
        world_test(test_a_room_is_kept_for_30_seconds_after_the_last_has_left),
        world_test(test_who_comes_back_in_time_finds_the_room_and_its_ring),
        world_test(test_rooms_of_the_same_lane_do_not_hear_each_other),
        world_test(test_a_room_that_redis_forgot_to_serve_is_found_and_filled),
        world_test(test_a_room_whose_message_is_on_its_way_is_not_deaf),
        world_test(test_five_hundred_rooms_are_read_with_one_command),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
