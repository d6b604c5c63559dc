#ifndef HUBBUB_STORE_INGEST_H
#define HUBBUB_STORE_INGEST_H

/*
 * ingest: the loop that carries every event from Redis into PostgreSQL.
 */

#include "settings.h"

/* Runs until the store is told to end.  Returns the exit status. */
int ingest_run(const struct settings *settings);

#endif
