#ifndef HUBBUB_STORE_WORKER_H
#define HUBBUB_STORE_WORKER_H

/*
 * worker: a thread that answers what gateways ask (docs/REQUESTS.md), with connections of its own.
 */

#include <jansson.h>

#include "database.h"
#include "link.h"
#include "settings.h"

struct worker {
    const struct settings *settings;
    struct database *database; /* connected when an ask begins; an ask that loses it answers unavailable */
    struct link link;          /* to lane 0's Redis server; connected by whoever needs it */
};

/*
 * Answers one request, whose members it checks itself.  Returns a new object without "id": {"ok": true, ...}
 * or what ask_error() makes.  May take as long as its statements do, and runs in the worker's thread: it
 * shares nothing with other threads but what takes care of that itself.
 */
typedef json_t *ask_fn(struct worker *worker, const json_t *request);

/* {"error": code}.  The caller owns it. */
json_t *ask_error(const char *code);

#endif
