#ifndef HUBBUB_STORE_BATCH_H
#define HUBBUB_STORE_BATCH_H

/*
 * batch: entries of one lane become rows, exactly once.
 *
 * One statement moves the lane's cursor from where this store knows it to be, and inserts only if it did
 * move: of two stores one wins.  A row that is there already is left as it is, so everything may be sent
 * again.  Session records go into the same transaction.
 *
 * Between batch_begin and batch_end PostgreSQL works, and the caller reads the next batch: what costs time
 * and needs no database is in batch_init.
 */

#include "part.h"

#define BATCH_MAX 5000
#define BATCH_MAX_BYTES (8u << 20)

struct batch {
    struct part part; /* all of it */
    struct entry entries[BATCH_MAX];
    bool has_refused;
    bool is_filled;    /* the part's arguments are complete */
    bool is_under_way; /* the statement is; what becomes of it is not known yet ... */
    enum fate fate;    /* ... else this is it */
    redisReply *spent; /* NULL, or what no batch after this one borrows from */
};

/*
 * Makes a batch of entries (XREAD's, borrowed as long as the batch lives) of `lane`, as many as one may have.
 * Does not use the database.
 */
void batch_init(struct batch *batch, struct history *history, struct lane *lane, redisReply *const *entries,
                size_t n);

/* Frees what it holds, `spent` included. */
void batch_finish(struct batch *batch);

/* Begins to store it and to move the cursor of its lane.  Until batch_end nothing else may use the database.
 */
void batch_begin(struct batch *batch);

/* Waits until that is done. */
enum fate batch_end(struct batch *batch);

#endif
