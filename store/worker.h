#ifndef HUBBUB_STORE_WORKER_H
#define HUBBUB_STORE_WORKER_H

/*
 * worker: a thread that answers what gateways ask (docs/REQUESTS.md), with connections of its own.
 */

#include <stdbool.h>
#include <stdint.h>

#include <jansson.h>

#include "database.h"
#include "link.h"
#include "settings.h"

struct accounts;

struct worker {
    const struct settings *settings;
    struct database *database; /* connected when an ask begins; an ask that loses it answers unavailable */
    struct backoff backoff;    /* of the database */
    struct link link;          /* to lane 0's Redis server; see worker_reach_redis */
    struct accounts *accounts; /* shared by all workers, and safe for that */
};

/* An ask_fn's answer that is none yet: it is called with the request again soon, for some seconds. */
#define ASK_AGAIN json_null()

/*
 * Answers one request, whose members it checks itself.  Returns a new object without "id": {"ok": true, ...}
 * or what ask_error() makes, or ASK_AGAIN.  May take as long as its statements do, but waits for nothing
 * else: others wait for this worker.  Runs in the worker's thread: it shares nothing with other threads but
 * what takes care of that itself.
 */
typedef json_t *ask_fn(struct worker *worker, const json_t *request);

/* {"error": code}.  The caller owns it. */
json_t *ask_error(const char *code);

/* Makes one that is not connected.  False without memory. */
bool worker_init(struct worker *worker, const struct settings *settings, struct accounts *accounts);

/* Closes and frees what it has. */
void worker_finish(struct worker *worker);

/* Connects to PostgreSQL unless it is; false if that does not work, or is not due yet. */
bool worker_reach_database(struct worker *worker);

/* The same for lane 0's Redis server. */
bool worker_reach_redis(struct worker *worker);

#endif
