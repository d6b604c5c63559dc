#ifndef HUBBUB_STORE_HISTORY_H
#define HUBBUB_STORE_HISTORY_H

/*
 * history: the PostgreSQL side, and what the store knows about it between two statements.
 */

#include "database.h"
#include "id.h"
#include "months.h"
#include "names.h"

#define SCHEMA_VERSION 6 /* the number of the last file in migrations/ */

struct history {
    struct database *database;
    struct names *users, *rooms;
    struct months months;
    int64_t months_due; /* when months are made ahead again (of wait_now) */
};

enum history_start {
    HISTORY_UP,
    HISTORY_DOWN,  /* try again later; the reason is database_error */
    HISTORY_WRONG, /* the schema is older or newer than this store; it was logged */
};

/* Makes it, not connected.  False without memory. */
bool history_init(struct history *history, const char *url, const char *password);

/* Closes and frees. */
void history_finish(struct history *history);

/* Connects, forgets what was known, and reads the cursors of all lanes. */
enum history_start history_connect(struct history *history, event_id cursors[LANES]);

/* Reads the cursors of all lanes. */
enum answer history_cursors(struct history *history, event_id cursors[LANES]);

/* Makes the months ahead, about once a day.  What goes wrong is tried again; a batch makes what it needs. */
void history_make_months(struct history *history);

#endif
