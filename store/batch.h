#ifndef HUBBUB_STORE_BATCH_H
#define HUBBUB_STORE_BATCH_H

/*
 * batch: entries of one lane become rows, exactly once.
 *
 * One statement moves the lane's cursor from where this store knows it to be, and inserts only if it did
 * move: of two stores one wins.  A row that is there already is left as it is, so everything may be sent
 * again.  Session records go into the same transaction.
 */

#include "entry.h"
#include "history.h"
#include "lane.h"

#define BATCH_MAX 5000
#define BATCH_MAX_BYTES (8u << 20)

enum batch_result {
    BATCH_STORED, /* or in quarantine: the lane's cursor has moved on */
    BATCH_MOVED,  /* somebody else has moved the cursor: another store is at work */
    BATCH_LOST,   /* the database is away, and the connection closed: read again after the next one */
};

/* Stores `n` entries (at most BATCH_MAX, in the log's order) and moves the cursor of `lane`. */
enum batch_result batch_store(struct history *history, struct lane *lane, struct entry *entries, size_t n);

#endif
