#include "hub.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <event2/event.h>
#include <hiredis/hiredis.h>
#include <utlist.h>

#include "bus.h"
#include "log.h"
#include "room.h"

#define IDLE_MS 30000   /* a room that nobody is in is kept so long: its people may be coming back */
#define CHECK_MS 10000  /* how often `last` of all rooms is read */
#define SUSPECT_MS 1000 /* what was said may still be on its way for so long */
#define LOOKUP_ROOMS 500

struct waiter {
    uint64_t token;
    struct waiter *prev, *next;
};

/* One HMGET of `last` without an answer. */
struct lookup {
    uint64_t token;
    bool check; /* for the check, else after a subscription */
    struct lookup *prev, *next;
    size_t count;
    uint64_t rooms[]; /* serials */
};

/* Queues of events --------------------------------------------------------------------------------------- */

static struct event *queue_at(const struct queue *queue, size_t i)
{
    return queue->events[(queue->first + i) % queue->room];
}

static void queue_pop(struct queue *queue)
{
    struct event *event = queue_at(queue, 0);

    queue->first = (queue->first + 1) % queue->room;
    queue->count--;
    queue->size -= (uint32_t)event->size;
    event_drop(event);
}

/* Takes one more reference to `event`. */
static void queue_push(struct queue *queue, struct event *event)
{
    if (queue->count == queue->room) {
        uint32_t room = queue->room ? queue->room * 2 : 8;
        struct event **events = malloc(room * sizeof(struct event *));

        if (!events)
            abort();
        for (size_t i = 0; i < queue->count; i++)
            events[i] = queue_at(queue, i);
        free(queue->events);
        queue->events = events;
        queue->first = 0;
        queue->room = room;
    }
    queue->events[(queue->first + queue->count++) % queue->room] = event_hold(event);
    queue->size += (uint32_t)event->size;
}

static void queue_clear(struct queue *queue)
{
    while (queue->count)
        queue_pop(queue);
    free(queue->events);
    *queue = (struct queue){0};
}

static void ring_push(struct queue *ring, struct event *event)
{
    queue_push(ring, event);
    while (ring->count > RING_EVENTS || (ring->size > RING_BYTES && ring->count > 1))
        queue_pop(ring);
}

/* Rooms -------------------------------------------------------------------------------------------------- */

void member_set_behind(struct member *member, bool behind)
{
    struct room *room = member->room;

    if (member->behind == behind)
        return;
    if (member->behind)
        DL_DELETE(room->behind, member);
    else
        DL_DELETE(room->head, member);
    member->behind = behind;
    if (behind)
        DL_APPEND(room->behind, member);
    else
        DL_APPEND(room->head, member);
}

bool room_is_behind(const struct room *room)
{
    return room->position < room->target;
}

event_id room_ring_start(const struct room *room)
{
    return room->ring.count ? queue_at(&room->ring, 0)->prev : room->position;
}

void room_keep_past(struct room *room, struct event *event)
{
    struct queue *past = &room->past;

    if (past->count && queue_at(past, past->count - 1)->id != event->prev)
        queue_clear(past);
    ring_push(past, event);
}

void room_accept(struct room *room, struct event *event)
{
    ring_push(&room->ring, event);
    room->position = event->id;
    if (room->target < event->id)
        room->target = event->id;
    bus_saw(room->hub->bus, event->id);
    if (room->head)
        fanout_add(room, event);
}

void room_skip(struct room *room, event_id until)
{
    struct member *member, *next;

    fanout_send(room);
    queue_clear(&room->ring);
    room->position = until;
    if (room->target < until)
        room->target = until;
    DL_FOREACH_SAFE (room->head, member, next) {
        if (!room->hub->ops->ready(member->owner))
            member_set_behind(member, true);
        else if (member->position < until)
            member_skip(member, until);
    }
}

/* The chain rule: see docs/ARCHITECTURE.md. */
static bool fits(const struct room *room, const struct event *event)
{
    return event->prev <= room->position && event->id > room->position;
}

