#ifndef HUBBUB_ROOM_H
#define HUBBUB_ROOM_H

/*
 * room: what hub.c, fanout.c and fill.c share.
 *
 * A user's inbox, the chain of the directs to that user, is a room, too: one that only its user is in.  So
 * there are more rooms than sessions, and what a room weighs every connection weighs.
 */

#include <uthash.h>

#include "event.h"
#include "hub.h"

struct batch;
struct evbuffer;

#define RING_EVENTS 256
#define RING_BYTES (256 * 1024)
#define HELD_EVENTS 4096
#define HELD_BYTES (1024 * 1024)
#define WALKS_MAX 8

enum room_state {
    ROOM_SUBSCRIBING, /* until the subscription is confirmed and the lane is up */
    ROOM_READING,     /* the newest id was asked for */
    ROOM_LIVE,
};

/* Events in order, oldest first; `size` is their sum. */
struct queue {
    struct event **events;
    uint32_t first, count, room, size; /* each room has three: see HELD_BYTES for the most */
};

/*
 * The ids of a stretch of the chain, from which those behind are fed.  Made when somebody is behind what the
 * ring holds; freed when nobody is behind.
 */
struct fill {
    event_id low, high; /* covers the events above `low` up to `high` */
    event_id logged;    /* the ids are those above; what is not is the store's */
    event_id at;        /* while collecting: where the walk goes on; then: from where the page asked for is */
    bool collecting;
    event_id *ids; /* newest first while collecting, then oldest first */
    size_t count, room;
};

#define BATCH_EVENTS 128 /* half a ring, which must still have them for those who are not ready */
#define BATCH_BYTES (64 * 1024)

struct room {
    struct hub *hub;
    uint64_t serial;
    unsigned lane, holds;
    enum room_state state;
    bool walking;              /* a walk is under way: one command without its answer */
    bool asking;               /* the same of a page of the store */
    bool in_line;              /* for one of the WALKS_MAX */
    bool idle;                 /* on the hub's list of rooms that nobody needs */
    event_id position, target; /* behind while position < target; 0: not known yet */
    event_id suspect;          /* `last` as the check found it, above the position */
    struct queue ring, held;
    struct queue
        past; /* what was read last for somebody behind: more may come who want it; the check forgets it */
    struct member *head; /* members at the position, or where the batch begins */
    struct member *behind;
    struct batch *batch;    /* what those at the head are about to hear, or NULL */
    struct waiter *waiters; /* holders that wait for ROOM_LIVE */
    struct fill *fill;
    uint64_t idle_since;
    struct room *line_prev, *line_next, *idle_prev, *idle_next;
    UT_hash_handle hh, hh_serial;
    char chain[]; /* "r:ROOM", or "u:USER" for the directs to a user */
};

struct hub {
    struct event_base *base;
    struct bus *bus;
    struct storelink *storelink; /* NULL: there is no store to ask */
    const struct hub_ops *ops;
    void *ctx;
    struct room *rooms, *rooms_by_serial;
    struct room *idle; /* nobody is in them; oldest first; they leave after a while or when somebody enters */
    struct room *line; /* wait for a walk; leave when they get one */
    unsigned walks;
    uint64_t next_serial, next_check;
    bool suspects;
    uint64_t suspected_at; /* when the last room was */
    struct lookup *lookups;
    struct batch *batches; /* of this turn */
    struct batch *lent;    /* of the last turn */
    struct member *handed; /* the member that is being handed a batch; NULL: it has left */
    struct event *tick;
    struct evbuffer *encoded[DIALECTS_MAX]; /* what is being handed out, once per dialect */
    struct hub_counts counts;
};

/* hub.c -------------------------------------------------------------------------------------------------- */

/* Moves the room's position to the next event of the chain, which all at the head hear at the end of the
 * turn.  Borrows `event`. */
void room_accept(struct room *room, struct event *event);

/* Moves the position of `room` to `until` without events, and tells those at the head. */
void room_skip(struct room *room, event_id until);

/* Keeps what was read for somebody behind, as long as one event follows the other. */
void room_keep_past(struct room *room, struct event *event);

/* Hands on what was held back and fits now. */
void room_try_held(struct room *room);

bool room_is_behind(const struct room *room);

/* The position from which the ring leads on. */
event_id room_ring_start(const struct room *room);

/* Moves a member to the list where it belongs. */
void member_set_behind(struct member *member, bool behind);

/* fanout.c ----------------------------------------------------------------------------------------------- */

/* All at the head hear `event`, which is borrowed, at the end of the turn. */
void fanout_add(struct room *room, struct event *event);

/* Hands them now what was added in this turn: something comes that must be behind it.  Who is not ready is
 * behind from then on; who leaves with the ack of a chat hears no more. */
void fanout_send(struct room *room);

/* Tells all members that are ready, but for the session of number `origin`, behind what was added. */
void fanout_notice(struct room *room, const struct notice *notice, uint64_t origin);

/* The end of a turn: hands out what was added in all rooms, and frees what was handed out in the last turn.
 */
void fanout_end_turn(struct hub *hub);

/* The room goes away, in which nobody is. */
void fanout_forget_room(struct room *room);

/* Frees what the hub holds for all this. */
void fanout_finish(struct hub *hub);

/* Before fanout_deliver: forgets what was encoded for another event. */
void fanout_begin(struct hub *hub);

/* Hands `event` to one member and moves its position.  What it is encoded to is kept for the next member. */
void fanout_deliver(struct room *room, struct member *member, const struct event *event, uint64_t origin);

/* Tells one member that what lies between its position and `until` is not to be had, and moves it there. */
void member_skip(struct member *member, event_id until);

/* fill.c ------------------------------------------------------------------------------------------------- */

/* Feeds all in `room` that are behind and ready, the room itself included, as far as that goes now. */
void fill_feed(struct room *room);

/* Frees what the fill of a room that goes away holds. */
void fill_finish(struct room *room);

/* The next rooms in line get their walks. */
void fill_next_in_line(struct hub *hub);

#endif
