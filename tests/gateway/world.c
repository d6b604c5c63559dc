#include "world.h"

#include "unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <event2/buffer.h>
#include <event2/event.h>
#include <utlist.h>

#include "room.h"

struct world world;
struct checks checks = {.run = "this world"};

static uint64_t next_serial;
static char shown[1 << 20];

/* The dialects ------------------------------------------------------------------------------------------- */

static void plain_event(const struct event *event, struct evbuffer *out)
{
    world.encoded[0]++;
    evbuffer_add_printf(out, "%s ", event->text);
}

static void plain_notice(const struct notice *notice, struct evbuffer *out)
{
    evbuffer_add_printf(out, "+ ");
}

static void plain_reply(const struct reply *reply, struct evbuffer *out)
{
    assert_int_equal(reply->kind, REPLY_GAP);
    evbuffer_add_printf(out, "gap ");
}

static void exact_event(const struct event *event, struct evbuffer *out)
{
    world.encoded[1]++;
    evbuffer_add_printf(out, "=%llu ", (unsigned long long)event->id);
}

static void exact_notice(const struct notice *notice, struct evbuffer *out)
{
}

static void exact_reply(const struct reply *reply, struct evbuffer *out)
{
    assert_int_equal(reply->kind, REPLY_GAP);
    evbuffer_add_printf(out, "%llu-%llu ", (unsigned long long)reply->after,
                        (unsigned long long)reply->until);
}

static const struct dialect plain = {
    .name = "plain", .encode_reply = plain_reply, .encode_event = plain_event, .encode_notice = plain_notice};
static const struct dialect exact = {
    .name = "exact", .encode_reply = exact_reply, .encode_event = exact_event, .encode_notice = exact_notice};

const struct dialect *const dialects[DIALECTS_MAX] = {&plain, &exact};

/* What the hub calls
 * --------------------------------------------------------------------------------------------------- */

static void on_send(void *owner, const void *data, size_t len)
{
    struct person *person = owner;

    if (person->size + len + 1 > person->room) {
        person->room = 2 * (person->size + len + 1);
        person->told = realloc(person->told, person->room);
        assert_non_null(person->told);
    }
    memcpy(person->told + person->size, data, len);
    person->size += len;
    person->sends++;
    person->told[person->size] = '\0';
    if (person->budget > 0 && --person->budget == 0)
        person->ready = false;
}

static bool is_ready(void *owner)
{
    return ((struct person *)owner)->ready;
}

static void on_reached(void *owner, struct member *member)
{
    struct person *person = owner;

    assert_ptr_equal(person->member, member);
    person->reached++;
    if (person->leaves)
        person_leave(person);
}

static bool is_for(void *owner, const struct event *event)
{
    return !((struct person *)owner)->stranger;
}

static uint64_t serial_of(void *ctx, const char *session)
{
    const char *number = strrchr(session, '-');
    uint64_t serial = number ? strtoull(number + 1, NULL, 10) : 0;
    struct person *person;

    DL_FOREACH (world.people, person)
        if (person->serial == serial)
            return serial;
    return 0;
}

static void on_room_ready(void *ctx, uint64_t token, bool good)
{
    if (good)
        world.good++;
    else
        world.bad++;
    if (world.room_ready)
        world.room_ready(token, good);
}

static const struct hub_ops ops = {on_send, on_send, is_ready, on_reached, is_for, serial_of, on_room_ready};

/* The world ---------------------------------------------------------------------------------------------- */

int world_create(void **state)
{
    world = (struct world){.base = world.base ? world.base : event_base_new()};
    next_serial = 1000;
    world.bus = fake_bus_create();
    world.hub = hub_create(world.base, world.bus, NULL, &ops, NULL);
    fake_bus_attach(world.bus, world.hub);
    return world.base && world.hub ? 0 : -1;
}

void world_abandon(void)
{
    hub_destroy(world.hub);
    fake_bus_destroy(world.bus);
}