void room_try_held(struct room *room)
{
    while (room->held.count) {
        struct event *event = queue_at(&room->held, 0);

        if (event->id > room->position) {
            if (!fits(room, event))
                return;
            room_accept(room, event);
        }
        queue_pop(&room->held);
    }
}

static void hold_back(struct room *room, struct event *event)
{
    if (room->held.count < HELD_EVENTS && room->held.size < HELD_BYTES)
        queue_push(&room->held, event);
    if (event->id > room->target)
        room->target = event->id; /* what was not held back is filled */
}

static void take_event(struct room *room, struct event *event)
{
    if (room->state != ROOM_LIVE) {
        hold_back(room, event);
    } else if (room_is_behind(room) || (event->prev > room->position && event->id > room->position)) {
        if (event->id > room->position)
            hold_back(room, event);
        room_try_held(room); /* it may be what the room lacked */
        fill_feed(room);
    } else if (fits(room, event)) {
        room_accept(room, event);
        if (room->behind)
            fill_feed(room);
    }
}

/* A notice is "+SESSION MS SHOWN" or "-SESSION MS SHOWN". */
static void take_notice(struct room *room, const char *payload, size_t len)
{
    struct hub *hub = room->hub;
    char text[SESSION_MAX_BYTES + NAME_MAX_BYTES + 32], *session = text + 1, *ms, *shown;
    struct notice notice = {.joined = *payload == '+', .room = hub_room_name(room)};

    if (len >= sizeof text)
        return;
    memcpy(text, payload, len);
    text[len] = '\0';
    ms = strchr(session, ' ');
    shown = ms ? strchr(ms + 1, ' ') : NULL;
    if (!shown)
        return;
    *ms++ = *shown++ = '\0';
    notice.session = session;
    notice.name = shown;
    notice.ms = strtoull(ms, NULL, 10);
    fanout_notice(room, &notice, hub->ops->serial_of(hub->ctx, session));
}

/* Reading `last` ----------------------------------------------------------------------------------------- */

static void tell_waiters(struct room *room, bool good)
{
    struct waiter *waiters = room->waiters, *waiter;

    room->waiters = NULL;
    while ((waiter = waiters)) {
        waiters = waiter->next;
        room->hub->ops->room_ready(room->hub->ctx, waiter->token, good);
        free(waiter);
    }
}

static void know_newest(struct room *room, event_id newest)
{
    if (room->state != ROOM_READING)
        return;
    room->state = ROOM_LIVE;
    if (room->position == 0)
        room->position = newest;
    if (newest > room->target)
        room->target = newest;
    room->holds++; /* a waiter that goes away must not take the room along */
    room_try_held(room);
    tell_waiters(room, true);
    fill_feed(room);
    hub_let_go(room);
}

static void check_newest(struct room *room, event_id newest)
{
    queue_clear(&room->past);
    if (room->state == ROOM_LIVE && !room_is_behind(room) && newest > room->position) {
        room->suspect = newest;
        room->hub->suspects = true;
        room->hub->suspected_at = monotonic_ms();
    }
    fill_feed(room); /* whatever made a walk fail may be over */
}

static void on_lookup(void *ctx, uint64_t token, enum bus_status status, const struct redisReply *reply);

static bool may_read(const struct room *room)
{
    char channel[CHANNEL_MAX_BYTES];

    chain_channel(room->chain, channel);
    return bus_lane_is_up(room->hub->bus, room->lane) && bus_is_subscribed(room->hub->bus, channel);
}

/* Sends a lookup; its answer comes to on_lookup. */
static void lookup_send(struct hub *hub, unsigned lane, struct lookup *lookup)
{
    char key[32];
    const char *argv[LOOKUP_ROOMS + 2] = {"HMGET", key};

    snprintf(key, sizeof key, "hubbub:{%u}:last", lane);
    for (size_t i = 0; i < lookup->count; i++) {
        struct room *room;

        HASH_FIND(hh_serial, hub->rooms_by_serial, &lookup->rooms[i], sizeof(uint64_t), room);
        argv[2 + i] = room->chain;
    }
    DL_APPEND(hub->lookups, lookup);
    if (!bus_read(hub->bus, lane, (int)lookup->count + 2, argv, on_lookup, hub, lookup->token))
        on_lookup(hub, lookup->token, BUS_LOST, NULL);
}

