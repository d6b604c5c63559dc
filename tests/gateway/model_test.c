/*
 * The hub against chance: people come, go and stall, chats are said, messages get lost, the link breaks,
 * Redis trims, forgets and garbles.  Whatever happens, each member is told each event of its room after where
 * it began exactly once, in the order of ids, but for what a gap covers; and in the end everybody is at the
 * newest.
 *
 * The seed is printed; model_test SEED ROUNDS runs the same again.
 */
#include "unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <utlist.h>

#include "room.h"
#include "world.h"

#define ROOMS 12
#define PEOPLE_MAX 40
#define STEPS 1500

static unsigned long seed, rounds = 50;
static uint64_t state_of_chance;

static unsigned chance(unsigned n)
{
    state_of_chance = state_of_chance * 6364136223846793005u + 1442695040888963407u;
    return (unsigned)(state_of_chance >> 33) % n;
}

static const char *some_room(void)
{
    static char name[16];

    snprintf(name, sizeof name, "room%u", chance(ROOMS));
    return name;
}

static struct person *somebody(void)
{
    struct person *person;
    unsigned n;

    DL_COUNT(world.people, person, n);
    if (n == 0)
        return NULL;
    person = world.people;
    for (unsigned i = chance(n); i > 0; i--)
        person = person->next;
    return person;
}

static void somebody_enters(void)
{
    struct how how = {.dialect = 1};
    const char *name = some_room();
    size_t count;
    const event_id *ids = fake_history(world.bus, name, &count);
    unsigned n;
    struct person *person;

    DL_COUNT(world.people, person, n);
    if (n >= PEOPLE_MAX)
        return;
    if (count && chance(3))
        how.since =
            ids[chance((unsigned)count)] + chance(2) * chance(3) - ((uint64_t)(chance(10) == 0) << 20);
    if (chance(10) == 0) /* not the chain's, but of its lane, which the session has seen to */
        how.since += chance(2) ? 1 : -((event_id)1 << 20);
    person = person_try(name, how);
    if (person && chance(3) == 0)
        person->budget = 1 + chance(20);
}

static void somebody_leaves(void)
{
    struct person *person = somebody();

    if (person) {
        person_check(person);
        person_leave(person);
    }
}

static void somebody_reads_or_not(void)
{
    struct person *person = somebody();

    if (!person)
        return;
    if (person->ready && chance(3)) {
        person->ready = false;
    } else {
        person->budget = chance(2) ? -1 : 1 + (long)chance(30);
        person_resume(person);
    }
}

static void somebody_talks(void)
{
    const char *name = some_room();
    struct person *person = somebody();
    unsigned n = chance(20) ? 1 + chance(3) : 1 + chance(400);

    while (n-- > 0)
        if (person && chance(2))
            fake_say(world.bus, person->where, person->serial);
        else
            fake_say(world.bus, name, 0);
}

static void redis_loses_something(void)
{
    const char *name = some_room();
    size_t count;
    const event_id *ids = fake_history(world.bus, name, &count);

    switch (chance(5)) {
    case 0:
        if (count)
            fake_trim(world.bus, name, ids[chance((unsigned)count)]);
        break;
    case 1:
        fake_say_garbage(world.bus, name);
        break;
    case 2:
        fake_deafen(world.bus, name);
        break;
    case 3:
        if (chance(10) == 0) {
            fake_cut(world.bus);
            fake_wipe(world.bus);
        }
        break;
    default:
        fake_refuse(world.bus);
    }
}

static void some_steps(void)
{
    for (unsigned n = chance(12); n > 0; n--)
        switch (chance(4)) {
        case 0:
            fake_execute_subscription(world.bus);
            break;
        case 1:
            fake_deliver(world.bus);
            break;
        case 2:
            fake_execute_read(world.bus);
            break;
        default:
            fake_answer(world.bus);
        }
}

/* Some turns of the loop bring one thing, some many. */
static void turns_change(void)
{
    fake_long_turns = chance(3) > 0;
    if (chance(4) == 0)
        hub_end_turn(world.hub);
}

static void step(void)
{
    unsigned what = chance(100);

    if (what < 30)
        some_steps();
    else if (what < 55)
        somebody_talks();
    else if (what < 70)
        somebody_enters();
    else if (what < 75)
        somebody_leaves();
    else if (what < 85)
        somebody_reads_or_not();
    else if (what < 88)
        fake_swallow(world.bus);
    else if (what < 91)
        redis_loses_something();
    else if (what < 92)
        fake_cut(world.bus);
    else if (what < 95)
        fake_heal(world.bus);
    else if (what < 97)
        fake_settle(world.bus);
    else
        fake_now += chance(1500), hub_tick(world.hub);
    turns_change();
    assert_true(world.hub->walks <= WALKS_MAX);
    assert_true(world.hub->walks <= fake_walks(world.bus)); /* more, if a room went away during its walk */
}

/* Everything works again, and everybody reads. */
static void come_to_rest(void)
{
    struct person *person;

    fake_long_turns = false;
    hub_end_turn(world.hub);
    fake_heal(world.bus);
    fake_settle(world.bus);
    DL_FOREACH (world.people, person) {
        person->budget = -1;
        person_resume(person);
    }
    pass(30);
}

static void check_rest(void)
{
    struct person *person;
    struct room *room, *next;

    assert_int_equal(world.hub->walks, 0);
    assert_null(world.hub->line);
    assert_null(world.hub->lookups);
    HASH_ITER (hh, world.hub->rooms, room, next) {
        assert_int_equal(room->state, ROOM_LIVE);
        assert_int_equal(room->held.count, 0);
        assert_null(room->behind);
        assert_null(room->fill);
    }
    DL_FOREACH (world.people, person) {
        size_t count;
        const event_id *ids = fake_history(world.bus, person->where, &count);

        person_check(person);
        if (count && person->member->position < ids[count - 1])
            fail_msg("seed %lu: %s: somebody rests at %llu before %llu", seed, person->where,
                     (unsigned long long)person->member->position, (unsigned long long)ids[count - 1]);
    }
}

static void test_everybody_hears_everything_once_and_in_order(void **state)
{
    unsigned long first = seed, ids = 0;

    for (unsigned long i = 0; i < rounds; i++, seed++) {
        static char run[32];

        state_of_chance = seed;
        snprintf(run, sizeof run, "seed %lu", seed);
        checks.run = run;
        for (int step_number = 0; step_number < STEPS; step_number++)
            step();
        come_to_rest();
        check_rest();
        for (unsigned room = 0; room < ROOMS; room++) {
            char name[16];
            size_t count;

            snprintf(name, sizeof name, "room%u", room);
            fake_history(world.bus, name, &count);
            ids += count;
        }
        world_destroy(NULL);
        world_create(NULL);
    }
    print_message("seeds %lu to %lu: %lu chats, %lu deliveries and %lu gaps checked\n", first, seed - 1, ids,
                  checks.events, checks.gaps);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        world_test(test_everybody_hears_everything_once_and_in_order),
    };

    seed = argc > 1 ? strtoul(argv[1], NULL, 10) : (unsigned long)time(NULL) % 1000000;
    if (argc > 2)
        rounds = strtoul(argv[2], NULL, 10);
    print_message("seed %lu\n", seed);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