int world_destroy(void **state)
{
    while (world.people)
        person_leave(world.people);
    fake_settle(world.bus);
    pass(45); /* all rooms go */
    assert_null(world.hub->rooms);
    assert_int_equal(world.hub->walks, 0);
    assert_null(world.hub->line);
    assert_null(world.hub->lookups);
    world_abandon();
    event_base_free(world.base);
    world.base = NULL;
    return 0;
}

struct person *person_go_in(struct room *room, const char *name, struct how how)
{
    struct person *person = calloc(1, sizeof *person);

    assert_non_null(person);
    person->serial = how.serial ? how.serial : next_serial++;
    person->ready = true;
    person->budget = -1;
    snprintf(person->where, sizeof person->where, "%s", name);
    DL_APPEND(world.people, person);
    if (how.since > hub_newest(room))
        how.since = hub_newest(room); /* as session.c has it */
    person->member = hub_enter(room, person, person->serial, how.dialect, how.echo, how.since);
    assert_non_null(person->member);
    person->start = person->member->position;
    hub_let_go(room);
    hub_resume(person->member);
    return person;
}

struct person *person_try(const char *name, struct how how)
{
    bool live = false;
    struct room *room = hub_hold(world.hub, name, 1, &live);

    if (!room)
        return NULL;
    if (live)
        return person_go_in(room, name, how);
    hub_let_go(room);
    return NULL;
}

struct person *person_enter(const char *name, struct how how)
{
    bool live = false;
    struct room *room = hub_hold(world.hub, name, 1, &live);

    assert_non_null(room);
    if (!live) {
        unsigned good = world.good;

        fake_settle(world.bus);
        assert_int_equal(world.good, good + 1);
    }
    return person_go_in(room, name, how);
}

void person_leave(struct person *person)
{
    hub_leave(person->member);
    DL_DELETE(world.people, person);
    free(person->told);
    free(person);
}

static bool is_own(const struct person *person, event_id id)
{
    return fake_author(world.bus, person->where, id) == person->serial;
}

event_id person_check(const struct person *person)
{
    size_t count, next = 0;
    const event_id *ids = fake_history(world.bus, person->where, &count);
    event_id position = person->start;
    const char *at = person->told ? person->told : "", *why = NULL;

    while (next < count && ids[next] <= position)
        next++;
    for (; *at && !why; at = strchr(at, ' ') + 1) {
        bool gap = *at != '=';
        char *rest;
        event_id first = strtoull(gap ? at : at + 1, &rest, 10),
                 until = gap ? strtoull(rest + 1, NULL, 10) : first;

        if (gap && (first < position || until <= first))
            why = "a gap goes back";
        for (; next < count && (gap ? ids[next] <= first : ids[next] < first); next++)
            if (!is_own(person, ids[next]))
                why = "something was passed over";
        if (!gap && (next == count || ids[next] != first))
            why = "something came twice or out of order";
        else if (!gap && is_own(person, first))
            why = "something came back to its author";
        while (next < count && ids[next] <= until)
            next++;
        position = until;
        checks.events += !gap;
        checks.gaps += gap;
    }
    for (; next < count && ids[next] <= person->member->position; next++)
        if (!is_own(person, ids[next]))
            why = "something was not told";
    if (why)
        fail_msg("%s: in %s, from %llu on, %s: \"%s\"", checks.run, person->where,
                 (unsigned long long)person->start, why, person->told ? person->told : "");
    return position;
}

void person_resume(struct person *person)
{
    person->ready = true;
    hub_resume(person->member);
}

const char *told(struct person *person)
{
    assert_true(person->size < sizeof shown);
    memcpy(shown, person->told ? person->told : "", person->size);
    shown[person->size] = '\0';
    person->size = 0;
    return shown;
}

void pass(unsigned seconds)
{
    for (unsigned i = 0; i < seconds; i++) {
        fake_now += 1000;
        hub_tick(world.hub);
        fake_settle(world.bus);
    }
}

event_id say(const char *room, unsigned n)
{
    event_id id = 0;

    while (n-- > 0)
        id = fake_say(world.bus, room, 0);
    return id;
}