/* With room for `most` rooms. */
static struct lookup *lookup_create(struct hub *hub, bool check, size_t most)
{
    struct lookup *lookup = calloc(1, sizeof *lookup + most * sizeof lookup->rooms[0]);

    if (!lookup)
        abort();
    lookup->token = hub->next_serial++;
    lookup->check = check;
    return lookup;
}

static void look_up_one(struct room *room)
{
    struct lookup *lookup = lookup_create(room->hub, false, 1);

    room->state = ROOM_READING;
    lookup->rooms[lookup->count++] = room->serial;
    lookup_send(room->hub, room->lane, lookup);
}

/* Asks for `last` of all rooms of a lane that are LIVE (for the check) or can be read for the first time. */
static void look_up_lane(struct hub *hub, unsigned lane, bool check)
{
    struct lookup *lookup = NULL;
    struct room *room, *next;

    HASH_ITER (hh, hub->rooms, room, next) {
        if (room->lane != lane ||
            (check ? room->state != ROOM_LIVE : room->state != ROOM_SUBSCRIBING || !may_read(room)))
            continue;
        if (!check)
            room->state = ROOM_READING;
        if (!lookup)
            lookup = lookup_create(hub, check, LOOKUP_ROOMS);
        lookup->rooms[lookup->count++] = room->serial;
        if (lookup->count == LOOKUP_ROOMS) {
            lookup_send(hub, lane, lookup);
            lookup = NULL;
        }
    }
    if (lookup)
        lookup_send(hub, lane, lookup);
}

static void on_lookup(void *ctx, uint64_t token, enum bus_status status, const struct redisReply *reply)
{
    struct hub *hub = ctx;
    struct lookup *lookup;

    DL_SEARCH_SCALAR(hub->lookups, lookup, token, token);
    DL_DELETE(hub->lookups, lookup);
    for (size_t i = 0; i < lookup->count; i++) {
        struct room *room;
        event_id newest;

        HASH_FIND(hh_serial, hub->rooms_by_serial, &lookup->rooms[i], sizeof(uint64_t), room);
        if (!room)
            continue;
        if (status != BUS_ANSWERED || reply->elements != lookup->count) {
            if (!lookup->check && room->state == ROOM_READING)
                room->state = ROOM_SUBSCRIBING; /* read again when the lane comes up, or by the check */
            continue;
        }
        if (!reply->element[i]->str ||
            !id_from_stream(reply->element[i]->str, reply->element[i]->len, room->lane, &newest))
            newest = bus_floor(hub->bus, room->lane);
        if (lookup->check)
            check_newest(room, newest);
        else
            know_newest(room, newest);
    }
    free(lookup);
}

/* Subscriptions ------------------------------------------------------------------------------------------ */

static void subscribe(struct room *room)
{
    char channel[CHANNEL_MAX_BYTES];

    chain_channel(room->chain, channel);
    bus_subscribe(room->hub->bus, room->lane, channel);
}

static void unsubscribe(struct room *room)
{
    char channel[CHANNEL_MAX_BYTES];

    chain_channel(room->chain, channel);
    bus_unsubscribe(room->hub->bus, channel);
}

/* The room whose channel this is, or NULL. */
static struct room *find_by_channel(struct hub *hub, const char *channel)
{
    char chain[CHAIN_MAX_BYTES];
    struct room *room = NULL;

    if (channel_chain(channel, chain))
        HASH_FIND_STR(hub->rooms, chain, room);
    return room;
}

void hub_subscribed(struct hub *hub, const char *channel)
{
    struct room *room = find_by_channel(hub, channel);

    if (room && may_read(room))
        look_up_one(room);
}

void hub_lane_up(struct hub *hub, unsigned lane)
{
    look_up_lane(hub, lane, false);
}

