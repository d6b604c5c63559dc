#ifndef HUBBUB_STORE_PART_H
#define HUBBUB_STORE_PART_H

/*
 * part: some entries of one lane, stored with every care.
 *
 * What is missing for them (names, months) is made, what is there already is left as it is and compared, and
 * what PostgreSQL refuses is halved until what is refused stands alone and goes to quarantine.
 */

#include "entry.h"
#include "history.h"
#include "lane.h"

/* What became of entries. */
enum fate {
    FATE_STORED, /* or in quarantine: the lane's cursor has moved on */
    FATE_MOVED,  /* somebody else has moved the cursor: another store is at work */
    FATE_LOST,   /* the database is away, and the connection closed: read again after the next one */
};

struct part {
    struct history *history;
    struct lane *lane;
    struct entry *entries; /* in the log's order */
    size_t n;
    struct arguments arguments; /* of the statement that moves the cursor and inserts ... */
    size_t rows;                /* ... so many rows */
    bool has_records, moved;
};

/* Where the statement's arguments have the lane's cursor as it should be afterwards, and as it is. */
#define PART_NEW_CURSOR 1
#define PART_OLD_CURSOR 2

/*
 * Given the arguments, moves the cursor and inserts the rows, if none was ever stored: PostgreSQL need not
 * think of conflicts, and a row costs it a fifth less.  Its answer is one number, 0 if the cursor was not
 * where it should be.
 */
extern const char part_insert_new_sql[];

/*
 * Stores the entries and moves the cursor.  May take many statements; what `part` has of arguments is not
 * used.
 */
enum fate part_store(const struct part *part);

/* The id of the newest entry, at least the lane's cursor. */
event_id part_last(const struct part *part);

/* Gives the entries the ids of their names, as far as they are remembered; false if some are not. */
bool part_recall_names(struct part *part);

/* The same, and finds or makes what is not. */
enum answer part_resolve_names(struct part *part);

/* Fills the arguments; the names are resolved.  The caller finishes them. */
void part_fill(struct part *part);

#endif
