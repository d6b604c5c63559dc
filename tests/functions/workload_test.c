/*
 * A random workload, and what must be true of it whatever happened: publishes checked against a model that
 * keeps the newest id of each chain, presence checked by its own invariants after every few steps.
 */
#include "support.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "id.h"

#define ROOMS 7
#define NAMES 12
#define STEPS 2000

static const char *const gateways[] = {"g-a", "g-b", "g-c"};

static unsigned random_below(unsigned n)
{
    return (unsigned)random() % n;
}

/* Publishes to random rooms of one lane, now and then with a clock that is off; trims and opens in between.
 */
static void test_chains_stay_whole_and_ids_grow(void **state)
{
    const char *last[ROOMS], *top = FLOOR;
    unsigned counts[ROOMS] = {0};

    srandom(1);
    for (unsigned room = 0; room < ROOMS; room++)
        last[room] = FLOOR;
    for (unsigned seq = 1; seq <= STEPS; seq++) {
        unsigned room = random_below(ROOMS);
        uint64_t clock = redis_clock();
        redisReply *reply;

        if (random_below(50) == 0)
            expect("CLOCK", fcall("publish", 5, "g1-a 1 %u 0-0 1 r:x %s {}", seq, ""));
        if (random_below(50) == 0)
            top = text("%" PRIu64 "-%u", clock + random_below(50), ID_SEQ_MAX - random_below(2));
        reply = fcall("publish", 5, "%s 1 %u %s %s r:room%u %s {}", random_below(2) ? "g1-a" : "g2-b", seq,
                      top, text("%" PRIu64, clock), room, "");
        assert_string_equal(reply->element[0]->str, "OK");
        assert_true(compare_ids(reply->element[1]->str, top) > 0);
        assert_string_equal(reply->element[2]->str, last[room]);
        last[room] = top = element_of(reply, 1);
        counts[room]++;
    }
    for (unsigned room = 0; room < ROOMS;
         room++) { /* from the newest back to the floor, nothing is missing */
        const char *at = last[room];
        unsigned found = 0;
        char end[8] = "MORE";

        while (strcmp(end, "MORE") == 0) {
            redisReply *reply =
                fcall("walk", 5, "r:room%u %s " FLOOR " %u ids", room, at, 1 + random_below(100));

            found += (unsigned)reply->element[1]->elements;
            snprintf(end, sizeof end, "%s", reply->element[3]->str);
            at = element_of(reply, 2);
        }
        assert_string_equal(end, "END");
        assert_int_equal(found, counts[room]);
    }
}

/* Whatever the keys of presence say of a name, they say the same. */
static void assert_presence_is_consistent(void)
{
    redisReply *names = command("HGETALL hubbub:{0}:names"),
               *rooms = command("ZRANGE hubbub:{0}:rooms 0 -1 WITHSCORES");
    unsigned long long held = 0, memberships = 0, in = 0;

    for (size_t i = 0; i < names->elements; i += 2) {
        char incarnation[32], session[32], key[32];

        assert_int_equal(sscanf(names->element[i + 1]->str, "%31s %31s %31s", incarnation, session, key), 3);
        expect(session, command("HGET hubbub:{0}:held:%s %s", incarnation, names->element[i]->str));
        in += strtoull(text_of(command("SCARD hubbub:{0}:in:%s", names->element[i]->str)), NULL, 10);
    }
    for (size_t i = 0; i < rooms->elements; i += 2) {
        redisReply *members = command("HGETALL hubbub:{0}:members:%s", rooms->element[i]->str);

        assert_int_equal(members->elements / 2, strtoull(rooms->element[i + 1]->str, NULL, 10));
        for (size_t j = 0; j < members->elements; j += 2) {
            const char *name = members->element[j]->str, *value = members->element[j + 1]->str;
            const char *holder = text_of(command("HGET hubbub:{0}:names %s", name));

            expect("1", command("SISMEMBER hubbub:{0}:in:%s %s", name, rooms->element[i]->str));
            assert_non_null(strstr(holder, text(" %.*s ", (int)strcspn(value, " "), value)));
            memberships++;
        }
        freeReplyObject(members);
    }
    for (unsigned i = 0; i < 3; i++)
        held += strtoull(text_of(command("HLEN hubbub:{0}:held:%s", gateways[i])), NULL, 10);
    assert_int_equal(held, names->elements / 2);
    assert_int_equal(memberships, in);
    freeReplyObject(names);
    freeReplyObject(rooms);
}

