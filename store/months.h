#ifndef HUBBUB_STORE_MONTHS_H
#define HUBBUB_STORE_MONTHS_H

/*
 * months: the partitions of messages, one for each month of UTC, made before anything needs them.
 *
 * What time it is, PostgreSQL says: by a clock of the store that is wrong, months would be dropped that are
 * young.
 */

#include <stdbool.h>

#include "database.h"
#include "id.h"

#define MONTHS_MAX 3500 /* since 1970; an id ends in 2248 */

struct months {
    bool known[MONTHS_MAX];
    event_id from,
        until;       /* of the month that was asked for last: the next question is mostly for the same one */
    event_id oldest; /* the first id of the oldest month that is kept */
    bool clock_differs; /* PostgreSQL's clock and this one's, when last compared; it was told */
};

/* Forgets what is known and asks which month is the oldest. */
enum answer months_init(struct months *months, struct database *database);

/* Asks again which month is the oldest: another store may have dropped some. */
enum answer months_look(struct months *months, struct database *database);

/* True if the month of `id` was there when last seen. */
bool months_known(struct months *months, event_id id);

/* The first id of the month after that of `id`. */
event_id months_next(event_id id);

/* Makes the month of `id` unless it is known to be there.  `made` (may be NULL): whether that was necessary.
 */
enum answer months_make(struct months *months, struct database *database, event_id id, bool *made);

/* Asks again which month is the oldest; `last` is the last id of it if all of it is older than `days`, else
 * 0. */
enum answer months_due(struct months *months, struct database *database, long days, event_id *last);

/*
 * Drops the month of `id`; `dropped`: whether it was there, and all of it older than `days`.  ANSWER_FAILED
 * if somebody reads it, or too much else: to be tried again later.
 */
enum answer months_drop(struct months *months, struct database *database, event_id id, long days,
                        bool *dropped);

/* Makes the current month and the two after it. */
enum answer months_make_ahead(struct months *months, struct database *database);

#endif
