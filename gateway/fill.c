/*
 * fill: feeding those who are behind, in order, from the ring and then from a walk along the chain in the
 * log.
 *
 * A room has one fill at a time, and it feeds everybody in the room who is behind and ready: the reader
 * furthest back decides what is read next, and whoever stands where an event follows gets it.  So a thousand
 * who come back at once cost one walk.  First the ids of the missing stretch are collected, newest to oldest;
 * then the entries are read, oldest first, a few hundred at a time, as the readers drain.
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <hiredis/hiredis.h>
#include <utlist.h>

#include "bus.h"
#include "functions.h"
#include "log.h"
#include "room.h"

#define IDS_MAX 100000
#define IDS_STEP 1000
#define ENTRIES_STEP 200

static void leave_line(struct room *room)
{
    if (!room->in_line)
        return;
    room->in_line = false;
    DL_DELETE2(room->hub->line, room, line_prev, line_next);
}

static void forget_fill(struct room *room)
{
    if (room->fill)
        free(room->fill->ids);
    free(room->fill);
    room->fill = NULL;
}

void fill_finish(struct room *room)
{
    leave_line(room);
    if (room->walking)
        room->hub->walks--;
    forget_fill(room);
}

void fill_next_in_line(struct hub *hub)
{
    while (hub->line && hub->walks < WALKS_MAX) {
        struct room *room = hub->line;

        leave_line(room);
        fill_feed(room);
    }
}

static void end_walk(struct room *room)
{
    room->walking = false;
    room->hub->walks--;
}

/* Hands `event` to all behind that stand right before it.  Borrows it. */
static void offer(struct room *room, const struct event *event)
{
    struct hub *hub = room->hub;
    uint64_t origin = hub->ops->serial_of(hub->ctx, event->session);
    struct member *member, *next;

    hub_encode_begin(hub);
    DL_FOREACH_SAFE (room->behind, member, next)
        if (member->position >= event->prev && member->position < event->id && hub->ops->ready(member->owner))
            room_deliver(room, member, event, origin);
}

/* Feeds from the ring, and moves those who have caught up to the head. */
static void feed_from_ring(struct room *room)
{
    struct member *member, *next;
    event_id lowest = room->position;

    DL_FOREACH (room->behind, member)
        if (member->position < lowest && member->position >= room_ring_start(room) &&
            room->hub->ops->ready(member->owner))
            lowest = member->position;
    if (lowest < room->position) {
        for (size_t i = 0; i < room->ring.count; i++) {
            const struct event *event = room->ring.events[(room->ring.first + i) % room->ring.room];

            if (event->id > lowest)
                offer(room, event);
        }
    }
    DL_FOREACH_SAFE (room->behind, member, next)
        if (member->position == room->position && room->hub->ops->ready(member->owner))
            member_set_behind(member, false);
}

/*
 * What is to be read next: all above *low up to *high.  False if nobody who is ready lacks anything that the
 * ring does not have.  The room itself goes first, for the sake of those at the head.
 */
static bool missing(struct room *room, event_id *low, event_id *high)
{
    struct member *member;

    if (room_is_behind(room)) {
        *low = room->position;
        *high = room->held.count ? room->held.events[room->held.first]->prev : room->target;
        return true;
    }
    *high = *low = room_ring_start(room);
    DL_FOREACH (room->behind, member)
        if (member->position < *low && room->hub->ops->ready(member->owner))
            *low = member->position;
    return *low < *high;
}

/* What lies above `low` up to `until` is not to be had: tells all who stand there. */
static void skip(struct room *room, event_id low, event_id until)
{
    struct member *member, *next;

    room->hub->counts.gaps++;
    log_warn("gap", "chain=%s until=%llu", room->chain, (unsigned long long)until);
    DL_FOREACH_SAFE (room->behind, member, next)
        if (member->position >= low && member->position < until && room->hub->ops->ready(member->owner))
            member_skip(member, until);
    if (room->position >= low && room->position < until)
        room_skip(room, until);
}

static const struct redisReply *element(const struct redisReply *reply, size_t i)
{
    static const struct redisReply nothing = {.type = REDIS_REPLY_NIL};

    return reply->type == REDIS_REPLY_ARRAY && i < reply->elements ? reply->element[i] : &nothing;
}

static bool read_id(const struct redisReply *reply, const struct room *room, event_id *id)
{
    return reply->str && id_from_stream(reply->str, reply->len, room->lane, id);
}

static bool fill_add(struct fill *fill, event_id id)
{
    if (fill->count == fill->room) {
        size_t room = fill->room ? fill->room * 2 : 64;
        event_id *ids = realloc(fill->ids, room * sizeof *ids);

        if (!ids)
            return false;
        fill->ids = ids;
        fill->room = room;
    }
    fill->ids[fill->count++] = id;
    return true;
}

/* Takes an answer to the walk for ids.  False if it is not one. */
static bool take_ids(struct room *room, const struct redisReply *reply)
{
    struct fill *fill = room->fill;
    const struct redisReply *list = element(reply, 1), *word = element(reply, 3);
    event_id id;

    if (!word->str || !read_id(element(reply, 2), room, &fill->at))
        return false;
    for (size_t i = 0; i < list->elements; i++)
        if (!read_id(list->element[i], room, &id) || !fill_add(fill, id))
            return false;
    if (strcmp(word->str, "MORE") == 0 && fill->count < IDS_MAX)
        return true;
    if (strcmp(word->str, "END") != 0) { /* the log lacks what is older, or it is too much */
        fill->low = fill->at;
        skip(room, 0, fill->low);
    }
    for (size_t i = 0; i < fill->count / 2; i++) {
        id = fill->ids[i];
        fill->ids[i] = fill->ids[fill->count - 1 - i];
        fill->ids[fill->count - 1 - i] = id;
    }
    fill->collecting = false;
    return true;
}

