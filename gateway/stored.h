#ifndef HUBBUB_STORED_H
#define HUBBUB_STORED_H

/*
 * stored: the events in a store's answer.
 */

#include <stdbool.h>

#include <jansson.h>

#include "event.h"

/* An id in an answer.  False: there is none of that name. */
bool stored_id(const json_t *answer, const char *name, event_id *id);

/* How many events an answer has. */
size_t stored_count(const json_t *answer);

/* Event `i` of `chain`, from an answer.  NULL: it is not as it should be.  The caller has one reference. */
struct event *stored_event(const json_t *answer, size_t i, const char *chain);

#endif
