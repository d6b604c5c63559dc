/*
 * fill: feeding those who are behind, in order, from the ring, from a walk along the chain in the log, and,
 * what that has not any more, from the store.
 *
 * A room has one fill at a time, and it feeds everybody in the room who is behind and ready: the reader
 * furthest back decides what is read next, and whoever stands where an event follows gets it.  So a thousand
 * who come back at once cost one walk.  First the ids of the missing stretch are collected, newest to oldest;
 * then the entries are read, oldest first, a few hundred at a time, as the readers drain.  Where the log
 * ends, or the way is too long, pages of the store come first.  What neither has is a gap, which is told.
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <hiredis/hiredis.h>
#include <utlist.h>

#include "bus.h"
#include "log.h"
#include "room.h"
#include "stored.h"
#include "storelink.h"
#include "walk.h"

#define IDS_MAX 100000
#define IDS_STEP 1000
#define ENTRIES_STEP 200
#define PAGE 200

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

    fanout_begin(hub);
    DL_FOREACH_SAFE (room->behind, member, next)
        if (member->position >= event->prev && member->position < event->id && hub->ops->ready(member->owner))
            fanout_deliver(room, member, event, origin);
}

static struct event *event_at(const struct queue *queue, size_t i)
{
    return queue->events[(queue->first + i) % queue->room];
}

/* Hands what is in `queue`, where one event follows the other, to those who stand in it. */
static void feed_from(struct room *room, const struct queue *queue)
{
    struct member *member;
    event_id start, end, lowest;

    if (queue->count == 0)
        return;
    start = event_at(queue, 0)->prev;
    lowest = end = event_at(queue, queue->count - 1)->id;
    DL_FOREACH (room->behind, member)
        if (member->position < lowest && member->position >= start && room->hub->ops->ready(member->owner))
            lowest = member->position;
    for (size_t i = 0; lowest < end && i < queue->count; i++)
        if (event_at(queue, i)->id > lowest)
            offer(room, event_at(queue, i));
}

