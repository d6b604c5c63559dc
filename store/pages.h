#ifndef HUBBUB_STORE_PAGES_H
#define HUBBUB_STORE_PAGES_H

/*
 * pages: the past, a page at a time, and what of it accounts have read (docs/REQUESTS.md).
 *
 * One statement makes an answer, so that its events and what it says is stored are of the same moment.
 */

#include "worker.h"

/* Each is an ask_fn. */
json_t *pages_events(struct worker *worker, const json_t *request);
json_t *pages_conversation(struct worker *worker, const json_t *request);
json_t *pages_unread(struct worker *worker, const json_t *request);

/* The same; ASK_AGAIN until what shall be marked as read is stored. */
json_t *pages_read(struct worker *worker, const json_t *request);

#endif
