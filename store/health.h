#ifndef HUBBUB_STORE_HEALTH_H
#define HUBBUB_STORE_HEALTH_H

/*
 * health: a file whose age says how the store is.
 *
 * It is touched once a second, as long as Redis and PostgreSQL both answer: a store that is cut off, frozen
 * or stuck lets it grow old.  Who looks (a container's health check) needs no port and no client for that.
 */

#include <stdbool.h>
#include <stdint.h>

#include "database.h"

struct health {
    const char *path; /* "": nobody looks */
    int64_t due;
    bool told; /* that it cannot be touched was logged */
};

/* Begins; borrows `path` (HUBBUB_HEALTH_FILE). */
void health_init(struct health *health, const char *path);

/*
 * To be called in each turn in which all Redis servers have answered: once a second asks PostgreSQL, and
 * touches the file if it answers too.  Closes the database if it does not.
 */
void health_note(struct health *health, struct database *database);

#endif
