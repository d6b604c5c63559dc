#ifndef HUBBUB_STORE_SERVER_H
#define HUBBUB_STORE_SERVER_H

/*
 * server: one Redis server and the lanes that live on it.
 *
 * One XREAD for all active lanes is under way at a time.  It blocks until the next look at the lanes (once a
 * second) at most, because a FLUSHALL breaks no connection and would not be seen otherwise.  In a backlog the
 * next one, which does not block, is under way while the answer to the one before is stored.
 */

#include "history.h"
#include "lane.h"
#include "link.h"

struct server {
    struct link link;
    struct lane *lanes[LANES];
    size_t lane_count;
    bool was_looked_at;  /* since it was connected */
    bool is_asked;       /* an XREAD is under way ... */
    int64_t asked_until; /* ... and overdue then */
    int64_t look_due;
    bool told_trim, told_foreign; /* already logged */
    event_id forget;              /* a look takes out of the logs what is stored up to here; 0: nothing */
    event_id forgotten;           /* up to here the logs were found to be empty */
};

/* Connects if that is due.  False if the server is not connected. */
bool server_connect(struct server *server, const char *password);

/*
 * Once a second: sees which lanes are open, opens what is closed, takes over what is deserted, trims.  Not to
 * be called while an XREAD is under way.
 */
void server_look(struct server *server, struct history *history);

/* Asks for new entries of the active lanes. */
void server_ask(struct server *server);

/*
 * Takes the answer to that, which is there to be read, and stores it; in a backlog also what comes next,
 * until the next look at the lanes is due.  Waits for PostgreSQL as long as it takes.
 */
void server_take(struct server *server, struct history *history);

/* After the database was connected again: its cursors. */
void server_resume(struct server *server, const event_id cursors[LANES]);

#endif
