#ifndef HUBBUB_STORE_ENTRY_H
#define HUBBUB_STORE_ENTRY_H

/*
 * entry: one entry of a lane's log, understood as far as it can be.
 *
 * What is not as the gateways write it is ENTRY_REFUSED, with the reason: nothing that stands in a log stops
 * the store.
 */

#include <hiredis/hiredis.h>
#include <jansson.h>

#include "event.h"

enum entry_kind {
    ENTRY_REFUSED,
    ENTRY_MESSAGE, /* event, sender, room */
    ENTRY_DIRECT,  /* event, sender, recipient */
    ENTRY_OPEN,    /* record, sender (whose session) */
    ENTRY_CLOSE,   /* record */
};

struct entry {
    enum entry_kind kind;
    bool has_id;
    event_id id;
    bool is_dropped;       /* stored long ago, in a month that is not kept any more */
    const char *why;       /* refused: the reason */
    const redisReply *raw; /* borrowed: [stream id, [field, value, ...]] */

    struct event *event;
    char sender_key[NAME_MAX_BYTES], recipient_key[NAME_MAX_BYTES]; /* folded */
    int64_t sender, recipient, room;                                /* ids of rows, once they are known */

    json_t *record; /* owns the strings below */
    const char *session, *name, *gateway, *dialect;
    char address[48]; /* "" if there is none that PostgreSQL would take */
};

/* Understands the entry `raw` (borrowed as long as `entry` lives) of `lane`. */
void entry_init(struct entry *entry, unsigned lane, const redisReply *raw);

/* Frees what it holds. */
void entry_finish(struct entry *entry);

/* True if it becomes a row of messages. */
bool entry_is_event(const struct entry *entry);

/* The name of the sender, or of whose session it is, as shown. */
const char *entry_sender(const struct entry *entry);

/* How many bytes the entry has. */
size_t entry_size(const struct entry *entry);

/* Its fields and values as a text that PostgreSQL takes: what is not UTF-8 as \xHH, 64 KiB at most.  The
 * caller frees it. */
char *entry_text(const struct entry *entry);

#endif