void hub_lane_down(struct hub *hub, unsigned lane)
{
    struct room *room, *next;

    HASH_ITER (hh, hub->rooms, room, next) {
        if (room->lane != lane)
            continue;
        room->state = ROOM_SUBSCRIBING;
        room->holds++;
        tell_waiters(room, false);
        hub_let_go(room);
    }
}

void hub_message(struct hub *hub, const char *channel, const char *payload, size_t len)
{
    struct room *room = find_by_channel(hub, channel);
    struct event *event;

    if (!room || len == 0)
        return;
    if (*payload == '+' || *payload == '-') {
        take_notice(room, payload, len);
        return;
    }
    event = event_from_live(room->lane, payload, len);
    if (event)
        take_event(room, event);
    else
        log_warn("event_unreadable", "channel=%s", channel); /* the next one will find it missing */
    event_drop(event);
}

/* The clock ---------------------------------------------------------------------------------------------- */

static void room_destroy(struct room *room)
{
    struct hub *hub = room->hub;

    fill_finish(room);
    fanout_forget_room(room);
    if (room->idle)
        DL_DELETE2(hub->idle, room, idle_prev, idle_next);
    unsubscribe(room);
    queue_clear(&room->ring);
    queue_clear(&room->held);
    queue_clear(&room->past);
    HASH_DELETE(hh, hub->rooms, room);
    HASH_DELETE(hh_serial, hub->rooms_by_serial, room);
    free(room);
}

static void judge_suspects(struct hub *hub)
{
    struct room *room, *next;

    hub->suspects = false;
    HASH_ITER (hh, hub->rooms, room, next) {
        if (room->suspect > room->position && room->state == ROOM_LIVE && !room_is_behind(room)) {
            hub->counts.deaf++;
            log_warn("room_deaf", "chain=%s lane=%u", room->chain, room->lane);
            room->target = room->suspect;
            unsubscribe(room);
            subscribe(room); /* reads `last` once more when confirmed */
            fill_feed(room);
        }
        room->suspect = 0;
    }
}

void hub_tick(struct hub *hub)
{
    uint64_t now = monotonic_ms();

    while (hub->idle && now - hub->idle->idle_since >= IDLE_MS)
        room_destroy(hub->idle);
    if (hub->suspects && now - hub->suspected_at >= SUSPECT_MS)
        judge_suspects(hub);
    if (now < hub->next_check)
        return;
    hub->next_check = now + CHECK_MS;
    for (unsigned lane = 0; lane < LANES; lane++) {
        if (bus_lane_is_up(hub->bus, lane)) {
            hub_lane_up(hub, lane); /* those whose reading failed */
            look_up_lane(hub, lane, true);
        }
    }
}

static void on_tick(evutil_socket_t fd, short what, void *arg)
{
    hub_tick(arg);
}

/* The interface ------------------------------------------------------------------------------------------ */

struct hub *hub_create(struct event_base *base, struct bus *bus, struct storelink *storelink,
                       const struct hub_ops *ops, void *ctx)
{
    struct hub *hub = calloc(1, sizeof *hub);
    struct timeval second = {.tv_sec = 1};

    if (!hub)
        return NULL;
    hub->base = base;
    hub->bus = bus;
    hub->storelink = storelink;
    hub->ops = ops;
    hub->ctx = ctx;
    hub->next_serial = 1;
    hub->next_check = monotonic_ms() + CHECK_MS;
    hub->tick = event_new(base, -1, EV_PERSIST, on_tick, hub);
    if (!hub->tick || event_add(hub->tick, &second) < 0) {
        hub_destroy(hub);
        return NULL;
    }
    return hub;
}

void hub_destroy(struct hub *hub)
{
    struct room *room, *next;
    struct lookup *lookup, *after;

    if (!hub)
        return;
    HASH_ITER (hh, hub->rooms, room, next) {
        tell_waiters(room, false);
        room_destroy(room);
    }
    DL_FOREACH_SAFE (hub->lookups, lookup, after)
        free(lookup);
    fanout_finish(hub);
    if (hub->tick)
        event_free(hub->tick);
    free(hub);
}

