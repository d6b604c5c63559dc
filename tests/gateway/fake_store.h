#ifndef HUBBUB_TESTS_FAKE_STORE_H
#define HUBBUB_TESTS_FAKE_STORE_H

/*
 * fake_store: what the hub needs of storelink.h; behind it a store that has all that was ever said on a fake
 * bus.  A page is answered when the test says so.
 */

#include <stdbool.h>

#include "bus.h"
#include "storelink.h"

/* A store that can be asked. */
struct storelink *fake_store_create(const struct bus *bus);
void fake_store_destroy(struct storelink *store);

/* Whether it can be asked. */
void fake_store_set_up(struct storelink *store, bool up);

/* Events up to `id` are kept no more. */
void fake_store_forget(struct storelink *store, event_id id);

/* The oldest question is answered by a page of at most 200; or not at all.  False: there is none. */
bool fake_store_answer(struct storelink *store);
bool fake_store_fail(struct storelink *store);

/* How many questions there were. */
unsigned fake_store_asked(const struct storelink *store);

#endif