/* Feeds from what is at hand, and moves those who have caught up to the head. */
static void feed_at_hand(struct room *room)
{
    struct member *member, *next;

    feed_from(room, &room->past);
    feed_from(room, &room->ring);
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
        *high = room->held.count ? event_at(&room->held, 0)->prev : room->target;
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

/* Too many to keep: the newer half is another fill's. */
static void drop_newest(struct fill *fill)
{
    size_t n = fill->count / 2;

    fill->count -= n;
    memmove(fill->ids, fill->ids + n, fill->count * sizeof *fill->ids);
    fill->high = fill->ids[0];
}

/* Takes an answer to the walk for ids.  False if it is not one. */
static bool take_ids(struct room *room, const struct redisReply *reply)
{
    struct fill *fill = room->fill;
    struct walk walk;
    event_id id;

    if (!walk_read(&walk, room->chain, false, reply))
        return false;
    fill->at = walk.next;
    for (size_t i = 0; i < walk.count; i++)
        if (!walk_id(&walk, i, &id) || !fill_add(fill, id))
            return false;
    if (fill->count >= IDS_MAX)
        drop_newest(fill);
    if (walk.end == WALK_MORE)
        return true;
    fill->logged = walk.end == WALK_END ? fill->low : fill->at;
    for (size_t i = 0; i < fill->count / 2; i++) {
        id = fill->ids[i];
        fill->ids[i] = fill->ids[fill->count - 1 - i];
        fill->ids[fill->count - 1 - i] = id;
    }
    fill->collecting = false;
    return true;
}

static void take_event(struct room *room, struct event *event)
{
    if (event->id > room->position && event->prev <= room->position)
        room_accept(room, event);
    offer(room, event);
    room_keep_past(room, event);
}

static void take_entry(struct room *room, event_id id, event_id prev, const struct redisReply *body)
{
    struct event *event = event_from_body(id, prev, body->str, body->len);

    if (event) {
        take_event(room, event);
        event_drop(event);
    } else {
        log_warn("event_unreadable", "chain=%s id=%llu", room->chain, (unsigned long long)id);
        skip(room, prev, id);
    }
}

/* Takes an answer to the walk for entries.  False if it is not one. */
static bool take_entries(struct room *room, const struct redisReply *reply)
{
    const struct redisReply *body;
    struct walk walk;
    event_id id, prev;

    if (!walk_read(&walk, room->chain, true, reply))
        return false;
    if (walk.end == WALK_TRIMMED) { /* since its ids were collected: the store has it by now */
        room->fill->logged = walk.next;
        return true;
    }
    for (size_t i = walk.count; i-- > 0;) {
        if (!walk_entry(&walk, i, &id, &prev, &body))
            return false;
        take_entry(room, id, prev, body);
    }
    return true;
}

/* An answer came, and was `good` or not: what it has brought is handed on, and the next step begins. */
static void go_on(struct room *room, bool good)
{
    if (good) {
        room_try_held(room);
        fill_feed(room);
    } else {
        forget_fill(room); /* tried again when the lane comes up, or by the check */
    }
}

static struct room *find_room(struct hub *hub, uint64_t serial)
{
    struct room *room;

    HASH_FIND(hh_serial, hub->rooms_by_serial, &serial, sizeof serial, room);
    return room;
}

static void on_walk(void *ctx, uint64_t token, enum bus_status status, const struct redisReply *reply)
{
    struct hub *hub = ctx;
    struct room *room = find_room(hub, token);

    if (room) {
        end_walk(room);
        room->holds++; /* a member that is fed may close, and be the last */
        go_on(room, status == BUS_ANSWERED &&
                        (room->fill->collecting ? take_ids(room, reply) : take_entries(room, reply)));
        hub_let_go(room);
    }
    fill_next_in_line(hub);
}

/* Sends one walk; its answer comes to on_walk. */
static void walk(struct room *room, event_id from, event_id until, int n, bool entries)
{
    room->walking =
        walk_send(room->hub->bus, room->chain, from, until, n, entries, on_walk, room->hub, room->serial);
    if (room->walking)
        room->hub->walks++;
}

/* Takes a page of the store, from the id room->fill->at on.  What lies between what it has and where the log
 * begins is a gap. */
static void take_page(struct room *room, const json_t *answer)
{
    struct fill *fill = room->fill;
    event_id at = fill->at;
    size_t n = stored_count(answer);

    for (size_t i = 0; i < n; i++) {
        struct event *event = stored_event(answer, i, room->chain);

        if (!event) {
            log_warn("page_unreadable", "chain=%s after=%llu", room->chain, (unsigned long long)at);
            skip(room, at, fill->logged);
            return;
        }
        if (event->prev > at)
            skip(room, at, event->prev);
        take_event(room, event);
        at = event->id;
        event_drop(event);
    }
    if (at < fill->logged && (n == 0 || !json_is_true(json_object_get(answer, "more"))))
        skip(room, at, fill->logged);
}

static void on_page(void *ctx, uint64_t token, const json_t *answer)
{
    struct hub *hub = ctx;
    struct room *room = find_room(hub, token);

    if (room) {
        room->asking = false;
        room->holds++;
        if (json_is_true(json_object_get(answer, "ok")))
            take_page(room, answer);
        else
            skip(room, room->fill->at, room->fill->logged);
        go_on(room, true);
        hub_let_go(room);
    }
}

/* Asks the store for what follows `low`; its answer comes to on_page.  False: there is no store now. */
static bool ask_page(struct room *room, event_id low)
{
    char after[ID_TEXT_MAX], until[ID_TEXT_MAX];

    room->fill->at = low;
    if (!room->hub->storelink)
        return false;
    room->asking = storelink_ask_patiently(room->hub->storelink,
                                           json_pack("{s:s, s:s, s:s, s:s, s:i, s:b}", "ask", "events",
                                                     "chain", room->chain, "after", id_to_decimal(low, after),
                                                     "until", id_to_decimal(room->fill->logged, until),
                                                     "limit", PAGE, "newest", 0),
                                           on_page, room->hub, room->serial);
    if (room->asking)
        log_debug("page_asked", "chain=%s after=%s until=%s", room->chain, after, until);
    return room->asking;
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
        walk(room, fill->at, fill->low, IDS_STEP, false);
        return;
    }
    if (low < fill->logged) {
        if (!ask_page(room, low)) {
            skip(room, low, fill->logged);
            fill_feed(room);
        }
        return;
    }
    next = count_up_to(fill, low);
    if (next == fill->count) { /* cannot be, as the newest id is `high` */
        forget_fill(room);
        return;
    }
    last = next + ENTRIES_STEP <= fill->count ? next + ENTRIES_STEP - 1 : fill->count - 1;
    walk(room, fill->ids[last], low, ENTRIES_STEP, true);
}

void fill_feed(struct room *room)
{
    struct hub *hub = room->hub;
    event_id low, high;

    if (room->state != ROOM_LIVE)
        return;
    feed_at_hand(room);
    if (room->walking || room->asking || room->in_line)
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