/* One random step of presence by gateway g-a, g-b or g-c; any answer will do. */
static void step(void)
{
    const char *gateway = gateways[random_below(3)], *name = text("n%u", random_below(NAMES));
    const char *session = text("%s-%u", gateway, random_below(40)),
               *room = text("room%u", random_below(ROOMS));
    const char *key = random_below(2) ? "k" : "-";
    const char *holder = text_of(command("HGET hubbub:{0}:names %s", name));
    const char *its_session = strchr(holder, ' ');

    if (its_session && random_below(3)) /* mostly whoever holds the name */
        session = text("%.*s", (int)strcspn(its_session + 1, " "), its_session + 1);
    switch (random_below(14)) {
    case 0:
        freeReplyObject(fcall("reap", 0, "%s 1 0-0 0 %s 0 200", gateway, gateways[random_below(3)]));
        for (unsigned each = 0; each < 3; each++)
            freeReplyObject(fcall("open_link", 0, "%s 1", gateways[each]));
        break;
    case 1:
        freeReplyObject(release(.incarnation = gateway, .name = name, .session = session));
        break;
    case 2:
    case 3:
        freeReplyObject(leave(.incarnation = gateway, .name = name, .session = session, .room = room));
        break;
    case 4:
    case 5:
    case 6:
        freeReplyObject(enter(.incarnation = gateway, .name = name, .session = session, .room = room));
        break;
    case 7:
        freeReplyObject(fcall("register", 0, "%s %s 7", name, session));
        break;
    case 8:
        freeReplyObject(fcall("forget", 0, "%s %s 200", name, text("%" PRIu64, redis_clock())));
        break;
    default:
        freeReplyObject(claim(.incarnation = gateway, .name = name, .session = session, .room = room,
                              .key = key, .account = random_below(3) == 0 ? "7" : "-"));
    }
}

static void test_presence_stays_consistent(void **state)
{
    srandom(2);
    for (unsigned each = 0; each < 3; each++)
        expect_word("OK", fcall("open_link", 0, "%s 1", gateways[each]));
    for (unsigned i = 0; i < STEPS; i++) {
        step();
        if (i % 40 == 0)
            assert_presence_is_consistent();
    }
    assert_presence_is_consistent();
}

/* A room hears of each membership's begin and end once, in turn: what was told adds up to who is there. */
static void test_what_rooms_hear_adds_up(void **state)
{
    unsigned there[ROOMS][NAMES] = {{0}};
    unsigned heard_of = 0;

    srandom(3);
    for (unsigned each = 0; each < 3; each++)
        expect_word("OK", fcall("open_link", 0, "%s 1", gateways[each]));
    heard();
    for (unsigned i = 0; i < STEPS; i++)
        step();
    for (const char *line = heard(); *line; line = strchr(line, '\n') + 1) {
        const char *sign = strchr(line, ' ') + 1;
        unsigned room, name;

        if (sscanf(line, "hubbub:{%*u}:room:room%u %*s MS n%u", &room, &name) != 2)
            continue; /* a gateway's */
        assert_int_equal(there[room][name], *sign == '+' ? 0 : 1);
        there[room][name] ^= 1;
        heard_of++;
    }
    assert_true(heard_of > 100);
    for (unsigned room = 0; room < ROOMS; room++)
        for (unsigned name = 0; name < NAMES; name++)
            expect(text("%u", there[room][name]),
                   command("HEXISTS hubbub:{0}:members:room%u n%u", room, name));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        functions_test(test_chains_stay_whole_and_ids_grow),
        functions_test(test_presence_stays_consistent),
        functions_test(test_what_rooms_hear_adds_up),
    };

    return run_functions_tests(tests);
}