static void take_entry(struct room *room, event_id id, event_id prev, const struct redisReply *body)
{
    struct event *event = event_from_body(id, prev, body->str, body->len);

    if (!event) {
        log_warn("event_unreadable", "chain=%s id=%llu", room->chain, (unsigned long long)id);
        skip(room, prev, id);
        return;
    }
    if (id > room->position) {
        if (prev <= room->position)
            room_accept(room, event);
    }
    offer(room, event);
    event_drop(event);
}

/* Takes an answer to the walk for entries.  False if it is not one. */
static bool take_entries(struct room *room, const struct redisReply *reply)
{
    const struct redisReply *list = element(reply, 1), *word = element(reply, 3);
    event_id id, prev, next;

    if (!word->str || !read_id(element(reply, 2), room, &next))
        return false;
    if (strcmp(word->str, "TRIMMED") == 0) /* since its ids were collected */
        skip(room, 0, next);
    for (size_t i = list->elements / 3; i-- > 0;) {
        const struct redisReply *body = list->element[3 * i + 2];

        if (!read_id(list->element[3 * i], room, &id) || !read_id(list->element[3 * i + 1], room, &prev) ||
            !body->str)
            return false;
        take_entry(room, id, prev, body);
    }
    return true;
}

static void on_walk(void *ctx, uint64_t token, enum bus_status status, const struct redisReply *reply)
{
    struct hub *hub = ctx;
    struct room *room;
    bool good;

    HASH_FIND(hh_serial, hub->rooms_by_serial, &token, sizeof token, room);
    if (!room) {
        fill_next_in_line(hub);
        return;
    }
    end_walk(room);
    room->holds++; /* a member that is fed may close, and be the last */
    good = status == BUS_ANSWERED &&
           (room->fill->collecting ? take_ids(room, reply) : take_entries(room, reply));
    if (good) {
        room_try_held(room);
        fill_feed(room);
    } else {
        forget_fill(room); /* tried again when the lane comes up, or by the check */
    }
    hub_let_go(room);
    fill_next_in_line(hub);
}

/* Sends one walk; its answer comes to on_walk. */
static void walk(struct room *room, event_id from, event_id until, int n, const char *what)
{
    char key[LANE_KEY_MAX], from_text[ID_TEXT_MAX], until_text[ID_TEXT_MAX], n_text[16];
    const char *argv[] = {"FCALL_RO", FUNCTION("walk"), "1",    key, room->chain,
                          from_text,  until_text,       n_text, what};

    snprintf(key, sizeof key, LANE_KEY_FORMAT, room->lane);
    snprintf(n_text, sizeof n_text, "%d", n);
    id_to_stream(from, from_text);
    id_to_stream(until, until_text);
    room->walking = bus_read(room->hub->bus, room->lane, 9, argv, on_walk, room->hub, room->serial);
    if (room->walking)
        room->hub->walks++;
}

/* The number of ids in the fill that are not above `position`. */
static size_t count_up_to(const struct fill *fill, event_id position)
{
    size_t low = 0, high = fill->count;

    while (low < high) {
        size_t middle = (low + high) / 2;

        if (fill->ids[middle] <= position)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static void begin(struct room *room, event_id low, event_id high)
{
    forget_fill(room);
    room->fill = calloc(1, sizeof *room->fill);
    if (!room->fill)
        abort();
    *room->fill = (struct fill){.low = low, .high = high, .at = high, .collecting = true};
    room->hub->counts.fills++;
    log_debug("fill", "chain=%s low=%llu high=%llu", room->chain, (unsigned long long)low,
              (unsigned long long)high);
}

/* Reads on for who stands at `low`, in the fill that is there if it covers that. */
static void read_on(struct room *room, event_id low, event_id high)
{
    struct fill *fill = room->fill;
    size_t next, last;

    if (!fill || (!fill->collecting && (low < fill->low || low >= fill->high))) {
        begin(room, low, high);
        fill = room->fill;
    }
    if (fill->collecting) {
        walk(room, fill->at, fill->low, IDS_STEP, "ids");
        return;
    }
    next = count_up_to(fill, low);
    if (next == fill->count) { /* cannot be, as the newest id is `high` */
        forget_fill(room);
        return;
    }
    last = next + ENTRIES_STEP <= fill->count ? next + ENTRIES_STEP - 1 : fill->count - 1;
    walk(room, fill->ids[last], low, ENTRIES_STEP, "entries");
}

void fill_feed(struct room *room)
{
    struct hub *hub = room->hub;
    event_id low, high;

    if (room->state != ROOM_LIVE)
        return;
    feed_from_ring(room);
    if (room->walking || room->in_line)
        return;
    if (!missing(room, &low, &high)) {
        if (!room->behind)
            forget_fill(room);
        return;
    }
    if (hub->walks >= WALKS_MAX) {
        room->in_line = true;
        DL_APPEND2(hub->line, room, line_prev, line_next);
        return;
    }
    read_on(room, low, high);
}
