#ifndef HUBBUB_STORE_RETENTION_H
#define HUBBUB_STORE_RETENTION_H

/*
 * retention: months that are old enough are dropped, oldest first.
 *
 * Once an hour it asks PostgreSQL, whose clock decides, for one.  First all servers take what it has out of
 * their logs (server.h: `forget`), so that nobody finds it there and stores it again; then the month is
 * dropped.  A month that somebody reads is tried again after a while that doubles from 1 s to 60 s, because
 * each attempt holds up whoever else uses messages for a tenth of a second.
 */

#include "history.h"
#include "server.h"

struct retention {
    long days;       /* 0: everything is kept */
    event_id last;   /* the last id of the month that is to go; 0: none is */
    int64_t due;     /* when there is something to do again, of wait_now() */
    unsigned misses; /* attempts since the last month went */
};

/* Nothing to do yet. */
void retention_init(struct retention *retention, long days);

/* Does what is due.  To be called often, with the database up and all servers looked at. */
void retention_run(struct retention *retention, struct history *history, struct server *servers,
                   size_t server_count);

#endif
