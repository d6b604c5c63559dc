#ifndef HUBBUB_HUB_H
#define HUBBUB_HUB_H

/*
 * hub: who is in which room on this gateway, and the order in which they hear things.
 *
 * The hub is the subject of the observer pattern, members are the observers.  A room's events form a chain
 * (see event.h).  An event is handed on only if it is the next link; otherwise the room is *behind*: events
 * are held back, the missing ones are asked for, and all go out in order.  What a room accepts in one turn of
 * the loop goes out together at its end, encoded once per dialect (see fanout.c).  A member is behind, too,
 * if it came back with an old position or does not read fast enough.  All that is behind is fed in one way
 * (see fill.c).
 *
 *                    ring: the newest events
 *     .  .  .  .  o--o--o--o--o--o                          o--o--o  held back
 *     ^                          ^                                ^
 *     a member that is behind    the room's position              target: the newest known
 *                                (members at the head stand here)
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "dialect.h"
#include "id.h"

struct bus;
struct hub;
struct room;
struct storelink;
struct event_base;

/* One session in one room.  Belongs to the hub; lives from hub_enter to hub_leave. */
struct member {
    struct room *room;
    void *owner;       /* the session */
    uint64_t serial;   /* its number: it is not told what it said itself ... */
    event_id position; /* it has seen everything up to here */
    bool echo;         /* ... unless it wants to be */
    uint8_t dialect;   /* number of its dialect */
    bool behind;       /* on the room's list of those behind, else on that of those at the head */
    bool robbed;       /* it was told of a gap: its position is not all that it has seen */
    bool watched;      /* the session wants to hear of every move */
    uint16_t waiting;  /* chats of the session that wait for the position to move; the session's own count */
    struct member *prev, *next;         /* on one of the room's lists */
    struct member *own_prev, *own_next; /* for the session: among its own */
};

struct hub_ops {
    /* Hands bytes to a member's session. */
    void (*send)(void *owner, const void *data, size_t len);
    /* The same, but the bytes stay where they are until conns_end_turn behind the next hub_end_turn. */
    void (*lend)(void *owner, const void *data, size_t len);
    /* True if the session may be handed more now; if not, hub_resume is to be called when it may. */
    bool (*ready)(void *owner);
    /* The position of a member that has `waiting` chats, or is `watched`, has moved. */
    void (*reached)(void *owner, struct member *member);
    /* True if a direct is for the session, which is in the inbox of its name. */
    bool (*is_for)(void *owner, const struct event *event);
    /* The number of the session of that id if it is one of this gateway's, else 0. */
    uint64_t (*serial_of)(void *ctx, const char *session);
    /* The room that was asked for by hub_hold with `token` can be entered, or cannot be now. */
    void (*room_ready)(void *ctx, uint64_t token, bool good);
};

struct hub_counts {
    unsigned long deaf;  /* rooms that heard nothing of what was said */
    unsigned long fills; /* walks begun */
    unsigned long gaps;  /* ranges that were not to be had */
};

/* `storelink` may be NULL: then only the log can be asked for the past.  NULL: no memory. */
struct hub *hub_create(struct event_base *base, struct bus *bus, struct storelink *storelink,
                       const struct hub_ops *ops, void *ctx);

/* Frees all; there are no members any more.  Takes NULL. */
void hub_destroy(struct hub *hub);

/*
 * Gets the room of this (folded) name, subscribing to it if it is new.  The caller gives it back by
 * hub_let_go.  If *live it can be entered now, else ops->room_ready(token) follows.  NULL: the lane is not
 * up.
 */
struct room *hub_hold(struct hub *hub, const char *name, uint64_t token, bool *live);

/* The same for the inbox of the user of this (folded) name. */
struct room *hub_hold_inbox(struct hub *hub, const char *name, uint64_t token, bool *live);

/* The newest id that is known of a room that is held and was ready: who is to hear all that comes from then
 * on enters with it as `since`. */
event_id hub_newest(const struct room *room);

/*
 * Asks Redis once more for the newest id of a room that is held and was ready, for somebody who has seen a
 * newer one on another gateway; ops->room_ready(token) follows.
 */
void hub_read_newest(struct room *room, uint64_t token);

void hub_let_go(struct room *room);

/*
 * Enters a room that is held and was ready.  `since` is the position to go on from, even if it is above the
 * newest; 0: the newest.  The
 * member is fed from hub_resume on, so that the answer to its request can go first.  Returns NULL if out of
 * memory.
 */
struct member *hub_enter(struct room *room, void *owner, uint64_t serial, int dialect, bool echo,
                         event_id since);

/* Leaves, and frees `member`. */
void hub_leave(struct member *member);

/* The session can be handed more again. */
void hub_resume(struct member *member);

const char *hub_room_name(const struct room *room);
unsigned hub_room_lane(const struct room *room);

/* From the bus. */
void hub_lane_up(struct hub *hub, unsigned lane);
void hub_lane_down(struct hub *hub, unsigned lane);
void hub_subscribed(struct hub *hub, const char *channel);
void hub_message(struct hub *hub, const char *channel, const char *payload, size_t len);

/* To be called at the end of each loop turn, before the conns are flushed: hands to those at the head what
 * was accepted in the turn. */
void hub_end_turn(struct hub *hub);

/* What the hub does once a second by itself; for tests with a clock of their own. */
void hub_tick(struct hub *hub);

const struct hub_counts *hub_counts(const struct hub *hub);

#endif
