#ifndef HUBBUB_STORE_WORKERS_H
#define HUBBUB_STORE_WORKERS_H

/*
 * workers: a pool of threads that answer requests from one bounded queue, first come, first served.
 *
 *     workers_ask -> [ queue ] -> a thread that is idle: ask(worker, request) -> answered(ctx, ticket,
 *                       ^                                  |                              answer)
 *                       +------- [ later ] <---------------+ ASK_AGAIN
 *
 * What is not due yet (ASK_AGAIN) keeps no thread: it is tried every 50 ms, for 4 s at most.  What was not
 * begun when its time is up is answered `unavailable`, and so is what is not due for too long, what is not
 * due while 64 others wait so, and everything that needs PostgreSQL while that is away.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "worker.h"

struct workers;

/* Called in a worker's thread; takes `answer`. */
typedef void workers_answered_fn(void *ctx, uint64_t ticket, json_t *answer);

/*
 * Starts `count` threads with a queue of at most `queue_max` requests.  Borrows the settings and the
 * accounts. NULL if there is no memory or no thread.
 */
struct workers *workers_create(const struct settings *settings, struct accounts *accounts, unsigned count,
                               size_t queue_max, workers_answered_fn *answered, void *ctx);

/*
 * Puts a request (taken) into the queue; it shall be answered until `until` (of wait_now).  False, and
 * nothing is taken, if the queue is full.
 */
bool workers_ask(struct workers *workers, ask_fn *ask, json_t *request, int64_t until, uint64_t ticket);

/* Takes a request that waits for its turn out of the queue: nobody waits for its answer any more.  One that
 * was begun is answered all the same. */
void workers_drop(struct workers *workers, uint64_t ticket);

/*
 * Ends the threads; what waits is not answered any more.  False if one of them has not ended by `until` (of
 * wait_now): then nothing is freed, and the process is to end without it.  Takes NULL.
 */
bool workers_destroy(struct workers *workers, int64_t until);

#endif
