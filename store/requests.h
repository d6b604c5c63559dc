#ifndef HUBBUB_STORE_REQUESTS_H
#define HUBBUB_STORE_REQUESTS_H

/*
 * requests: the port on which gateways ask what they cannot know (docs/REQUESTS.md), served by one thread.
 *
 *     a line -> a ticket -> workers -> an answer with that ticket -> the connection that asked, if it is
 * there
 *
 * Whatever is under way has its time limit here: a worker that is stuck keeps nobody waiting, and what it
 * answers then is dropped, as is the answer to a connection that has closed.
 */

#include <stdbool.h>
#include <stdint.h>

#include "settings.h"

struct requests;

/* Listens and serves, in threads of its own.  Borrows the settings.  NULL if that does not work: it was
 * logged.
 */
struct requests *requests_start(const struct settings *settings);

/*
 * Closes everything and ends the threads.  False if one has not ended by `until` (of wait_now): then nothing
 * is freed, and the process is to end without it.  Takes NULL.
 */
bool requests_stop(struct requests *requests, int64_t until);

#endif
