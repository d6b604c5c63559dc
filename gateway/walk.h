#ifndef HUBBUB_WALK_H
#define HUBBUB_WALK_H

/*
 * walk: going back along a chain in the log, step by step (the function `walk` of docs/FUNCTIONS.md).
 */

#include <stdbool.h>
#include <stddef.h>

#include "bus.h"
#include "id.h"

enum walk_end {
    WALK_END,     /* `until` was reached, or passed */
    WALK_MORE,    /* go on at `next` */
    WALK_TRIMMED, /* `next` is not in this log */
};

/* An answer.  Ids, or entries, newest first; borrows the reply. */
struct walk {
    unsigned lane;
    bool entries;
    enum walk_end end;
    event_id next;
    const struct redisReply *list;
    size_t count;
};

/*
 * Asks for at most `n` entries, or ids alone, of `chain` from the id `from` (included) back to `until` (not
 * included).  The answer comes to `reply`, for walk_read().  False: the lane is closed to us now.
 */
bool walk_send(struct bus *bus, const char *chain, event_id from, event_id until, int n, bool entries,
               bus_reply_fn *reply, void *ctx, uint64_t token);

/* Reads an answer to a walk along `chain`.  False: it is none. */
bool walk_read(struct walk *walk, const char *chain, bool entries, const struct redisReply *reply);

/* Id `i` of the answer.  False: it is none. */
bool walk_id(const struct walk *walk, size_t i, event_id *id);

/* Entry `i`: its id, the one before it in its chain, and its body.  False: it is none. */
bool walk_entry(const struct walk *walk, size_t i, event_id *id, event_id *prev,
                const struct redisReply **body);

#endif
