#ifndef HUBBUB_STORE_LANE_H
#define HUBBUB_STORE_LANE_H

/*
 * lane: how far this store is with one lane of the log.
 *
 *       trimmed      oldest                    cursor               newest
 *          |    10,000 to 100,000 entries         |                    |
 *     -----+-------[ids remembered, to trim by]---+--------------------+----> the lane's log
 *                       stored ^           ^ read
 *
 * The cursor is PostgreSQL's, and only moves forward.  `read` is up to where this store has read in Redis,
 * and `stored` up to where it has stored what it read.  Both begin at the log's first entry again after each
 * reconnection, and so may be before the cursor: what is stored already is skipped by its id.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "id.h"

#define LANE_READ_MAX 48

enum lane_state {
    LANE_UNKNOWN, /* Redis was not looked at yet */
    LANE_CLOSED,  /* a new or wiped Redis: to be opened */
    LANE_FOREIGN, /* the keys have a shape that this store does not know: left alone */
    LANE_ACTIVE,  /* this store ingests it */
    LANE_STANDBY, /* another store does */
};

struct lane {
    unsigned number;
    enum lane_state state;
    event_id cursor;  /* as PostgreSQL had it last */
    event_id attempt; /* where a statement without an answer may have moved it */
    char stored[LANE_READ_MAX], read[LANE_READ_MAX];
    char asked[LANE_READ_MAX]; /* from where the XREAD under way reads: an answer to another question is not
                                  used */

    event_id *ids; /* of entries that were read and stored and are not trimmed: a ring, oldest first */
    size_t first, count;

    event_id stood;      /* standby: the cursor as it was ... */
    int64_t stood_since; /* ... when the log was first seen to be longer; 0: it was not */
};

/* Makes lane `number`.  False without memory. */
bool lane_init(struct lane *lane, unsigned number);

/* Frees what it holds. */
void lane_finish(struct lane *lane);

/* Changes the state and logs it. */
void lane_become(struct lane *lane, enum lane_state state);

/* Begins to ingest at the log's first entry; PostgreSQL's cursor is `cursor`. */
void lane_start(struct lane *lane, event_id cursor);

/*
 * Takes note of the cursor that PostgreSQL has after a reconnection.  A lane whose cursor somebody else has
 * moved goes to standby.
 */
void lane_resume(struct lane *lane, event_id cursor);

/* Goes back to where what was read is stored: the rest is to be read again. */
void lane_rewind(struct lane *lane);

/* Remembers the id of an entry that is stored. */
void lane_remember(struct lane *lane, event_id id);

/*
 * The id up to which the log may be trimmed when Redis' clock is at `now_ms`; false if nowhere.  What stays:
 * the last 10,000 entries, and what is younger than 60 s, but no more than 100,000.
 */
bool lane_trim_point(const struct lane *lane, uint64_t now_ms, event_id *id);

/* Forgets the ids up to `id`, which are trimmed. */
void lane_trimmed(struct lane *lane, event_id id);

/*
 * On standby: true if the lane should be taken over, because the cursor has stood at `cursor` for 2 s while
 * the log's newest id was beyond it.  `now` is wait_now().
 */
bool lane_is_deserted(struct lane *lane, event_id cursor, event_id newest, int64_t now);

#endif
