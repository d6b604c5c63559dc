#ifndef HUBBUB_EVENT_H
#define HUBBUB_EVENT_H

/*
 * event: what must not be lost, a message in a room or a direct to a user.
 *
 * Every room, and every user for the directs received, is a chain: an event carries the id of the one before
 * it. In Redis a chain is called "r:ROOM" or "u:USER" (folded names), and an event is
 *
 *     its log entry    c CHAIN  p PREV  e BODY        (the entry's stream id is the event's id)
 *     its live form    "ID PREV BODY"                 (on the channel of its room or user)
 *     its body         {"from","session","room"|"to","text"}, of a direct also "for", "by"
 *
 * The log of lane 0 also holds session records, which belong to no chain (c and p are "-"):
 *
 *     {"open":{"session","name","gateway","dialect","address"}}     {"close":SESSION}
 */

#include <stdbool.h>
#include <stddef.h>

#include "id.h"
#include "name.h"

#define CHAIN_MAX_BYTES (2 + ROOM_MAX_BYTES)
#define CHANNEL_MAX_BYTES (CHAIN_MAX_BYTES + 24)
#define SESSION_MAX_BYTES 80 /* GATEWAY-8 hex digits-number */

struct event {
    event_id id, prev;
    const char *from;    /* who said it, as shown */
    const char *session; /* whose it was */
    const char *place;   /* the room (folded), or the recipient as given */
    const char *whom;    /* of a direct: who held the recipient's name, see event_direct_body(); else NULL */
    const char *by;      /* of a direct: who held the sender's name; else NULL */
    const char *text;
    bool direct;
    unsigned refs;
    size_t size; /* bytes that the event takes in memory */
};

/*
 * Makes an event of its body.  NULL if the body is not what hubbub writes (no JSON, a field missing, a name
 * that is not one word, a text that may not be said).  The caller has one reference.
 */
struct event *event_from_body(event_id id, event_id prev, const char *body, size_t len);

/* Makes an event of its live form in `lane`.  NULL as above. */
struct event *event_from_live(unsigned lane, const char *live, size_t len);

/* Takes one more reference; returns `event`. */
struct event *event_hold(struct event *event);

/* Gives one reference back; the last one frees.  Takes NULL. */
void event_drop(struct event *event);

/* The chain of a room ('r') or of a user's directs ('u'), by its folded name. */
void chain_name(char kind, const char *name, char chain[CHAIN_MAX_BYTES]);

/* The lane where a chain lives. */
unsigned chain_lane(const char *chain);

/* The channel on which what is new in a chain is published. */
void chain_channel(const char *chain, char channel[CHANNEL_MAX_BYTES]);

/* The chain whose channel this is.  False: it is no chain's. */
bool channel_chain(const char *channel, char chain[CHAIN_MAX_BYTES]);

/*
 * The body of a message to `room`.  The caller frees it; NULL: no memory, or something is not UTF-8.
 */
char *event_body(const char *from, const char *session, const char *room, const char *text);

/*
 * The body of a direct to `to`, the recipient as given.  `whom` is who holds that name, and `by` who holds
 * the sender's: "a:N" (an account), the digest of the key with which it is held, or the session that holds it
 * without one.  Nobody else is handed the direct, for names change hands.
 */
char *event_direct_body(const char *from, const char *session, const char *by, const char *to,
                        const char *whom, const char *text);

/* The record of a session's opening.  The caller frees it; NULL: as above. */
char *session_open_record(const char *session, const char *name, const char *gateway, const char *dialect,
                          const char *address);

#endif