static struct room *room_create(struct hub *hub, const char *chain)
{
    size_t len = strlen(chain);
    struct room *room = calloc(1, sizeof *room + len + 1);

    if (!room)
        return NULL;
    room->hub = hub;
    room->serial = hub->next_serial++;
    room->lane = chain_lane(chain);
    memcpy(room->chain, chain, len + 1);
    HASH_ADD_KEYPTR(hh, hub->rooms, room->chain, len, room);
    HASH_ADD(hh_serial, hub->rooms_by_serial, serial, sizeof room->serial, room);
    return room;
}

static void wait_for(struct room *room, uint64_t token)
{
    struct waiter *waiter = malloc(sizeof *waiter);

    if (!waiter)
        abort();
    waiter->token = token;
    DL_APPEND(room->waiters, waiter);
}

static struct room *hold(struct hub *hub, char kind, const char *name)
{
    char chain[CHAIN_MAX_BYTES];
    struct room *room;

    if (!bus_lane_is_up(hub->bus, lane_of(name)))
        return NULL;
    chain_name(kind, name, chain);
    HASH_FIND_STR(hub->rooms, chain, room);
    if (!room) {
        room = room_create(hub, chain);
        if (!room)
            return NULL;
        subscribe(room);
    }
    room->holds++;
    if (room->idle) {
        room->idle = false;
        DL_DELETE2(hub->idle, room, idle_prev, idle_next);
    }
    return room;
}

static struct room *hold_until_live(struct hub *hub, char kind, const char *name, uint64_t token, bool *live)
{
    struct room *room = hold(hub, kind, name);

    if (!room)
        return NULL;
    *live = room->state == ROOM_LIVE;
    if (!*live)
        wait_for(room, token);
    return room;
}

struct room *hub_hold(struct hub *hub, const char *name, uint64_t token, bool *live)
{
    return hold_until_live(hub, 'r', name, token, live);
}

struct room *hub_hold_inbox(struct hub *hub, const char *name, uint64_t token, bool *live)
{
    return hold_until_live(hub, 'u', name, token, live);
}

event_id hub_newest(const struct room *room)
{
    return room->target;
}

void hub_read_newest(struct room *room, uint64_t token)
{
    wait_for(room, token);
    if (room->state == ROOM_LIVE)
        look_up_one(room);
}

void hub_let_go(struct room *room)
{
    if (--room->holds > 0 || room->head || room->behind || room->idle)
        return;
    room->idle = true;
    room->idle_since = monotonic_ms();
    DL_APPEND2(room->hub->idle, room, idle_prev, idle_next);
}

struct member *hub_enter(struct room *room, void *owner, uint64_t serial, int dialect, bool echo,
                         event_id since)
{
    struct member *member = calloc(1, sizeof *member);

    if (!member)
        return NULL;
    member->room = room;
    member->owner = owner;
    member->serial = serial;
    member->dialect = (uint8_t)dialect;
    member->echo = echo;
    member->position = room->position;
    if (since)
        member->position = since;
    member->behind = member->position != room->position;
    if (member->behind)
        DL_APPEND(room->behind, member);
    else
        DL_APPEND(room->head, member);
    room->holds++;
    return member;
}

void hub_leave(struct member *member)
{
    struct room *room = member->room;

    if (room->hub->handed == member)
        room->hub->handed = NULL;
    if (member->behind)
        DL_DELETE(room->behind, member);
    else
        DL_DELETE(room->head, member);
    free(member);
    hub_let_go(room);
}

void hub_resume(struct member *member)
{
    if (member->behind)
        fill_feed(member->room);
}

void hub_end_turn(struct hub *hub)
{
    fanout_end_turn(hub);
}

const char *hub_room_name(const struct room *room)
{
    return room->chain + 2;
}

unsigned hub_room_lane(const struct room *room)
{
    return room->lane;
}

const struct hub_counts *hub_counts(const struct hub *hub)
{
    return &hub->counts;
}
