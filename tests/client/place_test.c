/* place: the rooms that a person has open, and who is in them. */
#include "unit.h"

#include <stdio.h>
#include <string.h>

#include "conversation.h"
#include "place.h"

static struct place *places;

static int close_all(void **state)
{
    while (places)
        place_close(&places, places);
    return 0;
}

static struct place *open_one(const char *room)
{
    struct place *place = place_open(&places, room, "Ann");

    assert_non_null(place);
    return place;
}

static void assert_people(struct place *place, const char *names)
{
    char there[200] = "";
    struct human *human, *next;

    HASH_ITER (hh, place->people, human, next) {
        strcat(there, there[0] ? " " : "");
        strcat(there, human->name);
    }
    assert_string_equal(there, names);
}

static void test_a_place_is_found_however_its_name_is_written(void **state)
{
    struct place *dev = open_one("Dev");

    assert_string_equal(dev->room, "dev");
    assert_ptr_equal(place_find(places, "DEV"), dev);
    assert_ptr_equal(open_one("dEV"), dev);
    assert_null(dev->next);
    assert_null(place_find(places, "ops"));
}

static void test_what_is_no_room_has_no_place(void **state)
{
    assert_null(place_open(&places, "no room", "Ann"));
    assert_null(place_open(&places, "", "Ann"));
    assert_null(place_open(&places, NULL, "Ann"));
    assert_null(place_find(places, NULL));
    assert_null(place_find(places, "\033[2J"));
    assert_null(places);
}

static void test_places_stay_in_the_order_in_which_they_were_opened(void **state)
{
    struct place *lobby = open_one("lobby"), *dev = open_one("dev"), *ops = open_one("ops");

    assert_ptr_equal(places, lobby);
    assert_ptr_equal(lobby->next, dev);
    place_close(&places, dev);
    assert_ptr_equal(lobby->next, ops);
    assert_null(place_find(places, "dev"));
    place_close(&places, lobby);
    assert_ptr_equal(places, ops);
}

static void test_nothing_is_known_of_a_new_place(void **state)
{
    struct place *place = open_one("dev");

    assert_int_equal(place->users, -1);
    assert_int_equal(place->unread, 0);
    assert_false(place->mentioned || place->older_asked || place->older_none);
    assert_int_equal(conversation_lines(place->conversation, 80), 0);
    assert_people(place, "");
}

static void test_a_place_looks_for_mentions_of_its_person(void **state)
{
    const struct saying saying = {.from = "Bob", .text = "hello ann", .id = 1, .at_ms = 1};

    assert_true(conversation_say(open_one("dev")->conversation, &saying));
}

static void test_what_was_looked_at_is_not_unread(void **state)
{
    struct place *place = open_one("dev");

    place->unread = 3;
    place->mentioned = true;
    place_read(place);
    assert_int_equal(place->unread, 0);
    assert_false(place->mentioned);
}

static void test_people_come_and_go(void **state)
{
    struct place *place = open_one("dev");

    place_add(place, "Zoe");
    place_add(place, "Bob");
    place_add(place, "bob");
    assert_people(place, "Zoe Bob");
    place_remove(place, "ZOE");
    place_remove(place, "nobody");
    assert_people(place, "Bob");
    place_add(place, "Zoe");
    assert_people(place, "Bob Zoe");
    place_remove_all(place);
    assert_people(place, "");
    place_add(place, "Bob");
    assert_people(place, "Bob");
}

static void test_what_is_no_name_is_nobody(void **state)
{
    struct place *place = open_one("dev");

    place_add(place, "");
    place_add(place, "two words");
    place_add(place, "\xff");
    place_remove(place, "");
    assert_people(place, "");
}

static void test_people_are_no_more_than_so_many(void **state)
{
    struct place *place = open_one("dev");
    char name[20];

    for (int i = 0; i < PLACE_PEOPLE_MAX + 10; i++) {
        snprintf(name, sizeof name, "p%d", i);
        place_add(place, name);
    }
    assert_int_equal(HASH_COUNT(place->people), PLACE_PEOPLE_MAX);
    place_remove(place, "p0");
    place_add(place, "Bob");
    assert_int_equal(HASH_COUNT(place->people), PLACE_PEOPLE_MAX);
}

static void test_people_are_of_one_place(void **state)
{
    struct place *dev = open_one("dev"), *ops = open_one("ops");

    place_add(dev, "Bob");
    place_add(ops, "Bob");
    place_remove(dev, "Bob");
    assert_people(dev, "");
    assert_people(ops, "Bob");
}

#define TEST(name) cmocka_unit_test_teardown(name, close_all)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_a_place_is_found_however_its_name_is_written),
        TEST(test_what_is_no_room_has_no_place),
        TEST(test_places_stay_in_the_order_in_which_they_were_opened),
        TEST(test_nothing_is_known_of_a_new_place),
        TEST(test_a_place_looks_for_mentions_of_its_person),
        TEST(test_what_was_looked_at_is_not_unread),
        TEST(test_people_come_and_go),
        TEST(test_what_is_no_name_is_nobody),
        TEST(test_people_are_no_more_than_so_many),
        TEST(test_people_are_of_one_place),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
